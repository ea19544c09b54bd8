//! The doorways of the fuzz targets in `fuzz/` and of the growth test: each reads any bytes as one kind of input and
//! checks what must hold for all inputs.
//!
//! Each function returns the size of its output in bytes, which the growth test compares with the size of the input.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::convert::Infallible;
use std::io::{Cursor, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::domain::profile::{
    Phases, Plan, PlanReport, Profile, Section, compare, flame_stacks, operators as operators_of,
    walk,
};
use crate::domain::record::{FieldValue, QueryRecord};
use crate::domain::statement::{
    Fingerprint, SyntaxKind, format_sql, highlight, is_more_complete, is_same_statement, normalize,
    normalize_into, original_text,
};
use crate::domain::time::Zone;
use crate::formats::Item;
use crate::formats::audit_log::AuditLog;
use crate::formats::encoding::Encoding;
use crate::formats::file::{self, Options};
use crate::formats::reparse::reparse;
use crate::formats::rows::{self, Entry, Format, JsonKind};

pub use crate::http::fuzzing::{headers, queries};

/// Reads an audit log, line by line.
pub fn audit_log(log: &[u8]) -> usize {
    let mut reader = AuditLog::new(Zone::UTC);
    let mut bytes = 0;
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        bytes += reader.push_line(line).map_or(0, |item| check_item(&item));
    }
    // What a followed log shows of its last record is what the end of the log gives.
    bytes += reader.peek_record().map_or(0, |item| check_item(&item));
    bytes += reader.end().map_or(0, |item| check_item(&item));
    // A field is at most twice in the output: in its column and in the record that is peeked. A byte that is not UTF-8
    // becomes three.
    assert!(bytes <= 6 * log.len() + 4096, "{bytes} bytes of {}", log.len());
    bytes
}

/// Reads a profile in every form in which pages and clients get it.
pub fn profile(text: &[u8]) -> usize {
    if let Ok(profile) = Profile::parse(text.to_vec(), Zone::UTC) {
        check_record(&profile.summary);
        Profile::should_replace(profile.summary.is_running(), text.len(), text);
    }
    let lossy = String::from_utf8_lossy(text);
    let tree = Section::parse(&lossy);
    let mut bytes = tree.render_tree().len() + json_bytes(&tree) + json_bytes(&tree.brief());
    for fragment in tree.fragments() {
        bytes += fragment.id.len() + fragment.time.len() + 16 * fragment.instances.len();
    }
    let plan = PlanReport::of_text(&lossy, None);
    bytes + operators(&tree) + json_bytes(&Phases::of_text(text)) + json_bytes(&plan)
}

fn operators(tree: &Section) -> usize {
    let operators = operators_of(tree);
    let count = walk(&operators).count();
    let plan = Plan::of(tree, &operators);
    let differences = compare(&plan, &plan);
    assert_eq!(differences.len(), plan.nodes.len());
    assert!(differences.iter().all(|difference| difference.difference_ns == 0));
    let stacks = flame_stacks(&operators, 0.0);
    assert!(stacks.len() <= count);
    json_bytes(&operators)
        + stacks.iter().flat_map(|stack| &stack.frames).map(|frame| frame.len()).sum::<usize>()
}

/// Normalizes a statement.
pub fn fingerprint(statement: &[u8]) -> usize {
    let statement = &*String::from_utf8_lossy(statement);
    let normalized = normalize(statement);
    // White space is added around symbols: a byte becomes at most three.
    assert!(normalized.len() <= 3 * statement.len() + 16, "{}", normalized.len());
    let fingerprint = Fingerprint::of_normalized(&normalized);
    assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    // What the buffer held before does not matter.
    let mut buffer = "select 1".to_string();
    normalize_into(statement, &mut buffer);
    assert_eq!(buffer, normalized);
    let original = original_text(statement);
    assert!(original.len() <= statement.len());
    assert!(is_same_statement(statement, statement));
    is_more_complete(statement, &original);
    normalized.len()
}

/// Breaks a statement into lines and colours it.
pub fn layout(statement: &[u8]) -> usize {
    let statement = &*String::from_utf8_lossy(statement);
    let mut end = 0;
    for (_, part) in highlight(statement) {
        assert!(!part.is_empty());
        assert_eq!(statement.get(end..end + part.len()), Some(part));
        end += part.len();
    }
    assert_eq!(end, statement.len());
    let formatted = format_sql(statement);
    assert!(formatted.len() <= 66 * statement.len(), "{}", formatted.len());
    // Removed white space may make an escape of the backslash before it.
    if !statement.contains('\\') {
        let parts = |text| highlight(text).filter(|(kind, _)| *kind != SyntaxKind::Space);
        assert!(parts(&formatted).map(|(_, part)| part).eq(parts(statement).map(|(_, part)| part)));
    }
    formatted.len()
}

/// Reads the body of a push or of a stream load. The first byte chooses the format.
pub fn rows(input: &[u8]) -> usize {
    let Some((choice, body)) = input.split_first() else { return 0 };
    rows_of(body, &format_of(*choice))
}

fn format_of(choice: u8) -> Format {
    let name = |name: &str| name.to_string();
    let columns = vec![name("query_id"), name("time"), name("stmt"), name("query_time")];
    let csv = |separator: &str, delimiter: &str| Format::Csv {
        columns: columns.clone(),
        separator: name(separator),
        delimiter: name(delimiter),
        skip_lines: usize::from(choice >> 7),
        trim_double_quotes: choice & 64 > 0,
    };
    match choice & 7 {
        0 => csv("\t", "\n"),
        1 => csv(",", "\n"),
        2 => csv("\u{1}", "\u{2}"),
        3 => Format::json(JsonKind::Lines),
        4 => Format::json(JsonKind::Array),
        5 => Format::json(JsonKind::Object),
        6 => Format::Json {
            kind: JsonKind::Lines,
            json_root: Some(name("$.data")),
            jsonpaths: Some(vec![name("$.id"), name("$.a[0].b")]),
            columns: vec![name("query_id"), name("time")],
        },
        _ => csv("||", "\r\n"),
    }
}

/// Reads the body of a push in a format.
pub(crate) fn rows_of(body: &[u8], format: &Format) -> usize {
    let (mut bytes, mut count) = (0, 0);
    let Ok(body_text) = std::str::from_utf8(body) else { return 0 };
    let Ok(rows) = format.rows(body_text, Zone::UTC) else { return 0 };
    for row in rows {
        count += 1;
        if let Ok((_, Ok(Entry::Record(record)))) = row {
            rows::wrongly_typed_column(&record);
            bytes += check_record(&record);
        }
    }
    assert!(count <= body.len() + 1);
    bytes
}

/// Reads a file of any kind. The first byte says how the rest is packed before it is read.
pub fn archive(input: &[u8]) -> usize {
    let Some((choice, content)) = input.split_first() else { return 0 };
    let packed = match choice & 7 {
        0 | 1 => content.to_vec(),
        2 => gzip(content),
        3 => tar(content),
        4 => zip(content),
        5 => gzip(&tar(content)),
        6 => gzip(&gzip(content)),
        _ => damaged(zip(content)),
    };
    let encoding = (choice & 8 > 0).then(|| "gbk".parse().unwrap());
    let name = Path::new(if choice & 16 > 0 { "fe.audit.log" } else { "fe.log" });
    let (count, bytes) = read_file(&packed, name, encoding);
    if packed.starts_with(b"PK") {
        // A stream is copied first; a file is read where it is.
        let mut seeking = 0;
        let read: Result<(), Infallible> =
            file::read_seekable(Cursor::new(&packed), name, options(encoding), &mut |_, _| {
                seeking += 1;
                Ok(())
            });
        read.unwrap();
        assert_eq!(count, seeking);
    }
    bytes
}

/// Reads a file, and returns how many items it has and how many bytes these are.
pub(crate) fn read_file(bytes: &[u8], name: &Path, encoding: Option<Encoding>) -> (usize, usize) {
    let (mut count, mut output) = (0, 0);
    let read: Result<(), Infallible> =
        file::read(bytes, name, options(encoding), &mut |_, item| {
            count += 1;
            output += check_item(&item);
            Ok(())
        });
    read.unwrap();
    (count, output)
}

fn options(encoding: Option<Encoding>) -> Options {
    Options { zone: Zone::UTC, encoding }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(content).unwrap();
    packer.finish().unwrap()
}

fn tar(content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    // Each part is a file, so that the inputs decide how many there are.
    for part in content.split(|byte| *byte == 0xff) {
        let mut header = tar::Header::new_gnu();
        header.set_size(part.len() as u64);
        archive.append_data(&mut header, "log/fe.audit.log", part).unwrap();
    }
    archive.into_inner().unwrap()
}

fn zip(content: &[u8]) -> Vec<u8> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    for part in content.split(|byte| *byte == 0xff) {
        let (mut entry, config) = archive.new_file("fe.audit.log").start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(part).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap()
}

/// Changes one byte of an archive, as the archive's own last bytes say.
fn damaged(mut archive: Vec<u8>) -> Vec<u8> {
    let sum = archive.iter().fold(7_usize, |sum, byte| sum.wrapping_mul(31) + usize::from(*byte));
    let at = sum % archive.len();
    archive[at] ^= 1 << (sum % 8);
    archive
}

/// Checks an item, and returns its size in bytes.
fn check_item(item: &Item) -> usize {
    match item {
        Item::Record { record, .. } => check_record(record),
        Item::Profile { profile, .. } => check_record(&profile.summary) + profile.text.len(),
        _ => 0,
    }
}

/// Checks a record, and returns the size of its texts in bytes.
fn check_record(record: &QueryRecord) -> usize {
    // A second report of the same query changes nothing.
    let mut once = record.clone();
    once.merge(record.clone());
    let mut twice = once.clone();
    twice.merge(record.clone());
    assert_eq!(once, twice);
    // What was read as today is up to date.
    let (again, changed) = reparse(record);
    assert_eq!(changed, again != *record);
    let of_value = |value: FieldValue<'_>| match value {
        FieldValue::Text(text) | FieldValue::Json(text) => text.len(),
        _ => 8,
    };
    let extra = record.extra.iter().map(|(key, value)| key.len() + value.len());
    record.values().into_iter().map(of_value).sum::<usize>() + extra.sum::<usize>()
}

fn json_bytes(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len())
}

#[cfg(test)]
mod tests;
