//! Queries in groups: by normalized statement, user, database, cluster or hour.

use crate::domain::filter::QueryFilter;
use crate::domain::statement::Fingerprint;
use crate::domain::statistics::{Durations, KnownSum};
use crate::domain::time::Zone;

use super::hours::{HOUR_MS, HourNames, HourSummary};
use super::timeline::Counted;

/// Offsets of time zones are whole quarters of an hour.
pub(super) const QUARTER_MS: i64 = 900_000;

/// What queries are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupBy {
    /// The fingerprint of the statement.
    Statement,
    User,
    Db,
    Cluster,
    /// The hour of the start, on the clock of a time zone.
    Hour(Zone),
}

impl GroupBy {
    /// Whether all queries of an hour since 1970 with the same keys are in one group.
    pub(super) fn has_whole_hour(self, hour: i64) -> bool {
        match self {
            GroupBy::Hour(zone) => zone.has_whole_hour(hour.saturating_mul(HOUR_MS)),
            _ => true,
        }
    }
}

/// The queries of one group.
#[derive(Debug, Default, Clone)]
pub(crate) struct Group {
    /// The fingerprint, if the groups are by statement.
    pub fingerprint: Option<Fingerprint>,
    /// The user, the database, the cluster or the hour; `None` for queries whose source did not report it.
    pub name: Option<String>,
    /// Number of queries.
    pub count: i64,
    /// Queries that failed.
    pub errors: i64,
    /// Sum of the durations, in milliseconds. This sum and those below are of the known values; None if no query has one.
    pub total_ms: Option<i64>,
    /// The known durations of queries that did not fail: how long a query takes that fails says nothing of the others.
    pub durations: Durations,
    /// Rows scanned.
    pub scan_rows: Option<i64>,
    /// Bytes scanned.
    pub scan_bytes: Option<i64>,
    /// CPU time of all backends, in milliseconds.
    pub cpu_time_ms: Option<i64>,
    /// Rows that clients got.
    pub return_rows: Option<i64>,
    /// Bytes written to disk because memory was short.
    pub spill_write_bytes: Option<i64>,
    /// Time in the queues of workload groups, in milliseconds.
    pub queue_time_ms: Option<i64>,
    /// Time until the backends had the fragments, without the queue, in milliseconds.
    pub planning_time_ms: Option<i64>,
    /// The largest peak memory of a query.
    pub peak_memory_bytes: Option<i64>,
    /// Quarters of an hour in which a query started, about: one that comes late counts again.
    pub quarters: i64,
    /// A number for each user, if the groups are by statement.
    pub users: foldhash::HashSet<usize>,
    /// The first start.
    pub first_ms: Option<i64>,
    /// The last start.
    pub last_ms: Option<i64>,
}

impl Group {
    /// Returns how many times the median the 95th percentile of the durations is; none without a median of a millisecond or
    /// more, or with few runs, which say nothing of how durations vary.
    pub(crate) fn variation(&self) -> Option<f64> {
        let median_ms = self.durations.percentile(50).filter(|ms| *ms > 0)?;
        let p95_ms = self.durations.percentile(95).filter(|_| self.count >= VARIATION_RUNS)?;
        Some(p95_ms as f64 / median_ms as f64)
    }
}

/// With fewer runs, the variation is unknown.
const VARIATION_RUNS: i64 = 8;

/// Puts queries into groups, one at a time. The memory grows with the number of groups and of different
/// durations, not with the number of queries.
pub(super) struct Grouping {
    by: GroupBy,
    groups: Vec<(Group, Sums)>,
    fingerprints: foldhash::HashMap<i64, usize>,
    names: Numbers,
    unnamed: Option<usize>,
    users: Numbers,
    /// The quarter of an hour of the last query, and the name of its hour.
    hour: (i64, String),
}

/// The sums of a group that is not complete.
#[derive(Debug, Default)]
struct Sums {
    total_ms: KnownSum,
    columns: [KnownSum; SUMMED.len()],
    /// The quarter of an hour of the last query.
    quarter: Option<i64>,
    /// The hour of the last queries of an hour, and a bit for each of its quarters that is counted.
    hour: (i64, u8),
}

impl Sums {
    /// Returns how many quarters of an hour are new to the group.
    fn new_quarters(&mut self, quarters: Quarters, first_ms: Option<i64>) -> i64 {
        match quarters {
            Quarters::Number(number) => number,
            Quarters::First => {
                let quarter = first_ms.map(|ms| ms.div_euclid(QUARTER_MS));
                i64::from(std::mem::replace(&mut self.quarter, quarter) != quarter)
            }
            Quarters::OfHour { hour, bits } => {
                let counted = if self.hour.0 == hour { self.hour.1 } else { 0 };
                self.hour = (hour, counted | bits);
                i64::from((bits & !counted).count_ones())
            }
        }
    }
}

/// The columns that are summed beside durations.
pub(super) const SUMMED: [&str; 9] = [
    "scan_rows", "scan_bytes", "cpu_time_ms", "return_rows", "spill_write_bytes", "queue_time_ms",
    "parse_time_ms", "plan_time_ms", "schedule_time_ms",
];

/// Queries of the same keys.
pub(super) struct Alike<'a> {
    pub count: i64,
    /// Queries that failed.
    pub errors: i64,
    /// The known durations of queries that did not fail, each with the number of its occurrences.
    pub durations: &'a [(i64, u64)],
    /// The same of failed queries.
    pub failed_durations: &'a [(i64, u64)],
    /// The sums of [`SUMMED`], None where no query has a value.
    pub sums: [Option<i128>; SUMMED.len()],
    /// The largest peak memory.
    pub peak_memory_bytes: Option<i64>,
    pub quarters: Quarters,
    /// The first and the last start. Both are in the same hour if the groups are by hour.
    pub first_ms: Option<i64>,
    pub last_ms: Option<i64>,
}

impl Alike<'_> {
    /// Returns the known durations, also of queries that failed, each with the number of its occurrences.
    pub(super) fn all_durations(&self) -> impl Iterator<Item = (i64, u64)> {
        self.durations.iter().chain(self.failed_durations).copied()
    }
}

/// In which quarters of an hour the queries started.
#[derive(Debug, Clone, Copy)]
pub(super) enum Quarters {
    /// In that of the first start.
    First,
    /// In so many, in which no other query of the group started.
    Number(i64),
    /// In those of an hour since 1970 that have a bit.
    OfHour { hour: i64, bits: u8 },
}

/// What one query cost beside its duration.
pub(super) struct Costs {
    /// The values of [`SUMMED`].
    pub summed: [Option<i64>; SUMMED.len()],
    pub peak_memory_bytes: Option<i64>,
}

/// The columns of a query that groups are made by.
pub(super) struct Keys<'a> {
    pub fingerprint: Option<i64>,
    pub user: Option<&'a str>,
    pub db: Option<&'a str>,
    pub cluster: Option<&'a str>,
}

impl Grouping {
    pub(super) fn new(by: GroupBy) -> Grouping {
        Grouping {
            by,
            groups: Vec::new(),
            fingerprints: foldhash::HashMap::default(),
            names: Numbers::default(),
            unnamed: None,
            users: Numbers::default(),
            hour: (i64::MIN, String::new()),
        }
    }

    /// Adds a query to its group. Ignores a query that has no fingerprint, or no start, if the groups are
    /// by it.
    pub(super) fn add(&mut self, query: &Counted, costs: Costs, keys: &Keys<'_>) {
        let duration = query.duration_ms.map(|ms| (ms, 1));
        let (durations, failed_durations) = match query.errors {
            0 => (duration.as_slice(), &[][..]),
            _ => (&[][..], duration.as_slice()),
        };
        let alike = Alike {
            count: 1,
            errors: query.errors,
            durations,
            failed_durations,
            sums: costs.summed.map(|value| value.map(i128::from)),
            peak_memory_bytes: costs.peak_memory_bytes,
            quarters: Quarters::First,
            first_ms: query.started_ms,
            last_ms: query.started_ms,
        };
        self.add_alike(&alike, keys, keys.user);
    }

    /// The same for several queries. `users` are their users, each at least once; they count if the groups are by statement.
    pub(super) fn add_alike<'u>(
        &mut self,
        queries: &Alike<'_>,
        keys: &Keys<'_>,
        users: impl IntoIterator<Item = &'u str>,
    ) {
        let position = match self.by {
            GroupBy::Statement => keys.fingerprint.map(|it| self.of_fingerprint(it)),
            GroupBy::User => Some(self.of_name(keys.user)),
            GroupBy::Db => Some(self.of_name(keys.db)),
            GroupBy::Cluster => Some(self.of_name(keys.cluster)),
            GroupBy::Hour(zone) => queries.first_ms.map(|ms| self.of_hour(zone, ms)),
        };
        let Some((group, sums)) = position.and_then(|at| self.groups.get_mut(at)) else { return };
        group.count += queries.count;
        group.errors += queries.errors;
        for (ms, times) in queries.all_durations() {
            sums.total_ms.add(Some(i128::from(ms) * i128::from(times)));
        }
        queries.durations.iter().for_each(|(ms, times)| group.durations.add(*ms, *times));
        sums.columns.iter_mut().zip(queries.sums).for_each(|(sum, value)| sum.add(value));
        group.peak_memory_bytes = queries.peak_memory_bytes.max(group.peak_memory_bytes);
        group.quarters += sums.new_quarters(queries.quarters, queries.first_ms);
        group.first_ms = queries.first_ms.into_iter().chain(group.first_ms).min();
        group.last_ms = queries.last_ms.max(group.last_ms);
        if self.by == GroupBy::Statement {
            for user in users {
                group.users.insert(number_of(&mut self.users, user));
            }
        }
    }

    /// Adds the queries of an hour that a filter chooses and the owner may see.
    pub(super) fn add_hour(
        &mut self,
        hour: i64,
        summary: &HourSummary,
        (filter, owner): (&QueryFilter, Option<&str>),
    ) {
        for (group, HourNames { user, db, cluster }) in summary.groups(filter, owner) {
            let durations = group.durations();
            let keys = Keys { fingerprint: group.fingerprint, user, db, cluster };
            self.add_alike(&group.alike(hour, &durations), &keys, user);
        }
    }

    /// Returns the number of groups.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Returns the groups, in no order.
    pub(super) fn into_groups(self) -> Vec<Group> {
        let groups = self.groups.into_iter().map(|(mut group, sums)| {
            group.durations.compact();
            group.total_ms = sums.total_ms.bounded();
            let [scan_rows, scan_bytes, cpu, rows, spilled, queue, parse, plan, schedule] =
                sums.columns;
            group.scan_rows = scan_rows.bounded();
            group.scan_bytes = scan_bytes.bounded();
            group.cpu_time_ms = cpu.bounded();
            group.return_rows = rows.bounded();
            group.spill_write_bytes = spilled.bounded();
            group.queue_time_ms = queue.bounded();
            group.planning_time_ms = parse.and(plan).and(schedule).bounded();
            group
        });
        groups.collect()
    }

    fn of_fingerprint(&mut self, fingerprint: i64) -> usize {
        *self.fingerprints.entry(fingerprint).or_insert_with(|| {
            let fingerprint = Some(Fingerprint::from_signed(fingerprint));
            self.groups.push((Group { fingerprint, ..Group::default() }, Sums::default()));
            self.groups.len() - 1
        })
    }

    fn of_name(&mut self, name: Option<&str>) -> usize {
        let known = name.map_or(self.unnamed, |name| self.names.get(name).copied());
        known.unwrap_or_else(|| {
            let at = self.groups.len();
            match name {
                Some(name) => {
                    self.names.insert(name.to_string(), at);
                }
                None => self.unnamed = Some(at),
            }
            let name = name.map(str::to_string);
            self.groups.push((Group { name, ..Group::default() }, Sums::default()));
            at
        })
    }

    fn of_hour(&mut self, zone: Zone, started_ms: i64) -> usize {
        // Queries come mostly by start.
        let quarter = started_ms.div_euclid(QUARTER_MS);
        if quarter != self.hour.0 {
            let start = zone.format_ms(quarter.saturating_mul(QUARTER_MS));
            self.hour = (quarter, format!("{}:00", start.get(..13).unwrap_or("N/A")));
        }
        let name = std::mem::take(&mut self.hour.1);
        let at = self.of_name(Some(&name));
        self.hour.1 = name;
        at
    }
}

/// A number for each name. The hash of the standard library took an eighth of the time of grouping.
type Numbers = foldhash::HashMap<String, usize>;

/// Returns the number of a name, the next one for a new name.
fn number_of(numbers: &mut Numbers, name: &str) -> usize {
    match numbers.get(name) {
        Some(number) => *number,
        None => {
            let number = numbers.len();
            numbers.insert(name.to_string(), number);
            number
        }
    }
}
