//! What the queries of an hour cost, in groups. A report over a long time reads these instead of the queries.
//!
//! A summary holds every duration, so that percentiles are the same as from the queries. An hour with its summary is
//! about a hundredth of the size of its queries.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::group::{Alike, Quarters, SUMMED};
use super::timeline::{Counted, Spans};
use crate::domain::filter::{QueryFilter, Users};
use crate::domain::record::Kind;
use crate::domain::statement::Fingerprint;

/// The length of an hour, in milliseconds.
pub(super) const HOUR_MS: i64 = 3_600_000;
/// The form of a body. Bodies of another form are not read, and are made again.
pub(super) const SUMMARY_VERSION: i64 = 4;
/// An hour gets its summary this long after its end. Most of what comes late has come by then.
const SETTLED_MS: i64 = 2 * HOUR_MS;
/// Hours that get their summaries together.
const HOURS_AT_ONCE: usize = 24;

/// Returns the hour of a start, in hours since 1970.
pub(super) fn hour_of(started_ms: i64) -> i64 {
    started_ms.div_euclid(HOUR_MS)
}

/// A change to the summaries.
#[derive(Debug, Clone)]
pub(super) enum HourChange {
    /// A reading of these hours begins. What it reads is stored only if no query of the hour changes meanwhile.
    Begin { hours: Vec<i64>, token: i64 },
    /// What a reading made of an hour.
    Fill { hour: i64, token: i64, body: Vec<u8> },
}

/// What the queries of an hour cost.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct HourSummary {
    /// The names of users, databases and clusters.
    names: Vec<String>,
    groups: Vec<HourGroup>,
}

/// The queries of an hour with the same statement, user, database, cluster and kind.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct HourGroup {
    pub fingerprint: Option<i64>,
    /// The position of the name.
    user: Option<u32>,
    db: Option<u32>,
    cluster: Option<u32>,
    is_load: bool,
    pub count: i64,
    /// Queries that failed.
    errors: i64,
    /// The different durations of queries that did not fail, sorted: each as the difference from the one before, and how often
    /// it occurs.
    durations: Vec<(i64, u64)>,
    /// The same of failed queries.
    failed_durations: Vec<(i64, u64)>,
    /// The sums of [`SUMMED`], None where no query has a value.
    sums: [Option<i128>; SUMMED.len()],
    peak_memory_bytes: Option<i64>,
    /// The first and the last start, from the begin of the hour, in milliseconds.
    first_ms: i64,
    last_ms: i64,
    /// A bit for each quarter of the hour in which a query started.
    quarters: u8,
}

impl HourGroup {
    /// Returns each different duration with the number of its occurrences, sorted: of queries that did not fail, and of those
    /// that failed.
    pub(super) fn durations(&self) -> [Vec<(i64, u64)>; 2] {
        [of_differences(&self.durations), of_differences(&self.failed_durations)]
    }

    /// Returns the queries of the group in an hour. `durations` are its own.
    pub(super) fn alike<'a>(
        &self,
        hour: i64,
        [durations, failed_durations]: &'a [Vec<(i64, u64)>; 2],
    ) -> Alike<'a> {
        let (first_ms, last_ms) = self.starts(hour);
        Alike {
            count: self.count,
            errors: self.errors,
            durations,
            failed_durations,
            sums: self.sums,
            peak_memory_bytes: self.peak_memory_bytes,
            quarters: Quarters::OfHour { hour, bits: self.quarters },
            first_ms: Some(first_ms),
            last_ms: Some(last_ms),
        }
    }

    /// Returns the first and the last start of the group in an hour, in Unix milliseconds.
    pub(super) fn starts(&self, hour: i64) -> (i64, i64) {
        let start_ms = hour.saturating_mul(HOUR_MS);
        (start_ms.saturating_add(self.first_ms), start_ms.saturating_add(self.last_ms))
    }
}

/// Returns the sorted durations of an [`HourGroup`].
fn of_differences(differences: &[(i64, u64)]) -> Vec<(i64, u64)> {
    let mut last_ms = 0_i64;
    let sorted = differences.iter().map(|(longer_ms, times)| {
        last_ms = last_ms.wrapping_add(*longer_ms);
        (last_ms, *times)
    });
    sorted.collect()
}

/// Returns durations as an [`HourGroup`] has them.
fn differences_of(mut durations: Vec<i64>) -> Vec<(i64, u64)> {
    durations.sort_unstable();
    let mut last_ms = 0_i64;
    let of_same = durations.chunk_by(|one, next| one == next).filter_map(|same| {
        let ms = *same.first()?;
        let longer_ms = ms.wrapping_sub(std::mem::replace(&mut last_ms, ms));
        Some((longer_ms, same.len() as u64))
    });
    of_same.collect()
}

/// Whether summaries can answer for a filter: its conditions are those by which they have groups, and queries without a
/// start do not count.
pub(super) fn can_answer(filter: &QueryFilter) -> bool {
    let QueryFilter {
        state,
        client,
        frontend,
        workload_group,
        compute_group,
        catalog,
        statement_type,
        table,
        session_id,
        no_statement,
        is_failed,
        has_profile,
        search,
        anywhere,
        min_ms,
        min_queue_ms,
        cache_hit,
        from_ms,
        to_ms,
        // Conditions by which summaries have groups, and what reports ignore.
        user: _,
        db: _,
        cluster: _,
        kind: _,
        fingerprint: _,
        limit: _,
        order: _,
        is_ascending: _,
        after: _,
    } = filter;
    let groups = [workload_group, compute_group, catalog, statement_type];
    [state, client, frontend, table, session_id, no_statement]
        .iter()
        .chain(&groups)
        .all(|it| it.is_any())
        && is_failed.is_none()
        && has_profile.is_none()
        && search.is_none()
        && anywhere.is_none()
        && min_ms.is_none()
        && min_queue_ms.is_none()
        && cache_hit.is_none()
        && (from_ms.is_some() || to_ms.is_some())
}

/// Returns the hours that are completely within the times of a filter; the first is greater than the last if none is.
pub(super) fn whole_hours(filter: &QueryFilter) -> (i64, i64) {
    let (first_ms, last_ms) = filter.starts();
    let first = hour_of(first_ms.saturating_sub(1)).saturating_add(1);
    (first, hour_of(last_ms.saturating_add(1)).saturating_sub(1))
}

/// The times of a filter without the hours that are read as summaries. The hours come in order.
pub(super) struct Unsummed<'f> {
    filter: &'f QueryFilter,
    /// What started before this is read, or in a filter that was returned.
    done_ms: i64,
}

impl<'f> Unsummed<'f> {
    /// Returns all times of a filter.
    pub(super) fn of(filter: &'f QueryFilter) -> Unsummed<'f> {
        Unsummed { filter, done_ms: filter.starts().0 }
    }

    /// Goes on behind an hour that is read as a summary. Returns a filter for the queries before it; none if there is no time
    /// between it and the hour before.
    pub(super) fn before(&mut self, hour: i64) -> Option<QueryFilter> {
        let start_ms = hour.saturating_mul(HOUR_MS);
        let before = (self.done_ms < start_ms).then(|| self.until(Some(start_ms)));
        self.done_ms = start_ms.saturating_add(HOUR_MS);
        before
    }

    /// Returns a filter for the queries behind the last hour; none if no time is left.
    pub(super) fn rest(self) -> Option<QueryFilter> {
        let to_ms = self.filter.to_ms;
        to_ms.is_none_or(|to_ms| self.done_ms < to_ms).then(|| self.until(to_ms))
    }

    fn until(&self, to_ms: Option<i64>) -> QueryFilter {
        QueryFilter { from_ms: Some(self.done_ms), to_ms, ..self.filter.clone() }
    }
}

/// The search for hours without a summary, the newest first.
pub(super) struct HoursToSum {
    known: foldhash::HashSet<i64>,
    /// This hour and those after it are looked at.
    before: i64,
    found: Vec<i64>,
}

impl HoursToSum {
    /// Begins with the hours that have settled. `known` have a summary.
    pub(super) fn new(known: foldhash::HashSet<i64>, now_ms: i64) -> HoursToSum {
        let before = hour_of(now_ms.saturating_sub(SETTLED_MS));
        HoursToSum { known, before, found: Vec::new() }
    }

    /// Returns the time before which starts are not looked at yet; none if enough hours are found.
    pub(super) fn before_ms(&self) -> Option<i64> {
        (self.found.len() < HOURS_AT_ONCE).then(|| self.before.saturating_mul(HOUR_MS))
    }

    /// Goes on before the hour of the newest start before [`HoursToSum::before_ms`].
    pub(super) fn note(&mut self, newest_ms: i64) {
        let mut hour = hour_of(newest_ms);
        if self.known.contains(&hour) {
            while self.known.contains(&(hour - 1)) {
                hour -= 1;
            }
        } else {
            self.found.push(hour);
        }
        self.before = hour;
    }

    pub(super) fn into_found(self) -> Vec<i64> {
        self.found
    }
}

/// How often the queries of some fingerprints ran in spans.
pub(super) struct SpanCounts {
    wanted: foldhash::HashSet<i64>,
    spans: Spans,
    counts: foldhash::HashMap<(i64, i64), i64>,
}

impl SpanCounts {
    pub(super) fn new(fingerprints: &[Fingerprint], from_ms: i64, width_ms: i64) -> SpanCounts {
        let wanted = fingerprints.iter().map(|one| one.to_signed()).collect();
        let spans = Spans { from_ms, width_ms, count: usize::MAX };
        SpanCounts { wanted, spans, counts: foldhash::HashMap::default() }
    }

    pub(super) fn spans(&self) -> Spans {
        self.spans
    }

    /// Returns the fingerprints that count.
    pub(super) fn wanted(&self) -> Vec<i64> {
        self.wanted.iter().copied().collect()
    }

    /// Adds the queries of an hour that a filter chooses and the owner may see. The hour is in one span.
    pub(super) fn add_hour(
        &mut self,
        hour: i64,
        summary: &HourSummary,
        (filter, owner): (&QueryFilter, Option<&str>),
    ) {
        for (group, ..) in summary.groups(filter, owner) {
            let (first_ms, _) = group.starts(hour);
            self.add((group.fingerprint, self.span(first_ms)), group.count);
        }
    }

    /// Adds a query. One without a start is in no span.
    pub(super) fn add_query(&mut self, started_ms: Option<i64>, fingerprint: Option<i64>) {
        if let Some(started_ms) = started_ms {
            self.add((fingerprint, self.span(started_ms)), 1);
        }
    }

    /// Adds a number of queries of a fingerprint in a span. Ignores other fingerprints.
    pub(super) fn add(&mut self, (fingerprint, span): (Option<i64>, i64), count: i64) {
        if let Some(fingerprint) = fingerprint.filter(|it| self.wanted.contains(it)) {
            *self.counts.entry((fingerprint, span)).or_default() += count;
        }
    }

    fn span(&self, started_ms: i64) -> i64 {
        started_ms.saturating_sub(self.spans.from_ms) / self.spans.width_ms
    }

    /// Returns rows of a fingerprint, the position of a span and a count.
    pub(super) fn into_rows(self) -> Vec<(Fingerprint, i64, i64)> {
        let rows = self.counts.into_iter();
        rows.map(|((it, span), count)| (Fingerprint::from_signed(it), span, count)).collect()
    }
}

impl HourSummary {
    /// Returns the summary of its bytes; none if they are of no summary.
    pub(super) fn read(body: &[u8]) -> Option<HourSummary> {
        postcard::from_bytes(body).ok()
    }

    /// Returns the groups of a filter that the owner may see, each with its names.
    pub(super) fn groups<'s>(
        &'s self,
        filter: &'s QueryFilter,
        owner: Option<&'s str>,
    ) -> impl Iterator<Item = (&'s HourGroup, HourNames<'s>)> {
        let users = filter.users(owner);
        let name = |at: Option<u32>| self.names.get(at? as usize).map(String::as_str);
        let names = move |group: &HourGroup| HourNames {
            user: name(group.user),
            db: name(group.db),
            cluster: name(group.cluster),
        };
        self.groups.iter().map(move |group| (group, names(group))).filter(
            move |(group, HourNames { user, db, cluster })| {
                let is_of_user = match users {
                    Users::All => true,
                    Users::One(name) => *user == Some(name),
                    Users::Some => filter.user.chooses(*user),
                    Users::Nobody => false,
                };
                is_of_user
                    && filter.db.chooses(*db)
                    && filter.cluster.chooses(*cluster)
                    && filter.kind.is_none_or(|kind| (kind == Kind::Load) == group.is_load)
                    && filter.fingerprint.is_none_or(|it| group.fingerprint == Some(it.to_signed()))
            },
        )
    }
}

/// The names of a group of an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HourNames<'s> {
    pub user: Option<&'s str>,
    pub db: Option<&'s str>,
    pub cluster: Option<&'s str>,
}

/// A query as a summary counts it.
pub(super) struct HourQuery<'q> {
    pub counted: Counted,
    pub fingerprint: Option<i64>,
    pub user: Option<&'q str>,
    pub db: Option<&'q str>,
    pub cluster: Option<&'q str>,
    pub is_load: bool,
    pub sums: [Option<i64>; SUMMED.len()],
    pub peak_memory_bytes: Option<i64>,
}

/// Fingerprint, positions of the names of user, database and cluster, and whether the queries are loads.
type GroupKey = (Option<i64>, Option<u32>, Option<u32>, Option<u32>, bool);

/// Makes the summary of an hour, one query at a time.
pub(super) struct HourSummer {
    hour: i64,
    summary: HourSummary,
    names: HashMap<String, u32>,
    groups: foldhash::HashMap<GroupKey, usize>,
    /// The durations of each group: of queries that did not fail, and of failed ones.
    durations: Vec<[Vec<i64>; 2]>,
}

impl HourSummer {
    pub(super) fn new(hour: i64) -> HourSummer {
        HourSummer {
            hour,
            summary: HourSummary::default(),
            names: HashMap::new(),
            groups: foldhash::HashMap::default(),
            durations: Vec::new(),
        }
    }

    /// Adds a query that started within the hour. Ignores others.
    pub(super) fn add(&mut self, query: &HourQuery<'_>) {
        let Some(started_ms) = query.counted.started_ms else { return };
        if hour_of(started_ms) != self.hour {
            return;
        }
        let (user, db) = (query.user.map(|it| self.name(it)), query.db.map(|it| self.name(it)));
        let cluster = query.cluster.map(|it| self.name(it));
        let key = (query.fingerprint, user, db, cluster, query.is_load);
        let at_ms = started_ms.rem_euclid(HOUR_MS);
        let at = *self.groups.entry(key).or_insert(self.summary.groups.len());
        if at == self.summary.groups.len() {
            let (fingerprint, user, db, cluster, is_load) = key;
            let start = HourGroup { first_ms: at_ms, last_ms: at_ms, ..HourGroup::default() };
            self.summary.groups.push(HourGroup {
                fingerprint,
                user,
                db,
                cluster,
                is_load,
                ..start
            });
            self.durations.push(Default::default());
        }
        let group = &mut self.summary.groups[at];
        group.count += 1;
        group.errors += query.counted.errors;
        group.first_ms = group.first_ms.min(at_ms);
        group.last_ms = group.last_ms.max(at_ms);
        group.quarters |= 1 << (at_ms * 4 / HOUR_MS);
        group.peak_memory_bytes = group.peak_memory_bytes.max(query.peak_memory_bytes);
        for (sum, value) in group.sums.iter_mut().zip(query.sums) {
            if let Some(value) = value {
                *sum = Some(sum.unwrap_or(0).saturating_add(value.into()));
            }
        }
        let is_failed = query.counted.errors > 0;
        self.durations[at][usize::from(is_failed)].extend(query.counted.duration_ms);
    }

    fn name(&mut self, name: &str) -> u32 {
        if let Some(at) = self.names.get(name) {
            return *at;
        }
        let at = self.summary.names.len() as u32;
        self.summary.names.push(name.to_string());
        self.names.insert(name.to_string(), at);
        at
    }

    /// Returns the summary.
    fn finish(mut self) -> HourSummary {
        for (group, [durations, failed]) in self.summary.groups.iter_mut().zip(self.durations) {
            group.durations = differences_of(durations);
            group.failed_durations = differences_of(failed);
        }
        self.summary
    }

    /// Returns the bytes of the summary. Errors if they cannot be made, which does not happen.
    pub(super) fn into_bytes(self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&self.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::filter::Choice;

    fn query(
        started_ms: i64,
        duration_ms: Option<i64>,
        user: Option<&'static str>,
    ) -> HourQuery<'static> {
        HourQuery {
            counted: Counted {
                started_ms: Some(started_ms),
                duration_ms,
                errors: 0,
                scan_rows: 3,
                scan_bytes: 4,
            },
            fingerprint: Some(-5),
            user,
            db: None,
            cluster: user.map(|user| if user == "alice" { "prod" } else { "test" }),
            is_load: false,
            sums: [Some(1); SUMMED.len()],
            peak_memory_bytes: None,
        }
    }

    #[test]
    fn a_summary_has_every_duration_and_is_read_as_it_was_written() {
        let hour = -3;
        let start_ms = hour * HOUR_MS;
        let mut summer = HourSummer::new(hour);
        for (at_ms, duration_ms) in [(5, Some(7)), (HOUR_MS - 1, Some(-2)), (9, Some(7)), (6, None)]
        {
            summer.add(&query(start_ms + at_ms, duration_ms, Some("alice")));
        }
        let mut failed = query(start_ms + 7, Some(9), Some("alice"));
        failed.counted.errors = 1;
        summer.add(&failed);
        summer.add(&query(start_ms + 1, Some(i64::MAX), Some("bob")));
        summer.add(&query(start_ms + 1, Some(i64::MIN), Some("bob")));
        summer.add(&query(start_ms + HOUR_MS, Some(1), Some("alice")));
        let body = summer.into_bytes().unwrap();
        let summary = HourSummary::read(&body).unwrap();
        let filter = QueryFilter { user: Choice::one("alice"), ..QueryFilter::default() };
        let found: Vec<_> = summary.groups(&filter, None).collect();
        let [(group, names)] = found.as_slice() else { panic!("{found:?}") };
        let of_alice = HourNames { user: Some("alice"), db: None, cluster: Some("prod") };
        assert_eq!((*names, group.count, group.quarters), (of_alice, 5, 0b1001));
        assert_eq!(group.durations(), [vec![(-2, 1), (7, 2)], vec![(9, 1)]]);
        assert_eq!(group.starts(hour), (start_ms + 5, start_ms + HOUR_MS - 1));
        let all = QueryFilter::default();
        let of_bob = summary.groups(&all, Some("bob")).next().unwrap();
        assert_eq!(of_bob.0.durations(), [vec![(i64::MIN, 1), (i64::MAX, 1)], Vec::new()]);
        assert_eq!(summary.groups(&filter, Some("bob")).count(), 0);
        let of_test = QueryFilter { cluster: Choice::one("test"), ..QueryFilter::default() };
        assert_eq!(summary.groups(&of_test, None).next().unwrap().1.user, Some("bob"));
        assert_eq!(summary.groups(&of_test, Some("alice")).count(), 0);
        assert_eq!(HourSummary::read(&body[..body.len() - 1]), None);
    }

    #[test]
    fn only_hours_within_the_times_are_whole() {
        let hours =
            |from_ms, to_ms| whole_hours(&QueryFilter { from_ms, to_ms, ..QueryFilter::default() });
        assert_eq!(hours(Some(HOUR_MS), Some(3 * HOUR_MS)), (1, 2));
        assert_eq!(hours(Some(HOUR_MS + 1), Some(3 * HOUR_MS - 1)), (2, 1));
        assert_eq!(hours(Some(-HOUR_MS), Some(0)), (-1, -1));
        let (first, last) = hours(None, Some(0));
        assert!(first < -1_000_000 && last == -1);
    }
}
