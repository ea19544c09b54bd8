//! A file, or any stream of bytes, recognised by its content: an audit log or a profile, plain or
//! compressed with gzip.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use super::audit_log::{AuditLog, MAX_LINE_BYTES};
use super::{Found, SkipReason, Skipped};
use crate::profile::Profile;
use crate::time::Zone;

/// The largest profile taken in, in bytes.
pub const MAX_PROFILE_BYTES: usize = 128 << 20;

/// How much of an input is looked at to recognise it.
const HEAD_BYTES: u64 = 1 << 20;

/// Reads an input to its end and hands what it finds to `found`, in order; its times are local to
/// `zone`. Memory does not grow with the input: at most one record or profile is held.
///
/// `found` ends the reading by answering with an error, which is handed on. An input that cannot be
/// read is a [`Found::Skipped`] too.
pub fn read<E>(
    input: impl Read,
    zone: Zone,
    found: &mut impl FnMut(Found) -> Result<(), E>,
) -> Result<(), E> {
    match read_plain(input, zone, found) {
        Ok(()) => Ok(()),
        Err(Stop::Told(error)) => Err(error),
        Err(Stop::Input { line, error }) => {
            let reason = match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::InvalidData => SkipReason::Damaged,
                _ => SkipReason::Unreadable,
            };
            found(Found::Skipped(Skipped { line, reason }))
        }
    }
}

enum Stop<E> {
    /// `found` said so.
    Told(E),
    /// The input gave no more.
    Input { line: u64, error: io::Error },
}

fn read_plain<E>(
    input: impl Read,
    zone: Zone,
    found: &mut impl FnMut(Found) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    let unreadable = |error| Stop::Input { line: 1, error };
    let (magic, input) = peek(input, 2).map_err(unreadable)?;
    if magic == [0x1f, 0x8b] {
        let plain = flate2::read::MultiGzDecoder::new(BufReader::with_capacity(1 << 16, input));
        recognised(plain, zone, found)
    } else {
        recognised(input, zone, found)
    }
}

fn recognised<E>(
    input: impl Read,
    zone: Zone,
    found: &mut impl FnMut(Found) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    let (head, input) = peek(input, HEAD_BYTES).map_err(|error| Stop::Input { line: 1, error })?;
    let mut say = |what| found(what).map_err(Stop::Told);
    let skipped = |reason| Found::Skipped(Skipped { line: 1, reason });
    if head.is_empty() {
        Ok(())
    } else if Profile::recognise(&head) {
        let mut text = Vec::new();
        // One byte more than is taken tells a profile that is too large.
        let most = MAX_PROFILE_BYTES as u64 + 1;
        let read = input.take(most).read_to_end(&mut text);
        read.map_err(|error| Stop::Input { line: 1, error })?;
        if text.len() > MAX_PROFILE_BYTES {
            return say(skipped(SkipReason::ProfileTooLarge));
        }
        match Profile::parse(text, zone) {
            Ok(profile) => say(Found::Profile(Box::new(profile))),
            Err(error) => say(skipped(error.into())),
        }
    } else if AuditLog::recognise(&head) {
        let mut log = AuditLog::new(zone);
        let mut input = BufReader::with_capacity(1 << 18, input);
        let mut line = Vec::new();
        for number in 1.. {
            match read_line(&mut input, &mut line) {
                Ok(true) => {
                    if let Some(what) = log.line(&line) {
                        say(what)?;
                    }
                }
                Ok(false) => break,
                Err(error) => {
                    // What came before the damage is kept.
                    if let Some(what) = log.end() {
                        say(what)?;
                    }
                    return Err(Stop::Input { line: number, error });
                }
            }
        }
        log.end().map_or(Ok(()), say)
    } else {
        say(skipped(SkipReason::NotRecognised))
    }
}

/// The first `bytes` of an input, and the input as if they had not been read.
fn peek<R: Read>(mut input: R, bytes: u64) -> io::Result<(Vec<u8>, impl Read)> {
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

/// Reads a line with its line end; `false` at the end of the input. Of a line longer than any record
/// only the start is kept.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
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
        let room = MAX_LINE_BYTES.saturating_sub(line.len());
        line.extend_from_slice(&chunk[..length.min(room)]);
        input.consume(length);
        if ended {
            return Ok(true);
        }
    }
}
