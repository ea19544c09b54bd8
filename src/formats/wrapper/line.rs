//! One line within its wrapper.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::domain::time::{leading_local_time, leading_zone_offset};
use crate::formats::audit_log::AuditLog;

/// A shorter part of a line is its last one. Docker cuts a line every 16 KiB; a cut within a character or a blank makes
/// the part a little shorter.
const DOCKER_CUT_BYTES: usize = 16_000;

/// The text around each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapper {
    DockerJson,
    Cri,
    Pod,
    Service,
    Syslog,
    Event,
    Time,
    File,
    /// Nothing, or only the logger's name.
    Bare,
}

/// A line, or a part of one, without its wrapper.
pub(super) struct WrappedLine<'a> {
    pub text: Cow<'a, [u8]>,
    /// Standard output or standard error, 0 or 1; their lines mix.
    pub stream: usize,
    pub continues: Continues,
}

/// Whether a line continues in the next part of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Continues {
    Yes,
    No,
    /// The line continues if the other lines keep their line ends: log agents take them off.
    IfLineEndsAreKept,
}

impl Continues {
    /// Returns whether the line continues in an input that has line ends or not.
    pub(super) fn is_true(self, has_line_ends: bool) -> bool {
        match self {
            Continues::Yes => true,
            Continues::No => false,
            Continues::IfLineEndsAreKept => has_line_ends,
        }
    }
}

/// A line of Docker's json-file driver. Other drivers and shippers add keys of their own.
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

/// An event of a log shipper. Each shipper has the line under one of these keys.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    /// Filebeat, Logstash, Vector.
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    /// Loki.
    #[serde(borrow)]
    line: Option<Cow<'a, str>>,
    /// A document of Elasticsearch.
    #[serde(borrow, rename = "_source")]
    source: Option<Document<'a>>,
}

/// What a shipper stored in Elasticsearch.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

impl<'a> Event<'a> {
    /// Returns the line of the log.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        self.message.or(self.line).or(self.source.map(|document| document.message))
    }
}

/// Returns the bytes of a text.
fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

impl Wrapper {
    /// The wrappers that many a text looks like.
    pub(super) const UNCERTAIN: [Wrapper; 6] = [
        Wrapper::Pod,
        Wrapper::Service,
        Wrapper::Syslog,
        Wrapper::Event,
        Wrapper::Time,
        Wrapper::File,
    ];

    /// Returns a line without this wrapper, or None if the line does not have it.
    pub(super) fn unwrap(self, line: &[u8]) -> Option<WrappedLine<'_>> {
        let whole = |text| {
            Some(WrappedLine { text: Cow::Borrowed(text), stream: 0, continues: Continues::No })
        };
        match self {
            Wrapper::DockerJson => docker_json(line),
            Wrapper::Cri => cri(line),
            Wrapper::Pod => {
                let end = line.iter().take(400).position(|byte| *byte == b']')?;
                line.starts_with(b"[pod/").then_some(())?;
                let text = line[end + 1..].strip_prefix(b" ")?;
                whole(after_time(text).unwrap_or(text))
            }
            Wrapper::Service => {
                let (line, is_coloured) = match colour(line) {
                    0 => (line, false),
                    length => (&line[length..], true),
                };
                let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
                let name = line.iter().take(200).take_while(|byte| is_name(byte)).count();
                let blanks =
                    line[name..].iter().take(200).take_while(|byte| **byte == b' ').count();
                if name == 0 || blanks == 0 {
                    return None;
                }
                let text = line[name + blanks..].strip_prefix(b"|")?;
                let text = text.strip_prefix(b" ").unwrap_or(text);
                // The colour ends behind the prefix.
                let text = if is_coloured { &text[colour(text)..] } else { text };
                whole(after_time(text).unwrap_or(text))
            }
            Wrapper::Syslog => whole(syslog(line)?),
            Wrapper::Event => {
                let line = line.trim_ascii();
                line.starts_with(b"{").then_some(())?;
                let text = serde_json::from_slice::<Event<'_>>(line).ok()?.text()?;
                Some(WrappedLine { text: bytes(text), stream: 0, continues: Continues::No })
            }
            Wrapper::File => whole(after_file_name(line)?),
            Wrapper::Time => whole(after_time(line)?),
            Wrapper::Bare => whole(line),
        }
    }
}

fn docker_json(line: &[u8]) -> Option<WrappedLine<'_>> {
    let line = line.trim_ascii();
    if !line.starts_with(b"{") {
        return None;
    }
    let docker: DockerLine<'_> = serde_json::from_slice(line).ok()?;
    let DockerLine { log, stream, time, date, tag } = docker;
    if stream.is_none() && time.is_none() && date.is_none() && tag.is_none() {
        return None;
    }
    let text = bytes(log);
    let stream = usize::from(stream.as_deref() == Some("stderr"));
    let continues = match tag.as_deref().and_then(|tag| tag.bytes().next()) {
        Some(b'P') => Continues::Yes,
        Some(b'F') => Continues::No,
        _ if text.ends_with(b"\n") => Continues::No,
        // Only the last part of a line that Docker cut has the line end.
        _ if text.len() >= DOCKER_CUT_BYTES => Continues::Yes,
        _ => Continues::IfLineEndsAreKept,
    };
    Some(WrappedLine { text, stream, continues })
}

fn cri(line: &[u8]) -> Option<WrappedLine<'_>> {
    let rest = after_time(line)?;
    let (stream, rest) = match rest.strip_prefix(b"stdout ") {
        Some(rest) => (0, rest),
        None => (1, rest.strip_prefix(b"stderr ")?),
    };
    // A tag may have more parts after a colon.
    let tag = rest.iter().take(64).take_while(|byte| !b" \r\n".contains(byte)).count();
    let continues = match rest.first()? {
        b'F' => Continues::No,
        b'P' => Continues::Yes,
        _ => return None,
    };
    if tag > 1 && rest[1] != b':' {
        return None;
    }
    let text = &rest[tag..];
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let text = if continues == Continues::Yes { without_line_end(text) } else { text };
    Some(WrappedLine { text: Cow::Borrowed(text), stream, continues })
}

/// Returns a text without its last line end.
fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// Returns the text after a time with its zone, as container runtimes write it, and one blank.
fn after_time(line: &[u8]) -> Option<&[u8]> {
    let (_, length) = leading_local_time(line)?;
    (line.get(10) == Some(&b'T')).then_some(())?;
    let (_, offset) = leading_zone_offset(&line[length..])?;
    line.get(length + offset..)?.strip_prefix(b" ")
}

/// Returns the length of a change of colour at the start of a text, like `ESC[36;1m`.
fn colour(text: &[u8]) -> usize {
    let Some(rest) = text.strip_prefix(b"\x1b[") else { return 0 };
    let digits = rest.iter().take(12).take_while(|byte| byte.is_ascii_digit() || **byte == b';');
    let length = digits.count();
    if rest.get(length) == Some(&b'm') { length + 3 } else { 0 }
}

/// Returns the text after `FILE:` or `FILE:LINE:`, as grep writes it, or after `FILE-` of a line that it writes for context. The
/// name has no blank.
fn after_file_name(line: &[u8]) -> Option<&[u8]> {
    after_name(line).or_else(|| after_name_of_context(line))
}

/// Returns the text after `FILE-` or `FILE-LINE-`. A name may have `-`, so the text must begin with a time.
fn after_name_of_context(line: &[u8]) -> Option<&[u8]> {
    let places = line.iter().take(1024).enumerate().filter(|(_, byte)| **byte == b'-');
    places
        .map(|(at, _)| (&line[..at], &line[at + 1..]))
        .take_while(|(name, _)| name.iter().all(|byte| !byte.is_ascii_whitespace()))
        .find(|(name, text)| !name.is_empty() && begins_with_time(text))
        .map(|(_, text)| text)
}

/// The prefix that grep writes before the lines of one file.
#[derive(Debug, Clone)]
pub(super) struct GrepPrefix {
    /// The name of the file; empty if grep writes only the number of a line.
    name: Vec<u8>,
    /// The number of the line, if grep writes it.
    number: Option<u64>,
}

impl GrepPrefix {
    /// Returns the prefix of a line whose text is known; None if the text says nothing of the prefix, because it does not begin
    /// with a time.
    pub(super) fn of(line: &[u8], text: &[u8]) -> Option<GrepPrefix> {
        let (name, _) = line.strip_suffix(text)?.split_last_chunk::<1>()?;
        begins_with_time(text).then_some(())?;
        let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let before = &name[..name.len() - digits];
        let numbered = before.strip_suffix(b":").or_else(|| before.strip_suffix(b"-"));
        let numbered = numbered.or(before.is_empty().then_some(before)).filter(|_| digits > 0);
        let number = numbered.and_then(|_| number_of(&name[before.len()..]));
        let name = if number.is_some() { numbered.unwrap_or(name) } else { name };
        Some(GrepPrefix { name: name.to_vec(), number })
    }

    /// Returns the text of the next line of the file; None if the line has another prefix, or is not the next one.
    pub(super) fn strip_next<'a>(&mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        let mut text = line.strip_prefix(&*self.name)?;
        if let Some(number) = &mut self.number {
            if !self.name.is_empty() {
                text = text.strip_prefix(b":").or_else(|| text.strip_prefix(b"-"))?;
            }
            let digits = text.iter().take(20).take_while(|byte| byte.is_ascii_digit()).count();
            // The number may be that of a rotated file, which stays: `fe.audit.log.20260301-1`.
            let follows = |next: &u64| next.checked_sub(*number).is_some_and(|more| more < 2);
            *number = number_of(&text[..digits]).filter(follows)?;
            text = &text[digits..];
        }
        text.strip_prefix(b":").or_else(|| text.strip_prefix(b"-"))
    }
}

fn number_of(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn begins_with_time(text: &[u8]) -> bool {
    let form = b"dddd-dd-dd dd:dd:dd";
    text.len() >= form.len()
        && text.iter().zip(form).all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            form => byte == form,
        })
}

/// Returns the text after `FILE:` or `FILE:LINE:`.
fn after_name(line: &[u8]) -> Option<&[u8]> {
    let is_name = |byte: &u8| !byte.is_ascii_whitespace() && !b":|=[]{}\"'".contains(byte);
    let name = line.iter().take(1024).take_while(|byte| is_name(byte)).count();
    if name == 0 {
        return None;
    }
    let text = line[name..].strip_prefix(b":")?;
    let digits = text.iter().take(20).take_while(|byte| byte.is_ascii_digit()).count();
    let numbered = text[digits..].strip_prefix(b":").filter(|_| digits > 0);
    Some(numbered.unwrap_or(text))
}

/// Returns the text after the head of RFC 5424, whose priority is taken off: `1 TIME HOST NAME PID ID DATA `.
fn syslog_5424(line: &[u8]) -> Option<&[u8]> {
    let mut rest = line.strip_prefix(b"1 ")?;
    // A time, or `-` where it is unknown.
    rest = after_time(rest).or_else(|| rest.strip_prefix(b"- "))?;
    for _ in 0..4 {
        let word = rest.iter().take(256).position(|byte| *byte == b' ')?;
        if word == 0 {
            return None;
        }
        rest = &rest[word + 1..];
    }
    rest = match rest.strip_prefix(b"-") {
        Some(rest) => rest,
        None => after_structured_data(rest)?,
    };
    let text = match rest.first() {
        None | Some(b'\r' | b'\n') => rest,
        _ => rest.strip_prefix(b" ")?,
    };
    Some(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text))
}

/// Returns the text after elements like `[id name="value"]`, in whose values a backslash is before `"`, `]` and itself.
fn after_structured_data(text: &[u8]) -> Option<&[u8]> {
    let (mut at, mut is_quoted) = (0, false);
    while text.get(at) == Some(&b'[') {
        loop {
            at += 1;
            match text.get(at)? {
                b'\\' if is_quoted => at += 1,
                b'"' => is_quoted = !is_quoted,
                b']' if !is_quoted => break,
                b'\n' => return None,
                _ => {}
            }
        }
        at += 1;
    }
    (at > 0).then(|| &text[at..])
}

/// Returns the text after `Mar  1 10:00:00 HOST NAME[PID]: `, or after the same with a time of RFC 3339, or after the head of
/// RFC 5424.
fn syslog(line: &[u8]) -> Option<&[u8]> {
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    // Of a stream with the length of each message before it (RFC 6587).
    let digits = line.iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
    let counted = line[digits..].strip_prefix(b" ").filter(|rest| rest.starts_with(b"<"));
    let line = counted.filter(|_| digits > 0).unwrap_or(line);
    // Both RFCs have a priority before the rest.
    let line = match line.strip_prefix(b"<") {
        Some(rest) => &rest[rest.iter().take(4).position(|byte| *byte == b'>')? + 1..],
        None => line,
    };
    if let Some(text) = syslog_5424(line) {
        return Some(text);
    }
    let rest = match after_time(line) {
        Some(rest) => rest,
        None => {
            let shape = b"000 00 00:00:00_";
            let fits = line.len() > shape.len()
                && MONTHS.contains(&&line[..3])
                && line[3..].iter().zip(&shape[3..]).all(|(byte, shape)| match shape {
                    b'0' => byte.is_ascii_digit() || *byte == b' ',
                    b'_' => matches!(byte, b' ' | b'.'),
                    _ => byte == shape,
                });
            if !fits {
                return None;
            }
            // journalctl may write the fraction of the second.
            let fraction = line[shape.len() - 1..].strip_prefix(b".").map_or(0, |rest| {
                1 + rest.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count()
            });
            line[shape.len() - 1 + fraction..].strip_prefix(b" ")?
        }
    };
    let host = rest.iter().take(256).position(|byte| *byte == b' ')?;
    let rest = &rest[host + 1..];
    let name = rest.iter().take(256).position(|byte| b" \r\n".contains(byte))?;
    rest[..name].strip_suffix(b":")?;
    Some(&rest[name + 1..])
}

/// Returns the name of the logger before a line of a frontend's console, and the length of the name with its blank.
pub(super) fn logger_name(line: &[u8]) -> Option<(&[u8], usize)> {
    let name = line.iter().take(40).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let is_logger = line.first()?.is_ascii_uppercase()
        && line[..name].ends_with(b"Logger")
        && line.get(name) == Some(&b' ');
    is_logger.then(|| (&line[..name], name + 1))
}

/// Returns whether a line begins an entry of a frontend's running log: a time, a level, and a thread or a place in the
/// code in brackets.
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
