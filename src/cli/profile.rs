//! `annals profile`: the profile of one query.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::args::{History, ReadError, Reading};
use super::output::{Style, visible, write_bytes};
use crate::domain::profile::{Operator, Phase, Phases, Section, flame_svg, in_order, operators};
use crate::domain::record::QueryId;
use crate::domain::time::duration_text;
use crate::store::StoredQuery;

/// Show a query's profile
///
/// As text, which is the profile byte for byte where it does not go to a terminal.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// The query's id, or so much of its start that it is the only one
    #[arg(value_name = "ID")]
    id: String,
    /// Where the time went: the phases before the execution, then the operators as a tree, each with its own time
    /// and its share of all; those that took most, and a tenth or more, are marked
    #[arg(long)]
    tree: bool,
    /// Write a flame graph of the operators to a file
    #[arg(long, value_name = "FILE.svg", conflicts_with = "tree")]
    flame: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
}

/// Runs the command.
pub async fn run(args: ProfileArgs) -> Result<ExitCode, ReadError> {
    let history = args.reading.open().await?;
    let query = history.query(&args.id).await?;
    let text = text(&history, &query).await?;
    let section = || Section::parse(&String::from_utf8_lossy(&text));
    if let Some(file) = args.flame {
        let title = query.query_id.as_str();
        std::fs::write(&file, flame_svg(&operators(&section()), title)?)?;
    } else if args.tree {
        let section = section();
        let phases = Phases::of(&section).with_queue(query.queue_time_ms);
        let shown = Shown { phases, operators: operators(&section) };
        if history.json {
            history.output.json(&shown)?;
        } else {
            history
                .output
                .write(&(phases_text(&shown.phases) + &tree(&history, &shown.operators)))?;
        }
    } else if history.json {
        history.output.json(&section())?;
    } else if history.output.is_terminal() {
        history.output.write(&visible(&String::from_utf8_lossy(&text)))?;
    } else {
        write_bytes(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What `--tree --json` writes.
#[derive(Serialize)]
struct Shown {
    phases: Phases,
    operators: Vec<Operator>,
}

/// The profile of a query.
pub async fn text(history: &History, query: &StoredQuery) -> Result<Vec<u8>, ReadError> {
    let missing = || ReadError::NoProfile(query.query_id.to_string());
    let id: QueryId = query.query_id.parse().map_err(|_| missing())?;
    history.store.profile(&id, None).await?.text().ok_or_else(missing)
}

/// A time in nanoseconds, as short as it can be read.
pub fn time_text(ns: Option<u64>) -> String {
    match ns {
        None => "-".to_string(),
        Some(ns) if ns < 1_000_000 => format!("{:.0}us", ns as f64 / 1e3),
        Some(ns) if ns < 1_000_000_000 => format!("{:.1}ms", ns as f64 / 1e6),
        Some(ns) => format!("{:.2}s", ns as f64 / 1e9),
    }
}

/// So many characters is a bar of all time long.
const BAR: f64 = 10.0;

/// The phases and their steps, a line each; nothing where none is known.
pub(super) fn phases_text(phases: &Phases) -> String {
    let line = |indent: &str, phase: &Phase| {
        let bar = "#".repeat((phase.share * BAR).round() as usize);
        let name = format!("{indent}{}", phase.name);
        let time = duration_text(phase.duration_ms);
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

fn tree(history: &History, operators: &[Operator]) -> String {
    let mut text = String::new();
    let mut fragment = None;
    for (depth, operator) in in_order(operators) {
        if depth == 0 && operator.fragment != fragment {
            fragment.clone_from(&operator.fragment);
            let name = fragment.as_deref().unwrap_or("?");
            let title = format!("Fragment {}\n", visible(name));
            text.push_str(&history.output.styled(Style::Bold, &title));
        }
        let bar = "#".repeat((operator.share * BAR).round() as usize);
        let mark = if operator.is_costly { '!' } else { ' ' };
        let numbers = format!(
            "{mark} {:>9} {:>5.1}% {bar:<10}",
            time_text(operator.time_ns),
            operator.share * 100.0
        );
        let numbers = match operator.is_costly {
            true => history.output.styled(Style::Red, &numbers),
            false => numbers,
        };
        let rows = operator.rows.map_or(String::new(), |rows| format!("  {rows} rows"));
        let memory =
            operator.memory_bytes.map_or(String::new(), |bytes| format!("  {bytes} bytes"));
        let name = visible(&operator.name).replace(['\n', '\t'], " ");
        text.push_str(&format!("{numbers} {}{name}{rows}{memory}\n", "  ".repeat(depth.min(40))));
    }
    if text.is_empty() {
        text.push_str("the profile tells of no operators\n");
    }
    text
}
