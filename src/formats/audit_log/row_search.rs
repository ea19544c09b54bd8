//! The search for the row of fields that ends a text.

use std::collections::VecDeque;

use super::field::{KeySet, PlacedField};
use super::split::without_blank_lines;
use crate::formats::record_builder::Key;

/// How many fields a row may have. No version writes more after a free text.
const MAX_ROW: usize = 256;

/// Looks for the row of fields that ends a text, while its fields are read one after another. Two rows are looked for:
///
/// - The anchored row begins with its anchor, the key that a version writes first after the text, at the last place
///   where the anchor has a value that it can have. The other values may be anything.
/// - The plausible row is the longest one at the end whose fields are all plausible and whose keys all differ. It begins
///   with the anchor, or with any key that is known. It is for records that may have no row at all: then text must not
///   be read as one.
pub(super) struct RowSearch<'a, 's> {
    /// The record's keys before the text.
    before: &'s KeySet<'a>,
    anchor: Option<Key>,
    pub anchored: Row<'a>,
    /// Whether the row may hold an error message, which may be any text.
    pub may_hold_message: bool,
    /// An anchored row with an error message after which the anchor comes again.
    with_message: Option<Row<'a>>,
    pub plausible: VecDeque<PlacedField<'a>>,
    plausible_keys: KeySet<'a>,
    /// The plausible fields directly before the anchored row.
    pub leading: Vec<PlacedField<'a>>,
}

/// A row of fields of any values, whose keys all differ.
#[derive(Default)]
pub(super) struct Row<'a> {
    pub fields: Vec<PlacedField<'a>>,
    keys: KeySet<'a>,
}

impl<'a> Row<'a> {
    fn clear(&mut self) {
        self.fields.clear();
        self.keys.clear();
    }

    /// Adds a field of a record that has the keys `before`.
    fn add(&mut self, placed: PlacedField<'a>, before: &KeySet<'a>) {
        let is_new = !before.has(&placed.field) && self.keys.add(&placed.field);
        match self.fields.last_mut() {
            // A key that the record has already is text in the value before it.
            Some(last) if !is_new => {
                if !last.field.key.is_number() {
                    last.end = placed.end;
                }
            }
            _ => self.fields.push(placed),
        }
        if self.fields.len() > MAX_ROW {
            self.clear();
        }
    }

    /// Returns whether this row has all keys of another one.
    fn repeats(&self, other: &Row<'_>) -> bool {
        other.fields.iter().all(|placed| self.keys.has(&placed.field))
    }

    /// Returns whether the row has an error message that is not empty.
    fn has_message(&self) -> bool {
        self.keys.has_key(Key::ErrorMessage)
            && self.fields.iter().any(|placed| placed.field.is_error_text())
    }
}

impl<'a, 's> RowSearch<'a, 's> {
    pub(super) fn new(before: &'s KeySet<'a>, anchor: Key) -> RowSearch<'a, 's> {
        RowSearch {
            before,
            anchor: (!before.has_key(anchor)).then_some(anchor),
            anchored: Row::default(),
            may_hold_message: false,
            with_message: None,
            plausible: VecDeque::new(),
            plausible_keys: KeySet::default(),
            leading: Vec::new(),
        }
    }

    /// Adds the next field of the text.
    pub(super) fn add(&mut self, placed: PlacedField<'a>) {
        let field = placed.field;
        let begins = Some(field.key) == self.anchor && field.first_line().is_plausible();
        if begins {
            if self.may_hold_message {
                self.keep_message();
            }
            self.anchored.clear();
            self.leading.clear();
            self.leading.extend(&self.plausible);
        }
        if begins || !self.anchored.fields.is_empty() {
            self.anchored.add(placed, self.before);
        }
        if let Some(row) = &mut self.with_message {
            row.add(placed, self.before);
        }
        self.add_plausible(placed);
    }

    /// Keeps an anchored row with an error message when the anchor comes again: then either a next row begins, or the
    /// anchor is text of the message. A next row repeats all keys of the kept one, which then belongs to a
    /// quoted record.
    fn keep_message(&mut self) {
        if self.with_message.as_ref().is_none_or(|row| self.anchored.repeats(row)) {
            let row = std::mem::take(&mut self.anchored);
            self.with_message = row.has_message().then_some(row);
        }
    }

    fn add_plausible(&mut self, placed: PlacedField<'a>) {
        let mut field = placed.field;
        // Blank lines after the last field are no part of its value.
        field.value = without_blank_lines(field.value);
        if !field.is_plausible() || self.before.has(&field) {
            self.plausible.clear();
            self.plausible_keys.clear();
            return;
        }
        if !self.plausible_keys.add(&field) {
            while let Some(dropped) = self.plausible.pop_front() {
                let dropped = dropped.field;
                if dropped.name == field.name || is_known(dropped.key) && dropped.key == field.key {
                    break;
                }
                self.plausible_keys.remove(&dropped);
            }
        }
        if self.plausible.len() == MAX_ROW
            && let Some(dropped) = self.plausible.pop_front()
        {
            self.plausible_keys.remove(&dropped.field);
        }
        self.plausible.push_back(PlacedField { field, ..placed });
    }

    /// Returns the anchored row if the record is `sure` to have one, or if three of the row's keys are known and have
    /// plausible values.
    pub(super) fn take_anchored(&mut self, sure: bool) -> Option<Vec<PlacedField<'a>>> {
        if let Some(row) = self.with_message.take()
            && !row.fields.is_empty()
            && !self.anchored.repeats(&row)
        {
            self.anchored = row;
        }
        let known = self.anchored.fields.iter().filter(|placed| {
            is_known(placed.field.key) && placed.field.first_line().is_plausible()
        });
        let is_row = !self.anchored.fields.is_empty() && (sure || known.count() >= 3);
        is_row.then(|| std::mem::take(&mut self.anchored.fields))
    }

    /// Returns the plausible fields directly before the plausible row, and that row, which may be empty. The text begins
    /// at `start`.
    pub(super) fn into_plausible(
        self,
        start: usize,
    ) -> (Vec<PlacedField<'a>>, Vec<PlacedField<'a>>) {
        let mut leading: Vec<PlacedField<'a>> = self.plausible.into();
        let row = &leading;
        // The text may end with what looks like a field, too. Only if there is no text before it may the row begin with
        // a key that is unknown.
        let begin = row
            .iter()
            .position(|placed| Some(placed.field.key) == self.anchor)
            .or_else(|| row.iter().position(|placed| placed.field.key != Key::Unknown))
            .unwrap_or(row.len());
        let has_no_text = row.first().is_some_and(|first| first.bar == start)
            && row[..begin].iter().all(|placed| placed.field.key == Key::Unknown);
        let row = leading.split_off(if has_no_text { 0 } else { begin });
        (leading, row)
    }
}

/// Returns whether a key stands for one meaning.
fn is_known(key: Key) -> bool {
    !matches!(key, Key::Known | Key::Unknown)
}
