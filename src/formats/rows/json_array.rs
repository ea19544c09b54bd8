//! The rows of one large JSON array, read one at a time: a body is never held as values.

use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::json::{JsonReader, Row};
use super::json_path::{Path, Step};
use super::{BodyError, Entry, RowError};

/// The elements of the array at a path, as rows. An error ends them.
pub(super) struct ArrayRows<'a> {
    reader: JsonReader,
    cursor: Cursor<'a>,
    /// What encloses the array, from the outermost: the step that leads into each.
    enclosing: Vec<Step>,
    /// How many elements were read.
    number: u64,
    is_done: bool,
}

impl<'a> ArrayRows<'a> {
    /// Finds the array at the path of `reader`. Errors if the text has none there.
    pub(super) fn new(reader: JsonReader, text: &'a str) -> Result<ArrayRows<'a>, BodyError> {
        let mut cursor = Cursor { text, at: 0 };
        for step in &reader.root.0 {
            cursor.enter(step, &reader.root)?;
        }
        cursor.take(b'[', "an array of objects")?;
        let enclosing = reader.root.0.clone();
        Ok(ArrayRows { reader, cursor, enclosing, number: 0, is_done: false })
    }

    fn next_row(&mut self) -> Result<Option<Result<Entry, RowError>>, BodyError> {
        if self.number == 0 && self.cursor.peek() == Some(b']') {
            self.cursor.at += 1;
        } else if self.number == 0 || self.cursor.skip(b',') {
            self.number += 1;
            return Ok(Some(self.row()?));
        } else {
            self.cursor.take(b']', "`,` or `]`")?;
        }
        self.end().map(|()| None)
    }

    fn row(&mut self) -> Result<Result<Entry, RowError>, BodyError> {
        let start = self.cursor.at;
        match self.cursor.value::<Row>() {
            Ok(row) => Ok(self.reader.row(self.cursor.at - start, &row)),
            // JSON that is no value here, like a number out of range, is an error of its row alone.
            Err(error) => {
                self.cursor.at = start;
                self.cursor.value::<IgnoredAny>().map_err(|_| self.cursor.error(&error))?;
                Ok(Err(RowError::NotJson(error.to_string())))
            }
        }
    }

    /// Reads what is left of the text after the array.
    fn end(&mut self) -> Result<(), BodyError> {
        while let Some(step) = self.enclosing.pop() {
            self.cursor.leave(&step)?;
        }
        match self.cursor.peek() {
            None => Ok(()),
            Some(_) => Err(self.cursor.error(&"text after the end")),
        }
    }
}

impl Iterator for ArrayRows<'_> {
    type Item = Result<(u64, Result<Entry, RowError>), BodyError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let row = self.next_row();
        self.is_done = !matches!(row, Ok(Some(_)));
        row.map(|row| row.map(|row| (self.number, row))).transpose()
    }
}

/// A place in a text of JSON.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Returns the next byte that is no white space, and moves to it.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        self.at += rest.iter().position(is_text).unwrap_or(rest.len());
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over a byte. Returns false if another one is next.
    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Passes over a byte. Errors with what was `expected` if another one is next.
    fn take(&mut self, byte: u8, expected: &str) -> Result<(), BodyError> {
        match self.skip(byte) {
            true => Ok(()),
            false => Err(self.error(&format_args!("expected {expected}"))),
        }
    }

    /// Reads a value.
    fn value<T: Deserialize<'a>>(&mut self) -> Result<T, serde_json::Error> {
        let json = serde_json::Deserializer::from_str(&self.text[self.at..]);
        let mut values = json.into_iter::<T>();
        let value = values.next().unwrap_or_else(|| {
            Err(serde::de::Error::custom("the text ends where a value is expected"))
        })?;
        self.at += values.byte_offset();
        Ok(value)
    }

    /// Passes over a value.
    fn pass(&mut self) -> Result<(), BodyError> {
        self.value::<IgnoredAny>().map(|_| ()).map_err(|error| self.error(&error))
    }

    /// Passes over the name of an object's key and the colon. Returns the name.
    fn name(&mut self) -> Result<String, BodyError> {
        let name = self.value().map_err(|error| self.error(&error))?;
        self.take(b':', "`:`")?;
        Ok(name)
    }

    /// Moves to the value of a step into an object or an array. `path` is the whole path, for the error.
    fn enter(&mut self, step: &Step, path: &Path) -> Result<(), BodyError> {
        let missing = || BodyError::NotAnArray(RowError::NoRoot(path.text()).to_string());
        match step {
            Step::Key(key) => {
                self.take(b'{', "an object")?;
                if self.peek() == Some(b'}') {
                    return Err(missing());
                }
                while self.name()? != *key {
                    self.pass()?;
                    if !self.skip(b',') {
                        return Err(missing());
                    }
                }
            }
            Step::Position(position) => {
                self.take(b'[', "an array")?;
                if self.peek() == Some(b']') {
                    return Err(missing());
                }
                for _ in 0..*position {
                    self.pass()?;
                    if !self.skip(b',') {
                        return Err(missing());
                    }
                }
            }
        }
        Ok(())
    }

    /// Moves behind the object or the array that a step led into.
    fn leave(&mut self, step: &Step) -> Result<(), BodyError> {
        while self.skip(b',') {
            if let Step::Key(key) = step
                && self.name()? == *key
            {
                return Err(self.error(&format_args!("the key {key} comes twice")));
            }
            self.pass()?;
        }
        match step {
            Step::Key(_) => self.take(b'}', "`,` or `}`"),
            Step::Position(_) => self.take(b']', "`,` or `]`"),
        }
    }

    fn error(&self, reason: &dyn fmt::Display) -> BodyError {
        BodyError::NotAnArray(format!("{reason}, at byte {} of the body", self.at))
    }
}
