//! A minimal HTTP client. Its cost is small beside the server's, so that the rates are the server's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::generator::{Random, push_body};

/// Connections that read at the same time.
const READ_CONNECTIONS: usize = 4;
/// Connections that push at the same time.
pub(crate) const PUSH_CONNECTIONS: usize = 16;
/// Records of a pushed batch.
pub(crate) const BATCH: u64 = 100;

/// The path of the session list, and of the bare warp route.
pub(crate) const SESSION: &str = "/rest/v1/session";

/// Returns how many requests a second a server answers.
pub(crate) fn request_rate(
    address: &str,
    duration: Duration,
    path: impl Fn(usize, &mut Random) -> String + Sync,
) -> f64 {
    let began = Instant::now();
    let requests: u64 = std::thread::scope(|scope| {
        let connections: Vec<_> = (0..READ_CONNECTIONS)
            .map(|connection| {
                let path = &path;
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    let mut random = Random(began.elapsed().as_nanos() as u64 ^ connection as u64);
                    let mut requests = 0;
                    while began.elapsed() < duration {
                        client.get(&path(connection, &mut random));
                        requests += 1;
                    }
                    requests
                })
            })
            .collect();
        connections.into_iter().map(|connection| connection.join().unwrap()).sum()
    });
    requests as f64 / began.elapsed().as_secs_f64()
}

/// A connection.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::with_capacity(1 << 18, stream))
    }

    /// Returns the body of the answer. Panics unless the status is 200.
    pub(crate) fn get(&mut self, path: &str) -> Vec<u8> {
        // One write: `write!` on a socket would send each piece of the format in a packet of its own.
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        self.read_answer(path)
    }

    /// Sends a body. Panics unless the status is 200.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &[u8]) {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n"
        );
        self.0.get_mut().write_all(&[head.as_bytes(), body].concat()).unwrap();
        self.read_answer(path);
    }

    /// Pushes the records of these queries, and waits until they are on the disk.
    pub(crate) fn push(&mut self, numbers: Range<u64>) {
        self.send("POST", "/api/v1/queries", push_body(numbers).as_bytes());
    }

    fn read_answer(&mut self, path: &str) -> Vec<u8> {
        let (mut length, mut is_chunked) = (0, false);
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200 "), "{path}: {line}");
        while line != "\r\n" {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            line.make_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            is_chunked |= line == "transfer-encoding: chunked\r\n";
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        while is_chunked {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let before = body.len();
            body.resize(before + size + 2, 0);
            self.0.read_exact(&mut body[before..]).unwrap();
            body.truncate(before + size);
            is_chunked = size > 0;
        }
        body
    }
}
