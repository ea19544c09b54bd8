//! A file, or any stream of bytes: unpacked, decoded, recognised by its content and read in bounded memory.
//!
//! An input passes four layers, each in a module of its own: what it is packed with (`archive`), the encoding
//! of its text (`encoding`), what kind of text it is (`sniff`), and what stands around each line of a log
//! (`wrapper`). Then the text's own reader takes it: `audit_log`, `dump` for tables, or `answer` for JSON, HTML
//! and texts that hold profiles.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde_json::Value;

use super::answer::{self, Piece};
use super::archive::{self, Budget, MAGIC_BYTES, MAX_UNPACKED_BYTES, Packing};
use super::audit_log::{AuditLog, MAX_LINE_BYTES};
use super::dump::{self, Header, Limited};
use super::encoding::Encoding;
use super::sniff::{self, Kind};
use super::wrapper::{Unwrapped, Unwrapper};
use super::{Item, SkipReason, Skipped};
use crate::domain::profile::Profile;
use crate::domain::time::Zone;

/// The largest profile taken in, in bytes.
pub(crate) const MAX_PROFILE_BYTES: usize = 128 << 20;

/// The largest JSON document taken in, in bytes: a profile, each of its bytes escaped.
const MAX_JSON_BYTES: usize = 2 * MAX_PROFILE_BYTES;

/// How much of an input is looked at to sniff it.
const HEAD_BYTES: u64 = 1 << 20;

/// How many times an input may be packed: a packed log within a packed archive.
const MAX_LAYERS: usize = 3;

/// How inputs are read.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The zone of times that name none.
    pub zone: Zone,
    /// The encoding of texts without a byte-order mark; None is UTF-8, or UTF-16 where that is obvious.
    pub encoding: Option<Encoding>,
}

/// Where something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// The file within an archive.
    pub entry: Option<&'a str>,
    /// The line it begins at, from 1. Within a JSON array it is the number of the element.
    pub line: u64,
}

/// Takes what is found in an input; ends the reading by answering with an error.
pub(crate) type Take<'a, E> = dyn FnMut(Place<'_>, Item) -> Result<(), E> + 'a;

/// Reads an input to its end and hands what it finds to `take`, in order. `name` is that of its file, which
/// tells other files of a frontend from files that nobody knows. Memory does not grow with the input: at most
/// one record, profile or JSON document is held.
///
/// An input that cannot be read is a [`Item::Skipped`] too. Errors as `take` does.
pub(crate) fn read<E>(
    mut input: impl Read,
    name: &Path,
    options: Options,
    take: &mut Take<'_, E>,
) -> Result<(), E> {
    let mut reading = Reading::new(name, options, take);
    let read = reading.layer(&mut input, 0);
    reading.finished(read)
}

/// Reads the same of a file, which need not be copied where it is a zip archive.
pub(crate) fn read_seekable<E>(
    mut input: impl Read + Seek,
    name: &Path,
    options: Options,
    take: &mut Take<'_, E>,
) -> Result<(), E> {
    let mut reading = Reading::new(name, options, take);
    let read = reading.seekable(&mut input);
    reading.finished(read)
}

/// Why reading ended early.
enum Stop<E> {
    /// The one who takes said so.
    Told(E),
    /// The input gave no more.
    Input { line: u64, error: io::Error },
    /// An archive cannot be read on.
    Archive(SkipReason),
}

impl<E> From<SkipReason> for Stop<E> {
    fn from(reason: SkipReason) -> Stop<E> {
        Stop::Archive(reason)
    }
}

/// An input being read.
struct Reading<'t, 'a, E> {
    options: Options,
    take: &'t mut Take<'a, E>,
    /// The name of the file, without its folders.
    name: String,
    /// The file within an archive.
    entry: Option<String>,
}

impl<'t, 'a, E> Reading<'t, 'a, E> {
    fn new(name: &Path, options: Options, take: &'t mut Take<'a, E>) -> Reading<'t, 'a, E> {
        let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Reading { options, take, name, entry: None }
    }

    /// Hands on what was found at a line.
    fn found(&mut self, line: u64, found: Item) -> Result<(), Stop<E>> {
        let place = Place { entry: self.entry.as_deref(), line };
        let found = match found {
            Item::Skipped(skipped) => Item::Skipped(Skipped { line, ..skipped }),
            found => found,
        };
        (self.take)(place, found).map_err(Stop::Told)
    }

    fn skipped(&mut self, line: u64, reason: SkipReason) -> Result<(), Stop<E>> {
        self.found(line, Item::Skipped(Skipped { line, reason }))
    }

    /// What ended the reading, told to who takes where the input did.
    fn finished(&mut self, read: Result<(), Stop<E>>) -> Result<(), E> {
        let told = match read {
            Err(Stop::Input { line, error }) => {
                let reason = match error.kind() {
                    io::ErrorKind::FileTooLarge => SkipReason::TooMuchUnpacked,
                    io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::InvalidData => SkipReason::Damaged,
                    // What an archive's file cannot give is the archive's fault.
                    _ if self.entry.is_some() => SkipReason::Damaged,
                    _ => SkipReason::Unreadable,
                };
                self.skipped(line, reason)
            }
            Err(Stop::Archive(reason)) => self.skipped(1, reason),
            read => read,
        };
        match told {
            Err(Stop::Told(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn seekable(&mut self, input: &mut (impl Read + Seek)) -> Result<(), Stop<E>> {
        let unreadable = |error| Stop::Input { line: 1, error };
        let mut magic = Vec::new();
        input.by_ref().take(MAGIC_BYTES).read_to_end(&mut magic).map_err(unreadable)?;
        input.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        match Packing::of(&magic) {
            Some(Packing::Zip) => self.zip(input),
            _ => self.layer(input, 0),
        }
    }

    /// Takes off what an input is packed with. `layers` are off already.
    fn layer(&mut self, input: &mut dyn Read, layers: usize) -> Result<(), Stop<E>> {
        let unreadable = |error| Stop::Input { line: 1, error };
        let (magic, mut input) = peek(input, MAGIC_BYTES).map_err(unreadable)?;
        match Packing::of(&magic) {
            None => self.text(&mut input),
            Some(_) if layers == MAX_LAYERS => self.skipped(1, SkipReason::NestedArchive),
            Some(Packing::Gzip) => {
                let input = BufReader::with_capacity(1 << 16, input);
                self.layer(&mut MultiGzDecoder::new(input), layers + 1)
            }
            Some(Packing::Unknown) => self.skipped(1, SkipReason::UnknownPacking),
            Some(Packing::Zip | Packing::Tar) if self.entry.is_some() => {
                self.skipped(1, SkipReason::NestedArchive)
            }
            Some(Packing::Zip) => {
                let copied = archive::copied(&mut input).map_err(unreadable)?;
                self.zip(copied)
            }
            Some(Packing::Tar) => {
                let budget = Budget::new(MAX_UNPACKED_BYTES);
                archive::tar(&mut input, &mut |name, entry| {
                    self.entry(name, entry, &budget, layers)
                })
            }
        }
    }

    fn zip(&mut self, archive: impl Read + Seek) -> Result<(), Stop<E>> {
        let budget = Budget::new(MAX_UNPACKED_BYTES);
        archive::zip(archive, &mut |name, entry| self.entry(name, entry, &budget, 1))
    }

    /// Reads a file within an archive. One that is damaged does not keep the others from being read.
    fn entry(
        &mut self,
        name: String,
        entry: archive::Entry<'_>,
        budget: &Budget,
        layers: usize,
    ) -> Result<(), Stop<E>> {
        let file_name = name.rsplit(['/', '\\']).next().unwrap_or_default().to_string();
        let outer = std::mem::replace(&mut self.name, file_name);
        self.entry = Some(name);
        let read = match entry {
            Ok(input) => self.layer(&mut budget.bounded(input), layers),
            Err(reason) => self.skipped(1, reason),
        };
        let told = match read {
            // No other can be read either.
            Err(Stop::Input { error, .. }) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(Stop::Archive(SkipReason::TooMuchUnpacked))
            }
            read => self.finished(read).map_err(Stop::Told),
        };
        self.name = outer;
        self.entry = None;
        told
    }

    /// Reads a text, whatever its encoding.
    fn text(&mut self, input: &mut dyn Read) -> Result<(), Stop<E>> {
        let unreadable = |error| Stop::Input { line: 1, error };
        let (head, mut input) = peek(input, HEAD_BYTES).map_err(unreadable)?;
        // What a frontend spills is no text.
        let encoding = match answer::is_spilled(&head) {
            true => None,
            false => Encoding::of(&head, self.options.encoding),
        };
        let Some(encoding) = encoding else {
            let mark = b"\xef\xbb\xbf";
            if !head.starts_with(mark) {
                return self.recognised(&head, &mut input);
            }
            input.read_exact(&mut [0; 3]).map_err(unreadable)?;
            return self.recognised(&head[mark.len()..], &mut input);
        };
        let (head, mut input) = peek(encoding.decode(input), HEAD_BYTES).map_err(unreadable)?;
        self.recognised(&head, &mut input)
    }

    /// Reads a text in UTF-8 that begins with `head`.
    fn recognised(&mut self, head: &[u8], input: &mut dyn Read) -> Result<(), Stop<E>> {
        match has_cr_lines(head) {
            true => self.recognised_lines(&with_lf(head.to_vec()), &mut WithLf(input)),
            false => self.recognised_lines(head, input),
        }
    }

    /// Reads the same, whose lines end with LF or CR and LF.
    fn recognised_lines(&mut self, head: &[u8], input: &mut dyn Read) -> Result<(), Stop<E>> {
        match sniff::kind(head, &self.name) {
            // A head of white space says nothing of what comes behind it.
            Kind::Blank if (head.len() as u64) < HEAD_BYTES => Ok(()),
            Kind::Blank | Kind::Unknown => self.skipped(1, SkipReason::NotRecognised),
            Kind::OtherFile => self.found(1, Item::OtherFile),
            Kind::Log(unwrapper) => self.log(input, unwrapper, false),
            Kind::OtherLog(unwrapper) => self.log(input, unwrapper, true),
            Kind::Spilled => {
                // Its two parts, and their lengths.
                let Some(bytes) = self.whole(input, MAX_PROFILE_BYTES + 8)? else {
                    return Ok(());
                };
                match answer::spilled_text(&bytes) {
                    Ok(text) => self.profile(1, text, false),
                    Err(reason) => self.skipped(1, reason),
                }
            }
            Kind::Profiles => match self.whole(input, MAX_PROFILE_BYTES)? {
                Some(text) => self.profiles(text, false),
                None => Ok(()),
            },
            Kind::WrappedProfiles(unwrapper) => match self.whole(input, MAX_JSON_BYTES)? {
                Some(text) => self.profiles(unwrapper.text(&text), false),
                None => Ok(()),
            },
            Kind::Html => match self.whole(input, MAX_JSON_BYTES)? {
                Some(html) => {
                    let html = String::from_utf8_lossy(&html);
                    let replaced = matches!(html, Cow::Owned(_));
                    self.profiles(answer::text_of_html(&html).into_bytes(), replaced)
                }
                None => Ok(()),
            },
            Kind::Table(header) => self.table(&header, input),
            Kind::JsonLines => self.json_lines(input),
            Kind::Json => self.json(head, input),
        }
    }

    /// The whole of an input; `None`, and told, where it is larger than `most`.
    fn whole(&mut self, input: &mut dyn Read, most: usize) -> Result<Option<Vec<u8>>, Stop<E>> {
        let mut bytes = Vec::new();
        // One byte more than is taken tells what is too large.
        let read = input.take(most as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| Stop::Input { line: 1, error })?;
        if bytes.len() <= most {
            return Ok(Some(bytes));
        }
        self.skipped(1, SkipReason::ProfileTooLarge)?;
        Ok(None)
    }

    /// Reads a profile. `replaced` says that bytes were replaced before.
    fn profile(&mut self, line: u64, text: Vec<u8>, replaced: bool) -> Result<(), Stop<E>> {
        let replaced = replaced || std::str::from_utf8(&text).is_err();
        let found = match Profile::parse(text, self.options.zone) {
            Ok(profile) => Item::Profile { profile: Box::new(profile), replaced },
            Err(error) => Item::Skipped(Skipped { line, reason: error.into() }),
        };
        self.found(line, found)
    }

    /// The profiles that a text holds.
    fn profiles(&mut self, text: Vec<u8>, replaced: bool) -> Result<(), Stop<E>> {
        let mut profiles = answer::profiles(text).peekable();
        if profiles.peek().is_none() {
            return self.skipped(1, SkipReason::NotRecognised);
        }
        profiles.try_for_each(|text| self.profile(1, text, replaced))
    }

    fn table(&mut self, header: &Header, input: &mut dyn Read) -> Result<(), Stop<E>> {
        let zone = self.options.zone;
        match header.read(input, zone, &mut |line, found| self.found(line, found)) {
            Ok(read) => read,
            Err((line, error)) => Err(Stop::Input { line, error }),
        }
    }

    fn json_lines(&mut self, input: &mut dyn Read) -> Result<(), Stop<E>> {
        let mut input = BufReader::with_capacity(1 << 18, input);
        let mut line = Vec::new();
        for number in 1.. {
            let more = read_line(&mut input, &mut line, MAX_JSON_BYTES);
            if !more.map_err(|error| Stop::Input { line: number, error })? {
                break;
            }
            let text = sniff::behind_log_time(line.trim_ascii());
            if text.is_empty() {
                continue;
            }
            match serde_json::from_str(&String::from_utf8_lossy(text)) {
                Ok(value) => self.document(number, value, text)?,
                Err(_) => self.skipped(number, SkipReason::NotJson)?,
            }
        }
        Ok(())
    }

    /// JSON documents one behind the other, or the elements of an array.
    fn json(&mut self, head: &[u8], input: &mut dyn Read) -> Result<(), Stop<E>> {
        let left = Rc::new(Cell::new(MAX_JSON_BYTES));
        let is_array = head.trim_ascii_start().starts_with(b"[");
        let input = Limited { input, left: left.clone() };
        let mut reader = serde_json::Deserializer::from_reader(BufReader::new(input));
        if is_array {
            let mut stop = None;
            let mut number = 0;
            let read = Elements(&mut |value| {
                left.set(MAX_JSON_BYTES);
                number += 1;
                match self.document(number, value, b"") {
                    Ok(()) => true,
                    Err(error) => {
                        stop = Some(error);
                        false
                    }
                }
            })
            .deserialize(&mut reader)
            .and_then(|()| reader.end());
            return match (stop, read) {
                (Some(stop), _) => Err(stop),
                (None, Ok(())) => Ok(()),
                (None, Err(_)) => self.skipped(number + 1, SkipReason::NotJson),
            };
        }
        let mut documents = reader.into_iter::<Value>();
        for number in 1.. {
            left.set(MAX_JSON_BYTES);
            match documents.next() {
                None => break,
                Some(Ok(value)) => self.document(number, value, b"")?,
                Some(Err(_)) => return self.skipped(number, SkipReason::NotJson),
            }
        }
        Ok(())
    }

    /// What a JSON document holds, whose text, where it is known, was `text`.
    fn document(&mut self, line: u64, value: Value, text: &[u8]) -> Result<(), Stop<E>> {
        let replaced = std::str::from_utf8(text).is_err();
        answer::pieces(value, self.options.zone, &mut |piece| match piece {
            Piece::Profile(text) => self.profile(line, text, replaced),
            Piece::Row(row) => self.found(line, dump::found(row, replaced)),
            Piece::Skipped(reason) => self.skipped(line, reason),
        })
    }

    /// Reads an audit log line by line. Of an input that `may_be_other` nothing is told where it holds no
    /// record but that it is another file.
    fn log(
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
                    for (line, found) in log.ended_by(&line).into_iter().chain(log.line(&line)) {
                        match found {
                            // Other logs have types of their own, as StarRocks' fe.big_query.log has.
                            Item::Skipped(skipped)
                                if may_be_other && skipped.reason == SkipReason::OtherType => {}
                            found => self.found(line, found)?,
                        }
                    }
                }
                Ok(false) => break,
                Err(error) => {
                    // What came before the damage is kept.
                    log.end().into_iter().try_for_each(|(line, found)| self.found(line, found))?;
                    return Err(Stop::Input { line: number, error });
                }
            }
        }
        log.end().into_iter().try_for_each(|(line, found)| self.found(line, found))?;
        match (log.profile.found, log.has_records) {
            (Some(line), _) => self.skipped(line, SkipReason::ProfileInLog),
            (None, true) => Ok(()),
            (None, false) => self.found(1, Item::OtherFile),
        }
    }
}

/// The lines of an audit log on their source to it, with their numbers in the file: those that the log itself
/// counts are fewer where wrappers join lines or other logs are left out.
struct LogLines {
    log: AuditLog,
    unwrapper: Option<Unwrapper>,
    /// Lines of the file, and lines that the log was given.
    lines: u64,
    given: u64,
    /// The lines of both where the open record and the one before it begin.
    open: (u64, u64),
    before: (u64, u64),
    /// Whether a record began, before which nothing is handed on.
    has_records: bool,
    /// A profile among the lines that are not the audit log's.
    profile: ProfileSign,
}

/// Finds a profile among other lines: `Summary:` at a line's end, and its id soon behind it.
#[derive(Default)]
struct ProfileSign {
    /// The line of the last `Summary:`.
    summary: Option<u64>,
    /// The line at which the first profile begins.
    found: Option<u64>,
}

impl ProfileSign {
    fn line(&mut self, number: u64, line: &[u8]) {
        let summary = memchr::memmem::rfind(line, b"Summary:");
        if summary.is_some_and(|at| line.len() - at < 40) {
            self.summary = Some(number);
        }
        let is_near = |begin: &u64| self.found.is_none() && number - begin <= 16;
        if let Some(begin) = self.summary.filter(is_near)
            && [&b"- Profile ID:"[..], b"- Query ID:"]
                .iter()
                .any(|key| memchr::memmem::find(line, key).is_some())
        {
            self.found = Some(begin);
        }
    }
}

impl LogLines {
    fn new(log: AuditLog, unwrapper: Option<Unwrapper>, may_be_other: bool) -> LogLines {
        let has_records = !may_be_other;
        let (open, before) = ((1, 1), (1, 1));
        LogLines {
            log,
            unwrapper,
            lines: 0,
            given: 0,
            open,
            before,
            has_records,
            profile: ProfileSign::default(),
        }
    }

    /// Takes in the half line that a line ends, see [`Unwrapper::ended_by`].
    fn ended_by(&mut self, line: &[u8]) -> Option<(u64, Item)> {
        let ended = self.unwrapper.as_mut()?.ended_by(line)?;
        self.give(&ended)
    }

    fn line(&mut self, line: &[u8]) -> Option<(u64, Item)> {
        self.lines += 1;
        let Some(unwrapper) = &mut self.unwrapper else {
            return self.give(line);
        };
        match unwrapper.line(line) {
            Unwrapped::Line(line) => self.give(&line),
            Unwrapped::Nothing | Unwrapped::OtherLog => {
                self.profile.line(self.lines, line);
                None
            }
            Unwrapped::NotWrapped if !self.has_records => None,
            Unwrapped::NotWrapped => {
                let reason = SkipReason::NotWrapped;
                Some((self.lines, Item::Skipped(Skipped { line: self.lines, reason })))
            }
        }
    }

    fn give(&mut self, line: &[u8]) -> Option<(u64, Item)> {
        if !self.has_records {
            self.has_records = AuditLog::begins_record(line);
            if !self.has_records {
                self.profile.line(self.lines, line);
                return None;
            }
        }
        self.given += 1;
        let found = self.log.line(line);
        if self.log.is_at_first_line() == Some(true) {
            self.before = std::mem::replace(&mut self.open, (self.lines, self.given));
        }
        found.map(|found| self.placed(found))
    }

    /// What was found with the line of the file at which it begins, and its other lines as those of the file.
    fn placed(&self, mut found: Item) -> (u64, Item) {
        let line = self.line_of(&found);
        if let Item::Record { foreign: Some(foreign), .. }
        | Item::Login { foreign: Some(foreign), .. } = &mut found
        {
            let behind = foreign.first.saturating_sub(self.before.1);
            foreign.first = self.before.0 + behind;
        }
        (line, found)
    }

    /// The line of the file at which what was found begins.
    fn line_of(&self, found: &Item) -> u64 {
        let from = |(lines, given): (u64, u64), line: u64| lines + line.saturating_sub(given);
        match found {
            Item::Skipped(skipped) if skipped.line >= self.open.1 => {
                from(self.open, skipped.line).min(self.lines)
            }
            Item::Skipped(skipped) => from(self.before, skipped.line),
            _ => self.before.0,
        }
    }

    fn end(&mut self) -> Vec<(u64, Item)> {
        let rest = self.unwrapper.as_mut().map(Unwrapper::end).unwrap_or_default();
        let mut found: Vec<_> = rest.iter().filter_map(|line| self.give(line)).collect();
        // What ends here is the record that is open.
        self.before = self.open;
        if let Some(last) = self.log.end() {
            found.push(self.placed(last));
        }
        found
    }
}

/// Hands on the elements of an array one by one, until told to stop.
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
        while let Some(value) = elements.next_element()? {
            if !(self.0)(value) {
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// Whether the lines of a text end with CR alone, as those of old Macs do: no LF is in it, and a record or a profile
/// begins behind a CR.
fn has_cr_lines(head: &[u8]) -> bool {
    if memchr::memchr(b'\n', head).is_some() || memchr::memchr(b'\r', head).is_none() {
        return false;
    }
    let mut lines = head.split(|byte| *byte == b'\r').skip(1);
    lines.any(AuditLog::begins_record)
        || !AuditLog::sniff(head) && Profile::sniff(&with_lf(head.to_vec()))
}

/// A text with LF in place of each CR.
fn with_lf(mut text: Vec<u8>) -> Vec<u8> {
    text.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
    text
}

/// Reads a text with LF in place of each CR.
struct WithLf<R>(R);

impl<R: Read> Read for WithLf<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        let read = buffer[..length].iter_mut();
        read.filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
        Ok(length)
    }
}

/// The first `bytes` of an input, and the input as if they had not been read.
fn peek<R: Read>(mut input: R, bytes: u64) -> io::Result<(Vec<u8>, impl Read + use<R>)> {
    let mut head = Vec::new();
    // Where the input breaks off, the head is what came; reading on meets the error again.
    let broken = input.by_ref().take(bytes).read_to_end(&mut head).err();
    if let Some(error) = broken
        && head.is_empty()
    {
        return Err(error);
    }
    Ok((head.clone(), Cursor::new(head).chain(input)))
}

/// Reads a line with its line end; `false` at the end of the input. Of a line longer than `most` only the start
/// is kept.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, most: usize) -> io::Result<bool> {
    line.clear();
    loop {
        let chunk = match input.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            return Ok(!line.is_empty());
        }
        let (length, ended) = match memchr::memchr(b'\n', chunk) {
            Some(at) => (at + 1, true),
            None => (chunk.len(), false),
        };
        let room = most.saturating_sub(line.len());
        line.extend_from_slice(&chunk[..length.min(room)]);
        input.consume(length);
        if ended {
            return Ok(true);
        }
    }
}
