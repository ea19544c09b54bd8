//! What the engines and their versions write differently about a plan.
//!
//! - [`doris`] since 2.0, whose operators are in pipelines.
//! - [`doris_legacy`]: Doris up to 2.0, and StarRocks without its pipeline engine.
//! - [`starrocks`] with its pipeline engine.

mod doris;
mod doris_legacy;
mod starrocks;

pub(super) use self::starrocks::Topology;
use super::{Busiest, Node};
use crate::domain::profile::dialects::{bytes, has_plan_node_id, kind, longest_of};
use crate::domain::profile::operators::{Operator, walk};
use crate::domain::profile::tree::{Counter, Section};
use crate::domain::time::parse_duration_ns;

/// How an engine writes plans.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::domain::profile) enum Engine {
    #[default]
    Doris,
    DorisLegacy,
    StarRocks,
}

/// What tells the node of an operator from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key<'s> {
    /// The id of a node that may be in several fragments: of an exchange, or of a plan with one numbering.
    Plan(&'s str),
    /// The fragment and the id of a node.
    Fragment(Option<&'s str>, &'s str),
    /// The fragment and the kind of a node without an id.
    Kind(Option<&'s str>, &'s str),
    /// The fragment and the kind of a sink that takes rows out of the plan. An execution has one.
    Sink(Option<&'s str>, &'s str),
}

impl<'s> Key<'s> {
    /// Returns the id of the node; empty if it has none.
    pub(super) fn id(self) -> &'s str {
        match self {
            Key::Plan(id) | Key::Fragment(_, id) => id,
            Key::Kind(..) | Key::Sink(..) => "",
        }
    }
}

/// Returns the engine that wrote operators.
pub(super) fn of(operators: &[Operator<'_>]) -> Engine {
    let mut names = walk(operators).map(|(_, operator)| operator.name);
    if names.any(has_plan_node_id) {
        return Engine::StarRocks;
    }
    let mut kinds = walk(operators).map(|(_, operator)| kind(operator.name));
    match kinds.any(|kind| kind.ends_with("_OPERATOR")) {
        true => Engine::Doris,
        false => Engine::DorisLegacy,
    }
}

impl Engine {
    /// Returns the key of the node that an operator is a part of; none if the operator is no part of the plan.
    pub(super) fn place<'s>(self, operator: &Operator<'s>) -> Option<Key<'s>> {
        match self {
            Engine::Doris => Some(doris::place(operator)),
            Engine::DorisLegacy => Some(doris_legacy::place(operator)),
            Engine::StarRocks => starrocks::place(operator),
        }
    }

    /// Returns whether an operator is a sink that the text has beside the node from which it reads.
    pub(super) fn is_lone_sink(self, operator: &Operator<'_>) -> bool {
        self == Engine::DorisLegacy && doris_legacy::is_lone_sink(operator)
    }

    /// Returns the nodes and their children as the text itself lists them, if it does.
    pub(super) fn topology(self, profile: &Section<'_>) -> Option<Topology> {
        match self {
            Engine::StarRocks => Topology::of(profile),
            Engine::Doris | Engine::DorisLegacy => None,
        }
    }

    /// Sets what the operators of a node say about it.
    pub(super) fn describe(self, node: &mut Node<'_, '_>) {
        node.time_ns = node
            .operators
            .iter()
            .filter_map(|operator| operator.time_ns)
            .reduce(u64::saturating_add);
        let memory = node.operators.iter().filter_map(|operator| operator.memory_bytes);
        node.memory_bytes = memory.max();
        node.busiest = slowest(node);
        match self {
            Engine::Doris => doris::describe(node),
            Engine::DorisLegacy => doris_legacy::describe(node),
            Engine::StarRocks => starrocks::describe(node),
        }
        node.skew = node.busiest.and_then(|busiest| busiest.skew());
    }

    /// Returns whether a node lacks operators that each execution of it has.
    pub(super) fn is_incomplete(self, node: &Node<'_, '_>) -> bool {
        match self {
            Engine::Doris => doris::is_incomplete(node),
            // A published text of an old version has no senders.
            Engine::DorisLegacy => false,
            Engine::StarRocks => node.operators.is_empty(),
        }
    }

    /// Brings the children and the rows of nodes, each of which is described, into the form of a plan.
    pub(super) fn finish(self, nodes: &mut [Node<'_, '_>]) {
        match self {
            Engine::Doris => doris::finish(nodes),
            Engine::DorisLegacy => doris_legacy::finish(nodes),
            Engine::StarRocks => {}
        }
    }
}

/// Returns the operator of a node that takes most, with its times; of several that are equal the last.
fn slowest<'o, 's>(node: &Node<'o, 's>) -> Option<Busiest<'o, 's>> {
    let operator = node.operators.iter().copied().max_by_key(|operator| operator.time_ns)?;
    let longest_ns = operator.time_ns?;
    Some(Busiest { operator, longest_ns, average_ns: operator.average_ns })
}

/// Returns the first counter of an operator with a name, also if it is below another counter.
pub(in crate::domain::profile) fn find<'s>(
    operator: &Operator<'s>,
    name: &str,
) -> Option<&'s Counter<'s>> {
    find_in(&operator.counters, name)
}

/// Returns the first of the counters of an instance with a name, also if it is below another counter.
pub(in crate::domain::profile) fn find_in<'s>(
    counters: &[&'s Counter<'s>],
    name: &str,
) -> Option<&'s Counter<'s>> {
    counters.iter().find_map(|counter| find_from(counter, name))
}

fn find_from<'s>(counter: &'s Counter<'s>, name: &str) -> Option<&'s Counter<'s>> {
    if counter.name == name {
        return Some(counter);
    }
    counter.children.iter().find_map(|below| find_from(below, name))
}

/// Returns the sum over a node's operators and their instances of the first of the counters that each has, in bytes.
fn total_bytes(node: &Node<'_, '_>, names: &[&str]) -> Option<u64> {
    let instances = node.operators.iter().flat_map(|operator| operator.instances());
    let of_instance = |counters: &[&Counter<'_>]| {
        names.iter().find_map(|name| bytes(&find_in(counters, name)?.value))
    };
    instances.filter_map(of_instance).reduce(u64::saturating_add)
}

/// Returns the longest of the times of a counter's instances, in nanoseconds.
fn longest_ns(counter: &Counter<'_>) -> Option<u64> {
    parse_duration_ns(longest_of(counter))
}
