//! `/rest/v1/session`: the list of queries, and a profile as HTML, as the Session Action of Doris 0.15 answers.

use std::borrow::Cow;

use serde::Serialize;

use super::{no_profile, text_or_na};
use crate::domain::record::{Kind, QueryId};
use crate::domain::time::{Zone, format_duration_ms};
use crate::http::answer::Answer;
use crate::http::doris::envelope::{ListBuilder, profile_html};
use crate::http::error::ApiError;
use crate::http::query_ids::{doris_query_id, query_id};
use crate::http::query_parameters::{filter_by_start, with_next};
use crate::http::route::{Parameters, ReadRequest, Route};
use crate::http::view::View;
use crate::store::ListedQuery;

const LIST_PATH: &str = "/rest/v1/session";

pub(super) const LIST: Route =
    Route::new(LIST_PATH, |to, path| to.get(path, list_or_profile)).cached();
pub(super) const LIST_OF_ALL: Route = Route::new("/rest/v1/session/all", |to, path| {
    to.get(path, |request| async move { list(&request.view, &request.parameters).await })
});
pub(in crate::http) const PROFILE: Route =
    Route::new("/rest/v1/session/{*query_id}", |to, path| to.get(path, profile_in_path));

#[derive(Serialize)]
struct SessionList {
    columns_names: [&'static str; 9],
    href_column: &'static str,
}

/// A row. Its keys differ from the columns, as in Doris.
#[derive(Serialize)]
struct SessionRow<'r> {
    #[serde(rename = "User")]
    user: &'r str,
    #[serde(rename = "Query Type")]
    query_type: &'static str,
    #[serde(rename = "Total")]
    total: Cow<'static, str>,
    #[serde(rename = "QueryId")]
    query_id: &'r str,
    #[serde(rename = "Default Db")]
    default_db: &'r str,
    #[serde(rename = "Sql Statement")]
    sql_statement: &'r str,
    #[serde(rename = "Start Time")]
    start_time: Cow<'static, str>,
    #[serde(rename = "Query State")]
    query_state: &'r str,
    #[serde(rename = "End Time")]
    end_time: Cow<'static, str>,
    #[serde(rename = "__hrefPath")]
    href_path: String,
}

async fn list_or_profile(request: ReadRequest) -> Result<Answer, ApiError> {
    match request.parameters.get("query_id") {
        Some(id) => profile(&request.view, query_id(id)?).await,
        None => list(&request.view, &request.parameters).await,
    }
}

/// Answers with the queries that the parameters select, newest first.
async fn list(view: &View, parameters: &Parameters) -> Result<Answer, ApiError> {
    let filter = filter_by_start(view, parameters)?;
    let mut rows = ListBuilder::new(&SessionList {
        columns_names: [
            "User", "Default Db", "SQL", "Query Type", "Start Time", "End Time", "Cost",
            "Query State", "Profile",
        ],
        href_column: "Profile",
    });
    let listed =
        view.list(&filter, |query| rows.add(&SessionRow::new(&query, view.zone), query.cursor()));
    let incomplete = listed.await?;
    let (count, last) = (rows.count(), rows.cursor_if_full(filter.limit));
    Ok(with_next(rows.finish(count)?, LIST_PATH, (parameters, &filter), last, incomplete))
}

impl<'r> SessionRow<'r> {
    fn new(query: &ListedQuery<'r>, zone: Zone) -> SessionRow<'r> {
        SessionRow {
            query_type: match query.kind() {
                Kind::Query => "Query",
                Kind::Load => "Load",
            },
            href_path: format!("/query_profile/query_id={}", query.query_id),
            query_id: query.query_id,
            user: query.user.unwrap_or_default(),
            total: text_or_na(query.duration_ms.map(format_duration_ms)),
            default_db: query.db.unwrap_or_default(),
            sql_statement: query.statement.unwrap_or_default(),
            start_time: text_or_na(query.started_ms.map(|ms| zone.format_ms(ms))),
            query_state: query.state.unwrap_or("N/A"),
            end_time: text_or_na(query.ended_ms.map(|ms| zone.format_ms(ms))),
        }
    }
}

/// Answers with the profile of a query as HTML.
pub(in crate::http) async fn profile(view: &View, query_id: QueryId) -> Result<Answer, ApiError> {
    let (text, hash) = view.known_profile(&query_id, no_profile).await?;
    Ok(profile_html(text, hash))
}

/// The same for the query in the path.
pub(super) async fn profile_in_path(request: ReadRequest) -> Result<Answer, ApiError> {
    profile(&request.view, doris_query_id(request.path.get("query_id"))?).await
}
