//! A running `annals serve`, and requests to it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::{WithDb, annals};

/// Returns a client. A test that is not optimized fills the buffers byte by byte: those of a client are 256 KB unless set.
pub(crate) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.input_buffer_size(16 << 10).output_buffer_size(16 << 10).build().into()
}

/// A running `annals serve`, killed when dropped.
pub struct Server {
    pub process: Child,
    pub url: String,
    /// The standard output until the server listened.
    pub printed: String,
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts a server on a free port and waits until it listens.
    pub fn start(db: &Path, arguments: &[&str]) -> Server {
        let mut command = annals();
        Server::start_by(command.args(["serve", "--listen", "127.0.0.1:0"]).db(db).args(arguments))
    }

    /// Starts a server by a command, and waits until it listens.
    pub fn start_by(command: &mut Command) -> Server {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut printed = String::new();
        let url = loop {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the server ended: {printed}");
            printed.push_str(&line);
            if let Some((_, rest)) = line.split_once("listens on ") {
                break rest.split(' ').next().unwrap().to_string();
            }
        };
        Server { process, url, printed, _output: output }
    }

    /// Returns status, content type and body of a GET.
    pub fn get(&self, path: &str) -> (u16, String, Vec<u8>) {
        self.request("GET", path)
    }

    /// Returns status, content type and body of a request without a body.
    pub fn request(&self, method: &str, path: &str) -> (u16, String, Vec<u8>) {
        let agent = agent();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .body(())
            .unwrap();
        let mut answer = agent.run(request).unwrap();
        let content_type = answer.headers()["content-type"].to_str().unwrap().to_string();
        let mut body = Vec::new();
        answer.body_mut().as_reader().read_to_end(&mut body).unwrap();
        (answer.status().as_u16(), content_type, body)
    }

    /// Returns the path of the next page of a list, or None if the Link header has none.
    pub fn next_page(&self, path: &str) -> Option<String> {
        let answer = ureq::get(format!("{}{path}", self.url)).call().unwrap();
        let link = answer.headers().get("link")?.to_str().unwrap();
        Some(link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_string())
    }

    /// Returns the envelope of a GET. Panics unless the status is 200.
    pub fn envelope(&self, path: &str) -> Value {
        let (status, content_type, body) = self.get(path);
        assert_eq!((status, content_type.as_str()), (200, "application/json"), "{path}");
        serde_json::from_slice(&body).unwrap()
    }

    /// Sends a body, and returns status, JSON and Retry-After of the answer.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, Value, Option<String>) {
        let agent = agent();
        let mut request = ureq::http::Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.uri(format!("{}{path}", self.url)).body(body).unwrap();
        let mut answer = agent.run(request).unwrap();
        let retry = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().into());
        let text = answer.body_mut().read_to_string().unwrap();
        let json = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        (answer.status().as_u16(), json, retry)
    }

    /// Returns the peak memory in bytes.
    pub fn peak_memory(&self) -> u64 {
        let file = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(file).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Returns host and port.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// Sends a signal to the process, for example `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
