//! Counts of many queries.

use std::collections::{HashMap, HashSet};

use super::Store;
use crate::domain::baseline::Baseline;
use crate::domain::filter::QueryFilter;
use crate::domain::statement::Fingerprint;
use crate::domain::time::now_ms;
use crate::store::contents::Sizes;
use crate::store::error::StoreError;
use crate::store::group::{Group, GroupBy};
use crate::store::hours::SpanCounts;
use crate::store::query::Reader;
use crate::store::regression::{
    ChangeKind, Compared, Frequencies, PLAN_RUNS, Regressions, compare, same_hours,
};
use crate::store::statements::{StatementOrder, StatementPage};
use crate::store::timeline::{Bucket, Spans};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Returns when an empty history ends: with the last full hour, so that answers stay the same for a while.
pub(super) fn end_of_nothing_ms() -> i64 {
    let now_ms = now_ms();
    now_ms - now_ms.rem_euclid(HOUR_MS)
}

/// Counts of many queries.
impl Store {
    /// Returns the counts of each span, of the queries of a filter that the reader may see. Ignores the filter's own times,
    /// limit and cursor.
    pub(crate) async fn timeline(
        &self,
        filter: &QueryFilter,
        spans: Spans,
        reader: Reader<'_>,
    ) -> Result<Vec<Bucket>, StoreError> {
        let filter = &*filter.within_clusters(reader.clusters);
        of_engine!(self, store => store.timeline(filter, spans, reader).await)
    }

    /// Returns the queries of a filter that the reader may see, in groups, in no order. Ignores the filter's limit and cursor.
    pub(crate) async fn top(
        &self,
        filter: &QueryFilter,
        by: GroupBy,
        reader: Reader<'_>,
    ) -> Result<Vec<Group>, StoreError> {
        let filter = &*filter.within_clusters(reader.clusters);
        of_engine!(self, store => store.top(filter, by, reader).await)
    }

    /// Returns the statistics of the queries of a filter that the reader may see, by statement, as many as the filter's
    /// limit. Ignores the filter's cursor.
    ///
    /// Errors if there are too many statements, if too many reports wait, or if the time is up.
    pub(crate) async fn statements(
        &self,
        filter: &QueryFilter,
        order: StatementOrder,
        reader: Reader<'_>,
    ) -> Result<StatementPage, StoreError> {
        let filter = &*filter.within_clusters(reader.clusters);
        of_engine!(self, store => store.statements(filter, order, reader).await)
    }

    /// Returns the statements of a filter that changed since the baseline in one of the ways, or in any if none is named, of the
    /// queries that the reader may see, as many as the filter's limit. Without times, the period is the last day of the history.
    /// Ignores the filter's cursor. An empty history ends with the last full hour.
    ///
    /// Errors if there are too many statements, if too many reports wait, or if the time is up.
    pub(crate) async fn regressions(
        &self,
        filter: &QueryFilter,
        baseline: Baseline,
        kinds: &[ChangeKind],
        reader: Reader<'_>,
    ) -> Result<Regressions, StoreError> {
        let span = self.span(reader).await?;
        let (first_ms, last_ms) = span.unwrap_or_else(|| {
            let end_ms = end_of_nothing_ms();
            (end_ms, end_ms)
        });
        let filter = &*filter.within_clusters(reader.clusters);
        let to_ms = filter.to_ms.unwrap_or(i64::MAX).min(last_ms.saturating_add(1));
        let begin_ms = first_ms.min(to_ms.saturating_sub(1));
        let from_ms = filter.from_ms.unwrap_or_else(|| begin_ms.max(to_ms.saturating_sub(DAY_MS)));
        // A period that begins behind the newest query has a millisecond.
        let to_ms = to_ms.max(from_ms.saturating_add(1));
        let (baseline_from_ms, baseline_to_ms) = baseline.of(from_ms);
        let within = |from_ms, to_ms| QueryFilter {
            from_ms: Some(from_ms),
            to_ms: Some(to_ms),
            ..filter.clone()
        };
        let (period, earlier) = (within(from_ms, to_ms), within(baseline_from_ms, baseline_to_ms));
        let after = of_engine!(self, store => store.by_statement(&period, reader).await?);
        let before = of_engine!(self, store => store.by_statement(&earlier, reader).await?);
        let ran = after.iter().filter(|group| group.fingerprint.is_some()).count();
        // A statement is new also if nothing that the filter chooses ran before. A cluster may have begun with the period.
        let any = QueryFilter {
            limit: 1,
            cluster: filter.cluster.clone(),
            from_ms: Some(baseline_from_ms),
            to_ms: Some(baseline_to_ms),
            ..QueryFilter::default()
        };
        let has_baseline = !before.is_empty() || !self.records(&any, reader).await?.is_empty();
        // Before the begin of the history, nothing is known.
        let known_from_ms = first_ms.clamp(baseline_from_ms, baseline_to_ms);
        let known_ms = baseline_to_ms.saturating_sub(known_from_ms);
        let period_ms = to_ms.saturating_sub(from_ms.max(first_ms)).max(1);
        let mut frequencies = Frequencies::default();
        match same_hours((from_ms, to_ms), (known_from_ms, baseline_to_ms)) {
            Some(parts) => {
                for (from_ms, to_ms) in parts {
                    let part = within(from_ms, to_ms);
                    let groups =
                        of_engine!(self, store => store.by_statement(&part, reader).await?);
                    frequencies.add(&groups, to_ms.saturating_sub(from_ms));
                }
            }
            // Part of a day says nothing of the rest of it.
            None if known_from_ms > baseline_from_ms && known_ms < period_ms.min(DAY_MS) => {}
            None => frequencies.add(&before, known_ms),
        }
        let found = match has_baseline {
            true => compare(before, after, &frequencies, (period_ms, known_ms)),
            false => Compared::default(),
        };
        let Compared { mut statements, durations, typical_factor, typical_frequency } = found;
        let changed = statements.len();
        let few_runs = statements.iter().filter(|it| it.has_few_runs()).count();
        let number = |kind| statements.iter().filter(|it| it.is(kind)).count();
        let [new, slower, more_frequent, failing_more] =
            ChangeKind::ALL.map(|(kind, ..)| number(kind));
        if !kinds.is_empty() {
            statements.retain(|it| kinds.iter().any(|kind| it.is(*kind)));
        }
        let chosen = statements.len();
        statements.truncate(filter.limit as usize);
        let named = statements.iter().map(|it| it.fingerprint).collect();
        let mut named = self.normalized_statements(&named).await?;
        let unread_profiles = self.unread_profiles(reader).await?;
        for statement in &mut statements {
            let fingerprint = statement.fingerprint;
            statement.normalized = named.remove(&fingerprint).unwrap_or_default();
            if !statement.is(ChangeKind::Slower) {
                continue;
            }
            let plans = async |period: &QueryFilter| {
                let runs = QueryFilter { fingerprint: Some(fingerprint), ..period.clone() };
                of_engine!(self, store => store.plan_runs(&runs, PLAN_RUNS, reader).await)
            };
            statement.set_plans(&plans(&earlier).await?, &plans(&period).await?);
        }
        Ok(Regressions {
            statements,
            changed,
            new,
            slower,
            more_frequent,
            failing_more,
            chosen,
            few_runs,
            ran,
            compared: durations,
            typical_factor,
            typical_frequency,
            from_ms,
            to_ms,
            baseline_from_ms,
            baseline_to_ms,
            history_from_ms: span.map(|(first_ms, _)| first_ms).filter(|ms| *ms > baseline_from_ms),
            has_baseline,
            unread_profiles,
        })
    }

    /// Returns how often the queries of a filter of each fingerprint ran in each of `parts` spans of `width_ms` from `from_ms` on.
    /// Ignores the filter's own times, limit and cursor.
    pub(crate) async fn trends(
        &self,
        fingerprints: &[Fingerprint],
        filter: &QueryFilter,
        (from_ms, width_ms, parts): (i64, u64, usize),
        reader: Reader<'_>,
    ) -> Result<HashMap<Fingerprint, Vec<i64>>, StoreError> {
        let width_ms = i64::try_from(width_ms).unwrap_or(i64::MAX).max(1);
        let length_ms = width_ms.saturating_mul(i64::try_from(parts).unwrap_or(i64::MAX));
        let filter = QueryFilter {
            from_ms: Some(from_ms),
            to_ms: Some(from_ms.saturating_add(length_ms)),
            ..filter.within_clusters(reader.clusters).into_owned()
        };
        let counts = SpanCounts::new(fingerprints, from_ms, width_ms);
        let counted =
            of_engine!(self, store => store.counted_by_span(counts, &filter, reader).await?);
        let mut trends = HashMap::new();
        for (fingerprint, part, count) in counted {
            let trend = trends.entry(fingerprint).or_insert_with(|| vec![0; parts]);
            if let Some(place) = usize::try_from(part).ok().and_then(|part| trend.get_mut(part)) {
                *place = count;
            }
        }
        Ok(trends)
    }

    /// Returns the normalized statements of fingerprints, each its first 64 KiB. Unknown fingerprints are missing.
    pub(crate) async fn normalized_statements(
        &self,
        fingerprints: &HashSet<Fingerprint>,
    ) -> Result<HashMap<Fingerprint, String>, StoreError> {
        of_engine!(self, store => store.normalized_statements(fingerprints).await)
    }

    /// Returns some of the hours whose queries have no summary and have settled, the newest first.
    pub(crate) async fn unsummed_hours(&self) -> Result<Vec<i64>, StoreError> {
        of_engine!(self, store => store.unsummed_hours().await)
    }

    /// Returns the bytes of the summary of an hour.
    pub(crate) async fn sum_hour(&self, hour: i64) -> Result<Vec<u8>, StoreError> {
        of_engine!(self, store => store.sum_hour(hour).await)
    }

    /// Returns how much the store holds. Reads an index of all queries, and all rows of profiles.
    pub(crate) async fn sizes(&self) -> Result<Sizes, StoreError> {
        of_engine!(self, store => store.sizes().await)
    }

    /// Returns how many queries each frontend ran, the most first; none is an unknown frontend. Reads all queries.
    pub(crate) async fn frontends(&self) -> Result<Vec<(Option<String>, i64)>, StoreError> {
        let mut frontends = of_engine!(self, store => store.frontends().await?);
        frontends.sort_by(|(name, count), (other, other_count)| {
            other_count.cmp(count).then_with(|| name.cmp(other))
        });
        Ok(frontends)
    }

    /// Returns the clusters that queries name and the reader may see, in order, among the first thousand, if there are several;
    /// none otherwise. Queries without a cluster count as another cluster. A name stays when its last query is
    /// removed. For a reader of the queries of one user, the clusters are those of the newest of these queries: a name may be of
    /// others alone.
    pub(crate) async fn several_clusters(
        &self,
        reader: Reader<'_>,
    ) -> Result<Vec<String>, StoreError> {
        let mut names = of_engine!(self, store => store.clusters().await?);
        if let Some(clusters) = reader.clusters {
            names.retain(|name| clusters.contains(name));
        }
        let mut has_others = false;
        if let Some(owner) = reader.owner.filter(|_| !names.is_empty()) {
            let own = of_engine!(self, store => store.clusters_of(owner).await?);
            names.retain(|name| own.contains(&Some(name.clone())));
            has_others = own.contains(&None);
        } else if names.len() == 1 && reader.clusters.is_none() {
            has_others = of_engine!(self, store => store.has_queries_of_no_cluster().await?);
        }
        // Who may see some clusters sees nothing that names none.
        has_others &= reader.clusters.is_none();
        let are_several = names.len() > 1 || has_others && !names.is_empty();
        Ok(if are_several { names } else { Vec::new() })
    }

    /// Returns the first and the last start of the queries that the reader may see; none if no query has one.
    pub(crate) async fn span(&self, reader: Reader<'_>) -> Result<Option<(i64, i64)>, StoreError> {
        of_engine!(self, store => store.span(reader).await)
    }
}
