//! `annals regress`: the statements that got slower.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;

use super::READING;
use super::args::{FilterArgs, ReadArgs, number, parse_count};
use super::output::Shown;
use crate::domain::baseline::Baseline;
use crate::domain::time::Zone;
use crate::store::{Reader, Regression, Regressions};

/// Show the statements that got slower, and why
///
/// Compares the runs of each statement in a period with those before it. Without --from, the period is the last day of
/// the history. Statements that differ only in their values are one.
///
/// A statement is shown if its median or its 95th percentile became longer by a third and 5 ms or more, and if that is no
/// chance: the test of Mann and Whitney compares the ranks of durations, so that a few slow runs do not decide. Runs of
/// the same quarter of an hour count as one there, because they are slow together. `confidence` is 1 less the chance that
/// nothing changed, times the number of statements that were compared, and is 0.95 or more. Statements with fewer than 8
/// runs in a period, or in fewer than 4 quarters of an hour, are not compared. The first is the one that cost most time: `extra_ms` is how much longer its runs
/// took than as many runs before. If the whole cluster got slower, the last line says so, and a statement must have got
/// slower than the others.
#[derive(Debug, Args)]
pub struct RegressArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// What is compared with: how long before, like 7d, or FROM..TO
    #[arg(long, value_name = "PERIOD", default_value = "7d")]
    baseline: String,
    /// Show at most this number of statements
    #[arg(long, short = 'n', default_value_t = 20, value_parser = parse_count)]
    limit: u32,
    #[command(flatten)]
    read: ReadArgs,
}

const NAMES: [&str; 11] = [
    "fingerprint", "extra_ms", "p50_ms", "before", "cause", "count", "before", "p95_ms", "before",
    "confidence", "statement",
];

/// Runs the command.
pub async fn run(args: RegressArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open_with_plans().await?;
    let baseline = Baseline::parse(&args.baseline, history.zone)
        .ok_or_else(|| anyhow!("--baseline: {} is not {}", args.baseline, Baseline::SPELLINGS))?;
    let filter = args.filters.filter(history.zone, args.limit)?;
    let all = Reader::default();
    let found = history.store.regressions(&filter, baseline, all).await.context(READING)?;
    if history.json {
        history.output.json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let statements = found.as_ref().map(|found| found.statements.as_slice());
    let rows: Vec<Vec<String>> = statements.unwrap_or_default().iter().map(cells).collect();
    history.output.write(&history.output.table(&NAMES, &rows, &Shown::default()))?;
    match found {
        Some(found) => eprintln!("annals: {}", summary(&found, history.zone)),
        None => eprintln!("annals: the history is empty"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns what was compared, as a sentence.
fn summary(found: &Regressions, zone: Zone) -> String {
    let period =
        |from_ms, to_ms| format!("{} to {}", zone.format_ms(from_ms), zone.format_ms(to_ms));
    let (now, before) =
        (period(found.from_ms, found.to_ms), period(found.baseline_from_ms, found.baseline_to_ms));
    let Regressions { slower, compared, .. } = found;
    match compared {
        _ if found.from_ms >= found.to_ms => {
            format!("no queries since {}", zone.format_ms(found.from_ms))
        }
        0 => format!(
            "no statement ran 8 times both from {now} and from {before}; --baseline names another period"
        ),
        _ => format!(
            "{slower} of {compared} statements got slower from {now}, compared with {before}{}",
            cluster(found)
        ),
    }
}

/// Returns a sentence if the whole cluster got slower.
fn cluster(found: &Regressions) -> String {
    found.slower_cluster().map_or(String::new(), |factor| {
        format!("; a typical statement took {factor:.1} times as long")
    })
}

fn cells(one: &Regression) -> Vec<String> {
    let causes: Vec<&str> = one.causes.iter().map(|cause| cause.label()).collect();
    vec![
        one.fingerprint.to_string(),
        one.extra_ms.to_string(),
        number(one.after.p50_ms),
        number(one.before.p50_ms),
        causes.join(", "),
        one.after.count.to_string(),
        one.before.count.to_string(),
        number(one.after.p95_ms),
        number(one.before.p95_ms),
        format!("{:.1}%", one.shown_confidence() * 100.0),
        one.normalized.clone(),
    ]
}
