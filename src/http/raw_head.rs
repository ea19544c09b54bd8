//! Header values with raw control bytes.
//!
//! StarRocks' audit loader may send the separators of its rows as the bytes 0x01 and 0x02 themselves
//! (`column_separator`, `row_delimiter`), which Doris' and StarRocks' servers take and HTTP forbids: hyper answers 400.
//! So in the head of a request that begins like a stream load's each such byte gets its highest bit set, which makes
//! it one that HTTP lets pass. [`value`] takes the bit off again. The length of what was sent stays the same, so that
//! where a request ends is what its client said. A head begins where what was read begins, which it does for every
//! client that waits for the answer before it asks again.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use warp::http::HeaderValue;

/// How a stream load's request begins.
const START: &[u8] = b"PUT /api/";

/// A connection whose stream loads may have raw control bytes in their heads.
#[derive(Debug)]
pub(super) struct RawHeads<S> {
    stream: S,
    head: Head,
}

/// Whether a head is being read.
#[derive(Debug, Default)]
struct Head {
    is_open: bool,
    /// Line ends since the last other byte.
    line_ends: usize,
}

impl<S> RawHeads<S> {
    /// Wraps a connection.
    pub(super) fn new(stream: S) -> RawHeads<S> {
        RawHeads { stream, head: Head::default() }
    }
}

impl Head {
    /// Changes the control bytes in what was read, as far as it is of a stream load's head.
    fn read(&mut self, bytes: &mut [u8]) {
        if !self.is_open && bytes.starts_with(START) {
            *self = Head { is_open: true, line_ends: 0 };
        }
        if !self.is_open {
            return;
        }
        for byte in bytes {
            match byte {
                b'\n' => self.line_ends += 1,
                b'\r' => {}
                _ => {
                    self.line_ends = 0;
                    if byte.is_ascii_control() && *byte != b'\t' && *byte < 0x20 {
                        *byte |= 0x80;
                    }
                }
            }
            if self.line_ends == 2 {
                self.is_open = false;
                return;
            }
        }
    }
}

/// Returns a header's value as it was sent, control bytes included; `None` where it has other bytes beyond ASCII.
pub(super) fn value(header: &HeaderValue) -> Option<String> {
    let sent = header.as_bytes().iter().map(|byte| match byte {
        0x80..0xa0 => Some(char::from(byte & 0x7f)),
        byte => byte.is_ascii().then(|| char::from(*byte)),
    });
    sent.collect()
}

impl<S: AsyncRead + Unpin> AsyncRead for RawHeads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(read) = buffer.filled_mut().get_mut(before..) {
            self.head.read(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RawHeads<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a request that comes in these pieces.
    fn read(pieces: &[&str]) -> Vec<u8> {
        let mut head = Head::default();
        let mut read = Vec::new();
        for piece in pieces {
            let mut bytes = piece.as_bytes().to_vec();
            head.read(&mut bytes);
            read.extend(bytes);
        }
        read
    }

    #[test]
    fn control_bytes_of_a_head_pass_and_come_back() {
        let head = "PUT /api/d/t/_stream_load HTTP/1.1\r\ncolumn_separator: \u{1}\u{2}\tx\r\n";
        for pieces in [
            vec![head, "\r\na\u{1}b"],
            vec![head, "\r", "\na\u{1}b"],
            vec![&head[..60], &head[60..], "\r\n", "a\u{1}b"],
        ] {
            let read = read(&pieces);
            assert!(read.ends_with(b"\r\n\r\na\x01b"), "{read:?}");
            let at = read.windows(2).position(|two| two == [0x81, 0x82]).unwrap();
            let sent = HeaderValue::from_bytes(&read[at..at + 4]).unwrap();
            assert_eq!(value(&sent).as_deref(), Some("\u{1}\u{2}\tx"));
        }
        assert_eq!(value(&HeaderValue::from_bytes("é".as_bytes()).unwrap()), None);
    }

    #[test]
    fn nothing_else_is_changed() {
        for request in
            ["GET /\u{1} HTTP/1.1\r\n\r\n", "POST /api/v1/queries HTTP/1.1\r\na: \u{1}\r\n\r\n"]
        {
            assert_eq!(read(&[request]), request.as_bytes());
        }
    }
}
