//! `/api/v1/queries`: queries with everything that is known of them.

use utoipa::IntoParams;

use crate::domain::profile::Section;
use crate::domain::record::QueryId;
use crate::http::envelope::{Answer, ApiError, Envelope, profile_text, success};
use crate::http::query_parameters::{
    NoParameters, filter, known_parameters, last_of_full, with_next,
};
use crate::http::v1::openapi::{Cursor, QueryIdText, SearchText, SearchWords, Time};
use crate::http::{Parameters, View};
use crate::store::{StoredProfile, StoredQuery};

/// Where the list is.
const PATH: &str = "/api/v1/queries";

/// Which queries a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // a description; `filter` reads the parameters
pub(crate) struct ListParameters {
    /// At most so many; 100 where it is not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Whoever ran it.
    #[param(min_length = 1)]
    user: Option<String>,
    /// The database it ran in.
    #[param(min_length = 1)]
    db: Option<String>,
    /// Its state, in any letter case.
    #[param(min_length = 1)]
    state: Option<String>,
    /// What it was.
    #[param(schema_with = crate::http::v1::openapi::kind)]
    r#type: Option<String>,
    /// The shape of its statement.
    #[param(pattern = "^[0-9a-f]{16}$")]
    fingerprint: Option<String>,
    /// Text in the statement, in any letter case.
    #[param(value_type = Option<SearchText>)]
    search: Option<String>,
    /// Words that all stand in the statement, whole and in any order and letter case.
    #[param(value_type = Option<SearchWords>)]
    words: Option<String>,
    /// It took at least so long.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    min_ms: Option<i64>,
    /// It waited in its workload group's queue for at least so many milliseconds.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    min_queue_ms: Option<i64>,
    /// Whether the frontend answered it from its SQL cache.
    cache_hit: Option<bool>,
    /// It started then or later.
    #[param(value_type = Option<Time>)]
    from: Option<String>,
    /// It started before then.
    #[param(value_type = Option<Time>)]
    to: Option<String>,
    /// Where the page begins: as the `Link` header of the page before says.
    #[param(value_type = Option<Cursor>)]
    cursor: Option<String>,
}

/// Queries, newest first
///
/// The next page is in the `Link` header. Statements are cut to 65,536 characters here.
#[utoipa::path(
    get, path = "/api/v1/queries", params(ListParameters), tag = "queries",
    responses((status = 200, body = Envelope<Vec<StoredQuery>>,
        headers(("link" = Option<String>, description = "the next page, where there may be one"))))
)]
pub(crate) async fn list(view: &View, parameters: Parameters) -> Result<Answer, ApiError> {
    known_parameters::<ListParameters>(&parameters)?;
    let filter = filter(view, &parameters)?;
    let rows = view.records(&filter).await?;
    let last = last_of_full(&filter, &rows, StoredQuery::cursor);
    Ok(with_next(success(&rows, rows.len())?, PATH, &parameters, last))
}

/// One query
#[utoipa::path(
    get, path = "/api/v1/queries/{query_id}", tag = "queries",
    params(("query_id" = QueryIdText, Path, description = "as Doris writes it")),
    responses((status = 200, body = Envelope<StoredQuery>))
)]
pub(crate) async fn one(
    view: &View,
    query_id: QueryId,
    parameters: Parameters,
) -> Result<Answer, ApiError> {
    known_parameters::<NoParameters>(&parameters)?;
    match view.record(&query_id).await? {
        Some(record) => success(record, 0),
        None => Err(unknown(&query_id)),
    }
}

/// The profile of a query, as text
#[utoipa::path(
    get, path = "/api/v1/queries/{query_id}/profile", tag = "profiles",
    params(("query_id" = QueryIdText, Path, description = "as Doris writes it")),
    responses((status = 200, body = String, content_type = "text/plain; charset=utf-8"))
)]
pub(crate) async fn profile(
    view: &View,
    query_id: QueryId,
    parameters: Parameters,
) -> Result<Answer, ApiError> {
    known_parameters::<NoParameters>(&parameters)?;
    let (profile, hash) = known_profile(view, &query_id).await?;
    Ok(profile_text(profile, hash))
}

/// The profile of a query, as a tree
#[utoipa::path(
    get, path = "/api/v1/queries/{query_id}/profile/tree", tag = "profiles",
    params(("query_id" = QueryIdText, Path, description = "as Doris writes it")),
    responses((status = 200, body = Envelope<Section>))
)]
pub(crate) async fn profile_tree(
    view: &View,
    query_id: QueryId,
    parameters: Parameters,
) -> Result<Answer, ApiError> {
    known_parameters::<NoParameters>(&parameters)?;
    let (text, _) = known_profile(view, &query_id).await?;
    success(Section::parse(&String::from_utf8_lossy(&text)), 0)
}

async fn known_profile(view: &View, query_id: &QueryId) -> Result<(Vec<u8>, u128), ApiError> {
    match view.profile(query_id).await? {
        StoredProfile::Text(text, hash) => Ok((text, hash)),
        StoredProfile::None => Err(ApiError::NotFound(format!(
            "query {query_id} is known, but no profile of it was taken in"
        ))),
        StoredProfile::UnknownQuery => Err(unknown(query_id)),
    }
}

fn unknown(query_id: &QueryId) -> ApiError {
    ApiError::NotFound(format!("query {query_id} is not known"))
}
