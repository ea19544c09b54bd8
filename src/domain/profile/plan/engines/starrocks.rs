//! StarRocks' pipeline engine. `(plan_node_id=3)` names the node of an operator. Since 3.0 `Topology` is the plan itself,
//! as JSON. The times are those of StarRocks' own manager; the known source of its rules is `ExplainAnalyzer.java`.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use super::{Key, find, longest_ns, total_bytes};
use crate::domain::profile::dialects::kind;
use crate::domain::profile::operators::Operator;
use crate::domain::profile::plan::Node;
use crate::domain::profile::tree::Section;

/// Returns the key of the node that an operator is a part of. What moves rows between the nodes and the client is no node.
pub(super) fn place<'s>(operator: &Operator<'s>) -> Option<Key<'s>> {
    let (_, behind) = operator.name.split_once("plan_node_id=")?;
    let id = behind.split(')').next().unwrap_or(behind);
    if operator.name.contains("pseudo_plan_node_id=") {
        return Some(Key::Fragment(operator.fragment, id));
    }
    (id != "-1").then_some(Key::Plan(id))
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
    let main = source(node).unwrap_or(first);
    if node.name.is_empty() {
        node.name = Cow::Borrowed(name(kind(main.name)));
    }
    node.fragment = main.fragment;
    node.rows = main.rows;
    let longest = |kind_part: &str, counter: &str| {
        let of_kind = node.operators.iter().filter(|operator| operator.name.contains(kind_part));
        of_kind.filter_map(|operator| longest_ns(find(operator, counter)?)).max()
    };
    let network_ns = longest("EXCHANGE_SINK", "NetworkTime");
    let scan_ns = longest("SCAN", "ScanTime");
    let wait_ns = longest("EXCHANGE_SINK", "WaitTime").max(longest("SCAN", "IOTaskWaitTime"));
    let times = [node.time_ns, network_ns, scan_ns];
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

/// Returns the kind of a node: `AGGREGATE_BLOCKING` of `AGGREGATE_BLOCKING_SOURCE`.
fn name(kind: &str) -> &str {
    let ends = ["_SOURCE", "_SINK", "_BUILD", "_PROBE", "_PREPARE"];
    ends.iter().find_map(|end| kind.strip_suffix(end)).unwrap_or(kind)
}

/// The nodes of a plan and what each reads from.
#[derive(Debug, Deserialize)]
pub(in crate::domain::profile::plan) struct Topology {
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

    /// Makes the nodes and their children those of the topology.
    pub(in crate::domain::profile::plan) fn apply(self, nodes: &mut Vec<Node<'_, '_>>) {
        let mut known: HashMap<String, Node<'_, '_>> =
            nodes.drain(..).map(|node| (node.id.clone(), node)).collect();
        let mut positions: HashMap<i64, usize> = HashMap::new();
        for node in &self.nodes {
            let next = positions.len();
            positions.entry(node.id).or_insert(next);
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
