//! Keeps the history within its configured bounds while annals serves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Pipeline, now_ms};
use crate::domain::clock::{Clock, ClockChange};
use crate::store::{Mark, Pruner, Removal, Store, StoreError, WriteError, WriteSummary};

/// From one check of the bounds to the next. At a thousand queries a second, a file grows by some hundred
/// kilobytes meanwhile.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// From an error to the next try.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// How often the trusted time is stored. A person who confirms a clock waits as long.
const MARK_INTERVAL: Duration = Duration::from_secs(60);
/// The lease of the annals that removes, and how long it lasts unless it is renewed.
const LEASE: &str = "retention";
const LEASE_TIME: Duration = Duration::from_secs(10);
/// From one warning about removed queries that had just arrived to the next.
const YOUNG_WARNING_INTERVAL: Duration = Duration::from_secs(600);

/// What retention removed since annals started. Times are Unix milliseconds.
#[derive(Debug, Default, Clone, Serialize, ToSchema)]
pub(crate) struct PruneReport {
    /// Queries and loads, with their profiles.
    pub queries: u64,
    /// Those of the queries that had arrived within the minute before: max_size is too small for what arrives.
    pub young_queries: u64,
    /// Profiles whose queries stay.
    pub profiles: u64,
    /// When something was removed last.
    pub last_ms: Option<i64>,
    /// Whether the history is beyond a bound and cannot be brought within it, for the reason of the last error.
    pub is_failing: bool,
    /// The last error.
    pub last_error: Option<String>,
    pub last_error_ms: Option<i64>,
    /// How far the system clock is ahead of the time by which ages count, or behind it; 0 while it is trusted.
    pub clock_off_ms: i64,
}

impl PruneReport {
    pub(super) fn removed(&mut self, summary: &WriteSummary, is_young: bool) {
        self.queries += summary.removed_queries;
        self.profiles += summary.removed_profiles;
        if is_young {
            self.young_queries += summary.removed_queries;
        }
        if summary.removed_queries + summary.removed_profiles > 0 {
            self.last_ms = Some(now_ms());
        }
    }

    fn failed(&mut self, error: &anyhow::Error, is_beyond_bound: bool) {
        self.is_failing |= is_beyond_bound;
        self.last_error = Some(format!("{error:#}"));
        self.last_error_ms = Some(now_ms());
    }
}

/// Removes queries and profiles beyond the bounds until the task is aborted. Each step is small, so that other
/// writes wait no longer for retention than for one another.
pub(crate) async fn run_retention(pipeline: Arc<Pipeline>, store: Store) {
    let pruner = Pruner::new(store.clone(), pipeline.retention().clone());
    let mut retention = Running {
        pipeline,
        store,
        pruner,
        time: None,
        lease: None,
        is_failing: false,
        young_warning: None,
    };
    loop {
        let wait = match retention.remove_some().await {
            Ok(is_over) => {
                retention.works_again();
                if is_over {
                    // Clients that push come first.
                    tokio::task::yield_now().await;
                    continue;
                }
                CHECK_INTERVAL
            }
            Err(error) => retention.failed(&error),
        };
        tokio::time::sleep(wait).await;
    }
}

/// Retention while annals serves.
struct Running {
    pipeline: Arc<Pipeline>,
    store: Store,
    pruner: Pruner,
    /// None before the first check.
    time: Option<Time>,
    /// When annals asked for the lease last, and whether it got it.
    lease: Option<(Instant, bool)>,
    is_failing: bool,
    /// When annals warned of removed queries that had just arrived.
    young_warning: Option<Instant>,
}

/// The trusted time.
struct Time {
    clock: Clock,
    advanced: Instant,
    /// When this process stored the trusted time last.
    marked: Option<Instant>,
    /// The trusted time that is stored.
    stored: Option<Clock>,
}

impl Running {
    /// Returns whether there was something to remove. Only one of the annals that share a history removes.
    async fn remove_some(&mut self) -> anyhow::Result<bool> {
        if !self.has_lease().await.context("the history cannot be read")? {
            return Ok(false);
        }
        let now_ms = self.trusted_ms().await.context("the history cannot be read")?;
        let next = self.pruner.next(now_ms).await;
        self.store_time().await.context("the history cannot be read")?;
        let removal = next?;
        if removal.is_empty() {
            return Ok(false);
        }
        self.warn_of_young(&removal);
        match self.pipeline.remove(removal).await {
            Ok(written) => self.pruner.removed(&written),
            Err(WriteError::Store(StoreError::Full(_))) if self.pruner.halve_steps() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Returns whether this annals has the lease. Renews it at half its time.
    async fn has_lease(&mut self) -> Result<bool, StoreError> {
        if let Some((asked, is_ours)) = self.lease
            && asked.elapsed() < LEASE_TIME / 2
        {
            return Ok(is_ours);
        }
        let asked = Instant::now();
        let is_ours = self.store.holds(LEASE, LEASE_TIME.as_millis() as i64).await?;
        self.lease = Some((asked, is_ours));
        Ok(is_ours)
    }

    fn warn_of_young(&mut self, removal: &Removal) {
        let is_due = self.young_warning.is_none_or(|at| at.elapsed() >= YOUNG_WARNING_INTERVAL);
        if removal.is_young && is_due {
            self.young_warning = Some(Instant::now());
            tracing::warn!(
                "queries that arrived within the last minute are removed, because they alone are larger than max_size; \
                 raise max_size"
            );
        }
    }

    fn works_again(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("retention works again");
            self.pipeline.note_pruned(|report| report.is_failing = false);
        }
    }

    /// Notes an error. Returns how long to wait.
    fn failed(&mut self, error: &anyhow::Error) -> Duration {
        // A database that does not answer is within its bounds, as far as anybody knows.
        let is_away = |cause: &(dyn std::error::Error + 'static)| {
            matches!(
                cause.downcast_ref(),
                Some(StoreError::Unreachable(_) | StoreError::Unconfirmed(_))
            )
        };
        let is_beyond_bound = !error.chain().any(is_away);
        if !std::mem::replace(&mut self.is_failing, true) {
            let (error, retry_in_ms) = (format!("{error:#}"), RETRY_INTERVAL.as_millis());
            match is_beyond_bound {
                true => tracing::error!(
                    error,
                    retry_in_ms,
                    "retention cannot keep the history within its bounds"
                ),
                false => tracing::warn!(error, retry_in_ms, "retention waits for the history"),
            }
        }
        self.pipeline.note_pruned(|report| report.failed(error, is_beyond_bound));
        RETRY_INTERVAL
    }

    /// Returns the time by which ages count, in Unix milliseconds.
    async fn trusted_ms(&mut self) -> Result<i64, StoreError> {
        let system_ms = now_ms();
        if !self.pipeline.retention().is_bounded() {
            return Ok(system_ms);
        }
        let time = match &mut self.time {
            Some(time) => time,
            none => {
                let stored = self.store.retention_mark().await?.map(|mark| mark.clock);
                let clock = stored.unwrap_or(Clock::at(system_ms));
                none.insert(Time { clock, advanced: Instant::now(), marked: None, stored })
            }
        };
        let change = time.clock.advance(time.advanced.elapsed(), system_ms);
        time.advanced = Instant::now();
        let (clock, off_ms) = (time.clock, time.clock.off_ms());
        log_change(change);
        self.pipeline.note_pruned(|report| report.clock_off_ms = off_ms);
        Ok(clock.now_ms(system_ms))
    }

    /// Stores the trusted time if that is due, and adopts the time that another process stored.
    async fn store_time(&mut self) -> Result<(), StoreError> {
        let Some(time) = &mut self.time else { return Ok(()) };
        if time.marked.is_some_and(|at| at.elapsed() < MARK_INTERVAL) {
            return Ok(());
        }
        time.marked = Some(Instant::now());
        // A person may have confirmed the system clock with `annals prune --trust-clock`.
        let stored = self.store.retention_mark().await?.map(|mark| mark.clock);
        if let Some(confirmed) = stored.filter(|_| stored != time.stored) {
            time.clock = confirmed;
        }
        let mark = Mark { clock: time.clock, settled_query: self.pruner.settled_query() };
        let removal = Removal { mark: Some(mark), ..Removal::default() };
        // On an error, the next removal says why.
        if self.pipeline.remove(removal).await.is_ok() {
            time.stored = Some(time.clock);
        }
        Ok(())
    }
}

fn log_change(change: ClockChange) {
    match change {
        ClockChange::None => {}
        ClockChange::Jumped(off_ms) => tracing::error!(
            off_ms,
            "the system clock is more than a day off the time at which annals ran last; ages count from that time until \
             the clock returns, stays for a day, or a person runs `annals prune --trust-clock`"
        ),
        ClockChange::Returned => tracing::info!("the system clock is right again"),
        ClockChange::Confirmed => {
            tracing::warn!("the system clock was off for a day, and is trusted now")
        }
    }
}
