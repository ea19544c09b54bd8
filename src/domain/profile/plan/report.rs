//! A plan in the form in which programs get it.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Node, Plan, Usual, is_local};
use crate::domain::profile::{Finding, Phases, Section, findings, operators};

/// The plan of a query, with the phases around its execution.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanReport {
    /// The nodes, each before the nodes that it reads from. The first is the root, if the profile is whole.
    pub nodes: Vec<ReportedNode>,
    /// The ids of the nodes of the path that took the longest, from the root down.
    pub critical_path: Vec<String>,
    pub phases: Phases,
    /// What the profile proves to be worth a look, the heaviest first.
    pub findings: Vec<Finding>,
    /// The shape of the plan, as 16 hexadecimal digits: equal for two plans that differ only in times, rows and conditions.
    /// None if the profile has no operators, or lacks some.
    pub plan_fingerprint: Option<String>,
    /// How many nodes lack the operators that send to them or receive from them, or all: the profile was cut, or a backend did not
    /// report. Times and shares are those of the other operators.
    pub incomplete_nodes: usize,
    /// How many other runs with the same plan say what is usual; none if there are too few.
    pub usual_runs: Option<usize>,
}

/// A node of a plan: one step, with all operators that do its work in all fragments and instances.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportedNode {
    /// The id of the plan's node; of a node that has none, a name of its own.
    pub id: String,
    /// The kind of the node: `HASH_JOIN`.
    pub name: String,
    /// The number of the fragment that runs the node; of an exchange, that which receives.
    pub fragment: Option<String>,
    /// The own time in nanoseconds: the sum over the node's operators of the longest of each operator's instances. That of a scan
    /// has the time in which it waits for its own scanners, which read.
    pub time_ns: Option<u64>,
    /// How long the node waited for others, in nanoseconds. This is no part of `time_ns`.
    pub wait_ns: Option<u64>,
    /// The median of `time_ns` in other runs of the statement with the same plan.
    pub usual_time_ns: Option<u64>,
    /// `time_ns` over the usual time.
    pub times_usual: Option<f64>,
    /// Whether `time_ns` is far more than usual.
    #[serde(skip)]
    pub is_unusual: bool,
    /// `time_ns` as a part of the times of all nodes, from 0 to 1.
    pub share: Option<f64>,
    /// The part of the query's duration that `time_ns` is, from 0 to 1.
    #[serde(skip)]
    pub weight: f64,
    /// `time_ns` as a part of the query's duration; more than 1 where operators of the node overlap.
    pub duration_share: Option<f64>,
    /// The rows that the node gave on.
    pub rows: Option<u64>,
    /// The median of `rows` in other runs of the statement with the same plan.
    pub usual_rows: Option<u64>,
    /// The rows that the nodes below gave on.
    pub input_rows: Option<u64>,
    /// The rows that the planner expected the node to give on.
    pub expected_rows: Option<u64>,
    /// The bytes that were read from storage or sent over the network.
    pub bytes: Option<u64>,
    /// The peak memory of all instances.
    pub memory_bytes: Option<u64>,
    /// The bytes that were written to disk because memory was short.
    pub spill_bytes: Option<u64>,
    /// The longest time over the average time of the instances, of the part of the work that takes most; 1 is even.
    pub skew: Option<f64>,
    pub table: Option<String>,
    /// The kind of a join.
    pub join: Option<String>,
    pub predicates: Vec<String>,
    /// The ids of the nodes that this one reads from; of a join, the probe side first.
    pub children: Vec<String>,
    /// The rules of the findings that point to the node.
    #[schema(value_type = Vec<String>)]
    pub findings: Vec<&'static str>,
}

impl PlanReport {
    /// Reads the plan of a profile's text. `queue_ms` is the time in the queue, if the query's record has it.
    pub(crate) fn of_text(text: &str, queue_ms: Option<i64>) -> PlanReport {
        let section = Section::parse(text);
        let phases = Phases::of(&section).with_queue(queue_ms);
        let operators = operators(&section);
        let plan = Plan::of(&section, &operators);
        let findings = findings(&section, &plan, &phases);
        PlanReport::of(&plan, phases, findings)
    }

    fn of(plan: &Plan<'_, '_>, phases: Phases, findings: Vec<Finding>) -> PlanReport {
        let duration_ns = phases.total_ms.filter(|ms| *ms > 0).map(|ms| ms as f64 * 1e6);
        let id = |position: &usize| plan.nodes.get(*position).map(|node| node.id.clone());
        let mut rules: HashMap<&str, Vec<&'static str>> = HashMap::new();
        for finding in &findings {
            for node in &finding.nodes {
                rules.entry(node).or_default().push(finding.rule);
            }
        }
        let reported = |node: &Node<'_, '_>| ReportedNode {
            id: node.id.clone(),
            name: node.name.to_string(),
            fragment: node.fragment.map(str::to_string),
            time_ns: node.time_ns,
            wait_ns: node.wait_ns,
            usual_time_ns: None,
            times_usual: None,
            is_unusual: false,
            share: node.share,
            weight: node.weight,
            duration_share: Option::zip(node.time_ns, duration_ns).map(|(ns, all)| ns as f64 / all),
            rows: node.rows,
            usual_rows: None,
            input_rows: node.input_rows(&plan.nodes),
            expected_rows: node.expected_rows,
            bytes: node.bytes,
            memory_bytes: node.memory_bytes,
            spill_bytes: node.spill_bytes,
            skew: node.skew,
            table: node.table.as_deref().map(str::to_string),
            join: node.join.as_deref().map(str::to_string),
            predicates: node.predicates.iter().map(|text| text.to_string()).collect(),
            children: node.children.iter().filter_map(id).collect(),
            findings: rules.get(node.id.as_str()).cloned().unwrap_or_default(),
        };
        let nodes = plan.nodes.iter().map(reported).collect();
        PlanReport {
            nodes,
            critical_path: plan.critical_path.iter().filter_map(id).collect(),
            plan_fingerprint: plan.fingerprint.map(|fingerprint| fingerprint.to_string()),
            incomplete_nodes: plan.incomplete_nodes,
            phases,
            findings,
            usual_runs: None,
        }
    }

    /// Adds what is usual for the nodes.
    #[must_use]
    pub(crate) fn with_usual(mut self, usual: Option<&Usual>) -> PlanReport {
        let Some(usual) = usual else { return self };
        self.usual_runs = Some(usual.runs);
        let nodes = self.nodes.iter().map(|node| (node.name.as_str(), node.is_local()));
        let usual = usual.of_nodes(nodes);
        for (node, usual) in self.nodes.iter_mut().zip(usual) {
            let Some(usual) = usual else { continue };
            node.usual_time_ns = usual.time_ns.map(|spread| spread.median);
            node.usual_rows = usual.rows.map(|spread| spread.median);
            node.times_usual = usual.times(node.time_ns);
            node.is_unusual = usual.is_exceeded_by(node.time_ns);
        }
        self
    }
}

impl ReportedNode {
    /// Returns whether a backend adds the node by itself, to spread rows over its threads.
    pub(super) fn is_local(&self) -> bool {
        is_local(&self.name, self.children.len())
    }
}
