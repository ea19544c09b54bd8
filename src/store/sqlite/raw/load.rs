//! Loads by their labels.

use rusqlite::params;

use super::super::Store;
use crate::store::error::StoreError;
use crate::store::query::Reader;

/// The loads whose labels are a text, or else only begin with it, the last to arrive first. Reads all loads until it has enough: no index
/// has labels, for each import would pay for it.
pub(super) const LABELLED: &str =
    "SELECT query.query_id FROM load CROSS JOIN query ON query.id = load.query
    WHERE substr(load.label, 1, length(?1)) = ?1 AND (load.label = ?1) = ?5 AND (?2 IS NULL OR query.user = ?2)
        AND (?3 IS NULL OR query.cluster IN (SELECT value FROM json_each(?3)))
    ORDER BY load.query DESC LIMIT ?4";

impl Store {
    /// Returns the ids of the loads whose labels begin with a text, at most `limit`: those with the label itself first, then the
    /// last to arrive.
    pub(in crate::store) async fn labelled(
        &self,
        label: &str,
        limit: u32,
        reader: Reader<'_>,
    ) -> Result<Vec<String>, StoreError> {
        let (label, owner) = (label.to_string(), reader.owner.map(str::to_string));
        let clusters = reader.clusters_json();
        let found = self.scans.run(reader.client(), move |sqlite| {
            let mut statement = sqlite.prepare_cached(LABELLED)?;
            let mut ids = Vec::new();
            for is_whole in [true, false] {
                let left = i64::from(limit) - ids.len() as i64;
                let values = params![label, owner, clusters, left, is_whole];
                for id in statement.query_map(values, |row| row.get(0))? {
                    ids.push(id?);
                }
            }
            Ok(ids)
        });
        found.await
    }
}
