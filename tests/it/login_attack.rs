//! Guessed passwords: many at once, for one name and for many, with long names.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::raw::{Answer, connect_from, get_from, metric, send};
use crate::support::{Server, WithDb, add_user, annals, wait_until};
use crate::tokens::new_token;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;

/// Where the attack comes from, and where the user is.
const ATTACKER: &str = "127.0.0.2";
const USER: &str = "127.0.0.1";
/// The longest time of a log-in during an attack. A twentieth of it is usual; a machine that builds beside needs more.
const PROMPT: Duration = Duration::from_secs(10);

fn basic(name: &str, password: &str) -> String {
    let text = BASE64_STANDARD.encode(format!("{name}:{password}"));
    format!("authorization: Basic {text}\r\n")
}

/// Starts a server with users, which logs into the file `log` of the folder.
fn start(folder: &Path) -> Server {
    start_with_log(folder, "")
}

/// Starts the same with a level of the log.
fn start_with_log(folder: &Path, level: &str) -> Server {
    let db = folder.join("a.db");
    for name in ["alice", "bob", "carol"] {
        add_user(&db, name, "user");
    }
    let mut command = annals();
    command.args(["serve", "--listen", "127.0.0.1:0"]).db(&db);
    command.stderr(File::create(folder.join("log")).unwrap()).env("ANNALS_LOG", level);
    Server::start_by(&mut command)
}

fn log_in(address: &str, server: &Server, name: &str, password: &str) -> Answer {
    get_from(address, server, "/rest/v1/session?limit=1", &basic(name, password))
}

fn right(name: &str) -> String {
    format!("pass-word-of-{name}")
}

/// Sends guesses from many threads, each the number `n` of `count`. Returns their answers.
fn flood(threads: usize, count: usize, guess: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let guess = &guess;
                scope.spawn(move || (thread..count).step_by(threads).map(guess).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[test]
fn guesses_at_once_for_one_name_are_as_slow_as_one_after_another() {
    let folder = TempDir::new().unwrap();
    let server = start(folder.path());
    assert_eq!(log_in(USER, &server, "alice", &right("alice")).status, 200);
    let began = Instant::now();
    let answers = std::thread::scope(|scope| {
        let guesses = scope.spawn(|| {
            flood(40, 200, |number| log_in(ATTACKER, &server, "alice", &format!("guess-{number}")))
        });
        // A password that was verified before does not wait, and another client has its own budget.
        for _ in 0..10 {
            let began = Instant::now();
            assert_eq!(log_in(USER, &server, "alice", &right("alice")).status, 200);
            assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
        }
        guesses.join().unwrap()
    });
    // Nine are verified within 1.5 s; then one each three seconds.
    let wrong = count(&answers, 401);
    assert!(wrong <= 10 + began.elapsed().as_secs() as usize, "{wrong} were verified");
    assert_eq!(count(&answers, 429), answers.len() - wrong);
    let rejected = answers.iter().find(|answer| answer.status == 429).unwrap();
    let seconds: u64 = rejected.header("retry-after").unwrap().parse().unwrap();
    assert!((1..10).contains(&seconds) && rejected.text().contains("too many passwords"));
    // An unknown name is not told apart.
    let unknown =
        flood(40, 100, |number| log_in("127.0.0.3", &server, "nobody", &format!("guess-{number}")));
    assert!(count(&unknown, 401) >= 5 && count(&unknown, 429) >= 80);
}

#[test]
fn a_right_password_gets_in_during_a_flood_of_names() {
    let folder = TempDir::new().unwrap();
    let server = start(folder.path());
    let began = Instant::now();
    let answers = std::thread::scope(|scope| {
        let guesses = scope.spawn(|| {
            flood(20, 400, |number| log_in(ATTACKER, &server, &format!("name-{number}"), "guess"))
        });
        for name in ["alice", "bob", "carol"] {
            let began = Instant::now();
            // It was not verified before.
            let answer = log_in(USER, &server, name, &right(name));
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(began.elapsed() < PROMPT, "{name}: {:?}", began.elapsed());
            assert_eq!(get_from(USER, &server, "/api/health", "").status, 200);
        }
        guesses.join().unwrap()
    });
    // Thirty at once, and two each second.
    let most = 40 + 2 * began.elapsed().as_secs() as usize;
    assert!(count(&answers, 401) <= most, "{} were verified", count(&answers, 401));
    assert_eq!(count(&answers, 401) + count(&answers, 429), answers.len());
    // No header of the client makes it another one.
    let pretended = flood(20, 60, |number| {
        let header = basic("name", &format!("guess-{number}"));
        let headers = format!("{header}x-forwarded-for: 10.0.0.{number}\r\n");
        get_from(ATTACKER, &server, "/rest/v1/session", &headers)
    });
    assert!(count(&pretended, 429) > 20);
    // The form says the same.
    let forms = flood(20, 60, |number| {
        let form = format!("name=alice&password=guess-{number}");
        let length = form.len();
        let request = format!(
            "POST /login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{form}"
        );
        send(&mut connect_from(ATTACKER, &server), request.as_bytes())
    });
    let rejected = forms.iter().find(|answer| answer.status == 429).unwrap();
    assert!(rejected.header("retry-after").is_some() && rejected.text().contains("<form"));
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let lines = 2 + began.elapsed().as_secs() as usize / 5;
    assert!(log.lines().count() <= lines && log.contains("wrong passwords"), "{log}");
}

#[test]
fn wrong_tokens_are_as_slow_as_wrong_passwords_and_in_no_log() {
    let folder = TempDir::new().unwrap();
    let token = new_token(&folder.path().join("a.db"), &["prometheus", "--role", "viewer"]);
    let server = start_with_log(folder.path(), "warn,annals=trace");
    let send = |address: &str, token: &str| {
        let header = format!("authorization: Bearer {token}\r\n");
        get_from(address, &server, "/rest/v1/session?limit=1", &header)
    };
    assert_eq!(send(USER, &token).status, 200);
    let guess = |number: usize| format!("annals_{number:040x}");
    let began = Instant::now();
    let answers = std::thread::scope(|scope| {
        let guesses = scope.spawn(|| flood(40, 200, |number| send(ATTACKER, &guess(number))));
        // The right one waits for nothing, whoever sends it, and passwords are tried as before.
        for address in [USER, ATTACKER] {
            let began = Instant::now();
            assert_eq!(send(address, &token).status, 200);
            assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
        }
        assert_eq!(log_in(USER, &server, "alice", &right("alice")).status, 200);
        guesses.join().unwrap()
    });
    // Nine are counted within 1.5 s; then one each three seconds.
    let wrong = count(&answers, 401);
    assert!(wrong <= 10 + began.elapsed().as_secs() as usize, "{wrong} were looked up");
    assert_eq!(count(&answers, 429), answers.len() - wrong);
    let rejected = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert!(rejected.text().contains("too many tokens were tried"), "{}", rejected.text());
    let seconds: u64 = rejected.header("retry-after").unwrap().parse().unwrap();
    assert!((1..10).contains(&seconds));
    // So is one that is sent as a password.
    let in_basic = flood(20, 60, |number| log_in(ATTACKER, &server, "alice", &guess(number)));
    assert!(count(&in_basic, 429) > 20);
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("wrong tokens") && log.contains("answered"), "{log}");
    assert!(!log.contains(&token) && !log.contains("annals_00"), "{log}");
}

#[test]
fn what_a_client_waits_for_ends_when_it_leaves() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    add_user(&db, "root", "admin");
    let server = Server::start(&db, &[]);
    let root = basic("root", &right("root"));
    let in_progress = || metric(&server, &root, "annals_http_requests_in_progress");
    assert_eq!(in_progress(), 1.0);
    // The last of nine guesses waits for 1.5 s. A slow machine may need several tries to see an earlier end, each as
    // another client.
    let ends_early = (1..20).any(|last| {
        let began = Instant::now();
        let guesses: Vec<_> = (0..9)
            .map(|number| {
                let mut stream = connect_from(&format!("127.0.1.{last}"), &server);
                let header = basic(&format!("name-{last}"), &format!("guess-{number}"));
                let request = format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\n{header}\r\n");
                stream.write_all(request.as_bytes()).unwrap();
                stream
            })
            .collect();
        let limit = Duration::from_millis(1400);
        let mut has_begun = false;
        while !has_begun && began.elapsed() < limit {
            has_begun = in_progress() > 1.0;
        }
        drop(guesses);
        wait_until(|| in_progress() == 1.0, || in_progress().to_string());
        has_begun && began.elapsed() < limit
    });
    assert!(ends_early);
}

#[test]
fn long_names_are_neither_kept_nor_logged() {
    let folder = TempDir::new().unwrap();
    let server = start(folder.path());
    let long = |number: usize| format!("{number}{}", "n".repeat(280 << 10));
    // Buffers of connections grow once.
    flood(4, 8, |number| log_in(ATTACKER, &server, &long(number), "guess"));
    let before = server.peak_memory();
    let answers = flood(4, 100, |number| log_in(ATTACKER, &server, &long(number), "guess"));
    assert_eq!(count(&answers, 401), 100);
    let grown = server.peak_memory() - before;
    assert!(grown < 10 << 20, "{grown} bytes");
    let log = std::fs::metadata(folder.path().join("log")).unwrap().len();
    assert!(log < 10_000, "{log} bytes of log");
}
