//! Where messages and statements end.

use super::{
    HEAD, Write, doris1, doris2, doris2_1, doris4, field, parse, records, starrocks, statement,
};
use crate::formats::Item;

#[test]
fn text_that_looks_like_a_key_stays_text() {
    for sql in [
        "select '|CpuTimeMS=1'", "select '|CpuTimeMS=1|SqlHash=ab'", "select 1 -- |CpuTimeMS=one",
        "select a|b=c", "select 1 |User=x", "select 1 |QueryId=3-4",
    ] {
        for write in [doris1 as Write, doris2, doris2_1, doris4, starrocks] {
            assert_eq!(statement(&write("1-2", sql)), sql);
        }
    }
    for write in [doris2 as Write, doris2_1, doris4] {
        assert_eq!(statement(&write("1-2", "select 1|CpuTimeMS=1")), "select 1|CpuTimeMS=1");
    }
}

#[test]
fn an_error_message_ends_where_the_fields_begin() {
    let log = doris2_1("1-2", "select 1")
        .replace("ErrorMessage=", "ErrorMessage=near '|State=x'|CpuTimeMS=1");
    let record = records(&(log + "\n")).remove(0);
    assert_eq!(record.error_message.as_deref(), Some("near '|State=x'|CpuTimeMS=1"));
    assert_eq!((record.duration_ms, record.cpu_time_ms), (Some(12), Some(3)));
    assert_eq!(record.statement.as_deref(), Some("select 1"));
    // A new key after it.
    let log = doris4("1-2", "s").replace("|Time(ms)=", "|NewKey=5|Time(ms)=");
    let record = records(&(log + "\n")).remove(0);
    assert_eq!((record.error_message, record.extra["NewKey"].as_str()), (None, "5"));
}

#[test]
fn an_error_message_ends_where_fields_in_any_order_begin() {
    let log = doris2("1-a", "select 1").replace("State=EOF", "State=ERR");
    for (message, more) in [
        ("oops", "|NewKey=5"),
        ("oops", "|NewKey={\"a\":\"|Stmt=x\"}|OtherKey=a"),
        ("", "|NewKey=5"),
        ("near '|User=x'", "|NewKey=5"),
        ("near |User=x|SqlHash=3", "|NewKey=5"),
    ] {
        let log = log.replace("ErrorMessage=", &format!("ErrorMessage={message}{more}"));
        let record = records(&(log + "\n")).remove(0);
        assert_eq!(record.error_message.as_deref().unwrap_or_default(), message);
        assert_eq!(record.extra.len(), more.matches("Key=").count(), "{message}{more}");
        assert_eq!((record.duration_ms, record.sql_hash.as_deref()), (Some(12), Some("5f0c3b")));
    }
    // A field after the statement is before it in no record of the same version.
    let both = log.replace("ErrorMessage=", "ErrorMessage=near|WorkloadGroup=etl|NewKey=5");
    let record = records(&(both.replace("|FuzzyVariables=", "|NewKey=6") + "\n")).remove(0);
    assert_eq!(record.error_message.as_deref(), Some("near|WorkloadGroup=etl|NewKey=5"));
    assert_eq!(record.extra["NewKey"], "6");
    // Keys of Doris 4 in another order, the time in front, in the middle or at the end.
    let fields = [
        "SqlMode=A,B", "User=alice", "WorkloadGroup=normal", "PlanTimesMs={\"plan\":6}",
        "CpuTimeMS=3", "HitSqlCache=false", "QueryId=1-a", "Time(ms)=417", "ParseTimeMs=1",
        "queriedTablesAndViews=[\"a.b\"]",
    ];
    for turn in 0..fields.len() {
        let mut fields = fields;
        fields.rotate_left(turn);
        for at in [0, 4, 9] {
            for message in ["errCode = 2, detail: no |x=1 'a'", ""] {
                let (first, rest) = fields.split_at(at);
                let message_field = format!("ErrorMessage={message}");
                let log = [first, &[&message_field], rest, &["Stmt=select 1"]].concat();
                let record = records(&format!("{HEAD}|State=ERR|{}\n", log.join("|"))).remove(0);
                let is = |key: &str| field(&record, key).unwrap_or_default();
                let found = [
                    "ErrorMessage", "User", "WorkloadGroup", "Time(ms)", "CpuTimeMS", "SqlMode",
                    "Stmt",
                ]
                .map(is);
                assert_eq!(
                    found,
                    [message, "alice", "normal", "417", "3", "A,B", "select 1"],
                    "{log:?}"
                );
                assert_eq!((record.plan_time_ms, record.query_id.as_str()), (Some(6), "1-a"));
            }
        }
    }
}

#[test]
fn an_error_message_after_the_statement_is_any_text() {
    let failed =
        starrocks("1-a", "select '|Digest=9|ErrorMessage=x'").replace("State=EOF", "State=ERR");
    for message in ["foo\nbar", "foo\n\nbar: 'x'", "near |Digest=3|x=1", "a|State=EOF\n|Digest=\nb"]
    {
        for (after, end) in
            [("", "\n"), ("", "\r\n\n"), ("", "|\n\n"), ("|NewKey=5", "\n"), ("|SessionId=s", "\n")]
        {
            let log = format!("{failed}|ErrorMessage={message}{after}{end}");
            let record = records(&(log.clone() + &log)).remove(0);
            assert_eq!(record.error_message.as_deref(), Some(message), "{after} {end:?}");
            assert_eq!(record.statement.as_deref(), Some("select '|Digest=9|ErrorMessage=x'"));
            assert_eq!(
                (record.queue_time_ms, record.compute_group.as_deref()),
                (Some(15), Some("bi_wh"))
            );
            assert_eq!(
                record.extra.get("NewKey").map(String::as_str),
                after.strip_prefix("|NewKey=")
            );
        }
    }
    // Without a failure, or a message, lines after it are those of others.
    for log in [format!("{failed}|ErrorMessage="), starrocks("1-a", "s") + "|ErrorMessage=foo"] {
        let found = parse(format!("{log}\nagent: rotated\n").as_bytes());
        assert!(matches!(found[..], [Item::Record { foreign: Some(_), .. }]), "{found:?}");
    }
}

#[test]
fn an_error_message_may_quote_a_record() {
    let quoted = "no: |ErrorMessage=|Stmt=select 2|CpuTimeMS=9";
    let log = doris2("1-2", "select 1").replace("ErrorMessage=", &format!("ErrorMessage={quoted}"));
    let record = records(&(log + "\n")).remove(0);
    assert_eq!(record.error_message.as_deref(), Some(quoted));
    assert_eq!((record.statement.as_deref(), record.cpu_time_ms), (Some("select 1"), Some(3)));
    for (message, expected) in [("", None), ("no|x=1", Some("no|x=1"))] {
        let log =
            doris4("1-2", "select 1").replace("ErrorMessage=", &format!("ErrorMessage={message}"));
        let record = records(&(log + "\n")).remove(0);
        assert_eq!(record.error_message.as_deref(), expected);
        assert_eq!(record.statement.as_deref(), Some("select 1"));
    }
}

#[test]
fn a_statement_of_many_lines_keeps_its_blank_ones() {
    let sql = "select a,\n\n-- agent: started\n  b -- |CpuTimeMS=7\n\nfrom t|Digest=x y\n";
    for write in [doris2 as Write, starrocks] {
        let log = format!("{}\n\n{}\n", write("1-a", sql), write("2-b", sql));
        let statements: Vec<_> =
            records(&log).into_iter().map(|record| record.statement.unwrap()).collect();
        assert_eq!(statements, [sql, sql]);
    }
    // As old versions wrote it, with the statement last.
    let log = format!("{}\n\n{}\n", doris1("1-2", "select 1,\n\n 2"), doris1("3-4", "select 3"));
    assert_eq!(records(&log)[0].statement.as_deref(), Some("select 1,\n\n 2"));
}
