//! The plan of a query: its findings, its picture, and the counters of one node.

use maud::{Markup, html};

use super::boxes::{Scene, Work};
use super::drawing::{Drawing, MAX_NODES};
use super::findings::NodeFindings;
use super::folding::Folding;
use super::operators::counter_list;
use super::view::{PlanView, Zoom};
use crate::domain::profile::{Node, Phases, Plan, Section, UsualNode, findings, lossy, operators};
use crate::web::format;

/// Returns the findings and the plan of a profile as a graph, with the counters of one node beside it. `path` is the path
/// of the query's page, `queue_ms` the time in the queue if the query's record has it.
pub(in crate::web) fn picture(
    profile: &[u8],
    view: &PlanView,
    path: &str,
    queue_ms: Option<i64>,
) -> Markup {
    let text = lossy(profile);
    let section = Section::parse(&text);
    let operators = operators(&section);
    let plan = Plan::of(&section, &operators);
    if plan.nodes.is_empty() {
        return html! { p.empty { "No operators found in this profile. The Text tab shows all of it." } };
    }
    let phases = Phases::of(&section).with_queue(queue_ms);
    let findings = findings(&section, &plan, &phases);
    let findings = NodeFindings::of(&findings);
    let small_work = Work::if_small(&plan, &phases);
    let scene = Scene::of(&plan, &findings, view, path);
    let folding = Folding::of(&plan, &findings, &scene.usual, view);
    let folded = folding.folded;
    let drawing = Drawing::of(folding);
    let chosen =
        view.node.as_ref().and_then(|id| plan.nodes.iter().position(|node| node.id == *id));
    let chosen =
        chosen.and_then(|at| Some((plan.nodes.get(at)?, scene.usual.get(at).copied().flatten())));
    html! {
        @if section.is_cut {
            p.note { "The profile is too long to be read to its end. The plan below is of its first part." }
        }
        @if plan.incomplete_nodes > 0 {
            p.note {
                "The profile is incomplete: it lacks operators of "
                (format::counted(plan.incomplete_nodes as u64, "node", "nodes")) ". Times and shares are of the others."
            }
        }
        (findings.list(&plan, view, path))
        (costliest(&plan, view, path))
        @if let Some(work) = small_work {
            p.note {
                "All nodes together worked " (format::nanoseconds(Some(work.ns))) ", which is " (format::percent(work.share()))
                " of the query's " (format::duration(Some(work.duration_ms))) ": the time went elsewhere."
            }
        }
        // They lead to the page of the query, away from the plan beside this one.
        @if view.differing.is_none() { (tools(&plan, view, path, (folded, drawing.zoom(view.zoom)))) }
        div.plan-page {
            div.plan-picture tabindex="0" role="region" aria-label="Picture of the plan" { (drawing.svg(&scene)) }
            @if let Some((node, usual)) = chosen { (details(node, usual, &plan, &findings, view, path)) }
        }
        @if drawing.hidden > 0 {
            p.note { "The " (MAX_NODES) " topmost nodes of the plan; " (format::integer(drawing.hidden)) " more are below them." }
        }
        (legend(&scene, folded))
    }
}

/// Returns the links that change the picture. `folded` is the number of nodes that are folded, `shown` how large it is drawn.
fn tools(
    plan: &Plan<'_, '_>,
    view: &PlanView,
    path: &str,
    (folded, shown): (usize, Zoom),
) -> Markup {
    let shows_local = view.shows_local(plan);
    html! {
        nav.plan-tools aria-label="Picture" {
            @for (_, label, zoom) in Zoom::ALL {
                a href=(PlanView { zoom, ..view.clone() }.address(path)) aria-current=[(zoom == shown).then_some("true")] { (label) }
            }
            @if plan.nodes.iter().any(Node::is_local) {
                @let local = Some(!shows_local);
                a href=(PlanView { local, ..view.clone() }.address(path)) {
                    (if shows_local { "Hide local exchanges" } else { "Show local exchanges" })
                }
            }
            @if folded > 0 {
                a href=(PlanView { shows_all: true, open: Vec::new(), ..view.clone() }.address(path)) {
                    "Show all " (format::integer(plan.nodes.len())) " nodes"
                }
            }
            @if view.shows_all || !view.open.is_empty() {
                a href=(PlanView { shows_all: false, open: Vec::new(), ..view.clone() }.address(path)) { "Fold what matters little" }
            }
        }
    }
}

/// Returns what the marks of a picture mean. Marks that the picture does not have are missing.
fn legend(scene: &Scene<'_>, folded: usize) -> Markup {
    let (plan, view) = (scene.plan, scene.view);
    let has_mark = plan.nodes.iter().any(|node| !scene.findings.of_node(&node.id).is_empty());
    html! {
        p.note {
            "A node has its own time, and what part of the query's duration that is; nodes that work at the same time have more than 100 % together. "
            "The hatched part of its bar is waiting for others. "
            "Arrows are as wide as the rows that they carry. Thick frames are the path that took the longest."
            @if has_mark { " A triangle is on nodes with findings." }
            @if view.differing.as_ref().is_some_and(|differing| !differing.is_empty()) {
                " Dashed frames are nodes that only this plan has, or whose join is of another kind or has its sides exchanged in the other plan."
            }
            @if folded > 0 {
                " Boxes with dotted frames are nodes that took less than 1 % each; a click opens them."
            }
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
        plan.nodes.iter().filter(|node| node.largest_part() >= 0.05).collect();
    nodes.sort_by_key(|node| std::cmp::Reverse(node.time_ns));
    html! {
        @if !nodes.is_empty() {
            p.note {
                "Costliest: "
                @for (index, node) in nodes.iter().take(5).enumerate() {
                    @if index > 0 { ", " }
                    a href=(view.address_of_node(node, path)) { bdi { (title(node)) } }
                    " (" (format::nanoseconds(node.time_ns)) ", " (format::percent(node.weight)) ")"
                }
            }
        }
    }
}

/// Returns the name of a node with its id and its table.
pub(super) fn title(node: &Node<'_, '_>) -> String {
    let title = format!("{} {}", node.name, planner_id(node));
    let title = title.trim_end();
    match &node.table {
        Some(table) => format::excerpt(&format!("{title} {table}"), 60),
        None => format::excerpt(title, 60),
    }
}

/// Returns the id that the planner or a backend gave a node; nothing if the id is the node's name.
pub(super) fn planner_id<'n>(node: &'n Node<'_, '_>) -> &'n str {
    let is_number = node.id.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if is_number { &node.id } else { "" }
}

/// Returns how often a number is in another as a text: with one digit behind the point below ten.
pub(super) fn times(times: f64) -> String {
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
    findings: &NodeFindings<'_>,
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
        ("Part of the duration", node.time_ns.map(|_| format::percent(node.weight))),
        ("Share of all nodes", node.share.map(format::percent)),
        ("Waited", node.wait_ns.map(|ns| format::nanoseconds(Some(ns)))),
        ("Longest over average", node.skew.map(|skew| format!("{skew:.1}"))),
        ("Rows in", number(node.input_rows(&plan.nodes))),
        ("Rows out", number(node.rows)),
        ("Rows expected", number(node.expected_rows)),
        (if node.name.contains("SCAN") { "Bytes scanned" } else { "Bytes sent" }, size(node.bytes)),
        ("Peak memory", size(node.memory_bytes)),
        ("Spilled", size(node.spill_bytes)),
        ("Table", text(&node.table)),
        ("Join", text(&node.join)),
        ("Fragment", node.fragment.map(str::to_string)),
    ];
    html! {
        section.plan-node aria-labelledby="node-heading" {
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
            (findings.list_of_node(&node.id))
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
    use super::*;

    const PATH: &str = "/query_profile/1-2";

    fn drawn(text: &str) -> String {
        picture(text.as_bytes(), &PlanView::default(), PATH, None).into_string()
    }

    #[test]
    fn a_plan_is_drawn_with_a_link_for_each_node() {
        let text = include_str!("../../../tests/profiles/doris-3.0-cte.txt");
        let page = drawn(text);
        assert_eq!(page.matches("class=\"node").count(), 9, "{page}");
        assert_eq!(page.matches("class=\"flow").count(), 9, "{page}");
        assert!(page.contains("href=\"/query_profile/1-2?show=plan&amp;node=7#node-7\""), "{page}");
        let view = PlanView { node: Some("7".to_string()), ..PlanView::default() };
        let page = picture(text.as_bytes(), &view, PATH, None).into_string();
        assert!(
            page.contains("equal join conjunct: (bed = bed)") && page.contains("ProbeRows"),
            "{page}"
        );
        let hidden = PlanView { local: Some(false), ..PlanView::default() };
        let page = picture(text.as_bytes(), &hidden, PATH, None).into_string();
        assert_eq!(page.matches("class=\"node").count(), 8, "{page}");
        assert_eq!(page.matches("class=\"flow").count(), 8, "{page}");
    }

    #[test]
    fn what_a_large_plan_folds_is_a_link_that_opens_it() {
        let mut text = String::from("Fragment 0:\n");
        for number in 2..40 {
            text += &format!(
                "  Pipeline {number}:\n    B_SINK_OPERATOR (id=1):\n    A_SCAN_OPERATOR (id={number}):\n      - ExecTime: {}ms\n",
                if number == 9 { 500 } else { 0 }
            );
        }
        let page = drawn(&text);
        assert_eq!(page.matches("class=\"node").count(), 2, "{page}");
        assert!(page.contains(">37 nodes, 0.0 %</text>"), "{page}");
        assert!(page.contains("?show=plan&amp;open=2#node-2\""), "{page}");
        assert!(
            page.contains("?show=plan&amp;nodes=all#profile-heading\">Show all 39 nodes"),
            "{page}"
        );
        let view = PlanView { open: vec!["2".to_string()], ..PlanView::default() };
        let page = picture(text.as_bytes(), &view, PATH, None).into_string();
        assert_eq!(page.matches("class=\"node").count(), 39, "{page}");
        assert!(page.contains("?show=plan&amp;node=2&amp;open=2#node-2\""), "{page}");
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
        let all = PlanView { shows_all: true, ..PlanView::default() };
        let page = picture(text.as_bytes(), &all, PATH, None).into_string();
        assert!(page.len() < 500_000, "{}", page.len());
        assert!(page.contains("topmost nodes"), "{page}");
    }

    #[test]
    fn a_plan_that_worked_little_of_a_long_query_has_no_hot_node() {
        let text = "Query:\n  Summary:\n     - Total: 10s0ms\n  Fragment 0:\n    Pipeline 0:\n      A_SCAN_OPERATOR (id=1):\n        - ExecTime: 3ms\n";
        let page = drawn(text);
        assert!(
            page.contains("All nodes together worked 3.0 ms, which is 0.0 % of the query's 10.0 s"),
            "{page}"
        );
        assert!(page.contains("heat0") && !page.contains("heat4"), "{page}");
        let page = drawn(&text.replace("10s0ms", "4ms"));
        assert!(!page.contains("All nodes together") && page.contains("heat4"), "{page}");
    }

    #[test]
    fn the_probe_side_of_a_join_is_left() {
        let page = drawn(include_str!("../../../tests/profiles/doris-4.0-join.txt"));
        let left = |node: &str| {
            let (_, rest) = page.split_once(&format!("id=\"node-{node}\"")).unwrap();
            let (_, rest) = rest.split_once("translate(").unwrap();
            rest.split_once(' ').unwrap().0.parse::<f64>().unwrap()
        };
        // Join 7 probes with scan 0, and builds from exchange 6.
        assert!(left("0") < left("6"), "{page}");
    }
}
