//! Tests of wrappers.

use proptest::prelude::*;

use serde_json::json;

use super::*;

/// As Doris 2.1 writes it.
const RECORD: &str = "2026-03-01 10:00:00,000 [query] |Client=10.0.0.1:5000|User=mira|Ctl=internal\
    |Db=shop|State=EOF|ErrorCode=0|ErrorMessage=|Time(ms)=12|ScanBytes=0|ScanRows=0|ReturnRows=1|StmtId=1\
    |QueryId=a-1|IsQuery=true|isNereids=true|feIp=10.0.0.2|StmtType=SELECT|Stmt=select 1|CpuTimeMS=3|ShuffleSendBytes=0|ShuffleSendRows=0\
    |SqlHash=5f0c|peakMemoryBytes=2048|SqlDigest=|cloudClusterName=UNKNOWN|TraceId=|WorkloadGroup=normal\
    |FuzzyVariables=|scanBytesFromLocalStorage=0|scanBytesFromRemoteStorage=0\n";

/// The lines of a text without their wrappers.
fn lines(text: &str) -> Vec<String> {
    let Some(mut unwrapper) = Unwrapper::detect(text.as_bytes()) else {
        return vec!["plain".to_string()];
    };
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        match unwrapper.unwrap_line(line.as_bytes()) {
            Unwrapped::Line(line) => lines.push(String::from_utf8_lossy(&line).into_owned()),
            Unwrapped::Nothing | Unwrapped::OtherLog => {}
            Unwrapped::NotWrapped => lines.push("not wrapped".to_string()),
            Unwrapped::OutsideRecord => lines.push("outside".to_string()),
        }
    }
    let rest = unwrapper.end().into_iter();
    lines.extend(rest.map(|line| String::from_utf8_lossy(&line).into_owned()));
    lines
}

#[test]
fn each_wrapper_is_taken_off_each_line() {
    let time = "2026-03-01T10:00:00.123456789Z";
    let second = "from orders\n";
    for (name, wrapped) in [
        ("cri", [format!("{time} stdout F "), format!("{time} stdout F ")]),
        ("cri of another zone", {
            let time = "2026-03-01T18:00:00.1+08:00";
            [format!("{time} stdout F "), format!("{time} stdout F ")]
        }),
        ("time", [format!("{time} "), format!("{time} ")]),
        ("pod", ["[pod/fe-0/fe] ".to_string(), "[pod/fe-0/fe] ".to_string()]),
        ("pod with time", [format!("[pod/fe-0/fe] {time} "), format!("[pod/fe-0/fe] {time} ")]),
        ("service", ["fe-1  | ".to_string(), "fe-1  | ".to_string()]),
        ("syslog", {
            let prefix = "Mar  1 10:00:00 host1 doris-fe[812]: ".to_string();
            [prefix.clone(), prefix]
        }),
        ("coloured service", {
            let prefix = "\u{1b}[36;1mfe-1  | \u{1b}[0m".to_string();
            [prefix.clone(), prefix]
        }),
        ("journal", {
            let prefix = "Mar 01 10:00:00.123456 host1 doris-fe[812]: ".to_string();
            [prefix.clone(), prefix]
        }),
        ("syslog of RFC 5424", {
            let head = "<14>1 2026-03-01T10:00:00.003Z host1 doris-fe 812";
            [format!("{head} - - "), format!("{head} ID47 [a@1 k=\"]\\\"\"][b@1 k=\"\"] \u{feff}")]
        }),
        ("syslog with lengths", {
            let head = "<14>1 2026-03-01T10:00:00.003Z host1 doris-fe 812 - - ";
            [format!("612 {head}"), format!("67 {head}")]
        }),
        ("grep", ["log/fe.audit.log:".to_string(), "log/fe.audit.log:".to_string()]),
        ("grep with context", ["fe.audit-1.log-".to_string(), "fe.audit-1.log:".to_string()]),
        ("grep with numbers", ["fe.audit.log:12:".to_string(), "fe.audit.log:13:".to_string()]),
        ("grep with context and numbers", {
            ["fe.audit.log-12-".to_string(), "fe.audit.log-13-".to_string()]
        }),
        ("grep with context and numbers of one file", ["12:".to_string(), "13-".to_string()]),
        ("grep of a rotated file", {
            let name = "log/fe.audit.log.20260301-1";
            [format!("{name}-"), format!("{name}-")]
        }),
        ("logger", ["AuditLogger ".to_string(), String::new()]),
        ("cri and logger", {
            [format!("{time} stdout F AuditLogger "), format!("{time} stdout F ")]
        }),
    ] {
        let text = format!("{}{RECORD}{}{second}", wrapped[0], wrapped[1]);
        assert_eq!(lines(&text), [RECORD, second], "{name}");
    }
    assert_eq!(lines(RECORD), ["plain"]);
    assert_eq!(lines("some notes\nof mine\n"), ["plain"]);
}

#[test]
fn what_grep_writes_for_context_is_no_part_of_a_statement() {
    let text = format!(
        "fe.audit.log-11-from a stock\nfe.audit.log-12-{RECORD}fe.audit.log-13-where a:b\nfe.audit.log-14-\n\
         fe.audit.log:15:  and c - d\n--\nfe.audit.log-20240806:12:{RECORD}fe.audit.log-20240806-13-from x\n\
         fe.audit.log-20240806-15-from y\n--\nfe.audit.log-16-from z\nfe.audit.log-20240806:17:{RECORD}"
    );
    let record = [RECORD, "where a:b\n", "\n", "  and c - d\n", RECORD, "from x\n"];
    let expected = [&["outside"][..], &record, &["outside", "outside", RECORD]].concat();
    assert_eq!(lines(&text), expected);
    // Without numbers, only `--` says that lines are missing.
    let text = format!(
        "fe.audit.log-from a stock\nfe.audit.log:{RECORD}fe.audit.log-from x\n--\nfe.audit.log-from y\nfe.audit.log:{RECORD}"
    );
    assert_eq!(lines(&text), ["outside", RECORD, "from x\n", "outside", RECORD]);
}

#[test]
fn each_shipper_has_the_line_under_a_key_of_its_own() {
    let time = "2026-03-01T10:00:00.1Z";
    for (name, event) in [
        ("filebeat", json!({"@timestamp": time, "message": "", "log": {"offset": 0}})),
        (
            "logstash",
            json!({"@timestamp": time, "@version": "1", "message": "", "timestamp": time}),
        ),
        ("vector", {
            json!({"file": "fe.audit.log", "host": "fe-1", "message": "", "source_type": "file", "timestamp": time})
        }),
        ("loki", json!({"labels": {"job": "fe", "line": "x"}, "line": "", "timestamp": time})),
        ("loki without labels", json!({"line": "", "timestamp": time})),
        ("elasticdump", {
            let source = json!({"@timestamp": time, "message": "", "host": {"name": "fe-1"}});
            json!({"_index": "fe", "_id": "x1", "_score": 1, "_source": source})
        }),
    ] {
        let lines_of = |event: &serde_json::Value| {
            let with = |line: &str| {
                let mut event = event.clone();
                let holder =
                    if event.get("_source").is_some() { &mut event["_source"] } else { &mut event };
                let key = if holder.get("line").is_some() { "line" } else { "message" };
                holder[key] = json!(line);
                format!("{event}\n")
            };
            lines(&(with(RECORD.trim_end()) + &with("from \"orders\"") + "{\"status\":\"done\"}\n"))
        };
        let expected = [RECORD, "from \"orders\"\n", "{\"status\":\"done\"}\n"];
        assert_eq!(lines_of(&event), expected, "{name}");
    }
}

#[test]
fn docker_lines_are_json_and_long_ones_come_in_parts() {
    let time = r#""time":"2026-03-01T10:00:00.1Z""#;
    let (first, second) = RECORD.trim_end().split_at(30);
    let text = format!(
        "{{\"log\":\"{first}\",\"stream\":\"stdout\",{time}}}\n\
         {{\"log\":\"noise\\n\",\"stream\":\"stderr\",{time}}}\n\
         {{\"log\":\"{second}\\n\",\"stream\":\"stdout\",\"attrs\":{{\"tag\":\"x\"}},{time}}}\n\
         {{\"log\":\"cut\n\
         {{\"log\":\"from \\\"orders\\\"\",\"stream\":\"stdout\",{time}}}\n"
    );
    assert_eq!(lines(&text), [RECORD, "not wrapped", "from \"orders\""]);
}

#[test]
fn partial_lines_of_cri_are_joined_by_their_stream() {
    let time = "2026-03-01T10:00:00.1Z";
    let (first, second) = RECORD.split_at(30);
    let text = format!(
        "{time} stdout P {first}\n{time} stderr F noise\n{time} stdout F {second}\
         {time} stdout F \n{time} stdout P:x from\n{time} stdout F \n"
    );
    assert_eq!(lines(&text), [RECORD, "\n", "from\n"]);
}

#[test]
fn the_running_log_of_a_console_is_dropped_with_its_stack_traces() {
    let running = "2026-03-01 10:00:01,000 WARN (main|1) [Place.at():3] it failed\n";
    let trace = "java.lang.Error: x\n\tat org.example.A.b(A.java:1)\n";
    let text = format!(
        "RuntimeLogger {running}{trace}AuditLogger {RECORD}from a\nStdoutLogger 2026 hello\n\
         AuditLogger {RECORD}"
    );
    assert_eq!(lines(&text), [RECORD, "from a\n", RECORD]);
    assert_eq!(lines(&format!("{running}{trace}{RECORD}from a\n{running}")), [RECORD, "from a\n"]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        parts in prop::collection::vec(
            prop_oneof![
                Just(b"{\"log\":\"a\",\"time\":\"\"}\n".to_vec()),
                Just(b"2026-03-01T10:00:00Z stdout P x\n".to_vec()),
                Just(b"2026-03-01T10:00:00Z ".to_vec()),
                Just(b"[pod/".to_vec()),
                Just(b"Mar  1 10:00:00 h n: ".to_vec()),
                Just(b"AuditLogger ".to_vec()),
                Just(RECORD.as_bytes().to_vec()),
                prop::collection::vec(any::<u8>(), 0..30),
            ],
            0..12,
        ),
    ) {
        let text = parts.concat();
        if let Some(mut unwrapper) = Unwrapper::detect(&text) {
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                unwrapper.unwrap_line(line);
            }
            unwrapper.end();
        }
    }
}
