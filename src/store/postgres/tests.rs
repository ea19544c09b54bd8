//! Tests that need a PostgreSQL. The variable ANNALS_TEST_POSTGRES_URL has the address of a database of it, whose user may
//! make databases.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use annals_postgres_statements as statements;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::conditions::Conditions;
use super::list::SELECT_LISTED;
use super::long_reads::LongReads;
use super::rows::SELECT_QUERY;
use super::{PostgresAddress, Store as PostgresStore};
use crate::domain::exclusion::ExclusionRules;
use crate::domain::filter::{Choice, QueryFilter, QueryOrder};
use crate::domain::profile::Profile;
use crate::domain::record::{Kind, Origin, QueryId, QueryRecord};
use crate::domain::search::{CellSearch, Search};
use crate::domain::statement::Fingerprint;
use crate::domain::time::Zone;
use crate::store::query::{Reader, StoredProfile};
use crate::store::{Batch, Store, StoreError};

/// A database of its own for one test.
struct Database {
    server: String,
    name: String,
}

impl Database {
    async fn make() -> Database {
        let server = std::env::var("ANNALS_TEST_POSTGRES_URL").unwrap();
        let name = format!("annals_test_{:016x}", fastrand::u64(..));
        let mut connection = PgConnection::connect(&server).await.unwrap();
        let make = format!("CREATE DATABASE {name}");
        connection.execute(AssertSqlSafe(make)).await.unwrap();
        Database { server, name }
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    async fn open(&self) -> PostgresStore {
        PostgresStore::open(&PostgresAddress::parse(&self.url()).unwrap()).await.unwrap()
    }

    async fn remove(self) {
        let mut connection = PgConnection::connect(&self.server).await.unwrap();
        let remove = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        connection.execute(AssertSqlSafe(remove)).await.unwrap();
    }
}

fn one_of<T: Clone>(random: &mut fastrand::Rng, some: &[T]) -> T {
    some[random.usize(..some.len())].clone()
}

/// A text of few different signs, so that short texts are found in it.
fn odd_text(random: &mut fastrand::Rng, longest: usize) -> String {
    let signs = [
        "a", "A", "b", "B", "z", "_", "0", "9", " ", "\n", "\t", "\\", "%", ".", "*", "(", "[",
        "]", "$", "^", "'", "{", "|", "ä", "Ä", "ß", "İ", "K", "订", "😀", "\u{1}", "\u{7f}",
        "\u{a0}", "d", "s", "w", "?", "+", "-", "#",
    ];
    (0..random.usize(..=longest)).map(|_| one_of(random, &signs)).collect()
}

fn long_name() -> String {
    "long".repeat(300)
}

fn record(random: &mut fastrand::Rng, number: usize) -> QueryRecord {
    let kind = one_of(random, &[Kind::Query, Kind::Query, Kind::Load]);
    let id = format!("{:x}-{number:x}", random.u32(..));
    let mut record = QueryRecord::new(id.parse().unwrap(), kind, Origin::Audit);
    let some = |random: &mut fastrand::Rng, texts: &[&str]| {
        (random.u8(..8) > 0).then(|| one_of(random, texts).to_string())
    };
    record.state = some(random, &["EOF", "eof", "ERR", "Öl", "öl", "RUNNING"]);
    record.started_ms = (random.u8(..6) > 0).then(|| 1_700_000_000_000 + random.i64(..400));
    record.ended_ms = record.started_ms.map(|ms| ms + 60_000);
    record.duration_ms = (random.u8(..6) > 0).then(|| random.i64(..100_000));
    record.user = some(random, &["alice", "bob", "Bob", "ünal", &long_name()]);
    record.db = some(random, &["shop", "Shop", "lake"]);
    record.frontend = some(random, &["fe1:9030", "10.0.0.1:9030"]);
    record.client = some(random, &["10.0.0.9:1", "10.0.0.9", "[::1]:40010", "fe80::1:40010"]);
    record.workload_group = some(random, &["normal", "etl"]);
    record.compute_group = some(random, &["cg1", "cg2"]);
    record.cluster = some(random, &["prod", "test", "生产"]);
    let tables = ["[\"internal.shop.orders\",\"internal.shop.items\"]", "[]", "[a.lake.orders, b]"];
    record.queried_tables = some(random, &tables);
    record.session_id = some(random, &["17", "18"]);
    record.trace_id = some(random, &["t1", "t2", &long_name()]);
    record.queue_time_ms = (random.u8(..3) > 0).then(|| random.i64(..50));
    record.cache_hit = (random.u8(..3) > 0).then(|| random.bool());
    let odd = odd_text(random, 30);
    record.statement = (random.u8(..8) > 0)
        .then(|| one_of(random, &["select 1".to_string(), "SELECT  2".to_string(), odd]));
    record
}

fn search(random: &mut fastrand::Rng) -> Option<Search> {
    let text = random.bool().then(|| odd_text(random, 4));
    let words = random.bool().then(|| format!("{} {}", odd_text(random, 2), odd_text(random, 2)));
    Search::new(text.as_deref(), words.as_deref()).ok()
}

fn filter(random: &mut fastrand::Rng, fingerprints: &[Fingerprint]) -> QueryFilter {
    let mut given = || random.u8(..9) == 0;
    let given: Vec<bool> = (0..23).map(|_| given()).collect();
    let text = |is_given: bool, random: &mut fastrand::Rng, texts: &[&str]| {
        let mut some = |most: usize| {
            (0..random.usize(..=most)).map(|_| one_of(random, texts).to_string()).collect()
        };
        match is_given {
            true => Choice { any_of: some(2), none_of: some(1), is_unknown: random.bool() },
            false => Choice::default(),
        }
    };
    let anywhere =
        one_of(random, &["a", "1", ":0", "2023-11", "fe1", "订", "sec", "N/A", "%", "\\"]);
    QueryFilter {
        limit: random.u32(1..60),
        // Only lists by start search everywhere.
        order: if given[7] { QueryOrder::Start } else { one_of(random, &QueryOrder::ALL) },
        is_ascending: !given[7] && given[20],
        after: None,
        user: text(given[0], random, &["alice", "Bob", "nobody", &long_name()]),
        db: text(given[1], random, &["shop", "Shop", "no"]),
        state: text(given[2], random, &["Eof", "err", "ÖL", "öL"]),
        client: text(given[12], random, &["10.0.0.9", "10.0.0.9:1", "[::1]", "fe80::1", "fe80"]),
        frontend: text(given[13], random, &["fe1:9030", "fe1"]),
        workload_group: text(given[14], random, &["normal", "etl"]),
        compute_group: text(given[15], random, &["cg1", "cg2"]),
        cluster: text(given[21], random, &["prod", "生产", "no"]),
        table: text(
            given[16],
            random,
            &["orders", "shop.orders", "internal.shop.items", "rders", "=b"],
        ),
        session_id: text(given[19], random, &["17", "1"]),
        no_statement: Choice { is_unknown: given[22], ..Choice::default() },
        is_failed: given[17].then(|| random.bool()),
        has_profile: given[18].then(|| random.bool()),
        kind: given[3].then_some(Kind::Load),
        fingerprint: given[4].then(|| one_of(random, fingerprints)),
        search: if given[5] || given[6] { search(random) } else { None },
        anywhere: given[7].then(|| CellSearch::new(anywhere.to_string(), Zone::UTC).unwrap()),
        min_ms: given[8].then(|| random.i64(..100_000)),
        min_queue_ms: given[9].then(|| random.i64(..50)),
        cache_hit: given[10].then(|| random.bool()),
        from_ms: given[11].then(|| 1_700_000_000_000 + random.i64(-10..400)),
        to_ms: (random.u8(..6) == 0).then(|| 1_700_000_000_000 + random.i64(-10..500)),
    }
}

/// Returns the queries of each page of a list.
async fn pages(store: &Store, filter: &QueryFilter, reader: Reader<'_>) -> Vec<Vec<String>> {
    let mut filter = filter.clone();
    let mut pages = Vec::new();
    loop {
        let page = store.page(&filter, reader).await.unwrap();
        assert_eq!(page.incomplete, None);
        let mut listed = Vec::new();
        let each = |query: crate::store::ListedQuery<'_>| listed.push(query.query_id.to_string());
        assert_eq!(store.list(&filter, reader, each).await.unwrap(), None);
        let ids: Vec<&str> = page.queries.iter().map(|query| query.query_id.as_str()).collect();
        assert_eq!(listed, ids);
        let query = |query: &crate::store::StoredQuery| {
            format!("{:?} {:?} {}", query.record, query.fingerprint, query.has_profile)
        };
        pages.push(page.queries.iter().map(query).collect());
        match page.next(&filter) {
            Some(after) => filter.after = Some(after),
            None => return pages,
        }
    }
}

async fn profile(store: &Store, id: &QueryId, reader: Reader<'_>) -> String {
    match store.profile(id, reader).await.unwrap() {
        StoredProfile::Text(text, hash) => {
            format!("{hash} {}", String::from_utf8_lossy(&text.unpack().unwrap()))
        }
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn both_engines_give_the_same() {
    let mut random = fastrand::Rng::with_seed(18);
    let folder = tempfile::TempDir::new().unwrap();
    let database = Database::make().await;
    let sqlite = crate::store::SqliteStore::open(&folder.path().join("a.db")).await.unwrap().into();
    let stores: [Store; 2] = [sqlite, Store::Postgres(database.open().await)];
    let records: Vec<QueryRecord> = (0..600).map(|number| record(&mut random, number)).collect();
    for store in &stores {
        let writer = store.bulk_writer().await.unwrap();
        // A batch whose answer nobody waits for is withdrawn.
        let mut answers = Vec::new();
        for record in &records {
            let mut batch = Batch::new(ExclusionRules::default());
            batch.record(record.clone());
            if record.query_id.as_str().ends_with('7') {
                let size = if record.query_id.as_str().ends_with("77") { 9000 } else { 3 };
                let text = format!("Summary:\n{}", "  - Profile ID: 1-2\n".repeat(size));
                batch.profile(Profile { summary: record.clone(), text: text.into_bytes() });
            }
            answers.push(writer.send(batch).await.unwrap());
        }
        writer.finish().await.unwrap();
    }
    let [sqlite, postgres] = &stores;
    let all = QueryFilter { limit: 1000, ..QueryFilter::default() };
    let stored = sqlite.page(&all, Reader::default()).await.unwrap().queries;
    assert_eq!(stored.len(), 600);
    let fingerprints: Vec<Fingerprint> = stored.iter().filter_map(|it| it.fingerprint).collect();
    let owners = [None, None, Some("alice"), Some("nobody"), Some(&*long_name())]
        .map(|it| it.map(str::to_string));
    let clusters =
        [None, None, Some(vec!["test".to_string(), "生产".to_string()]), Some(Vec::new())];
    let mut found = 0;
    for _ in 0..300 {
        let filter = filter(&mut random, &fingerprints);
        let owner = one_of(&mut random, &owners);
        let clusters = one_of(&mut random, &clusters);
        let (owner, clusters) = (owner.as_deref(), clusters.as_deref());
        let reader = Reader { owner, clusters, ..Reader::default() };
        let (ours, theirs) =
            (pages(postgres, &filter, reader).await, pages(sqlite, &filter, reader).await);
        assert_eq!(ours, theirs, "{filter:?} {reader:?}");
        found += usize::from(!ours[0].is_empty());
    }
    assert!(found > 60, "{found}");
    for query in &stored {
        let id = &query.query_id;
        for (owner, clusters) in [
            (None, None),
            (query.user.as_deref(), None),
            (Some("nobody"), None),
            (None, clusters[2].as_deref()),
        ] {
            let reader = Reader { owner, clusters, ..Reader::default() };
            let mut one = [String::new(), String::new()];
            for (store, one) in stores.iter().zip(&mut one) {
                let record = store.record(id, reader).await.unwrap();
                let record = record.map(|it| (it.record, it.fingerprint, it.has_profile));
                let statement = store.statement(id, reader).await.unwrap();
                *one = format!("{record:?} {statement:?} {}", profile(store, id, reader).await);
                store.listed(id, reader, |query| *one += query.query_id).await.unwrap();
            }
            assert_eq!(one[0], one[1]);
        }
    }
    let ids: Vec<QueryId> = stored.iter().map(|query| query.query_id.clone()).collect();
    assert_eq!(sqlite.complete(&ids).await.unwrap(), postgres.complete(&ids).await.unwrap());
    let all = QueryFilter { limit: 1000, ..QueryFilter::default() };
    let records = sqlite.page(&all, Reader::default()).await.unwrap().queries;
    for (owner, clusters) in
        owners.iter().flat_map(|owner| clusters.each_ref().map(|it| (owner, it)))
    {
        let (owner, clusters) = (owner.as_deref(), clusters.as_deref());
        let reader = Reader { owner, clusters, ..Reader::default() };
        let both = async |store: &Store| {
            let mut traced = Vec::new();
            for trace_id in ["t1", "t2", "t3", &*long_name()] {
                traced.push(store.traced(trace_id, 3, reader).await.unwrap());
            }
            for label in ["label", "l", "订"] {
                traced.push(store.labelled(label, 3, reader).await.unwrap());
            }
            let mut nearest = Vec::new();
            for query in &records {
                nearest.push(format!("{:?}", store.nearest_profiles(query, reader).await.unwrap()));
            }
            traced.push(nearest);
            let newest = store.newest_profile(reader).await.unwrap();
            (traced, newest, store.span(reader).await.unwrap())
        };
        assert_eq!(both(sqlite).await, both(postgres).await);
    }
    for prefix in ["", "1", "ab", "zz"] {
        for (owner, clusters) in
            [(None, &clusters[0]), (Some("alice"), &clusters[0]), (None, &clusters[2])]
        {
            let reader = Reader { owner, clusters: clusters.as_deref(), ..Reader::default() };
            let ids = [sqlite, postgres].map(|store| store.ids_with_prefix(prefix, 9, reader));
            let [one, other] = ids;
            assert_eq!(one.await.unwrap(), other.await.unwrap());
        }
    }
    postgres.close().await.unwrap();
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn statements_are_searched_as_a_search_matches_them() {
    let mut random = fastrand::Rng::with_seed(7);
    let database = Database::make().await;
    let store = database.open().await;
    let texts: Vec<String> = (0..2000).map(|_| odd_text(&mut random, 40)).collect();
    sqlx::query(
        "INSERT INTO query (query_id, kind, origin, is_slow, statement)
         SELECT md5(text), 'query', 'audit', false, text FROM unnest($1::text[]) AS text ON CONFLICT DO NOTHING",
    )
    .bind(&texts)
    .execute(&store.cluster.primary())
    .await
    .unwrap();
    let mut matched = 0;
    for _ in 0..500 {
        let Some(search) = search(&mut random) else { continue };
        let filter = QueryFilter { search: Some(search.clone()), ..QueryFilter::default() };
        let mut statement = Conditions::new("SELECT query.statement FROM query");
        statement.and_filter(&filter, None);
        let found = statement.end().build_query_scalar::<String>();
        let found: HashSet<String> =
            found.fetch_all(&store.cluster.primary()).await.unwrap().into_iter().collect();
        let expected: HashSet<String> =
            texts.iter().filter(|text| search.matches(text.as_bytes())).cloned().collect();
        assert_eq!(found, expected, "{search:?}");
        matched += expected.len();
    }
    assert!(matched > 2000, "{matched}");
    store.close().await.unwrap();
    database.remove().await;
}

/// Adds 60,000 queries, every tenth of which has no start.
async fn fill(store: &PostgresStore) {
    let pool = &store.cluster.primary();
    let fill = "INSERT INTO query (query_id, kind, origin, is_slow, started_ms, \"user\", statement)
         SELECT 'q-' || i, 'query', 'audit', false, CASE WHEN i % 10 > 0 THEN i * 7919::bigint % 60000 END,
             'user' || i % 5, 'select ' || i
         FROM generate_series(1, 60000) AS i";
    pool.execute(fill).await.unwrap();
    pool.execute("INSERT INTO profile SELECT query_id, 1, 'x' FROM query").await.unwrap();
    pool.execute("ANALYZE").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_search_that_runs_out_of_time_goes_on_page_by_page() {
    let database = Database::make().await;
    let mut store = database.open().await;
    fill(&store).await;
    let reads = |time| Arc::new(LongReads::new(store.cluster.clone(), 1, Some(time)));
    let long = Duration::from_secs(60);
    // The shortest time is over before any window behind the first.
    for (time, is_incomplete) in [(long, false), (Duration::from_nanos(1), true)] {
        store.newest = reads(long);
        store.scans = reads(time);
        for text in ["9", "select 1"] {
            let search = Some(Search::new(Some(text), None).unwrap());
            let mut filter = QueryFilter { limit: 9000, search, ..QueryFilter::default() };
            let (mut found, mut incomplete) = (Vec::new(), 0);
            loop {
                let page = store.page(&filter, Reader::default()).await.unwrap();
                filter.after = page.next(&filter);
                incomplete += usize::from(page.incomplete.is_some());
                found.extend(page.queries.iter().map(|query| (query.started_ms, query.id)));
                if filter.after.is_none() {
                    break;
                }
            }
            assert_eq!(incomplete > 0, is_incomplete);
            let expected =
                (1..=60_000).filter(|id: &i64| format!("select {id}").contains(text)).count();
            let ids: HashSet<i64> = found.iter().map(|(_, id)| *id).collect();
            assert_eq!((found.len(), ids.len()), (expected, expected));
            assert!(found.is_sorted_by(|one, next| one > next));
        }
    }
    store.close().await.unwrap();
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn nothing_runs_on_for_a_reader_who_has_left() {
    let database = Database::make().await;
    let store = database.open().await;
    let reads = LongReads::new(store.cluster.clone(), 1, Some(Duration::from_millis(200)));
    let endless = async |client: &str| {
        let mut read = reads.begin(Some(client.to_string())).await?;
        let bound = read.bound();
        let sleep = sqlx::query("SELECT pg_sleep(600)").execute(read.connection()?);
        bound.within(async { Ok(sleep.await?) }).await
    };
    let running = async || {
        let mut server = PgConnection::connect(&database.url()).await.unwrap();
        let count = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%' AND state = 'active'";
        server.fetch_one(count).await.unwrap().get::<i64, _>(0)
    };
    let ended = endless("alice").await.unwrap_err();
    assert!(matches!(ended, StoreError::TimedOut(_)), "{ended:?}");
    let left = tokio::time::timeout(Duration::from_millis(100), endless("bob")).await;
    assert!(left.is_err());
    while running().await > 0 {
        tokio::task::yield_now().await;
    }
    // The only turn is free again, and the connections are as they were.
    reads.begin(None).await.unwrap().end().await.unwrap();
    assert_eq!(store.span(Reader::default()).await.unwrap(), None);
    store.close().await.unwrap();
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_segment_begins_after_the_changes_that_did_not_find_it() {
    let database = Database::make().await;
    let store = database.open().await;
    let connect = async || PgConnection::connect(&database.url()).await.unwrap();
    let (mut changing, mut indexing) = (connect().await, connect().await);
    let mut change = changing.begin().await.unwrap();
    statements::change_segments(&mut change, &[3, 4]).await.unwrap();
    assert_eq!(statements::begin_segment(&mut indexing, 5).await.unwrap(), 0);
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let begin = async { statements::begin_segment(&mut indexing, 4).await.unwrap() };
    let end_change = async {
        let mut server = connect().await;
        while server.fetch_one(waiting).await.unwrap().get::<i64, _>(0) == 0 {
            tokio::task::yield_now().await;
        }
        change.commit().await.unwrap();
    };
    assert_eq!(tokio::join!(begin, end_change).0, 0);
    statements::change_segments(&mut changing, &[4]).await.unwrap();
    statements::end_segment(&mut indexing, 4, 0).await.unwrap();
    assert!(statements::valid_segments(&mut indexing).await.unwrap().is_empty());
    store.close().await.unwrap();
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn pages_are_read_by_index() {
    let database = Database::make().await;
    let store = database.open().await;
    fill(&store).await;
    let plan = async |conditions: Conditions| {
        let mut statement = conditions.newest_first(100);
        let rows = statement.build().fetch_all(&store.cluster.primary()).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
    };
    let user = "user3".to_string();
    let by_user = QueryFilter { user: Choice::one(user), ..QueryFilter::default() };
    for (filter, index) in [(QueryFilter::default(), "query_by_start"), (by_user, "query_by_user")]
    {
        for select in [SELECT_LISTED.as_str(), SELECT_QUERY.as_str()] {
            let begin = || {
                let select = format!("EXPLAIN {select}");
                let mut begun = Conditions::with_statements(&select, 1).unwrap();
                begun.and_users(&filter, None);
                begun
            };
            let (mut started, mut unstarted) = (begin(), begin());
            started.and_page(&filter);
            unstarted.and_page_without_time(i64::MAX);
            for plan in [plan(started).await, plan(unstarted).await] {
                assert!(plan.contains(&format!("Index Scan Backward using {index} ")), "{plan}");
                assert!(!plan.contains("Sort") && !plan.contains("Seq Scan on query"), "{plan}");
                assert!(!plan.contains("hashed"), "{plan}");
            }
        }
    }
    store.close().await.unwrap();
    database.remove().await;
}
