//! What a profile says of each operator of the plan: its own time, its share of all, rows and memory.

use std::collections::HashMap;

use serde::Serialize;

use super::dialects::{self, FlatChildren, kind};
use super::tree::{Counter, Section, is_merged};
use crate::domain::time::parse_duration_ns;

/// An operator of a plan, all its instances together.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Operator {
    /// As the text has it: `AGGREGATION_OPERATOR (id=3)`.
    pub name: String,
    /// The number of the fragment it belongs to.
    pub fragment: Option<String>,
    /// How long it was at work itself, without what it waited for below it, in nanoseconds: the longest of
    /// all its instances.
    pub time_ns: Option<u64>,
    /// Its part of the own times of all operators, from 0 to 1.
    pub share: f64,
    /// The rows it gave on, of all its instances.
    pub rows: Option<u64>,
    /// The memory it took at most, of all its instances.
    pub memory_bytes: Option<u64>,
    /// Whether it is one of the five that took most time, and took a tenth of all time or more.
    pub is_costly: bool,
    /// What it counted; where instances are told apart, what the slowest counted.
    pub counters: Vec<Counter>,
    /// The operators whose rows it takes.
    pub children: Vec<Operator>,
}

/// An operator in two runs of a statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OperatorDifference {
    /// As the later run has it, or the earlier one where it is missing there.
    pub name: String,
    /// The number of its fragment.
    pub fragment: Option<String>,
    /// Its own time in the first run, in nanoseconds; none where it is not there.
    pub before_ns: Option<u64>,
    /// The same in the second run.
    pub after_ns: Option<u64>,
    /// How much slower it got; negative where it got faster.
    pub difference_ns: i64,
    /// The rows it gave on in the first run.
    pub before_rows: Option<u64>,
    /// The same in the second run.
    pub after_rows: Option<u64>,
}

/// How many operators at most are marked as costly.
const COSTLY: usize = 5;
/// The share from which on an operator can be.
const COSTLY_SHARE: f64 = 0.1;

/// More operators than this do not hang below each other where the text has them beside each other.
const MAX_CHAIN: usize = 64;
/// The same of the children of an operator.
const MAX_INNER_CHAIN: usize = 8;

/// The operators of a profile, as trees: one for each pipeline or fragment. Where the text has both a part
/// that merges all instances and one that tells them apart, those of the merged one; in the other, instances
/// are merged here. A load has an execution for each of its tasks, and all count.
///
/// In a pipeline each operator takes the rows of the one printed below it, so it hangs there.
/// Older versions (`Active`, `% non-child`) count the time below an operator into its own. It is taken out here.
pub(crate) fn operators(profile: &Section) -> Vec<Operator> {
    let reading = Reading { flat: FlatChildren::of(profile) };
    let merged = profile.part(is_merged);
    let mut operators = merged.map(|merged| reading.forest(merged)).unwrap_or_default();
    if operators.is_empty() {
        operators = reading.forest(profile);
    }
    shares(&mut operators);
    operators
}

/// The operators of trees, each with its depth, from the root down.
pub(crate) fn in_order(operators: &[Operator]) -> impl Iterator<Item = (usize, &Operator)> {
    let mut open = vec![operators.iter()];
    std::iter::from_fn(move || {
        loop {
            let depth = open.len().checked_sub(1)?;
            match open[depth].next() {
                Some(operator) => {
                    open.push(operator.children.iter());
                    return Some((depth, operator));
                }
                None => {
                    open.pop();
                }
            }
        }
    })
}

/// What got slower from one run to another, the most first. An operator is the same in both if its fragment,
/// its kind and its id are; where ids differ, the first of a kind is taken to be the first of the other.
pub(crate) fn compare(before: &[Operator], after: &[Operator]) -> Vec<OperatorDifference> {
    let mut differences = Vec::new();
    let mut unmatched_after = Vec::new();
    let mut known: HashMap<_, Vec<&Operator>> = HashMap::new();
    let mut taken = std::collections::HashSet::new();
    let all_before: Vec<&Operator> = in_order(before).map(|(_, operator)| operator).collect();
    for operator in all_before.iter().rev() {
        known.entry((&operator.fragment, kind_and_id(&operator.name))).or_default().push(operator);
    }
    for (_, operator) in in_order(after) {
        let same = known.get_mut(&(&operator.fragment, kind_and_id(&operator.name)));
        match same.and_then(Vec::pop) {
            Some(same) => {
                taken.insert(std::ptr::from_ref(same));
                differences.push(difference(Some(same), Some(operator)));
            }
            None => unmatched_after.push(operator),
        }
    }
    let left =
        all_before.into_iter().filter(|operator| !taken.contains(&std::ptr::from_ref(*operator)));
    let left: Vec<&Operator> = left.collect();
    let mut by_kind: HashMap<&str, Vec<&Operator>> = HashMap::new();
    for operator in left.iter().rev() {
        by_kind.entry(kind(&operator.name)).or_default().push(operator);
    }
    for operator in unmatched_after {
        let same = by_kind.get_mut(kind(&operator.name)).and_then(Vec::pop);
        differences.push(difference(same, Some(operator)));
    }
    differences.extend(by_kind.into_values().flatten().map(|gone| difference(Some(gone), None)));
    differences
        .sort_by(|a, b| b.difference_ns.cmp(&a.difference_ns).then_with(|| a.name.cmp(&b.name)));
    differences
}

fn difference(before: Option<&Operator>, after: Option<&Operator>) -> OperatorDifference {
    let (before_ns, after_ns) =
        (before.and_then(|operator| operator.time_ns), after.and_then(|operator| operator.time_ns));
    let signed = |ns: Option<u64>| i64::try_from(ns.unwrap_or(0)).unwrap_or(i64::MAX);
    let shown = after.or(before);
    OperatorDifference {
        name: shown.map(|operator| operator.name.clone()).unwrap_or_default(),
        fragment: shown.and_then(|operator| operator.fragment.clone()),
        before_ns,
        after_ns,
        difference_ns: signed(after_ns) - signed(before_ns),
        before_rows: before.and_then(|operator| operator.rows),
        after_rows: after.and_then(|operator| operator.rows),
    }
}

/// An operator's kind, and its id, which stands in parentheses among other things.
fn kind_and_id(name: &str) -> (&str, Option<&str>) {
    const KEYS: [&str; 4] = ["id=", "dst_id=", "dest_id=", "plan_node_id="];
    let id = name.split(['(', ' ', ',', ')']).find_map(|part| {
        let id = KEYS.iter().find_map(|key| part.strip_prefix(key))?;
        Some(id.trim_end_matches('.'))
    });
    (kind(name), id)
}

/// Whether a section is an operator, and not what operators are put into, or what they are made of.
fn is_operator(name: &str) -> bool {
    let kind = kind(name);
    let shouts = kind.len() > 2
        && kind
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit())
        && kind.bytes().any(|byte| byte.is_ascii_uppercase());
    let is_part = kind.starts_with("Pipeline") || kind == "Fragment" || kind == "Instance";
    !is_part && (shouts || kind_and_id(name).1.is_some())
}

/// Whether a section within a fragment is the sink of one of its instances, as Doris up to 2.0 and StarRocks up to 2.x
/// without its pipeline engine write it: `OlapTableSink:(Active: ...)`, `VDataBufferSender
/// (dst_fragment_instance_id=...):(Active: ...)`. Such a name has neither capitals only nor the id of a plan node.
fn is_legacy_sink(section: &Section) -> bool {
    const ENDS: [&str; 3] = ["Sink", "SinkV2", "Sender"];
    let kind = kind(&section.name);
    ENDS.iter().any(|end| kind.ends_with(end))
        && dialects::of(section).is_inclusive()
        && section.time().is_some()
}

/// What stands in a section's place: an operator, or what instances of one part have in common.
enum Place {
    Operator(Operator),
    Instances(Vec<Vec<Operator>>),
}

/// Of which part of a plan a section is one of the instances: `Instance 1a-2b (host=...)`, `Pipeline :0 (host=...)`
/// and `PipelineTask (index=0)` are there once for each. StarRocks' `Pipeline (id=3)` and the executions of a load
/// are parts of their own.
fn part_of(name: &str) -> &str {
    if name.starts_with("Instance ") {
        return "Instance";
    }
    let is_whole = ["Pipeline (id=", "Execution Profile ", "DetailProfile"];
    match is_whole.iter().any(|start| name.starts_with(start)) {
        true => name,
        false => name.split('(').next().unwrap_or_default().trim_end(),
    }
}

/// Where in a profile operators are read.
#[derive(Clone, Copy, Default)]
struct Within<'a> {
    /// The number of the fragment.
    fragment: Option<&'a str>,
    /// How many operators are above.
    depth: usize,
}

/// How the operators of one profile are read.
struct Reading {
    flat: Option<FlatChildren>,
}

impl Reading {
    /// The operators within a section that are nobody's children there.
    fn forest(&self, section: &Section) -> Vec<Operator> {
        self.forest_within(section, Within::default()).0
    }

    /// The same with the time the text gives them together, which may hold that of what is below them.
    fn forest_within(&self, section: &Section, within: Within) -> (Vec<Operator>, u64) {
        let mut places: Vec<Place> = Vec::new();
        let mut parts: HashMap<&str, usize> = HashMap::new();
        let mut told_ns = 0_u64;
        for child in &section.children {
            let is_in_instance = within.depth == 0 && within.fragment.is_some();
            if is_operator(&child.name) || is_in_instance && is_legacy_sink(child) {
                let (operator, ns) = self.operator(child, within);
                places.push(Place::Operator(operator));
                told_ns = told_ns.saturating_add(ns);
                continue;
            }
            // What a backend wrote into, which is not what the plan did.
            if child.name.starts_with("LoadChannel") {
                continue;
            }
            let fragment = child.fragment_id().or(within.fragment);
            let (operators, ns) = self.forest_within(child, Within { fragment, ..within });
            if operators.is_empty() {
                continue;
            }
            told_ns = told_ns.saturating_add(ns);
            // A fragment that comes again is the detailed part of one that was merged.
            let part = part_of(&child.name);
            match parts.get(part).and_then(|at| places.get_mut(*at)) {
                Some(Place::Instances(_)) if part.starts_with("Fragment") => {}
                Some(Place::Instances(instances)) => instances.push(operators),
                _ => {
                    parts.insert(part, places.len());
                    places.push(Place::Instances(vec![operators]));
                }
            }
        }
        let mut forest = Vec::new();
        for place in places {
            match place {
                Place::Operator(operator) => forest.push(operator),
                Place::Instances(instances) => forest.extend(merged(instances)),
            }
        }
        let forest = match (within.depth, self.flat) {
            (0, None) if section.name.starts_with("Pipeline") => chained(forest, MAX_CHAIN),
            (0, Some(_)) if section.name.starts_with("Instance ") => chained(forest, MAX_CHAIN),
            (1..MAX_INNER_CHAIN, Some(_)) => chained(forest, MAX_INNER_CHAIN),
            _ => forest,
        };
        (forest, told_ns)
    }

    /// An operator, and the time that the text gives it.
    fn operator(&self, section: &Section, within: Within) -> (Operator, u64) {
        let dialect = dialects::of(section);
        let below = Within { depth: within.depth + 1, ..within };
        let (children, below_ns) = self.forest_within(section, below);
        let told_ns = dialect.time(section).and_then(parse_duration_ns);
        let own_ns = match self.flat.and_then(|flat| flat.own_ns(section)) {
            Some(own_ns) => Some(own_ns),
            None if dialect.is_inclusive() => told_ns.map(|ns| ns.saturating_sub(below_ns)),
            None => told_ns,
        };
        let operator = Operator {
            name: section.name.clone(),
            fragment: within.fragment.map(str::to_string),
            time_ns: own_ns,
            share: 0.0,
            rows: dialect.rows(section),
            memory_bytes: dialect.memory_bytes(section),
            is_costly: false,
            counters: dialects::all_counters(section),
            children,
        };
        (operator, told_ns.unwrap_or(below_ns))
    }
}

/// Operators that stand beside each other, each of which takes the rows of the next: the next hangs below it. More
/// than `most` stay where they are, which bounds the depth.
fn chained(operators: Vec<Operator>, most: usize) -> Vec<Operator> {
    if operators.len() > most {
        return operators;
    }
    let chain = operators.into_iter().rev().reduce(|next, mut operator| {
        operator.children.push(next);
        operator
    });
    chain.into_iter().collect()
}

/// What instances of one part of a plan have in common. An operator is the same in two of them if its name
/// is, and as many of that name stand before it.
fn merged(mut instances: Vec<Vec<Operator>>) -> Vec<Operator> {
    if instances.len() < 2 {
        return instances.pop().unwrap_or_default();
    }
    let mut known: HashMap<(String, usize), usize> = HashMap::new();
    let mut places: Vec<Vec<Operator>> = Vec::new();
    for instance in instances {
        let mut seen: HashMap<String, usize> = HashMap::new();
        for operator in instance {
            let before = seen.entry(operator.name.clone()).or_default();
            let key = (operator.name.clone(), *before);
            *before += 1;
            let place = *known.entry(key).or_insert_with(|| {
                places.push(Vec::new());
                places.len() - 1
            });
            if let Some(place) = places.get_mut(place) {
                place.push(operator);
            }
        }
    }
    let sum = |numbers: &mut dyn Iterator<Item = u64>| numbers.reduce(u64::saturating_add);
    places
        .into_iter()
        .map(|mut same| {
            let rows = sum(&mut same.iter().filter_map(|operator| operator.rows));
            let memory_bytes = sum(&mut same.iter().filter_map(|operator| operator.memory_bytes));
            let children = same.iter_mut().map(|one| std::mem::take(&mut one.children)).collect();
            let slowest = same.into_iter().reduce(|a, b| if b.time_ns > a.time_ns { b } else { a });
            let children = merged(children);
            Operator { rows, memory_bytes, children, ..slowest.unwrap_or_default() }
        })
        .collect()
}

/// Gives each operator its share, and marks the costly ones.
fn shares(operators: &mut [Operator]) {
    let mut times: Vec<u64> =
        in_order(operators).filter_map(|(_, operator)| operator.time_ns).collect();
    let total: f64 = times.iter().map(|ns| *ns as f64).sum();
    times.sort_unstable_by(|a, b| b.cmp(a));
    let least = times.get(COSTLY - 1).or(times.last()).copied().unwrap_or(0);
    mark(operators, total, least);
}

fn mark(operators: &mut [Operator], total: f64, least: u64) {
    for operator in operators {
        let ns = operator.time_ns.unwrap_or(0);
        operator.share = if total > 0.0 { ns as f64 / total } else { 0.0 };
        operator.is_costly = ns >= least && operator.share >= COSTLY_SHARE;
        mark(&mut operator.children, total, least);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::time::{Duration, Instant};

    use super::*;

    const OLD: &str = include_str!("../../../tests/data/profiles/doris-0.15.txt");
    const NEW: &str = include_str!("../../../tests/data/profiles/doris-2.1.txt");
    const COPIED: &str = include_str!("../../../tests/data/profiles/copied-from-page.txt");

    type Told<'a> = (usize, &'a str, Option<u64>, Option<u64>, bool);

    fn told(operators: &[Operator]) -> Vec<Told<'_>> {
        in_order(operators)
            .map(|(depth, found)| {
                (depth, found.name.as_str(), found.time_ns, found.rows, found.is_costly)
            })
            .collect()
    }

    #[test]
    fn operators_of_a_newer_profile() {
        let operators = operators(&Section::parse(NEW));
        let scan =
            "OLAP_SCAN_OPERATOR (id=0. nereids_id=71. table name = store_sales5(store_sales5))";
        assert_eq!(
            told(&operators),
            [
                (0, "RESULT_SINK_OPERATOR (id=0)", Some(61_293), Some(1), false),
                (1, "AGGREGATION_OPERATOR (id=3 , nereids_id=82)", Some(361_417), Some(1), false),
                (0, scan, Some(36_169_000), Some(27_667), true),
            ]
        );
        assert_eq!(operators[0].children[0].memory_bytes, Some(1_268_777));
        assert_eq!(operators[1].fragment.as_deref(), Some("1"));
        assert!(
            (in_order(&operators).map(|(_, found)| found.share).sum::<f64>() - 1.0).abs() < 1e-9
        );
        let copied = super::operators(&Section::parse(COPIED));
        let join = "HASH_JOIN_SINK_OPERATOR (id=2)";
        assert_eq!(told(&copied), [(0, join, Some(26_112_000_000), Some(6_001_215), true)]);
    }

    #[test]
    fn operators_of_an_older_profile_lose_the_time_below_them() {
        let operators = operators(&Section::parse(OLD));
        assert_eq!(
            told(&operators),
            [
                (0, "AGGREGATION_NODE (id=1)", Some(6_910_000), Some(1), true),
                (1, "VOLAP_SCAN_NODE (id=0)", Some(4_396_000), Some(27_667), true),
            ]
        );
    }

    #[test]
    fn sinks_of_older_profiles_are_operators_in_an_instance_only() {
        let text = "Execution Profile 1a-2b:(Active: 9ms, % non-child: 0.00%)\n  AuditSink:(Active: 9ms)\n  \
             Fragment 0:\n    \
             Instance 1a-2c (host=a):(Active: 4ms, % non-child: 0.10%)\n      \
             VOlapTableSink:(Active: 3ms, % non-child: 40.00%)\n         - RowsReturned: 12\n        \
             RowSender:(Active: 2ms, % non-child: 1.00%)\n      \
             BROKER_SCAN_NODE (id=0):(Active: 1ms, % non-child: 9.00%)\n    \
             Instance 1a-2d (host=b):(Active: 4ms, % non-child: 0.10%)\n      \
             VOlapTableSink:(Active: 2ms, % non-child: 40.00%)\n         - RowsReturned: 30\n  \
             Fragment 1:\n    Instance 1a-2e (host=a):(Active: 4ms, % non-child: 0.10%)\n      \
             VDataBufferSender  (dst_fragment_instance_id=-7b--3c):(Active: 68us, % non-child: 1.00%)\n      \
             VFileResultSink:(ExecTime: 1ms, % non-child: 1.00%)\n      \
             QuietSink:\n         - Rows: 1\n      \
             LoadChannels:\n        TabletSink:(Active: 1ms)\n";
        assert_eq!(
            told(&operators(&Section::parse(text))),
            [
                (0, "VOlapTableSink", Some(3_000_000), Some(42), true),
                (0, "BROKER_SCAN_NODE (id=0)", Some(1_000_000), None, true),
                (
                    0,
                    "VDataBufferSender  (dst_fragment_instance_id=-7b--3c)",
                    Some(68_000),
                    None,
                    false
                ),
                (0, "VFileResultSink", Some(1_000_000), None, true),
            ]
        );
    }

    #[test]
    fn instances_are_merged_and_a_merged_part_is_preferred() {
        let detail = "Fragments:\n  Fragment 0:\n    Pipeline : 0(host=a):\n      PipelineTask (index=0):\n        \
             X_OPERATOR (id=1):\n          CommonCounters:\n            - ExecTime: 3ms\n            \
             - RowsProduced: 4\n      PipelineTask (index=1):\n        X_OPERATOR (id=1):\n          \
             CommonCounters:\n            - ExecTime: 5ms\n            - RowsProduced: 1.5K\n    \
             Pipeline : 0(host=b):\n      PipelineTask (index=0):\n        X_OPERATOR (id=1):\n          \
             - ExecTime: 4ms\n";
        let found = operators(&Section::parse(&format!("DetailProfile:\n{detail}")));
        assert_eq!(told(&found), [(0, "X_OPERATOR (id=1)", Some(5_000_000), Some(1_504), true)]);
        let both = format!(
            "MergedProfile:\n  Fragments:\n    Fragment 0:\n      X_OPERATOR (id=1):\n        \
             - ExecTime: avg 1ms, max 2ms, min 1ms\nDetailProfile:\n{detail}"
        );
        let found = operators(&Section::parse(&both));
        assert_eq!(told(&found), [(0, "X_OPERATOR (id=1)", Some(2_000_000), None, true)]);
    }

    #[test]
    fn two_runs_are_compared_operator_by_operator() {
        let before = operators(&Section::parse(NEW));
        let slower = NEW
            .replace("max 36.169ms", "max 1s")
            .replace("AGGREGATION_OPERATOR (id=3 ,", "A_B (id=9,");
        let after = operators(&Section::parse(&slower));
        let differences = compare(&before, &after);
        let told: Vec<_> = differences
            .iter()
            .map(|found| (kind(&found.name), found.before_ns, found.after_ns, found.difference_ns))
            .collect();
        assert_eq!(
            told,
            [
                ("OLAP_SCAN_OPERATOR", Some(36_169_000), Some(1_000_000_000), 963_831_000),
                ("A_B", None, Some(361_417), 361_417),
                ("RESULT_SINK_OPERATOR", Some(61_293), Some(61_293), 0),
                ("AGGREGATION_OPERATOR", Some(361_417), None, -361_417),
            ]
        );
    }

    #[test]
    fn a_hundred_thousand_operators_take_time_by_their_number() {
        let mut text = "Fragments:\n".to_string();
        for instance in 0..1000 {
            writeln!(text, "  Fragment 0:\n    Instance {instance}-1 (host=a):(Active: 1ms)")
                .unwrap();
        }
        for number in 0..100_000 {
            let instance = if number % 100 == 0 {
                format!("    Instance {number}-2:\n")
            } else {
                String::new()
            };
            writeln!(text, "{instance}      X_NODE (id={}):(Active: 1ms)", number % 1000).unwrap();
        }
        let section = Section::parse(&text);
        let begun = Instant::now();
        let found = operators(&section);
        assert_eq!(in_order(&found).count(), 1000);
        assert_eq!(compare(&found, &found).len(), 1000);
        // Were it by their square, it would be a hundred times this.
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
