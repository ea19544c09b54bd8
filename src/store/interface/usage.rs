//! Who used the cluster, and what ran beside a query.

use std::collections::HashSet;

use super::Store;
use crate::domain::baseline::Baseline;
use crate::domain::filter::QueryFilter;
use crate::domain::record::StoredQuery;
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;
use crate::store::query::Reader;
use crate::store::usage::{
    Concurrent, ConcurrentRun, MAX_CONCURRENT_RUNS, MAX_RUNS, Steps, Usage, UsageCounting,
    UsageGroups, UsageOrder, usage_range,
};

/// The steps in which runs beside a query are counted.
const STEPS_BESIDE: Steps = Steps::Number(60);
/// Characters of the statements of an answer, which has up to a thousand.
const STATEMENT_CHARS: usize = 2000;

/// Who used the cluster.
impl Store {
    /// Returns who used the cluster in the times of a filter, compared with a baseline: of the queries that the reader may see,
    /// as many groups of each kind as the filter's limit. Without times, the period is as [`usage_range`] says. Ignores the
    /// filter's cursor. None if the history is empty.
    ///
    /// Errors if there are too many groups, if too many reports wait, or if the time is up.
    pub(crate) async fn usage(
        &self,
        filter: &QueryFilter,
        baseline: Baseline,
        (order, steps): (UsageOrder, Steps),
        reader: Reader<'_>,
    ) -> Result<Option<Usage>, StoreError> {
        let Some(span) = self.span(reader.owner).await? else { return Ok(None) };
        let (from_ms, to_ms) = usage_range((filter.from_ms, filter.to_ms), span);
        let (before_from_ms, before_to_ms) = baseline.same_length(from_ms, to_ms);
        let asked = [(from_ms, to_ms), (before_from_ms, before_to_ms)];
        let mut ranges = asked;
        for range in &mut ranges {
            range.1 = self.usage_end(filter, *range, MAX_RUNS, reader).await?;
        }
        if matches!(baseline, Baseline::Before(_)) {
            // Where one is cut, the other is cut alike.
            let lengths = ranges.map(|(from_ms, to_ms)| to_ms.saturating_sub(from_ms));
            let length_ms = lengths.into_iter().min().unwrap_or(0);
            ranges.iter_mut().for_each(|range| range.1 = range.0.saturating_add(length_ms));
        }
        let [range, before_range] = ranges;
        let counting = UsageCounting::new(range);
        let now = of_engine!(self, store => store.count_usage(filter, counting, reader).await?);
        let counting = UsageCounting::new(before_range);
        let before = of_engine!(self, store => store.count_usage(filter, counting, reader).await?);
        let mut grouped = now.grouped(Some(&before), Some(order), filter.limit as usize);
        self.name_statements(&mut grouped.statements).await?;
        let (began_before, still_running) = now.open_ends();
        let width = Steps::Width(steps.of(range).width_ms);
        let (concurrency, _) = now.finish(width.of(range));
        let (baseline_concurrency, _) = before.finish(width.of(before_range));
        Ok(Some(Usage {
            from_ms,
            to_ms: range.1,
            baseline_from_ms: before_from_ms,
            baseline_to_ms: before_range.1,
            is_cut: ranges != asked,
            began_before,
            still_running,
            total: grouped.total,
            users: grouped.users,
            dbs: grouped.dbs,
            tables: grouped.tables,
            clients: grouped.clients,
            statements: grouped.statements,
            concurrency,
            baseline_concurrency,
        }))
    }

    /// Returns what ran while a query ran, of the queries that the reader may see: `limit` groups of each kind, and as many
    /// runs. A query that still runs has run until the newest query started. None if the start of the query is unknown.
    ///
    /// Errors if there are too many groups, if too many reports wait, or if the time is up.
    pub(crate) async fn concurrent(
        &self,
        query: &StoredQuery,
        limit: u32,
        reader: Reader<'_>,
    ) -> Result<Option<Concurrent>, StoreError> {
        let Some(from_ms) = query.started_ms else { return Ok(None) };
        let newest_ms = match query.is_running() {
            true => self.span(reader.owner).await?.map(|(_, last_ms)| last_ms.saturating_add(1)),
            false => None,
        };
        let ended_ms = query.duration_ms.map(|ms| from_ms.saturating_add(ms)).or(query.ended_ms);
        let asked_ms = newest_ms.max(ended_ms).unwrap_or(from_ms).max(from_ms.saturating_add(1));
        let filter = QueryFilter::default();
        let range = (from_ms, asked_ms);
        let to_ms = self.usage_end(&filter, range, MAX_CONCURRENT_RUNS, reader).await?;
        let range = (from_ms, to_ms);
        let limit = limit as usize;
        let counting = UsageCounting::beside(query.query_id.as_str(), range, limit);
        let counted =
            of_engine!(self, store => store.count_usage(&filter, counting, reader).await?);
        let mut grouped = counted.grouped(None, None, limit);
        self.name_statements(&mut grouped.statements).await?;
        let (began_before, still_running) = counted.open_ends();
        let (concurrency, mut queries) = counted.finish(STEPS_BESIDE.of(range));
        self.name_runs(&mut queries).await?;
        Ok(Some(Concurrent {
            from_ms,
            to_ms,
            is_cut: to_ms != asked_ms,
            began_before,
            still_running,
            total: grouped.total,
            users: grouped.users,
            dbs: grouped.dbs,
            tables: grouped.tables,
            clients: grouped.clients,
            statements: grouped.statements,
            concurrency,
            queries,
        }))
    }

    /// Returns the end of a range, or the time before which `most` queries started in it. A range that begins has a
    /// millisecond at least.
    async fn usage_end(
        &self,
        filter: &QueryFilter,
        (from_ms, to_ms): (i64, i64),
        most: i64,
        reader: Reader<'_>,
    ) -> Result<i64, StoreError> {
        let within = QueryFilter { from_ms: Some(from_ms), to_ms: Some(to_ms), ..filter.clone() };
        let end_ms = of_engine!(self, store => store.usage_end(&within, most, reader).await?);
        Ok(end_ms.max(from_ms.saturating_add(1)).min(to_ms))
    }

    async fn name_statements(&self, groups: &mut UsageGroups) -> Result<(), StoreError> {
        let named: HashSet<Fingerprint> =
            groups.rows.iter().filter_map(|row| row.fingerprint).collect();
        let mut named = self.normalized_statements(&named).await?;
        for row in &mut groups.rows {
            row.name = row.fingerprint.and_then(|it| named.remove(&it)).map(|it| begin_of(&it));
        }
        Ok(())
    }

    async fn name_runs(&self, runs: &mut [ConcurrentRun]) -> Result<(), StoreError> {
        let named: HashSet<Fingerprint> = runs.iter().filter_map(|run| run.fingerprint).collect();
        let named = self.normalized_statements(&named).await?;
        for run in runs {
            run.normalized = run.fingerprint.and_then(|it| named.get(&it)).map(|it| begin_of(it));
        }
        Ok(())
    }
}

/// Returns the first characters of a statement.
fn begin_of(statement: &str) -> String {
    statement.chars().take(STATEMENT_CHARS).collect()
}
