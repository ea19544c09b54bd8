//! Keeps the write-ahead log small.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnection;

use super::admin::retention::log_path;
use super::raw::{Gate, restart_log};

/// How long one try waits for readers to leave the log; clients that push wait as long. A list takes a millisecond.
const WAIT: Duration = Duration::from_millis(128);
/// From the end of one try to the next, in waits: clients that push wait for no more than a fifth of the time.
const WAITS_BETWEEN: u32 = 4;
/// For how long no long read begins, so that running reads can end. Most end within a second, and on a machine that is busy
/// with other work within this time. A reader that takes longer, such as a backup, lets the log grow.
const HOLD: Duration = Duration::from_secs(10);
/// From the end of a hold in vain to the next, in holds: 1 after the first, then twice as many as before, up to this number.
const MAX_HOLDS_BETWEEN: u32 = 8;

/// The bound of the log of one file.
pub(super) struct LogBound {
    log: PathBuf,
    max_bytes: u64,
    gate: Arc<Gate>,
    next_try: Instant,
    /// When the present hold ends; none if no hold is on.
    hold_ends: Option<Instant>,
    next_hold: Instant,
    /// From the end of the present hold to the next, in holds.
    holds_between: u32,
}

impl LogBound {
    /// Returns the bound of the log beside a file. Long reads of this process pass `gate`.
    pub(super) fn new(file: &Path, max_bytes: u64, gate: Arc<Gate>) -> LogBound {
        let now = Instant::now();
        let log = log_path(file);
        LogBound {
            log,
            max_bytes,
            gate,
            next_try: now,
            hold_ends: None,
            next_hold: now,
            holds_between: 1,
        }
    }

    /// Begins the log anew once it is too large. SQLite does so by itself only if no reader is there when a commit ends,
    /// and with many readers one always is. So long reads are held back meanwhile.
    pub(super) async fn keep(&mut self, connection: &mut SqliteConnection) {
        let bytes = std::fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        let now = Instant::now();
        if bytes <= self.max_bytes || now < self.next_try {
            return;
        }
        match self.hold_ends {
            None if now >= self.next_hold => {
                self.gate.close(HOLD);
                self.hold_ends = Some(now + HOLD);
            }
            Some(ends) if now >= ends => {
                self.hold_ends = None;
                self.next_hold = now + self.holds_between * HOLD;
                self.holds_between = (2 * self.holds_between).min(MAX_HOLDS_BETWEEN);
            }
            _ => {}
        }
        match restart_log(connection, WAIT).await {
            Ok(true) => {
                self.gate.open();
                self.hold_ends = None;
                self.holds_between = 1;
                return;
            }
            // A commit does what this could not, or says why it cannot.
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(error = &error as &dyn Error, "the log was not begun anew");
            }
        }
        self.next_try = Instant::now() + WAITS_BETWEEN * WAIT;
    }
}
