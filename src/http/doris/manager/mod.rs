//! `/rest/v2/manager/query/...`, as the frontends of Doris 1.x and later answer.

mod current_queries;
mod profile;
mod query_info;
mod trace;

use serde_json::json;
use warp::Filter;
use warp::http::StatusCode;

use crate::http::answer::{self, Answer};
use crate::http::doris::envelope::success;
use crate::http::error::ApiError;
use crate::http::query_ids::doris_query_id;
use crate::http::route::{ReadRequest, Route, answered, at};

/// The routes of the manager. A path of fixed parts comes before one that varies.
pub(in crate::http) const ROUTES: &[Route] = &[
    query_info::ROUTE,
    current_queries::ROUTE,
    SQL,
    profile::TEXT,
    profile::JSON,
    profile::FRAGMENTS,
    profile::GRAPH,
    profile::OTHER_FORM,
    trace::QUERY,
    trace::STATISTICS,
    ESTIMATES,
    KILL,
];

const SQL: Route =
    Route::new("/rest/v2/manager/query/sql/{*query_id}", |to, path| to.get(path, sql));
const ESTIMATES: Route = Route::new("/rest/v2/manager/query/qerror/{*query_id}", |to, path| {
    to.get(path, |_| async { no_estimates() })
});
const KILL: Route = Route::new("/rest/v2/manager/query/kill/{*query_id}", |_, path| {
    at(path).and(warp::post()).then(|_| answered(async { Err(no_kill()) })).boxed()
});

/// Answers with the whole statement, or with an empty object if it is not known.
async fn sql(request: ReadRequest) -> Result<Answer, ApiError> {
    let query_id = doris_query_id(request.path.get("query_id"))?;
    let statement = request.view.statement(&query_id).await?;
    success(statement.map_or(json!({}), |sql| json!({ "sql": sql })), 0)
}

/// Answers as Doris does if it does not know how far the planner's estimates were off: no log says.
fn no_estimates() -> Result<Answer, ApiError> {
    let none = json!({ "msg": "Not Found", "code": 404, "data": null, "count": 0 });
    answer::json(StatusCode::OK, none)
}

fn no_kill() -> ApiError {
    ApiError::Common(
        "annals keeps the history of queries and cannot act on the cluster; ask a frontend".into(),
    )
}
