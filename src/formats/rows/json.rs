//! Rows of JSON.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::json_path::{Path, columns_of_paths};
use super::{BodyError, Entry, RowError};
use crate::domain::record::Kind;
use crate::domain::time::Zone;
use crate::formats::SkipReason;
use crate::formats::audit_log::MAX_RECORD_BYTES;
use crate::formats::record_builder::{Key, RecordBuilder};

/// The most values of one row, nested ones included. A value takes up to 100 bytes in memory, and a row of a history
/// has some 60 columns.
const MAX_VALUES: usize = 1 << 16;

/// Reads rows of JSON.
pub(super) struct JsonReader {
    zone: Zone,
    pub(super) root: Path,
    /// The name and the path of each column; None if each key of an object is a column.
    columns: Option<Vec<(String, Path)>>,
}

impl JsonReader {
    /// Returns a reader of the value at the path `root`. Errors if a path is not supported.
    pub(super) fn new(
        zone: Zone,
        root: Option<&str>,
        paths: Option<&[String]>,
        columns: &[String],
    ) -> Result<JsonReader, BodyError> {
        let root = root.map(Path::parse).transpose()?.unwrap_or_default();
        let columns = paths.map(|paths| columns_of_paths(paths, columns)).transpose()?;
        Ok(JsonReader { zone, root, columns })
    }

    /// Returns the row of a text that holds the value of the path `root`.
    pub(super) fn row_of_text(&self, text: &str) -> Result<Entry, RowError> {
        if text.len() > MAX_RECORD_BYTES {
            return Err(SkipReason::TooLarge.into());
        }
        let row: Row =
            serde_json::from_str(text).map_err(|error| RowError::NotJson(error.to_string()))?;
        match self.root.get(&row.value) {
            _ if row.has_too_many => Err(RowError::TooManyValues),
            Some(value) => self.row_of_value(value),
            None => Err(RowError::NoRoot(self.root.text())),
        }
    }

    /// Returns the row of an object whose text has `bytes` bytes.
    pub(super) fn row(&self, bytes: usize, row: &Row) -> Result<Entry, RowError> {
        match row {
            _ if bytes > MAX_RECORD_BYTES => Err(SkipReason::TooLarge.into()),
            row if row.has_too_many => Err(RowError::TooManyValues),
            row => self.row_of_value(&row.value),
        }
    }

    fn row_of_value(&self, value: &Value) -> Result<Entry, RowError> {
        match (&self.columns, value) {
            (None, Value::Object(object)) => row_of_object(object, self.zone),
            (Some(columns), Value::Object(_)) => {
                let values = columns
                    .iter()
                    .filter_map(|(name, path)| Some((name.as_str(), path.get(value)?)));
                row_of_values(values, self.zone)
            }
            _ => Err(RowError::NotAnObject),
        }
    }
}

/// A row as a value of JSON. A row of more than [`MAX_VALUES`] values is read to its end, but its value is not whole.
pub(super) struct Row {
    value: Value,
    has_too_many: bool,
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Row, D::Error> {
        let left = Cell::new(MAX_VALUES);
        let value = BoundedValue(&left).deserialize(deserializer)?;
        Ok(Row { value, has_too_many: left.get() == 0 })
    }
}

/// Reads a value of which no more parts are kept than are left.
#[derive(Clone, Copy)]
struct BoundedValue<'l>(&'l Cell<usize>);

impl BoundedValue<'_> {
    /// Takes one of the values that a row may still have. Returns false if a row may have no more.
    fn take(self) -> bool {
        self.0.set(self.0.get().saturating_sub(1));
        self.0.get() > 0
    }
}

impl<'de> DeserializeSeed<'de> for BoundedValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.take() {
            true => deserializer.deserialize_any(self),
            false => IgnoredAny::deserialize(deserializer).map(|_| Value::Null),
        }
    }
}

impl<'de> Visitor<'de> for BoundedValue<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(value) = values.next_element_seed(self)? {
            if self.0.get() > 0 {
                array.push(value);
            }
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self)?;
            if self.0.get() > 0 {
                object.insert(key, value);
            }
        }
        Ok(Value::Object(object))
    }
}

/// Returns the entry of an object whose keys are names of columns.
pub(in crate::formats) fn row_of_object(
    object: &Map<String, Value>,
    zone: Zone,
) -> Result<Entry, RowError> {
    row_of_values(object.iter().map(|(name, value)| (name.as_str(), value)), zone)
}

fn row_of_values<'v>(
    values: impl Iterator<Item = (&'v str, &'v Value)>,
    zone: Zone,
) -> Result<Entry, RowError> {
    let mut builder = RecordBuilder::new(Kind::Query, zone);
    for (name, value) in values {
        let key = Key::of_column(name);
        if key == Key::QueryId
            && !matches!(value, Value::Null | Value::String(_) | Value::Number(_))
        {
            return Err(RowError::QueryIdType);
        }
        if let Some(text) = text_of(value) {
            builder.set(key, name, &text);
        }
    }
    Ok(builder.finish(None)?)
}

/// Returns the text of a JSON value, or None for null.
pub(in crate::formats) fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) => Cow::Borrowed(text.as_str()),
        // JSON has no type for whole numbers: 1.0 is 1.
        Value::Number(number) => Cow::Owned(match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                (float as i64).to_string()
            }
            _ => number.to_string(),
        }),
        other => Cow::Owned(other.to_string()),
    })
}
