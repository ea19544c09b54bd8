//! Audit logs, line by line, with or without a wrapper around each line.

use std::io::{BufReader, Read};

use super::input::read_line;
use super::{Reader, Stop};
use crate::formats::audit_log::{AuditLog, MAX_LINE_BYTES};
use crate::formats::wrapper::{Unwrapped, Unwrapper};
use crate::formats::{Item, SkipReason, Skipped};

/// How many lines after `Summary:` the id of a profile may be.
const MAX_LINES_TO_ID: u64 = 16;

/// How long the end of a line with `Summary:` may be, in bytes.
const MAX_SUMMARY_BYTES: usize = 40;

impl<E> Reader<'_, '_, E> {
    /// Reads an audit log. If it `may_be_other` and holds no record, it is reported as another file and no line of it as
    /// skipped.
    pub(super) fn read_log(
        &mut self,
        input: &mut dyn Read,
        unwrapper: Option<Unwrapper>,
        may_be_other: bool,
    ) -> Result<(), Stop<E>> {
        let mut log = LogLines::new(AuditLog::new(self.options.zone), unwrapper, may_be_other);
        let mut input = BufReader::with_capacity(1 << 18, input);
        let mut line = Vec::new();
        for number in 1.. {
            match read_line(&mut input, &mut line, MAX_LINE_BYTES) {
                Ok(true) => {
                    let interrupted = log.push_interrupted(&line);
                    for (line, item) in interrupted.into_iter().chain(log.push(&line)) {
                        match item {
                            // Other logs have types of their own, as StarRocks' fe.big_query.log has.
                            Item::Skipped(skipped)
                                if may_be_other && skipped.reason == SkipReason::OtherType => {}
                            item => self.emit(line, item)?,
                        }
                    }
                }
                Ok(false) => break,
                Err(error) => {
                    // The records before the damage are kept.
                    log.end().into_iter().try_for_each(|(line, item)| self.emit(line, item))?;
                    return Err(Stop::Input { line: number, error });
                }
            }
        }
        log.end().into_iter().try_for_each(|(line, item)| self.emit(line, item))?;
        match (log.profiles.found, log.has_records) {
            (Some(line), _) => self.skip(line, SkipReason::ProfileInLog),
            (None, true) => Ok(()),
            (None, false) => self.emit(1, Item::OtherFile),
        }
    }
}

/// A line in the file, and the same line in the log. The log has fewer lines if wrappers join lines or lines of other
/// logs are dropped.
#[derive(Clone, Copy)]
struct Line {
    in_file: u64,
    in_log: u64,
}

/// Passes the lines of a file to its audit log, and gives the items their lines in the file.
pub(super) struct LogLines {
    log: AuditLog,
    unwrapper: Option<Unwrapper>,
    /// How many lines were read.
    lines: Line,
    /// Where the open record begins.
    open: Line,
    /// Where the record before begins.
    before: Line,
    /// Whether a record began. Lines before the first record do not go to the log.
    has_records: bool,
    profiles: ProfileSearch,
}

impl LogLines {
    pub(super) fn new(log: AuditLog, unwrapper: Option<Unwrapper>, may_be_other: bool) -> LogLines {
        let first = Line { in_file: 1, in_log: 1 };
        LogLines {
            log,
            unwrapper,
            lines: Line { in_file: 0, in_log: 0 },
            open: first,
            before: first,
            has_records: !may_be_other,
            profiles: ProfileSearch::default(),
        }
    }

    /// Passes on the half line before a line, see [`Unwrapper::interrupted_line`].
    fn push_interrupted(&mut self, line: &[u8]) -> Option<(u64, Item)> {
        let half = self.unwrapper.as_mut()?.interrupted_line(line)?;
        self.push_unwrapped(&half)
    }

    pub(super) fn push(&mut self, line: &[u8]) -> Option<(u64, Item)> {
        self.lines.in_file += 1;
        let Some(unwrapper) = &mut self.unwrapper else {
            return self.push_unwrapped(line);
        };
        let skipped = |line, reason| Some((line, Item::Skipped(Skipped { line, reason })));
        match unwrapper.unwrap_line(line) {
            Unwrapped::Line(line) => self.push_unwrapped(&line),
            Unwrapped::Nothing | Unwrapped::OtherLog => {
                self.profiles.push(self.lines.in_file, line);
                None
            }
            Unwrapped::NotWrapped if !self.has_records => None,
            Unwrapped::NotWrapped => skipped(self.lines.in_file, SkipReason::NotWrapped),
            Unwrapped::OutsideRecord => skipped(self.lines.in_file, SkipReason::OutsideRecord),
        }
    }

    fn push_unwrapped(&mut self, line: &[u8]) -> Option<(u64, Item)> {
        if !self.has_records {
            self.has_records = AuditLog::begins_record(line);
            if !self.has_records {
                self.profiles.push(self.lines.in_file, line);
                return None;
            }
        }
        self.lines.in_log += 1;
        let item = self.log.push_line(line);
        match self.log.is_at_first_line() {
            Some(true) => self.before = std::mem::replace(&mut self.open, self.lines),
            // The open record has ended.
            None => self.before = self.open,
            Some(false) => {}
        }
        item.map(|item| self.with_line(item))
    }

    /// Returns an item with its line in the file. The item's foreign lines become those in the file, too.
    fn with_line(&self, mut item: Item) -> (u64, Item) {
        let line = self.line_of(&item);
        if let Item::Record { foreign: Some(foreign), .. }
        | Item::Login { foreign: Some(foreign), .. } = &mut item
        {
            let after = foreign.first.saturating_sub(self.before.in_log);
            foreign.first = self.before.in_file + after;
        }
        (line, item)
    }

    /// Returns the line of the file where an item begins.
    fn line_of(&self, item: &Item) -> u64 {
        let in_file = |from: Line, in_log: u64| from.in_file + in_log.saturating_sub(from.in_log);
        match item {
            Item::Skipped(skipped) if skipped.line >= self.open.in_log => {
                in_file(self.open, skipped.line).min(self.lines.in_file)
            }
            Item::Skipped(skipped) => in_file(self.before, skipped.line),
            _ => self.before.in_file,
        }
    }

    pub(super) fn end(&mut self) -> Vec<(u64, Item)> {
        let rest = self.unwrapper.as_mut().map(Unwrapper::end).unwrap_or_default();
        let mut items: Vec<_> = rest.iter().filter_map(|line| self.push_unwrapped(line)).collect();
        // The record that ends here is the open one.
        self.before = self.open;
        if let Some(last) = self.log.end() {
            items.push(self.with_line(last));
        }
        items
    }
}

/// Searches for a profile among other lines: `Summary:` at a line's end, and its id soon after it.
#[derive(Default)]
struct ProfileSearch {
    /// The line of the last `Summary:`.
    summary: Option<u64>,
    /// The line where the first profile begins.
    found: Option<u64>,
}

impl ProfileSearch {
    fn push(&mut self, number: u64, line: &[u8]) {
        let summary = memchr::memmem::rfind(line, b"Summary:");
        if summary.is_some_and(|at| line.len() - at < MAX_SUMMARY_BYTES) {
            self.summary = Some(number);
        }
        let is_near = |begin: &u64| self.found.is_none() && number - begin <= MAX_LINES_TO_ID;
        if let Some(begin) = self.summary.filter(is_near)
            && [&b"- Profile ID:"[..], b"- Query ID:"]
                .iter()
                .any(|key| memchr::memmem::find(line, key).is_some())
        {
            self.found = Some(begin);
        }
    }
}
