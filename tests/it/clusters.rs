//! One history of several clusters: who names the cluster of a query, where it shows, and who may see it.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::fake_frontend::{Frontend, PASSWORD, list, row};
use crate::support::{
    self, Server, WithDb, annals, audit_records, data, db_argument, import, rows, stderr, stdout,
    texts, wait_until,
};
use crate::users::{CAROLS, PATHS, ask, basic, password, user};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Returns the clusters of the queries, each with their number.
fn counts(db: &Path) -> Vec<String> {
    let sql = "SELECT coalesce(cluster, 'none') || ' ' || count(*) FROM query GROUP BY cluster ORDER BY 1";
    texts(db, sql)
}

fn run(db: &Path, arguments: &[&str]) -> Output {
    let output = annals().args(arguments).db(db).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    output
}

/// Writes a log with records of these numbers.
fn log(folder: &Path, name: &str, numbers: std::ops::Range<u64>) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, audit_records(numbers)).unwrap();
    file
}

/// Returns a history in which each of two clusters has queries, and its folder.
fn history() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    for (cluster, numbers) in [("prod", 0..5), ("test", 5..8)] {
        let file = log(folder.path(), &format!("{cluster}.log"), numbers);
        run(&db, &["import", "--cluster", cluster, file.to_str().unwrap()]);
    }
    (folder, db)
}

#[test]
fn each_source_names_its_cluster_and_others_have_that_of_the_server() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let frontend = Frontend::start();
    frontend.answers("/rest/v1/query_profile", list(&[row("1-f", "EOF")]));
    let named = log(folder.path(), "named.log", 0..3);
    let plain = log(folder.path(), "plain.log", 3..5);
    let configuration = format!(
        "follow = [{{ path = '{}', cluster = 'prod' }}, '{}']\n\
         [[frontend]]\nurl = 'http://root@{}'\npassword_file = '{}'\npoll_interval_seconds = 1\ncluster = '东'\n\
         [[exclude]]\ncluster = 'dev*'\n",
        named.display(),
        plain.display(),
        frontend.address,
        path("password").display()
    );
    std::fs::write(path("password"), PASSWORD).unwrap();
    std::fs::write(path("annals.toml"), configuration).unwrap();
    let db = path("a.db");
    let file = path("annals.toml");
    let server = Server::start(&db, &["--config", file.to_str().unwrap(), "--cluster", "rest"]);
    let first = json!({"query_id": "1-1", "time": "2024-08-08 00:00:00", "stmt": "select 1"});
    let mut second = first.clone();
    (second["query_id"], second["cluster"]) = (json!("1-2"), json!("own"));
    let push = |headers: &[(&str, &str)], row: &Value| {
        server.send("POST", "/api/v1/queries", headers, row.to_string().as_bytes())
    };
    assert_eq!(push(&[], &first).1["data"]["new"], 1);
    // What a row says is known better.
    assert_eq!(push(&[("x-annals-cluster", "other")], &second).1["data"]["new"], 1);
    second["query_id"] = json!("1-3");
    second.as_object_mut().unwrap().remove("cluster");
    assert_eq!(push(&[("x-annals-cluster", "other")], &second).1["data"]["new"], 1);
    assert_eq!(push(&[("x-annals-cluster", "dev 2")], &second).1["data"]["excluded"], 1);
    let profile = support::profile("1-4", &[("Start Time", "2024-08-08 00:00:00")]);
    let headers = [("x-annals-cluster", "other")];
    // What is no name is kept beside the columns.
    second["query_id"] = json!("1-5");
    second["cluster"] = json!("a,b");
    assert_eq!(push(&headers, &second).1["data"]["new"], 1);
    let put = server.send("PUT", "/api/v1/queries/1-4/profile", &headers, profile.as_bytes());
    assert_eq!(put.1["data"]["profile"], "new");
    let expected = ["other 3", "own 1", "prod 3", "rest 3", "东 1"];
    wait_until(|| counts(&db) == expected, || format!("{:?}", counts(&db)));
    let sources = server.envelope("/api/v1/status")["data"]["sources"].clone();
    let cluster = |name: String| sources[name]["cluster"].clone();
    assert_eq!(cluster(format!("follow {}", named.display())), "prod");
    assert_eq!(cluster(format!("follow {}", plain.display())), "rest");
    let metrics = String::from_utf8(server.get("/metrics").2).unwrap();
    for (source, labels) in [
        (&named, "cluster=\"prod\",outcome=\"new\"} 3"),
        (&plain, "cluster=\"rest\",outcome=\"new\"} 2"),
    ] {
        let expected =
            format!("annals_records_total{{source=\"follow {}\",{labels}", source.display());
        assert!(metrics.contains(&expected), "{expected}: {metrics}");
    }
    assert_eq!(cluster(format!("frontend http://{}/", frontend.address)), "东");
    for name in ["a,b", " ", "\u{1}"].map(|name| name.trim_start_matches('\u{1}')) {
        let (status, answer, _) = push(&[("x-annals-cluster", name)], &first);
        assert_eq!(status, 400, "{name:?}");
        assert!(answer["data"].as_str().unwrap().contains("X-Annals-Cluster"), "{answer}");
    }
    let rejected = annals().args(["serve", "--cluster", "a,b"]).db(&db).output().unwrap();
    assert!(stderr(&rejected).contains("neither a comma"), "{}", stderr(&rejected));
}

#[test]
fn a_name_is_better_than_none_and_the_first_name_stays() {
    let folder = TempDir::new().unwrap();
    let (db, file) = (folder.path().join("a.db"), log(folder.path(), "fe.audit.log", 0..3));
    import(&db, &[&file]);
    assert_eq!(counts(&db), ["none 3"]);
    let file = file.to_str().unwrap();
    let again = stdout(&run(&db, &["import", "--cluster", "prod", file]));
    assert!(again.contains("records:  0 new, 3 merged, 0 unchanged"), "{again}");
    let other = stdout(&run(&db, &["import", "--cluster", "test", file]));
    assert!(other.contains("records:  0 new, 0 merged, 3 unchanged"), "{other}");
    assert!(other.contains("stored under another cluster, which they keep: 3"), "{other}");
    let none = stdout(&run(&db, &["import", file]));
    assert!(none.contains("3 unchanged") && !none.contains("another cluster"), "{none}");
    assert_eq!(counts(&db), ["prod 3"]);
}

#[test]
fn the_jobs_of_two_clusters_are_told_apart_though_their_numbers_are_the_same() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let sample = std::fs::read_to_string(data("fe.audit.log")).unwrap();
    let sample = sample.lines().find(|line| line.contains("|JobId=10238|")).unwrap();
    let job = |table: &str| {
        format!("{}\n", sample.replace("TableList=orders", &format!("TableList={table}")))
    };
    for (cluster, table) in [("prod", "orders"), ("test", "clicks"), ("prod", "orders")] {
        let file = folder.path().join("fe.audit.log");
        std::fs::write(&file, job(table)).unwrap();
        run(&db, &["import", "--cluster", cluster, file.to_str().unwrap()]);
    }
    let loads = rows(&db, "SELECT cluster, table_list FROM load_history ORDER BY cluster");
    let loads: Vec<Vec<&str>> =
        loads.iter().map(|row| row.iter().flatten().map(|it| &**it).collect()).collect();
    assert_eq!(loads, [["prod", "orders"], ["test", "clicks"]]);
}

#[test]
fn a_label_is_of_one_cluster() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &[]);
    let load = |cluster: Option<&str>| {
        let mut headers = vec![("label", "l1"), ("format", "json"), ("read_json_by_line", "true")];
        headers.extend(cluster.map(|cluster| ("x-annals-cluster", cluster)));
        let id = cluster.unwrap_or("none");
        let row =
            json!({"query_id": format!("{id}-1"), "time": "2024-08-08 00:00:00", "stmt": "s"});
        let path = "/api/audit/log/_stream_load?redirected=true";
        let (_, answer, _) = server.send("PUT", path, &headers, row.to_string().as_bytes());
        answer["Status"].as_str().unwrap().to_string()
    };
    for cluster in [None, Some("prod"), Some("test")] {
        assert_eq!(load(cluster), "Success", "{cluster:?}");
        assert_eq!(load(cluster), "Label Already Exists", "{cluster:?}");
    }
    assert_eq!(load(Some("a,b")), "Fail");
}

#[test]
fn a_merge_gives_a_cluster_to_records_without_one() {
    let (folder, named) = history();
    let (plain, all) = (folder.path().join("plain.db"), folder.path().join("all.db"));
    import(&plain, &[&log(folder.path(), "plain.log", 8..10)]);
    let merge = |cluster: &[&str]| {
        let mut command = annals();
        command
            .arg("merge")
            .args([db_argument(&named), db_argument(&plain)])
            .args(cluster)
            .db(&all);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    };
    merge(&[]);
    assert_eq!(counts(&all), ["none 2", "prod 5", "test 3"]);
    merge(&["--cluster", "eu"]);
    assert_eq!(counts(&all), ["eu 2", "prod 5", "test 3"]);
}

#[test]
fn commands_list_group_and_export_clusters() {
    let (folder, db) = history();
    let listed = stdout(&run(&db, &["list", "--not-cluster", "prod", "-n", "2"]));
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!((lines[0][6], lines[1][6], lines.len()), ("cluster", "test", 3), "{listed}");
    // Columns that somebody chose stay, and so do those of a history of one cluster.
    let chosen = stdout(&run(&db, &["list", "--columns", "query_id,db"]));
    assert!(!chosen.contains("cluster"), "{chosen}");
    let one = folder.path().join("one.db");
    run(&one, &["import", "--cluster", "prod", folder.path().join("prod.log").to_str().unwrap()]);
    assert!(!stdout(&run(&one, &["list"])).contains("cluster"));
    let all = ["top", "--by", "cluster", "--from", "2024-01-01", "--sort", "count", "--json"];
    let top: Value = serde_json::from_str(&stdout(&run(&db, &all))).unwrap();
    let top = top.as_array().unwrap().iter().map(|row| (row["name"].clone(), row["count"].clone()));
    assert_eq!(top.collect::<Vec<_>>(), [(json!("prod"), json!(5)), (json!("test"), json!(3))]);
    // What is exported is read again with its clusters.
    for format in ["csv", "ndjson"] {
        let exported = folder.path().join(format!("all.{format}"));
        std::fs::write(&exported, run(&db, &["export", "--format", format]).stdout).unwrap();
        let copy = folder.path().join(format!("{format}.db"));
        run(&copy, &["import", "--cluster", "other", exported.to_str().unwrap()]);
        assert_eq!(counts(&copy), ["prod 5", "test 3"], "{format}");
    }
}

#[test]
fn pages_tell_clusters_apart_where_there_are_several() {
    let (folder, db) = history();
    let page = |server: &Server, path: &str| {
        let (status, _, body) = server.get(path);
        assert_eq!(status, 200, "{path}");
        String::from_utf8(body).unwrap()
    };
    let server = Server::start(&db, &[]);
    let all = page(&server, "/");
    assert!(all.contains("<th scope=\"col\">Cluster</th>"), "{all}");
    assert_eq!(
        all.matches("<td class=\"cluster\"><a class=\"value\" href=\"/?cluster=prod\">").count(),
        5
    );
    assert!(all.contains("<select name=\"cluster\">"), "{all}");
    let of_test = page(&server, "/?cluster=test");
    assert_eq!(of_test.matches("<td class=\"cluster\">").count(), 3);
    assert!(of_test.contains("<option value=\"test\" selected>"), "{of_test}");
    let statements = page(&server, "/statements?cluster=test");
    assert!(statements.contains("<a href=\"/statements?cluster=prod\">"), "{statements}");
    for path in ["/statements", "/regressions", "/findings", "/plans", "/usage"] {
        let shown = page(&server, &format!("{path}?cluster=test"));
        let unknown = format!("<li><a href=\"{path}?unknown=cluster\">unknown</a></li>");
        assert!(shown.contains(&unknown), "{path}: {shown}");
        let shown = page(&server, &format!("{path}?unknown=cluster"));
        let prod = format!("<li><a href=\"{path}?cluster=prod\">");
        assert!(shown.contains(&prod), "{path}: {shown}");
        let current = " aria-current=\"true\">unknown</a>";
        assert!(shown.contains(current), "{path}: {shown}");
    }
    let id = &texts(&db, "SELECT query_id FROM query WHERE cluster = 'test' ORDER BY 1")[0];
    let query = page(&server, &format!("/query_profile/{id}"));
    assert!(query.contains("<a href=\"/?cluster=test\">"), "{query}");
    let reported = server.envelope("/api/v1/statements?not_cluster=prod");
    assert_eq!(reported["data"][0]["count"], 3, "{reported}");
    let one = folder.path().join("one.db");
    run(&one, &["import", "--cluster", "prod", folder.path().join("prod.log").to_str().unwrap()]);
    let server = Server::start(&one, &[]);
    for path in ["/", "/statements"] {
        let page = page(&server, path);
        assert!(!page.contains("class=\"cluster\"") && !page.contains("<select name=\"cluster\">"));
        assert!(!page.contains("aria-label=\"Cluster\""), "{page}");
    }
}

#[test]
fn the_runs_beside_a_query_are_those_of_its_cluster() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("a.db"), &["--time-zone", "UTC"]);
    let push = |cluster: Option<&str>, runs: std::ops::Range<i64>| {
        let rows: String = runs
            .map(|run| {
                let id = format!("{}-{run}", cluster.unwrap_or("none"));
                let started_ms = 1_764_000_000_000_i64 + run * 60_000;
                let row = json!({
                    "query_id": id, "started_ms": started_ms, "duration_ms": run, "stmt": "select 1",
                    "cluster": cluster,
                });
                format!("{row}\n")
            })
            .collect();
        assert_eq!(server.send("POST", "/api/v1/queries", &[], rows.as_bytes()).0, 200);
    };
    let section = |id: &str| {
        let body = String::from_utf8(server.get(&format!("/query_profile/{id}")).2).unwrap();
        body.split_once("<h2 id=\"runs-heading\">").map(|(_, section)| section.to_string())
    };
    push(Some("prod"), 0..3);
    push(None, 0..2);
    let all = section("none-1").unwrap();
    assert!(all.starts_with("Runs of this statement within a week</h2>"), "{all}");
    assert!(all.contains("5 runs, longest"), "{all}");
    push(Some("test"), 0..130);
    let of_prod = section("prod-1").unwrap();
    let heading = "Runs of this statement within a week in cluster <bdi>prod</bdi></h2>";
    assert!(of_prod.starts_with(heading) && of_prod.contains("3 runs, longest"), "{of_prod}");
    assert!(section("none-0").unwrap().contains("2 runs, longest"));
    // Of many runs, the query is always one.
    for run in [3, 80, 129] {
        let id = format!("test-{run}");
        let of_test = section(&id).unwrap();
        let link = "&amp;from=1763";
        assert!(of_test.contains("Only ") && of_test.contains("cluster=test"), "{of_test}");
        assert!(of_test.contains(link), "{of_test}");
        assert_eq!(of_test.matches(" aria-current=\"true\"").count(), 1, "{of_test}");
    }
}

#[test]
fn usage_tells_clusters_apart_where_there_are_several() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &[]);
    let push = |id: &str, cluster: Option<&str>, ms: i64| {
        let row = json!({
            "query_id": id, "started_at": "2024-08-08T00:00:00Z", "duration_ms": ms, "stmt": "select 1",
            "cluster": cluster,
        });
        let pushed = server.send("POST", "/api/v1/queries", &[], row.to_string().as_bytes());
        assert_eq!((pushed.0, &pushed.1["data"]["new"]), (200, &json!(1)), "{pushed:?}");
    };
    let page = |path: &str| String::from_utf8(server.get(path).2).unwrap();
    let lines = |arguments: &[&str]| {
        let output = run(&db, &[&["usage"], arguments].concat());
        let lines: Vec<String> = stdout(&output).lines().map(str::to_string).collect();
        (lines, stderr(&output))
    };
    let kinds =
        |lines: &[String]| lines.iter().filter(|line| line.starts_with("cluster\t")).count();
    push("a-1", Some("prod"), 10_000);
    push("a-2", Some("prod"), 20);
    push("a-3", None, 30);
    // Of one cluster there is no choice.
    let usage = page("/usage");
    assert!(!usage.contains("by-cluster") && !usage.contains("aria-label=\"Cluster\""), "{usage}");
    assert!(!page("/usage/a-1").contains("cluster="), "{}", page("/usage/a-1"));
    let beside = |path: &str| {
        let found = server.envelope(&format!("/api/v1/queries/{path}"))["data"].clone();
        (found["total"]["now"]["count"].as_i64().unwrap(), found["cluster"].clone())
    };
    assert_eq!(beside("a-1/concurrent"), (2, Value::Null));
    assert_eq!(kinds(&lines(&[]).0), 0);

    push("a-4", Some("test"), 40);
    let usage = page("/usage?unknown=user");
    assert!(usage.contains("<a href=\"/usage?cluster=test&amp;unknown=user\">"), "{usage}");
    let table = usage.split("id=\"by-cluster\"").nth(1).unwrap();
    let table = table.split("</table>").next().unwrap();
    for part in ["<bdi>prod</bdi>", "<bdi>test</bdi>", "cluster unknown", "unknown=cluster"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let of_test = page("/usage?cluster=test");
    assert!(of_test.contains("aria-current=\"true\"><bdi>test</bdi>"), "{of_test}");
    let rows = server.envelope("/api/v1/usage?order=count")["data"]["clusters"].clone();
    let names: Vec<&Value> =
        rows["rows"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(
        (names, &rows["groups"]),
        (vec![&json!("prod"), &json!("test"), &Value::Null], &json!(3))
    );
    assert_eq!(kinds(&lines(&[]).0), 3);

    // Beside a query, its own cluster counts, or all.
    let own = page("/usage/a-1");
    assert!(own.contains("1 other run at the same time"), "{own}");
    assert!(
        own.contains("Only runs of the cluster <strong><bdi>prod</bdi></strong> count."),
        "{own}"
    );
    assert!(own.contains("<a href=\"/usage/a-1?all%5Fclusters=true\">"), "{own}");
    assert!(own.contains("/usage?cluster=prod&amp;from=") && !own.contains("by-cluster"), "{own}");
    let all = page("/usage/a-1?all_clusters=true");
    assert!(all.contains("3 other runs at the same time") && all.contains("by-cluster"), "{all}");
    assert!(all.contains("<a href=\"/usage/a-1\">Only those of <bdi>prod</bdi></a>"), "{all}");
    assert_eq!(server.get("/usage/a-1?all_clusters=maybe").0, 400);
    assert_eq!(beside("a-1/concurrent"), (1, json!("prod")));
    assert_eq!(beside("a-1/concurrent?all_clusters=true"), (3, Value::Null));
    assert_eq!(beside("a-3/concurrent"), (3, Value::Null));
    let (own, note) = lines(&["--during", "a-1"]);
    assert!(note.contains("1 other run of the cluster prod from"), "{note}");
    assert_eq!(kinds(&own), 0);
    let (all, note) = lines(&["--during", "a-1", "--all-clusters"]);
    assert!(note.contains("3 other runs from"), "{note}");
    assert_eq!(kinds(&all), 3);
}

/// Someone who sees the queries of one user sees the clusters of these, and no name that only other queries have.
#[test]
fn a_user_sees_the_clusters_of_their_own_queries() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    for (name, clusters) in [("eve", ""), ("ann", ""), ("bob", "prod,test"), ("tom", "prod,test")] {
        let mut arguments = vec!["add", name, "--role", "user"];
        if !clusters.is_empty() {
            arguments.extend(["--cluster", clusters]);
        }
        assert!(user(&db, &arguments, &password(name)).status.success());
    }
    assert!(user(&db, &["add", "root", "--role", "admin"], &password("root")).status.success());
    let server = Server::start(&db, &[]);
    for (at, (name, cluster)) in [
        ("eve", Some("prod")),
        ("eve", Some("test")),
        ("ann", Some("prod")),
        ("ann", None),
        ("bob", Some("test")),
        ("tom", Some("prod")),
        ("tom", Some("test")),
        ("tom", Some("lake")),
        ("root", Some("lake")),
    ]
    .into_iter()
    .enumerate()
    {
        let row = json!({
            "query_id": format!("a-{at}"), "time": "2024-08-08 00:00:00", "user": name, "stmt": "select 1",
            "duration_ms": 10, "cluster": cluster,
        });
        let body = row.to_string();
        assert_eq!(ask(&server, Some("root"), "POST", "/api/v1/queries", body.as_bytes()).0, 200);
    }
    for (name, clusters) in [
        ("eve", vec!["prod", "test"]),
        ("ann", vec![]),
        ("bob", vec![]),
        ("tom", vec!["prod", "test"]),
        ("root", vec!["lake", "prod", "test"]),
    ] {
        let page = |path: &str| {
            let (status, body, _) = ask(&server, Some(name), "GET", path, b"");
            assert_eq!(status, 200, "{path}");
            String::from_utf8(body).unwrap()
        };
        let several = !clusters.is_empty();
        let history = page("/");
        assert_eq!(history.contains(">Cluster</th>"), several, "{name}: {history}");
        let statements = page("/statements");
        let statement = statements.split("href=\"/statements/").nth(1).unwrap();
        let statement = statement.split('"').next().unwrap().replace("&amp;", "&");
        let runs = page(&format!("/statements/{statement}"));
        assert_eq!(runs.contains(">Cluster</th>"), several, "{name}");
        assert_eq!(page("/usage").contains("by-cluster"), several, "{name}");
        for cluster in ["lake", "prod", "test"] {
            let choice = format!("<option value=\"{cluster}\">");
            assert_eq!(history.contains(&choice), clusters.contains(&cluster), "{name} {cluster}");
            let link = format!("href=\"/statements?cluster={cluster}\"");
            assert_eq!(statements.contains(&link), clusters.contains(&cluster), "{name}");
        }
    }
}

/// Starts a server with the sample data as those of `prod`, one query of `test` and one of no cluster. `root` is an admin of
/// all clusters, `prod` and `test` are admins of one, and `both` is a writer of two.
fn server_with_rights() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let sample =
        annals().args(["import", "--cluster", "prod"]).arg(data("")).db(&db).output().unwrap();
    assert!(db.exists() || support::is_postgres(), "{}", stderr(&sample));
    for (name, role, clusters) in [
        ("root", "admin", ""),
        ("prod", "admin", "prod"),
        ("test", "admin", "test"),
        ("both", "writer", "test,eu"),
    ] {
        let mut arguments = vec!["add", name, "--role", role];
        if !clusters.is_empty() {
            arguments.extend(["--cluster", clusters]);
        }
        let added = user(&db, &arguments, &password(name));
        assert!(added.status.success(), "{}", stderr(&added));
    }
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    for (id, trace, cluster) in [
        ("prods-traced", "trace-of-prod", Some("prod")),
        ("tests-own", "trace-of-test", Some("test")),
        ("nobodys-secret", "trace-of-nobody", None),
    ] {
        let query = json!({
            "query_id": id, "time": "2024-08-08 00:00:00", "user": "eve", "stmt": format!("select {id}"),
            "trace_id": trace, "cluster": cluster, "state": "EOF",
        });
        let body = query.to_string();
        let (status, ..) = ask(&server, Some("root"), "POST", "/api/v1/queries", body.as_bytes());
        assert_eq!(status, 200);
    }
    (folder, server)
}

#[test]
fn no_user_sees_a_byte_of_a_cluster_beyond_their_own() {
    let (_folder, server) = server_with_rights();
    let of = |path: &str, id: &str, trace: &str| path.replace("ID", id).replace("TRACE", trace);
    const PAGES: [&str; 9] = [
        "/", "/?order=duration_ms", "/?search=secret", "/statements", "/regressions", "/findings",
        "/plans", "/statements/04e2162002802189", "/query_profile/ID",
    ];
    const SECRETS: [&str; 6] = ["carol", "staging", "clicks", "secret", "prods-traced", "nobody"];
    for path in PATHS.iter().copied().chain(PAGES) {
        let known = of(path, CAROLS, "trace-of-prod");
        let unknown = of(path, "112233-22", "trace-of-none");
        let get = |path: &str| {
            let (status, body, _) = ask(&server, Some("test"), "GET", path, b"");
            (status, String::from_utf8(body).unwrap())
        };
        let is_same = || {
            let (status, text) = get(&known);
            for secret in SECRETS {
                // The page repeats what was asked for.
                let is_asked = known.contains(secret);
                assert!(is_asked || !text.contains(secret), "{path} shows {secret}: {text}");
            }
            let (unknown_status, unknown) = get(&unknown);
            let unknown = unknown.replace("112233-22", CAROLS);
            (status, text) == (unknown_status, unknown.replace("trace-of-none", "trace-of-prod"))
        };
        // A page does not wait long for its chart.
        wait_until(is_same, || format!("{path} differs: {:?}, {:?}", get(&known), get(&unknown)));
        // Everything but two queries is of one cluster.
        let [all, of_prod] =
            ["root", "prod"].map(|name| ask(&server, Some(name), "GET", &known, b""));
        assert_eq!((all.0, of_prod.0), (200, 200), "{path}");
    }
    let count = |name: &str, path: &str| {
        let (_, body, _) = ask(&server, Some(name), "GET", path, b"");
        serde_json::from_slice::<Value>(&body).unwrap()["count"].as_u64().unwrap()
    };
    let list = "/api/v1/queries?limit=1000";
    let all = count("root", list);
    assert_eq!((count("prod", list), count("test", list), count("both", list)), (all - 2, 1, 0));
    assert_eq!(count("test", "/api/v1/queries?cluster=prod"), 0);
    assert_eq!(count("test", "/api/v1/queries?not_cluster=test"), 0);
    assert_eq!(count("prod", "/api/v1/queries?cluster=prod&cluster=test&limit=1000"), all - 2);
    // Their own queries they see, by each way.
    for path in [
        "/api/v1/queries/ID", "/rest/v2/manager/query/sql/ID", "/query_profile/ID",
        "/api/v1/queries?order=duration_ms", "/rest/v2/manager/query/trace_id/TRACE",
    ] {
        let (status, body, _) =
            ask(&server, Some("test"), "GET", &of(path, "tests-own", "trace-of-test"), b"");
        assert_eq!(status, 200, "{path}");
        assert!(String::from_utf8(body).unwrap().contains("tests-own"), "{path}");
    }
    // The state of annals says of which clusters it has how much.
    for path in ["/api/v1/status", "/metrics", "/status"] {
        let statuses = ["root", "test"].map(|name| ask(&server, Some(name), "GET", path, b"").0);
        assert_eq!(statuses, [200, 403], "{path}");
    }
    let (_, page, _) = ask(&server, Some("test"), "GET", "/", b"");
    assert!(!String::from_utf8(page).unwrap().contains("prod"), "a name of another cluster shows");
}

#[test]
fn who_has_clusters_pushes_to_these_alone() {
    let (folder, server) = server_with_rights();
    let db = folder.path().join("a.db");
    let push = |name: &str, cluster: Option<&str>, row: Value| {
        let authorization = basic(name, &password(name));
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(cluster.map(|cluster| ("x-annals-cluster", cluster)));
        let body = row.to_string();
        let (status, answer, _) = server.send("POST", "/api/v1/queries", &headers, body.as_bytes());
        (status, answer.to_string())
    };
    let row = |id: &str| json!({"query_id": id, "time": "2024-08-08 00:00:00", "stmt": "select 7", "user": "both"});
    let cluster_of = |id: &str| {
        texts(&db, &format!("SELECT coalesce(cluster, 'none') FROM query WHERE query_id = '{id}'"))
    };
    // The only cluster needs no name, and one of several does.
    assert_eq!(push("test", None, row("7-1")).0, 200);
    assert_eq!(cluster_of("7-1"), ["test"]);
    let (status, answer) = push("both", None, row("7-2"));
    assert!(status == 403 && answer.contains("name the cluster in the header"), "{answer}");
    assert_eq!(push("both", Some("eu"), row("7-2")).0, 200);
    assert_eq!(cluster_of("7-2"), ["eu"]);
    for name in ["both", "test"] {
        let (status, answer) = push(name, Some("prod"), row("7-3"));
        assert!(status == 403 && answer.contains("not to the cluster prod"), "{answer}");
    }
    let mut of_prod = row("7-3");
    of_prod["cluster"] = json!("prod");
    let (status, answer) = push("test", None, of_prod);
    assert!(status == 422 && answer.contains("may not push to the cluster prod"), "{answer}");
    assert_eq!(cluster_of("7-3"), Vec::<String>::new());
    // A query of an unknown or another cluster does not become one that the sender may see.
    for id in ["nobodys-secret", "prods-traced"] {
        let before = cluster_of(id);
        assert_eq!(push("test", None, row(id)).0, 200, "{id}");
        assert_eq!(cluster_of(id), before, "{id}");
        let (_, body, _) = ask(&server, Some("test"), "GET", "/api/v1/queries?limit=1000", b"");
        assert!(!String::from_utf8(body).unwrap().contains(&format!("select {id}")), "{id}");
        assert_eq!(ask(&server, Some("test"), "GET", &format!("/api/v1/queries/{id}"), b"").0, 404);
    }
    let listed = stdout(&user(&db, &["list"], ""));
    assert!(
        listed.contains("both\twriter\teu,test\n") && listed.contains("root\tadmin\n"),
        "{listed}"
    );
}
