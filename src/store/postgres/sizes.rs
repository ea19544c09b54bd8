//! Counts and sizes of everything, and the texts of normalized statements.

use std::collections::{HashMap, HashSet};

use annals_postgres_statements as statements;
use sqlx::PgConnection;

use super::Store;
use crate::domain::statement::Fingerprint;
use crate::store::contents::Sizes;
use crate::store::error::StoreError;
use crate::store::retention::DiskUsage;

/// Returns the bytes that the database takes on the disks of all nodes of Citus.
async fn bytes_of_nodes(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    // No macro: the function is one of Citus.
    let bytes = "SELECT sum(result::bigint)::bigint
        FROM run_command_on_all_nodes($$ SELECT pg_database_size(current_database()) $$)";
    sqlx::query_scalar(bytes).fetch_one(connection).await
}

impl Store {
    /// Returns how much the store holds. Reads an index of all queries, and all rows of profiles.
    pub(in crate::store) async fn sizes(&self) -> Result<Sizes, StoreError> {
        let statements::Sizes { queries, profiles, profile_text_bytes, profile_bytes } =
            statements::sizes(&mut *self.cluster.reader().await?).await?;
        let mut connection = self.cluster.reader().await?;
        let file_bytes = match statements::is_citus(&mut *connection).await? {
            true => bytes_of_nodes(&mut connection).await?,
            false => statements::database_bytes(&mut *connection).await?,
        };
        Ok(Sizes { queries, profiles, profile_text_bytes, profile_bytes, file_bytes })
    }

    /// Returns how many queries each frontend ran, the most first; none is an unknown frontend. Reads all queries.
    pub(in crate::store) async fn frontends(
        &self,
    ) -> Result<Vec<(Option<String>, i64)>, StoreError> {
        Ok(statements::frontends(&mut *self.cluster.reader().await?).await?)
    }

    /// Returns the normalized statements of fingerprints, each its first 64 KiB. Unknown fingerprints are missing.
    pub(in crate::store) async fn normalized_statements(
        &self,
        fingerprints: &HashSet<Fingerprint>,
    ) -> Result<HashMap<Fingerprint, String>, StoreError> {
        let list: Vec<i64> = fingerprints.iter().map(|it| it.to_signed()).collect();
        let found =
            statements::normalized_statements(&mut *self.cluster.reader().await?, &list).await?;
        let found = found.into_iter();
        Ok(found.map(|(it, text)| (Fingerprint::from_signed(it), text)).collect())
    }

    /// Returns the space that the database takes on the server that answers. PostgreSQL itself uses free space again, so
    /// that nothing counts as free.
    pub(in crate::store) async fn disk_usage(&self) -> Result<DiskUsage, StoreError> {
        let bytes = statements::database_bytes(&mut *self.cluster.reader().await?).await?;
        Ok(DiskUsage { page_bytes: 1, pages: bytes, free_pages: 0, is_shrinkable: false })
    }
}
