//! Log folders of frontends, and archives.

use std::io::Write;

use super::{REST, Scene, docker, gzip, import_one, profile, record, spilled, utf16, zip};
use crate::support::{self, Server, WithDb, annals, stdout};
use flate2::Compression;

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
        let text = annals().args(["profile", id]).db(scene.db()).output().unwrap();
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
    assert_eq!(super::records(&db).len(), 5);
}

#[test]
fn known_other_files_are_skipped_and_unknown_files_are_rejected() {
    let (printed, _) =
        import_one("fe.log", "2026-02-03 10:00:00,000 INFO (main|1) [A.b():7] ready\n", 0);
    assert!(printed.contains("other files: 1\n"), "{printed}");
    let (printed, _) = import_one("fe.audit.log", "this is not what it is called\n", 2);
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
        let (printed, records) = import_one(name, &archive, 1);
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
            .args(["import", "-"])
            .db(scene.db())
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
    let (printed, _) = import_one("cut.zip", &whole[..whole.len() / 2], 2);
    assert!(printed.contains("damaged or cut off"), "{printed}");
    // A byte in the data of the first entry.
    let mut bytes = whole.clone();
    bytes[60] ^= 0xff;
    let (printed, records) = import_one("bad.zip", &bytes, 1);
    assert!(printed.contains("bad.zip/a.log:"), "{printed}");
    assert!(records.contains_key("b-2"), "{printed}");
    let (printed, _) = import_one("a.zst", b"\x28\xb5\x2f\xfd\x04\x00", 2);
    assert!(printed.contains("annals unpacks gzip, zip and tar"), "{printed}");
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
