//! `/rest/v1/query_profile`, the list as Doris 3.0 answers it, and `/api/profile`.

use std::borrow::Cow;

use serde::Serialize;

use crate::domain::record::{Kind, QueryId};
use crate::domain::time::{Zone, duration_text};
use crate::http::envelope::{Answer, ApiError, Rows, profile_text, success, text};
use crate::http::query_parameters::{filter, with_next};
use crate::http::{Parameters, View, known_profile, text_or_na};
use crate::store::{ListedQuery, StoredProfile};

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

/// The queries that the parameters select, newest first, whether a profile of them is known or not: a
/// client that collects history wants all.
pub(crate) async fn list(view: &View, parameters: Parameters) -> Result<Answer, ApiError> {
    let filter = filter(view, &parameters)?;
    let mut rows = Rows::of(&ProfileList {
        column_names: [
            "Profile ID", "Task Type", "Start Time", "End Time", "Total", "Task State", "User",
            "Default Catalog", "Default Db", "Sql Statement",
        ],
        href_column: ["Profile ID"],
    });
    let listed =
        view.list(&filter, |query| rows.add(&ProfileRow::new(&query, view.zone), query.cursor()));
    listed.await?;
    let (count, last) = (rows.count(), rows.last_of_full(filter.limit));
    Ok(with_next(rows.answer(count)?, "/rest/v1/query_profile", &parameters, last))
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
            start_time: text_or_na(query.started_ms.map(|ms| zone.text(ms))),
            end_time: text_or_na(query.ended_ms.map(|ms| zone.text(ms))),
            total: text_or_na(query.duration_ms.map(duration_text)),
            task_state: query.state.unwrap_or("N/A"),
            user: query.user.unwrap_or_default(),
            default_catalog: query.catalog.unwrap_or_default(),
            default_db: query.db.unwrap_or_default(),
            sql_statement: query.statement.unwrap_or_default(),
        }
    }
}

#[derive(Serialize)]
struct ProfileText<'a> {
    profile: &'a str,
}

/// The profile of a query as text, in the envelope.
pub(crate) async fn enveloped(view: &View, query_id: QueryId) -> Result<Answer, ApiError> {
    let (text, _) = known_profile(view, &query_id).await?;
    success(ProfileText { profile: &String::from_utf8_lossy(&text) }, 0)
}

/// The profile of a query, byte for byte as it was taken in. What is not there is said in plain text, as Doris does.
pub(crate) async fn bare(view: &View, query_id: QueryId) -> Result<Answer, ApiError> {
    Ok(match view.profile(&query_id).await? {
        StoredProfile::Text(text, hash) => profile_text(text, hash),
        StoredProfile::None => text(
            format!("query id {query_id} not found: the query is known, but not its profile")
                .into_bytes(),
        ),
        StoredProfile::UnknownQuery => text(format!("query id {query_id} not found").into_bytes()),
    })
}

/// Answers with the profile of the newest query that has one, of those that the principal may see.
pub(crate) async fn newest(view: &View) -> Result<Answer, ApiError> {
    match view.newest_profile().await? {
        Some(id) => bare(view, id).await,
        None => Ok(text(b"no query has a profile".to_vec())),
    }
}
