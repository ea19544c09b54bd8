//! `annals plans`: what the plans of statements cost, and where the time of their runs went.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::READING;
use super::args::{FilterArgs, ReadArgs, number, parse_count};
use super::output::Shown;
use crate::domain::profile::ProfiledStatement;
use crate::domain::readable::counted;
use crate::store::Reader;

/// Show where the time of statements goes, and what their plans cost
///
/// Reads the runs whose profile is stored. Planning, queue and execution are sums of elapsed times; `fetching_ms` is the part
/// of the execution in which the frontend fetched the result, which only Doris reports. `waiting` is the part of the times of all
/// nodes in which they waited for others. `extra_ms` is how much longer the runs took than they would have with the plan
/// whose median is shortest.
#[derive(Debug, Args)]
pub struct PlansArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// Only statements with several plans, the one that lost most time by them first
    #[arg(long)]
    several: bool,
    /// Show at most this number of statements
    #[arg(long, short = 'n', default_value_t = 20, value_parser = parse_count)]
    limit: u32,
    #[command(flatten)]
    read: ReadArgs,
}

const NAMES: [&str; 11] = [
    "fingerprint", "total_ms", "runs", "plans", "extra_ms", "planning_ms", "queue_ms",
    "execution_ms", "fetching_ms", "waiting", "statement",
];

/// Runs the command.
pub async fn run(args: PlansArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open_with_plans().await?;
    let filter = args.filters.filter(history.zone, args.limit)?;
    let all = Reader::default();
    let found = history.store.profiled_statements(&filter, args.several, all);
    let found = found.await.context(READING)?;
    if history.json {
        history.output.json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = found.statements.iter().map(cells).collect();
    history.output.write(&history.output.table(&NAMES, &rows, &Shown::default()))?;
    if found.unread_profiles > 0 {
        // What is not read was said already, and counts of the rest would be taken for those of all.
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "annals: {} a profile with a plan{}; {} several plans",
        counted(found.runs, "run has", "runs have"),
        if found.is_cut { ", older ones are not read" } else { "" },
        counted(found.with_several_plans, "statement has", "statements have")
    );
    Ok(ExitCode::SUCCESS)
}

fn cells(one: &ProfiledStatement) -> Vec<String> {
    let waiting = one.waiting_part().map(|part| format!("{:.0}%", part * 100.0));
    let phases = [one.planning_ms, one.queue_ms, one.execution_ms, one.fetching_ms];
    let counts = [number(one.total_ms), one.runs.to_string(), one.plans.len().to_string()];
    std::iter::once(one.fingerprint.to_string())
        .chain(counts)
        .chain([one.extra_ms.to_string()])
        .chain(phases.map(number))
        .chain([waiting.unwrap_or_default(), one.normalized.clone()])
        .collect()
}
