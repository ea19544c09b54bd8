//! What nobody needs any more: labels that are too old or too many, normalized statements that no query has, and
//! segments of the search index without rows.

use std::time::{Duration, Instant};

use crate::domain::retention::Retention;
use crate::store::error::StoreError;
use crate::store::{Removal, Store};

/// From one sweep to the next.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// The same while the file is at its bound.
const HURRIED_SWEEP_EVERY: Duration = Duration::from_secs(60);
/// From one look at the labels to the next while the file is at its bound: they must not push out queries meanwhile.
const HURRIED_LABELS_EVERY: Duration = Duration::from_secs(1);
/// A sweep takes no more than this part of the time: that of a large history reads many statements.
const SWEEP_PART: u32 = 20;
/// Normalized statements that are looked at in one step, in some 5 ms.
pub(in crate::store) const STATEMENTS_FOUND: i64 = 2000;

/// A walk over what nobody may need.
#[derive(Debug)]
pub(super) struct Sweep {
    /// When the last sweep ended, and how long it took; none before the first.
    ended: Option<(Instant, Duration)>,
    began: Instant,
    phase: Phase,
    labels_looked: Option<Instant>,
    /// Whether this sweep ends after the labels.
    is_of_labels: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Labels,
    /// The labels before this time, in Unix milliseconds.
    LabelsBefore(i64),
    Segments,
    /// The statements from this fingerprint on.
    Statements(i64),
}

impl Default for Sweep {
    fn default() -> Sweep {
        Sweep {
            ended: None,
            began: Instant::now(),
            phase: Phase::Labels,
            labels_looked: None,
            is_of_labels: false,
        }
    }
}

impl Sweep {
    /// Begins a sweep soon, and one of the labels sooner, because the file is at its bound.
    pub(super) fn hurry(&mut self) {
        self.begin_after(HURRIED_SWEEP_EVERY);
        let is_due = self.labels_looked.is_none_or(|at| at.elapsed() >= HURRIED_LABELS_EVERY);
        if self.phase == Phase::Idle && is_due {
            self.phase = Phase::Labels;
            self.is_of_labels = true;
        }
    }

    fn begin_after(&mut self, pause: Duration) {
        let is_due =
            self.ended.is_none_or(|(at, took)| at.elapsed() >= pause.max(took * SWEEP_PART));
        if self.phase == Phase::Idle && is_due {
            self.began = Instant::now();
            self.phase = Phase::Labels;
            self.is_of_labels = false;
        }
    }

    fn after_labels(&self) -> Phase {
        if self.is_of_labels { Phase::Idle } else { Phase::Segments }
    }

    /// Returns what the next step removes; nothing once the sweep is over or, unless `to_the_end`, for now.
    pub(super) async fn next(
        &mut self,
        store: &Store,
        retention: &Retention,
        now_ms: i64,
        to_the_end: bool,
    ) -> Result<Removal, StoreError> {
        self.begin_after(SWEEP_EVERY);
        let mut removal = Removal::default();
        loop {
            match self.phase {
                Phase::Idle => return Ok(removal),
                Phase::Labels => {
                    self.labels_looked = Some(Instant::now());
                    let before_ms = store
                        .outdated_labels(
                            Retention::labels_cutoff_ms(now_ms),
                            retention.labels_max_bytes(),
                        )
                        .await?;
                    self.phase = before_ms.map_or_else(|| self.after_labels(), Phase::LabelsBefore);
                }
                Phase::LabelsBefore(before_ms) => {
                    let first_ms = store.first_label_ms().await?;
                    if first_ms.is_some_and(|first_ms| first_ms < before_ms) {
                        removal.labels_before_ms = Some(before_ms);
                        return Ok(removal);
                    }
                    self.phase = self.after_labels();
                }
                Phase::Segments => {
                    self.phase = Phase::Statements(i64::MIN);
                    removal.segments = store.empty_segments().await?;
                    if !removal.segments.is_empty() {
                        return Ok(removal);
                    }
                }
                Phase::Statements(from) => {
                    let (unused, next) = store.unused_statements(from).await?;
                    match next {
                        Some(next) => self.phase = Phase::Statements(next),
                        None => {
                            self.phase = Phase::Idle;
                            self.ended = Some((Instant::now(), self.began.elapsed()));
                        }
                    }
                    removal.statements = unused;
                    if !removal.statements.is_empty() || !to_the_end {
                        return Ok(removal);
                    }
                }
            }
        }
    }
}
