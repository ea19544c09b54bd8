//! Other sessions hold locks on the history.

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{on, run, serve};
use crate::support::postgres::{Postgres, rows, session};
use crate::support::{Server, audit_records, stderr, stdout, wait_until};

/// How long a read waits for a lock, and what a busy machine adds.
const LONGEST_READ: Duration = Duration::from_secs(9);

/// A transaction of another program, which ends with it.
struct Transaction(Child);

impl Transaction {
    /// Begins a transaction by statements, and keeps it open.
    fn begin(address: &str, program: &str, statements: &str) -> Transaction {
        let mut process = session(&format!("{address}?application_name={program}"));
        let input = process.stdin.as_mut().unwrap();
        writeln!(input, "BEGIN; {statements};").unwrap();
        let state = || {
            let sql = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                     AND application_name = '{program}' AND state = 'idle in transaction' AND wait_event = 'ClientRead'
                     AND query LIKE '%{}%'",
                statements.replace('\'', "''")
            );
            rows(address, &sql).unwrap()[0][0].clone().unwrap()
        };
        wait_until(|| state() == "1", || format!("{statements}: {}", state()));
        Transaction(process)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server with an empty history: an open transaction in any database of a server holds up the search index of all.
fn own_server() -> (Postgres, String) {
    let postgres = Postgres::start();
    postgres.create_database("history");
    let address = postgres.address("history");
    (postgres, address)
}

fn push(server: &Server, user: &str) -> u16 {
    let row = format!(
        r#"{{"query_id": "1-1", "time": 1722942960951, "stmt": "select 1", "user": "{user}"}}"#
    );
    server.send("POST", "/api/v1/queries", &[], row.as_bytes()).0
}

#[test]
#[ignore = "needs PostgreSQL"]
fn an_annals_that_is_gone_in_the_middle_of_a_transaction_holds_nobody_up() {
    let (_postgres, address) = own_server();
    let server = serve(&address);
    assert_eq!(push(&server, "alice"), 200);
    // What is left of an annals whose machine was lost: a session that nobody ends, with locks.
    let write = "UPDATE query SET db = 'shop' WHERE query_id = '1-1'";
    let gone = Transaction::begin(&address, "annals", write);
    // Other programs, and a read of annals that goes on slowly, keep their sessions.
    let other = Transaction::begin(&address, "psql", "CREATE TABLE of_another (number integer)");
    let reads = Transaction::begin(&address, "annals", "SELECT count(*) FROM query");
    wait_until(|| push(&server, "bob") == 200, || "the push is not stored".to_string());
    let sessions = "SELECT application_name, left(query, 30) FROM pg_stat_activity
                    WHERE datname = current_database() AND state = 'idle in transaction' ORDER BY 1";
    let left: Vec<_> =
        rows(&address, sessions).unwrap().into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(left, [Some("annals".to_string()), Some("psql".to_string())]);
    drop((gone, other, reads));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn while_a_table_is_locked_reads_say_so_and_an_import_waits() {
    let folder = TempDir::new().unwrap();
    let (log, printed) = (folder.path().join("log"), folder.path().join("printed"));
    std::fs::write(&log, audit_records(0..3)).unwrap();
    let (_postgres, address) = own_server();
    let server = serve(&address);
    assert_eq!(push(&server, "alice"), 200);
    let lock = Transaction::begin(&address, "psql", "LOCK TABLE query IN ACCESS EXCLUSIVE MODE");
    let mut import = on(&address, &["import", log.to_str().unwrap()]);
    import.stdout(Stdio::piped()).stderr(std::fs::File::create(&printed).unwrap());
    let import = import.spawn().unwrap();
    for path in
        ["/api/v1/queries", "/api/v1/queries/1-1", "/query_profile/1-1", "/metrics", "/status"]
    {
        let began = Instant::now();
        let (status, _, body) = server.get(path);
        let text = String::from_utf8(body).unwrap();
        assert!(began.elapsed() < LONGEST_READ, "{path}: {:?}", began.elapsed());
        assert!(status == 503 && text.contains("lock timeout"), "{path}: {status} {text}");
    }
    let listed = run(&address, &["list"]);
    assert!(stderr(&listed).contains("lock timeout"), "{}", stderr(&listed));
    let printed = || std::fs::read_to_string(&printed).unwrap();
    wait_until(|| printed().contains("the import waits for it"), printed);
    assert!(printed().contains("another session may hold a lock"), "{}", printed());
    drop(lock);
    let imported = import.wait_with_output().unwrap();
    assert!(imported.status.success(), "{}", printed());
    assert!(stdout(&run(&address, &["stats"])).contains("\nqueries\t4\n"));
    assert_eq!(server.get("/metrics").0, 200);
}
