//! What is usual for the nodes of a plan: their times and rows in other runs with the same plan.

use super::{Node, Plan};
use crate::domain::profile::{PlanSummary, Section, lossy, operators};

/// With fewer other runs, nothing is usual.
const MIN_RUNS: usize = 5;
/// A time beyond this many times the usual one is marked.
const MARKED_TIMES: f64 = 3.0;

/// What is usual for the nodes of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Usual {
    /// The number of other runs.
    pub runs: usize,
    /// The nodes, without the ones that backends add by themselves: two plans of one shape have the others in the same order.
    nodes: Vec<UsualNode>,
}

/// What is usual for a node.
#[derive(Debug, Clone)]
pub(crate) struct UsualNode {
    name: String,
    /// The own time in nanoseconds.
    pub time_ns: Option<Spread>,
    pub rows: Option<Spread>,
}

/// The middle of some values, and how far they are from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spread {
    pub median: u64,
    /// The median of the distances from the median.
    pub deviation: u64,
}

impl Spread {
    /// Returns the spread of values, none of no values.
    fn of(mut values: Vec<u64>) -> Option<Spread> {
        let median = median(&mut values)?;
        let mut distances: Vec<u64> = values.iter().map(|value| value.abs_diff(median)).collect();
        Some(Spread { median, deviation: self::median(&mut distances)? })
    }
}

/// Returns the median by nearest rank, as of durations.
fn median(values: &mut [u64]) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len().div_ceil(2).checked_sub(1)?).copied()
}

/// The values of a node in the runs that were read.
struct Samples {
    name: String,
    times_ns: Vec<u64>,
    rows: Vec<u64>,
}

impl Usual {
    /// Reads the profiles of other runs with the same plan. Returns none if too few can be read.
    pub(crate) fn of_texts(texts: impl Iterator<Item = Vec<u8>>) -> Option<Usual> {
        let (mut nodes, mut runs) = (Vec::new(), 0);
        for text in texts.filter(|text| text.len() <= PlanSummary::MAX_TEXT_BYTES) {
            let text = lossy(&text);
            let section = Section::parse(&text);
            let operators = operators(&section);
            let plan = Plan::of(&section, &operators);
            let compared = plan.nodes.iter().filter(|node| !node.is_local());
            if runs == 0 {
                nodes = compared.clone().map(Samples::of_name).collect();
            }
            runs += 1;
            for (samples, node) in nodes.iter_mut().zip(compared) {
                if samples.name == node.name {
                    samples.times_ns.extend(node.time_ns);
                    samples.rows.extend(node.rows);
                }
            }
        }
        let nodes = nodes.into_iter().map(Samples::usual).collect();
        (runs >= MIN_RUNS).then_some(Usual { runs, nodes })
    }

    /// Returns what is usual for each of some nodes, which are the name of each and whether a backend adds it by itself.
    pub(crate) fn of_nodes<'n>(
        &self,
        nodes: impl Iterator<Item = (&'n str, bool)>,
    ) -> Vec<Option<&UsualNode>> {
        let mut usual = self.nodes.iter();
        let usual = nodes.map(|(name, is_local)| {
            if is_local {
                return None;
            }
            usual.next().filter(|usual| usual.name == name)
        });
        usual.collect()
    }
}

impl Samples {
    fn of_name(node: &Node<'_, '_>) -> Samples {
        Samples { name: node.name.to_string(), times_ns: Vec::new(), rows: Vec::new() }
    }

    fn usual(self) -> UsualNode {
        let (time_ns, rows) = (Spread::of(self.times_ns), Spread::of(self.rows));
        UsualNode { name: self.name, time_ns, rows }
    }
}

impl UsualNode {
    /// Returns a time over the usual time; none if either is unknown, or the usual one is 0.
    pub(crate) fn times(&self, time_ns: Option<u64>) -> Option<f64> {
        let usual = self.time_ns.map(|usual| usual.median).filter(|ns| *ns > 0)?;
        Some(time_ns? as f64 / usual as f64)
    }

    /// Returns rows over the usual rows; none if either is unknown, or the usual ones are 0.
    pub(crate) fn row_times(&self, rows: Option<u64>) -> Option<f64> {
        let usual = self.rows.map(|usual| usual.median).filter(|rows| *rows > 0)?;
        Some(rows? as f64 / usual as f64)
    }

    /// Returns whether a time is far more than usual: three times the usual one, and beyond what the other runs vary.
    pub(crate) fn is_exceeded_by(&self, time_ns: Option<u64>) -> bool {
        let Some(usual) = self.time_ns else { return false };
        let varying = usual.median.saturating_add(usual.deviation.saturating_mul(3));
        self.times(time_ns).is_some_and(|times| times >= MARKED_TIMES)
            && time_ns.is_some_and(|ns| ns > varying)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::PlanReport;

    const TEXT: &str = include_str!("../../../../tests/profiles/doris-3.0-cte.txt");

    /// Returns a run in which one operator took so long.
    fn run(longest: &str) -> Vec<u8> {
        assert!(TEXT.contains("max 900ms"), "the fixture has another time");
        TEXT.replace("max 900ms", &format!("max {longest}")).into_bytes()
    }

    fn spread(values: &[u64]) -> Option<Spread> {
        Spread::of(values.to_vec())
    }

    #[test]
    fn a_spread_has_the_middle_and_the_usual_distance() {
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[7]), Some(Spread { median: 7, deviation: 0 }));
        assert_eq!(spread(&[9, 1, 5, 6, 900]), Some(Spread { median: 6, deviation: 3 }));
    }

    #[test]
    fn a_time_is_compared_with_the_middle_of_the_other_runs() {
        let times = ["10ms", "11ms", "12ms", "13ms", "900ms"];
        let usual = Usual::of_texts(times.iter().map(|time| run(time))).unwrap();
        assert_eq!(usual.runs, 5);
        let plan = PlanReport::of_text(&lossy(&run("120ms")), None);
        let nodes = plan.nodes.iter().map(|node| (node.name.as_str(), node.is_local()));
        let usual = usual.of_nodes(nodes);
        let scans: Vec<_> = plan
            .nodes
            .iter()
            .zip(&usual)
            .filter_map(|(node, usual)| Some((node, (*usual)?)))
            .filter(|(node, usual)| usual.is_exceeded_by(node.time_ns))
            .collect();
        let [(scan, usual)] = scans.as_slice() else { panic!("{scans:?}") };
        assert!(usual.times(scan.time_ns).unwrap() > 3.0, "{scan:?} {usual:?}");
        assert_eq!(usual.row_times(scan.rows), scan.rows.map(|_| 1.0));
    }

    #[test]
    fn nothing_is_usual_of_few_runs_or_of_another_plan() {
        assert!(Usual::of_texts((0..4).map(|_| run("10ms"))).is_none());
        let usual = Usual::of_texts((0..5).map(|_| run("10ms"))).unwrap();
        let nodes = usual.of_nodes([("OTHER", false), ("LOCAL_EXCHANGE", true)].into_iter());
        assert!(nodes.iter().all(Option::is_none));
    }
}
