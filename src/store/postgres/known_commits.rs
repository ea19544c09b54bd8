//! The commits that annals knows of. A server that lacks one of them is behind, and answers no read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use annals_postgres_statements::WriterRow;

use crate::domain::time::now_ms;

/// After this time without a commit, a writer no longer counts, in milliseconds: its row may have been removed.
const FORGOTTEN_MS: i64 = 3 * 86_400_000;

/// How often each writer has committed, as far as this annals knows.
#[derive(Debug)]
pub(super) struct KnownCommits {
    /// The name of this annals among all that write to the history.
    own: String,
    writers: Mutex<HashMap<String, Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    commits: i64,
    /// The time of the last commit, in Unix milliseconds.
    seen_ms: i64,
}

impl KnownCommits {
    /// Returns the commits that the annals of this name knows of: none.
    pub(super) fn new(own: String) -> KnownCommits {
        KnownCommits { own, writers: Mutex::default() }
    }

    /// Notes a commit of this annals, before it is acknowledged. A server that took over may have lost the commits before, so
    /// that the number may be lower than one that was noted.
    pub(super) fn note_own(&self, commits: i64) {
        let known = Known { commits, seen_ms: now_ms() };
        self.writers().insert(self.own.clone(), known);
    }

    /// Notes what a server has. No later read may be answered by a server that has less.
    pub(super) fn note(&self, rows: &[WriterRow]) {
        let mut writers = self.writers();
        for row in rows {
            let known = Known { commits: row.commits, seen_ms: row.seen_ms };
            match writers.get_mut(&row.name) {
                Some(before) if before.commits >= row.commits => {}
                Some(before) => *before = known,
                None => drop(writers.insert(row.name.clone(), known)),
            }
        }
    }

    /// Forgets the commits of others. A server that took over may have lost some of them.
    pub(super) fn forget_others(&self) {
        let own = &self.own;
        self.writers().retain(|name, _| name == own);
    }

    /// Returns whether a server with these rows has every commit that is known.
    pub(super) fn are_all_in(&self, rows: &[WriterRow]) -> bool {
        let until_ms = now_ms().saturating_sub(FORGOTTEN_MS);
        let mut writers = self.writers();
        writers.retain(|_, known| known.seen_ms > until_ms);
        let has = |name: &str, known: &Known| {
            rows.iter().any(|row| row.name == name && row.commits >= known.commits)
        };
        writers.iter().all(|(name, known)| has(name, known))
    }

    fn writers(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, commits: i64) -> WriterRow {
        WriterRow { name: name.to_string(), commits, seen_ms: now_ms(), is_replica: true }
    }

    #[test]
    fn a_server_that_lacks_a_known_commit_is_behind() {
        let known = KnownCommits::new("own".to_string());
        assert!(known.are_all_in(&[]));
        known.note_own(3);
        assert!(!known.are_all_in(&[]) && !known.are_all_in(&[row("own", 2)]));
        assert!(known.are_all_in(&[row("other", 1), row("own", 3)]));
        known.note(&[row("other", 5), row("own", 2)]);
        assert!(!known.are_all_in(&[row("other", 4), row("own", 3)]));
        assert!(known.are_all_in(&[row("other", 5), row("own", 3)]));
        assert!(!known.are_all_in(&[row("other", 5), row("own", 2)]));
        // Another server took over, without the last commits.
        known.forget_others();
        known.note_own(2);
        assert!(known.are_all_in(&[row("other", 4), row("own", 2)]));
        let ended = WriterRow { seen_ms: now_ms() - 2 * FORGOTTEN_MS, ..row("ended", 9) };
        known.note(&[ended]);
        assert!(known.are_all_in(&[row("own", 2)]));
    }
}
