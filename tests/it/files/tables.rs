//! Dumps of the audit table, and exports of annals.

use super::{Scene, import_one, record};
use crate::support::{WithDb, annals, stdout};
use serde_json::{Value, json};

#[test]
fn dumps_of_the_audit_table_are_imported() {
    let statement = "select \"kind\",\n\t'a\\b' from plants";
    let csv = format!(
        "query_id,time,user,query_time,scan_rows,stmt\n\
         f-1,2026-02-03 10:00:00.250,dora,12,7,\"{}\"\nf-2,2026-02-03 10:00:01,\\N,3,0,select 2\n",
        statement.replace('"', "\"\"")
    );
    let tsv = format!(
        "query_id\ttime\tuser\tquery_time\tscan_rows\tstmt\n\
         f-1\t2026-02-03 10:00:00.250\tdora\t12\t7\t{}\nf-2\t2026-02-03 10:00:01\tNULL\t3\t0\tselect 2\n",
        statement.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")
    );
    let row = |id: &str, user: Value, ms: i64, rows: i64, time: &str, statement: &str| {
        json!({"query_id": id, "time": time, "user": user, "query_time": ms, "scan_rows": rows,
            "stmt": statement})
    };
    let rows = [
        row("f-1", json!("dora"), 12, 7, "2026-02-03 10:00:00.250", statement),
        row("f-2", Value::Null, 3, 0, "2026-02-03 10:00:01", "select 2"),
    ];
    let lines = format!("{}\n{}\n", rows[0], rows[1]);
    for (name, table) in [
        ("dump.csv", csv.clone()),
        ("dump.windows.csv", csv.replace("\n", "\r\n").replace(",\r\n\t", ",\n\t")),
        ("dump.marked.csv", format!("\u{feff}{csv}")),
        ("dump.semicolons.csv", csv.replace(",\n\t", "@").replace(',', ";").replace('@', ",\n\t")),
        ("dump.tsv", tsv),
        ("dump.json", json!(rows).to_string()),
        ("dump.pretty.json", serde_json::to_string_pretty(&json!(rows)).unwrap()),
        ("dump.ndjson", lines),
    ] {
        let (printed, records) = import_one(name, &table, 0);
        assert_eq!(records.len(), 2, "{name}: {printed}");
        let first = &records["f-1"];
        assert_eq!(first["statement"], statement, "{name}");
        assert_eq!(first["started_at"], "2026-02-03T10:00:00.250Z", "{name}");
        assert_eq!((&first["duration_ms"], &first["scan_rows"]), (&json!(12), &json!(7)), "{name}");
        assert_eq!(records["f-2"]["user"], Value::Null, "{name}");
    }
    // Column names of StarRocks, and an incomplete row.
    let starrocks = "\"queryId\",\"timestamp\",\"clientIp\",\"stmt\"\n\
                     \"f-3\",\"2026-02-03 10:00:00\",\"10.0.0.3:1\",\"select 3\"\n\"f-4\"\n";
    let (printed, records) = import_one("starrocks.csv", starrocks, 1);
    assert_eq!(records["f-3"]["client"], "10.0.0.3:1");
    assert!(
        printed.contains("1 x a row that does not fit its columns") && printed.contains("csv:3\n"),
        "{printed}"
    );
    let (printed, records) =
        import_one("broken.ndjson", format!("{}\n{{\"query_id\": \n{}\n", rows[0], rows[1]), 1);
    assert_eq!(records.len(), 2);
    assert!(printed.contains("JSON cannot be read") && printed.contains("ndjson:2\n"), "{printed}");
}

#[test]
fn an_export_of_annals_can_be_imported() {
    let scene = Scene::new();
    scene.write("log", record("g-1", "select 1, 'x|y'\nfrom plants"));
    scene.imported(0);
    for format in ["ndjson", "csv"] {
        let text = annals().args(["export", "--format", format]).db(scene.db()).output();
        let (printed, records) = import_one("export", stdout(&text.unwrap()), 0);
        let expected = scene.records();
        for key in ["statement", "started_ms", "duration_ms", "user", "workload_group", "client"] {
            assert_eq!(records["g-1"][key], expected["g-1"][key], "{format} {key}: {printed}");
        }
    }
}

#[test]
fn client_warnings_above_a_table_are_skipped() {
    let table = "query_id\ttime\tstmt\nt-1\t2026-02-03 10:00:00\tselect 1\nshort\n";
    for above in [
        "mysql: [Warning] Using a password on the command line interface can be insecure.\n",
        "Warning: Using a password on the command line interface can be insecure.\r\n\n",
        "WARNING: the server's certificate is not verified\nmariadb: [Note] hello\n",
    ] {
        let (printed, records) = import_one("dump.tsv", format!("{above}{table}"), 1);
        assert_eq!(records["t-1"]["statement"], "select 1", "{printed}");
        let line = above.lines().count() + 3;
        assert!(printed.contains(&format!("dump.tsv:{line}\n")), "{printed}");
    }
}
