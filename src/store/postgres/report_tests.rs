//! What PostgreSQL reports of a history is what SQLite reports of the same history.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use super::hours::change_hours;
use crate::domain::account::{Account, Role};
use crate::domain::baseline::Baseline;
use crate::domain::filter::{Choice, QueryFilter};
use crate::domain::login::Login;
use crate::domain::profile::Profile;
use crate::domain::record::{Kind, Origin, QueryRecord, StoredQuery};
use crate::domain::retention::Retention;
use crate::domain::search::Search;
use crate::domain::statement::Fingerprint;
use crate::store::group::{Group, GroupBy};
use crate::store::query::Reader;
use crate::store::{
    Address, Batch, Pruner, Spans, StatementOrder, Steps, Store, UsageOrder, Writer,
};

const START_MS: i64 = 1_767_322_800_000;
const DAY_MS: i64 = 86_400_000;

/// A database of its own on the server of the tests.
struct Database {
    server: String,
    name: String,
}

impl Database {
    async fn new() -> Database {
        let server = std::env::var("ANNALS_TEST_POSTGRES_URL").unwrap();
        let database = Database { server, name: format!("report_{:016x}", fastrand::u64(..)) };
        database.run("CREATE DATABASE").await;
        database
    }

    async fn run(&self, command: &str) {
        let mut connection = PgConnection::connect(&self.server).await.unwrap();
        let sql = format!("{command} {}", self.name);
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    async fn open(&self) -> Store {
        Store::open(&Address::parse(self.url().into()).unwrap()).await.unwrap()
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// Removes all summaries of hours. Returns how many there were.
    async fn forget_all_hours(&self) -> u64 {
        let mut connection = self.connect().await;
        let removed = sqlx::query("DELETE FROM hour_summary").execute(&mut connection).await;
        connection.close().await.unwrap();
        removed.unwrap().rows_affected()
    }
}

/// The same history in a file and in a database.
struct Both {
    _folder: TempDir,
    database: Database,
    stores: [Store; 2],
    writers: [Writer; 2],
}

impl Both {
    async fn new() -> Both {
        let folder = TempDir::new().unwrap();
        let file = Address::File(folder.path().join("a.db"));
        let database = Database::new().await;
        let stores = [Store::open(&file).await.unwrap(), database.open().await];
        let writer =
            async |store: &Store| store.writer(Duration::from_secs(60), None).await.unwrap();
        let writers = [writer(&stores[0]).await, writer(&stores[1]).await];
        Both { _folder: folder, database, stores, writers }
    }

    async fn write(&self, batch: impl Fn() -> Batch) {
        for writer in &self.writers {
            writer.write(batch()).await.unwrap();
        }
    }

    /// Asserts that both stores answer the same.
    async fn agree<T: std::fmt::Debug + PartialEq>(
        &self,
        what: &str,
        ask: impl AsyncFn(&Store) -> T,
    ) -> T {
        let [file, database] = &self.stores;
        let (expected, found) = (ask(file).await, ask(database).await);
        assert_eq!(found, expected, "{what}");
        found
    }

    async fn end(self) {
        for (writer, store) in self.writers.iter().zip(&self.stores) {
            writer.finish().await.unwrap();
            store.close().await.unwrap();
        }
        self.database.run("DROP DATABASE").await;
    }
}

/// Returns one of some values.
fn one_of<T: Copy>(random: &mut fastrand::Rng, values: &[T]) -> T {
    values[random.usize(..values.len())]
}

/// Returns queries with odd values. Sums of some of them leave 64 bits, and come back.
fn odd_records(seed: u64) -> Vec<QueryRecord> {
    let mut random = fastrand::Rng::with_seed(seed);
    let random = &mut random;
    let users = [None, Some("root"), Some("alice"), Some("Älice"), Some("")];
    let states =
        [None, Some("EOF"), Some("err"), Some("Error"), Some("FINISHED"), Some("cAncelled")];
    let record = |number: usize| {
        let kind = if random.u8(..10) == 0 { Kind::Load } else { Kind::Query };
        let id = format!("{number:x}-{seed:x}").parse().unwrap();
        let mut record = QueryRecord::new(id, kind, Origin::Audit);
        let near = START_MS + random.i64(-2 * DAY_MS..2 * DAY_MS);
        record.started_ms = one_of(
            random,
            &[
                Some(near),
                Some(near),
                Some(near),
                Some(START_MS),
                Some(-1),
                Some(-900_001),
                Some(0),
                None,
            ],
        );
        let short = Some(random.i64(0..50));
        let odd = one_of(random, &[-7, i64::MAX, i64::MIN]);
        let large = one_of(random, &[1 << 40, 1 << 60]);
        record.duration_ms =
            one_of(random, &[short, short, short, Some(1_000_003), Some(odd), None]);
        record.scan_rows = one_of(random, &[short, Some(odd), Some(large), None]);
        record.scan_bytes = one_of(random, &[short, Some(odd), None]);
        record.queue_time_ms = one_of(random, &[short, None]);
        record.cache_hit = one_of(random, &[Some(true), Some(false), None]);
        record.error_code = one_of(random, &[None, Some(0), Some(0), Some(1105)]);
        record.state = one_of(random, &states).map(str::to_string);
        record.user = match random.u8(..3) {
            0 => Some(format!("user{}", random.u8(..))),
            1 if number.is_multiple_of(50) => Some("u".repeat(3000)),
            _ => one_of(random, &users).map(str::to_string),
        };
        record.cluster = one_of(random, &[None, Some("prod"), Some("test")]).map(str::to_string);
        record.db =
            one_of(random, &[None, Some("tpch"), Some("TPCH"), Some("")]).map(str::to_string);
        record.frontend = one_of(random, &[None, Some("fe1"), Some("fe2")]).map(str::to_string);
        let table = random.u8(..40);
        let statement = format!("SELECT {} FROM t{table} WHERE a_b = 'x''y%'", random.u8(..));
        record.statement = (random.u8(..20) > 0).then_some(statement);
        record
    };
    (0..2500).map(record).collect()
}

fn filters(fingerprint: Fingerprint) -> Vec<QueryFilter> {
    let all = QueryFilter { limit: 1000, ..QueryFilter::default() };
    let text = |text: &str| Choice::one(text);
    let but = |text: &str| Choice { none_of: vec![text.to_string()], ..Choice::default() };
    let search = |text, words| Some(Search::new(text, words).unwrap());
    vec![
        all.clone(),
        QueryFilter { limit: 3, ..all.clone() },
        QueryFilter { user: text("alice"), ..all.clone() },
        QueryFilter { user: text(""), ..all.clone() },
        QueryFilter { user: text(&"u".repeat(3000)), ..all.clone() },
        QueryFilter { user: text("Alice"), ..all.clone() },
        QueryFilter { user: but("alice"), ..all.clone() },
        QueryFilter { db: but("tpch"), is_failed: Some(true), ..all.clone() },
        QueryFilter { has_profile: Some(true), ..all.clone() },
        QueryFilter { db: text("tpch"), ..all.clone() },
        QueryFilter { cluster: text("test"), ..all.clone() },
        QueryFilter { cluster: but("prod"), ..all.clone() },
        QueryFilter { state: text("ERR"), ..all.clone() },
        QueryFilter { state: text("CANCELLED"), kind: Some(Kind::Load), ..all.clone() },
        QueryFilter { fingerprint: Some(fingerprint), ..all.clone() },
        QueryFilter {
            no_statement: Choice { is_unknown: true, ..Choice::default() },
            ..all.clone()
        },
        QueryFilter { table: text("orders"), ..all.clone() },
        QueryFilter { table: text("=t1"), ..all.clone() },
        QueryFilter { search: search(Some("from t1 "), None), ..all.clone() },
        QueryFilter { search: search(Some("'X''Y%"), Some("a_b t7")), ..all.clone() },
        QueryFilter { search: search(None, Some("17")), ..all.clone() },
        QueryFilter { min_ms: Some(40), ..all.clone() },
        QueryFilter { min_queue_ms: Some(30), cache_hit: Some(true), ..all.clone() },
        QueryFilter { cache_hit: Some(false), ..all.clone() },
        QueryFilter { from_ms: Some(START_MS), ..all.clone() },
        QueryFilter { to_ms: Some(START_MS), ..all.clone() },
        QueryFilter { to_ms: Some(0), user: text("root"), ..all },
    ]
}

fn of_group(group: &Group) -> impl Ord + std::fmt::Debug + use<> {
    let durations = &group.durations;
    (
        (group.fingerprint.map(Fingerprint::to_signed), group.name.clone()),
        (group.count, group.errors, group.total_ms, group.scan_rows, group.scan_bytes),
        [1, 50, 95, 99, 100].map(|percent| durations.percentile(percent)),
        (durations.count(), group.users.len(), group.first_ms, group.last_ms),
    )
}

/// Asserts that both stores group and count the same queries alike.
async fn groups_agree(both: &Both, fingerprints: &[Fingerprint]) {
    let some = ["prod".to_string()];
    let readers =
        [(None, None), (Some("alice"), None), (Some("nobody"), None), (None, Some(&some[..]))];
    let readers = readers.map(|(owner, clusters)| Reader { owner, clusters, ..Reader::default() });
    for filter in filters(fingerprints[0]) {
        for reader in readers {
            let what = format!("{filter:?} of {reader:?}");
            let kolkata = "Asia/Kolkata".parse().unwrap();
            let hour = GroupBy::Hour(kolkata);
            for by in [GroupBy::Statement, GroupBy::User, GroupBy::Db, GroupBy::Cluster, hour] {
                both.agree(&format!("{by:?}, {what}"), async |store| {
                    let groups = store.top(&filter, by, reader).await.unwrap();
                    let mut groups: Vec<_> = groups.iter().map(of_group).collect();
                    groups.sort();
                    groups
                })
                .await;
            }
            for order in [StatementOrder::Total, StatementOrder::P95] {
                both.agree(&format!("{order:?}, {what}"), async |store| {
                    let page = store.statements(&filter, order, reader).await.unwrap();
                    format!("{page:?}")
                })
                .await;
            }
            for (from_ms, width_ms, count) in
                [(START_MS - DAY_MS, 3_600_001, 40), (-1_000_000, 1_000, 2000), (0, i64::MAX, 1)]
            {
                let spans = Spans { from_ms, width_ms, count };
                both.agree(&format!("{spans:?}, {what}"), async |store| {
                    format!("{:?}", store.timeline(&filter, spans, reader).await.unwrap())
                })
                .await;
            }
        }
    }
    for reader in readers {
        both.agree("trends", async |store| {
            let spans = (START_MS - DAY_MS, 7_000_001, 30);
            let trends = store.trends(fingerprints, spans, reader).await.unwrap();
            trends
                .into_iter()
                .map(|(it, trend)| (it.to_signed(), trend))
                .collect::<BTreeMap<_, _>>()
        })
        .await;
    }
}

/// Makes the summary of each hour that has none. Returns how many were made.
async fn sum_hours(store: &Store, writer: &Writer) -> usize {
    let mut made = 0;
    loop {
        let hours = store.unsummed_hours().await.unwrap();
        if hours.is_empty() {
            return made;
        }
        made += hours.len();
        sum(store, writer, hours).await;
    }
}

async fn sum(store: &Store, writer: &Writer, hours: Vec<i64>) {
    let token = fastrand::i64(..);
    let mut begin = Batch::default();
    begin.begin_hours(hours.clone(), token);
    writer.write(begin).await.unwrap();
    let mut filled = Batch::default();
    for hour in hours {
        filled.fill_hour(hour, token, store.sum_hour(hour).await.unwrap());
    }
    writer.write(filled).await.unwrap();
}

async fn reports_agree(seed: u64) {
    let both = Both::new().await;
    for some in odd_records(seed).chunks(700) {
        both.write(|| {
            let mut batch = Batch::default();
            some.iter().cloned().for_each(|record| batch.record(record));
            batch
        })
        .await;
    }
    let every = QueryFilter { limit: 1000, ..QueryFilter::default() };
    let statements = both.stores[0]
        .statements(&every, StatementOrder::Count, Reader::default())
        .await
        .unwrap()
        .statements;
    let fingerprints: Vec<Fingerprint> = statements.iter().map(|one| one.fingerprint).collect();
    assert!(fingerprints.len() > 30);
    groups_agree(&both, &fingerprints).await;
    // Hours before 1970 and of today have summaries, too.
    for (store, writer) in both.stores.iter().zip(&both.writers) {
        assert!(sum_hours(store, writer).await > 40);
        assert!(store.unsummed_hours().await.unwrap().is_empty());
    }
    groups_agree(&both, &fingerprints).await;
    let some = ["prod".to_string()];
    let readers =
        [(None, None), (Some("alice"), None), (Some("nobody"), None), (None, Some(&some[..]))];
    let readers = readers.map(|(owner, clusters)| Reader { owner, clusters, ..Reader::default() });
    usage_agrees(&both, &fingerprints, &readers).await;
    both.agree("normalized statements", async |store| {
        let mut fingerprints: HashSet<_> = fingerprints.iter().copied().collect();
        fingerprints.insert(Fingerprint::from_signed(1));
        store.normalized_statements(&fingerprints).await.unwrap()
    })
    .await;
    both.agree("frontends", async |store| {
        let mut frontends = store.frontends().await.unwrap();
        frontends.sort();
        frontends
    })
    .await;
    both.end().await;
}

/// Asserts that both stores say the same of who used the cluster, and of what ran beside some queries.
async fn usage_agrees(both: &Both, fingerprints: &[Fingerprint], readers: &[Reader<'_>]) {
    let steps = Steps::Number(50);
    for filter in filters(fingerprints[0]) {
        for (reader, (from_ms, to_ms)) in readers.iter().flat_map(|reader| {
            let ranges = [
                (START_MS, START_MS + 1),
                (START_MS - DAY_MS, START_MS + DAY_MS),
                (-1_000_000, 1_000_000),
                (i64::MIN, i64::MAX),
            ];
            ranges.map(|range| (*reader, range))
        }) {
            let range =
                QueryFilter { from_ms: Some(from_ms), to_ms: Some(to_ms), ..filter.clone() };
            // Some of the ranges have more queries than that, and are cut.
            for (order, baseline, most) in [
                (UsageOrder::Running, Baseline::DAY_BEFORE, 1_000_000),
                (UsageOrder::ScanBytes, Baseline::default(), 100),
            ] {
                both.agree(&format!("{order:?}, {range:?} of {reader:?}"), async |store| {
                    let usage = store.usage_of(&range, baseline, (order, steps), most, reader);
                    format!("{:?}", usage.await.unwrap())
                })
                .await;
            }
        }
    }
    let every = QueryFilter { limit: 60, ..QueryFilter::default() };
    let queries = both.stores[0].records(&every, Reader::default()).await.unwrap();
    for query in queries {
        for reader in readers {
            for cluster in [None, Some("test")] {
                both.agree(&format!("beside {} of {reader:?}", query.query_id), async |store| {
                    let found = store.concurrent_of(&query, cluster, (10, 30), *reader).await;
                    format!("{:?}", found.unwrap())
                })
                .await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn reports_of_odd_values_agree() {
    reports_agree(1).await;
}

/// What a merge reads of a history: each record and its profile, and the log-ins.
async fn content(store: &Store) -> (BTreeMap<String, (QueryRecord, Option<Vec<u8>>)>, Vec<Login>) {
    let (mut queries, mut last) = (BTreeMap::new(), i64::MIN);
    while let Some(page) = store.page_after(last).await.unwrap() {
        last = page.last;
        for StoredQuery { id: row, record, has_profile, .. } in page.queries {
            let id = record.query_id.to_string();
            let content = match has_profile {
                true => {
                    let profile = store.profile_of_row(row, record).await.unwrap().unwrap();
                    (profile.summary, Some(profile.text))
                }
                false => (record, None),
            };
            queries.insert(id, content);
        }
    }
    let (mut logins, mut last) = (Vec::new(), i64::MIN);
    while let Some((some, end)) = store.logins_after(last).await.unwrap() {
        last = end;
        logins.extend(some);
    }
    (queries, logins)
}

fn login(number: i64) -> Login {
    Login {
        id: format!("l{number}"),
        at_ms: START_MS + number * 60_000,
        user: (number % 3 > 0).then(|| "alice".to_string()),
        client: None,
        frontend: None,
        catalog: None,
        db: None,
        succeeded: number % 4 > 0,
        error_code: (number % 4 == 0).then_some(1045),
        error_message: None,
        extra: BTreeMap::from([("AuthorizedUser".to_string(), "'alice'@'%'".to_string())]),
        zoned: crate::domain::record::Zoned::Instant,
    }
}

/// Removes what is beyond the bounds. Returns how many queries and profiles were removed.
async fn prune(store: &Store, writer: &Writer, retention: &Retention, now_ms: i64) -> (u64, u64) {
    let mut pruner = Pruner::once(store.clone(), retention.clone());
    let (mut queries, mut profiles) = (0, 0);
    loop {
        let removal = pruner.next(now_ms).await.unwrap();
        if removal.is_empty() {
            return (queries, profiles);
        }
        let written = writer.write(Batch::removal(removal)).await.unwrap();
        pruner.removed(&written);
        queries += written.removed_queries;
        profiles += written.removed_profiles;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn retention_and_merging_find_the_same() {
    let both = Both::new().await;
    for (part, some) in odd_records(3).chunks(700).enumerate() {
        both.write(|| {
            let mut batch = Batch::default();
            batch.label("db", &format!("label-{part}"));
            for (number, record) in some.iter().cloned().enumerate() {
                match number % 5 {
                    0 => {
                        let text = format!("Summary:\n  - Profile ID: {}\n", record.query_id);
                        let text = text.repeat(1 + number % 7).into_bytes();
                        batch.profile(Profile { summary: record, text });
                    }
                    _ => batch.record(record),
                }
            }
            (0..1200).for_each(|number| batch.login(login(number)));
            batch
        })
        .await;
    }
    let sizes = async |store: &Store| {
        let sizes = store.sizes().await.unwrap();
        assert!(sizes.file_bytes > 0 && store.disk_usage().await.unwrap().used_bytes() > 0);
        let logins = store.login_counts().await.unwrap();
        let first = store.first_login_ms().await.unwrap();
        let stored = (sizes.queries, sizes.profiles, sizes.profile_text_bytes, sizes.profile_bytes);
        (stored, logins.all, logins.failed, first)
    };
    let (stored, ..) = both.agree("sizes", sizes).await;
    assert!(stored.0 == 2500 && stored.1 > 400);
    both.agree("content", content).await;
    for until_ms in [i64::MIN, -2, 0, START_MS, i64::MAX] {
        both.agree("newest start", async |store| store.newest_start_ms(until_ms).await.unwrap())
            .await;
    }
    both.agree("labels", async |store| {
        let outdated = async |before_ms, most| {
            store.outdated_labels(before_ms, most).await.unwrap().map(|ms| ms == before_ms)
        };
        [outdated(0, 1 << 20).await, outdated(i64::MAX, 1 << 20).await, outdated(0, 100).await]
    })
    .await;
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    let nothing = Retention::default();
    for retention in [
        Retention { keep_profiles: hours(60), ..nothing.clone() },
        Retention { profiles_max_size: Some(6_000), ..nothing.clone() },
        Retention { keep_profiles: hours(40), profiles_max_size: Some(3_000), ..nothing.clone() },
        Retention { keep_queries: hours(48), ..nothing.clone() },
        Retention { keep_queries: hours(1), ..nothing },
    ] {
        let now_ms = START_MS + 2 * DAY_MS;
        let mut removed = Vec::new();
        for (store, writer) in both.stores.iter().zip(&both.writers) {
            removed.push(prune(store, writer, &retention, now_ms).await);
        }
        assert_eq!(removed[0], removed[1], "{retention:?}");
        assert_ne!(removed[0], (0, 0), "{retention:?}");
        both.agree("sizes", sizes).await;
        both.agree("content", content).await;
        both.agree("statements", async |store| {
            let (unused, next) = store.unused_statements(i64::MIN).await.unwrap();
            (unused.len(), next)
        })
        .await;
        both.agree("mark", async |store| store.retention_mark().await.unwrap()).await;
    }
    both.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn accounts_are_replaced_and_removed() {
    let both = Both::new().await;
    let put = async |name: &str, role| {
        let account = Account {
            name: name.to_string(),
            role,
            password_hash: "hash".to_string(),
            clusters: (role == Role::User).then(|| vec!["prod".to_string(), "测试".to_string()]),
        };
        for store in &both.stores {
            store.put_account(&account).await.unwrap();
        }
    };
    put("bob", Role::User).await;
    put("Ärger", Role::User).await;
    put("bob", Role::Admin).await;
    let accounts = async |store: &Store| {
        let accounts = store.accounts().await.unwrap().into_iter();
        accounts
            .map(|it| (it.name, it.role.name().to_string(), it.password_hash, it.clusters))
            .collect::<Vec<_>>()
    };
    assert_eq!(both.agree("accounts", accounts).await.len(), 2);
    both.agree("removal", async |store| {
        let first = store.remove_account("bob").await.unwrap();
        (first, store.remove_account("bob").await.unwrap())
    })
    .await;
    assert_eq!(both.agree("accounts", accounts).await.len(), 1);
    both.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn one_annals_at_a_time_has_a_lease() {
    let database = Database::new().await;
    let (one, other) = (database.open().await, database.open().await);
    assert!(one.holds("retention", 60_000).await.unwrap());
    assert!(!other.holds("retention", 60_000).await.unwrap());
    assert!(one.holds("retention", 60_000).await.unwrap());
    assert!(other.holds("frontend a", 60_000).await.unwrap());
    // A lease that is over is free.
    assert!(one.holds("frontend b", 50).await.unwrap());
    while !other.holds("frontend b", 60_000).await.unwrap() {
        tokio::task::yield_now().await;
    }
    assert!(!one.holds("frontend b", 60_000).await.unwrap());
    // An annals that stops gives its leases back, and no others.
    one.close().await.unwrap();
    assert!(other.holds("retention", 60_000).await.unwrap());
    let third = database.open().await;
    assert!(!third.holds("frontend a", 60_000).await.unwrap());
    // Of many that ask at once, one gets it.
    let asked = (0..8).map(|_| database.open());
    let stores = futures_util::future::join_all(asked).await;
    let asked = stores.iter().map(|store| store.holds("new", 60_000));
    let held = futures_util::future::join_all(asked).await;
    assert_eq!(held.into_iter().filter(|held| *held.as_ref().unwrap()).count(), 1);
    for store in stores.iter().chain([&other, &third]) {
        store.close().await.unwrap();
    }
    database.run("DROP DATABASE").await;
}

/// A reading of an hour waits for a transaction that has changed the hour and is not committed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_reading_begins_after_what_is_being_committed() {
    let database = Database::new().await;
    let store = database.open().await;
    let writer = store.writer(Duration::from_secs(60), None).await.unwrap();
    let hour = START_MS / 3_600_000;
    let mut connection = database.connect().await;
    let mut other = connection.begin().await.unwrap();
    let insert = format!(
        "INSERT INTO query (query_id, kind, origin, is_slow, started_ms) VALUES ('a-1', 'query', 'audit', false, {START_MS})"
    );
    sqlx::query(AssertSqlSafe(insert)).execute(&mut *other).await.unwrap();
    change_hours(&mut other, &foldhash::HashSet::from_iter([hour]), &[]).await.unwrap();
    let mut watch = database.connect().await;
    let waits = async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watch).await.unwrap() == 0 {}
        other.commit().await.unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = waits => {}
        () = sum(&store, &writer, vec![hour]) => {}
    }
    let every = QueryFilter {
        from_ms: Some(START_MS - DAY_MS),
        to_ms: Some(START_MS + DAY_MS),
        ..QueryFilter::default()
    };
    let groups = store.top(&every, GroupBy::User, Reader::default()).await.unwrap();
    assert_eq!(groups.iter().map(|group| group.count).collect::<Vec<_>>(), [1]);
    assert_eq!(database.forget_all_hours().await, 1);
    writer.finish().await.unwrap();
    store.close().await.unwrap();
    connection.close().await.unwrap();
    watch.close().await.unwrap();
    database.run("DROP DATABASE").await;
}

/// Two writers store queries of the same few hours, and prune and change some, while a third sums these hours.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn no_summary_lacks_what_others_write_meanwhile() {
    let database = Database::new().await;
    let stores = [database.open().await, database.open().await, database.open().await];
    let mut writers = Vec::new();
    for store in &stores {
        writers.push(store.writer(Duration::from_secs(60), None).await.unwrap());
    }
    let write = async |writer: &Writer, of: usize| {
        let mut random = fastrand::Rng::with_seed(of as u64);
        for round in 0..60 {
            let mut batch = Batch::default();
            for number in 0..20 {
                // Some are of the other writer, too, and change.
                let known = random.u8(..4) == 0;
                let id = if known {
                    format!("a{number:x}-1")
                } else {
                    format!("{round:x}{number:x}-{of}")
                };
                let mut record = QueryRecord::new(id.parse().unwrap(), Kind::Query, Origin::Audit);
                record.started_ms = Some(START_MS + random.i64(0..4 * 3_600_000));
                record.duration_ms = (round % 2 == 0).then(|| random.i64(0..1000));
                record.user = Some(format!("user{}", random.u8(..3)));
                record.statement = Some(format!("select {number} from t{number}"));
                batch.record(record);
            }
            writer.write(batch).await.unwrap();
        }
    };
    let hour = START_MS / 3_600_000;
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let sums = async {
        while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
            sum(&stores[2], &writers[2], (hour..hour + 4).collect()).await;
        }
    };
    let writes = async {
        tokio::join!(write(&writers[0], 1), write(&writers[1], 2));
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(sums, writes);
    let every = QueryFilter {
        from_ms: Some(START_MS - DAY_MS),
        to_ms: Some(START_MS + DAY_MS),
        limit: 1000,
        ..QueryFilter::default()
    };
    let top = async || {
        let groups = stores[0].top(&every, GroupBy::User, Reader::default()).await.unwrap();
        let mut groups: Vec<_> = groups.iter().map(of_group).collect();
        groups.sort();
        groups
    };
    let with_some = top().await;
    sum(&stores[2], &writers[2], (hour..hour + 4).collect()).await;
    let with_all = top().await;
    assert_eq!(database.forget_all_hours().await, 4);
    let with_none = top().await;
    assert_eq!(with_some, with_none);
    assert_eq!(with_all, with_none);
    for (writer, store) in writers.iter().zip(&stores) {
        writer.finish().await.unwrap();
        store.close().await.unwrap();
    }
    database.run("DROP DATABASE").await;
}
