//! `annals regress`: the statements that changed since an earlier period.

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};

use super::READING;
use super::args::{FilterArgs, ReadArgs, number, parse_count};
use super::output::Shown;
use crate::domain::baseline::Baseline;
use crate::domain::filter::QueryFilter;
use crate::domain::readable::readable_duration_ms;
use crate::domain::time::Zone;
use crate::store::{Change, ChangeKind, Reader, Regression, Regressions};

/// Show the statements that are new, slower, more frequent or failing more than before
///
/// Compares the runs of each statement in a period with those before it. Without --from, the period is the last day of
/// the history. Statements that differ only in their values are one. A statement is shown if it changed in one of four ways:
///
/// new: it did not run in the baseline.
///
/// slower: its median or its 95th percentile became longer by a third and 5 ms or more. The test of Mann and Whitney compares the
/// ranks of durations, so that a few slow runs do not decide. `cause` is what the history shows of the reason. Durations are of runs that
/// did not fail.
///
/// more-frequent: it runs at least twice as often in an hour. If the period is no whole days, it is compared with the same hours of
/// each day of the baseline.
///
/// failing-more: at least 5 of 100 runs more fail, and two runs more. Fisher's exact test compares the shares.
///
/// Runs of the same quarter of an hour count as one in each test, because they are slow, come and fail together. `confidence` is 1
/// less the chance that nothing changed, times the number of statements that were compared, and is 0.95 or more. A statement with
/// few runs can seldom be so sure. It is shown below the others, with "few runs": with a confidence of 0.9 or more for itself alone, or if it
/// is new and ran less than 8 times, or came in a burst. The confidence of a new statement and of a burst may be lower: it is 1 less the
/// chance that runs of a rare statement, or one burst, are in the period and not in the baseline. If the whole cluster got slower or busier, the last line says so, and a statement must have
/// changed more than the others.
///
/// The statement with most extra time comes first. `extra_ms` is all the time of a new statement, the time beyond the usual
/// number of runs of a more frequent one, and else how much longer the runs that did not fail took than as many runs before.
#[derive(Debug, Args)]
pub struct RegressArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// What is compared with: how long before, like 7d, or FROM..TO
    #[arg(long, value_name = "PERIOD", default_value = "7d")]
    baseline: String,
    /// Show only statements that changed in these ways
    #[arg(long, value_name = "CHANGES", value_delimiter = ',')]
    change: Vec<ChangeArg>,
    /// Show at most this number of statements
    #[arg(long, short = 'n', default_value_t = 20, value_parser = parse_count)]
    limit: u32,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ChangeArg {
    New,
    Slower,
    MoreFrequent,
    FailingMore,
}

impl ChangeArg {
    fn kind(self) -> ChangeKind {
        match self {
            ChangeArg::New => ChangeKind::New,
            ChangeArg::Slower => ChangeKind::Slower,
            ChangeArg::MoreFrequent => ChangeKind::MoreFrequent,
            ChangeArg::FailingMore => ChangeKind::FailingMore,
        }
    }
}

const NAMES: [&str; 16] = [
    "fingerprint", "extra_ms", "change", "confidence", "p50_ms", "p50_before_ms", "per_hour",
    "per_hour_before", "errors", "errors_before", "cause", "count", "count_before", "p95_ms",
    "p95_before_ms", "statement",
];
/// The columns on a terminal. The first one is always whole, and says what changed from what to what.
const NAMES_ON_TERMINAL: [&str; 10] = [
    "change", "fingerprint", "extra_ms", "confidence", "cause", "count", "p50_ms", "p95_ms",
    "errors", "statement",
];

/// Runs the command.
pub async fn run(args: RegressArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open_with_plans().await?;
    let baseline = Baseline::parse(&args.baseline, history.zone)
        .ok_or_else(|| anyhow!("--baseline: {} is not {}", args.baseline, Baseline::SPELLINGS))?;
    let filter = args.filters.filter(history.zone, args.limit)?;
    let all = Reader::default();
    let kinds: Vec<ChangeKind> = args.change.iter().map(|change| change.kind()).collect();
    let found = history.store.regressions(&filter, baseline, &kinds, all).await;
    let found = found.context(READING)?;
    if let Some(fault) = baseline.fault((found.from_ms, found.to_ms), history.zone) {
        bail!("--baseline: {fault}");
    }
    if history.json {
        history.output.json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let statements = &found.statements;
    let table = match history.output.is_terminal() {
        true => {
            let rows: Vec<Vec<String>> = statements.iter().map(cells_on_terminal).collect();
            // The fingerprint, then the confidence.
            let shown = Shown { first: vec![1, 3], ..Shown::default() };
            history.output.table(&NAMES_ON_TERMINAL, &rows, &shown)
        }
        false => {
            let rows: Vec<Vec<String>> = statements.iter().map(cells).collect();
            history.output.table(&NAMES, &rows, &Shown::default())
        }
    };
    history.output.write(&table)?;
    let are_pooled = filter.cluster.is_any()
        && !history.store.several_clusters(Reader::default()).await.context(READING)?.is_empty();
    let period = QueryFilter { from_ms: Some(found.from_ms), ..filter };
    if found.ran == 0 && !history.has_any(&period).await? {
        return history.say_nothing_found(&period).await;
    }
    let [shown, all] = [found.statements.len(), found.chosen];
    if shown < all {
        eprintln!("annals: {shown} of {all} statements are shown; -n {all} shows all");
    }
    eprintln!("annals: {}", summary(&found, history.zone));
    if are_pooled {
        eprintln!(
            "annals: the runs of all clusters were compared together, which may hide what changed in one: --cluster names it"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns what was compared, as a sentence.
fn summary(found: &Regressions, zone: Zone) -> String {
    let period =
        |from_ms, to_ms| format!("{} to {}", zone.format_ms(from_ms), zone.format_ms(to_ms));
    let (now, before) =
        (period(found.from_ms, found.to_ms), period(found.baseline_from_ms, found.baseline_to_ms));
    if let Some(from_ms) = found.begins_behind_baseline() {
        let other = if from_ms < found.from_ms { "; --baseline names another period" } else { "" };
        return format!(
            "the history begins at {}, after the baseline from {before}, so nothing is compared{other}",
            zone.format_ms(from_ms)
        );
    }
    if !found.has_baseline {
        return format!(
            "no statement ran from {before}, so nothing is compared; --baseline names another period"
        );
    }
    let ways = ChangeKind::ALL.map(|(kind, _, label)| format!("{} {label}", found.number_of(kind)));
    let few = match found.few_runs {
        0 => String::new(),
        few => format!("; few runs: {few}"),
    };
    let typical =
        [(found.slower_cluster(), "took", "as long"), (found.busier_cluster(), "ran", "as often")];
    let typical = typical.map(|(factor, did, so)| {
        factor.map_or(String::new(), |factor| {
            format!("; a typical statement {did} {factor:.1} times {so}")
        })
    });
    let begin = found.history_from_ms.map_or(String::new(), |from_ms| {
        format!("; the history begins at {}, within the baseline", zone.format_ms(from_ms))
    });
    format!(
        "statements that changed from {now}, compared with {before}: {}{few}{}{begin}",
        ways.join(", "),
        typical.concat()
    )
}

fn cells(one: &Regression) -> Vec<String> {
    let changes: Vec<&str> = one.changes.iter().map(|change| change.kind.label()).collect();
    let causes: Vec<&str> = one.causes.iter().map(|cause| cause.label()).collect();
    let confidence = one.changes.iter().map(|change| confidence(change, "few runs"));
    let confidence: Vec<String> = confidence.collect();
    vec![
        one.fingerprint.to_string(),
        one.extra_ms.to_string(),
        changes.join(", "),
        confidence.join(", "),
        number(one.after.p50_ms),
        number(one.before.p50_ms),
        per_hour(one.after.runs_per_hour),
        per_hour(one.before.runs_per_hour),
        one.after.errors.to_string(),
        one.before.errors.to_string(),
        causes.join(", "),
        one.after.count.to_string(),
        one.before.count.to_string(),
        number(one.after.p95_ms),
        number(one.before.p95_ms),
        one.normalized.clone(),
    ]
}

fn cells_on_terminal(one: &Regression) -> Vec<String> {
    let changes: Vec<String> = one.changes.iter().map(|change| changed(change, one)).collect();
    let causes: Vec<&str> = one.causes.iter().map(|cause| cause.label()).collect();
    let confidence = one.changes.iter().map(|change| confidence(change, "few"));
    let confidence: Vec<String> = confidence.collect();
    vec![
        changes.join(", "),
        one.fingerprint.to_string(),
        one.extra_ms.to_string(),
        confidence.join(", "),
        causes.join(", "),
        one.after.count.to_string(),
        number(one.after.p50_ms),
        number(one.after.p95_ms),
        one.after.errors.to_string(),
        one.normalized.clone(),
    ]
}

/// Returns what changed from what to what.
fn changed(change: &Change, one: &Regression) -> String {
    let (before, after) = (&one.before, &one.after);
    let duration = |ms: Option<i64>| ms.map_or(String::new(), readable_duration_ms);
    match change.kind {
        ChangeKind::New => "new".to_string(),
        ChangeKind::Slower => {
            let (name, before_ms, after_ms) = match one.has_slower_median() {
                true => ("slower", before.p50_ms, after.p50_ms),
                false => ("slower p95", before.p95_ms, after.p95_ms),
            };
            format!("{name} {} → {}", duration(before_ms), duration(after_ms))
        }
        ChangeKind::MoreFrequent => {
            let [before, after] = [before, after].map(|runs| per_hour(runs.runs_per_hour));
            format!("more often {before} → {after}/h")
        }
        ChangeKind::FailingMore => {
            let [before, after] = [before, after].map(|runs| runs.failed_part() * 100.0);
            format!("failing {before:.1}% → {after:.1}%")
        }
    }
}

fn per_hour(runs: Option<f64>) -> String {
    match runs {
        Some(runs) if runs < 1.0 => format!("{runs:.2}"),
        runs => runs.map_or(String::new(), |runs| format!("{runs:.1}")),
    }
}

/// Returns the confidence behind what says that there are few runs, if so.
fn confidence(change: &Change, few_runs: &str) -> String {
    let confidence = change.shown_confidence() * 100.0;
    if change.few_runs {
        format!("{few_runs} {confidence:.1}%")
    } else {
        format!("{confidence:.1}%")
    }
}
