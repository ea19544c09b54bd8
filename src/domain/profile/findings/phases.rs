//! Time before and behind the execution.

use super::context::Context;
use super::quantity::{Quantity, Unit, ns};
use super::rules::{Advice, Case, Rule};
use crate::domain::profile::phases::{Phase, Phases};
use crate::domain::time::parse_duration_ms;

const PLANNING_TIME: Quantity = Quantity::new("time of parsing and planning", 1e9, Unit::Ns);
const PLANNING_PART: Quantity =
    Quantity::new("time of parsing and planning over execution", 100.0, Unit::Percent);

pub(super) const PLANNING: Rule = Rule {
    id: "long-planning",
    thresholds: &[PLANNING_TIME, PLANNING_PART],
    meaning: "The frontend planned longer than the backends worked.",
    doris: Some(Advice::new(
        "The steps of planning say where the time went. A statement that is asked again may be answered from the cache.",
        "enable_sql_cache",
        "https://doris.apache.org/docs/4.x/query-acceleration/tuning/tuning-plan/accelerating-queries-with-sql-cache/",
    )),
    starrocks: Some(Advice::new(
        "The steps of planning say where the time went. Where many materialized views are tried, turn the rewriting off for the session.",
        "enable_materialized_view_rewrite",
        "https://docs.starrocks.io/docs/sql-reference/System_variable/#enable_materialized_view_rewrite",
    )),
    find: long_planning,
};

fn long_planning(context: &Context<'_>) -> Vec<Case> {
    let names = [Phases::PARSE, Phases::ANALYZE, Phases::PLAN];
    let planning =
        || context.phases.phases.iter().filter(|phase| names.contains(&phase.name.as_str()));
    let planned = planning().map(|phase| phase.duration_ms).fold(0, i64::saturating_add);
    let share: f64 = planning().map(|phase| phase.share).sum();
    // Waiting for locks is no planning.
    let (locked, locked_share) = locking(context).map_or((0, 0.0), |(ms, share)| (ms, share));
    let (planned, share) = (planned.saturating_sub(locked), share - locked_share);
    let case = longer(context, planned, PLANNING_TIME, PLANNING_PART, share, "planning");
    case.into_iter().collect()
}

/// Returns how long the planner waited for the locks of tables, in milliseconds, and its part of the query's time.
fn locking(context: &Context<'_>) -> Option<(i64, f64)> {
    let planning = context.phases.phases.iter().find(|phase| phase.name == Phases::PLAN)?;
    let step = planning.steps.iter().find(|step| step.name == Phases::LOCK_TABLES)?;
    let ms = step.duration_ms.min(planning.duration_ms);
    Some((ms, step.share.min(planning.share)))
}

const LOCK_TIME: Quantity = Quantity::new("time of waiting for locks", 1e9, Unit::Ns);
const LOCK_PART: Quantity =
    Quantity::new("time of waiting for locks over execution", 10.0, Unit::Percent);

pub(super) const LOCKS: Rule = Rule {
    id: "long-lock",
    thresholds: &[LOCK_TIME, LOCK_PART],
    meaning: "Before it planned, the frontend waited for the locks of the tables, which something else held.",
    doris: Some(Advice::new(
        "See which schema changes, loads and statements used the tables at that time. The frontend's log says what held a lock for long.",
        "max_lock_hold_threshold_seconds",
        "https://doris.apache.org/docs/4.x/admin-manual/trouble-shooting/frontend-lock-manager/",
    )),
    starrocks: None,
    find: long_locks,
};

fn long_locks(context: &Context<'_>) -> Vec<Case> {
    let case = locking(context).and_then(|(ms, share)| {
        longer(context, ms, LOCK_TIME, LOCK_PART, share, "waiting for locks")
    });
    case.into_iter().collect()
}

const SCHEDULING_TIME: Quantity =
    Quantity::new("time of assigning and sending fragments", 3e9, Unit::Ns);
const SCHEDULING_PART: Quantity =
    Quantity::new("time of assigning and sending fragments over execution", 10.0, Unit::Percent);

pub(super) const SCHEDULING: Rule = Rule {
    id: "long-scheduling",
    thresholds: &[SCHEDULING_TIME, SCHEDULING_PART],
    meaning: "Backends began late, because the frontend assigned and sent the parts of the plan for long. On Doris, assigning includes the wait in the queue of a workload group, where the query's record does not have it.",
    doris: Some(Advice::new(
        "See whether backends were overloaded or unreachable. The more instances the plan has, the longer it takes to send: read fewer partitions and tablets, or lower the parallelism.",
        "parallel_pipeline_task_num",
        "https://doris.apache.org/docs/4.x/query-acceleration/tuning/tuning-execution/parallelism-tuning/",
    )),
    starrocks: Some(Advice::new(
        "See whether backends were overloaded or unreachable. The more instances the plan has, the longer it takes to send: read fewer partitions and tablets, or lower the parallelism.",
        "pipeline_dop",
        "https://docs.starrocks.io/docs/sql-reference/System_variable/#pipeline_dop",
    )),
    find: long_scheduling,
};

/// Doris reports the steps of scheduling, and what it does besides is waiting in the queue. StarRocks reports no steps.
fn long_scheduling(context: &Context<'_>) -> Vec<Case> {
    let phase = context.phases.phases.iter().find(|phase| phase.name == Phases::SCHEDULE);
    let Some(phase) = phase else { return Vec::new() };
    let steps = phase.steps.iter().map(|step| step.duration_ms).reduce(i64::saturating_add);
    let ms = match (steps, context.is_starrocks) {
        (Some(steps), _) => steps.min(phase.duration_ms),
        (None, true) => phase.duration_ms,
        (None, false) => return Vec::new(),
    };
    let share = phase.share * ms as f64 / phase.duration_ms.max(1) as f64;
    let (time, part) = (SCHEDULING_TIME, SCHEDULING_PART);
    let Some(mut case) = longer(context, ms, time, part, share, "scheduling") else {
        return Vec::new();
    };
    if let Some(longest) = phase.steps.iter().max_by_key(|step| step.duration_ms) {
        let took = ns("the longest step", nanoseconds(longest.duration_ms.min(ms)));
        case.means += &format!(" The longest step, {}, took {took}.", longest.name);
        case.evidence.push(took);
    }
    vec![case]
}

const QUEUE_TIME: Quantity = Quantity::new("time in the queue", 1e9, Unit::Ns);
const QUEUE_PART: Quantity =
    Quantity::new("time in the queue over execution", 100.0, Unit::Percent);

pub(super) const QUEUE: Rule = Rule {
    id: "long-queue",
    thresholds: &[QUEUE_TIME, QUEUE_PART],
    meaning: "The query waited longer in the queue of its group than it took to execute.",
    doris: Some(Advice::new(
        "See how many queries the workload group lets run at once, and which of them take long.",
        "max_concurrency",
        "https://doris.apache.org/docs/4.x/admin-manual/workload-management/concurrency-control-and-queuing/",
    )),
    starrocks: Some(Advice::new(
        "See how many queries run at once, and which of them take long.",
        "query_queue_concurrency_limit",
        "https://docs.starrocks.io/docs/administration/management/resource_management/query_queues/",
    )),
    find: long_queue,
};

fn long_queue(context: &Context<'_>) -> Vec<Case> {
    let queue = context.phases.phases.iter().find(|phase| phase.name == Phases::QUEUE);
    let case = queue.and_then(|queue| {
        longer(context, queue.duration_ms, QUEUE_TIME, QUEUE_PART, queue.share, "queueing")
    });
    case.into_iter().collect()
}

/// Returns the case of a phase that is at least a part of the execution.
fn longer(
    context: &Context<'_>,
    duration_ms: i64,
    least: Quantity,
    part: Quantity,
    weight: f64,
    what: &'static str,
) -> Option<Case> {
    let execution = context.phases.phases.iter().find(|phase| phase.is_execution())?;
    let (took, executed) = (nanoseconds(duration_ms), nanoseconds(execution.duration_ms));
    let is_longer = part.is_met(took as f64 / executed.max(1) as f64 * 100.0);
    if !least.is_met(took as f64) || !is_longer {
        return None;
    }
    let evidence = vec![ns(what, took), ns("execution", executed)];
    let means =
        format!("Of the query, {what} took {} and the execution {}.", evidence[0], evidence[1]);
    Some(Case { nodes: Vec::new(), weight, evidence, means })
}

const CLIENT_TIME: Quantity = Quantity::new("time of sending the result", 1e9, Unit::Ns);
const CLIENT_PART: Quantity =
    Quantity::new("time of sending the result over execution", 50.0, Unit::Percent);

pub(super) const CLIENT: Rule = Rule {
    id: "slow-client",
    thresholds: &[CLIENT_TIME, CLIENT_PART],
    meaning: "The client takes the rows of the result slowly, and the query waits for it.",
    doris: Some(Advice::new(
        "Return fewer rows or columns, place the client near the cluster, or fetch by Arrow Flight SQL, in which backends send in parallel.",
        "arrow_flight_sql_port",
        "https://doris.apache.org/docs/4.x/db-connect/arrow-flight-sql-connect/",
    )),
    starrocks: Some(Advice::new(
        "Return fewer rows or columns, place the client near the cluster, or fetch by Arrow Flight SQL, in which backends send in parallel.",
        "arrow_flight_port",
        "https://docs.starrocks.io/docs/unloading/arrow_flight/",
    )),
    find: slow_clients,
};

/// Doris writes how long the frontend wrote to the client, a step of the execution; StarRocks how long the result waited. Where
/// StarRocks writes to a table, the same counter is the time of writing.
fn slow_clients(context: &Context<'_>) -> Vec<Case> {
    let execution = context.phases.phases.iter().find(|phase| phase.is_execution());
    let Some(execution) = execution else { return Vec::new() };
    let is_writing = |step: &&Phase| step.name == "write result";
    let written_ms = execution.steps.iter().find(is_writing).map(|step| step.duration_ms);
    let starrocks = context.profile.part(|name| name == "Execution");
    let returns_rows = context.nodes().any(|(_, node)| node.name == "RESULT_SINK");
    let delivered =
        starrocks.filter(|_| returns_rows).and_then(|section| section.counter("ResultDeliverTime"));
    let Some(sent_ms) = written_ms.or_else(|| parse_duration_ms(delivered?)) else {
        return Vec::new();
    };
    let (sent, executed) = (nanoseconds(sent_ms), nanoseconds(execution.duration_ms));
    let part = sent as f64 / executed.max(1) as f64;
    if !CLIENT_TIME.is_met(sent as f64) || !CLIENT_PART.is_met(part * 100.0) {
        return Vec::new();
    }
    let evidence = vec![ns("sending the result", sent), ns("execution", executed)];
    let means = format!(
        "Of the {} of execution, the result took {} on its way to the client.",
        evidence[1], evidence[0]
    );
    let weight = execution.share * part.min(1.0);
    vec![Case { nodes: Vec::new(), weight, evidence, means }]
}

fn nanoseconds(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000)
}
