//! Clients that push to several servers of one history, and a ledger of what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::postgres;

/// Rows of a push that only this client sends, and rows that each client sends.
const ROWS: u64 = 10;
/// How long a push is sent again until it is acknowledged.
const LONGEST: Duration = Duration::from_secs(60);
const LOAD: &str = "/api/db/audit/_stream_load?redirected=true";

/// The servers of one history, and what they acknowledged.
#[derive(Default)]
pub(super) struct Ledger {
    /// The URL of each server. A server that is started again has another port.
    pub(super) urls: Mutex<Vec<String>>,
    acknowledged: Mutex<Acknowledged>,
    is_done: AtomicBool,
    attempts: AtomicU64,
    /// Answers that knew a push.
    answers: AtomicU64,
    /// Requests that no server answered, or that were answered with an error of the server.
    unanswered: AtomicU64,
}

#[derive(Default)]
struct Acknowledged {
    pushes: u64,
    /// What the answers counted as new.
    new: u64,
    /// The column that a row was sent with, and its id.
    rows: BTreeSet<(&'static str, String)>,
    /// The ids of all attempts to send a stream load, by its label.
    loads: BTreeMap<String, Vec<String>>,
}

/// Stops the clients when dropped.
pub(super) struct Stop<'a>(&'a Ledger);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.is_done.store(true, Ordering::SeqCst);
    }
}

impl Ledger {
    pub(super) fn new(urls: &[&str]) -> Ledger {
        let urls = urls.iter().map(|url| url.to_string()).collect();
        Ledger { urls: Mutex::new(urls), ..Ledger::default() }
    }

    pub(super) fn stop_when_dropped(&self) -> Stop<'_> {
        Stop(self)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_done.load(Ordering::SeqCst)
    }

    /// Returns the number of pushes that were acknowledged.
    pub(super) fn pushes(&self) -> u64 {
        self.acknowledged.lock().unwrap().pushes
    }

    /// Pushes until the clients are stopped, `most` times at most. Each push is sent again, to the next server, until it is
    /// acknowledged. Then each other server must know it.
    pub(super) fn run_client(&self, client: u64, most: u64) {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(15)))
            .build()
            .into();
        for number in 0..most {
            if self.is_stopped() {
                break;
            }
            let server = self.push(&agent, client, number);
            self.assert_known(&agent, server, client, number);
            if number % 5 == 0 {
                self.load(&agent, client, number);
            }
        }
    }

    /// Sends a request to the server of this number. Returns status and body, or None if the server does not answer.
    fn send(
        &self,
        agent: &ureq::Agent,
        server: u64,
        request: ureq::http::request::Builder,
        (path, body): (&str, String),
    ) -> Option<(u16, String)> {
        let urls = self.urls.lock().unwrap().clone();
        let url = format!("{}{path}", urls[server as usize % urls.len()]);
        let mut answer = agent.run(request.uri(url).body(body).unwrap()).ok()?;
        let body = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), body))
    }

    /// Pushes rows of this client alone and rows that each client sends. Returns the number of the server that acknowledged.
    fn push(&self, agent: &ureq::Agent, client: u64, number: u64) -> u64 {
        let column = if client.is_multiple_of(2) { "db" } else { "catalog" };
        let own =
            (0..ROWS).map(|row| (own_id(client, number * ROWS + row), format!("user{client}")));
        let shared =
            (0..ROWS).map(|row| (format!("e-{:x}", number * ROWS / 2 + row), "all".to_string()));
        let rows: Vec<_> = own.chain(shared).collect();
        let body: String = rows
            .iter()
            .map(|(id, user)| {
                let time = 1_800_000_000_000_u64 + number;
                let row = json!({"query_id": id, "user": user, "time": time, "query_time": 7,
                    "state": "EOF", "stmt": format!("select '{id}'"), column: "shop"});
                format!("{row}\n")
            })
            .collect();
        let (server, answer) = self.until_acknowledged(client + number, |server| {
            let request = ureq::http::Request::builder().method("POST");
            let (status, answer) =
                self.send(agent, server, request, ("/api/v1/queries", body.clone()))?;
            assert!([200, 503].contains(&status), "{status} {answer}");
            (status == 200).then_some(answer)
        });
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let mut acknowledged = self.acknowledged.lock().unwrap();
        acknowledged.pushes += 1;
        acknowledged.new += answer["data"]["new"].as_u64().unwrap();
        acknowledged.rows.extend(rows.into_iter().map(|(id, _)| (column, id)));
        server
    }

    /// Sends a stream load. Each attempt has a row of its own, so that two attempts that are stored differ from one.
    fn load(&self, agent: &ureq::Agent, client: u64, number: u64) {
        let label = format!("load-{client}-{number}");
        let mut ids = Vec::new();
        self.until_acknowledged(client + number, |server| {
            let id = format!("10ad-{:x}", self.attempts.fetch_add(1, Ordering::SeqCst));
            ids.push(id.clone());
            let request = ureq::http::Request::builder().method("PUT").header("label", &label);
            let request = request.header("columns", "query_id, time, stmt");
            let body = format!("{id}\t2024-08-06 11:16:00\tselect 1\n");
            let (status, answer) = self.send(agent, server, request, (LOAD, body))?;
            assert!([200, 503].contains(&status), "{status} {answer}");
            let is_stored =
                answer.contains("\"Success\"") || answer.contains("\"Label Already Exists\"");
            (status == 200 && is_stored).then_some(answer)
        });
        self.acknowledged.lock().unwrap().loads.insert(label, ids);
    }

    /// Tries one server after another. Returns the number of the server that acknowledged, and its answer.
    fn until_acknowledged(
        &self,
        first: u64,
        mut attempt: impl FnMut(u64) -> Option<String>,
    ) -> (u64, String) {
        let began = Instant::now();
        for server in first.. {
            if let Some(answer) = attempt(server) {
                return (server, answer);
            }
            self.unanswered.fetch_add(1, Ordering::Relaxed);
            assert!(began.elapsed() < LONGEST, "nothing is acknowledged any more");
            std::thread::sleep(Duration::from_millis(20));
        }
        unreachable!()
    }

    /// Asserts that each other server that answers knows a push, by its id and in lists.
    fn assert_known(&self, agent: &ureq::Agent, server: u64, client: u64, number: u64) {
        let id = own_id(client, number * ROWS + ROWS - 1);
        let paths = [
            format!("/api/v1/queries/{id}"),
            format!("/api/v1/queries?limit=100&user=user{client}"),
            format!("/rest/v1/session?limit=100&user=user{client}"),
        ];
        for server in server + 1..=server + 2 {
            for path in &paths {
                let request = ureq::http::Request::builder().method("GET");
                let answer = self.send(agent, server, request, (path, String::new()));
                // A server may have been killed, or may have lost its database.
                let Some((status, body)) = answer.filter(|(status, _)| *status < 500) else {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                self.answers.fetch_add(1, Ordering::Relaxed);
                assert!(status == 200 && body.contains(&id), "{id} is not known: {status} {body}");
            }
        }
    }

    /// Asserts that the database has what was acknowledged, once. Returns the number of queries.
    pub(super) fn check(&self, address: &str) -> u64 {
        let acknowledged = self.acknowledged.lock().unwrap();
        let mut stored = BTreeMap::new();
        for row in
            postgres::rows(address, "SELECT query_id, db, catalog, statement FROM query").unwrap()
        {
            let id = row[0].clone().unwrap();
            assert!(stored.insert(id.clone(), row).is_none(), "{id} is there twice");
        }
        for (column, id) in &acknowledged.rows {
            let row = stored.get(id).unwrap_or_else(|| panic!("{id} was acknowledged and is lost"));
            let value = &row[if *column == "db" { 1 } else { 2 }];
            assert_eq!(value.as_deref(), Some("shop"), "{column} of {id} is lost: {row:?}");
            assert_eq!(row[3], Some(format!("select '{id}'")));
        }
        for (label, ids) in &acknowledged.loads {
            let times = ids.iter().filter(|id| stored.contains_key(*id)).count();
            assert_eq!(times, 1, "{label} was sent as {ids:?}");
        }
        stored.len() as u64
    }

    /// Returns how many queries the answers called new. Each query is new once if no answer was lost.
    pub(super) fn new_queries(&self) -> u64 {
        let acknowledged = self.acknowledged.lock().unwrap();
        acknowledged.new + acknowledged.loads.len() as u64
    }
}

impl fmt::Display for Ledger {
    /// Writes the counts of what was acknowledged and asked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Acknowledged { pushes, rows, loads, .. } = &*self.acknowledged.lock().unwrap();
        let (rows, loads) = (rows.len(), loads.len());
        let answers = self.answers.load(Ordering::Relaxed);
        let unanswered = self.unanswered.load(Ordering::Relaxed);
        write!(
            f,
            "{pushes} pushes of {rows} records and {loads} loads acknowledged; {answers} answers had all of them, \
             {unanswered} requests failed"
        )
    }
}

fn own_id(client: u64, number: u64) -> String {
    format!("{:x}-{number:x}", client + 1)
}
