//! `…/trace_id/…` and `…/statistics/…`: the query of a trace id, and what it cost.

use serde_json::json;

use crate::http::answer::Answer;
use crate::http::doris::envelope::success;
use crate::http::error::ApiError;
use crate::http::query_ids::doris_id;
use crate::http::route::{ReadRequest, Route};

pub(super) const QUERY: Route =
    Route::new("/rest/v2/manager/query/trace_id/{*trace_id}", |to, path| to.get(path, query));
pub(super) const STATISTICS: Route =
    Route::new("/rest/v2/manager/query/statistics/{*trace_id}", |to, path| {
        to.get(path, statistics)
    });

/// Answers with the id of the newest query of a trace id.
async fn query(request: ReadRequest) -> Result<Answer, ApiError> {
    let trace_id = doris_id(request.path.get("trace_id"));
    match request.view.traced(&trace_id).await? {
        Some(query_id) => success(query_id, 0),
        None => Err(unknown(&trace_id)),
    }
}

/// Answers with what the newest query of a trace id cost, as far as it was reported; an unknown figure is 0. Doris 4.x
/// answers for queries that run, annals for ended ones too.
async fn statistics(request: ReadRequest) -> Result<Answer, ApiError> {
    let (view, trace_id) = (&request.view, doris_id(request.path.get("trace_id")));
    let query = match view.traced(&trace_id).await?.and_then(|id| id.parse().ok()) {
        Some(id) => view.record(&id).await?,
        None => None,
    };
    let query = query.ok_or_else(|| unknown(&trace_id))?;
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

fn unknown(trace_id: &str) -> ApiError {
    ApiError::Unsupported(format!("no query has the trace id {trace_id}"))
}
