//! Rows that come late, out of order and twice while annals serves.

use super::tables::DORIS_3_0;
use super::{QUERIES, Scene, source, wait_for_backfill};
use crate::support::number;
use crate::support::wait_until;

/// Returns the statement that adds a row of a query that started some seconds ago.
fn row(id: &str, seconds_ago: u64) -> String {
    format!(
        "INSERT INTO __internal_schema.audit_log (query_id, time, query_time, stmt_id, stmt)
         VALUES ('{id}', NOW(3) - INTERVAL {seconds_ago} SECOND, 1000, 1, 'select ''{id}''');"
    )
}

#[test]
#[ignore = "needs MariaDB"]
fn rows_that_come_late_out_of_order_and_twice_are_read_once() {
    let scene = Scene::new(DORIS_3_0);
    // Now, of an hour ago, and of a month ago.
    scene.cluster.run(&[row("a-1", 5), row("a-2", 3600), row("a-3", 30 * 86400)].concat());
    let server = scene.serve("");
    wait_for_backfill(&server);
    scene.wait_for_queries(3);
    // A new one, one of some minutes ago that comes twice, one of two hours ago and one of five days ago, all at once.
    scene.cluster.run(&[row("b-1", 1), row("b-2", 400), row("b-3", 7200)].concat());
    scene.cluster.run(
        "INSERT INTO __internal_schema.audit_log SELECT * FROM __internal_schema.audit_log WHERE query_id = 'b-2'",
    );
    // A look goes back three hours twice a minute.
    scene.wait_for_queries(6);
    let state = source(&server);
    assert_eq!(
        (&state["records_new"], &state["records_merged"]),
        (&6.into(), &0.into()),
        "{state}"
    );
    let table = &state["audit_table"];
    assert_eq!(table["table"], "__internal_schema.audit_log", "{state}");
    assert_eq!(table["time_zone"], "+08:00", "{state}");
    // From now on each look goes back two hours and more.
    wait_until(
        || source(&server)["audit_table"]["overlap_ms"].as_i64().unwrap() >= 120 * 60_000,
        || source(&server).to_string(),
    );
    assert!(source(&server)["audit_table"]["late_ms"].as_i64().unwrap() >= 7_000_000);
    scene.cluster.run(&row("c-1", 7000));
    scene.wait_for_queries(7);
}

#[test]
#[ignore = "needs MariaDB"]
fn rows_that_came_while_annals_was_away_are_read_at_the_next_start() {
    let scene = Scene::new(DORIS_3_0);
    scene.cluster.run(&[row("a-1", 5), row("a-2", 2 * 86400)].concat());
    let server = scene.serve("");
    wait_for_backfill(&server);
    scene.wait_for_queries(2);
    drop(server);
    // Of now, and of six days ago, which the frontend loads hours late.
    scene.cluster.run(&[row("b-1", 0), row("b-2", 86_400), row("b-3", 6 * 86_400)].concat());
    let server = scene.serve("");
    // The oldest lies before all that was read: the backfill finds it.
    scene.wait_for_queries(5);
    wait_for_backfill(&server);
    let state = source(&server);
    assert_eq!(state["records_new"], 3, "{state}");
}

#[test]
#[ignore = "needs MariaDB"]
fn since_bounds_what_is_read() {
    let scene = Scene::new(DORIS_3_0);
    scene.cluster.run(&[row("a-1", 5), row("a-2", 3600)].concat());
    scene.cluster.run(
        "INSERT INTO __internal_schema.audit_log (query_id, time, stmt) VALUES
         ('o-1', '2024-01-02 00:00:00', 'select 1'), ('o-2', '2024-01-01 23:59:59', 'select 2')",
    );
    let server = scene.serve("since = '2024-01-02'\ntime_zone = 'Asia/Shanghai'");
    wait_for_backfill(&server);
    scene.wait_for_queries(3);
    assert_eq!(number(&scene.db(), &format!("{QUERIES} WHERE query_id = 'o-2'")), 0);
}

#[test]
#[ignore = "needs MariaDB"]
fn the_state_of_a_table_is_on_the_page_and_in_the_metrics() {
    let scene = Scene::new(DORIS_3_0);
    scene.cluster.run(&[row("a-1", 5), row("a-2", 3600)].concat());
    let server = scene.serve("");
    wait_for_backfill(&server);
    scene.wait_for_queries(2);
    scene.cluster.run(&row("b-1", 90));
    scene.wait_for_queries(3);
    wait_until(|| source(&server)["lag"] == 0, || source(&server).to_string());
    let text = |path: &str| String::from_utf8(server.get(path).2).unwrap();
    let page = text("/status");
    for part in [
        "audit table t", "__internal_schema.audit_log", "+08:00", "all read", "Rows come late by",
        "0 rows",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let metrics = text("/metrics");
    for name in [
        r#"annals_lag{source="audit table t"} 0"#,
        r#"annals_audit_table_backfill_rows_left{source="audit table t"} 0"#,
        r#"annals_audit_table_newest_seconds{source="audit table t"} "#,
        r#"annals_audit_table_delay_seconds{source="audit table t"} "#,
        r#"annals_records_total{source="audit table t",outcome="new"} 3"#,
    ] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
}
