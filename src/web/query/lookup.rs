//! Reads a query and its profile from the store.

use crate::domain::record::QueryId;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::store::{StoredQuery, StoredText};

/// Returns a query. Errors with "not found" also where the user may not see the query.
pub(in crate::web) async fn find(view: &View, id: &QueryId) -> Result<StoredQuery, ApiError> {
    let query = view.record(id).await?;
    query.ok_or_else(|| ApiError::NotFound(format!("there is no query {id}")))
}

/// Returns the stored text of a query's profile; `None` where no profile is stored.
pub(in crate::web) async fn stored_profile(
    view: &View,
    id: &str,
) -> Result<Option<StoredText>, ApiError> {
    let Ok(id) = id.parse::<QueryId>() else {
        return Ok(None);
    };
    Ok(view.profile(&id).await?.stored_text())
}
