//! Logs of containers, and other logs around the records.

use super::{cri, docker, import_one, prefixed, profile, record};
use crate::support::audit_record;
use serde_json::{Value, json};

#[test]
fn container_logs_are_unwrapped() {
    let statement = "select kind, -- of a plant\n  count(*)\nfrom plants";
    let log = format!("{}{}", record("d-1", statement), record("d-2", "select 2"));
    let running = "2026-02-03 10:00:00,500 WARN (x|2) [A.b():1] bad\njava.lang.Error: c\n\tat d.E.f(E.java:1)\n";
    let console = format!(
        "+ exec java\nRuntimeLogger {running}AuditLogger {}RuntimeLogger {running}AuditLogger {}\
         StdoutLogger 2026-02-03 10:00:01 done\n",
        record("d-1", statement),
        record("d-2", "select 2")
    );
    let time = "2026-02-03T10:00:00.123456789Z ";
    for (name, wrapped) in [
        ("docker", docker(&log, 1 << 14)),
        ("docker in pieces", docker(&log, 50)),
        ("cri", cri(&log, 1 << 14)),
        ("cri in pieces", cri(&log, 50)),
        ("docker logs -t", prefixed(&log, time)),
        ("compose", prefixed(&log, "fe-1  | ")),
        ("kubectl logs --prefix", prefixed(&log, "[pod/fe-0/fe] ")),
        ("journal", prefixed(&log, "Feb  3 10:00:00 host doris-fe[1]: ")),
        ("coloured compose", prefixed(&log, "\u{1b}[36mfe-1  | \u{1b}[0m")),
        ("syslog", prefixed(&log, "<30>Feb  3 10:00:00 host doris-fe[812]: ")),
        (
            "syslog of RFC 5424",
            prefixed(&log, "<30>1 2026-02-03T10:00:00.003Z host doris-fe 812 - - "),
        ),
        ("grep", prefixed(&log, "/opt/doris/fe/log/fe.audit.log:")),
        ("grep with context", with_context(&log)),
        ("vector", events(&log, vector)),
        ("loki", events(&log, loki)),
        ("elasticdump", events(&log, elasticdump)),
        ("an array of events", array(&log, false)),
        ("an array with an event a line", array(&log, true)),
        ("Elasticsearch", search_answer(&log, false)),
        ("Elasticsearch, newest first", search_answer(&log, true)),
        ("Loki", loki_answer(&log)),
        ("octet-counted syslog", octet_counted(&log, "\n")),
        ("octet-counted syslog without line ends", octet_counted(&log, "")),
        ("filebeat", filebeat(&log, false)),
        ("filebeat with joined lines", filebeat(&log, true)),
        ("console", console.clone()),
        ("console in docker", docker(&console, 1 << 14)),
        ("console in cri", cri(&console, 30)),
        ("console with times", prefixed(&console, time)),
        ("mixed without names", console.replace("RuntimeLogger ", "").replace("AuditLogger ", "")),
    ] {
        let (printed, records) = import_one("fe-json.log", &wrapped, 0);
        assert_eq!(records.len(), 2, "{name}: {printed}");
        assert_eq!(records["d-1"]["statement"], statement, "{name}");
        for id in ["d-1", "d-2"] {
            assert_eq!(records[id]["workload_group"], "normal", "{name}");
            assert_eq!(records[id]["duration_ms"], 12, "{name}");
        }
    }
}

/// Returns an array of events, as Kibana and Vector's HTTP sink write them.
fn array(log: &str, has_lines: bool) -> String {
    let events: Vec<String> = log.lines().map(|line| vector(line).to_string()).collect();
    match has_lines {
        true => format!("[\n{}\n]\n", events.join(",\n")),
        false => format!("[{}]", events.join(",")),
    }
}

/// Returns what Elasticsearch answers to `_search`, with line breaks if asked with `?pretty`.
fn search_answer(log: &str, is_newest_first: bool) -> String {
    let lines = log.lines().enumerate();
    let mut hits: Vec<Value> = lines
        .map(|(number, line)| {
            let time = format!("2026-02-03T02:00:{number:02}.000Z");
            let source = json!({"@timestamp": time, "message": line, "log": {"offset": number}});
            json!({"_index": "fe", "_id": format!("x{number}"), "_score": 1.0, "_source": source})
        })
        .collect();
    if is_newest_first {
        hits.reverse();
    }
    let total = json!({"value": hits.len(), "relation": "eq"});
    let hits = json!({"total": total, "max_score": 1.0, "hits": hits});
    let shards = json!({"total": 1, "successful": 1, "skipped": 0, "failed": 0});
    let answer = json!({"took": 3, "timed_out": false, "_shards": shards, "hits": hits});
    match is_newest_first {
        true => serde_json::to_string_pretty(&answer).unwrap(),
        false => answer.to_string(),
    }
}

/// Returns what Loki answers to `/loki/api/v1/query_range`, which has the newest line first.
fn loki_answer(log: &str) -> String {
    let lines = log.lines().zip(1_770_084_000_000_000_000_u64..);
    let mut values: Vec<Value> =
        lines.map(|(line, time)| json!([time.to_string(), line])).collect();
    values.reverse();
    let stream =
        json!({"stream": {"filename": "/log/fe.audit.log", "job": "fe"}, "values": values});
    let data = json!({"resultType": "streams", "result": [stream], "stats": {}});
    json!({"status": "success", "data": data}).to_string()
}

/// Returns lines as `grep -n -C` writes those of several files.
fn with_context(log: &str) -> String {
    let lines = log.lines().enumerate().map(|(number, line)| {
        // A match and its context.
        let mark = if line.contains("d-1") { ':' } else { '-' };
        let between = if line.contains("d-2") { "--\n" } else { "" };
        format!("{between}fe.audit.log{mark}{}{mark}{line}\n", number + 9)
    });
    lines.collect()
}

fn events(log: &str, event: impl Fn(&str) -> Value) -> String {
    log.lines().map(|line| format!("{}\n", event(line))).collect()
}

/// As Vector's sources `file` and sinks with the codec `json` write a line.
fn vector(message: &str) -> Value {
    json!({
        "file": "/opt/doris/fe/log/fe.audit.log", "host": "fe-1", "message": message,
        "source_type": "file", "timestamp": "2026-02-03T10:00:01.123456789Z",
    })
}

/// As `logcli query --output=jsonl --forward` writes a line.
fn loki(line: &str) -> Value {
    json!({
        "labels": {"filename": "/opt/doris/fe/log/fe.audit.log", "job": "doris"}, "line": line,
        "timestamp": "2026-02-03T10:00:01.123456789Z",
    })
}

/// As `elasticdump --type=data` writes a document of Filebeat.
fn elasticdump(message: &str) -> Value {
    json!({
        "_index": "filebeat-8.12.0", "_id": "x5ZkYI0B", "_score": 1,
        "_source": {
            "@timestamp": "2026-02-03T10:00:01.123Z", "message": message, "ecs": {"version": "8.0.0"},
            "log": {"offset": 0, "file": {"path": "/opt/doris/fe/log/fe.audit.log"}},
        },
    })
}

/// As rsyslog sends `RSYSLOG_SyslogProtocol23Format`, which has a line end, with `TCP_Framing="octet-counted"`; and as other
/// senders of RFC 6587 do, which write none.
fn octet_counted(log: &str, end: &str) -> String {
    let messages = log.lines().map(|line| {
        let message = format!("<30>1 2026-02-03T10:00:00.003Z host doris-fe 812 - - {line}{end}");
        format!("{} {message}", message.len())
    });
    messages.collect()
}

/// Returns lines as Filebeat writes them to a file; with joined lines, an event is a record, as its multiline settings make one.
fn filebeat(log: &str, is_joined: bool) -> String {
    let mut events: Vec<String> = Vec::new();
    for line in log.lines() {
        match events.last_mut().filter(|_| is_joined && !line.starts_with("2026-")) {
            Some(event) => *event += &format!("\n{line}"),
            None => events.push(line.to_string()),
        }
    }
    let events = events.into_iter().map(|message| {
        json!({
            "@timestamp": "2026-02-03T10:00:01.123Z",
            "@metadata": {"beat": "filebeat", "type": "_doc", "version": "8.12.0"},
            "message": message,
            "log": {"offset": 0, "file": {"path": "/opt/doris/fe/log/fe.audit.log"}},
            "input": {"type": "filestream"}, "ecs": {"version": "8.0.0"}, "host": {"name": "fe-1"},
            "agent": {"type": "filebeat", "version": "8.12.0", "name": "fe-1"},
        })
    });
    events.map(|event| format!("{event}\n")).collect()
}

#[test]
fn line_numbers_of_wrapped_logs_are_those_of_the_file() {
    // The third record has no id.
    let bad = audit_record("2026-02-03 10:00:00,000", &[("QueryId", ""), ("Stmt", "")]);
    let good = record("d-1", "select 1");
    let text = format!(
        "{}{}{}",
        docker(&good, good.len() / 3),
        docker(&good, good.len() / 2),
        docker(&bad, 9999)
    );
    let start = text.lines().count();
    let text = format!("{text}{}{{\"log\":\"cut\n", docker(&good, 9999));
    let (printed, _) = import_one("fe-json.log", &text, 1);
    assert!(printed.contains(&format!("fe-json.log:{start}\n")), "{start}: {printed}");
    assert!(printed.contains(&format!("fe-json.log:{}\n", start + 2)), "{start}: {printed}");
    assert!(printed.contains("a line without the wrapper"), "{printed}");
}

#[test]
fn a_record_far_into_a_process_log_is_found() {
    let running = "2026-02-03 10:00:00,500 INFO (x|2) [A.b():1] so it goes on and on and on\n";
    let log = format!("{}{}", running.repeat(30_000), record("d-1", "select 1"));
    let (printed, records) = import_one("fe.log", log, 0);
    assert_eq!(records.len(), 1, "{printed}");
    assert!(!printed.contains("other files"), "{printed}");
}

#[test]
fn docker_lines_without_line_ends_are_joined() {
    let long = format!("select '{}'", "seed ".repeat(8000));
    let log = format!(
        "{}{}{}",
        record("n-1", &long),
        record("n-2", "select 1\nfrom pots"),
        record("n-3", "x")
    );
    let stripped = |has_tags: bool| {
        let mut lines = String::new();
        for line in log.lines() {
            let pieces: Vec<&[u8]> = line.as_bytes().chunks(1 << 14).collect();
            for (number, piece) in pieces.iter().enumerate() {
                let piece = std::str::from_utf8(piece).unwrap();
                let mut line =
                    json!({"log": piece, "stream": "stdout", "time": "2026-02-03T10:00:00.1Z"});
                if has_tags {
                    line["_p"] = json!(if number + 1 == pieces.len() { "F" } else { "P" });
                }
                lines += &format!("{line}\n");
            }
        }
        lines
    };
    for (name, content) in [("plain", stripped(false)), ("tagged", stripped(true))] {
        let (printed, records) = import_one("fe.log", content, 0);
        assert_eq!(records.len(), 3, "{name}: {printed}");
        assert_eq!(records["n-1"]["statement"], long, "{name}");
        assert_eq!(records["n-2"]["statement"], "select 1\nfrom pots", "{name}");
    }
    // A container that stops leaves half a line. After its restart it begins with a new record.
    let whole = docker(&record("n-4", "select 4"), 1 << 14);
    let half = whole.replace("\\n\"", "\"");
    let after = docker(&record("n-5", "select 5"), 1 << 14);
    let (printed, records) =
        import_one("fe.log", format!("{after}{half}{}", after.replace("n-5", "n-6")), 0);
    assert_eq!(records.keys().collect::<Vec<_>>(), ["n-4", "n-5", "n-6"], "{printed}");
}

#[test]
fn log_prefixes_are_removed_from_a_profile() {
    let text = profile("c-1");
    for (name, wrapped) in [
        ("cri", cri(&text, 1 << 14)),
        ("docker", docker(&text, 1 << 14)),
        ("pod", prefixed(&text, "[pod/fe-0/fe] ")),
        ("compose", prefixed(&text, "fe-1  | ")),
        ("times", prefixed(&text, "2026-02-03T10:00:00.123456789Z ")),
    ] {
        let (printed, records) = import_one("fe.log", wrapped, 0);
        assert_eq!(records["c-1"]["duration_ms"], 950, "{name}: {printed}");
        assert_eq!(records["c-1"]["workload_group"], "normal", "{name}: {printed}");
    }
    let running = "2026-02-03 10:00:00,500 INFO (x|2) [A.b():1] here it is\n";
    let (printed, _) = import_one("fe.log", format!("{running}{text}"), 0);
    assert!(printed.contains("a profile within another log"), "{printed}");
    assert!(printed.contains("fe.log:2"), "{printed}");
}
