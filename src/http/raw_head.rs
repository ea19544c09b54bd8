//! Lets stream loads send control bytes in their headers, which hyper rejects with 400.
//!
//! StarRocks' audit loader sends the separators of its rows as the bytes 0x01 and 0x02 themselves (`column_separator`,
//! `row_delimiter`). HTTP forbids them, but Doris' and StarRocks' servers accept them, so annals has to. hyper has no
//! setting for that. So [`RawHeads`] sits between the socket and hyper: in the head of a request that begins like a
//! stream load, it sets the highest bit of every control byte, which makes the byte valid in HTTP. [`value`] clears the
//! bit again. The number of bytes stays the same, so that the request ends where the client says.
//!
//! A head is recognized only where the bytes of one read begin. This holds for every client that waits for a response
//! before it sends the next request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use warp::http::HeaderValue;

/// The first bytes of a stream load.
const START: &[u8] = b"PUT /api/";

/// A connection on which the heads of stream loads may have control bytes.
#[derive(Debug)]
pub(super) struct RawHeads<S> {
    stream: S,
    head: Head,
}

/// The head of a stream load, as far as it is read.
#[derive(Debug, Default)]
struct Head {
    is_open: bool,
    /// Line ends in a row. Two of them end the head.
    line_ends: usize,
}

impl<S> RawHeads<S> {
    pub(super) fn new(stream: S) -> RawHeads<S> {
        RawHeads { stream, head: Head::default() }
    }
}

impl Head {
    /// Sets the highest bit of the control bytes in `bytes`, as far as they are in the head of a stream load.
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
                    if *byte < 0x20 && *byte != b'\t' {
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

/// Returns the value of a header as the client sent it, with control bytes. `None` if the value is not ASCII.
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
        if let Some(bytes) = buffer.filled_mut().get_mut(before..) {
            self.head.read(bytes);
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

    /// Returns what hyper gets of a request that arrives in these pieces.
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
    fn each_head_of_a_connection_is_read_and_no_body() {
        let load = "PUT /api/d/t/_stream_load HTTP/1.1\na: \u{1}\n\n";
        let read = read(&[load, "\u{1}\n\nPUT /api/\u{1}", load, "\u{1}"]);
        let marked = [load.replace('\u{1}', "?"), "\u{1}\n\nPUT /api/\u{1}".to_string()];
        let expected = [&marked[0], &marked[1], &marked[0], "\u{1}"].concat();
        let read: Vec<u8> =
            read.iter().map(|&byte| if byte == 0x81 { b'?' } else { byte }).collect();
        assert_eq!(String::from_utf8(read).unwrap(), expected);
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
