//! Log-ins: rows that the audit log reports of connections.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteTransaction;

use super::Store;
use crate::domain::login::Login;
use crate::domain::record::Zoned;
use crate::store::batch::Counts;
use crate::store::contents::LoginCounts;
use crate::store::error::StoreError;

/// Log-ins of a page.
const PAGE: i64 = 1000;

/// Writes log-ins; a stored one counts as unchanged.
pub(super) async fn write_logins(
    transaction: &mut SqliteTransaction<'_>,
    logins: &[Login],
) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    for login in logins {
        let time_source = login.zoned.number();
        let extra = (!login.extra.is_empty()).then(|| serde_json::json!(login.extra).to_string());
        let inserted = sqlx::query!(
            "INSERT INTO login (login_id, at_ms, user, client, frontend, catalog, db, succeeded,
                                error_code, error_message, extra, time_source)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (login_id) DO NOTHING",
            login.id,
            login.at_ms,
            login.user,
            login.client,
            login.frontend,
            login.catalog,
            login.db,
            login.succeeded,
            login.error_code,
            login.error_message,
            extra,
            time_source
        )
        .execute(&mut **transaction)
        .await?;
        match inserted.rows_affected() {
            0 => counts.unchanged += 1,
            _ => counts.new += 1,
        }
    }
    Ok(counts)
}

/// Removes up to a page of log-ins before a time, in Unix milliseconds. Returns how many.
pub(super) async fn remove_logins(
    transaction: &mut SqliteTransaction<'_>,
    before_ms: i64,
) -> Result<u64, StoreError> {
    let removed = sqlx::query!(
        "DELETE FROM login WHERE id IN (SELECT id FROM login WHERE at_ms < ? ORDER BY at_ms LIMIT ?)",
        before_ms,
        PAGE
    )
    .execute(&mut **transaction)
    .await?;
    Ok(removed.rows_affected())
}

impl Store {
    /// Returns how many log-ins the store holds. Reads all of them.
    pub(crate) async fn login_counts(&self) -> Result<LoginCounts, StoreError> {
        sqlx::query_as!(
            LoginCounts,
            r#"SELECT count(*) AS "all!: i64", count(*) - ifnull(sum(succeeded), 0) AS "failed!: i64"
               FROM login"#
        )
        .fetch_one(&self.reporters)
        .await
        .map_err(StoreError::from)
    }

    /// Returns the time of the first log-in, in Unix milliseconds.
    pub(in crate::store) async fn first_login_ms(&self) -> Result<Option<i64>, StoreError> {
        sqlx::query_scalar!(r#"SELECT min(at_ms) AS "ms: i64" FROM login"#)
            .fetch_one(&self.keeper)
            .await
            .map_err(StoreError::from)
    }

    /// Returns a page of the log-ins after a row, in the order of their arrival, with the row of the last; none
    /// after the last.
    pub(crate) async fn logins_after(
        &self,
        row: i64,
    ) -> Result<Option<(Vec<Login>, i64)>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT id, login_id, at_ms, user, client, frontend, catalog, db,
                      succeeded AS "succeeded: bool", error_code, error_message, extra, time_source
               FROM login WHERE id > ? ORDER BY id LIMIT ?"#,
            row,
            PAGE
        )
        .fetch_all(&self.reporters)
        .await?;
        let Some(last) = rows.last().map(|last| last.id) else { return Ok(None) };
        let logins = rows.into_iter().map(|row| Login {
            id: row.login_id,
            at_ms: row.at_ms,
            user: row.user,
            client: row.client,
            frontend: row.frontend,
            catalog: row.catalog,
            db: row.db,
            succeeded: row.succeeded,
            error_code: row.error_code,
            error_message: row.error_message,
            // Another program may have written something else.
            extra: row
                .extra
                .and_then(|json| serde_json::from_str::<BTreeMap<_, _>>(&json).ok())
                .unwrap_or_default(),
            zoned: Zoned::of_number(row.time_source),
        });
        Ok(Some((logins.collect(), last)))
    }
}
