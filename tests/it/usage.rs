//! Who used the cluster, and what ran beside a query: the figures are those of a count by hand of the same runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    DORIS_4_0, Server, WithDb, add_user, annals, import, record_of, stderr, stdout,
    stream_load_record, wait_until,
};

/// 2025-11-25 14:00:00 UTC.
const HOUR_MS: i64 = 1_764_079_200_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// A run as the test knows it.
#[derive(Debug, Clone)]
struct Run {
    id: String,
    start_ms: i64,
    ms: i64,
    user: &'static str,
    db: &'static str,
    client: String,
    tables: Vec<&'static str>,
    is_failed: bool,
    cpu_ms: i64,
    scan_bytes: i64,
    memory: i64,
    statement: usize,
}

fn local(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms).unwrap();
    time.format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

impl Run {
    /// Returns the line of Doris' audit log.
    fn line(&self) -> String {
        let tables: Vec<String> =
            self.tables.iter().map(|table| format!("\"internal.{table}\"")).collect();
        let (state, code) = if self.is_failed { ("ERR", "1105") } else { ("EOF", "0") };
        let head = format!("{} [query]", local(self.start_ms + self.ms).replace('.', ","));
        record_of(
            DORIS_4_0,
            &head,
            &[
                ("QueryId", self.id.as_str()),
                ("Timestamp", &local(self.start_ms)),
                ("Client", &self.client),
                ("User", self.user),
                ("Db", self.db),
                ("State", state),
                ("ErrorCode", code),
                ("Time(ms)", &self.ms.to_string()),
                ("CpuTimeMS", &self.cpu_ms.to_string()),
                ("PeakMemoryBytes", &self.memory.to_string()),
                ("ScanBytes", &self.scan_bytes.to_string()),
                ("queriedTablesAndViews", &format!("[{}]", tables.join(","))),
                ("Stmt", &format!("select c{} from t where a = {}", self.statement, self.start_ms)),
            ],
        )
    }

    fn end_ms(&self) -> i64 {
        self.start_ms + self.ms
    }

    /// Returns how long the run ran from a time up to another; None if it did not.
    fn within(&self, from_ms: i64, to_ms: i64) -> Option<i64> {
        if self.ms == 0 {
            return (from_ms..to_ms).contains(&self.start_ms).then_some(0);
        }
        let is_known = self.start_ms >= from_ms - 7 * DAY;
        Some(self.ms_within(from_ms, to_ms)).filter(|ms| is_known && *ms > 0)
    }

    fn ms_within(&self, from_ms: i64, to_ms: i64) -> i64 {
        (self.end_ms().min(to_ms) - self.start_ms.max(from_ms)).max(0)
    }
}

/// Returns runs of eight days, with the cases that a count gets wrong most easily.
fn runs() -> Vec<Run> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut runs = Vec::new();
    let mut add = |start_ms: i64, ms: i64| {
        let number = runs.len();
        let tables = ["shop.orders", "shop.items", "lake.clicks", "lake.visits"];
        let tables = tables.into_iter().filter(|_| random.u8(..3) == 0).collect();
        runs.push(Run {
            id: format!("{:x}-{number:x}", random.u64(1 << 60..)),
            start_ms,
            ms,
            user: random.choice(["alice", "bob", "etl", "root"]).unwrap(),
            db: random.choice(["shop", "lake", "数据"]).unwrap(),
            client: format!("10.0.0.{}:{}", random.u8(1..5), random.u16(4000..4004)),
            tables,
            is_failed: random.u8(..9) == 0,
            cpu_ms: random.i64(0..3 * ms.max(50)),
            scan_bytes: random.i64(0..1 << 33),
            memory: random.i64(1..1 << 31),
            statement: random.usize(..12),
        });
    };
    for day in [0, -1, -7] {
        let hour_ms = HOUR_MS + day * DAY;
        for number in 0..250 {
            let ms = [0, 1, 40, 900, 7_000, 90_000][number % 6];
            add(hour_ms - 20 * MINUTE + number as i64 * 22_345, ms + number as i64 % 13);
        }
        // At the ends of the hour, around the minute from which on a run is long, and over all of the hour.
        for (start, ms) in [
            (-1000, 1000),
            (-1000, 1001),
            (0, 0),
            (0, 60 * MINUTE),
            (60 * MINUTE, 1000),
            (60 * MINUTE - 1, 5),
            (-MINUTE, MINUTE),
            (-MINUTE, MINUTE + 1),
            (-MINUTE - 1, MINUTE + 1),
            (-MINUTE - 1, MINUTE + 2),
            (-3 * 60 * MINUTE, 3 * 60 * MINUTE + 5),
            (-5 * 60 * MINUTE, 9 * 60 * MINUTE),
            (30 * MINUTE, 5 * MINUTE),
        ] {
            add(hour_ms + start, ms);
        }
    }
    add(HOUR_MS - 7 * DAY, 7 * DAY + 5 * MINUTE);
    add(HOUR_MS - 7 * DAY - 1, 7 * DAY + 5 * MINUTE);
    add(HOUR_MS - 6 * DAY, 6 * DAY + MINUTE);
    runs
}

fn history() -> (TempDir, PathBuf, Vec<Run>) {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("fe.audit.log"));
    let mut runs = runs();
    std::fs::write(&log, runs.iter().map(Run::line).collect::<String>()).unwrap();
    let output = import(&db, &[&log]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    runs.sort_by_key(|run| run.start_ms);
    (folder, db, runs)
}

fn usage(db: &Path, arguments: &[&str]) -> Value {
    let output = annals().arg("usage").args(arguments).arg("--json").db(db).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// Returns what some runs cost in a range, of which a list begins at a time.
fn costs<'r>(
    runs: impl Iterator<Item = &'r Run>,
    (from_ms, to_ms): (i64, i64),
    list_ms: i64,
) -> Value {
    let (mut count, mut before, mut errors, mut running, mut cpu, mut bytes) = (0, 0, 0, 0, 0, 0);
    let mut errors_before = 0;
    let mut memory = None;
    for run in runs {
        let Some(ms) = run.within(from_ms, to_ms) else { continue };
        // Parts of a value are rounded down.
        let part = |value: i64| match ms == run.ms {
            true => value,
            false => (i128::from(value) * i128::from(ms) / i128::from(run.ms)) as i64,
        };
        count += 1;
        before += i64::from(run.start_ms < list_ms);
        errors += i64::from(run.is_failed);
        errors_before += i64::from(run.is_failed && run.start_ms < list_ms);
        running += ms;
        cpu += part(run.cpu_ms);
        bytes += part(run.scan_bytes);
        memory = memory.max(Some(run.memory));
    }
    json!({
        "count": count, "began_before": before, "errors": errors, "errors_began_before": errors_before, "running_ms": running, "cpu_time_ms": cpu, "scan_bytes": bytes,
        "peak_memory_bytes": memory,
    })
}

/// The names of the groups that a run is in, by kind.
type NamesOf = fn(&Run) -> Vec<Option<String>>;

const KINDS: [(&str, NamesOf); 6] = [
    ("users", |run| vec![Some(run.user.to_string())]),
    ("dbs", |run| vec![Some(run.db.to_string())]),
    ("tables", |run| match run.tables.as_slice() {
        [] => vec![None],
        tables => tables.iter().map(|table| Some(format!("internal.{table}"))).collect(),
    }),
    ("clients", |run| vec![Some(run.client.split(':').next().unwrap().to_string())]),
    ("clusters", |_| vec![None]),
    ("statements", |run| vec![Some(format!("select c{} from t where a = ?", run.statement))]),
];

/// Asserts that the groups of an answer are those of a count by hand, and sorted by a figure.
fn assert_groups(
    answer: &Value,
    runs: &[Run],
    range: (i64, i64),
    before: Option<(i64, i64)>,
    order: &str,
) {
    let expected = |runs: &[&Run]| {
        // A list of what ran beside a query begins behind its start.
        let list_ms = range.0 + i64::from(before.is_none());
        let mut row = json!({ "now": costs(runs.iter().copied(), range, list_ms) });
        if let Some(before) = before {
            row["before"] = costs(runs.iter().copied(), before, before.0);
        }
        row
    };
    let all: Vec<&Run> = runs.iter().collect();
    let total = &answer["total"];
    assert_eq!(
        json!({ "now": total["now"], "before": total["before"] })["now"],
        expected(&all)["now"]
    );
    assert_eq!(total.get("before"), expected(&all).get("before"));
    for (kind, names_of) in KINDS {
        let mut groups: BTreeMap<Option<String>, Vec<&Run>> = BTreeMap::new();
        for run in runs {
            names_of(run).into_iter().for_each(|name| groups.entry(name).or_default().push(run));
        }
        groups.retain(|_, runs| runs.iter().any(|run| run.within(range.0, range.1).is_some()));
        let rows = answer[kind]["rows"].as_array().unwrap();
        assert_eq!(answer[kind]["groups"], groups.len(), "{kind}");
        assert_eq!(rows.len(), groups.len(), "{kind}");
        for row in rows {
            let expected = expected(&groups[&row["name"].as_str().map(str::to_string)]);
            assert_eq!(row["now"], expected["now"], "{kind} {row}");
            assert_eq!(row.get("before"), expected.get("before"), "{kind} {row}");
        }
        let sorted: Vec<_> = rows.iter().map(|row| row["now"][order].as_i64().unwrap()).collect();
        assert!(sorted.is_sorted_by(|one, next| one >= next), "{kind}: {sorted:?}");
    }
}

/// Asserts that the steps of an answer are those of looking at single moments.
fn assert_steps(steps: &Value, runs: &[Run], (from_ms, to_ms): (i64, i64), width_ms: i64) {
    let inside: Vec<&Run> =
        runs.iter().filter(|run| run.within(from_ms, to_ms).is_some()).collect();
    let steps = steps.as_array().unwrap();
    assert_eq!(steps.len() as i64, (to_ms - from_ms + width_ms - 1) / width_ms);
    for (step, begin_ms) in steps.iter().zip((from_ms..).step_by(width_ms as usize)) {
        let end_ms = (begin_ms + width_ms).min(to_ms);
        // The number only grows where a run starts.
        let starts = inside.iter().map(|run| run.start_ms);
        let moments = starts.chain([begin_ms]).filter(|ms| (begin_ms..end_ms).contains(ms));
        let at_once = |ms: i64| {
            let is_there =
                |run: &&&Run| run.start_ms <= ms && ms < run.end_ms().max(run.start_ms + 1);
            inside.iter().filter(is_there).count()
        };
        let peak = moments.map(at_once).max().unwrap();
        let sum: i64 = inside.iter().map(|run| run.ms_within(begin_ms, end_ms)).sum();
        assert_eq!((&step["from_ms"], &step["peak"]), (&json!(begin_ms), &json!(peak)));
        let average = sum as f64 / (end_ms - begin_ms) as f64;
        assert!((step["average"].as_f64().unwrap() - average).abs() < 1e-9, "{step} {average}");
    }
}

#[test]
fn who_used_the_cluster_is_as_counted_by_hand() {
    let (_folder, db, runs) = history();
    let hour = (HOUR_MS, HOUR_MS + 60 * MINUTE);
    for ((from_ms, to_ms), before_days, order) in [
        (hour, 1, "running_ms"),
        (hour, 7, "cpu_time_ms"),
        ((HOUR_MS + 12_345, HOUR_MS + 17 * MINUTE + 1), 1, "scan_bytes"),
        ((HOUR_MS, HOUR_MS + 1), 1, "errors"),
        ((HOUR_MS - 10 * 60 * MINUTE, HOUR_MS + 13 * 60 * MINUTE), 1, "count"),
    ] {
        let (from, to, before) =
            (from_ms.to_string(), to_ms.to_string(), format!("{before_days}d"));
        let answer = usage(
            &db,
            &[
                "--from",
                &from,
                "--to",
                &to,
                "--baseline",
                &before,
                "-n",
                "100",
                "--sort",
                &order.replace('_', "-"),
            ],
        );
        let before = (from_ms - before_days * DAY, to_ms - before_days * DAY);
        assert_eq!(
            ["from_ms", "to_ms", "baseline_from_ms", "baseline_to_ms"]
                .map(|name| answer[name].as_i64().unwrap()),
            [from_ms, to_ms, before.0, before.1]
        );
        assert_eq!(answer["is_cut"], false);
        assert_groups(&answer, &runs, (from_ms, to_ms), Some(before), order);
        let width_ms = (to_ms - from_ms + 59) / 60;
        assert_steps(&answer["concurrency"], &runs, (from_ms, to_ms), width_ms);
        assert_steps(&answer["baseline_concurrency"], &runs, before, width_ms);
    }
    let total = &usage(&db, &["--from", "2025-11-25 14:00", "--to", "2025-11-25 15:00"])["total"];
    assert!(total["now"]["count"].as_i64() > Some(150), "{total}");
}

#[test]
fn rest_answers_as_the_command_does() {
    let (_folder, db, runs) = history();
    let server = Server::start(&db, &[]);
    let range = format!("from={HOUR_MS}&to={}", HOUR_MS + 60 * MINUTE);
    let answer = server.envelope(&format!("/api/v1/usage?{range}&limit=100"));
    let (from, to) = (HOUR_MS.to_string(), (HOUR_MS + 60 * MINUTE).to_string());
    assert_eq!(answer["data"], usage(&db, &["--from", &from, "--to", &to, "-n", "100"]));
    // A filter leaves the same runs everywhere.
    let of_etl: Vec<Run> = runs.iter().filter(|run| run.user == "etl").cloned().collect();
    let filtered = server.envelope(&format!("/api/v1/usage?{range}&limit=100&user=etl&steps=7"));
    let hour = (HOUR_MS, HOUR_MS + 60 * MINUTE);
    assert_groups(
        &filtered["data"],
        &of_etl,
        hour,
        Some((hour.0 - DAY, hour.1 - DAY)),
        "running_ms",
    );
    let width_ms = (60 * MINUTE + 6) / 7;
    assert_steps(&filtered["data"]["concurrency"], &of_etl, hour, width_ms);
    let statement = answer["data"]["statements"]["rows"][0].clone();
    let fingerprint = statement["fingerprint"].as_str().unwrap();
    let by_fingerprint =
        server.envelope(&format!("/api/v1/usage?{range}&fingerprint={fingerprint}"));
    assert_eq!(by_fingerprint["data"]["total"]["now"], statement["now"]);
    // Without a range: the hour until the end of the newest runs, and the same hour of the day before.
    let data = &server.envelope("/api/v1/usage")["data"];
    let newest = &runs[runs.len().saturating_sub(100)..];
    let end = newest.iter().map(Run::end_ms).max().unwrap().max(runs[runs.len() - 1].start_ms + 1);
    assert_eq!((&data["to_ms"], &data["from_ms"]), (&json!(end), &json!(end - 60 * MINUTE)));
    assert_eq!(data["baseline_to_ms"], end - DAY);
    for wrong in ["baseline=soon", "order=user", "steps=0", "from=2025-11-26&to=2025-11-25"] {
        assert_eq!(server.get(&format!("/api/v1/usage?{wrong}")).0, 400, "{wrong}");
    }
    assert_eq!(server.get("/api/v1/queries/no-such/concurrent").0, 404);
    assert_eq!(server.get("/api/v1/queries/1-1/concurrent?limit=0").0, 400);
}

#[test]
fn what_ran_beside_a_query_is_as_counted_by_hand() {
    let (_folder, db, runs) = history();
    let server = Server::start(&db, &[]);
    // Queries of no time, of some milliseconds, of hours and of days.
    let chosen = [0, 5, 45, 60 * MINUTE, 9 * 60 * MINUTE, 6 * DAY + MINUTE];
    for ms in chosen {
        let query = runs.iter().find(|run| run.ms >= ms && run.ms <= ms + 12).unwrap();
        let others: Vec<Run> = runs.iter().filter(|run| run.id != query.id).cloned().collect();
        let range = (query.start_ms, query.end_ms().max(query.start_ms + 1));
        let answer =
            server.envelope(&format!("/api/v1/queries/{}/concurrent?limit=1000", query.id));
        let found = &answer["data"];
        assert_eq!((&found["from_ms"], &found["to_ms"]), (&json!(range.0), &json!(range.1)));
        assert_groups(
            found,
            &others,
            range,
            None,
            if found["total"]["now"]["cpu_time_ms"] == 0 { "running_ms" } else { "cpu_time_ms" },
        );
        assert_steps(&found["concurrency"], &others, range, ((range.1 - range.0 + 59) / 60).max(1));
        let beside: BTreeSet<&str> = others
            .iter()
            .filter(|run| run.within(range.0, range.1).is_some())
            .map(|run| run.id.as_str())
            .collect();
        let listed = found["queries"].as_array().unwrap();
        let ids: Vec<&str> = listed.iter().map(|run| run["query_id"].as_str().unwrap()).collect();
        assert_eq!(ids.iter().copied().collect::<BTreeSet<_>>(), beside, "{query:?}");
        assert_eq!(ids.len(), beside.len());
        let cost = |run: &Value| (run["overlap_cpu_ms"].as_i64(), run["overlap_ms"].as_i64());
        assert!(listed.is_sorted_by(|one, next| cost(one) >= cost(next)), "{listed:?}");
        for run in listed {
            let known = others.iter().find(|other| run["query_id"] == other.id).unwrap();
            assert_eq!(run["overlap_ms"], known.within(range.0, range.1).unwrap());
            assert_eq!((&run["user"], &run["db"]), (&json!(known.user), &json!(known.db)));
            assert_eq!(run["cpu_time_ms"], known.cpu_ms);
            assert_eq!(
                run["normalized"],
                format!("select c{} from t where a = ?", known.statement)
            );
        }
        // A limit leaves the first ones.
        let first = server.envelope(&format!("/api/v1/queries/{}/concurrent?limit=3", query.id));
        let first = first["data"]["queries"].as_array().unwrap().clone();
        assert_eq!(first.as_slice(), &listed[..listed.len().min(3)]);
        let of_command = usage(&db, &["--during", &query.id, "-n", "1000"]);
        assert_eq!(&of_command, found);
    }
    let text = annals().args(["usage", "--during", &runs[0].id]).db(&db).output().unwrap();
    assert!(
        text.status.success() && stdout(&text).contains("\nquery_id\toverlap_ms\t"),
        "{}",
        stdout(&text)
    );
}

/// A query that still runs has no end yet.
#[test]
fn a_query_that_still_runs_counts_until_the_end_of_the_range() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &[]);
    let row = |id: &str, start_ms: i64, more: Value| {
        let mut row =
            json!({ "query_id": id, "started_ms": start_ms, "stmt": "select 1", "user": id });
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{row}\n")
    };
    let running = json!({ "state": "RUNNING" });
    let rows = row("a-1", HOUR_MS - 2 * DAY, running.clone())
        + &row("a-2", HOUR_MS + 10 * MINUTE, running)
        + &row("a-3", HOUR_MS + 20 * MINUTE, json!({ "state": "EOF", "duration_ms": 100 }))
        + &row("a-4", HOUR_MS + 40 * MINUTE, json!({ "state": "EOF" }));
    let (status, answer, _) = server.send("POST", "/api/v1/queries", &[], rows.as_bytes());
    assert_eq!((status, &answer["data"]["new"]), (200, &json!(4)), "{answer}");
    let path = format!("/api/v1/usage?from={HOUR_MS}&to={}&steps=1", HOUR_MS + 60 * MINUTE);
    let data = &server.envelope(&path)["data"];
    let began_before = &data["total"]["now"]["began_before"];
    assert_eq!((began_before, &data["still_running"]), (&json!(1), &json!(2)));
    assert_eq!(data["total"]["now"]["running_ms"], 110 * MINUTE + 100);
    // How long the last one ran is unknown, and not 0.
    let users = data["users"]["rows"].as_array().unwrap();
    let last = users.iter().find(|row| row["name"] == "a-4").unwrap();
    assert_eq!((&last["now"]["running_ms"], &last["now"]["count"]), (&json!(null), &json!(1)));
    let page = String::from_utf8(
        server.get(&format!("/usage?from={HOUR_MS}&to={}&user=a-4", HOUR_MS + 60 * MINUTE)).2,
    );
    assert!(page.unwrap().contains("<dt>Time</dt><dd>–</dd>"));
    assert_eq!(data["concurrency"][0]["peak"], 3);
    // The query that still runs is beside what started since.
    let beside = &server.envelope("/api/v1/queries/a-3/concurrent")["data"];
    let ids: Vec<_> =
        beside["queries"].as_array().unwrap().iter().map(|run| &run["query_id"]).collect();
    assert_eq!(ids, ["a-1", "a-2"]);
    let beside = &server.envelope("/api/v1/queries/a-1/concurrent")["data"];
    assert_eq!(
        (&beside["to_ms"], &beside["total"]["now"]["count"]),
        (&json!(HOUR_MS + 40 * MINUTE + 1), &json!(3))
    );
}

/// A user sees what their own queries cost, beside their own queries.
#[test]
fn a_user_sees_only_their_own_part() {
    let (_folder, db, runs) = history();
    for (name, role) in [("root", "admin"), ("etl", "user")] {
        add_user(&db, name, role);
    }
    let server = Server::start(&db, &[]);
    let own: Vec<Run> = runs.iter().filter(|run| run.user == "etl").cloned().collect();
    let ask = |name: &str, path: &str| {
        let basic = BASE64_STANDARD.encode(format!("{name}:pass-word-of-{name}"));
        let (status, answer, _) =
            server.send("GET", path, &[("authorization", &format!("Basic {basic}"))], b"");
        (status, answer["data"].clone())
    };
    let hour = (HOUR_MS, HOUR_MS + 60 * MINUTE);
    let path = format!("/api/v1/usage?from={}&to={}&limit=100", hour.0, hour.1);
    let before = Some((hour.0 - DAY, hour.1 - DAY));
    assert_groups(&ask("etl", &path).1, &own, hour, before, "running_ms");
    assert_groups(&ask("root", &path).1, &runs, hour, before, "running_ms");
    let query = own.iter().find(|run| run.ms > 7000).unwrap();
    let path = format!("/api/v1/queries/{}/concurrent?limit=100", query.id);
    let others: Vec<Run> = own.iter().filter(|run| run.id != query.id).cloned().collect();
    let range = (query.start_ms, query.end_ms());
    assert_groups(&ask("etl", &path).1, &others, range, None, "cpu_time_ms");
    let hidden = runs.iter().find(|run| run.user != "etl").unwrap();
    let path = format!("/api/v1/queries/{}/concurrent", hidden.id);
    assert_eq!((ask("etl", &path).0, ask("root", &path).0), (404, 200));
}

fn page(server: &Server, path: &str) -> String {
    let (status, _, body) = server.get(path);
    assert_eq!(status, 200, "{path}");
    String::from_utf8(body).unwrap()
}

#[test]
fn the_pages_link_every_value_in_their_range() {
    let (_folder, db, runs) = history();
    let server = Server::start(&db, &[]);
    let range = format!("from={HOUR_MS}&to={}", HOUR_MS + 60 * MINUTE);
    let body = page(&server, &format!("/usage?{range}&baseline=7d&not_user=root"));
    let kept = format!("from={HOUR_MS}");
    for (path, value) in [
        ("/usage?", "user=etl"),
        ("/usage?", "db=%E6%95%B0%E6%8D%AE"),
        ("/usage?", "table=internal%2Eshop%2Eorders"),
        ("/usage?", "client=10%2E0%2E0%2E1"),
        ("/?", "user=etl"),
        ("/?", "fingerprint="),
        ("/statements/", ""),
        ("/usage?", "order=cpu%5Ftime%5Fms"),
        ("/usage?", "baseline=1d"),
    ] {
        let hrefs = body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let found = hrefs
            .into_iter()
            .find(|href| href.starts_with(path) && href.contains(value) && href.contains(&kept));
        let found = found.unwrap_or_else(|| panic!("{path} {value}")).replace("&amp;", "&");
        assert!(
            path != "/?" || found.contains("not%5Fuser=root") && !found.contains("baseline"),
            "{found}"
        );
        assert_eq!(server.get(&found).0, 200, "{found}");
    }
    for shown in ["Who used the cluster", "Queries at once", " began before</span>", "was "] {
        assert!(body.contains(shown), "{shown}");
    }
    assert!(!body.contains("<bdi>root</bdi></a>"));
    let query = runs.iter().find(|run| run.ms == 60 * MINUTE).unwrap();
    let link = format!("/usage/{}", query.id);
    assert!(
        page(&server, &format!("/query_profile/{}", query.id)).contains(&format!("\"{link}\""))
    );
    let body = page(&server, &link);
    for shown in ["What else ran then", "Costliest runs", "Other queries at once", "Databases"] {
        assert!(body.contains(shown), "{shown}");
    }
    assert_eq!(server.get("/usage/no-such").0, 404);
    assert_eq!(server.get("/usage?order=user").0, 400);
    let empty = Server::start(&db.with_extension("empty"), &[]);
    assert!(page(&empty, "/usage").contains("The history is empty"));
    let nothing = &empty.envelope("/api/v1/usage")["data"];
    assert_eq!(
        (&nothing["total"]["now"]["count"], &nothing["users"]["rows"]),
        (&json!(0), &json!([]))
    );
    assert!(nothing["from_ms"].as_i64() < nothing["to_ms"].as_i64(), "{nothing}");
}

/// Asserts that each list that a page links a number to has so many queries, without those that the page says began before.
fn assert_counts(server: &Server, path: &str) -> usize {
    let body = page(server, path);
    let mut counted = 0;
    for link in body.split("<a href=\"/?").skip(1) {
        let Some((query, rest)) = link.split_once("\">") else { continue };
        let Some((count, rest)) = rest.split_once("</a>") else { continue };
        let Ok(count) = count.parse::<i64>() else { continue };
        let began = rest.strip_prefix(" <span class=\"before\">");
        let began = began.and_then(|rest| Some(rest.split_once(" began ")?.0.parse().unwrap()));
        let list = format!("/api/v1/queries?limit=1000&{}", query.replace("&amp;", "&"));
        let listed = server.envelope(&list)["data"].as_array().unwrap().len() as i64;
        assert_eq!(listed, count - began.unwrap_or(0), "{path}: {list}");
        counted += 1;
    }
    counted
}

#[test]
fn each_number_of_runs_is_that_of_the_list_behind_it() {
    let (_folder, db, runs) = history();
    let server = Server::start(&db, &[]);
    let range = format!("from={HOUR_MS}&to={}", HOUR_MS + 60 * MINUTE);
    for filter in [
        "", "&user=etl&user=bob", "&user=etl&unknown=user", "&client=10.0.0.1:4000&limit=100",
        "&not_db=shop", "&unknown=table", "&is_failed=true",
    ] {
        let path = format!("/usage?{range}{filter}");
        assert!(assert_counts(&server, &path) > 5, "{path}");
    }
    // Nor does what ran beside a query count another list: it has neither the query nor what began with it.
    let longest = runs.iter().max_by_key(|run| run.ms).unwrap();
    assert!(assert_counts(&server, &format!("/usage/{}", longest.id)) > 5);
    // A list in which no query would be is none.
    let minute = format!("/usage?from={}&to={}", HOUR_MS + 1, HOUR_MS + 2);
    let body = page(&server, &minute);
    assert!(
        body.contains("<dt>Runs</dt><dd>5 <span class=\"before\">5 began before</span>"),
        "{body}"
    );
    assert_eq!(assert_counts(&server, &minute), 0);
}

#[test]
fn baselines_that_are_one_period_are_one_choice() {
    let (_folder, db, _) = history();
    let server = Server::start(&db, &[]);
    for (days, baseline, expected) in [
        (1, "", ["*the day before", "the week before", "four weeks before"].as_slice()),
        (7, "", &["*the week before", "four weeks before"]),
        (7, "&baseline=7d", &["*the week before", "four weeks before"]),
        (10, "", &["*the 10 days before", "14 days before", "four weeks before"]),
        (28, "&baseline=168h", &["*four weeks before"]),
        (1, "&baseline=3d", &["the day before", "the week before", "four weeks before", "3d"]),
    ] {
        let path = format!("/usage?from={}&to={HOUR_MS}{baseline}", HOUR_MS - days * DAY);
        let body = page(&server, &path);
        let choices = body.split("<ul aria-label=\"Compared with\">").nth(1).unwrap();
        let choices = choices.split("</ul>").next().unwrap();
        let choices: Vec<String> = choices
            .split("<li>")
            .skip(1)
            .map(|choice| {
                let text = choice.replace("<bdi>", "").replace("<strong>", "");
                let text = text.split("</").next().unwrap().rsplit('>').next().unwrap().to_string();
                if choice.contains("aria-current") { format!("*{text}") } else { text }
            })
            .collect();
        assert_eq!(choices, expected, "{path}");
    }
}

#[test]
fn a_baseline_that_does_not_end_after_it_begins_is_rejected() {
    let (_folder, db, _) = history();
    let server = Server::start(&db, &[]);
    for path in ["/usage", "/regressions", "/api/v1/usage", "/api/v1/regressions"] {
        let (status, _, body) = server.get(&format!("{path}?baseline=2024-08-02..2024-08-01"));
        let body = String::from_utf8(body).unwrap();
        assert!(status == 400 && body.contains("baseline must end after it begins"), "{body}");
    }
}

#[test]
fn a_range_in_which_nothing_ran_leads_to_others() {
    let (_folder, db, _) = history();
    let server = Server::start(&db, &[]);
    for (range, note) in [
        ("from=2030-01-01", true),
        ("from=2030-01-01&to=2030-01-02", true),
        ("to=2020-01-01", true),
        ("from=2020-01-01&to=2020-01-02", true),
        ("from=2025-11-22&to=2025-11-22T01:00&user=nobody", false),
    ] {
        let body = page(&server, &format!("/usage?{range}"));
        assert!(body.contains("Nothing ran in this range."), "{range}: {body}");
        assert!(body.contains("<ul aria-label=\"Time range\">"), "{range}: {body}");
        assert_eq!(body.contains("Show the 24 hours before it"), note, "{range}: {body}");
        assert!(!body.contains("<h2 id=\"at-once\">"), "{range}: {body}");
    }
    for path in ["/", "/usage"] {
        // A page does not wait long for its chart.
        let mut body = String::new();
        let has_range = || {
            body = page(&server, &format!("{path}?from=2090-01-01"));
            body.contains("<p>from <time datetime=\"20")
        };
        wait_until(has_range, || format!("{path} has no range"));
        assert!(!body.contains("<figure"), "{path}: {body}");
    }
}

#[test]
fn bars_begin_at_the_hours_of_the_zone_and_not_before_the_range() {
    let (_folder, db, _) = history();
    let server = Server::start(&db, &["--time-zone", "Asia/Kolkata"]);
    let bars = |path: &str| -> Vec<String> {
        let body = page(&server, path);
        let bars = body.split("<g data-from=\"").skip(1);
        bars.map(|bar| bar.split('"').next().unwrap().to_string()).collect()
    };
    let usage = bars("/usage?from=2025-11-23T07:15&to=2025-11-26T07:15");
    let first: Vec<&str> = usage.iter().take(3).map(|bar| &**bar).collect();
    assert_eq!(first, ["2025-11-23 07:15:00", "2025-11-23 08:00:00", "2025-11-23 09:00:00"]);
    assert_eq!(usage.len(), 73);
    let mut list = Vec::new();
    let has_chart = || {
        list = bars("/?from=2025-11-01T07:15&to=2025-11-26T07:15");
        !list.is_empty()
    };
    wait_until(has_chart, || "no chart".to_string());
    assert_eq!(list[..2], ["2025-11-01 07:15:00", "2025-11-01 12:00:00"]);
}

/// Asserts that each range of a page ends after it begins.
fn assert_forward(body: &str) {
    let ranges: Vec<&str> = body.split("</time> to <time datetime=\"").collect();
    assert!(ranges.len() > 1, "{body}");
    for pair in ranges.windows(2) {
        let from = pair[0].rsplit("datetime=\"").next().unwrap().split('"').next().unwrap();
        let to = pair[1].split('"').next().unwrap();
        assert!(from < to, "{from} to {to}");
    }
}

#[test]
fn ranges_end_after_they_begin() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let row = json!({ "query_id": "a-1", "started_ms": HOUR_MS, "stmt": "select 1" }).to_string();
    assert_eq!(server.send("POST", "/api/v1/queries", &[], row.as_bytes()).0, 200);
    let body = page(&server, "/regressions");
    assert!(body.contains("14:00:00</time> to <time datetime=\"2025-11-25T14:00:01Z\">"), "{body}");
    for range in ["", "?from=2030-01-01", "?to=2020-01-01", "?from=2025-11-25&to=2030-01-01"] {
        assert_forward(&page(&server, &format!("/regressions{range}")));
        // A range that begins in the future has no end.
        if range != "?from=2030-01-01" {
            assert_forward(&page(&server, &format!("/usage{range}")));
        }
    }
}

/// Returns a history in which queries and loads name tables in each form, and what ran has no statement, and the range of all.
fn tables() -> (TempDir, PathBuf, String) {
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("fe.audit.log"));
    let query = |id: &str, tables: &str| {
        let written = format!("{} [query]", local(HOUR_MS + 1000).replace('.', ","));
        let start = local(HOUR_MS);
        let values = [
            ("QueryId", id),
            ("Timestamp", &start),
            ("Db", "lake"),
            ("queriedTablesAndViews", tables),
            ("Stmt", "select 1"),
        ];
        record_of(DORIS_4_0, &written, &values)
    };
    let load = |label: &str, db: &str, table: &str| {
        let times = [local(HOUR_MS + 100), local(HOUR_MS + 900)];
        let values = [
            ("Label", label),
            ("Db", db),
            ("Table", table),
            ("StartTime", &*times[0]),
            ("FinishTime", &times[1]),
        ];
        stream_load_record(&local(HOUR_MS + 1000).replace('.', ","), &values)
    };
    let records = [
        query("1-1", "[\"internal.shop.orders\"]"),
        query("1-2", "[\"internal.shop.orders\",\"internal.shop.items\"]"),
        query("1-3", "[\"hive.shop.orders\"]"),
        // As StarRocks writes a table of its own catalog.
        query("1-4", "[\"shop.orders\"]"),
        query("1-5", "[]"),
        load("l1", "shop", "orders"),
        load("l2", "lake", "orders"),
        // Which database it wrote to is unknown.
        load("l3", "", "orders"),
        format!(
            "{} [load] |JobId=7|Label=l4|LoadType=BROKER|Db=shop|TableList=orders,items|FilePathList=hdfs://nn:8020/o\
             |BrokerUser=hdfs|Timestamp={HOUR_MS}|LoadStartTime={HOUR_MS}|LoadFinishTime={}|ScanRows=5|ScanBytes=7|FileNumber=1\n",
            local(HOUR_MS + 1000).replace('.', ","),
            HOUR_MS + 500
        ),
    ];
    std::fs::write(&log, records.concat()).unwrap();
    let output = import(&db, &[&log]);
    assert!(output.status.success(), "{}", stderr(&output));
    (folder, db, format!("from={HOUR_MS}&to={}", HOUR_MS + MINUTE))
}

#[test]
fn a_table_is_one_group_for_queries_and_loads() {
    let (_folder, db, range) = tables();
    let server = Server::start(&db, &[]);
    let groups = |filter: &str| -> BTreeMap<String, i64> {
        let tables =
            server.envelope(&format!("/api/v1/usage?{range}{filter}"))["data"]["tables"].clone();
        let rows = tables["rows"].as_array().unwrap().iter();
        rows.map(|row| {
            let name = row["name"].as_str().unwrap_or("unknown").to_string();
            (name, row["now"]["count"].as_i64().unwrap())
        })
        .collect()
    };
    let expected = |groups: &[(&str, i64)]| -> BTreeMap<String, i64> {
        groups.iter().map(|(name, count)| (name.to_string(), *count)).collect()
    };
    let orders = [
        ("internal.shop.orders", 4),
        ("internal.lake.orders", 1),
        ("hive.shop.orders", 1),
        ("shop.orders", 1),
        ("orders", 1),
    ];
    let others = [("internal.shop.items", 2), ("unknown", 1)];
    assert_eq!(groups(""), expected(&[&orders[..], &others[..]].concat()));
    // With a filter by table there are those that it chooses.
    assert_eq!(groups("&table=orders"), expected(&orders));
    assert_eq!(groups("&table=internal.shop.orders"), expected(&orders[..1]));
    assert_eq!(groups("&table=%3Dorders&table=items"), expected(&[orders[4], others[0]]));
    for filter in [
        "", "&table=orders", "&table=shop.orders", "&table=items&unknown=table",
        "&table=%3Dorders", "&not_table=items",
    ] {
        let path = format!("/usage?{range}{filter}");
        assert!(assert_counts(&server, &path) > 3, "{path}");
    }
    let listed = |table: &str| {
        let list =
            annals().args(["list", "--table", table, "-c", "query_id"]).db(&db).output().unwrap();
        stdout(&list).lines().count() - 1
    };
    assert_eq!(
        ["internal.shop.orders", "=shop.orders", "=orders", "orders"].map(listed),
        [4, 1, 1, 8]
    );
}

#[test]
fn what_has_no_statement_is_a_list() {
    let (_folder, db, range) = tables();
    let server = Server::start(&db, &[]);
    let body = page(&server, &format!("/usage?{range}"));
    let link = body.split("<span class=\"unknown\">no statement recorded").next().unwrap();
    assert!(link.ends_with("&amp;unknown=fingerprint\">"), "{link}");
    let path = format!("/usage?{range}&unknown=fingerprint");
    assert!(assert_counts(&server, &path) > 3, "{path}");
    let history = page(&server, &format!("/?{range}&unknown=fingerprint"));
    assert!(history.contains("aria-label=\"Remove Statement unknown\""), "{history}");
    let count = |path: &str| {
        let data = server.envelope(&format!("/api/v1/{path}unknown=fingerprint"))["data"].clone();
        data.as_array().unwrap().len()
    };
    assert_eq!(
        (count("queries?"), count("queries?order=duration_ms&"), count("statements?")),
        (4, 4, 0)
    );
    let timeline =
        server.envelope(&format!("/api/v1/timeline?buckets=1&{range}&unknown=fingerprint"));
    assert_eq!(timeline["data"][0]["count"], 4, "{timeline}");
    let listed =
        annals().args(["list", "--unknown", "fingerprint", "-c", "kind"]).db(&db).output().unwrap();
    assert_eq!(stdout(&listed), format!("kind\n{}", "load\n".repeat(4)));
}
