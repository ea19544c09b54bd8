//! What is of PostgreSQL alone. These tests start PostgreSQL 14 or later, which must be installed (Debian: the package
//! `postgresql`): `cargo test --test it postgres:: -- --include-ignored`.

mod example;
mod failover;
mod ledger;
mod locks;
mod old_primary;
mod outage;
mod rejected;
mod replica_reads;
mod retention;
mod same_answers;
mod schema;
mod several_servers;
mod tls;

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{Server, annals, postgres};

/// Makes an empty database. Returns its address.
fn new_history() -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let name = format!("history_{}", MADE.fetch_add(1, Ordering::Relaxed));
    let server = postgres::shared();
    server.create_database(&name);
    server.address(&name)
}

/// Starts a server on the history of an address.
fn serve(address: &str) -> Server {
    Server::start_by(&mut on(address, &["serve", "--listen", "127.0.0.1:0"]))
}

/// Returns a command on the history of an address.
fn on(address: &str, arguments: &[&str]) -> Command {
    let mut command = annals();
    command.args(arguments).args(["--db", address]);
    command
}

fn run(address: &str, arguments: &[&str]) -> Output {
    on(address, arguments).output().unwrap()
}
