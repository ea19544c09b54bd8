//! What the profile of a query proves to be worth a look.

use std::collections::HashMap;

use maud::{Markup, html};

use super::view::PlanView;
use crate::domain::profile::{Finding, Plan};
use crate::web::format;

/// A page has at most this many findings, the heaviest.
const MAX_LISTED: usize = 25;
/// More findings are behind a fold.
const SHOWN: usize = 5;

/// The findings of a plan, and which of them point to which node.
pub(super) struct NodeFindings<'f> {
    all: &'f [Finding],
    by_node: HashMap<&'f str, Vec<&'f Finding>>,
}

impl<'f> NodeFindings<'f> {
    pub(super) fn of(findings: &'f [Finding]) -> NodeFindings<'f> {
        let mut by_node: HashMap<&str, Vec<&Finding>> = HashMap::new();
        for finding in findings {
            for node in &finding.nodes {
                by_node.entry(node).or_default().push(finding);
            }
        }
        NodeFindings { all: findings, by_node }
    }

    /// Returns the findings that point to the node with this id.
    pub(super) fn of_node(&self, id: &str) -> &[&'f Finding] {
        self.by_node.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns all findings as a list, with links to their nodes.
    pub(super) fn list(&self, plan: &Plan<'_, '_>, view: &PlanView, path: &str) -> Markup {
        let listed = self.all.get(..MAX_LISTED).unwrap_or(self.all);
        let (shown, folded) = listed.split_at(listed.len().min(SHOWN));
        let items = |findings: &[Finding]| {
            html! { ul.findings { @for finding in findings { li { (item(finding)) (links(finding, plan, view, path)) } } } }
        };
        html! {
            @if !shown.is_empty() {
                section aria-label="Findings" {
                    h3 { (format::counted(self.all.len(), "finding", "findings")) }
                    @if view.is_running { p.note { "The query still runs: its profile has what its operators did so far." } }
                    (items(shown))
                    @if !folded.is_empty() {
                        details.more {
                            summary { (format::counted(folded.len(), "more finding", "more findings")) }
                            (items(folded))
                        }
                    }
                    @if listed.len() < self.all.len() {
                        p.note { "The " (MAX_LISTED) " heaviest are listed. " code { "annals profile ID --findings" } " has all." }
                    }
                }
            }
        }
    }

    /// Returns the findings of a node as a list.
    pub(super) fn list_of_node(&self, id: &str) -> Markup {
        let findings = self.of_node(id);
        html! {
            @if !findings.is_empty() {
                ul.findings { @for finding in findings { li { (item(finding)) } } }
            }
        }
    }
}

/// Returns what a finding means, its numbers, and what to try.
fn item(finding: &Finding) -> Markup {
    html! {
        p {
            strong.share { (format::percent(finding.weight)) } " "
            bdi { (format::excerpt(&finding.means, 500)) }
        }
        dl.facts {
            @for evidence in &finding.evidence {
                div { dt { (evidence.name) } dd { (evidence.to_string()) } }
            }
        }
        p.note {
            (finding.advice) " "
            a href=(finding.documentation.url) rel="noreferrer" { (finding.documentation.name) }
        }
        details.more {
            summary { "Rule " code { (finding.rule) } }
            dl.facts {
                @for least in finding.thresholds {
                    div { dt { (least.name) } dd { "from " (least.to_string()) " on" } }
                }
            }
        }
    }
}

fn links(finding: &Finding, plan: &Plan<'_, '_>, view: &PlanView, path: &str) -> Markup {
    let nodes = finding.nodes.iter().filter_map(|id| plan.nodes.iter().find(|node| node.id == *id));
    html! {
        @if !finding.nodes.is_empty() {
            p.note {
                "In the plan:"
                @for node in nodes {
                    " " a href=(view.address_of_node(node, path)) { bdi { (super::plan::title(node)) } }
                }
            }
        }
    }
}
