//! The phases of a query: where its time went before and besides the execution.

#[cfg(test)]
mod tests;

use serde::Serialize;
use utoipa::ToSchema;

use super::lossy;
use super::tree::{Counter, Section};
use crate::domain::time::parse_duration_ms;

/// The phases of a query in order, as the frontend reports them.
///
/// Doris writes the phases into `Execution Summary` (`SummaryProfile.java`, 1.2 to 4.x; parsing and the steps of
/// Nereids since 2.1), StarRocks writes them into `Planner` (`Tracers.java`, 2.5 to 4.x).
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Phases {
    /// The duration of the query in milliseconds, if it is known.
    pub total_ms: Option<i64>,
    /// The phases whose duration is known.
    pub phases: Vec<Phase>,
}

/// A phase of a query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Phase {
    /// The name of the phase: `parse`, `analyze`, `plan`, `queue`, `prepare`, `schedule`, `wait and fetch`, `execute`,
    /// `other`. A step has the name that the engine uses.
    pub name: String,
    /// The duration in milliseconds.
    pub duration_ms: i64,
    /// The duration as a part of the query's duration, or of the sum of all phases if that is more, from 0 to 1.
    pub share: f64,
    /// The steps of the phase that the profile reports. Their sum may be less than the duration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub steps: Vec<Phase>,
}

/// The times of a query that its record reports, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RecordedTimes {
    /// The duration of the query.
    pub total_ms: Option<i64>,
    /// The time in the queue of the workload or resource group.
    pub queue_ms: Option<i64>,
    pub parse_ms: Option<i64>,
    pub plan_ms: Option<i64>,
    /// The time of scheduling. In Doris it includes the time in the queue.
    pub schedule_ms: Option<i64>,
}

/// A phase, the name of the field with its steps, and the name and the key of each step.
type AuditSteps = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// The steps that fields of Doris' audit records report (`AuditLogHelper.java`, 3.1 and 4.x). The names of fields are
/// in lower case without underscores, because the log and the loader's table write them differently. The steps have the
/// names of the profile's steps. Keys whose time is a part of another key's time are not listed.
const AUDIT_STEPS: [AuditSteps; 2] = [
    (
        Phases::PLAN,
        "plantimesms",
        &[
            (Phases::LOCK_TABLES, "lock_tables"),
            ("analyze", "analyze"),
            ("rewrite", "rewrite"),
            ("collect partitions", "collect_partitions"),
            ("optimize", "optimize"),
            ("translate", "translate"),
            ("distribute", "distribute"),
        ],
    ),
    (
        Phases::SCHEDULE,
        "scheduletimesms",
        &[
            ("assign fragments", "fragment_assign_time_ms"),
            ("serialize fragments", "fragment_serialize_time_ms"),
            ("send fragments, phase 1", "fragment_rpc_phase_1_time_ms"),
            ("send fragments, phase 2", "fragment_rpc_phase_2_time_ms"),
        ],
    ),
];

/// A phase, the keys of its duration, and the name and the key of each of its steps.
type PhaseKeys = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

/// The phases in Doris' `Execution Summary`, in order.
const DORIS: [PhaseKeys; 5] = [
    (Phases::PARSE, &["Parse SQL Time"], &[]),
    (Phases::ANALYZE, &["Analysis Time"], &[]),
    (
        Phases::PLAN,
        &["Plan Time"],
        &[
            (Phases::LOCK_TABLES, "Nereids Lock Table Time"),
            ("analyze", "Nereids Analysis Time"),
            ("rewrite", "Nereids Rewrite Time"),
            ("collect partitions", "Nereids Collect Table Partition Time"),
            ("rewrite by views", "Nereids Pre Rewrite By Mv Time"),
            ("optimize", "Nereids Optimize Time"),
            ("translate", "Nereids Translate Time"),
            ("distribute", "Nereids Distribute Time"),
            ("distribute", "Distribute Time"),
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
        Phases::WAIT_AND_FETCH,
        &["Wait and Fetch Result Time"],
        &[(Phases::FETCH_RESULT, "Fetch Result Time"), ("write result", "Write Result Time")],
    ),
];

/// The phases in StarRocks' `Planner`, in order.
const STARROCKS: [PhaseKeys; 5] = [
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

/// Returns how long a query took, as the summary of its profile says.
pub(super) fn total_ms(profile: &Section<'_>) -> Option<i64> {
    let summary = profile.part(|name| name == "Summary")?;
    parse_duration_ms(summary.counter("Total")?)
}

impl Phases {
    /// The frontend reads the text of the statement.
    pub(crate) const PARSE: &'static str = "parse";
    /// A planner older than Nereids resolves names and types.
    pub(crate) const ANALYZE: &'static str = "analyze";
    /// The frontend makes the plan.
    pub(crate) const PLAN: &'static str = "plan";
    /// The step of the phase before in which the frontend waits for the locks of the tables.
    pub(crate) const LOCK_TABLES: &'static str = "lock tables";
    /// The query waits in the queue of a workload or resource group.
    pub(crate) const QUEUE: &'static str = "queue";
    /// The frontend sends the plan's fragments to the backends.
    pub(crate) const SCHEDULE: &'static str = "schedule";
    /// The backends execute the fragments, and the frontend fetches the result, as Doris reports it.
    pub(crate) const WAIT_AND_FETCH: &'static str = "wait and fetch";
    /// The step of the phase before in which the frontend receives the result.
    pub(crate) const FETCH_RESULT: &'static str = "fetch result";
    /// The backends execute the fragments, as StarRocks reports it.
    pub(crate) const EXECUTE: &'static str = "execute";

    /// Reads the phases of a profile. A profile with neither `Execution Summary` nor `Planner` has none.
    pub(crate) fn of(profile: &Section<'_>) -> Phases {
        let total_ms = total_ms(profile);
        let doris = profile.part(|name| ["Execution Summary", "ExecutionSummary"].contains(&name));
        let starrocks = profile.part(|name| name == "Planner");
        let mut phases = match (doris, starrocks) {
            (Some(section), _) => read(section, &DORIS, false),
            (None, Some(section)) => {
                let mut phases = read(section, &STARROCKS, true);
                let wall = profile.part(|name| name == "Execution");
                let wall = wall.and_then(|section| section.counter("QueryExecutionWallTime"));
                let wall_ms = wall.and_then(parse_duration_ms).filter(|_| !phases.is_empty());
                phases.extend(wall_ms.map(|ms| Phase::new(Phases::EXECUTE, ms)));
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
        phases.set_shares();
        phases
    }

    /// Reads the phases from the head of a profile's text.
    pub(crate) fn of_text(text: &[u8]) -> Phases {
        Phases::of(&Section::parse_head(&lossy(text)))
    }

    /// Returns the phases that a record reports. A record with only a duration has none.
    ///
    /// In Doris the time of scheduling begins at the end of planning and includes the queue (`SummaryProfile.java`).
    /// StarRocks' audit records report the queue alone (`PendingTimeMs`). So the time of the queue is subtracted from
    /// scheduling unless it is longer. The rest of the duration is `execute` if fragments were scheduled. If the time
    /// of scheduling is unknown, as in StarRocks, or 0, as for errors of the planner and answers from the cache, the
    /// rest is `other`.
    pub(crate) fn of_record(times: RecordedTimes) -> Phases {
        let known = |time: Option<i64>| time.filter(|ms| *ms >= 0);
        let total_ms = known(times.total_ms);
        let queue_ms = known(times.queue_ms).filter(|ms| *ms > 0);
        let reported_ms = known(times.schedule_ms);
        let schedule_ms = match (reported_ms, queue_ms) {
            (Some(schedule), Some(queue)) if schedule >= queue => Some(schedule - queue),
            _ => reported_ms,
        };
        let parts = [
            (Phases::PARSE, known(times.parse_ms)),
            (Phases::PLAN, known(times.plan_ms)),
            (Phases::QUEUE, queue_ms),
            (Phases::SCHEDULE, schedule_ms),
        ];
        let parts = parts.into_iter().filter_map(|(name, ms)| Some(Phase::new(name, ms?)));
        let mut phases: Vec<Phase> = parts.collect();
        let sum = phases.iter().map(|phase| phase.duration_ms).fold(0, i64::saturating_add);
        let rest = total_ms.map_or(0, |total| total.saturating_sub(sum));
        if rest > 0 && !phases.is_empty() {
            let is_scheduled = reported_ms.is_some_and(|ms| ms > 0);
            phases.push(Phase::new(if is_scheduled { Phases::EXECUTE } else { "other" }, rest));
        }
        let mut phases = Phases { total_ms, phases };
        phases.set_shares();
        phases
    }

    /// Adds the steps from the JSON text in a record's other fields: `PlanTimesMs` and `ScheduleTimesMs`, which Doris'
    /// audit loader calls `plan_times_ms` and `schedule_times_ms`.
    #[must_use]
    pub(crate) fn with_steps(
        mut self,
        fields: &serde_json::Map<String, serde_json::Value>,
    ) -> Phases {
        for (name, value) in fields {
            let key = name.replace('_', "").to_ascii_lowercase();
            let Some((phase, _, steps)) = AUDIT_STEPS.iter().find(|(_, field, _)| *field == key)
            else {
                continue;
            };
            let times = value.as_str().map(serde_json::from_str::<serde_json::Value>);
            let Some(Ok(times)) = times else { continue };
            let time = |key: &str| times.get(key)?.as_i64().filter(|ms| *ms > 0);
            if let Some(phase) = self.phases.iter_mut().find(|other| other.name == *phase) {
                let steps = steps.iter().filter_map(|(name, key)| Some((name, time(key)?)));
                phase.steps = steps.map(|(name, ms)| Phase::new(name, ms)).collect();
            }
        }
        self.set_shares();
        self
    }

    /// Returns the duration of the phase with this name, in milliseconds.
    pub(crate) fn duration_ms(&self, name: &str) -> Option<i64> {
        self.phases.iter().find(|phase| phase.name == name).map(|phase| phase.duration_ms)
    }

    /// Returns the duration of a step of the phase with this name, in milliseconds.
    pub(super) fn step_ms(&self, name: &str, step: &str) -> Option<i64> {
        let phase = self.phases.iter().find(|phase| phase.name == name)?;
        phase.steps.iter().find(|known| known.name == step).map(|step| step.duration_ms)
    }

    /// Adds the time in the queue, which an audit record reports and Doris' profile includes in scheduling.
    #[must_use]
    pub(crate) fn with_queue(mut self, queue_ms: Option<i64>) -> Phases {
        let is_known = self.duration_ms(Phases::QUEUE).is_some();
        let Some(queue_ms) = queue_ms.filter(|ms| *ms > 0 && !is_known) else { return self };
        let at = self.phases.iter().position(|phase| phase.name == Phases::SCHEDULE);
        if let Some(at) = at
            && let Some(schedule) = self.phases.get_mut(at)
            && schedule.duration_ms >= queue_ms
        {
            schedule.duration_ms -= queue_ms;
            self.phases.insert(at, Phase::new(Phases::QUEUE, queue_ms));
            self.set_shares();
        }
        self
    }

    fn set_shares(&mut self) {
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
    /// Returns whether the backends worked in this phase.
    pub(crate) fn is_execution(&self) -> bool {
        ["execute", "wait and fetch"].contains(&self.name.as_str())
    }

    fn new(name: &str, duration_ms: i64) -> Phase {
        Phase { name: name.to_string(), duration_ms, ..Phase::default() }
    }
}

/// Reads the phases whose duration a section has. `are_steps_below` says whether the steps of a phase are only those below it, as in
/// StarRocks, which plans several statements to refresh a view; in Doris they may be beside it. A phase without a duration,
/// which has not ended, takes as long as its steps.
fn read(section: &Section<'_>, keys: &[PhaseKeys], are_steps_below: bool) -> Vec<Phase> {
    let mut all: Vec<&Counter<'_>> = Vec::new();
    add_all(&section.counters, &mut all);
    let phase = |(name, keys, steps): &PhaseKeys| {
        let found = all.iter().find(|counter| keys.contains(&&*counter.name))?;
        let mut below: Vec<&Counter<'_>> = Vec::new();
        add_all(&found.children, &mut below);
        let around = if are_steps_below { &below } else { &all };
        let step = |(name, key): &(&str, &str)| {
            let counter = around.iter().find(|counter| counter.name == *key)?;
            Some(Phase::new(name, time_ms(counter)?))
        };
        let steps: Vec<Phase> =
            steps.iter().filter_map(step).filter(|step| step.duration_ms > 0).collect();
        let summed = steps.iter().map(|step| step.duration_ms).reduce(i64::saturating_add);
        Some(Phase { steps, ..Phase::new(name, time_ms(found).or(summed)?) })
    };
    keys.iter().filter_map(phase).collect()
}

/// Reads a time. StarRocks up to 2.5 writes `- Total: 3ms / 1`.
fn time_ms(counter: &Counter<'_>) -> Option<i64> {
    parse_duration_ms(counter.value.split(" / ").next()?)
}

fn add_all<'s, 't>(counters: &'s [Counter<'t>], all: &mut Vec<&'s Counter<'t>>) {
    for counter in counters {
        all.push(counter);
        add_all(&counter.children, all);
    }
}
