//! Rows that others push: the bodies of stream loads, and JSON. Each row becomes a record or a log-in. Its columns go by
//! the names of Doris' audit table, of StarRocks' or of annals' own.

mod csv;
mod headers;
mod json;
mod json_array;
mod json_path;
#[cfg(test)]
mod tests;

use serde::de::IgnoredAny;

use super::SkipReason;
use super::record_builder::{Key, RecordBuilder};
use crate::domain::record::{Kind, QueryRecord};
use crate::domain::time::Zone;

pub(crate) use self::headers::{columns, separator};
pub(super) use self::json::{row_of_object, text_of};
pub(crate) use super::record_builder::Entry;

/// How a body holds its rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Format {
    /// Values between separators.
    Csv {
        /// The names of the columns, in the order of the values.
        columns: Vec<String>,
        /// The text between two columns; not empty.
        separator: String,
        /// The text between two rows; not empty.
        delimiter: String,
        /// How many rows at the start of the body are not read.
        skip_lines: usize,
        /// Whether double quotes around a value are not part of it.
        trim_double_quotes: bool,
    },
    Json {
        kind: JsonKind,
        /// The path to the object or the array in the body, or in each line of [`JsonKind::Lines`], like `$.data.rows`.
        json_root: Option<String>,
        /// The path to each column's value in an object. Without paths, each key of an object is a column.
        jsonpaths: Option<Vec<String>>,
        /// The names of the columns of `jsonpaths`, in their order. A path without a name goes by its last key. Without
        /// `jsonpaths` the names have no use.
        columns: Vec<String>,
    },
}

impl Format {
    /// Returns the format of JSON objects whose keys are the columns.
    pub(crate) fn json(kind: JsonKind) -> Format {
        Format::Json { kind, json_root: None, jsonpaths: None, columns: Vec::new() }
    }
}

/// How JSON objects are arranged in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonKind {
    /// One object a line.
    Lines,
    /// One array of objects.
    Array,
    /// One object.
    Object,
}

/// Why a row is rejected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum RowError {
    #[error("the row has {found} values for {expected} columns")]
    Columns { found: usize, expected: usize },
    #[error("the row is not JSON: {0}")]
    NotJson(String),
    #[error("the row is not a JSON object")]
    NotAnObject,
    #[error("there is nothing at the path {0}")]
    NoRoot(String),
    #[error("the row has more than 65,536 values")]
    TooManyValues,
    #[error("the query id is neither text nor a number")]
    QueryIdType,
    #[error("the value of {0} does not fit the column's type, and the load is strict")]
    WrongType(String),
    #[error("this user may not push to the cluster {0}")]
    OtherCluster(String),
    #[error(transparent)]
    Record(#[from] SkipReason),
}

/// Why a whole body is rejected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is not one JSON array of objects: {0}")]
    NotAnArray(String),
    #[error("the JSON path {0:?} is not supported; use keys and positions, like $.rows[0].id")]
    Path(String),
}

/// Returns a column whose value does not fit its type, and so is kept in `extra`: a text for a number, a truth value or
/// a time. A strict load rejects such a row.
pub(crate) fn wrongly_typed_column(record: &QueryRecord) -> Option<&str> {
    let is_typed = |name: &&String| Key::of_column(name).is_typed();
    record.extra.keys().find(is_typed).map(String::as_str)
}

/// The rows of a body, each with its number from 1: that of its line, or within the array. An error of the body ends them.
pub(crate) type Rows<'a> =
    Box<dyn Iterator<Item = Result<(u64, Result<Entry, RowError>), BodyError>> + Send + 'a>;

impl Format {
    /// Returns the rows of a body. No more than one of them is in memory. Times without a zone are local to `zone`.
    ///
    /// Errors if a JSON path is not supported or the body has no array where one is expected.
    pub(crate) fn rows<'a>(&'a self, body: &'a str, zone: Zone) -> Result<Rows<'a>, BodyError> {
        let body = without_mark(body);
        Ok(match self {
            Format::Csv { columns, separator, delimiter, skip_lines, trim_double_quotes } => {
                let reader = csv::CsvReader {
                    columns: Columns::new(columns.clone()),
                    separator,
                    delimiter,
                    skip_lines: *skip_lines,
                    trim_double_quotes: *trim_double_quotes,
                };
                Box::new(reader.rows(body, zone).map(Ok))
            }
            Format::Json { kind, json_root, jsonpaths, columns } => {
                let root = json_root.as_deref();
                let reader = json::JsonReader::new(zone, root, jsonpaths.as_deref(), columns)?;
                match kind {
                    JsonKind::Lines => {
                        let lines = (1..).zip(body.lines());
                        let lines = lines.filter(|(_, line)| !line.trim().is_empty());
                        Box::new(lines.map(move |(n, line)| Ok((n, reader.row_of_text(line)))))
                    }
                    JsonKind::Object => {
                        Box::new(std::iter::once_with(move || Ok((1, reader.row_of_text(body)))))
                    }
                    JsonKind::Array => Box::new(json_array::ArrayRows::new(reader, body)?),
                }
            }
        })
    }

    /// Errors if an array in a body cannot be read to its end. Lines have no such error.
    pub(crate) fn check(&self, body: &str) -> Result<(), BodyError> {
        let Format::Json { kind: JsonKind::Array, .. } = self else { return Ok(()) };
        let read = serde_json::from_str::<IgnoredAny>(without_mark(body));
        read.map(|_| ()).map_err(|error| BodyError::NotAnArray(error.to_string()))
    }
}

fn without_mark(body: &str) -> &str {
    body.strip_prefix('\u{feff}').unwrap_or(body)
}

/// The columns of a table, in the order of its values.
#[derive(Debug, Clone)]
pub(in crate::formats) struct Columns {
    names: Vec<String>,
    keys: Vec<Key>,
}

impl Columns {
    pub(in crate::formats) fn new(names: Vec<String>) -> Columns {
        let keys = names.iter().map(|name| Key::of_column(name)).collect();
        Columns { names, keys }
    }

    pub(in crate::formats) fn has(&self, key: Key) -> bool {
        self.place(key).is_some()
    }

    /// Returns the place of the first column of a key.
    pub(in crate::formats) fn place(&self, key: Key) -> Option<usize> {
        self.keys.iter().position(|other| *other == key)
    }

    /// Returns the entry of a row's values; None is a value that is NULL. Times without a zone are local to `zone`.
    ///
    /// Errors if the row has another number of values than there are columns, or if it makes no entry.
    pub(in crate::formats) fn row<'a>(
        &self,
        values: impl Iterator<Item = Option<&'a str>> + Clone,
        zone: Zone,
    ) -> Result<Entry, RowError> {
        let (found, expected) = (values.clone().count(), self.names.len());
        if found != expected {
            return Err(RowError::Columns { found, expected });
        }
        let mut builder = RecordBuilder::new(Kind::Query, zone);
        for ((value, name), key) in values.zip(&self.names).zip(&self.keys) {
            if let Some(value) = value {
                builder.set(*key, name, value);
            }
        }
        Ok(builder.finish(None)?)
    }
}
