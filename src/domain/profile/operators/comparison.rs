//! Compares the operators of two runs of a statement.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::names::kind_and_id;
use super::{Operator, walk};
use crate::domain::profile::dialects::kind;

/// An operator in two runs of a statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OperatorDifference<'s> {
    /// The name in the second run, or in the first run if the operator is missing in the second.
    pub name: &'s str,
    /// The number of the operator's fragment.
    pub fragment: Option<&'s str>,
    /// The own time in the first run, in nanoseconds; None if the operator is missing there.
    pub before_ns: Option<u64>,
    /// The own time in the second run, in nanoseconds; None if the operator is missing there.
    pub after_ns: Option<u64>,
    /// How much slower the operator became, in nanoseconds; negative if it became faster.
    pub difference_ns: i64,
    /// The rows that the operator returned in the first run.
    pub before_rows: Option<u64>,
    /// The rows that the operator returned in the second run.
    pub after_rows: Option<u64>,
}

/// Returns the operators of two runs, sorted by how much slower they became. Two operators are the same if fragment,
/// kind and id are the same. Operators without such a match are matched by their kind, in order.
pub(crate) fn compare<'s>(
    before: &[Operator<'s>],
    after: &[Operator<'s>],
) -> Vec<OperatorDifference<'s>> {
    let mut differences = Vec::new();
    let mut unmatched_after = Vec::new();
    let mut by_id: HashMap<_, Vec<&Operator<'s>>> = HashMap::new();
    let mut matched = HashSet::new();
    let all_before: Vec<&Operator<'s>> = walk(before).map(|(_, operator)| operator).collect();
    // In reverse, so that `pop` returns the first.
    for operator in all_before.iter().rev() {
        by_id.entry((operator.fragment, kind_and_id(operator.name))).or_default().push(operator);
    }
    for (_, operator) in walk(after) {
        let same = by_id.get_mut(&(operator.fragment, kind_and_id(operator.name)));
        match same.and_then(Vec::pop) {
            Some(same) => {
                matched.insert(std::ptr::from_ref(same));
                differences.push(difference(Some(same), Some(operator)));
            }
            None => unmatched_after.push(operator),
        }
    }
    let mut by_kind: HashMap<&str, Vec<&Operator<'s>>> = HashMap::new();
    for operator in all_before.into_iter().rev() {
        if !matched.contains(&std::ptr::from_ref(operator)) {
            by_kind.entry(kind(operator.name)).or_default().push(operator);
        }
    }
    for operator in unmatched_after {
        let same = by_kind.get_mut(kind(operator.name)).and_then(Vec::pop);
        differences.push(difference(same, Some(operator)));
    }
    differences.extend(by_kind.into_values().flatten().map(|gone| difference(Some(gone), None)));
    differences
        .sort_by(|a, b| b.difference_ns.cmp(&a.difference_ns).then_with(|| a.name.cmp(b.name)));
    differences
}

fn difference<'s>(
    before: Option<&Operator<'s>>,
    after: Option<&Operator<'s>>,
) -> OperatorDifference<'s> {
    let (before_ns, after_ns) =
        (before.and_then(|operator| operator.time_ns), after.and_then(|operator| operator.time_ns));
    let signed = |ns: Option<u64>| i64::try_from(ns.unwrap_or(0)).unwrap_or(i64::MAX);
    let named = after.or(before);
    OperatorDifference {
        name: named.map(|operator| operator.name).unwrap_or_default(),
        fragment: named.and_then(|operator| operator.fragment),
        before_ns,
        after_ns,
        difference_ns: signed(after_ns) - signed(before_ns),
        before_rows: before.and_then(|operator| operator.rows),
        after_rows: after.and_then(|operator| operator.rows),
    }
}
