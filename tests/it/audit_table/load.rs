//! Large tables: backfilled while rows arrive, and while annals is killed.

use std::time::Instant;

use super::tables::DORIS_3_0;
use super::{QUERIES, Scene, source, wait_for_backfill};
use crate::support::number;
use crate::support::{stderr, stdout, wait_until};

/// Returns the statement that adds rows of the last days, a number apart, with ids that begin with `prefix`.
fn many(prefix: &str, rows: u64) -> String {
    format!(
        "INSERT INTO __internal_schema.audit_log (query_id, time, client_ip, user, catalog, db, state, error_code,
             query_time, scan_bytes, scan_rows, return_rows, stmt_id, stmt_type, is_query, frontend_ip, cpu_time_ms,
             sql_hash, peak_memory_bytes, stmt)
         SELECT CONCAT('{prefix}', HEX(seq * 2654435761), '-', HEX(seq)), NOW(3) - INTERVAL (3600 + seq * 2) SECOND,
             '10.0.0.1:5000', 'ada', 'internal', 'shop', 'EOF', 0, seq % 5000, seq, seq, 1, seq, 'SELECT', 1,
             '10.0.0.9', 1, MD5(seq), 4096,
             CONCAT('select sum(price) from orders where customer = ', seq, ' and day > ''2024-01-01'' group by region')
         FROM seq_1_to_{rows};"
    )
}

#[test]
#[ignore = "needs MariaDB and time (a minute)"]
fn annals_killed_twenty_times_reads_every_row_once() {
    let scene = Scene::new(DORIS_3_0);
    scene.cluster.run("USE mysql; USE __internal_schema;");
    scene.cluster.run(&format!("USE __internal_schema; {}", many("a", 300_000)));
    let (mut expected, mut kills) = (300_000, 0);
    let mut server = scene.serve("page_size = 5000");
    while kills < 20 {
        let before = number(&scene.db(), QUERIES);
        let new = format!(
            "INSERT INTO __internal_schema.audit_log (query_id, time, query_time, stmt) VALUES
             ('n-{kills}', NOW(3), 1, 'select 1'), ('l-{kills}', NOW(3) - INTERVAL 400 SECOND, 1, 'select 2')"
        );
        scene.cluster.run(&new);
        expected += 2;
        wait_until(
            || number(&scene.db(), QUERIES) > before,
            || format!("{kills} kills, {before} queries: {}", source(&server)),
        );
        drop(server);
        kills += 1;
        server = scene.serve("page_size = 5000");
    }
    wait_for_backfill(&server);
    scene.wait_for_queries(expected);
    let cluster = scene.cluster.run("SELECT SUM(scan_rows) FROM __internal_schema.audit_log");
    let history = number(&scene.db(), "SELECT sum(scan_rows) FROM query");
    assert_eq!(history.to_string(), cluster.trim());
    wait_until(|| source(&server)["lag"] == 0, || source(&server).to_string());
    assert_eq!(source(&server)["last_error"], serde_json::Value::Null);
}

#[test]
#[ignore = "needs MariaDB and an optimized build"]
fn a_table_of_300_000_rows_is_read_within_half_a_minute_in_bounded_memory() {
    let scene = Scene::new(DORIS_3_0);
    scene.cluster.run(&format!("USE __internal_schema; {}", many("a", 300_000)));
    let started = Instant::now();
    let server = scene.serve("");
    wait_for_backfill(&server);
    scene.wait_for_queries(300_000);
    let took = started.elapsed();
    let memory = server.peak_memory() >> 20;
    println!("serve: {:.1} s, {memory} MiB", took.as_secs_f64());
    assert!(took.as_secs() < 30 && memory < 400, "{took:?}, {memory} MiB");
    drop(server);
    let other = Scene { cluster: scene.cluster, folder: tempfile::TempDir::new().unwrap() };
    let started = Instant::now();
    let output = other.import(&[]);
    println!("import: {:.1} s", started.elapsed().as_secs_f64());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("300000 new, 0 merged, 0 unchanged"), "{}", stdout(&output));
}
