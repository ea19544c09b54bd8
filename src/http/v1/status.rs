//! `/api/v1/status`: how annals and its sources in fare.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::retention::Retention;
use crate::http::envelope::{Answer, ApiError, Envelope, success};
use crate::http::query_parameters::{NoParameters, known_parameters};
use crate::http::{Parameters, View};
use crate::ingest::{PruneReport, SourceReport};

/// How annals fares.
#[derive(Serialize, ToSchema)]
pub(crate) struct Status {
    version: &'static str,
    /// Each source in that was used or is configured.
    sources: BTreeMap<String, SourceReport>,
    /// How large the history is, and what keeps it so.
    size: Size,
}

/// How large a history is. Sizes are bytes.
#[derive(Serialize, ToSchema)]
struct Size {
    /// The file, without its write-ahead log.
    file_bytes: i64,
    /// What of it holds nothing now.
    free_bytes: i64,
    /// The write-ahead log.
    log_bytes: u64,
    /// What the history is kept within.
    bounds: Bounds,
    /// What was removed.
    pruned: PruneReport,
}

/// What a history is kept within; what is `null` bounds nothing.
#[derive(Serialize, ToSchema)]
struct Bounds {
    /// Queries and loads whose start is longer ago go.
    keep_queries_ms: Option<u64>,
    /// Profiles of queries whose start is longer ago go.
    keep_profiles_ms: Option<u64>,
    /// The file and its write-ahead log stay within so many bytes.
    max_bytes: Option<u64>,
    /// The profiles together, as they are stored, stay within so many bytes.
    profiles_max_bytes: Option<u64>,
}

impl Bounds {
    fn of(retention: &Retention) -> Bounds {
        let ms = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Bounds {
            keep_queries_ms: retention.keep_queries.map(ms),
            keep_profiles_ms: retention.keep_profiles.map(ms),
            max_bytes: retention.max_size,
            profiles_max_bytes: retention.profiles_max_size,
        }
    }
}

/// How annals and its sources in fare, since it started
///
/// For admins.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "operation",
    responses((status = 200, body = Envelope<Status>))
)]
pub(crate) async fn report(view: &View, parameters: Parameters) -> Result<Answer, ApiError> {
    known_parameters::<NoParameters>(&parameters)?;
    let pipeline = view.pipeline_for_all()?;
    let store = view.store()?;
    let room = store.disk_usage().await?;
    let size = Size {
        file_bytes: room.file_bytes(),
        free_bytes: room.free_bytes(),
        log_bytes: store.log_bytes(),
        bounds: Bounds::of(pipeline.retention()),
        pruned: pipeline.pruned(),
    };
    success(Status { version: env!("CARGO_PKG_VERSION"), sources: pipeline.report(), size }, 0)
}
