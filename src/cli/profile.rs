//! `annals profile`: the profile of one query.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use serde::Serialize;

use super::READING;
use super::args::{FileName, History, ReadArgs};
use super::findings::findings_text;
use super::output::{BOLD, RED, visible, write_bytes};
use super::plan::plan_text;
use crate::domain::profile::{
    FindingsReport, Operator, Phase, Phases, PlanReport, Section, Usual, lossy, operators,
    size_text, walk,
};
use crate::domain::readable::readable_duration_ms;
use crate::domain::record::QueryId;
use crate::store::{Reader, StoredQuery};

/// Show the profile of a query
///
/// Writes the text. Except on a terminal, it is the stored text byte for byte.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// The query's id, or enough of its start to be unique
    #[arg(value_name = "ID")]
    id: String,
    /// Show where the time went: the phases before execution, then the operators as a tree, each with its own time and
    /// its share of the total. A mark is on the most expensive operators that took a tenth or more
    #[arg(long)]
    tree: bool,
    /// Show the plan: the operators of all fragments joined into nodes, each with its own time, how long it waited, its usual
    /// time in other runs with the same plan, and the nodes that it reads from below it
    #[arg(long, conflicts_with = "tree")]
    plan: bool,
    /// Show the findings: what the profile proves to be worth a look, with the numbers that prove it and what to try, the
    /// heaviest first
    #[arg(long, conflicts_with_all = ["tree", "plan"])]
    findings: bool,
    /// Write a flame graph of the operators to a file
    #[arg(long, value_name = "FILE.svg", conflicts_with_all = ["tree", "plan", "findings"], value_parser = FileName)]
    flame: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the command.
pub async fn run(args: ProfileArgs) -> anyhow::Result<ExitCode> {
    let history = match args.plan {
        true => args.read.open_with_plans().await?,
        false => args.read.open().await?,
    };
    let query = history.query(&args.id).await?;
    let text = profile_text(&history, &query)
        .await?
        .ok_or_else(|| anyhow!("no profile stored for query {}", query.query_id))?;
    let lines = lossy(&text);
    let section = || Section::parse(&lines);
    if let Some(file) = args.flame {
        let section = section();
        let svg = crate::web::flame_graph::flame_graph_svg(
            &operators(&section),
            query.query_id.as_str(),
        )?;
        std::fs::write(&file, svg)
            .with_context(|| format!("{} cannot be written", file.display()))?;
    } else if args.plan {
        let usual = usual(&history, &query).await?;
        let plan = PlanReport::of_text(&lines, query.queue_time_ms).with_usual(usual.as_ref());
        match history.json {
            true => history.output.json(&plan)?,
            false => history.output.write(&plan_text(&history, &plan))?,
        }
    } else if args.findings {
        let report = FindingsReport::of_text(&lines, query.queue_time_ms);
        match history.json {
            true => history.output.json(&report)?,
            false => history.output.write(&findings_text(&history, &report))?,
        }
    } else if args.tree {
        let section = section();
        let phases = Phases::of(&section).with_queue(query.queue_time_ms);
        let tree = Tree { phases, operators: operators(&section) };
        if history.json {
            history.output.json(&tree)?;
        } else {
            history.output.write(&(phases_text(&tree.phases) + &tree_text(&history, &tree)))?;
        }
    } else if history.json {
        history.output.json(&section())?;
    } else if history.output.is_terminal() {
        history.output.write(&visible(&lines))?;
    } else {
        write_bytes(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What `--tree` shows.
#[derive(Serialize)]
struct Tree<'s> {
    phases: Phases,
    operators: Vec<Operator<'s>>,
}

/// Returns the profile text of a query, or None if the history has none.
pub(super) async fn profile_text(
    history: &History,
    query: &StoredQuery,
) -> anyhow::Result<Option<Vec<u8>>> {
    let Ok(id) = query.query_id.parse::<QueryId>() else { return Ok(None) };
    history.store.profile(&id, Reader::default()).await.context(READING)?.text().context(READING)
}

/// Returns what is usual for the plan of a query, or None if too few other runs had the plan.
async fn usual(history: &History, query: &StoredQuery) -> anyhow::Result<Option<Usual>> {
    let Ok(id) = query.query_id.parse::<QueryId>() else { return Ok(None) };
    let others = history.store.other_profiles(&id, Reader::default()).await.context(READING)?;
    Ok(Usual::of_texts(others.into_iter().filter_map(|text| text.unpack().ok())))
}

/// Formats nanoseconds in the unit that fits.
pub(super) fn time_text(ns: Option<u64>) -> String {
    match ns {
        None => "-".to_string(),
        Some(ns) if ns < 1_000_000 => format!("{:.0}us", ns as f64 / 1e3),
        Some(ns) if ns < 1_000_000_000 => format!("{:.1}ms", ns as f64 / 1e6),
        Some(ns) => readable_duration_ms((ns / 1_000_000) as i64),
    }
}

/// Returns a number of rows with its noun: `1 row`, `12.3K rows`.
pub(super) fn rows_text(history: &History, rows: u64) -> String {
    format!("{} {}", history.output.count(rows), if rows == 1 { "row" } else { "rows" })
}

/// The length of a bar for the total time, in characters.
const BAR: f64 = 10.0;
/// The characters before the name of an operator.
const NUMBERS: usize = 29;

/// Returns the phases and their steps, a line each.
pub(super) fn phases_text(phases: &Phases) -> String {
    let line = |indent: &str, phase: &Phase| {
        let bar = "#".repeat((phase.share * BAR).round() as usize);
        let name = format!("{indent}{}", phase.name);
        let time = readable_duration_ms(phase.duration_ms);
        let line = format!("{name:<26} {time:>10} {:>5.1}% {bar}", phase.share * 100.0);
        format!("{}\n", line.trim_end())
    };
    let mut text = String::new();
    for phase in &phases.phases {
        text.push_str(&line("", phase));
        for step in &phase.steps {
            text.push_str(&line("  ", step));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Returns the deepest indentation of a tree, in steps of two characters, behind `before` characters: on a terminal there is
/// space for the name of an operator.
pub(super) fn deepest(history: &History, before: usize) -> usize {
    const NAME: usize = 24;
    const DEEPEST: usize = 40;
    let width = history.output.width();
    let most = width.map(|width| width.saturating_sub(before + NAME) / 2);
    most.map_or(DEEPEST, |depth| depth.clamp(4, DEEPEST))
}

fn tree_text(history: &History, tree: &Tree<'_>) -> String {
    let mut text = String::new();
    let max_depth = deepest(history, NUMBERS);
    let mut fragment = None;
    for (depth, operator) in walk(&tree.operators) {
        if depth == 0 && operator.fragment != fragment {
            fragment = operator.fragment;
            let name = fragment.unwrap_or("?");
            let title = format!("Fragment {}\n", visible(name));
            text.push_str(&history.output.styled(BOLD, &title));
        }
        let bar = "#".repeat((operator.share * BAR).round() as usize);
        let mark = if operator.is_costly { '!' } else { ' ' };
        let numbers = format!(
            "{mark} {:>9} {:>5.1}% {bar:<10}",
            time_text(operator.time_ns),
            operator.share * 100.0
        );
        let numbers = match operator.is_costly {
            true => history.output.styled(RED, &numbers),
            false => numbers,
        };
        let rows =
            operator.rows.map_or(String::new(), |rows| format!("  {}", rows_text(history, rows)));
        let memory = operator
            .memory_bytes
            .filter(|bytes| *bytes > 0)
            .map_or(String::new(), |bytes| format!("  {} of memory", size_text(bytes)));
        let name = visible(operator.name).replace(['\n', '\t'], " ");
        let indent = "  ".repeat(depth.min(max_depth));
        let about = format!(" {indent}{name}{rows}{memory}");
        text.push_str(&numbers);
        text.push_str(&history.output.wrapped(&about, NUMBERS, NUMBERS + 1 + indent.len() + 4));
        text.push('\n');
    }
    if text.is_empty() {
        text.push_str("the profile has no operators\n");
    }
    text
}
