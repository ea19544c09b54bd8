//! Bringing the rows of an older database up to date where a migration in SQL cannot: today's parser reads the
//! records again, and statements get today's fingerprints.
//!
//! The header's `user_version` has the version that did so last. If annals stops in the middle, the next opening
//! begins again; rows that are up to date stay as they are.

use std::collections::HashMap;

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnection, SqliteTransaction};

use super::raw::{insert_normalized, stored_queries, update_queries, write_loads};
use crate::domain::profile::Profile;
use crate::domain::record::{Origin, QueryId, QueryRecord};
use crate::domain::statement::{Fingerprint, NORMALIZER_VERSION};
use crate::domain::time::Zone;
use crate::formats::reparse::reparse;
use crate::store::batch::NormalizedStatements;
use crate::store::contents::ReparseSummary;
use crate::store::error::StoreError;
use crate::store::profile_body::unpack;

/// The `user_version` of a database whose records are read as today. A change to how a stored record is read
/// raises it, above [`NORMALIZER_VERSION`], which the `user_version` may have already.
const READ_VERSION: i64 = 2;

/// Rows of one transaction.
const STEP: i64 = 2000;

/// Brings the rows of a database up to date, once.
pub(super) async fn bring_up_to_date(
    connection: &mut SqliteConnection,
) -> Result<ReparseSummary, StoreError> {
    let current = READ_VERSION.max(NORMALIZER_VERSION);
    let version: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let mut summary = ReparseSummary::default();
    if version >= current {
        return Ok(summary);
    }
    let mut last = i64::MIN;
    loop {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let step = reparse_step(&mut transaction, last, version, &mut summary).await?;
        transaction.commit().await?;
        match step {
            Some(end) => last = end,
            None => break,
        }
    }
    sqlx::query!("DELETE FROM hour_summary").execute(&mut *connection).await?;
    sqlx::query!(
        "DELETE FROM statement
         WHERE NOT EXISTS (SELECT 1 FROM query WHERE query.fingerprint = statement.fingerprint)"
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {current}")))
        .execute(&mut *connection)
        .await?;
    Ok(summary)
}

/// Brings the rows after `last` up to date. Returns the last row of the step; none if there are no more.
async fn reparse_step(
    transaction: &mut SqliteTransaction<'_>,
    last: i64,
    version: i64,
    summary: &mut ReparseSummary,
) -> Result<Option<i64>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT query.id AS "id!", query_id, fingerprint, text_bytes AS "text_bytes: i64", body AS "body: Vec<u8>"
           FROM query LEFT JOIN profile ON profile.query = query.id
           WHERE query.id > ? ORDER BY query.id LIMIT ?"#,
        last,
        STEP
    )
    .fetch_all(&mut **transaction)
    .await?;
    let Some(end) = rows.last().map(|row| row.id) else { return Ok(None) };
    let ids: Vec<QueryId> =
        rows.iter().map(|row| QueryId::of_stored(row.query_id.clone())).collect();
    let mut stored: HashMap<QueryId, QueryRecord> = stored_queries(transaction, &ids)
        .await?
        .into_iter()
        .map(|query| (query.query_id.clone(), query.record))
        .collect();
    let mut statements = NormalizedStatements::default();
    let (mut updates, mut loads, mut placeholders) = (Vec::new(), Vec::new(), Vec::new());
    for (row, id) in rows.into_iter().zip(ids) {
        let Some(known) = stored.remove(&id) else { continue };
        let profile = row.body.zip(row.text_bytes);
        let (record, changed) = match version < READ_VERSION {
            true => reparse_with_profile(&known, id, profile),
            false => (known, false),
        };
        summary.records += u64::from(changed);
        let fingerprint = statements.add(&record);
        if let Some(load) = record.load.clone().filter(|_| changed) {
            loads.push((row.id, load));
        }
        if changed || fingerprint.map(Fingerprint::to_signed) != row.fingerprint {
            updates.push((record, fingerprint));
        }
        if row.query_id.parse::<QueryId>().is_err() {
            placeholders.push((row.id, row.query_id));
        }
    }
    let updates: Vec<_> = updates.iter().map(|(record, it)| (record, *it)).collect();
    update_queries(transaction, &updates).await?;
    let loads: Vec<_> = loads.iter().map(|(row, load)| (*row, &**load)).collect();
    write_loads(transaction, &loads).await?;
    // After the updates, which find their rows by the stored ids.
    for (row, placeholder) in placeholders {
        replace_placeholder(transaction, row, &placeholder).await?;
        summary.mixed += 1;
    }
    insert_normalized(transaction, &statements, &mut foldhash::HashSet::default()).await?;
    Ok(Some(end))
}

/// Returns a record as it is read today, together with its stored profile, and whether that changed the record.
fn reparse_with_profile(
    stored: &QueryRecord,
    id: QueryId,
    profile: Option<(Vec<u8>, i64)>,
) -> (QueryRecord, bool) {
    let (mut record, mut changed) = reparse(stored);
    if let Some(summary) = profile.and_then(|(body, text_bytes)| summary(&body, text_bytes)) {
        let before = record.clone();
        record.merge(QueryRecord { query_id: id, ..summary });
        changed |= record != before;
    }
    (record, changed)
}

/// Gives a row an id of its own in place of a placeholder, like NaN.
async fn replace_placeholder(
    transaction: &mut SqliteTransaction<'_>,
    row: i64,
    placeholder: &str,
) -> Result<(), StoreError> {
    let derived = QueryId::derived(&["placeholder", placeholder, &row.to_string()]);
    let derived = derived.as_str();
    sqlx::query!("UPDATE query SET query_id = ? WHERE id = ?", derived, row)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Returns what a stored profile reports of its query, except for times, as their time zone is unknown here.
fn summary(body: &[u8], text_bytes: i64) -> Option<QueryRecord> {
    let text = unpack(body, text_bytes).ok()?;
    let summary = Profile::summary_of(&text, Zone::UTC).ok()?;
    Some(QueryRecord {
        origin: Origin::Summary,
        started_ms: None,
        ended_ms: None,
        is_start_estimated: false,
        ..summary
    })
}
