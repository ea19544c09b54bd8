//! How the work of a node is spread over its instances.

use super::context::{Context, NODE_SHARE, is_scan, name, spread};
use super::joins::is_nested_loop_join;
use super::quantity::{Quantity, Unit, count, ns, rows};
use super::rules::{Advice, Case, Rule};
use crate::domain::profile::dialects::kind;
use crate::domain::profile::operators::Operator;
use crate::domain::profile::plan::{Engine, Node};

const SKEW_FACTOR: Quantity =
    Quantity::new("longest over average time of the instances", 3.0, Unit::Times);
const SKEW_TIME: Quantity = Quantity::new("time of the longest instance", 1e9, Unit::Ns);
/// Half of the rows too many is what hashing gives by chance where keys are few.
const UNEVEN_ROWS: f64 = 1.5;

pub(super) const SKEW: Rule = Rule {
    id: "skewed-instances",
    thresholds: &[SKEW_FACTOR, SKEW_TIME, NODE_SHARE],
    meaning: "One instance of a node works much longer than the others, and the query waits for it.",
    doris: Some(Advice::new(
        "If the rows are uneven, distribute the table or the join by a column with more values. If they are even, look at the load of the backend that took longest.",
        "DISTRIBUTED BY HASH",
        "https://doris.apache.org/docs/4.x/query-acceleration/tuning/tuning-execution/data-skew-handling/",
    )),
    starrocks: Some(Advice::new(
        "If the rows are uneven, distribute the table or the join by a column with more values. If they are even, look at the load of the backend that took longest.",
        "DISTRIBUTED BY HASH",
        "https://docs.starrocks.io/docs/best_practices/bucketing/",
    )),
    find: skewed,
};

fn skewed(context: &Context<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        let Some(busiest) = node.busiest.filter(|_| does_work(node)) else { continue };
        let (longest, Some(average)) = (busiest.longest_ns, busiest.average_ns) else { continue };
        let factor = longest as f64 / average.max(1) as f64;
        let is_skewed = SKEW_FACTOR.is_met(factor)
            && SKEW_TIME.is_met(longest as f64)
            && NODE_SHARE.is_met(node.weight * 100.0);
        if !is_skewed || works_for_all(node, busiest.operator) {
            continue;
        }
        let spread = spread(busiest.operator);
        let is_spread = match context.plan.engine {
            Engine::DorisLegacy => true,
            // Where one instance has all rows, the node is not parallel at all.
            Engine::Doris | Engine::StarRocks => {
                spread.is_some_and(|spread| spread.max < spread.sum)
            }
        };
        if !is_spread {
            continue;
        }
        let mut evidence = vec![ns("longest instance", longest), ns("average instance", average)];
        let mut means = format!(
            "One instance of {} took {}, the average took {}.",
            name(node),
            evidence[0],
            evidence[1]
        );
        if let Some(spread) = spread {
            evidence.push(rows("most rows of an instance", spread.max));
            evidence.push(rows("fewest rows of an instance", spread.min));
            let is_uneven = spread.max as f64 >= spread.min as f64 * UNEVEN_ROWS;
            means += &match is_uneven {
                true => format!(" Its instances had from {} to {}.", evidence[3], evidence[2]),
                false => " All instances had about as many rows.".to_string(),
            };
        }
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}

/// Returns whether one instance of an operator does the work of all on its backend: it builds the table of a broadcast or nested loop
/// join, or it merges what others sorted.
fn works_for_all(node: &Node<'_, '_>, operator: &Operator<'_>) -> bool {
    let kind = kind(operator.name);
    let takes_rows = ["_SINK", "_BUILD"].iter().any(|part| kind.contains(part));
    let is_broadcast = node.join.as_deref().is_some_and(|join| join.contains("BROADCAST"));
    let is_shared_table = kind.contains("JOIN") && (is_broadcast || is_nested_loop_join(node));
    let merges = kind.contains("MERGE") || kind.contains("SORT") && !takes_rows;
    takes_rows && is_shared_table || merges
}

const SINGLE_TIME: Quantity = Quantity::new("own time of the node", 1e9, Unit::Ns);
const SINGLE_SHARE: Quantity =
    Quantity::new("own time over the query's duration", 20.0, Unit::Percent);
const SINGLE_ROWS: Quantity = Quantity::new("rows of the one instance", 1e6, Unit::Rows);
const OTHER_INSTANCES: Quantity =
    Quantity::new("instances of another node of the plan", 4.0, Unit::Count);

pub(super) const PARALLELISM: Rule = Rule {
    id: "low-parallelism",
    thresholds: &[SINGLE_TIME, SINGLE_SHARE, SINGLE_ROWS, OTHER_INSTANCES],
    meaning: "All rows of a node go through one instance, while other nodes work in many.",
    doris: Some(Advice::new(
        "Give a window a PARTITION BY and a sort a LIMIT where the statement allows it. Other nodes have the instances of what they read: see how many tablets that has, and whether the session limits the parallelism.",
        "parallel_pipeline_task_num",
        "https://doris.apache.org/docs/4.x/query-acceleration/tuning/tuning-execution/parallelism-tuning/",
    )),
    starrocks: Some(Advice::new(
        "Give a window a PARTITION BY and a sort a LIMIT where the statement allows it. Other nodes have the instances of what they read: see how many tablets that has, and whether the session limits the parallelism.",
        "pipeline_dop",
        "https://docs.starrocks.io/docs/sql-reference/System_variable/#pipeline_dop",
    )),
    find: single,
};

fn single(context: &Context<'_>) -> Vec<Case> {
    let is_costly = |node: &Node<'_, '_>| {
        SINGLE_TIME.is_met(node.time_ns.unwrap_or(0) as f64)
            && SINGLE_SHARE.is_met(node.weight * 100.0)
    };
    let mut most = None;
    let mut cases = Vec::new();
    for (position, node) in context.nodes().filter(|(_, node)| is_costly(node)) {
        // Doris gives a scan to one instance whose scanners work in parallel.
        let Some(busiest) = node.busiest.filter(|_| does_work(node) && !is_scan(node)) else {
            continue;
        };
        let most = *most.get_or_insert_with(|| most_instances(context));
        if !OTHER_INSTANCES.is_met(most as f64) {
            return Vec::new();
        }
        let operator = busiest.operator;
        // Instances on a backend share the hash table that one of them builds.
        let is_build_side = kind(operator.name).contains("JOIN")
            && ["_SINK", "_BUILD"].iter().any(|part| kind(operator.name).contains(part));
        let Some(spread) = spread(operator).filter(|spread| spread.sum == spread.max) else {
            continue;
        };
        if is_build_side || !SINGLE_ROWS.is_met(spread.sum as f64) {
            continue;
        }
        let time = node.time_ns.unwrap_or(0);
        let evidence = vec![
            rows("rows of the one instance", spread.sum),
            ns("own time", time),
            count("instances of another node", most),
        ];
        let means = format!(
            "One instance of {} handled all {} and took {}, while another node had {} instances at least.",
            name(node),
            evidence[0],
            evidence[1],
            evidence[2]
        );
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}

/// Returns whether a node does more than take rows in or move them.
fn does_work(node: &Node<'_, '_>) -> bool {
    !node.name.contains("EXCHANGE") && !node.name.contains("SINK")
}

/// Returns the least number of instances that the operator with the most of them has.
fn most_instances(context: &Context<'_>) -> u64 {
    let operators = context.nodes().flat_map(|(_, node)| node.operators.iter().copied());
    operators.filter_map(instances).max().unwrap_or(0)
}

/// Returns the least number of instances that an operator has, judging by its rows.
fn instances(operator: &Operator<'_>) -> Option<u64> {
    let spread = spread(operator)?;
    Some(spread.sum.div_ceil(spread.max))
}
