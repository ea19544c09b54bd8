//! Which zones times were read in.

use super::Store;
use super::raw::zone_groups;
use crate::domain::filter::QueryFilter;
use crate::store::error::StoreError;
use crate::store::shift::{Shifted, TimeSource, ZoneGroup};

impl Store {
    /// Returns every source with each zone in which it was read.
    pub(in crate::store) async fn time_sources(&self) -> Result<Vec<TimeSource>, StoreError> {
        sqlx::query_as!(
            TimeSource,
            "SELECT id, source, time_zone, shifted_ms, used_ms FROM time_source ORDER BY source, used_ms"
        )
        .fetch_all(&self.readers)
        .await
        .map_err(StoreError::from)
    }

    /// Returns the rows of a filter whose times depend on a zone, or may, by their row of `time_source`. Reads all rows.
    pub(in crate::store) async fn zone_groups(
        &self,
        what: Shifted,
        filter: &QueryFilter,
    ) -> Result<Vec<ZoneGroup>, StoreError> {
        let mut connection = self.reporters.acquire().await?;
        zone_groups(&mut connection, what, filter).await
    }
}
