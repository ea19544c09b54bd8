//! Profiles: the stored body of a small one is unpacked where SQLite has it.

use rusqlite::params;
use sqlx::Execute;
use xxhash_rust::xxh3::xxh3_128;

use super::super::Store;
use crate::domain::record::QueryId;
use crate::store::error::StoreError;
use crate::store::profile_body::{StoredText, unpack};
use crate::store::query::{Reader, StoredProfile};

impl Store {
    /// Returns the profile of a query. A text of more than 64 KiB is returned packed.
    pub(crate) async fn profile(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
    ) -> Result<StoredProfile, StoreError> {
        let (id, owner, clusters) = (query_id.as_str(), reader.owner, reader.clusters_json());
        let read = self.read_pool.read_briefly(|handle| {
            let (sql, arguments) = (
                // 64 KiB are unpacked in 30 µs. SQLite does not read a longer body from the file here.
                sqlx::query!(
                    "SELECT profile.text_bytes, profile.query,
                            CASE WHEN profile.text_bytes <= 65536 THEN profile.body END AS body
                     FROM query LEFT JOIN profile ON profile.query = query.id
                     WHERE query.query_id = ?1 AND (?2 IS NULL OR query.user = ?2)
                       AND (?3 IS NULL OR query.cluster IN (SELECT value FROM json_each(?3)))",
                    id,
                    owner,
                    clusters
                )
                .sql(),
                params![id, owner, clusters],
            );
            let mut statement = handle.prepare_cached(sql.as_str())?;
            let mut rows = statement.query(arguments)?;
            let Some(row) = rows.next()? else {
                return Ok(Ok(Found::Profile(StoredProfile::UnknownQuery)));
            };
            Ok(match (row.get::<_, Option<i64>>(0)?, row.get_ref(2)?.as_blob_or_null()?) {
                (None, _) => Ok(Found::Profile(StoredProfile::None)),
                (Some(text_bytes), Some(body)) => unpack(body, text_bytes).map(|text| {
                    let text = StoredText::Unpacked(text);
                    Found::Profile(StoredProfile::Text(text, xxh3_128(body)))
                }),
                (Some(_), None) => Ok(Found::Large(row.get(1)?)),
            })
        });
        match read.await?? {
            Found::Profile(profile) => Ok(profile),
            Found::Large(row) => {
                // A caller that does not want to wait drops this future here, before a large body is read.
                tokio::task::yield_now().await;
                self.large_profile(row).await
            }
        }
    }

    /// Returns the profile of the query in a row, packed. sqlx reads it on a thread of its own.
    async fn large_profile(&self, row: i64) -> Result<StoredProfile, StoreError> {
        let found = sqlx::query!("SELECT text_bytes, body FROM profile WHERE query = ?", row)
            .fetch_optional(&self.readers)
            .await?;
        // Retention may have deleted it.
        let Some(found) = found else { return Ok(StoredProfile::None) };
        let hash = xxh3_128(&found.body);
        Ok(StoredProfile::Text(StoredText::packed(found.body, found.text_bytes)?, hash))
    }
}

/// What the first look at a profile finds.
enum Found {
    Profile(StoredProfile),
    /// A large profile of the query in this row.
    Large(i64),
}
