//! The bytes of an input: its head, its lines, and the ends of its lines.

use std::io::{self, BufRead, Cursor, Read};

use crate::domain::profile::Profile;
use crate::formats::audit_log::AuditLog;

/// Returns the first `bytes` of an input, and the whole input, its head included.
///
/// Errors if not even one byte can be read. If the input fails later, the head is what came before the error, and
/// reading on meets the error again.
pub(super) fn read_head<R: Read>(
    mut input: R,
    bytes: u64,
) -> io::Result<(Vec<u8>, impl Read + use<R>)> {
    let mut head = Vec::new();
    let failed = input.by_ref().take(bytes).read_to_end(&mut head).err();
    if let Some(error) = failed
        && head.is_empty()
    {
        return Err(error);
    }
    Ok((head.clone(), Cursor::new(head).chain(input)))
}

/// Reads a line with its line end into `line`; of a line longer than `most` bytes only the start. Returns false at the
/// end of the input.
pub(super) fn read_line(
    input: &mut impl BufRead,
    line: &mut Vec<u8>,
    most: usize,
) -> io::Result<bool> {
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
        let (length, is_ended) = match memchr::memchr(b'\n', chunk) {
            Some(at) => (at + 1, true),
            None => (chunk.len(), false),
        };
        let capacity = most.saturating_sub(line.len());
        line.extend_from_slice(&chunk[..length.min(capacity)]);
        input.consume(length);
        if is_ended {
            return Ok(true);
        }
    }
}

/// Returns whether the lines of a text end with CR alone, as those of old Macs do: the text has no LF, and a record or a
/// profile begins after a CR.
pub(super) fn has_cr_lines(head: &[u8]) -> bool {
    if memchr::memchr(b'\n', head).is_some() || memchr::memchr(b'\r', head).is_none() {
        return false;
    }
    let mut lines = head.split(|byte| *byte == b'\r').skip(1);
    lines.any(AuditLog::begins_record)
        || !AuditLog::sniff(head) && Profile::sniff(&with_lf(head.to_vec()))
}

/// Returns a text with LF in place of each CR.
pub(super) fn with_lf(mut text: Vec<u8>) -> Vec<u8> {
    replace_cr(&mut text);
    text
}

/// Reads a text with LF in place of each CR.
pub(super) struct CrToLf<R>(pub R);

impl<R: Read> Read for CrToLf<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        replace_cr(&mut buffer[..length]);
        Ok(length)
    }
}

fn replace_cr(text: &mut [u8]) {
    text.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
}
