//! Tokens of programs.

use annals_postgres_statements as statements;
use sqlx::Connection;

use super::Store;
use crate::domain::account::{Role, clusters_json, clusters_of_json};
use crate::domain::token::{Token, TokenHash};
use crate::store::error::{OpenError, StoreError};

impl Store {
    /// Returns every token, by name. While the primary does not answer, a replica does.
    pub(in crate::store) async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let primary = self.cluster.primary();
        let tokens = match self.cluster.replica() {
            None => statements::tokens(&primary).await?,
            Some(_) => {
                let tokens = Box::pin(statements::tokens(&primary));
                match tokio::time::timeout(super::account::PRIMARY_TIME, tokens).await {
                    Ok(Ok(tokens)) => tokens,
                    _ => statements::tokens(&mut *self.cluster.reader().await?).await?,
                }
            }
        };
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
    pub(in crate::store) async fn add_token(&self, token: &Token) -> Result<bool, OpenError> {
        let not_written = |error| OpenError::of_postgres(self.address(), error);
        let mut connection = self.connected().await?;
        let stored = statements::Token {
            name: token.name.clone(),
            role: token.role.name().to_string(),
            hash: token.hash.as_bytes().to_vec(),
            created_ms: token.created_ms,
            expires_ms: token.expires_ms,
            used_ms: token.used_ms,
            user: token.user.clone(),
            clusters: clusters_json(token.clusters.as_deref()),
        };
        let added = statements::add_token(&mut connection, &stored).await.map_err(not_written)?;
        connection.close().await.map_err(not_written)?;
        Ok(added)
    }

    /// Removes a token. Returns false if no token has the name.
    pub(in crate::store) async fn remove_token(&self, name: &str) -> Result<bool, OpenError> {
        let not_written = |error| OpenError::of_postgres(self.address(), error);
        let mut connection = self.connected().await?;
        let removed = statements::remove_token(&mut connection, name).await;
        let removed = removed.map_err(not_written)?;
        connection.close().await.map_err(not_written)?;
        Ok(removed)
    }
}
