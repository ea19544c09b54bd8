//! `annals top`: the most expensive statements.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::READING;
use super::args::{FilterArgs, History, ReadArgs, in_range, number, parse_count};
use super::output::Shown;
use crate::domain::filter::QueryFilter;
use crate::domain::readable::counted;
use crate::store::{Group, GroupBy, Reader};

/// Show the most expensive statements
///
/// Statements that differ only in their values are counted together. A load without a statement counts only by
/// user, database, cluster and hour. Percentiles are of runs that did not fail. Without --from, shows the last day of the history.
#[derive(Debug, Args)]
pub struct TopArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// Count by statement, user, database, cluster or hour
    #[arg(long, value_enum, default_value = "statement")]
    by: By,
    /// The column to sort by, largest first
    #[arg(long, value_enum, default_value = "total-ms")]
    sort: Order,
    /// Show at most this number of rows
    #[arg(long, short = 'n', default_value_t = 20, value_parser = parse_count)]
    limit: u32,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Statement,
    User,
    Db,
    Cluster,
    Hour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    TotalMs,
    Count,
    Errors,
    P50Ms,
    P95Ms,
    P99Ms,
    ScanRows,
    ScanBytes,
    CpuTimeMs,
    PeakMemoryBytes,
    ReturnRows,
    SpillWriteBytes,
    QueueTimeMs,
    PlanningTimeMs,
    MaxMs,
    Variation,
}

const DAY_MS: i64 = 86_400_000;

#[derive(Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    name: Option<String>,
    count: i64,
    errors: i64,
    total_ms: Option<i64>,
    p50_ms: Option<i64>,
    p95_ms: Option<i64>,
    p99_ms: Option<i64>,
    scan_rows: Option<i64>,
    scan_bytes: Option<i64>,
    cpu_time_ms: Option<i64>,
    peak_memory_bytes: Option<i64>,
    return_rows: Option<i64>,
    spill_write_bytes: Option<i64>,
    queue_time_ms: Option<i64>,
    planning_time_ms: Option<i64>,
    max_ms: Option<i64>,
    /// How many times the median the 95th percentile is.
    variation: Option<f64>,
}

/// Runs the command.
pub async fn run(args: TopArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open().await?;
    let mut filter = args.filters.filter(history.zone, u32::MAX)?;
    if filter.from_ms.is_none() {
        limit_to_last_day(&history, &mut filter).await?;
    }
    let by = match args.by {
        By::Statement => GroupBy::Statement,
        By::User => GroupBy::User,
        By::Db => GroupBy::Db,
        By::Cluster => GroupBy::Cluster,
        By::Hour => GroupBy::Hour(history.zone),
    };
    let groups = history.store.top(&filter, by, Reader::default()).await.context(READING)?;
    let mut rows = largest_first(&groups, args.sort);
    rows.truncate(args.limit as usize);
    name_statements(&history, &mut rows).await?;
    if history.json {
        history.output.json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = args.sort.columns();
    let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(&columns, row)).collect();
    let names = names(&columns, args.by);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let sorted = args.sort.name();
    let first = names.iter().position(|name| *name == sorted).into_iter().collect();
    // What the rows are counted by is never cut. Of a statement, the fingerprint is there.
    let last_chars = if matches!(args.by, By::Statement) { 0 } else { u16::MAX };
    let shown = Shown { first, last_chars, ..Shown::default() };
    history.output.write(&history.output.table(&names, &cells, &shown))?;
    let runs = groups.iter().map(|group| group.count).sum();
    let what = match (runs, args.by) {
        (0, _) if !history.has_any(&filter).await? => {
            return history.say_nothing_found(&filter).await;
        }
        (0, _) => "no run with a statement".to_string(),
        (runs, By::Statement) => counted(runs, "run with a statement", "runs with a statement"),
        (runs, _) => counted(runs, "run", "runs"),
    };
    eprintln!("annals: {what}{}", in_range((filter.from_ms, filter.to_ms), history.zone));
    Ok(ExitCode::SUCCESS)
}

/// Sets the period of a filter to the last day of the history.
async fn limit_to_last_day(history: &History, filter: &mut QueryFilter) -> anyhow::Result<()> {
    let span = history.store.span(Reader::default()).await.context(READING)?;
    let Some((_, last_ms)) = span else { return Ok(()) };
    let end_ms = filter.to_ms.unwrap_or(i64::MAX).min(last_ms.saturating_add(1));
    filter.from_ms = Some(end_ms.saturating_sub(DAY_MS));
    filter.to_ms = Some(end_ms);
    Ok(())
}

impl Order {
    /// The columns that are always shown.
    const SHOWN: [Order; 11] = [
        Order::Count,
        Order::Errors,
        Order::TotalMs,
        Order::P50Ms,
        Order::P95Ms,
        Order::P99Ms,
        Order::ScanRows,
        Order::ScanBytes,
        Order::CpuTimeMs,
        Order::QueueTimeMs,
        Order::PeakMemoryBytes,
    ];

    /// Returns the columns of a list in this order: also the one that it is sorted by.
    fn columns(self) -> Vec<Order> {
        let own = (!Order::SHOWN.contains(&self)).then_some(self);
        Order::SHOWN.into_iter().chain(own).collect()
    }

    /// Returns the name of the column.
    fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().replace('-', "_"))
    }

    /// Returns the value of the column; of the variation, its thousandths.
    fn value(self, row: &Row) -> Option<i64> {
        match self {
            Order::TotalMs => row.total_ms,
            Order::Count => Some(row.count),
            Order::Errors => Some(row.errors),
            Order::P50Ms => row.p50_ms,
            Order::P95Ms => row.p95_ms,
            Order::P99Ms => row.p99_ms,
            Order::MaxMs => row.max_ms,
            Order::ScanRows => row.scan_rows,
            Order::ScanBytes => row.scan_bytes,
            Order::CpuTimeMs => row.cpu_time_ms,
            Order::PeakMemoryBytes => row.peak_memory_bytes,
            Order::ReturnRows => row.return_rows,
            Order::SpillWriteBytes => row.spill_write_bytes,
            Order::QueueTimeMs => row.queue_time_ms,
            Order::PlanningTimeMs => row.planning_time_ms,
            Order::Variation => row.variation.map(|times| (times * 1000.0) as i64),
        }
    }

    /// Returns the value of the column as a text.
    fn text(self, row: &Row) -> String {
        match self {
            Order::Variation => row.variation.map_or(String::new(), |times| format!("{times:.1}")),
            _ => number(self.value(row)),
        }
    }
}

/// Returns the groups, those with the largest value in a column first. Unknown values come last.
fn largest_first(groups: &[Group], sort: Order) -> Vec<Row> {
    let mut rows: Vec<Row> = groups.iter().map(row).collect();
    rows.sort_by_cached_key(|row| {
        (Reverse(sort.value(row)), row.fingerprint.clone(), row.name.clone())
    });
    rows
}

/// Sets the names of rows with a fingerprint to their normalized statements.
async fn name_statements(history: &History, rows: &mut [Row]) -> anyhow::Result<()> {
    let fingerprints: HashSet<_> =
        rows.iter().filter_map(|row| row.fingerprint.as_deref()?.parse().ok()).collect();
    let statements = history.store.normalized_statements(&fingerprints).await.context(READING)?;
    for row in rows {
        if let Some(fingerprint) = &row.fingerprint {
            let fingerprint = fingerprint.parse().ok();
            row.name = fingerprint.and_then(|it| statements.get(&it).cloned());
        }
    }
    Ok(())
}

fn names(columns: &[Order], by: By) -> Vec<String> {
    let (id, name) = match by {
        By::Statement => (Some("fingerprint"), "statement"),
        By::User => (None, "user"),
        By::Db => (None, "db"),
        By::Cluster => (None, "cluster"),
        By::Hour => (None, "hour"),
    };
    let values = columns.iter().map(|column| column.name());
    id.map(str::to_string).into_iter().chain(values).chain([name.to_string()]).collect()
}

fn row(group: &Group) -> Row {
    Row {
        fingerprint: group.fingerprint.map(|fingerprint| fingerprint.to_string()),
        name: group.name.clone(),
        count: group.count,
        errors: group.errors,
        total_ms: group.total_ms,
        p50_ms: group.durations.percentile(50),
        p95_ms: group.durations.percentile(95),
        p99_ms: group.durations.percentile(99),
        scan_rows: group.scan_rows,
        scan_bytes: group.scan_bytes,
        cpu_time_ms: group.cpu_time_ms,
        peak_memory_bytes: group.peak_memory_bytes,
        return_rows: group.return_rows,
        spill_write_bytes: group.spill_write_bytes,
        queue_time_ms: group.queue_time_ms,
        planning_time_ms: group.planning_time_ms,
        max_ms: group.durations.longest(),
        variation: group.variation(),
    }
}

fn cells(columns: &[Order], row: &Row) -> Vec<String> {
    let values = columns.iter().map(|column| column.text(row));
    row.fingerprint
        .clone()
        .into_iter()
        .chain(values)
        .chain([row.name.clone().unwrap_or_default()])
        .collect()
}
