//! Findings: what a profile proves to be worth a look, with the numbers that prove it.
//!
//! - [`rules`] is the table of the rules.
//! - [`instances`], [`joins`], [`estimates`], [`scans`], [`storage`], [`exchanges`], [`memory`] and [`phases`] have the rules, each with
//!   its thresholds and one function.
//! - [`overview`] is which findings the runs of a period had.
//! - [`context`] is what the rules read of a profile.
//! - [`quantity`] writes numbers with their units.
//!
//! A rule states only what the counters of a profile say. Where a counter is missing, or where something else explains the
//! same numbers, the rule finds nothing.

mod context;
mod estimates;
mod exchanges;
mod instances;
mod joins;
mod memory;
mod overview;
mod phases;
mod quantity;
mod rules;
mod scans;
mod storage;
#[cfg(test)]
mod tests;

use serde::Serialize;
use utoipa::ToSchema;

use self::context::Context;
pub(crate) use self::overview::{FindingsOverview, FoundRun, FoundStatement, RuleOverview};
use self::quantity::Quantity;
pub(crate) use self::quantity::size_text;
use self::rules::Case;
use super::operators::operators;
use super::phases::Phases;
use super::plan::Plan;
use super::tree::Section;

/// A plan of thousands of nodes may have more findings. The heaviest are returned.
const MAX_FINDINGS: usize = 100;
/// So many cases of one rule are findings of their own. Of more, the heaviest is one that points to the nodes of the others, too.
const MAX_CASES: usize = 3;

/// What a rule found in a profile.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Finding {
    /// The rule: `skewed-instances`.
    #[schema(value_type = String)]
    pub rule: &'static str,
    /// The part of the query's time that the finding concerns, from 0 to 1.
    pub weight: f64,
    /// The ids of the plan's nodes that the finding points to, the most important first. Empty if it is about no node.
    pub nodes: Vec<String>,
    /// The numbers that prove the finding.
    pub evidence: Vec<Quantity>,
    /// The numbers that a case of the rule has at least.
    pub thresholds: &'static [Quantity],
    /// What the finding means, with its numbers.
    pub means: String,
    /// What to try.
    #[serde(rename = "try")]
    #[schema(value_type = String)]
    pub advice: &'static str,
    pub documentation: Documentation,
}

/// A page of an engine's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Documentation {
    /// The setting or the statement that the page is about, by its name.
    #[schema(value_type = String)]
    pub name: &'static str,
    #[schema(value_type = String)]
    pub url: &'static str,
}

/// The findings of a profile, as programs get them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingsReport {
    /// The findings, the heaviest first.
    pub findings: Vec<Finding>,
}

impl FindingsReport {
    /// Reads the findings of a profile's text. `queue_ms` is the time in the queue, if the query's record has it.
    pub(crate) fn of_text(text: &str, queue_ms: Option<i64>) -> FindingsReport {
        let section = Section::parse(text);
        let phases = Phases::of(&section).with_queue(queue_ms);
        let operators = operators(&section);
        let plan = Plan::of(&section, &operators);
        FindingsReport { findings: findings(&section, &plan, &phases) }
    }
}

/// Returns the ids of the rules that find something in a profile, in the order of the table.
pub(super) fn finding_rules(
    profile: &Section<'_>,
    plan: &Plan<'_, '_>,
    phases: &Phases,
) -> Vec<&'static str> {
    let context = Context::of(profile, plan, phases);
    let finds = |rule: &&&rules::Rule| {
        rule.advice(context.is_starrocks).is_some() && !(rule.find)(&context).is_empty()
    };
    rules::ALL.iter().filter(finds).map(|rule| rule.id).collect()
}

/// Returns what a finding of a rule means, without numbers; none for an unknown rule.
pub(crate) fn meaning_of(rule: &str) -> Option<&'static str> {
    rules::ALL.iter().find(|known| known.id == rule).map(|known| known.meaning)
}

/// Returns the cases of a rule; of many only the heaviest, with the nodes of all.
fn together(mut cases: Vec<Case>) -> Vec<Case> {
    if cases.len() <= MAX_CASES {
        return cases;
    }
    cases.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let mut cases = cases.into_iter();
    let first = cases.next().map(|mut heaviest| {
        let others: Vec<usize> = cases.flat_map(|case| case.nodes.into_iter().next()).collect();
        heaviest.means += &format!(" The same holds for {} other nodes.", others.len());
        heaviest.nodes.extend(others);
        heaviest
    });
    first.into_iter().collect()
}

/// Returns the findings of all rules in a profile, the heaviest first. `phases` are those of the query.
pub(crate) fn findings(
    profile: &Section<'_>,
    plan: &Plan<'_, '_>,
    phases: &Phases,
) -> Vec<Finding> {
    let context = Context::of(profile, plan, phases);
    let mut findings = Vec::new();
    for rule in rules::ALL {
        let Some(advice) = rule.advice(context.is_starrocks) else { continue };
        for case in together((rule.find)(&context)) {
            let id = |position: usize| Some(plan.nodes.get(position)?.id.clone());
            findings.push(Finding {
                rule: rule.id,
                weight: case.weight.clamp(0.0, 1.0),
                nodes: case.nodes.into_iter().filter_map(id).collect(),
                evidence: case.evidence,
                thresholds: rule.thresholds,
                means: format!("{} {}", case.means, rule.meaning),
                advice: advice.text,
                documentation: advice.documentation,
            });
        }
    }
    // Of findings with the same weight, that of the first rule of the table comes first.
    findings.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    findings.truncate(MAX_FINDINGS);
    findings
}
