//! Accounts of users.

use sqlx::{ConnectOptions, Connection};

use super::{Store, options_to_write};
use crate::domain::account::{Account, Role};
use crate::store::error::{OpenError, StoreError};

impl Store {
    /// Returns every account, by name.
    pub(crate) async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let accounts =
            sqlx::query!("SELECT name, role, password_hash, clusters FROM account ORDER BY name")
                .fetch_all(&self.readers)
                .await
                .map_err(|error| self.read_pool.noted(error))?;
        let accounts = accounts.into_iter().map(|account| Account {
            name: account.name,
            // A role that this annals does not know has the fewest rights.
            role: account.role.parse().unwrap_or(Role::User),
            password_hash: account.password_hash,
            clusters: Account::clusters_of_json(account.clusters.as_deref()),
        });
        Ok(accounts.collect())
    }

    /// Adds an account, or replaces the account of the same name.
    pub(crate) async fn put_account(&self, account: &Account) -> Result<(), OpenError> {
        let not_written = |error: sqlx::Error| OpenError::of(&self.path, error);
        let mut connection = options_to_write(&self.path).connect().await.map_err(not_written)?;
        let (role, clusters) = (account.role.name(), account.clusters_json());
        sqlx::query!(
            "INSERT INTO account (name, role, password_hash, clusters) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO UPDATE SET role = ?2, password_hash = ?3, clusters = ?4",
            account.name,
            role,
            account.password_hash,
            clusters
        )
        .execute(&mut connection)
        .await
        .map_err(not_written)?;
        connection.close().await.map_err(not_written)
    }

    /// Removes an account. Returns false if no account has the name.
    pub(crate) async fn remove_account(&self, name: &str) -> Result<bool, OpenError> {
        let not_written = |error: sqlx::Error| OpenError::of(&self.path, error);
        let mut connection = options_to_write(&self.path).connect().await.map_err(not_written)?;
        let removed = sqlx::query!("DELETE FROM account WHERE name = ?", name)
            .execute(&mut connection)
            .await
            .map_err(not_written)?;
        connection.close().await.map_err(not_written)?;
        Ok(removed.rows_affected() == 1)
    }
}
