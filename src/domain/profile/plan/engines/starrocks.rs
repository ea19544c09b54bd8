//! StarRocks' pipeline engine. `(plan_node_id=3)` names the node of an operator. Since 3.0 `Topology` is the plan itself,
//! as JSON. The times are those of StarRocks' own manager; the known source of its rules is `ExplainAnalyzer.java`.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use super::{Key, find, find_in, longest_ns, total_bytes};
use crate::domain::profile::dialects::kind;
use crate::domain::profile::operators::Operator;
use crate::domain::profile::plan::{Busiest, Node};
use crate::domain::profile::tree::{Counter, Section};
use crate::domain::time::parse_duration_ns;

/// The id of the operators that take the rows of the plan out of it: the final sink, and what gives it rows.
const FINAL_SINK_ID: &str = "-1";

/// Returns the key of the node that an operator is a part of; none if it is no part of the plan. Up to 2.4 the final sink has
/// no id.
pub(super) fn place<'s>(operator: &Operator<'s>) -> Option<Key<'s>> {
    let Some((_, behind)) = operator.name.split_once("plan_node_id=") else {
        return is_sink(operator).then_some(Key::Kind(None, FINAL_SINK_ID));
    };
    let id = behind.split(')').next().unwrap_or(behind);
    match id {
        _ if operator.name.contains("pseudo_plan_node_id=") => {
            Some(Key::Fragment(operator.fragment, id))
        }
        FINAL_SINK_ID => Some(Key::Kind(None, FINAL_SINK_ID)),
        _ => Some(Key::Plan(id)),
    }
}

/// Returns the final sink of a plan; none if the node has another id.
fn final_sink<'o, 's>(node: &Node<'o, 's>) -> Option<&'o Operator<'s>> {
    let mut operators = node.operators.iter().copied();
    let first = operators.clone().next()?;
    if place(first) != Some(Key::Kind(None, FINAL_SINK_ID)) {
        return None;
    }
    let is_final = |operator: &&Operator<'_>| find(operator, "IsFinalSink").is_some();
    let is_named = |operator: &&Operator<'_>| {
        is_sink(operator) && !operator.name.starts_with("LOCAL_EXCHANGE")
    };
    let marked = operators.clone().find(is_final);
    marked.or_else(|| operators.find(is_named)).or(Some(first))
}

fn is_sink(operator: &Operator<'_>) -> bool {
    let kind = kind(operator.name);
    kind.ends_with("_SINK") || kind.ends_with("_BUILD")
}

/// Returns the operator from which the next node reads. Subordinate operators are not of the plan: they collect, or count.
fn source<'o, 's>(node: &Node<'o, 's>) -> Option<&'o Operator<'s>> {
    let is_subordinate = |operator: &Operator<'_>| find(operator, "IsSubordinate").is_some();
    let mut operators = node.operators.iter().copied();
    operators.find(|operator| !is_sink(operator) && !is_subordinate(operator))
}

/// Sets what the operators of a node say about it.
pub(super) fn describe(node: &mut Node<'_, '_>) {
    let Some(first) = node.operators.first().copied() else { return };
    let sink = final_sink(node);
    let main = sink.or_else(|| source(node)).unwrap_or(first);
    if node.name.is_empty() {
        let kind = kind(main.name);
        node.name = Cow::Borrowed(if sink.is_some() { kind } else { name(kind) });
    }
    node.fragment = main.fragment;
    node.rows = if node.name.starts_with("UNION") { union_rows(node) } else { main.rows };
    let longest = |kind: &str, counter: &str| {
        let of_kind = node.operators.iter().filter(|operator| operator.name.contains(kind));
        of_kind.flat_map(|operator| times_ns(operator, counter)).max()
    };
    let network_ns = longest("EXCHANGE_SINK", "NetworkTime");
    let scan_ns = longest("SCAN", "ScanTime");
    let wait_ns = longest("EXCHANGE_SINK", "WaitTime").max(longest("SCAN", "IOTaskWaitTime"));
    let times = [node.time_ns, network_ns, scan_ns];
    node.busiest = busiest(node).or(node.busiest);
    node.time_ns = times.into_iter().flatten().reduce(u64::saturating_add);
    node.wait_ns = wait_ns;
    node.bytes = total_bytes(node, &["BytesRead", "BytesSent"]);
    node.spill_bytes = total_bytes(node, &["BytesFlush", "BytesFlushToDisk"]);
    let text = |name: &str| {
        let value = node.operators.iter().find_map(|operator| find(operator, name))?;
        (!value.value.is_empty()).then_some(&value.value)
    };
    node.table = text("Table").cloned();
    let distribution = text("DistributionMode");
    node.join = text("JoinType").map(|kind| match distribution {
        Some(distribution) => Cow::Owned(format!("{kind} ({distribution})")),
        None => kind.clone(),
    });
    let conditions = ["Predicates", "JoinPredicates", "JoinConjuncts", "OtherJoinPredicates"];
    node.predicates = conditions.iter().filter_map(|name| text(name).cloned()).collect();
}

/// Returns a time of each instance of an operator, in nanoseconds; once the longest if the text merges instances.
fn times_ns(operator: &Operator<'_>, counter: &str) -> Vec<u64> {
    let instances = operator.instances();
    instances.filter_map(|counters| longest_ns(find_in(counters, counter)?)).collect()
}

/// Returns the average of a time whose instances are merged, in nanoseconds. A time without the longest is that of one instance.
fn average_ns(counter: &Counter<'_>) -> Option<u64> {
    let is_merged = counter.children.iter().any(|child| child.name.starts_with("__MAX_OF_"));
    parse_duration_ns(&counter.value).filter(|_| is_merged)
}

/// Returns the part of a node that takes most, if it is the network of an exchange or what a scan does beside its operator.
fn busiest<'o, 's>(node: &Node<'o, 's>) -> Option<Busiest<'o, 's>> {
    const COUNTERS: [(&str, &str); 2] = [("EXCHANGE_SINK", "NetworkTime"), ("SCAN", "ScanTime")];
    let parts = node.operators.iter().flat_map(|operator| {
        let of_kind = COUNTERS.iter().filter(|(kind, _)| operator.name.contains(kind));
        of_kind.filter_map(|(_, name)| {
            let times = times_ns(operator, name);
            let sum = times.iter().copied().reduce(u64::saturating_add)?;
            let average_ns = match times.len() {
                1 => average_ns(find(operator, name)?),
                count => Some(sum / count as u64),
            };
            Some(Busiest { operator, longest_ns: times.into_iter().max()?, average_ns })
        })
    });
    let longest = parts.max_by_key(|part| part.longest_ns)?;
    let of_operators = node.busiest.as_ref().map(|part| part.longest_ns);
    (Some(longest.longest_ns) >= of_operators).then_some(longest)
}

/// Returns the rows of a union, of which each branch has an operator: `UNION_PASSTHROUGH (plan_node_id=4)`.
fn union_rows(node: &Node<'_, '_>) -> Option<u64> {
    let branches = node.operators.iter().filter(|operator| operator.name.starts_with("UNION"));
    branches.filter_map(|operator| operator.rows).reduce(u64::saturating_add)
}

/// Returns the kind of a node: `AGGREGATE_BLOCKING` of `AGGREGATE_BLOCKING_SOURCE`.
fn name(kind: &str) -> &str {
    let ends = ["_SOURCE", "_SINK", "_BUILD", "_PROBE", "_PREPARE"];
    ends.iter().find_map(|end| kind.strip_suffix(end)).unwrap_or(kind)
}

/// The nodes of a plan and what each reads from.
#[derive(Debug, Deserialize)]
pub(in crate::domain::profile::plan) struct Topology {
    /// The node that gives the final sink its rows.
    #[serde(default, rename = "rootId")]
    root_id: Option<i64>,
    nodes: Vec<TopologyNode>,
}

#[derive(Debug, Deserialize)]
struct TopologyNode {
    id: i64,
    name: String,
    #[serde(default)]
    children: Vec<i64>,
}

impl Topology {
    /// Reads the topology of a profile; none if the profile has none, or if it cannot be read.
    pub(super) fn of(profile: &Section<'_>) -> Option<Topology> {
        let execution = profile.part(|name| name == "Execution")?;
        serde_json::from_str(execution.counter("Topology")?).ok()
    }

    /// Makes the nodes and their children those of the topology, and the final sink the first node.
    pub(in crate::domain::profile::plan) fn apply(self, nodes: &mut Vec<Node<'_, '_>>) {
        let mut known: HashMap<String, Node<'_, '_>> =
            nodes.drain(..).map(|node| (node.id.clone(), node)).collect();
        // A node without an id is the final sink.
        nodes.extend(known.remove(""));
        let sinks = nodes.len();
        let mut positions: HashMap<i64, usize> = HashMap::new();
        for node in &self.nodes {
            let next = sinks + positions.len();
            positions.entry(node.id).or_insert(next);
        }
        if let Some(sink) = nodes.first_mut() {
            let root = self.root_id.and_then(|id| positions.get(&id));
            sink.children = root.copied().into_iter().collect();
        }
        for listed in self.nodes {
            if positions.get(&listed.id) != Some(&nodes.len()) {
                continue;
            }
            let id = listed.id.to_string();
            let mut node = known.remove(&id).unwrap_or_default();
            node.id = id;
            node.name = Cow::Owned(listed.name);
            node.children =
                listed.children.iter().filter_map(|id| positions.get(id)).copied().collect();
            node.children.dedup();
            nodes.push(node);
        }
    }
}
