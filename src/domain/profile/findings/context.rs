//! What the rules read of a profile.

use std::collections::HashMap;

use super::quantity::{Quantity, Unit};
use crate::domain::profile::dialects::{bytes, kind, rows};
use crate::domain::profile::operators::{Operator, id_of};
use crate::domain::profile::phases::Phases;
use crate::domain::profile::plan::{Engine, Node, Plan, find, find_in};
use crate::domain::profile::tree::{Counter, Section, is_merged};

/// The own time of a node from which on it is worth a look.
pub(super) const NODE_TIME: Quantity = Quantity::new("own time of the node", 5e8, Unit::Ns);
/// The part of the query's duration from which on the own time of a node is worth a look. Nodes that work at the same time may each
/// have most of it: their share of the time of all nodes would be small.
pub(super) const NODE_SHARE: Quantity =
    Quantity::new("own time over the query's duration", 5.0, Unit::Percent);

/// The longest name of a node or a table in a sentence, in characters.
const MAX_NAME: usize = 80;
/// A chain of exchanges that is longer is not followed.
const MAX_EXCHANGES: usize = 32;

/// A profile as the rules read it.
pub(super) struct Context<'c> {
    pub profile: &'c Section<'c>,
    pub plan: &'c Plan<'c, 'c>,
    pub phases: &'c Phases,
    pub is_starrocks: bool,
    /// For each node whether a runtime filter may have cut the rows of a scan at or below the node.
    may_be_filtered: Vec<bool>,
    scans: ScanCounters<'c>,
}

/// How a count is spread over the instances of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spread {
    pub sum: u64,
    pub max: u64,
    pub min: u64,
}

impl<'c> Context<'c> {
    pub(super) fn of(
        profile: &'c Section<'c>,
        plan: &'c Plan<'c, 'c>,
        phases: &'c Phases,
    ) -> Context<'c> {
        let summary = profile.part(|name| name == "Summary");
        let has_version =
            summary.is_some_and(|summary| summary.counter("StarRocks Version").is_some());
        let mut context = Context {
            profile,
            plan,
            phases,
            is_starrocks: plan.engine == Engine::StarRocks || has_version,
            may_be_filtered: Vec::new(),
            scans: match plan.engine {
                Engine::StarRocks => ScanCounters::default(),
                Engine::Doris | Engine::DorisLegacy => ScanCounters::of(profile),
            },
        };
        let mut may_be_filtered = vec![false; plan.nodes.len()];
        for (position, node) in plan.nodes.iter().enumerate().rev() {
            let is_below = node.children.iter().any(|child| may_be_filtered[*child]);
            let is_here = is_scan(node) && context.has_runtime_filter(node) != Some(false);
            may_be_filtered[position] = is_below || is_here;
        }
        context.may_be_filtered = may_be_filtered;
        context
    }

    /// Returns the nodes with their positions.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (usize, &'c Node<'c, 'c>)> {
        self.plan.nodes.iter().enumerate()
    }

    pub(super) fn node(&self, position: usize) -> Option<&'c Node<'c, 'c>> {
        self.plan.nodes.get(position)
    }

    /// Returns the last node of a chain of nodes that only move rows, which begins at a position.
    pub(super) fn below_exchanges(&self, position: usize) -> Option<(usize, &'c Node<'c, 'c>)> {
        let mut position = position;
        for _ in 0..MAX_EXCHANGES {
            let node = self.node(position)?;
            let only_moves = node.name.contains("EXCHANGE") || node.name == "PROJECT";
            match node.children.as_slice() {
                [only] if only_moves => position = *only,
                _ => return Some((position, node)),
            }
        }
        None
    }

    /// Returns the nodes that feed the probe side and the build side of a join.
    pub(super) fn sides(&self, join: &Node<'_, '_>) -> Option<[(usize, &'c Node<'c, 'c>); 2]> {
        let [probe, build] = join.children.as_slice() else { return None };
        Some([self.below_exchanges(*probe)?, self.below_exchanges(*build)?])
    }

    /// Returns whether a runtime filter may have cut the rows of a scan at or below a position.
    pub(super) fn may_be_filtered(&self, position: usize) -> bool {
        self.may_be_filtered.get(position).copied().unwrap_or(true)
    }

    /// Returns whether a scan has runtime filters; None if the profile does not say.
    pub(super) fn has_runtime_filter(&self, scan: &Node<'_, '_>) -> Option<bool> {
        match self.plan.engine {
            Engine::Doris => {
                let is_target = |line: &Counter<'_>| {
                    line.name == "runtime filters" && line.value.contains("->")
                };
                let mut lines = plan_info(scan).peekable();
                lines.peek()?;
                Some(lines.any(is_target) || self.scans.get(scan, FILTERED_ROWS).is_some())
            }
            Engine::StarRocks => {
                let number = self.total(scan, "RuntimeFilterNum")?;
                let is_described = scan
                    .operators
                    .iter()
                    .any(|operator| find(operator, "RuntimeFilterDesc").is_some());
                Some(number > 0 || is_described)
            }
            Engine::DorisLegacy => None,
        }
    }

    /// Returns the rows that runtime filters cut from what a scan read; None if the profile does not say.
    pub(super) fn filtered_rows(&self, scan: &Node<'_, '_>) -> Option<u64> {
        self.scans.get(scan, FILTERED_ROWS)
    }

    /// Returns the sum of a counter over all instances of a node, of rows or of bytes as the counter's name says.
    pub(super) fn total(&self, node: &Node<'_, '_>, name: &str) -> Option<u64> {
        let instances = node.operators.iter().flat_map(|operator| operator.instances());
        let of_instances = instances.filter_map(|counters| value(find_in(counters, name)?));
        of_instances.reduce(u64::saturating_add).or_else(|| self.scans.get(node, name))
    }
}

/// Returns whether a node is worth a look.
pub(super) fn is_costly(node: &Node<'_, '_>) -> bool {
    NODE_TIME.is_met(node.time_ns.unwrap_or(0) as f64) && NODE_SHARE.is_met(node.weight * 100.0)
}

/// Returns whether a node reads a table or files.
pub(super) fn is_scan(node: &Node<'_, '_>) -> bool {
    node.name.contains("SCAN")
}

/// Returns what a sentence calls a node: `HASH_JOIN 7`, `OLAP_SCAN 0 of plants`. A text may have names of any length, of
/// which the first characters are enough.
pub(super) fn name(node: &Node<'_, '_>) -> String {
    let short = |text: &str| text.chars().take(MAX_NAME).collect::<String>();
    let is_number = node.id.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let mut name = short(&node.name);
    if is_number {
        name += &format!(" {}", short(&node.id));
    }
    if let Some(table) = &node.table {
        name += &format!(" of {}", short(table));
    }
    name
}

/// Returns the lines of what Doris' planner knew about a node.
pub(super) fn plan_info<'n>(node: &Node<'n, 'n>) -> impl Iterator<Item = &'n Counter<'n>> {
    let counters = node.operators.iter().flat_map(|operator| operator.counters.iter().copied());
    let infos: Vec<&Counter<'_>> = counters.filter(|counter| counter.name == "PlanInfo").collect();
    infos.into_iter().flat_map(|info| &info.children)
}

/// Returns how a count is spread over the instances of an operator; None if the profile does not say, or if it is 0.
pub(super) fn spread(operator: &Operator<'_>) -> Option<Spread> {
    const NAMES: [&str; 5] = ["ProbeRows", "InputRows", "PushRowNum", "RowsProduced", "PullRowNum"];
    let spreads = NAMES.iter().filter_map(|name| spread_of(operator, find(operator, name)?));
    spreads.max_by_key(|spread| spread.max).filter(|spread| spread.max > 0)
}

/// Reads `sum 27.667K (27667), avg ..., max ..., min ...` of Doris, or the longest and shortest below a counter of StarRocks,
/// which an operator with one instance does not have.
fn spread_of(operator: &Operator<'_>, counter: &Counter<'_>) -> Option<Spread> {
    let part = |name: &str| {
        let (_, behind) = counter.value.split_once(name)?;
        rows(behind.split(", ").next()?)
    };
    let below = |start: &str| {
        let child = counter.children.iter().find(|child| child.name.starts_with(start))?;
        rows(&child.value)
    };
    let sum = rows(&counter.value)?;
    if let Some(max) = part("max ") {
        return Some(Spread { sum, max, min: part("min ")? });
    }
    if let Some(max) = below("__MAX_OF_") {
        return Some(Spread { sum, max, min: below("__MIN_OF_")? });
    }
    let is_single = counter.name.ends_with("RowNum") && operator.average_ns.is_none();
    is_single.then_some(Spread { sum, max: sum, min: sum })
}

fn value(counter: &Counter<'_>) -> Option<u64> {
    match counter.name.contains("Bytes") {
        true => bytes(&counter.value),
        false => rows(&counter.value),
    }
}

/// The rows that runtime filters cut, of which Doris has a counter for each filter: `RF0 FilterRows`.
const FILTERED_ROWS: &str = "FilterRows";

/// The counters of scans that rules read.
const SCAN_COUNTERS: [&str; 5] =
    ["ScanRows", "RawRowsRead", "BytesScannedFromRemote", "BytesScannedFromCache", FILTERED_ROWS];

/// The sum of each of these counters.
type ScanSums = [Option<u64>; SCAN_COUNTERS.len()];

/// Counters of scans, which Doris writes in sections below the operator, and most of them for each instance only. The key is
/// the id of the scan.
#[derive(Debug, Default)]
struct ScanCounters<'c> {
    /// Of the part that merges all instances.
    merged: HashMap<&'c str, ScanSums>,
    /// The sums over all instances.
    summed: HashMap<&'c str, ScanSums>,
}

impl<'c> ScanCounters<'c> {
    /// Reads the counters of a profile. A load has an execution for each of its tasks with the same ids: it has none.
    fn of(profile: &'c Section<'c>) -> ScanCounters<'c> {
        let mut counters = ScanCounters::default();
        let executions = counters.read(profile, false);
        if executions > 1 { ScanCounters::default() } else { counters }
    }

    fn get(&self, node: &Node<'_, '_>, name: &str) -> Option<u64> {
        let place = SCAN_COUNTERS.iter().position(|known| *known == name)?;
        let of = |counters: &HashMap<&str, ScanSums>| counters.get(node.id.as_str())?[place];
        of(&self.merged).or_else(|| of(&self.summed))
    }

    /// Reads the scans within a section, and returns the number of executions in it.
    fn read(&mut self, section: &'c Section<'c>, is_in_merged: bool) -> usize {
        let mut executions = 0;
        for child in &section.children {
            let kind = kind(&child.name);
            if (kind.contains("SCAN") || kind.contains("Scan"))
                && let Some(id) = id_of(&child.name)
            {
                let counters = if is_in_merged { &mut self.merged } else { &mut self.summed };
                add(child, counters.entry(id).or_default());
                continue;
            }
            let starts = ["Execution Profile", "DetailProfile"];
            executions += usize::from(starts.iter().any(|start| child.name.starts_with(start)));
            executions += self.read(child, is_in_merged || is_merged(&child.name));
        }
        executions
    }
}

/// Adds the counters of a section and of those within it.
fn add(section: &Section<'_>, sums: &mut ScanSums) {
    let mut open: Vec<&Counter<'_>> = section.counters.iter().collect();
    while let Some(counter) = open.pop() {
        open.extend(&counter.children);
        let is_filter = counter.name.starts_with("RF") && counter.name.ends_with(" FilterRows");
        let name = if is_filter { FILTERED_ROWS } else { &*counter.name };
        // Most counters are none of these: their values are not read.
        if let Some(place) = SCAN_COUNTERS.iter().position(|known| *known == name)
            && let Some(value) = value(counter)
        {
            sums[place] = Some(sums[place].unwrap_or(0).saturating_add(value));
        }
    }
    for child in &section.children {
        add(child, sums);
    }
}
