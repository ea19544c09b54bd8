//! `/rest/v2/manager/query/...`, as the frontends of Doris 1.x and later answer, and `/api/bootstrap`
//! and `/api/health`, with which a frontend is looked for.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::domain::filter::{Cursor, QueryFilter};
use crate::domain::profile::Section;
use crate::domain::record::{Kind, QueryId};
use crate::domain::time::{Zone, duration_text};
use crate::http::envelope::{self, Answer, ApiError, Rows, success};
use crate::http::query_parameters::{filter, with_next};
use crate::http::{Parameters, View, known_profile, text_or_na};
use crate::store::ListedQuery;

/// Where these routes are.
pub(crate) const QUERY_INFO: &str = "/rest/v2/manager/query/query_info";

/// A table of Doris' manager: its rows are lists of texts in the order of the columns.
/// Doris names the titles in another key since 1.1 (`NodeAction.NodeInfo`); clients read either.
#[derive(Serialize)]
struct Table {
    #[serde(rename = "columnNames")]
    column_names: [&'static str; 10],
    #[serde(rename = "column_names")]
    old_column_names: [&'static str; 10],
}

/// The titles of the manager's list.
const TITLES: [&str; 10] = [
    "Query ID", "FE节点", "查询用户", "执行数据库", "Sql", "查询类型", "开始时间", "结束时间",
    "执行时长", "状态",
];
/// Rows that are read at a time for a search.
const PAGE: u32 = 1000;
/// Rows that a search reads for one answer where only the text of their times can tell. The link to the next page
/// goes on from there.
const MOST_READ: usize = 50_000;
/// A statement in a list is at most so many bytes where it is whole.
const CUT_FROM_BYTES: usize = 1 << 16;

/// The newest queries, without loads, in the order of the titles, which Doris itself has not kept to since 2.0.
pub(crate) async fn query_info(
    view: &View,
    mut parameters: Parameters,
) -> Result<Answer, ApiError> {
    let table = Table { column_names: TITLES, old_column_names: TITLES };
    let mut rows = Rows::of(&table);
    if let Some(id) = parameters.get("query_id").filter(|id| !id.is_empty()) {
        let id = crate::http::query_id(id)?;
        let add = |query: ListedQuery<'_>| {
            if let Kind::Query = query.kind() {
                rows.add(&cells(view.zone, &query), query.cursor());
            }
        };
        view.listed(&id, add).await?;
        return rows.answer(0);
    }
    let searched = parameters.remove("search").filter(|text| !text.is_empty());
    let filter = QueryFilter { kind: Some(Kind::Query), ..filter(view, &parameters)? };
    let Some(text) = searched else {
        let add = |query: ListedQuery<'_>| rows.add(&cells(view.zone, &query), query.cursor());
        view.list(&filter, add).await?;
        let last = rows.last_of_full(filter.limit);
        return Ok(with_next(rows.answer(0)?, QUERY_INFO, &parameters, last));
    };
    let next = search(view, &filter, &text, &mut rows).await?;
    parameters.insert("search".to_string(), text);
    Ok(with_next(rows.answer(0)?, QUERY_INFO, &parameters, next))
}

/// Adds the rows in which any cell contains a text, letter case included, as Doris' search finds them. Returns the
/// place from which the next page goes on, where there may be more.
///
/// SQLite finds the rows whose texts contain it in any letter case. Times and durations are texts only in the row:
/// where the text may be one of these, rows are read as they come.
async fn search(
    view: &View,
    filter: &QueryFilter,
    text: &str,
    rows: &mut Rows,
) -> Result<Option<Cursor>, ApiError> {
    let is_like_a_time =
        text.chars().all(|sign| sign.is_ascii_digit() || "-: .hourminsecdayNA/".contains(sign));
    let anywhere = (!is_like_a_time).then(|| text.to_string());
    let mut page = QueryFilter { limit: PAGE, anywhere, ..filter.clone() };
    let mut read = 0;
    loop {
        let mut count = 0;
        let mut last = None;
        let mut found = Vec::new();
        let each = |query: ListedQuery<'_>| {
            count += 1;
            last = Some(query.cursor());
            let row = cells(view.zone, &query);
            let is_found = row.iter().any(|cell| cell.contains(text));
            let is_cut = query.statement.is_some_and(|text| text.len() >= CUT_FROM_BYTES);
            if is_found || is_cut && page.anywhere.is_some() {
                found.push((row.map(Cow::into_owned), query.cursor(), is_found));
            }
        };
        view.list(&page, each).await?;
        for (row, place, is_found) in found {
            if !is_found {
                let Ok(id) = row[0].parse() else { continue };
                let whole = view.statement(&id).await?;
                if !whole.is_some_and(|statement| statement.contains(text)) {
                    continue;
                }
            }
            rows.add(&row, place);
            if rows.last_of_full(filter.limit).is_some() {
                return Ok(Some(place));
            }
        }
        read += count;
        page.after = last;
        if count < PAGE as usize {
            return Ok(None);
        }
        if page.anywhere.is_none() && read >= MOST_READ {
            return Ok(last);
        }
    }
}

/// A row of the manager's list. The frontend has its port where who reported the query named it.
fn cells<'q>(zone: Zone, query: &ListedQuery<'q>) -> [Cow<'q, str>; 10] {
    [
        query.query_id.into(),
        query.frontend.unwrap_or_default().into(),
        query.user.unwrap_or_default().into(),
        query.db.unwrap_or_default().into(),
        query.statement.unwrap_or_default().into(),
        "Query".into(),
        text_or_na(query.started_ms.map(|ms| zone.text(ms))),
        text_or_na(query.ended_ms.map(|ms| zone.text(ms))),
        text_or_na(query.duration_ms.map(duration_text)),
        query.state.unwrap_or("N/A").into(),
    ]
}

/// What was running when it was told of last, in the columns that Doris has since 3.0.
pub(crate) async fn current_queries(view: &View) -> Result<Answer, ApiError> {
    #[derive(Serialize)]
    struct Running {
        #[serde(rename = "columnNames")]
        column_names: [&'static str; 9],
    }
    let mut rows = Rows::of(&Running {
        column_names: [
            "Frontend", "QueryId", "ConnectionId", "Catalog", "Database", "User", "ExecTime",
            "SqlHash", "Statement",
        ],
    });
    let filter =
        QueryFilter { limit: 1000, state: Some("RUNNING".to_string()), ..QueryFilter::default() };
    let now_ms = chrono::Utc::now().timestamp_millis();
    let listed = view.list(&filter, |query| {
        let took_ms = query.started_ms.map(|ms| now_ms.saturating_sub(ms).max(0));
        let took = took_ms.map(|ms| ms.to_string()).unwrap_or_default();
        let row = [
            query.frontend.unwrap_or_default(),
            query.query_id,
            query.session_id.unwrap_or_default(),
            query.catalog.unwrap_or_default(),
            query.db.unwrap_or_default(),
            query.user.unwrap_or_default(),
            &took,
            query.sql_hash.unwrap_or_default(),
            query.statement.unwrap_or_default(),
        ];
        rows.add(&row, query.cursor());
    });
    listed.await?;
    rows.answer(0)
}

/// The whole statement; an empty object where it is not known.
pub(crate) async fn sql(view: &View, query_id: QueryId) -> Result<Answer, ApiError> {
    let statement = view.statement(&query_id).await?;
    success(statement.map_or(json!({}), |sql| json!({ "sql": sql })), 0)
}

/// The profile's text; an empty object where there is none.
pub(crate) async fn profile_text(view: &View, query_id: QueryId) -> Result<Answer, ApiError> {
    let text = view.profile(&query_id).await?.text();
    let profile = |text: Vec<u8>| json!({ "profile": String::from_utf8_lossy(&text) });
    success(text.map_or(json!({}), profile), 0)
}

/// The profile as a brief of its tree, as JSON within a string, which is how Doris sends it; an empty object where
/// there is none.
pub(crate) async fn profile_json(view: &View, query_id: QueryId) -> Result<Answer, ApiError> {
    let Some(text) = view.profile(&query_id).await?.text() else {
        return success(json!({}), 0);
    };
    let tree = Section::parse(&String::from_utf8_lossy(&text));
    let brief = serde_json::to_string(&tree.brief());
    let brief = brief.map_err(|error| ApiError::Internal(error.into()))?;
    success(json!({ "profile": brief }), 0)
}

/// Refuses a form of a profile that there is not.
pub(crate) fn no_such_form(form: &str) -> ApiError {
    ApiError::NotOffered(format!("Invalid profile format: {form}"))
}

/// How far the planner's estimates were off: what Doris answers where it has none, for no log tells.
pub(crate) fn no_estimates() -> Result<Answer, ApiError> {
    let none = json!({ "msg": "Not Found", "code": 404, "data": null, "count": 0 });
    envelope::json(StatusCode::OK, none)
}

/// What the newest query of a trace id cost, as far as it was reported; what is not known is 0. Doris 4.x answers for
/// queries that run, annals for those that have ended too.
pub(crate) async fn statistics(view: &View, trace_id: &str) -> Result<Answer, ApiError> {
    let query = match view.traced(trace_id).await?.and_then(|id| id.parse().ok()) {
        Some(id) => view.record(&id).await?,
        None => None,
    };
    let query = query.ok_or_else(|| no_trace(trace_id))?;
    let known = |value: Option<i64>| value.unwrap_or(0);
    success(
        json!({
            "scanRows": known(query.scan_rows),
            "scanBytes": known(query.scan_bytes),
            "returnedRows": known(query.return_rows),
            "cpuMs": known(query.cpu_time_ms),
            "maxPeakMemoryBytes": known(query.peak_memory_bytes),
            "currentUsedMemoryBytes": 0,
            "shuffleSendBytes": known(query.shuffle_send_bytes),
            "shuffleSendRows": known(query.shuffle_send_rows),
            "scanBytesFromLocalStorage": known(query.local_scan_bytes),
            "scanBytesFromRemoteStorage": known(query.remote_scan_bytes),
            "spillWriteBytesToLocalStorage": known(query.spill_write_bytes),
            "spillReadBytesFromLocalStorage": known(query.spill_read_bytes),
        }),
        0,
    )
}

fn no_trace(trace_id: &str) -> ApiError {
    ApiError::NotOffered(format!("no query of trace id {trace_id} is known"))
}

/// The query of a trace id, its newest where it is of several.
pub(crate) async fn traced(view: &View, trace_id: &str) -> Result<Answer, ApiError> {
    match view.traced(trace_id).await? {
        Some(query_id) => success(query_id, 0),
        None => Err(no_trace(trace_id)),
    }
}

/// Refuses what would act on a live cluster.
pub(crate) fn kill() -> ApiError {
    ApiError::Common(
        "annals keeps the history of queries and cannot act on the cluster; ask a frontend".into(),
    )
}

/// What a frontend says of itself to those who look for one. It tells its version only to those who name its cluster.
pub(crate) fn bootstrap(parameters: &Parameters) -> Result<Answer, ApiError> {
    let names_cluster = parameters.contains_key("cluster_id");
    let version = concat!("annals-", env!("CARGO_PKG_VERSION"));
    success(
        json!({
            "replayedJournalId": 0,
            "queryPort": 0,
            "rpcPort": 0,
            "arrowFlightSqlPort": 0,
            "version": if names_cluster { version } else { "" },
        }),
        0,
    )
}

/// How many backends there are and live: a history has none.
pub(crate) fn health() -> Result<Answer, ApiError> {
    success(json!({ "total_backend_num": 0, "online_backend_num": 0 }), 0)
}

/// The operators of a profile, drawn as a tree in plain text.
pub(crate) async fn profile_graph(view: &View, query_id: QueryId) -> Result<Answer, ApiError> {
    let tree = tree(view, &query_id).await?;
    success(json!({ "graph": tree.drawn() }), 0)
}

/// How long each fragment took, and each instance of it, with the backend where it ran. Profiles from 2.1 on do not
/// tell instances apart.
pub(crate) async fn profile_fragments(view: &View, query_id: QueryId) -> Result<Answer, ApiError> {
    let tree = tree(view, &query_id).await?;
    let mut hosts = HashMap::new();
    instance_hosts(&tree, &mut hosts);
    let fragments: Vec<Value> = tree
        .fragments()
        .into_iter()
        .map(|fragment| {
            let instances: serde_json::Map<String, Value> = fragment
                .instances
                .into_iter()
                .map(|(instance, time)| {
                    let host = hosts.get(instance.as_str()).map_or("", String::as_str);
                    let told = json!({ "host": host, "active_time": time });
                    (instance, told)
                })
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

/// Finds where each instance ran: `Instance ID (host=TNetworkAddress(hostname:10.0.0.1, port:9060))`.
fn instance_hosts<'p>(section: &'p Section, hosts: &mut HashMap<&'p str, String>) {
    let instance = section.name.strip_prefix("Instance ").and_then(|name| name.split_once(' '));
    if let Some((id, place)) = instance {
        let part = |key: &str| {
            let (_, behind) = place.split_once(key)?;
            behind.split([',', ')']).next().map(str::trim)
        };
        if let (Some(host), Some(port)) = (part("hostname:"), part("port:")) {
            hosts.insert(id, format!("{host}:{port}"));
        }
    }
    for child in &section.children {
        instance_hosts(child, hosts);
    }
}

async fn tree(view: &View, query_id: &QueryId) -> Result<Section, ApiError> {
    let (text, _) = known_profile(view, query_id).await?;
    Ok(Section::parse(&String::from_utf8_lossy(&text)))
}
