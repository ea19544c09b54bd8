//! What a field of a record is: a name, a type, and a value that stores and formats can carry without knowing which
//! field it is of.

use std::fmt;
use std::ops::Deref;

use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, SchemaFormat, SchemaType, Type};

use super::{Kind, Origin, QueryId};

/// A field of a record, as the table in `fields.rs` defines it.
pub(crate) struct Field {
    /// The name of the field, of its column and of its key in JSON.
    pub name: &'static str,
    /// The documentation of the field, for the description of the interface; empty where the name says it all.
    description: &'static str,
    pub json_type: Type,
    /// Whether every record has a value.
    pub is_required: bool,
}

impl Field {
    pub(super) const fn new<T: FieldType>(name: &'static str, description: &'static str) -> Field {
        Field { name, description, json_type: T::JSON_TYPE, is_required: T::IS_REQUIRED }
    }

    /// Returns the schema of the field in JSON.
    pub(crate) fn schema(&self) -> Object {
        let schema = ObjectBuilder::new();
        let schema = match self.is_required {
            true => schema.schema_type(SchemaType::Type(self.json_type.clone())),
            false => {
                schema.schema_type(SchemaType::from_iter([self.json_type.clone(), Type::Null]))
            }
        };
        let int64 = SchemaFormat::KnownFormat(KnownFormat::Int64);
        let description = self.description.trim();
        schema
            .format((self.json_type == Type::Integer).then_some(int64))
            .description((!description.is_empty()).then_some(description))
            .build()
    }
}

/// The value of any field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum FieldValue<'a> {
    Unknown,
    Text(&'a str),
    /// A text that is a JSON document.
    Json(&'a str),
    Number(i64),
    Truth(bool),
}

impl<'a> FieldValue<'a> {
    fn text(self) -> Option<&'a str> {
        match self {
            FieldValue::Text(text) | FieldValue::Json(text) => Some(text),
            _ => None,
        }
    }

    fn number(self) -> Option<i64> {
        match self {
            FieldValue::Number(number) => Some(number),
            FieldValue::Truth(truth) => Some(truth.into()),
            _ => None,
        }
    }
}

impl Serialize for FieldValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            FieldValue::Unknown => serializer.serialize_none(),
            FieldValue::Text(text) => serializer.serialize_str(text),
            // Whatever else somebody wrote into the column counts as unknown.
            FieldValue::Json(text) => {
                serde_json::from_str::<serde_json::Value>(text).ok().serialize(serializer)
            }
            FieldValue::Number(number) => serializer.serialize_i64(*number),
            FieldValue::Truth(truth) => serializer.serialize_bool(*truth),
        }
    }
}

/// The type of a field: how its values are carried and merged.
pub(super) trait FieldType: Sized {
    const JSON_TYPE: Type;
    const IS_REQUIRED: bool = false;

    fn value(&self) -> FieldValue<'_>;

    /// Returns the field of a value that a store kept. A value of another type counts as unknown.
    fn of_value(value: FieldValue<'_>) -> Self;

    /// Takes over the value of another report of the same query where that one is to be kept: always where the other
    /// report is preferred, else where this one has none.
    fn merge(&mut self, other: &mut Self, prefer_other: bool);
}

/// A text that is a JSON document, and is shown as one.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(crate) struct JsonText(String);

impl From<String> for JsonText {
    fn from(text: String) -> JsonText {
        JsonText(text)
    }
}

impl Deref for JsonText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FieldValue::Json(&self.0).serialize(serializer)
    }
}

/// Merges an optional value as [`FieldType::merge`] says.
pub(super) fn merge_option<T>(mine: &mut Option<T>, other: &mut Option<T>, prefer_other: bool) {
    if other.is_some() && (prefer_other || mine.is_none()) {
        *mine = other.take();
    }
}

impl FieldType for Option<String> {
    const JSON_TYPE: Type = Type::String;

    fn value(&self) -> FieldValue<'_> {
        self.as_deref().map_or(FieldValue::Unknown, FieldValue::Text)
    }

    fn of_value(value: FieldValue<'_>) -> Option<String> {
        value.text().map(str::to_string)
    }

    fn merge(&mut self, other: &mut Option<String>, prefer_other: bool) {
        merge_option(self, other, prefer_other);
    }
}

impl FieldType for Option<JsonText> {
    const JSON_TYPE: Type = Type::Object;

    fn value(&self) -> FieldValue<'_> {
        self.as_deref().map_or(FieldValue::Unknown, FieldValue::Json)
    }

    fn of_value(value: FieldValue<'_>) -> Option<JsonText> {
        value.text().map(|text| JsonText(text.to_string()))
    }

    fn merge(&mut self, other: &mut Option<JsonText>, prefer_other: bool) {
        merge_option(self, other, prefer_other);
    }
}

impl FieldType for Option<i64> {
    const JSON_TYPE: Type = Type::Integer;

    fn value(&self) -> FieldValue<'_> {
        self.map_or(FieldValue::Unknown, FieldValue::Number)
    }

    fn of_value(value: FieldValue<'_>) -> Option<i64> {
        value.number()
    }

    fn merge(&mut self, other: &mut Option<i64>, prefer_other: bool) {
        merge_option(self, other, prefer_other);
    }
}

impl FieldType for Option<bool> {
    const JSON_TYPE: Type = Type::Boolean;

    fn value(&self) -> FieldValue<'_> {
        self.map_or(FieldValue::Unknown, FieldValue::Truth)
    }

    fn of_value(value: FieldValue<'_>) -> Option<bool> {
        value.number().map(|number| number != 0)
    }

    fn merge(&mut self, other: &mut Option<bool>, prefer_other: bool) {
        merge_option(self, other, prefer_other);
    }
}

impl FieldType for bool {
    const JSON_TYPE: Type = Type::Boolean;
    const IS_REQUIRED: bool = true;

    fn value(&self) -> FieldValue<'_> {
        FieldValue::Truth(*self)
    }

    fn of_value(value: FieldValue<'_>) -> bool {
        value.number().is_some_and(|number| number != 0)
    }

    /// A fact that one report states is true.
    fn merge(&mut self, other: &mut bool, _: bool) {
        *self |= *other;
    }
}

impl FieldType for QueryId {
    const JSON_TYPE: Type = Type::String;
    const IS_REQUIRED: bool = true;

    fn value(&self) -> FieldValue<'_> {
        FieldValue::Text(self.as_str())
    }

    fn of_value(value: FieldValue<'_>) -> QueryId {
        QueryId::of_stored(value.text().unwrap_or_default().to_string())
    }

    /// A record keeps its id.
    fn merge(&mut self, _: &mut QueryId, _: bool) {}
}

impl FieldType for Kind {
    const JSON_TYPE: Type = Type::String;
    const IS_REQUIRED: bool = true;

    fn value(&self) -> FieldValue<'_> {
        FieldValue::Text(self.name())
    }

    fn of_value(value: FieldValue<'_>) -> Kind {
        Kind::of_name(value.text().unwrap_or_default())
    }

    /// A load may be reported as a statement, too.
    fn merge(&mut self, other: &mut Kind, _: bool) {
        if *other == Kind::Load {
            *self = Kind::Load;
        }
    }
}

impl FieldType for Origin {
    const JSON_TYPE: Type = Type::String;
    const IS_REQUIRED: bool = true;

    fn value(&self) -> FieldValue<'_> {
        FieldValue::Text(self.name())
    }

    fn of_value(value: FieldValue<'_>) -> Origin {
        Origin::of_name(value.text().unwrap_or_default())
    }

    fn merge(&mut self, other: &mut Origin, _: bool) {
        *self = (*self).max(*other);
    }
}
