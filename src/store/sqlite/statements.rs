//! The texts of normalized statements.

use std::collections::{HashMap, HashSet};

use super::Store;
use crate::domain::statement::Fingerprint;
use crate::store::StoreError;

impl Store {
    /// Returns the normalized statements of fingerprints, each its first 64 KiB. Unknown fingerprints are
    /// missing.
    pub(crate) async fn normalized_statements(
        &self,
        fingerprints: &HashSet<Fingerprint>,
    ) -> Result<HashMap<Fingerprint, String>, StoreError> {
        let list: Vec<i64> = fingerprints.iter().map(|it| it.to_signed()).collect();
        let list = serde_json::json!(list).to_string();
        let statements = sqlx::query!(
            "SELECT fingerprint, normalized FROM statement
             WHERE fingerprint IN (SELECT value FROM json_each(?))",
            list
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(statements
            .into_iter()
            .map(|row| (Fingerprint::from_signed(row.fingerprint), row.normalized))
            .collect())
    }
}
