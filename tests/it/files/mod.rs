//! `annals import` of the files that users have: the log folder of a frontend, archives, encodings, container logs, saved
//! answers and tables.

mod answers;
mod archives;
mod containers;
mod encodings;
mod tables;
mod warnings;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::{self, WithDb, annals, audit_record, stdout};
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
        annals.arg("import").arg(self.input()).db(self.db()).args(arguments);
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
    let output = annals().args(["export", "--format", "ndjson"]).db(db).output().unwrap();
    let text = stdout(&output);
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| (row["query_id"].as_str().unwrap().to_string(), row)).collect()
}

/// Imports one file into a new database. Returns the standard output and the records.
fn import_one(
    name: &str,
    content: impl AsRef<[u8]>,
    exit: i32,
) -> (String, BTreeMap<String, Value>) {
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

fn utf16(text: &str, is_little_endian: bool, has_mark: bool) -> Vec<u8> {
    let units = has_mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    units
        .flat_map(|unit| if is_little_endian { unit.to_le_bytes() } else { unit.to_be_bytes() })
        .collect()
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
