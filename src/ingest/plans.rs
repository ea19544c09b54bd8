//! Reads the plans of profiles that an older annals stored, while annals serves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Pipeline;
use crate::domain::profile::PlanSummary;
use crate::domain::record::QueryId;
use crate::store::{
    Batch, PlanCursor, Reader, Store, StoreError, StoredProfile, WriteError, read_plan,
};

/// The lease of the annals that reads, and how long it lasts unless it is renewed.
const LEASE: &str = "plans";
const LEASE_TIME: Duration = Duration::from_secs(60);
/// From an error to the next try.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// After each profile, annals pauses this many times as long as it read: reading takes a tenth of a core.
const PAUSES: u32 = 9;

/// Why plans are not read.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    #[error("the history cannot be read: {0}")]
    Read(#[from] StoreError),
    #[error("plans cannot be stored: {0}")]
    Write(#[from] WriteError),
}

/// What a step did.
enum Step {
    /// Read some plans, up to this place.
    Read(PlanCursor),
    /// Nothing: another annals reads them.
    Waits,
    /// Nothing: no plan is left to read.
    Done,
}

/// Reads the plans of all profiles whose plan this version has not read, each once. Returns when none is left.
pub(crate) async fn read_plans(pipeline: Arc<Pipeline>, store: Store) {
    let mut after = PlanCursor::default();
    let mut is_failing = false;
    loop {
        let step = read_some(&pipeline, &store, &after).await;
        if step.is_ok() {
            is_failing = false;
        }
        match step {
            Ok(Step::Read(next)) => after = next,
            Ok(Step::Waits) => tokio::time::sleep(LEASE_TIME / 2).await,
            Ok(Step::Done) => return,
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    let retry_in_ms = RETRY_INTERVAL.as_millis();
                    tracing::warn!(%error, retry_in_ms, "plans of older profiles wait");
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// Reads the plans of some profiles behind a place, and stores them.
async fn read_some(
    pipeline: &Pipeline,
    store: &Store,
    after: &PlanCursor,
) -> Result<Step, PlanError> {
    if !store.holds(LEASE, LEASE_TIME.as_millis() as i64).await? {
        return Ok(Step::Waits);
    }
    let Some(unread) = store.unread_plans(after).await? else { return Ok(Step::Done) };
    let mut batch = Batch::default();
    for query_id in unread.query_ids {
        let Ok(query_id) = query_id.parse::<QueryId>() else { continue };
        let began = Instant::now();
        match store.profile(&query_id, Reader::default()).await {
            Ok(profile) => {
                if let Some(plan) = plan_of(profile).await {
                    batch.plan(query_id, plan);
                }
            }
            // The next start tries it again.
            Err(error) if error.is_damage() => {
                let id = query_id.as_str();
                tracing::debug!(id, %error, "a profile cannot be read");
            }
            Err(StoreError::Other(error)) => {
                let id = query_id.as_str();
                tracing::debug!(id, %error, "a profile cannot be unpacked");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(began.elapsed() * PAUSES).await;
    }
    if batch.has_plans() {
        pipeline.write_derived(batch).await?;
    }
    Ok(Step::Read(unread.next))
}

/// Reads the plan of a profile, on a thread where it may take long; none if there is no profile any more, or it is damaged.
async fn plan_of(profile: StoredProfile) -> Option<PlanSummary> {
    let read = tokio::task::spawn_blocking(move || {
        let text = profile.text().ok().flatten()?;
        Some(read_plan(&text))
    });
    read.await.ok().flatten()
}
