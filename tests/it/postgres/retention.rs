//! Retention: what several servers of one history remove, and a bound on profiles.

use std::collections::HashSet;

use serde_json::json;
use tempfile::TempDir;

use super::{new_history, on, run, serve};
use crate::retention::{DAY_MS, noise, now_ms, profile_at};
use crate::support::{Server, postgres, stderr, wait_until};

/// Pushes a query a day, the newest a day old.
fn push_daily(server: &Server, days: i64) {
    let row = |day: i64| {
        json!({"query_id": format!("day-{day}"), "time": now_ms() - day * DAY_MS, "query_time": 1,
               "stmt": format!("select c{day} from t"), "user": "alice"})
    };
    let body: String = (1..=days).map(|day| format!("{}\n", row(day))).collect();
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], body.as_bytes());
    assert_eq!(status, 200, "{answer}");
}

fn number(address: &str, sql: &str) -> i64 {
    postgres::rows(address, sql).unwrap()[0][0].as_ref().unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs PostgreSQL"]
fn several_servers_remove_each_old_query_once() {
    let address = new_history();
    push_daily(&serve(&address), 100);
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("annals.toml");
    std::fs::write(&config, "[retention]\nkeep_queries = '50d'\n").unwrap();
    let servers: Vec<Server> = (0..3)
        .map(|_| {
            let mut command = on(&address, &["serve", "--listen", "127.0.0.1:0"]);
            Server::start_by(command.arg("--config").arg(&config))
        })
        .collect();
    let removed_by = |server: &Server| {
        let pruned = server.envelope("/api/v1/status")["data"]["size"]["pruned"].clone();
        pruned["queries"].as_u64().unwrap_or(0)
    };
    let removed = || servers.iter().map(removed_by).collect::<Vec<_>>();
    wait_until(|| removed().iter().sum::<u64>() >= 51, || format!("{:?}", removed()));
    assert_eq!(removed().iter().sum::<u64>(), 51, "{:?}", removed());
    assert_eq!(number(&address, "SELECT count(*) FROM query"), 49);
    assert_eq!(number(&address, "SELECT count(*) FROM statement"), 49);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_oldest_profiles_are_removed_until_they_are_small_enough() {
    let address = new_history();
    let server = serve(&address);
    push_daily(&server, 30);
    for day in 1..=30 {
        let id = format!("day-{day}");
        let start = format!("SELECT started_ms FROM query WHERE query_id = '{id}'");
        let start = number(&address, &start);
        let text = profile_at(&id, start, &format!("select c{day} from t"));
        let path = format!("/api/v1/queries/{id}/profile");
        let text = text + &noise(day as u64, 1_000_000);
        assert_eq!(server.send("PUT", &path, &[], text.as_bytes()).0, 200);
    }
    drop(server);
    let bytes = || number(&address, "SELECT sum(length(body)) FROM profile");
    assert!(bytes() > 20 << 20, "{}", bytes());
    let pruned = run(&address, &["prune", "--profiles-max-size", "17MiB"]);
    assert!(pruned.status.success(), "{}", stderr(&pruned));
    let note =
        "annals: PostgreSQL keeps the space of what was removed, and stores new rows there once";
    assert!(stderr(&pruned).starts_with(note), "{}", stderr(&pruned));
    assert!((16 << 20..=17 << 20).contains(&bytes()), "{}", bytes());
    assert_eq!(number(&address, "SELECT count(*) FROM query"), 30);
    // The newest are kept.
    let kept = postgres::rows(&address, "SELECT query_id FROM profile").unwrap();
    let newest = (1..=kept.len()).map(|day| vec![Some(format!("day-{day}"))]);
    assert_eq!(HashSet::from_iter(kept.clone()), newest.collect::<HashSet<_>>());
    let again = run(&address, &["prune", "--profiles-max-size", "17MiB"]);
    assert_eq!(stderr(&again), "");
}
