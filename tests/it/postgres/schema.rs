//! Databases that annals does not open, because they are not for it. Each stays as it was.

use super::rejected::assert_rejected;
use super::{new_history, run};
use crate::support::postgres::{self, ROLE, rows};
use crate::support::stderr;

/// Returns the names of all tables, views and functions of a database, by name.
fn contents(address: &str) -> String {
    let contents = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1";
    format!("{:?}", rows(address, contents).unwrap())
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_database_of_another_encoding_is_rejected() {
    let server = postgres::shared();
    server.execute(&format!(
        "CREATE DATABASE latin OWNER {ROLE} ENCODING LATIN1 LOCALE 'C' TEMPLATE template0"
    ));
    let address = server.address("latin");
    assert_rejected(&address, "s3cret", "createdb --encoding UTF8");
    assert_rejected(&address, "s3cret", "LATIN1");
    assert_eq!(contents(&address), "[]");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn an_unknown_parameter_of_an_address_is_rejected_by_its_name() {
    let address = new_history();
    // An extension may have views.
    let before = contents(&address);
    for (parameters, name) in [("sslmod=verify-full", "sslmod"), ("foo=bar", "foo")] {
        assert_rejected(&format!("{address}?{parameters}"), "bar", &format!(" {name};"));
    }
    assert_eq!(contents(&address), before);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn tables_of_another_program_are_left_alone() {
    let of_sqlx =
        "CREATE TABLE _sqlx_migrations (version bigint, description text, installed_on timestamptz,
        success boolean, checksum bytea, execution_time bigint);
        INSERT INTO _sqlx_migrations VALUES (20240101, 'users', now(), true, '', 1)";
    for others in [
        "CREATE TABLE query (a int)",
        "CREATE VIEW query_history AS SELECT 1 AS a",
        // Of the last migration.
        "CREATE TABLE search_page (a int)",
        of_sqlx,
        "CREATE TABLE _sqlx_migrations (a int)",
    ] {
        let address = new_history();
        rows(&address, others).unwrap();
        let before = contents(&address);
        for command in [vec!["user", "list"], vec!["serve", "--listen", "127.0.0.1:0"]] {
            let output = run(&address, &command);
            let said = stderr(&output);
            assert_eq!(
                (output.status.code(), said.lines().count()),
                (Some(2), 1),
                "{others}: {said}"
            );
            assert!(said.contains("tables of another program"), "{others}: {said}");
            assert!(!said.contains("newer") && !said.contains("at line"), "{others}: {said}");
        }
        assert_eq!(contents(&address), before, "{others}");
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn several_annals_may_make_the_tables_of_one_database_at_once() {
    let address = new_history();
    std::thread::scope(|scope| {
        let opened: Vec<_> =
            (0..6).map(|_| scope.spawn(|| run(&address, &["user", "list"]))).collect();
        for opened in opened {
            let output = opened.join().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
        }
    });
}
