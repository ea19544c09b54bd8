//! The text before the fields of a record: the time of writing, and the record's type.

use chrono::NaiveDateTime;

use crate::domain::time::{Zone, leading_local_time, leading_zone_offset};
use crate::formats::SkipReason;
use crate::formats::record_builder::{Entry, Key, RecordBuilder, WrittenAt, lower_case};

/// A shorter run of NUL bytes may be a statement's own text: a hole in a file is larger.
const MIN_HOLE_BYTES: usize = 64;

/// The longest thread or type in its brackets, in bytes.
const MAX_BRACKET_BYTES: usize = 200;

/// The prefix of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prefix {
    pub kind: RecordKind,
    /// When the record was written.
    pub written: NaiveDateTime,
    /// Seconds east of UTC, if the log names them.
    offset: Option<i64>,
    /// Bytes of the line that belong to the prefix.
    pub length: usize,
    /// Whether the prefix names a place in StarRocks' code, `[AuditLog.log():68]`.
    pub has_code_place: bool,
    /// Whether the prefix names that place and no type.
    pub is_untyped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordKind {
    Query,
    SlowQuery,
    Load,
    StreamLoad,
    /// A log-in.
    Connection,
    /// A type that annals does not keep.
    Other,
}

impl Prefix {
    /// Returns the prefix at the start of a line, or None if the line has none.
    ///
    /// A prefix is a time, perhaps its offset, perhaps a level word and a thread in parentheses, then the type in
    /// brackets. StarRocks may write a place in its code there (`[AuditLog.log():68]`), with or without the type after
    /// it. Fields or an object must follow: else the line is one of a statement.
    pub(super) fn parse(line: &[u8]) -> Option<Prefix> {
        let (written, mut at) = leading_local_time(line)?;
        let offset = leading_zone_offset(&line[at..]);
        at += offset.map_or(0, |(_, length)| length);
        at += spaces(&line[at..])?;
        let level = line[at..].iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        if level > 0 {
            at += level + spaces(&line[at + level..])?;
        }
        if line.get(at) == Some(&b'(') {
            at += bracket_length(&line[at..], b')')?;
            at += spaces(&line[at..])?;
        }
        let mut kind = None;
        let (mut has_code_place, mut is_untyped) = (false, true);
        while line.get(at) == Some(&b'[') {
            let length = bracket_length(&line[at..], b']')?;
            let name = &line[at + 1..at + length - 1];
            if name.starts_with(b"AuditLog") {
                has_code_place = true;
                kind = kind.or(Some(RecordKind::Query));
            } else {
                is_untyped = false;
                kind = Some(RecordKind::of_name(name)?);
            }
            at += length;
            at += spaces(&line[at..]).unwrap_or(0);
        }
        let kind = kind.filter(|_| matches!(line.get(at), Some(b'|' | b'{')))?;
        let offset = offset.map(|(seconds, _)| seconds);
        Some(Prefix { kind, written, offset, length: at, has_code_place, is_untyped })
    }

    /// Returns when the record was written, in Unix milliseconds; local to `zone` if the log names no offset.
    pub(super) fn written_ms(&self, zone: Zone) -> i64 {
        match self.offset {
            Some(seconds) => self.written.and_utc().timestamp_millis() - seconds * 1000,
            None => zone.instant_ms(self.written),
        }
    }

    /// Whether the log names no offset.
    pub(super) fn is_local(&self) -> bool {
        self.offset.is_none()
    }

    /// Returns the entry of a record with this prefix. Errors as [`RecordBuilder::finish`] does.
    pub(super) fn finish(
        &self,
        builder: RecordBuilder,
        written: WrittenAt,
    ) -> Result<Entry, SkipReason> {
        let mut entry = builder.finish(Some(written))?;
        if let Entry::Record(record) = &mut entry {
            record.is_slow |= self.kind == RecordKind::SlowQuery;
            if self.kind == RecordKind::Load {
                // Doris writes this record when the load's data became visible.
                record.state.get_or_insert_with(|| "FINISHED".to_string());
            }
        }
        Ok(entry)
    }
}

impl RecordKind {
    /// Returns the kind of a type's name, or None if no frontend writes such a name.
    fn of_name(name: &[u8]) -> Option<RecordKind> {
        Some(match name {
            // StarRocks writes a query that cost much a second time, as `[big_query]`.
            b"query" | b"big_query" => RecordKind::Query,
            b"slow_query" => RecordKind::SlowQuery,
            b"load" => RecordKind::Load,
            b"stream_load" => RecordKind::StreamLoad,
            b"connection" => RecordKind::Connection,
            _ => {
                let is_name = !name.is_empty()
                    && name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_');
                is_name.then_some(RecordKind::Other)?
            }
        })
    }

    /// Returns the key of a name in a record of this kind. Letter case does not matter: versions differ in it.
    pub(super) fn key(self, name: &str) -> Key {
        let mut buffer = [0; 64];
        let Some(lower) = lower_case(name, &mut buffer) else { return Key::Unknown };
        match self {
            RecordKind::Query | RecordKind::SlowQuery | RecordKind::Connection => {
                Key::of_audit(lower)
            }
            RecordKind::Load => match lower {
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
            RecordKind::StreamLoad => match lower {
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

/// Returns whether a line that was cut off may be the start of a prefix.
pub(super) fn may_begin_prefix(line: &[u8]) -> bool {
    line.iter().zip(b"0000-00-00 00:00:00").all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        _ => byte == shape,
    })
}

/// Returns a line without the NUL bytes before a record, which a loss of power leaves, or a copy of the log that
/// truncates it; nothing of a line of such bytes alone.
pub(super) fn without_nuls(line: &[u8]) -> &[u8] {
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

/// Returns a line without its byte-order mark.
pub(super) fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}

/// Returns the number of blanks at the start, or None if there are none.
fn spaces(text: &[u8]) -> Option<usize> {
    match text.iter().take_while(|byte| **byte == b' ').count() {
        0 => None,
        count => Some(count),
    }
}

/// Returns the length of a text to its closing bracket, or None if no such bracket is near.
fn bracket_length(text: &[u8], close: u8) -> Option<usize> {
    let end = text.iter().take(MAX_BRACKET_BYTES).position(|byte| *byte == close)?;
    Some(end + 1)
}
