//! Profiles and lists that people saved: the answers of a frontend's REST interface, the HTML of its page, texts that
//! hold profiles among other things, and the files in which a frontend spills profiles to its disk.

mod html;
mod profile_text;
mod spilled;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::SkipReason;
use super::frontend;
use super::record_builder::{Entry, Key};
use super::rows::{self, RowError};
use crate::domain::time::Zone;

pub(super) use self::html::{is_html, text_of_html};
pub(super) use self::profile_text::{has_profile, profiles};
pub(super) use self::spilled::{is_spilled, spilled_text};

/// A part of an answer.
#[derive(Debug)]
pub(super) enum AnswerPart {
    /// The text of a profile.
    Profile(Vec<u8>),
    /// A row of the audit table, or of a frontend's list of queries.
    Row(Result<Entry, RowError>),
    Skipped(SkipReason),
}

/// How deep answers may be nested: an envelope, its data, an array in it.
const MAX_DEPTH: usize = 4;

/// Calls `emit` with the parts of a JSON document: an answer of a frontend with or without its envelope, a profile as
/// text or HTML, a list of queries, or a row of the audit table. Errors as `emit` does.
pub(super) fn read_answer<E>(
    answer: Value,
    zone: Zone,
    emit: &mut dyn FnMut(AnswerPart) -> Result<(), E>,
) -> Result<(), E> {
    AnswerReader { zone, emit }.read(answer, 0)
}

struct AnswerReader<'a, E> {
    zone: Zone,
    emit: &'a mut dyn FnMut(AnswerPart) -> Result<(), E>,
}

impl<E> AnswerReader<'_, E> {
    fn read(&mut self, value: Value, depth: usize) -> Result<(), E> {
        if depth > MAX_DEPTH {
            return self.skipped(SkipReason::NotRecognised);
        }
        match value {
            Value::String(text) => self.read_text(text),
            Value::Array(values) => {
                values.into_iter().try_for_each(|value| self.read(value, depth + 1))
            }
            Value::Object(object) => self.read_object(object, depth),
            _ => self.skipped(SkipReason::NotRecognised),
        }
    }

    fn read_text(&mut self, text: String) -> Result<(), E> {
        let text = match is_html(text.as_bytes()) {
            true => text_of_html(&text),
            false => text,
        };
        let mut is_found = false;
        for profile in profiles(text.into_bytes()) {
            is_found = true;
            (self.emit)(AnswerPart::Profile(profile))?;
        }
        match is_found {
            true => Ok(()),
            false => self.skipped(SkipReason::NotRecognised),
        }
    }

    fn read_object(&mut self, mut object: Map<String, Value>, depth: usize) -> Result<(), E> {
        if let Some((code, data)) = frontend::take_envelope(&mut object) {
            return match code {
                0 => self.read(data.unwrap_or_default(), depth + 1),
                _ => self.skipped(SkipReason::ErrorAnswer),
            };
        }
        let holds_profile = object
            .get("profile")
            .and_then(Value::as_str)
            .is_some_and(|text| has_profile(text.as_bytes()) || is_html(text.as_bytes()));
        if holds_profile {
            let text = object.remove("profile").unwrap_or_default();
            self.read(text, depth + 1)?;
            // StarRocks' fe.profile.log has the query's detail around its profile.
            return match is_detail(&object) {
                true => self.read_list(Value::Array(vec![Value::Object(object)])),
                false => Ok(()),
            };
        }
        if object.contains_key("rows") || object.contains_key("query_details") {
            return self.read_list(Value::Object(object));
        }
        if is_detail(&object) {
            return self.read_list(Value::Array(vec![Value::Object(object)]));
        }
        match is_row(&object) {
            true => (self.emit)(AnswerPart::Row(rows::row_of_object(&object, self.zone))),
            false => self.skipped(SkipReason::NotRecognised),
        }
    }

    /// Reads a frontend's list of queries.
    fn read_list(&mut self, list: Value) -> Result<(), E> {
        let Some((records, not_understood)) = frontend::query_list::records(&list, self.zone)
        else {
            return self.skipped(SkipReason::NotRecognised);
        };
        for record in records {
            (self.emit)(AnswerPart::Row(Ok(Entry::Record(Box::new(record)))))?;
        }
        (0..not_understood).try_for_each(|_| self.skipped(SkipReason::BadRow))
    }

    fn skipped(&mut self, reason: SkipReason) -> Result<(), E> {
        (self.emit)(AnswerPart::Skipped(reason))
    }
}

/// Returns whether an object is the detail of a query, as `/api/query_detail` of Doris until 2024 and of StarRocks
/// answers.
fn is_detail(object: &Map<String, Value>) -> bool {
    ["queryId", "startTime", "sql"].iter().all(|key| object.contains_key(*key))
}

/// Returns whether an object has at least two columns of the audit table.
fn is_row(object: &Map<String, Value>) -> bool {
    let known = object.keys().filter(|name| Key::of_column(name) != Key::Unknown).take(2);
    known.count() == 2
}
