//! JSON: a document a line, documents one after the other, or an array.
//!
//! Documents may be events of a log shipper, or answers of what it wrote to. Their lines are read as one log.

use std::io::{self, BufReader, Read};

use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde_json::Value;

use super::input::read_line;
use super::log::LogLines;
use super::{MAX_JSON_BYTES, Reader, Stop};
use crate::formats::answer::{self, AnswerPart};
use crate::formats::audit_log::AuditLog;
use crate::formats::budget::Budget;
use crate::formats::encoding::lossy;
use crate::formats::wrapper::{Unwrapper, lines_of_events};
use crate::formats::{SkipReason, dump, sniff};

impl<E> Reader<'_, '_, E> {
    /// Reads one JSON document a line.
    pub(super) fn read_json_lines(&mut self, input: &mut dyn Read) -> Result<(), Stop<E>> {
        let mut input = BufReader::with_capacity(1 << 18, input);
        let (mut line, mut events) = (Vec::new(), None);
        for number in 1.. {
            let has_line = read_line(&mut input, &mut line, MAX_JSON_BYTES);
            if !has_line.map_err(|error| Stop::Input { line: number, error })? {
                break;
            }
            let text = sniff::without_log_time(line.trim_ascii());
            if text.is_empty() {
                continue;
            }
            let replaced = std::str::from_utf8(text).is_err();
            match serde_json::from_str(&lossy(text)) {
                Ok(document) => self.read_document(number, document, replaced, &mut events)?,
                Err(_) => self.skip(number, SkipReason::NotJson)?,
            }
        }
        self.end_events(events)
    }

    /// Reads JSON documents one after the other, or the elements of an array.
    pub(super) fn read_json(&mut self, head: &[u8], input: &mut dyn Read) -> Result<(), Stop<E>> {
        let budget = Budget::new(MAX_JSON_BYTES as u64, io::ErrorKind::InvalidData);
        let input = BufReader::new(budget.reader(input));
        let mut json = serde_json::Deserializer::from_reader(input);
        let mut events = None;
        if head.trim_ascii_start().starts_with(b"[") {
            let mut stop = None;
            let mut number = 0;
            let result = Elements(&mut |element| {
                budget.reset(MAX_JSON_BYTES as u64);
                number += 1;
                stop = self.read_document(number, element, false, &mut events).err();
                stop.is_none()
            })
            .deserialize(&mut json)
            .and_then(|()| json.end());
            if let Some(stop) = stop {
                return Err(stop);
            }
            self.end_events(events)?;
            return match result {
                Ok(()) => Ok(()),
                Err(_) => self.skip(number + 1, SkipReason::NotJson),
            };
        }
        let mut documents = json.into_iter::<Value>();
        for number in 1.. {
            budget.reset(MAX_JSON_BYTES as u64);
            match documents.next() {
                None => break,
                Some(Ok(document)) => self.read_document(number, document, false, &mut events)?,
                Some(Err(_)) => {
                    self.end_events(events)?;
                    return self.skip(number, SkipReason::NotJson);
                }
            }
        }
        self.end_events(events)
    }

    /// Emits the last record of the log that events hold.
    fn end_events(&mut self, events: Option<LogLines>) -> Result<(), Stop<E>> {
        let items = events.map(|mut events| events.end()).unwrap_or_default();
        items.into_iter().try_for_each(|(line, item)| self.emit(line, item))
    }

    /// Emits the items of a JSON document. `replaced` says that bytes of its text were not UTF-8. The lines of events are added to
    /// the log that the documents before hold.
    fn read_document(
        &mut self,
        line: u64,
        document: Value,
        replaced: bool,
        events: &mut Option<LogLines>,
    ) -> Result<(), Stop<E>> {
        if let Some(lines) = lines_of_events(&document, events.is_some()) {
            let log = AuditLog::new(self.options.zone);
            let events = events
                .get_or_insert_with(|| LogLines::new(log, Some(Unwrapper::of_events()), false));
            return lines.iter().flat_map(|event| event.split_inclusive('\n')).try_for_each(
                |line| {
                    let item = match line.ends_with('\n') {
                        true => events.push(line.as_bytes()),
                        false => events.push(format!("{line}\n").as_bytes()),
                    };
                    item.map_or(Ok(()), |(line, item)| self.emit(line, item))
                },
            );
        }
        answer::read_answer(document, self.options.zone, &mut |part| match part {
            AnswerPart::Profile(text) => self.profile(line, text, replaced),
            AnswerPart::Row(row) => self.emit(line, dump::item_of_row(row, replaced)),
            AnswerPart::Skipped(reason) => self.skip(line, reason),
        })
    }
}

/// Calls a function with the elements of an array one by one, until it returns false.
struct Elements<'a>(&'a mut dyn FnMut(Value) -> bool);

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element()? {
            if !(self.0)(element) {
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}
