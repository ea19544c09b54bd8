//! Rows of JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::json_path::{Path, Step, columns_of_paths};
use super::{BodyError, Entry, JsonKind, RowError};
use crate::domain::record::Kind;
use crate::domain::time::Zone;
use crate::formats::record_builder::{Key, RecordBuilder};

/// Reads rows of JSON.
pub(super) struct JsonReader {
    zone: Zone,
    root: Path,
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

    /// Calls `emit` with each row of a body and its number. Errors if an array cannot be read to its end.
    pub(super) fn read(
        &self,
        body: &str,
        kind: JsonKind,
        emit: &mut impl FnMut(u64, Result<Entry, RowError>),
    ) -> Result<(), BodyError> {
        match kind {
            JsonKind::Lines => {
                let lines = (1..).zip(body.lines()).filter(|(_, line)| !line.trim().is_empty());
                lines.for_each(|(number, line)| emit(number, self.row_of_text(line)));
            }
            JsonKind::Object => emit(1, self.row_of_text(body)),
            JsonKind::Array => {
                let mut json = serde_json::Deserializer::from_str(body);
                let mut is_found = false;
                let array =
                    ArrayAt { reader: self, steps: &self.root.0, is_found: &mut is_found, emit };
                array
                    .deserialize(&mut json)
                    .and_then(|()| json.end())
                    .map_err(|error| BodyError::NotAnArray(error.to_string()))?;
                if !is_found {
                    let error = RowError::NoRoot(self.root.text());
                    return Err(BodyError::NotAnArray(error.to_string()));
                }
            }
        }
        Ok(())
    }

    fn row_of_text(&self, text: &str) -> Result<Entry, RowError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| RowError::NotJson(error.to_string()))?;
        match self.root.get(&value) {
            Some(value) => self.row(value),
            None => Err(RowError::NoRoot(self.root.text())),
        }
    }

    fn row(&self, value: &Value) -> Result<Entry, RowError> {
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

/// The array at the end of a path. It emits its rows one by one, so that a body is never held as values.
struct ArrayAt<'a, F> {
    reader: &'a JsonReader,
    /// The rest of the path.
    steps: &'a [Step],
    is_found: &'a mut bool,
    emit: &'a mut F,
}

impl<'de, F: FnMut(u64, Result<Entry, RowError>)> DeserializeSeed<'de> for ArrayAt<'_, F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.steps {
            [Step::Key(_), ..] => deserializer.deserialize_map(self),
            _ => deserializer.deserialize_seq(self),
        }
    }
}

impl<'de, F: FnMut(u64, Result<Entry, RowError>)> Visitor<'de> for ArrayAt<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.steps {
            [Step::Key(_), ..] => "an object",
            [Step::Position(_), ..] => "an array",
            [] => "an array of objects",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let ArrayAt { reader, steps, is_found, emit } = self;
        while let Some(key) = entries.next_key::<String>()? {
            match steps {
                [Step::Key(step), steps @ ..] if *step == key => {
                    entries.next_value_seed(ArrayAt { reader, steps, is_found, emit })?;
                }
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let ArrayAt { reader, steps, is_found, emit } = self;
        if let [Step::Position(position), steps @ ..] = steps {
            for _ in 0..*position {
                if values.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(());
                }
            }
            values.next_element_seed(ArrayAt { reader, steps, is_found, emit })?;
            while values.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        *is_found = true;
        let mut number = 0;
        while let Some(value) = values.next_element::<Value>()? {
            number += 1;
            emit(number, reader.row(&value));
        }
        Ok(())
    }
}
