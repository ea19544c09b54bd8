//! Which minutes of an audit table are read, and how many rows each had.
//!
//! A row has the time at which its statement started, and comes minutes later: after the statement ended, and after the
//! frontend loaded its batch. So rows come out of order, and a frontend that was away adds rows to minutes of hours ago.
//! annals compares the number of rows of each minute with the number that it has read, and reads the minutes that differ.

use std::collections::BTreeMap;

use crate::domain::time::LocalMinute;
use crate::formats::audit_table::{MinuteCount, MinuteRange};
use crate::store::AuditCheckpoint;

/// How far before the present the first reading begins, in minutes. What is older belongs to the backfill.
const FIRST_OVERLAP: i64 = 10;

/// The minutes of a table that are read.
#[derive(Debug)]
pub(super) struct Coverage {
    /// All minutes from this one on are read, again and again. Older ones are the backfill's.
    read_from: LocalMinute,
    /// The table has no rows before this minute.
    oldest: LocalMinute,
    /// The number of rows that were read of each minute.
    minutes: BTreeMap<LocalMinute, u64>,
}

/// A range of minutes to read, and how many rows it had when they were counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub range: MinuteRange,
    pub rows: u64,
}

impl Coverage {
    /// Returns what is read of a table at the present minute: what the checkpoint says, or nothing. Minutes before `since` are
    /// not read.
    pub(super) fn new(
        committed: Option<AuditCheckpoint>,
        now: LocalMinute,
        since: LocalMinute,
    ) -> Coverage {
        match committed {
            Some(committed) => Coverage {
                read_from: committed.read_from,
                oldest: committed.oldest,
                minutes: committed.minutes.into_iter().collect(),
            },
            None => Coverage {
                read_from: now.plus(-FIRST_OVERLAP).max(since),
                oldest: LocalMinute::of_local_ms(0),
                minutes: BTreeMap::new(),
            },
        }
    }

    pub(super) fn read_from(&self) -> LocalMinute {
        self.read_from
    }

    /// Returns where a look at the last minutes begins; without a number of minutes, at all that are read.
    pub(super) fn window(&self, now: LocalMinute, minutes: Option<i64>) -> LocalMinute {
        match minutes {
            Some(minutes) => now.plus(-minutes).max(self.read_from),
            None => self.read_from,
        }
    }

    /// Returns whether rows of a minute were read before.
    pub(super) fn has(&self, minute: LocalMinute) -> bool {
        self.minutes.contains_key(&minute)
    }

    /// Returns the minutes whose number of rows is not the one that was read, in the order of `counts`. Minutes from `from` on
    /// that have no rows any more are forgotten.
    pub(super) fn changed(
        &mut self,
        from: LocalMinute,
        counts: &[MinuteCount],
    ) -> Vec<MinuteCount> {
        let present: BTreeMap<LocalMinute, u64> = counts.iter().copied().collect();
        self.minutes.retain(|minute, _| *minute < from || present.contains_key(minute));
        let is_changed =
            |(minute, rows): &&MinuteCount| self.minutes.get(minute).copied().unwrap_or(0) != *rows;
        counts.iter().filter(is_changed).copied().collect()
    }

    /// Notes how many rows each minute of a page had, and returns what is to be committed with them.
    pub(super) fn read(
        &mut self,
        name: &str,
        page: &Page,
        counts: &BTreeMap<LocalMinute, u64>,
    ) -> AuditCheckpoint {
        // A page of the backfill ends where the reading began.
        if page.range.before == Some(self.read_from) {
            self.read_from = page.range.from;
        }
        self.minutes.extend(counts.iter().map(|(minute, rows)| (*minute, *rows)));
        self.checkpoint(name, counts.iter().map(|(minute, rows)| (*minute, *rows)).collect())
    }

    /// Notes the oldest minute that the table has, once all are read. Returns what is to be committed if older ones are gone:
    /// clusters drop old partitions.
    pub(super) fn forget_before(
        &mut self,
        name: &str,
        oldest: LocalMinute,
    ) -> Option<AuditCheckpoint> {
        if oldest <= self.oldest {
            return None;
        }
        self.oldest = oldest;
        self.minutes = self.minutes.split_off(&oldest);
        Some(self.checkpoint(name, Vec::new()))
    }

    fn checkpoint(&self, name: &str, minutes: Vec<MinuteCount>) -> AuditCheckpoint {
        AuditCheckpoint {
            name: name.to_string(),
            read_from: self.read_from,
            oldest: self.oldest,
            minutes,
        }
    }
}

/// Returns the next page of minutes, which are in order from new to old, and removes them from the list: as many as have
/// `page_rows` rows together, at least one. Only minutes that follow each other are one page, unless minutes between them
/// have no rows, as `is_sparse` says.
pub(super) fn next_page(
    minutes: &mut Vec<MinuteCount>,
    page_rows: u64,
    is_sparse: bool,
) -> Option<Page> {
    let (newest, mut rows) = *minutes.first()?;
    let mut from = newest;
    let mut taken = 1;
    for (minute, count) in &minutes[1..] {
        let follows = is_sparse || minute.plus(1) == from;
        if !follows || rows + count > page_rows {
            break;
        }
        (from, rows, taken) = (*minute, rows + count, taken + 1);
    }
    minutes.drain(..taken);
    Some(Page { range: MinuteRange { from, before: Some(newest.plus(1)) }, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(text: &str) -> LocalMinute {
        LocalMinute::parse(&format!("2024-01-02 {text}")).unwrap()
    }

    fn counts(texts: &[(&str, u64)]) -> Vec<MinuteCount> {
        texts.iter().map(|(text, rows)| (minute(text), *rows)).collect()
    }

    fn page(from: &str, before: &str, rows: u64) -> Page {
        let (from, before) = (minute(from), Some(minute(before)));
        Page { range: MinuteRange { from, before }, rows }
    }

    #[test]
    fn only_minutes_with_other_numbers_of_rows_are_read() {
        let mut coverage = Coverage::new(None, minute("12:00"), minute("00:00"));
        let from = coverage.window(minute("12:00"), None);
        assert_eq!(from, minute("11:50"));
        let first = counts(&[("11:59", 3), ("11:55", 1)]);
        assert_eq!(coverage.changed(from, &first), first);
        let committed =
            coverage.read("t", &page("11:55", "12:00", 4), &first.iter().copied().collect());
        assert_eq!(committed.minutes, counts(&[("11:55", 1), ("11:59", 3)]));
        let second = counts(&[("12:00", 1), ("11:59", 5), ("11:55", 1)]);
        assert_eq!(coverage.changed(from, &second), counts(&[("12:00", 1), ("11:59", 5)]));
        // A partition that is dropped is nothing to read.
        assert_eq!(coverage.changed(from, &counts(&[("11:59", 3)])), []);
        assert!(!coverage.has(minute("11:55")));
    }

    #[test]
    fn the_backfill_moves_the_start_and_minutes_are_compared_behind_it() {
        let mut coverage = Coverage::new(None, minute("12:00"), minute("00:00"));
        let counted = counts(&[("11:40", 7)]).into_iter().collect();
        let committed = coverage.read("t", &page("11:40", "11:50", 7), &counted);
        assert_eq!((committed.read_from, coverage.read_from()), (minute("11:40"), minute("11:40")));
        assert_eq!(coverage.window(minute("12:00"), None), minute("11:40"));
        assert_eq!(coverage.window(minute("12:00"), Some(5)), minute("11:55"));
        assert_eq!(coverage.changed(minute("11:40"), &counts(&[("11:40", 7)])), []);
        // A page that does not end at the start leaves it.
        coverage.read("t", &page("11:00", "11:20", 0), &BTreeMap::new());
        assert_eq!(coverage.read_from(), minute("11:40"));
    }

    #[test]
    fn what_was_read_is_known_after_a_restart_and_forgotten_with_its_partition() {
        let mut coverage = Coverage::new(None, minute("12:00"), minute("00:00"));
        let counted = counts(&[("11:51", 3), ("11:59", 4)]).into_iter().collect();
        let stored = coverage.read("t", &page("11:51", "12:00", 7), &counted);
        let later = minute("12:00").plus(8 * 24 * 60);
        let mut coverage = Coverage::new(Some(stored), later, minute("00:00"));
        assert_eq!(coverage.window(later, None), minute("11:50"));
        let present = counts(&[("11:59", 4), ("11:51", 3), ("11:50", 1)]);
        assert_eq!(coverage.changed(minute("11:50"), &present), counts(&[("11:50", 1)]));
        assert_eq!(coverage.forget_before("t", minute("11:59")).unwrap().oldest, minute("11:59"));
        assert!(!coverage.has(minute("11:51")) && coverage.has(minute("11:59")));
        assert_eq!(coverage.forget_before("t", minute("11:59")), None);
    }

    /// A table, what is committed of it, and what annals knows.
    struct Model {
        now: LocalMinute,
        table: BTreeMap<LocalMinute, u64>,
        read: BTreeMap<LocalMinute, u64>,
        committed: Option<AuditCheckpoint>,
        coverage: Coverage,
    }

    impl Model {
        fn counts(&self, from: LocalMinute, before: LocalMinute) -> Vec<MinuteCount> {
            let range = self.table.range(from..before).rev();
            range.map(|(minute, rows)| (*minute, *rows)).collect()
        }

        /// Reads a page, and commits it unless annals is killed before.
        fn read(&mut self, page: &Page, is_killed: bool) {
            let before = page.range.before.unwrap();
            let counts: BTreeMap<_, _> = self.counts(page.range.from, before).into_iter().collect();
            let checkpoint = self.coverage.read("t", page, &counts);
            if is_killed {
                let since = LocalMinute::of_local_ms(0);
                self.coverage = Coverage::new(self.committed.clone(), self.now, since);
                return;
            }
            self.read.extend(counts);
            let mut minutes: BTreeMap<LocalMinute, u64> =
                self.committed.take().into_iter().flat_map(|committed| committed.minutes).collect();
            minutes.extend(checkpoint.minutes.iter().copied());
            let minutes = minutes.into_iter().collect();
            self.committed = Some(AuditCheckpoint { minutes, ..checkpoint });
        }

        fn look(&mut self, minutes: Option<i64>, kills: bool) {
            let from = self.coverage.window(self.now, minutes);
            let counts = self.counts(from, self.now.plus(1));
            let mut changed = self.coverage.changed(from, &counts);
            while let Some(page) = next_page(&mut changed, 5, false) {
                let is_killed = kills && fastrand::u8(..) < 60;
                self.read(&page, is_killed);
                if is_killed {
                    return;
                }
            }
        }

        fn read_older(&mut self, kills: bool) -> bool {
            let read_from = self.coverage.read_from();
            let mut counts = self.counts(LocalMinute::of_local_ms(0), read_from);
            let Some(mut page) = next_page(&mut counts, 5, true) else { return false };
            page.range.before = Some(read_from);
            self.read(&page, kills && fastrand::u8(..) < 60);
            true
        }
    }

    #[test]
    fn every_row_is_read_however_rows_come_and_whenever_annals_is_killed() {
        for seed in 0..300 {
            fastrand::seed(seed);
            let now = minute("12:00");
            let coverage = Coverage::new(None, now, minute("00:00"));
            let (table, read, committed) = (BTreeMap::new(), BTreeMap::new(), None);
            let mut model = Model { now, table, read, committed, coverage };
            for _ in 0..fastrand::usize(..60) {
                match fastrand::u8(..6) {
                    0 => model.now = model.now.plus(fastrand::i64(0..4)),
                    1 | 2 => {
                        let late = fastrand::i64(0..if fastrand::bool() { 5 } else { 600 });
                        *model.table.entry(model.now.plus(-late)).or_default() +=
                            fastrand::u64(1..4);
                    }
                    3 => model.look(Some(10), true),
                    4 => model.look(None, true),
                    _ => _ = model.read_older(true),
                }
            }
            model.look(None, false);
            while model.read_older(false) {}
            assert_eq!(model.read, model.table, "seed {seed}");
        }
    }

    #[test]
    fn pages_have_about_as_many_rows_as_asked_for() {
        let mut minutes = counts(&[("12:00", 4), ("11:59", 5), ("11:58", 20), ("11:50", 1)]);
        let mut pages = Vec::new();
        let mut sparse = minutes.clone();
        while let Some(page) = next_page(&mut minutes, 10, false) {
            pages.push(page);
        }
        assert_eq!(
            pages,
            [page("11:59", "12:01", 9), page("11:58", "11:59", 20), page("11:50", "11:51", 1)]
        );
        assert_eq!(next_page(&mut sparse, 100, true), Some(page("11:50", "12:01", 30)));
        assert_eq!(next_page(&mut sparse, 100, true), None);
    }
}
