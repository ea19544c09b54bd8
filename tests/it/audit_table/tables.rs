//! The audit tables of several versions, with the types of MariaDB in place of those of Doris and StarRocks.

/// `InternalSchema.java` of Doris 2.1.
pub(super) const DORIS_2_1: &str = "CREATE DATABASE __internal_schema;
CREATE TABLE __internal_schema.audit_log (
    query_id varchar(48), `time` datetime(3), client_ip varchar(128), user varchar(128), catalog varchar(128),
    db varchar(128), state varchar(128), error_code int, error_message longtext, query_time bigint,
    scan_bytes bigint, scan_rows bigint, return_rows bigint, stmt_id bigint, is_query tinyint,
    frontend_ip varchar(128), cpu_time_ms bigint, sql_hash varchar(128), sql_digest varchar(128),
    peak_memory_bytes bigint, workload_group longtext, stmt longtext, KEY (`time`));";

/// Of Doris 3.0.
pub(super) const DORIS_3_0: &str = "CREATE DATABASE __internal_schema;
CREATE TABLE __internal_schema.audit_log (
    query_id varchar(48), `time` datetime(3), client_ip varchar(128), user varchar(128), catalog varchar(128),
    db varchar(128), state varchar(128), error_code int, error_message longtext, query_time bigint,
    scan_bytes bigint, scan_rows bigint, return_rows bigint, shuffle_send_rows bigint, shuffle_send_bytes bigint,
    scan_bytes_from_local_storage bigint, scan_bytes_from_remote_storage bigint, stmt_id bigint,
    stmt_type varchar(48), is_query tinyint, is_nereids tinyint, frontend_ip varchar(128), cpu_time_ms bigint,
    sql_hash varchar(128), sql_digest varchar(128), peak_memory_bytes bigint, workload_group longtext,
    compute_group longtext, stmt longtext, KEY (`time`));";

/// Of Doris 4.x, whose maps and arrays are sent as JSON.
pub(super) const DORIS_4: &str = "CREATE DATABASE __internal_schema;
CREATE TABLE __internal_schema.audit_log (
    query_id varchar(128), `time` datetime(3), client_ip varchar(128), user varchar(128), frontend_ip varchar(1024),
    catalog varchar(128), db varchar(128), state varchar(128), error_code int, error_message longtext,
    query_time bigint, queue_time_ms bigint, cpu_time_ms bigint, peak_memory_bytes bigint, scan_bytes bigint,
    scan_rows bigint, return_rows bigint, shuffle_send_rows bigint, shuffle_send_bytes bigint,
    spill_write_bytes_from_local_storage bigint, spill_read_bytes_from_local_storage bigint,
    scan_bytes_from_local_storage bigint, scan_bytes_from_remote_storage bigint, parse_time_ms int,
    plan_times_ms longtext, get_meta_times_ms longtext, schedule_times_ms longtext, hit_sql_cache tinyint,
    handled_in_fe tinyint, queried_tables_and_views longtext, chosen_m_views longtext, changed_variables longtext,
    sql_mode longtext, stmt_type varchar(48), stmt_id bigint, sql_hash varchar(128), sql_digest varchar(128),
    is_query tinyint, is_nereids tinyint, is_internal tinyint, workload_group longtext, compute_group longtext,
    protocol varchar(16), stmt longtext, KEY (`time`));";

/// Of StarRocks' AuditLoader 4.2.
pub(super) const STARROCKS: &str = "CREATE DATABASE starrocks_audit_db__;
CREATE TABLE starrocks_audit_db__.starrocks_audit_tbl__ (
    queryId varchar(64), `timestamp` datetime NOT NULL, queryType varchar(12), clientIp varchar(32),
    user varchar(64), authorizedUser varchar(64), resourceGroup varchar(64), catalog varchar(32), db varchar(96),
    state varchar(8), errorCode varchar(512), queryTime bigint, scanBytes bigint, scanRows bigint,
    returnRows bigint, cpuCostNs bigint, memCostBytes bigint, stmtId int, isQuery tinyint, feIp varchar(128),
    stmt longtext, digest varchar(32), planCpuCosts double, planMemCosts double, pendingTimeMs bigint,
    candidateMVs longtext, hitMvs longtext, KEY (`timestamp`));";
