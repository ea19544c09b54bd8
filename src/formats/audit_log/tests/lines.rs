//! Lines between records, broken records, and lines that are no record.

use super::{
    HEAD, Write, doris1, doris2, doris2_1, doris4, parse, records, starrocks, starrocks_json,
};
use crate::formats::{Item, SkipReason};

#[test]
fn a_record_spans_lines_until_the_next_prefix() {
    let log = [
        doris1("1-1", "select\n 1") + "\r\n\n\n",
        doris1("2-2", "select 2") + "\n",
        doris2_1("3-3", "select\n3").replace(",220 [query]", ".220999 INFO [slow_query]") + "\n",
    ];
    let records = records(&log.concat());
    let statements: Vec<_> = records.iter().map(|record| record.statement.as_deref()).collect();
    assert_eq!(statements, [Some("select\n 1"), Some("select 2"), Some("select\n3")]);
    assert_eq!(records[2].cpu_time_ms, Some(3));
    assert!(records[2].is_slow && !records[1].is_slow);
}

#[test]
fn lines_between_records_are_part_of_none() {
    let lines = [
        ("\n", 0),
        ("\n\r\n  \n", 0),
        ("log rotated by host agent\n", 1),
        ("\nagent: a|State=ERR|Note=x; 'y'\n\n==> fe.log <==\n", 2),
        (
            "2025-07-02 10:00:07,220 INFO (thrift|12) [Checkpoint.run():12] begin\njava.lang.Error: no\n\tat a.b(C.java:1)\n",
            3,
        ),
    ];
    let dialects: [(&str, Write); 4] =
        [("2", doris2), ("4", doris4), ("text", starrocks), ("json", starrocks_json)];
    for (name, write) in dialects {
        for (between, count) in lines {
            for line_end in ["\n", "\r\n"] {
                let log = format!(
                    "{}{line_end}{between}{}{line_end}{between}",
                    write("1-a", "select 1"),
                    write("2-b", "select 2")
                );
                let found = parse(log.as_bytes());
                assert_eq!(found.len(), 2, "{name} {between:?} {found:?}");
                let mut line = 2;
                for (found, statement) in found.iter().zip(["select 1", "select 2"]) {
                    let Item::Record { record, foreign, cut: None, .. } = found else {
                        panic!("{found:?}")
                    };
                    assert_eq!(record.statement.as_deref(), Some(statement), "{name} {between:?}");
                    assert_eq!(record.db.as_deref(), Some("shop"), "{name}");
                    assert!(
                        record.workload_group.is_some() && record.scan_rows.is_some(),
                        "{name}"
                    );
                    assert_eq!(foreign.map_or(0, |lines| lines.count), count, "{name} {between:?}");
                    let blank = u64::from(between.starts_with('\n'));
                    assert!(
                        foreign.is_none_or(|lines| lines.first == line + blank),
                        "{name} {foreign:?}"
                    );
                    line += between.lines().count() as u64 + 1;
                }
            }
        }
    }
}

#[test]
fn a_broken_record_keeps_its_fields_and_is_counted() {
    let whole = doris2("1-a", "select 1");
    let at = |key: &str| whole.find(key).unwrap();
    for (end, cpu_ms, peak_bytes) in [
        (at("|SqlHash") + 4, 3, None),
        (at("|TraceId"), 3, Some(2048)),
        (at("|TraceId") + 3, 3, Some(2048)),
    ] {
        let log =
            [&doris2("8-a", "s"), &doris2("8-b", "s"), &doris2("8-c", "s"), &whole[..end], &whole]
                .map(|record| format!("{record}\n"));
        let found = parse(log.concat().as_bytes());
        assert_eq!(found.len(), 5);
        for (at, found) in found.iter().enumerate() {
            let Item::Record { record, cut, .. } = found else { panic!("{found:?}") };
            assert_eq!(*cut, (at == 3).then_some(4), "{end} {at}");
            assert_eq!(record.cpu_time_ms, Some(cpu_ms));
            if at == 3 {
                assert_eq!(
                    (record.peak_memory_bytes, record.statement.as_deref()),
                    (peak_bytes, Some("select 1"))
                );
            }
        }
    }
    // A line in the middle of it.
    let broken = whole.replace("|peakMemoryBytes", "\nagent: rotated\n|peakMemoryBytes");
    let found = parse(format!("{broken}\n").as_bytes());
    let [Item::Record { record, foreign: Some(foreign), .. }] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!((foreign.first, foreign.count), (2, 1));
    assert_eq!(
        (record.sql_hash.as_deref(), record.peak_memory_bytes),
        (Some("5f0c3b"), Some(2048))
    );
}

#[test]
fn a_bar_at_the_end_is_no_part_of_a_value() {
    for (write, end) in [(doris2 as Write, "|"), (doris4, "|"), (starrocks, "|\r")] {
        let log = format!(
            "{}{end}\n\n{}{end}\n",
            write("1-a", "select a || b"),
            write("2-b", "select 2")
        );
        let records = records(&log);
        assert_eq!(records[0].statement.as_deref(), Some("select a || b"));
        assert_eq!((records.len(), records[1].statement.as_deref()), (2, Some("select 2")));
    }
}

#[test]
fn a_record_cut_off_within_its_id_is_not_kept() {
    for cut in [&format!("{HEAD}|User=a"), &format!("{HEAD}|User=a|QueryId=1a2b")] {
        let found = parse(cut.as_bytes());
        let [Item::Skipped(skipped)] = found.as_slice() else { panic!("{found:?}") };
        assert!([SkipReason::CutOff, SkipReason::NoQueryId].contains(&skipped.reason), "{cut}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_and_a_mark_is_left_out() {
    let mut log = b"\xef\xbb\xbf".to_vec();
    let record = doris1("1-2", "select '@@'") + "\n";
    log.extend(record.bytes().map(|byte| if byte == b'@' { 0xff } else { byte }));
    let Item::Record { record, replaced: true, .. } = parse(&log).remove(0) else { panic!() };
    assert_eq!(record.statement.as_deref(), Some("select '\u{fffd}\u{fffd}'"));
}
