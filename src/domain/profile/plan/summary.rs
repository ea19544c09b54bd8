//! What the store keeps of a plan, beside the text of the profile.

use super::{Plan, PlanFingerprint};
use crate::domain::profile::findings::finding_rules;
use crate::domain::profile::{Phases, Section, operators};

/// What the store keeps of a profile's plan. A value is none if the profile does not report it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PlanSummary {
    /// The shape of the plan; none if the profile has no operators, or is too long to be read.
    pub fingerprint: Option<PlanFingerprint>,
    /// How long the frontend parsed, analysed and planned the statement.
    pub planning_ms: Option<i64>,
    /// How long the query waited in a queue.
    pub queue_ms: Option<i64>,
    /// The time from the end of scheduling until the result was complete.
    pub execution_ms: Option<i64>,
    /// The part of the execution in which the frontend fetched the result.
    pub fetching_ms: Option<i64>,
    /// The sum of the own times of all nodes, in nanoseconds.
    pub work_ns: Option<i64>,
    /// The sum of the times that the nodes waited, in nanoseconds.
    pub wait_ns: Option<i64>,
    /// The bytes that all nodes wrote to disk because memory was short.
    pub spill_bytes: Option<i64>,
    /// The rules that find something in the profile, as a JSON array of their ids; none if no rule does.
    pub findings: Option<String>,
}

impl PlanSummary {
    /// The version of what is read here, which is stored with it. Raised when a plan is read differently, with a migration that
    /// notes every profile in `unread_plan`.
    pub(crate) const READ_VERSION: i64 = 2;
    /// Of a longer text, only the phases are read. A tree takes eight times as much memory as its text.
    pub(crate) const MAX_TEXT_BYTES: usize = 8 << 20;

    /// Reads the text of a profile.
    pub(crate) fn of_text(text: &str) -> PlanSummary {
        if text.len() > PlanSummary::MAX_TEXT_BYTES {
            return PlanSummary::of(&Phases::of(&Section::parse_head(text)), &Plan::default());
        }
        let section = Section::parse(text);
        let operators = operators(&section);
        let (plan, phases) = (Plan::of(&section, &operators), Phases::of(&section));
        let rules = finding_rules(&section, &plan, &phases);
        let findings = (!rules.is_empty()).then(|| serde_json::json!(rules).to_string());
        PlanSummary { findings, ..PlanSummary::of(&phases, &plan) }
    }

    fn of(phases: &Phases, plan: &Plan<'_, '_>) -> PlanSummary {
        let sum = |values: &mut dyn Iterator<Item = u64>| {
            values.reduce(u64::saturating_add).map(|sum| i64::try_from(sum).unwrap_or(i64::MAX))
        };
        let nodes = || plan.nodes.iter();
        let planning = [Phases::PARSE, Phases::ANALYZE, Phases::PLAN];
        let planning = planning.into_iter().filter_map(|name| phases.duration_ms(name));
        let of_doris = phases.duration_ms(Phases::WAIT_AND_FETCH);
        PlanSummary {
            fingerprint: plan.fingerprint,
            planning_ms: planning.reduce(i64::saturating_add),
            queue_ms: phases.duration_ms(Phases::QUEUE),
            execution_ms: phases.duration_ms(Phases::EXECUTE).or(of_doris),
            fetching_ms: phases.step_ms(Phases::WAIT_AND_FETCH, Phases::FETCH_RESULT),
            work_ns: sum(&mut nodes().filter_map(|node| node.time_ns)),
            wait_ns: sum(&mut nodes().filter_map(|node| node.wait_ns)),
            spill_bytes: sum(&mut nodes().filter_map(|node| node.spill_bytes)),
            findings: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_sums_of_the_nodes_and_the_times_of_the_phases() {
        let text = include_str!("../../../../tests/profiles/doris-4.0.txt");
        let of_doris = PlanSummary::of_text(text);
        assert_eq!((of_doris.execution_ms, of_doris.queue_ms), (Some(7), None));
        assert!(of_doris.fingerprint.is_some());
        let section = Section::parse(text);
        let operators = operators(&section);
        let plan = Plan::of(&section, &operators);
        let work: u64 = plan.nodes.iter().filter_map(|node| node.time_ns).sum();
        assert_eq!(of_doris.work_ns, Some(work as i64));
        assert!(work > 0);

        let of_starrocks =
            PlanSummary::of_text(include_str!("../../../../tests/profiles/starrocks-3.5-join.txt"));
        assert_eq!(of_starrocks.fetching_ms, None);
        assert_ne!(of_starrocks.fingerprint, of_doris.fingerprint);
        assert_eq!(PlanSummary::of_text("Summary:\n"), PlanSummary::default());
    }

    #[test]
    fn of_a_very_long_text_only_the_phases_are_read() {
        let text = include_str!("../../../../tests/profiles/doris-4.0.txt");
        let long = format!("{text}{}", " ".repeat(PlanSummary::MAX_TEXT_BYTES));
        let (short, long) = (PlanSummary::of_text(text), PlanSummary::of_text(&long));
        assert_eq!((long.fingerprint, long.work_ns), (None, None));
        assert_eq!((long.execution_ms, long.planning_ms), (short.execution_ms, short.planning_ms));
    }
}
