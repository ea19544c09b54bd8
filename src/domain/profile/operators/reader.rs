//! Finds the operators in the tree of a profile's text.

use foldhash::{HashMap, HashMapExt};

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

/// Sections of which the instances are merged: the outermost on the way to an operator. A plan has five (execution,
/// fragment, pipeline, instance, task). Each merge goes through all operators below it, so a text that nests 256 sections
/// would cost 256 times its length.
const MAX_MERGED: usize = 12;

/// An entry of a section: an operator, or the instances of a part of the plan.
enum Entry<'s> {
    Operator(Operator<'s>),
    Instances(Vec<Vec<Operator<'s>>>),
}

/// The position in a profile at which operators are read.
#[derive(Clone, Copy, Default)]
struct Position<'a> {
    /// The number of the fragment.
    fragment: Option<&'a str>,
    /// The number of operators above.
    depth: usize,
    /// The number of sections above that are no operators.
    sections: usize,
}

impl<'a> Position<'a> {
    /// Returns the position within a section that is no operator.
    fn within(self, section: &'a Section<'_>) -> Position<'a> {
        let fragment = section.fragment_id().or(self.fragment);
        Position { fragment, sections: self.sections + 1, ..self }
    }
}

/// Returns whether a section at a position is an operator.
fn is_operator_at(section: &Section<'_>, position: Position<'_>) -> bool {
    let is_in_instance = position.depth == 0 && position.fragment.is_some();
    is_operator(&section.name) || is_in_instance && is_legacy_sink(section)
}

/// Returns whether a section is about a backend's write buffers, which are not part of the plan.
fn is_write_buffer(section: &Section<'_>) -> bool {
    section.name.starts_with("LoadChannel")
}

/// Reads the operators of one profile.
pub(super) struct Reader {
    /// How to read the profile if it is of Doris 0.8.
    flat: Option<FlatChildren>,
}

impl Reader {
    pub(super) fn new(profile: &Section<'_>) -> Reader {
        Reader { flat: FlatChildren::of(profile) }
    }

    /// Returns the topmost operators within a section.
    pub(super) fn operators<'s>(&self, section: &'s Section<'_>) -> Vec<Operator<'s>> {
        self.read(section, Position::default()).0
    }

    /// Returns the topmost operators within a section, and the sum of the times that the text gives them. The times may
    /// include those of the operators below.
    fn read<'s>(
        &self,
        section: &'s Section<'_>,
        position: Position<'s>,
    ) -> (Vec<Operator<'s>>, u64) {
        if position.sections >= MAX_MERGED {
            let mut operators = Vec::new();
            let total_ns = self.read_unmerged(section, position, &mut operators);
            return (operators, total_ns);
        }
        let mut entries: Vec<Entry<'s>> = Vec::new();
        let mut indexes: HashMap<&str, usize> = HashMap::new();
        let mut total_ns = 0_u64;
        for child in &section.children {
            if is_operator_at(child, position) {
                let (operator, ns) = self.operator(child, position);
                entries.push(Entry::Operator(operator));
                total_ns = total_ns.saturating_add(ns);
                continue;
            }
            if is_write_buffer(child) {
                continue;
            }
            let (operators, ns) = self.read(child, position.within(child));
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

    /// Appends the topmost operators within a section without merging instances, and returns the sum of their times.
    fn read_unmerged<'s>(
        &self,
        section: &'s Section<'_>,
        position: Position<'s>,
        operators: &mut Vec<Operator<'s>>,
    ) -> u64 {
        let mut total_ns = 0_u64;
        for child in &section.children {
            let ns = if is_operator_at(child, position) {
                let (operator, ns) = self.operator(child, position);
                operators.push(operator);
                ns
            } else if is_write_buffer(child) {
                0
            } else {
                self.read_unmerged(child, position.within(child), operators)
            };
            total_ns = total_ns.saturating_add(ns);
        }
        total_ns
    }

    /// Makes a chain of the operators of a section, if the text lists an operator and its children side by side there.
    fn chained<'s>(
        &self,
        operators: Vec<Operator<'s>>,
        section: &Section<'_>,
        position: Position<'_>,
    ) -> Vec<Operator<'s>> {
        match (position.depth, self.flat) {
            (0, None) if section.name.starts_with("Pipeline") => chain(operators, MAX_CHAIN),
            (0, Some(_)) if section.name.starts_with("Instance ") => chain(operators, MAX_CHAIN),
            (1..MAX_INNER_CHAIN, Some(_)) => chain(operators, MAX_INNER_CHAIN),
            _ => operators,
        }
    }

    /// Returns the operator that a section is, and the time that the text gives it.
    fn operator<'s>(
        &self,
        section: &'s Section<'_>,
        position: Position<'s>,
    ) -> (Operator<'s>, u64) {
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
            name: &section.name,
            fragment: position.fragment,
            time_ns: own_ns,
            average_ns: dialect.average(section).and_then(parse_duration_ns),
            share: 0.0,
            rows: dialect.rows(section),
            memory_bytes: dialect.memory_bytes(section),
            is_costly: false,
            counters: dialects::all_counters(section),
            others: Vec::new(),
            children,
        };
        (operator, time_ns.unwrap_or(below_ns))
    }
}

/// Makes each operator the parent of the next, whose rows it receives. More than `max` operators stay side by side,
/// which bounds the depth.
fn chain(operators: Vec<Operator<'_>>, max: usize) -> Vec<Operator<'_>> {
    if operators.len() > max {
        return operators;
    }
    let chain = operators.into_iter().rev().reduce(|next, mut operator| {
        operator.children.push(next);
        operator
    });
    chain.into_iter().collect()
}
