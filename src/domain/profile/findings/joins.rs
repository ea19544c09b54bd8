//! Joins that read more than they need.

use super::context::{Context, NODE_SHARE, NODE_TIME, is_costly, is_scan, name, plan_info};
use super::quantity::{Quantity, Unit, ns, ratio, rows};
use super::rules::{Advice, Case, Rule};
use crate::domain::profile::plan::{Node, find};

const BUILD_FACTOR: Quantity =
    Quantity::new("rows of the build side over rows of the probe side", 2.0, Unit::Times);
const BUILD_ROWS: Quantity = Quantity::new("rows of the build side", 1e6, Unit::Rows);

pub(super) const BUILD_SIDE: Rule = Rule {
    id: "large-build-side",
    thresholds: &[BUILD_FACTOR, BUILD_ROWS, NODE_TIME, NODE_SHARE],
    meaning: "A hash join builds its table from the larger side. A table of the smaller side takes less memory and time.",
    doris: Some(Advice::new(
        "Collect statistics with ANALYZE TABLE, or name the order of the joins in a leading hint.",
        "leading",
        "https://doris.apache.org/docs/4.x/query-acceleration/tuning/tuning-plan/reordering-join-with-leading-hint/",
    )),
    starrocks: Some(Advice::new(
        "Collect statistics with ANALYZE TABLE, or give the join a hint.",
        "JOIN hint",
        "https://docs.starrocks.io/docs/best_practices/query_tuning/query_hint/",
    )),
    find: large_build_sides,
};

fn large_build_sides(context: &Context<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        if !node.name.contains("HASH_JOIN") || !is_costly(node) || is_null_aware(node) {
            continue;
        }
        let Some([probe, (_, build)]) = context.sides(node) else { continue };
        let (Some(build_rows), Some(probe_rows)) = (build.rows, unfiltered_rows(context, probe))
        else {
            continue;
        };
        if !BUILD_ROWS.is_met(build_rows as f64)
            || !BUILD_FACTOR.is_met(ratio(build_rows, probe_rows))
        {
            continue;
        }
        let evidence = vec![
            rows("rows of the build side", build_rows),
            rows("rows of the probe side", probe_rows),
        ];
        let means = format!(
            "{} builds its hash table from {} and probes it with {} at most.",
            name(node),
            evidence[0],
            evidence[1]
        );
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}

/// Returns whether the engine cannot exchange the sides of a join.
fn is_null_aware(join: &Node<'_, '_>) -> bool {
    join.join.as_deref().is_some_and(|kind| kind.replace('_', " ").contains("NULL AWARE"))
}

/// Returns the rows that a node would give on at most if no runtime filter cut them; None if the profile does not say.
fn unfiltered_rows(context: &Context<'_>, (position, node): (usize, &Node<'_, '_>)) -> Option<u64> {
    if !context.may_be_filtered(position) {
        return node.rows;
    }
    // What Doris' planner expects of a scan are the rows of the table.
    is_scan(node)
        .then_some(node.expected_rows.max(node.rows))?
        .filter(|_| node.expected_rows.is_some())
}

const FILTER_ROWS: Quantity = Quantity::new("rows of the scan", 1e7, Unit::Rows);
const FILTER_FACTOR: Quantity =
    Quantity::new("rows of the scan over rows after the join", 10.0, Unit::Times);

pub(super) const RUNTIME_FILTER: Rule = Rule {
    id: "missing-runtime-filter",
    thresholds: &[FILTER_ROWS, FILTER_FACTOR, NODE_TIME, NODE_SHARE],
    meaning: "A scan without a runtime filter gives rows to a join that drops nearly all of them.",
    doris: Some(Advice::new(
        "See that runtime filters are on for the session, that both sides of the join's equality are plain columns of one type, and that statistics are collected.",
        "runtime_filter_mode",
        "https://doris.apache.org/docs/4.x/query-acceleration/optimization-technology-principle/runtime-filter/",
    )),
    starrocks: Some(Advice::new(
        "See that runtime filters are on for the session, that both sides of the join's equality are plain columns of one type, and that statistics are collected.",
        "enable_global_runtime_filter",
        "https://docs.starrocks.io/docs/best_practices/query_tuning/query_profile_tuning_recipes/",
    )),
    find: missing_filters,
};

fn missing_filters(context: &Context<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        if !node.name.contains("HASH_JOIN") || !drops_unmatched(node) || has_residual(node) {
            continue;
        }
        let Some([(scan_position, scan), _]) = context.sides(node) else { continue };
        let (Some(scanned), Some(joined)) = (scan.rows, node.rows) else { continue };
        if !is_scan(scan)
            || !is_costly(scan)
            || context.has_runtime_filter(scan) != Some(false)
            || !FILTER_ROWS.is_met(scanned as f64)
            || !FILTER_FACTOR.is_met(ratio(scanned, joined))
        {
            continue;
        }
        let time = scan.time_ns.unwrap_or(0);
        let evidence = vec![
            rows("rows of the scan", scanned),
            rows("rows after the join", joined),
            ns("own time of the scan", time),
        ];
        let means = format!(
            "{} has no runtime filter and gives {} to {}, which keeps {}.",
            name(scan),
            evidence[0],
            name(node),
            evidence[1]
        );
        let nodes = vec![scan_position, position];
        cases.push(Case { nodes, weight: scan.weight, evidence, means });
    }
    cases
}

/// Returns whether a row of the probe side without a match is dropped, and one with a match is kept.
fn drops_unmatched(join: &Node<'_, '_>) -> bool {
    let Some(kind) = join.join.as_deref() else { return false };
    let kind = kind.replace('_', " ");
    kind.starts_with("INNER JOIN") || kind.starts_with("LEFT SEMI JOIN")
}

/// Returns whether a join has conditions besides its equalities, which may drop the rows.
fn has_residual(join: &Node<'_, '_>) -> bool {
    let mut lines = plan_info(join);
    let is_doris =
        lines.any(|line| ["other join predicates", "other predicates"].contains(&&*line.name));
    let names = ["Predicates", "OtherJoinPredicates", "JoinConjuncts"];
    let mut operators = join.operators.iter();
    is_doris || operators.any(|operator| names.iter().any(|name| find(operator, name).is_some()))
}

const PAIRS: Quantity = Quantity::new("pairs of rows", 1e8, Unit::Count);
/// A scalar subquery gives one row.
const SIDE_ROWS: Quantity = Quantity::new("rows of the smaller side", 10.0, Unit::Rows);

pub(super) const CROSS_JOIN: Rule = Rule {
    id: "cross-join",
    thresholds: &[PAIRS, SIDE_ROWS, NODE_TIME, NODE_SHARE],
    meaning: "A nested loop join compares each row of one side with each row of the other.",
    doris: Some(Advice::new(
        "Give the join an equality between columns of both sides, or filter the larger side before the join.",
        "JOIN",
        "https://doris.apache.org/docs/4.x/query-data/join/",
    )),
    starrocks: Some(Advice::new(
        "Give the join an equality between columns of both sides, or filter the larger side before the join.",
        "JOIN",
        "https://docs.starrocks.io/docs/best_practices/query_tuning/query_profile_tuning_recipes/",
    )),
    find: cross_joins,
};

/// Returns whether a node compares each row of one side with each row of the other.
pub(super) fn is_nested_loop_join(node: &Node<'_, '_>) -> bool {
    const NAMES: [&str; 4] = ["CROSS_JOIN", "NEST_LOOP_JOIN", "NESTED_LOOP_JOIN", "NESTLOOP_JOIN"];
    NAMES.iter().any(|name| node.name.contains(name))
}

fn cross_joins(context: &Context<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        if !is_nested_loop_join(node) || !is_costly(node) {
            continue;
        }
        let Some([(_, probe), (_, build)]) = context.sides(node) else { continue };
        let (Some(probe_rows), Some(build_rows)) = (probe.rows, build.rows) else { continue };
        let pairs = Quantity {
            name: "pairs of rows",
            value: probe_rows as f64 * build_rows as f64,
            unit: Unit::Count,
        };
        if !PAIRS.is_met(pairs.value) || !SIDE_ROWS.is_met(probe_rows.min(build_rows) as f64) {
            continue;
        }
        let evidence = vec![
            rows("rows of the probe side", probe_rows),
            rows("rows of the build side", build_rows),
            pairs,
        ];
        let means = format!(
            "{} compares each of {} with each of {}: {} pairs.",
            name(node),
            evidence[0],
            evidence[1],
            evidence[2]
        );
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}
