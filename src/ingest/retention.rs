//! Keeping the history within its bounds while annals serves.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Pipeline, now_ms, unpoisoned};
use crate::domain::retention::Retention;
use crate::store::{Batch, Pruner, Store};

/// How often it is looked at whether something is to go. At a thousand queries a second, a file grows by
/// some hundred kilobytes meanwhile.
const EVERY: Duration = Duration::from_millis(250);
/// From an error to the next try.
const AGAIN: Duration = Duration::from_secs(10);

/// What was removed since annals started. Times are Unix milliseconds.
#[derive(Debug, Default, Clone, Serialize, ToSchema)]
pub(crate) struct PruneReport {
    /// Queries and loads, with their profiles.
    pub queries: u64,
    /// Profiles whose queries stay.
    pub profiles: u64,
    /// When something was removed last.
    pub last_ms: Option<i64>,
    /// Why something could not be removed.
    pub last_error: Option<String>,
    /// And when.
    pub last_error_ms: Option<i64>,
}

/// Removes what goes beyond the bounds, for as long as annals serves: a little at a time, so that those who
/// write meanwhile wait no longer than for one another.
pub(crate) async fn retain(pipeline: Arc<Pipeline>, store: Store) {
    let mut pruner = Pruner::new(store, pipeline.retention.clone());
    loop {
        let wait = match step(&pipeline, &mut pruner).await {
            Ok(true) => continue,
            Ok(false) => EVERY,
            Err(error) => {
                tracing::error!(error = &*error, "old queries were not removed");
                let mut report = unpoisoned(&pipeline.pruned);
                report.last_error = Some(error.to_string());
                report.last_error_ms = Some(now_ms());
                AGAIN
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Whether there was something to remove.
async fn step(
    pipeline: &Pipeline,
    pruner: &mut Pruner,
) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let removal = pruner.next(now_ms()).await?;
    if removal.is_empty() {
        return Ok(false);
    }
    let written = pipeline.writer.write(Batch::removal(removal)).await?;
    let mut report = unpoisoned(&pipeline.pruned);
    report.queries += written.removed_queries;
    report.profiles += written.removed_profiles;
    report.last_ms = Some(now_ms());
    Ok(true)
}

impl Pipeline {
    /// What bounds the history.
    pub(crate) fn retention(&self) -> &Retention {
        &self.retention
    }

    /// What was removed since annals started.
    pub(crate) fn pruned(&self) -> PruneReport {
        unpoisoned(&self.pruned).clone()
    }
}
