//! Statements of tokens.

use sqlx::PgExecutor;

use super::Result;

/// A token, as it is stored.
#[derive(Debug, Clone)]
pub struct Token {
    pub name: String,
    pub role: String,
    /// 32 bytes.
    pub hash: Vec<u8>,
    pub created_ms: i64,
    pub expires_ms: Option<i64>,
    pub used_ms: Option<i64>,
    pub user: Option<String>,
    /// A JSON array.
    pub clusters: Option<String>,
}

/// Returns every token, by name.
pub async fn tokens(server: impl PgExecutor<'_>) -> Result<Vec<Token>> {
    sqlx::query_as!(
        Token,
        r#"SELECT name, role, hash, created_ms, expires_ms, used_ms, "user", clusters FROM token ORDER BY token.name"#
    )
    .fetch_all(server)
    .await
}

/// Adds a token. Returns false if another has the name.
pub async fn add_token(server: impl PgExecutor<'_>, token: &Token) -> Result<bool> {
    let added = sqlx::query!(
        r#"INSERT INTO token (name, role, hash, created_ms, expires_ms, used_ms, "user", clusters)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING"#,
        token.name,
        token.role,
        token.hash,
        token.created_ms,
        token.expires_ms,
        token.used_ms,
        token.user,
        token.clusters
    );
    Ok(added.execute(server).await?.rows_affected() == 1)
}

/// Removes a token. Returns false if no token has the name.
pub async fn remove_token(server: impl PgExecutor<'_>, name: &str) -> Result<bool> {
    let removed = sqlx::query!("DELETE FROM token WHERE name = $1", name);
    Ok(removed.execute(server).await?.rows_affected() == 1)
}

/// Notes when a token was used last, unless a later use is stored.
pub async fn use_token(server: impl PgExecutor<'_>, hash: &[u8], used_ms: i64) -> Result<()> {
    let used = sqlx::query!(
        "UPDATE token SET used_ms = $2 WHERE hash = $1 AND (used_ms IS NULL OR used_ms < $2)",
        hash,
        used_ms
    );
    used.execute(server).await?;
    Ok(())
}
