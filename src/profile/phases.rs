//! Where the time of a query went before and beside its execution.

use serde::Serialize;
use utoipa::ToSchema;

use super::tree::{Counter, Section};
use crate::time::parse_duration_ms;

/// The phases of a query, in their order, as the frontend tells them.
///
/// Doris writes them into `Execution Summary` (`SummaryProfile.java`, 1.2 to 4.x; parsing and the steps of Nereids
/// since 2.1), StarRocks into `Planner` (`Tracers.java`, 2.5 to 4.x).
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Phases {
    /// How long the query took, in milliseconds; none where the profile does not say.
    pub total_ms: Option<i64>,
    /// The phases that the profile tells of.
    pub phases: Vec<Phase>,
}

/// A phase of a query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Phase {
    /// What was done: `parse`, `analyze`, `plan`, `queue`, `prepare`, `schedule`, `wait and fetch`, `execute`,
    /// `other`; a step has the name that the engine gives it.
    pub name: String,
    /// How long, in milliseconds.
    pub duration_ms: i64,
    /// Its part of the query's time, from 0 to 1; of the sum of all phases where that is more.
    pub share: f64,
    /// Of which steps it consisted, where the profile says. They may leave some of its time out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub steps: Vec<Phase>,
}

/// A phase by its name, the keys of its time and those of its steps.
type Keys = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

/// The phases of Doris' execution summary, in order.
const DORIS: [Keys; 5] = [
    (Phases::PARSE, &["Parse SQL Time"], &[]),
    (Phases::ANALYZE, &["Analysis Time"], &[]),
    (
        Phases::PLAN,
        &["Plan Time"],
        &[
            ("lock tables", "Nereids Lock Table Time"),
            ("analyze", "Nereids Analysis Time"),
            ("rewrite", "Nereids Rewrite Time"),
            ("collect partitions", "Nereids Collect Table Partition Time"),
            ("rewrite by views", "Nereids Pre Rewrite By Mv Time"),
            ("optimize", "Nereids Optimize Time"),
            ("translate", "Nereids Translate Time"),
            ("distribute", "Nereids Distribute Time"),
            ("reorder joins", "JoinReorder Time"),
            ("create single-node plan", "CreateSingleNode Time"),
            ("distribute plan", "QueryDistributed Time"),
        ],
    ),
    (
        Phases::SCHEDULE,
        &["Schedule Time"],
        &[
            ("assign fragments", "Fragment Assign Time"),
            ("serialize fragments", "Fragment Serialize Time"),
            ("send fragments, phase 1", "Fragment RPC Phase1 Time"),
            ("send fragments, phase 2", "Fragment RPC Phase2 Time"),
        ],
    ),
    (
        "wait and fetch",
        &["Wait and Fetch Result Time"],
        &[("fetch result", "Fetch Result Time"), ("write result", "Write Result Time")],
    ),
];

/// The phases of StarRocks' planner, in order.
const STARROCKS: [Keys; 5] = [
    (Phases::PARSE, &["Parser"], &[]),
    (
        Phases::PLAN,
        &["Total"],
        &[
            ("analyze", "Analyzer"),
            ("transform", "Transformer"),
            ("optimize", "Optimizer"),
            ("build plan", "ExecPlanBuild"),
        ],
    ),
    (Phases::QUEUE, &["Pending"], &[]),
    ("prepare", &["Prepare"], &[]),
    (Phases::SCHEDULE, &["Deploy"], &[]),
];

impl Phases {
    /// The text of the statement was read.
    pub const PARSE: &'static str = "parse";
    /// Names and types were resolved, in planners older than Nereids.
    pub const ANALYZE: &'static str = "analyze";
    /// The plan was made.
    pub const PLAN: &'static str = "plan";
    /// The query waited for its turn in a workload or resource group.
    pub const QUEUE: &'static str = "queue";
    /// The plan's fragments were sent to the backends.
    pub const SCHEDULE: &'static str = "schedule";

    /// Reads the phases of a profile; none are told of where it has neither an execution summary nor a planner's part.
    pub fn of(profile: &Section) -> Phases {
        let total =
            profile.part(|name| name == "Summary").and_then(|summary| summary.counter("Total"));
        let total_ms = total.and_then(parse_duration_ms);
        let doris = profile.part(|name| ["Execution Summary", "ExecutionSummary"].contains(&name));
        let starrocks = profile.part(|name| name == "Planner");
        let mut phases = match (doris, starrocks) {
            (Some(section), _) => read(section, &DORIS),
            (None, Some(section)) => {
                let mut phases = read(section, &STARROCKS);
                let wall = profile.part(|name| name == "Execution");
                let wall = wall.and_then(|section| section.counter("QueryExecutionWallTime"));
                let wall_ms = wall.and_then(parse_duration_ms).filter(|_| !phases.is_empty());
                phases.extend(wall_ms.map(|ms| Phase::new("execute", ms)));
                phases
            }
            (None, None) => Vec::new(),
        };
        let sum = phases.iter().map(|phase| phase.duration_ms).fold(0, i64::saturating_add);
        if let Some(other) = total_ms.map(|total| total.saturating_sub(sum))
            && other > 0
            && !phases.is_empty()
        {
            phases.push(Phase::new("other", other));
        }
        let mut phases = Phases { total_ms, phases };
        phases.share_out();
        phases
    }

    /// Reads the same of a profile's text, of which only the beginning is looked at.
    pub fn of_text(text: &[u8]) -> Phases {
        Phases::of(&Section::parse_head(&String::from_utf8_lossy(text)))
    }

    /// The duration of a phase by name, in milliseconds.
    pub fn duration_ms(&self, name: &str) -> Option<i64> {
        self.phases.iter().find(|phase| phase.name == name).map(|phase| phase.duration_ms)
    }

    /// The phases with the time in the queue, which an audit record tells and Doris' profile counts as scheduling.
    #[must_use]
    pub fn with_queue(mut self, queue_ms: Option<i64>) -> Phases {
        let is_told = self.duration_ms(Phases::QUEUE).is_some();
        let Some(queue_ms) = queue_ms.filter(|ms| *ms > 0 && !is_told) else { return self };
        let at = self.phases.iter().position(|phase| phase.name == Phases::SCHEDULE);
        if let Some(at) = at
            && let Some(schedule) = self.phases.get_mut(at)
            && schedule.duration_ms >= queue_ms
        {
            schedule.duration_ms -= queue_ms;
            self.phases.insert(at, Phase::new(Phases::QUEUE, queue_ms));
            self.share_out();
        }
        self
    }

    fn share_out(&mut self) {
        let sum = self.phases.iter().map(|phase| phase.duration_ms).fold(0, i64::saturating_add);
        let whole = sum.max(self.total_ms.unwrap_or(0)).max(1) as f64;
        for phase in &mut self.phases {
            phase.share = phase.duration_ms as f64 / whole;
            for step in &mut phase.steps {
                step.share = step.duration_ms as f64 / whole;
            }
        }
    }
}

impl Phase {
    fn new(name: &str, duration_ms: i64) -> Phase {
        Phase { name: name.to_string(), duration_ms, ..Phase::default() }
    }
}

/// The phases of which a section tells the time. Steps may stand beside their phase or below it.
fn read(section: &Section, keys: &[Keys]) -> Vec<Phase> {
    let mut all: Vec<&Counter> = Vec::new();
    add_all(&section.counters, &mut all);
    let time = |names: &[&str]| {
        let found = all.iter().find(|counter| names.contains(&counter.name.as_str()))?;
        // StarRocks up to 2.5: `- Total: 3ms / 1`.
        parse_duration_ms(found.value.split(" / ").next()?)
    };
    let phase = |(name, keys, steps): &Keys| {
        let mut phase = Phase::new(name, time(keys)?);
        let steps = steps.iter().filter_map(|(name, key)| Some(Phase::new(name, time(&[key])?)));
        phase.steps = steps.filter(|step| step.duration_ms > 0).collect();
        Some(phase)
    };
    keys.iter().filter_map(phase).collect()
}

fn add_all<'a>(counters: &'a [Counter], all: &mut Vec<&'a Counter>) {
    for counter in counters {
        all.push(counter);
        add_all(&counter.children, all);
    }
}
