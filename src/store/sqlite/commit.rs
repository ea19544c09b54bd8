//! Transactions: a group of batches in one, and the search index between two.

use std::error::Error;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteTransaction};
use sqlx::{ConnectOptions, Connection};

use super::admin::{backup, retention};
use super::log_bound::LogBound;
use super::login::write_logins;
use super::raw::{OpenFile, insert_normalized, make_segments, remove_unfilled};
use super::write::write_records;
use crate::domain::profile::Profile;
use crate::domain::record::QueryId;
use crate::domain::statement::Fingerprint;
use crate::store::batch::{Batch, Counts, FollowedFile, Label, PackedProfile, WriteSummary};
use crate::store::error::{BackupError, FileFault, StoreError};
use crate::store::profile_body::unpack;
use crate::store::writer::{Group, Upkeep, WriteConnection};

/// The connection that writes.
pub(super) struct SqliteWriter {
    options: SqliteConnectOptions,
    connection: SqliteConnection,
    log: LogBound,
    /// None only for a store that reads.
    open_file: Option<Arc<OpenFile>>,
    /// Whether the log is moved into a file that is not at its path any more.
    is_log_moved: bool,
}

impl SqliteWriter {
    /// Returns a writer that keeps the write-ahead log of the file within a bound. Errors if the file is not the one that
    /// `open_file` knows.
    pub(super) async fn connect(
        options: SqliteConnectOptions,
        log: LogBound,
        open_file: Option<Arc<OpenFile>>,
    ) -> Result<SqliteWriter, StoreError> {
        let connection = options.connect().await?;
        let writer = SqliteWriter { options, connection, log, open_file, is_log_moved: false };
        writer.check_file()?;
        Ok(writer)
    }

    /// Errors if the file is not as annals left it.
    fn check_file(&self) -> Result<(), FileFault> {
        self.open_file.as_ref().map_or(Ok(()), |file| file.check())
    }

    async fn write(&mut self, group: &mut Group<'_>) -> Result<(), StoreError> {
        // The write lock is taken at once: a transaction that begins by reading can lose its snapshot to
        // another process that writes.
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        remove_unfilled(&mut transaction).await?;
        let mut stored_statements = foldhash::HashSet::default();
        while let Some(batch) = group.next().await {
            group.written(write_batch(&mut transaction, batch, &mut stored_statements).await?);
        }
        Ok(transaction.commit().await?)
    }

    /// Brings the log where it does no harm, once. If the content of file and log is right, the log is moved into the file
    /// that annals has open: whoever renamed the file then has all of it.
    async fn move_log(&mut self, fault: FileFault) {
        if self.is_log_moved {
            return;
        }
        match (fault, &self.open_file) {
            (FileFault::Removed | FileFault::Replaced | FileFault::LogRemoved, _) => {
                match super::checkpoint(&mut self.connection).await {
                    Ok(()) => self.is_log_moved = true,
                    Err(error) => {
                        let error = &error as &dyn Error;
                        tracing::error!(error, "the log cannot be moved into the history's file");
                    }
                }
            }
            (FileFault::Overwritten, Some(file)) => {
                file.move_log_away();
                self.is_log_moved = true;
            }
            _ => {}
        }
    }

    /// Copies the content of a deleted file to a new file beside the path.
    async fn rescue(&mut self) -> Result<(), BackupError> {
        let Some(file) = self.open_file.as_ref().filter(|file| file.is_deleted()) else {
            return Ok(());
        };
        let target = file.rescue_path();
        backup::copy_to(&mut self.connection, &target).await?;
        let path = target.display();
        tracing::error!(%path, "the history's file was deleted; its content is in another file now");
        Ok(())
    }
}

impl WriteConnection for SqliteWriter {
    async fn write_group(&mut self, group: &mut Group<'_>) -> Result<(), StoreError> {
        self.check_file()?;
        self.write(group).await.map_err(|error| match &self.open_file {
            Some(file) => file.note(error),
            None => error,
        })?;
        // Before the batches are acknowledged: the commit may have gone to a file that nobody finds again.
        Ok(self.check_file()?)
    }

    /// Replaces the connection. SQLite may have ended the transaction, as it does on a full disk, and sqlx does
    /// not learn of that: only a new connection is certain to be in no transaction.
    async fn recover(&mut self) {
        match self.check_file() {
            // A new connection would open another file.
            Err(fault) if fault != FileFault::Damaged => self.move_log(fault).await,
            _ => {
                if let Ok(fresh) = self.options.connect().await {
                    let old = std::mem::replace(&mut self.connection, fresh);
                    let _ = old.close_hard().await;
                }
            }
        }
    }

    /// Looks at the file while nothing is written.
    async fn look(&mut self) {
        match self.check_file() {
            Ok(()) => self.is_log_moved = false,
            Err(fault) => self.move_log(fault).await,
        }
    }

    async fn trim_log(&mut self) {
        self.log.keep(&mut self.connection).await;
    }

    /// Makes segments of the search index. A search reads the rows that no segment covers, so an error
    /// costs only time.
    async fn upkeep(&mut self, steps: usize) -> Upkeep {
        if self.check_file().is_err() {
            return Upkeep::Done;
        }
        make_segments(&mut self.connection, steps).await.unwrap_or_else(|error| {
            let error = &error as &dyn Error;
            tracing::warn!(error, "the search index was not brought up to date");
            Upkeep::Done
        })
    }

    async fn close(mut self) -> Result<(), StoreError> {
        let fault = self.check_file().err().filter(|fault| *fault != FileFault::Damaged);
        let Some(fault) = fault else {
            super::checkpoint(&mut self.connection).await?;
            return Ok(self.connection.close().await?);
        };
        self.move_log(fault).await;
        if let Err(error) = self.rescue().await {
            let error = &error as &dyn Error;
            tracing::error!(error, "the content of the deleted history cannot be copied");
        }
        // Closing would write the log into the file that is there now, or delete a log that is not annals'.
        std::mem::forget(self.connection);
        Err(fault.into())
    }
}

/// Writes a batch. `stored_statements` are the normalized statements that this transaction has stored or found.
async fn write_batch(
    transaction: &mut SqliteTransaction<'_>,
    batch: Batch,
    stored_statements: &mut foldhash::HashSet<Fingerprint>,
) -> Result<WriteSummary, StoreError> {
    let mut written = WriteSummary::default();
    if let Some(label) = &batch.label
        && !insert_label(transaction, label).await?
    {
        written.label_exists = true;
        return Ok(written);
    }
    if !batch.removal.is_empty() {
        retention::remove(transaction, &batch.removal, &mut written).await?;
        // A normalized statement goes with the last of its queries.
        stored_statements.clear();
    }
    let summaries =
        batch.profiles.iter().map(|profile| (profile.summary.clone(), profile.fingerprint));
    let first_summary = batch.records.len();
    let records = batch.records.into_iter().chain(summaries);
    let mut statements = batch.statements;
    let restricted_to = batch.restricted_to.as_deref();
    let kept_as =
        write_records(transaction, records, restricted_to, &mut statements, &mut written.records)
            .await?;
    insert_normalized(transaction, &statements, stored_statements).await?;
    for (number, profile) in batch.profiles.into_iter().enumerate() {
        let own_id = profile.summary.query_id.clone();
        let query_id = kept_as.get(&(first_summary + number)).unwrap_or(&own_id);
        let may_replace = restricted_to.is_none();
        write_profile(transaction, query_id, profile, may_replace, &mut written.profiles).await?;
    }
    written.logins = write_logins(transaction, &batch.logins).await?;
    if let Some(file) = &batch.followed {
        write_followed(transaction, file).await?;
    }
    Ok(written)
}

/// Writes a profile, unless the stored one of the query is the better one. A profile of a finished query is replaced only
/// if the batch `may_replace` it.
async fn write_profile(
    transaction: &mut SqliteTransaction<'_>,
    query_id: &QueryId,
    profile: PackedProfile,
    may_replace: bool,
    counts: &mut Counts,
) -> Result<(), StoreError> {
    let PackedProfile { summary, text_bytes, body, .. } = profile;
    let query_id = query_id.as_str();
    let stored = sqlx::query!(
        "SELECT text_bytes, body FROM profile
         WHERE query = (SELECT id FROM query WHERE query_id = ?)",
        query_id
    )
    .fetch_optional(&mut **transaction)
    .await?;
    match stored {
        None => counts.new += 1,
        Some(stored) => {
            // A damaged text counts as empty, which any other text replaces.
            let text = unpack(&stored.body, stored.text_bytes).unwrap_or_default();
            let is_kept = !may_replace && !Profile::is_running(&text) && !text.is_empty();
            if is_kept || !Profile::should_replace(summary.is_running(), text_bytes as usize, &text)
            {
                counts.unchanged += 1;
                return Ok(());
            }
            counts.merged += 1;
        }
    }
    sqlx::query!(
        "INSERT INTO profile (query, text_bytes, body)
         VALUES ((SELECT id FROM query WHERE query_id = ?1), ?2, ?3)
         ON CONFLICT (query) DO UPDATE SET text_bytes = ?2, body = ?3",
        query_id,
        text_bytes,
        body
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Stores a label. Returns false if the label is stored already.
async fn insert_label(
    transaction: &mut SqliteTransaction<'_>,
    label: &Label,
) -> Result<bool, StoreError> {
    let now_ms = crate::domain::time::now_ms();
    let inserted = sqlx::query!(
        "INSERT INTO stream_load_label (db, label, loaded_ms) VALUES (?, ?, ?)
         ON CONFLICT DO NOTHING",
        label.db,
        label.label,
        now_ms
    )
    .execute(&mut **transaction)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Stores how far a followed file is read.
async fn write_followed(
    transaction: &mut SqliteTransaction<'_>,
    file: &FollowedFile,
) -> Result<(), StoreError> {
    if let Some(old_hash) = &file.replaces {
        sqlx::query!("DELETE FROM followed_file WHERE head_hash = ?", old_hash)
            .execute(&mut **transaction)
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
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
