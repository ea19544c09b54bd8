//! The picture of a plan: a graph, drawn on the server.

use std::collections::{HashMap, HashSet};

use maud::{Markup, html};
use rust_sugiyama::configure::Config;
use rust_sugiyama::from_vertices_and_edges;

use super::findings::NodeFindings;
use super::plan::{PlanView, Zoom, planner_id, times, title};
use crate::domain::profile::{Node, Plan, UsualNode};
use crate::web::format;

/// A picture has at most this many nodes, the topmost of the plan. Drawing them takes some ten milliseconds.
pub(super) const MAX_NODES: usize = 400;
/// A node that several others read from is below all of them for at most this many of such edges: each makes the layout
/// longer by the rows that it crosses.
const MAX_SHARED_EDGES: usize = 50;
/// The size of a node in pixels.
const NODE: (f64, f64) = (200.0, 64.0);
/// The space around nodes in pixels.
const SPACE: f64 = 32.0;
/// A picture that is wider is not shrunk to the width of the page, which would make it unreadable.
const MAX_FITTED: f64 = 1400.0;
/// The widest arrow in pixels, and the narrowest.
const ARROW: (f64, f64) = (9.0, 1.2);

/// A triangle with an exclamation mark in it, 16 pixels wide.
const MARK: &str = "M8 0L16 14L0 14zM7.2 5L8.8 5L8.4 9.5L7.6 9.5zM7.2 10.5L8.8 10.5L8.8 12L7.2 12z";

/// Where the nodes of a plan are drawn.
pub(super) struct Drawing {
    /// For each drawn node its position in the plan and the middle of its box, in pixels.
    boxes: Vec<(usize, f64, f64)>,
    /// The reader and the read node of each arrow, as positions in the plan.
    arrows: Vec<(usize, usize)>,
    width: f64,
    height: f64,
    /// How many nodes are not drawn because there are too many.
    pub(super) hidden: usize,
}

impl Drawing {
    pub(super) fn of(plan: &Plan<'_, '_>, shows_local: bool) -> Drawing {
        let is_shown = |position: usize| shows_local || !plan.nodes[position].is_local();
        let shown: Vec<usize> = (0..plan.nodes.len()).filter(|node| is_shown(*node)).collect();
        let hidden = shown.len().saturating_sub(MAX_NODES);
        let drawn = &shown[..shown.len() - hidden];
        let Some(last) = drawn.last() else { return Drawing::empty() };
        let (mut edges, mut shared) = (Vec::new(), Vec::new());
        let mut has_reader = vec![false; plan.nodes.len()];
        for reader in drawn {
            for child in &plan.nodes[*reader].children {
                let mut child = *child;
                while !is_shown(child) {
                    child = plan.nodes[child].children[0];
                }
                if child > *last {
                    continue;
                }
                let is_first = !std::mem::replace(&mut has_reader[child], true);
                let list = if is_first { &mut edges } else { &mut shared };
                list.push((*reader, child));
            }
        }
        shared.truncate(MAX_SHARED_EDGES);
        edges.append(&mut shared);
        Drawing::with_layout(drawn, edges, hidden)
    }

    fn empty() -> Drawing {
        Drawing { boxes: Vec::new(), arrows: Vec::new(), width: 0.0, height: 0.0, hidden: 0 }
    }

    fn with_layout(drawn: &[usize], arrows: Vec<(usize, usize)>, hidden: usize) -> Drawing {
        // The library numbers what it gets from 0 on.
        let numbers: HashMap<usize, u32> = drawn.iter().copied().zip(0..).collect();
        let vertices: Vec<(u32, (f64, f64))> =
            (0..).map(|number| (number, NODE)).take(drawn.len()).collect();
        let number =
            |(reader, child): &(usize, usize)| Some((*numbers.get(reader)?, *numbers.get(child)?));
        let edges: Vec<(u32, u32)> = arrows.iter().filter_map(number).collect();
        let config = Config { vertex_spacing: SPACE, transpose: false, ..Config::default() };
        let mut drawing = Drawing { arrows, hidden, ..Drawing::empty() };
        // Parts of a plan that nothing connects are side by side.
        for (part, _, _) in from_vertices_and_edges(&vertices, &edges, &config) {
            let least = |axis: fn(&(f64, f64)) -> f64| {
                part.iter().map(|(_, at)| axis(at)).fold(f64::INFINITY, f64::min)
            };
            let (left, top) = (least(|at| at.0), least(|at| at.1));
            let start = drawing.width + SPACE;
            for (number, (x, y)) in part {
                let Some(node) = drawn.get(number).copied() else { continue };
                let x = x - left + start + NODE.0 / 2.0;
                let y = y - top + SPACE / 2.0 + NODE.1 / 2.0;
                drawing.width = drawing.width.max(x + NODE.0 / 2.0);
                drawing.height = drawing.height.max(y + NODE.1 / 2.0);
                drawing.boxes.push((node, x, y));
            }
        }
        drawing.width += SPACE;
        drawing.height += SPACE / 2.0;
        // In the order of the plan, so that the tabulator key goes from the top down.
        drawing.boxes.sort_by_key(|(node, ..)| *node);
        drawing
    }

    pub(super) fn svg(
        &self,
        plan: &Plan<'_, '_>,
        findings: &NodeFindings<'_>,
        view: &PlanView,
        path: &str,
    ) -> Markup {
        let (class, width) = match view.zoom {
            Zoom::Fit if self.width <= MAX_FITTED => ("fit", self.width),
            Zoom::Fit | Zoom::Half => ("", self.width / 2.0),
            Zoom::Full => ("", self.width),
        };
        let height = self.height * width / self.width.max(1.0);
        let busy = |node: &Node<'_, '_>| {
            node.time_ns.unwrap_or(0).saturating_add(node.wait_ns.unwrap_or(0))
        };
        let critical: HashSet<usize> = plan.critical_path.iter().copied().collect();
        let longest_ns = plan.nodes.iter().map(busy).max().unwrap_or(0).max(1) as f64;
        let usual = view.usual_of(plan);
        html! {
            svg class=(class) viewBox={ "0 0 " (pixels(self.width)) " " (pixels(self.height)) }
                width=(pixels(width)) height=(pixels(height)) role="group" aria-label="Plan" {
                defs {
                    pattern #waiting width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                        rect.hatch width="2" height="5" {}
                    }
                    marker #arrow viewBox="0 0 6 6" refX="5" refY="3" markerWidth="9" markerHeight="9"
                        markerUnits="userSpaceOnUse" orient="auto" { path.head d="M0 0L6 3L0 6z" {} }
                }
                (self.arrows(plan, &critical))
                @for (position, x, y) in &self.boxes {
                    @if let Some(node) = plan.nodes.get(*position) {
                        @let is_critical = critical.contains(position);
                        @let usual = usual.get(*position).copied().flatten();
                        @let marks = Marks { is_critical, usual, findings: findings.of_node(&node.id).len() };
                        (node_box(node, (*x, *y), marks, longest_ns, view, path))
                    }
                }
            }
        }
    }

    fn arrows(&self, plan: &Plan<'_, '_>, critical: &HashSet<usize>) -> Markup {
        let places: HashMap<usize, (f64, f64)> =
            self.boxes.iter().map(|(node, x, y)| (*node, (*x, *y))).collect();
        let rows = |child: usize| plan.nodes.get(child).and_then(|node| node.rows);
        let most = self.arrows.iter().filter_map(|(_, child)| rows(*child)).max().unwrap_or(0);
        html! {
            @for (reader, child) in &self.arrows {
                @if let (Some(to), Some(from)) = (places.get(reader), places.get(child)) {
                    @let (to, from) = ((to.0, to.1 + NODE.1 / 2.0), (from.0, from.1 - NODE.1 / 2.0));
                    @let middle = (to.1 + from.1) / 2.0;
                    @let critical = critical.contains(reader) && critical.contains(child);
                    path.flow.critical[critical] stroke-width=(pixels(arrow_width(rows(*child), most))) marker-end="url(#arrow)"
                        d={ "M" (pixels(from.0)) " " (pixels(from.1)) "C" (pixels(from.0)) " " (pixels(middle)) " "
                            (pixels(to.0)) " " (pixels(middle)) " " (pixels(to.0)) " " (pixels(to.1)) } {}
                    @if let Some(rows) = rows(*child) {
                        text.rows x=(pixels((from.0 + to.0) / 2.0 + 5.0)) y=(pixels(middle + 4.0)) { (format::number(Some(rows))) }
                    }
                }
            }
        }
    }
}

/// Returns the width of an arrow that carries rows, of which the widest carries `most`.
fn arrow_width(rows: Option<u64>, most: u64) -> f64 {
    let part =
        ((rows.unwrap_or(0) as f64).ln_1p() / (most as f64).ln_1p().max(1.0)).clamp(0.0, 1.0);
    ARROW.1 + (ARROW.0 - ARROW.1) * part
}

/// Returns a length as text, in tenths of a pixel.
fn pixels(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").map(str::to_string).unwrap_or(text)
}

/// Returns the class that colours a node by its share.
fn heat(share: f64) -> &'static str {
    match share {
        _ if share >= 0.35 => "heat4",
        _ if share >= 0.15 => "heat3",
        _ if share >= 0.05 => "heat2",
        _ if share >= 0.01 => "heat1",
        _ => "heat0",
    }
}

/// What marks a node.
struct Marks<'u> {
    is_critical: bool,
    /// What is usual for the node; none if too few other runs had the plan.
    usual: Option<&'u UsualNode>,
    /// The number of findings that point to the node.
    findings: usize,
}

fn node_box(
    node: &Node<'_, '_>,
    (x, y): (f64, f64),
    marks: Marks<'_>,
    longest_ns: f64,
    view: &PlanView,
    path: &str,
) -> Markup {
    let (left, top) = (x - NODE.0 / 2.0, y - NODE.1 / 2.0);
    let is_chosen = view.node.as_ref() == Some(&node.id);
    let length = |ns: Option<u64>| ns.unwrap_or(0) as f64 / longest_ns * (NODE.0 - 2.0);
    let (worked, waited) = (length(node.time_ns), length(node.wait_ns));
    let time = format!("{}  {}", format::nanoseconds(node.time_ns), format::percent(node.share));
    let subject = node.table.as_deref().or(node.join.as_deref()).unwrap_or_default();
    let rows = node.rows.map_or(String::new(), |rows| format!(", {rows} rows"));
    let found = match marks.findings {
        0 => String::new(),
        count => format!(", {}", format::counted(count, "finding", "findings")),
    };
    let unusual = marks.usual.filter(|usual| usual.is_exceeded_by(node.time_ns));
    let unusual = unusual.and_then(|usual| usual.times(node.time_ns)).map(times);
    let times_usual =
        unusual.as_ref().map(|times| format!(", {times} times its usual time")).unwrap_or_default();
    let label = format!("{}: {time}{rows}{times_usual}{found}", title(node));
    html! {
        a href=(view.with_node(node).address(path)) aria-label=(label) aria-current=[is_chosen.then_some("true")] {
            g.node.critical[marks.is_critical] transform={ "translate(" (pixels(left)) " " (pixels(top)) ")" } {
                rect class={ "box " (heat(node.share)) } width=(NODE.0) height=(NODE.1) rx="5" {}
                text.name x="8" y="17" { (format::excerpt(&node.name, 24)) }
                text.id x=(NODE.0 - 8.0) y="17" { (format::excerpt(planner_id(node), 8)) }
                text.time x="8" y="35" { (time) }
                @if let Some(times) = unusual {
                    text.unusual x=(NODE.0 - 8.0) y="35" { "×" (times) }
                }
                text.subject x="8" y="51" { (format::excerpt(subject, 30)) }
                @if marks.findings > 0 { path.mark transform="translate(-6 -7)" d=(MARK) {} }
                rect.worked x="1" y=(NODE.1 - 6.0) width=(pixels(worked)) height="5" {}
                rect x=(pixels(1.0 + worked)) y=(NODE.1 - 6.0) width=(pixels(waited)) height="5" fill="url(#waiting)" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::profile::{Section, operators};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Each node has a place of its own, whatever reads from what.
        #[test]
        fn nodes_do_not_cover_each_other(edges in proptest::collection::vec((0..40_usize, 0..40_usize), 0..80)) {
            let mut text = String::from("Fragment 0:\n");
            for (reader, child) in edges {
                text += &format!("  Pipeline {reader}:\n    B_SINK_OPERATOR (id={reader}):\n    A_OPERATOR (id={child}):\n");
            }
            let section = Section::parse(&text);
            let operators = operators(&section);
            let drawing = Drawing::of(&Plan::of(&section, &operators), true);
            for (index, (_, x, y)) in drawing.boxes.iter().enumerate() {
                prop_assert!(*x >= NODE.0 / 2.0 && *y >= NODE.1 / 2.0);
                prop_assert!(x + NODE.0 / 2.0 <= drawing.width && y + NODE.1 / 2.0 <= drawing.height);
                for (_, other_x, other_y) in &drawing.boxes[..index] {
                    let apart = (x - other_x).abs() >= NODE.0 || (y - other_y).abs() >= NODE.1;
                    prop_assert!(apart, "{text}");
                }
            }
        }
    }
}
