//! Doris since 2.0. A node has up to two halves in pipelines of one fragment, a source and a sink with the same id:
//! `AGGREGATION_OPERATOR (id=3)` and `AGGREGATION_SINK_OPERATOR (id=3)`. An exchange has its halves in two fragments:
//! `DATA_STREAM_SINK_OPERATOR (dest_id=4)` and `EXCHANGE_OPERATOR (id=4)`. `PlanInfo` is what the planner knew. Known
//! sources of the format are `PipelineXLocalStateBase` in the backend and `PlanNode.getPlanTreeExplainStr` in the frontend.

use std::borrow::Cow;

use super::{Key, longest_ns, total_bytes};
use crate::domain::profile::dialects::kind;
use crate::domain::profile::operators::{Operator, id_of};
use crate::domain::profile::plan::Node;
use crate::domain::profile::tree::Counter;

/// The name of the node from which several exchanges read the same rows.
const MULTI_CAST: &str = "MULTI_CAST";

/// Returns the key of the node that an operator is a part of.
pub(super) fn place<'s>(operator: &Operator<'s>) -> Key<'s> {
    let kind = kind(operator.name);
    let id = id_of(operator.name);
    match id {
        // The sink of a fragment has the streams of all its readers, and each of them reads in the same fragment.
        _ if kind.starts_with("MULTI_CAST_DATA_STREAM_S") => {
            Key::Kind(operator.fragment, MULTI_CAST)
        }
        Some(id) if kind == "DATA_STREAM_SINK_OPERATOR" || kind == "EXCHANGE_OPERATOR" => {
            Key::Plan(id)
        }
        _ if is_final_sink(kind) => Key::Sink(operator.fragment, kind),
        Some(id) => Key::Fragment(operator.fragment, id),
        None => Key::Kind(operator.fragment, kind),
    }
}

/// Returns whether an operator of this kind takes the rows of a plan out of it. Its id is no id of the plan: 0 in 2.1.
fn is_final_sink(kind: &str) -> bool {
    const PARTS: [&str; 6] =
        ["RESULT_SINK", "FILE_SINK", "TABLE_SINK", "SCRATCH_SINK", "BLOCK_SINK", "DICT"];
    kind.contains("SINK") && PARTS.iter().any(|part| kind.contains(part))
}

fn is_sink(operator: &Operator<'_>) -> bool {
    kind(operator.name).contains("_SINK")
}

/// Sets what the operators of a node say about it.
pub(super) fn describe(node: &mut Node<'_, '_>) {
    let source = node.operators.iter().copied().find(|operator| !is_sink(operator));
    let Some(main) = source.or(node.operators.first().copied()) else { return };
    node.name = Cow::Borrowed(name(kind(main.name)));
    node.fragment = main.fragment;
    node.rows = match &*node.name {
        MULTI_CAST => multi_cast_rows(node),
        _ => main.rows,
    };
    match is_scan(main) {
        true => read_times_of_scan(node),
        false => {
            node.wait_ns = node.operators.iter().filter_map(|operator| waiting_ns(operator)).max();
        }
    }
    node.bytes = total_bytes(node, &["ScanBytes", "BytesSent"]);
    node.spill_bytes = total_bytes(node, &["SpillWriteFileBytes", "SpillWriteDataSize"]);
    node.table = table(main);
    for operator in node.operators.clone() {
        let info = operator.counters.iter().filter(|counter| counter.name == "PlanInfo");
        for line in info.flat_map(|info| &info.children) {
            read_plan_info(node, line);
        }
    }
}

/// Returns whether a node lacks the operators that send to it or receive from it, or nodes from which it must read.
pub(super) fn is_incomplete(node: &Node<'_, '_>) -> bool {
    const READERS: [&str; 4] = ["AGGREGATION", "SORT", "ANALYTIC_EVAL", "LOCAL_EXCHANGE"];
    let name = &*node.name;
    let least = match name {
        "EXCHANGE" => 1,
        _ if name.contains("JOIN") => 2,
        _ => usize::from(READERS.iter().any(|reader| name.starts_with(reader))),
    };
    node.children.len() < least || name == "EXCHANGE" && node.operators.len() < 2
}

/// Returns the most rows that a reader of a multi-cast got; of one without readers, the rows that came in. The sink of some
/// versions counts each row twice (`multi_cast_data_stream_sink.cpp`).
fn multi_cast_rows(node: &Node<'_, '_>) -> Option<u64> {
    let read = node.operators.iter().filter(|operator| !is_sink(operator));
    let most = read.filter_map(|operator| operator.rows).max();
    most.or_else(|| node.operators.iter().find_map(|operator| operator.rows))
}

/// Sets the rows of each multi-cast to the rows that it reads: its readers may drop some.
pub(super) fn finish(nodes: &mut [Node<'_, '_>]) {
    for position in 0..nodes.len() {
        if let [child] = nodes[position].children.as_slice()
            && nodes[position].name == MULTI_CAST
            && let Some(rows) = nodes[*child].rows
        {
            nodes[position].rows = Some(rows);
        }
    }
}

/// Returns the kind of a node: `AGGREGATION` of `AGGREGATION_SINK_OPERATOR`.
fn name(kind: &str) -> &str {
    if kind.starts_with("MULTI_CAST_DATA_STREAM_S") {
        return MULTI_CAST;
    }
    if kind == "DATA_STREAM_SINK_OPERATOR" {
        return "EXCHANGE";
    }
    let name = kind.strip_suffix("_OPERATOR").unwrap_or(kind);
    if is_final_sink(kind) {
        return name;
    }
    let name = name.strip_suffix("_SINK").or_else(|| name.strip_suffix("_SOURCE")).unwrap_or(name);
    name.strip_suffix("_BUILD").or_else(|| name.strip_suffix("_PROBE")).unwrap_or(name)
}

fn is_scan(operator: &Operator<'_>) -> bool {
    kind(operator.name).contains("SCAN_OPERATOR")
}

/// Sets the times of a scan. Its execution time has what it waited for runtime filters, and what it waited for its own scanners,
/// which read (`ScanLocalState::close`). Only the first is waiting for other nodes; profiles with few details do not have it.
fn read_times_of_scan(node: &mut Node<'_, '_>) {
    let (mut work, mut wait, mut scanners) = (None, None, None);
    for counters in node.operators.iter().flat_map(|operator| operator.instances()) {
        let longest = |start: &str| {
            let all = counters.iter().filter(|counter| counter.name.starts_with(start));
            all.filter_map(|counter| longest_ns(counter)).max()
        };
        let filters = longest("WaitForRuntimeFilter");
        let waited = longest("WaitForDependency");
        let own = longest("ExecTime")
            .map(|ns| ns.saturating_sub(filters.unwrap_or(0)).max(waited.unwrap_or(0)));
        (work, wait, scanners) = (work.max(own), wait.max(filters), scanners.max(waited));
    }
    (node.time_ns, node.wait_ns, node.scanner_wait_ns) = (work.or(node.time_ns), wait, scanners);
}

/// Returns how long the instance of an operator that waited longest waited for others.
fn waiting_ns(operator: &Operator<'_>) -> Option<u64> {
    operator.instances().filter_map(waiting_of_instance_ns).max()
}

/// Returns how long an instance waited. A time of all dependencies may have the times of each below it, or 0 and the times below
/// it.
fn waiting_of_instance_ns(counters: &[&Counter<'_>]) -> Option<u64> {
    let waits = counters.iter().filter(|counter| counter.name.starts_with("WaitFor"));
    let longest = waits.filter_map(|wait| {
        let below = wait.children.iter().filter(|below| below.name.starts_with("WaitFor"));
        below.filter_map(longest_ns).chain(longest_ns(wait)).max()
    });
    longest.reduce(u64::saturating_add)
}

/// Returns the table that the name of a scan has: `OLAP_SCAN_OPERATOR (id=0. nereids_id=190. table name = plants(plants))`.
fn table<'s>(operator: &Operator<'s>) -> Option<Cow<'s, str>> {
    let starts = ["table name = ", "table_name=", "table name="];
    let (_, behind) = starts.iter().find_map(|start| operator.name.split_once(start))?;
    let table = behind.split(['(', ')', ',']).next().unwrap_or(behind).trim();
    (!table.is_empty()).then_some(Cow::Borrowed(table))
}

/// Reads a line of what the planner knew: `TABLE: garden.plants(plants), PREAGGREGATION: ON`, `cardinality=1,441,548`.
fn read_plan_info<'s>(node: &mut Node<'_, 's>, line: &'s Counter<'s>) {
    let value = line.value.trim();
    match &*line.name {
        "TABLE" | "table" => {
            let table = value.split([',', '(']).next().unwrap_or(value).trim();
            node.table = Some(Cow::Borrowed(table));
        }
        "join op" => {
            let join = value.split('[').next().unwrap_or(value);
            node.join = Some(Cow::Borrowed(join));
        }
        "predicates"
        | "PREDICATES"
        | "equal join conjunct"
        | "other join predicates"
        | "other predicates"
        | "join conjuncts"
        | "runtime filters" => {
            node.predicates.push(Cow::Owned(format!("{}: {value}", line.name.to_lowercase())));
        }
        name => {
            if let Some(behind) = name.strip_prefix("cardinality=") {
                let digits = behind.split(", ").next().unwrap_or(behind).replace(',', "");
                node.expected_rows = digits.parse().ok();
            }
        }
    }
}
