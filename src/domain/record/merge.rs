//! Two reports of one query become one record.

use super::field::merge_option;
use super::{QueryRecord, Zoned};
use crate::domain::statement;

/// When a statement started and ended, whether the start is a guess, and whether they depend on a zone.
struct Times {
    started_ms: Option<i64>,
    is_start_estimated: bool,
    ended_ms: Option<i64>,
    zoned: Zoned,
}

impl QueryRecord {
    /// Merges another report of the same query into this record.
    ///
    /// A known value is never lost to an unknown one. Where both reports have a value, a finished record is preferred
    /// over a running one, then an audit record over a summary, then the one that came first. A statement that was cut
    /// yields to the whole one, whichever report has it. Of two names of clusters, the one that came first stays. Merging
    /// the same report again changes nothing.
    pub(crate) fn merge(&mut self, mut other: QueryRecord) {
        let prefer_other = (!other.is_running(), other.origin) > (!self.is_running(), self.origin);
        // The statement, the times and the cluster have rules of their own.
        let statement =
            merged_statement(self.statement.take(), other.statement.take(), prefer_other);
        let times = self.merged_times(&other, prefer_other);
        let cluster = self.cluster.take().or_else(|| other.cluster.take());
        self.merge_fields(&mut other, prefer_other);
        self.statement = statement;
        self.cluster = cluster;
        Times {
            started_ms: self.started_ms,
            is_start_estimated: self.is_start_estimated,
            ended_ms: self.ended_ms,
            zoned: self.zoned,
        } = times;
        if self.ended_ms.is_none() && !self.is_running() {
            self.ended_ms =
                self.started_ms.zip(self.duration_ms).and_then(|(start, ms)| start.checked_add(ms));
        }
        for (key, value) in other.extra {
            if prefer_other || !self.extra.contains_key(&key) {
                self.extra.insert(key, value);
            }
        }
        match (&mut self.load, other.load) {
            (Some(mine), Some(mut theirs)) => mine.merge_fields(&mut theirs, prefer_other),
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
    }

    /// Merges a report of the same query that somebody pushed who may not see all queries: only those of `user`, or only
    /// those of some clusters. The report does not make a query without a user or a cluster one that they may see,
    /// because then they could read what others reported of it.
    pub(crate) fn merge_restricted(&mut self, mut pushed: QueryRecord, user: Option<&str>) {
        if self.user.is_none() {
            pushed.user.take_if(|name| Some(name.as_str()) == user);
        }
        if self.cluster.is_none() {
            pushed.cluster = None;
        }
        self.merge(pushed);
    }

    /// Returns whether two reports name two users.
    pub(crate) fn is_of_other_user(&self, other: &QueryRecord) -> bool {
        self.user.as_ref().zip(other.user.as_ref()).is_some_and(|(mine, theirs)| mine != theirs)
    }

    /// Returns whether two reports name two clusters.
    pub(crate) fn is_of_other_cluster(&self, other: &QueryRecord) -> bool {
        self.cluster
            .as_ref()
            .zip(other.cluster.as_ref())
            .is_some_and(|(mine, theirs)| mine != theirs)
    }

    /// Returns the times of the report that knows the start best: where the start is a guess, so is the end.
    fn merged_times(&self, other: &QueryRecord, prefer_other: bool) -> Times {
        let (mine, theirs) = (self.start_precision(), other.start_precision());
        // A guess within the second that a profile names is kept for its milliseconds.
        let second = |record: &QueryRecord| record.started_ms.map(|ms| ms.div_euclid(1000));
        if mine.min(theirs) == 1 && mine.max(theirs) == 2 && second(self) == second(other) {
            return if theirs == 1 { other.times() } else { self.times() };
        }
        let (better, worse) = match theirs > mine || theirs == mine && prefer_other {
            true => (other, self),
            false => (self, other),
        };
        let mut times = better.times();
        if theirs == mine {
            times.ended_ms = times.ended_ms.or(worse.ended_ms);
        }
        times
    }

    fn times(&self) -> Times {
        Times {
            started_ms: self.started_ms,
            is_start_estimated: self.is_start_estimated,
            ended_ms: self.ended_ms,
            zoned: self.zoned,
        }
    }

    /// Returns how well the start is known: 0 not at all, 1 as a guess, 2 to the second, as profiles and lists have it,
    /// 3 to the millisecond.
    fn start_precision(&self) -> u8 {
        match self.started_ms {
            None => 0,
            Some(_) if self.is_start_estimated => 1,
            Some(ms) if ms % 1000 == 0 => 2,
            Some(_) => 3,
        }
    }
}

fn merged_statement(
    mut mine: Option<String>,
    mut other: Option<String>,
    prefer_other: bool,
) -> Option<String> {
    let says_more = match (mine.as_deref(), other.as_deref()) {
        (Some(mine), Some(other)) => statement::is_more_complete(mine, other),
        _ => None,
    };
    merge_option(&mut mine, &mut other, says_more.unwrap_or(prefer_other));
    mine
}
