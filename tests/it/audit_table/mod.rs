//! `--audit-table`: annals collects from the audit table of a cluster. A real MariaDB (Debian: `mariadb-server`) stands for the
//! frontends, and holds the table as each version defines it.

mod forms;
mod late;
mod load;
mod merge;
mod outages;
mod tables;

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::mariadb::MariaDb;
use crate::support::{Server, WithDb, annals, wait_until};
use crate::support::{number, rows};

const QUERIES: &str = "SELECT count(*) FROM query";

/// A cluster with an audit table, and a history.
struct Scene {
    cluster: MariaDb,
    folder: TempDir,
}

impl Scene {
    /// Starts a cluster with a table.
    fn new(table: &str) -> Scene {
        let cluster = MariaDb::start();
        cluster.run(table);
        Scene { cluster, folder: TempDir::new().unwrap() }
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("a.db")
    }

    /// Imports the table by the command line.
    fn import(&self, arguments: &[&str]) -> Output {
        let url = self.cluster.url("root");
        annals()
            .args(["import", "--audit-table", &url])
            .db(self.db())
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Serves with the table under the name `t`, a look each second and these lines of configuration.
    fn serve(&self, lines: &str) -> Server {
        self.serve_url(&self.cluster.url("root"), lines)
    }

    fn serve_url(&self, url: &str, lines: &str) -> Server {
        let file = self.folder.path().join("annals.toml");
        let table =
            format!("[[audit_table]]\nurl = '{url}'\nname = 't'\ninterval_seconds = 1\n{lines}\n");
        std::fs::write(&file, table).unwrap();
        Server::start(&self.db(), &["--config", file.to_str().unwrap()])
    }

    fn wait_for(&self, sql: &str, count: i64) {
        let seen = || number(&self.db(), sql);
        wait_until(|| seen() == count, || format!("{sql}: {}, not {count}", seen()));
    }

    /// Waits until the history has as many queries, each of which is reported as new once.
    fn wait_for_queries(&self, count: i64) {
        self.wait_for(QUERIES, count);
    }
}

fn source(server: &Server) -> Value {
    server.envelope("/api/v1/status")["data"]["sources"]["audit table t"].clone()
}

/// Waits until the older rows are read. They may take long, but each minute some must be read.
fn wait_for_backfill(server: &Server) {
    let is_complete = || source(server)["audit_table"]["is_backfilled"] == true;
    let rows = || source(server)["audit_table"]["backfill_rows_read"].as_u64();
    let mut read = rows();
    while !is_complete() {
        wait_until(|| is_complete() || rows() > read, || source(server).to_string());
        read = rows();
    }
}

/// Returns the one row of a query, with empty texts for NULL.
fn values(scene: &Scene, sql: &str) -> Vec<String> {
    let mut rows = rows(&scene.db(), sql);
    assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
    rows.swap_remove(0).into_iter().map(Option::unwrap_or_default).collect()
}
