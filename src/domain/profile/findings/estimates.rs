//! What the planner expected.

use super::context::{Context, NODE_SHARE, NODE_TIME, is_costly, name, plan_info};
use super::joins::is_nested_loop_join;
use super::quantity::{Quantity, Unit, ratio, rows};
use super::rules::{Advice, Case, Rule};

const FACTOR: Quantity =
    Quantity::new("rows over expected rows, or the reverse", 10.0, Unit::Times);
const ROW_COUNT: Quantity = Quantity::new("the larger of both counts", 1e6, Unit::Rows);

pub(super) const ROWS: Rule = Rule {
    id: "wrong-estimate",
    thresholds: &[FACTOR, ROW_COUNT, NODE_TIME, NODE_SHARE],
    meaning: "The planner expected a join to give far more or far fewer rows, so the order and the kind of joins may be wrong.",
    doris: Some(Advice::new(
        "Collect statistics of the tables with ANALYZE TABLE, and see that they are collected automatically.",
        "enable_auto_analyze",
        "https://doris.apache.org/docs/4.x/query-acceleration/optimization-technology-principle/statistics/",
    )),
    starrocks: None,
    find: wrong_estimates,
};

/// Compares joins only. The expected rows of a scan are those of the table, and those of an aggregation are of one instance.
fn wrong_estimates(context: &Context<'_>) -> Vec<Case> {
    let may_be_limited = has_limit(context);
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        // A nested loop join gives pairs of rows, whatever the planner knows of the tables.
        let is_join =
            node.name.contains("JOIN") && node.children.len() == 2 && !is_nested_loop_join(node);
        let (Some(actual), Some(expected)) = (node.rows, node.expected_rows) else { continue };
        let is_more = actual > expected;
        let factor = if is_more { ratio(actual, expected) } else { ratio(expected, actual) };
        // Fewer rows may be due to runtime filters and limits, which the planner does not count.
        let is_unexplained = is_more || !context.may_be_filtered(position) && !may_be_limited;
        if !is_join
            || !is_costly(node)
            || !FACTOR.is_met(factor)
            || !ROW_COUNT.is_met(actual.max(expected) as f64)
            || !is_unexplained
        {
            continue;
        }
        let evidence = vec![rows("rows", actual), rows("expected rows", expected)];
        let means = format!(
            "{} returned {}, where the planner expected {}.",
            name(node),
            evidence[0],
            evidence[1]
        );
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}

/// Returns whether any node of the plan has a limit.
fn has_limit(context: &Context<'_>) -> bool {
    context.nodes().any(|(_, node)| plan_info(node).any(|line| line.name == "limit"))
}
