//! What a picture of a plan has in one place: a node, or a fold of nodes.

use std::collections::HashSet;

use maud::{Markup, html};

use super::findings::NodeFindings;
use super::folding::{Fold, Unit};
use super::plan::{planner_id, times, title};
use super::view::PlanView;
use crate::domain::profile::{Node, Phases, Plan, UsualNode};
use crate::web::format;

/// The size of a node in pixels.
pub(super) const NODE: (f64, f64) = (200.0, 64.0);
/// The height of the fold below a node in pixels.
const TAB: f64 = 16.0;
/// Where all nodes together took a smaller part of the query's duration, no node is what made the query long.
const MIN_WORK_SHARE: f64 = 0.05;

/// A triangle with an exclamation mark in it, 16 pixels wide.
const MARK: &str = "M8 0L16 14L0 14zM7.2 5L8.8 5L8.4 9.5L7.6 9.5zM7.2 10.5L8.8 10.5L8.8 12L7.2 12z";

/// The work of all nodes beside the duration of their query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub ns: u64,
    pub duration_ms: i64,
}

impl Work {
    /// Returns the work if it is small beside the duration; none if it is not, or the duration is unknown.
    pub(super) fn if_small(plan: &Plan<'_, '_>, phases: &Phases) -> Option<Work> {
        let ns = plan.nodes.iter().filter_map(|node| node.time_ns).fold(0, u64::saturating_add);
        let duration_ms = phases.total_ms.filter(|ms| *ms > 0)?;
        let work = Work { ns, duration_ms };
        (work.share() < MIN_WORK_SHARE).then_some(work)
    }

    /// Returns the work as a part of the duration.
    pub(super) fn share(self) -> f64 {
        self.ns as f64 / (self.duration_ms as f64 * 1e6)
    }
}

/// What the boxes of a picture have in common.
pub(super) struct Scene<'p> {
    pub plan: &'p Plan<'p, 'p>,
    pub findings: &'p NodeFindings<'p>,
    pub view: &'p PlanView,
    /// The path of the query's page.
    pub path: &'p str,
    pub usual: Vec<Option<&'p UsualNode>>,
    pub critical: HashSet<usize>,
    /// The longest time of a node with its waiting.
    longest_ns: f64,
    /// The node with the longest own time.
    heaviest: Option<usize>,
}

impl<'p> Scene<'p> {
    pub(super) fn of(
        plan: &'p Plan<'p, 'p>,
        findings: &'p NodeFindings<'p>,
        view: &'p PlanView,
        path: &'p str,
    ) -> Scene<'p> {
        let busy = |node: &Node<'_, '_>| {
            node.time_ns.unwrap_or(0).saturating_add(node.wait_ns.unwrap_or(0))
        };
        let times = plan.nodes.iter().map(|node| node.time_ns).enumerate().rev();
        Scene {
            plan,
            findings,
            view,
            path,
            usual: view.usual_of(plan),
            critical: plan.critical_path.iter().copied().collect(),
            longest_ns: plan.nodes.iter().map(busy).max().unwrap_or(0).max(1) as f64,
            heaviest: times.max_by_key(|(_, ns)| *ns).map(|(position, _)| position),
        }
    }

    /// Returns what is drawn in a place.
    pub(super) fn unit(&self, unit: &Unit, (x, y): (f64, f64)) -> Markup {
        let Some(node) = self.plan.nodes.get(unit.first) else { return html! {} };
        let (left, top) = (x - NODE.0 / 2.0, y - NODE.1 / 2.0);
        html! {
            @if let Some(fold) = &unit.fold {
                (self.fold(fold, node, (left, top), NODE))
            } @else {
                (self.node(unit.first, node, (left, top)))
            }
            @if let Some(fold) = &unit.below {
                @if let Some(first) = self.plan.nodes.get(fold.first) {
                    @let width = 6.0 * fold_text(fold).chars().count() as f64 + 6.0;
                    (self.fold(fold, first, (left + 3.0, top + NODE.1), (width, TAB)))
                }
            }
        }
    }

    fn fold(
        &self,
        fold: &Fold,
        first: &Node<'_, '_>,
        (left, top): (f64, f64),
        (width, height): (f64, f64),
    ) -> Markup {
        let text = fold_text(fold);
        let label = format!("{text}, folded: show {} and what is below", title(first));
        html! {
            a href=(self.view.address_of_fold(first, self.path)) aria-label=(label) {
                g.fold.below[height < NODE.1] transform={ "translate(" (pixels(left)) " " (pixels(top)) ")" } {
                    rect.box width=(pixels(width)) height=(pixels(height)) rx="5" {}
                    text x=(pixels(width / 2.0)) y=(pixels(height / 2.0 + 4.0)) { (text) }
                }
            }
        }
    }

    fn node(&self, position: usize, node: &Node<'_, '_>, (left, top): (f64, f64)) -> Markup {
        let view = self.view;
        let is_chosen = view.node.as_ref() == Some(&node.id);
        let length = |ns: Option<u64>| ns.unwrap_or(0) as f64 / self.longest_ns * (NODE.0 - 2.0);
        let (worked, waited) = (length(node.time_ns), length(node.wait_ns));
        let part = node.time_ns.map(|_| format::percent(node.weight)).unwrap_or_default();
        let time = format!("{}  {part}", format::nanoseconds(node.time_ns));
        let subject = node.table.as_deref().or(node.join.as_deref()).unwrap_or_default();
        let usual = self.usual.get(position).copied().flatten();
        let unusual = usual.filter(|usual| usual.is_exceeded_by(node.time_ns));
        let unusual = unusual.and_then(|usual| usual.times(node.time_ns)).map(times);
        let difference = view.difference(node);
        let has_findings = !self.findings.of_node(&node.id).is_empty();
        let place = view.differing.is_none().then(|| PlanView::place(&node.id));
        let is_critical = self.critical.contains(&position);
        let (name, id) = (format::excerpt(&node.name, 24), format::excerpt(planner_id(node), 8));
        let (subject, unusual) =
            (format::excerpt(subject, 30), unusual.map(|times| format!("×{times}")));
        let heading = format!("{name} {id}");
        let shown: [&str; 4] =
            [heading.trim_end(), &time, unusual.as_deref().unwrap_or_default(), &subject];
        html! {
            a id=[place] href=(view.address_of_node(node, self.path)) aria-label=(self.label(node, &shown))
                aria-current=[is_chosen.then_some("true")]
                data-heaviest=[(self.heaviest == Some(position)).then_some("")] {
                g.node.critical[is_critical].differs[difference.is_some()]
                    transform={ "translate(" (pixels(left)) " " (pixels(top)) ")" } {
                    rect class={ "box " (heat(node.weight)) } width=(NODE.0) height=(NODE.1) rx="5" {}
                    // The spaces keep the words of two texts apart.
                    text.name x="8" y="17" { (name) } " "
                    text.id x=(NODE.0 - 8.0) y="17" { (id) } " "
                    text.time x="8" y="35" { (time) } " "
                    @if let Some(times) = &unusual { text.unusual x=(NODE.0 - 8.0) y="35" { (times) } " " }
                    text.subject x="8" y="51" { (subject) }
                    @if has_findings { path.mark transform="translate(-6 -7)" d=(MARK) {} }
                    rect.worked x="1" y=(NODE.1 - 6.0) width=(pixels(worked)) height="5" {}
                    rect x=(pixels(1.0 + worked)) y=(NODE.1 - 6.0) width=(pixels(waited)) height="5" fill="url(#waiting)" {}
                }
            }
        }
    }

    /// Returns what a screen reader says of a node: the texts that its box shows in their order, so that a voice command finds
    /// it, and what else the box shows.
    fn label(&self, node: &Node<'_, '_>, shown: &[&str]) -> String {
        let shown = shown.iter().filter(|text| !text.is_empty());
        let mut label = shown.copied().collect::<Vec<_>>().join(", ");
        if let Some(ns) = node.wait_ns.filter(|ns| *ns > 0) {
            label += &format!(", waited {}", format::nanoseconds(Some(ns)));
        }
        if let Some(rows) = node.rows {
            label += &format!(", {}", format::counted(rows, "row", "rows"));
        }
        if let Some(difference) = self.view.difference(node) {
            label += &format!(", {difference}");
        }
        let found = self.findings.of_node(&node.id).len();
        if found > 0 {
            label += &format!(", {}", format::counted(found, "finding", "findings"));
        }
        label
    }
}

fn fold_text(fold: &Fold) -> String {
    let nodes = format::counted(fold.nodes, "node", "nodes");
    format!("{nodes}, {}", format::percent(fold.share))
}

/// Returns a length as text, in tenths of a pixel.
pub(super) fn pixels(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").map(str::to_string).unwrap_or(text)
}

/// Returns the class that colours a node by its part of the query's duration.
fn heat(share: f64) -> &'static str {
    match share {
        _ if share >= 0.35 => "heat4",
        _ if share >= 0.15 => "heat3",
        _ if share >= 0.05 => "heat2",
        _ if share >= 0.01 => "heat1",
        _ => "heat0",
    }
}
