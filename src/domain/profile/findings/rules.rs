//! The table of the rules.

use super::context::Context;
use super::quantity::Quantity;
use super::{
    Documentation, estimates, exchanges, instances, joins, memory, phases, scans, storage,
};

/// The rules, in the order in which the documentation lists them.
pub(super) const ALL: [&Rule; 20] = [
    &instances::SKEW,
    &instances::PARALLELISM,
    &joins::BUILD_SIDE,
    &joins::RUNTIME_FILTER,
    &joins::CROSS_JOIN,
    &estimates::ROWS,
    &scans::PRUNING,
    &scans::SLOW,
    &scans::IN_LIST,
    &storage::REMOTE_READS,
    &storage::SMALL_FILES,
    &storage::ROWSETS,
    &exchanges::LARGE,
    &memory::SPILL,
    &memory::LIMIT,
    &phases::PLANNING,
    &phases::LOCKS,
    &phases::SCHEDULING,
    &phases::QUEUE,
    &phases::CLIENT,
];

/// A rule: what it looks for, from which numbers on, and what to do about it.
pub(super) struct Rule {
    pub id: &'static str,
    /// The numbers that a case has at least.
    pub thresholds: &'static [Quantity],
    /// What a finding means.
    pub meaning: &'static str,
    /// What to try on Doris; None if profiles of Doris do not have the numbers.
    pub doris: Option<Advice>,
    /// What to try on StarRocks; None if profiles of StarRocks do not have the numbers.
    pub starrocks: Option<Advice>,
    /// Returns the cases in a profile.
    pub find: fn(&Context<'_>) -> Vec<Case>,
}

/// What to try, and where to read about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Advice {
    pub text: &'static str,
    pub documentation: Documentation,
}

/// What the function of a rule found.
#[derive(Debug)]
pub(super) struct Case {
    /// The positions of the nodes in the plan.
    pub nodes: Vec<usize>,
    /// The part of the query's time that the case concerns.
    pub weight: f64,
    pub evidence: Vec<Quantity>,
    pub means: String,
}

impl Rule {
    pub(super) fn advice(&self, is_starrocks: bool) -> Option<Advice> {
        if is_starrocks { self.starrocks } else { self.doris }
    }
}

impl Advice {
    pub(super) const fn new(text: &'static str, name: &'static str, url: &'static str) -> Advice {
        Advice { text, documentation: Documentation { name, url } }
    }
}
