//! What a page says of a time range in which no query of its filter started: when the nearest ones did.

use maud::{Markup, html};

use super::{format, paths};
use crate::domain::filter::{QueryFilter, QueryOrder};
use crate::domain::record::Kind;
use crate::http::Parameters;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::store::{StoreError, StoredQuery};

/// Returns the sentence for the range of a filter; none if a query started in it, if the filter has no range, and if the range is
/// before or behind the history, which the links to other ranges say.
pub(super) async fn sentence(
    view: &View,
    filter: &QueryFilter,
    parameters: &Parameters,
) -> Result<Option<Markup>, ApiError> {
    let Some((oldest_ms, newest_ms)) = view.span().await? else { return Ok(None) };
    let (first_ms, last_ms) = filter.starts();
    let has_range = filter.from_ms.is_some() || filter.to_ms.is_some();
    let is_outside = first_ms > newest_ms || last_ms < oldest_ms;
    if !has_range || is_outside || first(view, filter.clone()).await?.is_some() {
        return Ok(None);
    }
    let [earlier, later] = filter.nearest();
    let (earlier, later) = (first(view, earlier).await?, first(view, later).await?);
    let mut filters = paths::kept_of(parameters);
    filters.retain(|name, _| !["from", "to"].contains(&name));
    let start = |query: &StoredQuery| {
        let address = paths::keeping(&paths::query(&query.query_id), &filters);
        html! { a href=(address) { (format::time(query.started_ms, view.zone)) } }
    };
    Ok(Some(html! {
        "No " (filter.kind.unwrap_or(Kind::Query).name())
        @if !filters.is_empty() { " that matches the filter" }
        " started in this range. "
        @match (&earlier, &later) {
            (Some(earlier), Some(later)) => {
                "The nearest earlier one started at " (start(earlier)) ", the nearest later one at " (start(later)) "."
            }
            (Some(earlier), None) => { "The nearest earlier one started at " (start(earlier)) "." }
            (None, Some(later)) => { "The nearest later one started at " (start(later)) "." }
            (None, None) => {}
        }
    }))
}

/// Returns the first query of a filter by start, as far as it is found in the time of a list.
async fn first(view: &View, filter: QueryFilter) -> Result<Option<StoredQuery>, ApiError> {
    let filter = QueryFilter { limit: 1, order: QueryOrder::Start, after: None, ..filter };
    match view.records(&filter).await {
        Err(StoreError::TimedOut(_) | StoreError::Overloaded) => Ok(None),
        queries => Ok(queries?.pop()),
    }
}
