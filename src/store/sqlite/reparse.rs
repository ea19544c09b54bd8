//! Bringing the rows of an older history up to date, where a migration in SQL cannot: records are read again as they are
//! read today, and statements are fingerprinted anew.
//!
//! The header's `user_version` says which annals did it last. A stop in the middle begins again, which changes nothing
//! that is done.

use std::collections::HashMap;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::raw::insert_normalized;
use super::raw::{stored_queries, update_queries, write_loads};
use crate::domain::profile::Profile;
use crate::domain::record::{Origin, QueryId, QueryRecord};
use crate::domain::statement::{Fingerprint, SHAPE_VERSION};
use crate::domain::time::Zone;
use crate::formats::reparse::heal;
use crate::store::batch::NormalizedStatements;
use crate::store::error::StoreError;
use crate::store::profile_body::unpack;

/// The `user_version` of a history whose records are read as today. An annals that reads them otherwise raises it.
const READ_VERSION: i64 = 2;

/// Rows that are brought up to date in one transaction.
const STEP: i64 = 2000;

/// What was done to an older history as it was opened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ReparseSummary {
    /// Queries that are read otherwise today.
    pub records: u64,
    /// Rows under a placeholder in place of an id, like NaN, that an older annals made of several statements. Their
    /// values stay mixed.
    pub mixed: u64,
}

/// Brings the rows of a history up to date, once.
pub(super) async fn bring_up_to_date(
    connection: &mut SqliteConnection,
) -> Result<ReparseSummary, StoreError> {
    let current = READ_VERSION.max(SHAPE_VERSION);
    let version: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let mut healed = ReparseSummary::default();
    if version >= current {
        return Ok(healed);
    }
    let mut last = i64::MIN;
    loop {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let rows = sqlx::query!(
            r#"SELECT query.id AS "id!", query_id, fingerprint, text_bytes AS "text_bytes: i64", body AS "body: Vec<u8>"
               FROM query LEFT JOIN profile ON profile.query = query.id
               WHERE query.id > ? ORDER BY query.id LIMIT ?"#,
            last,
            STEP
        )
        .fetch_all(&mut *transaction)
        .await?;
        let Some(end) = rows.last() else { break };
        last = end.id;
        let ids: Vec<QueryId> =
            rows.iter().map(|row| QueryId::of_stored(row.query_id.clone())).collect();
        let stored = stored_queries(&mut transaction, &ids).await?;
        let mut stored: HashMap<QueryId, QueryRecord> =
            stored.into_iter().map(|query| (query.query_id.clone(), query.record)).collect();
        let mut statements = NormalizedStatements::default();
        for (row, id) in rows.into_iter().zip(ids) {
            let Some(known) = stored.remove(&id) else { continue };
            let (mut record, mut changed) = match version < READ_VERSION {
                true => heal(&known),
                false => (known, false),
            };
            if version < READ_VERSION
                && let (Some(body), Some(text_bytes)) = (row.body, row.text_bytes)
                && let Some(summary) = summary(&body, text_bytes)
            {
                let before = record.clone();
                record.merge(QueryRecord { query_id: id.clone(), ..summary });
                changed |= record != before;
            }
            healed.records += u64::from(changed);
            let fingerprint = statements.add(&record);
            if changed || fingerprint.map(Fingerprint::to_signed) != row.fingerprint {
                update_queries(&mut transaction, &[(&record, fingerprint)]).await?;
            }
            if let Some(load) = record.load.as_ref().filter(|_| changed) {
                write_loads(&mut transaction, &[(row.id, load)]).await?;
            }
            if row.query_id.parse::<QueryId>().is_err() {
                let row_text = row.id.to_string();
                let made = QueryId::derived(&["placeholder", &row.query_id, &row_text]);
                let made = made.as_str();
                sqlx::query!("UPDATE query SET query_id = ? WHERE id = ?", made, row.id)
                    .execute(&mut *transaction)
                    .await?;
                healed.mixed += 1;
            }
        }
        insert_normalized(&mut transaction, &statements, &mut foldhash::HashSet::default()).await?;
        transaction.commit().await?;
    }
    sqlx::query!(
        "DELETE FROM statement
         WHERE NOT EXISTS (SELECT 1 FROM query WHERE query.fingerprint = statement.fingerprint)"
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {current}")))
        .execute(&mut *connection)
        .await?;
    Ok(healed)
}

/// What a stored profile says of its query, but for its times: the zone that they are in is not known here.
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
