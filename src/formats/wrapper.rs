//! What container runtimes and log shippers put around each line of a log, and how it is taken off.
//!
//! | wrapper | a line of it | where it comes from |
//! |---|---|---|
//! | Docker's json-file | `{"log":"LINE\n","stream":"stdout","time":"…Z"}` | Docker's default log driver |
//! | CRI | `2026-03-01T10:00:00.123456789Z stdout F LINE` | Kubernetes: containerd and CRI-O |
//! | a time | `2026-03-01T10:00:00.123456789Z LINE` | `docker logs -t`, `kubectl logs --timestamps` |
//! | a pod | `[pod/NAME/CONTAINER] LINE` | `kubectl logs --prefix` |
//! | a service | `fe-1  \| LINE` | `docker compose logs` |
//! | syslog | `Mar  1 10:00:00 HOST fe[123]: LINE` | journald, rsyslog |
//! | a logger's name | `AuditLogger LINE` | Doris 2.1.4 and later, `start_fe.sh --console` |
//!
//! The last may stand within each of the others. A frontend that writes to its console mixes its running log
//! with its audit log: the lines of the running log are left out here, so that none becomes part of a statement.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::answer;
use super::audit_log::{AuditLog, MAX_LINE_BYTES};
use crate::domain::time::{leading_local_time, leading_zone_offset};

/// How many lines of a head are looked at to find what is around them.
const DETECTED_LINES: usize = 2000;

/// Docker cuts a line every 16 KiB. A cut within a character or a blank makes the piece a little shorter.
const DOCKER_CUT_BYTES: usize = 16_000;

/// What is around each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrapper {
    DockerJson,
    Cri,
    Pod,
    Service,
    Syslog,
    Time,
    /// Nothing, or the logger's name only.
    Bare,
}

/// One line of Docker's json-file driver. Other drivers and shippers add keys of their own.
#[derive(Deserialize)]
struct DockerLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    time: Option<IgnoredAny>,
    /// The time, as fluent-bit names it.
    date: Option<IgnoredAny>,
    /// CRI's tag, as fluent-bit and fluentd keep it: `P` for a part of a line, `F` for its last part.
    #[serde(borrow, rename = "_p", alias = "logtag")]
    tag: Option<Cow<'a, str>>,
}

/// A piece of a line as it stood within its wrapper.
struct Piece<'a> {
    text: Cow<'a, [u8]>,
    /// Standard output or standard error, 0 or 1; their pieces mix.
    stream: usize,
    /// Whether the line goes on in the next piece of its stream.
    goes_on: GoesOn,
}

/// Whether a line goes on in the next piece of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GoesOn {
    Yes,
    No,
    /// It does where the other lines keep their line ends: log agents take them off.
    Unknown,
}

/// What a line gives once its wrapper is off.
#[derive(Debug, PartialEq)]
pub(crate) enum Unwrapped<'a> {
    /// A line of an audit log, with its line end.
    Line(Cow<'a, [u8]>),
    /// Nothing yet: a part of a line, or one more line of another log in the same stream.
    Nothing,
    /// A line of another log, behind which the record before does not go on.
    OtherLog,
    /// The line has no wrapper, though the others have one.
    NotWrapped,
}

/// Takes the wrappers off the lines of one input. It holds at most two lines: one of each stream.
#[derive(Debug, Clone)]
pub(crate) struct Unwrapper {
    wrapper: Wrapper,
    /// Whether the names of loggers stand before lines.
    is_named: bool,
    /// The parts of a line of standard output and of standard error that came so far.
    partial: [Vec<u8>; 2],
    /// Whether lines keep their line ends within the wrapper.
    has_line_ends: bool,
    /// Whether the lines belong to another log until the next record begins.
    foreign: bool,
    /// The stream of the record before.
    stream: usize,
}

impl Unwrapper {
    /// Looks at the start of an input and returns what takes its wrappers off, or None if its lines stand
    /// there as an audit log has them.
    pub(crate) fn detect(head: &[u8]) -> Option<Unwrapper> {
        let lines = || {
            let lines = head.split_inclusive(|byte| *byte == b'\n');
            lines.filter(|line| !line.trim_ascii().is_empty()).take(DETECTED_LINES)
        };
        let first = lines().next()?;
        if AuditLog::begins_record(first) {
            return None;
        }
        let found = |wrapper: Wrapper| {
            let inner = |line| wrapper.unwrap(line).map(|piece| piece.text);
            let is_named = |line| inner(line).is_some_and(|line| without_logger(&line).is_some());
            Some(Unwrapper {
                wrapper,
                is_named: lines().take(20).any(is_named),
                partial: [Vec::new(), Vec::new()],
                has_line_ends: wrapper == Wrapper::DockerJson
                    && lines().take(20).filter_map(inner).any(|text| text.ends_with(b"\n")),
                foreign: true,
                stream: 0,
            })
        };
        // These two are told by one line; what `docker compose` or a script printed may stand before.
        for wrapper in [Wrapper::DockerJson, Wrapper::Cri] {
            if lines().take(20).any(|line| wrapper.unwrap(line).is_some()) {
                return found(wrapper);
            }
        }
        // The others look like many a text: only a frontend's line within shows that they are one.
        for wrapper in [Wrapper::Pod, Wrapper::Service, Wrapper::Syslog, Wrapper::Time] {
            let is_known = |line: &[u8]| {
                wrapper.unwrap(line).is_some_and(|piece| {
                    without_logger(&piece.text).is_some()
                        || AuditLog::begins_record(&piece.text)
                        || is_running_log(&piece.text)
                })
            };
            if lines().take(20).any(|line| wrapper.unwrap(line).is_some()) && lines().any(is_known)
            {
                return found(wrapper);
            }
        }
        let is_console =
            lines().take(20).any(|line| without_logger(line).is_some() || is_running_log(line));
        if is_console { found(Wrapper::Bare) } else { None }
    }

    /// Looks at the start of an input whose lines, without what is around them, hold a profile: returns what takes
    /// it off, or None where nothing is around them or no profile is found.
    pub(super) fn detect_profile(head: &[u8]) -> Option<Unwrapper> {
        let has = |words: &[u8]| memchr::memmem::find(head, words).is_some();
        if !has(b"Summary:") || !has(b"Profile ID") && !has(b"Query ID") {
            return None;
        }
        let first = || {
            let lines = head.split_inclusive(|byte| *byte == b'\n');
            lines.filter(|line| !line.trim_ascii().is_empty()).take(20)
        };
        let wrappers = [
            Wrapper::DockerJson,
            Wrapper::Cri,
            Wrapper::Pod,
            Wrapper::Service,
            Wrapper::Syslog,
            Wrapper::Time,
        ];
        let is_around = |wrapper: &Wrapper| first().any(|line| wrapper.unwrap(line).is_some());
        wrappers.into_iter().filter(is_around).find_map(|wrapper| {
            let unwrapper = Unwrapper {
                wrapper,
                is_named: false,
                partial: [Vec::new(), Vec::new()],
                has_line_ends: wrapper == Wrapper::DockerJson
                    && first()
                        .filter_map(|line| wrapper.unwrap(line))
                        .any(|piece| piece.text.ends_with(b"\n")),
                foreign: true,
                stream: 0,
            };
            answer::has_profile(&unwrapper.text(head)).then_some(unwrapper)
        })
    }

    /// Returns a text without what is around its lines, whatever they are of.
    pub(super) fn text(&self, wrapped: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(wrapped.len());
        for line in wrapped.split_inclusive(|byte| *byte == b'\n') {
            let Some(piece) = self.wrapper.unwrap(line) else {
                text.extend_from_slice(line);
                continue;
            };
            text.extend_from_slice(&piece.text);
            let goes_on = match piece.goes_on {
                GoesOn::Yes => true,
                GoesOn::No => false,
                GoesOn::Unknown => self.has_line_ends,
            };
            if !goes_on && !piece.text.ends_with(b"\n") {
                text.push(b'\n');
            }
        }
        text
    }

    /// Takes in a line with its line end.
    pub(crate) fn line<'a>(&mut self, line: &'a [u8]) -> Unwrapped<'a> {
        if self.wrapper == Wrapper::Bare {
            return self.without_other_logs(Cow::Borrowed(line), 0);
        }
        let Some(Piece { text, stream, goes_on }) = self.wrapper.unwrap(line) else {
            return match self.wrapper {
                _ if line.trim_ascii().is_empty() => Unwrapped::Nothing,
                Wrapper::DockerJson | Wrapper::Cri => Unwrapped::NotWrapped,
                // What `docker compose` itself says, or a line that a shipper did not mark.
                _ => self.without_other_logs(Cow::Borrowed(line), 0),
            };
        };
        self.has_line_ends |= self.wrapper == Wrapper::DockerJson && text.ends_with(b"\n");
        let goes_on = match goes_on {
            GoesOn::Yes => true,
            GoesOn::No => false,
            GoesOn::Unknown => self.has_line_ends,
        };
        let before = &mut self.partial[stream];
        if goes_on {
            let room = MAX_LINE_BYTES.saturating_sub(before.len());
            before.extend_from_slice(&text[..text.len().min(room)]);
            return Unwrapped::Nothing;
        }
        let text = match before.is_empty() {
            true => text,
            false => {
                let mut whole = std::mem::take(before);
                let room = MAX_LINE_BYTES.saturating_sub(whole.len());
                whole.extend_from_slice(&text[..text.len().min(room)]);
                // However long it was, it ended.
                if !whole.ends_with(b"\n") && text.ends_with(b"\n") {
                    whole.push(b'\n');
                }
                Cow::Owned(whole)
            }
        };
        let text = match self.wrapper == Wrapper::DockerJson && !text.ends_with(b"\n") {
            // An agent took the line end off.
            true => {
                let mut line = text.into_owned();
                line.push(b'\n');
                Cow::Owned(line)
            }
            false => text,
        };
        self.without_other_logs(text, stream)
    }

    /// Ends a line whose last part did not come, where the next line of its stream begins an entry of a log
    /// instead of going on: a container that stops leaves half a line. Returns the half line with a line end.
    /// It is to be called before [`Unwrapper::line`] with the same line.
    pub(crate) fn ended_by(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        if !self.is_within_line() {
            return None;
        }
        let Piece { text, stream, .. } = self.wrapper.unwrap(line)?;
        let begins = AuditLog::begins_record(&text)
            || is_running_log(&text)
            || without_logger(&text).is_some();
        if self.partial[stream].is_empty() || !begins {
            return None;
        }
        let mut ended = std::mem::take(&mut self.partial[stream]);
        ended.push(b'\n');
        match self.without_other_logs(Cow::Owned(ended), stream) {
            Unwrapped::Line(line) => Some(line.into_owned()),
            _ => None,
        }
    }

    /// Ends the input: returns the lines whose end did not come.
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

    /// Whether the lines have a wrapper that no other text has, so that they are a container's even where no
    /// record is among the first.
    pub(crate) fn is_certain(&self) -> bool {
        matches!(self.wrapper, Wrapper::DockerJson | Wrapper::Cri) || self.is_named
    }

    /// Whether a record begins in a text.
    pub(crate) fn finds_record(mut self, text: &[u8]) -> bool {
        text.split_inclusive(|byte| *byte == b'\n')
            .any(|line| matches!(self.line(line), Unwrapped::Line(_)))
    }

    /// Whether a line is begun whose end did not come yet.
    pub(crate) fn is_within_line(&self) -> bool {
        self.partial.iter().any(|partial| !partial.is_empty())
    }

    /// A line of the audit log without its logger's name; nothing for a line of another log, and for those
    /// behind it, as a stack trace is.
    fn without_other_logs<'a>(&mut self, line: Cow<'a, [u8]>, stream: usize) -> Unwrapped<'a> {
        let named = without_logger(&line);
        let behind = named.map_or(0, |(_, length)| length);
        if AuditLog::begins_record(&line[behind..]) {
            (self.foreign, self.stream) = (false, stream);
        } else if self.foreign || stream != self.stream {
            return Unwrapped::Nothing;
        } else if named.is_some_and(|(name, _)| name != b"AuditLogger")
            || is_running_log(&line[behind..])
        {
            self.foreign = true;
            return Unwrapped::OtherLog;
        }
        Unwrapped::Line(match (behind, line) {
            (0, line) => line,
            (_, Cow::Borrowed(line)) => Cow::Borrowed(&line[behind..]),
            (_, Cow::Owned(mut line)) => {
                line.drain(..behind);
                Cow::Owned(line)
            }
        })
    }
}

impl Wrapper {
    /// Takes the wrapper off a line; `None` where the line has none.
    fn unwrap(self, line: &[u8]) -> Option<Piece<'_>> {
        let whole =
            |text| Some(Piece { text: Cow::Borrowed(text), stream: 0, goes_on: GoesOn::No });
        match self {
            Wrapper::DockerJson => docker_json(line),
            Wrapper::Cri => cri(line),
            Wrapper::Pod => {
                let end = line.iter().take(400).position(|byte| *byte == b']')?;
                line.starts_with(b"[pod/").then_some(())?;
                let text = line[end + 1..].strip_prefix(b" ")?;
                whole(behind_time(text).unwrap_or(text))
            }
            Wrapper::Service => {
                let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
                let name = line.iter().take(200).take_while(|byte| is_name(byte)).count();
                let blanks =
                    line[name..].iter().take(200).take_while(|byte| **byte == b' ').count();
                if name == 0 || blanks == 0 {
                    return None;
                }
                let text = line[name + blanks..].strip_prefix(b"|")?;
                let text = text.strip_prefix(b" ").unwrap_or(text);
                whole(behind_time(text).unwrap_or(text))
            }
            Wrapper::Syslog => whole(syslog(line)?),
            Wrapper::Time => whole(behind_time(line)?),
            Wrapper::Bare => whole(line),
        }
    }
}

fn docker_json(line: &[u8]) -> Option<Piece<'_>> {
    let line = line.trim_ascii();
    if !line.starts_with(b"{") {
        return None;
    }
    let docker: DockerLine<'_> = serde_json::from_slice(line).ok()?;
    let DockerLine { log, stream, time, date, tag } = docker;
    if stream.is_none() && time.is_none() && date.is_none() && tag.is_none() {
        return None;
    }
    let text = match log {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    let stream = usize::from(stream.as_deref() == Some("stderr"));
    let goes_on = match tag.as_deref().and_then(|tag| tag.bytes().next()) {
        Some(b'P') => GoesOn::Yes,
        Some(b'F') => GoesOn::No,
        _ if text.ends_with(b"\n") => GoesOn::No,
        // Only the last piece of a line that Docker cut has the line end.
        _ if text.len() >= DOCKER_CUT_BYTES => GoesOn::Yes,
        _ => GoesOn::Unknown,
    };
    Some(Piece { text, stream, goes_on })
}

fn cri(line: &[u8]) -> Option<Piece<'_>> {
    let rest = behind_time(line)?;
    let (stream, rest) = match rest.strip_prefix(b"stdout ") {
        Some(rest) => (0, rest),
        None => (1, rest.strip_prefix(b"stderr ")?),
    };
    // A tag may have more parts behind a colon.
    let tag = rest.iter().take(64).take_while(|byte| !b" \r\n".contains(byte)).count();
    let goes_on = match rest.first()? {
        b'F' => GoesOn::No,
        b'P' => GoesOn::Yes,
        _ => return None,
    };
    if tag > 1 && rest[1] != b':' {
        return None;
    }
    let text = &rest[tag..];
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let text = if goes_on == GoesOn::Yes { without_line_end(text) } else { text };
    Some(Piece { text: Cow::Borrowed(text), stream, goes_on })
}

/// A text without one line end.
fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// What stands behind a time with its zone, as container runtimes write it, and one blank.
fn behind_time(line: &[u8]) -> Option<&[u8]> {
    let (_, length) = leading_local_time(line)?;
    (line.get(10) == Some(&b'T')).then_some(())?;
    let (_, offset) = leading_zone_offset(&line[length..])?;
    line.get(length + offset..)?.strip_prefix(b" ")
}

/// What stands behind `Mar  1 10:00:00 HOST NAME[PID]: `, or the same with a time as RFC 3339 has it.
fn syslog(line: &[u8]) -> Option<&[u8]> {
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    // RFC 3164 has a priority before.
    let line = match line.strip_prefix(b"<") {
        Some(rest) => &rest[rest.iter().take(4).position(|byte| *byte == b'>')? + 1..],
        None => line,
    };
    let rest = match behind_time(line) {
        Some(rest) => rest,
        None => {
            let shape = b"000 00 00:00:00 ";
            let fits = line.len() > shape.len()
                && MONTHS.contains(&&line[..3])
                && line[3..].iter().zip(&shape[3..]).all(|(byte, shape)| match shape {
                    b'0' => byte.is_ascii_digit() || *byte == b' ',
                    _ => byte == shape,
                });
            if !fits {
                return None;
            }
            &line[shape.len()..]
        }
    };
    let host = rest.iter().take(256).position(|byte| *byte == b' ')?;
    let rest = &rest[host + 1..];
    let name = rest.iter().take(256).position(|byte| b" \r\n".contains(byte))?;
    rest[..name].strip_suffix(b":")?;
    Some(&rest[name + 1..])
}

/// The name of the logger before a line of a frontend's console, and the bytes it takes with its blank.
fn without_logger(line: &[u8]) -> Option<(&[u8], usize)> {
    let name = line.iter().take(40).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let is_logger = line.first()?.is_ascii_uppercase()
        && line[..name].ends_with(b"Logger")
        && line.get(name) == Some(&b' ');
    is_logger.then(|| (&line[..name], name + 1))
}

/// Whether a line begins an entry of a frontend's running log: a time, a level, and a thread or a place in
/// brackets.
pub(crate) fn is_running_log(line: &[u8]) -> bool {
    let Some((_, mut at)) = leading_local_time(line) else {
        return false;
    };
    at += leading_zone_offset(&line[at..]).map_or(0, |(_, length)| length);
    let rest = line[at..].trim_ascii_start();
    let level = rest.iter().take(9).take_while(|byte| byte.is_ascii_uppercase()).count();
    const LEVELS: [&[u8]; 8] =
        [b"INFO", b"WARN", b"ERROR", b"DEBUG", b"FATAL", b"TRACE", b"WARNING", b"SEVERE"];
    LEVELS.contains(&&rest[..level])
        && matches!(rest[level..].trim_ascii_start().first(), Some(b'(' | b'['))
        && !AuditLog::begins_record(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Doris 2.1 writes it.
    const RECORD: &str = "2026-03-01 10:00:00,000 [query] |Client=10.0.0.1:5000|User=mira|Ctl=internal\
        |Db=shop|State=EOF|ErrorCode=0|ErrorMessage=|Time(ms)=12|ScanBytes=0|ScanRows=0|ReturnRows=1|StmtId=1\
        |QueryId=a-1|IsQuery=true|isNereids=true|feIp=10.0.0.2|StmtType=SELECT|Stmt=select 1|CpuTimeMS=3|ShuffleSendBytes=0|ShuffleSendRows=0\
        |SqlHash=5f0c|peakMemoryBytes=2048|SqlDigest=|cloudClusterName=UNKNOWN|TraceId=|WorkloadGroup=normal\
        |FuzzyVariables=|scanBytesFromLocalStorage=0|scanBytesFromRemoteStorage=0\n";

    /// The lines of a text without their wrappers.
    fn lines(text: &str) -> Vec<String> {
        let Some(mut unwrapper) = Unwrapper::detect(text.as_bytes()) else {
            return vec!["plain".to_string()];
        };
        let mut lines = Vec::new();
        for line in text.split_inclusive('\n') {
            match unwrapper.line(line.as_bytes()) {
                Unwrapped::Line(line) => lines.push(String::from_utf8_lossy(&line).into_owned()),
                Unwrapped::Nothing | Unwrapped::OtherLog => {}
                Unwrapped::NotWrapped => lines.push("not wrapped".to_string()),
            }
        }
        let rest = unwrapper.end().into_iter();
        lines.extend(rest.map(|line| String::from_utf8_lossy(&line).into_owned()));
        lines
    }

    #[test]
    fn each_wrapper_is_taken_off_each_line() {
        let time = "2026-03-01T10:00:00.123456789Z";
        let second = "from orders\n";
        for (name, wrapped) in [
            ("cri", [format!("{time} stdout F "), format!("{time} stdout F ")]),
            ("cri of another zone", {
                let time = "2026-03-01T18:00:00.1+08:00";
                [format!("{time} stdout F "), format!("{time} stdout F ")]
            }),
            ("time", [format!("{time} "), format!("{time} ")]),
            ("pod", ["[pod/fe-0/fe] ".to_string(), "[pod/fe-0/fe] ".to_string()]),
            ("pod with time", [format!("[pod/fe-0/fe] {time} "), format!("[pod/fe-0/fe] {time} ")]),
            ("service", ["fe-1  | ".to_string(), "fe-1  | ".to_string()]),
            ("syslog", {
                let prefix = "Mar  1 10:00:00 host1 doris-fe[812]: ".to_string();
                [prefix.clone(), prefix]
            }),
            ("logger", ["AuditLogger ".to_string(), String::new()]),
            ("cri and logger", {
                [format!("{time} stdout F AuditLogger "), format!("{time} stdout F ")]
            }),
        ] {
            let text = format!("{}{RECORD}{}{second}", wrapped[0], wrapped[1]);
            assert_eq!(lines(&text), [RECORD, second], "{name}");
        }
        assert_eq!(lines(RECORD), ["plain"]);
        assert_eq!(lines("some notes\nof mine\n"), ["plain"]);
    }

    #[test]
    fn docker_lines_are_json_and_long_ones_come_in_pieces() {
        let time = r#""time":"2026-03-01T10:00:00.1Z""#;
        let (first, second) = RECORD.trim_end().split_at(30);
        let text = format!(
            "{{\"log\":\"{first}\",\"stream\":\"stdout\",{time}}}\n\
             {{\"log\":\"noise\\n\",\"stream\":\"stderr\",{time}}}\n\
             {{\"log\":\"{second}\\n\",\"stream\":\"stdout\",\"attrs\":{{\"tag\":\"x\"}},{time}}}\n\
             {{\"log\":\"cut\n\
             {{\"log\":\"from \\\"orders\\\"\",\"stream\":\"stdout\",{time}}}\n"
        );
        assert_eq!(lines(&text), [RECORD, "not wrapped", "from \"orders\""]);
    }

    #[test]
    fn partial_lines_of_cri_are_joined_by_their_stream() {
        let time = "2026-03-01T10:00:00.1Z";
        let (first, second) = RECORD.split_at(30);
        let text = format!(
            "{time} stdout P {first}\n{time} stderr F noise\n{time} stdout F {second}\
             {time} stdout F \n{time} stdout P:x from\n{time} stdout F \n"
        );
        assert_eq!(lines(&text), [RECORD, "\n", "from\n"]);
    }

    #[test]
    fn the_running_log_of_a_console_is_left_out_with_its_stack_traces() {
        let running = "2026-03-01 10:00:01,000 WARN (main|1) [Place.at():3] it failed\n";
        let trace = "java.lang.Error: x\n\tat org.example.A.b(A.java:1)\n";
        let text = format!(
            "RuntimeLogger {running}{trace}AuditLogger {RECORD}from a\nStdoutLogger 2026 hello\n\
             AuditLogger {RECORD}"
        );
        assert_eq!(lines(&text), [RECORD, "from a\n", RECORD]);
        assert_eq!(
            lines(&format!("{running}{trace}{RECORD}from a\n{running}")),
            [RECORD, "from a\n"]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(
            parts in prop::collection::vec(
                prop_oneof![
                    Just(b"{\"log\":\"a\",\"time\":\"\"}\n".to_vec()),
                    Just(b"2026-03-01T10:00:00Z stdout P x\n".to_vec()),
                    Just(b"2026-03-01T10:00:00Z ".to_vec()),
                    Just(b"[pod/".to_vec()),
                    Just(b"Mar  1 10:00:00 h n: ".to_vec()),
                    Just(b"AuditLogger ".to_vec()),
                    Just(RECORD.as_bytes().to_vec()),
                    prop::collection::vec(any::<u8>(), 0..30),
                ],
                0..12,
            ),
        ) {
            let text = parts.concat();
            if let Some(mut unwrapper) = Unwrapper::detect(&text) {
                for line in text.split_inclusive(|byte| *byte == b'\n') {
                    unwrapper.line(line);
                }
                unwrapper.end();
            }
        }
    }
}
