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

use std::borrow::Cow;

use chrono::NaiveDateTime;

use super::draft::{Draft, Key, Written, boolean};
use super::{Found, SkipReason, Skipped};
use crate::query::{Kind, QueryRecord};
use crate::time::{Zone, leading_local_time, zone_offset};

/// The largest record taken in, in bytes. Doris refuses statements far smaller.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// As much of a line as a record can need: its prefix stands beside the record.
pub const MAX_LINE_BYTES: usize = MAX_RECORD_BYTES + 1024;

/// Turns the lines of one audit log into records, one line at a time: what it holds is never more than
/// one record.
pub struct AuditLog {
    zone: Zone,
    /// Lines seen so far.
    lines: u64,
    /// The record whose lines are being gathered.
    open: Option<OpenRecord>,
    /// The last key of the record before, which tells a cut record from a whole one.
    last_key: Option<Key>,
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
    pub fn new(zone: Zone) -> AuditLog {
        AuditLog { zone, lines: 0, open: None, last_key: None }
    }

    /// Whether a text is an audit log, judged by its first bytes.
    pub fn recognise(head: &[u8]) -> bool {
        head.split(|byte| *byte == b'\n')
            .map(without_mark)
            .filter_map(Prefix::parse)
            .any(|prefix| prefix.kind != RecordKind::Other)
    }

    /// Whether a line begins a record, of any type.
    pub fn begins_record(line: &[u8]) -> bool {
        Prefix::parse(without_mark(line)).is_some()
    }

    /// Takes in a line, its line end included. Gives the record that it completed, if it did: the one
    /// before it.
    pub fn line(&mut self, line: &[u8]) -> Option<Found> {
        self.lines += 1;
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
            None => Some(Found::Skipped(Skipped {
                line: self.lines,
                reason: SkipReason::OutsideRecord,
            })),
        }
    }

    /// Whether the line taken in last is the first of its record; `None` where it belongs to none.
    pub fn is_at_first_line(&self) -> Option<bool> {
        self.open.as_ref().map(|record| record.first_line == self.lines)
    }

    /// Gives the record whose lines are being gathered as if it were whole, without ending it.
    pub fn peek(&mut self) -> Option<Found> {
        let record = self.open.clone()?;
        let last_key = self.last_key;
        let found = self.finish(record, true);
        self.last_key = last_key;
        Some(found)
    }

    /// Ends the log: gives the last record.
    pub fn end(&mut self) -> Option<Found> {
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
        if let Found::Record { cut, .. } = &mut found {
            *cut = cut.or(last_line.map(|_| self.lines));
        }
        Some(found)
    }

    /// Makes a record of its lines. `whole` is false where the log ended without a line end, and so
    /// perhaps within the record.
    fn finish(&mut self, record: OpenRecord, whole: bool) -> Found {
        let OpenRecord { prefix, first_line, body, too_large } = record;
        let parsed = if too_large {
            Err(SkipReason::TooLarge)
        } else {
            let body = body.strip_suffix(b"\n").unwrap_or(&body);
            let text = String::from_utf8_lossy(body);
            let replaced = matches!(text, Cow::Owned(_));
            self.parse(&prefix, &text, whole).map(|(record, cut)| Found::Record {
                record: Box::new(record),
                replaced,
                cut: cut.then_some(first_line),
            })
        };
        parsed.unwrap_or_else(|reason| Found::Skipped(Skipped { line: first_line, reason }))
    }

    /// The record of a text, and whether it was cut off.
    fn parse(
        &mut self,
        prefix: &Prefix,
        text: &str,
        whole: bool,
    ) -> Result<(QueryRecord, bool), SkipReason> {
        let kind = match prefix.kind {
            RecordKind::Query | RecordKind::SlowQuery => Kind::Query,
            RecordKind::Load | RecordKind::StreamLoad => Kind::Load,
            RecordKind::Other => return Err(SkipReason::OtherType),
        };
        let mut draft = Draft::new(kind, self.zone);
        if text.trim_start().starts_with('{') {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
                .map_err(|_| if whole { SkipReason::NotJson } else { SkipReason::CutOff })?;
            for (name, value) in &object {
                let text = match value {
                    serde_json::Value::String(text) => Cow::Borrowed(text.as_str()),
                    other => Cow::Owned(other.to_string()),
                };
                // What annals wrote itself goes by the names of its columns.
                let key = match prefix.kind.key(name) {
                    Key::Unknown => Key::of_column(name),
                    key => key,
                };
                draft.set(key, name, &text);
            }
            return Ok((prefix.finish(draft, self.zone)?, false));
        }
        let mut fields = split(prefix.kind, text);
        let mut cut = false;
        let last = fields.last().map(|field| field.key);
        if whole {
            self.last_key = last;
        } else if self.last_key.map_or(last == Some(Key::QueryId), |key| last != Some(key)) {
            // The record stops where the one before it went on. What its end holds, half a key or half
            // a value, is not known; a statement is kept as far as it goes.
            cut = true;
            let piece = text.rfind('|').map(|bar| (bar, &text[bar + 1..]));
            match piece {
                Some((bar, half)) if half.bytes().all(is_key_byte) => {
                    fields = split(prefix.kind, &text[..bar]);
                }
                _ if last.is_some_and(|key| key.is_free_text()) => {}
                _ => {
                    fields.pop();
                }
            }
        }
        for field in &fields {
            draft.set(field.key, field.name, field.value);
        }
        let record = prefix.finish(draft, self.zone);
        let record = record.map_err(|reason| if cut { SkipReason::CutOff } else { reason })?;
        Ok((record, cut))
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecordKind {
    Query,
    SlowQuery,
    Load,
    StreamLoad,
    Other,
}

impl Prefix {
    /// Reads a prefix at the start of a line: a time, perhaps its offset, perhaps a level word and a
    /// thread in parentheses, then the type in brackets. StarRocks may write a place in its code there
    /// (`[AuditLog.log():68]`), and the type behind it or not at all.
    fn parse(line: &[u8]) -> Option<Prefix> {
        let (written, mut at) = leading_local_time(line)?;
        let offset = zone_offset(&line[at..]);
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
        while line.get(at) == Some(&b'[') {
            let length = line[at..].iter().take(200).position(|byte| *byte == b']')? + 1;
            let name = &line[at + 1..at + length - 1];
            kind = match name {
                b"query" => Some(RecordKind::Query),
                b"slow_query" => Some(RecordKind::SlowQuery),
                b"load" => Some(RecordKind::Load),
                b"stream_load" => Some(RecordKind::StreamLoad),
                _ if name.starts_with(b"AuditLog") => kind.or(Some(RecordKind::Query)),
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
        Some(Prefix { kind, written, offset, length: at })
    }

    /// Ends a record of this prefix.
    fn finish(&self, draft: Draft, zone: Zone) -> Result<QueryRecord, SkipReason> {
        let ms = match self.offset {
            Some(seconds) => self.written.and_utc().timestamp_millis() - seconds * 1000,
            None => zone.instant_ms(self.written),
        };
        let mut record =
            draft.finish(Some(Written { ms, date: self.written.date().to_string() }))?;
        record.is_slow = self.kind == RecordKind::SlowQuery;
        if self.kind == RecordKind::Load {
            // Doris writes this record when the load's data became visible.
            record.state.get_or_insert_with(|| "FINISHED".to_string());
        }
        Ok(record)
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
        let mut lower = [0u8; 32];
        let Some(lower) = lower.get_mut(..name.len()) else {
            return Key::Unknown;
        };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        match self {
            RecordKind::Query | RecordKind::SlowQuery => match &*lower {
                b"timestamp" => Key::Timestamp,
                b"client" => Key::Client,
                b"user" => Key::User,
                b"ctl" | b"catalog" => Key::Catalog,
                b"db" => Key::Db,
                b"state" => Key::State,
                b"errorcode" => Key::ErrorCode,
                b"errormessage" => Key::ErrorMessage,
                b"time" | b"time(ms)" => Key::Time,
                b"scanbytes" => Key::ScanBytes,
                b"scanrows" => Key::ScanRows,
                b"returnrows" => Key::ReturnRows,
                b"stmtid" => Key::StmtId,
                b"queryid" => Key::QueryId,
                b"isquery" => Key::IsQuery,
                b"isnereids" => Key::IsNereids,
                b"isinternal" => Key::IsInternal,
                b"feip" => Key::FeIp,
                b"stmttype" => Key::StmtType,
                b"commandtype" => Key::CommandType,
                b"stmt" => Key::Stmt,
                b"cputimems" => Key::CpuTimeMs,
                b"shufflesendbytes" => Key::ShuffleSendBytes,
                b"shufflesendrows" => Key::ShuffleSendRows,
                b"sqlhash" => Key::SqlHash,
                b"sqldigest" | b"digest" => Key::SqlDigest,
                b"peakmemorybytes" => Key::PeakMemoryBytes,
                b"cloudclustername" | b"computegroupname" => Key::ComputeGroup,
                b"traceid" => Key::TraceId,
                b"workloadgroup" => Key::WorkloadGroup,
                b"fuzzyvariables" => Key::FuzzyVariables,
                b"scanbytesfromlocalstorage" => Key::LocalScanBytes,
                b"scanbytesfromremotestorage" => Key::RemoteScanBytes,
                b"spillwritebytestolocalstorage" => Key::SpillWriteBytes,
                b"queriedtablesandviews" => Key::QueriedTables,
                b"sessionid" => Key::SessionId,
                _ => Key::Unknown,
            },
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

impl Key {
    /// The key that Doris, in every version that writes any there, writes first behind this free text.
    fn next(self) -> Option<Key> {
        match self {
            Key::Stmt => Some(Key::CpuTimeMs),
            Key::ErrorMessage => Some(Key::Time),
            Key::Message => Some(Key::Url),
            _ => None,
        }
    }

    /// Whether a text can be a value of this key; keeps text of a statement that looks like a field
    /// from being one.
    fn admits(self, name: &str, value: &str) -> bool {
        let nothing = value.is_empty() || value == "null";
        match self {
            Key::ErrorCode
            | Key::Time
            | Key::ScanBytes
            | Key::ScanRows
            | Key::ReturnRows
            | Key::StmtId
            | Key::CpuTimeMs
            | Key::ShuffleSendBytes
            | Key::ShuffleSendRows
            | Key::PeakMemoryBytes
            | Key::LocalScanBytes
            | Key::RemoteScanBytes
            | Key::SpillWriteBytes
            | Key::TotalRows
            | Key::LoadedRows
            | Key::FilteredRows
            | Key::UnselectedRows
            | Key::LoadBytes => nothing || value.trim().parse::<i64>().is_ok(),
            Key::IsQuery | Key::IsNereids | Key::IsInternal => nothing || boolean(value).is_some(),
            Key::SqlHash | Key::SqlDigest | Key::QueryId | Key::TraceId | Key::SessionId => {
                !value.trim().contains(|c: char| c.is_whitespace() || "'\"`(),;".contains(c))
            }
            // A key nobody knows yet looks like one of Doris' (camel case), not like a column.
            Key::Unknown => {
                name.contains(|c: char| c.is_ascii_uppercase())
                    && !value.contains(['\n', '\'', '"', ';'])
            }
            Key::FuzzyVariables | Key::QueriedTables | Key::Url => !value.contains('\n'),
            // No version writes free text behind free text.
            Key::Stmt | Key::ErrorMessage | Key::Message => false,
            _ => !value.contains(['\n', '\'', '"', ';']),
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
    /// Reads `Key=Value`.
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
}

/// Splits `|Key=Value|Key=Value...`.
///
/// Most values hold no `|Key=`, and end where the next key begins. Those that may hold anything, the
/// error message and the statement, end where a row of plausible fields begins that reaches to the end
/// of their part of the record, each key once in a record. This row is found from its end, since the
/// text may quote a whole record.
fn split(kind: RecordKind, text: &str) -> Vec<Field<'_>> {
    let mut fields: Vec<Field<'_>> = Vec::with_capacity(40);
    let mut rest = text;
    while let Some(field) = rest.strip_prefix('|').and_then(|piece| Field::parse(kind, piece)) {
        let end = if !field.key.is_free_text() {
            next_key(kind, field.value)
        } else if field.key == Key::Stmt {
            None
        } else {
            field.value.find("|Stmt=")
        };
        let (part, behind) = field.value.split_at(end.unwrap_or(field.value.len()));
        rest = behind;
        if field.key.is_free_text() {
            let row = fields_at_end(kind, field.key, part, &fields);
            let end = row.first().map_or(part.len(), |first| offset_of(part, first));
            fields.push(Field { value: &part[..end], ..field });
            fields.extend(row);
        } else {
            fields.push(Field { value: part, ..field });
        }
    }
    fields
}

/// Where in `text` the next `|Key=` stands.
fn next_key(kind: RecordKind, text: &str) -> Option<usize> {
    memchr::memchr_iter(b'|', text.as_bytes())
        .find(|bar| Field::parse(kind, &text[bar + 1..]).is_some())
}

/// The row of plausible fields at the end of `text`, the value of `free`; none of them is among `seen`.
fn fields_at_end<'a>(
    kind: RecordKind,
    free: Key,
    text: &'a str,
    seen: &[Field<'a>],
) -> Vec<Field<'a>> {
    let mut fields: Vec<Field<'a>> = Vec::new();
    let mut rest = text;
    while let Some(bar) = memchr::memrchr(b'|', rest.as_bytes()) {
        let Some(field) = Field::parse(kind, &rest[bar + 1..]) else { break };
        let again = |other: &Field<'_>| match field.key {
            Key::Unknown => other.name == field.name,
            key => other.key == key,
        };
        if !field.key.admits(field.name, field.value)
            || seen.iter().any(again)
            || fields.iter().any(again)
        {
            break;
        }
        fields.push(field);
        rest = &rest[..bar];
    }
    fields.reverse();
    // The text may end with what looks like a field, too: the row begins with the key that is known to
    // follow, or with any that is known. Only where there is no text before it may it be a new one.
    let begin = fields
        .iter()
        .position(|field| Some(field.key) == free.next())
        .or_else(|| fields.iter().position(|field| field.key != Key::Unknown))
        .unwrap_or(fields.len());
    let new = rest.is_empty() && fields[..begin].iter().all(|field| field.key == Key::Unknown);
    if !new {
        fields.drain(..begin);
    }
    fields
}

/// Where in `text` the bar before a field taken from it stands.
fn offset_of(text: &str, field: &Field<'_>) -> usize {
    field.name.as_ptr() as usize - text.as_ptr() as usize - 1
}
