//! The audit log of a frontend, `fe.audit.log`, of every Doris version and of StarRocks.
//!
//! A record is a log4j prefix, a type in brackets, then `|Key=Value` pairs, or in newer StarRocks a JSON object:
//!
//! ```text
//! 2024-01-02 11:15:51,248 [query] |Client=10.0.0.1:53450|User=root|...|Stmt=select 1|CpuTimeMS=0
//! ```
//!
//! The hard part is that a statement is written as it is: it holds `|`, `=`, line ends, even text that looks like a key.
//! So a record ends where the next prefix begins a line, and the keys after a statement are found from the record's
//! end:
//!
//! - `prefix` reads the text before the fields.
//! - `field` reads one field after another.
//! - `row_search` finds the row of fields after a free text.
//! - `split` puts them together: the fields of a record.

mod field;
mod prefix;
mod row_search;
mod split;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use self::field::is_key_byte;
use self::prefix::{Prefix, RecordKind, may_begin_prefix, without_mark, without_nuls};
use self::split::{Split, foreign_lines, is_no_content, is_token, split};
use super::encoding::lossy;
use super::record_builder::{Entry, EntryType, Key, RecordBuilder, WrittenAt};
use super::rows::text_of;
use super::{ForeignLines, Item, ReadWarning, SkipReason, Skipped};
use crate::domain::record::{Kind, QueryRecord, Zoned};
use crate::domain::time::Zone;

/// The largest record that is read, in bytes. Doris rejects statements far smaller.
pub(crate) const MAX_RECORD_BYTES: usize = 64 << 20;

/// The most of a line that a record can need, in bytes: the line also has the prefix.
pub(crate) const MAX_LINE_BYTES: usize = MAX_RECORD_BYTES + 1024;

/// How many records in a row must have the same fields before one with fewer counts as cut off.
const MIN_SAME_ROWS: u64 = 3;

/// How many fields after its statement the first record of a log must have to be whole.
const MIN_WHOLE_ROW: usize = 3;

/// A start later than the time of writing by more than this is a sign of another time zone, in milliseconds.
const MAX_CLOCK_LEAD_MS: i64 = 10 * 60 * 1000;

/// Turns the lines of one audit log into records, line by line. It holds no more than one record.
pub(crate) struct AuditLog {
    zone: Zone,
    /// How many lines were read.
    lines: u64,
    /// The record whose lines are being collected.
    open: Option<OpenRecord>,
    /// The last key of the record before, which tells a cut record from a whole one.
    last_key: Option<Key>,
    /// The names of the fields after the statement of the record before, and how many records in a row had them.
    last_row: (Vec<String>, u64),
}

#[derive(Clone)]
struct OpenRecord {
    prefix: Prefix,
    first_line: u64,
    body: Vec<u8>,
    too_large: bool,
    /// Whether a line looked like the one that grep writes between two places.
    has_gap: bool,
}

/// A record that is parsed.
struct Parsed {
    entry: Entry,
    /// Whether the record was cut off.
    is_cut: bool,
    /// Lines after the record, counted from 0 at the record's first.
    foreign: Option<ForeignLines>,
}

impl AuditLog {
    /// Returns a reader of a log whose times are local to `zone`.
    pub(crate) fn new(zone: Zone) -> AuditLog {
        AuditLog { zone, lines: 0, open: None, last_key: None, last_row: (Vec::new(), 0) }
    }

    /// Returns whether a text that begins with `head` is an audit log.
    pub(crate) fn sniff(head: &[u8]) -> bool {
        head.split(|byte| *byte == b'\n')
            .map(|line| without_mark(without_nuls(line)))
            .filter_map(Prefix::parse)
            .any(|prefix| prefix.kind != RecordKind::Other)
    }

    /// Returns whether a line begins a record, of any type.
    pub(crate) fn begins_record(line: &[u8]) -> bool {
        Prefix::parse(without_mark(without_nuls(line))).is_some()
    }

    /// Reads a line with its line end. Returns the record before, if this line begins the next one.
    pub(crate) fn push_line(&mut self, line: &[u8]) -> Option<Item> {
        self.lines += 1;
        let line = without_nuls(line);
        if line.is_empty() {
            return None;
        }
        let line = if self.lines == 1 { without_mark(line) } else { line };
        if let Some(prefix) = Prefix::parse(line) {
            let body = line[prefix.length..].to_vec();
            let too_large = body.len() > MAX_RECORD_BYTES;
            let first_line = self.lines;
            let next = OpenRecord { first_line, body, prefix, too_large, has_gap: false };
            let whole = self.open.replace(next);
            return whole.map(|record| self.finish(record, true));
        }
        if line.trim_ascii() == b"--"
            && let Some(whole) = self.end_at_gap()
        {
            return Some(whole);
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
            None if is_no_content(line) => None,
            None => {
                Some(Item::Skipped(Skipped { line: self.lines, reason: SkipReason::OutsideRecord }))
            }
        }
    }

    /// Ends the open record if it has all its fields: what comes behind `--` is then of another record. A statement may have such a
    /// line, too. Looks at one such line of a record, so that the time grows with the record.
    fn end_at_gap(&mut self) -> Option<Item> {
        let record = self.open.as_mut()?;
        if std::mem::replace(&mut record.has_gap, true) || record.too_large {
            return None;
        }
        let text = lossy(record.body.strip_suffix(b"\n").unwrap_or(&record.body));
        let parts = split(&record.prefix, &text);
        let row: Vec<&str> = parts.row().iter().map(|field| field.name).collect();
        let is_row = match self.last_row.0.as_slice() {
            [] => row.len() >= MIN_WHOLE_ROW,
            last_row => last_row == row,
        };
        let is_whole = parts.has_row && is_row;
        let record = self.open.take_if(|_| is_whole)?;
        Some(self.finish(record, true))
    }

    /// Returns whether the last line is the first of its record, or None if the line belongs to no record.
    pub(crate) fn is_at_first_line(&self) -> Option<bool> {
        self.open.as_ref().map(|record| record.first_line == self.lines)
    }

    /// Returns the record whose lines are being collected as if it were whole, without ending it.
    pub(crate) fn peek_record(&mut self) -> Option<Item> {
        let record = self.open.clone()?;
        let (last_key, last_row) = (self.last_key, self.last_row.clone());
        let item = self.finish(record, true);
        (self.last_key, self.last_row) = (last_key, last_row);
        Some(item)
    }

    /// Ends the log: returns the last record.
    pub(crate) fn end(&mut self) -> Option<Item> {
        let mut record = self.open.take()?;
        let mut whole = record.body.ends_with(b"\n");
        // A last line that may be the start of a next prefix is not read as text of this record: a text that is dropped
        // is reported, a text that is added wrongly would stay.
        let last_line = memchr::memrchr(b'\n', &record.body)
            .map(|end| end + 1)
            .filter(|start| !whole && may_begin_prefix(&record.body[*start..]));
        if let Some(start) = last_line {
            record.body.truncate(start);
            whole = true;
        }
        let mut item = self.finish(record, whole);
        if let Item::Record { cut, .. } = &mut item {
            *cut = cut.or(last_line.map(|_| self.lines));
        }
        Some(item)
    }

    /// Returns the item of a record's lines. `whole` is false if the log ended without a line end, and so perhaps
    /// within the record.
    fn finish(&mut self, record: OpenRecord, whole: bool) -> Item {
        let OpenRecord { prefix, first_line, body, too_large, .. } = record;
        let skipped = |reason| Item::Skipped(Skipped { line: first_line, reason });
        if too_large {
            return skipped(SkipReason::TooLarge);
        }
        let text = lossy(body.strip_suffix(b"\n").unwrap_or(&body));
        let written = WrittenAt {
            ms: prefix.written_ms(self.zone),
            local: prefix.written,
            is_local: prefix.is_local(),
        };
        let parsed = match self.parse(&prefix, &text, whole, written) {
            Ok(parsed) => parsed,
            Err(reason) => return skipped(reason),
        };
        let foreign =
            parsed.foreign.map(|lines| ForeignLines { first: first_line + lines.first, ..lines });
        match parsed.entry {
            Entry::Login(login) => Item::Login { login, foreign },
            Entry::Record(record) => Item::Record {
                warnings: warnings(&record, written.ms),
                record,
                replaced: matches!(text, std::borrow::Cow::Owned(_)),
                cut: parsed.is_cut.then_some(first_line),
                foreign,
            },
        }
    }

    fn parse(
        &mut self,
        prefix: &Prefix,
        text: &str,
        whole: bool,
        written: WrittenAt,
    ) -> Result<Parsed, SkipReason> {
        let kind = match prefix.kind {
            RecordKind::Query | RecordKind::SlowQuery | RecordKind::Connection => Kind::Query,
            RecordKind::Load | RecordKind::StreamLoad => Kind::Load,
            RecordKind::Other => return Err(SkipReason::OtherType),
        };
        let mut builder = RecordBuilder::new(kind, self.zone);
        builder.set_type(match prefix.kind {
            RecordKind::Connection => EntryType::Login,
            _ if prefix.is_untyped => EntryType::QueryOrLogin,
            _ => EntryType::Query,
        });
        match text.trim_start().starts_with('{') {
            true => parse_json(prefix, builder, text, whole, written),
            false => self.parse_fields(prefix, builder, text, whole, written),
        }
    }

    fn parse_fields(
        &mut self,
        prefix: &Prefix,
        mut builder: RecordBuilder,
        text: &str,
        whole: bool,
        written: WrittenAt,
    ) -> Result<Parsed, SkipReason> {
        let mut parts = split(prefix, text);
        let half_key = text.rfind('|').map(|bar| HalfKey { bar, text: &text[bar + 1..] });
        let half_key = half_key.filter(|half| half.text.bytes().all(is_key_byte));
        let is_cut = match parts.foreign {
            // The text after the record is known, so the log's end does not end the record.
            Some(_) => false,
            None if whole => self.drop_half_key(prefix, text, half_key, &mut parts),
            None => self.drop_cut_end(prefix, text, half_key, &mut parts),
        };
        let Split { fields, foreign, .. } = parts;
        for field in &fields {
            builder.set(field.key, field.name, field.value);
        }
        if let Some(statement) = fields.last().filter(|field| is_cut && field.key == Key::Stmt)
            && !statement.value.is_empty()
        {
            // The mark lets the whole statement replace this one, which else counted as another under the same id.
            builder.set(Key::Stmt, statement.name, &format!("{}...", statement.value));
        }
        let entry = prefix.finish(builder, written);
        let entry = entry.map_err(|reason| if is_cut { SkipReason::CutOff } else { reason })?;
        Ok(Parsed { entry, is_cut, foreign })
    }

    /// Drops half a key or half a value at the end of the log's last record, but keeps a statement as far as it goes.
    /// Returns whether the record was cut off: the record before has more fields.
    fn drop_cut_end<'a>(
        &self,
        prefix: &Prefix,
        text: &'a str,
        half_key: Option<HalfKey<'_>>,
        parts: &mut Split<'a>,
    ) -> bool {
        let last = parts.last_key();
        let is_cut = self.last_key.map_or(last == Some(Key::QueryId), |key| last != Some(key));
        if is_cut {
            match half_key {
                Some(half) => *parts = split(prefix, &text[..half.bar]),
                None if last.is_some_and(Key::is_free_text) => {}
                None => {
                    parts.fields.pop();
                }
            }
        }
        is_cut
    }

    /// Drops half a key at the end of a record after which another one begins, and returns whether the record was cut
    /// off: it has half a key, or fewer fields after its statement than the records before it.
    fn drop_half_key<'a>(
        &mut self,
        prefix: &Prefix,
        text: &'a str,
        half_key: Option<HalfKey<'_>>,
        parts: &mut Split<'a>,
    ) -> bool {
        let last = parts.last_key();
        let mut is_cut = false;
        if let Some(half) = half_key
            && !half.text.is_empty()
            && parts.has_row
            && last != self.last_key
        {
            let without_half = split(prefix, &text[..half.bar]);
            let is_half = match self.last_row.0.get(without_half.row().len()) {
                Some(name) => name.starts_with(half.text),
                None => last.is_some_and(|key| key.is_free_text() || is_token(key)),
            };
            if is_half && !without_half.row().is_empty() {
                *parts = without_half;
                is_cut = true;
            }
        }
        let row: Vec<&str> = parts.row().iter().map(|field| field.name).collect();
        let (last_row, times) = &mut self.last_row;
        let is_part = row.len() < last_row.len() && last_row.iter().zip(&row).all(|(a, b)| a == b);
        is_cut |= is_part && parts.has_row && *times >= MIN_SAME_ROWS;
        if !is_cut {
            self.last_key = last;
            if *last_row == row {
                *times += 1;
            } else {
                self.last_row = (row.into_iter().map(str::to_string).collect(), 1);
            }
        }
        is_cut
    }
}

/// A text after the last bar that may be the start of a key.
#[derive(Clone, Copy)]
struct HalfKey<'a> {
    bar: usize,
    text: &'a str,
}

/// Reads a record whose fields are a JSON object. The object is one line, whatever its values hold.
fn parse_json(
    prefix: &Prefix,
    mut builder: RecordBuilder,
    text: &str,
    whole: bool,
    written: WrittenAt,
) -> Result<Parsed, SkipReason> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Map<String, Value>>();
    let Some(Ok(object)) = values.next() else {
        return Err(if whole { SkipReason::NotJson } else { SkipReason::CutOff });
    };
    let foreign = foreign_lines(text, values.byte_offset(), text.len());
    for (name, value) in &object {
        // annals' own export uses the names of its columns.
        let key = match prefix.kind.key(name) {
            Key::Unknown => Key::of_column(name),
            key => key,
        };
        if let Some(text) = text_of(value) {
            builder.set(key, name, &text);
        }
    }
    Ok(Parsed { entry: prefix.finish(builder, written)?, is_cut: false, foreign })
}

/// Returns the signs that a record was not read right. `written_ms` is when it was written, in Unix milliseconds.
fn warnings(record: &QueryRecord, written_ms: i64) -> Vec<ReadWarning> {
    let mut warnings = Vec::new();
    let holds_fields = |message: &str| {
        ["|Time(ms)=", "|Time=", "|ScanRows="].iter().any(|field| message.contains(field))
    };
    if record.error_message.as_deref().is_some_and(holds_fields) {
        warnings.push(ReadWarning::MessageHoldsFields);
    }
    // An instant that is later than a local time says that the time of writing is wrong, which is not stored then.
    let local_ms = record.started_ms.filter(|_| record.zoned == Zoned::Local);
    let late_ms = local_ms.map(|started_ms| started_ms.saturating_sub(written_ms));
    if let Some(by_ms) = late_ms.filter(|ms| *ms > MAX_CLOCK_LEAD_MS) {
        warnings.push(ReadWarning::StartsAfterWritten { by_ms });
    }
    warnings
}
