//! `annals top`: what costs most, and what got slower.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::args::{Filters, ReadError, Reading, time};
use crate::domain::filter::QueryFilter;
use crate::domain::statistics::Durations;
use crate::domain::time::parse_duration_ms;
use crate::store::{Group, GroupBy};

/// Show what costs most: statements that differ only in their values, together
///
/// Without --from, of the last day that the history holds. With --baseline, what got slower than in an earlier
/// period, the surest first: the test of Mann and Whitney compares the ranks of durations, so that a few slow
/// runs do not decide it, and `confidence` is 1 less the chance that nothing changed, times the number of groups
/// that were compared. Fewer than 8 runs in a period are not compared.
#[derive(Debug, Args)]
pub struct TopArgs {
    #[command(flatten)]
    filters: Filters,
    /// What is put together
    #[arg(long, value_enum, default_value = "statement")]
    by: By,
    /// What there is most of comes first
    #[arg(long, value_enum, default_value = "total-ms")]
    sort: Order,
    /// An earlier period to compare with: FROM..TO, or by how much earlier, like 7d
    #[arg(long, value_name = "PERIOD")]
    baseline: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    reading: Reading,
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
pub async fn run(args: TopArgs) -> Result<ExitCode, ReadError> {
    let history = args.reading.open().await?;
    let mut filter = args.filters.filter(history.zone, u32::MAX)?;
    if filter.from_ms.is_none() {
        let last_ms = history.store.span(None).await?.map_or(0, |(_, last_ms)| last_ms);
        let end_ms = filter.to_ms.unwrap_or(i64::MAX).min(last_ms.saturating_add(1));
        filter.from_ms = Some(end_ms.saturating_sub(DAY_MS));
        filter.to_ms = Some(end_ms);
    }
    let by = match args.by {
        By::Statement => GroupBy::Statement,
        By::User => GroupBy::User,
        By::Db => GroupBy::Db,
        By::Hour => GroupBy::Hour(history.zone),
    };
    let groups = history.store.top(&filter, by, None).await?;
    let mut rows: Vec<Row> = Vec::new();
    if let Some(period) = &args.baseline {
        let (from_ms, to_ms) = earlier(period, &filter, history.zone)?;
        let filter = QueryFilter { from_ms: Some(from_ms), to_ms: Some(to_ms), ..filter };
        let earlier = history.store.top(&filter, by, None).await?;
        let earlier: HashMap<_, Durations> = earlier
            .into_iter()
            .map(|group| ((group.fingerprint, group.name), group.durations))
            .collect();
        let compared: Vec<_> = groups
            .into_iter()
            .filter_map(|group| {
                let before = earlier.get(&(group.fingerprint, group.name.clone()))?;
                let chance = group.durations.chance_of_longer(before);
                Some((row(&group), before, chance))
            })
            .collect();
        let tested = compared.iter().filter(|(.., chance)| chance.is_some()).count() as f64;
        rows.extend(compared.into_iter().map(|(mut row, before, chance)| {
            row.baseline = Some(Baseline {
                count: before.count(),
                p50_ms: before.percentile(50),
                p95_ms: before.percentile(95),
                confidence: chance.map(|chance| (1.0 - chance * tested).max(0.0)),
            });
            row
        }));
        let confidence =
            |row: &Row| row.baseline.as_ref().and_then(|it| it.confidence).unwrap_or(-1.0);
        rows.sort_by(|a, b| {
            confidence(b)
                .total_cmp(&confidence(a))
                .then(b.total_ms.cmp(&a.total_ms))
                .then(a.name.cmp(&b.name))
        });
    } else {
        rows.extend(groups.iter().map(row));
        let most = |row: &Row| match args.sort {
            Order::TotalMs => row.total_ms,
            Order::Count => row.count,
            Order::Errors => row.errors,
            Order::P50Ms => row.p50_ms.unwrap_or(-1),
            Order::P95Ms => row.p95_ms.unwrap_or(-1),
            Order::P99Ms => row.p99_ms.unwrap_or(-1),
            Order::ScanRows => row.scan_rows,
            Order::ScanBytes => row.scan_bytes,
        };
        rows.sort_by_cached_key(|row| {
            (Reverse(most(row)), row.fingerprint.clone(), row.name.clone())
        });
    }
    rows.truncate(args.limit);
    let fingerprints: HashSet<_> =
        rows.iter().filter_map(|row| row.fingerprint.as_deref()?.parse().ok()).collect();
    let shapes = history.store.normalized_statements(&fingerprints).await?;
    for row in &mut rows {
        if let Some(fingerprint) = &row.fingerprint {
            let fingerprint = fingerprint.parse().ok();
            row.name = fingerprint.and_then(|it| shapes.get(&it).cloned());
        }
    }
    if history.json {
        history.output.json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let is_compared = args.baseline.is_some();
    let mut names = vec!["count", "errors", "total_ms", "p50_ms", "p95_ms", "p99_ms"];
    names.extend(["scan_rows", "scan_bytes"]);
    if is_compared {
        names.extend(["earlier_count", "earlier_p50_ms", "earlier_p95_ms", "confidence"]);
    }
    match args.by {
        By::Statement => names.extend(["fingerprint", "statement"]),
        By::User => names.push("user"),
        By::Db => names.push("db"),
        By::Hour => names.push("hour"),
    }
    let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, is_compared)).collect();
    history.output.write(&history.output.table(&names, &cells))?;
    Ok(ExitCode::SUCCESS)
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

/// The earlier period: named whole, or as long as the later one and so much before it.
fn earlier(
    period: &str,
    filter: &QueryFilter,
    zone: crate::domain::time::Zone,
) -> Result<(i64, i64), ReadError> {
    if let Some((from, to)) = period.split_once("..") {
        return Ok((time(from, zone)?, time(to, zone)?));
    }
    let by_ms = parse_duration_ms(period).ok_or_else(|| {
        ReadError::Other(format!(
            "{period} is no period; name one like 7d or 2024-08-01..2024-08-02"
        ))
    })?;
    let to_ms = filter.to_ms.unwrap_or_else(|| chrono::Utc::now().timestamp_millis());
    let from_ms = filter.from_ms.unwrap_or(0);
    Ok((from_ms.saturating_sub(by_ms), to_ms.saturating_sub(by_ms)))
}
