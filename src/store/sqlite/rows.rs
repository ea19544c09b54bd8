//! The rows of a transaction.

use std::collections::BTreeSet;

use sqlx::sqlite::SqliteTransaction;

use super::admin::retention;
use super::login::write_logins;
use super::raw::{
    change_hours, forget_hours, insert_normalized, insert_queries, note_unread_plans, shift_rows,
    stored_queries, update_queries, write_loads, write_plans,
};
use crate::domain::login::Login;
use crate::domain::record::{Load, QueryId, QueryRecord, StoredQuery};
use crate::domain::statement::Fingerprint;
use crate::domain::token::TokenHash;
use crate::store::batch::{
    AuditCheckpoint, Counts, FollowedFile, Label, NormalizedStatements, WriteSummary,
};
use crate::store::error::StoreError;
use crate::store::hours::{HourChange, hour_of};
use crate::store::packing::PackedProfile;
use crate::store::plans::ReadPlan;
use crate::store::retention::Removal;
use crate::store::shift::{Shift, TimeSource};
use crate::store::write::Rows;

pub(super) struct SqliteRows<'t, 'c> {
    transaction: &'t mut SqliteTransaction<'c>,
    /// The normalized statements that this transaction has stored or found.
    stored_statements: foldhash::HashSet<Fingerprint>,
    /// The names of clusters that this transaction has stored or found.
    stored_clusters: BTreeSet<String>,
    /// The hours in which this transaction changes a query.
    changed_hours: foldhash::HashSet<i64>,
    /// The starts of the stored queries that this transaction may change.
    known_starts: foldhash::HashMap<QueryId, i64>,
}

impl<'t, 'c> SqliteRows<'t, 'c> {
    pub(super) fn new(transaction: &'t mut SqliteTransaction<'c>) -> SqliteRows<'t, 'c> {
        SqliteRows {
            transaction,
            stored_statements: foldhash::HashSet::default(),
            stored_clusters: BTreeSet::new(),
            changed_hours: foldhash::HashSet::default(),
            known_starts: foldhash::HashMap::default(),
        }
    }

    /// Removes the summaries of hours in which a query changed. The last of a transaction.
    pub(super) async fn finish(self) -> Result<(), StoreError> {
        forget_hours(self.transaction, &self.changed_hours).await
    }
}

impl Rows for SqliteRows<'_, '_> {
    async fn insert_label(&mut self, label: &Label) -> Result<bool, StoreError> {
        let now_ms = crate::domain::time::now_ms();
        let inserted = sqlx::query!(
            "INSERT INTO stream_load_label (cluster, db, label, loaded_ms) VALUES (?, ?, ?, ?)
             ON CONFLICT DO NOTHING",
            label.cluster,
            label.db,
            label.label,
            now_ms
        )
        .execute(&mut **self.transaction)
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    async fn insert_clusters(&mut self, names: &BTreeSet<String>) -> Result<(), StoreError> {
        for name in names.difference(&self.stored_clusters) {
            sqlx::query!("INSERT INTO cluster (name) VALUES (?) ON CONFLICT DO NOTHING", name)
                .execute(&mut **self.transaction)
                .await?;
        }
        self.stored_clusters.extend(names.iter().cloned());
        Ok(())
    }

    async fn remove(
        &mut self,
        removal: &Removal,
        written: &mut WriteSummary,
    ) -> Result<(), StoreError> {
        // A normalized statement goes with the last of its queries.
        self.stored_statements.clear();
        let starts = retention::remove(self.transaction, removal, written).await?;
        self.changed_hours.extend(starts.into_iter().map(hour_of));
        Ok(())
    }

    async fn insert_queries(
        &mut self,
        queries: &[(&QueryRecord, Option<Fingerprint>)],
    ) -> Result<Vec<bool>, StoreError> {
        let inserted = insert_queries(self.transaction, queries).await?;
        let new = inserted.iter().zip(queries).filter(|(row, _)| row.is_some());
        let starts = new.filter_map(|(_, (record, _))| record.started_ms);
        self.changed_hours.extend(starts.map(hour_of));
        let loads: Vec<(i64, &Load)> = inserted
            .iter()
            .zip(queries)
            .filter_map(|(row, (record, _))| Some(((*row)?, record.load.as_deref()?)))
            .collect();
        write_loads(self.transaction, &loads).await?;
        Ok(inserted.iter().map(Option::is_some).collect())
    }

    async fn stored_queries(&mut self, ids: &[QueryId]) -> Result<Vec<StoredQuery>, StoreError> {
        let stored = stored_queries(self.transaction, ids).await?;
        let starts =
            stored.iter().filter_map(|query| Some((query.query_id.clone(), query.started_ms?)));
        self.known_starts.extend(starts);
        Ok(stored)
    }

    async fn update_queries(
        &mut self,
        queries: &[(&StoredQuery, Option<Fingerprint>)],
    ) -> Result<(), StoreError> {
        let records: Vec<_> =
            queries.iter().map(|(query, fingerprint)| (&query.record, *fingerprint)).collect();
        for (record, _) in &records {
            let known_start = self.known_starts.get(&record.query_id).copied();
            let starts = known_start.into_iter().chain(record.started_ms);
            self.changed_hours.extend(starts.map(hour_of));
        }
        update_queries(self.transaction, &records).await?;
        let loads: Vec<(i64, &Load)> = queries
            .iter()
            .filter_map(|(query, _)| Some((query.id, query.load.as_deref()?)))
            .collect();
        write_loads(self.transaction, &loads).await
    }

    async fn insert_normalized(
        &mut self,
        statements: &NormalizedStatements,
    ) -> Result<(), StoreError> {
        insert_normalized(self.transaction, statements, &mut self.stored_statements).await
    }

    async fn stored_profile(
        &mut self,
        query_id: &QueryId,
    ) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
        let query_id = query_id.as_str();
        let stored = sqlx::query!(
            "SELECT text_bytes, body FROM profile
             WHERE query = (SELECT id FROM query WHERE query_id = ?)",
            query_id
        )
        .fetch_optional(&mut **self.transaction)
        .await?;
        Ok(stored.map(|stored| (stored.text_bytes, stored.body)))
    }

    async fn insert_profile(
        &mut self,
        query_id: &QueryId,
        profile: &PackedProfile,
    ) -> Result<bool, StoreError> {
        self.put_profile(query_id, profile).await?;
        Ok(true)
    }

    async fn replace_profile(
        &mut self,
        query_id: &QueryId,
        profile: &PackedProfile,
    ) -> Result<(), StoreError> {
        self.put_profile(query_id, profile).await?;
        let query_id = query_id.as_str();
        sqlx::query!(
            "DELETE FROM plan WHERE query = (SELECT id FROM query WHERE query_id = ?)",
            query_id
        )
        .execute(&mut **self.transaction)
        .await?;
        Ok(())
    }

    async fn note_unread_plans(
        &mut self,
        queries: &BTreeSet<&QueryId>,
        token: i64,
    ) -> Result<(), StoreError> {
        note_unread_plans(self.transaction, queries, token).await
    }

    async fn write_plans(&mut self, plans: &[ReadPlan]) -> Result<(), StoreError> {
        write_plans(self.transaction, plans).await
    }

    async fn change_hours(&mut self, changes: &[HourChange]) -> Result<(), StoreError> {
        change_hours(self.transaction, changes).await
    }

    async fn write_logins(&mut self, logins: &[Login]) -> Result<Counts, StoreError> {
        write_logins(self.transaction, logins).await
    }

    async fn note_merged_parts(&mut self, digests: &[String]) -> Result<(), StoreError> {
        for digest in digests {
            sqlx::query!(
                "INSERT INTO merged_part (digest) VALUES (?) ON CONFLICT DO NOTHING",
                digest
            )
            .execute(&mut **self.transaction)
            .await?;
        }
        Ok(())
    }

    async fn forget_merged_parts(&mut self) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM merged_part").execute(&mut **self.transaction).await?;
        Ok(())
    }

    async fn write_followed(&mut self, file: &FollowedFile) -> Result<(), StoreError> {
        if let Some(old_hash) = &file.replaces {
            sqlx::query!("DELETE FROM followed_file WHERE head_hash = ?", old_hash)
                .execute(&mut **self.transaction)
                .await?;
        }
        sqlx::query!(
            "INSERT INTO followed_file (head_hash, head_bytes, read_bytes, path, file_bytes, modified_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (head_hash) DO UPDATE SET
                 head_bytes = ?2, read_bytes = ?3, path = ?4, file_bytes = ?5, modified_ms = ?6",
            file.head_hash,
            file.head_bytes,
            file.read_bytes,
            file.path,
            file.file_bytes,
            file.modified_ms
        )
        .execute(&mut **self.transaction)
        .await?;
        Ok(())
    }

    async fn write_audit_checkpoint(
        &mut self,
        checkpoint: &AuditCheckpoint,
    ) -> Result<(), StoreError> {
        let AuditCheckpoint { name, read_from, oldest, minutes } = checkpoint;
        let (read_from, oldest) = (read_from.to_string(), oldest.to_string());
        sqlx::query!(
            "INSERT INTO audit_table (name, read_from, oldest) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET read_from = ?2, oldest = ?3",
            name,
            read_from,
            oldest
        )
        .execute(&mut **self.transaction)
        .await?;
        for (minute, rows) in minutes {
            let (minute, rows) = (minute.to_string(), i64::try_from(*rows).unwrap_or(i64::MAX));
            sqlx::query!(
                "INSERT INTO audit_table_minute (name, minute, rows) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name, minute) DO UPDATE SET rows = ?3",
                name,
                minute,
                rows
            )
            .execute(&mut **self.transaction)
            .await?;
        }
        sqlx::query!("DELETE FROM audit_table_minute WHERE name = ? AND minute < ?", name, oldest)
            .execute(&mut **self.transaction)
            .await?;
        Ok(())
    }

    async fn time_sources(&mut self, source: &str) -> Result<Vec<TimeSource>, StoreError> {
        sqlx::query_as!(
            TimeSource,
            "SELECT id, source, time_zone, shifted_ms, used_ms FROM time_source WHERE source = ?",
            source
        )
        .fetch_all(&mut **self.transaction)
        .await
        .map_err(StoreError::from)
    }

    async fn put_time_source(&mut self, row: &TimeSource) -> Result<i64, StoreError> {
        sqlx::query_scalar!(
            "INSERT INTO time_source (source, time_zone, shifted_ms, used_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (source, time_zone, shifted_ms) DO UPDATE SET used_ms = max(used_ms, ?4) RETURNING id",
            row.source,
            row.time_zone,
            row.shifted_ms,
            row.used_ms
        )
        .fetch_one(&mut **self.transaction)
        .await
        .map_err(StoreError::from)
    }

    async fn shift(&mut self, shift: &Shift, to: Option<i64>) -> Result<u64, StoreError> {
        let (changed, starts) = shift_rows(self.transaction, shift, to).await?;
        let hours =
            starts.iter().flat_map(|ms| [hour_of(*ms), hour_of(ms.saturating_sub(shift.by_ms))]);
        self.changed_hours.extend(hours);
        Ok(changed)
    }

    async fn write_token_use(&mut self, token: TokenHash, used_ms: i64) -> Result<(), StoreError> {
        let hash = token.as_bytes();
        sqlx::query!(
            "UPDATE token SET used_ms = ?2 WHERE hash = ?1 AND (used_ms IS NULL OR used_ms < ?2)",
            hash,
            used_ms
        )
        .execute(&mut **self.transaction)
        .await?;
        Ok(())
    }
}

impl SqliteRows<'_, '_> {
    async fn put_profile(
        &mut self,
        query_id: &QueryId,
        profile: &PackedProfile,
    ) -> Result<(), StoreError> {
        let query_id = query_id.as_str();
        sqlx::query!(
            "INSERT INTO profile (query, text_bytes, body)
             VALUES ((SELECT id FROM query WHERE query_id = ?1), ?2, ?3)
             ON CONFLICT (query) DO UPDATE SET text_bytes = ?2, body = ?3",
            query_id,
            profile.text_bytes,
            profile.body
        )
        .execute(&mut **self.transaction)
        .await?;
        Ok(())
    }
}
