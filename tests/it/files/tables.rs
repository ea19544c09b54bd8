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

/// Returns rows as `mysql -t` prints them: each value is padded to the longest one of its column, whatever it holds.
fn boxed(names: &[&str], rows: &[Vec<&str>]) -> String {
    let width = |column: usize| {
        let values = rows.iter().map(|row| row[column]).chain([names[column]]);
        values.map(|value| value.chars().count()).max().unwrap()
    };
    let line = |cells: &[&str]| {
        let cells = cells.iter().enumerate().map(|(column, cell)| {
            format!(" {cell}{} |", " ".repeat(width(column) - cell.chars().count()))
        });
        format!("|{}\n", cells.collect::<String>())
    };
    let border: String =
        (0..names.len()).map(|column| format!("{}+", "-".repeat(width(column) + 2))).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("+{border}\n{}+{border}\n{rows}+{border}\n", line(names))
}

/// Returns rows as the mysql client prints them for `\G`.
fn vertical(names: &[&str], rows: &[Vec<&str>]) -> String {
    let width = names.iter().map(|name| name.len()).max().unwrap();
    let stars = "*".repeat(27);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        text += &format!("{stars} {}. row {stars}\n", number + 1);
        for (name, value) in names.iter().zip(row) {
            text += &format!("{name:>width$}: {value}\n");
        }
    }
    text
}

#[test]
fn tables_for_people_are_imported() {
    let statement = "select a | b -- of plants\nfrom plants\n  where stmt: 3 | c";
    let names = ["query_id", "time", "user", "query_time", "scan_rows", "stmt", "error_message"];
    let first = ["p-1", "2026-02-03 10:00:00.250", "dora", "12", "7", statement, ""];
    let second = ["p-2", "2026-02-03 10:00:01", "NULL", "3", "0", "select 2", "no such table"];
    let rows = [first.to_vec(), second.to_vec()];
    // Wide characters take two places on a terminal, so the client pads them less.
    let wide = "select '植物'";
    let wide_rows =
        [vec!["p-1", "2026-02-03 10:00:00", wide], vec!["p-2", "2026-02-03 10:00:01", "x"]];
    let wide_table = boxed(&["query_id", "time", "stmt"], &wide_rows)
        .replace(&format!("| x{}|", " ".repeat(12)), &format!("| x{}|", " ".repeat(14)))
        .replace("-------------+\n", "---------------+\n");
    let prompt = "mysql> select * from __internal_schema.audit_log\\G\n";
    for (name, table) in [
        ("boxed", boxed(&names, &rows)),
        ("vertical", vertical(&names, &rows)),
        ("typed", format!("{prompt}{}2 rows in set (0.01 sec)\n\n", vertical(&names, &rows))),
        ("warned", format!("mysql: [Warning] Using a password.\n{}", boxed(&names, &rows))),
        ("windows", vertical(&names, &rows).replace('\n', "\r\n")),
    ] {
        let (printed, records) = import_one("audit.txt", &table, 0);
        assert_eq!(records.len(), 2, "{name}: {printed}\n{table}");
        let (first, second) = (&records["p-1"], &records["p-2"]);
        assert_eq!(first["statement"], statement, "{name}");
        assert_eq!(first["started_at"], "2026-02-03T10:00:00.250Z", "{name}");
        assert_eq!((&first["duration_ms"], &first["scan_rows"]), (&json!(12), &json!(7)), "{name}");
        assert_eq!((&second["user"], &second["statement"]), (&Value::Null, &json!("select 2")));
        assert_eq!(second["error_message"], "no such table", "{name}");
        assert_eq!(first["error_message"], Value::Null, "{name}");
    }
    let (printed, records) = import_one("audit.txt", &wide_table, 0);
    assert_eq!(records["p-1"]["statement"], wide, "{printed}\n{wide_table}");
    // A row without an id is named by its line.
    let broken = vertical(&names, &[vec!["", "", "", "", "", "", ""], rows[1].clone()]);
    let (printed, records) = import_one("audit.txt", &broken, 1);
    assert_eq!(records.len(), 1);
    assert!(printed.contains("audit.txt:1\n"), "{printed}");
}

/// Returns a record of annals' own with a value in each field.
fn full(empty: &Value, id: &str, kind: &str) -> Value {
    let mut record = empty.clone();
    let fields = record.as_object_mut().unwrap();
    for (name, value) in fields.iter_mut().filter(|(_, value)| value.is_null()) {
        *value = match name.as_str() {
            "fingerprint" | "load" => continue,
            "changed_variables" => json!({"a": "1"}),
            "chosen_views" | "queried_tables" => json!(r#"["internal.garden.plants"]"#),
            "error_code" => json!(1105),
            name if name.ends_with("_ms")
                || name.ends_with("_bytes")
                || name.ends_with("_rows") =>
            {
                json!(7)
            }
            "statement_id" => json!(7),
            name if name.starts_with("is_") || name == "cache_hit" => json!(true),
            name => json!(format!("=the {name} | of '{id}'")),
        };
    }
    let load = json!({
        "broker_user": "broker", "file_number": 2, "file_path_list": "hdfs://a", "filtered_rows": 3,
        "job_id": "77", "label": "label_1", "load_bytes": 4, "load_type": "STREAM_LOAD", "loaded_rows": 5,
        "message": "@ok", "table_list": "plants", "total_rows": 8, "unselected_rows": 0, "url": "http://be",
    });
    for (name, value) in [
        ("query_id", json!(id)),
        ("kind", json!(kind)),
        ("state", json!("ERR")),
        ("is_failed", json!(true)),
        ("is_slow", json!(kind == "query")),
        ("is_start_estimated", json!(false)),
        ("started_at", json!("2026-02-03T10:00:00.250Z")),
        ("started_ms", json!(1_770_112_800_250_i64)),
        ("ended_at", json!("2026-02-03T10:00:00.257Z")),
        ("ended_ms", json!(1_770_112_800_257_i64)),
        ("duration_ms", json!(7)),
        ("extra", json!({"GetMetaTimesMs": "{\"a\":1}", "NewKey": "v", "=key": "=x"})),
        ("load", if kind == "load" { load } else { Value::Null }),
    ] {
        fields.insert(name.to_string(), value);
    }
    record
}

#[test]
fn an_export_is_imported_without_loss() {
    let (_, empty) = import_one("log", record("g-0", ""), 0);
    let estimated = {
        let mut record = empty["g-0"].clone();
        let fields = record.as_object_mut().unwrap();
        fields.insert("query_id".to_string(), json!("g-3"));
        fields.insert("duration_ms".to_string(), Value::Null);
        fields.insert("is_start_estimated".to_string(), json!(true));
        fields.insert("ended_at".to_string(), fields["started_at"].clone());
        fields.insert("ended_ms".to_string(), fields["started_ms"].clone());
        record
    };
    let of_list = {
        let mut record = full(&empty["g-0"], "g-4", "query");
        record["origin"] = json!("summary");
        record
    };
    let records = [
        full(&empty["g-0"], "g-1", "query"),
        full(&empty["g-0"], "g-2", "load"),
        estimated,
        of_list,
    ];
    let scene = Scene::new();
    let lines = records.iter().map(|record| format!("{record}\n"));
    scene.write("export", lines.collect::<String>());
    scene.imported(0);
    let stored = scene.records();
    for record in &records {
        for (name, value) in record.as_object().unwrap() {
            let stored = &stored[record["query_id"].as_str().unwrap()];
            assert!(name == "fingerprint" || stored[name] == *value, "{name}: {value} {stored}");
        }
    }
    for format in ["ndjson", "csv", "audit"] {
        let text = annals().args(["export", "--format", format]).db(scene.db()).output();
        let (printed, records) = import_one("export", stdout(&text.unwrap()), 0);
        assert_eq!(records.len(), stored.len(), "{format}: {printed}");
        for (id, before) in &stored {
            for (name, value) in before.as_object().unwrap() {
                // CSV and audit logs do not say whether a record is of a list.
                let is_said = format == "ndjson" || name != "origin";
                assert!(
                    !is_said || records[id][name] == *value,
                    "{format} {id} {name}: {value} {}",
                    records[id][name]
                );
            }
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
