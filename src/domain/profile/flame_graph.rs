//! The model of a flame graph: the stack of each operator with its own time.

use super::operators::Operator;

/// Operators that are deeper in the plan are on the topmost level of the graph.
const MAX_DEPTH: usize = 64;

/// An operator with the operators above it in the plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FlameStack {
    /// The names from the root to the operator: the fragment, if it is known, then operators.
    pub frames: Vec<String>,
    /// The operator's own time in nanoseconds.
    pub time_ns: u64,
}

/// Returns the stacks of all operators whose share of the time is at least `min_share`.
pub(crate) fn flame_stacks(operators: &[Operator], min_share: f64) -> Vec<FlameStack> {
    let mut stacks = Vec::new();
    let mut frames = Vec::new();
    for operator in operators {
        let fragment = operator.fragment.as_ref().map(|fragment| format!("Fragment {fragment}"));
        frames.extend(fragment);
        add_stacks(operator, min_share, &mut frames, &mut stacks);
        frames.clear();
    }
    stacks
}

fn add_stacks(
    operator: &Operator,
    min_share: f64,
    frames: &mut Vec<String>,
    stacks: &mut Vec<FlameStack>,
) {
    let has_frame = frames.len() < MAX_DEPTH;
    if has_frame {
        frames.push(operator.name.clone());
    }
    if let Some(time_ns) = operator.time_ns.filter(|_| operator.share >= min_share) {
        stacks.push(FlameStack { frames: frames.clone(), time_ns });
    }
    for child in &operator.children {
        add_stacks(child, min_share, frames, stacks);
    }
    if has_frame {
        frames.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Section, operators};
    use super::*;

    #[test]
    fn an_operator_is_on_top_of_its_fragment_and_its_parents() {
        let text = "Fragment 0:\n  A_SINK (id=1):\n    - ExecTime: 3ms\n    B_SCAN (id=2):\n      - ExecTime: 5ms\n";
        let operators = operators(&Section::parse(text));
        let stack = |names: &[&str], time_ns| FlameStack {
            frames: names.iter().map(|name| name.to_string()).collect(),
            time_ns,
        };
        let sink = stack(&["Fragment 0", "A_SINK (id=1)"], 3_000_000);
        let scan = stack(&["Fragment 0", "A_SINK (id=1)", "B_SCAN (id=2)"], 5_000_000);
        assert_eq!(flame_stacks(&operators, 0.0), [sink, scan.clone()]);
        assert_eq!(flame_stacks(&operators, 0.5), [scan]);
    }
}
