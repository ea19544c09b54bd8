//! Rows: inserting and merging the records of a batch.

use std::collections::HashMap;

use sqlx::sqlite::{SqliteConnection, SqliteTransaction};

use super::raw::{ValueRef, insert_rows};
use crate::domain::record::{Kind, Load, Origin, QueryId, QueryRecord};
use crate::domain::statement::Fingerprint;
use crate::store::batch::{Counts, NormalizedStatements};
use crate::store::error::StoreError;

/// A record on its source to its row.
struct Placing {
    record: QueryRecord,
    fingerprint: Option<Fingerprint>,
    /// Its place among the batch's records; none for a stored record that gives its id up to one of them.
    place: Option<usize>,
    /// The ids that are still to be tried, once its own is found to be another statement's.
    ids: Option<Box<dyn Iterator<Item = QueryId> + Send + Sync>>,
}

/// Writes records, or merges them with those that are stored. Returns the ids of those that are kept under another id
/// than they came with, by their place among the records.
///
/// An id belongs to the statement that ran. Another statement that came with the same id is kept beside it, under an id
/// made of that one, and neither takes a value from the other.
pub(super) async fn write_records(
    transaction: &mut SqliteTransaction<'_>,
    records: Vec<(QueryRecord, Option<Fingerprint>)>,
    statements: &mut NormalizedStatements,
    counts: &mut Counts,
) -> Result<HashMap<usize, QueryId>, StoreError> {
    let mut kept_as = HashMap::new();
    let mut round: Vec<Placing> = records
        .into_iter()
        .enumerate()
        .map(|(place, (record, fingerprint))| Placing {
            record,
            fingerprint,
            place: Some(place),
            ids: None,
        })
        .collect();
    while !round.is_empty() {
        let inserted = insert_queries(transaction, &round).await?;
        let mut again = Vec::new();
        for (placing, row) in round.into_iter().zip(inserted) {
            let Some(row) = row else {
                again.push(placing);
                continue;
            };
            if let Some(load) = &placing.record.load {
                write_load(transaction, row, load).await?;
            }
            counts.new += 1;
        }
        round = merge_stored(transaction, again, statements, counts).await?;
        round.retain_mut(|Placing { record, fingerprint, place, ids }| {
            let ids = ids.get_or_insert_with(|| Box::new(record.ids_beside()));
            let Some(id) = ids.next() else {
                tracing::error!("a record is not kept: all ids made for it are other statements'");
                return false;
            };
            if let Some(place) = place {
                kept_as.insert(*place, id.clone());
            }
            record.query_id = id;
            *fingerprint = statements.add(record);
            true
        });
    }
    Ok(kept_as)
}

/// Merges records with those that are stored under their ids. Returns each that is of another statement than the one
/// whose id it is.
async fn merge_stored(
    transaction: &mut SqliteTransaction<'_>,
    records: Vec<Placing>,
    statements: &mut NormalizedStatements,
    counts: &mut Counts,
) -> Result<Vec<Placing>, StoreError> {
    let ids: Vec<QueryId> = records.iter().map(|placing| placing.record.query_id.clone()).collect();
    let mut stored = stored_records(transaction, &ids).await?;
    let mut others = Vec::new();
    for mut placing in records {
        let Some(known) = stored.get_mut(&placing.record.query_id) else {
            // Its row was there a moment ago, within this transaction.
            return Err(sqlx::Error::RowNotFound.into());
        };
        if !known.record.is_same_statement(&placing.record) {
            // Only the id that a frontend gave belongs to one statement before another.
            if placing.ids.is_none() {
                let has_profile = sqlx::query_scalar!(
                    r#"SELECT EXISTS (SELECT 1 FROM profile WHERE query = ?) AS "found!: bool""#,
                    known.row
                )
                .fetch_one(&mut **transaction)
                .await?;
                if placing.record.owns_id_before(&known.record, has_profile) {
                    // The row stays that of the id.
                    std::mem::swap(&mut known.record, &mut placing.record);
                    placing.place = None;
                    known.changed = true;
                }
            }
            others.push(placing);
            continue;
        }
        let before = known.record.clone();
        known.record.merge(placing.record);
        if known.record == before {
            counts.unchanged += 1;
        } else {
            known.changed = true;
            counts.merged += 1;
        }
    }
    for known in stored.into_values().filter(|known| known.changed) {
        let fingerprint = statements.add(&known.record);
        update_query(transaction, known.row, &known.record, fingerprint).await?;
        if let Some(load) = &known.record.load {
            write_load(transaction, known.row, load).await?;
        }
    }
    Ok(others)
}

/// Inserts the rows of queries; `None` for each that has one already.
async fn insert_queries(
    transaction: &mut SqliteTransaction<'_>,
    records: &[Placing],
) -> Result<Vec<Option<i64>>, StoreError> {
    let extras: Vec<_> = records.iter().map(|placing| extra_json(&placing.record)).collect();
    let rows = records.iter().zip(&extras).map(|(placing, extra)| {
        query_values(&placing.record, extra.as_deref(), placing.fingerprint)
    });
    insert_rows(transaction, INSERT_QUERY, rows).await
}

/// The columns that [`INSERT_QUERY`] gives a row.
const QUERY_COLUMNS: usize = 51;

const INSERT_QUERY: &str = "INSERT INTO query (
        query_id, kind, origin, state, started_ms, ended_ms, duration_ms, user, client, catalog,
        db, statement, statement_type, command_type, statement_id, session_id, trace_id, is_query,
        is_nereids, is_internal, is_slow, error_code, error_message, scan_rows, scan_bytes,
        local_scan_bytes, remote_scan_bytes, return_rows, shuffle_send_rows, shuffle_send_bytes,
        spill_write_bytes, peak_memory_bytes, cpu_time_ms, frontend, workload_group,
        compute_group, queried_tables, sql_hash, sql_digest, fuzzy_variables, extra, fingerprint,
        queue_time_ms, parse_time_ms, plan_time_ms, schedule_time_ms, cache_hit, spill_read_bytes,
        chosen_views, changed_variables, is_start_estimated
    ) VALUES (
        ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
        ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
    ) ON CONFLICT (query_id) DO NOTHING";

/// The values of a record in [`INSERT_QUERY`].
fn query_values<'a>(
    record: &'a QueryRecord,
    extra: Option<&'a str>,
    fingerprint: Option<Fingerprint>,
) -> [ValueRef<'a>; QUERY_COLUMNS] {
    fn text(value: Option<&str>) -> ValueRef<'_> {
        value.map_or(ValueRef::Null, ValueRef::from)
    }
    fn number(value: Option<i64>) -> ValueRef<'static> {
        value.map_or(ValueRef::Null, ValueRef::Integer)
    }
    [
        text(Some(record.query_id.as_str())),
        text(Some(record.kind.name())),
        text(Some(record.origin.name())),
        text(record.state.as_deref()),
        number(record.started_ms),
        number(record.ended_ms),
        number(record.duration_ms),
        text(record.user.as_deref()),
        text(record.client.as_deref()),
        text(record.catalog.as_deref()),
        text(record.db.as_deref()),
        text(record.statement.as_deref()),
        text(record.statement_type.as_deref()),
        text(record.command_type.as_deref()),
        number(record.statement_id),
        text(record.session_id.as_deref()),
        text(record.trace_id.as_deref()),
        number(record.is_query.map(i64::from)),
        number(record.is_nereids.map(i64::from)),
        number(record.is_internal.map(i64::from)),
        number(Some(record.is_slow.into())),
        number(record.error_code),
        text(record.error_message.as_deref()),
        number(record.scan_rows),
        number(record.scan_bytes),
        number(record.local_scan_bytes),
        number(record.remote_scan_bytes),
        number(record.return_rows),
        number(record.shuffle_send_rows),
        number(record.shuffle_send_bytes),
        number(record.spill_write_bytes),
        number(record.peak_memory_bytes),
        number(record.cpu_time_ms),
        text(record.frontend.as_deref()),
        text(record.workload_group.as_deref()),
        text(record.compute_group.as_deref()),
        text(record.queried_tables.as_deref()),
        text(record.sql_hash.as_deref()),
        text(record.sql_digest.as_deref()),
        text(record.fuzzy_variables.as_deref()),
        text(extra),
        number(fingerprint.map(Fingerprint::to_signed)),
        number(record.queue_time_ms),
        number(record.parse_time_ms),
        number(record.plan_time_ms),
        number(record.schedule_time_ms),
        number(record.cache_hit.map(i64::from)),
        number(record.spill_read_bytes),
        text(record.chosen_views.as_deref()),
        text(record.changed_variables.as_deref()),
        number(Some(record.is_start_estimated.into())),
    ]
}

/// Writes a query's row anew.
pub(super) async fn update_query(
    transaction: &mut SqliteTransaction<'_>,
    row: i64,
    record: &QueryRecord,
    fingerprint: Option<Fingerprint>,
) -> Result<(), StoreError> {
    let fingerprint = fingerprint.map(Fingerprint::to_signed);
    let (kind, origin) = (record.kind.name(), record.origin.name());
    let extra = extra_json(record);
    sqlx::query!(
        "UPDATE query SET
             kind = ?2, origin = ?3, state = ?4, started_ms = ?5, ended_ms = ?6, duration_ms =
             ?7, user = ?8, client = ?9, catalog = ?10, db = ?11, statement = ?12,
             statement_type = ?13, command_type = ?14, statement_id = ?15, session_id = ?16,
             trace_id = ?17, is_query = ?18, is_nereids = ?19, is_internal = ?20, is_slow = ?21,
             error_code = ?22, error_message = ?23, scan_rows = ?24, scan_bytes = ?25,
             local_scan_bytes = ?26, remote_scan_bytes = ?27, return_rows = ?28,
             shuffle_send_rows = ?29, shuffle_send_bytes = ?30, spill_write_bytes = ?31,
             peak_memory_bytes = ?32, cpu_time_ms = ?33, frontend = ?34, workload_group = ?35,
             compute_group = ?36, queried_tables = ?37, sql_hash = ?38, sql_digest = ?39,
             fuzzy_variables = ?40, extra = ?41, fingerprint = ?42,
             queue_time_ms = ?43, parse_time_ms = ?44, plan_time_ms = ?45, schedule_time_ms = ?46,
             cache_hit = ?47, spill_read_bytes = ?48, chosen_views = ?49, changed_variables = ?50,
             is_start_estimated = ?51
         WHERE id = ?1",
        row,
        kind,
        origin,
        record.state,
        record.started_ms,
        record.ended_ms,
        record.duration_ms,
        record.user,
        record.client,
        record.catalog,
        record.db,
        record.statement,
        record.statement_type,
        record.command_type,
        record.statement_id,
        record.session_id,
        record.trace_id,
        record.is_query,
        record.is_nereids,
        record.is_internal,
        record.is_slow,
        record.error_code,
        record.error_message,
        record.scan_rows,
        record.scan_bytes,
        record.local_scan_bytes,
        record.remote_scan_bytes,
        record.return_rows,
        record.shuffle_send_rows,
        record.shuffle_send_bytes,
        record.spill_write_bytes,
        record.peak_memory_bytes,
        record.cpu_time_ms,
        record.frontend,
        record.workload_group,
        record.compute_group,
        record.queried_tables,
        record.sql_hash,
        record.sql_digest,
        record.fuzzy_variables,
        extra,
        fingerprint,
        record.queue_time_ms,
        record.parse_time_ms,
        record.plan_time_ms,
        record.schedule_time_ms,
        record.cache_hit,
        record.spill_read_bytes,
        record.chosen_views,
        record.changed_variables,
        record.is_start_estimated,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// A stored record, and what a batch makes of it.
pub(super) struct Known {
    pub(super) row: i64,
    pub(super) record: QueryRecord,
    changed: bool,
}

/// What is stored of some queries.
pub(super) async fn stored_records(
    connection: &mut SqliteConnection,
    ids: &[QueryId],
) -> Result<HashMap<QueryId, Known>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: HashMap<&str, &QueryId> = ids.iter().map(|id| (id.as_str(), id)).collect();
    let list = serde_json::json!(ids.keys().collect::<Vec<_>>()).to_string();
    let loads = sqlx::query!(
        "SELECT query,
             load.job_id, load.label, load.load_type, load.table_list, load.file_path_list,
             load.broker_user, load.file_number, load.message, load.url, load.total_rows,
             load.loaded_rows, load.filtered_rows, load.unselected_rows, load.load_bytes
         FROM query JOIN load ON load.query = query.id
         WHERE query_id IN (SELECT value FROM json_each(?))",
        list
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut loads: HashMap<i64, Load> = loads
        .into_iter()
        .map(|stored| {
            let load = Load {
                job_id: stored.job_id,
                label: stored.label,
                load_type: stored.load_type,
                table_list: stored.table_list,
                file_path_list: stored.file_path_list,
                broker_user: stored.broker_user,
                file_number: stored.file_number,
                message: stored.message,
                url: stored.url,
                total_rows: stored.total_rows,
                loaded_rows: stored.loaded_rows,
                filtered_rows: stored.filtered_rows,
                unselected_rows: stored.unselected_rows,
                load_bytes: stored.load_bytes,
            };
            (stored.query, load)
        })
        .collect();
    let stored = sqlx::query!(
        r#"SELECT
             id, query_id,
             kind, origin, state, started_ms, ended_ms, duration_ms, user, client, catalog, db,
             statement, statement_type, command_type, statement_id, session_id, trace_id, is_query
             AS "is_query: bool", is_nereids AS "is_nereids: bool", is_internal AS "is_internal:
             bool", is_slow AS "is_slow: bool", error_code, error_message, scan_rows, scan_bytes,
             local_scan_bytes, remote_scan_bytes, return_rows, shuffle_send_rows,
             shuffle_send_bytes, spill_write_bytes, peak_memory_bytes, cpu_time_ms, frontend,
             workload_group, compute_group, queried_tables, sql_hash, sql_digest, fuzzy_variables,
             extra, queue_time_ms, parse_time_ms, plan_time_ms, schedule_time_ms,
             cache_hit AS "cache_hit: bool", spill_read_bytes, chosen_views, changed_variables,
             is_start_estimated AS "is_start_estimated: bool"
         FROM query WHERE query_id IN (SELECT value FROM json_each(?))"#,
        list
    )
    .fetch_all(&mut *connection)
    .await?;
    let known = stored.into_iter().filter_map(|stored| {
        let query_id = (*ids.get(stored.query_id.as_str())?).clone();
        let record = QueryRecord {
            query_id: query_id.clone(),
            kind: Kind::of_name(&stored.kind),
            origin: Origin::of_name(&stored.origin),
            state: stored.state,
            started_ms: stored.started_ms,
            ended_ms: stored.ended_ms,
            duration_ms: stored.duration_ms,
            user: stored.user,
            client: stored.client,
            catalog: stored.catalog,
            db: stored.db,
            statement: stored.statement,
            statement_type: stored.statement_type,
            command_type: stored.command_type,
            statement_id: stored.statement_id,
            session_id: stored.session_id,
            trace_id: stored.trace_id,
            is_query: stored.is_query,
            is_nereids: stored.is_nereids,
            is_internal: stored.is_internal,
            is_slow: stored.is_slow,
            error_code: stored.error_code,
            error_message: stored.error_message,
            scan_rows: stored.scan_rows,
            scan_bytes: stored.scan_bytes,
            local_scan_bytes: stored.local_scan_bytes,
            remote_scan_bytes: stored.remote_scan_bytes,
            return_rows: stored.return_rows,
            shuffle_send_rows: stored.shuffle_send_rows,
            shuffle_send_bytes: stored.shuffle_send_bytes,
            spill_write_bytes: stored.spill_write_bytes,
            peak_memory_bytes: stored.peak_memory_bytes,
            cpu_time_ms: stored.cpu_time_ms,
            frontend: stored.frontend,
            workload_group: stored.workload_group,
            compute_group: stored.compute_group,
            queried_tables: stored.queried_tables,
            sql_hash: stored.sql_hash,
            sql_digest: stored.sql_digest,
            fuzzy_variables: stored.fuzzy_variables,
            queue_time_ms: stored.queue_time_ms,
            parse_time_ms: stored.parse_time_ms,
            plan_time_ms: stored.plan_time_ms,
            schedule_time_ms: stored.schedule_time_ms,
            cache_hit: stored.cache_hit,
            spill_read_bytes: stored.spill_read_bytes,
            chosen_views: stored.chosen_views,
            changed_variables: stored.changed_variables,
            is_start_estimated: stored.is_start_estimated,
            // What somebody else wrote there counts as nothing.
            extra: stored
                .extra
                .and_then(|json| serde_json::from_str(&json).ok())
                .unwrap_or_default(),
            load: loads.remove(&stored.id).map(Box::new),
        };
        Some((query_id, Known { row: stored.id, record, changed: false }))
    });
    Ok(known.collect())
}

/// Writes what only a load has, in place of what was there.
pub(super) async fn write_load(
    transaction: &mut SqliteTransaction<'_>,
    row: i64,
    load: &Load,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO load (
             query, job_id, label, load_type, table_list, file_path_list, broker_user,
             file_number, message, url, total_rows, loaded_rows, filtered_rows, unselected_rows,
             load_bytes
         ) VALUES (
             ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15
         ) ON CONFLICT (query) DO UPDATE SET
             job_id = ?2, label = ?3, load_type = ?4, table_list = ?5, file_path_list = ?6,
             broker_user = ?7, file_number = ?8, message = ?9, url = ?10, total_rows = ?11,
             loaded_rows = ?12, filtered_rows = ?13, unselected_rows = ?14, load_bytes = ?15",
        row,
        load.job_id,
        load.label,
        load.load_type,
        load.table_list,
        load.file_path_list,
        load.broker_user,
        load.file_number,
        load.message,
        load.url,
        load.total_rows,
        load.loaded_rows,
        load.filtered_rows,
        load.unselected_rows,
        load.load_bytes,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// The keys without a column, as a JSON object.
fn extra_json(record: &QueryRecord) -> Option<String> {
    let extra = &record.extra;
    (!extra.is_empty()).then(|| serde_json::json!(extra).to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use std::time::Duration;

    use proptest::prelude::*;
    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;
    use crate::domain::profile::Profile;
    use crate::store::{Batch, QueryFilter, Store};

    const START_MS: i64 = 1_767_322_800_000;

    /// The fields that a report of a statement may leave out.
    #[derive(Debug, Clone, Copy)]
    struct Report {
        /// Which of the statements that came with the id.
        statement: i64,
        has_number: bool,
        has_text: bool,
        is_slow: bool,
        /// A profile, which only the statement that ran has.
        is_profile: bool,
        /// An audit record without a start, which was written five seconds late.
        is_late: bool,
    }

    /// A report of one of several statements of one id. Each value tells which statement it is of.
    fn record(report: Report) -> QueryRecord {
        let number = report.statement;
        let origin = if report.is_profile { Origin::Summary } else { Origin::Audit };
        let mut record = QueryRecord::new("1a-2b".parse().unwrap(), Kind::Query, origin);
        // Statement 0 ran; the others failed, as those do that cannot be parsed.
        record.state = Some(if number == 0 { "EOF" } else { "ERR" }.to_string());
        record.error_code = (!report.is_profile).then_some(if number == 0 { 0 } else { 1105 });
        let start_ms = START_MS + number * 67_000 + number;
        record.started_ms = Some(match (report.is_profile, report.is_late) {
            (true, _) => start_ms / 1000 * 1000,
            (false, true) => start_ms + 5000,
            (false, false) => start_ms,
        });
        record.is_start_estimated = report.is_late;
        record.user = Some(format!("user{number}"));
        record.statement = report.has_text.then(|| format!("select {number} from t{number}"));
        record.statement_id = (report.has_number && !report.is_profile).then_some(number);
        record.scan_rows = (!report.is_profile).then_some(number);
        record.is_slow = report.is_slow;
        record
    }

    fn reports() -> impl Strategy<Value = Vec<Report>> {
        let report = (0..3_i64, any::<[bool; 5]>()).prop_map(|(statement, told)| {
            let [number, text, slow, profile, late] = told;
            let is_profile = profile && statement == 0;
            let is_late = late && !is_profile;
            Report {
                statement,
                // An audit record has a number or a text, and both where its start is a guess.
                has_number: number || is_late || !text,
                has_text: text || is_late,
                is_slow: slow && !is_profile,
                is_profile,
                is_late,
            }
        });
        prop::collection::vec(report, 1..12)
    }

    /// Writes reports in batches of some size; gives what is stored, without ids.
    async fn stored(reports: &[Report], batch_size: usize) -> Vec<(String, QueryRecord, bool)> {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("a.db")).await.unwrap();
        let writer = store.writer(Duration::from_secs(5), None).await.unwrap();
        for some in reports.chunks(batch_size) {
            let mut batch = Batch::default();
            for report in some {
                if report.is_profile {
                    let text = b"Summary:\n  - Profile ID: 1a-2b\n".to_vec();
                    batch.profile(Profile { summary: record(*report), text });
                } else {
                    batch.record(record(*report));
                }
            }
            writer.write(batch).await.unwrap();
        }
        let filter = QueryFilter { limit: 100, ..QueryFilter::default() };
        let listed = store.records(&filter, None).await.unwrap();
        let ids: Vec<QueryId> = listed.iter().map(|one| one.query_id.parse().unwrap()).collect();
        let mut connection = writing_connection(&store).await;
        let mut known = stored_records(&mut connection, &ids).await.unwrap();
        let mut rows: Vec<_> = listed
            .into_iter()
            .zip(&ids)
            .map(|(one, id)| (one.query_id, known.remove(id).unwrap().record, one.has_profile))
            .collect();
        rows.sort_by_key(|(_, record, _)| record.started_ms);
        writer.finish().await.unwrap();
        rows
    }

    async fn writing_connection(store: &Store) -> SqliteConnection {
        SqliteConnectOptions::new().filename(store.path()).connect().await.unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn statements_of_one_id_are_never_mixed(reports in reports(), batch_size in 1..5_usize, turn in 0..12_usize) {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let rows = runtime.block_on(stored(&reports, batch_size));
            let statements: BTreeSet<i64> = reports.iter().map(|report| report.statement).collect();
            prop_assert_eq!(rows.len(), statements.len());
            for (id, record, has_profile) in &rows {
                let number = (record.started_ms.unwrap() - START_MS) / 67_000;
                prop_assert!(statements.contains(&number));
                prop_assert_eq!(&record.user, &Some(format!("user{number}")));
                prop_assert_eq!(record.scan_rows.unwrap_or(number), number);
                prop_assert_eq!(record.statement_id.unwrap_or(number), number);
                prop_assert_eq!(record.is_failed(), number != 0);
                let slow = reports.iter().any(|report| report.statement == number && report.is_slow);
                prop_assert_eq!(record.is_slow, slow);
                let profiled = reports.iter().any(|report| report.statement == number && report.is_profile);
                prop_assert_eq!(*has_profile, profiled);
                if number == 0 {
                    prop_assert_eq!(id.as_str(), "1a-2b");
                }
            }
            // Another order gives the same.
            let mut turned = reports.clone();
            turned.rotate_left(turn % reports.len());
            turned.reverse();
            let again = runtime.block_on(stored(&turned, batch_size));
            for ((_, one, _), (_, other, _)) in rows.iter().zip(&again) {
                prop_assert_eq!((one.started_ms, &one.user, one.statement_id, &one.statement),
                    (other.started_ms, &other.user, other.statement_id, &other.statement));
            }
            prop_assert_eq!(rows.len(), again.len());
        }
    }
}
