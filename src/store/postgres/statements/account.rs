//! Statements of accounts and log-ins.

use sqlx::PgExecutor;

use super::{Login, Result};

/// An account, as it is stored.
#[derive(Debug, Clone)]
pub struct Account {
    pub name: String,
    pub role: String,
    pub password_hash: String,
    /// A JSON array; none for all clusters.
    pub clusters: Option<String>,
}

/// Returns every account, by name.
pub async fn accounts(server: impl PgExecutor<'_>) -> Result<Vec<Account>> {
    sqlx::query_as!(
        Account,
        "SELECT name, role, password_hash, clusters FROM account ORDER BY account.name"
    )
    .fetch_all(server)
    .await
}

/// Stores an account, in place of the account of the same name.
pub async fn put_account(server: impl PgExecutor<'_>, account: &Account) -> Result<()> {
    sqlx::query!(
        "INSERT INTO account (name, role, password_hash, clusters) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET role = $2, password_hash = $3, clusters = $4",
        account.name,
        account.role,
        account.password_hash,
        account.clusters
    )
    .execute(server)
    .await?;
    Ok(())
}

/// Removes an account. Returns false if no account has the name.
pub async fn remove_account(server: impl PgExecutor<'_>, name: &str) -> Result<bool> {
    let removed = sqlx::query!("DELETE FROM account WHERE name = $1", name);
    Ok(removed.execute(server).await?.rows_affected() == 1)
}

/// Returns how many log-ins are stored, and how many of them failed. Reads all of them.
pub async fn login_counts(server: impl PgExecutor<'_>) -> Result<(i64, i64)> {
    let counts = sqlx::query!(
        r#"SELECT count(*) AS "all!", count(*) FILTER (WHERE NOT succeeded) AS "failed!" FROM login"#
    );
    let counts = counts.fetch_one(server).await?;
    Ok((counts.all, counts.failed))
}

/// Returns the time of the first log-in, in Unix milliseconds.
pub async fn first_login_ms(server: impl PgExecutor<'_>) -> Result<Option<i64>> {
    sqlx::query_scalar!("SELECT min(at_ms) FROM login").fetch_one(server).await
}

/// Returns up to `limit` log-ins after a row, each with its row, in the order of their arrival.
pub async fn logins_after(
    server: impl PgExecutor<'_>,
    row: i64,
    limit: i64,
) -> Result<Vec<(i64, Login)>> {
    let rows = sqlx::query!(
        r#"SELECT id, login_id, at_ms, "user", client, frontend, catalog, db, succeeded, error_code,
               error_message, extra, time_source
           FROM login WHERE id > $1 ORDER BY id LIMIT $2"#,
        row,
        limit
    );
    let rows = rows.fetch_all(server).await?;
    let logins = rows.into_iter().map(|row| {
        let login = Login {
            login_id: row.login_id,
            at_ms: row.at_ms,
            user: row.user,
            client: row.client,
            frontend: row.frontend,
            catalog: row.catalog,
            db: row.db,
            succeeded: row.succeeded,
            error_code: row.error_code,
            error_message: row.error_message,
            extra: row.extra,
            time_source: row.time_source,
        };
        (row.id, login)
    });
    Ok(logins.collect())
}
