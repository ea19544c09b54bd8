//! Clients that push, and clients that read. Each goes on with the next annals when one is killed.

use std::io::Write;
use std::time::Duration;

use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::ledger::{Kind, id};
use super::process::Scene;

const STREAM_LOAD: &str = "/api/__internal_schema/audit_log/_stream_load?redirected=true";

pub fn now_ms() -> i64 {
    crate::support::now().timestamp_millis()
}

/// A client of the annals that runs.
struct Client<'a> {
    scene: &'a Scene,
    agent: ureq::Agent,
}

impl Client<'_> {
    fn new(scene: &Scene) -> Client<'_> {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Client { scene, agent: agent.into() }
    }

    /// Returns status and body of the answer, or None if the outcome is unknown. Waits for annals to listen.
    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<(u16, String)> {
        let Some(url) = self.scene.url() else {
            std::thread::sleep(Duration::from_millis(1));
            return None;
        };
        let mut request = ureq::http::Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.uri(format!("{url}{path}")).body(body).unwrap();
        let mut answer = self.agent.run(request).ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        let status = answer.status().as_u16();
        // A push may have to wait too long for another process that writes.
        let is_expected = status == 200
            || (status == 503 && method != "GET")
            || (status >= 500 && self.scene.disk_fails);
        if !is_expected {
            self.scene.fails(format!("{method} {path}: {status} {text}"));
        }
        Some((status, text))
    }

    /// Returns whether a request is acknowledged.
    fn is_stored(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> bool {
        self.send(method, path, headers, body).is_some_and(|(status, _)| status == 200)
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn row(kind: Kind, number: u64, now_ms: i64) -> Value {
    json!({
        "query_id": id(number), "time": kind.started_ms(now_ms), "user": "alice", "query_time": number % 900,
        "state": "EOF", "stmt": kind.statement(number), "scan_rows": number,
    })
}

/// Pushes rows. Half of the pushes whose outcome is unknown are sent again until they are acknowledged.
pub fn push(scene: &Scene, mut random: Rng) {
    let client = Client::new(scene);
    while !scene.is_over() {
        let kind = if random.u8(0..8) == 0 { Kind::Old } else { Kind::Pushed };
        let count = if random.u8(0..20) == 0 { random.u64(500..2000) } else { random.u64(1..60) };
        let rows = scene.ledger.add_push(kind, count);
        let now_ms = now_ms();
        let values: Vec<Value> = rows.clone().map(|number| row(kind, number, now_ms)).collect();
        let text = match random.bool() {
            true => json!(values).to_string(),
            false => values.iter().map(|value| value.to_string() + "\n").collect(),
        };
        let packed = gzip(text.as_bytes());
        let (headers, body): (&[_], _) = match random.u8(0..4) {
            0 => (&[("content-encoding", "gzip")], &packed[..]),
            _ => (&[], text.as_bytes()),
        };
        let is_sent_again = random.bool();
        loop {
            if client.is_stored("POST", "/api/v1/queries", headers, body) {
                scene.ledger.acknowledge(rows);
                break;
            }
            if scene.is_over() || !is_sent_again {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(random.u64(0..10)));
    }
}

/// Sends stream loads with labels. While the outcome is unknown, the label is sent again with other rows, so that two
/// loads under one label would be seen.
pub fn stream_load(scene: &Scene, mut random: Rng) {
    let client = Client::new(scene);
    while !scene.is_over() {
        let load = scene.ledger.add_load();
        let label = format!("load-{load}");
        while !scene.is_over() {
            let rows = scene.ledger.add_attempt(load, random.u64(1..40));
            let now_ms = now_ms();
            let json =
                rows.clone().map(|number| row(Kind::Loaded, number, now_ms).to_string() + "\n");
            let csv = |number: u64| {
                let statement = Kind::Loaded.statement(number);
                let time = chrono::DateTime::from_timestamp_millis(now_ms).unwrap();
                let time = time.format("%Y-%m-%d %H:%M:%S%.3f");
                format!("{}\u{1}{time}\u{1}{statement}\u{2}", id(number))
            };
            let (headers, body): (&[_], String) = match random.bool() {
                true => (&[("format", "json"), ("read_json_by_line", "true")], json.collect()),
                false => (
                    &[
                        ("columns", "query_id, `time`, stmt"),
                        ("column_separator", "\\x01"),
                        ("line_delimiter", "\\x02"),
                    ],
                    rows.map(csv).collect(),
                ),
            };
            let headers = [headers, &[("label", label.as_str())]].concat();
            let answer = client.send("PUT", STREAM_LOAD, &headers, body.as_bytes());
            let Some((200, text)) = answer else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            match answer["Status"].as_str() {
                Some("Success" | "Label Already Exists") => scene.ledger.acknowledge_load(load),
                _ if scene.disk_fails => continue,
                _ => scene.fails(format!("a stream load was answered {text}")),
            }
            break;
        }
        std::thread::sleep(Duration::from_millis(random.u64(0..10)));
    }
}

/// Pushes queries and their profiles, and reads each profile as soon as it is acknowledged.
pub fn push_profiles(scene: &Scene, mut random: Rng) {
    let client = Client::new(scene);
    while !scene.is_over() {
        let kind = if random.u8(0..8) == 0 { Kind::OldProfile } else { Kind::Profiled };
        let number = scene.ledger.add_push(kind, 1).start;
        let now_ms = now_ms();
        let body = row(kind, number, now_ms).to_string();
        if random.bool() && client.is_stored("POST", "/api/v1/queries", &[], body.as_bytes()) {
            scene.ledger.acknowledge(number..number + 1);
        }
        let text = kind.profile(number, kind.started_ms(now_ms));
        let path = format!("/api/v1/queries/{}/profile", id(number));
        if !client.is_stored("PUT", &path, &[], text.as_bytes()) {
            continue;
        }
        scene.ledger.acknowledge_profile(number, text.clone());
        let path = format!("/api/profile/text?query_id={}", id(number));
        if let Some((200, read)) = client.send("GET", &path, &[], b"")
            && read != text
            && kind == Kind::Profiled
        {
            scene.fails(format!("the profile of {} was acknowledged, and is {read}", id(number)));
        }
        std::thread::sleep(Duration::from_millis(random.u64(0..10)));
    }
}

/// Reads lists and pages, which must be answered whenever annals listens.
pub fn read(scene: &Scene, mut random: Rng) {
    let client = Client::new(scene);
    let paths = [
        "/rest/v1/session?limit=100", "/api/v1/queries?limit=50", "/rest/v1/query_profile",
        "/api/v1/status", "/metrics", "/", "/statements",
    ];
    while !scene.is_over() {
        let path = paths[random.usize(0..paths.len())];
        client.send("GET", path, &[], b"");
        std::thread::sleep(Duration::from_millis(random.u64(0..20)));
    }
}
