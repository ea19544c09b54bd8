//! Makes the summaries of hours, while annals serves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Pipeline;
use crate::store::{Batch, Store, StoreError, WriteError};

/// From one look for hours without a summary to the next.
const INTERVAL: Duration = Duration::from_secs(60);
/// The lease of the annals that makes summaries, and how long it lasts unless it is renewed.
const LEASE: &str = "hour summaries";
const LEASE_TIME: Duration = Duration::from_secs(120);
/// After each hour, annals pauses this many times as long as it read: summaries take a quarter of a core.
const PAUSES: u32 = 3;

/// Why summaries are not made.
#[derive(Debug, thiserror::Error)]
enum SummaryError {
    #[error("the history cannot be read: {0}")]
    Read(#[from] StoreError),
    #[error("summaries cannot be stored: {0}")]
    Write(#[from] WriteError),
}

/// Makes the summary of every hour that has none and whose queries have settled.
pub(crate) async fn sum_hours(pipeline: Arc<Pipeline>, store: Store) {
    let mut is_failing = false;
    loop {
        match sum_some(&pipeline, &store).await {
            Ok(true) => is_failing = false,
            Ok(false) => {
                is_failing = false;
                tokio::time::sleep(INTERVAL).await;
            }
            Err(error) => {
                // Reports read the queries instead, so that an error costs only time.
                if !std::mem::replace(&mut is_failing, true) {
                    let retry_in_ms = INTERVAL.as_millis();
                    tracing::warn!(%error, retry_in_ms, "summaries of hours wait");
                }
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }
}

/// Makes the summaries of some hours. Returns false if every hour has one, or another annals makes them.
async fn sum_some(pipeline: &Pipeline, store: &Store) -> Result<bool, SummaryError> {
    if !store.holds(LEASE, LEASE_TIME.as_millis() as i64).await? {
        return Ok(false);
    }
    let hours = store.unsummed_hours().await?;
    if hours.is_empty() {
        return Ok(false);
    }
    let token = fastrand::i64(..);
    let mut begin = Batch::default();
    begin.begin_hours(hours.clone(), token);
    pipeline.write_derived(begin).await?;
    let mut filled = Batch::default();
    for hour in hours {
        let began = Instant::now();
        let body = store.sum_hour(hour).await?;
        filled.fill_hour(hour, token, body);
        // The hours of a large history are too much for one transaction.
        if filled.is_large() {
            pipeline.write_derived(filled.take()).await?;
        }
        tokio::time::sleep(began.elapsed() * PAUSES).await;
    }
    pipeline.write_derived(filled).await?;
    Ok(true)
}
