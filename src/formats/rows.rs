//! Rows that others push: the bodies of stream loads, and JSON. Each row becomes a record; its columns go
//! by the names of Doris' audit table, of StarRocks' or of annals' own.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::SkipReason;
use super::record_builder::{Built, Key, RecordBuilder};
use crate::domain::login::Login;
use crate::domain::record::{Kind, QueryRecord};
use crate::domain::time::Zone;

/// How a body holds its rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Format {
    /// Texts between separators, in the order of `columns`.
    Csv {
        /// The columns' names.
        columns: Vec<String>,
        /// Between two columns; not empty.
        separator: String,
        /// Between two rows; not empty.
        delimiter: String,
        /// Rows at the start of the body that are not read, like one of names.
        skip_lines: usize,
        /// Whether a double quote before and behind a value is not part of it.
        trim_double_quotes: bool,
    },
    /// JSON objects, or values in an order that paths give.
    Json {
        /// How the objects stand in the body.
        kind: JsonKind,
        /// Where in the body, or in each line of [`JsonKind::Lines`], the object or the array is: a path like
        /// `$.data.rows`.
        json_root: Option<String>,
        /// Where in an object each column's value is, in the order of `columns`. Without them each key of an
        /// object is a column.
        jsonpaths: Option<Vec<String>>,
        /// The names of what `jsonpaths` give; a path without a name goes by its last key. They are not used
        /// without `jsonpaths`.
        columns: Vec<String>,
    },
}

impl Format {
    /// Returns the format of JSON objects whose keys are the columns.
    pub(crate) fn json(kind: JsonKind) -> Format {
        Format::Json { kind, json_root: None, jsonpaths: None, columns: Vec::new() }
    }
}

/// How JSON objects stand in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonKind {
    /// An object a line.
    Lines,
    /// One array of objects.
    Array,
    /// One object.
    Object,
}

/// What a row says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Row {
    /// A query or a load.
    Record(Box<QueryRecord>),
    /// A log-in.
    Login(Box<Login>),
}

/// Why a row was not taken in.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub(crate) enum RowError {
    #[error("it has {found} columns where {expected} are named")]
    Columns { found: usize, expected: usize },
    #[error("it is not JSON: {0}")]
    NotJson(String),
    #[error("it is not a JSON object")]
    NotAnObject,
    #[error("it has nothing at the path {0}")]
    NoRoot(String),
    #[error("its query id is neither text nor a number")]
    QueryIdType,
    #[error("the value of {0} is not what the column holds, and the load is strict")]
    Misread(String),
    #[error(transparent)]
    Record(#[from] SkipReason),
}

/// Why a body cannot be read at all.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub(crate) enum BodyError {
    #[error("the body is not one JSON array of objects: {0}")]
    NotAnArray(String),
    #[error(
        "annals does not know the JSON path {0:?}; it takes keys and positions, like $.rows[0].id"
    )]
    Path(String),
}

/// Returns a column of which a record could not take the value, and so keeps it as `extra`: a text for a number, a
/// truth value or a time. A strict load does not take such a record.
pub(crate) fn misread(record: &QueryRecord) -> Option<&str> {
    let is_typed = |name: &&String| {
        matches!(
            Key::of_column(name),
            Key::Timestamp
                | Key::EndTime
                | Key::Time
                | Key::ScanBytes
                | Key::ScanRows
                | Key::ReturnRows
                | Key::StmtId
                | Key::IsQuery
                | Key::IsNereids
                | Key::IsInternal
                | Key::CpuTimeMs
                | Key::PeakMemoryBytes
                | Key::ShuffleSendBytes
                | Key::ShuffleSendRows
                | Key::LocalScanBytes
                | Key::RemoteScanBytes
                | Key::SpillWriteBytes
        )
    };
    record.extra.keys().find(is_typed).map(String::as_str)
}

/// Reads a body and hands each row to `row`, with its number from 1: of its line, or within the array. Bytes
/// that are not UTF-8 become U+FFFD. Times without a zone are local to `zone`.
///
/// An array that breaks off is an error, though rows before were handed on.
pub(crate) fn read(
    body: &[u8],
    format: &Format,
    zone: Zone,
    row: &mut impl FnMut(u64, Result<Row, RowError>),
) -> Result<(), BodyError> {
    let body = String::from_utf8_lossy(body);
    let body = body.strip_prefix('\u{feff}').unwrap_or(&body);
    match format {
        Format::Csv { columns, separator, delimiter, skip_lines, trim_double_quotes } => {
            let keys: Vec<Key> = columns.iter().map(|name| Key::of_column(name)).collect();
            let body = body.strip_suffix(delimiter.as_str()).unwrap_or(body);
            if body.is_empty() {
                return Ok(());
            }
            let lines = (1..).zip(body.split(delimiter.as_str())).skip(*skip_lines);
            for (number, line) in lines {
                // Lines of another system end so.
                let line = match delimiter.as_str() {
                    "\n" => line.strip_suffix('\r').unwrap_or(line),
                    _ => line,
                };
                let found = line.split(separator.as_str()).count();
                if found != columns.len() {
                    row(number, Err(RowError::Columns { found, expected: columns.len() }));
                    continue;
                }
                let values = line.split(separator.as_str()).map(|value| match trim_double_quotes {
                    true => without_double_quotes(value),
                    false => value,
                });
                row(number, csv_row(columns, &keys, values, zone));
            }
        }
        Format::Json { kind, json_root, jsonpaths, columns } => {
            let root = match json_root.as_deref() {
                None => Path::default(),
                Some(path) => Path::parse(path)?,
            };
            let columns = match jsonpaths {
                None => None,
                Some(paths) => Some(columns_of_paths(paths, columns)?),
            };
            let reading = JsonReading { zone, root: &root, columns: columns.as_deref() };
            match kind {
                JsonKind::Lines => {
                    for (number, line) in (1..).zip(body.lines()) {
                        if !line.trim().is_empty() {
                            row(number, reading.text(line));
                        }
                    }
                }
                JsonKind::Object => row(1, reading.text(body)),
                JsonKind::Array => {
                    let mut reader = serde_json::Deserializer::from_str(body);
                    let mut found = false;
                    let rows = Rows { reading: &reading, steps: &root.0, found: &mut found, row };
                    rows.deserialize(&mut reader)
                        .and_then(|()| reader.end())
                        .map_err(|error| BodyError::NotAnArray(error.to_string()))?;
                    if !found {
                        return Err(BodyError::NotAnArray(
                            RowError::NoRoot(root.text()).to_string(),
                        ));
                    }
                }
            }
        }
    }
    Ok(())
}

fn csv_row<'a>(
    columns: &[String],
    keys: &[Key],
    values: impl Iterator<Item = &'a str>,
    zone: Zone,
) -> Result<Row, RowError> {
    let mut draft = RecordBuilder::new(Kind::Query, zone);
    for ((value, name), key) in values.zip(columns).zip(keys) {
        if value != "\\N" {
            draft.set(*key, name, value);
        }
    }
    finish(draft)
}

fn finish(draft: RecordBuilder) -> Result<Row, RowError> {
    Ok(match draft.finish(None)? {
        Built::Record(record) => Row::Record(record),
        Built::Login(login) => Row::Login(login),
    })
}

fn without_double_quotes(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// Returns the row whose values stand in the order of `columns`; None is a value that is NULL.
pub(super) fn row_of_columns<'a>(
    columns: &[String],
    keys: &[Key],
    values: impl Iterator<Item = Option<&'a str>> + Clone,
    zone: Zone,
) -> Result<Row, RowError> {
    let found = values.clone().count();
    if found != columns.len() {
        return Err(RowError::Columns { found, expected: columns.len() });
    }
    let mut draft = RecordBuilder::new(Kind::Query, zone);
    for ((value, name), key) in values.zip(columns).zip(keys) {
        if let Some(value) = value {
            draft.set(*key, name, value);
        }
    }
    finish(draft)
}

/// Returns the row of an object whose names are those of columns.
pub(super) fn row_of_object(object: &Map<String, Value>, zone: Zone) -> Result<Row, RowError> {
    JsonReading { zone, root: &Path::default(), columns: None }.object_row(object)
}

/// How objects become rows.
struct JsonReading<'a> {
    zone: Zone,
    root: &'a Path,
    columns: Option<&'a [(String, Path)]>,
}

impl JsonReading<'_> {
    fn text(&self, text: &str) -> Result<Row, RowError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| RowError::NotJson(error.to_string()))?;
        match self.root.of(&value) {
            Some(value) => self.row(value),
            None => Err(RowError::NoRoot(self.root.text())),
        }
    }

    fn row(&self, value: &Value) -> Result<Row, RowError> {
        match (self.columns, value) {
            (None, Value::Object(object)) => self.object_row(object),
            (Some(columns), Value::Object(_)) => {
                let values = columns
                    .iter()
                    .filter_map(|(name, path)| Some((name.as_str(), path.of(value)?)));
                self.values_row(values)
            }
            _ => Err(RowError::NotAnObject),
        }
    }

    fn object_row(&self, object: &Map<String, Value>) -> Result<Row, RowError> {
        self.values_row(object.iter().map(|(name, value)| (name.as_str(), value)))
    }

    fn values_row<'v>(
        &self,
        values: impl Iterator<Item = (&'v str, &'v Value)>,
    ) -> Result<Row, RowError> {
        let mut draft = RecordBuilder::new(Kind::Query, self.zone);
        for (name, value) in values {
            let key = Key::of_column(name);
            if key == Key::QueryId
                && !matches!(value, Value::Null | Value::String(_) | Value::Number(_))
            {
                return Err(RowError::QueryIdType);
            }
            if let Some(text) = text_of(value) {
                draft.set(key, name, &text);
            }
        }
        finish(draft)
    }
}

/// The text of a JSON value; `None` of null.
pub(super) fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) => Cow::Borrowed(text.as_str()),
        // JSON knows no whole numbers: 1.0 is 1.
        Value::Number(number) => Cow::Owned(match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                (float as i64).to_string()
            }
            _ => number.to_string(),
        }),
        other => Cow::Owned(other.to_string()),
    })
}

/// A path into JSON: keys and positions from the root.
#[derive(Debug, Clone, PartialEq, Default)]
struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Position(usize),
}

impl Path {
    /// Reads `$.key.other[0]`. Keys may stand in double quotes, `$."a.b"`, or in brackets, `$["a.b"]`.
    fn parse(text: &str) -> Result<Path, BodyError> {
        let bad = || BodyError::Path(text.to_string());
        let mut rest = text.trim().strip_prefix('$').ok_or_else(bad)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix('[') {
                let quote = behind.chars().next().filter(|sign| matches!(sign, '"' | '\''));
                if let Some(quote) = quote {
                    let (key, behind) = behind[1..].split_once(quote).ok_or_else(bad)?;
                    steps.push(Step::Key(key.to_string()));
                    rest = behind.strip_prefix(']').ok_or_else(bad)?;
                } else {
                    let (position, behind) = behind.split_once(']').ok_or_else(bad)?;
                    steps.push(Step::Position(position.trim().parse().map_err(|_| bad())?));
                    rest = behind;
                }
                continue;
            }
            let behind = rest.strip_prefix('.').ok_or_else(bad)?;
            if let Some(quoted) = behind.strip_prefix('"') {
                let (key, behind) = quoted.split_once('"').ok_or_else(bad)?;
                steps.push(Step::Key(key.to_string()));
                rest = behind;
            } else {
                let end = behind.find(['.', '[']).unwrap_or(behind.len());
                let key = &behind[..end];
                if key.is_empty() || key.contains(['*', '?', '(', '@']) {
                    return Err(bad());
                }
                steps.push(Step::Key(key.to_string()));
                rest = &behind[end..];
            }
        }
        Ok(Path(steps))
    }

    fn of<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Position(position) => value.get(position),
        })
    }

    fn text(&self) -> String {
        let steps = self.0.iter().map(|step| match step {
            Step::Key(key) => format!(".{key}"),
            Step::Position(position) => format!("[{position}]"),
        });
        std::iter::once("$".to_string()).chain(steps).collect()
    }
}

/// The name and the path of each column.
fn columns_of_paths(
    paths: &[String],
    columns: &[String],
) -> Result<Vec<(String, Path)>, BodyError> {
    let mut named = Vec::with_capacity(paths.len());
    for (at, text) in paths.iter().enumerate() {
        let path = Path::parse(text)?;
        let name = match (columns.get(at), path.0.last()) {
            (Some(name), _) | (None, Some(Step::Key(name))) => name.clone(),
            _ => return Err(BodyError::Path(text.clone())),
        };
        named.push((name, path));
    }
    Ok(named)
}

/// Goes down the path to the array and hands on its objects one by one, so that they are never all there as values.
struct Rows<'a, F> {
    reading: &'a JsonReading<'a>,
    steps: &'a [Step],
    found: &'a mut bool,
    row: &'a mut F,
}

impl<'de, F: FnMut(u64, Result<Row, RowError>)> DeserializeSeed<'de> for Rows<'_, F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.steps {
            [Step::Key(_), ..] => deserializer.deserialize_map(self),
            _ => deserializer.deserialize_seq(self),
        }
    }
}

impl<'de, F: FnMut(u64, Result<Row, RowError>)> Visitor<'de> for Rows<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.steps {
            [Step::Key(_), ..] => "an object",
            [Step::Position(_), ..] => "an array",
            [] => "an array of objects",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Rows { reading, steps, found, row } = self;
        while let Some(key) = entries.next_key::<String>()? {
            match steps {
                [Step::Key(step), steps @ ..] if *step == key => {
                    entries.next_value_seed(Rows { reading, steps, found, row })?;
                }
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let Rows { reading, steps, found, row } = self;
        if let [Step::Position(position), steps @ ..] = steps {
            for _ in 0..*position {
                if values.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(());
                }
            }
            values.next_element_seed(Rows { reading, steps, found, row })?;
            while values.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        *found = true;
        let mut number = 0;
        while let Some(value) = values.next_element::<Value>()? {
            number += 1;
            row(number, reading.row(&value));
        }
        Ok(())
    }
}

/// Reads the `columns` header of a stream load: names, perhaps in backquotes. `None` where it holds what
/// annals does not do, like expressions.
pub(crate) fn columns(header: &str) -> Option<Vec<String>> {
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
pub(crate) fn separator(header: &str) -> Option<String> {
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

    type Numbered = (u64, Result<QueryRecord, RowError>);

    fn rows(body: &[u8], format: &Format) -> (Vec<Numbered>, Result<(), BodyError>) {
        let mut rows = Vec::new();
        let read = read(body, format, Zone::UTC, &mut |number, row| {
            let record = row.map(|row| match row {
                Row::Record(record) => *record,
                Row::Login(login) => panic!("{login:?}"),
            });
            rows.push((number, record));
        });
        (rows, read)
    }

    fn csv(columns_header: &str, separator: &str, delimiter: &str) -> Format {
        Format::Csv {
            columns: columns(columns_header).unwrap(),
            separator: separator.to_string(),
            delimiter: delimiter.to_string(),
            skip_lines: 0,
            trim_double_quotes: false,
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
            (row, Format::json(JsonKind::Object), 1),
            (array.as_str(), Format::json(JsonKind::Array), 2),
            (lines.as_str(), Format::json(JsonKind::Lines), 2),
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
        let (rows, _) = rows(body, &Format::json(JsonKind::Lines));
        assert_eq!(rows[0].1, Err(RowError::Record(SkipReason::NoTime)));
        assert!(matches!(rows[1].1, Err(RowError::NotJson(_))));
        assert_eq!(rows[2].1, Err(RowError::NotAnObject));
        assert_eq!(rows[3].1, Err(RowError::Record(SkipReason::NoQueryId)));
        assert_eq!(rows[4].1.as_ref().unwrap().query_id.as_str(), "a\u{fffd}b");
    }

    #[test]
    fn half_an_array_is_an_error() {
        for body in ["[{\"query_id\": \"1-2\"}, {", "{}", "[] []", ""] {
            assert!(rows(body.as_bytes(), &Format::json(JsonKind::Array)).1.is_err(), "{body}");
        }
    }

    fn record(body: &str, format: &Format) -> QueryRecord {
        let (mut rows, read) = rows(body.as_bytes(), format);
        assert_eq!((rows.len(), read), (1, Ok(())), "{body}");
        rows.remove(0).1.unwrap()
    }

    #[test]
    fn starrocks_loader_fills_columns() {
        let format = csv(
            "queryId,timestamp,queryType,clientIp,user,authorizedUser,resourceGroup,db,state,errorCode,queryTime,\
             scanBytes,cpuCostNs,memCostBytes,stmtId,isQuery,feIp,stmt,digest,pendingTimeMs,hitMvs,warehouse,cnGroup",
            "\u{1}",
            "\u{2}",
        );
        let row = |kind: &str, code: &str| {
            [
                "0199-a",
                "2026-01-05 10:47:19",
                kind,
                "10.0.0.3:1",
                "bo",
                "'bo'@'%'",
                "etl",
                "shop",
                if code.is_empty() { "EOF" } else { "ERR" },
                code,
                "6213",
                "4096",
                "811700000",
                "99",
                "-1",
                "1",
                "10.0.0.2",
                "select '\n;'",
                "06f",
                "-1",
                "mv1",
                "bi_wh",
                "group2",
            ]
            .join("\u{1}")
        };
        let slow = record(&row("slow_query", ""), &format);
        assert!(slow.is_slow && slow.is_query == Some(true));
        assert_eq!((slow.duration_ms, slow.cpu_time_ms), (Some(6213), Some(812)));
        assert_eq!((slow.peak_memory_bytes, slow.queue_time_ms), (Some(99), None));
        assert_eq!((slow.statement_id, slow.error_code), (None, None));
        assert_eq!(
            (slow.workload_group.as_deref(), slow.compute_group.as_deref()),
            (Some("etl"), Some("bi_wh"))
        );
        assert_eq!(
            (slow.frontend.as_deref(), slow.sql_digest.as_deref()),
            (Some("10.0.0.2"), Some("06f"))
        );
        assert_eq!(
            (slow.extra["cnGroup"].as_str(), slow.extra["authorizedUser"].as_str()),
            ("group2", "'bo'@'%'")
        );
        let failed = record(&row("query", "SYNTAX_ERR"), &format);
        assert_eq!((failed.is_slow, failed.error_message.as_deref()), (false, Some("SYNTAX_ERR")));
        let mut found = Vec::new();
        let body =
            [row("connection", ""), row("connection", "Access denied"), row("disconnection", "")];
        read(body.join("\u{2}").as_bytes(), &format, Zone::UTC, &mut |_, row| found.push(row))
            .unwrap();
        let [Ok(Row::Login(good)), Ok(Row::Login(bad)), Err(error)] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert!(good.succeeded && !bad.succeeded);
        assert_eq!((good.at_ms, good.user.as_deref()), (1_767_610_039_000, Some("bo")));
        assert_eq!(bad.error_message.as_deref(), Some("Access denied"));
        assert_eq!(*error, RowError::Record(SkipReason::OtherType));
    }

    #[test]
    fn doris_loader_fills_columns() {
        let format = csv(
            "query_id,time,query_time,queue_time_ms,spill_write_bytes_from_local_storage,\
             spill_read_bytes_from_local_storage,parse_time_ms,plan_times_ms,get_meta_times_ms,schedule_times_ms,\
             hit_sql_cache,handled_in_fe,queried_tables_and_views,chosen_m_views,changed_variables,sql_mode,\
             compute_group,stmt",
            "\u{1f}",
            "\u{1e}",
        );
        let row = [
            "1a-2b",
            "2026-02-03 09:15:20.300",
            "417",
            "4",
            "65",
            "32",
            "3",
            "{\"plan\":21,\"analyze\":4}",
            "{\"a\":0}",
            "{\"schedule_time_ms\":9}",
            "1",
            "0",
            "[\"internal.shop.orders\"]",
            "[]",
            "{\"session_context\":\"lang:en;trace_id: t-9\"}",
            "ANSI",
            "UNKNOWN",
            "select a\tb",
        ]
        .join("\u{1f}");
        let record = record(&format!("{row}\u{1e}"), &format);
        assert_eq!((record.queue_time_ms, record.parse_time_ms), (Some(4), Some(3)));
        assert_eq!((record.plan_time_ms, record.schedule_time_ms), (Some(21), Some(9)));
        assert_eq!((record.spill_write_bytes, record.spill_read_bytes), (Some(65), Some(32)));
        assert_eq!(
            (record.cache_hit, record.compute_group, record.chosen_views),
            (Some(true), None, None)
        );
        assert_eq!(record.queried_tables.as_deref(), Some("[\"internal.shop.orders\"]"));
        assert_eq!(record.trace_id.as_deref(), Some("t-9"));
        assert_eq!(record.extra["get_meta_times_ms"], "{\"a\":0}");
        assert_eq!(record.ended_ms.unwrap() - record.started_ms.unwrap(), 417);
    }

    #[test]
    fn a_row_of_the_json_audit_log_is_read_by_its_keys() {
        let row = r#"{"QueryId":"1-2","Timestamp":1767460199503,"Time":640,"CpuCostNs":1000000,"PlanTimesMs":{"plan":7}}"#;
        let record = record(row, &Format::json(JsonKind::Object));
        assert_eq!((record.duration_ms, record.cpu_time_ms), (Some(640), Some(1)));
        assert_eq!((record.started_ms, record.plan_time_ms), (Some(1_767_460_199_503), Some(7)));
    }

    #[test]
    fn lines_are_skipped_and_quotes_trimmed() {
        let mut format = csv("query_id,time,stmt", ",", "\n");
        if let Format::Csv { skip_lines, trim_double_quotes, .. } = &mut format {
            (*skip_lines, *trim_double_quotes) = (1, true);
        }
        let body =
            "\"query_id\",\"time\",\"stmt\"\n\"1-2\",\"2024-08-06 11:16:00\",\"select \"\"\"\n";
        let (rows, _) = rows(body.as_bytes(), &format);
        assert_eq!((rows.len(), rows[0].0), (1, 2));
        let record = rows[0].1.as_ref().unwrap();
        assert_eq!(
            (record.query_id.as_str(), record.statement.as_deref()),
            ("1-2", Some("select \"\""))
        );
    }

    #[test]
    fn json_is_found_at_its_paths() {
        let format = |kind, root: &str, paths: &[&str], columns: &[&str]| Format::Json {
            kind,
            json_root: Some(root.to_string()).filter(|root| !root.is_empty()),
            jsonpaths: Some(paths.iter().map(ToString::to_string).collect())
                .filter(|paths: &Vec<String>| !paths.is_empty()),
            columns: columns.iter().map(ToString::to_string).collect(),
        };
        let row = r#"{"id": "1-2", "at": {"time": 1722942960951}, "sql": ["select 1", "select 2"], "a.b": 5}"#;
        let paths = ["$.id", "$.at.time", "$.sql[1]", "$.\"a.b\"", "$.none"];
        let columns = ["query_id", "time", "stmt", "query_time", "user"];
        for (body, kind, root) in [
            (row.to_string(), JsonKind::Object, ""),
            (format!("{row}\n"), JsonKind::Lines, "$"),
            (format!("[{row}]"), JsonKind::Array, ""),
            (
                format!(r#"{{"x": [1, {{}}], "data": {{"rows": [{row}], "y": 0}}}}"#),
                JsonKind::Array,
                "$.data.rows",
            ),
            (format!(r#"[0, [{row}], "z"]"#), JsonKind::Array, "$[1]"),
            (format!(r#"{{"data": [{row}]}}"#), JsonKind::Lines, "$.data[0]"),
        ] {
            let record = record(&body, &format(kind, root, &paths, &columns));
            assert_eq!(
                (record.query_id.as_str(), record.statement.as_deref()),
                ("1-2", Some("select 2")),
                "{body}"
            );
            assert_eq!((record.started_ms, record.duration_ms), (Some(1_722_942_960_951), Some(5)));
            assert_eq!(record.user, None);
        }
        // A path without a name goes by its last key.
        let format_of = |paths: &[&str]| format(JsonKind::Object, "", paths, &[]);
        let body = r#"{"meta": {"query_id": "3-4", "time": 1722942960951}}"#;
        assert_eq!(
            record(body, &format_of(&["$.meta.query_id", "$.meta.time"])).query_id.as_str(),
            "3-4"
        );
        for root in ["$.nothing", "$.id[3]"] {
            let (found, read) = rows(row.as_bytes(), &format(JsonKind::Lines, root, &[], &[]));
            assert!(matches!(found[0].1, Err(RowError::NoRoot(_))) && read.is_ok());
            let body = format!("{{\"id\": 1, \"other\": [{row}]}}");
            assert!(rows(body.as_bytes(), &format(JsonKind::Array, root, &[], &[])).1.is_err());
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
                Format::json(JsonKind::Lines),
                Format::json(JsonKind::Array),
                Format::json(JsonKind::Object),
            ] {
                let _ = rows(&body, &format);
            }
        }

        #[test]
        fn what_a_loader_writes_comes_back(statement in "[^\u{1}\u{2}\\\\]{0,60}", ms in 0..9_999_i64) {
            prop_assume!(!statement.trim().is_empty() && statement != "\\N");
            let body = format!("1-2\u{1}2024-08-06 11:16:00\u{1}{ms}\u{1}{statement}\u{2}");
            let (rows, _) = rows(body.as_bytes(), &csv("query_id,time,query_time,stmt", "\u{1}", "\u{2}"));
            let record = rows[0].1.as_ref().unwrap();
            prop_assert_eq!(record.statement.as_deref(), Some(statement.as_str()));
            prop_assert_eq!(record.duration_ms, Some(ms));
        }
    }
}
