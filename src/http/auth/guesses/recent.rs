//! A table of a fixed size.

use std::hash::Hash;

/// Values by key. A full table forgets the key that was used least recently.
pub(super) struct Recent<K, V> {
    max: usize,
    /// Counts uses.
    now: u64,
    /// Each value with its last use.
    by_key: foldhash::HashMap<K, (u64, V)>,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(max: usize) -> Recent<K, V> {
        Recent { max, now: 0, by_key: foldhash::HashMap::default() }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.by_key.get(key).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.by_key.get_mut(key).map(|(_, value)| value)
    }

    /// Returns the value of a key, and makes it if there is none.
    pub(super) fn entry(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        self.now += 1;
        if self.by_key.len() >= self.max && !self.by_key.contains_key(key) {
            // Looking at all of them takes 20 µs, and verifying a password a thousand times as long.
            let oldest = self.by_key.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.by_key.remove(&oldest);
            }
        }
        let (used, value) = self.by_key.entry(key.clone()).or_insert_with(|| (0, make()));
        *used = self.now;
        value
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.by_key.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_forgets_what_was_used_least_recently() {
        let mut table = Recent::new(3);
        for key in [1, 2, 3, 1, 4] {
            *table.entry(&key, || 0) += 1;
        }
        assert_eq!(
            [1, 2, 3, 4].map(|key| table.get(&key).copied()),
            [Some(2), None, Some(1), Some(1)]
        );
    }
}
