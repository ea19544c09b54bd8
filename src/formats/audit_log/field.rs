//! One `|Key=Value` after another.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::prefix::RecordKind;
use super::split::is_token;
use crate::formats::record_builder::{Key, parse_boolean};

/// The longest name of a key, in bytes. A statement's megabytes are not searched for an equals sign.
const MAX_NAME_BYTES: usize = 64;

/// A field of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Field<'a> {
    pub key: Key,
    pub name: &'a str,
    pub value: &'a str,
}

impl<'a> Field<'a> {
    /// Returns the field with the first line of its value.
    pub(super) fn first_line(self) -> Field<'a> {
        Field { value: self.value.split('\n').next().unwrap_or_default(), ..self }
    }

    /// Returns whether this is an error message that is not empty.
    pub(super) fn is_error_text(&self) -> bool {
        self.key == Key::ErrorMessage && !self.first_line().value.trim().is_empty()
    }

    /// Returns whether the value is one that frontends write for the key often enough to tell a field from text that
    /// looks like one: a number for a number, a token, JSON, or plain text.
    pub(super) fn is_plausible(&self) -> bool {
        let value = self.value;
        let is_nothing = value.is_empty() || value == "null";
        match self.key {
            key if key.is_number() => is_nothing || value.trim().parse::<i64>().is_ok(),
            Key::IsQuery | Key::IsNereids | Key::IsInternal | Key::CacheHit => {
                is_nothing || parse_boolean(value).is_some()
            }
            key if is_token(key) => {
                !value.trim().contains(|c: char| c.is_whitespace() || "'\"`(),;".contains(c))
            }
            // No version writes free text after free text, but for StarRocks' error message.
            Key::Stmt | Key::ErrorMessage | Key::Message => false,
            Key::FuzzyVariables | Key::QueriedTables | Key::ChosenViews | Key::Url => {
                !value.contains('\n')
            }
            // A key that is new looks like a frontend's (camel case), not like a column.
            Key::Unknown if !self.name.contains(|c: char| c.is_ascii_uppercase()) => false,
            _ => !value.contains(['\n', '\'', '"', ';']) || is_json(value),
        }
    }
}

/// Returns whether a text is a JSON object, array or string.
fn is_json(text: &str) -> bool {
    text.starts_with(['{', '[', '"']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A set of keys. No record has a key twice.
#[derive(Clone, Default)]
pub(super) struct KeySet<'a> {
    /// A bit for each key that stands for one meaning.
    known: u128,
    /// The names of the other keys.
    names: HashSet<&'a str>,
}

const _: () = assert!(Key::COUNT <= 128, "a key has no bit in KeySet");

impl<'a> KeySet<'a> {
    fn bit(key: Key) -> u128 {
        1 << (key as u32)
    }

    pub(super) fn has(&self, field: &Field<'_>) -> bool {
        match field.key {
            Key::Known | Key::Unknown => self.names.contains(field.name),
            key => self.has_key(key),
        }
    }

    pub(super) fn has_key(&self, key: Key) -> bool {
        self.known & KeySet::bit(key) != 0
    }

    /// Adds the key of a field. Returns false if the set has the key already.
    pub(super) fn add(&mut self, field: &Field<'a>) -> bool {
        match field.key {
            Key::Known | Key::Unknown => self.names.insert(field.name),
            key => {
                let is_new = !self.has_key(key);
                self.known |= KeySet::bit(key);
                is_new
            }
        }
    }

    pub(super) fn remove(&mut self, field: &Field<'a>) {
        match field.key {
            Key::Known | Key::Unknown => {
                self.names.remove(field.name);
            }
            key => self.known &= !KeySet::bit(key),
        }
    }

    pub(super) fn clear(&mut self) {
        self.known = 0;
        self.names.clear();
    }
}

/// A field and its place in the text.
#[derive(Clone, Copy)]
pub(super) struct PlacedField<'a> {
    /// Where the bar before the key is.
    pub bar: usize,
    /// Where the value ends.
    pub end: usize,
    pub field: Field<'a>,
}

impl<'a> PlacedField<'a> {
    /// Returns the field with its value up to `end` in `text`. A row may have moved the end.
    pub(super) fn whole(&self, text: &'a str) -> Field<'a> {
        let start = offset_of(text, self.field.value);
        Field { value: &text[start..self.end], ..self.field }
    }

    /// Returns where this field begins in `text`.
    pub(super) fn start(&self, text: &str) -> FieldStart<'a> {
        let value = offset_of(text, self.field.value);
        FieldStart { bar: self.bar, key: self.field.key, name: self.field.name, value }
    }
}

/// Where a field begins: `|Key=`. The key is looked up once and kept.
#[derive(Clone, Copy)]
pub(super) struct FieldStart<'a> {
    /// Where the bar before the key is.
    pub bar: usize,
    key: Key,
    name: &'a str,
    /// Where the value begins.
    value: usize,
}

impl<'a> FieldStart<'a> {
    /// Returns the first start of a field in `text` at or after `from`.
    fn find(kind: RecordKind, text: &'a str, from: usize) -> Option<FieldStart<'a>> {
        memchr::memchr_iter(b'|', &text.as_bytes()[from..]).find_map(|at| {
            let bar = from + at;
            let name = name_at(&text[bar + 1..])?;
            let value = bar + name.len() + 2;
            Some(FieldStart { bar, key: kind.key(name), name, value })
        })
    }
}

/// Returns the name of the key with which a text begins, `Key=`, or None if it begins with none.
fn name_at(text: &str) -> Option<&str> {
    let end = text.bytes().take(MAX_NAME_BYTES).position(|byte| !is_key_byte(byte))?;
    let is_name = text.as_bytes()[end] == b'=' && text.as_bytes()[0].is_ascii_alphabetic();
    is_name.then(|| &text[..end])
}

/// Returns whether the name of a key may hold a byte.
pub(super) fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'(' | b')')
}

/// Reads the fields of a text. A value ends at the next `|Key=`, but JSON may hold that too. Where a field ends depends
/// on nothing before it, so a row of fields is the same wherever the reading began.
pub(super) struct Fields<'a> {
    kind: RecordKind,
    text: &'a str,
    next: Option<FieldStart<'a>>,
    /// How many bytes may still be read as JSON in vain. The budget keeps the reading linear.
    json_budget: usize,
}

impl<'a> Fields<'a> {
    /// Returns the fields of a text from the first one that begins at or after `from`.
    pub(super) fn new(kind: RecordKind, text: &'a str, from: usize) -> Fields<'a> {
        let next = FieldStart::find(kind, text, from);
        Fields { kind, text, next, json_budget: text.len().saturating_mul(2) }
    }

    /// Returns where the next field begins.
    pub(super) fn next_start(&self) -> Option<FieldStart<'a>> {
        self.next
    }

    /// Goes on with the field at `next`, or ends.
    pub(super) fn jump(&mut self, next: Option<FieldStart<'a>>) {
        self.next = next;
    }

    /// Returns the length of the JSON object or array with which a text begins, or None if it begins with none or no
    /// field can end after it. A string is not looked for: a quote is more often part of a text.
    fn json_length(&mut self, text: &str) -> Option<usize> {
        if !text.starts_with(['{', '[']) || self.json_budget == 0 {
            return None;
        }
        let bytes = &text.as_bytes()[..text.len().min(self.json_budget)];
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
        let Some(Ok(_)) = values.next() else {
            self.json_budget -= bytes_until_error(bytes).min(self.json_budget);
            return None;
        };
        let length = values.byte_offset();
        let can_end = |after: &str| match after.strip_prefix('|') {
            Some(rest) => is_end(rest) || name_at(rest).is_some(),
            None => is_end(after),
        };
        if text.get(length..).is_some_and(can_end) && !text[..length].contains('\n') {
            return Some(length);
        }
        self.json_budget -= length.min(self.json_budget);
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = PlacedField<'a>;

    fn next(&mut self) -> Option<PlacedField<'a>> {
        let FieldStart { bar, key, name, value } = self.next?;
        let text = self.text;
        let after = value + self.json_length(&text[value..]).unwrap_or(0);
        self.next = FieldStart::find(self.kind, text, after);
        let end = self.next.map_or(text.len(), |next| next.bar);
        Some(PlacedField { bar, end, field: Field { key, name, value: &text[value..end] } })
    }
}

/// Returns how many bytes of a text are read before it turns out to be no JSON.
fn bytes_until_error(text: &[u8]) -> usize {
    let mut rest = text;
    // Only reading byte by byte shows where it ends.
    let _ = IgnoredAny::deserialize(&mut serde_json::Deserializer::from_reader(&mut rest));
    text.len() - rest.len()
}

/// Returns whether a text is the end of a record, or begins with the end of a line.
fn is_end(text: &str) -> bool {
    text.is_empty() || text.starts_with('\n') || text.starts_with("\r\n") || text == "\r"
}

/// Returns where in `text` a part of it begins.
pub(super) fn offset_of(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}
