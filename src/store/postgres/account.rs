//! Accounts of users.

use std::time::Duration;

use annals_postgres_statements as statements;
use sqlx::{Connection, PgConnection};

use super::Store;
use crate::domain::account::{Account, Role, clusters_of_json};
use crate::store::error::{OpenError, StoreError};

/// How long a log-in waits for the primary before a replica, which may not know of a change yet, is asked.
pub(super) const PRIMARY_TIME: Duration = Duration::from_secs(1);

impl Store {
    /// Returns every account, by name. While the primary does not answer, a replica does.
    pub(in crate::store) async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let primary = self.cluster.primary();
        let accounts = match self.cluster.replica() {
            None => statements::accounts(&primary).await?,
            Some(_) => {
                let accounts = Box::pin(statements::accounts(&primary));
                match tokio::time::timeout(PRIMARY_TIME, accounts).await {
                    Ok(Ok(accounts)) => accounts,
                    _ => statements::accounts(&mut *self.cluster.reader().await?).await?,
                }
            }
        };
        let accounts = accounts.into_iter().map(|account| Account {
            name: account.name,
            // A role that this annals does not know has the fewest rights.
            role: account.role.parse().unwrap_or(Role::User),
            password_hash: account.password_hash,
            clusters: clusters_of_json(account.clusters.as_deref()),
        });
        Ok(accounts.collect())
    }

    /// Adds an account, or replaces the account of the same name.
    pub(in crate::store) async fn put_account(&self, account: &Account) -> Result<(), OpenError> {
        let not_written = |error| OpenError::of_postgres(self.address(), error);
        let mut connection = self.connected().await?;
        let stored = statements::Account {
            name: account.name.clone(),
            role: account.role.name().to_string(),
            password_hash: account.password_hash.clone(),
            clusters: account.clusters_json(),
        };
        let put = statements::put_account(&mut connection, &stored);
        put.await.map_err(not_written)?;
        connection.close().await.map_err(not_written)
    }

    /// Removes an account. Returns false if no account has the name.
    pub(in crate::store) async fn remove_account(&self, name: &str) -> Result<bool, OpenError> {
        let not_written = |error| OpenError::of_postgres(self.address(), error);
        let mut connection = self.connected().await?;
        let removed = statements::remove_account(&mut connection, name).await;
        let removed = removed.map_err(not_written)?;
        connection.close().await.map_err(not_written)?;
        Ok(removed)
    }

    /// Returns a connection to the server that accepts writes.
    pub(super) async fn connected(&self) -> Result<PgConnection, OpenError> {
        let connected = self.cluster.connect_to_primary().await;
        Ok(connected.map_err(|error| OpenError::of_postgres(self.address(), error))?.connection)
    }
}
