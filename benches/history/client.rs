//! A client that costs little beside the server.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::data::{Query, Random, id, profile};
use crate::process::Server;
use crate::{CONNECTIONS, FIRST_MS, PUSHING, STEP_MS};

/// Returns how many requests a second a server answers.
pub(crate) fn ask(
    address: &str,
    during: Duration,
    path: impl Fn(usize, &mut Random) -> String + Sync,
) -> f64 {
    let began = Instant::now();
    let asked: u64 = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let path = &path;
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    let mut random = Random(began.elapsed().as_nanos() as u64 ^ connection as u64);
                    let mut asked = 0;
                    while began.elapsed() < during {
                        client.get(&path(connection, &mut random));
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).sum()
    });
    asked as f64 / began.elapsed().as_secs_f64()
}

/// A connection that speaks as little HTTP as it needs.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::with_capacity(1 << 18, stream))
    }

    pub(crate) fn get(&mut self, path: &str) -> Vec<u8> {
        // In one piece: `write!` on a socket sends each part of the format on its own.
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        self.answer(path)
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: &[u8]) {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n"
        );
        self.0.get_mut().write_all(&[head.as_bytes(), body].concat()).unwrap();
        self.answer(path);
    }

    /// Pushes records, and returns once they are on the disk.
    pub(crate) fn push(&mut self, numbers: std::ops::Range<u64>) {
        let mut rows = String::new();
        let mut random = Random(numbers.start);
        for number in numbers {
            let Query { statement, pattern, duration_ms, user, db } = Query::new(number);
            writeln!(
                rows,
                "{{\"query_id\":\"{}\",\"time\":{},\"query_time\":{duration_ms},\"user\":\"user{user}\",\"db\":\"db{db}\",\
                 \"state\":\"EOF\",\"client_ip\":\"10.0.0.1:5000\",\"scan_rows\":{},\"scan_bytes\":{},\
                 \"return_rows\":{},\"is_query\":true,\"sql_hash\":\"{pattern:032x}\",\"stmt\":\"{statement}\"}}",
                id(number),
                FIRST_MS + number * STEP_MS - duration_ms,
                random.below(10_000_000),
                random.below(1_000_000_000),
                random.below(1000),
            )
            .unwrap();
        }
        self.send("POST", "/api/v1/queries", rows.as_bytes());
    }

    fn answer(&mut self, path: &str) -> Vec<u8> {
        let (mut length, mut chunked) = (0, false);
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
            chunked |= line == "transfer-encoding: chunked\r\n";
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        while chunked {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let before = body.len();
            body.resize(before + size + 2, 0);
            self.0.read_exact(&mut body[before..]).unwrap();
            body.truncate(before + size);
            chunked = size > 0;
        }
        body
    }
}

/// Uploads profiles of the first queries.
pub(crate) fn push_profiles(server: &Server, profiles: u64) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..PUSHING {
            scope.spawn(|| {
                let mut client = Client::connect(&server.address);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= profiles {
                        break;
                    }
                    let path = format!("/api/v1/queries/{}/profile", id(number));
                    client.send("PUT", &path, profile(number).as_bytes());
                }
            });
        }
    });
}
