//! `annals profile ID --plan`: the plan of a query as a tree.

use std::collections::{HashMap, HashSet};

use super::args::History;
use super::output::{BOLD, RED, visible};
use super::profile::{deepest, phases_text, rows_text, time_text};
use crate::domain::profile::{PlanReport, ReportedNode, size_text};
use crate::domain::readable::counted;

/// The part of the query's duration from which a node is marked in colour.
const COSTLY_SHARE: f64 = 0.1;
/// The length of a bar for the whole duration, in characters.
const BAR: f64 = 10.0;
/// The characters before a node.
const NUMBERS: usize = 39;

/// Returns a plan: its phases, then each node with its time, and below it the nodes that it reads from.
pub(super) fn plan_text(history: &History, plan: &PlanReport) -> String {
    let mut text = phases_text(&plan.phases);
    if plan.nodes.is_empty() {
        return text + "the profile has no operators\n";
    }
    let by_id: HashMap<&str, &ReportedNode> =
        plan.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let critical: HashSet<&str> = plan.critical_path.iter().map(String::as_str).collect();
    let is_read: HashSet<&str> =
        plan.nodes.iter().flat_map(|node| &node.children).map(String::as_str).collect();
    text += &history.output.styled(
        BOLD,
        &format!("* {:>9} {:>9} {:>6} {:<10} {}\n", "time", "waited", "part", "", "node"),
    );
    let roots = plan.nodes.iter().filter(|node| !is_read.contains(node.id.as_str()));
    let mut open: Vec<(usize, &ReportedNode)> = roots.rev().map(|node| (0, node)).collect();
    let mut shown = HashSet::new();
    let max_depth = deepest(history, NUMBERS);
    while let Some((depth, node)) = open.pop() {
        let indent = "  ".repeat(depth.min(max_depth));
        let is_first = shown.insert(node.id.as_str());
        if !is_first {
            let about = format!(" {indent}{} {}: as above", name(node), visible(&node.id));
            text += &format!("{:NUMBERS$}", "");
            text += &history.output.wrapped(&about, NUMBERS, NUMBERS + 1 + indent.len() + 4);
            text.push('\n');
            continue;
        }
        let mark = if critical.contains(node.id.as_str()) { '*' } else { ' ' };
        let bar = "#".repeat((node.weight * BAR).round() as usize);
        let (time, waited) = (time_text(node.time_ns), time_text(node.wait_ns));
        let part = match node.time_ns {
            Some(_) => format!("{:.1}%", node.weight * 100.0),
            None => "-".to_string(),
        };
        let numbers = format!("{mark} {time:>9} {waited:>9} {part:>6} {bar:<10}");
        text += &match node.weight >= COSTLY_SHARE {
            true => history.output.styled(RED, &numbers),
            false => numbers,
        };
        let about =
            format!(" {indent}{} {}{}", name(node), visible(&node.id), details(history, node));
        let indentation = NUMBERS + 1 + indent.len() + 4;
        text += &history.output.wrapped(&about, NUMBERS, indentation);
        text.push('\n');
        let children = node.children.iter().rev().filter_map(|id| by_id.get(id.as_str()));
        open.extend(children.map(|child| (depth + 1, *child)));
    }
    if let Some(runs) = plan.usual_runs {
        text += &format!(
            "\nA node has its usual time, of {} with this plan, if it took far more.\n",
            counted(runs, "other run", "other runs")
        );
    }
    if let Some(fingerprint) = &plan.plan_fingerprint {
        text += &format!("\nplan {fingerprint}. A * is on the path that took the longest.\n");
    }
    if plan.incomplete_nodes > 0 {
        text += &format!(
            "\nThe profile is incomplete: it lacks operators of {}. Times are of the others.\n",
            counted(plan.incomplete_nodes, "node", "nodes")
        );
    }
    if !plan.findings.is_empty() {
        text += "A ! names a rule that found something: --findings shows what.\n";
    }
    text
}

fn name(node: &ReportedNode) -> String {
    visible(&node.name).replace(['\n', '\t'], " ")
}

/// Returns what is known about a node, each behind a space.
fn details(history: &History, node: &ReportedNode) -> String {
    let mut details: Vec<String> = Vec::new();
    details.extend(node.findings.iter().map(|rule| format!("! {rule}")));
    details.extend(node.table.clone());
    details.extend(node.join.clone());
    if let Some(rows) = node.rows {
        let expected = node.expected_rows;
        let expected = expected.map(|rows| format!(" (expected {})", history.output.count(rows)));
        details.push(format!("{}{}", rows_text(history, rows), expected.unwrap_or_default()));
    }
    details.extend(
        node.memory_bytes
            .filter(|bytes| *bytes > 0)
            .map(|bytes| format!("{} of memory", size_text(bytes))),
    );
    details.extend(
        node.spill_bytes
            .filter(|bytes| *bytes > 0)
            .map(|bytes| format!("{} spilled", size_text(bytes))),
    );
    if let (true, Some(usual_ns), Some(times)) =
        (node.is_unusual, node.usual_time_ns, node.times_usual)
    {
        let rows = node.usual_rows.map(|rows| format!(", usually {}", rows_text(history, rows)));
        let rows = rows.unwrap_or_default();
        details.push(format!("{times:.1} times its usual {}{rows}", time_text(Some(usual_ns))));
    }
    details
        .iter()
        .map(|detail| format!("  {}", visible(detail).replace(['\n', '\t'], " ")))
        .collect()
}
