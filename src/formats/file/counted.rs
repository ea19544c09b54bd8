//! A stream of syslog messages, each after its length in bytes and a blank (octet counting of RFC 6587, 3.4.1). The messages
//! need no line ends.

use std::io::{self, BufRead, BufReader, Cursor, Read};

/// The digits of a length.
const MAX_DIGITS: usize = 9;

/// Returns whether a text consists of counted messages: the first ends where a second begins, or where the text ends.
pub(super) fn has_counted_messages(head: &[u8]) -> bool {
    let begins = |text: &[u8]| length(text).filter(|(_, at)| text.get(*at) == Some(&b'<'));
    let Some((bytes, at)) = begins(head) else { return false };
    match head.get(at.saturating_add(bytes)..) {
        Some([]) => true,
        Some(rest) => begins(rest).is_some(),
        // A message longer than the head is read as any line.
        None => false,
    }
}

/// Returns a length and how many bytes it has with the blank after it.
fn length(text: &[u8]) -> Option<(usize, usize)> {
    let digits = text.iter().take(MAX_DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    (text.get(digits) == Some(&b' ')).then_some((number, digits + 1))
}

/// Reads counted messages as lines: without their lengths, each with a line end. From a place on where no length is, it reads
/// the bytes as they are.
pub(super) struct CountedToLines<R> {
    input: BufReader<R>,
    state: State,
    /// The last byte that was read.
    last: u8,
}

enum State {
    /// A length comes next.
    Length,
    /// So many bytes of a message come next.
    Message(usize),
    /// There are no lengths any more. First come the bytes where one was expected.
    Plain(Cursor<Vec<u8>>),
}

impl<R: Read> CountedToLines<R> {
    pub(super) fn new(input: R) -> CountedToLines<R> {
        CountedToLines { input: BufReader::new(input), state: State::Length, last: b'\n' }
    }

    /// Reads a length.
    fn read_length(&mut self) -> io::Result<State> {
        let mut text = Vec::new();
        self.input.by_ref().take(MAX_DIGITS as u64 + 1).read_until(b' ', &mut text)?;
        Ok(match length(&text) {
            Some((bytes, _)) => State::Message(bytes),
            None => State::Plain(Cursor::new(text)),
        })
    }
}

impl<R: Read> Read for CountedToLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut self.state {
                State::Length | State::Message(0) if self.last != b'\n' => {
                    (&b"\n"[..]).read(buffer)?
                }
                State::Length | State::Message(0) => {
                    self.state = self.read_length()?;
                    continue;
                }
                State::Message(bytes) => {
                    let most = buffer.len().min(*bytes);
                    let read = self.input.read(&mut buffer[..most])?;
                    *bytes -= read;
                    read
                }
                State::Plain(before) => match before.read(buffer)? {
                    0 => self.input.read(buffer)?,
                    read => read,
                },
            };
            if let Some(last) = buffer[..read].last() {
                self.last = *last;
            }
            return Ok(read);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> String {
        let mut lines = String::new();
        CountedToLines::new(text.as_bytes()).read_to_string(&mut lines).unwrap();
        lines
    }

    #[test]
    fn messages_become_lines() {
        assert!(has_counted_messages(b"5 <1>ab4 <2>c"));
        assert_eq!(lines("5 <1>ab4 <2>c"), "<1>ab\n<2>c\n");
        // A message that has a line end gets no other one.
        assert_eq!(lines("6 <1>ab\n5 <2>c\n"), "<1>ab\n<2>c\n");
        assert_eq!(lines("7 <1>a\nb\n4 <2>c"), "<1>a\nb\n<2>c\n");
        // The last message is not whole.
        assert_eq!(lines("5 <1>ab9 <2>c"), "<1>ab\n<2>c");
    }

    #[test]
    fn a_stream_that_loses_its_lengths_is_read_as_it_is() {
        assert_eq!(lines("5 <1>abxyz\n"), "<1>ab\nxyz\n");
        assert_eq!(lines("5 <1>ab<2>c defghijklm\nno"), "<1>ab\n<2>c defghijklm\nno");
        for text in
            ["", "5", "5 ", "5 <1>abc", "99999999999 <1>ab", "0 0 <", "x 5 <1>ab", "30 <1>ab\n"]
        {
            assert!(!has_counted_messages(text.as_bytes()), "{text}");
        }
    }
}
