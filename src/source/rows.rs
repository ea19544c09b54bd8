//! Rows that others push: the bodies of stream loads, and JSON. Each row becomes a record; its columns go
//! by the names of Doris' audit table or of annals' own.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::SkipReason;
use super::draft::{Draft, Key};
use crate::query::{Kind, QueryRecord};
use crate::time::Zone;

/// How a body holds its rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// Texts between separators, in the order of `columns`.
    Csv {
        /// The columns' names.
        columns: Vec<String>,
        /// Between two columns; not empty.
        separator: String,
        /// Between two rows; not empty.
        delimiter: String,
    },
    /// An object a line.
    JsonLines,
    /// One array of objects.
    JsonArray,
    /// One object.
    JsonObject,
}

/// Why a row was not taken in.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum RowError {
    #[error("it has {found} columns where {expected} are named")]
    Columns { found: usize, expected: usize },
    #[error("it is not JSON: {0}")]
    NotJson(String),
    #[error("it is not a JSON object")]
    NotAnObject,
    #[error("its query id is neither text nor a number")]
    QueryIdType,
    #[error(transparent)]
    Record(#[from] SkipReason),
}

/// Why a body cannot be read at all.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the body is not one JSON array of objects: {0}")]
pub struct BodyError(String);

/// Reads a body and hands each row to `row`, with its number from 1: of its line, or within the array. Bytes
/// that are not UTF-8 become U+FFFD. Times without a zone are local to `zone`.
///
/// An array that breaks off is an error, though rows before were handed on.
pub fn read(
    body: &[u8],
    format: &Format,
    zone: Zone,
    row: &mut impl FnMut(u64, Result<QueryRecord, RowError>),
) -> Result<(), BodyError> {
    let body = String::from_utf8_lossy(body);
    let body = body.strip_prefix('\u{feff}').unwrap_or(&body);
    match format {
        Format::Csv { columns, separator, delimiter } => {
            let keys: Vec<Key> = columns.iter().map(|name| Key::of_column(name)).collect();
            let body = body.strip_suffix(delimiter.as_str()).unwrap_or(body);
            if body.is_empty() {
                return Ok(());
            }
            for (number, line) in (1..).zip(body.split(delimiter.as_str())) {
                // Lines of another system end so.
                let line = match delimiter.as_str() {
                    "\n" => line.strip_suffix('\r').unwrap_or(line),
                    _ => line,
                };
                row(number, csv_record(line, columns, &keys, separator, zone));
            }
        }
        Format::JsonLines => {
            for (number, line) in (1..).zip(body.lines()) {
                if !line.trim().is_empty() {
                    row(number, json_text(line, zone));
                }
            }
        }
        Format::JsonObject => row(1, json_text(body, zone)),
        Format::JsonArray => {
            let mut reader = serde_json::Deserializer::from_str(body);
            let rows = Rows { zone, row };
            rows.deserialize(&mut reader)
                .and_then(|()| reader.end())
                .map_err(|error| BodyError(error.to_string()))?;
        }
    }
    Ok(())
}

fn csv_record(
    line: &str,
    columns: &[String],
    keys: &[Key],
    separator: &str,
    zone: Zone,
) -> Result<QueryRecord, RowError> {
    let values = line.split(separator).map(|value| (value != "\\N").then_some(value));
    record_of_columns(columns, keys, values, zone)
}

/// The record of a row whose values stand in the order of `columns`; `None` is a value that is NULL.
pub(super) fn record_of_columns<'a>(
    columns: &[String],
    keys: &[Key],
    values: impl Iterator<Item = Option<&'a str>> + Clone,
    zone: Zone,
) -> Result<QueryRecord, RowError> {
    let found = values.clone().count();
    if found != columns.len() {
        return Err(RowError::Columns { found, expected: columns.len() });
    }
    let mut draft = Draft::new(Kind::Query, zone);
    for ((value, name), key) in values.zip(columns).zip(keys) {
        if let Some(value) = value {
            draft.set(*key, name, value);
        }
    }
    Ok(draft.finish(None)?)
}

fn json_text(text: &str, zone: Zone) -> Result<QueryRecord, RowError> {
    let value = serde_json::from_str(text).map_err(|error| RowError::NotJson(error.to_string()))?;
    json_record(value, zone)
}

fn json_record(value: Value, zone: Zone) -> Result<QueryRecord, RowError> {
    let Value::Object(object) = value else {
        return Err(RowError::NotAnObject);
    };
    object_record(&object, zone)
}

/// The record of an object whose names are those of columns.
pub(super) fn object_record(
    object: &Map<String, Value>,
    zone: Zone,
) -> Result<QueryRecord, RowError> {
    let mut draft = Draft::new(Kind::Query, zone);
    for (name, value) in object {
        let key = Key::of_column(name);
        let text = match value {
            Value::Null => continue,
            Value::String(text) => Cow::Borrowed(text.as_str()),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) if key == Key::QueryId => {
                return Err(RowError::QueryIdType);
            }
            // JSON knows no whole numbers: 1.0 is 1.
            Value::Number(number) => Cow::Owned(match number.as_f64() {
                Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                    (float as i64).to_string()
                }
                _ => number.to_string(),
            }),
            other => Cow::Owned(other.to_string()),
        };
        draft.set(key, name, &text);
    }
    Ok(draft.finish(None)?)
}

/// Hands on the objects of an array one by one, so that they are never all there as values.
struct Rows<'a, F> {
    zone: Zone,
    row: &'a mut F,
}

impl<'de, F: FnMut(u64, Result<QueryRecord, RowError>)> DeserializeSeed<'de> for Rows<'_, F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(u64, Result<QueryRecord, RowError>)> Visitor<'de> for Rows<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(value) = rows.next_element::<Value>()? {
            number += 1;
            (self.row)(number, json_record(value, self.zone));
        }
        Ok(())
    }
}

/// Reads the `columns` header of a stream load: names, perhaps in backquotes. `None` where it holds what
/// annals does not do, like expressions.
pub fn columns(header: &str) -> Option<Vec<String>> {
    let names = header.split(',').map(|name| {
        let name = name.trim();
        let bare = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).unwrap_or(name);
        let is_name = !bare.is_empty() && !bare.contains(['=', '(', ')', '`']);
        is_name.then(|| bare.to_string())
    });
    names.collect()
}

/// Reads a separator as stream loads write it: as it is, or with escapes: `\x01`, `\t`, `\n`, `\r`, `\\`.
/// `None` where an escape is not one, or nothing is left.
pub fn separator(header: &str) -> Option<String> {
    let mut text = String::new();
    let mut signs = header.chars();
    while let Some(sign) = signs.next() {
        if sign != '\\' {
            text.push(sign);
            continue;
        }
        match signs.next()? {
            't' => text.push('\t'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            '\\' => text.push('\\'),
            'x' | 'X' => {
                let byte = (signs.next()?.to_digit(16)? << 4) + signs.next()?.to_digit(16)?;
                text.push(char::from_u32(byte).filter(char::is_ascii)?);
            }
            _ => return None,
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = (u64, Result<QueryRecord, RowError>);

    fn rows(body: &[u8], format: &Format) -> (Vec<Row>, Result<(), BodyError>) {
        let mut rows = Vec::new();
        let read = read(body, format, Zone::UTC, &mut |number, row| rows.push((number, row)));
        (rows, read)
    }

    fn csv(columns_header: &str, separator: &str, delimiter: &str) -> Format {
        Format::Csv {
            columns: columns(columns_header).unwrap(),
            separator: separator.to_string(),
            delimiter: delimiter.to_string(),
        }
    }

    #[test]
    fn csv_with_any_separators() {
        let format = csv("query_id, `time`,stmt, new_one", "\u{1}", "\u{2}\n");
        let body = "1-2\u{1}2024-08-06 11:16:00.951\u{1}select '\t'\nfrom t\u{1}x\u{2}\n\
                    3-4\u{1}2024-08-06 11:16:00\u{1}\\N\u{1}\\N\u{2}\n\
                    5-6\u{1}2024-08-06 11:16:00\u{2}\n";
        let (rows, _) = rows(body.as_bytes(), &format);
        let first = rows[0].1.as_ref().unwrap();
        assert_eq!(first.started_ms, Some(1_722_942_960_951));
        assert_eq!(first.statement.as_deref(), Some("select '\t'\nfrom t"));
        assert_eq!(first.extra["new_one"], "x");
        let second = rows[1].1.as_ref().unwrap();
        assert_eq!((&second.statement, second.extra.len()), (&None, 0));
        assert_eq!(rows[2], (3, Err(RowError::Columns { found: 2, expected: 4 })));
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn json_in_every_shape() {
        let row = r#"{"query_id": "1-2", "time": 1722942960951, "query_time": 12, "is_query": true, "stmt": "select 1", "tags": [1, {"a": 2}], "db": null}"#;
        let array = format!("[{row},\n {row}]");
        let lines = format!("{row}\n\n{row}\n");
        for (body, format, count) in [
            (row, Format::JsonObject, 1),
            (array.as_str(), Format::JsonArray, 2),
            (lines.as_str(), Format::JsonLines, 2),
        ] {
            let (rows, read) = rows(body.as_bytes(), &format);
            assert_eq!((rows.len(), read), (count, Ok(())));
            let record = rows[count - 1].1.as_ref().unwrap();
            assert_eq!(record.duration_ms, Some(12));
            assert_eq!(record.ended_ms, Some(1_722_942_960_963));
            assert_eq!(record.is_query, Some(true));
            assert_eq!(record.extra["tags"], r#"[1,{"a":2}]"#);
        }
    }

    #[test]
    fn bad_rows_are_told_apart_from_good_ones() {
        let body = b"{\"query_id\": \"1-2\"}\n{\"query_id\": \"1-2\", \"time\": 1\nnull\n\
                     {\"time\": 1722942960951}\n{\"query_id\": \"a\xffb\", \"time\": 1722942960951}\n";
        let (rows, _) = rows(body, &Format::JsonLines);
        assert_eq!(rows[0].1, Err(RowError::Record(SkipReason::NoTime)));
        assert!(matches!(rows[1].1, Err(RowError::NotJson(_))));
        assert_eq!(rows[2].1, Err(RowError::NotAnObject));
        assert_eq!(rows[3].1, Err(RowError::Record(SkipReason::NoQueryId)));
        assert_eq!(rows[4].1.as_ref().unwrap().query_id.as_str(), "a\u{fffd}b");
    }

    #[test]
    fn half_an_array_is_an_error() {
        for body in ["[{\"query_id\": \"1-2\"}, {", "{}", "[] []", ""] {
            assert!(rows(body.as_bytes(), &Format::JsonArray).1.is_err(), "{body}");
        }
    }

    #[test]
    fn headers_of_stream_loads() {
        assert_eq!(columns(" a, `b` ,c").unwrap(), ["a", "b", "c"]);
        for header in ["", "a,,b", "a, b=upper(a)", "f(a)"] {
            assert_eq!(columns(header), None, "{header}");
        }
        for (header, text) in [
            ("\\x01", "\u{1}"),
            ("\\t", "\t"),
            ("|", "|"),
            ("\\x02\\n", "\u{2}\n"),
            ("a\\\\", "a\\"),
        ] {
            assert_eq!(separator(header).as_deref(), Some(text));
        }
        for header in ["", "\\", "\\x", "\\x0", "\\xff", "\\q"] {
            assert_eq!(separator(header), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_body_breaks_it(body in prop::collection::vec(any::<u8>(), 0..200)) {
            for format in [
                csv("query_id,time,stmt", "\t", "\n"),
                Format::JsonLines,
                Format::JsonArray,
                Format::JsonObject,
            ] {
                let _ = rows(&body, &format);
            }
        }

        #[test]
        fn what_a_loader_writes_comes_back(statement in "[^\u{1}\u{2}]{0,60}", ms in 0..9_999_i64) {
            prop_assume!(!statement.trim().is_empty() && statement != "\\N");
            let body = format!("1-2\u{1}2024-08-06 11:16:00\u{1}{ms}\u{1}{statement}\u{2}");
            let (rows, _) = rows(body.as_bytes(), &csv("query_id,time,query_time,stmt", "\u{1}", "\u{2}"));
            let record = rows[0].1.as_ref().unwrap();
            prop_assert_eq!(record.statement.as_deref(), Some(statement.as_str()));
            prop_assert_eq!(record.duration_ms, Some(ms));
        }
    }
}
