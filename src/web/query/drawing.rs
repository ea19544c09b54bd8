//! The picture of a plan: a graph, drawn on the server.

use std::collections::HashMap;

use maud::{Markup, html};
use rust_sugiyama::configure::Config;
use rust_sugiyama::from_vertices_and_edges;

use super::boxes::{NODE, Scene, pixels};
use super::folding::{Folding, Unit};
use super::view::Zoom;
use crate::web::format;

/// A picture has at most this many nodes, the topmost of the plan. Drawing them takes some ten milliseconds.
pub(super) const MAX_NODES: usize = 400;
/// A node that several others read from is below all of them for at most this many of such edges: each makes the layout
/// longer by the rows that it crosses.
const MAX_SHARED_EDGES: usize = 50;
/// A picture wider than this in pixels has nodes that nobody can read once it fits a page.
const WIDEST_FIT: f64 = 2000.0;
/// A picture not wider than this can be read once it fits a phone.
const NARROW: f64 = 600.0;
/// The space around nodes in pixels.
const SPACE: f64 = 32.0;
/// The widest arrow in pixels, and the narrowest.
const ARROW: (f64, f64) = (9.0, 1.2);

/// Where the nodes of a plan are drawn.
#[derive(Default)]
pub(super) struct Drawing {
    /// What is drawn, and the middle of its box in pixels.
    boxes: Vec<(Unit, f64, f64)>,
    /// The reader and the read unit of each arrow, as positions in the plan.
    arrows: Vec<(usize, usize)>,
    width: f64,
    height: f64,
    /// How many nodes are not drawn because there are too many.
    pub(super) hidden: usize,
}

impl Drawing {
    pub(super) fn of(mut folding: Folding) -> Drawing {
        let rest = folding.units.split_off(folding.units.len().min(MAX_NODES));
        let folded = |unit: &Unit| unit.below.map_or(0, |fold| fold.nodes);
        let nodes = |unit: &Unit| unit.fold.map_or(1, |fold| fold.nodes) + folded(unit);
        let hidden = rest.iter().map(nodes).sum();
        let Some(last) = folding.units.last().map(|unit| unit.first) else {
            return Drawing::default();
        };
        let (mut edges, mut shared) = (Vec::new(), Vec::new());
        let mut has_reader = vec![false; last + 1];
        for (reader, child) in folding.arrows {
            let Some(has_reader) = has_reader.get_mut(child) else { continue };
            let is_first = !std::mem::replace(has_reader, true);
            let list = if is_first { &mut edges } else { &mut shared };
            list.push((reader, child));
        }
        shared.truncate(MAX_SHARED_EDGES);
        edges.append(&mut shared);
        Drawing::with_layout(&folding.units, edges, hidden)
    }

    fn with_layout(drawn: &[Unit], arrows: Vec<(usize, usize)>, hidden: usize) -> Drawing {
        // The library numbers what it gets from 0 on.
        let numbers: HashMap<usize, u32> = drawn.iter().map(|unit| unit.first).zip(0..).collect();
        let vertices: Vec<(u32, (f64, f64))> =
            (0..).map(|number| (number, NODE)).take(drawn.len()).collect();
        let number =
            |(reader, child): &(usize, usize)| Some((*numbers.get(reader)?, *numbers.get(child)?));
        let edges: Vec<(u32, u32)> = arrows.iter().filter_map(number).collect();
        let config = Config { vertex_spacing: SPACE, transpose: false, ..Config::default() };
        let mut drawing = Drawing { arrows, hidden, ..Drawing::default() };
        // Parts of a plan that nothing connects are side by side.
        for (mut part, _, _) in from_vertices_and_edges(&vertices, &edges, &config) {
            if is_mirrored(&part, &edges) {
                part.iter_mut().for_each(|(_, at)| at.0 = -at.0);
            }
            let least = |axis: fn(&(f64, f64)) -> f64| {
                part.iter().map(|(_, at)| axis(at)).fold(f64::INFINITY, f64::min)
            };
            let (left, top) = (least(|at| at.0), least(|at| at.1));
            let start = drawing.width + SPACE;
            for (number, (x, y)) in part {
                let Some(unit) = drawn.get(number).copied() else { continue };
                let x = x - left + start + NODE.0 / 2.0;
                let y = y - top + SPACE / 2.0 + NODE.1 / 2.0;
                drawing.width = drawing.width.max(x + NODE.0 / 2.0);
                drawing.height = drawing.height.max(y + NODE.1 / 2.0);
                drawing.boxes.push((unit, x, y));
            }
        }
        drawing.width += SPACE;
        drawing.height += SPACE / 2.0 + 2.0;
        // In the order of the plan, so that the tabulator key goes from the top down.
        drawing.boxes.sort_by_key(|(unit, ..)| unit.first);
        drawing
    }

    /// Returns how large the picture is drawn.
    pub(super) fn zoom(&self, zoom: Zoom) -> Zoom {
        match zoom {
            Zoom::Readable if self.width > WIDEST_FIT => Zoom::Half,
            Zoom::Readable if self.width <= NARROW => Zoom::Fit,
            zoom => zoom,
        }
    }

    pub(super) fn svg(&self, scene: &Scene<'_>) -> Markup {
        let (class, scale) = match self.zoom(scene.view.zoom) {
            Zoom::Readable => ("readable", 1.0),
            Zoom::Fit => ("fit", 1.0),
            Zoom::Half => ("", 0.5),
            Zoom::Full => ("", 1.0),
        };
        html! {
            svg class=(class) viewBox={ "0 0 " (pixels(self.width)) " " (pixels(self.height)) }
                width=(pixels(self.width * scale)) height=(pixels(self.height * scale)) role="group" aria-label="Plan" {
                defs {
                    pattern #waiting width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                        rect.hatch width="2" height="5" {}
                    }
                    marker #arrow viewBox="0 0 6 6" refX="5" refY="3" markerWidth="9" markerHeight="9"
                        markerUnits="userSpaceOnUse" orient="auto" { path.head d="M0 0L6 3L0 6z" {} }
                }
                (self.arrows(scene))
                @for (unit, x, y) in &self.boxes { (scene.unit(unit, (*x, *y))) }
            }
        }
    }

    fn arrows(&self, scene: &Scene<'_>) -> Markup {
        let places: HashMap<usize, (f64, f64)> =
            self.boxes.iter().map(|(unit, x, y)| (unit.first, (*x, *y))).collect();
        let rows = |child: usize| scene.plan.nodes.get(child).and_then(|node| node.rows);
        let most = self.arrows.iter().filter_map(|(_, child)| rows(*child)).max().unwrap_or(0);
        html! {
            @for (reader, child) in &self.arrows {
                @if let (Some(to), Some(from)) = (places.get(reader), places.get(child)) {
                    @let (to, from) = ((to.0, to.1 + NODE.1 / 2.0), (from.0, from.1 - NODE.1 / 2.0));
                    @let middle = (to.1 + from.1) / 2.0;
                    @let critical = scene.critical.contains(reader) && scene.critical.contains(child);
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

/// Returns whether more nodes read from left what they read from last than from right. `edges` has what a node reads from in
/// the order of the plan, in which the probe side of a join is first.
fn is_mirrored(part: &[(usize, (f64, f64))], edges: &[(u32, u32)]) -> bool {
    let places: HashMap<usize, f64> = part.iter().map(|(number, at)| (*number, at.0)).collect();
    let x = |number: u32| places.get(&usize::try_from(number).ok()?).copied();
    let order = edges.windows(2).filter_map(|pair| {
        let [(reader, first), (same, second)] = pair else { return None };
        let (first, second) = (x(*first)?, x(*second)?);
        (reader == same).then_some(if first < second { 1 } else { -1 })
    });
    order.sum::<i64>() < 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::findings::NodeFindings;
    use super::super::view::PlanView;
    use super::*;
    use crate::domain::profile::{Plan, Section, operators};

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
            let (plan, found) = (Plan::of(&section, &operators), NodeFindings::of(&[]));
            let drawing = Drawing::of(Folding::of(&plan, &found, &[], &PlanView::default()));
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
