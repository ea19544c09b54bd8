//! The plan of a query as a graph, drawn on the server.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rust_sugiyama::configure::Config;
use rust_sugiyama::from_vertices_and_edges;

use super::operators::counter_list;
use crate::domain::profile::{Node, Plan, Section, Usual, UsualNode, lossy, operators};
use crate::http::Parameters;
use crate::http::error::ApiError;
use crate::web::format;

/// A picture has at most this many nodes, the topmost of the plan. Drawing them takes some ten milliseconds.
const MAX_NODES: usize = 400;
/// A node that several others read from is below all of them for at most this many of such edges: each makes the layout
/// longer by the rows that it crosses.
const MAX_SHARED_EDGES: usize = 50;
/// A larger plan is drawn without what backends add to run it in parallel.
const MAX_WITH_LOCAL: usize = 40;
/// The size of a node in pixels.
const NODE: (f64, f64) = (200.0, 64.0);
/// The space around nodes in pixels.
const SPACE: f64 = 32.0;
/// A picture that is wider is not shrunk to the width of the page, which would make it unreadable.
const MAX_FITTED: f64 = 1400.0;
/// The widest arrow in pixels, and the narrowest.
const ARROW: (f64, f64) = (9.0, 1.2);

/// What a page shows of a plan.
#[derive(Debug, Default, Clone)]
pub(in crate::web) struct PlanView {
    /// The id of the node whose counters are shown.
    node: Option<String>,
    zoom: Zoom,
    /// Whether local exchanges are drawn; none for what suits the size of the plan.
    local: Option<bool>,
    /// What is usual for the plan; none if too few other runs had it.
    usual: Option<Arc<Usual>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Zoom {
    /// As wide as the page, if that is readable.
    #[default]
    Fit,
    Half,
    Full,
}

impl Zoom {
    /// The values of the parameter `zoom`, with the labels of the links.
    const ALL: [(&'static str, &'static str, Zoom); 3] =
        [("fit", "Fit", Zoom::Fit), ("half", "50 %", Zoom::Half), ("full", "100 %", Zoom::Full)];
}

impl PlanView {
    /// Reads the parameters `node`, `zoom` and `local`.
    pub(super) fn of(parameters: &Parameters) -> Result<PlanView, ApiError> {
        let invalid = |text: &str| ApiError::BadRequest(text.to_string());
        let zoom = parameters.get("zoom").map(|zoom| {
            let known = Zoom::ALL.into_iter().find(|(name, ..)| name == zoom);
            known.map(|(.., zoom)| zoom).ok_or_else(|| invalid("zoom must be fit, half or full"))
        });
        let local = parameters.get("local").map(|local| match local.as_str() {
            "show" => Ok(true),
            "hide" => Ok(false),
            _ => Err(invalid("local must be show or hide")),
        });
        Ok(PlanView {
            node: parameters.get("node").cloned(),
            zoom: zoom.transpose()?.unwrap_or_default(),
            local: local.transpose()?,
            usual: None,
        })
    }

    /// Returns the view with what is usual for the plan.
    pub(super) fn with_usual(self, usual: Option<Usual>) -> PlanView {
        PlanView { usual: usual.map(Arc::new), ..self }
    }

    /// Returns what is usual for each node of a plan.
    fn usual_of(&self, plan: &Plan<'_, '_>) -> Vec<Option<&UsualNode>> {
        let nodes = plan.nodes.iter().map(|node| (&*node.name, node.is_local()));
        self.usual.as_ref().map(|usual| usual.of_nodes(nodes)).unwrap_or_default()
    }

    /// Returns the address of the page with these parameters. `path` is the path of the query's page.
    fn address(&self, path: &str) -> String {
        let mut address = format!("{path}?show=plan");
        if let Some(node) = &self.node {
            address += &format!("&node={}", utf8_percent_encode(node, NON_ALPHANUMERIC));
        }
        let zoom = Zoom::ALL.into_iter().find(|(.., zoom)| *zoom == self.zoom);
        if let Some((name, ..)) = zoom.filter(|(.., zoom)| *zoom != Zoom::Fit) {
            address += &format!("&zoom={name}");
        }
        if let Some(local) = self.local {
            address += if local { "&local=show" } else { "&local=hide" };
        }
        address + "#profile-heading"
    }
}

/// Returns the plan of a profile as a graph, with the counters of one node beside it. `path` is the path of the query's
/// page.
pub(in crate::web) fn picture(profile: &[u8], view: &PlanView, path: &str) -> Markup {
    let text = lossy(profile);
    let section = Section::parse(&text);
    let operators = operators(&section);
    let plan = Plan::of(&section, &operators);
    if plan.nodes.is_empty() {
        return html! { p.empty { "No operators found in this profile. The Text tab shows all of it." } };
    }
    let has_local = plan.nodes.iter().any(Node::is_local);
    let shows_local = view.local.unwrap_or(plan.nodes.len() <= MAX_WITH_LOCAL);
    let drawing = Drawing::of(&plan, shows_local);
    let usual = view.usual_of(&plan);
    let chosen =
        view.node.as_ref().and_then(|id| plan.nodes.iter().position(|node| node.id == *id));
    let chosen =
        chosen.and_then(|at| Some((plan.nodes.get(at)?, usual.get(at).copied().flatten())));
    html! {
        @if section.is_cut {
            p.note { "The profile is too long to be read to its end. The plan below is of its first part." }
        }
        (costliest(&plan, view, path))
        nav.plan-tools aria-label="Picture" {
            @for (_, label, zoom) in Zoom::ALL {
                a href=(PlanView { zoom, ..view.clone() }.address(path)) aria-current=[(zoom == view.zoom).then_some("true")] { (label) }
            }
            @if has_local {
                @let local = Some(!shows_local);
                a href=(PlanView { local, ..view.clone() }.address(path)) {
                    (if shows_local { "Hide local exchanges" } else { "Show local exchanges" })
                }
            }
        }
        div.plan-page {
            div.plan-picture tabindex="0" { (drawing.svg(&plan, view, path)) }
            @if let Some((node, usual)) = chosen { (details(node, usual, &plan, view, path)) }
        }
        @if drawing.hidden > 0 {
            p.note { "The " (MAX_NODES) " topmost nodes of the plan; " (format::integer(drawing.hidden)) " more are below them." }
        }
        p.note {
            "A node has its own time, without waiting, as a part of all nodes' times; the hatched part of its bar is waiting. "
            "Arrows are as wide as the rows that they carry. Thick frames are the path that took the longest."
            @if let Some(usual) = &view.usual {
                " × is before how many times its usual time a node took, if that is far more than in " (usual.runs)
                " other runs with this plan."
            }
            @if let Some(fingerprint) = plan.fingerprint { " Plan " code { (fingerprint) } "." }
        }
    }
}

/// Returns a sentence that names the nodes that took the most time.
fn costliest(plan: &Plan<'_, '_>, view: &PlanView, path: &str) -> Markup {
    let mut nodes: Vec<&Node<'_, '_>> =
        plan.nodes.iter().filter(|node| node.share >= 0.05).collect();
    nodes.sort_by(|a, b| b.share.total_cmp(&a.share));
    html! {
        @if !nodes.is_empty() {
            p.note {
                "Costliest: "
                @for (index, node) in nodes.iter().take(5).enumerate() {
                    @if index > 0 { ", " }
                    a href=(with_node(view, node).address(path)) { bdi { (title(node)) } }
                    " (" (format::nanoseconds(node.time_ns)) ", " (format::percent(node.share)) ")"
                }
            }
        }
    }
}

fn with_node(view: &PlanView, node: &Node<'_, '_>) -> PlanView {
    PlanView { node: Some(node.id.clone()), ..view.clone() }
}

/// Returns the name of a node with its id and its table.
fn title(node: &Node<'_, '_>) -> String {
    let title = format!("{} {}", node.name, planner_id(node));
    let title = title.trim_end();
    match &node.table {
        Some(table) => format::excerpt(&format!("{title} {table}"), 60),
        None => format::excerpt(title, 60),
    }
}

/// Returns the id that the planner or a backend gave a node; nothing if the id is the node's name.
fn planner_id<'n>(node: &'n Node<'_, '_>) -> &'n str {
    let is_number = node.id.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if is_number { &node.id } else { "" }
}

/// Where the nodes of a plan are drawn.
struct Drawing {
    /// For each drawn node its position in the plan and the middle of its box, in pixels.
    boxes: Vec<(usize, f64, f64)>,
    /// The reader and the read node of each arrow, as positions in the plan.
    arrows: Vec<(usize, usize)>,
    width: f64,
    height: f64,
    /// How many nodes are not drawn because there are too many.
    hidden: usize,
}

impl Drawing {
    fn of(plan: &Plan<'_, '_>, shows_local: bool) -> Drawing {
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

    fn svg(&self, plan: &Plan<'_, '_>, view: &PlanView, path: &str) -> Markup {
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
                        (node_box(node, usual, (*x, *y), is_critical, longest_ns, view, path))
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

fn node_box(
    node: &Node<'_, '_>,
    usual: Option<&UsualNode>,
    (x, y): (f64, f64),
    is_critical: bool,
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
    let unusual = usual.filter(|usual| usual.is_exceeded_by(node.time_ns));
    let unusual = unusual.and_then(|usual| usual.times(node.time_ns)).map(times);
    let times_usual =
        unusual.as_ref().map(|times| format!(", {times} times its usual time")).unwrap_or_default();
    let label = format!("{}: {time}{rows}{times_usual}", title(node));
    html! {
        a href=(with_node(view, node).address(path)) aria-label=(label) aria-current=[is_chosen.then_some("true")] {
            g.node.critical[is_critical] transform={ "translate(" (pixels(left)) " " (pixels(top)) ")" } {
                rect class={ "box " (heat(node.share)) } width=(NODE.0) height=(NODE.1) rx="5" {}
                text.name x="8" y="17" { (format::excerpt(&node.name, 24)) }
                text.id x=(NODE.0 - 8.0) y="17" { (format::excerpt(planner_id(node), 8)) }
                text.time x="8" y="35" { (time) }
                @if let Some(times) = unusual {
                    text.unusual x=(NODE.0 - 8.0) y="35" { "×" (times) }
                }
                text.subject x="8" y="51" { (format::excerpt(subject, 30)) }
                rect.worked x="1" y=(NODE.1 - 6.0) width=(pixels(worked)) height="5" {}
                rect x=(pixels(1.0 + worked)) y=(NODE.1 - 6.0) width=(pixels(waited)) height="5" fill="url(#waiting)" {}
            }
        }
    }
}

/// Returns how often a number is in another as a text: with one digit behind the point below ten.
fn times(times: f64) -> String {
    if times < 9.95 { format!("{times:.1}") } else { format!("{times:.0}") }
}

/// Returns how the time and the rows of a node compare with the usual ones, as a sentence.
fn compared(node: &Node<'_, '_>, usual: &UsualNode, runs: usize) -> Option<String> {
    let time = times(usual.times(node.time_ns)?);
    let rows = usual.row_times(node.rows).map(times);
    let rows = rows.map(|rows| format!(", with {rows} times its usual rows")).unwrap_or_default();
    Some(format!("{time} times its usual time{rows} ({runs} runs)"))
}

/// Returns what is known of a node, with the counters of its operators.
fn details(
    node: &Node<'_, '_>,
    usual: Option<&UsualNode>,
    plan: &Plan<'_, '_>,
    view: &PlanView,
    path: &str,
) -> Markup {
    let runs = view.usual.as_ref().map_or(0, |usual| usual.runs);
    let compared = usual.and_then(|usual| compared(node, usual, runs));
    let text = |value: &Option<std::borrow::Cow<'_, str>>| {
        value.as_deref().map(|text| format::excerpt(text, 200))
    };
    let number = |value: Option<u64>| value.map(|value| format::number(Some(value)));
    let size = |value: Option<u64>| value.map(|value| format::bytes(Some(value)));
    let facts = [
        ("Own time", Some(format::nanoseconds(node.time_ns))),
        ("Share of all nodes", Some(format::percent(node.share))),
        ("Waited", node.wait_ns.map(|ns| format::nanoseconds(Some(ns)))),
        ("Longest over average", node.skew.map(|skew| format!("{skew:.1}"))),
        ("Rows in", number(node.input_rows(&plan.nodes))),
        ("Rows out", number(node.rows)),
        ("Rows expected", number(node.expected_rows)),
        ("Bytes read or sent", size(node.bytes)),
        ("Peak memory", size(node.memory_bytes)),
        ("Spilled", size(node.spill_bytes)),
        ("Table", text(&node.table)),
        ("Join", text(&node.join)),
        ("Fragment", node.fragment.map(str::to_string)),
    ];
    html! {
        aside.plan-node aria-labelledby="node-heading" {
            div.heading {
                h3 #node-heading { bdi { (title(node)) } }
                a.button href=(PlanView { node: None, ..view.clone() }.address(path)) { "Close" }
            }
            @if let Some(compared) = compared { p.compared { (compared) } }
            dl.facts {
                @for (name, value) in facts {
                    @if let Some(value) = value { div { dt { (name) } dd { bdi { (value) } } } }
                }
            }
            @for predicate in node.predicates.iter().take(20) {
                p.note { bdi { (format::excerpt(predicate, 300)) } }
            }
            @for operator in node.operators.iter().take(20) {
                details {
                    summary { bdi { (format::excerpt(operator.name, 120)) } }
                    (counter_list(operator))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "/query_profile/1-2";

    fn drawn(text: &str) -> String {
        picture(text.as_bytes(), &PlanView::default(), PATH).into_string()
    }

    #[test]
    fn a_plan_is_drawn_with_a_link_for_each_node() {
        let text = include_str!("../../../tests/profiles/doris-3.0-cte.txt");
        let page = drawn(text);
        assert_eq!(page.matches("class=\"node").count(), 9, "{page}");
        assert_eq!(page.matches("class=\"flow").count(), 9, "{page}");
        assert!(
            page.contains("href=\"/query_profile/1-2?show=plan&amp;node=7#profile-heading\""),
            "{page}"
        );
        let view = PlanView { node: Some("7".to_string()), ..PlanView::default() };
        let page = picture(text.as_bytes(), &view, PATH).into_string();
        assert!(
            page.contains("equal join conjunct: (bed = bed)") && page.contains("ProbeRows"),
            "{page}"
        );
        let hidden = PlanView { local: Some(false), ..PlanView::default() };
        let page = picture(text.as_bytes(), &hidden, PATH).into_string();
        assert_eq!(page.matches("class=\"node").count(), 8, "{page}");
        assert_eq!(page.matches("class=\"flow").count(), 8, "{page}");
    }

    #[test]
    fn names_in_a_plan_are_escaped() {
        let page =
            drawn("Fragment 0:\n  A_SCAN (id=1 <script>alert(1)</script>):\n    - ExecTime: 3ms\n");
        assert!(!page.contains("<script>"), "{page}");
    }

    #[test]
    fn a_plan_of_very_many_nodes_makes_a_small_page() {
        let mut text = String::from("Fragment 0:\n");
        for number in 0..50_000 {
            text += &format!(
                "  Pipeline {number}:\n    B_SINK_OPERATOR (id=1):\n    A_SCAN_OPERATOR (id={number}):\n"
            );
        }
        let page = drawn(&text);
        assert!(page.len() < 500_000, "{}", page.len());
        assert!(page.contains("topmost nodes"), "{page}");
    }

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
