//! Which nodes of a large plan are drawn, and which are folded.

use std::collections::HashSet;

use super::findings::NodeFindings;
use super::view::PlanView;
use crate::domain::profile::{Plan, UsualNode};

/// A node with less of all nodes' time may be folded.
const MIN_SHARE: f64 = 0.01;

/// Several nodes that are drawn as one. Nodes are positions in the plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fold {
    /// The topmost node.
    pub first: usize,
    pub nodes: usize,
    /// Their time as a part of all nodes' time.
    pub share: f64,
}

/// What is drawn in one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    /// The node, or the topmost of a fold.
    pub first: usize,
    /// The fold that is drawn instead of a node.
    pub fold: Option<Fold>,
    /// The fold of what is only below this node.
    pub below: Option<Fold>,
}

/// What is drawn of a plan.
#[derive(Debug, Default)]
pub(super) struct Folding {
    /// Each before the nodes that it reads from.
    pub units: Vec<Unit>,
    /// The reader and the read unit of each arrow, as first nodes; the first arrow to each unit is that of its first reader.
    pub arrows: Vec<(usize, usize)>,
    /// How many nodes are folded.
    pub folded: usize,
}

impl Folding {
    /// Folds what matters little in a large plan: what is neither on the critical path, nor took a share of the time, nor
    /// has findings, nor connects such nodes.
    pub(super) fn of(
        plan: &Plan<'_, '_>,
        findings: &NodeFindings<'_>,
        usual: &[Option<&UsualNode>],
        view: &PlanView,
    ) -> Folding {
        let shows_local = view.shows_local(plan);
        let is_drawn: Vec<bool> =
            plan.nodes.iter().map(|node| shows_local || !node.is_local()).collect();
        let edges = edges(plan, &is_drawn);
        let folds = view.folds(is_drawn.iter().filter(|is_drawn| **is_drawn).count());
        let mut is_kept = vec![!folds; plan.nodes.len()];
        if folds {
            for (position, node) in plan.nodes.iter().enumerate() {
                let usual = usual.get(position).copied().flatten();
                is_kept[position] = node.largest_part() >= MIN_SHARE
                    || !findings.of_node(&node.id).is_empty()
                    || usual.is_some_and(|usual| usual.is_exceeded_by(node.time_ns))
                    || view.difference(node).is_some();
            }
            for position in &plan.critical_path {
                is_kept[*position] = true;
            }
        }
        let mut grouping = Grouping::new(plan, &is_drawn, &edges, is_kept);
        grouping.open(plan, view);
        grouping.folding(plan, &is_drawn, &edges)
    }
}

/// Returns the reader and the read node of each edge between drawn nodes. A node that is not drawn has one child.
fn edges(plan: &Plan<'_, '_>, is_drawn: &[bool]) -> Vec<(usize, usize)> {
    let mut edges = Vec::new();
    for (reader, node) in plan.nodes.iter().enumerate().filter(|(reader, _)| is_drawn[*reader]) {
        for child in &node.children {
            let mut child = *child;
            while !is_drawn[child] {
                child = plan.nodes[child].children[0];
            }
            edges.push((reader, child));
        }
    }
    edges
}

/// The folds of a plan. Each vector has an entry for each node.
struct Grouping {
    is_kept: Vec<bool>,
    /// Whether a node or one below it is kept.
    leads_to_kept: Vec<bool>,
    first_reader: Vec<Option<usize>>,
    /// The topmost node of the fold that the node is in; the node itself if it is kept.
    group: Vec<usize>,
}

impl Grouping {
    fn new(
        plan: &Plan<'_, '_>,
        is_drawn: &[bool],
        edges: &[(usize, usize)],
        mut is_kept: Vec<bool>,
    ) -> Grouping {
        let count = plan.nodes.len();
        let mut first_reader = vec![None; count];
        for (reader, child) in edges {
            first_reader[*child].get_or_insert(*reader);
        }
        // From below: a node that connects two kept ones is kept.
        let (mut ways, mut leads_to_kept) = (vec![0_usize; count], vec![false; count]);
        for node in (0..count).rev() {
            is_kept[node] |= ways[node] > 1;
            leads_to_kept[node] = is_kept[node] || ways[node] > 0;
            if let Some(reader) = first_reader[node].filter(|_| leads_to_kept[node]) {
                ways[reader] += 1;
            }
        }
        // From above: what is below a folded node is in the same fold. All that leads to no kept node is one fold for its reader.
        let mut group: Vec<usize> = (0..count).collect();
        let (mut below, mut lone) = (vec![None; count], None);
        for node in (0..count).filter(|node| is_drawn[*node]) {
            if is_kept[node] {
                continue;
            }
            group[node] = match first_reader[node] {
                Some(reader) if !is_kept[reader] => group[reader],
                _ if leads_to_kept[node] => node,
                Some(reader) => *below[reader].get_or_insert(node),
                None => *lone.get_or_insert(node),
            };
        }
        Grouping { is_kept, leads_to_kept, first_reader, group }
    }

    /// Opens the folds that a view names, that of the chosen node, and folds of one node that take as much space as the node.
    fn open(&mut self, plan: &Plan<'_, '_>, view: &PlanView) {
        let count = self.group.len();
        let (mut sizes, mut is_open) = (vec![0_usize; count], vec![false; count]);
        for (node, group) in self.group.iter().enumerate() {
            sizes[*group] += 1;
            is_open[*group] |= view.node.as_deref() == Some(&plan.nodes[node].id);
        }
        for group in 0..count {
            is_open[group] |= view.open.contains(&plan.nodes[group].id)
                || (sizes[group] == 1 && !self.is_below(group));
        }
        for node in 0..count {
            if is_open[self.group[node]] {
                self.is_kept[node] = true;
                self.group[node] = node;
            }
        }
    }

    /// Returns whether a fold is drawn at the node that reads it, in no place of its own.
    fn is_below(&self, group: usize) -> bool {
        !self.is_kept[group] && !self.leads_to_kept[group] && self.first_reader[group].is_some()
    }

    fn folding(&self, plan: &Plan<'_, '_>, is_drawn: &[bool], edges: &[(usize, usize)]) -> Folding {
        let count = self.group.len();
        let mut folds: Vec<Option<Fold>> = vec![None; count];
        let mut folding = Folding::default();
        for node in (0..count).filter(|node| is_drawn[*node] && !self.is_kept[*node]) {
            let first = self.group[node];
            let fold = folds[first].get_or_insert(Fold { first, nodes: 0, share: 0.0 });
            fold.nodes += 1;
            fold.share += plan.nodes[node].share.unwrap_or(0.0);
            folding.folded += 1;
        }
        let mut below: Vec<Option<Fold>> = vec![None; count];
        for fold in folds.iter().flatten().filter(|fold| self.is_below(fold.first)) {
            if let Some(reader) = self.first_reader[fold.first] {
                below[reader] = Some(*fold);
            }
        }
        let has_place = |node: usize| self.group[node] == node && !self.is_below(node);
        folding.units = (0..count)
            .filter(|node| is_drawn[*node] && has_place(*node))
            .map(|first| Unit { first, fold: folds[first], below: below[first] })
            .collect();
        let mut arrows = HashSet::new();
        for (reader, child) in edges {
            let (reader, child) = (self.group[*reader], self.group[*child]);
            // A fold that also reads from below what it contains would close a circle.
            let is_new = reader < child && has_place(reader) && has_place(child);
            // A layout with an arrow twice may take forever.
            if is_new && arrows.insert((reader, child)) {
                folding.arrows.push((reader, child));
            }
        }
        folding
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::profile::{Section, operators};

    /// Returns a profile in which nodes read from others, with the time of each in milliseconds.
    fn profile(edges: impl IntoIterator<Item = (usize, usize, u64)>) -> String {
        let mut text = String::from("Fragment 0:\n");
        for (reader, child, ms) in edges {
            text += &format!(
                "  Pipeline {child}:\n    B_SINK_OPERATOR (id={reader}):\n    A_OPERATOR (id={child}):\n      - ExecTime: {ms}ms\n"
            );
        }
        text
    }

    /// Returns the ids of the drawn nodes, and the ids of the first nodes and the sizes of folds.
    fn drawn(text: &str, view: &PlanView) -> (Vec<String>, Vec<(String, usize)>) {
        let section = Section::parse(text);
        let operators = operators(&section);
        let plan = Plan::of(&section, &operators);
        let folding = Folding::of(&plan, &NodeFindings::of(&[]), &[], view);
        let id = |position: usize| plan.nodes[position].id.clone();
        let units = folding.units.iter();
        let nodes = units.clone().filter(|unit| unit.fold.is_none()).map(|unit| id(unit.first));
        let folds = units.flat_map(|unit| [unit.fold, unit.below]).flatten();
        (nodes.collect(), folds.map(|fold| (id(fold.first), fold.nodes)).collect())
    }

    #[test]
    fn what_matters_little_in_a_large_plan_is_folded() {
        // Node 1 reads from 29 nodes, of which 10 takes all time and reads through 31 to 33 from 34, which also takes time.
        let fan = (2..31).map(|child| (1, child, if child == 10 { 900 } else { 0 }));
        let chain = [(10, 31, 1), (31, 32, 1), (32, 33, 1), (33, 34, 500), (32, 35, 0)];
        let text = profile(fan.chain(chain));
        let view = PlanView::default();
        let (nodes, folds) = drawn(&text, &view);
        // The chain is on the critical path.
        assert_eq!(nodes, ["1", "10", "31", "32", "33", "34"]);
        assert_eq!(folds, [("2".to_string(), 28), ("35".to_string(), 1)]);
        let open = PlanView { open: vec!["2".to_string()], ..view.clone() };
        let (nodes, folds) = drawn(&text, &open);
        assert_eq!((nodes.len(), folds), (34, vec![("35".to_string(), 1)]));
        let chosen = PlanView { node: Some("35".to_string()), ..view.clone() };
        assert_eq!(drawn(&text, &chosen).1, [("2".to_string(), 28)]);
        let all = PlanView { shows_all: true, ..view.clone() };
        let (nodes, folds) = drawn(&text, &all);
        assert_eq!((nodes.len(), folds.len()), (35, 0));
        // A small plan is drawn whole.
        let small = profile((2..20).map(|child| (1, child, 0)));
        let (nodes, folds) = drawn(&small, &view);
        assert_eq!((nodes.len(), folds.len()), (19, 0));
    }

    #[test]
    fn folded_nodes_between_two_others_are_drawn_in_their_place() {
        let path = (1..9).map(|child| (child - 1, child, 100));
        let side = [(1, 20, 0), (20, 21, 0), (21, 22, 0), (22, 23, 50), (23, 24, 0)];
        let rest = (30..60).map(|child| (24, child, 0));
        let (nodes, folds) = drawn(&profile(path.chain(side).chain(rest)), &PlanView::default());
        assert!(
            nodes.contains(&"23".to_string()) && !nodes.contains(&"20".to_string()),
            "{nodes:?}"
        );
        assert_eq!(folds, [("20".to_string(), 3), ("24".to_string(), 31)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Each node is drawn or in one fold, and arrows go from what is drawn to what is drawn after it.
        #[test]
        fn no_node_is_lost(edges in proptest::collection::vec((0..60_usize, 0..60_usize, 0..4_u64), 0..120)) {
            let text = profile(edges);
            let section = Section::parse(&text);
            let operators = operators(&section);
            let plan = Plan::of(&section, &operators);
            let folding = Folding::of(&plan, &NodeFindings::of(&[]), &[], &PlanView::default());
            let units = &folding.units;
            let folded: usize =
                units.iter().flat_map(|unit| [unit.fold, unit.below]).flatten().map(|fold| fold.nodes).sum();
            let nodes = units.iter().filter(|unit| unit.fold.is_none()).count();
            let local = plan.nodes.iter().filter(|node| node.is_local()).count();
            prop_assert_eq!(folded, folding.folded);
            prop_assert!([plan.nodes.len(), plan.nodes.len() - local].contains(&(nodes + folded)));
            for (reader, child) in &folding.arrows {
                prop_assert!(reader < child);
                prop_assert!([reader, child].iter().all(|end| units.iter().any(|unit| unit.first == **end)));
            }
        }
    }
}
