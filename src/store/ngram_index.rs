//! The search index: which runs of rows may have a text in their statements.
//!
//! The usual substring indexes cost more than they gain here: FTS5's trigrams over a million statements take twice the
//! time of importing them, and PostgreSQL's trigrams make inserting three times slower. This index takes 16 bytes a query.
//! For each run of rows, not for each row, it has the sequences of bytes that occur in the statements, and a search reads
//! the runs that are left. An engine keeps it in two tables: segments, and their masks in pages.

use std::collections::HashMap;

use crate::domain::search::{Search, for_each_gram};

/// Rows of a run. With fewer rows a search reads fewer in vain, but the index is larger.
const RUN_ROWS: i64 = 256;
/// Runs of a segment: the bits of a mask.
const RUNS: i64 = 64;
pub(super) const SEGMENT_ROWS: i64 = RUN_ROWS * RUNS;
/// Buckets that sequences of bytes hash into. With this many, a fifth of the bits of a mask is set.
const BUCKETS: usize = 1 << 15;
/// Masks of a row of `search_page`: seven such rows fit into a page of SQLite.
const PAGE_BUCKETS: usize = 64;
pub(super) const PAGES: i64 = (BUCKETS / PAGE_BUCKETS) as i64;

/// Returns the bucket of a sequence of bytes, by Fibonacci hashing: the upper bits depend on all bytes.
fn bucket(gram: u64) -> usize {
    (gram.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 49) as usize
}

/// Returns the segment of a row.
pub(super) fn segment_of(id: i64) -> i64 {
    id.div_euclid(SEGMENT_ROWS)
}

/// Returns the first and the last row of a segment.
pub(super) fn segment_ids(segment: i64) -> (i64, i64) {
    let first = segment * SEGMENT_ROWS;
    (first, first + SEGMENT_ROWS - 1)
}

/// Returns the segment to make after the newest one, of rows from `first` to `last`; None if there is none yet.
///
/// The newest rows, as many as a segment has, get no segment: their statements still change, as when the whole statement
/// replaces a truncated one.
pub(super) fn next_segment(newest: Option<i64>, first: i64, last: i64) -> Option<i64> {
    let next = newest.map_or(segment_of(first), |newest| newest.saturating_add(1));
    (next.saturating_add(2).saturating_mul(SEGMENT_ROWS) <= last).then_some(next)
}

/// The masks of a segment that is made.
pub(super) struct Masks {
    segment: i64,
    masks: Vec<u64>,
}

impl Masks {
    pub(super) fn new(segment: i64) -> Masks {
        Masks { segment, masks: vec![0; BUCKETS] }
    }

    /// Adds the statement of a row of the segment.
    pub(super) fn add(&mut self, id: i64, statement: &[u8]) {
        let run = id.rem_euclid(SEGMENT_ROWS) / RUN_ROWS;
        for_each_gram(statement, |gram| {
            if let Some(mask) = self.masks.get_mut(bucket(gram)) {
                *mask |= 1 << run;
            }
        });
    }

    /// Returns the pages: the number of each, and its masks.
    pub(super) fn pages(&self) -> impl Iterator<Item = (i64, Vec<u8>)> {
        let pages = (self.segment * PAGES..).zip(self.masks.chunks(PAGE_BUCKETS));
        pages.map(|(id, masks)| (id, masks.iter().flat_map(|mask| mask.to_le_bytes()).collect()))
    }
}

/// The runs of a segment that may match: a bit for each; all unless something rules some out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask(u64);

impl Default for Mask {
    fn default() -> Mask {
        Mask(u64::MAX)
    }
}

impl Mask {
    /// Leaves the runs that are in another mask, too.
    pub(super) fn and(&mut self, other: Mask) {
        self.0 &= other.0;
    }

    /// Returns whether no run may match.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The buckets of the sequences of bytes that a matching statement has.
pub(super) struct Grams(Vec<Gram>);

/// The bucket of one sequence.
#[derive(Clone, Copy)]
pub(super) struct Gram(usize);

impl Grams {
    /// Returns those of a search; none if its text is too short.
    pub(super) fn of(search: Option<&Search>) -> Grams {
        let grams = search.map(Search::grams).unwrap_or_default();
        Grams(grams.into_iter().map(|gram| Gram(bucket(gram))).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Gram> + '_ {
        self.0.iter().copied()
    }
}

impl Gram {
    /// Returns the number of the page that has the mask for a segment.
    pub(super) fn page(self, segment: i64) -> i64 {
        segment * PAGES + (self.0 / PAGE_BUCKETS) as i64
    }

    /// Returns the mask in a page. A page that is too short rules nothing out.
    pub(super) fn mask(self, page: &[u8]) -> Mask {
        let at = self.0 % PAGE_BUCKETS * 8;
        let bytes = page.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(Mask::default(), |bytes| Mask(u64::from_le_bytes(bytes)))
    }
}

/// The rows that the index does not rule out.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// By segment. A search reads all rows of the other segments.
    masks: HashMap<i64, Mask>,
}

impl Candidates {
    /// Adds a segment.
    pub(super) fn insert(&mut self, segment: i64, mask: Mask) {
        self.masks.insert(segment, mask);
    }

    /// Returns whether a row may match.
    pub(super) fn has(&self, id: i64) -> bool {
        let mask = self.masks.get(&segment_of(id)).copied().unwrap_or_default();
        mask.0 >> (id.rem_euclid(SEGMENT_ROWS) / RUN_ROWS) & 1 == 1
    }

    /// Returns the ranges of ids within `first..=last` that may match, and how many ids they have.
    pub(super) fn ranges(&self, first: i64, last: i64) -> (Vec<(i64, i64)>, i64) {
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for segment in segment_of(first)..=segment_of(last) {
            let mask = self.masks.get(&segment).copied().unwrap_or_default();
            for run in (0..RUNS).filter(|run| mask.0 >> run & 1 == 1) {
                let from = segment * SEGMENT_ROWS + run * RUN_ROWS;
                match ranges.last_mut().filter(|(_, to)| *to + 1 == from) {
                    Some((_, to)) => *to += RUN_ROWS,
                    None => ranges.push((from, from + RUN_ROWS - 1)),
                }
            }
        }
        let ids = ranges.iter().map(|(from, to)| to - from + 1).sum();
        (ranges, ids)
    }
}
