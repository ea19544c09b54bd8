//! Several servers write one history at once. Any of them may die at any moment.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use super::ledger::Ledger;
use super::{new_history, on, run, serve};
use crate::retention::now_ms;
use crate::support::fake_frontend::{Frontend, PASSWORD, list, row};
use crate::support::{Server, audit_records, data, postgres, stderr, stdout, wait_until};

const CLIENTS: u64 = 6;

#[test]
#[ignore = "needs PostgreSQL"]
fn each_query_is_stored_once_and_every_server_knows_it_at_once() {
    let address = new_history();
    let servers: Vec<Server> = (0..3).map(|_| serve(&address)).collect();
    let urls: Vec<&str> = servers.iter().map(|server| server.url.as_str()).collect();
    let ledger = Ledger::new(&urls);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let ledger = &ledger;
            scope.spawn(move || ledger.run_client(client, 30));
        }
    });
    assert_eq!(ledger.pushes(), 30 * CLIENTS);
    let stored = ledger.check(&address);
    assert_eq!(ledger.new_queries(), stored);
    for server in &servers {
        let timeline =
            server.envelope("/api/v1/timeline?buckets=1&from=1000000000000&to=1900000000000");
        assert_eq!(timeline["data"][0]["count"], stored, "{timeline}");
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn an_import_makes_the_search_index_beside_a_server_that_writes_nothing() {
    // A server of its own: a transaction in any database holds the index up.
    let postgres = postgres::Postgres::start();
    postgres.create_database("history");
    let address = postgres.address("history");
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..60_000)).unwrap();
    let server = serve(&address);
    let row = r#"{"query_id": "1-1", "time": 1722942960951, "stmt": "select 1"}"#;
    assert_eq!(server.send("POST", "/api/v1/queries", &[], row.as_bytes()).0, 200);
    assert!(run(&address, &["import", log.to_str().unwrap()]).status.success());
    // The import waits for it, and nobody writes after that.
    let segments = postgres::rows(&address, "SELECT count(*) FROM search_segment").unwrap();
    assert_eq!(segments, [[Some("2".to_string())]]);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_new_history_may_be_opened_by_several_at_once() {
    let address = new_history();
    let folder = TempDir::new().unwrap();
    let imports: Vec<_> = (0..4)
        .map(|number| {
            let log = folder.path().join(format!("log-{number}"));
            // Each log has half of the next one's records.
            std::fs::write(&log, audit_records(number * 3000..number * 3000 + 6000)).unwrap();
            let mut import = on(&address, &["import"]);
            import.arg(log).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for import in imports {
        let output = import.wait_with_output().unwrap();
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    }
    let stored = postgres::rows(&address, "SELECT count(*) FROM query").unwrap();
    assert_eq!(stored, [[Some("15000".to_string())]]);
    // One import alone meets stored queries among new ones, also in its first batch.
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(14_000..20_000)).unwrap();
    let imported = stdout(&run(&address, &["import", log.to_str().unwrap()]));
    assert!(imported.contains("5000 new, 0 merged, 1000 unchanged"), "{imported}");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn each_plan_is_read_once_by_several_at_once() {
    let address = new_history();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("profiles.txt");
    const RUNS: i64 = 1000;
    let profiles: Vec<_> =
        (0..RUNS).map(|it| crate::plans::run(it, "carol", it % 3 == 0, 100)).collect();
    std::fs::write(&file, profiles.join("\n")).unwrap();
    let imported = run(&address, &["import", file.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    let number = |sql: &str| -> i64 {
        let rows = postgres::rows(&address, sql).unwrap();
        rows[0][0].as_deref().unwrap().parse().unwrap()
    };
    assert_eq!(number("SELECT count(*) FROM unread_plan"), RUNS);
    let _servers = [serve(&address), serve(&address)];
    // The commands take no lease.
    let commands: Vec<_> = (0..2)
        .map(|_| {
            let mut command = on(&address, &["plans"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for command in commands {
        let output = command.wait_with_output().unwrap();
        let expected = format!("annals: {RUNS} runs have a profile with a plan; ");
        assert!(stderr(&output).starts_with(&expected), "{}", stderr(&output));
    }
    assert_eq!(number("SELECT count(*) FROM unread_plan"), 0);
    assert_eq!(number("SELECT count(*) FROM plan"), RUNS);
    assert_eq!(number("SELECT last_value FROM plan_id_seq"), RUNS, "a plan was stored twice");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_others_go_on_while_one_server_is_killed() {
    let address = new_history();
    let mut servers: Vec<Server> = (0..3).map(|_| serve(&address)).collect();
    let urls: Vec<&str> = servers.iter().map(|server| server.url.as_str()).collect();
    let ledger = Ledger::new(&urls);
    std::thread::scope(|scope| {
        let _stop = ledger.stop_when_dropped();
        for client in 0..CLIENTS {
            let ledger = &ledger;
            scope.spawn(move || ledger.run_client(client, u64::MAX));
        }
        let more_pushes = || {
            let before = ledger.pushes();
            wait_until(|| ledger.pushes() > before + 2 * CLIENTS, || before.to_string());
        };
        for round in 0..9 {
            more_pushes();
            servers[round % 3].process.kill().unwrap();
            more_pushes();
            servers[round % 3] = serve(&address);
            ledger.urls.lock().unwrap()[round % 3] = servers[round % 3].url.clone();
        }
    });
    ledger.check(&address);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn an_import_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    let (address, folder) = (new_history(), TempDir::new().unwrap());
    let log = folder.path().join("log");
    std::fs::write(&log, audit_records(0..20_000)).unwrap();
    let import = || {
        let mut import = on(&address, &["import"]);
        import.args([&log, &data("")]).stdout(Stdio::piped()).stderr(Stdio::piped());
        import
    };
    // A process that is not killed at some moment has ended, and another one begins.
    for _ in 0..10 {
        let mut process = import().spawn().unwrap();
        std::thread::sleep(Duration::from_millis(fastrand::u64(..2000)));
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let imported = import().output().unwrap();
    assert!(imported.status.success(), "{}{}", stdout(&imported), stderr(&imported));
    let alone = new_history();
    assert!(
        run(&alone, &["import", log.to_str().unwrap(), data("").to_str().unwrap()])
            .status
            .success()
    );
    for sql in [
        "SELECT count(*), count(DISTINCT query_id), count(DISTINCT statement) FROM query",
        "SELECT count(*) FROM profile",
        "SELECT count(*) FROM login",
    ] {
        assert_eq!(postgres::rows(&address, sql), postgres::rows(&alone, sql), "{sql}");
    }
    let exported = |address: &str| stdout(&run(address, &["export"]));
    assert!(exported(&address) == exported(&alone), "the records differ");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn another_server_polls_a_frontend_once_the_lease_of_a_killed_one_is_over() {
    let (address, folder, frontend) = (new_history(), TempDir::new().unwrap(), Frontend::start());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let config = format!(
        "[[frontend]]\nurl = 'http://root@{}'\npassword_file = '{}'\npoll_interval_seconds = 1\n",
        frontend.address,
        file("password", PASSWORD)
    );
    let config = file("annals.toml", &config);
    let serve = || {
        Server::start_by(&mut on(
            &address,
            &["serve", "--listen", "127.0.0.1:0", "--config", &config],
        ))
    };
    const LIST: &str = "/rest/v1/query_profile";
    let polls = || frontend.requests(LIST);
    let name = format!("frontend http://{}/", frontend.address);
    let waits = |server: &Server| {
        let source = &server.envelope("/api/v1/status")["data"]["sources"][&name];
        source["waits_for"] == "other_annals"
    };
    let stored = |id: &str| {
        let sql = format!("SELECT 1 FROM query WHERE query_id = '{id}'");
        postgres::rows(&address, &sql).unwrap().len() == 1
    };
    frontend.answers(LIST, list(&[row("a-1", "EOF")]));
    let mut first = serve();
    wait_until(|| stored("a-1"), || "the first server does not poll".to_string());
    let second = serve();
    wait_until(|| waits(&second), || "the second server does not wait".to_string());
    let before = polls();
    wait_until(|| polls() > before + 3, || polls().to_string());
    assert!(waits(&second) && !waits(&first));
    first.process.kill().unwrap();
    first.process.wait().unwrap();
    frontend.answers(LIST, list(&[row("a-2", "EOF")]));
    // The lease is half a minute, of which the test waits for some seconds.
    let until_ms = now_ms() + 4000;
    let sooner = format!("UPDATE lease SET until_ms = {until_ms} WHERE name = '{name}'");
    postgres::rows(&address, &sooner).unwrap();
    let before = polls();
    wait_until(|| polls() > before, || "nobody polls".to_string());
    assert!(now_ms() >= until_ms, "the lease was not over");
    wait_until(|| stored("a-2"), || "the second server stores nothing".to_string());
    assert!(!waits(&second));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_read_of_a_command_that_is_killed_ends_on_the_server() {
    let address = new_history();
    drop(serve(&address));
    let mut lock = postgres::session(&address);
    lock.stdin.as_mut().unwrap().write_all(b"BEGIN; LOCK TABLE query;\n").unwrap();
    let waiting = |condition: &str| {
        let count = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'annals' AND {condition}
             AND datname = current_database()"
        );
        postgres::rows(&address, &count).unwrap() != [[Some("0".to_string())]]
    };
    let is_locked =
        || postgres::rows(&address, "BEGIN; LOCK TABLE query IN ACCESS SHARE MODE NOWAIT").is_err();
    wait_until(is_locked, || "the table is not locked".to_string());
    let mut top = on(&address, &["top", "--from", "2020-01-01"]).spawn().unwrap();
    wait_until(|| waiting("wait_event_type = 'Lock'"), || "top does not read".to_string());
    top.kill().unwrap();
    top.wait().unwrap();
    wait_until(|| !waiting("true"), || "the read goes on".to_string());
    drop(lock.stdin.take());
    lock.wait().unwrap();
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_token_begins_and_ends_on_every_server() {
    let address = new_history();
    let token = |arguments: &[&str]| {
        let output = run(&address, &[&["token"], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    // A history without any would be open to everybody.
    token(&["add", "another", "--role", "viewer", "--expires", "1s"]);
    let servers: Vec<Server> = (0..3).map(|_| serve(&address)).collect();
    let header = format!("Bearer {}", token(&["add", "loader", "--role", "writer"]).trim());
    let headers = [("authorization", header.as_str())];
    let statuses = || {
        let status = |server: &Server| server.send("GET", "/rest/v1/session", &headers, b"").0;
        servers.iter().map(status).collect::<Vec<_>>()
    };
    wait_until(|| statuses() == [200; 3], || format!("{:?}", statuses()));
    let row = br#"{"query_id": "1-1", "time": "2024-08-08 00:00:00", "stmt": "select 1"}"#;
    for server in &servers {
        assert_eq!(server.send("POST", "/api/v1/queries", &headers, row).0, 200);
    }
    // Each server notes uses of its own; the list has the last.
    let is_used = || token(&["list", "--json"]).contains(r#""used_ms":1"#);
    wait_until(is_used, || token(&["list", "--json"]));
    token(&["remove", "loader"]);
    wait_until(|| statuses() == [401; 3], || format!("{:?}", statuses()));
}
