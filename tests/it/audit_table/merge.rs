//! One query through several sources.

use super::tables::DORIS_2_1;
use super::{Scene, source};
use crate::support::fake_frontend::{Frontend, PASSWORD, list, ok, row};
use crate::support::{self, Server, audit_record, wait_until};
use crate::support::{number, rows};

/// Starts a frontend that lists a query, and has its profile with the whole statement.
fn frontend(id: &str, statement: &str) -> Frontend {
    let frontend = Frontend::start();
    let mut listed = row(id, "EOF");
    listed["Sql Statement"] = statement.into();
    frontend.answers("/rest/v1/query_profile", list(&[listed]));
    let profile = support::profile(
        id,
        &[
            ("Start Time", "2024-08-06 11:16:00"),
            ("End Time", "2024-08-06 11:16:01"),
            ("Total", "1sec52ms"),
            ("User", "alice"),
            ("Default Db", "shop"),
            ("Sql Statement", statement),
        ],
    );
    let path = format!("/rest/v2/manager/query/profile/text/{id}");
    frontend.answers(&path, ok(serde_json::json!({ "profile": profile })));
    frontend
}

#[test]
#[ignore = "needs MariaDB"]
fn a_query_in_the_table_in_the_log_and_at_the_frontend_is_one_with_the_best_of_each() {
    let id = "b63d30b908f04dad-ab4a3c121d2c776b";
    let scene = Scene::new(DORIS_2_1);
    // The table cuts the statement, and knows the digest.
    scene.cluster.run(&format!(
        "INSERT INTO __internal_schema.audit_log (query_id, time, client_ip, user, db, state, query_time, stmt_id,
             frontend_ip, sql_digest, workload_group, stmt)
         VALUES ('{id}', '2024-08-06 19:16:00.248', '10.0.0.1:5000', 'alice', 'shop', 'EOF', 1052, 51, '10.16.10.6',
             'digest', 'normal', 'select ''whole ... /* truncated. audit_plugin_max_sql_length=13 */')"
    ));
    let statement = "select 'whole statement'";
    let log = scene.folder.path().join("fe.audit.log");
    let record = audit_record(
        "2024-08-06 11:16:08,000",
        &[
            ("QueryId", id),
            ("User", "alice"),
            ("Db", "shop"),
            ("Time(ms)", "1052"),
            ("StmtId", "51"),
            ("ScanRows", "77"),
            ("Stmt", "select 'whole ... /* truncated. audit_plugin_max_sql_length=13 */"),
        ],
    );
    std::fs::write(&log, record).unwrap();
    let frontend = frontend(id, statement);
    let config = scene.folder.path().join("annals.toml");
    let password = scene.folder.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let text = format!(
        "follow = ['{}']\n[[audit_table]]\nurl = '{}'\nname = 't'\ninterval_seconds = 1\ntime_zone = 'Asia/Shanghai'\n\
         [[frontend]]\nurl = 'http://root@{}'\npassword_file = '{}'\npoll_interval_seconds = 1\n",
        log.display(),
        scene.cluster.url("root"),
        frontend.address,
        password.display()
    );
    std::fs::write(&config, text).unwrap();
    let arguments = ["--time-zone", "UTC", "--config", config.to_str().unwrap()];
    let server = Server::start(&scene.db(), &arguments);
    let columns = format!(
        "SELECT started_ms, scan_rows, sql_digest, workload_group, statement FROM query WHERE query_id = '{id}'"
    );
    let best =
        ["1722942960248", "77", "digest", "normal", statement].map(|text| Some(text.to_string()));
    let seen = || rows(&scene.db(), &columns);
    wait_until(|| seen() == [best.to_vec()], || format!("{:?}; {}", seen(), source(&server)));
    assert_eq!(number(&scene.db(), "SELECT count(*) FROM profile"), 1);
    assert_eq!(number(&scene.db(), super::QUERIES), 1);
}
