//! `annals top`: the most expensive statements, and those that got slower.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::READING;
use super::args::{FilterArgs, History, ReadArgs, parse_time_ms};
use crate::domain::filter::QueryFilter;
use crate::domain::statistics::Durations;
use crate::domain::time::{Zone, parse_duration_ms};
use crate::store::{Group, GroupBy};

/// Show the most expensive statements
///
/// Statements that differ only in their values are counted together. Without --from, shows the last day of the history.
///
/// With --baseline, shows what got slower since an earlier period, the most certain first. The test of Mann and Whitney
/// compares the ranks of durations, so that a few slow runs do not decide. `confidence` is 1 less the chance that
/// nothing changed, times the number of groups that were compared. Groups with fewer than 8 runs in a period are not
/// compared.
#[derive(Debug, Args)]
pub struct TopArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// Count by statement, user, database or hour
    #[arg(long, value_enum, default_value = "statement")]
    by: By,
    /// The column to sort by, largest first
    #[arg(long, value_enum, default_value = "total-ms")]
    sort: Order,
    /// An earlier period to compare with: FROM..TO, or how much earlier, like 7d
    #[arg(long, value_name = "PERIOD")]
    baseline: Option<String>,
    /// Show at most this number of rows
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Statement,
    User,
    Db,
    Hour,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    TotalMs,
    Count,
    Errors,
    P50Ms,
    P95Ms,
    P99Ms,
    ScanRows,
    ScanBytes,
}

const DAY_MS: i64 = 86_400_000;

#[derive(Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    name: Option<String>,
    count: i64,
    errors: i64,
    total_ms: i64,
    p50_ms: Option<i64>,
    p95_ms: Option<i64>,
    p99_ms: Option<i64>,
    scan_rows: i64,
    scan_bytes: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<Baseline>,
}

#[derive(Serialize)]
struct Baseline {
    count: u64,
    p50_ms: Option<i64>,
    p95_ms: Option<i64>,
    /// From 0 to 1.
    confidence: Option<f64>,
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
        By::Hour => GroupBy::Hour(history.zone),
    };
    let (from_ms, to_ms) = (filter.from_ms, filter.to_ms);
    let groups = history.store.top(&filter, by, None).await.context(READING)?;
    let mut rows = if let Some(period) = &args.baseline {
        let (from_ms, to_ms) = earlier(period, &filter, history.zone)?;
        let filter = QueryFilter { from_ms: Some(from_ms), to_ms: Some(to_ms), ..filter };
        let baseline = history.store.top(&filter, by, None).await.context(READING)?;
        slower_first(groups, baseline)
    } else {
        largest_first(&groups, args.sort)
    };
    rows.truncate(args.limit);
    name_statements(&history, &mut rows).await?;
    if history.json {
        history.output.json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let is_compared = args.baseline.is_some();
    let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, is_compared)).collect();
    history.output.write(&history.output.table(&names(args.by, is_compared), &cells))?;
    if cells.is_empty() {
        eprintln!("annals: {}", nothing_found(from_ms, to_ms, is_compared, history.zone));
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the message for a period without rows.
fn nothing_found(
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    is_compared: bool,
    zone: Zone,
) -> String {
    let what = if is_compared { "nothing of the baseline ran again" } else { "no queries" };
    let time = |ms: i64| zone.format_ms(ms);
    match (from_ms, to_ms) {
        (Some(from), Some(to)) => format!("{what} from {} to {}", time(from), time(to)),
        (Some(from), None) => format!("{what} since {}", time(from)),
        (None, Some(to)) => format!("{what} before {}", time(to)),
        (None, None) => what.to_string(),
    }
}

/// Sets the period of a filter to the last day of the history.
async fn limit_to_last_day(history: &History, filter: &mut QueryFilter) -> anyhow::Result<()> {
    let span = history.store.span(None).await.context(READING)?;
    let Some((_, last_ms)) = span else { return Ok(()) };
    let end_ms = filter.to_ms.unwrap_or(i64::MAX).min(last_ms.saturating_add(1));
    filter.from_ms = Some(end_ms.saturating_sub(DAY_MS));
    filter.to_ms = Some(end_ms);
    Ok(())
}

/// Returns the groups that are in both periods, those that got slower with most confidence first.
fn slower_first(groups: Vec<Group>, baseline: Vec<Group>) -> Vec<Row> {
    let baseline: HashMap<_, Durations> = baseline
        .into_iter()
        .map(|group| ((group.fingerprint, group.name), group.durations))
        .collect();
    let compared: Vec<_> = groups
        .into_iter()
        .filter_map(|group| {
            let before = baseline.get(&(group.fingerprint, group.name.clone()))?;
            let chance = group.durations.slowdown_p_value(before);
            Some((row(&group), before, chance))
        })
        .collect();
    let tested = compared.iter().filter(|(.., chance)| chance.is_some()).count() as f64;
    let with_baseline = |(mut row, before, chance): (Row, &Durations, Option<f64>)| {
        row.baseline = Some(Baseline {
            count: before.count(),
            p50_ms: before.percentile(50),
            p95_ms: before.percentile(95),
            confidence: chance.map(|chance| (1.0 - chance * tested).max(0.0)),
        });
        row
    };
    let mut rows: Vec<Row> = compared.into_iter().map(with_baseline).collect();
    let confidence = |row: &Row| row.baseline.as_ref().and_then(|it| it.confidence).unwrap_or(-1.0);
    rows.sort_by(|a, b| {
        confidence(b)
            .total_cmp(&confidence(a))
            .then(b.total_ms.cmp(&a.total_ms))
            .then(a.name.cmp(&b.name))
    });
    rows
}

/// Returns the groups, those with the largest value in a column first.
fn largest_first(groups: &[Group], sort: Order) -> Vec<Row> {
    let value = |row: &Row| match sort {
        Order::TotalMs => row.total_ms,
        Order::Count => row.count,
        Order::Errors => row.errors,
        Order::P50Ms => row.p50_ms.unwrap_or(-1),
        Order::P95Ms => row.p95_ms.unwrap_or(-1),
        Order::P99Ms => row.p99_ms.unwrap_or(-1),
        Order::ScanRows => row.scan_rows,
        Order::ScanBytes => row.scan_bytes,
    };
    let mut rows: Vec<Row> = groups.iter().map(row).collect();
    rows.sort_by_cached_key(|row| (Reverse(value(row)), row.fingerprint.clone(), row.name.clone()));
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

fn names(by: By, is_compared: bool) -> Vec<&'static str> {
    let mut names = vec![
        "count", "errors", "total_ms", "p50_ms", "p95_ms", "p99_ms", "scan_rows", "scan_bytes",
    ];
    if is_compared {
        names.extend(["baseline_count", "baseline_p50_ms", "baseline_p95_ms", "confidence"]);
    }
    match by {
        By::Statement => names.extend(["fingerprint", "statement"]),
        By::User => names.push("user"),
        By::Db => names.push("db"),
        By::Hour => names.push("hour"),
    }
    names
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
        baseline: None,
    }
}

fn cells(row: &Row, is_compared: bool) -> Vec<String> {
    let known = |ms: Option<i64>| ms.map_or(String::new(), |ms| ms.to_string());
    let mut cells = vec![row.count.to_string(), row.errors.to_string(), row.total_ms.to_string()];
    cells.extend([row.p50_ms, row.p95_ms, row.p99_ms].map(known));
    cells.extend([row.scan_rows.to_string(), row.scan_bytes.to_string()]);
    if is_compared && let Some(baseline) = &row.baseline {
        cells.push(baseline.count.to_string());
        cells.extend([baseline.p50_ms, baseline.p95_ms].map(known));
        let confidence = baseline
            .confidence
            .map(|confidence| format!("{:.1}%", (confidence * 1000.0).floor() / 10.0));
        cells.push(confidence.unwrap_or_default());
    }
    cells.extend(row.fingerprint.clone());
    cells.push(row.name.clone().unwrap_or_default());
    cells
}

/// Returns the earlier period: written as FROM..TO, or as long as the later one and earlier by a duration.
fn earlier(period: &str, filter: &QueryFilter, zone: Zone) -> anyhow::Result<(i64, i64)> {
    if let Some((from, to)) = period.split_once("..") {
        return Ok((parse_time_ms(from, zone)?, parse_time_ms(to, zone)?));
    }
    let by_ms = parse_duration_ms(period).ok_or_else(|| {
        anyhow!("{period} is not a period; write one like 7d or 2024-08-01..2024-08-02")
    })?;
    let to_ms = filter.to_ms.unwrap_or_else(crate::domain::time::now_ms);
    let from_ms = filter.from_ms.unwrap_or(0);
    Ok((from_ms.saturating_sub(by_ms), to_ms.saturating_sub(by_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_without_rows_is_named() {
        let message = |from_ms, to_ms| nothing_found(from_ms, to_ms, false, Zone::UTC);
        let day = "no queries from 1970-01-01 00:00:00 to 1970-01-02 00:00:00";
        assert_eq!(message(Some(0), Some(DAY_MS)), day);
        assert_eq!(message(Some(0), None), "no queries since 1970-01-01 00:00:00");
        assert_eq!(message(None, Some(0)), "no queries before 1970-01-01 00:00:00");
        assert_eq!(message(None, None), "no queries");
        let compared = nothing_found(None, None, true, Zone::UTC);
        assert_eq!(compared, "nothing of the baseline ran again");
    }

    #[test]
    fn a_baseline_is_a_period_or_how_much_earlier_it_was() {
        let filter = QueryFilter {
            from_ms: Some(10 * DAY_MS),
            to_ms: Some(12 * DAY_MS),
            ..QueryFilter::default()
        };
        assert_eq!(earlier("7d", &filter, Zone::UTC).unwrap(), (3 * DAY_MS, 5 * DAY_MS));
        let named = earlier("1970-01-02..1970-01-03", &filter, Zone::UTC).unwrap();
        assert_eq!(named, (DAY_MS, 2 * DAY_MS));
        let error = earlier("last week", &filter, Zone::UTC).unwrap_err().to_string();
        assert!(error.contains("last week is not a period; write one like 7d"), "{error}");
    }
}
