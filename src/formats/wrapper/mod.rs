//! Wrappers: the text that container runtimes and log shippers put around each line of a log.
//!
//! | wrapper | a line with it | where it comes from |
//! |---|---|---|
//! | Docker's json-file | `{"log":"LINE\n","stream":"stdout","time":"…Z"}` | Docker's default log driver |
//! | CRI | `2026-03-01T10:00:00.123456789Z stdout F LINE` | Kubernetes: containerd and CRI-O |
//! | a time | `2026-03-01T10:00:00.123456789Z LINE` | `docker logs -t`, `kubectl logs --timestamps` |
//! | a pod | `[pod/NAME/CONTAINER] LINE` | `kubectl logs --prefix` |
//! | a service | `fe-1  \| LINE`, also with the prefix in colours | `docker compose logs` |
//! | syslog | `Mar  1 10:00:00 HOST fe[123]: LINE`, `<14>1 2026-03-01T10:00:00Z HOST fe 123 - - LINE`, the same after its length (RFC 6587), with or without line ends | journald, rsyslog |
//! | an event | `{"@timestamp":"…Z","message":"LINE"}`, `{"message":"LINE","timestamp":"…Z"}` | Filebeat and Logstash, Vector |
//! | an event | `{"_source":{"message":"LINE"}}`, `{"line":"LINE","timestamp":"…Z"}` | elasticdump, `logcli --output=jsonl` of Loki |
//! | an answer | `[EVENT, …]`, `{"hits":{"hits":[{"_source":EVENT}]}}`, `{"data":{"result":[{"values":[["TIME","LINE"]]}]}}` | Elasticsearch, Loki (`/loki/api/v1/query_range`) |
//! | a file | `fe.audit.log:LINE`, `fe.audit.log:12:LINE`, and `fe.audit.log-LINE` for context | `grep -H`, `grep -n` of several files |
//! | a logger's name | `AuditLogger LINE` | Doris 2.1.4 and later, `start_fe.sh --console` |
//!
//! A logger's name may be within each of the others. A frontend that writes to its console mixes its running log with its
//! audit log: the lines of the running log are dropped here, so that none becomes part of a statement.

mod detect;
mod events;
mod line;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::line::{GrepPrefix, WrappedLine, Wrapper, logger_name};
use super::audit_log::{AuditLog, MAX_LINE_BYTES};

pub(in crate::formats) use self::events::lines_of_events;
pub(crate) use self::line::is_running_log;

/// A line without its wrapper.
#[derive(Debug, PartialEq)]
pub(crate) enum Unwrapped<'a> {
    /// A line of an audit log, with its line end.
    Line(Cow<'a, [u8]>),
    /// Nothing yet: a part of a line, or one more line of another log in the same stream.
    Nothing,
    /// A line of another log. It ends the record before it.
    OtherLog,
    /// The line has no wrapper, though the others have one.
    NotWrapped,
    /// The line is of a record whose beginning grep did not write.
    OutsideRecord,
}

/// Takes the wrappers off the lines of one input. It holds at most two lines: one of each stream.
#[derive(Debug, Clone)]
pub(crate) struct Unwrapper {
    wrapper: Wrapper,
    /// Whether the names of loggers are before lines.
    is_named: bool,
    /// The parts of a line of standard output and of standard error so far.
    partial: [Vec<u8>; 2],
    /// Whether lines keep their line ends within the wrapper.
    has_line_ends: bool,
    /// Whether the lines belong to another log until the next record begins.
    is_other_log: bool,
    /// The stream of the record before.
    stream: usize,
    /// What grep wrote before the line before, or before its record.
    grep: Option<GrepPrefix>,
    /// Whether grep did not write lines since the record before.
    is_behind_gap: bool,
}

impl Unwrapper {
    fn new(wrapper: Wrapper, is_named: bool, has_line_ends: bool) -> Unwrapper {
        Unwrapper {
            wrapper,
            is_named,
            partial: [Vec::new(), Vec::new()],
            has_line_ends,
            is_other_log: true,
            stream: 0,
            grep: None,
            is_behind_gap: false,
        }
    }

    /// Returns what takes the names of loggers and the lines of other logs out of the lines of events.
    pub(super) fn of_events() -> Unwrapper {
        Unwrapper::new(Wrapper::Bare, false, false)
    }

    /// Returns a text without the wrappers of its lines, whatever the lines are.
    pub(super) fn unwrap_text(&self, wrapped: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(wrapped.len());
        for line in wrapped.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = self.wrapper.unwrap(line) else {
                text.extend_from_slice(line);
                continue;
            };
            text.extend_from_slice(&line.text);
            if !line.continues.is_true(self.has_line_ends) && !line.text.ends_with(b"\n") {
                text.push(b'\n');
            }
        }
        text
    }

    /// Takes the wrapper off a line with its line end.
    pub(crate) fn unwrap_line<'a>(&mut self, line: &'a [u8]) -> Unwrapped<'a> {
        if self.wrapper == Wrapper::Bare {
            return self.without_other_logs(Cow::Borrowed(line), 0);
        }
        if self.wrapper == Wrapper::File {
            return match self.without_grep_prefix(line) {
                Some(text) => self.without_other_logs(Cow::Borrowed(text), 0),
                None => self.behind_gap(line),
            };
        }
        let Some(WrappedLine { text, stream, continues }) = self.wrapper.unwrap(line) else {
            return match self.wrapper {
                _ if line.trim_ascii().is_empty() => Unwrapped::Nothing,
                Wrapper::DockerJson | Wrapper::Cri => Unwrapped::NotWrapped,
                // A message of `docker compose` itself, or a line that a shipper did not mark.
                _ => self.without_other_logs(Cow::Borrowed(line), 0),
            };
        };
        self.has_line_ends |= self.wrapper == Wrapper::DockerJson && text.ends_with(b"\n");
        if continues.is_true(self.has_line_ends) {
            append(&mut self.partial[stream], &text);
            return Unwrapped::Nothing;
        }
        let before = &mut self.partial[stream];
        let mut text = match before.is_empty() {
            true => text,
            false => {
                let mut whole = std::mem::take(before);
                append(&mut whole, &text);
                // The line ends here, even if its end was beyond the longest line.
                if !whole.ends_with(b"\n") && text.ends_with(b"\n") {
                    whole.push(b'\n');
                }
                Cow::Owned(whole)
            }
        };
        // Log agents may take the line end off.
        let is_json = matches!(self.wrapper, Wrapper::DockerJson | Wrapper::Event);
        if is_json && !text.ends_with(b"\n") {
            text.to_mut().push(b'\n');
        }
        self.without_other_logs(text, stream)
    }

    /// Returns a line without what grep wrote before it; None if the line does not follow the line before.
    fn without_grep_prefix<'a>(&mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        let text = match self.wrapper.unwrap(line) {
            Some(WrappedLine { text: Cow::Borrowed(text), .. }) => Some(text),
            _ => None,
        };
        if let Some(text) = text.filter(|text| begins_entry(text)) {
            self.grep = GrepPrefix::of(line, text);
            return Some(text);
        }
        match &mut self.grep {
            // Only the prefix of a record says where that of the statement's other lines ends.
            Some(prefix) => prefix.strip_next(line),
            None => text,
        }
    }

    /// Notes that grep did not write the lines before this one. The line that grep writes between two places is `--`.
    fn behind_gap(&mut self, line: &[u8]) -> Unwrapped<'static> {
        self.is_behind_gap = true;
        match line.trim_ascii() {
            _ if self.is_other_log => Unwrapped::Nothing,
            b"" | b"--" => Unwrapped::OtherLog,
            _ => Unwrapped::OutsideRecord,
        }
    }

    /// Returns the half line before `line`, with a line end, if `line` does not continue it but begins an entry of a log:
    /// a container that stops leaves half a line. Call this before [`Unwrapper::unwrap_line`] with the same line.
    pub(crate) fn interrupted_line(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        if !self.is_within_line() {
            return None;
        }
        let WrappedLine { text, stream, .. } = self.wrapper.unwrap(line)?;
        if self.partial[stream].is_empty() || !begins_entry(&text) {
            return None;
        }
        let mut half = std::mem::take(&mut self.partial[stream]);
        half.push(b'\n');
        match self.without_other_logs(Cow::Owned(half), stream) {
            Unwrapped::Line(line) => Some(line.into_owned()),
            _ => None,
        }
    }

    /// Ends the input: returns the lines that are not complete.
    pub(crate) fn end(&mut self) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for (stream, text) in std::mem::take(&mut self.partial).into_iter().enumerate() {
            if !text.is_empty()
                && let Unwrapped::Line(line) = self.without_other_logs(Cow::Owned(text), stream)
            {
                lines.push(line.into_owned());
            }
        }
        lines
    }

    /// Returns whether no other text has this wrapper: then the lines are a container's even if no record is among the
    /// first.
    pub(crate) fn is_certain(&self) -> bool {
        matches!(self.wrapper, Wrapper::DockerJson | Wrapper::Cri) || self.is_named
    }

    /// Returns whether a record begins in a text.
    pub(crate) fn finds_record(mut self, text: &[u8]) -> bool {
        text.split_inclusive(|byte| *byte == b'\n')
            .any(|line| matches!(self.unwrap_line(line), Unwrapped::Line(_)))
    }

    /// Returns whether a line has begun whose end did not come yet.
    pub(crate) fn is_within_line(&self) -> bool {
        self.partial.iter().any(|partial| !partial.is_empty())
    }

    /// Returns a line of the audit log without its logger's name, or nothing for a line of another log and for the lines
    /// after it, like a stack trace.
    fn without_other_logs<'a>(&mut self, line: Cow<'a, [u8]>, stream: usize) -> Unwrapped<'a> {
        let logger = logger_name(&line);
        let length = logger.map_or(0, |(_, length)| length);
        let is_audit_logger = logger.is_none_or(|(name, _)| name == b"AuditLogger");
        if AuditLog::begins_record(&line[length..]) {
            (self.is_other_log, self.is_behind_gap, self.stream) = (false, false, stream);
        } else if self.is_other_log || stream != self.stream {
            return Unwrapped::Nothing;
        } else if !is_audit_logger || is_running_log(&line[length..]) {
            self.is_other_log = true;
            return Unwrapped::OtherLog;
        } else if self.is_behind_gap {
            return Unwrapped::OutsideRecord;
        }
        Unwrapped::Line(match (length, line) {
            (0, line) => line,
            (_, Cow::Borrowed(line)) => Cow::Borrowed(&line[length..]),
            (_, Cow::Owned(mut line)) => {
                line.drain(..length);
                Cow::Owned(line)
            }
        })
    }
}

/// Returns whether a line begins an entry of a frontend's log.
fn begins_entry(line: &[u8]) -> bool {
    AuditLog::begins_record(line) || is_running_log(line) || logger_name(line).is_some()
}

/// Appends a part to a line, which never grows beyond the longest line that is read.
fn append(line: &mut Vec<u8>, part: &[u8]) {
    let capacity = MAX_LINE_BYTES.saturating_sub(line.len());
    line.extend_from_slice(&part[..part.len().min(capacity)]);
}
