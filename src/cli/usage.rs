//! `annals usage`: who used the cluster, and what ran beside a query.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};

use super::READING;
use super::args::{FilterArgs, History, ReadArgs, number, parse_count};
use super::output::Shown;
use crate::domain::baseline::Baseline;
use crate::domain::readable::counted;
use crate::domain::time::Zone;
use crate::store::{
    ConcurrencyStep, Concurrent, ConcurrentRun, Reader, Steps, Usage, UsageCosts, UsageGroups,
    UsageOrder, UsageRow,
};

/// Show who used the cluster: users, databases, tables, clients, clusters and statements
///
/// Shows which queries and loads ran between --from and --to, whenever they started, beside the same time of the day before. Without --from, the
/// period is an hour; without --to, it ends with the history. Of a run that is only partly in the period, time, CPU time and
/// bytes count by the part of its time that is. A run that started more than seven days before the period does not count, and
/// at most a million queries that start in the period are read: the last line says if it ends earlier.
///
/// With --during, shows what ran while a query ran, and the runs that cost most then. Of several clusters, only that of the query
/// counts, unless --all-clusters is there.
#[derive(Debug, Args)]
pub struct UsageArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// What ran while this query ran: its id, or enough of its start to be unique
    #[arg(long, value_name = "ID", conflicts_with_all = ["FilterArgs", "baseline", "sort"])]
    during: Option<String>,
    /// With --during: the runs of all clusters count
    #[arg(long, requires = "during")]
    all_clusters: bool,
    /// What is compared with: the same period so long before, like 7d, or FROM..TO
    #[arg(long, visible_alias = "against", value_name = "PERIOD", default_value = "1d")]
    baseline: String,
    /// The column to sort by, largest first
    #[arg(long, value_enum, default_value = "running-ms")]
    sort: Sort,
    /// Show at most this number of rows of each kind
    #[arg(long, short = 'n', default_value_t = 10, value_parser = parse_count)]
    limit: u32,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    RunningMs,
    CpuTimeMs,
    ScanBytes,
    Errors,
    Count,
}

impl Sort {
    fn order(self) -> UsageOrder {
        match self {
            Sort::RunningMs => UsageOrder::Running,
            Sort::CpuTimeMs => UsageOrder::CpuTime,
            Sort::ScanBytes => UsageOrder::ScanBytes,
            Sort::Errors => UsageOrder::Errors,
            Sort::Count => UsageOrder::Count,
        }
    }

    /// Returns the place of the column.
    fn column(self) -> usize {
        match self {
            Sort::RunningMs => 1,
            Sort::CpuTimeMs => 3,
            Sort::ScanBytes => 5,
            Sort::Errors => 7,
            Sort::Count => 9,
        }
    }
}

/// The steps in which JSON has the number of runs at once.
const STEPS: Steps = Steps::Number(60);

const NAMES: [&str; 12] = [
    "kind", "running_ms", "before", "cpu_time_ms", "before", "scan_bytes", "before", "errors",
    "before", "count", "before", "name",
];
/// The places of the figures that matter most, without what they are compared with.
const FIGURES: [usize; 6] = [1, 2, 5, 3, 9, 7];
/// The characters of a fingerprint and of what marks the cut behind it. Other commands take only a whole one.
const FINGERPRINT_CHARS: u16 = 17;
/// The kinds of groups.
const KINDS: [&str; 6] = ["user", "db", "table", "client", CLUSTER, "statement"];
/// The kind that only a history of several clusters has.
const CLUSTER: &str = "cluster";
const NAMES_BESIDE: [&str; 8] = [
    "kind", "running_ms", "cpu_time_ms", "scan_bytes", "peak_memory_bytes", "errors", "count",
    "name",
];
const NAMES_OF_RUNS: [&str; 10] = [
    "query_id", "overlap_ms", "overlap_cpu_ms", "user", "db", "state", "duration_ms", "scan_bytes",
    "started", "statement",
];

/// Runs the command.
pub async fn run(args: UsageArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open().await?;
    if let Some(id) = &args.during {
        return during(&history, id, args.all_clusters, args.limit).await;
    }
    let baseline = Baseline::parse(&args.baseline, history.zone)
        .ok_or_else(|| anyhow!("{} is not {}", args.baseline, Baseline::SPELLINGS))?;
    let filter = args.filters.filter(history.zone, args.limit)?;
    let shown = (args.sort.order(), STEPS);
    let usage = history.store.usage(&filter, baseline, shown, Reader::default()).await;
    let usage = usage.context(READING)?;
    if history.json {
        history.output.json(&usage)?;
        return Ok(ExitCode::SUCCESS);
    }
    let span = history.store.span(Reader::default()).await.context(READING)?;
    if span.is_none() {
        history.output.write(&history.output.table(&NAMES, &[], &Shown::default()))?;
        eprintln!("annals: the history is empty");
        return Ok(ExitCode::SUCCESS);
    }
    let Usage { total, users, dbs, tables, clients, clusters, statements, .. } = &usage;
    let groups = shown_groups(
        [users, dbs, tables, clients, clusters, statements],
        has_clusters(&history).await?,
    );
    let rows = rows(total, &groups, compared);
    let first = std::iter::once(args.sort.column()).chain(FIGURES).collect();
    let shown = Shown { first, last_chars: FINGERPRINT_CHARS, ..Shown::default() };
    history.output.write(&history.output.table(&NAMES, &rows, &shown))?;
    for (kind, groups) in groups {
        if groups.groups > groups.rows.len() {
            let [shown, all] = [groups.rows.len(), groups.groups];
            eprintln!("annals: {kind}: {shown} of {all} are shown; -n {all} shows all");
        }
    }
    eprintln!("annals: {}", summary(&usage, history.zone));
    if let Some((_, last_ms)) = span.filter(|_| usage.total.now.count == 0) {
        eprintln!("annals: the newest query started at {}", history.zone.format_ms(last_ms));
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what ran beside a query.
async fn during(
    history: &History,
    id: &str,
    all_clusters: bool,
    limit: u32,
) -> anyhow::Result<ExitCode> {
    let query = history.query(id).await?;
    let found = history.store.concurrent(&query, all_clusters, limit, Reader::default()).await;
    let found = found.context(READING)?;
    if history.json {
        history.output.json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let found = found.ok_or_else(|| anyhow!("the start of query {} is unknown", query.query_id))?;
    let Concurrent { total, users, dbs, tables, clients, clusters, statements, .. } = &found;
    let has_clusters = found.cluster.is_none() && has_clusters(history).await?;
    let groups = shown_groups([users, dbs, tables, clients, clusters, statements], has_clusters);
    let groups = rows(total, &groups, |row| {
        let UsageCosts { count, errors, running_ms, cpu_time_ms, scan_bytes, .. } = &row.now;
        let [errors, count] = [errors, count].map(i64::to_string);
        let [running, cpu, bytes, memory] =
            [*running_ms, *cpu_time_ms, *scan_bytes, row.now.peak_memory_bytes].map(number);
        vec![running, cpu, bytes, memory, errors, count]
    });
    let runs: Vec<Vec<String>> = found.queries.iter().map(|run| cells(run, history.zone)).collect();
    let shown = Shown { last_chars: FINGERPRINT_CHARS, ..Shown::default() };
    let text = history.output.table(&NAMES_BESIDE, &groups, &shown)
        + "\n"
        + &history.table(&NAMES_OF_RUNS, &runs, &Shown::default()).await;
    history.output.write(&text)?;
    let cut = if found.is_cut { ", which is the part that was read" } else { "" };
    let [from, to] = [found.from_ms, found.to_ms].map(|ms| history.zone.format_ms(ms));
    let of = found.cluster.as_ref().map_or(String::new(), |name| format!(" of the cluster {name}"));
    eprintln!(
        "annals: {}{of} from {from} to {to}{cut}; {} began no later; at most {} at once",
        counted(found.total.now.count, "other run", "other runs"),
        found.total.now.began_before,
        peak(&found.concurrency)
    );
    Ok(ExitCode::SUCCESS)
}

/// Returns whether the history has several clusters.
async fn has_clusters(history: &History) -> anyhow::Result<bool> {
    let clusters = history.store.several_clusters(Reader::default()).await.context(READING)?;
    Ok(!clusters.is_empty())
}

/// Returns the groups that are shown, with their kinds.
fn shown_groups(
    groups: [&UsageGroups; 6],
    has_clusters: bool,
) -> Vec<(&'static str, &UsageGroups)> {
    let groups = KINDS.into_iter().zip(groups);
    groups.filter(|(kind, _)| has_clusters || *kind != CLUSTER).collect()
}

/// Returns a row for all runs, and one for each group: its kind, its figures and its name.
fn rows(
    total: &UsageRow,
    groups: &[(&'static str, &UsageGroups)],
    figures: impl Fn(&UsageRow) -> Vec<String>,
) -> Vec<Vec<String>> {
    let groups = groups.iter();
    let groups = groups.flat_map(|(kind, groups)| groups.rows.iter().map(|row| (*kind, row)));
    let all = [("all", total)].into_iter().chain(groups);
    let rows = all.map(|(kind, row)| {
        let unnamed = match kind {
            "all" => "",
            "statement" => "loads and runs without a statement",
            _ => "unknown",
        };
        let name = row.name.as_deref().unwrap_or(unnamed);
        let name = match row.fingerprint {
            Some(fingerprint) => format!("{fingerprint} {name}"),
            None => name.to_string(),
        };
        let mut cells = vec![kind.to_string()];
        cells.extend(figures(row));
        cells.push(name);
        cells
    });
    rows.collect()
}

/// Returns the figures of a row, each with the one of the baseline.
fn compared(row: &UsageRow) -> Vec<String> {
    let figures = |costs: &UsageCosts| {
        let UsageCosts { count, errors, running_ms, cpu_time_ms, scan_bytes, .. } = costs;
        [*running_ms, *cpu_time_ms, *scan_bytes, Some(*errors), Some(*count)]
    };
    let before = row.before.as_ref().map_or([None; 5], figures);
    let pairs = figures(&row.now).into_iter().zip(before);
    pairs.flat_map(|(now, before)| [number(now), number(before)]).collect()
}

fn cells(run: &ConcurrentRun, zone: Zone) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        run.query_id.clone(),
        run.overlap_ms.to_string(),
        number(run.overlap_cpu_ms),
        text(&run.user),
        text(&run.db),
        text(&run.state),
        number(run.duration_ms),
        number(run.scan_bytes),
        zone.format_ms(run.started_ms),
        run.load.as_ref().or(run.normalized.as_ref()).cloned().unwrap_or_default(),
    ]
}

/// Returns the most runs at one moment.
fn peak(steps: &[ConcurrencyStep]) -> i64 {
    steps.iter().map(|step| step.peak).max().unwrap_or(0)
}

/// Returns what was counted and compared, as a sentence.
fn summary(usage: &Usage, zone: Zone) -> String {
    let period =
        |from_ms, to_ms| format!("{} to {}", zone.format_ms(from_ms), zone.format_ms(to_ms));
    let cut = if usage.is_cut { " (cut behind a million queries)" } else { "" };
    format!(
        "{} from {}{cut}, compared with {} from {}; {} began before; at most {} at once, compared with {}",
        counted(usage.total.now.count, "run", "runs"),
        period(usage.from_ms, usage.to_ms),
        usage.total.before.as_ref().map_or(0, |before| before.count),
        period(usage.baseline_from_ms, usage.baseline_to_ms),
        usage.total.now.began_before,
        peak(&usage.concurrency),
        peak(&usage.baseline_concurrency)
    )
}
