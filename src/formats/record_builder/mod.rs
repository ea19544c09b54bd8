//! Builds a record key by key. Every format uses it, whatever names it has for the keys.

mod finish;
mod keys;
mod value;

use chrono::NaiveDateTime;
use serde_json::{Map, Value};

use crate::domain::login::Login;
use crate::domain::record::{Kind, Load, Origin, QueryId, QueryIdError, QueryRecord};
use crate::domain::statement;
use crate::domain::time::{Zone, read_time};

pub(super) use keys::{Key, lower_case};
pub(super) use value::{parse_boolean, without_cluster};

/// The content of a record of an audit log, or of a row of a load.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    /// A query or a load.
    Record(Box<QueryRecord>),
    Login(Box<Login>),
}

/// The type of the entry that a builder builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryType {
    /// A query or a load.
    Query,
    Login,
    /// A query or a log-in: the source does not name the type.
    QueryOrLogin,
    /// A type that annals does not keep.
    Other,
}

/// When a record was written: as its statement ended, or later.
#[derive(Clone, Copy)]
pub(super) struct WrittenAt {
    /// In Unix milliseconds.
    pub ms: i64,
    /// As the log has it, for the derived id of a record without a start.
    pub local: NaiveDateTime,
    /// Whether the log names no zone.
    pub is_local: bool,
}

/// A record that is filled in key by key.
pub(super) struct RecordBuilder {
    /// Boxed from the start, for the record is large and is moved often.
    record: Box<QueryRecord>,
    load: Load,
    zone: Zone,
    query_id: Result<QueryId, QueryIdError>,
    /// The start as the source writes it, for derived ids.
    start_text: String,
    /// Whether the start and the end have no zone, as far as they are known.
    start_is_local: bool,
    end_is_local: bool,
    entry_type: EntryType,
    /// The key's name and the value of an error code that is no number.
    error_word: Option<(String, String)>,
    /// The key's name and the value of StarRocks' group of compute nodes within a warehouse.
    cn_group: Option<(String, String)>,
}

impl RecordBuilder {
    /// Returns a builder that knows no value yet. Times without a zone are local to `zone`.
    pub(super) fn new(kind: Kind, zone: Zone) -> RecordBuilder {
        RecordBuilder {
            record: Box::new(QueryRecord::new(
                QueryId::of_stored(String::new()),
                kind,
                Origin::Audit,
            )),
            load: Load::default(),
            zone,
            query_id: Err(QueryIdError::Missing),
            start_text: String::new(),
            start_is_local: false,
            end_is_local: false,
            entry_type: EntryType::Query,
            error_word: None,
            cn_group: None,
        }
    }

    /// Sets the type of the entry, which else is a query or a load.
    pub(super) fn set_type(&mut self, entry_type: EntryType) {
        self.entry_type = entry_type;
    }

    /// Sets the value of `key`. A value that the key's field cannot hold is kept in `extra` under `name`.
    pub(super) fn set(&mut self, key: Key, name: &str, value: &str) {
        let trimmed = value.trim();
        if key == Key::QueryId || key == Key::JobId {
            self.query_id = trimmed.parse();
        }
        // Frontends write these for nothing. In free text, -1 and UNKNOWN may be text.
        let is_nothing = match trimmed {
            "" | "null" | "N/A" => true,
            "-1" | "UNKNOWN" => !key.is_free_text(),
            _ => false,
        };
        if is_nothing {
            return;
        }
        let is_set = match self.set_field(key, trimmed) {
            Some(is_set) => is_set,
            None => self.set_special(key, name, value),
        };
        if !is_set {
            self.record.extra.insert(name.to_string(), trimmed.to_string());
        }
    }

    /// Sets the value of a key that has a rule of its own. Returns false if the value belongs in `extra`.
    fn set_special(&mut self, key: Key, name: &str, value: &str) -> bool {
        let record = &mut *self.record;
        let trimmed = value.trim();
        match key {
            Key::Timestamp | Key::LoadStartTime => return self.set_start(key, trimmed),
            Key::QueryType => return self.set_query_type(trimmed),
            Key::EndTime => {
                let ended = read_time(trimmed, self.zone);
                record.ended_ms = ended.map(|time| time.ms);
                self.end_is_local = ended.is_some_and(|time| time.is_local);
                return ended.is_some();
            }
            Key::Stmt => record.statement = Some(statement::original_text(value).into_owned()),
            Key::ErrorMessage => record.error_message = Some(value.to_string()),
            Key::ErrorCode => match trimmed.parse() {
                Ok(code) => record.error_code = Some(code),
                Err(_) => self.error_word = Some((name.to_string(), trimmed.to_string())),
            },
            Key::CnGroup => self.cn_group = Some((name.to_string(), trimmed.to_string())),
            Key::ChosenViews => {
                record.chosen_views = (trimmed != "[]").then(|| trimmed.to_string());
            }
            // The object's other times are parts of this one; the object stays in `extra` as a whole.
            Key::PlanTimes => {
                record.plan_time_ms = value::json_number(trimmed, "plan").or(record.plan_time_ms);
                return false;
            }
            Key::ScheduleTimes => {
                let time_ms = value::json_number(trimmed, "schedule_time_ms");
                record.schedule_time_ms = time_ms.or(record.schedule_time_ms);
                return false;
            }
            // A text that is no JSON object would break queries that look into the column.
            Key::ChangedVariables if value::is_json_object(trimmed) => {
                record.changed_variables = Some(trimmed.to_string().into());
            }
            Key::Kind if trimmed.eq_ignore_ascii_case("load") => record.kind = Kind::Load,
            Key::Kind if trimmed.eq_ignore_ascii_case("query") => record.kind = Kind::Query,
            Key::IsSlow | Key::IsStartEstimated => {
                let Some(is_true) = parse_boolean(trimmed) else { return false };
                match key {
                    Key::IsSlow => record.is_slow = is_true,
                    _ => record.is_start_estimated = is_true,
                }
            }
            Key::Origin => match trimmed {
                "audit" => record.origin = Origin::Audit,
                "summary" => record.origin = Origin::Summary,
                _ => return false,
            },
            Key::Extra | Key::Load => return self.set_members(key, trimmed),
            // Of the record and of the history that has it.
            Key::Computed | Key::QueryId => {}
            _ => return false,
        }
        true
    }

    /// Sets what an export of annals has in an object: keys without a column, or what only loads have. Returns false if the text
    /// is no object.
    fn set_members(&mut self, key: Key, text: &str) -> bool {
        let Ok(members) = serde_json::from_str::<Map<String, Value>>(text) else { return false };
        // The id of a load's job is its id only if it has no other.
        let id = std::mem::replace(&mut self.query_id, Err(QueryIdError::Missing));
        for (name, value) in members {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                other => other.to_string(),
            };
            match Key::of_column(&name) {
                Key::Extra | Key::Load => {}
                column if key == Key::Load => self.set(column, &name, &text),
                _ => {
                    self.record.extra.insert(name, text);
                }
            }
        }
        if id.is_ok() {
            self.query_id = id;
        }
        true
    }

    /// Sets the start from a time; returns false if the text is none. A load's own start is closer than the time of
    /// its record.
    fn set_start(&mut self, key: Key, text: &str) -> bool {
        let started = read_time(text, self.zone);
        if key == Key::LoadStartTime || self.record.started_ms.is_none() {
            if let Some(started) = started {
                self.record.started_ms = Some(started.ms);
                self.start_is_local = started.is_local;
            }
            self.start_text = text.to_string();
        }
        started.is_some()
    }

    /// Sets what StarRocks' loader calls the type of a query; returns false if the type is unknown.
    fn set_query_type(&mut self, text: &str) -> bool {
        match text.to_ascii_lowercase().as_str() {
            "query" => {}
            "slow_query" => self.record.is_slow = true,
            "connection" => self.entry_type = EntryType::Login,
            "disconnection" => self.entry_type = EntryType::Other,
            _ => return false,
        }
        true
    }
}
