//! Reads the plans of stored profiles: behind the writer while annals serves, and at once for a command that needs them.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};

use super::Pipeline;
use crate::store::{
    Batch, PlanCursor, ReadPlan, Store, StoreError, UnreadPlan, UnreadPlans, WriteError, Writer,
};

/// From one look for profiles to the next, while all are read.
const INTERVAL: Duration = Duration::from_secs(1);
/// The lease of the annals that reads, and how long it lasts unless it is renewed.
const LEASE: &str = "plans";
const LEASE_TIME: Duration = Duration::from_secs(10);
/// From an error to the next try.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// annals pauses this many times as long as it read: reading takes half of a core.
const PAUSES: u32 = 1;
/// The same while batches wait for the writer.
const PAUSES_FOR_WRITES: u32 = 9;
/// The shortest pause. A timer counts milliseconds.
const MIN_PAUSE: Duration = Duration::from_millis(10);

/// Why plans are not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
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
    /// Nothing: no plan is left behind the place.
    Done,
}

/// Reads the plan of each profile that any process stores, once.
pub(crate) async fn read_plans(pipeline: Arc<Pipeline>, store: Store) {
    let mut after = PlanCursor::default();
    let mut is_failing = false;
    loop {
        let step = read_some(&pipeline, &store, &after).await;
        if step.is_ok() {
            is_failing = false;
        }
        let interval = match step {
            Ok(Step::Read(next)) => {
                after = next;
                continue;
            }
            Ok(Step::Waits) => LEASE_TIME / 2,
            Ok(Step::Done) => INTERVAL,
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    let retry_in_ms = RETRY_INTERVAL.as_millis();
                    tracing::warn!(%error, retry_in_ms, "plans of profiles wait");
                }
                RETRY_INTERVAL
            }
        };
        // Profiles arrive before the place, too.
        after = PlanCursor::default();
        tokio::time::sleep(interval).await;
    }
}

/// Reads the plans of some profiles behind a place, and stores them.
async fn read_some(
    pipeline: &Pipeline,
    store: &Store,
    after: &PlanCursor,
) -> Result<Step, PlanError> {
    let Some(UnreadPlans { queries, next }) = store.unread_plans(after).await? else {
        return Ok(Step::Done);
    };
    if !store.holds(LEASE, LEASE_TIME.as_millis() as i64).await? {
        return Ok(Step::Waits);
    }
    let mut batch = Batch::default();
    let mut pause = Duration::ZERO;
    for unread in queries {
        let began = Instant::now();
        if let Some(plan) = read_plan(store, unread).await? {
            batch.plan(plan);
        }
        let pauses = if pipeline.queued() > 0 { PAUSES_FOR_WRITES } else { PAUSES };
        pause += began.elapsed() * pauses;
        if pause >= MIN_PAUSE {
            tokio::time::sleep(std::mem::take(&mut pause)).await;
        }
    }
    if batch.plans() > 0 {
        pipeline.write_derived(batch).await?;
    }
    Ok(Step::Read(next))
}

/// Reads the plans of all profiles whose plan is not read, on all cores. Calls `each` with how many were read since the last
/// call.
pub(crate) async fn read_all_plans(
    store: &Store,
    writer: &Writer,
    each: impl Fn(u64),
) -> Result<(), PlanError> {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let mut after = PlanCursor::default();
    while let Some(UnreadPlans { queries, next }) = store.unread_plans(&after).await? {
        let reading = stream::iter(queries).map(|unread| read_plan(store, unread));
        let mut reading = reading.buffer_unordered(cores);
        let mut batch = Batch::default();
        while let Some(plan) = reading.next().await {
            if let Some(plan) = plan? {
                batch.plan(plan);
            }
        }
        let plans = batch.plans() as u64;
        writer.write(batch).await?;
        each(plans);
        after = next;
    }
    Ok(())
}

/// Reads the plan of a profile, on a thread where it may take long. None if the profile is gone, or its plan was read meanwhile.
async fn read_plan(store: &Store, unread: UnreadPlan) -> Result<Option<ReadPlan>, StoreError> {
    let profile = match store.unread_profile(&unread.query_id).await {
        Ok(Some(profile)) => profile,
        Ok(None) => return Ok(None),
        Err(error) if error.is_damage() => {
            let id = unread.query_id.as_str();
            tracing::debug!(id, %error, "a profile cannot be read");
            return Ok(Some(unread.of_damaged_profile()));
        }
        Err(error) => return Err(error),
    };
    let read = tokio::task::spawn_blocking(move || profile.read()).await;
    // A fault in the reading ends no other one.
    Ok(Some(read.unwrap_or_else(|_| unread.of_damaged_profile())))
}
