//! What is read of the table of each version, and what annals sends to the cluster.

use super::tables::{DORIS_2_1, DORIS_3_0, DORIS_4, STARROCKS};
use super::{Scene, values};
use crate::support::{WithDb, annals, number, rows, stderr, stdout, texts};

#[test]
#[ignore = "needs MariaDB"]
fn the_table_of_doris_2_1_gives_what_the_log_would() {
    let scene = Scene::new(DORIS_2_1);
    scene.cluster.run(
        r"INSERT INTO __internal_schema.audit_log VALUES
        ('b63d30b908f04dad-ab4a3c121d2c776b', '2024-01-02 11:15:51.248', '192.168.1.82:53450', 'default_cluster:ada',
         'internal', 'shop', 'EOF', 0, '', 49, 1024, 20, 1, 51, 1, '10.16.10.6', 3, 'eee2', 'd1', 4096, 'normal',
         'select 1\\nfrom t -- ä'),
        ('b63d30b908f04dad-ab4a3c121d2c776b', '2024-01-02 11:15:51.248', '192.168.1.82:53450', 'default_cluster:ada',
         'internal', 'shop', 'EOF', 0, '', 49, 1024, 20, 1, 51, 1, '10.16.10.6', 3, 'eee2', 'd1', 4096, 'normal',
         'select 1\\nfrom t -- ä'),
        ('1-2', '2024-01-02 11:15:40', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
         NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        ('1-3', NULL, NULL, 'ada', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
         NULL, NULL, NULL, NULL, NULL, NULL, 'select never'),
        ('N/A', '2024-01-02 11:15:39', '192.168.1.82:53450', 'ada', 'internal', 'shop', 'ERR', 1105, 'no | such',
         0, -1, -1, 0, 52, 0, '10.16.10.6', -1, 'eee3', '', -1, '', 'selec'),
        ('1-4', '2024-01-02 11:15:38', '192.168.1.82:53450', 'annals', 'internal', '', 'EOF', 0, '', 2, 0, 0, 1,
         53, 1, '10.16.10.6', 0, '', '', 0, '', '/* annals */ SELECT 1');",
    );
    let output = scene.import(&[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = stdout(&output);
    assert!(printed.starts_with("read __internal_schema.audit_log of 127.0.0.1:"), "{printed}");
    assert!(printed.contains("3 new, 0 merged, 1 unchanged\n  excluded: 1"), "{printed}");
    assert!(printed.contains("times of the zone +08:00\n"), "{printed}");
    let columns = r#"SELECT started_ms, client, "user", catalog, db, state, duration_ms, scan_bytes, statement_id,
         frontend, cpu_time_ms, sql_digest, peak_memory_bytes, workload_group, statement FROM query"#;
    assert_eq!(
        values(&scene, &format!("{columns} WHERE duration_ms = 49")),
        [
            "1704165351248", "192.168.1.82:53450", "ada", "internal", "shop", "EOF", "49", "1024",
            "51", "10.16.10.6", "3", "d1", "4096", "normal", "select 1\nfrom t -- ä"
        ]
    );
    let unknown = values(&scene, &format!("{columns} WHERE query_id = '1-2'"));
    assert!(unknown[1..].iter().all(String::is_empty), "{unknown:?}");
    assert_eq!(texts(&scene.db(), "SELECT statement FROM query WHERE state = 'ERR'"), ["selec"]);
    // The next import reads nothing again.
    let again = stdout(&scene.import(&[]));
    assert!(again.contains("0 new, 0 merged, 0 unchanged"), "{again}");
    // The configuration names tables as well. One with another name is read from its beginning, but for rows that retention
    // would remove.
    let config = scene.folder.path().join("annals.toml");
    for (name, rest, read) in [
        ("t", "", "0 new, 0 merged, 4 unchanged"),
        ("u", "[retention]\nkeep_queries = '30d'\n", "0 new, 0 merged, 0 unchanged"),
    ] {
        let url = scene.cluster.url("root");
        let text = format!("[[audit_table]]\nurl = '{url}'\nname = '{name}'\n{rest}");
        std::fs::write(&config, text).unwrap();
        let mut command = annals();
        let output = command.args(["import", "--config"]).arg(&config).db(scene.db()).output();
        let printed = stdout(&output.unwrap());
        assert!(printed.contains(read), "{name}: {printed}");
    }
}

#[test]
#[ignore = "needs MariaDB"]
fn the_tables_of_doris_3_and_4_give_their_own_columns() {
    let scene = Scene::new(DORIS_3_0);
    scene.cluster.run(
        "INSERT INTO __internal_schema.audit_log (query_id, time, query_time, shuffle_send_rows,
             scan_bytes_from_remote_storage, stmt_type, is_nereids, compute_group, stmt)
         VALUES ('3-1', '2025-01-02 11:15:51.248', 7, 8, 9, 'SELECT', 1, 'cg', 'select 3');
         ALTER TABLE __internal_schema.audit_log ADD COLUMN from_the_future int;
         UPDATE __internal_schema.audit_log SET from_the_future = 11;",
    );
    let output = scene.import(&["--time-zone", "UTC"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let columns = "started_ms, duration_ms, shuffle_send_rows, remote_scan_bytes, statement_type, compute_group, extra";
    assert_eq!(
        values(&scene, &format!("SELECT {columns} FROM query")),
        ["1735816551248", "7", "8", "9", "SELECT", "cg", r#"{"from_the_future":"11"}"#]
    );
    scene.cluster.run("DROP DATABASE __internal_schema");
    scene.cluster.run(DORIS_4);
    scene.cluster.run(
        r#"INSERT INTO __internal_schema.audit_log (query_id, time, frontend_ip, query_time, queue_time_ms,
             parse_time_ms, plan_times_ms, schedule_times_ms, hit_sql_cache, queried_tables_and_views,
             changed_variables, stmt_id, is_internal, protocol, stmt)
         VALUES ('4-1', '2026-01-02 11:15:51.248', '10.0.0.4', 7, 2, 1, '{"plan":7, "garbage_collect":0}',
             '{"schedule_time_ms":3}', 1, '["internal.shop.orders"]', '{"session_context":"trace_id:abc"}', 5, 0,
             'MYSQL', 'select\n4');"#,
    );
    let output = scene.import(&[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let columns = "frontend, queue_time_ms, parse_time_ms, plan_time_ms, schedule_time_ms, queried_tables, trace_id,
        statement_id, statement";
    assert_eq!(
        values(&scene, &format!("SELECT {columns} FROM query WHERE query_id = '4-1'")),
        ["10.0.0.4", "2", "1", "7", "3", r#"["internal.shop.orders"]"#, "abc", "5", "select\n4"]
    );
}

#[test]
#[ignore = "needs MariaDB"]
fn the_table_of_starrocks_gives_queries_and_logins() {
    let scene = Scene::new(STARROCKS);
    scene.cluster.run(
        "INSERT INTO starrocks_audit_db__.starrocks_audit_tbl__ (queryId, timestamp, queryType, clientIp, user,
             resourceGroup, db, state, errorCode, queryTime, cpuCostNs, memCostBytes, stmtId, isQuery, feIp, stmt,
             planCpuCosts, pendingTimeMs)
         VALUES
         ('0191f8a0-0000-7000-8000-000000000001', '2024-01-02 11:15:51', 'slow_query', '10.0.0.1:40', 'bob', 'rg',
          'lake', 'EOF', '', 9000, 5000000, 4096, 3, 1, '10.0.0.9', 'select 1', 12.5, 4),
         ('connection-0191f8a0-0000-7000-8000-000000000002', '2024-01-02 11:15:50', 'connection', '10.0.0.1:40',
          'bob', '', '', 'OK', '', 0, 0, 0, 0, 0, '10.0.0.9', '', 0, 0),
         ('0191f8a0-0000-7000-8000-000000000003', '2024-01-02 11:15:52', 'query', '10.0.0.1:40', 'bob', 'rg',
          'lake', 'ERR', 'ANALYSIS_ERR', 1, 0, 0, 4, 1, '10.0.0.9', 'select x', 0, 0)",
    );
    let output = scene.import(&[]);
    assert!(output.status.success(), "{}", stderr(&output));
    // StarRocks' loader writes times in the zone of the system.
    let columns =
        r#"started_ms, "user", duration_ms, cpu_time_ms, workload_group, queue_time_ms, extra"#;
    assert_eq!(
        values(&scene, &format!("SELECT {columns} FROM query WHERE statement = 'select 1'")),
        ["1704194151000", "bob", "9000", "5", "rg", "4", r#"{"planCpuCosts":"12.5"}"#]
    );
    let errors = "SELECT error_message FROM query WHERE state = 'ERR'";
    assert_eq!(texts(&scene.db(), errors), ["ANALYSIS_ERR"]);
    assert_eq!(number(&scene.db(), "SELECT count(*) FROM login WHERE at_ms = 1704194150000"), 1);
}

#[test]
#[ignore = "needs MariaDB"]
fn a_statement_of_a_megabyte_is_read_whole_and_a_cut_one_is_marked() {
    let scene = Scene::new(DORIS_2_1);
    scene.cluster.run(
        "INSERT INTO __internal_schema.audit_log (query_id, time, stmt) VALUES
         ('1-1', '2024-01-02 11:15:51', CONCAT('select ''', REPEAT('x', 1048576), '''')),
         ('1-2', '2024-01-02 11:15:51', 'select a ... /* truncated. audit_plugin_max_sql_length=9 */'),
         ('1-3', '2024-01-02 11:15:51', CONCAT('select ''', REPEAT('y', 17000000), ''''))",
    );
    let output = scene.import(&[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lengths = "SELECT length(statement) FROM query ORDER BY query_id";
    assert_eq!(texts(&scene.db(), lengths), ["1048585", "59", "17000009"]);
}

#[test]
#[ignore = "needs MariaDB"]
fn annals_sends_the_documented_statements_and_no_others() {
    let scene = Scene::new(DORIS_2_1);
    let insert = "INSERT INTO __internal_schema.audit_log (query_id, time, stmt)
         VALUES ('1-1', NOW(3), 'select 1'), ('1-2', NOW(3) - INTERVAL 3 DAY, 'select 2')";
    scene.cluster.run(insert);
    scene.cluster.run("SET GLOBAL general_log = ON");
    assert!(scene.import(&[]).status.success());
    scene.cluster.run("SET GLOBAL general_log = OFF");
    let sent = scene.cluster.run(
        "SELECT DISTINCT command_type, REGEXP_REPLACE(argument, \"'[0-9: -]{16}:00'\", \"'MINUTE'\")
         FROM mysql.general_log WHERE command_type NOT IN ('Connect', 'Quit')
         AND argument NOT LIKE 'SET GLOBAL general_log%' AND argument NOT LIKE 'select @@version_comment%'",
    );
    let documented = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit-table.md"),
    )
    .unwrap();
    let columns = scene.cluster.run(
        "SELECT GROUP_CONCAT(CONCAT('`', column_name, '`') ORDER BY column_name <> 'time', ordinal_position SEPARATOR ', ')
         FROM information_schema.columns WHERE table_schema = '__internal_schema'",
    );
    for line in sent.lines() {
        let (kind, statement) = line.split_once('\t').unwrap();
        assert_eq!(kind, "Query", "{line}");
        // The columns that are not the first stand in any order.
        let statement = match statement.contains("`query_id`") {
            true => {
                let (_, behind) = statement.split_once(" FROM ").unwrap();
                assert_eq!(statement.matches('`').count() - 8, columns.matches('`').count());
                format!("/* annals */ SELECT `time`, ... FROM {behind}")
            }
            false => statement.to_string(),
        };
        assert!(documented.contains(&statement), "{statement}");
    }
    assert!(sent.lines().count() >= 5, "{sent}");
    assert_eq!(rows(&scene.db(), "SELECT query_id FROM query").len(), 2);
}

#[test]
#[ignore = "needs MariaDB"]
fn rows_ahead_of_the_clock_are_named() {
    let scene = Scene::new(DORIS_2_1);
    let insert = "INSERT INTO __internal_schema.audit_log (query_id, time, stmt)
         VALUES ('1-1', NOW(3) - INTERVAL 1 HOUR, 'select 1'), ('1-2', NOW(3) + INTERVAL 8 HOUR, 'select 2')";
    scene.cluster.run(insert);
    let output = scene.import(&[]);
    let printed = stdout(&output);
    assert!(printed.contains("The newest row starts 7hour"), "{printed}{}", stderr(&output));
    assert!(printed.contains("set time_zone of the audit table"), "{printed}");
}

#[test]
#[ignore = "needs MariaDB"]
fn an_offset_that_no_zone_has_is_no_other_zone() {
    let scene = Scene::new(DORIS_2_1);
    scene.cluster.run("SET GLOBAL time_zone = '+03:30'");
    let output = scene.import(&[]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    let error = stderr(&output);
    assert!(error.contains("the cluster's time zone is +03:30"), "{error}");
}
