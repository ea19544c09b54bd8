//! The rows that were read lately: a minute is read again when one row is added to it.

use std::collections::{BTreeMap, HashSet};

use crate::domain::time::LocalMinute;

/// How many rows are known, at most. Each takes some 20 bytes.
const MAX_ROWS: usize = 1 << 20;

/// Hashes of rows, by minute.
#[derive(Debug, Default)]
pub(super) struct KnownRows {
    minutes: BTreeMap<LocalMinute, HashSet<u128>>,
    rows: usize,
}

impl KnownRows {
    pub(super) fn contains(&self, minute: LocalMinute, hash: u128) -> bool {
        self.minutes.get(&minute).is_some_and(|hashes| hashes.contains(&hash))
    }

    /// Returns whether any row of a minute is known.
    pub(super) fn has(&self, minute: LocalMinute) -> bool {
        self.minutes.contains_key(&minute)
    }

    /// Adds a row. Beyond the bound, the oldest minutes are forgotten, which costs only time.
    pub(super) fn insert(&mut self, minute: LocalMinute, hash: u128) {
        self.rows += usize::from(self.minutes.entry(minute).or_default().insert(hash));
        while self.rows > MAX_ROWS && self.minutes.len() > 1 {
            if let Some((_, hashes)) = self.minutes.pop_first() {
                self.rows -= hashes.len();
            }
        }
        if self.rows > MAX_ROWS {
            self.clear();
        }
    }

    /// Forgets all rows: they may not have been committed.
    pub(super) fn clear(&mut self) {
        *self = KnownRows::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_rows_are_bounded_and_the_oldest_are_forgotten_first() {
        let minute = |number: i64| LocalMinute::of_local_ms(number * 60_000);
        let mut known = KnownRows::default();
        let per_minute = (MAX_ROWS / 4) as u128;
        for number in 0..5 {
            (0..per_minute).for_each(|hash| known.insert(minute(number), hash));
            assert!(known.contains(minute(number), 0) && !known.contains(minute(9), 0));
        }
        assert!(!known.has(minute(0)) && known.has(minute(1)) && known.rows <= MAX_ROWS);
        known.clear();
        assert!(!known.has(minute(4)));
    }
}
