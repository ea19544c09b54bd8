//! `/rest/v1/session`: the session list, and a profile as HTML, as the Session Action of Doris 0.15
//! answers them.

use std::borrow::Cow;

use serde::Serialize;

use crate::domain::record::{Kind, QueryId};
use crate::domain::time::{Zone, duration_text};
use crate::http::envelope::{Answer, ApiError, Rows, profile_html};
use crate::http::query_parameters::{filter, with_next};
use crate::http::{Parameters, View, known_profile, text_or_na};
use crate::store::ListedQuery;

#[derive(Serialize)]
struct SessionList {
    columns_names: [&'static str; 9],
    href_column: &'static str,
}

/// A row; its keys differ from the columns, which is how Doris does it.
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

/// The queries that the parameters select, newest first.
pub(crate) async fn list(view: &View, parameters: Parameters) -> Result<Answer, ApiError> {
    let filter = filter(view, &parameters)?;
    let mut rows = Rows::of(&SessionList {
        columns_names: [
            "User", "Default Db", "SQL", "Query Type", "Start Time", "End Time", "Cost",
            "Query State", "Profile",
        ],
        href_column: "Profile",
    });
    let listed =
        view.list(&filter, |query| rows.add(&SessionRow::new(&query, view.zone), query.cursor()));
    listed.await?;
    let (count, last) = (rows.count(), rows.last_of_full(filter.limit));
    Ok(with_next(rows.answer(count)?, "/rest/v1/session", &parameters, last))
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
            total: text_or_na(query.duration_ms.map(duration_text)),
            default_db: query.db.unwrap_or_default(),
            sql_statement: query.statement.unwrap_or_default(),
            start_time: text_or_na(query.started_ms.map(|ms| zone.text(ms))),
            query_state: query.state.unwrap_or("N/A"),
            end_time: text_or_na(query.ended_ms.map(|ms| zone.text(ms))),
        }
    }
}

/// The profile of a query as HTML; also what `/rest/v1/query_profile/<id>` answers.
pub(crate) async fn profile(view: &View, query_id: QueryId) -> Result<Answer, ApiError> {
    let (text, hash) = known_profile(view, &query_id).await?;
    Ok(profile_html(&text, hash))
}
