use super::*;

fn reported(times: [Option<i64>; 5]) -> Vec<(String, i64)> {
    let [total_ms, queue_ms, parse_ms, plan_ms, schedule_ms] = times;
    let times = RecordedTimes { total_ms, queue_ms, parse_ms, plan_ms, schedule_ms };
    let phases = Phases::of_record(times);
    // The queue is not subtracted a second time.
    assert_eq!(phases.clone().with_queue(queue_ms), phases);
    phases.phases.into_iter().map(|phase| (phase.name, phase.duration_ms)).collect()
}

#[test]
fn a_record_without_a_profile_has_phases() {
    let expected = |phases: &[(&str, i64)]| -> Vec<(String, i64)> {
        phases.iter().map(|(name, ms)| (name.to_string(), *ms)).collect()
    };
    assert_eq!(
        reported([Some(734), None, Some(2), Some(19), Some(11)]),
        expected(&[("parse", 2), ("plan", 19), ("schedule", 11), ("execute", 702)])
    );
    // Scheduling includes the queue unless it is shorter.
    assert_eq!(
        reported([Some(900), Some(300), Some(1), Some(9), Some(310)]),
        expected(&[("parse", 1), ("plan", 9), ("queue", 300), ("schedule", 10), ("execute", 580)])
    );
    assert_eq!(
        reported([Some(900), Some(300), None, None, Some(20)]),
        expected(&[("queue", 300), ("schedule", 20), ("execute", 580)])
    );
    // StarRocks reports the queue alone; an error in the planner leaves nothing to execute.
    assert_eq!(
        reported([Some(900), Some(300), None, None, None]),
        expected(&[("queue", 300), ("other", 600)])
    );
    assert_eq!(
        reported([Some(6), Some(0), Some(1), Some(4), Some(0)]),
        expected(&[("parse", 1), ("plan", 4), ("schedule", 0), ("other", 1)])
    );
    assert!(reported([Some(6), Some(0), None, Some(-1), None]).is_empty());
    assert_eq!(reported([None, None, None, Some(4), None]), expected(&[("plan", 4)]));
    assert_eq!(reported([Some(1), None, Some(i64::MAX), Some(4), Some(i64::MAX)]).len(), 3);
}

/// A phase: its name, its duration in milliseconds, and the same of its steps.
type ReadPhase = (String, i64, Vec<(String, i64)>);

/// Returns the phases of a profile's section with their durations, and the steps with theirs.
fn read_phases(text: &str) -> Vec<ReadPhase> {
    let steps =
        |steps: Vec<Phase>| steps.into_iter().map(|step| (step.name, step.duration_ms)).collect();
    let phases = Phases::of_text(text.as_bytes()).phases.into_iter();
    phases.map(|phase| (phase.name, phase.duration_ms, steps(phase.steps))).collect()
}

#[test]
fn the_steps_of_planning_are_those_below_the_plan_that_is_used() {
    let text = "Query:\n  Summary:\n     - Total: 6s600ms\n  Planner:\n     - -- MVRefreshDoWholeRefresh[1] 6s537ms\n     \
        -     -- MVRefreshPrepareRefreshPlan[1] 221ms\n     -         -- Optimizer[4] 85ms\n     -     -- MVRefreshMaterializedView[1] 6s308ms\n     \
        -         -- Analyzer[4] 6ms\n     -         -- Total[2] 9ms\n     -             -- Transformer[2] 2ms\n  Execution:\n";
    let plan = read_phases(text).into_iter().next().unwrap();
    assert_eq!(plan, ("plan".to_string(), 9, vec![("transform".to_string(), 2)]));
}

#[test]
fn a_phase_that_has_not_ended_takes_as_long_as_its_steps() {
    let text = "Summary:\n   - Total: 6min1sec\nExecution Summary:\n   - Plan Time: 31ms\n      - Distribute Time: 4ms\n   \
        - Wait and Fetch Result Time: N/A\n   - Fetch Result Time: 0ms\n   - Write Result Time: 5min59sec\n";
    let phases = read_phases(text);
    assert_eq!(phases[0], ("plan".to_string(), 31, vec![("distribute".to_string(), 4)]));
    let written = vec![("write result".to_string(), 359_000)];
    assert_eq!(phases[1], ("wait and fetch".to_string(), 359_000, written));
}

#[test]
fn shares_of_a_record_make_up_the_whole() {
    let times = RecordedTimes {
        total_ms: Some(100),
        plan_ms: Some(20),
        schedule_ms: Some(5),
        ..RecordedTimes::default()
    };
    let shares: Vec<f64> =
        Phases::of_record(times).phases.iter().map(|phase| phase.share).collect();
    assert_eq!(shares, [0.2, 0.05, 0.75]);
}

#[test]
fn steps_of_an_audit_record_are_read() {
    let times =
        RecordedTimes { plan_ms: Some(10), schedule_ms: Some(6), ..RecordedTimes::default() };
    let fields = serde_json::json!({
        "PlanTimesMs": "{\"plan\":10,\"analyze\":3,\"rewrite\":0,\"optimize\":-1,\"translate\":2}",
        "schedule_times_ms": "{\"schedule_time_ms\":6,\"fragment_rpc_phase_1_time_ms\":4}",
        "GetMetaTimesMs": "{\"analyze\":3}",
    });
    let fields = fields.as_object().expect("an object");
    let phases = Phases::of_record(times).with_steps(fields).phases;
    let steps = |at: usize| -> Vec<(&str, i64)> {
        phases[at].steps.iter().map(|step| (step.name.as_str(), step.duration_ms)).collect()
    };
    assert_eq!(steps(0), [("analyze", 3), ("translate", 2)]);
    assert_eq!(steps(1), [("send fragments, phase 1", 4)]);
    assert_eq!(phases[1].steps[0].share, 0.25);
}
