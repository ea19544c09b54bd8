//! The plan of a query: the operators of all fragments and pipelines of a profile, joined into one graph of nodes.
//!
//! - [`joining`] makes nodes of operators, and finds which node reads from which.
//! - [`engines`] has what the engines write differently: which operators are one node, and what a node reads and costs.
//! - [`order`] orders the nodes, and finds the critical path.
//! - [`comparison`] compares the plans of two runs.
//! - [`report`] is the form in which programs get a plan.
//! - [`fingerprint`] identifies the shape of a plan.
//! - [`summary`] is what the store keeps of a plan.
//! - [`history`] says which plans the runs of a statement had, and when the plan changed.
//! - [`statements`] says what the plans of all statements cost, and where the time of their runs went.
//! - [`usual`] says what is usual for the nodes of a plan.

mod comparison;
mod engines;
mod fingerprint;
mod history;
mod joining;
mod order;
mod report;
mod statements;
mod summary;
#[cfg(test)]
mod tests;
mod usual;

use std::borrow::Cow;

use super::Operator;
use super::phases::total_ms;
use super::tree::Section;

pub(crate) use self::comparison::{NodeDifference, compare};
pub(super) use self::engines::{Engine, find, find_in};
pub(crate) use self::fingerprint::{InvalidPlanFingerprint, PlanFingerprint};
pub(crate) use self::history::{PlanChange, PlanRun, PlanStatistics, StatementPlans};
pub(crate) use self::report::{PlanReport, ReportedNode};
pub(crate) use self::statements::{ProfiledRun, ProfiledStatement, ProfiledStatements};
pub(crate) use self::summary::PlanSummary;
pub(crate) use self::usual::{Usual, UsualNode};

/// The plan of a query.
#[derive(Debug, Default)]
pub(crate) struct Plan<'o, 's> {
    /// The engine that wrote the profile.
    pub(super) engine: Engine,
    /// The nodes, each before the nodes that it reads from. The first is the root, if the profile is whole.
    pub nodes: Vec<Node<'o, 's>>,
    /// The positions of the nodes of the path that took the longest, from a root down.
    pub critical_path: Vec<usize>,
    /// The shape of the plan; none if the profile has no operators, or lacks some.
    pub fingerprint: Option<PlanFingerprint>,
    /// How many nodes lack the operators that send to them, that receive from them, or all: the profile was cut, or a backend did not
    /// report.
    pub incomplete_nodes: usize,
}

/// A node of a plan: the operators that do the work of one step, in all fragments and instances. A join is one node, and
/// an exchange is one node with the senders of one fragment and the receivers of another.
#[derive(Debug, Default)]
pub(crate) struct Node<'o, 's> {
    /// The id that the planner gave the node. Nodes without one, as result sinks, have the name as id. Unique in a plan.
    pub id: String,
    /// The kind of the node in capitals: `HASH_JOIN`.
    pub name: Cow<'s, str>,
    /// The number of the fragment that runs the node; of an exchange, that which receives.
    pub fragment: Option<&'s str>,
    /// The own time in nanoseconds: of each operator the longest of its instances, without waiting for other nodes.
    pub time_ns: Option<u64>,
    /// The longest time that one of the operators waited for others, in nanoseconds.
    pub wait_ns: Option<u64>,
    /// The longest time that an instance of a scan of Doris waited for its own scanners, in nanoseconds. It is own time: they read.
    pub scanner_wait_ns: Option<u64>,
    /// The own time as a part of the own times of all nodes, from 0 to 1; none if the own time is unknown.
    pub share: Option<f64>,
    /// The part of the query's duration that the own time is, from 0 to 1; of a profile without a duration, the share. Nodes that
    /// work at the same time have more than 1 together. 0 if the own time is unknown.
    pub weight: f64,
    /// The rows that all instances gave on; of a final sink, the rows that it received.
    pub rows: Option<u64>,
    /// The rows that the planner expected.
    pub expected_rows: Option<u64>,
    /// The bytes that the node read from storage or sent over the network.
    pub bytes: Option<u64>,
    /// The peak memory of all instances, in bytes.
    pub memory_bytes: Option<u64>,
    /// The bytes that all instances wrote to disk because memory was short.
    pub spill_bytes: Option<u64>,
    /// The longest time over the average time of the instances, of the part of the work that takes most.
    pub skew: Option<f64>,
    /// The part of the node's work that takes most.
    pub(super) busiest: Option<Busiest<'o, 's>>,
    /// The table that a scan reads, or a sink writes.
    pub table: Option<Cow<'s, str>>,
    /// The kind of a join: `INNER JOIN(BROADCAST)`.
    pub join: Option<Cow<'s, str>>,
    /// The conditions on rows: predicates of a scan, the equality of a join.
    pub predicates: Vec<Cow<'s, str>>,
    /// The positions of the nodes that this one reads from; of a join, the probe side first.
    pub children: Vec<usize>,
    /// The operators of the node, as the profile has them.
    pub operators: Vec<&'o Operator<'s>>,
}

/// The part of a node's work that takes most: of Doris an operator, of StarRocks also the network or the reading of a scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Busiest<'o, 's> {
    /// The operator that does the work.
    pub operator: &'o Operator<'s>,
    /// The longest time of its instances, in nanoseconds.
    pub longest_ns: u64,
    /// The average time of its instances, in nanoseconds; none if there is one instance or no average.
    pub average_ns: Option<u64>,
}

impl Busiest<'_, '_> {
    /// Returns the longest time over the average time; none if the average is unknown or 0.
    fn skew(&self) -> Option<f64> {
        let average_ns = self.average_ns.filter(|ns| *ns > 0)?;
        Some(self.longest_ns as f64 / average_ns as f64)
    }
}

impl<'o, 's> Plan<'o, 's> {
    /// Returns the plan of a profile, given its operators.
    pub(crate) fn of(profile: &Section<'s>, operators: &'o [Operator<'s>]) -> Plan<'o, 's> {
        let engine = engines::of(operators);
        let mut nodes = joining::join(engine, profile, operators);
        let total: f64 = nodes.iter().filter_map(|node| node.time_ns).map(|ns| ns as f64).sum();
        let duration_ns = total_ms(profile).filter(|ms| *ms > 0).map(|ms| ms as f64 * 1e6);
        for node in &mut nodes {
            let part_of =
                |all: f64| Some(node.time_ns? as f64 / all).filter(|part| part.is_finite());
            node.share = part_of(total);
            node.weight = part_of(duration_ns.unwrap_or(total)).unwrap_or(0.0).min(1.0);
        }
        let nodes = order::ordered(nodes);
        let incomplete_nodes = nodes.iter().filter(|node| engine.is_incomplete(node)).count();
        Plan {
            engine,
            critical_path: order::critical_path(&nodes),
            fingerprint: PlanFingerprint::of(&nodes).filter(|_| incomplete_nodes == 0),
            nodes,
            incomplete_nodes,
        }
    }
}

fn is_local(name: &str, children: usize) -> bool {
    name.starts_with("LOCAL_EXCHANGE") && children == 1
}

impl Node<'_, '_> {
    /// Returns whether a backend adds the node by itself, to spread rows over its threads.
    pub(crate) fn is_local(&self) -> bool {
        is_local(&self.name, self.children.len())
    }

    /// Returns the larger of the node's parts: of the own times of all nodes, and of the query's duration.
    pub(crate) fn largest_part(&self) -> f64 {
        self.share.unwrap_or(0.0).max(self.weight)
    }

    /// Returns how many rows the nodes that this one reads from gave on; none if no count is known.
    pub(crate) fn input_rows(&self, nodes: &[Node<'_, '_>]) -> Option<u64> {
        let children = self.children.iter().filter_map(|child| nodes.get(*child));
        children.filter_map(|child| child.rows).reduce(u64::saturating_add)
    }
}
