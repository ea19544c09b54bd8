//! Tokens of programs.

use sqlx::{ConnectOptions, Connection};

use super::{Store, options_to_write};
use crate::domain::account::{Role, clusters_json, clusters_of_json};
use crate::domain::token::{Token, TokenHash};
use crate::store::error::{OpenError, StoreError};

impl Store {
    /// Returns every token, by name.
    pub(crate) async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let tokens = sqlx::query!(
            r#"SELECT name, role, hash, created_ms, expires_ms, used_ms, "user", clusters FROM token ORDER BY name"#
        )
        .fetch_all(&self.readers)
        .await
        .map_err(|error| self.read_pool.noted(error))?;
        let tokens = tokens.into_iter().filter_map(|token| {
            Some(Token {
                name: token.name,
                // A role that this annals does not know has the fewest rights.
                role: token.role.parse().unwrap_or(Role::User),
                hash: TokenHash::of_stored(&token.hash)?,
                created_ms: token.created_ms,
                expires_ms: token.expires_ms,
                used_ms: token.used_ms,
                user: token.user,
                clusters: clusters_of_json(token.clusters.as_deref()),
            })
        });
        Ok(tokens.collect())
    }

    /// Adds a token. Returns false if another has the name.
    pub(crate) async fn add_token(&self, token: &Token) -> Result<bool, OpenError> {
        let not_written = |error: sqlx::Error| OpenError::of(&self.path, error);
        let mut connection = options_to_write(&self.path).connect().await.map_err(not_written)?;
        let (role, clusters) = (token.role.name(), clusters_json(token.clusters.as_deref()));
        let hash = token.hash.as_bytes();
        let added = sqlx::query!(
            r#"INSERT INTO token (name, role, hash, created_ms, expires_ms, used_ms, "user", clusters)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING"#,
            token.name,
            role,
            hash,
            token.created_ms,
            token.expires_ms,
            token.used_ms,
            token.user,
            clusters
        )
        .execute(&mut connection)
        .await
        .map_err(not_written)?;
        connection.close().await.map_err(not_written)?;
        Ok(added.rows_affected() == 1)
    }

    /// Removes a token. Returns false if no token has the name.
    pub(crate) async fn remove_token(&self, name: &str) -> Result<bool, OpenError> {
        let not_written = |error: sqlx::Error| OpenError::of(&self.path, error);
        let mut connection = options_to_write(&self.path).connect().await.map_err(not_written)?;
        let removed = sqlx::query!("DELETE FROM token WHERE name = ?", name)
            .execute(&mut connection)
            .await
            .map_err(not_written)?;
        connection.close().await.map_err(not_written)?;
        Ok(removed.rows_affected() == 1)
    }
}
