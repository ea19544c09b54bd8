//! Reads a query and its profile from the store.

use crate::domain::profile::{Operator, Section, operators};
use crate::domain::record::QueryId;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::store::StoredQuery;

/// Returns a query. Errors with "not found" also where the user may not see the query.
pub(super) async fn find(view: &View, id: &QueryId) -> Result<StoredQuery, ApiError> {
    let query = view.record(id).await?;
    query.ok_or_else(|| ApiError::NotFound(format!("there is no query {id}")))
}

/// Returns the operators of a query's profile; `None` where no profile is stored.
pub(in crate::web) async fn profile_operators(
    view: &View,
    id: &str,
) -> Result<Option<Vec<Operator>>, ApiError> {
    let Ok(id) = id.parse::<QueryId>() else {
        return Ok(None);
    };
    let Some(text) = view.profile(&id).await?.text() else {
        return Ok(None);
    };
    blocking(move || parse_operators(&text)).await.map(Some)
}

pub(super) fn parse_operators(profile: &[u8]) -> Vec<Operator> {
    operators(&Section::parse(&String::from_utf8_lossy(profile)))
}

/// Runs work that takes a core for long on a thread of its own, so that other requests are served meanwhile.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::Internal(error.into()))
}
