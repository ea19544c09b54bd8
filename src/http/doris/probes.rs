//! `/api/bootstrap` and `/api/health`, by which clients find a frontend.

use serde_json::json;

use crate::http::answer::Answer;
use crate::http::doris::envelope::success;
use crate::http::error::ApiError;
use crate::http::route::{Parameters, Route, RouteKind};
use crate::http::state::AppState;

pub(super) const BOOTSTRAP: Route =
    Route::new("/api/bootstrap", |to, path| to.get_public(path, bootstrap)).kind(RouteKind::Probe);
pub(super) const HEALTH: Route =
    Route::new("/api/health", |to, path| to.get_state(path, health)).kind(RouteKind::Probe);

/// Answers with what a frontend says about itself. Only a client that names the cluster learns the version.
fn bootstrap(parameters: Parameters) -> Result<Answer, ApiError> {
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

/// Answers with the number of backends: a history has none. Errors while annals can write nothing to its history. Waits for nothing:
/// the database is asked once a second.
fn health(state: &AppState) -> Result<Answer, ApiError> {
    match state.fault() {
        Some(fault) => Err(ApiError::Busy(fault.for_everybody())),
        None => success(json!({ "total_backend_num": 0, "online_backend_num": 0 }), 0),
    }
}
