-- Normalized statements: a statement without its values, comments and white space. Statements that differ
-- only in these have one fingerprint.
CREATE TABLE statement (
    fingerprint    INTEGER PRIMARY KEY,              -- XXH3 (64 bits) of the whole normalized statement
    normalized     TEXT    NOT NULL                  -- its first 64 KiB
) STRICT;

-- The fingerprint of the query's statement. annals writes it as printf('%016x', fingerprint).
ALTER TABLE query ADD COLUMN fingerprint INTEGER;

DROP VIEW query_history;

-- Every query and load, with readable times in UTC. The view has no order, so that a report over all rows
-- is one scan. An index serves ORDER BY started_ms DESC.
CREATE VIEW query_history AS
SELECT
    query_id,
    kind,
    state,
    strftime('%Y-%m-%d %H:%M:%f', started_ms / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%d %H:%M:%f', ended_ms / 1000.0, 'unixepoch') AS ended_at,
    duration_ms,
    user,
    client,
    catalog,
    db,
    statement,
    iif(fingerprint IS NULL, NULL, printf('%016x', fingerprint)) AS fingerprint,
    statement_type,
    command_type,
    error_code,
    error_message,
    scan_rows,
    scan_bytes,
    local_scan_bytes,
    remote_scan_bytes,
    return_rows,
    shuffle_send_rows,
    shuffle_send_bytes,
    spill_write_bytes,
    peak_memory_bytes,
    cpu_time_ms,
    is_query,
    is_nereids,
    is_internal,
    is_slow,
    frontend,
    workload_group,
    compute_group,
    queried_tables,
    statement_id,
    session_id,
    trace_id,
    sql_hash,
    sql_digest,
    fuzzy_variables,
    extra,
    EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id) AS has_profile,
    started_ms,
    ended_ms
FROM query;
