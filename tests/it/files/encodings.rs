//! Encodings, line ends and stray bytes.

use super::{Scene, gzip, import_one, profile, record, utf16};
use crate::support;
use serde_json::json;

#[test]
fn utf16_byte_order_marks_and_windows_line_ends_are_read() {
    let statement = "select '北京', 'é' from garden";
    let log = record("c-1", statement).replace('\n', "\r\n");
    for little in [true, false] {
        for mark in [true, false] {
            for (name, text) in [("log", log.clone()), ("profile", profile("c-1"))] {
                let (printed, records) = import_one(name, utf16(&text, little, mark), 0);
                let ms = if name == "log" { 12 } else { 950 };
                assert_eq!(records["c-1"]["duration_ms"], ms, "{little} {mark}: {printed}");
                assert_eq!(records["c-1"]["has_profile"], name == "profile");
                assert_eq!(records["c-1"]["statement"] == statement, name == "log", "{records:?}");
            }
        }
    }
    let (_, records) = import_one("log", format!("\u{feff}{log}"), 0);
    assert_eq!(records["c-1"]["statement"], statement);
    // The same compressed.
    let (_, records) = import_one("log.gz", gzip(&utf16(&log, true, true)), 0);
    assert_eq!(records["c-1"]["statement"], statement);
}

#[test]
fn chinese_encodings_are_read_with_the_flag_and_reported_without_it() {
    let text = record("c-1", "select 'X' from garden");
    // 北京 has the same bytes in GBK and GB18030. Only GB18030 has characters of four bytes.
    for (encoding, bytes, character) in [
        ("gbk", &b"\xb1\xb1\xbe\xa9"[..], "北京"),
        ("gb18030", b"\xb1\xb1\xbe\xa9", "北京"),
        ("GB18030", b"\x95\x32\x82\x36", "𠀀"),
    ] {
        let at = text.find('X').unwrap();
        let log = [&text.as_bytes()[..at], bytes, &text.as_bytes()[at + 1..]].concat();
        let scene = Scene::new();
        scene.write("log", &log);
        assert_eq!(scene.import(&["--encoding", encoding]).status.code(), Some(0));
        assert_eq!(
            scene.records()["c-1"]["statement"],
            format!("select '{character}' from garden")
        );
        // Without the flag the record is stored, and the import warns.
        let (printed, records) = import_one("log", &log, 0);
        assert!(records["c-1"]["statement"].as_str().unwrap().contains('\u{fffd}'));
        assert!(printed.contains("1 x a record with bytes that are not UTF-8"), "{printed}");
        assert!(printed.contains("--encoding gbk") && printed.contains("log:1\n"), "{printed}");
    }
    let scene = Scene::new();
    scene.write("log", "");
    let output = scene.import(&["--encoding", "klingon"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(support::stderr(&output).contains("klingon"));
}

#[test]
fn nul_bytes_before_a_record_are_skipped() {
    let nuls = "\0".repeat(300);
    let (first, second) = (record("z-1", "select 1"), record("z-2", "select 2"));
    for text in [
        format!("{first}{nuls}{second}"),
        format!("{nuls}{first}{second}"),
        format!("{first}{nuls}\n{second}"),
    ] {
        let (printed, records) = import_one("fe.audit.log", text, 0);
        assert_eq!(records.len(), 2, "{printed}");
        assert_eq!(records["z-1"]["workload_group"], "normal");
    }
}

#[test]
fn lines_may_end_with_a_carriage_return_alone() {
    let log = format!("{}{}", record("z-1", "select 1"), record("z-2", "select 2"));
    let (printed, records) = import_one("fe.audit.log", log.replace('\n', "\r"), 0);
    assert_eq!(records.len(), 2, "{printed}");
    let (printed, records) = import_one("p.txt", profile("z-3").replace('\n', "\r"), 0);
    assert_eq!(records["z-3"]["duration_ms"], 950, "{printed}");
}

#[test]
fn a_profile_that_is_not_utf8_gives_a_warning() {
    let bytes = |text: &str| encoding_rs::GBK.encode(text).0.into_owned();
    let text = profile("g-1").replace("plants", "订单");
    let html = text.replace('\n', "</br>").replace(' ', "&nbsp;&nbsp;");
    let answer = json!({"msg": "success", "code": 0, "data": {"profile": text}}).to_string();
    for (name, text) in [("p.txt", &text), ("p.html", &html), ("p.json", &answer)] {
        let (printed, records) = import_one(name, bytes(text), 0);
        assert_eq!(records["g-1"]["has_profile"], true, "{name}: {printed}");
        assert!(printed.contains("not UTF-8"), "{name}: {printed}");
        assert!(!import_one(name, text, 0).0.contains("not UTF-8"), "{name}");
    }
}

#[test]
fn no_break_spaces_of_a_profile_are_read_as_spaces() {
    let text = profile("b-1");
    let pairs = text.replace(' ', "\u{a0}\u{a0}");
    let mixed = text.replace("   ", "\u{a0} \u{a0}");
    for text in [text.replace(' ', "\u{a0}"), pairs, mixed] {
        let (printed, records) = import_one("p.txt", text, 0);
        let row = &records["b-1"];
        assert_eq!(row["statement"], "select count(*) from plants where height < 3", "{printed}");
        assert_eq!(row["duration_ms"], 950);
        assert_eq!(row["workload_group"], "normal");
    }
    // A no-break space in the statement is kept.
    let (_, records) = import_one("p.txt", text.replace("count(*) from", "count(*)\u{a0}from"), 0);
    let kept = "select count(*)\u{a0}from plants where height < 3";
    assert_eq!(records["b-1"]["statement"], kept);
}
