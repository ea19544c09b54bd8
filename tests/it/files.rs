//! `annals import` of the files that users have: the log folder of a frontend, archives, encodings, container logs, saved
//! answers and tables.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::{self, STARROCKS_3, Server, annals, audit_record, record_of, stdout};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder of input files, and a database beside it.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Scene {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("input")).unwrap();
        Scene { folder }
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("history.db")
    }

    fn input(&self) -> PathBuf {
        self.folder.path().join("input")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.input().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    fn import(&self, arguments: &[&str]) -> Output {
        let mut annals = annals();
        annals.arg("import").arg(self.input()).arg("--db").arg(self.db()).args(arguments);
        annals.output().unwrap()
    }

    /// Imports all files, and returns the standard output.
    fn imported(&self, exit: i32) -> String {
        let output = self.import(&[]);
        let printed = stdout(&output);
        assert_eq!(output.status.code(), Some(exit), "{printed}");
        printed
    }

    /// Returns the records of the database by their ids.
    fn records(&self) -> BTreeMap<String, Value> {
        records(&self.db())
    }
}

fn records(db: &Path) -> BTreeMap<String, Value> {
    let output = annals().args(["export", "--format", "ndjson", "--db"]).arg(db).output().unwrap();
    let text = stdout(&output);
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| (row["query_id"].as_str().unwrap().to_string(), row)).collect()
}

/// Imports one file into a new database. Returns the standard output and the records.
fn one(name: &str, content: impl AsRef<[u8]>, exit: i32) -> (String, BTreeMap<String, Value>) {
    let scene = Scene::new();
    scene.write(name, content);
    let printed = scene.imported(exit);
    let records = if exit == 2 { BTreeMap::new() } else { scene.records() };
    (printed, records)
}

fn record(id: &str, statement: &str) -> String {
    let values =
        [("QueryId", id), ("Stmt", statement), ("Time(ms)", "12"), ("WorkloadGroup", "normal")];
    audit_record("2026-02-03 10:00:00,000", &values)
}

fn profile(id: &str) -> String {
    let values = [
        ("Start Time", "2026-02-03 10:00:00"),
        ("End Time", "2026-02-03 10:00:01"),
        ("Task State", "OK"),
        ("User", "dora"),
        ("Default Db", "garden"),
        ("Sql Statement", "select count(*) from plants where height < 3"),
    ];
    support::profile(id, &values)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    for (name, content) in entries {
        let file = archive.new_file(name).compression_method(rawzip::CompressionMethod::DEFLATE);
        let (mut entry, config) = file.start().unwrap();
        let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::fast()));
        writer.write_all(content).unwrap();
        let (encoder, descriptor) = writer.finish().unwrap();
        encoder.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap()
}

/// Returns a profile as a frontend of Doris 3.0 stores it on disk: a JSON summary and the rest of the text, each after its
/// length.
fn spilled(id: &str, rest: &[u8]) -> Vec<u8> {
    let summary = json!({
        "summaryProfile": {
            "infoStrings": {
                "Distributed Plan": "N/A", "Profile ID": id, "Task Type": "QUERY", "Start Time": "2026-02-03 10:00:00",
                "End Time": "2026-02-03 10:00:01", "Total": "950ms", "Task State": "OK", "User": "dora",
                "Sql Statement": "select count(*)\nfrom plants",
            },
            "infoStringsDisplayOrder": ["Distributed Plan", "Profile ID", "Task Type", "Start Time", "End Time", "Total",
                "Task State", "User", "Sql Statement"],
            "name": "Summary",
        },
        "executionSummaryProfile": {
            "infoStrings": {"Workload Group": "normal"},
            "infoStringsDisplayOrder": ["Workload Group"],
            "name": "Execution Summary",
        },
    });
    let mut bytes = Vec::new();
    for part in [summary.to_string().as_bytes(), rest] {
        bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

const REST: &[u8] = b"\nMergedProfile \n     Fragments:\n       Fragment 0:\n";

#[test]
fn the_log_folder_of_a_frontend_is_imported() {
    let scene = Scene::new();
    scene.write("fe.audit.log", record("a-1", "select 1"));
    scene.write("fe.audit.log.20260202-1", record("a-2", "select 2"));
    scene.write("fe.audit.log.20260201-1.gz", gzip(record("a-3", "select 3").as_bytes()));
    let entry = spilled("a-4", REST);
    scene.write("profile/1770112801000_a-4.zip", zip(&[("a-4.profile", &entry)]));
    // Before 3.0.5 there is no archive, and the second part is compressed.
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(REST).unwrap();
    scene.write("profile/1770112801000_a-5", spilled("a-5", &packed.finish().unwrap()));
    let others: [(&str, &[u8]); 12] = [
        ("fe.log", b"2026-02-03 10:00:00,000 INFO (main|1) [Start.run():7] ready |Time=3\n"),
        ("fe.warn.log", b"2026-02-03 10:00:00,000 WARN (x|2) [A.b():1] bad\njava.lang.Error: c\n\tat d.E.f(E.java:1)\n"),
        ("fe.out", b"anything that was printed\n"),
        ("fe.gc.log.20260203-100000", b"[2026-02-03T10:00:00.005+0000][0.005s][info][gc] Using G1\n"),
        ("fe.gc.log", b"OpenJDK 64-Bit Server VM (25.1-b1) for linux-amd64 JRE\nMemory: 4k page\n"),
        ("jni.log", b"2026-02-03 10:00:00 [main] INFO nothing\n"),
        ("be.INFO.log.20260203-100000", b"I20260203 10:00:00.000123   99 place.cpp:3] ready\n"),
        ("hs_err_pid7.log", b"# A fatal error has been detected by the Java Runtime Environment:\n"),
        ("java_pid7.hprof", b"JAVA PROFILE 1.0.2\0\0\0\0\x08"),
        ("fe.profile.log", b"\n"),
        ("fe.features.log", b"{\"feature\": 1}\n"),
        ("jstack.20260203", b"Full thread dump OpenJDK 64-Bit Server VM (17+1):\n"),
    ];
    for (name, content) in others {
        scene.write(name, content);
    }
    let printed = scene.imported(0);
    // The empty file is not counted.
    assert!(printed.contains("other files: 11\n"), "{printed}");
    let records = scene.records();
    assert_eq!(records.keys().collect::<Vec<_>>(), ["a-1", "a-2", "a-3", "a-4", "a-5"]);
    for id in ["a-4", "a-5"] {
        assert_eq!(records[id]["statement"], "select count(*)\nfrom plants");
        assert_eq!(records[id]["duration_ms"], 950);
        let text = annals().args(["profile", id, "--db"]).arg(scene.db()).output().unwrap();
        let text = stdout(&text);
        assert!(text.contains(&format!("N/A\n   - Profile ID: {id}\n")), "{text}");
        assert!(
            text.contains("Execution Summary:\n   - Workload Group: normal\n\nMergedProfile \n")
        );
    }
    // `annals serve --import` reads the same files.
    let db = scene.folder.path().join("served.db");
    let server = Server::start(&db, &["--import", scene.input().to_str().unwrap()]);
    drop(server);
    assert_eq!(self::records(&db).len(), 5);
}

#[test]
fn known_other_files_are_skipped_and_unknown_files_are_rejected() {
    let (printed, _) = one("fe.log", "2026-02-03 10:00:00,000 INFO (main|1) [A.b():7] ready\n", 0);
    assert!(printed.contains("other files: 1\n"), "{printed}");
    let (printed, _) = one("fe.audit.log", "this is not what it is called\n", 2);
    assert!(printed.contains("neither an audit log nor a profile"), "{printed}");
    let scene = Scene::new();
    scene.write("fe.audit.log", record("a-1", "select 1"));
    scene.write("shopping.txt", "milk\neggs\n");
    let printed = scene.imported(1);
    assert!(printed.contains("shopping.txt:1\n"), "{printed}");
}

#[test]
fn archives_are_read_entry_by_entry() {
    let (log, second) = (record("b-1", "select 1"), record("b-2", "select 2"));
    let spilled = spilled("b-3", REST);
    let inner = zip(&[("c.log", record("b-9", "select 9").as_bytes())]);
    let profile = profile("b-4");
    let entries: [(&str, &[u8]); 8] = [
        ("log/", b""),
        ("log/fe.audit.log", log.as_bytes()),
        ("log/fe.audit.log.1.gz", &gzip(second.as_bytes())),
        ("log/profile/b-3.profile", &spilled),
        ("notes/profile.txt", profile.as_bytes()),
        ("log/fe.out", b"anything\n"),
        ("log/inner.zip", &inner),
        ("__MACOSX/log/._fe.audit.log", b"\0\x05\x16\x07"),
    ];
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in &entries[1..] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    let long = format!("{}fe.audit.log", "deep/".repeat(60));
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    tar.append_data(&mut header, &long, &b"bad\n"[..]).unwrap();
    let tar = tar.into_inner().unwrap();
    for (name, archive, bad) in [
        ("logs.zip", zip(&entries), 1),
        ("logs.tar", tar.clone(), 2),
        ("logs.tar.gz", gzip(&tar), 2),
    ] {
        let (printed, records) = one(name, &archive, 1);
        let ids: Vec<&String> = records.keys().collect();
        assert_eq!(ids, ["b-1", "b-2", "b-3", "b-4"], "{name}: {printed}");
        assert!(printed.contains("other files: 1\n"), "{name}: {printed}");
        assert!(printed.contains("1 x an archive within an archive"), "{name}: {printed}");
        assert!(printed.contains(&format!("{name}/log/inner.zip:1\n")), "{name}: {printed}");
        assert_eq!(printed.contains("deep/fe.audit.log:1\n"), bad == 2, "{name}: {printed}");
        // The same through a pipe, which has no random access.
        let scene = Scene::new();
        let path = scene.write(name, &archive);
        let piped = annals()
            .args(["import", "-", "--db"])
            .arg(scene.db())
            .stdin(std::fs::File::open(path).unwrap())
            .output()
            .unwrap();
        assert_eq!(piped.status.code(), Some(1));
        assert_eq!(scene.records().len(), 4, "{name}");
    }
}

#[test]
fn the_readable_entries_of_a_damaged_archive_are_imported() {
    let (first, second) = (record("b-1", "select 1"), record("b-2", "select 2"));
    let whole = zip(&[("a.log", first.as_bytes()), ("b.log", second.as_bytes())]);
    let (printed, _) = one("cut.zip", &whole[..whole.len() / 2], 2);
    assert!(printed.contains("damaged or cut off"), "{printed}");
    // A byte in the data of the first entry.
    let mut bytes = whole.clone();
    bytes[60] ^= 0xff;
    let (printed, records) = one("bad.zip", &bytes, 1);
    assert!(printed.contains("bad.zip/a.log:"), "{printed}");
    assert!(records.contains_key("b-2"), "{printed}");
    let (printed, _) = one("a.zst", b"\x28\xb5\x2f\xfd\x04\x00", 2);
    assert!(printed.contains("it unpacks gzip, zip and tar"), "{printed}");
}

fn utf16(text: &str, is_little_endian: bool, has_mark: bool) -> Vec<u8> {
    let units = has_mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    units
        .flat_map(|unit| if is_little_endian { unit.to_le_bytes() } else { unit.to_be_bytes() })
        .collect()
}

#[test]
fn utf16_byte_order_marks_and_windows_line_ends_are_read() {
    let statement = "select '北京', 'é' from garden";
    let log = record("c-1", statement).replace('\n', "\r\n");
    for little in [true, false] {
        for mark in [true, false] {
            for (name, text) in [("log", log.clone()), ("profile", profile("c-1"))] {
                let (printed, records) = one(name, utf16(&text, little, mark), 0);
                let ms = if name == "log" { 12 } else { 950 };
                assert_eq!(records["c-1"]["duration_ms"], ms, "{little} {mark}: {printed}");
                assert_eq!(records["c-1"]["has_profile"], name == "profile");
                assert_eq!(records["c-1"]["statement"] == statement, name == "log", "{records:?}");
            }
        }
    }
    let (_, records) = one("log", format!("\u{feff}{log}"), 0);
    assert_eq!(records["c-1"]["statement"], statement);
    // The same compressed.
    let (_, records) = one("log.gz", gzip(&utf16(&log, true, true)), 0);
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
        let (printed, records) = one("log", &log, 0);
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

/// Returns lines as Docker's json-file driver writes them. It cuts a line into pieces of at most `max_bytes`.
fn docker(text: &str, max_bytes: usize) -> String {
    let mut lines = String::new();
    for line in text.split_inclusive('\n') {
        for piece in line.as_bytes().chunks(max_bytes) {
            let piece = std::str::from_utf8(piece).unwrap();
            let line = json!({"log": piece, "stream": "stdout", "time": "2026-02-03T10:00:00.1Z"});
            lines += &format!("{line}\n");
        }
    }
    lines
}

/// Returns lines as containerd writes them. It cuts a line into pieces of at most `max_bytes`.
fn cri(text: &str, max_bytes: usize) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let pieces: Vec<&[u8]> = line.as_bytes().chunks(max_bytes).collect();
        for (number, piece) in pieces.iter().enumerate() {
            let tag = if number + 1 == pieces.len() { 'F' } else { 'P' };
            let piece = std::str::from_utf8(piece).unwrap();
            lines += &format!("2026-02-03T10:00:00.123456789Z stdout {tag} {piece}\n");
        }
    }
    lines
}

fn prefixed(text: &str, prefix: &str) -> String {
    text.split_inclusive('\n').map(|line| format!("{prefix}{line}")).collect()
}

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
        ("console", console.clone()),
        ("console in docker", docker(&console, 1 << 14)),
        ("console in cri", cri(&console, 30)),
        ("console with times", prefixed(&console, time)),
        ("mixed without names", console.replace("RuntimeLogger ", "").replace("AuditLogger ", "")),
    ] {
        let (printed, records) = one("fe-json.log", &wrapped, 0);
        assert_eq!(records.len(), 2, "{name}: {printed}");
        assert_eq!(records["d-1"]["statement"], statement, "{name}");
        for id in ["d-1", "d-2"] {
            assert_eq!(records[id]["workload_group"], "normal", "{name}");
            assert_eq!(records[id]["duration_ms"], 12, "{name}");
        }
    }
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
    let (printed, _) = one("fe-json.log", &text, 1);
    assert!(printed.contains(&format!("fe-json.log:{start}\n")), "{start}: {printed}");
    assert!(printed.contains(&format!("fe-json.log:{}\n", start + 2)), "{start}: {printed}");
    assert!(printed.contains("a line without the wrapper"), "{printed}");
}

#[test]
fn a_record_far_into_a_process_log_is_found() {
    let running = "2026-02-03 10:00:00,500 INFO (x|2) [A.b():1] so it goes on and on and on\n";
    let log = format!("{}{}", running.repeat(30_000), record("d-1", "select 1"));
    let (printed, records) = one("fe.log", log, 0);
    assert_eq!(records.len(), 1, "{printed}");
    assert!(!printed.contains("other files"), "{printed}");
}

#[test]
fn saved_answers_and_pages_are_read_as_profiles() {
    let text = profile("e-1");
    let html = text.replace('\n', "</br>").replace(' ', "&nbsp;&nbsp;");
    let envelope = |data: Value| json!({"msg": "success", "code": 0, "data": data, "count": 0});
    let escaped = text.replace('<', "&lt;");
    for (name, saved) in [
        ("api.json", envelope(json!({"profile": text})).to_string()),
        ("pretty.json", serde_json::to_string_pretty(&envelope(json!({"profile": text}))).unwrap()),
        ("query_profile.json", envelope(json!(html)).to_string()),
        ("data.json", json!({"profile": text}).to_string()),
        ("text.json", json!(text).to_string()),
        ("page.html", html.clone()),
        (
            "saved.html",
            format!("<!DOCTYPE html>\n<html><body><div><pre>{escaped}</pre></div></body></html>\n"),
        ),
        ("issue.md", format!("# Slow\n\nIt was slow today:\n\n```text\n{text}```\n\nWhy?\n")),
        ("heading.txt", format!("Query Profile\n\n{text}")),
        (
            "quoted.md",
            prefixed(&format!("He wrote:\n\n{text}\nSo it is.\n"), "> ").replace("> \n", ">\n"),
        ),
        ("windows.md", format!("# Slow\n\n```\n{text}```\n").replace('\n', "\r\n")),
    ] {
        let (printed, records) = one(name, &saved, 0);
        let row = &records["e-1"];
        assert_eq!(row["has_profile"], true, "{name}: {printed}");
        assert_eq!(row["duration_ms"], 950, "{name}");
        assert_eq!(row["statement"], "select count(*) from plants where height < 3", "{name}");
    }
    let (printed, _) =
        one("error.json", r#"{"msg":"Error","code":1,"data":"ID 7 does not exist"}"#, 2);
    assert!(printed.contains("an answer of a frontend that says why"), "{printed}");
}

#[test]
fn one_file_may_contain_several_profiles_or_answers() {
    let (first, second) = (profile("e-1"), profile("e-2"));
    let notes = format!("# Two\n\n```\n{first}```\n\nand\n\n~~~text\n{second}~~~\n");
    let answers: String = [&first, &second]
        .iter()
        .map(|text| format!("{}\n", json!({"code": 0, "data": {"profile": text}})))
        .collect();
    let array = json!([{"profile": first}, {"profile": second}]).to_string();
    for (name, text) in [
        ("notes.md", notes),
        ("answers.json", answers),
        ("array.json", array),
        ("all.txt", format!("{first}\n{second}")),
    ] {
        let (printed, records) = one(name, &text, 0);
        assert_eq!(records.keys().collect::<Vec<_>>(), ["e-1", "e-2"], "{name}: {printed}");
        assert!(printed.contains("profiles: 2 new"), "{name}: {printed}");
    }
}

#[test]
fn saved_query_lists_are_read_as_records() {
    let rows = json!([{"Profile ID": "e-1", "Task Type": "QUERY", "Start Time": "2026-02-03 10:00:00",
        "End Time": "2026-02-03 10:00:01", "Total": "950ms", "Task State": "OK", "User": "dora",
        "Default Db": "garden", "Sql Statement": "select 1"}]);
    let list = json!({"msg": "success", "code": 0, "data": {"rows": rows, "column_names": []}, "count": 1});
    let (printed, records) = one("list.json", list.to_string(), 0);
    assert_eq!(records["e-1"]["duration_ms"], 950, "{printed}");
    assert_eq!(records["e-1"]["user"], "dora");
    let detail = json!([{"queryId": "e-2", "startTime": 1_770_112_800_000_i64, "latency": 7, "state":
        "FINISHED", "sql": "select count(*) from plants where height < 3", "profile": profile("e-2")}]);
    let (printed, records) = one("detail.json", detail.to_string(), 0);
    assert_eq!(records["e-2"]["has_profile"], true, "{printed}");
    let logged = format!("2026-02-03 10:00:00.000+08:00 {}\n", detail[0]);
    let (printed, records) = one("fe.profile.log", logged, 0);
    assert_eq!(records["e-2"]["has_profile"], true, "{printed}");
}

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
        let (printed, records) = one(name, &table, 0);
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
    let (printed, records) = one("starrocks.csv", starrocks, 1);
    assert_eq!(records["f-3"]["client"], "10.0.0.3:1");
    assert!(
        printed.contains("1 x a row whose columns cannot be told") && printed.contains("csv:3\n"),
        "{printed}"
    );
    let (printed, records) =
        one("broken.ndjson", format!("{}\n{{\"query_id\": \n{}\n", rows[0], rows[1]), 1);
    assert_eq!(records.len(), 2);
    assert!(printed.contains("JSON cannot be read") && printed.contains("ndjson:2\n"), "{printed}");
}

#[test]
fn an_export_of_annals_can_be_imported() {
    let scene = Scene::new();
    scene.write("log", record("g-1", "select 1, 'x|y'\nfrom plants"));
    scene.imported(0);
    for format in ["ndjson", "csv"] {
        let text = annals().args(["export", "--format", format, "--db"]).arg(scene.db()).output();
        let (printed, records) = one("export", stdout(&text.unwrap()), 0);
        let expected = scene.records();
        for key in ["statement", "started_ms", "duration_ms", "user", "workload_group", "client"] {
            assert_eq!(records["g-1"][key], expected["g-1"][key], "{format} {key}: {printed}");
        }
    }
}

#[test]
fn suspicious_records_are_reported_with_file_and_line() {
    let values =
        [("QueryId", "h-1"), ("ErrorMessage", "it says |Time(ms)=3|x"), ("Stmt", "select 1")];
    let bad = audit_record("2026-02-03 10:00:00,000", &values);
    let (printed, records) = one("log", format!("{}{bad}", record("h-2", "select 2")), 0);
    assert_eq!(records.len(), 2);
    assert!(printed.contains("1 x a record whose error message holds |Time(ms)="), "{printed}");
    assert!(printed.contains("log:2\n"), "{printed}");
    let (printed, _) = one("log", record("h-1", "select 1"), 0);
    assert!(!printed.contains("warnings"), "{printed}");
}

#[test]
fn a_wrong_time_zone_is_reported_with_the_likely_one() {
    // Written in Shanghai a minute ago, and read as UTC.
    let local = |hours: i64| {
        let time = chrono::Utc::now() + chrono::Duration::seconds(hours * 3600 - 60);
        time.format("%Y-%m-%d %H:%M:%S,000").to_string()
    };
    let log = |hours: i64| {
        audit_record(&local(hours - 2), &[("QueryId", "i-1"), ("Stmt", "select 1")])
            + &audit_record(&local(hours), &[("QueryId", "i-2"), ("Stmt", "select 2")])
    };
    let (printed, _) = one("log", log(8), 0);
    assert!(printed.contains("2 x a query that begins in the future"), "{printed}");
    assert!(printed.contains("ahead: their times look like those of UTC+08:00"), "{printed}");
    assert!(printed.contains("those of UTC; if so"), "{printed}");
    assert!(printed.contains("--time-zone Asia/Shanghai\n"), "{printed}");
    let (printed, _) = one("log", log(9), 0);
    assert!(printed.contains("--time-zone Asia/Tokyo\n"), "{printed}");
    let (printed, _) = one("log", log(3), 0);
    assert!(printed.contains(", or Asia/Shanghai, Doris' own default"), "{printed}");
    // StarRocks writes the line with a zone and the start without one, so that an old log is recognized, too.
    let start = "2026-02-03 18:00:00.000";
    let values = [
        ("Timestamp", start),
        ("Time", "900"),
        ("QueryId", "0b1d4c3a-53e1-11ef-9e43-00163e0e2cf9"),
        ("Stmt", "select 1"),
    ];
    let head =
        "2026-02-03 18:00:01.000+08:00 INFO (audit-event-processor|7) [AuditLog.log():68] [query]";
    let starrocks = record_of(STARROCKS_3, head, &values);
    let (printed, _) = one("log", starrocks, 0);
    assert!(printed.contains("1 x a query that begins after its record was written"), "{printed}");
    assert!(printed.contains("--time-zone Asia/Shanghai\n"), "{printed}");
    // In the zone of the log, the times are past.
    let scene = Scene::new();
    scene.write("log", log(8));
    let printed = stdout(&scene.import(&["--time-zone", "Asia/Shanghai"]));
    assert!(!printed.contains("warnings"), "{printed}");
    let far = audit_record("2999-01-01 00:00:00,000", &[("QueryId", "i-1"), ("Stmt", "select 1")]);
    let (printed, _) = one("log", far, 0);
    assert!(printed.contains("no zone makes up for that"), "{printed}");
}

#[test]
fn no_file_aborts_the_import() {
    let scene = Scene::new();
    let text = format!("{}{}", record("j-1", "select 1"), profile("j-2"));
    let archive = zip(&[("a", text.as_bytes()), ("b", profile("j-3").as_bytes())]);
    let mut random = fastrand::Rng::with_seed(7);
    for number in 0..60 {
        let mut bytes = match number % 5 {
            0 => archive.clone(),
            1 => gzip(text.as_bytes()),
            2 => docker(&text, 20).into_bytes(),
            3 => spilled("j-4", REST),
            _ => utf16(&text, true, true),
        };
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..bytes.len());
            bytes[at] = random.u8(..);
        }
        if random.bool() {
            bytes.truncate(random.usize(0..bytes.len()));
        }
        scene.write(&number.to_string(), bytes);
    }
    scene.write("last", record("j-5", "select 5"));
    let output = scene.import(&[]);
    assert!(output.status.code().is_some_and(|code| code < 2), "{}", support::stderr(&output));
    assert!(scene.records().contains_key("j-5"));
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
        let (printed, records) = one("fe.log", content, 0);
        assert_eq!(records.len(), 3, "{name}: {printed}");
        assert_eq!(records["n-1"]["statement"], long, "{name}");
        assert_eq!(records["n-2"]["statement"], "select 1\nfrom pots", "{name}");
    }
    // A container that stops leaves half a line. After its restart it begins with a new record.
    let whole = docker(&record("n-4", "select 4"), 1 << 14);
    let half = whole.replace("\\n\"", "\"");
    let after = docker(&record("n-5", "select 5"), 1 << 14);
    let (printed, records) =
        one("fe.log", format!("{after}{half}{}", after.replace("n-5", "n-6")), 0);
    assert_eq!(records.keys().collect::<Vec<_>>(), ["n-4", "n-5", "n-6"], "{printed}");
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
        let (printed, records) = one("fe.audit.log", text, 0);
        assert_eq!(records.len(), 2, "{printed}");
        assert_eq!(records["z-1"]["workload_group"], "normal");
    }
}

#[test]
fn lines_may_end_with_a_carriage_return_alone() {
    let log = format!("{}{}", record("z-1", "select 1"), record("z-2", "select 2"));
    let (printed, records) = one("fe.audit.log", log.replace('\n', "\r"), 0);
    assert_eq!(records.len(), 2, "{printed}");
    let (printed, records) = one("p.txt", profile("z-3").replace('\n', "\r"), 0);
    assert_eq!(records["z-3"]["duration_ms"], 950, "{printed}");
}

#[test]
fn a_profile_that_is_not_utf8_gives_a_warning() {
    let bytes = |text: &str| encoding_rs::GBK.encode(text).0.into_owned();
    let text = profile("g-1").replace("plants", "订单");
    let html = text.replace('\n', "</br>").replace(' ', "&nbsp;&nbsp;");
    let answer = json!({"msg": "success", "code": 0, "data": {"profile": text}}).to_string();
    for (name, text) in [("p.txt", &text), ("p.html", &html), ("p.json", &answer)] {
        let (printed, records) = one(name, bytes(text), 0);
        assert_eq!(records["g-1"]["has_profile"], true, "{name}: {printed}");
        assert!(printed.contains("not UTF-8"), "{name}: {printed}");
        assert!(!one(name, text, 0).0.contains("not UTF-8"), "{name}");
    }
}

#[test]
fn no_break_spaces_of_a_profile_are_read_as_spaces() {
    let text = profile("b-1");
    let pairs = text.replace(' ', "\u{a0}\u{a0}");
    let mixed = text.replace("   ", "\u{a0} \u{a0}");
    for text in [text.replace(' ', "\u{a0}"), pairs, mixed] {
        let (printed, records) = one("p.txt", text, 0);
        let row = &records["b-1"];
        assert_eq!(row["statement"], "select count(*) from plants where height < 3", "{printed}");
        assert_eq!(row["duration_ms"], 950);
        assert_eq!(row["workload_group"], "normal");
    }
    // A no-break space in the statement is kept.
    let (_, records) = one("p.txt", text.replace("count(*) from", "count(*)\u{a0}from"), 0);
    let kept = "select count(*)\u{a0}from plants where height < 3";
    assert_eq!(records["b-1"]["statement"], kept);
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
        let (printed, records) = one("fe.log", wrapped, 0);
        assert_eq!(records["c-1"]["duration_ms"], 950, "{name}: {printed}");
        assert_eq!(records["c-1"]["workload_group"], "normal", "{name}: {printed}");
    }
    let running = "2026-02-03 10:00:00,500 INFO (x|2) [A.b():1] here it is\n";
    let (printed, _) = one("fe.log", format!("{running}{text}"), 0);
    assert!(printed.contains("a profile within another log"), "{printed}");
    assert!(printed.contains("fe.log:2"), "{printed}");
}

#[test]
fn client_warnings_above_a_table_are_skipped() {
    let table = "query_id\ttime\tstmt\nt-1\t2026-02-03 10:00:00\tselect 1\nshort\n";
    for above in [
        "mysql: [Warning] Using a password on the command line interface can be insecure.\n",
        "Warning: Using a password on the command line interface can be insecure.\r\n\n",
        "WARNING: the server's certificate is not verified\nmariadb: [Note] hello\n",
    ] {
        let (printed, records) = one("dump.tsv", format!("{above}{table}"), 1);
        assert_eq!(records["t-1"]["statement"], "select 1", "{printed}");
        let line = above.lines().count() + 3;
        assert!(printed.contains(&format!("dump.tsv:{line}\n")), "{printed}");
    }
}
