//! `/api/query_detail` and `/api/v2/query_detail`, which monitors poll for what happened since their last poll
//! (`QueryDetailAction` of Doris until 2024, `QueryDetailAction` and `QueryDetailActionV2` of StarRocks).
//!
//! A frontend keeps details for half a minute. annals answers with the newest 1000 since the time in the request.

use serde::Serialize;
use serde_json::json;
use warp::http::StatusCode;

use crate::domain::filter::{Choice, QueryFilter};
use crate::domain::record::Kind;
use crate::http::answer::{self, Answer};
use crate::http::doris::envelope::success;
use crate::http::error::ApiError;
use crate::http::route::{ReadRequest, Route};
use crate::store::StoredQuery;

pub(super) const DORIS: Route = Route::new("/api/query_detail", |to, path| to.get(path, doris));
pub(super) const STARROCKS: Route =
    Route::new("/api/v2/query_detail", |to, path| to.get(path, starrocks));

/// The most details in an answer.
const MAX_DETAILS: u32 = 1000;
/// The longest duration of a query in milliseconds. A query that began longer before the time in the request is left
/// away, even if it ended after that time.
const LONGEST_MS: i64 = 24 * 3600 * 1000;
/// Event times beyond this are in nanoseconds, as StarRocks counts them; others are in milliseconds, as Doris does.
const FIRST_NANOSECONDS: i64 = 1_000_000_000_000_000;

/// The fields of `QueryDetail`. Times are Unix milliseconds, sizes bytes; -1 is unknown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    event_time: i64,
    query_id: String,
    is_query: bool,
    #[serde(rename = "remoteIP")]
    remote_ip: String,
    conn_id: i64,
    start_time: i64,
    end_time: i64,
    latency: i64,
    state: &'static str,
    database: String,
    sql: String,
    user: String,
    error_message: String,
    resource_group_name: String,
    warehouse: String,
    catalog: String,
    digest: String,
    scan_rows: i64,
    scan_bytes: i64,
    return_rows: i64,
    cpu_cost_ns: i64,
    mem_cost_bytes: i64,
    spill_bytes: i64,
}

impl Detail {
    fn of(StoredQuery { record: query, .. }: StoredQuery) -> Detail {
        let is = |names: &[&str]| {
            let state = query.state.as_deref().unwrap_or_default();
            names.iter().any(|name| name.eq_ignore_ascii_case(state))
        };
        let is_running = is(&["RUNNING"]);
        let state = match () {
            () if is_running => "RUNNING",
            () if is(&["CANCELLED", "CANCELED"]) => "CANCELLED",
            () if is(&["ERR", "ERROR", "FAILED", "FAIL"]) => "FAILED",
            () => "FINISHED",
        };
        let started_ms = query.started_ms.unwrap_or(-1);
        // A running query may have values here, but not those of its end.
        let (ended_ms, latency_ms) = match is_running {
            true => (-1, -1),
            false => (query.ended_ms.unwrap_or(-1), query.duration_ms.unwrap_or(-1)),
        };
        Detail {
            event_time: ended_ms.max(started_ms),
            query_id: query.query_id.to_string(),
            is_query: query.is_query.unwrap_or(query.kind == Kind::Query),
            remote_ip: query.client.unwrap_or_default(),
            conn_id: query.session_id.and_then(|id| id.parse().ok()).unwrap_or(-1),
            start_time: started_ms,
            end_time: ended_ms,
            latency: latency_ms,
            state,
            database: query.db.unwrap_or_default(),
            sql: query.statement.unwrap_or_default(),
            user: query.user.unwrap_or_default(),
            error_message: query.error_message.unwrap_or_default(),
            resource_group_name: query.workload_group.unwrap_or_default(),
            warehouse: query.compute_group.unwrap_or_default(),
            catalog: query.catalog.unwrap_or_default(),
            digest: query.sql_digest.unwrap_or_default(),
            scan_rows: query.scan_rows.unwrap_or(-1),
            scan_bytes: query.scan_bytes.unwrap_or(-1),
            return_rows: query.return_rows.unwrap_or(-1),
            cpu_cost_ns: query.cpu_time_ms.map_or(-1, |ms| ms.saturating_mul(1_000_000)),
            mem_cost_bytes: query.peak_memory_bytes.unwrap_or(-1),
            spill_bytes: query.spill_write_bytes.unwrap_or(-1),
        }
    }
}

/// Answers as Doris does: in its envelope, event times in milliseconds.
async fn doris(request: ReadRequest) -> Result<Answer, ApiError> {
    let details = since(&request).await?;
    success(json!({ "query_details": details }), 0)
}

/// Answers as the second version of StarRocks does: event times in nanoseconds.
async fn starrocks(request: ReadRequest) -> Result<Answer, ApiError> {
    let mut details = since(&request).await?;
    for detail in &mut details {
        detail.event_time = detail.event_time.saturating_mul(1_000_000);
    }
    answer::json(StatusCode::OK, json!({ "result": details, "code": "0", "message": "OK" }))
}

/// Returns the queries that ended, or began if they still run, after the event time in the request, oldest first.
async fn since(request: &ReadRequest) -> Result<Vec<Detail>, ApiError> {
    let parameter = |name: &str| request.parameters.get(name).filter(|text| !text.is_empty());
    let text = parameter("event_time").map_or("", |text| text.trim());
    if text.is_empty() {
        return Err(ApiError::BadRequest("Missing event_time".to_string()));
    }
    let asked: i64 = text.parse().map_err(|_| {
        let sentence = "event_time must be Unix milliseconds, or nanoseconds as StarRocks counts";
        ApiError::BadRequest(sentence.to_string())
    })?;
    let since_ms = if asked > FIRST_NANOSECONDS { asked / 1_000_000 } else { asked };
    let filter = QueryFilter {
        limit: MAX_DETAILS,
        user: parameter("user").map(Choice::one).unwrap_or_default(),
        from_ms: (since_ms > 0).then(|| since_ms.saturating_sub(LONGEST_MS)),
        ..QueryFilter::default()
    };
    let records = request.view.records(&filter).await?;
    let mut details: Vec<Detail> =
        records.into_iter().map(Detail::of).filter(|detail| detail.event_time > since_ms).collect();
    details.sort_by_key(|detail| detail.event_time);
    Ok(details)
}
