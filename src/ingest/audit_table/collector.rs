//! One look at a table after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::coverage::{Coverage, Page, next_page};
use super::known_rows::KnownRows;
use super::lateness::Lateness;
use super::{AuditTableSource, CollectError};
use crate::domain::time::{LocalMinute, Zone, now_ms};
use crate::formats::audit_table::{
    AuditRow, AuditTable, AuditTableClient, AuditTableError, MinuteCount, MinuteRange, zone_label,
};
use crate::formats::rows::Entry;
use crate::ingest::sources::AuditTableReport;
use crate::ingest::{Pipeline, Source};
use crate::store::{Batch, Store, WriteError, WriteSummary};

/// How far back rows are counted that come later than usual, in minutes, and how often. The first looks at all.
const LOOKS: [(Option<i64>, Duration); 3] = [
    (None, Duration::from_secs(24 * 3600)),
    (Some(7 * 24 * 60), Duration::from_secs(600)),
    (Some(180), Duration::from_secs(30)),
];
/// A look that finds much is interrupted after this time, so that new rows do not wait. What is newest is read first.
const LONGEST_LOOK: Duration = Duration::from_secs(5);
/// The shortest and the longest pause between two pages of the backfill. It is half as long as the page took.
const LEAST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How many minutes of the backfill are counted at a time.
const PLANNED_MINUTES: i64 = 24 * 60;
/// Rows that start so far ahead of this machine's clock are of the future, in milliseconds: clocks differ a little.
const FUTURE_MS: i64 = 5 * 60_000;
/// Nothing is older than this minute.
const OLDEST: i64 = 0;

/// What there is to do after a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    /// More rows, after a pause.
    Rows(Duration),
    /// Nothing but the next look for new rows, after this time.
    Poll(Duration),
}

impl Next {
    pub(super) fn pause(self) -> Duration {
        let (Next::Rows(pause) | Next::Poll(pause)) = self;
        pause
    }
}

pub(super) struct Collector {
    pipeline: Arc<Pipeline>,
    store: Store,
    source: Arc<Source>,
    table: AuditTableSource,
    client: AuditTableClient,
    /// None until it is read from the store.
    coverage: Option<Coverage>,
    known: KnownRows,
    lateness: Lateness,
    /// When each of [`LOOKS`] was completed.
    looked: [Option<Instant>; LOOKS.len()],
    polled: Option<Instant>,
    /// When the last complete look began, in Unix milliseconds, if nothing failed since.
    last_look_ms: Option<i64>,
    backfill: Backfill,
}

/// What is known of the rows before the minutes that are read.
#[derive(Debug, Default)]
struct Backfill {
    /// The next minutes, the newest first, with their numbers of rows.
    planned: Vec<MinuteCount>,
    is_complete: bool,
}

impl Collector {
    pub(super) fn new(
        pipeline: Arc<Pipeline>,
        store: Store,
        source: Arc<Source>,
        table: AuditTableSource,
    ) -> Collector {
        let client = AuditTableClient::new(table.settings.clone(), pipeline.zone());
        source.set_audit_table(AuditTableReport::default());
        Collector {
            pipeline,
            store,
            source,
            table,
            client,
            coverage: None,
            known: KnownRows::default(),
            lateness: Lateness::default(),
            looked: [None; LOOKS.len()],
            polled: None,
            last_look_ms: None,
            backfill: Backfill::default(),
        }
    }

    /// Forgets what may not be in the store.
    pub(super) fn forget_uncommitted(&mut self) {
        self.coverage = None;
        self.known.clear();
        self.backfill.planned.clear();
        self.looked = [None; LOOKS.len()];
        self.polled = None;
        self.last_look_ms = None;
    }

    /// Forgets what may not be in the store, and asks another frontend from now on.
    pub(super) fn recover(&mut self) {
        self.forget_uncommitted();
        self.client.disconnect();
    }

    /// Closes the connection.
    pub(super) async fn close(&mut self) {
        self.client.close().await;
    }

    /// Looks for new rows if it is time, else reads the next page of the backfill.
    pub(super) async fn step(&mut self) -> Result<Next, CollectError> {
        let table = self.client.table().await?;
        self.load(&table).await?;
        let interval = self.table.interval;
        if self.polled.is_none_or(|polled| polled.elapsed() >= interval) {
            self.polled = Some(Instant::now());
            if !self.look(table.zone).await? {
                self.polled = None;
                return Ok(Next::Rows(LEAST_PAUSE));
            }
        } else if !self.backfill.is_complete {
            let started = Instant::now();
            self.read_older(table.zone).await?;
            let pause = (started.elapsed() / 2).clamp(LEAST_PAUSE, LONGEST_PAUSE);
            return Ok(Next::Rows(pause));
        }
        let waited = self.polled.map_or(Duration::ZERO, |polled| polled.elapsed());
        Ok(match self.backfill.is_complete {
            true => Next::Poll(interval.saturating_sub(waited)),
            false => Next::Rows(Duration::ZERO),
        })
    }

    /// Reads from the store how far the table was read, unless that is known.
    async fn load(&mut self, table: &AuditTable) -> Result<(), CollectError> {
        if self.coverage.is_none() {
            let committed = self.store.audit_checkpoint(&self.table.name).await?;
            let (_, now) = present(table.zone);
            self.coverage = Some(Coverage::new(committed, now, self.since(table.zone)));
        }
        self.source.set_zone(table.zone);
        let (server, coverage) = (self.client.server(), &self.coverage);
        let read_from = coverage.as_ref().map(Coverage::read_from);
        let overlap = self.lateness.overlap();
        self.source.change_audit_table(|report| {
            report.server = Some(server);
            report.table = Some(table.name().to_string());
            report.time_zone = Some(zone_label(table.zone));
            report.overlap_ms = overlap * 60_000;
            report.read_from_ms = read_from.map(|minute| table.zone.instant_ms(minute.start()));
        });
        Ok(())
    }

    /// Returns the first minute that may be read.
    fn since(&self, zone: Zone) -> LocalMinute {
        let since_ms = self.table.since_ms.map(|ms| ms.saturating_add(zone.offset_ms(ms)));
        LocalMinute::of_local_ms(since_ms.unwrap_or(OLDEST))
    }

    /// Looks for minutes that changed, and reads them. Returns false if it was interrupted.
    async fn look(&mut self, zone: Zone) -> Result<bool, CollectError> {
        let Some(coverage) = &mut self.coverage else { return Ok(true) };
        let started = Instant::now();
        let (look_ms, now) = present(zone);
        let is_due = |at: usize| self.looked[at].is_none_or(|done| done.elapsed() >= LOOKS[at].1);
        let due = (0..LOOKS.len()).find(|at| is_due(*at));
        let minutes = due.map_or(Some(self.lateness.overlap()), |at| LOOKS[at].0);
        let from = coverage.window(now, minutes);
        let counts = self.client.minutes(MinuteRange { from, before: None }).await?;
        if let Some((newest, _)) = counts.first() {
            let starts = || counts.iter().map(|(minute, _)| zone.instant_ms(minute.start()));
            let future_ms = Some(zone.instant_ms(newest.start()))
                .filter(|ms| *ms > look_ms.saturating_add(FUTURE_MS));
            let newest_ms = starts().find(|ms| *ms <= look_ms.saturating_add(FUTURE_MS));
            self.source.change_audit_table(|report| {
                report.newest_ms = report.newest_ms.max(newest_ms);
                report.future_ms = report.future_ms.max(future_ms).filter(|ms| *ms > look_ms);
                report.is_empty = false;
            });
        }
        let mut changed = coverage.changed(from, &counts);
        let poll = Poll { look_ms, before_ms: self.last_look_ms };
        loop {
            self.source.set_lag(changed.iter().map(|(_, rows)| rows).sum());
            let Some(page) = next_page(&mut changed, self.table.page_rows, false) else { break };
            self.read(page, Some(poll)).await?;
            if started.elapsed() > LONGEST_LOOK && !changed.is_empty() {
                return Ok(false);
            }
        }
        if let Some(at) = due {
            self.looked[at..].fill(Some(started));
        }
        self.last_look_ms = Some(look_ms);
        if let (None, Some((oldest, _))) = (minutes, counts.last()) {
            self.forget_before(*oldest).await?;
        }
        Ok(true)
    }

    /// Forgets the minutes that the table has no more.
    async fn forget_before(&mut self, oldest: LocalMinute) -> Result<(), CollectError> {
        let Some(coverage) = &mut self.coverage else { return Ok(()) };
        // What the backfill has not read yet is older.
        if !self.backfill.is_complete {
            return Ok(());
        }
        if let Some(checkpoint) = coverage.forget_before(&self.table.name, oldest) {
            let mut batch = self.pipeline.batch(&self.source);
            batch.audit_table(checkpoint);
            self.pipeline.write(&self.source, batch).await?;
        }
        Ok(())
    }

    /// Reads the next page of the rows before the minutes that are read.
    async fn read_older(&mut self, zone: Zone) -> Result<(), CollectError> {
        let since = self.since(zone);
        let Some(read_from) = self.coverage.as_ref().map(Coverage::read_from) else {
            return Ok(());
        };
        if self.backfill.planned.is_empty() && !self.plan(zone, since, read_from).await? {
            self.backfill.is_complete = true;
            self.source.change_audit_table(|report| {
                report.is_backfilled = true;
                report.backfill_rows_left = Some(0);
                report.is_empty = report.newest_ms.is_none() && report.backfill_rows_read == 0;
            });
            return Ok(());
        }
        let planned = &mut self.backfill.planned;
        let Some(mut page) = next_page(planned, self.table.page_rows, true) else { return Ok(()) };
        // Between this page and the last one, no minute had rows.
        page.range.before = Some(read_from);
        let rows = page.rows;
        self.read(page, None).await?;
        let read_from = self.coverage.as_ref().map(Coverage::read_from);
        self.source.change_audit_table(|report| {
            report.backfill_rows_read += rows;
            report.backfill_rows_left =
                report.backfill_rows_left.map(|left| left.saturating_sub(rows));
            report.read_from_ms = read_from.map(|minute| zone.instant_ms(minute.start()));
        });
        Ok(())
    }

    /// Plans the next pages of the backfill: a day that has rows. Returns false if there is none.
    async fn plan(
        &mut self,
        zone: Zone,
        since: LocalMinute,
        read_from: LocalMinute,
    ) -> Result<bool, CollectError> {
        if since >= read_from {
            return Ok(false);
        }
        let older = MinuteRange { from: since, before: Some(read_from) };
        let totals = self.client.totals(older).await?;
        self.source.change_audit_table(|report| report.backfill_rows_left = Some(totals.rows));
        let Some(newest) = totals.newest else { return Ok(false) };
        let newest_ms = zone.instant_ms(newest.start());
        self.source.change_audit_table(|report| {
            report.newest_ms = report.newest_ms.max(Some(newest_ms));
        });
        let from = newest.plus(1 - PLANNED_MINUTES).max(since);
        let day = MinuteRange { from, before: Some(read_from) };
        self.backfill.planned = self.client.minutes(day).await?;
        Ok(!self.backfill.planned.is_empty())
    }

    /// Reads a page, and writes its rows with the checkpoint behind them.
    async fn read(&mut self, page: Page, poll: Option<Poll>) -> Result<(), CollectError> {
        let Some(coverage) = &mut self.coverage else { return Ok(()) };
        let server = self.client.server();
        let mut counts: BTreeMap<LocalMinute, u64> = BTreeMap::new();
        let mut batch = self.pipeline.batch(&self.source);
        let mut writing = Writing { pipeline: &self.pipeline, source: &self.source, last: None };
        let (table, mut rows) = self.client.rows(page.range).await?;
        while let Some(row) = rows.next().await? {
            let minute = row.minute();
            *counts.entry(minute).or_default() += 1;
            if self.known.contains(minute, row.hash) {
                continue;
            }
            let entry = table.entry(&row);
            if let Some(poll) = poll {
                let is_new = !coverage.has(minute) || self.known.has(minute);
                if let (true, Ok(Entry::Record(record))) = (is_new, &entry) {
                    poll.count(&mut self.lateness, table.zone, &row, record.duration_ms);
                }
                self.known.insert(minute, row.hash);
            }
            match entry {
                Ok(entry) => batch.row(entry),
                Err(reason) => self.source.rejected(reason),
            }
            if batch.is_full() {
                writing.send(batch.take()).await?;
            }
        }
        drop(rows);
        let read: u64 = counts.values().sum();
        if read < page.rows {
            return Err(AuditTableError::Incomplete { server, read, counted: page.rows }.into());
        }
        writing.finish().await?;
        batch.audit_table(coverage.read(&self.table.name, &page, &counts));
        self.pipeline.write(&self.source, batch).await?;
        let late_ms = self.lateness.longest_ms();
        self.source.change_audit_table(|report| report.late_ms = late_ms);
        Ok(())
    }
}

/// Returns the present in Unix milliseconds, and as a minute in a zone.
fn present(zone: Zone) -> (i64, LocalMinute) {
    let now_ms = now_ms();
    (now_ms, LocalMinute::of_local_ms(now_ms.saturating_add(zone.offset_ms(now_ms))))
}

/// When a look for new rows began, in Unix milliseconds.
#[derive(Debug, Clone, Copy)]
struct Poll {
    look_ms: i64,
    /// When the look before it began; none if there was none, or if it failed.
    before_ms: Option<i64>,
}

impl Poll {
    /// Counts how late a row came, if the look before would have seen it.
    fn count(self, lateness: &mut Lateness, zone: Zone, row: &AuditRow, duration_ms: Option<i64>) {
        if let Some(before_ms) = self.before_ms {
            let started_ms = zone.instant_ms(row.time);
            let ended_ms = started_ms.saturating_add(duration_ms.unwrap_or(0));
            lateness.count(self.look_ms, before_ms, started_ms, ended_ms);
        }
    }
}

/// Writes batches while the next rows arrive, one at a time.
struct Writing<'c> {
    pipeline: &'c Arc<Pipeline>,
    source: &'c Arc<Source>,
    last: Option<JoinHandle<Result<WriteSummary, WriteError>>>,
}

impl Writing<'_> {
    /// Sends a batch once the one before is committed.
    async fn send(&mut self, batch: Batch) -> Result<(), CollectError> {
        self.finish().await?;
        let (pipeline, source) = (self.pipeline.clone(), self.source.clone());
        self.last = Some(tokio::spawn(async move { pipeline.write(&source, batch).await }));
        Ok(())
    }

    /// Waits until the last batch is committed.
    async fn finish(&mut self) -> Result<(), CollectError> {
        match self.last.take() {
            Some(last) => {
                last.await.unwrap_or(Err(WriteError::Closed)).map(|_| ()).map_err(Into::into)
            }
            None => Ok(()),
        }
    }
}
