//! The operators of a profile: their own time, their share of the whole, rows and memory.
//!
//! - [`reader`] finds the operators in the tree of the text.
//! - [`names`] recognizes operators by the names of their sections.
//! - [`instances`] merges the instances of an operator.

mod instances;
mod names;
mod reader;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub(super) use self::names::id_of;
use self::reader::Reader;
use super::tree::{Counter, Section, is_merged};

/// An operator of a plan, all its instances together.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Operator<'s> {
    /// The name as the text has it: `AGGREGATION_OPERATOR (id=3)`.
    pub name: &'s str,
    /// The number of the operator's fragment.
    pub fragment: Option<&'s str>,
    /// The operator's own time in nanoseconds, without waiting for the operators below it: the longest of all
    /// instances.
    pub time_ns: Option<u64>,
    /// The average own time of all instances, in nanoseconds; None if the text has one instance or no average.
    #[serde(skip)]
    pub average_ns: Option<u64>,
    /// The own time as a part of the own times of all operators, from 0 to 1.
    pub share: f64,
    /// The rows that all instances returned.
    pub rows: Option<u64>,
    /// The peak memory of all instances.
    pub memory_bytes: Option<u64>,
    /// Whether the operator is one of the five with the most time, and took at least a tenth of all time.
    pub is_costly: bool,
    /// The counters; those of the slowest instance if the text lists instances.
    pub counters: Vec<&'s Counter<'s>>,
    /// The counters of each other instance, if the text lists instances.
    #[serde(skip)]
    pub others: Vec<Vec<&'s Counter<'s>>>,
    /// The operators whose rows this one receives.
    pub children: Vec<Operator<'s>>,
}

impl<'s> Operator<'s> {
    /// Returns the counters of each instance; once those of all if the text merges instances.
    pub(super) fn instances(&self) -> impl Iterator<Item = &[&'s Counter<'s>]> {
        std::iter::once(&self.counters).chain(&self.others).map(Vec::as_slice)
    }
}

/// The number of operators that can be costly.
const MAX_COSTLY: usize = 5;
/// The smallest share of a costly operator.
const COSTLY_SHARE: f64 = 0.1;

/// Returns the operators of a profile as trees, one for each pipeline or fragment.
///
/// If the text has a part that merges all instances, the operators are from that part. Otherwise the instances are
/// merged here. A load has an execution for each of its tasks; the operators of all executions are returned.
///
/// In a pipeline an operator receives the rows of the operator printed below it, so that one is its child. Older
/// versions (`Active`, `% non-child`) include the time of the operators below, which is subtracted here.
pub(crate) fn operators<'s>(profile: &'s Section<'_>) -> Vec<Operator<'s>> {
    let reader = Reader::new(profile);
    let merged = profile.part(is_merged);
    let mut operators = merged.map(|merged| reader.operators(merged)).unwrap_or_default();
    if operators.is_empty() {
        operators = reader.operators(profile);
    }
    set_shares(&mut operators);
    operators
}

/// Returns the operators of trees with their depths, each operator before its children.
pub(crate) fn walk<'o, 's>(
    operators: &'o [Operator<'s>],
) -> impl Iterator<Item = (usize, &'o Operator<'s>)> {
    let mut open = vec![operators.iter()];
    std::iter::from_fn(move || {
        loop {
            let depth = open.len().checked_sub(1)?;
            match open[depth].next() {
                Some(operator) => {
                    open.push(operator.children.iter());
                    return Some((depth, operator));
                }
                None => {
                    open.pop();
                }
            }
        }
    })
}

/// Sets the share of each operator, and marks the costly ones.
fn set_shares(operators: &mut [Operator<'_>]) {
    let mut times: Vec<u64> =
        walk(operators).filter_map(|(_, operator)| operator.time_ns).collect();
    let total: f64 = times.iter().map(|ns| *ns as f64).sum();
    times.sort_unstable_by(|a, b| b.cmp(a));
    let least_costly = times.get(MAX_COSTLY - 1).or(times.last()).copied().unwrap_or(0);
    set_shares_of(operators, total, least_costly);
}

fn set_shares_of(operators: &mut [Operator<'_>], total: f64, least_costly: u64) {
    for operator in operators {
        let ns = operator.time_ns.unwrap_or(0);
        operator.share = if total > 0.0 { ns as f64 / total } else { 0.0 };
        operator.is_costly = ns >= least_costly && operator.share >= COSTLY_SHARE;
        set_shares_of(&mut operator.children, total, least_costly);
    }
}
