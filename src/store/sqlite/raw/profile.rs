//! Profiles: the stored body is unpacked where SQLite has it.

use rusqlite::params;
use sqlx::Execute;
use xxhash_rust::xxh3::xxh3_128;

use super::super::Store;
use crate::domain::record::QueryId;
use crate::store::error::StoreError;
use crate::store::profile_body::unpack;
use crate::store::query::StoredProfile;

/// Unpacking a profile of this size takes long enough to move other tasks off the thread.
const LONG_BODY_BYTES: usize = 64 << 10;

impl Store {
    /// Returns the profile of a query.
    pub(crate) async fn profile(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
    ) -> Result<StoredProfile, StoreError> {
        let id = query_id.as_str();
        let read = self.read_pool.read_briefly(|handle| {
            let (sql, arguments) = (
                sqlx::query!(
                    "SELECT profile.text_bytes, profile.body
                     FROM query LEFT JOIN profile ON profile.query = query.id
                     WHERE query.query_id = ?1 AND (?2 IS NULL OR query.user = ?2)",
                    id,
                    owner
                )
                .sql(),
                params![id, owner],
            );
            let mut statement = handle.prepare_cached(sql.as_str())?;
            let mut rows = statement.query(arguments)?;
            let Some(row) = rows.next()? else { return Ok(Ok(StoredProfile::UnknownQuery)) };
            Ok(match (row.get_ref(1)?.as_blob_or_null()?, row.get(0)?) {
                (Some(body), Some(text_bytes)) => {
                    let unpacked = || {
                        unpack(body, text_bytes)
                            .map(|text| StoredProfile::Text(text, xxh3_128(body)))
                    };
                    match body.len() {
                        ..LONG_BODY_BYTES => unpacked(),
                        _ => tokio::task::block_in_place(unpacked),
                    }
                }
                _ => Ok(StoredProfile::None),
            })
        });
        read.await?.map_err(StoreError::from)
    }
}
