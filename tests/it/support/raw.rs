//! Requests written byte by byte, from any loopback address.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::Server;

/// An answer, or what came of it before the connection ended.
#[derive(Debug)]
pub struct Answer {
    /// 0 if nothing came.
    pub status: u16,
    /// The head in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The standard library cannot bind a socket before it connects.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap());

/// Connects from an address such as 127.0.0.2, which the server sees as another client.
pub fn connect_from(address: &str, server: &Server) -> TcpStream {
    let local: SocketAddr = format!("{address}:0").parse().unwrap();
    let remote: SocketAddr = server.address().parse().unwrap();
    let stream = RUNTIME.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        // Two connections may have one local port.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(local).unwrap();
        socket.connect(remote).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    stream
}

/// Sends a request, and reads its answer. The connection stays open if both sides want it.
pub fn send(stream: &mut TcpStream, request: &[u8]) -> Answer {
    // A server that closes early still answered.
    let _ = stream.write_all(request);
    read_answer(stream)
}

/// Reads an answer until its length is reached, or until the connection ends.
pub fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut part = [0; 16 << 10];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let body = bytes[end + 4..].to_vec();
            let answer = Answer { status: status.unwrap_or(0), head, body };
            let length = answer.header("content-length").and_then(|length| length.parse().ok());
            let is_event_stream = answer.header("content-type") == Some("text/event-stream");
            if is_event_stream || length.is_some_and(|length: usize| answer.body.len() >= length) {
                return answer;
            }
        }
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let head = String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = end.map(|end| bytes[end + 4..].to_vec()).unwrap_or_default();
    Answer { status, head, body }
}

/// Returns the answer to a GET on a connection of its own. `headers` end with line ends.
pub fn get_from(address: &str, server: &Server, path: &str, headers: &str) -> Answer {
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    send(&mut connect_from(address, server), request.as_bytes())
}

/// Returns the value of a metric without labels. A connection that is closed for another is tried again.
pub fn metric(server: &Server, headers: &str, name: &str) -> f64 {
    let read = || get_from("127.0.0.1", server, "/metrics", headers).text();
    let text = (0..20).map(|_| read()).find(|text| !text.is_empty()).unwrap_or_default();
    let line = text.lines().find(|line| line.split(' ').next() == Some(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}
