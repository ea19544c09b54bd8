//! Rows of an audit table as people save them: CSV, or TSV as the mysql client's batch mode prints it.
//!
//! The first line names the columns, as Doris' `audit_log` table, StarRocks' or annals' own export call them.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use super::audit_log::MAX_LINE_BYTES;
use super::record_builder::Key;
use super::rows::{Row, RowError, row_of_columns};
use super::{Item, SkipReason, Skipped};
use crate::domain::time::Zone;

/// The columns of a dump, and how its rows are written.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Bytes that stand before the line of names: blank lines, and what a client says.
    above: u64,
    lines_above: u64,
    names: Vec<String>,
    keys: Vec<Key>,
    separator: u8,
    /// Whether values may stand in double quotes; else a backslash begins an escape.
    quoted: bool,
    /// Whether lines end with CR and LF.
    with_cr: bool,
}

impl Header {
    /// Reads a line of column names at the start of a text; None where there is none.
    pub(super) fn of(head: &[u8]) -> Option<Header> {
        let (mut above, mut lines_above) = (0, 0);
        let mut lines = head.split(|byte| *byte == b'\n');
        let line = lines.find(|line| {
            let is_above = line.trim_ascii().is_empty() || is_of_client(line);
            if is_above {
                above += line.len() as u64 + 1;
                lines_above += 1;
            }
            !is_above
        })?;
        let line = std::str::from_utf8(line).ok()?;
        let (line, with_cr) = line.strip_suffix('\r').map_or((line, false), |line| (line, true));
        if line.len() > 1 << 14 {
            return None;
        }
        [b'\t', b',', b';', b'|', 1].into_iter().find_map(|separator| {
            let quotes: &[char] = &['"', '`', '\''];
            let names = line.split(char::from(separator));
            let names: Vec<String> =
                names.map(|name| name.trim().trim_matches(quotes).to_string()).collect();
            let keys: Vec<Key> = names.iter().map(|name| Key::of_column(name)).collect();
            let has = |key| keys.contains(&key);
            let is_header = has(Key::QueryId) && (has(Key::Stmt) || has(Key::Timestamp));
            let quoted = separator != b'\t' || line.starts_with('"');
            is_header.then_some(Header {
                above,
                lines_above,
                names,
                keys,
                separator,
                quoted,
                with_cr,
            })
        })
    }

    /// Hands the record of each row below the header to `row`, with the number of its line.
    ///
    /// Errors where the input cannot be read, with the line, or as `row` does.
    pub(super) fn read<E>(
        &self,
        input: impl Read,
        zone: Zone,
        row: &mut dyn FnMut(u64, Item) -> Result<(), E>,
    ) -> Result<Result<(), E>, (u64, io::Error)> {
        // A quote that is never closed makes one value of the whole file.
        let left = Rc::new(Cell::new(MAX_LINE_BYTES));
        let mut input = Limited { input, left: left.clone() };
        let above = io::copy(&mut input.by_ref().take(self.above), &mut io::sink());
        above.map_err(|error| (1, error))?;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(self.separator)
            .quoting(self.quoted)
            .flexible(true)
            .has_headers(false)
            .from_reader(input);
        let mut fields = csv::ByteRecord::new();
        let mut is_header = true;
        loop {
            left.set(MAX_LINE_BYTES);
            let line = reader.position().line() + self.lines_above;
            match reader.read_byte_record(&mut fields) {
                Ok(true) => {}
                Ok(false) => return Ok(Ok(())),
                Err(error) => match error.into_kind() {
                    csv::ErrorKind::Io(error) => return Err((line, error)),
                    _ => return Err((line, io::ErrorKind::InvalidData.into())),
                },
            }
            if std::mem::take(&mut is_header) {
                continue;
            }
            // A row is said to begin between the CR and the LF of the one before.
            let line = fields.position().map_or(line, |at| at.line() + self.lines_above)
                + u64::from(self.with_cr);
            if let Err(error) = row(line, self.record(&fields, zone)) {
                return Ok(Err(error));
            }
        }
    }

    fn record(&self, fields: &csv::ByteRecord, zone: Zone) -> Item {
        let mut replaced = false;
        let values: Vec<Option<String>> = fields
            .iter()
            .map(|field| {
                let text = String::from_utf8_lossy(field);
                replaced |= matches!(text, std::borrow::Cow::Owned(_));
                match &*text {
                    "\\N" | "NULL" => None,
                    text if self.quoted => Some(text.to_string()),
                    text => Some(unescaped(text)),
                }
            })
            .collect();
        let values = values.iter().map(Option::as_deref);
        found(row_of_columns(&self.names, &self.keys, values, zone), replaced)
    }
}

/// Whether a line is what a client of MySQL or MariaDB says before the answer: `mysql: [Warning] …`, or as versions
/// before 5.7 and MariaDB have it, `Warning: …`.
fn is_of_client(line: &[u8]) -> bool {
    let Some(at) = line.iter().take(40).position(|byte| *byte == b':') else { return false };
    let (name, rest) = (&line[..at], &line[at + 1..]);
    name.eq_ignore_ascii_case(b"warning") && rest.starts_with(b" ")
        || [&b" [Warning]"[..], b" [Note]", b" [ERROR]"].iter().any(|sign| rest.starts_with(sign))
}

/// What a row is.
pub(super) fn found(row: Result<Row, RowError>, replaced: bool) -> Item {
    let reason = match row {
        Ok(Row::Record(record)) => {
            return Item::Record {
                record,
                replaced,
                cut: None,
                foreign: None,
                misread: Vec::new(),
            };
        }
        Ok(Row::Login(login)) => return Item::Login { login, foreign: None },
        Err(RowError::Record(reason)) => reason,
        Err(RowError::Columns { .. } | RowError::Misread(_)) => SkipReason::BadRow,
        Err(RowError::NotJson(_) | RowError::NotAnObject | RowError::NoRoot(_)) => {
            SkipReason::NotJson
        }
        Err(RowError::QueryIdType) => SkipReason::NoQueryId,
    };
    // The line is told by who knows it.
    Item::Skipped(Skipped { line: 0, reason })
}

/// A value as the mysql client's batch mode escapes it: `\n`, `\t`, `\0` and `\\`.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        if sign != '\\' {
            plain.push(sign);
            continue;
        }
        match signs.next() {
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

/// Reads as long as one row is not larger than can be.
pub(super) struct Limited<R> {
    pub(super) input: R,
    pub(super) left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let most = buffer.len().min(self.left.get());
        let length = self.input.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &[u8]) -> Vec<(u64, Item)> {
        let mut rows = Vec::new();
        let header = Header::of(text).unwrap();
        let read = header.read(text, Zone::UTC, &mut |line, found| {
            rows.push((line, found));
            Ok::<(), ()>(())
        });
        assert!(matches!(read, Ok(Ok(()))), "{read:?}");
        rows
    }

    fn statement(found: &Item) -> &str {
        match found {
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
    fn other_tables_are_none() {
        for text in ["a,b\n1,2\n", "time,stmt\n", "query_id,db\n", "", "query_id\n"] {
            assert!(Header::of(text.as_bytes()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_the_mysql_client_writes_comes_back(value in ".{0,40}") {
            let escaped = value
                .replace('\\', "\\\\")
                .replace('\n', "\\n")
                .replace('\t', "\\t")
                .replace('\0', "\\0");
            prop_assert_eq!(unescaped(&escaped), value);
        }

        #[test]
        fn no_bytes_break_it(rest in prop::collection::vec(any::<u8>(), 0..200)) {
            for header in ["query_id,time,stmt\n", "query_id\ttime\tstmt\n"] {
                let text = [header.as_bytes(), &rest].concat();
                let header = Header::of(&text).unwrap();
                let _ = header.read(&text[..], Zone::UTC, &mut |_, _| Ok::<(), ()>(()));
            }
        }
    }
}
