//! `annals diff`: two runs of a statement side by side.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::args::{ReadArgs, column_names, plain};
use super::output::{Output, YELLOW, visible};
use super::profile::{profile_text, time_text};
use crate::domain::profile::{NodeDifference, Plan, Section, compare, lossy, operators};
use crate::store::StoredQuery;

/// Compare two runs of a statement
///
/// Shows the columns that differ, then the nodes of the plan, the one that got slower most first, also where the plan has
/// changed: nodes are matched by what is below them, not by their ids. A join whose kind changed shows both kinds. Nodes need the profiles of both queries.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The first run: the id of its query, or the start of the id
    before: String,
    /// The second run
    after: String,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the command.
pub async fn run(args: DiffArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open().await?;
    let (before, after) = (history.query(&args.before).await?, history.query(&args.after).await?);
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
    let mut text = String::new();
    if before.fingerprint != after.fingerprint {
        text.push_str(&output.styled(YELLOW, "these are two different statements\n"));
    }
    text.push_str(&output.comparison(
        &["column", "before", "after", "change"],
        &different_columns(&before, &after)?,
    ));
    text.push('\n');
    if let Some((Some(before), Some(after))) = fingerprints.filter(|(one, other)| one != other) {
        let differ = format!("the plans differ: {before} before, {after} after\n");
        text.push_str(&output.styled(YELLOW, &differ));
    }
    text.push_str(&match nodes {
        None => "nodes: the history does not have the profiles of both queries\n".to_string(),
        Some(differences) => nodes_table(output, &differences),
    });
    output.write(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns a row for each column whose values differ.
fn different_columns(
    before: &StoredQuery,
    after: &StoredQuery,
) -> anyhow::Result<Vec<Vec<String>>> {
    let (before, after) = (serde_json::to_value(before)?, serde_json::to_value(after)?);
    let mut rows = Vec::new();
    for name in column_names().into_iter().filter(|name| !["extra", "load"].contains(name)) {
        let (before, after) = (plain(before.get(name)), plain(after.get(name)));
        if before != after {
            let change = match (before.parse::<i64>(), after.parse::<i64>()) {
                (Ok(before), Ok(after)) => format!("{:+}", after.saturating_sub(before)),
                _ => String::new(),
            };
            rows.push(vec![name.to_string(), before, after, change]);
        }
    }
    Ok(rows)
}

/// Returns the kind of a join: both kinds if it changed.
fn join_text(node: &NodeDifference<'_>) -> String {
    match node.changed_join() {
        Some((before, after)) => format!("{before} → {after}"),
        None => node.after_join.or(node.before_join).unwrap_or_default().to_string(),
    }
}

fn nodes_table(output: Output, differences: &[NodeDifference<'_>]) -> String {
    let count = |rows: Option<u64>| rows.map_or(String::new(), |rows| rows.to_string());
    let id = |id: Option<&str>| visible(id.unwrap_or_default());
    let cells = |node: &NodeDifference<'_>| {
        let sign = if node.difference_ns < 0 { '-' } else { '+' };
        vec![
            time_text(node.before_ns),
            time_text(node.after_ns),
            format!("{sign}{}", time_text(Some(node.difference_ns.unsigned_abs()))),
            count(node.before_rows),
            count(node.after_rows),
            id(node.before_id),
            id(node.after_id),
            visible(node.name),
            visible(node.table.unwrap_or_default()),
            visible(&join_text(node)),
        ]
    };
    let names = [
        "before", "after", "change", "rows_before", "rows_after", "id_before", "id_after", "node",
        "table", "join",
    ];
    output.table(&names, &differences.iter().map(cells).collect::<Vec<_>>())
}
