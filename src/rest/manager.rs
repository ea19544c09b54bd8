//! `/rest/v2/manager/query/...`, as the frontends of Doris 1.x and later answer, and `/api/bootstrap`
//! and `/api/health`, with which a frontend is looked for.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use super::envelope::{Answer, Refusal, Rows, success};
use super::selection::{selection, with_next};
use super::{Parameters, View, known_profile, text_or_na};
use crate::profile::Section;
use crate::query::{Kind, QueryId};
use crate::store::{ListedQuery, Selection};
use crate::time::{Zone, duration_text};

/// Where these routes are.
pub const QUERY_INFO: &str = "/rest/v2/manager/query/query_info";

/// A table of Doris' manager: its rows are lists of texts in the order of the columns.
#[derive(Serialize)]
struct Table {
    column_names: [&'static str; 10],
}

/// The newest queries. The columns' names are Doris' own.
pub async fn query_info(view: &View, parameters: Parameters) -> Result<Answer, Refusal> {
    let mut rows = Rows::of(&Table {
        column_names: [
            "Query ID", "FE节点", "查询用户", "执行数据库", "Sql", "查询类型", "开始时间",
            "结束时间", "执行时长", "状态",
        ],
    });
    if let Some(id) = parameters.get("query_id").filter(|id| !id.is_empty()) {
        let id = super::query_id(id)?;
        view.listed(&id, |query| add_query(&mut rows, view.zone, &query)).await?;
        return rows.answer(0);
    }
    let anywhere = parameters.get("search").filter(|text| !text.is_empty()).cloned();
    // Doris looks for it in every field.
    let selection = Selection { anywhere, search: None, ..selection(view, &parameters)? };
    view.list(&selection, |query| add_query(&mut rows, view.zone, &query)).await?;
    let last = rows.last_of_full(selection.limit);
    Ok(with_next(rows.answer(0)?, QUERY_INFO, &parameters, last))
}

fn add_query(rows: &mut Rows, zone: Zone, query: &ListedQuery<'_>) {
    let row: [Cow<'_, str>; 10] = [
        query.query_id.into(),
        query.frontend.unwrap_or_default().into(),
        query.user.unwrap_or_default().into(),
        query.db.unwrap_or_default().into(),
        query.statement.unwrap_or_default().into(),
        match query.kind() {
            Kind::Query => "Query".into(),
            Kind::Load => "Load".into(),
        },
        text_or_na(query.started_ms.map(|ms| zone.text(ms))),
        text_or_na(query.ended_ms.map(|ms| zone.text(ms))),
        text_or_na(query.duration_ms.map(duration_text)),
        query.state.unwrap_or("N/A").into(),
    ];
    rows.add(&row, query.place());
}

/// What was running when it was told of last, in the columns of Doris' process list.
pub async fn current_queries(view: &View) -> Result<Answer, Refusal> {
    #[derive(Serialize)]
    struct Running {
        #[serde(rename = "columnNames")]
        column_names: [&'static str; 8],
    }
    let mut rows = Rows::of(&Running {
        column_names: [
            "Frontend", "QueryId", "ConnectionId", "Database", "User", "ExecTime", "SqlHash",
            "Statement",
        ],
    });
    let selection =
        Selection { limit: 1000, state: Some("RUNNING".to_string()), ..Selection::default() };
    let now_ms = chrono::Utc::now().timestamp_millis();
    let listed = view.list(&selection, |query| {
        let took_ms = query.started_ms.map(|ms| now_ms.saturating_sub(ms).max(0));
        let took = took_ms.map(|ms| ms.to_string()).unwrap_or_default();
        let row = [
            query.frontend.unwrap_or_default(),
            query.query_id,
            query.session_id.unwrap_or_default(),
            query.db.unwrap_or_default(),
            query.user.unwrap_or_default(),
            &took,
            query.sql_hash.unwrap_or_default(),
            query.statement.unwrap_or_default(),
        ];
        rows.add(&row, query.place());
    });
    listed.await?;
    rows.answer(0)
}

/// The whole statement; an empty object where it is not known.
pub async fn sql(view: &View, query_id: QueryId) -> Result<Answer, Refusal> {
    let statement = view.statement(&query_id).await?;
    success(statement.map_or(json!({}), |sql| json!({ "sql": sql })), 0)
}

/// The profile's text; an empty object where there is none.
pub async fn profile_text(view: &View, query_id: QueryId) -> Result<Answer, Refusal> {
    let text = view.profile(&query_id).await?.text();
    let profile = |text: Vec<u8>| json!({ "profile": String::from_utf8_lossy(&text) });
    success(text.map_or(json!({}), profile), 0)
}

/// The profile as a tree, as JSON within a string, which is how Doris sends it; an empty object where
/// there is none.
pub async fn profile_json(view: &View, query_id: QueryId) -> Result<Answer, Refusal> {
    let Some(text) = view.profile(&query_id).await?.text() else {
        return success(json!({}), 0);
    };
    let tree = Section::parse(&String::from_utf8_lossy(&text));
    let text = serde_json::to_string(&tree).map_err(|error| Refusal::Internal(error.into()))?;
    success(json!({ "profile": text }), 0)
}

/// The query of a trace id, its newest where it is of several.
pub async fn traced(view: &View, trace_id: &str) -> Result<Answer, Refusal> {
    match view.traced(trace_id).await? {
        Some(query_id) => success(query_id, 0),
        // Doris answers code 403 here.
        None => Err(Refusal::BadRequest(format!("no query of trace id {trace_id} is known"))),
    }
}

/// Refuses what would act on a live cluster.
pub fn kill() -> Refusal {
    Refusal::Common(
        "annals keeps the history of queries and cannot act on the cluster; ask a frontend".into(),
    )
}

/// What a frontend says of itself to those who look for one.
pub fn bootstrap() -> Result<Answer, Refusal> {
    success(
        json!({
            "replayedJournalId": 0,
            "queryPort": 0,
            "rpcPort": 0,
            "arrowFlightSqlPort": 0,
            "maxReplayedJournal": 0,
            "version": concat!("annals-", env!("CARGO_PKG_VERSION")),
        }),
        0,
    )
}

/// How many backends there are and live: a history has none.
pub fn health() -> Result<Answer, Refusal> {
    success(json!({ "total_backend_num": 0, "online_backend_num": 0 }), 0)
}

/// The operators of a profile, drawn as a tree in plain text.
pub async fn profile_graph(view: &View, query_id: QueryId) -> Result<Answer, Refusal> {
    let tree = tree(view, &query_id).await?;
    success(json!({ "graph": tree.drawn() }), 0)
}

/// How long each fragment took, and each instance of it.
pub async fn profile_fragments(view: &View, query_id: QueryId) -> Result<Answer, Refusal> {
    let tree = tree(view, &query_id).await?;
    let fragments: Vec<Value> = tree
        .fragments()
        .into_iter()
        .map(|fragment| {
            let instances: serde_json::Map<String, Value> = fragment
                .instances
                .into_iter()
                .map(|(instance, time)| (instance, Value::from(time)))
                .collect();
            json!({
                "fragment_id": fragment.id,
                "time": fragment.time,
                "instance_id": instances,
            })
        })
        .collect();
    success(fragments, 0)
}

async fn tree(view: &View, query_id: &QueryId) -> Result<Section, Refusal> {
    let (text, _) = known_profile(view, query_id).await?;
    Ok(Section::parse(&String::from_utf8_lossy(&text)))
}
