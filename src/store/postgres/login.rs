//! Log-ins: rows that the audit log reports of connections.

use std::collections::BTreeMap;

use annals_postgres_statements as statements;

use super::Store;
use crate::domain::login::Login;
use crate::domain::record::Zoned;
use crate::store::contents::LoginCounts;
use crate::store::error::StoreError;

/// Log-ins of a page.
const PAGE: i64 = 1000;

impl Store {
    /// Returns how many log-ins the store holds. Reads all of them.
    pub(in crate::store) async fn login_counts(&self) -> Result<LoginCounts, StoreError> {
        let (all, failed) = statements::login_counts(&mut *self.cluster.reader().await?).await?;
        Ok(LoginCounts { all, failed })
    }

    /// Returns the time of the first log-in, in Unix milliseconds.
    pub(in crate::store) async fn first_login_ms(&self) -> Result<Option<i64>, StoreError> {
        Ok(statements::first_login_ms(&self.cluster.primary()).await?)
    }

    /// Returns a page of the log-ins after a row, in the order of their arrival, with the row of the last; none after the
    /// last.
    pub(in crate::store) async fn logins_after(
        &self,
        row: i64,
    ) -> Result<Option<(Vec<Login>, i64)>, StoreError> {
        let rows = statements::logins_after(&self.cluster.primary(), row, PAGE).await?;
        let Some(last) = rows.last().map(|(row, _)| *row) else { return Ok(None) };
        let logins = rows.into_iter().map(|(_, login)| Login {
            id: login.login_id,
            at_ms: login.at_ms,
            user: login.user,
            client: login.client,
            frontend: login.frontend,
            catalog: login.catalog,
            db: login.db,
            succeeded: login.succeeded,
            error_code: login.error_code,
            error_message: login.error_message,
            // Another program may have written something else.
            extra: login
                .extra
                .and_then(|json| serde_json::from_str::<BTreeMap<_, _>>(&json).ok())
                .unwrap_or_default(),
            zoned: Zoned::of_number(login.time_source),
        });
        Ok(Some((logins.collect(), last)))
    }
}
