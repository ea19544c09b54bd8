//! Finds the operators in the tree of a profile's text.

use std::collections::HashMap;

use super::Operator;
use super::instances::merge_instances;
use super::names::{is_legacy_sink, is_operator, part_of_plan};
use crate::domain::profile::dialects::{self, FlatChildren};
use crate::domain::profile::tree::Section;
use crate::domain::time::parse_duration_ns;

/// The longest row of operators that becomes a chain, in which each operator is the child of the one before.
const MAX_CHAIN: usize = 64;
/// The same for the children of an operator.
const MAX_INNER_CHAIN: usize = 8;

/// An entry of a section: an operator, or the instances of a part of the plan.
enum Entry {
    Operator(Operator),
    Instances(Vec<Vec<Operator>>),
}

/// The position in a profile at which operators are read.
#[derive(Clone, Copy, Default)]
struct Position<'a> {
    /// The number of the fragment.
    fragment: Option<&'a str>,
    /// The number of operators above.
    depth: usize,
}

/// Reads the operators of one profile.
pub(super) struct Reader {
    /// How to read the profile if it is of Doris 0.8.
    flat: Option<FlatChildren>,
}

impl Reader {
    pub(super) fn new(profile: &Section) -> Reader {
        Reader { flat: FlatChildren::of(profile) }
    }

    /// Returns the topmost operators within a section.
    pub(super) fn operators(&self, section: &Section) -> Vec<Operator> {
        self.read(section, Position::default()).0
    }

    /// Returns the topmost operators within a section, and the sum of the times that the text gives them. The times may
    /// include those of the operators below.
    fn read(&self, section: &Section, position: Position<'_>) -> (Vec<Operator>, u64) {
        let mut entries: Vec<Entry> = Vec::new();
        let mut indexes: HashMap<&str, usize> = HashMap::new();
        let mut total_ns = 0_u64;
        for child in &section.children {
            let is_in_instance = position.depth == 0 && position.fragment.is_some();
            if is_operator(&child.name) || is_in_instance && is_legacy_sink(child) {
                let (operator, ns) = self.operator(child, position);
                entries.push(Entry::Operator(operator));
                total_ns = total_ns.saturating_add(ns);
                continue;
            }
            // A backend's write buffers, which are not part of the plan.
            if child.name.starts_with("LoadChannel") {
                continue;
            }
            let fragment = child.fragment_id().or(position.fragment);
            let (operators, ns) = self.read(child, Position { fragment, ..position });
            if operators.is_empty() {
                continue;
            }
            total_ns = total_ns.saturating_add(ns);
            let part = part_of_plan(&child.name);
            match indexes.get(part).and_then(|index| entries.get_mut(*index)) {
                // A fragment that is listed again is the detailed form of a merged fragment.
                Some(Entry::Instances(_)) if part.starts_with("Fragment") => {}
                Some(Entry::Instances(instances)) => instances.push(operators),
                _ => {
                    indexes.insert(part, entries.len());
                    entries.push(Entry::Instances(vec![operators]));
                }
            }
        }
        let mut operators = Vec::new();
        for entry in entries {
            match entry {
                Entry::Operator(operator) => operators.push(operator),
                Entry::Instances(instances) => operators.extend(merge_instances(instances)),
            }
        }
        (self.chained(operators, section, position), total_ns)
    }

    /// Makes a chain of the operators of a section, if the text lists an operator and its children side by side there.
    fn chained(
        &self,
        operators: Vec<Operator>,
        section: &Section,
        position: Position<'_>,
    ) -> Vec<Operator> {
        match (position.depth, self.flat) {
            (0, None) if section.name.starts_with("Pipeline") => chain(operators, MAX_CHAIN),
            (0, Some(_)) if section.name.starts_with("Instance ") => chain(operators, MAX_CHAIN),
            (1..MAX_INNER_CHAIN, Some(_)) => chain(operators, MAX_INNER_CHAIN),
            _ => operators,
        }
    }

    /// Returns the operator that a section is, and the time that the text gives it.
    fn operator(&self, section: &Section, position: Position<'_>) -> (Operator, u64) {
        let dialect = dialects::of(section);
        let below = Position { depth: position.depth + 1, ..position };
        let (children, below_ns) = self.read(section, below);
        let time_ns = dialect.time(section).and_then(parse_duration_ns);
        let own_ns = match self.flat.and_then(|flat| flat.own_ns(section)) {
            Some(own_ns) => Some(own_ns),
            None if dialect.is_inclusive() => time_ns.map(|ns| ns.saturating_sub(below_ns)),
            None => time_ns,
        };
        let operator = Operator {
            name: section.name.clone(),
            fragment: position.fragment.map(str::to_string),
            time_ns: own_ns,
            share: 0.0,
            rows: dialect.rows(section),
            memory_bytes: dialect.memory_bytes(section),
            is_costly: false,
            counters: dialects::all_counters(section),
            children,
        };
        (operator, time_ns.unwrap_or(below_ns))
    }
}

/// Makes each operator the parent of the next, whose rows it receives. More than `max` operators stay side by side,
/// which bounds the depth.
fn chain(operators: Vec<Operator>, max: usize) -> Vec<Operator> {
    if operators.len() > max {
        return operators;
    }
    let chain = operators.into_iter().rev().reduce(|next, mut operator| {
        operator.children.push(next);
        operator
    });
    chain.into_iter().collect()
}
