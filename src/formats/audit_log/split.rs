//! The fields of a record's text.

use super::field::{Field, FieldStart, Fields, KeySet, PlacedField, offset_of};
use super::prefix::{Prefix, RecordKind};
use super::row_search::RowSearch;
use crate::formats::ForeignLines;
use crate::formats::record_builder::Key;

/// The fields of a record, and the lines after them that are part of no record.
pub(super) struct Split<'a> {
    pub fields: Vec<Field<'a>>,
    pub foreign: Option<ForeignLines>,
    /// Whether every record with such fields has a row after its statement, always with the same keys.
    pub has_row: bool,
    /// Plausible fields at the end of a message, directly before the row after it. They are fields or the message's
    /// text; which of both is known once the whole record is read.
    leading: Vec<PlacedField<'a>>,
    /// Whether the record is of a version that writes all other fields before the statement.
    is_statement_last: bool,
    /// Whether an error message after the statement may be any text.
    has_message_after: bool,
}

/// Splits `|Key=Value|Key=Value...` into its fields.
///
/// Three values may be any text: the error message of Doris, which ends where `|Time(ms)=` begins the row of fields
/// before the statement; the message of a stream load, which ends at `|Url=`; and the statement. Behind the statement
/// comes a row of fields in Doris before 3.1 (from `CpuTimeMS` on) and in StarRocks (from `Digest` on), nothing in
/// Doris 3.1 and later. Since the text may quote a whole record, a row is looked for from its end.
pub(super) fn split<'a>(prefix: &Prefix, text: &'a str) -> Split<'a> {
    let kind = prefix.kind;
    let text = without_end_bar(text);
    let mut out = Split {
        fields: Vec::with_capacity(64),
        foreign: None,
        has_row: false,
        leading: Vec::new(),
        is_statement_last: false,
        has_message_after: false,
    };
    let mut keys = KeySet::default();
    let mut fields = Fields::new(kind, text, 0);
    if fields.next_start().is_none_or(|first| first.bar != 0) {
        return out;
    }
    while let Some(placed) = fields.next() {
        let field = placed.field;
        let start = placed.end - field.value.len();
        match field.key {
            Key::Stmt if !keys.has(&field) => {
                keys.add(&field);
                out.add_statement(prefix, text, start, &keys);
                break;
            }
            Key::ErrorMessage | Key::Message if !keys.has(&field) => {
                keys.add(&field);
                let next = out.add_message(kind, text, field, start, &keys);
                for field in &out.fields {
                    keys.add(field);
                }
                // No record has a key twice.
                let repeated = out.leading.iter().rposition(|placed| keys.has(&placed.field));
                out.leading.drain(..repeated.map_or(0, |at| at + 1));
                fields.jump(next);
            }
            // A key that the record has already is text in the value before it.
            _ if !keys.add(&field) => {
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
    /// Returns the fields after the statement.
    pub(super) fn row(&self) -> &[Field<'a>] {
        let statement = self.fields.iter().position(|field| field.key == Key::Stmt);
        statement.map_or(&[], |at| &self.fields[at + 1..])
    }

    pub(super) fn last_key(&self) -> Option<Key> {
        self.fields.last().map(|field| field.key)
    }

    /// Adds a message, whose value begins at `start`, and the row of fields after it. Returns the field after that
    /// row, the statement's.
    fn add_message(
        &mut self,
        kind: RecordKind,
        text: &'a str,
        message: Field<'a>,
        start: usize,
        keys: &KeySet<'a>,
    ) -> Option<FieldStart<'a>> {
        let anchor = match message.key {
            Key::Message => Key::Url,
            _ => Key::Time,
        };
        let mut search = RowSearch::new(keys, anchor);
        let (mut next, mut quoted) = (None, None);
        for placed in Fields::new(kind, text, start) {
            if placed.field.key == Key::Stmt && message.key == Key::ErrorMessage {
                // Every version writes fields between them: a statement directly after a message is in most cases
                // within a text that quotes a record.
                if !search.anchored.fields.is_empty() || !search.plausible.is_empty() {
                    next = Some(placed.start(text));
                    break;
                }
                quoted = quoted.or(Some(placed.start(text)));
            }
            search.add(placed);
        }
        if next.is_none()
            && let Some(only) = quoted
        {
            next = quoted;
            search = RowSearch::new(keys, anchor);
            let before = |placed: &PlacedField<'_>| placed.bar < only.bar;
            Fields::new(kind, text, start).take_while(before).for_each(|placed| search.add(placed));
        }
        let end = next.map_or(text.len(), |next| next.bar);
        let (leading, row) = match search.take_anchored(true) {
            Some(row) => (search.leading, row),
            None => {
                let has_anchor = keys.has_key(anchor) && next.is_some();
                let (leading, row) = search.into_plausible(start);
                // If the anchor comes before the message, the statement ends the row.
                (if has_anchor || !row.is_empty() { leading } else { Vec::new() }, row)
            }
        };
        self.leading = leading;
        self.add_row(text, message, start, end, row);
        next
    }

    /// Adds the statement, whose value begins at `start`, and the row of fields after it.
    fn add_statement(&mut self, prefix: &Prefix, text: &'a str, start: usize, keys: &KeySet<'a>) {
        let statement = Field { key: Key::Stmt, name: "Stmt", value: &text[start..] };
        let has = |name: &str| self.fields.iter().any(|field| field.name == name);
        // Doris 3.1 and later write the statement last, and its line ends as `\n`.
        let has_key = |key: Key| {
            keys.has_key(key) || self.leading.iter().any(|placed| placed.field.key == key)
        };
        self.is_statement_last = has_key(Key::CpuTimeMs)
            && [Key::ParseTimeMs, Key::PlanTimes, Key::CacheHit, Key::ChangedVariables]
                .into_iter()
                .any(has_key);
        if self.is_statement_last {
            let value = statement.first_line().value;
            self.foreign = foreign_lines(text, start + value.len(), text.len());
            let value = without_end_bar(value.strip_suffix('\r').unwrap_or(value));
            self.fields.push(Field { value, ..statement });
            return;
        }
        let is_starrocks = prefix.has_code_place
            || ["ResourceGroup", "AuthorizedUser", "CpuCostNs", "MemCostBytes"]
                .into_iter()
                .any(has);
        let anchor = if is_starrocks { Key::SqlDigest } else { Key::CpuTimeMs };
        // Versions with these keys write the anchor. Older ones wrote nothing after the statement at first.
        self.has_row = !is_starrocks && has("Time(ms)");
        let sure = is_starrocks || self.has_row;
        // StarRocks writes the error message of a failure after the statement.
        let is_error = |field: &Field<'_>| field.key == Key::State && field.value.trim() == "ERR";
        self.has_message_after = is_starrocks && self.fields.iter().any(is_error);
        let mut search = RowSearch::new(keys, anchor);
        search.may_hold_message = self.has_message_after;
        for placed in Fields::new(prefix.kind, text, start) {
            search.add(placed);
        }
        let row = search.take_anchored(sure);
        let mut row = row.unwrap_or_else(|| search.into_plausible(start).1);
        if self.has_message_after {
            extend_message(&mut row);
        }
        self.add_row(text, statement, start, text.len(), row);
    }

    /// Adds a free text, whose value begins at `start`, and the row after it, which ends at `end`.
    fn add_row(
        &mut self,
        text: &'a str,
        free_text: Field<'a>,
        start: usize,
        end: usize,
        row: Vec<PlacedField<'a>>,
    ) {
        let text_end = row.first().map_or(end, |first| first.bar);
        let value = &text[start..text_end];
        let value = if row.is_empty() { without_blank_lines(value) } else { value };
        self.fields.push(Field { value, ..free_text });
        self.fields.extend(row.iter().map(|placed| placed.whole(text)));
    }

    /// Moves the fields at the end of a message out of it: those whose keys are nowhere else in the record, and that
    /// its version writes before the statement. A message that quotes a record repeats keys of its own record.
    fn add_leading(&mut self, text: &'a str) {
        let is_message = |field: &Field<'_>| matches!(field.key, Key::ErrorMessage | Key::Message);
        let message = self.fields.iter().position(is_message);
        let Some(at) = message.filter(|_| !self.leading.is_empty()) else {
            return;
        };
        let mut after = KeySet::default();
        for field in self.row() {
            after.add(field);
        }
        let may_be_any_key = self.is_statement_last || self.fields[at].key == Key::Message;
        let is_text = |placed: &PlacedField<'_>| {
            after.has(&placed.field) || !may_be_any_key && !is_before_statement(placed.field.key)
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

    /// Drops lines from the values that hold none: lines of other programs after a record or, if a record was broken,
    /// within it.
    fn cut_lines(&mut self, text: &str) {
        let position = |key: Key| self.fields.iter().position(|field| field.key == key);
        let free = position(Key::Stmt).or(position(Key::ErrorMessage)).or(position(Key::Message));
        let last_known = self.fields.iter().rposition(|field| field.key != Key::Unknown);
        for at in 0..self.fields.len() {
            let field = self.fields[at];
            let is_free = field.key.is_free_text() && free.is_none_or(|free| at <= free);
            if self.has_message_after && Some(at) > free && field.is_error_text() {
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
            let first_line = field.first_line();
            // Within a row, only a value that can have but one line is known to be broken.
            let is_broken =
                !field.is_plausible() && is_token(field.key) && first_line.is_plausible();
            if !is_last && !is_broken {
                continue;
            }
            let line = first_line.value;
            let start = offset_of(text, field.value);
            self.fields[at].value = without_end_bar(line.strip_suffix('\r').unwrap_or(line));
            // A foreign line has no fields.
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

/// Adds to an error message in a row what looks like fields directly after it and has no frontend's keys.
fn extend_message(row: &mut Vec<PlacedField<'_>>) {
    let Some(at) = row.iter().position(|placed| placed.field.is_error_text()) else {
        return;
    };
    let is_text = |field: &Field<'_>| {
        field.key == Key::Unknown && !field.name.contains(|c: char| c.is_ascii_uppercase())
    };
    let count = row[at + 1..].iter().take_while(|placed| is_text(&placed.field)).count();
    row[at].end = row[at + count].end;
    row.drain(at + 1..at + 1 + count);
}

/// Returns whether a line between records is blank, or what grep writes between two places.
pub(super) fn is_no_content(line: &[u8]) -> bool {
    matches!(line.trim_ascii(), b"" | b"--")
}

/// Counts the lines of a part of a text that begin in it and have content. The first of them is counted from 0 at the
/// text's first.
pub(super) fn foreign_lines(text: &str, start: usize, end: usize) -> Option<ForeignLines> {
    if text[start..end].trim().is_empty() {
        return None;
    }
    let first = memchr::memchr_iter(b'\n', &text.as_bytes()[..start]).count() as u64;
    let lines = (first..).zip(text[start..end].split('\n'));
    let mut foreign: Option<ForeignLines> = None;
    for (line, _) in lines.filter(|(_, text)| !is_no_content(text.as_bytes())) {
        match &mut foreign {
            None => foreign = Some(ForeignLines { first: line, count: 1 }),
            Some(foreign) => foreign.count += 1,
        }
    }
    foreign
}

/// Returns whether versions with fields after the statement write this one before it. True for an unknown key.
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

/// Returns whether a value is one word or number.
pub(super) fn is_token(key: Key) -> bool {
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

/// Returns a text without the blank lines at its end.
pub(super) fn without_blank_lines(text: &str) -> &str {
    let end = text.trim_end().len();
    match text[end..].find('\n') {
        Some(line_end) => {
            text[..end + line_end].strip_suffix('\r').unwrap_or(&text[..end + line_end])
        }
        None => text,
    }
}

/// Returns a text without the bar that other programs write at a record's end.
fn without_end_bar(text: &str) -> &str {
    text.trim_end_matches([' ', '\r']).strip_suffix('|').unwrap_or(text)
}
