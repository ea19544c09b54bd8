//! Counts the runs of a range, one at a time.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::hash::Hash;

use super::concurrency::{ConcurrencyStep, RunTimes};
use super::{ConcurrentRun, UsageCosts, UsageGroups, UsageOrder, UsageRow};
use crate::domain::filter::{ChosenText, QueryFilter};
use crate::domain::statement::Fingerprint;
use crate::domain::statistics::KnownSum;
use crate::store::statements::MAX_GROUPS;
use crate::store::timeline::Spans;

/// Lists of tables whose names are kept, and the bytes of the longest of them. Others are read again for each run.
const LISTS: usize = 10_000;
const LIST_BYTES: usize = 1024;

/// Returns the names of a list of tables, each once: if tables are chosen, those of them. `chosen` is what a list has of such a
/// table.
fn table_names(list: &str, chosen: &[String]) -> BTreeSet<String> {
    let is_chosen = |name: &String| {
        let list = format!(",{name},");
        chosen.is_empty() || chosen.iter().any(|it| list.contains(it))
    };
    let names = list.split(',').map(ChosenText::plain_table);
    names.filter(|name| !name.is_empty() && is_chosen(name)).collect()
}

/// What counting needs of a run.
pub(in crate::store) struct RunRow<'r> {
    pub query_id: &'r str,
    pub started_ms: i64,
    pub ended_ms: Option<i64>,
    pub duration_ms: Option<i64>,
    pub state: Option<&'r str>,
    pub is_failed: bool,
    pub user: Option<&'r str>,
    pub db: Option<&'r str>,
    /// Host and port.
    pub client: Option<&'r str>,
    pub cluster: Option<&'r str>,
    /// The list of tables, as the source writes it.
    pub tables: Option<&'r str>,
    pub fingerprint: Option<i64>,
    pub cpu_time_ms: Option<i64>,
    pub scan_bytes: Option<i64>,
    pub peak_memory_bytes: Option<i64>,
    /// What names a load: its label, or else its tables.
    pub load: Option<&'r str>,
}

/// The part of a run that is within a range.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Begin and end of the part; the end is the begin if the run took no time.
    start_ms: i64,
    end_ms: i64,
    /// How long the whole run took.
    whole_ms: i64,
    /// Whether the run started before the range.
    began_before: bool,
    is_running: bool,
    /// Whether the end of the run is known, or that it has none yet.
    has_end: bool,
}

impl Part {
    /// Returns the part of a run that is within a range; None if the run is outside.
    fn of(run: &RunRow<'_>, (from_ms, to_ms): (i64, i64)) -> Option<Part> {
        let is_running = run.ended_ms.is_none()
            && run.state.is_some_and(|state| state.eq_ignore_ascii_case("RUNNING"));
        let start_ms = run.started_ms;
        let end_ms = match run.duration_ms {
            _ if is_running => to_ms,
            Some(ms) => start_ms.saturating_add(ms),
            None => run.ended_ms.unwrap_or(start_ms),
        };
        let end_ms = end_ms.max(start_ms);
        // A run that took no time is in the range that has its start.
        let ends_within = end_ms > from_ms || start_ms == end_ms && start_ms >= from_ms;
        (start_ms < to_ms && ends_within).then(|| Part {
            start_ms: start_ms.max(from_ms),
            end_ms: end_ms.min(to_ms),
            whole_ms: end_ms.saturating_sub(start_ms),
            began_before: start_ms < from_ms,
            is_running,
            has_end: is_running || run.duration_ms.is_some() || run.ended_ms.is_some(),
        })
    }

    /// Returns how long the part is, if that is known.
    fn known_ms(self) -> Option<i64> {
        self.has_end.then(|| self.ms())
    }

    fn ms(self) -> i64 {
        self.end_ms.saturating_sub(self.start_ms)
    }

    /// Returns what of a value of the whole run falls into the part.
    fn of_value(self, value: Option<i64>) -> Option<i128> {
        let value = i128::from(value?);
        let (part_ms, whole_ms) = (i128::from(self.ms()), i128::from(self.whole_ms));
        Some(if part_ms >= whole_ms { value } else { value * part_ms / whole_ms })
    }
}

/// The sums of runs.
#[derive(Debug, Default, Clone)]
struct Costs {
    count: i64,
    began_before: i64,
    errors: i64,
    errors_began_before: i64,
    running_ms: KnownSum,
    cpu_time_ms: KnownSum,
    scan_bytes: KnownSum,
    peak_memory_bytes: Option<i64>,
}

impl Costs {
    fn add(&mut self, run: &RunRow<'_>, part: Part) {
        self.count += 1;
        self.began_before += i64::from(part.began_before);
        self.errors += i64::from(run.is_failed);
        self.errors_began_before += i64::from(run.is_failed && part.began_before);
        self.running_ms.add(part.known_ms());
        self.cpu_time_ms.add(part.of_value(run.cpu_time_ms));
        self.scan_bytes.add(part.of_value(run.scan_bytes));
        self.peak_memory_bytes = self.peak_memory_bytes.max(run.peak_memory_bytes);
    }

    fn bounded(&self) -> UsageCosts {
        // What nothing cost is known.
        let nothing = (self.count == 0).then_some(0);
        let sum = |sum: KnownSum| sum.bounded().or(nothing);
        UsageCosts {
            count: self.count,
            began_before: self.began_before,
            errors: self.errors,
            errors_began_before: self.errors_began_before,
            running_ms: sum(self.running_ms),
            cpu_time_ms: sum(self.cpu_time_ms),
            scan_bytes: sum(self.scan_bytes),
            peak_memory_bytes: self.peak_memory_bytes,
        }
    }
}

/// The costs of each group of one kind.
#[derive(Debug)]
struct Groups<K> {
    known: foldhash::HashMap<K, Costs>,
    /// Those of the runs whose group is unknown.
    unknown: Costs,
}

impl<K> Default for Groups<K> {
    fn default() -> Groups<K> {
        Groups { known: foldhash::HashMap::default(), unknown: Costs::default() }
    }
}

impl<K: Eq + Hash + Ord> Groups<K> {
    /// Returns the costs of a group, to add to.
    fn of<Q>(&mut self, key: Option<&Q>) -> &mut Costs
    where
        Q: ?Sized + Eq + Hash + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        let Some(key) = key else { return &mut self.unknown };
        // Most runs are of a group that is known, and need no copy of its name.
        if self.known.contains_key(key) {
            return self.known.get_mut(key).unwrap_or(&mut self.unknown);
        }
        self.known.entry(key.to_owned()).or_default()
    }

    /// Returns the groups that cost most, compared with the same groups of a baseline. `row` names them.
    fn rows(
        &self,
        baseline: Option<&Groups<K>>,
        (order, limit): (UsageOrder, usize),
        row: impl Fn(&K) -> UsageRow,
    ) -> UsageGroups {
        let known = self.known.iter().map(|(key, costs)| (Some(key), costs));
        let unknown = (self.unknown.count > 0).then_some((None, &self.unknown));
        let groups = known.chain(unknown).map(|(key, costs)| (key, costs.bounded()));
        let mut groups: Vec<_> = groups.collect();
        // Of groups that cost the same, the unknown one is last.
        groups
            .sort_by_cached_key(|(key, costs)| (Reverse(order.value(costs)), key.is_none(), *key));
        let count = groups.len();
        groups.truncate(limit);
        let before = |key: Option<&K>| {
            let groups = baseline?;
            let costs = key.map_or(Some(&groups.unknown), |key| groups.known.get(key));
            Some(costs.unwrap_or(&Costs::default()).bounded())
        };
        let rows = groups.into_iter().map(|(key, now)| {
            let named = key.map(&row).unwrap_or_default();
            UsageRow { now, before: before(key), ..named }
        });
        UsageGroups { groups: count, rows: rows.collect() }
    }
}

/// Counts the runs of a range. The memory grows with the number of runs by some bytes for each, and with the number of groups.
pub(in crate::store) struct UsageCounting {
    range: (i64, i64),
    total: Costs,
    still_running: i64,
    users: Groups<String>,
    dbs: Groups<String>,
    tables: Groups<String>,
    clients: Groups<String>,
    clusters: Groups<String>,
    statements: Groups<i64>,
    /// What a list has of the tables that count, if not all of them do.
    chosen_tables: Vec<String>,
    /// The names of each list of tables, which many runs share.
    lists: foldhash::HashMap<String, BTreeSet<String>>,
    times: RunTimes,
    costliest: Option<Costliest>,
}

/// The runs beside one query that cost most.
struct Costliest {
    /// The query, which is none of them.
    query_id: String,
    limit: usize,
    /// The costliest first.
    runs: Vec<ConcurrentRun>,
}

/// Groups by kind, as reports show them.
pub(in crate::store) struct Grouped {
    pub total: UsageRow,
    pub users: UsageGroups,
    pub dbs: UsageGroups,
    pub tables: UsageGroups,
    pub clients: UsageGroups,
    pub clusters: UsageGroups,
    pub statements: UsageGroups,
}

impl UsageCounting {
    /// Begins to count the runs of a filter in a range, from its begin up to its end.
    pub(in crate::store) fn new(range: (i64, i64), filter: &QueryFilter) -> UsageCounting {
        let tables = filter.table.any_of.iter();
        UsageCounting {
            range,
            total: Costs::default(),
            still_running: 0,
            users: Groups::default(),
            dbs: Groups::default(),
            tables: Groups::default(),
            clients: Groups::default(),
            clusters: Groups::default(),
            statements: Groups::default(),
            chosen_tables: tables.flat_map(|name| ChosenText::table_in_list(name)).collect(),
            lists: foldhash::HashMap::default(),
            times: RunTimes::default(),
            costliest: None,
        }
    }

    /// Begins to count the runs beside a query. The `limit` costliest of them are listed.
    pub(in crate::store) fn beside(
        query_id: &str,
        range: (i64, i64),
        limit: usize,
    ) -> UsageCounting {
        let costliest = Costliest { query_id: query_id.to_string(), limit, runs: Vec::new() };
        UsageCounting {
            costliest: Some(costliest),
            ..UsageCounting::new(range, &QueryFilter::default())
        }
    }

    /// Returns the begin and the end of the range.
    pub(in crate::store) fn range(&self) -> (i64, i64) {
        self.range
    }

    /// Adds a run. Ignores a run outside the range. Returns false once there are too many groups.
    pub(in crate::store) fn add(&mut self, run: &RunRow<'_>) -> bool {
        let Some(mut part) = Part::of(run, self.range) else { return true };
        if let Some(costliest) = &mut self.costliest {
            if costliest.query_id == run.query_id {
                return true;
            }
            // A list behind the start of the query has neither the query nor what started with it.
            part.began_before = part.start_ms == self.range.0;
            costliest.add(run, part);
        }
        self.still_running += i64::from(part.is_running);
        self.times.add(part.start_ms, part.end_ms);
        self.total.add(run, part);
        self.users.of(run.user).add(run, part);
        self.dbs.of(run.db).add(run, part);
        self.clients.of(run.client.map(ChosenText::host)).add(run, part);
        self.clusters.of(run.cluster).add(run, part);
        self.statements.of(run.fingerprint.as_ref()).add(run, part);
        self.add_tables(run, part);
        self.has_few_groups()
    }

    fn add_tables(&mut self, run: &RunRow<'_>, part: Part) {
        let list = run.tables.unwrap_or_default();
        let read;
        let names = match self.lists.get(list) {
            Some(names) => names,
            None if list.len() <= LIST_BYTES && self.lists.len() < LISTS => self
                .lists
                .entry(list.to_string())
                .or_insert_with(|| table_names(list, &self.chosen_tables)),
            None => {
                read = table_names(list, &self.chosen_tables);
                &read
            }
        };
        if names.is_empty() {
            self.tables.unknown.add(run, part);
        }
        for name in names {
            self.tables.of(Some(name.as_str())).add(run, part);
        }
    }

    /// Returns whether there are no more groups than a report may have.
    pub(in crate::store) fn has_few_groups(&self) -> bool {
        let named = [&self.users, &self.dbs, &self.tables, &self.clients, &self.clusters];
        let named: usize = named.iter().map(|it| it.known.len()).sum();
        named + self.statements.known.len() <= MAX_GROUPS
    }

    /// Returns how many runs still run.
    pub(in crate::store) fn still_running(&self) -> i64 {
        self.still_running
    }

    /// Returns the groups that cost most, compared with those of a baseline. Statements have no names yet. Without an order, the
    /// groups are sorted by CPU time if it is known, or else by time.
    pub(in crate::store) fn grouped(
        &self,
        baseline: Option<&UsageCounting>,
        order: Option<UsageOrder>,
        limit: usize,
    ) -> Grouped {
        let now = self.total.bounded();
        let order = order.unwrap_or(match now.cpu_time_ms > Some(0) {
            true => UsageOrder::CpuTime,
            false => UsageOrder::Running,
        });
        let named = |name: &String| UsageRow { name: Some(name.clone()), ..UsageRow::default() };
        let of = |groups: fn(&UsageCounting) -> &Groups<String>| {
            groups(self).rows(baseline.map(groups), (order, limit), named)
        };
        let statements = baseline.map(|baseline| &baseline.statements);
        Grouped {
            total: UsageRow {
                now,
                before: baseline.map(|baseline| baseline.total.bounded()),
                ..UsageRow::default()
            },
            users: of(|counting| &counting.users),
            dbs: of(|counting| &counting.dbs),
            tables: of(|counting| &counting.tables),
            clients: of(|counting| &counting.clients),
            clusters: of(|counting| &counting.clusters),
            statements: self.statements.rows(statements, (order, limit), |fingerprint| UsageRow {
                fingerprint: Some(Fingerprint::from_signed(*fingerprint)),
                ..UsageRow::default()
            }),
        }
    }

    /// Returns how many runs there were at once in each step, and the costliest runs beside a query.
    pub(in crate::store) fn finish(
        self,
        spans: Spans,
    ) -> (Vec<ConcurrencyStep>, Vec<ConcurrentRun>) {
        let costliest = self.costliest.map(|costliest| costliest.runs).unwrap_or_default();
        (self.times.steps(spans, self.range), costliest)
    }
}

impl Costliest {
    fn add(&mut self, run: &RunRow<'_>, part: Part) {
        let overlap_cpu_ms = part.of_value(run.cpu_time_ms);
        let overlap_cpu_ms = overlap_cpu_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        let key = |cpu_ms: Option<i64>, ms: i64, query_id: &str| {
            (Reverse(cpu_ms), Reverse(ms), query_id.to_string())
        };
        let is_full = self.runs.len() >= self.limit;
        let is_less = |last: &ConcurrentRun| {
            (overlap_cpu_ms, part.ms()) < (last.overlap_cpu_ms, last.overlap_ms)
        };
        if is_full && self.runs.last().is_none_or(is_less) {
            return;
        }
        let own = key(overlap_cpu_ms, part.ms(), run.query_id);
        let at = self.runs.partition_point(|other| {
            key(other.overlap_cpu_ms, other.overlap_ms, &other.query_id) < own
        });
        let text = |text: Option<&str>| text.map(str::to_string);
        self.runs.insert(
            at,
            ConcurrentRun {
                query_id: run.query_id.to_string(),
                user: text(run.user),
                db: text(run.db),
                client: text(run.client),
                state: text(run.state),
                is_failed: run.is_failed,
                started_ms: run.started_ms,
                duration_ms: run.duration_ms,
                overlap_ms: part.ms(),
                overlap_cpu_ms,
                cpu_time_ms: run.cpu_time_ms,
                scan_bytes: run.scan_bytes,
                peak_memory_bytes: run.peak_memory_bytes,
                fingerprint: run.fingerprint.map(Fingerprint::from_signed),
                normalized: None,
                load: text(run.load),
            },
        );
        self.runs.truncate(self.limit);
    }
}
