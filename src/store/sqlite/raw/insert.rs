//! Inserts: an import spends most of its time in these statements.
//!
//! Of 300,000 records on two cores, `query!` wrote 11,000 a second, with half the time spent on waking the
//! connection's thread for each row; the statements here write 97,000 a second. Per CPU second, one statement
//! with `VALUES` of 300 rows writes three quarters of that, and `json_each` two fifths
//! (`benches/store_paths.rs`).

use rusqlite::types::{ToSqlOutput, ValueRef};
use sqlx::sqlite::SqliteTransaction;

use super::{lock, with_raw};
use crate::domain::statement::Fingerprint;
use crate::store::batch::NormalizedStatements;
use crate::store::error::StoreError;

pub(super) const INSERT_NORMALIZED: &str =
    "INSERT INTO statement (fingerprint, normalized) VALUES (?, ?)
     ON CONFLICT (fingerprint) DO NOTHING";

/// Runs an insert once for each row; returns the new row's id, or none where the insert did nothing.
pub(in crate::store::sqlite) async fn insert_rows<'a, const COLUMNS: usize>(
    transaction: &mut SqliteTransaction<'_>,
    insert: &str,
    rows: impl Iterator<Item = [ValueRef<'a>; COLUMNS]>,
) -> Result<Vec<Option<i64>>, StoreError> {
    let mut handle = lock(transaction).await?;
    // A batch takes some ten milliseconds: the runtime moves other tasks off this thread.
    tokio::task::block_in_place(|| {
        with_raw(&mut handle, |sqlite| {
            let mut insert = sqlite.prepare(insert)?;
            let mut bound = [ValueRef::Null; COLUMNS];
            let mut inserted = Vec::with_capacity(rows.size_hint().0);
            for values in rows {
                for (at, (value, bound)) in values.iter().zip(&bound).enumerate() {
                    // SQLite keeps what was bound, and copies each text: most columns are as in the row before.
                    if value != bound {
                        insert.raw_bind_parameter(at + 1, ToSqlOutput::Borrowed(*value))?;
                    }
                }
                bound = values;
                let is_new = insert.raw_execute()? == 1;
                inserted.push(is_new.then(|| sqlite.last_insert_rowid()));
            }
            Ok(inserted)
        })
    })
}

/// Inserts the normalized statements that are not stored yet. `stored` are those that this transaction has
/// inserted or found.
pub(in crate::store::sqlite) async fn insert_normalized(
    transaction: &mut SqliteTransaction<'_>,
    statements: &NormalizedStatements,
    stored: &mut foldhash::HashSet<Fingerprint>,
) -> Result<(), StoreError> {
    let mut handle = lock(transaction).await?;
    tokio::task::block_in_place(|| {
        with_raw(&mut handle, |sqlite| {
            let mut insert = sqlite.prepare(INSERT_NORMALIZED)?;
            for (fingerprint, normalized) in &statements.texts {
                // Most statements of a batch are those of the one before.
                if stored.insert(*fingerprint) {
                    insert.execute((fingerprint.to_signed(), normalized))?;
                }
            }
            Ok(())
        })
    })
}
