//! Memory that is short.

use super::context::{Context, name};
use super::quantity::{Quantity, Unit, bytes};
use super::rules::{Advice, Case, Rule};
use crate::domain::profile::dialects;

const SPILLED: Quantity = Quantity::new("bytes that the node wrote to disk", GIB, Unit::Bytes);
const GIB: f64 = 1_073_741_824.0;

pub(super) const SPILL: Rule = Rule {
    id: "spill",
    thresholds: &[SPILLED],
    meaning: "A node wrote rows to disk because memory was short, and read them again.",
    doris: Some(Advice::new(
        "Read fewer columns and rows, split the statement, or give the query more memory.",
        "exec_mem_limit",
        "https://doris.apache.org/docs/4.x/admin-manual/workload-management/spill-disk/",
    )),
    starrocks: Some(Advice::new(
        "Read fewer columns and rows, split the statement, or give the query more memory.",
        "query_mem_limit",
        "https://docs.starrocks.io/docs/administration/management/resource_management/spill_to_disk/",
    )),
    find: spills,
};

fn spills(context: &Context<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        let Some(spilled) = node.spill_bytes.filter(|spilled| SPILLED.is_met(*spilled as f64))
        else {
            continue;
        };
        let mut evidence = vec![bytes("bytes spilled", spilled)];
        evidence.extend(node.memory_bytes.map(|peak| bytes("peak memory", peak)));
        let means = format!("{} wrote {} to disk.", name(node), evidence[0]);
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}

const LIMIT_PART: Quantity = Quantity::new(
    "peak memory of a node of the cluster over the query's limit",
    80.0,
    Unit::Percent,
);
const PEAK: Quantity = Quantity::new("peak memory of a node of the cluster", GIB, Unit::Bytes);

pub(super) const LIMIT: Rule = Rule {
    id: "memory-near-limit",
    thresholds: &[LIMIT_PART, PEAK],
    meaning: "The query needs nearly all memory that it may have. With a little more data it fails.",
    doris: None,
    starrocks: Some(Advice::new(
        "Read fewer columns and rows, let operators spill, or raise the limit.",
        "query_mem_limit",
        "https://docs.starrocks.io/docs/sql-reference/System_variable/#query_mem_limit",
    )),
    find: near_limit,
};

fn near_limit(context: &Context<'_>) -> Vec<Case> {
    let Some(execution) = context.profile.part(|name| name == "Execution") else {
        return Vec::new();
    };
    let read = |text: Option<&str>| text.and_then(dialects::bytes);
    // A query without a limit has -1.
    let limits = execution.children.iter().filter_map(|fragment| {
        read(fragment.counter("QueryMemoryLimit")).filter(|limit| *limit > 0)
    });
    let (Some(limit), Some(peak)) =
        (limits.min(), read(execution.counter("QueryPeakMemoryUsagePerNode")))
    else {
        return Vec::new();
    };
    if !PEAK.is_met(peak as f64) || !LIMIT_PART.is_met(peak as f64 / limit as f64 * 100.0) {
        return Vec::new();
    }
    let evidence = vec![bytes("peak memory", peak), bytes("limit of the query", limit)];
    let means = format!(
        "The query used {} of memory on one node of the cluster; its limit is {}.",
        evidence[0], evidence[1]
    );
    let largest = context.nodes().max_by_key(|(_, node)| node.memory_bytes);
    let weight = largest.map_or(0.0, |(_, node)| node.weight);
    let nodes = largest.filter(|(_, node)| node.memory_bytes.is_some());
    vec![Case {
        nodes: nodes.map(|(position, _)| position).into_iter().collect(),
        weight,
        evidence,
        means,
    }]
}
