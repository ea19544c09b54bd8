//! The audit log of a frontend, `fe.audit.log`, of every Doris version and of StarRocks.
//!
//! A record is a log4j prefix, a type in brackets, then `|Key=Value` pairs, or in newer StarRocks a
//! JSON object:
//!
//! ```text
//! 2024-01-02 11:15:51,248 [query] |Client=10.0.0.1:53450|User=root|...|Stmt=select 1|CpuTimeMS=0
//! ```
//!
//! The hard part is that a statement is written as it is: it holds `|`, `=`, line ends, even text that
//! looks like a key. Hence a record ends where the next prefix begins a line, and the keys behind a
//! statement are found from the record's end (see `split`).

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

use chrono::NaiveDateTime;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::record_builder::{Built, Expected, Key, RecordBuilder, Written, boolean};
use super::rows::text_of;
use super::{ForeignLines, Item, Misread, SkipReason, Skipped};
use crate::domain::record::{Kind, QueryRecord};
use crate::domain::time::{Zone, leading_local_time, leading_zone_offset};

/// The largest record taken in, in bytes. Doris refuses statements far smaller.
pub(crate) const MAX_RECORD_BYTES: usize = 64 << 20;

/// As much of a line as a record can need: its prefix stands beside the record.
pub(crate) const MAX_LINE_BYTES: usize = MAX_RECORD_BYTES + 1024;

/// So many records with the same fields tell what a log's records have.
const SETTLED: u64 = 3;

/// Turns the lines of one audit log into records, one line at a time: what it holds is never more than
/// one record.
pub(crate) struct AuditLog {
    zone: Zone,
    /// Lines seen so far.
    lines: u64,
    /// The record whose lines are being gathered.
    open: Option<OpenRecord>,
    /// The last key of the record before, which tells a cut record from a whole one.
    last_key: Option<Key>,
    /// The names of its fields behind the statement, and how many records in a row had the same.
    last_row: (Vec<String>, u64),
}

#[derive(Clone)]
struct OpenRecord {
    prefix: Prefix,
    first_line: u64,
    body: Vec<u8>,
    too_large: bool,
}

impl AuditLog {
    /// A reader of a log whose times are local to `zone`.
    pub(crate) fn new(zone: Zone) -> AuditLog {
        AuditLog { zone, lines: 0, open: None, last_key: None, last_row: (Vec::new(), 0) }
    }

    /// Whether a text is an audit log, judged by its first bytes.
    pub(crate) fn sniff(head: &[u8]) -> bool {
        head.split(|byte| *byte == b'\n')
            .map(|line| without_mark(without_nuls(line)))
            .filter_map(Prefix::parse)
            .any(|prefix| prefix.kind != RecordKind::Other)
    }

    /// Whether a line begins a record, of any type.
    pub(crate) fn begins_record(line: &[u8]) -> bool {
        Prefix::parse(without_mark(without_nuls(line))).is_some()
    }

    /// Takes in a line, its line end included. Gives the record that it completed, if it did: the one
    /// before it.
    pub(crate) fn line(&mut self, line: &[u8]) -> Option<Item> {
        self.lines += 1;
        let line = without_nuls(line);
        if line.is_empty() {
            return None;
        }
        let line = if self.lines == 1 { without_mark(line) } else { line };
        if let Some(prefix) = Prefix::parse(line) {
            let body = line[prefix.length..].to_vec();
            let too_large = body.len() > MAX_RECORD_BYTES;
            let next = OpenRecord { first_line: self.lines, body, prefix, too_large };
            let whole = self.open.replace(next);
            return whole.map(|record| self.finish(record, true));
        }
        match &mut self.open {
            Some(record) if record.body.len() + line.len() > MAX_RECORD_BYTES => {
                record.too_large = true;
                None
            }
            Some(record) => {
                record.body.extend_from_slice(line);
                None
            }
            None if line.trim_ascii().is_empty() => None,
            None => {
                Some(Item::Skipped(Skipped { line: self.lines, reason: SkipReason::OutsideRecord }))
            }
        }
    }

    /// Whether the line taken in last is the first of its record; `None` where it belongs to none.
    pub(crate) fn is_at_first_line(&self) -> Option<bool> {
        self.open.as_ref().map(|record| record.first_line == self.lines)
    }

    /// Gives the record whose lines are being gathered as if it were whole, without ending it.
    pub(crate) fn peek(&mut self) -> Option<Item> {
        let record = self.open.clone()?;
        let (last_key, last_row) = (self.last_key, self.last_row.clone());
        let found = self.finish(record, true);
        (self.last_key, self.last_row) = (last_key, last_row);
        Some(found)
    }

    /// Ends the log: gives the last record.
    pub(crate) fn end(&mut self) -> Option<Item> {
        let mut record = self.open.take()?;
        let mut whole = record.body.ends_with(b"\n");
        // A last line that may be the start of a next prefix is not taken for text of this record: what
        // is left out is told of, what is put in wrongly would stay.
        let last_line = memchr::memrchr(b'\n', &record.body)
            .map(|end| end + 1)
            .filter(|start| !whole && may_begin_prefix(&record.body[*start..]));
        if let Some(start) = last_line {
            record.body.truncate(start);
            whole = true;
        }
        let mut found = self.finish(record, whole);
        if let Item::Record { cut, .. } = &mut found {
            *cut = cut.or(last_line.map(|_| self.lines));
        }
        Some(found)
    }

    /// Makes a record of its lines. `whole` is false where the log ended without a line end, and so
    /// perhaps within the record.
    fn finish(&mut self, record: OpenRecord, whole: bool) -> Item {
        let OpenRecord { prefix, first_line, body, too_large } = record;
        let parsed = if too_large {
            Err(SkipReason::TooLarge)
        } else {
            let body = body.strip_suffix(b"\n").unwrap_or(&body);
            let text = String::from_utf8_lossy(body);
            let replaced = matches!(text, Cow::Owned(_));
            self.parse(&prefix, &text, whole).map(|parsed| {
                let foreign = parsed
                    .foreign
                    .map(|lines| ForeignLines { first: first_line + lines.first, ..lines });
                match parsed.built {
                    Built::Login(login) => Item::Login { login, foreign },
                    Built::Record(record) => Item::Record {
                        misread: misread(&record, prefix.written_ms(self.zone)),
                        record,
                        replaced,
                        cut: parsed.cut.then_some(first_line),
                        foreign,
                    },
                }
            })
        };
        parsed.unwrap_or_else(|reason| Item::Skipped(Skipped { line: first_line, reason }))
    }

    fn parse(&mut self, prefix: &Prefix, text: &str, whole: bool) -> Result<Parsed, SkipReason> {
        let kind = match prefix.kind {
            RecordKind::Query | RecordKind::SlowQuery | RecordKind::Connection => Kind::Query,
            RecordKind::Load | RecordKind::StreamLoad => Kind::Load,
            RecordKind::Other => return Err(SkipReason::OtherType),
        };
        let mut draft = RecordBuilder::new(kind, self.zone);
        draft.expect(match prefix.kind {
            RecordKind::Connection => Expected::Login,
            _ if prefix.is_untyped => Expected::Either,
            _ => Expected::Record,
        });
        if text.trim_start().starts_with('{') {
            // An object stands in one line, whatever its values hold.
            let mut values = serde_json::Deserializer::from_str(text).into_iter();
            let object: Option<Result<serde_json::Map<String, serde_json::Value>, _>> =
                values.next();
            let Some(Ok(object)) = object else {
                return Err(if whole { SkipReason::NotJson } else { SkipReason::CutOff });
            };
            let foreign = foreign_lines(text, values.byte_offset(), text.len());
            for (name, value) in &object {
                // What annals wrote itself goes by the names of its columns.
                let key = match prefix.kind.key(name) {
                    Key::Unknown => Key::of_column(name),
                    key => key,
                };
                if let Some(text) = text_of(value) {
                    draft.set(key, name, &text);
                }
            }
            return Ok(Parsed { built: prefix.finish(draft, self.zone)?, cut: false, foreign });
        }
        let mut parts = split(prefix, text);
        let last = parts.fields.last().map(|field| field.key);
        let half = text.rfind('|').map(|bar| (bar, &text[bar + 1..]));
        let half = half.filter(|(_, half)| half.bytes().all(is_key_byte));
        let mut cut = false;
        if parts.foreign.is_some() {
            // What stands behind it is known, so it is not the log's end that ends it.
        } else if !whole
            && self.last_key.map_or(last == Some(Key::QueryId), |key| last != Some(key))
        {
            // The log stops where the record before it went on. What the end holds, half a key or half
            // a value, is not known; a statement is kept as far as it goes.
            cut = true;
            match half {
                Some((bar, _)) => parts = split(prefix, &text[..bar]),
                None if last.is_some_and(|key| key.is_free_text()) => {}
                None => {
                    parts.fields.pop();
                }
            }
        } else if whole {
            if let Some((bar, half)) = half
                && !half.is_empty()
                && parts.has_row
                && last != self.last_key
            {
                let without_half = split(prefix, &text[..bar]);
                let is_half = match self.last_row.0.get(without_half.row().len()) {
                    Some(name) => name.starts_with(half),
                    None => last.is_some_and(|key| key.is_free_text() || is_token(key)),
                };
                if is_half && !without_half.row().is_empty() {
                    parts = without_half;
                    cut = true;
                }
            }
            // One that has fewer fields behind its statement than those before it, and else the same, was broken.
            let row: Vec<&str> = parts.row().iter().map(|field| field.name).collect();
            let (last_row, times) = &mut self.last_row;
            let is_part =
                row.len() < last_row.len() && last_row.iter().zip(&row).all(|(a, b)| a == b);
            cut |= is_part && parts.has_row && *times >= SETTLED;
            if !cut {
                self.last_key = last;
                if *last_row == row {
                    *times += 1;
                } else {
                    self.last_row = (row.into_iter().map(str::to_string).collect(), 1);
                }
            }
        }
        let Split { fields, foreign, .. } = parts;
        for field in &fields {
            draft.set(field.key, field.name, field.value);
        }
        if let Some(statement) = fields.last().filter(|field| cut && field.key == Key::Stmt)
            && !statement.value.is_empty()
        {
            // Marked as what it is, it gives source to the whole one, and is not another statement under the same id.
            draft.set(Key::Stmt, statement.name, &format!("{}...", statement.value));
        }
        let built = prefix.finish(draft, self.zone);
        let built = built.map_err(|reason| if cut { SkipReason::CutOff } else { reason })?;
        Ok(Parsed { built, cut, foreign })
    }
}

/// What the lines of a record say.
struct Parsed {
    built: Built,
    /// Whether it was cut off.
    cut: bool,
    /// Lines behind it, from 0 at the record's first.
    foreign: Option<ForeignLines>,
}

/// Counts the lines of a part of a text that begin in it and are not blank, from 0 at the text's first.
fn foreign_lines(text: &str, start: usize, end: usize) -> Option<ForeignLines> {
    let first = memchr::memchr_iter(b'\n', &text.as_bytes()[..start]).count() as u64;
    let lines = (first..).zip(text[start..end].split('\n'));
    let mut foreign: Option<ForeignLines> = None;
    for (line, _) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        match &mut foreign {
            None => foreign = Some(ForeignLines { first: line, count: 1 }),
            Some(foreign) => foreign.count += 1,
        }
    }
    foreign
}

/// What hints that a record was not read right.
fn misread(record: &QueryRecord, written_ms: i64) -> Vec<Misread> {
    let mut misread = Vec::new();
    let holds_fields = |message: &str| {
        ["|Time(ms)=", "|Time=", "|ScanRows="].iter().any(|field| message.contains(field))
    };
    if record.error_message.as_deref().is_some_and(holds_fields) {
        misread.push(Misread::MessageHoldsFields);
    }
    let late_ms = record.started_ms.map(|started_ms| started_ms.saturating_sub(written_ms));
    if let Some(by_ms) = late_ms.filter(|ms| *ms > 10 * 60 * 1000) {
        misread.push(Misread::StartsAfterWritten { by_ms });
    }
    misread
}

/// Fewer NUL bytes in a line of nothing else may be a statement's own: a hole in a file is larger.
const MIN_HOLE_BYTES: usize = 64;

/// Returns a line without the NUL bytes that a loss of power, or a copy of the log that truncates it, leaves before a
/// record; nothing of a line of such bytes alone.
fn without_nuls(line: &[u8]) -> &[u8] {
    if line.first() != Some(&0) {
        return line;
    }
    let nuls = line.iter().take_while(|byte| **byte == 0).count();
    let rest = &line[nuls..];
    match rest.trim_ascii().is_empty() {
        true if nuls >= MIN_HOLE_BYTES => &[],
        false if Prefix::parse(without_mark(rest)).is_some() => rest,
        _ => line,
    }
}

/// Leaves out a byte order mark.
fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}

/// What stands before a record's fields.
#[derive(Debug, Clone, PartialEq)]
struct Prefix {
    kind: RecordKind,
    /// When the record was written.
    written: NaiveDateTime,
    /// Seconds east of UTC, where the log says so.
    offset: Option<i64>,
    /// Bytes of the line that the prefix takes.
    length: usize,
    /// Whether it names a place in StarRocks' code, `[AuditLog.log():68]`.
    has_place: bool,
    /// Whether it names that place and no type.
    is_untyped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecordKind {
    Query,
    SlowQuery,
    Load,
    StreamLoad,
    /// A log-in.
    Connection,
    Other,
}

impl Prefix {
    /// Reads a prefix at the start of a line: a time, perhaps its offset, perhaps a level word and a
    /// thread in parentheses, then the type in brackets. StarRocks may write a place in its code there
    /// (`[AuditLog.log():68]`), and the type behind it or not at all.
    fn parse(line: &[u8]) -> Option<Prefix> {
        let (written, mut at) = leading_local_time(line)?;
        let offset = leading_zone_offset(&line[at..]);
        at += offset.map_or(0, |(_, length)| length);
        at += spaces(&line[at..])?;
        let level = line[at..].iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        if level > 0 {
            at += level + spaces(&line[at + level..])?;
        }
        if line.get(at) == Some(&b'(') {
            at += line[at..].iter().take(200).position(|byte| *byte == b')')? + 1;
            at += spaces(&line[at..])?;
        }
        let mut kind = None;
        let (mut has_place, mut is_untyped) = (false, true);
        while line.get(at) == Some(&b'[') {
            let length = line[at..].iter().take(200).position(|byte| *byte == b']')? + 1;
            let name = &line[at + 1..at + length - 1];
            is_untyped &= name.starts_with(b"AuditLog");
            kind = match name {
                // StarRocks writes a query that cost much a second time, as `[big_query]`.
                b"query" | b"big_query" => Some(RecordKind::Query),
                b"slow_query" => Some(RecordKind::SlowQuery),
                b"load" => Some(RecordKind::Load),
                b"stream_load" => Some(RecordKind::StreamLoad),
                b"connection" => Some(RecordKind::Connection),
                _ if name.starts_with(b"AuditLog") => {
                    has_place = true;
                    kind.or(Some(RecordKind::Query))
                }
                _ if !name.is_empty()
                    && name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_') =>
                {
                    Some(RecordKind::Other)
                }
                _ => return None,
            };
            at += length;
            at += spaces(&line[at..]).unwrap_or(0);
        }
        // A type is followed by fields or an object; what is not is a line of a statement.
        let kind = kind.filter(|_| matches!(line.get(at), Some(b'|' | b'{')))?;
        let offset = offset.map(|(seconds, _)| seconds);
        Some(Prefix { kind, written, offset, length: at, has_place, is_untyped })
    }

    /// When the record was written, in Unix milliseconds; local to `zone` where the log names no offset.
    fn written_ms(&self, zone: Zone) -> i64 {
        match self.offset {
            Some(seconds) => self.written.and_utc().timestamp_millis() - seconds * 1000,
            None => zone.instant_ms(self.written),
        }
    }

    /// Ends a record of this prefix.
    fn finish(&self, draft: RecordBuilder, zone: Zone) -> Result<Built, SkipReason> {
        let written = Written { ms: self.written_ms(zone), local: self.written };
        let mut built = draft.finish(Some(written))?;
        if let Built::Record(record) = &mut built {
            record.is_slow |= self.kind == RecordKind::SlowQuery;
            if self.kind == RecordKind::Load {
                // Doris writes this record when the load's data became visible.
                record.state.get_or_insert_with(|| "FINISHED".to_string());
            }
        }
        Ok(built)
    }
}

/// Whether a line that was cut off can have been going to be a prefix.
fn may_begin_prefix(line: &[u8]) -> bool {
    line.iter().zip(b"0000-00-00 00:00:00").all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        _ => byte == shape,
    })
}

/// The number of blanks at the start; `None` where there are none.
fn spaces(text: &[u8]) -> Option<usize> {
    match text.iter().take_while(|byte| **byte == b' ').count() {
        0 => None,
        count => Some(count),
    }
}

impl RecordKind {
    /// The key of a name; versions differ in letter case, and some add the unit.
    fn key(self, name: &str) -> Key {
        let mut lower = [0u8; 40];
        let Some(lower) = lower.get_mut(..name.len()) else {
            return Key::Unknown;
        };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        match self {
            RecordKind::Query | RecordKind::SlowQuery | RecordKind::Connection => {
                Key::of_audit(lower)
            }
            RecordKind::Load => match &*lower {
                b"jobid" => Key::JobId,
                b"label" => Key::Label,
                b"loadtype" => Key::LoadType,
                b"db" => Key::Db,
                b"tablelist" => Key::TableList,
                b"filepathlist" => Key::FilePathList,
                b"brokeruser" => Key::BrokerUser,
                b"timestamp" => Key::Timestamp,
                b"loadstarttime" => Key::LoadStartTime,
                b"loadfinishtime" => Key::EndTime,
                b"scanrows" => Key::ScanRows,
                b"scanbytes" => Key::ScanBytes,
                b"filenumber" => Key::FileNumber,
                _ => Key::Unknown,
            },
            RecordKind::StreamLoad => match &*lower {
                b"label" => Key::Label,
                b"db" => Key::Db,
                b"table" => Key::TableList,
                b"user" => Key::User,
                b"clientip" => Key::Client,
                b"status" => Key::Status,
                b"message" => Key::Message,
                b"url" => Key::Url,
                b"totalrows" => Key::TotalRows,
                b"loadedrows" => Key::LoadedRows,
                b"filteredrows" => Key::FilteredRows,
                b"unselectedrows" => Key::UnselectedRows,
                b"loadbytes" => Key::LoadBytes,
                b"starttime" => Key::LoadStartTime,
                b"finishtime" => Key::EndTime,
                _ => Key::Unknown,
            },
            RecordKind::Other => Key::Unknown,
        }
    }
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'(' | b')')
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Field<'a> {
    key: Key,
    name: &'a str,
    value: &'a str,
}

impl<'a> Field<'a> {
    /// Reads `Key=Value`, to the end of `piece`.
    fn parse(kind: RecordKind, piece: &'a str) -> Option<Field<'a>> {
        // No key is longer; and a statement's megabytes are not searched for an equals sign.
        let end = piece.bytes().take(64).position(|byte| !is_key_byte(byte))?;
        let (name, value) = (&piece[..end], piece[end..].strip_prefix('=')?);
        name.starts_with(|c: char| c.is_ascii_alphabetic()).then(|| Field {
            key: kind.key(name),
            name,
            value,
        })
    }

    /// The first line of the value.
    fn first_line(&self) -> &'a str {
        self.value.split('\n').next().unwrap_or_default()
    }

    /// Whether it is an error message that is not empty.
    fn is_message_text(&self) -> bool {
        self.key == Key::ErrorMessage && !self.first_line().trim().is_empty()
    }

    /// Whether a value is one that frontends write there often enough to tell a field from text that looks like one:
    /// a number where one belongs, a token, JSON, or plain text.
    fn is_plausible(&self) -> bool {
        let value = self.value;
        let nothing = value.is_empty() || value == "null";
        match self.key {
            key if key.is_number() => nothing || value.trim().parse::<i64>().is_ok(),
            Key::IsQuery | Key::IsNereids | Key::IsInternal | Key::CacheHit => {
                nothing || boolean(value).is_some()
            }
            key if is_token(key) => {
                !value.trim().contains(|c: char| c.is_whitespace() || "'\"`(),;".contains(c))
            }
            // No version writes free text behind free text, but for StarRocks' error message.
            Key::Stmt | Key::ErrorMessage | Key::Message => false,
            Key::FuzzyVariables | Key::QueriedTables | Key::ChosenViews | Key::Url => {
                !value.contains('\n')
            }
            // A key nobody knows yet looks like a frontend's (camel case), not like a column.
            Key::Unknown if !self.name.contains(|c: char| c.is_ascii_uppercase()) => false,
            _ => !value.contains(['\n', '\'', '"', ';']) || is_json(value),
        }
    }
}

/// Whether a text is a JSON object, array or string.
fn is_json(text: &str) -> bool {
    text.starts_with(['{', '[', '"']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The keys that were met, for no record has one twice.
#[derive(Clone, Default)]
struct Seen<'a> {
    known: u128,
    /// Those that have only a name.
    names: HashSet<&'a str>,
}

impl<'a> Seen<'a> {
    fn bit(key: Key) -> u128 {
        1 << (key as u32)
    }

    fn has(&self, field: &Field<'_>) -> bool {
        match field.key {
            Key::Known | Key::Unknown => self.names.contains(field.name),
            key => self.known & Seen::bit(key) != 0,
        }
    }

    fn has_key(&self, key: Key) -> bool {
        self.known & Seen::bit(key) != 0
    }

    /// Adds a field; false if it was there.
    fn add(&mut self, field: &Field<'a>) -> bool {
        match field.key {
            Key::Known | Key::Unknown => self.names.insert(field.name),
            key => {
                let new = !self.has_key(key);
                self.known |= Seen::bit(key);
                new
            }
        }
    }

    fn remove(&mut self, field: &Field<'a>) {
        match field.key {
            Key::Known | Key::Unknown => {
                self.names.remove(field.name);
            }
            key => self.known &= !Seen::bit(key),
        }
    }

    fn clear(&mut self) {
        self.known = 0;
        self.names.clear();
    }
}

const _: () = assert!(Key::COUNT <= 128, "a key has no bit in Seen");

/// Reads one `|Key=Value` after another. A value ends where the next `|Key=` stands, but for JSON, which may hold that
/// too. Where a field ends depends on nothing before it, so a row of fields is the same wherever the reading began.
struct Fields<'a> {
    kind: RecordKind,
    text: &'a str,
    /// Where the bar before the next field stands.
    bar: Option<usize>,
    /// How many bytes may still be read as JSON for nothing, which keeps the reading linear.
    budget: usize,
}

/// A field and where it stands: from its bar to the end of its value.
#[derive(Clone, Copy)]
struct Placed<'a> {
    bar: usize,
    end: usize,
    field: Field<'a>,
}

impl<'a> Placed<'a> {
    /// The field with its value to its end in `text`.
    fn whole(&self, text: &'a str) -> Field<'a> {
        let start = offset_of(text, self.field.value);
        Field { value: &text[start..self.end], ..self.field }
    }
}

impl<'a> Fields<'a> {
    /// The fields of a text from the first bar that begins one, at `from` or behind.
    fn new(kind: RecordKind, text: &'a str, from: usize) -> Fields<'a> {
        let bar = next_key(kind, &text[from..]).map(|bar| from + bar);
        Fields { kind, text, bar, budget: text.len().saturating_mul(2) }
    }

    /// The length of the JSON object or array that a text begins with, if a field can end behind it. A quote alone
    /// begins no JSON: it is more often one of a text's.
    fn json_length(&mut self, text: &str) -> Option<usize> {
        if !text.starts_with(['{', '[']) || self.budget == 0 {
            return None;
        }
        let mut rest = &text.as_bytes()[..text.len().min(self.budget)];
        let all = rest.len();
        let mut reader = serde_json::Deserializer::from_reader(&mut rest);
        let is_whole = IgnoredAny::deserialize(&mut reader).is_ok();
        let length = all - rest.len();
        let behind = text.get(length..).filter(|_| is_whole);
        let ends = |behind: &str| match behind.strip_prefix('|') {
            Some(piece) => is_end(piece) || Field::parse(self.kind, piece).is_some(),
            None => is_end(behind),
        };
        if behind.is_some_and(ends) && !text[..length].contains('\n') {
            return Some(length);
        }
        self.budget -= length.min(self.budget);
        None
    }
}

/// Whether a text is at the end of a record, or of a line.
fn is_end(text: &str) -> bool {
    text.is_empty() || text.starts_with('\n') || text.starts_with("\r\n") || text == "\r"
}

impl<'a> Iterator for Fields<'a> {
    type Item = Placed<'a>;

    fn next(&mut self) -> Option<Placed<'a>> {
        let bar = self.bar?;
        let text = self.text;
        let field = Field::parse(self.kind, &text[bar + 1..])?;
        let start = text.len() - field.value.len();
        let behind = start + self.json_length(field.value).unwrap_or(0);
        self.bar = next_key(self.kind, &text[behind..]).map(|bar| behind + bar);
        let end = self.bar.unwrap_or(text.len());
        Some(Placed { bar, end, field: Field { value: &text[start..end], ..field } })
    }
}

/// Where in `text` the next `|Key=` stands.
fn next_key(kind: RecordKind, text: &str) -> Option<usize> {
    memchr::memchr_iter(b'|', text.as_bytes())
        .find(|bar| Field::parse(kind, &text[bar + 1..]).is_some())
}

/// No version writes more fields behind a free text.
const MAX_ROW: usize = 256;

/// Looks for the row of fields that ends a text, while its fields are read one after another. Two rows are looked for:
///
/// - One that begins with the key that a version writes first behind the text, its anchor, at the last place where that
///   stands with a value that it can have. Its other values may be anything.
/// - The longest one at the end whose fields are all plausible and each there once. It begins with the anchor, or with
///   any key that is known. It is for records that may have no row at all, where text must not be taken for one.
struct Rows<'a, 's> {
    /// The record's keys before the text.
    before: &'s Seen<'a>,
    /// The key that begins a row.
    anchor: Option<Key>,
    anchored: Row<'a>,
    /// Whether the row may hold an error message, which may be any text.
    may_hold_message: bool,
    /// An anchored row with an error message behind which the anchor stands again.
    with_message: Option<Row<'a>>,
    plausible: VecDeque<Placed<'a>>,
    plausible_seen: Seen<'a>,
    /// The plausible fields that stand directly before the anchored row.
    leading: Vec<Placed<'a>>,
}

/// A row of fields of any values, each key there once.
#[derive(Default)]
struct Row<'a> {
    fields: Vec<Placed<'a>>,
    seen: Seen<'a>,
}

impl<'a> Row<'a> {
    fn clear(&mut self) {
        self.fields.clear();
        self.seen.clear();
    }

    /// Adds a field of a record with the keys `before`.
    fn add(&mut self, placed: Placed<'a>, before: &Seen<'a>) {
        let is_new = !before.has(&placed.field) && self.seen.add(&placed.field);
        match self.fields.last_mut() {
            // A key that was met is text in the value before it.
            Some(last) if !is_new => {
                if !last.field.key.is_number() {
                    last.end = placed.end;
                }
            }
            _ => self.fields.push(placed),
        }
        if self.fields.len() > MAX_ROW {
            self.clear();
        }
    }

    /// Whether it has all keys of another row.
    fn repeats(&self, other: &Row<'_>) -> bool {
        other.fields.iter().all(|placed| self.seen.has(&placed.field))
    }

    /// Whether it has an error message that is not empty.
    fn has_message(&self) -> bool {
        self.seen.has_key(Key::ErrorMessage)
            && self.fields.iter().any(|placed| placed.field.is_message_text())
    }
}

impl<'a, 's> Rows<'a, 's> {
    fn new(before: &'s Seen<'a>, anchor: Option<Key>) -> Rows<'a, 's> {
        Rows {
            before,
            anchor: anchor.filter(|key| !before.has_key(*key)),
            anchored: Row::default(),
            may_hold_message: false,
            with_message: None,
            plausible: VecDeque::new(),
            plausible_seen: Seen::default(),
            leading: Vec::new(),
        }
    }

    fn add(&mut self, placed: Placed<'a>) {
        let field = placed.field;
        let first_line = Field { value: field.first_line(), ..field };
        let begins = Some(field.key) == self.anchor && first_line.is_plausible();
        if begins {
            if self.may_hold_message {
                self.keep_message();
            }
            self.anchored.clear();
            self.leading.clear();
            self.leading.extend(&self.plausible);
        }
        if begins || !self.anchored.fields.is_empty() {
            self.anchored.add(placed, self.before);
        }
        if let Some(row) = &mut self.with_message {
            row.add(placed, self.before);
        }
        self.add_plausible(placed);
    }

    /// Keeps an anchored row with an error message where the anchor stands again: behind it begins a next row, or the
    /// anchor is text of the message. A next row repeats all keys of this one, which then stands in a quoted record.
    fn keep_message(&mut self) {
        if self.with_message.as_ref().is_none_or(|row| self.anchored.repeats(row)) {
            let row = std::mem::take(&mut self.anchored);
            self.with_message = row.has_message().then_some(row);
        }
    }

    fn add_plausible(&mut self, placed: Placed<'a>) {
        let field = placed.field;
        // Blank lines behind the last field are not its value's.
        let field = Field { value: without_blank_lines(field.value), ..field };
        if !field.is_plausible() || self.before.has(&field) {
            self.plausible.clear();
            self.plausible_seen.clear();
            return;
        }
        if !self.plausible_seen.add(&field) {
            while let Some(dropped) = self.plausible.pop_front() {
                if dropped.field.name == field.name
                    || is_known(dropped.field.key) && dropped.field.key == field.key
                {
                    break;
                }
                self.plausible_seen.remove(&dropped.field);
            }
        }
        if self.plausible.len() == MAX_ROW
            && let Some(dropped) = self.plausible.pop_front()
        {
            self.plausible_seen.remove(&dropped.field);
        }
        self.plausible.push_back(Placed { field, ..placed });
    }

    /// The row of any values, if there is one and `sure`, or if three of its keys are known and have plausible values.
    fn anchored(&mut self, sure: bool) -> Option<Vec<Placed<'a>>> {
        if let Some(row) = self.with_message.take()
            && !row.fields.is_empty()
            && !self.anchored.repeats(&row)
        {
            self.anchored = row;
        }
        let known = self.anchored.fields.iter().filter(|placed| {
            is_known(placed.field.key)
                && Field { value: placed.field.first_line(), ..placed.field }.is_plausible()
        });
        let is_row = !self.anchored.fields.is_empty() && (sure || known.count() >= 3);
        is_row.then(|| std::mem::take(&mut self.anchored.fields))
    }

    /// The plausible fields directly before the row of plausible fields, and that row, which may be empty. The text
    /// begins at `start`.
    fn plausible(self, start: usize) -> (Vec<Placed<'a>>, Vec<Placed<'a>>) {
        let mut leading: Vec<Placed<'a>> = self.plausible.into();
        let row = &leading;
        // The text may end with what looks like a field, too. Only where there is no text before it may the row
        // begin with a key nobody knows.
        let begin = row
            .iter()
            .position(|placed| Some(placed.field.key) == self.anchor)
            .or_else(|| row.iter().position(|placed| placed.field.key != Key::Unknown))
            .unwrap_or(row.len());
        let no_text = row.first().is_some_and(|first| first.bar == start)
            && row[..begin].iter().all(|placed| placed.field.key == Key::Unknown);
        let row = leading.split_off(if no_text { 0 } else { begin });
        (leading, row)
    }
}

/// Whether versions with fields behind the statement write this one before it. It is true for a key nobody knows yet.
fn is_before_statement(key: Key) -> bool {
    matches!(
        key,
        Key::Timestamp
            | Key::Client
            | Key::User
            | Key::Catalog
            | Key::Db
            | Key::State
            | Key::ErrorCode
            | Key::Time
            | Key::ScanBytes
            | Key::ScanRows
            | Key::ReturnRows
            | Key::StmtId
            | Key::QueryId
            | Key::IsQuery
            | Key::IsNereids
            | Key::IsInternal
            | Key::FeIp
            | Key::StmtType
            | Key::CommandType
            | Key::Known
            | Key::Unknown
    )
}

fn is_known(key: Key) -> bool {
    !matches!(key, Key::Known | Key::Unknown)
}

/// A text without the blank lines at its end.
fn without_blank_lines(text: &str) -> &str {
    let end = text.trim_end().len();
    match text[end..].find('\n') {
        Some(line_end) => {
            text[..end + line_end].strip_suffix('\r').unwrap_or(&text[..end + line_end])
        }
        None => text,
    }
}

/// The fields of a record's text, and the lines behind them that are part of no record.
struct Split<'a> {
    fields: Vec<Field<'a>>,
    foreign: Option<ForeignLines>,
    /// Whether every record with such fields has a row behind its statement, always with the same keys.
    has_row: bool,
    /// Plausible fields at the end of a message, directly before the row behind it. They are fields or the message's
    /// text; which of both is known once the whole record is read.
    leading: Vec<Placed<'a>>,
    /// Whether the record is of a version that writes all other fields before the statement.
    is_statement_last: bool,
    /// Whether an error message behind the statement may be any text.
    has_message_behind: bool,
}

impl<'a> Split<'a> {
    /// The fields behind the statement.
    fn row(&self) -> &[Field<'a>] {
        let statement = self.fields.iter().position(|field| field.key == Key::Stmt);
        statement.map_or(&[], |at| &self.fields[at + 1..])
    }
}

/// Splits `|Key=Value|Key=Value...`.
///
/// Three values may be any text: the error message of Doris, which ends where `|Time(ms)=` begins the row of fields
/// before the statement; the message of a stream load, which ends at `|Url=`; and the statement. Behind the statement
/// stands a row of fields in Doris before 3.1 (from `CpuTimeMS` on) and in StarRocks (from `Digest` on), nothing in
/// Doris 3.1 and later. Since the text may quote a whole record, a row is looked for from its end.
fn split<'a>(prefix: &Prefix, text: &'a str) -> Split<'a> {
    let kind = prefix.kind;
    let text = without_end_bar(text);
    let mut out = Split {
        fields: Vec::with_capacity(64),
        foreign: None,
        has_row: false,
        leading: Vec::new(),
        is_statement_last: false,
        has_message_behind: false,
    };
    let mut seen = Seen::default();
    let mut fields = Fields::new(kind, text, 0);
    if fields.bar != Some(0) {
        return out;
    }
    while let Some(placed) = fields.next() {
        let field = placed.field;
        let start = placed.end - field.value.len();
        match field.key {
            Key::Stmt if !seen.has(&field) => {
                seen.add(&field);
                out.statement(prefix, text, start, &seen);
                break;
            }
            Key::ErrorMessage | Key::Message if !seen.has(&field) => {
                seen.add(&field);
                let next = out.message(kind, text, field, start, &seen);
                for field in &out.fields {
                    seen.add(field);
                }
                // A record has no key twice.
                let text = out.leading.iter().rposition(|placed| seen.has(&placed.field));
                out.leading.drain(..text.map_or(0, |at| at + 1));
                fields.bar = next;
            }
            // A key that was met is text in the value before it.
            _ if !seen.add(&field) => {
                if let Some(last) = out.fields.last_mut()
                    && !last.key.is_number()
                {
                    let from = offset_of(text, last.value);
                    last.value = &text[from..placed.end];
                }
            }
            _ => out.fields.push(field),
        }
    }
    out.add_leading(text);
    out.cut_lines(text);
    out
}

impl<'a> Split<'a> {
    /// Adds a message, whose value begins at `start`, and the row of fields behind it. Returns where the bar of the
    /// field behind that row stands, the statement's.
    fn message(
        &mut self,
        kind: RecordKind,
        text: &'a str,
        message: Field<'a>,
        start: usize,
        seen: &Seen<'a>,
    ) -> Option<usize> {
        let anchor = match message.key {
            Key::Message => Key::Url,
            _ => Key::Time,
        };
        let mut rows = Rows::new(seen, Some(anchor));
        let (mut next, mut quoted) = (None, None);
        for placed in Fields::new(kind, text, start) {
            if placed.field.key == Key::Stmt && message.key == Key::ErrorMessage {
                // Every version writes fields between them: a statement directly behind a message is in most cases
                // within a text that quotes a record.
                if !rows.anchored.fields.is_empty() || !rows.plausible.is_empty() {
                    next = Some(placed.bar);
                    break;
                }
                quoted = quoted.or(Some(placed.bar));
            }
            rows.add(placed);
        }
        if next.is_none() && quoted.is_some() {
            // It is the only one.
            next = quoted;
            rows = Rows::new(seen, Some(anchor));
            let before = |placed: &Placed<'_>| Some(placed.bar) < next;
            Fields::new(kind, text, start).take_while(before).for_each(|placed| rows.add(placed));
        }
        let end = next.unwrap_or(text.len());
        let (leading, row) = match rows.anchored(true) {
            Some(row) => (rows.leading, row),
            None => {
                let has_anchor = seen.has_key(anchor) && next.is_some();
                let (leading, row) = rows.plausible(start);
                // Where the anchor stands before the message, the statement ends the row.
                (if has_anchor || !row.is_empty() { leading } else { Vec::new() }, row)
            }
        };
        self.leading = leading;
        self.add_row(text, message, start, end, row);
        next
    }

    /// Adds the statement, whose value begins at `start`, and the row of fields behind it.
    fn statement(&mut self, prefix: &Prefix, text: &'a str, start: usize, seen: &Seen<'a>) {
        let statement = Field { key: Key::Stmt, name: "Stmt", value: &text[start..] };
        let has = |name: &str| self.fields.iter().any(|field| field.name == name);
        // Doris 3.1 and later write the statement last, and its line ends as `\n`.
        let is_met = |key: Key| {
            seen.has_key(key) || self.leading.iter().any(|placed| placed.field.key == key)
        };
        self.is_statement_last = is_met(Key::CpuTimeMs)
            && [Key::ParseTimeMs, Key::PlanTimes, Key::CacheHit, Key::ChangedVariables]
                .into_iter()
                .any(is_met);
        if self.is_statement_last {
            let end = start + statement.first_line().len();
            let value = &text[start..end];
            let value = value.strip_suffix('\r').unwrap_or(value);
            self.foreign = foreign_lines(text, end, text.len());
            self.fields.push(Field { value: without_end_bar(value), ..statement });
            return;
        }
        let is_starrocks = prefix.has_place
            || ["ResourceGroup", "AuthorizedUser", "CpuCostNs", "MemCostBytes"]
                .into_iter()
                .any(has);
        let anchor = if is_starrocks { Key::SqlDigest } else { Key::CpuTimeMs };
        // What versions with these keys write has the anchor. Older ones had nothing behind the statement at first.
        self.has_row = !is_starrocks && has("Time(ms)");
        let sure = is_starrocks || self.has_row;
        // StarRocks writes the error message of a failure behind the statement.
        let is_error = |field: &Field<'_>| field.key == Key::State && field.value.trim() == "ERR";
        self.has_message_behind = is_starrocks && self.fields.iter().any(is_error);
        let mut rows = Rows::new(seen, Some(anchor));
        rows.may_hold_message = self.has_message_behind;
        for placed in Fields::new(prefix.kind, text, start) {
            rows.add(placed);
        }
        let row = rows.anchored(sure);
        let mut row = row.unwrap_or_else(|| rows.plausible(start).1);
        if self.has_message_behind {
            extend_message(&mut row);
        }
        self.add_row(text, statement, start, text.len(), row);
    }

    /// Adds a free text, whose value begins at `start`, and the row behind it, which ends at `end`.
    fn add_row(
        &mut self,
        text: &'a str,
        free: Field<'a>,
        start: usize,
        end: usize,
        row: Vec<Placed<'a>>,
    ) {
        let free_end = row.first().map_or(end, |first| first.bar);
        let value = &text[start..free_end];
        let value = if row.is_empty() { without_blank_lines(value) } else { value };
        self.fields.push(Field { value, ..free });
        self.fields.extend(row.iter().map(|placed| placed.whole(text)));
    }

    /// Takes the fields at the end of a message out of it: those whose keys stand nowhere else in the record, and that
    /// its version writes before the statement. A message that quotes a record repeats keys of its own record.
    fn add_leading(&mut self, text: &'a str) {
        let is_message = |field: &Field<'_>| matches!(field.key, Key::ErrorMessage | Key::Message);
        let message = self.fields.iter().position(is_message);
        let Some(at) = message.filter(|_| !self.leading.is_empty()) else {
            return;
        };
        let mut behind = Seen::default();
        for field in self.row() {
            behind.add(field);
        }
        let any_key = self.is_statement_last || self.fields[at].key == Key::Message;
        let is_text = |placed: &Placed<'_>| {
            behind.has(&placed.field) || !any_key && !is_before_statement(placed.field.key)
        };
        let begin = self.leading.iter().rposition(is_text).map_or(0, |at| at + 1);
        let leading = self.leading.split_off(begin);
        if let Some(first) = leading.first() {
            let start = offset_of(text, self.fields[at].value);
            self.fields[at].value = &text[start..first.bar];
            let fields = leading.iter().map(|placed| placed.whole(text));
            self.fields.splice(at + 1..at + 1, fields);
        }
    }

    /// Takes lines out of the values that hold none: those of other programs, which stand behind a record or, where
    /// a record was broken, within it.
    fn cut_lines(&mut self, text: &str) {
        let position = |key: Key| self.fields.iter().position(|field| field.key == key);
        let free = position(Key::Stmt).or(position(Key::ErrorMessage)).or(position(Key::Message));
        let last_known = self.fields.iter().rposition(|field| field.key != Key::Unknown);
        for at in 0..self.fields.len() {
            let field = self.fields[at];
            let is_free = field.key.is_free_text() && free.is_none_or(|free| at <= free);
            if self.has_message_behind && Some(at) > free && field.is_message_text() {
                if at + 1 == self.fields.len() {
                    self.fields[at].value = without_end_bar(without_blank_lines(field.value));
                }
                continue;
            }
            if is_free || !field.value.contains('\n') {
                continue;
            }
            let is_last =
                last_known.is_none_or(|last| last <= at) && free.is_none_or(|free| free < at);
            let line = field.first_line();
            // Within a row only what can have one line alone is known to be broken.
            let is_broken = !field.is_plausible()
                && is_token(field.key)
                && Field { value: line, ..field }.is_plausible();
            if !is_last && !is_broken {
                continue;
            }
            let start = offset_of(text, field.value);
            self.fields[at].value = without_end_bar(line.strip_suffix('\r').unwrap_or(line));
            // What looks like fields in a foreign line is none.
            let end = if is_last { text.len() } else { start + field.value.len() };
            if let Some(lines) = foreign_lines(text, start + line.len(), end) {
                match &mut self.foreign {
                    None => self.foreign = Some(lines),
                    Some(foreign) => foreign.count += lines.count,
                }
            }
            if is_last {
                self.fields.truncate(at + 1);
                break;
            }
        }
    }
}

/// Adds to an error message in a row what looks like fields directly behind it and has no frontend's keys.
fn extend_message(row: &mut Vec<Placed<'_>>) {
    let Some(at) = row.iter().position(|placed| placed.field.is_message_text()) else {
        return;
    };
    let is_text = |field: &Field<'_>| {
        field.key == Key::Unknown && !field.name.contains(|c: char| c.is_ascii_uppercase())
    };
    let count = row[at + 1..].iter().take_while(|placed| is_text(&placed.field)).count();
    row[at].end = row[at + count].end;
    row.drain(at + 1..at + 1 + count);
}

/// Whether a value is one word or number.
fn is_token(key: Key) -> bool {
    key.is_number()
        || matches!(
            key,
            Key::IsQuery
                | Key::IsNereids
                | Key::IsInternal
                | Key::CacheHit
                | Key::SqlHash
                | Key::SqlDigest
                | Key::QueryId
                | Key::TraceId
                | Key::SessionId
        )
}

/// A text without the bar that other programs write at a record's end.
fn without_end_bar(text: &str) -> &str {
    text.trim_end_matches([' ', '\r']).strip_suffix('|').unwrap_or(text)
}

/// Where in `text` a part of it begins.
fn offset_of(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}
