//! Lists by another value than the start. No index has these orders: the server looks at all queries of the filter.

use super::Store;
use super::conditions::Conditions;
use crate::domain::filter::{QueryFilter, Users};
use crate::store::error::StoreError;
use crate::store::query::Reader;

impl Store {
    /// Returns the ids of the first queries of a filter. The read is a report, so that lists by start never wait for it.
    /// Ignores the filter's text anywhere.
    ///
    /// Errors if too many reports wait, or if the time is up.
    pub(super) async fn sorted(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<Vec<String>, StoreError> {
        if filter.users(reader.owner) == Users::Nobody {
            return Ok(Vec::new());
        }
        let mut ids = Conditions::new("SELECT query.query_id FROM query");
        ids.and_filter(filter, reader.owner);
        ids.and_times(filter);
        ids.and_after(filter);
        let mut ids = ids.all_sorted(filter);
        ids.push(format!(" LIMIT {}", filter.limit));
        let mut read = self.reports.begin(reader.client()).await?;
        let bound = read.bound();
        let connection = read.connection()?;
        let found = async {
            let rows = ids.build_query_scalar().persistent(false).fetch_all(connection);
            Ok(rows.await?)
        };
        let found = bound.within(found).await?;
        read.end().await?;
        Ok(found)
    }
}
