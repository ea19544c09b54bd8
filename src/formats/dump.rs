//! Rows of an audit table that people saved: CSV, or TSV as the batch mode of the mysql client prints it.
//!
//! The first line has the names of the columns: those of Doris' `audit_log` table, of StarRocks' or of annals' own export.

use std::io::{self, Read};

use super::audit_log::MAX_LINE_BYTES;
use super::budget::Budget;
use super::encoding::lossy;
use super::file::Stop;
use super::formula::unguarded;
use super::record_builder::{Entry, Key};
use super::rows::{Columns, RowError};
use super::{Item, SkipReason, Skipped};
use crate::domain::time::Zone;

/// The longest line of column names, in bytes.
const MAX_HEADER_BYTES: usize = 1 << 14;

/// The columns of a dump, and how its rows are written.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Bytes before the line of names: blank lines, and messages of a client.
    bytes_above: u64,
    lines_above: u64,
    columns: Columns,
    /// Whether annals exported the rows.
    is_own: bool,
    separator: u8,
    /// Whether values may be in double quotes; else a backslash begins an escape.
    is_quoted: bool,
    /// Whether lines end with CR and LF.
    has_cr: bool,
}

impl Header {
    /// Returns the line of column names at the start of a text, or None if the text has none.
    pub(super) fn sniff(head: &[u8]) -> Option<Header> {
        let (mut bytes_above, mut lines_above) = (0, 0);
        let mut lines = head.split(|byte| *byte == b'\n');
        let line = lines.find(|line| {
            let is_above = line.trim_ascii().is_empty() || is_client_message(line);
            if is_above {
                bytes_above += line.len() as u64 + 1;
                lines_above += 1;
            }
            !is_above
        })?;
        let line = std::str::from_utf8(line).ok()?;
        let (line, has_cr) = line.strip_suffix('\r').map_or((line, false), |line| (line, true));
        if line.len() > MAX_HEADER_BYTES {
            return None;
        }
        [b'\t', b',', b';', b'|', 1].into_iter().find_map(|separator| {
            let quotes: &[char] = &['"', '`', '\''];
            let names = line.split(char::from(separator));
            let columns = Columns::new(
                names.map(|name| name.trim().trim_matches(quotes).to_string()).collect(),
            );
            let is_header = columns.has(Key::QueryId)
                && (columns.has(Key::Stmt) || columns.has(Key::Timestamp));
            let is_own = columns.has(Key::Computed) && columns.has(Key::IsStartEstimated);
            let is_quoted = separator != b'\t' || line.starts_with('"');
            is_header.then_some(Header {
                bytes_above,
                lines_above,
                columns,
                is_own,
                separator,
                is_quoted,
                has_cr,
            })
        })
    }

    /// Calls `emit` with the item of each row below the header and the number of its line.
    ///
    /// Errors if the input cannot be read, or as `emit` does.
    pub(super) fn read<E>(
        &self,
        mut input: impl Read,
        zone: Zone,
        emit: &mut dyn FnMut(u64, Item) -> Result<(), Stop<E>>,
    ) -> Result<(), Stop<E>> {
        // A quote that is never closed makes one value of the whole file.
        let budget = Budget::new(MAX_LINE_BYTES as u64, io::ErrorKind::InvalidData);
        let above = io::copy(&mut input.by_ref().take(self.bytes_above), &mut io::sink());
        above.map_err(|error| Stop::Input { line: 1, error })?;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(self.separator)
            .quoting(self.is_quoted)
            .flexible(true)
            .has_headers(false)
            .from_reader(budget.reader(input));
        let mut fields = csv::ByteRecord::new();
        let mut is_header = true;
        loop {
            budget.reset(MAX_LINE_BYTES as u64);
            let line = reader.position().line() + self.lines_above;
            match reader.read_byte_record(&mut fields) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    let error = match error.into_kind() {
                        csv::ErrorKind::Io(error) => error,
                        _ => io::ErrorKind::InvalidData.into(),
                    };
                    return Err(Stop::Input { line, error });
                }
            }
            if std::mem::take(&mut is_header) {
                continue;
            }
            // The library has a row begin between the CR and the LF of the row before.
            let line = fields.position().map_or(line, |at| at.line() + self.lines_above)
                + u64::from(self.has_cr);
            emit(line, self.item(&fields, zone))?;
        }
    }

    fn item(&self, fields: &csv::ByteRecord, zone: Zone) -> Item {
        let mut replaced = false;
        let values: Vec<Option<String>> = fields
            .iter()
            .map(|field| {
                let text = lossy(field);
                replaced |= matches!(text, std::borrow::Cow::Owned(_));
                match &*text {
                    text if self.is_own => Some(unguarded(text).to_string()),
                    "\\N" | "NULL" => None,
                    _ if self.is_quoted => Some(text.into_owned()),
                    text => Some(unescaped(text)),
                }
            })
            .collect();
        let values = values.iter().map(Option::as_deref);
        item_of_row(self.columns.row(values, zone), replaced)
    }
}

/// Returns whether a line is a message that a client of MySQL or MariaDB prints before the answer:
/// `mysql: [Warning] …`, or, before version 5.7 and in MariaDB, `Warning: …`.
pub(super) fn is_client_message(line: &[u8]) -> bool {
    let Some(at) = line.iter().take(40).position(|byte| *byte == b':') else { return false };
    let (name, rest) = (&line[..at], &line[at + 1..]);
    name.eq_ignore_ascii_case(b"warning") && rest.starts_with(b" ")
        || [&b" [Warning]"[..], b" [Note]", b" [ERROR]"].iter().any(|sign| rest.starts_with(sign))
}

/// Returns the item of a row. `replaced` says that bytes of the row were not UTF-8. The line of a skipped row is 0: the
/// caller sets it.
pub(super) fn item_of_row(row: Result<Entry, RowError>, replaced: bool) -> Item {
    let reason = match row {
        Ok(Entry::Record(record)) => {
            return Item::Record {
                record,
                replaced,
                cut: None,
                foreign: None,
                warnings: Vec::new(),
            };
        }
        Ok(Entry::Login(login)) => return Item::Login { login, foreign: None },
        Err(RowError::Record(reason)) => reason,
        Err(
            RowError::Columns { .. }
            | RowError::WrongType(_)
            | RowError::TooManyValues
            | RowError::OtherCluster(_),
        ) => SkipReason::BadRow,
        Err(RowError::NotJson(_) | RowError::NotAnObject | RowError::NoRoot(_)) => {
            SkipReason::NotJson
        }
        Err(RowError::QueryIdType) => SkipReason::NoQueryId,
    };
    Item::Skipped(Skipped { line: 0, reason })
}

/// Returns a value without the escapes of the mysql client's batch mode: `\n`, `\t`, `\0` and `\\`.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            plain.push(char);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('0') => plain.push('\0'),
            Some('\\') => plain.push('\\'),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &[u8]) -> Vec<(u64, Item)> {
        let mut rows = Vec::new();
        let header = Header::sniff(text).unwrap();
        let read = header.read(text, Zone::UTC, &mut |line, item| {
            rows.push((line, item));
            Ok::<(), Stop<()>>(())
        });
        assert!(read.is_ok());
        rows
    }

    fn statement(item: &Item) -> &str {
        match item {
            Item::Record { record, .. } => record.statement.as_deref().unwrap_or_default(),
            _ => "no record",
        }
    }

    #[test]
    fn quoted_values_may_span_lines() {
        let text = "\"query_id\",\"time\",\"stmt\"\r\n\
                    \"1-2\",\"2026-03-01 10:00:00\",\"select \"\"a\"\",\n1\"\r\n\
                    3-4,2026-03-01 10:00:01,\\N\r\n\
                    5-6,2026-03-01 10:00:02\r\n";
        let rows = rows(text.as_bytes());
        let lines: Vec<u64> = rows.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 4, 5]);
        assert_eq!(statement(&rows[0].1), "select \"a\",\n1");
        assert_eq!(statement(&rows[1].1), "");
        let Item::Skipped(skipped) = &rows[2].1 else { panic!("{:?}", rows[2]) };
        assert_eq!(skipped.reason, SkipReason::BadRow);
    }

    #[test]
    fn a_batch_of_the_mysql_client_escapes() {
        let text = "queryId\ttimestamp\tdb\tstmt\n\
                    1-2\t2026-03-01 10:00:00\tNULL\tselect 'a\\tb',\\n\"c\\\\d\"\n";
        let rows = rows(text.as_bytes());
        assert_eq!(statement(&rows[0].1), "select 'a\tb',\n\"c\\d\"");
        let Item::Record { record, .. } = &rows[0].1 else { panic!("no record") };
        assert_eq!(record.db, None);
    }

    #[test]
    fn other_tables_have_no_header() {
        for text in ["a,b\n1,2\n", "time,stmt\n", "query_id,db\n", "", "query_id\n"] {
            assert!(Header::sniff(text.as_bytes()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_values_of_the_mysql_client_come_back(value in ".{0,40}") {
            let escaped = value
                .replace('\\', "\\\\")
                .replace('\n', "\\n")
                .replace('\t', "\\t")
                .replace('\0', "\\0");
            prop_assert_eq!(unescaped(&escaped), value);
        }

        #[test]
        fn no_bytes_make_it_panic(rest in prop::collection::vec(any::<u8>(), 0..200)) {
            for header in ["query_id,time,stmt\n", "query_id\ttime\tstmt\n"] {
                let text = [header.as_bytes(), &rest].concat();
                let header = Header::sniff(&text).unwrap();
                let _ = header.read(&text[..], Zone::UTC, &mut |_, _| Ok::<(), Stop<()>>(()));
            }
        }
    }
}
