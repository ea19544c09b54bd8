//! A query as the history has it, and its form in JSON.

use std::ops::Deref;

use chrono::{DateTime, Datelike};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};

use super::QueryRecord;
use crate::domain::filter::{Cursor, QueryOrder};
use crate::domain::profile::{Phases, RecordedTimes};
use crate::domain::statement::Fingerprint;

/// A record, and what the store adds to it. Its form in JSON has a key for each field of the record, and those of
/// [`added_after`] and [`ADDED_LAST`].
#[derive(Debug)]
pub(crate) struct StoredQuery {
    /// The row, by which lists tell queries of the same start apart. It is no part of the JSON.
    pub id: i64,
    pub record: QueryRecord,
    pub fingerprint: Option<Fingerprint>,
    pub has_profile: bool,
}

impl Deref for StoredQuery {
    type Target = QueryRecord;

    fn deref(&self) -> &QueryRecord {
        &self.record
    }
}

impl StoredQuery {
    /// Returns the place of the query in a list of an order.
    pub(crate) fn cursor(&self, order: QueryOrder) -> Cursor {
        Cursor { value: order.value(&self.record), id: self.id }
    }

    /// Returns the phases that the record itself reports, for queries without a profile.
    pub(crate) fn phases(&self) -> Phases {
        let phases = Phases::of_record(RecordedTimes {
            total_ms: self.duration_ms,
            queue_ms: self.queue_time_ms,
            parse_ms: self.parse_time_ms,
            plan_ms: self.plan_time_ms,
            schedule_ms: self.schedule_time_ms,
        });
        let extra = self.extra.iter().map(|(key, text)| (key.clone(), text.clone().into()));
        match self.extra.is_empty() {
            true => phases,
            false => phases.with_steps(&extra.collect()),
        }
    }

    /// Returns the keys of the JSON form, in order.
    pub(crate) fn keys() -> Vec<&'static str> {
        let mut keys = Vec::new();
        for field in &QueryRecord::FIELDS {
            keys.push(field.name);
            keys.extend(added_after(field.name));
        }
        keys.extend(ADDED_LAST);
        keys
    }
}

/// The keys behind those of all fields.
const ADDED_LAST: [&str; 4] = ["is_failed", "extra", "load", "has_profile"];

/// Returns the key that stands behind the key of a field.
fn added_after(field: &str) -> Option<&'static str> {
    match field {
        "started_ms" => Some("started_at"),
        "ended_ms" => Some("ended_at"),
        "statement" => Some("fingerprint"),
        _ => None,
    }
}

impl Serialize for StoredQuery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (field, value) in QueryRecord::FIELDS.iter().zip(self.record.values()) {
            object.serialize_entry(field.name, &value)?;
            let Some(added) = added_after(field.name) else { continue };
            let text = match added {
                "started_at" => self.started_ms.and_then(utc_text),
                "ended_at" => self.ended_ms.and_then(utc_text),
                _ => self.fingerprint.map(|fingerprint| fingerprint.to_string()),
            };
            object.serialize_entry(added, &text)?;
        }
        let [is_failed, extra, load, has_profile] = ADDED_LAST;
        object.serialize_entry(is_failed, &self.is_failed())?;
        object.serialize_entry(extra, &Some(&self.extra).filter(|extra| !extra.is_empty()))?;
        object.serialize_entry(load, &self.load)?;
        object.serialize_entry(has_profile, &self.has_profile)?;
        object.end()
    }
}

/// Returns an instant as text, or None for one beyond the years 0 to 9999.
fn utc_text(instant_ms: i64) -> Option<String> {
    let time = DateTime::from_timestamp_millis(instant_ms)?;
    let is_plain = (0..=9999).contains(&time.year());
    is_plain.then(|| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

impl ToSchema for StoredQuery {}

/// What the derive of [`ToSchema`] implements: the envelope of an answer takes no type without it.
impl utoipa::__dev::ComposeSchema for StoredQuery {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        let mut object = ObjectBuilder::new().description(Some(
            "Everything that is known of a query. Times are Unix milliseconds, sizes bytes; null is unknown.",
        ));
        for field in &QueryRecord::FIELDS {
            object = object.property(field.name, field.schema());
            if field.is_required {
                object = object.required(field.name);
            }
        }
        let truth = |description| {
            ObjectBuilder::new()
                .schema_type(SchemaType::Type(Type::Boolean))
                .description(description)
        };
        let is_failed = "Whether it failed: an error code, or a state that says so.";
        object
            .property("started_at", text_or_null("`started_ms` as text, in UTC.").build())
            .property("ended_at", text_or_null("`ended_ms` as text, in UTC.").build())
            .property("fingerprint", fingerprint())
            .property("is_failed", truth(Some(is_failed)).build())
            .required("is_failed")
            .property("extra", extra())
            .property("load", load())
            .property("has_profile", truth(None).build())
            .required("has_profile")
            .build()
            .into()
    }
}

fn text_or_null(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(description))
}

fn fingerprint() -> Object {
    text_or_null("What the statements of one shape have in common, 16 hex digits.")
        .pattern(Some("^[0-9a-f]{16}$"))
        .build()
}

fn extra() -> Object {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).build();
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some("What annals has no field for, by the names it came with."))
        .additional_properties(Some(Schema::from(text.clone())))
        .property_names(Some(Schema::from(text)))
        .build()
}

fn load() -> Object {
    let object = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some("What only loads have."));
    let fields = super::Load::FIELDS.iter();
    fields.fold(object, |object, field| object.property(field.name, field.schema())).build()
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::super::{Kind, Load, Origin};
    use super::*;

    fn stored() -> StoredQuery {
        let mut record = QueryRecord::new("1a-2b".parse().unwrap(), Kind::Load, Origin::Audit);
        record.started_ms = Some(1_722_942_950_932);
        record.ended_ms = Some(-1);
        record.state = Some("err".to_string());
        record.changed_variables = Some("{\"b\":1,\"a\":\"x\"}".to_string().into());
        record.extra.insert("PlanTimesMs".to_string(), "{}".to_string());
        record.load = Some(Box::new(Load { url: Some("u".to_string()), ..Load::default() }));
        StoredQuery {
            id: 7,
            record,
            fingerprint: Some(Fingerprint::from_signed(-1)),
            has_profile: true,
        }
    }

    #[test]
    fn json_has_the_keys_that_are_named_and_described() {
        let text = serde_json::to_string(&stored()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut keys = StoredQuery::keys();
        let place = |key: &str| text.find(&format!("\"{key}\":")).unwrap();
        assert!(keys.is_sorted_by_key(|key| place(key)));
        keys.sort_unstable();
        assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
        let schema = serde_json::to_value(StoredQuery::schema()).unwrap();
        assert_eq!(schema["properties"].as_object().unwrap().keys().collect::<Vec<_>>(), keys);
        assert_eq!(schema["properties"]["scan_rows"]["format"], "int64");
    }

    #[test]
    fn json_shows_times_fingerprints_and_documents() {
        let value = serde_json::to_value(stored()).unwrap();
        assert_eq!(value["started_at"], "2024-08-06T11:15:50.932Z");
        assert_eq!(value["ended_at"], "1969-12-31T23:59:59.999Z");
        assert_eq!(value["fingerprint"], "ffffffffffffffff");
        assert_eq!(value["changed_variables"]["a"], "x");
        assert_eq!(value["is_failed"], true);
        assert_eq!(value["load"]["url"], "u");
        assert_eq!(value["load"]["job_id"], serde_json::Value::Null);
        assert_eq!(utc_text(i64::MAX), None);
        assert_eq!(utc_text(253_402_300_800_000), None);
    }
}
