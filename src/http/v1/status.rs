//! `/api/v1/status`: the state of annals and its sources.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::domain::retention::Retention;
use crate::http::answer::Answer;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_parameters::{NoParameters, read_all};
use crate::http::route::{ReadRequest, Route};
use crate::ingest::{PruneReport, SourceReport};
use crate::store::StoreError;

const PATH: &str = "/api/v1/status";

pub(super) const ROUTE: Route =
    Route::new(PATH, |to, path| to.get(path, report)).described_by(Description::openapi);

#[derive(OpenApi)]
#[openapi(paths(report))]
struct Description;

/// The state of annals.
#[derive(Serialize, ToSchema)]
struct Status {
    version: &'static str,
    /// Why nothing can be written to the history's file or database; `null` while annals can write.
    file_fault: Option<String>,
    /// Each source that was used or is configured.
    sources: BTreeMap<String, SourceReport>,
    /// Profiles that annals has stored and not read yet; `null` if the history cannot be read.
    unread_profiles: Option<i64>,
    /// How large the history is, and its limits; `null` if the history cannot be read.
    size: Option<Size>,
}

/// How large a history is. Sizes are bytes.
#[derive(Serialize, ToSchema)]
struct Size {
    /// The file without its write-ahead log, or the database.
    file_bytes: i64,
    /// The pages of the file that are free.
    free_bytes: i64,
    /// The write-ahead log.
    log_bytes: u64,
    /// The limits of the history.
    bounds: Bounds,
    /// What was removed.
    pruned: PruneReport,
}

/// The limits of a history; `null` is no limit.
#[derive(Serialize, ToSchema)]
struct Bounds {
    /// The age at which queries and loads are removed.
    keep_queries_ms: Option<u64>,
    /// The age of a query at which its profile is removed.
    keep_profiles_ms: Option<u64>,
    /// Largest size of the file and its write-ahead log, in bytes.
    max_bytes: Option<u64>,
    /// Largest size of all profiles as they are stored, in bytes.
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

/// The state of annals and its sources, since annals started
///
/// For admins and viewers.
#[utoipa::path(
    get, path = PATH, tag = "operation",
    responses((status = 200, body = Envelope<Status>))
)]
async fn report(request: ReadRequest) -> Result<Answer, ApiError> {
    read_all::<NoParameters>(&request.parameters)?;
    let pipeline = request.view.pipeline_for_all()?;
    let store = request.view.store()?;
    let read = async {
        Ok::<_, StoreError>((store.disk_usage().await?, request.view.unread_profiles().await?))
    };
    let (size, unread_profiles) = match store.unless_away(read).await {
        Err(_) if store.fault().is_some() => (None, None),
        read => {
            let (room, unread) = read?;
            let size = Size {
                file_bytes: room.file_bytes(),
                free_bytes: room.free_bytes(),
                log_bytes: store.log_bytes(),
                bounds: Bounds::of(pipeline.retention()),
                pruned: pipeline.pruned(),
            };
            (Some(size), Some(unread))
        }
    };
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        file_fault: store.fault().map(|fault| fault.to_string()),
        sources: pipeline.report(),
        unread_profiles,
        size,
    };
    success(status, 0)
}
