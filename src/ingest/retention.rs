//! Keeps the history within its configured bounds while annals serves.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Pipeline, now_ms};
use crate::store::{Pruner, Store, WriteSummary};

/// From one check of the bounds to the next. At a thousand queries a second, a file grows by some hundred
/// kilobytes meanwhile.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// From an error to the next try.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// What retention removed since annals started. Times are Unix milliseconds.
#[derive(Debug, Default, Clone, Serialize, ToSchema)]
pub(crate) struct PruneReport {
    /// Queries and loads, with their profiles.
    pub queries: u64,
    /// Profiles whose queries stay.
    pub profiles: u64,
    /// When something was removed last.
    pub last_ms: Option<i64>,
    /// The last error.
    pub last_error: Option<String>,
    pub last_error_ms: Option<i64>,
}

impl PruneReport {
    pub(super) fn removed(&mut self, summary: &WriteSummary) {
        self.queries += summary.removed_queries;
        self.profiles += summary.removed_profiles;
        self.last_ms = Some(now_ms());
    }

    pub(super) fn failed(&mut self, error: &anyhow::Error) {
        self.last_error = Some(format!("{error:#}"));
        self.last_error_ms = Some(now_ms());
    }
}

/// Removes queries and profiles beyond the bounds until the task is aborted. Each step is small, so that other
/// writes wait no longer for retention than for one another.
pub(crate) async fn run_retention(pipeline: Arc<Pipeline>, store: Store) {
    let mut pruner = Pruner::new(store, pipeline.retention().clone());
    let mut is_failing = false;
    loop {
        let wait = match remove_some(&pipeline, &mut pruner).await {
            Ok(is_over) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!("retention works again");
                }
                if is_over {
                    continue;
                }
                CHECK_INTERVAL
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    let (error, retry_in_ms) = (format!("{error:#}"), RETRY_INTERVAL.as_millis());
                    tracing::error!(error, retry_in_ms, "retention cannot remove old queries");
                }
                pipeline.removal_failed(&error);
                RETRY_INTERVAL
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Returns whether there was something to remove.
async fn remove_some(pipeline: &Pipeline, pruner: &mut Pruner) -> anyhow::Result<bool> {
    let removal = pruner.next(now_ms()).await.context("the history cannot be read")?;
    if removal.is_empty() {
        return Ok(false);
    }
    pipeline.remove(removal).await?;
    Ok(true)
}
