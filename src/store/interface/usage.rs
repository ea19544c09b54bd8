//! Who used the cluster, and what ran beside a query.

use std::collections::HashSet;

use super::Store;
use super::counts::end_of_nothing_ms;
use crate::domain::baseline::Baseline;
use crate::domain::filter::{Choice, QueryFilter, Users};
use crate::domain::record::StoredQuery;
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;
use crate::store::query::Reader;
use crate::store::usage::{
    Concurrent, ConcurrentRun, MAX_CONCURRENT_RUNS, MAX_RUNS, Steps, Usage, UsageCounting,
    UsageGroups, UsageOrder, usage_range,
};

/// Of how many of the newest runs the ends are compared.
const NEWEST_RUNS: u32 = 100;
/// The steps in which runs beside a query are counted.
const STEPS_BESIDE: Steps = Steps::Number(60);
/// Characters of the statements of an answer, which has up to a thousand.
const STATEMENT_CHARS: usize = 2000;

/// Who used the cluster.
impl Store {
    /// Returns who used the cluster in the times of a filter, compared with a baseline: of the queries that the reader may see,
    /// as many groups of each kind as the filter's limit. Without times, the period is as [`usage_range`] says. Ignores the
    /// filter's cursor. An empty history ends with the last full hour.
    ///
    /// Errors if there are too many groups, if too many reports wait, or if the time is up.
    pub(crate) async fn usage(
        &self,
        filter: &QueryFilter,
        baseline: Baseline,
        shown: (UsageOrder, Steps),
        reader: Reader<'_>,
    ) -> Result<Usage, StoreError> {
        self.usage_of(filter, baseline, shown, MAX_RUNS, reader).await
    }

    /// Returns the same of a period in which at most `most` queries start.
    pub(in crate::store) async fn usage_of(
        &self,
        filter: &QueryFilter,
        baseline: Baseline,
        (order, steps): (UsageOrder, Steps),
        most: i64,
        reader: Reader<'_>,
    ) -> Result<Usage, StoreError> {
        let filter = &*filter.within_clusters(reader.clusters);
        let range = self.usage_range(filter, reader).await?;
        let (from_ms, to_ms) = range
            .unwrap_or_else(|| usage_range((filter.from_ms, filter.to_ms), end_of_nothing_ms()));
        let (before_from_ms, before_to_ms) = baseline.same_length(from_ms, to_ms);
        let asked = [(from_ms, to_ms), (before_from_ms, before_to_ms)];
        let mut ranges = asked;
        for range in &mut ranges {
            range.1 = self.usage_end(filter, *range, most, reader).await?;
        }
        if matches!(baseline, Baseline::Before(_)) {
            // Where one is cut, the other is cut alike.
            let lengths = ranges.map(|(from_ms, to_ms)| to_ms.saturating_sub(from_ms));
            let length_ms = lengths.into_iter().min().unwrap_or(0);
            ranges.iter_mut().for_each(|range| range.1 = range.0.saturating_add(length_ms));
        }
        let [range, before_range] = ranges;
        let counting = UsageCounting::new(range, filter);
        let now = of_engine!(self, store => store.count_usage(filter, counting, reader).await?);
        let counting = UsageCounting::new(before_range, filter);
        let before = of_engine!(self, store => store.count_usage(filter, counting, reader).await?);
        let mut grouped = now.grouped(Some(&before), Some(order), filter.limit as usize);
        self.name_statements(&mut grouped.statements).await?;
        let still_running = now.still_running();
        let spans = steps.of(range);
        let (concurrency, _) = now.finish(spans);
        let earlier = Steps::like(spans, range.0, before_range.0);
        let (baseline_concurrency, _) = before.finish(earlier.of(before_range));
        Ok(Usage {
            from_ms,
            to_ms: range.1,
            baseline_from_ms: before_from_ms,
            baseline_to_ms: before_range.1,
            is_cut: ranges != asked,
            still_running,
            total: grouped.total,
            users: grouped.users,
            dbs: grouped.dbs,
            tables: grouped.tables,
            clients: grouped.clients,
            clusters: grouped.clusters,
            statements: grouped.statements,
            concurrency,
            baseline_concurrency,
        })
    }

    /// Returns the begin and the end of the range of a filter, as [`usage_range`] says. None if no query that the reader may see
    /// has a start.
    pub(crate) async fn usage_range(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let Some((_, last_ms)) = self.span(reader).await? else { return Ok(None) };
        let end_ms = match filter.to_ms {
            Some(to_ms) => to_ms,
            None => self.newest_end(last_ms, reader).await?,
        };
        Ok(Some(usage_range((filter.from_ms, filter.to_ms), end_ms)))
    }

    /// Returns when the last of the newest runs ends that the reader may see: a millisecond after the newest start at the least.
    async fn newest_end(&self, last_ms: i64, reader: Reader<'_>) -> Result<i64, StoreError> {
        let newest = QueryFilter { limit: NEWEST_RUNS, ..QueryFilter::default() };
        let runs = self.records(&newest, reader).await?;
        let ends = runs.iter().filter_map(|run| {
            run.started_ms.zip(run.duration_ms).map(|(start, ms)| start.saturating_add(ms))
        });
        let after_last_ms = last_ms.saturating_add(1);
        Ok(ends.fold(after_last_ms, i64::max))
    }

    /// Returns what ran while a query ran, of the queries that the reader may see: `limit` groups of each kind, and as many
    /// runs. Of several clusters, only that of the query counts, unless all are asked for or the query names none. A query that
    /// still runs has run until the newest query started. None if the start of the query is unknown.
    ///
    /// Errors if there are too many groups, if too many reports wait, or if the time is up.
    pub(crate) async fn concurrent(
        &self,
        query: &StoredQuery,
        all_clusters: bool,
        limit: u32,
        reader: Reader<'_>,
    ) -> Result<Option<Concurrent>, StoreError> {
        let own = query.cluster.as_deref().filter(|_| !all_clusters);
        let is_one_of_several = own.is_some() && self.several_clusters(reader).await?.len() > 1;
        let own = own.filter(|_| is_one_of_several);
        self.concurrent_of(query, own, (limit, MAX_CONCURRENT_RUNS), reader).await
    }

    /// Returns the same of one cluster or all, and of a part of the query's time in which at most `most` queries start.
    pub(in crate::store) async fn concurrent_of(
        &self,
        query: &StoredQuery,
        cluster: Option<&str>,
        (limit, most): (u32, i64),
        reader: Reader<'_>,
    ) -> Result<Option<Concurrent>, StoreError> {
        let Some(from_ms) = query.started_ms else { return Ok(None) };
        let newest_ms = match query.is_running() {
            true => self.span(reader).await?.map(|(_, last_ms)| last_ms.saturating_add(1)),
            false => None,
        };
        let ended_ms = query.duration_ms.map(|ms| from_ms.saturating_add(ms)).or(query.ended_ms);
        let asked_ms = newest_ms.max(ended_ms).unwrap_or(from_ms).max(from_ms.saturating_add(1));
        let of_cluster = QueryFilter {
            cluster: cluster.map(Choice::one).unwrap_or_default(),
            ..QueryFilter::default()
        };
        let filter = of_cluster.within_clusters(reader.clusters).into_owned();
        let range = (from_ms, asked_ms);
        let to_ms = self.usage_end(&filter, range, most, reader).await?;
        let range = (from_ms, to_ms);
        let limit = limit as usize;
        let counting = UsageCounting::beside(query.query_id.as_str(), range, limit);
        let counted =
            of_engine!(self, store => store.count_usage(&filter, counting, reader).await?);
        let mut grouped = counted.grouped(None, None, limit);
        self.name_statements(&mut grouped.statements).await?;
        let still_running = counted.still_running();
        let (concurrency, mut queries) = counted.finish(STEPS_BESIDE.of(range));
        self.name_runs(&mut queries).await?;
        Ok(Some(Concurrent {
            from_ms,
            to_ms,
            cluster: cluster.map(str::to_string),
            is_cut: to_ms != asked_ms,
            still_running,
            total: grouped.total,
            users: grouped.users,
            dbs: grouped.dbs,
            tables: grouped.tables,
            clients: grouped.clients,
            clusters: grouped.clusters,
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
        if filter.users(reader.owner) == Users::Nobody {
            return Ok(to_ms);
        }
        let (from, to) = (Some(from_ms), Some(to_ms));
        let within = QueryFilter { from_ms: from, to_ms: to, ..QueryFilter::default() };
        let within = match reader.owner {
            // Nobody sees how many queries of others there are.
            Some(owner) => QueryFilter { user: Choice::one(owner), ..within },
            None => {
                let QueryFilter { user, fingerprint, .. } = filter.clone();
                QueryFilter { user, fingerprint, ..within }
            }
        };
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::record::{Kind, Origin, QueryRecord};
    use crate::store::{Address, Batch};

    const DAY_MS: i64 = 86_400_000;

    fn run(number: i64, started_ms: i64) -> QueryRecord {
        let id = format!("{number:x}-1").parse().unwrap();
        let mut record = QueryRecord::new(id, Kind::Query, Origin::Audit);
        record.started_ms = Some(started_ms);
        record.duration_ms = Some(if number == 0 { 5000 } else { 10 });
        record.ended_ms = record.started_ms.zip(record.duration_ms).map(|(start, ms)| start + ms);
        record.user = Some(if number % 4 == 1 { "alice" } else { "bob" }.to_string());
        record
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_range_with_too_many_queries_is_cut_like_its_baseline() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(&Address::File(folder.path().join("a.db"))).await.unwrap();
        let writer = store.writer(Duration::from_secs(60), None).await.unwrap();
        let mut batch = Batch::default();
        // Twenty a second on the one day, one a second on the day before.
        (0..100).for_each(|number| batch.record(run(number, DAY_MS + number * 50)));
        (0..5).for_each(|number| batch.record(run(1000 + number, number * 1000)));
        writer.write(batch).await.unwrap();
        let filter = QueryFilter {
            limit: 10,
            from_ms: Some(DAY_MS),
            to_ms: Some(DAY_MS + 5000),
            ..QueryFilter::default()
        };
        let shown = (UsageOrder::Running, Steps::Aligned { width_ms: 500, offset_ms: 0 });
        let counted = async |filter: &QueryFilter, most, owner| {
            let reader = Reader { owner, ..Reader::default() };
            let usage = store.usage_of(filter, Baseline::DAY_BEFORE, shown, most, reader).await;
            let usage = usage.unwrap();
            let before = usage.total.before.unwrap().count;
            let lengths = [usage.to_ms - DAY_MS, usage.baseline_to_ms];
            assert_eq!(usage.concurrency.len() as i64, (lengths[0] + 499) / 500);
            assert_eq!(usage.concurrency.len(), usage.baseline_concurrency.len());
            (usage.is_cut, lengths, usage.total.now.count, before)
        };
        assert_eq!(counted(&filter, 100, None).await, (false, [5000, 5000], 100, 5));
        assert_eq!(counted(&filter, 99, None).await, (true, [4950, 4950], 99, 5));
        assert_eq!(counted(&filter, 30, None).await, (true, [1500, 1500], 30, 2));
        // The queries of one user count alone, and do not say how many others there are.
        assert_eq!(counted(&filter, 25, Some("alice")).await, (false, [5000, 5000], 25, 1));
        assert_eq!(counted(&filter, 10, Some("alice")).await, (true, [2050, 2050], 10, 1));
        // A baseline with too many queries cuts the range.
        let later =
            QueryFilter { from_ms: Some(2 * DAY_MS), to_ms: Some(2 * DAY_MS + 5000), ..filter };
        let usage = store.usage_of(&later, Baseline::DAY_BEFORE, shown, 20, Reader::default());
        let usage = usage.await.unwrap();
        assert_eq!((usage.is_cut, usage.to_ms - 2 * DAY_MS), (true, 1000));

        let query =
            store.record(&"0-1".parse().unwrap(), Reader::default()).await.unwrap().unwrap();
        let beside = async |most| {
            let found = store.concurrent_of(&query, None, (3, most), Reader::default()).await;
            let found = found.unwrap().unwrap();
            (found.is_cut, found.to_ms - DAY_MS, found.total.now.count, found.queries.len())
        };
        assert_eq!(beside(100).await, (false, 5000, 99, 3));
        assert_eq!(beside(50).await, (true, 2500, 49, 3));
        writer.finish().await.unwrap();
        store.close().await.unwrap();
    }
}
