//! `annals diff`: two runs of a statement side by side.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::READING;
use super::args::{History, ReadArgs, column_names, column_value, load_column_names, plain};
use super::output::{DIM, GREEN, Output, RED, Shown, YELLOW, readable_cell, shown_name, visible};
use super::profile::{profile_text, time_text};
use crate::domain::profile::{NodeDifference, Plan, Section, compare, lossy, operators};
use crate::domain::record::Kind;
use crate::domain::statement::{DifferenceLine, Differences, differences};
use crate::store::{Reader, StoredQuery};

/// Compare two runs of a statement
///
/// The run that started first is `before`. Shows the columns that differ, the lines of the statements that differ, then the nodes of the plan that differ, the one that
/// got slower most first, also where the plan has changed: nodes are matched by what is below them, not by their ids. A join whose kind changed shows both kinds. Nodes need the profiles of both queries.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A run: the id of its query, or the start of the id
    one: String,
    /// The other run
    other: String,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the command.
pub async fn run(args: DiffArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open().await?;
    let (one, other) = (history.query(&args.one).await?, history.query(&args.other).await?);
    let (before, after) = if one.started_after(&other) { (other, one) } else { (one, other) };
    let (first, second) =
        (profile_text(&history, &before).await?, profile_text(&history, &after).await?);
    let texts = first.as_deref().map(lossy).zip(second.as_deref().map(lossy));
    let trees =
        texts.as_ref().map(|(first, second)| (Section::parse(first), Section::parse(second)));
    let all = trees.as_ref().map(|(first, second)| (operators(first), operators(second)));
    let plans = trees.as_ref().zip(all.as_ref()).map(|((first, second), (before, after))| {
        (Plan::of(first, before), Plan::of(second, after))
    });
    let nodes = plans.as_ref().map(|(before, after)| compare(before, after));
    let fingerprint = |plan: &Plan<'_, '_>| plan.fingerprint.map(|plan| plan.to_string());
    let fingerprints =
        plans.as_ref().map(|(before, after)| (fingerprint(before), fingerprint(after)));
    let output = history.output;
    if history.json {
        let plans = fingerprints.map(|(before, after)| json!({"before": before, "after": after}));
        output.json(&json!({"before": before, "after": after, "plans": plans, "nodes": nodes}))?;
        return Ok(ExitCode::SUCCESS);
    }
    if before.query_id == after.query_id {
        output.write("both are the same run, so nothing differs\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    let are_loads =
        [&before, &after].map(|query| query.kind == Kind::Load && query.fingerprint.is_none());
    if are_loads[0] != are_loads[1] {
        text.push_str(&output.styled(YELLOW, "one is a load, the other a query\n"));
    } else if are_loads[0] {
        text.push_str("both are loads\n");
    } else if before.fingerprint != after.fingerprint {
        text.push_str(&output.styled(YELLOW, "these are two different statements\n"));
    }
    text.push_str(&output.comparison(
        &["column", "before", "after", "change"],
        &different_columns(&before, &after, &history)?,
    ));
    text.push('\n');
    if let Some((one, other)) = before.statement.as_ref().zip(after.statement.as_ref()) {
        text.push_str(&statement_lines(output, one, other));
    }
    if let Some((Some(before), Some(after))) = fingerprints.filter(|(one, other)| one != other) {
        let differ = format!("the plans differ: {before} before, {after} after\n");
        text.push_str(&output.styled(YELLOW, &differ));
    }
    text.push_str(&match nodes {
        None if are_loads[0] && are_loads[1] => "nodes: loads have no plan\n".to_string(),
        None => {
            nearest_profiles(&history, [(&before, first.is_some()), (&after, second.is_some())])
                .await?
        }
        Some(differences) => nodes_table(output, &differences),
    });
    output.write(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Columns that are not compared: the numbers of times that another column has as text, and what is shown elsewhere.
const NOT_COMPARED: [&str; 5] = ["extra", "load", "statement", "started_ms", "ended_ms"];
/// Numbers of which one is not more than another.
const NAMES: [&str; 2] = ["error_code", "statement_id"];

/// Returns a row for each column whose values differ, with times in the zone of the output; on a terminal with durations, sizes
/// and counts as people read them.
fn different_columns(
    before: &StoredQuery,
    after: &StoredQuery,
    history: &History,
) -> anyhow::Result<Vec<Vec<String>>> {
    let values = [serde_json::to_value(before)?, serde_json::to_value(after)?];
    let time = |ms: Option<i64>| ms.map(|ms| history.zone.format_ms(ms)).unwrap_or_default();
    let is_terminal = history.output.is_terminal();
    let mut rows = Vec::new();
    let names = column_names().into_iter().filter(|name| !NOT_COMPARED.contains(name));
    for name in names.map(str::to_string).chain(load_column_names()) {
        let [first, second] = match &*name {
            "started_at" => [time(before.started_ms), time(after.started_ms)],
            "ended_at" => [time(before.ended_ms), time(after.ended_ms)],
            name => values.each_ref().map(|value| plain(column_value(value, name))),
        };
        if first != second {
            let readable = |number| readable_cell(&name, number).filter(|_| is_terminal);
            let numbers = values.each_ref().map(|value| column_value(value, &name)?.as_i64());
            let change = match numbers {
                [Some(before), Some(after)] if !NAMES.contains(&&*name) => {
                    change(before, after, readable)
                }
                _ => String::new(),
            };
            let [first, second] = [(first, numbers[0]), (second, numbers[1])]
                .map(|(text, number)| number.and_then(readable).unwrap_or(text));
            let name = if is_terminal { shown_name(&name).to_string() } else { name.clone() };
            rows.push(vec![name, first, second, change]);
        }
    }
    Ok(rows)
}

/// Returns the difference of two numbers, and how many times as large the second is unless that is very much or little.
fn change(before: i64, after: i64, readable: impl Fn(i64) -> Option<String>) -> String {
    let difference = after.saturating_sub(before);
    let difference = match readable(difference.saturating_abs()) {
        Some(readable) => format!("{}{readable}", if difference < 0 { '-' } else { '+' }),
        None => format!("{difference:+}"),
    };
    let times = after as f64 / before as f64;
    // Beyond these, the difference says it all.
    match (0.05..1000.0).contains(&times) {
        true => format!("{difference} ({times:.1}x)"),
        false => difference,
    }
}

/// Returns the lines in which two statements differ; nothing if they do not.
fn statement_lines(output: Output, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let Differences { lines, is_cut } = differences(before, after);
    let mut text = match lines.is_empty() {
        true => "statement: only white space differs\n".to_string(),
        false => "statement:\n".to_string(),
    };
    for line in lines {
        let (style, line) = match line {
            DifferenceLine::Both(line) => (None, format!("  {line}")),
            DifferenceLine::Before(line) => (Some(RED), format!("- {line}")),
            DifferenceLine::After(line) => (Some(GREEN), format!("+ {line}")),
            DifferenceLine::Gap => (Some(DIM), "...".to_string()),
        };
        let line = visible(&line);
        text.push_str(&style.map_or(line.clone(), |style| output.styled(style, &line)));
        text.push('\n');
    }
    if is_cut {
        text.push_str("the statements are long; only their first lines that differ are shown\n");
    }
    text + "\n"
}

/// Says which runs with a profile are nearest to those without one.
async fn nearest_profiles(
    history: &History,
    runs: [(&StoredQuery, bool); 2],
) -> anyhow::Result<String> {
    let mut text = "nodes: the history does not have the profiles of both queries\n".to_string();
    let ids = runs.map(|(query, _)| query.query_id.as_str());
    for (query, _) in runs.into_iter().filter(|(_, has_profile)| !has_profile) {
        let nearest =
            history.store.nearest_profiles(query, Reader::default()).await.context(READING)?;
        let run = query.started_ms.and_then(|started_ms| nearest.nearest_to(started_ms));
        if let Some(run) = run
            && !ids.contains(&run.query_id.as_str())
        {
            text.push_str(&format!(
                "the run nearest to {} with a profile is {}, started {}\n",
                query.query_id,
                visible(&run.query_id),
                history.zone.format_ms(run.started_ms)
            ));
        }
    }
    Ok(text)
}

/// Returns what a node is: its kind, its table, its ids in both plans, and the kind of a join, or both kinds if it changed.
fn node_text(node: &NodeDifference<'_>) -> String {
    let table = node.table.map(|table| format!(" {table}")).unwrap_or_default();
    let ids = match (node.before_id, node.after_id) {
        (Some(before), Some(after)) if before == after => after.to_string(),
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (Some(before), None) => format!("{before}, only before"),
        (None, after) => format!("{}, only after", after.unwrap_or_default()),
    };
    let join = match node.changed_join() {
        Some((before, after)) => format!(" {before} → {after}"),
        None => node.after_join.or(node.before_join).map_or(String::new(), |it| format!(" {it}")),
    };
    visible(&format!("{}{table} ({ids}){join}", node.name))
}

/// Returns the nodes of two plans that differ, and how many do not.
fn nodes_table(output: Output, differences: &[NodeDifference<'_>]) -> String {
    let count = |rows: Option<u64>| rows.map_or(String::new(), |rows| rows.to_string());
    let change = |node: &NodeDifference<'_>| time_text(Some(node.difference_ns.unsigned_abs()));
    let is_same = |node: &&NodeDifference<'_>| {
        let is_in_both = node.before_id.is_some() && node.after_id.is_some();
        let took_same = change(node) == time_text(Some(0)) && node.before_rows == node.after_rows;
        is_in_both && took_same && node.changed_join().is_none()
    };
    let cells = |node: &NodeDifference<'_>| {
        let sign = if node.difference_ns < 0 { '-' } else { '+' };
        vec![
            time_text(node.before_ns),
            time_text(node.after_ns),
            format!("{sign}{}", change(node)),
            count(node.before_rows),
            count(node.after_rows),
            node_text(node),
        ]
    };
    let (same, different): (Vec<_>, Vec<_>) = differences.iter().partition(is_same);
    let names = ["before", "after", "change", "rows_before", "rows_after", "node"];
    let mut text = output.table(
        &names,
        &different.into_iter().map(cells).collect::<Vec<_>>(),
        &Shown::default(),
    );
    if !same.is_empty() {
        text.push_str(&format!("{} nodes took the same time for the same rows\n", same.len()));
    }
    text
}
