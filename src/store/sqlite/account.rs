//! The accounts of those who may ask.

use super::{OpenError, Store, refusal, writing};
use crate::domain::account::{Account, Role};
use crate::store::error::StoreError;
use sqlx::{ConnectOptions, Connection};

impl Store {
    /// Every account, by name.
    pub async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let accounts = sqlx::query!("SELECT name, role, password_hash FROM account ORDER BY name")
            .fetch_all(&self.readers)
            .await?;
        let accounts = accounts.into_iter().map(|account| Account {
            name: account.name,
            // What this annals does not know may do the least.
            role: account.role.parse().unwrap_or(Role::User),
            password_hash: account.password_hash,
        });
        Ok(accounts.collect())
    }

    /// Adds an account, or changes the one of its name.
    pub async fn put_account(&self, account: &Account) -> Result<(), OpenError> {
        let refused = |error| refusal(&self.path, error);
        let mut connection = writing(&self.path).connect().await.map_err(refused)?;
        let role = account.role.name();
        sqlx::query!(
            "INSERT INTO account (name, role, password_hash) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET role = ?2, password_hash = ?3",
            account.name,
            role,
            account.password_hash
        )
        .execute(&mut connection)
        .await
        .map_err(refused)?;
        connection.close().await.map_err(refused)
    }

    /// Removes an account; `false` where there is none of the name.
    pub async fn remove_account(&self, name: &str) -> Result<bool, OpenError> {
        let refused = |error| refusal(&self.path, error);
        let mut connection = writing(&self.path).connect().await.map_err(refused)?;
        let removed = sqlx::query!("DELETE FROM account WHERE name = ?", name)
            .execute(&mut connection)
            .await
            .map_err(refused)?;
        connection.close().await.map_err(refused)?;
        Ok(removed.rows_affected() == 1)
    }
}
