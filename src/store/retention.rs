//! Keeping the store within its bounds: a [`Pruner`] finds what goes, a little at a time, and the writer
//! removes it between the batches of the sources.

mod sweep;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytesize::ByteSize;

pub(super) use self::sweep::STATEMENTS_FOUND;
use self::sweep::Sweep;
use super::batch::WriteSummary;
use super::error::StoreError;
use super::{SqliteStore, Store};
use crate::domain::clock::{Clock, Off};
use crate::domain::retention::Retention;

/// Queries of one step. A step takes some 10 ms, so that clients that write do not wait long.
const STEP_QUERIES: u32 = 250;
/// A file beyond its bound is pruned in steps this many times as large: it grows faster than small steps make it smaller.
const BEYOND_FACTOR: u32 = 4;
/// Bytes of queries and profiles of one step: the engine visits the pages of each large text.
const STEP_BYTES: i64 = 8 << 20;
/// Pages that one step returns to the disk. Each moves the content of another page.
const STEP_PAGES: u32 = 256;
/// How often a full disk halves the steps: down to one query and one page, which need some ten pages of log.
const MAX_HALVINGS: u32 = 8;
/// Once the file is this near to its bound, in percent, the oldest queries go until [`FAR_BYTES`] are free as well.
const NEAR_PERCENT: u64 = 98;
/// At most this many bytes, and a hundredth of the bound, go at once: the pushes of some seconds.
const FAR_BYTES: u64 = 4 << 20;
/// A file with a larger share of free pages gets smaller. New rows soon use a smaller share again.
const FREE_PERCENT: i64 = 2;
/// How often the pruner looks for profiles: that reads a part of each.
const PROFILES_EVERY: Duration = Duration::from_secs(60);
/// Profiles that the pruner finds at a time.
pub(super) const PROFILES_FOUND: u32 = 20_000;
/// What arrived within this time is removed for its size only if nothing else is left: its client was just answered.
const SETTLED_AFTER: Duration = Duration::from_secs(60);
/// From one look at the newest row to the next.
const SAMPLED_EVERY: Duration = Duration::from_secs(5);
/// Once this part of the bound was removed and less than a quarter of that became free, removing does not help.
const IN_VAIN_PART: u64 = 8;
/// How long the pruner removes nothing for its size after it removed in vain.
const IN_VAIN_PAUSE: Duration = Duration::from_secs(600);

/// What one step removes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Removal {
    /// Rows of queries; their loads and profiles go with them.
    pub queries: Vec<i64>,
    /// Whether the queries arrived within the last minute.
    pub is_young: bool,
    /// Rows of queries whose profiles go while the queries stay.
    pub profiles: Vec<i64>,
    /// Log-ins before this time, in Unix milliseconds; a thousand at a time.
    pub logins_before_ms: Option<i64>,
    /// Labels of stream loads before this time, in Unix milliseconds; some thousand at a time.
    pub labels_before_ms: Option<i64>,
    /// Normalized statements that no query has.
    pub statements: Vec<i64>,
    /// Segments of the search index without a row.
    pub segments: Vec<i64>,
    /// Free pages to return to the disk.
    pub pages: u32,
    /// What the next process needs to know of this one.
    pub mark: Option<Mark>,
}

impl Removal {
    /// Returns whether the removal removes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Removal::default()
    }
}

/// What retention remembers from one process to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The time by which ages counted last.
    pub clock: Clock,
    /// The newest row that had been stored for a minute then.
    pub settled_query: i64,
}

impl Mark {
    /// Returns the mark of a stored row. `off` is the system clock while it is off, and how long it has been, in
    /// milliseconds.
    pub(super) fn of_row(trusted_ms: i64, off: Option<(i64, i64)>, settled_query: i64) -> Mark {
        let off = off.map(|(system_ms, for_ms)| Off { system_ms, for_ms });
        Mark { clock: Clock { trusted_ms, off }, settled_query }
    }
}

/// Returns the queries whose profiles go, with the bytes of the profiles: each that is older than `from_ms`, and the oldest until
/// `excess` bytes are removed. `oldest` has the row of each query, the bytes of its profile and its start, the oldest first.
pub(super) fn outdated(
    oldest: impl Iterator<Item = (i64, i64, Option<i64>)>,
    from_ms: Option<i64>,
    excess: i64,
) -> Vec<(i64, i64)> {
    let mut left = excess;
    let outdated = oldest.take_while(|(_, bytes, started_ms)| {
        let old = started_ms.zip(from_ms).is_some_and(|(ms, from_ms)| ms < from_ms);
        let goes = old || left > 0;
        left -= bytes;
        goes
    });
    outdated.map(|(query, bytes, _)| (query, bytes)).collect()
}

/// The space that the database takes on the disk, without its write-ahead log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DiskUsage {
    pub(super) page_bytes: i64,
    pub(super) pages: i64,
    pub(super) free_pages: i64,
    pub(super) is_shrinkable: bool,
}

impl DiskUsage {
    /// Returns the size of the file.
    pub(crate) fn file_bytes(&self) -> i64 {
        self.pages * self.page_bytes
    }

    /// Returns the size of the pages in use.
    pub(crate) fn used_bytes(&self) -> i64 {
        (self.pages - self.free_pages) * self.page_bytes
    }

    /// Returns the size of the pages that can be returned to the disk.
    pub(crate) fn free_bytes(&self) -> i64 {
        self.free_pages * self.page_bytes
    }

    /// Returns whether the file can get smaller a few pages at a time. A file that another program made may
    /// not be able to.
    pub(crate) fn is_shrinkable(&self) -> bool {
        self.is_shrinkable
    }
}

/// The oldest queries, as many as one step removes.
#[derive(Debug, Default)]
pub(super) struct Oldest {
    pub(super) queries: Vec<i64>,
    /// What they take, about.
    pub(super) bytes: i64,
    /// The start of the first; none if it has none.
    pub(super) first_ms: Option<i64>,
}

/// Which queries [`Store::oldest`] returns.
#[derive(Debug, Clone, Copy)]
pub(super) struct OldestFilter {
    /// Only queries that started before, in Unix milliseconds.
    pub(super) before_ms: Option<i64>,
    /// Only rows up to this one.
    pub(super) up_to: i64,
    /// The most queries.
    pub(super) queries: u32,
    /// No more queries once these take so many bytes.
    pub(super) bytes: i64,
}

/// Why the history is not within its bounds.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum PruneError {
    #[error("the history cannot be read")]
    Read(#[from] StoreError),
    #[error(
        "max_size is {bound}, and {fixed} of the file are tables that annals never removes from (`annals check` lists \
         all tables), so that removing queries cannot help; raise max_size"
    )]
    Fixed { bound: ByteSize, fixed: ByteSize },
    #[error(
        "max_size is {bound}, the history takes {used}, and no query or log-in is left to remove; raise max_size"
    )]
    NothingLeft { bound: ByteSize, used: ByteSize },
    #[error(
        "removing {removed} of queries made only {freed} of the file free, so nothing is removed for its size for ten \
         minutes; stop annals and run: sqlite3 DATABASE VACUUM"
    )]
    InVain { removed: ByteSize, freed: ByteSize },
}

/// Finds what goes next.
#[derive(Debug)]
pub(crate) struct Pruner {
    store: Store,
    retention: Retention,
    /// Whether the pruner runs once: it returns all free pages to the disk, not only those beyond [`FREE_PERCENT`].
    is_once: bool,
    /// Queries whose profiles go, with the bytes of the profiles.
    profiles: VecDeque<(i64, i64)>,
    /// When the pruner last looked for profiles; none where it looks again at once.
    looked: Option<Instant>,
    sweep: Sweep,
    /// Whether the file came near its bound and is not yet far enough from it.
    shrinking: bool,
    /// How often the steps were halved.
    halvings: u32,
    /// Whether the file is beyond its bound.
    is_beyond: bool,
    /// The newest row that has been stored for a minute; none before the first look.
    settled: Option<i64>,
    /// The newest row at several times within the last minute, the oldest first.
    samples: VecDeque<(Instant, i64)>,
    /// The size of what is never removed, as it was when the file came near its bound.
    fixed_bytes: u64,
    /// What was removed for its size since the file came near its bound, and what became free, in bytes.
    removed_bytes: u64,
    freed_bytes: u64,
    /// When the pruner removed in vain.
    in_vain: Option<Instant>,
}

impl Pruner {
    /// Returns a pruner for a store that grows.
    pub(crate) fn new(store: Store, retention: Retention) -> Pruner {
        Pruner {
            store,
            retention,
            is_once: false,
            profiles: VecDeque::new(),
            looked: None,
            sweep: Sweep::default(),
            shrinking: false,
            halvings: 0,
            is_beyond: false,
            settled: None,
            samples: VecDeque::new(),
            fixed_bytes: 0,
            removed_bytes: 0,
            freed_bytes: 0,
            in_vain: None,
        }
    }

    /// Returns a pruner that runs once, and returns all free pages to the disk.
    pub(crate) fn once(store: Store, retention: Retention) -> Pruner {
        Pruner { is_once: true, ..Pruner::new(store, retention) }
    }

    /// Returns the newest row that has been stored for a minute.
    pub(crate) fn settled_query(&self) -> i64 {
        self.settled.unwrap_or(0)
    }

    /// Makes the steps smaller, because a full disk had no space for the last one. Returns false if they are as small
    /// as they get.
    pub(crate) fn halve_steps(&mut self) -> bool {
        let can_halve = self.halvings < MAX_HALVINGS;
        self.halvings += u32::from(can_halve);
        can_halve
    }

    /// Notes what a step removed.
    pub(crate) fn removed(&mut self, written: &WriteSummary) {
        if self.shrinking {
            self.freed_bytes += written.freed_bytes;
        }
        if !self.is_once {
            self.halvings = self.halvings.saturating_sub(1);
        }
    }

    /// Returns the next step; an empty one once the store is within its bounds. Errors if it cannot be brought within
    /// them.
    pub(crate) async fn next(&mut self, now_ms: i64) -> Result<Removal, PruneError> {
        self.sample(now_ms).await?;
        let usage = self.store.disk_usage().await?;
        let mut removal = self.too_old(now_ms).await?;
        let mut error = None;
        if removal.is_empty() {
            match self.too_large(&usage, now_ms).await {
                Ok(found) => removal = found,
                Err(PruneError::Read(error)) => return Err(error.into()),
                Err(other) => error = Some(other),
            }
        }
        if removal.is_empty() {
            removal = self.sweep.next(&self.store, &self.retention, now_ms, self.is_once).await?;
        }
        if removal.is_empty() {
            removal.profiles = self.next_profiles(now_ms).await?;
        }
        let kept = if self.is_once { 0 } else { usage.pages * FREE_PERCENT / 100 };
        if removal.is_empty() && usage.is_shrinkable && usage.free_pages > kept {
            removal.pages = STEP_PAGES >> self.halvings;
        }
        match error {
            Some(error) if removal.is_empty() => Err(error),
            _ => Ok(removal),
        }
    }

    /// Notes the newest row, and which one has been stored for a minute.
    async fn sample(&mut self, now_ms: i64) -> Result<(), StoreError> {
        let is_due = self.samples.back().is_none_or(|(at, _)| at.elapsed() >= SAMPLED_EVERY);
        if !is_due {
            return Ok(());
        }
        let newest = self.store.newest_row().await?;
        if self.settled.is_none() {
            // Rows that another process stored a moment ago have not settled either.
            let recent = |mark: &Mark| {
                now_ms.abs_diff(mark.clock.trusted_ms) < 3 * SETTLED_AFTER.as_millis() as u64
            };
            let mark = self.store.retention_mark().await?.filter(recent);
            self.settled = Some(mark.map_or(newest, |mark| mark.settled_query));
        }
        self.samples.push_back((Instant::now(), newest));
        while let Some((at, row)) = self.samples.front()
            && at.elapsed() >= SETTLED_AFTER
        {
            self.settled = Some(*row);
            self.samples.pop_front();
        }
        Ok(())
    }

    fn step(&self, before_ms: Option<i64>, up_to: i64, bytes: i64) -> OldestFilter {
        let queries = if self.is_beyond { STEP_QUERIES * BEYOND_FACTOR } else { STEP_QUERIES };
        OldestFilter {
            before_ms,
            up_to,
            queries: (queries >> self.halvings).max(1),
            bytes: bytes.min(STEP_BYTES >> self.halvings),
        }
    }

    /// Returns what goes for its age.
    async fn too_old(&self, now_ms: i64) -> Result<Removal, StoreError> {
        let mut removal = Removal::default();
        if let Some(before_ms) = self.retention.queries_cutoff_ms(now_ms) {
            let step = self.step(Some(before_ms), i64::MAX, STEP_BYTES);
            removal.queries = self.store.oldest(step).await?.queries;
            if self.store.first_login_ms().await?.is_some_and(|first_ms| first_ms < before_ms) {
                removal.logins_before_ms = Some(before_ms);
            }
        }
        Ok(removal)
    }

    /// Returns what goes for the size of the file.
    async fn too_large(&mut self, usage: &DiskUsage, now_ms: i64) -> Result<Removal, PruneError> {
        let Some(bound) = self.retention.max_size else { return Ok(Removal::default()) };
        let log_bytes = SqliteStore::max_log_bytes(bound);
        let used = u64::try_from(usage.used_bytes()).unwrap_or(0) + log_bytes;
        let near = bound / 100 * NEAR_PERCENT;
        let far = near - FAR_BYTES.min(bound / 100);
        self.is_beyond = used > bound;
        let was_shrinking = self.shrinking;
        self.shrinking = used > if was_shrinking { far } else { near };
        if !self.shrinking {
            return Ok(Removal::default());
        }
        if !was_shrinking {
            (self.removed_bytes, self.freed_bytes) = (0, 0);
            self.fixed_bytes = self.store.fixed_bytes().await?;
        }
        // What nobody needs goes first.
        self.sweep.hurry();
        let swept = self.sweep.next(&self.store, &self.retention, now_ms, true).await?;
        if !swept.is_empty() {
            return Ok(swept);
        }
        self.check_progress(bound)?;
        if self.fixed_bytes + log_bytes > far {
            let fixed = ByteSize(self.fixed_bytes);
            return Err(PruneError::Fixed { bound: ByteSize(bound), fixed });
        }
        let excess = i64::try_from(used - far).unwrap_or(i64::MAX);
        let removal = self.oldest_of_all(excess, now_ms).await?;
        if removal.is_empty() {
            return Err(PruneError::NothingLeft { bound: ByteSize(bound), used: ByteSize(used) });
        }
        Ok(removal)
    }

    /// Errors if removing queries does not make the file smaller.
    fn check_progress(&mut self, bound: u64) -> Result<(), PruneError> {
        let in_vain = PruneError::InVain {
            removed: ByteSize(self.removed_bytes),
            freed: ByteSize(self.freed_bytes),
        };
        match self.in_vain {
            Some(since) if since.elapsed() < IN_VAIN_PAUSE => return Err(in_vain),
            Some(_) => {
                (self.removed_bytes, self.freed_bytes, self.in_vain) = (0, 0, None);
            }
            None => {}
        }
        if self.removed_bytes > bound / IN_VAIN_PART && self.freed_bytes < self.removed_bytes / 4 {
            self.in_vain = Some(Instant::now());
            return Err(in_vain);
        }
        Ok(())
    }

    /// Returns the oldest queries or log-ins, up to `excess` bytes. Queries that have been stored for a minute come first.
    async fn oldest_of_all(&mut self, excess: i64, now_ms: i64) -> Result<Removal, StoreError> {
        let settled = self.step(None, self.settled_query(), excess);
        let mut oldest = self.store.oldest(settled).await?;
        let login_ms = self.store.first_login_ms().await?;
        let is_young = oldest.queries.is_empty();
        let settled_ms = now_ms.saturating_sub(SETTLED_AFTER.as_millis() as i64);
        // Log-ins go before the queries that came after them. A query without a start has no time, and goes first.
        let before_ms = if is_young { Some(settled_ms) } else { oldest.first_ms };
        if let Some(before_ms) = before_ms
            && login_ms.is_some_and(|login_ms| login_ms < before_ms)
        {
            return Ok(Removal { logins_before_ms: Some(before_ms), ..Removal::default() });
        }
        if is_young {
            oldest = self.store.oldest(self.step(None, i64::MAX, excess)).await?;
        }
        self.removed_bytes += u64::try_from(oldest.bytes).unwrap_or(0);
        if oldest.queries.is_empty() && login_ms.is_some() {
            return Ok(Removal { logins_before_ms: Some(i64::MAX), ..Removal::default() });
        }
        let is_young = is_young && !oldest.queries.is_empty();
        Ok(Removal { is_young, queries: oldest.queries, ..Removal::default() })
    }

    async fn next_profiles(&mut self, now_ms: i64) -> Result<Vec<i64>, StoreError> {
        let due = self.looked.is_none_or(|looked| looked.elapsed() >= PROFILES_EVERY);
        if self.profiles.is_empty() && due {
            self.profiles = self.store.outdated_profiles(&self.retention, now_ms).await?.into();
            // If the pruner found as many as it can, there may be more.
            let full = self.profiles.len() >= PROFILES_FOUND as usize;
            self.looked = (!full).then(Instant::now);
        }
        let limit = self.step(None, i64::MAX, STEP_BYTES);
        let (mut step, mut bytes) = (Vec::new(), 0);
        while let Some((query, size)) = self.profiles.pop_front() {
            step.push(query);
            bytes += size;
            if step.len() >= limit.queries as usize || bytes >= limit.bytes {
                break;
            }
        }
        Ok(step)
    }
}
