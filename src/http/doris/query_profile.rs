//! `/rest/v1/query_profile`, the list as Doris 3.0 answers it, and `/api/profile`.

use std::borrow::Cow;

use serde::Serialize;

use super::{no_profile, session, text_or_na};
use crate::domain::record::{Kind, QueryId};
use crate::domain::time::{Zone, format_duration_ms};
use crate::http::answer::Answer;
use crate::http::answer::profile_text;
use crate::http::answer::text;
use crate::http::doris::envelope::{ListBuilder, profile_in_envelope};
use crate::http::error::ApiError;
use crate::http::query_ids::query_id;
use crate::http::query_parameters::{filter_by_start, with_next};
use crate::http::route::{ReadRequest, Route};
use crate::http::view::View;
use crate::store::{ListedQuery, StoredProfile};

const LIST_PATH: &str = "/rest/v1/query_profile";

pub(super) const LIST: Route = Route::new(LIST_PATH, |to, path| to.get(path, list)).cached();
pub(in crate::http) const HTML: Route =
    Route::new("/rest/v1/query_profile/{*query_id}", |to, path| {
        to.get(path, session::profile_in_path)
    });
pub(super) const ENVELOPED: Route = Route::new("/api/profile", |to, path| to.get(path, enveloped));
pub(in crate::http) const TEXT: Route =
    Route::new("/api/profile/text", |to, path| to.get(path, bare_or_newest));

#[derive(Serialize)]
struct ProfileList {
    column_names: [&'static str; 10],
    href_column: [&'static str; 1],
}

#[derive(Serialize)]
struct ProfileRow<'r> {
    #[serde(rename = "Profile ID")]
    profile_id: &'r str,
    #[serde(rename = "Task Type")]
    task_type: &'static str,
    #[serde(rename = "Start Time")]
    start_time: Cow<'static, str>,
    #[serde(rename = "End Time")]
    end_time: Cow<'static, str>,
    #[serde(rename = "Total")]
    total: Cow<'static, str>,
    #[serde(rename = "Task State")]
    task_state: &'r str,
    #[serde(rename = "User")]
    user: &'r str,
    #[serde(rename = "Default Catalog")]
    default_catalog: &'r str,
    #[serde(rename = "Default Db")]
    default_db: &'r str,
    #[serde(rename = "Sql Statement")]
    sql_statement: &'r str,
    #[serde(rename = "__hrefPaths")]
    href_paths: [String; 1],
}

/// Answers with the queries that the parameters select, newest first, with a profile or without: a client that collects
/// history wants all.
async fn list(request: ReadRequest) -> Result<Answer, ApiError> {
    let ReadRequest { view, parameters, .. } = request;
    let filter = filter_by_start(&view, &parameters)?;
    let mut rows = ListBuilder::new(&ProfileList {
        column_names: [
            "Profile ID", "Task Type", "Start Time", "End Time", "Total", "Task State", "User",
            "Default Catalog", "Default Db", "Sql Statement",
        ],
        href_column: ["Profile ID"],
    });
    let listed =
        view.list(&filter, |query| rows.add(&ProfileRow::new(&query, view.zone), query.cursor()));
    let incomplete = listed.await?;
    let (count, last) = (rows.count(), rows.cursor_if_full(filter.limit));
    Ok(with_next(rows.finish(count)?, LIST_PATH, (&parameters, &filter), last, incomplete))
}

impl<'r> ProfileRow<'r> {
    fn new(query: &ListedQuery<'r>, zone: Zone) -> ProfileRow<'r> {
        ProfileRow {
            task_type: match query.kind() {
                Kind::Query => "QUERY",
                Kind::Load => "LOAD",
            },
            href_paths: [format!("/query_profile/{}", query.query_id)],
            profile_id: query.query_id,
            start_time: text_or_na(query.started_ms.map(|ms| zone.format_ms(ms))),
            end_time: text_or_na(query.ended_ms.map(|ms| zone.format_ms(ms))),
            total: text_or_na(query.duration_ms.map(format_duration_ms)),
            task_state: query.state.unwrap_or("N/A"),
            user: query.user.unwrap_or_default(),
            default_catalog: query.catalog.unwrap_or_default(),
            default_db: query.db.unwrap_or_default(),
            sql_statement: query.statement.unwrap_or_default(),
        }
    }
}

/// Answers with the profile of a query as text, in the envelope.
async fn enveloped(request: ReadRequest) -> Result<Answer, ApiError> {
    let id = request.parameters.get("query_id").map_or("", String::as_str);
    let (text, hash) = request.view.known_profile(&query_id(id)?, no_profile).await?;
    Ok(profile_in_envelope(text, hash))
}

/// Answers with the profile of a query, or without an id with that of the newest query that has one.
async fn bare_or_newest(request: ReadRequest) -> Result<Answer, ApiError> {
    if let Some(id) = request.parameters.get("query_id").filter(|id| !id.is_empty()) {
        return bare(&request.view, query_id(id)?).await;
    }
    match request.view.newest_profile().await? {
        Some(id) => bare(&request.view, id).await,
        None => Ok(text(b"no query has a profile".to_vec())),
    }
}

/// Answers with the profile of a query, byte for byte as the frontend wrote it. The answer for a missing profile is
/// plain text, too, as in Doris.
pub(in crate::http) async fn bare(view: &View, query_id: QueryId) -> Result<Answer, ApiError> {
    Ok(match view.profile(&query_id).await? {
        StoredProfile::Text(text, hash) => profile_text(text, hash),
        StoredProfile::None => text(
            format!("query id {query_id} not found: the query is known, but not its profile")
                .into_bytes(),
        ),
        StoredProfile::UnknownQuery => text(format!("query id {query_id} not found").into_bytes()),
    })
}
