//! `/rest/v1/session`: the session list, and a profile as HTML, as the Session Action of Doris 0.15
//! answers them.

use serde::Serialize;

use super::envelope::{Answer, Refusal, success};
use super::selection::{last_of_full, selection, with_next};
use super::{Parameters, View, known_profile, text_or_na};
use crate::profile::to_html;
use crate::query::{Kind, QueryId};
use crate::store::ListedQuery;
use crate::time::{Zone, duration_text};

#[derive(Serialize)]
struct SessionList {
    columns_names: [&'static str; 9],
    href_column: &'static str,
    rows: Vec<SessionRow>,
}

/// A row; its keys differ from the columns, which is how Doris does it.
#[derive(Serialize)]
struct SessionRow {
    #[serde(rename = "User")]
    user: String,
    #[serde(rename = "Query Type")]
    query_type: &'static str,
    #[serde(rename = "Total")]
    total: String,
    #[serde(rename = "QueryId")]
    query_id: String,
    #[serde(rename = "Default Db")]
    default_db: String,
    #[serde(rename = "Sql Statement")]
    sql_statement: String,
    #[serde(rename = "Start Time")]
    start_time: String,
    #[serde(rename = "Query State")]
    query_state: String,
    #[serde(rename = "End Time")]
    end_time: String,
    #[serde(rename = "__hrefPath")]
    href_path: String,
}

/// The queries that the parameters select, newest first.
pub async fn list(view: &View, parameters: Parameters) -> Result<Answer, Refusal> {
    let selection = selection(view, &parameters)?;
    let listed = view.list(&selection).await?;
    let last = last_of_full(&selection, &listed, ListedQuery::place);
    let rows: Vec<SessionRow> =
        listed.into_iter().map(|query| SessionRow::new(query, view.zone)).collect();
    let count = rows.len();
    let list = SessionList {
        columns_names: [
            "User", "Default Db", "SQL", "Query Type", "Start Time", "End Time", "Cost",
            "Query State", "Profile",
        ],
        href_column: "Profile",
        rows,
    };
    Ok(with_next(success(list, count)?, "/rest/v1/session", &parameters, last))
}

impl SessionRow {
    fn new(query: ListedQuery, zone: Zone) -> SessionRow {
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
            query_state: text_or_na(query.state),
            end_time: text_or_na(query.ended_ms.map(|ms| zone.text(ms))),
        }
    }
}

/// The profile of a query as HTML; also what `/rest/v1/query_profile/<id>` answers.
pub async fn profile(view: &View, query_id: QueryId) -> Result<Answer, Refusal> {
    let text = known_profile(view, &query_id).await?;
    success(to_html(&text), 0)
}
