//! Rows of an audit table as the mysql client prints them for people: below each other (`\\G`), or in a box (`-t`).

use std::io::{BufRead, BufReader, Read};

use super::input::read_line;
use super::{Reader, Stop};
use crate::formats::audit_log::{MAX_LINE_BYTES, MAX_RECORD_BYTES};
use crate::formats::dump::{is_client_message, item_of_row};
use crate::formats::encoding::lossy;
use crate::formats::record_builder::Key;
use crate::formats::rows::Columns;
use crate::formats::{Item, SkipReason, Skipped};

/// Lines above a table: the statement that a person typed, and messages of the client.
const MAX_LINES_ABOVE: usize = 20;

/// How the client prints rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Layout {
    /// A line for each column, below a line of stars for each row.
    Vertical,
    /// A line for each row, between bars.
    Boxed,
}

impl Layout {
    /// Returns how a text that begins with `head` has rows of an audit table; none if it has none.
    pub(in crate::formats) fn sniff(head: &[u8]) -> Option<Layout> {
        let lines: Vec<&[u8]> =
            head.split(|byte| *byte == b'\n').take(MAX_LINES_ABOVE + 100).map(line_of).collect();
        let at = lines
            .iter()
            .take(MAX_LINES_ABOVE)
            .position(|line| is_row_head(line) || is_border(line))?;
        let is_above = |line: &&[u8]| {
            line.is_empty()
                || is_client_message(line)
                || line.starts_with(b"mysql>")
                || line.starts_with(b"    ->")
                || line.starts_with(b"MySQL [")
                || line.starts_with(b"MariaDB [")
        };
        if !lines[..at].iter().all(is_above) {
            return None;
        }
        let (layout, names) = match is_border(lines[at]) {
            true => (Layout::Boxed, boxed_names(lines.get(at + 1)?)?),
            false => {
                let mut row = VerticalRow::default();
                let rest = lines[at + 1..].iter().take_while(|line| !is_row_head(line));
                rest.for_each(|line| row.push(&lossy(line)));
                (Layout::Vertical, row.names)
            }
        };
        has_audit_columns(&Columns::new(names)).then_some(layout)
    }
}

/// Returns whether columns are those of an audit table.
fn has_audit_columns(columns: &Columns) -> bool {
    columns.has(Key::QueryId) && (columns.has(Key::Stmt) || columns.has(Key::Timestamp))
}

fn line_of(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Reads a line without its end. Returns false, and an empty line, after the last one.
fn next_line<E>(
    input: &mut impl BufRead,
    line: &mut Vec<u8>,
    number: u64,
) -> Result<bool, Stop<E>> {
    let has_line = read_line(input, line, MAX_LINE_BYTES);
    let has_line = has_line.map_err(|error| Stop::Input { line: number, error })?;
    let length = line_of(line.strip_suffix(b"\n").unwrap_or(line)).len();
    line.truncate(length);
    Ok(has_line)
}

/// Returns whether a line is `*** 1. row ***`, with 27 stars on each side.
fn is_row_head(line: &[u8]) -> bool {
    let stars = [b'*'; 27];
    let number = line.strip_prefix(&stars).and_then(|rest| rest.strip_suffix(&stars));
    number
        .and_then(|text| text.strip_prefix(b" ")?.strip_suffix(b". row "))
        .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// Returns whether a line is the border of a box: `+----+------+`.
fn is_border(line: &[u8]) -> bool {
    line.len() > 4
        && line.starts_with(b"+-")
        && line.ends_with(b"-+")
        && line.iter().all(|byte| matches!(byte, b'+' | b'-'))
}

/// Returns whether a line is what the client prints below the rows: `2 rows in set (0.01 sec)`.
fn is_row_count(line: &str) -> bool {
    let (count, rest) = line.split_once(' ').unwrap_or_default();
    !count.is_empty()
        && count.bytes().all(|byte| byte.is_ascii_digit())
        && (rest.starts_with("row in set") || rest.starts_with("rows in set"))
}

/// Returns the names of the columns of a box.
fn boxed_names(line: &[u8]) -> Option<Vec<String>> {
    let line = std::str::from_utf8(line).ok()?;
    let names = line.strip_prefix('|')?.strip_suffix('|')?.split('|');
    Some(names.map(|name| name.trim().to_string()).collect())
}

/// A row whose columns are below each other.
#[derive(Default)]
struct VerticalRow {
    names: Vec<String>,
    values: Vec<String>,
    /// Where each name ends: names end below each other.
    width: usize,
}

impl VerticalRow {
    /// Adds a line: a column with its value, or one more line of the value before.
    fn push(&mut self, line: &str) {
        let known = |name: &str| self.names.iter().any(|other| other == name);
        match column_of(line).filter(|(name, _, width)| {
            self.names.is_empty() || *width == self.width && !known(name)
        }) {
            Some((name, value, width)) => {
                self.width = width;
                self.names.push(name.to_string());
                self.values.push(value.to_string());
            }
            None => {
                if let Some(value) = self.values.last_mut() {
                    value.push('\n');
                    value.push_str(line);
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        self.values.iter().map(String::len).sum()
    }
}

/// Returns name and value of a line like `   query_id: 1-2`, and where the name ends.
fn column_of(line: &str) -> Option<(&str, &str, usize)> {
    let (before, value) = line.split_once(':')?;
    let name = before.trim_start();
    let is_name = |c: char| c.is_alphanumeric() || "_`.()*".contains(c);
    let is_column = !name.is_empty() && name.chars().all(is_name);
    is_column.then(|| (name, value.strip_prefix(' ').unwrap_or(value), before.chars().count()))
}

/// A row of a box.
struct BoxedRow {
    text: String,
    line: u64,
}

impl<E> Reader<'_, '_, E> {
    /// Reads rows as the client prints them.
    pub(super) fn read_client_table(
        &mut self,
        input: &mut dyn Read,
        layout: Layout,
    ) -> Result<(), Stop<E>> {
        let input = BufReader::with_capacity(1 << 18, input);
        match layout {
            Layout::Vertical => self.read_vertical(input),
            Layout::Boxed => self.read_boxed(input),
        }
    }

    fn read_vertical(&mut self, mut input: impl BufRead) -> Result<(), Stop<E>> {
        let (mut row, mut head, mut replaced) = (VerticalRow::default(), None, false);
        let mut line = Vec::new();
        for number in 1.. {
            let has_line = next_line(&mut input, &mut line, number)?;
            let (bytes, text) = (line.as_slice(), lossy(&line));
            let ends = !has_line || is_row_head(bytes) || is_row_count(&text);
            if ends && let Some(first) = head.take() {
                let row = std::mem::take(&mut row);
                self.emit_row(first, &Columns::new(row.names), row.values, replaced)?;
                replaced = false;
            }
            match () {
                () if !has_line => break,
                () if is_row_head(bytes) => head = Some(number),
                () if head.is_some() => {
                    replaced |= matches!(text, std::borrow::Cow::Owned(_));
                    if row.bytes() <= MAX_RECORD_BYTES {
                        row.push(&text);
                    }
                }
                () => {}
            }
        }
        Ok(())
    }

    fn read_boxed(&mut self, mut input: impl BufRead) -> Result<(), Stop<E>> {
        let mut columns: Option<(Columns, Vec<usize>)> = None;
        let (mut border, mut row): (Vec<usize>, Option<BoxedRow>) = (Vec::new(), None);
        let mut line = Vec::new();
        for number in 1.. {
            let has_line = next_line(&mut input, &mut line, number)?;
            let (bytes, text) = (line.as_slice(), lossy(&line));
            let begins = text.starts_with("| ") || is_border(bytes) || !has_line;
            // A value may hold line ends, and lines that begin with a bar.
            let ends = |row: &BoxedRow| begins && row.text.ends_with(" |") || !has_line;
            if let Some(whole) = row.take_if(|row| ends(row))
                && let Some((columns, border)) = &columns
            {
                match cells(&whole.text, columns, border) {
                    Some(values) => {
                        let replaced = whole.text.contains('\u{fffd}');
                        self.emit_row(whole.line, columns, values, replaced)?;
                    }
                    None => self.skip(whole.line, SkipReason::BadRow)?,
                }
            }
            match () {
                () if !has_line => break,
                () if row.is_some() => {
                    let open = row.as_mut().into_iter();
                    open.filter(|row| row.text.len() <= MAX_RECORD_BYTES).for_each(|row| {
                        row.text.push('\n');
                        row.text.push_str(&text);
                    });
                }
                () if is_border(bytes) => {
                    let places = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'+');
                    border = places.map(|(place, _)| place).collect();
                }
                () if text.starts_with("| ") && columns.is_none() => {
                    let names = boxed_names(bytes).unwrap_or_default();
                    columns = Some((Columns::new(names), border.clone()));
                }
                () if text.starts_with("| ") => {
                    row = Some(BoxedRow { text: text.into_owned(), line: number });
                }
                () => {}
            }
        }
        Ok(())
    }

    fn emit_row(
        &mut self,
        line: u64,
        columns: &Columns,
        values: Vec<String>,
        replaced: bool,
    ) -> Result<(), Stop<E>> {
        if values.iter().map(String::len).sum::<usize>() > MAX_RECORD_BYTES {
            return self.skip(line, SkipReason::TooLarge);
        }
        let values = values.iter().map(|value| (value != "NULL").then_some(value.as_str()));
        match item_of_row(columns.row(values, self.options.zone), replaced) {
            Item::Skipped(Skipped { reason, .. }) => self.skip(line, reason),
            item => self.emit(line, item),
        }
    }
}

/// Returns the values of a row of a box; none if it does not have one for each column. The client escapes nothing, so the places
/// of the border tell the bars from those of a value; where characters are wider than one, only the statement may hold bars.
fn cells(row: &str, columns: &Columns, border: &[usize]) -> Option<Vec<String>> {
    let value = |text: &str| text.trim().to_string();
    let chars: Vec<char> = row.chars().collect();
    let fits = border.last().is_some_and(|last| last + 1 == chars.len())
        && border.iter().all(|place| chars[*place] == '|');
    if fits {
        let cell = |pair: &[usize]| chars[pair[0] + 1..pair[1]].iter().collect::<String>();
        return Some(border.windows(2).map(|pair| value(&cell(pair))).collect());
    }
    let parts: Vec<&str> = row.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
    let count = border.len().checked_sub(1)?;
    let more = parts.len().checked_sub(count)?;
    let statement = columns.place(Key::Stmt).unwrap_or(0);
    let cell = |column: usize| match column.cmp(&statement) {
        std::cmp::Ordering::Less => value(parts[column]),
        std::cmp::Ordering::Equal => value(&parts[column..=column + more].join(" | ")),
        std::cmp::Ordering::Greater => value(parts[column + more]),
    };
    Some((0..count).map(cell).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_row_below_a_line_of_stars_is_one_of_an_audit_table() {
        let head = format!("{0} 1. row {0}\n", "*".repeat(27));
        for (layout, text) in [
            (
                Some(Layout::Vertical),
                format!("{head}query_id: 1-2\n    time: 2026-03-01 10:00:00\n"),
            ),
            (
                Some(Layout::Vertical),
                format!("mysql> select * from t\\G\n{head}query_id: 1\n    stmt: x\n"),
            ),
            (None, format!("{head}query_id: 1-2\n")),
            (None, format!("some text\n{head}query_id: 1-2\n    time: x\n")),
            (None, head.replace("1. row", "a row")),
            (
                Some(Layout::Boxed),
                "+----------+------+\n| query_id | stmt |\n+----------+------+\n".to_string(),
            ),
            (None, "+----------+------+\n| Variable | Value |\n".to_string()),
            (None, "+---+\n".to_string()),
        ] {
            assert_eq!(Layout::sniff(text.as_bytes()), layout, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let stars = format!("{0} 1. row {0}\nquery_id: 1\n    stmt: ", "*".repeat(27));
            let table = "+----------+------+\n| query_id | stmt |\n+----------+------+\n| ";
            for (layout, start) in [(Layout::Vertical, stars.as_str()), (Layout::Boxed, table)] {
                let text = [start.as_bytes(), &rest].concat();
                let zone = crate::domain::time::Zone::UTC;
                let options = crate::formats::file::Options { zone, encoding: None };
                let mut emit = |_: crate::formats::file::Location<'_>, _| Ok::<(), ()>(());
                let mut reader = Reader::new(std::path::Path::new("x"), options, &mut emit);
                let _ = reader.read_client_table(&mut &text[..], layout);
            }
        }
    }
}
