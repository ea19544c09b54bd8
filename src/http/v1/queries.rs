//! `/api/v1/queries`: queries with everything that is known about them.

use utoipa::OpenApi;

use super::schema::QueryIdText;
use crate::domain::profile::{FindingsReport, PlanReport, Section, Usual, lossy};
use crate::domain::record::QueryId;
use crate::http::answer::Answer;
use crate::http::answer::profile_text;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_ids::{exact_query_id, unknown_query};
use crate::http::query_parameters::{ListParameters, NoParameters, read_all, with_next};
use crate::http::route::{ReadRequest, Route};
use crate::http::view::NoProfile;
use crate::store::{StoredQuery, StoredText};

pub(super) const LIST: Route = Route::new(LIST_PATH, |to, path| to.get(path, list))
    .cached()
    .described_by(Description::openapi);
pub(super) const ONE: Route = Route::new(ONE_PATH, |to, path| to.get(path, one));
pub(super) const PROFILE: Route = Route::new(PROFILE_PATH, |to, path| to.get(path, profile));
pub(super) const PROFILE_TREE: Route = Route::new(TREE_PATH, |to, path| to.get(path, profile_tree));
pub(super) const PLAN: Route = Route::new(PLAN_PATH, |to, path| to.get(path, plan));
pub(super) const FINDINGS: Route = Route::new(FINDINGS_PATH, |to, path| to.get(path, findings));

pub(super) const LIST_PATH: &str = "/api/v1/queries";
const ONE_PATH: &str = "/api/v1/queries/{query_id}";
pub(super) const PROFILE_PATH: &str = "/api/v1/queries/{query_id}/profile";
const TREE_PATH: &str = "/api/v1/queries/{query_id}/profile/tree";
const PLAN_PATH: &str = "/api/v1/queries/{query_id}/plan";
const FINDINGS_PATH: &str = "/api/v1/queries/{query_id}/findings";

#[derive(OpenApi)]
#[openapi(paths(list, one, profile, profile_tree, plan, findings))]
struct Description;

/// Queries, newest first or by another order
///
/// The next page is in the `Link` header. Statements are cut to 65,536 characters here. A page of very long statements,
/// or of a search that takes long, has fewer rows than its limit and names the reason in `annals-incomplete`; the next
/// page goes on where it ended.
#[utoipa::path(
    get, path = LIST_PATH, params(ListParameters), tag = "queries",
    responses((status = 200, body = Envelope<Vec<StoredQuery>>,
        headers(("link" = Option<String>, description = "the next page, where there may be one"),
            ("annals-incomplete" = Option<String>, description = "`time` or `bytes`"))))
)]
async fn list(request: ReadRequest) -> Result<Answer, ApiError> {
    let parameters = request.parameters;
    let filter = read_all::<ListParameters>(&parameters)?.filter(request.view.zone)?;
    let page = request.view.page(&filter).await?;
    let answer = success(&page.queries, page.queries.len())?;
    Ok(with_next(answer, LIST_PATH, (&parameters, &filter), page.next(&filter), page.incomplete))
}

/// One query
#[utoipa::path(
    get, path = ONE_PATH, tag = "queries",
    params(("query_id" = QueryIdText, Path, description = "as Doris writes it")),
    responses((status = 200, body = Envelope<StoredQuery>))
)]
async fn one(request: ReadRequest) -> Result<Answer, ApiError> {
    let query_id = query_id(&request)?;
    match request.view.record(&query_id).await? {
        Some(record) => success(record, 0),
        None => Err(no_profile(NoProfile::UnknownQuery, &query_id)),
    }
}

/// The profile of a query, as text
#[utoipa::path(
    get, path = PROFILE_PATH, tag = "profiles",
    params(("query_id" = QueryIdText, Path, description = "as Doris writes it")),
    responses((status = 200, body = String, content_type = "text/plain; charset=utf-8"))
)]
async fn profile(request: ReadRequest) -> Result<Answer, ApiError> {
    let query_id = query_id(&request)?;
    let (profile, hash) = request.view.known_profile(&query_id, no_profile).await?;
    Ok(profile_text(profile, hash))
}

/// The profile of a query, as a tree
#[utoipa::path(
    get, path = TREE_PATH, tag = "profiles",
    params(("query_id" = QueryIdText, Path, description = "as Doris writes it")),
    responses((status = 200, body = Envelope<Section>))
)]
async fn profile_tree(request: ReadRequest) -> Result<Answer, ApiError> {
    let query_id = query_id(&request)?;
    let (text, _) = request.view.known_profile(&query_id, no_profile).await?;
    request.view.answer(text, |text| success(Section::parse(&lossy(text)), 0)).await
}

/// The plan of a query: what each node took, and what it read from
///
/// The operators of all fragments and pipelines are joined into one graph: sender and receiver of an exchange are one node,
/// and so are build side and probe side of a join. If five other runs of the statement or more had the same plan and their
/// profiles are stored, the nodes have the usual time and rows: those of the newest 50 runs.
#[utoipa::path(
    get, path = PLAN_PATH, tag = "profiles",
    params(("query_id" = QueryIdText, Path, description = "as Doris writes it")),
    responses((status = 200, body = Envelope<PlanReport>))
)]
async fn plan(request: ReadRequest) -> Result<Answer, ApiError> {
    let query_id = query_id(&request)?;
    let (text, _) = request.view.known_profile(&query_id, no_profile).await?;
    let queue_ms = request.view.record(&query_id).await?.and_then(|query| query.queue_time_ms);
    let others = request.view.other_profiles(&query_id).await?;
    let other_bytes = others.iter().map(StoredText::len).sum();
    let work = move |text: &[u8]| {
        let usual = Usual::of_texts(others.into_iter().filter_map(|text| text.unpack().ok()));
        success(PlanReport::of_text(&lossy(text), queue_ms).with_usual(usual.as_ref()), 0)
    };
    request.view.answer_with(text, other_bytes, work).await
}

/// The findings of a query: what its profile proves to be worth a look
///
/// Each finding has the numbers that prove it, what it means, what to try, and the ids of the plan's nodes that it points
/// to. A query without findings is not proven to be fast: rules only state what the counters of its profile say.
#[utoipa::path(
    get, path = FINDINGS_PATH, tag = "profiles",
    params(("query_id" = QueryIdText, Path, description = "as Doris writes it")),
    responses((status = 200, body = Envelope<FindingsReport>))
)]
async fn findings(request: ReadRequest) -> Result<Answer, ApiError> {
    let query_id = query_id(&request)?;
    let (text, _) = request.view.known_profile(&query_id, no_profile).await?;
    let queue_ms = request.view.record(&query_id).await?.and_then(|query| query.queue_time_ms);
    request
        .view
        .answer(text, move |text| success(FindingsReport::of_text(&lossy(text), queue_ms), 0))
        .await
}

/// Returns the id in the path of a request without parameters.
fn query_id(request: &ReadRequest) -> Result<QueryId, ApiError> {
    let query_id = exact_query_id(request.path.get("query_id"))?;
    read_all::<NoParameters>(&request.parameters)?;
    Ok(query_id)
}

fn no_profile(reason: NoProfile, query_id: &QueryId) -> ApiError {
    match reason {
        NoProfile::UnknownQuery => unknown_query(query_id),
        NoProfile::NotStored => ApiError::NotFound(format!(
            "query {query_id} is known, but no profile is stored for it"
        )),
    }
}
