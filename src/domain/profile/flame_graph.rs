//! The model of a flame graph: the stack of each operator with its own time.

use std::cmp::Reverse;

use super::operators::Operator;

/// Operators that are deeper in the plan are on the topmost level of the graph.
const MAX_DEPTH: usize = 64;

/// The most frames of all stacks together: an image of some 8 MB, in which no text of a profile makes more.
const MAX_FRAMES: usize = 20_000;

/// An operator with the operators above it in the plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FlameStack<'s> {
    /// The number of the fragment, if it is known: the root of the stack.
    pub fragment: Option<&'s str>,
    /// The names from the topmost operator of the plan to this one.
    pub frames: Vec<&'s str>,
    /// The operator's own time in nanoseconds.
    pub time_ns: u64,
}

/// Returns the stacks of all operators whose share of the time is at least `min_share`. If they have more than 20,000
/// frames, the stacks have no operators with the least time.
pub(crate) fn flame_stacks<'s>(operators: &[Operator<'s>], min_share: f64) -> Vec<FlameStack<'s>> {
    let mut stacks = Vec::new();
    for operator in operators {
        add_stacks(operator, min_share, &mut Vec::new(), &mut stacks);
    }
    let mut by_time: Vec<usize> = (0..stacks.len()).collect();
    by_time.sort_by_key(|index| Reverse(stacks[*index].time_ns));
    let mut frames = 0;
    let mut is_drawn = vec![false; stacks.len()];
    for index in by_time {
        frames += stacks[index].frames.len();
        is_drawn[index] = frames <= MAX_FRAMES;
    }
    let mut is_drawn = is_drawn.into_iter();
    stacks.retain(|_| is_drawn.next().unwrap_or(false));
    stacks
}

fn add_stacks<'s>(
    operator: &Operator<'s>,
    min_share: f64,
    frames: &mut Vec<&'s str>,
    stacks: &mut Vec<FlameStack<'s>>,
) {
    let has_frame = frames.len() < MAX_DEPTH;
    if has_frame {
        frames.push(operator.name);
    }
    if let Some(time_ns) = operator.time_ns.filter(|_| operator.share >= min_share) {
        let fragment = operator.fragment;
        stacks.push(FlameStack { fragment, frames: frames.clone(), time_ns });
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
        let section = Section::parse(text);
        let operators = operators(&section);
        let stack = |frames, time_ns| FlameStack { fragment: Some("0"), frames, time_ns };
        let sink = stack(vec!["A_SINK (id=1)"], 3_000_000);
        let scan = stack(vec!["A_SINK (id=1)", "B_SCAN (id=2)"], 5_000_000);
        assert_eq!(flame_stacks(&operators, 0.0), [sink, scan.clone()]);
        assert_eq!(flame_stacks(&operators, 0.5), [scan]);
    }
}
