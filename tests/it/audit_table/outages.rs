//! Frontends that are away, hang, talk nonsense or reject annals.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use super::tables::{DORIS_2_1, DORIS_3_0};
use super::{Scene, source, wait_for_backfill};
use crate::support::{WithDb, annals, stderr, stdout, wait_until};

/// The password of the user `reader`.
const PASSWORD: &str = "pass-word-of-reader";

fn insert(scene: &Scene, id: &str) {
    scene.cluster.run(&format!(
        "INSERT INTO __internal_schema.audit_log (query_id, time, stmt) VALUES ('{id}', NOW(3), 'select 1')"
    ));
}

fn last_error(server: &crate::support::Server) -> String {
    source(server)["last_error"].as_str().unwrap_or_default().to_string()
}

#[test]
#[ignore = "needs MariaDB"]
fn a_frontend_that_stops_and_starts_again_costs_no_row() {
    let mut scene = Scene::new(DORIS_3_0);
    insert(&scene, "1-1");
    let server = scene.serve("");
    scene.wait_for_queries(1);
    for round in 2..4 {
        scene.cluster.stop();
        wait_until(
            || {
                source(&server)["last_error_ms"].as_i64()
                    > source(&server)["last_success_ms"].as_i64()
            },
            || source(&server).to_string(),
        );
        let error = last_error(&server);
        assert!(error.contains(&format!("127.0.0.1:{}", scene.cluster.port)), "{error}");
        scene.cluster.start_again();
        insert(&scene, &format!("1-{round}"));
        scene.wait_for_queries(round);
    }
}

#[test]
#[ignore = "needs MariaDB and time (ten seconds)"]
fn a_frontend_that_hangs_is_reported_and_read_once_it_answers() {
    let scene = Scene::new(DORIS_3_0);
    insert(&scene, "1-1");
    scene.cluster.hang(true);
    let server = scene.serve("");
    wait_until(
        || last_error(&server).contains("gives no answer within 10 s"),
        || source(&server).to_string(),
    );
    scene.cluster.hang(false);
    scene.wait_for_queries(1);
}

#[test]
#[ignore = "needs MariaDB"]
fn another_frontend_of_the_address_is_asked() {
    let scene = Scene::new(DORIS_3_0);
    insert(&scene, "1-1");
    // At the first, nobody listens; the second speaks another protocol.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nonsense = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nonsense.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in nonsense.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.write_all(b"\x05\0\0\0HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = connection.read(&mut [0; 100]);
        }
    });
    let url = format!("mysql://root@{free},{address},127.0.0.1:{}", scene.cluster.port);
    let server = scene.serve_url(&url, "");
    scene.wait_for_queries(1);
    insert(&scene, "1-2");
    scene.wait_for_queries(2);
    let state = source(&server);
    let expected = format!("127.0.0.1:{}", scene.cluster.port);
    assert_eq!(state["audit_table"]["server"], expected.as_str(), "{state}");
}

#[test]
#[ignore = "needs MariaDB"]
fn without_the_right_annals_says_which_one_it_needs_and_reads_once_it_has_it() {
    let scene = Scene::new(DORIS_2_1);
    insert(&scene, "1-1");
    scene.cluster.run(&format!("CREATE USER reader IDENTIFIED BY '{PASSWORD}'"));
    let file = scene.folder.path().join("password");
    std::fs::write(&file, "wrong-pass-word\n").unwrap();
    let lines = format!("password_file = '{}'", file.display());
    let server = scene.serve_url(&scene.cluster.url("reader"), &lines);
    wait_until(|| last_error(&server).contains("rejects the user reader"), || last_error(&server));
    drop(server);
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let server = scene.serve_url(&scene.cluster.url("reader"), &lines);
    let grant = "GRANT SELECT_PRIV ON __internal_schema.audit_log TO 'reader'";
    wait_until(|| last_error(&server).contains(grant), || last_error(&server));
    let grant = "GRANT SELECT ON TABLE starrocks_audit_db__.starrocks_audit_tbl__ TO USER 'reader'";
    assert!(last_error(&server).contains(grant), "{}", last_error(&server));
    scene.cluster.run("GRANT SELECT ON __internal_schema.audit_log TO reader");
    scene.wait_for_queries(1);
    wait_for_backfill(&server);
    assert!(!source(&server).to_string().contains("pass-word"));
}

#[test]
#[ignore = "needs MariaDB"]
fn a_table_without_rows_is_said_to_be_perhaps_switched_off() {
    let scene = Scene::new(DORIS_2_1);
    let printed = stdout(&scene.import(&[]));
    assert!(printed.contains("SET GLOBAL enable_audit_plugin = true"), "{printed}");
    let server = scene.serve("");
    wait_for_backfill(&server);
    let page = || String::from_utf8(server.get("/status").2).unwrap();
    assert!(page().contains("The table has no rows"), "{}", page());
    insert(&scene, "1-1");
    scene.wait_for_queries(1);
    assert!(!page().contains("The table has no rows"), "{}", page());
}

#[test]
#[ignore = "needs MariaDB"]
fn an_import_says_what_is_missing_and_never_prints_a_password() {
    let scene = Scene::new("SELECT 1");
    let run = |url: &str| {
        let mut command = annals();
        command.args(["import", "--audit-table", url]).db(scene.db());
        command.env("ANNALS_AUDIT_TABLE_PASSWORD", PASSWORD).env("ANNALS_LOG", "trace");
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        assert!(!output.status.success());
        let text = stderr(&output);
        assert!(!text.contains("pass-word"), "{text}");
        text
    };
    let rejected = run(&scene.cluster.url("root"));
    assert!(rejected.contains("rejects the user root or the password"), "{rejected}");
    let in_url = run("mysql://root:pass-word@127.0.0.1:9030");
    assert!(in_url.contains("must not hold its password"), "{in_url}");
    let two = run("mysql://root@127.0.0.1:1,127.0.0.1:2");
    assert!(two.contains("the frontend 127.0.0.1:1 does not answer"), "{two}");
    assert!(two.contains("the frontend 127.0.0.1:2 does not answer"), "{two}");
    let no_file = run("mysql://root@127.0.0.1:9030?ssl-mode=VERIFY_CA&ssl-ca=/none/ca.pem");
    assert!(no_file.contains("/none/ca.pem, which ssl-ca names, cannot be read"), "{no_file}");
    scene.cluster.run(&format!("SET PASSWORD = PASSWORD('{PASSWORD}')"));
    let missing = run(&scene.cluster.url("root"));
    assert!(missing.contains("has no audit table"), "{missing}");
    assert!(missing.contains("enable_audit_plugin"), "{missing}");
}
