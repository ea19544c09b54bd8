//! The form that filters the history, and what is chosen in it.

use maud::{Markup, html};

use super::paths::{self, UNKNOWN};
use super::range_form::{self, TypedRange};
use crate::domain::filter::QueryFilter;
use crate::domain::record::Kind;
use crate::domain::statement::Fingerprint;
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::query_parameters::address;

/// The texts that a query is chosen by: the parameter, the parameter that excludes, and the label. The first three fields
/// always show, and the next one if there are several clusters.
const TEXTS: [(&str, &str, &str); 12] = [
    ("user", "not_user", "User"),
    ("db", "not_db", "Database"),
    ("state", "not_state", "State"),
    ("cluster", "not_cluster", "Cluster"),
    ("client", "not_client", "Client host"),
    ("frontend", "not_frontend", "Frontend"),
    ("workload_group", "not_workload_group", "Workload group"),
    ("compute_group", "not_compute_group", "Compute group"),
    ("catalog", "not_catalog", "Catalog"),
    ("statement_type", "not_statement_type", "Statement type"),
    ("table", "not_table", "Table"),
    ("session_id", "not_session_id", "Session"),
];
const ALWAYS: usize = 3;
/// What a query is chosen by that is true or false, with the labels of both.
const TRUTHS: [(&str, &str, [&str; 2]); 3] = [
    ("is_failed", "Outcome", ["failed", "not failed"]),
    ("has_profile", "Profile", ["stored", "not stored"]),
    ("cache_hit", "SQL cache", ["hit", "no hit"]),
];

/// The other parameters that choose queries, with their labels.
const OTHERS: [(&str, &str); 8] = [
    ("search", "Statement contains"),
    ("words", "Words in the statement"),
    ("type", "Type"),
    ("fingerprint", "Statement"),
    ("min_ms", "Min. duration (ms)"),
    ("min_queue_ms", "Min. queue time (ms)"),
    ("from", "From"),
    ("to", "To"),
];

/// Returns the form, which narrow screens fold. Its fields are the parameters of the page. `clusters` are those of a history with
/// several.
pub(super) fn form(
    filter: &QueryFilter,
    parameters: &Parameters,
    clusters: &[String],
    zone: Zone,
) -> Markup {
    let range = TypedRange::of(parameters, zone);
    let value = |name: &str| parameters.get(name).map_or("", String::as_str);
    let number_field = |name: &str, label: &str| {
        html! { label { (label) input type="number" name=(name) min="0" value=(value(name)); } }
    };
    html! {
        details.filter-fold open[!range.is_valid()] {
            summary { "Filters" }
            form.filters method="get" action=(paths::HISTORY) role="search" aria-label="Filters" {
                label.wide {
                    "Statement contains"
                    input type="search" name="search" value=(value("search")) maxlength="1000" spellcheck="false";
                }
                @for (name, _, label) in &TEXTS[..ALWAYS] {
                    (text_field(name, label, parameters.all(name).first()))
                }
                @if !clusters.is_empty() { (cluster_field(clusters, parameters.all("cluster").first())) }
                label {
                    "Type"
                    select name="type" {
                        option value="" { "any" }
                        @for kind in [Kind::Query, Kind::Load] {
                            option value=(kind.name()) selected[filter.kind == Some(kind)] { (kind.name()) }
                        }
                    }
                }
                (number_field("min_ms", "Min. duration (ms)"))
                (number_field("min_queue_ms", "Min. queue time (ms)"))
                (range.fields())
                (more(parameters, ALWAYS + usize::from(!clusters.is_empty())))
                @for name in ["fingerprint", "limit", "order", UNKNOWN] {
                    @for value in parameters.all(name) { input type="hidden" name=(name) value=(value); }
                }
                div.actions {
                    button type="submit" { "Filter" }
                    @if !parameters.is_empty() { a href=(paths::HISTORY) { "Clear" } }
                }
                (range_form::hint(zone))
                @if let Some(fingerprint) = filter.fingerprint { (statement_note(fingerprint, parameters)) }
            }
        }
    }
}

fn text_field(name: &str, label: &str, value: Option<&String>) -> Markup {
    html! { label { (label) input name=(name) value=[value] autocomplete="off" spellcheck="false"; } }
}

/// Returns the choice of a cluster.
fn cluster_field(clusters: &[String], chosen: Option<&String>) -> Markup {
    // A cluster that no query names any more stays chosen.
    let unknown = chosen.filter(|chosen| !clusters.contains(chosen));
    html! {
        label {
            "Cluster"
            select name="cluster" {
                option value="" { "any" }
                @for cluster in clusters.iter().chain(unknown) {
                    option value=(cluster) selected[chosen == Some(cluster)] { (cluster) }
                }
            }
        }
    }
}

/// Returns the links of a report to each of several clusters, to queries of none of them, and to all; nothing if there are none.
pub(super) fn cluster_choices(clusters: &[String], path: &str, parameters: &Parameters) -> Markup {
    let chosen = parameters.all("cluster");
    let is_unknown = parameters.all(UNKNOWN).iter().any(|text| text == "cluster");
    let link = |name: &str, value: &str| {
        address(path, &paths::narrowed(parameters.clone(), name, value), &[("cursor", "")])
    };
    html! {
        @if !clusters.is_empty() {
            div.range {
                p { "Cluster" }
                ul aria-label="Cluster" {
                    li { a href=(link("cluster", "")) aria-current=[(chosen.is_empty() && !is_unknown).then_some("true")] { "All" } }
                    @for cluster in clusters {
                        li {
                            a href=(link("cluster", cluster)) aria-current=[chosen.contains(cluster).then_some("true")] {
                                bdi { (cluster) }
                            }
                        }
                    }
                    li { a href=(link(UNKNOWN, "cluster")) aria-current=[is_unknown.then_some("true")] { "unknown" } }
                }
            }
        }
    }
}

/// Returns the fields of some values, and one for a further value.
fn text_fields(name: &str, [label, or_label]: [&str; 2], values: &[String]) -> Markup {
    let mut fields = values.iter().map(Some).chain([None]);
    html! {
        (text_field(name, label, fields.next().flatten()))
        @for value in fields { (text_field(name, or_label, value)) }
    }
}

/// Returns the fields that few people need, open if one of them is in use. The first `shown` texts have a field elsewhere.
fn more(parameters: &Parameters, shown: usize) -> Markup {
    let is_given = |name: &&str| parameters.contains_key(name);
    let always = &TEXTS[..shown];
    let texts = TEXTS[shown..].iter().map(|(name, ..)| *name);
    let excluded = TEXTS.iter().map(|(_, excluded, _)| *excluded);
    let mut names = texts.chain(excluded).chain(TRUTHS.map(|(name, ..)| name)).chain(["words"]);
    let has_several = always.iter().any(|(name, ..)| parameters.all(name).len() > 1);
    let words = parameters.all("words").last();
    html! {
        details.more-filters open[has_several || names.any(|name| is_given(&name))] {
            summary { "More filters" }
            div {
                (text_field("words", "Words in the statement", words))
                @for (name, label, values) in TRUTHS { (truth_field(name, label, values, parameters)) }
                @for (name, _, label) in &TEXTS[shown..] {
                    (text_fields(name, [label, &format!("or {}", label.to_lowercase())], parameters.all(name)))
                }
                @for (name, _, label) in always {
                    @if let [_, others @ ..] = parameters.all(name) {
                        @let label = format!("or {}", label.to_lowercase());
                        (text_fields(name, [&label, &label], others))
                    }
                }
                @for (_, name, label) in TEXTS {
                    @let label = format!("{label} is not");
                    (text_fields(name, [&label, &label], parameters.all(name)))
                }
            }
        }
    }
}

fn truth_field(name: &str, label: &str, labels: [&str; 2], parameters: &Parameters) -> Markup {
    let chosen = parameters.get(name).map(String::as_str);
    html! {
        label {
            (label)
            select name=(name) {
                option value="" { "any" }
                @for (value, label) in ["true", "false"].into_iter().zip(labels) {
                    option value=(value) selected[chosen == Some(value)] { (label) }
                }
            }
        }
    }
}

fn statement_note(fingerprint: Fingerprint, parameters: &Parameters) -> Markup {
    html! {
        p.note { "Only runs of statement " a href=(paths::statement_of(fingerprint, parameters)) { (fingerprint) } }
    }
}

/// Returns what is chosen, each with a link to the page at `path` without it; nothing if nothing is chosen.
pub(super) fn chosen(path: &str, parameters: &Parameters, zone: Zone) -> Markup {
    let chosen: Vec<(String, String, String)> = parameters
        .iter()
        .filter_map(|(name, value)| {
            let mut others = parameters.clone();
            others.retain(|other, it| (other, it) != (name, value));
            let link = address(path, &others, &[("cursor", "")]);
            let (label, value) = described(name, value)?;
            let value = match ["from", "to"].contains(&name) {
                true => range_form::shown(value, zone),
                false => value.to_string(),
            };
            Some((label, value, link))
        })
        .collect();
    html! {
        @if !chosen.is_empty() {
            ul.chosen aria-label="Chosen filters" {
                @for (label, value, link) in chosen {
                    li {
                        (label) " " strong { bdi { (value) } } " "
                        a href=(link) aria-label={ "Remove " (label) " " (value) } { "×" }
                    }
                }
            }
        }
    }
}

/// Says how several values are chosen if a parameter has them in one text; nothing else. An empty list may be empty for that.
pub(super) fn several_values(path: &str, parameters: &Parameters) -> Markup {
    let is_joined = |name: &str, value: &str| {
        value.contains(',') && TEXTS.iter().any(|(text, ..)| *text == name)
    };
    let Some((joined, _)) = parameters.iter().find(|(name, value)| is_joined(name, value)) else {
        return html! {};
    };
    let split = |(name, value): (&str, &str)| -> Vec<(String, String)> {
        let values = match is_joined(name, value) {
            true => value.split(',').map(str::trim).filter(|it| !it.is_empty()).collect(),
            false => vec![value],
        };
        values.into_iter().map(|value| (name.to_string(), value.to_string())).collect()
    };
    let split: Parameters = parameters.iter().flat_map(split).collect();
    let shown: Vec<String> =
        split.all(joined).iter().map(|value| format!("{joined}={value}")).collect();
    html! {
        p.note {
            "A comma is part of a value. Several values: "
            a href=(address(path, &split, &[("cursor", "")])) { code { bdi { (shown.join("&")) } } }
        }
    }
}

/// Returns the label of a parameter and its value for people; None if the parameter chooses no queries.
fn described<'v>(name: &str, value: &'v str) -> Option<(String, &'v str)> {
    for (is, is_not, label) in TEXTS {
        if name == is || name == is_not {
            return Some((format!("{label}{}", if name == is { "" } else { " is not" }), value));
        }
    }
    if name == UNKNOWN {
        let texts = TEXTS.iter().map(|(is, _, label)| (is, label));
        let mut all = texts.chain(OTHERS.iter().map(|(name, label)| (name, label)));
        let (_, label) = all.find(|(is, _)| **is == value)?;
        return Some(((*label).to_string(), "unknown"));
    }
    if let Some((_, label, labels)) = TRUTHS.iter().find(|(truth, ..)| *truth == name) {
        return Some(((*label).to_string(), labels[usize::from(value != "true")]));
    }
    let (_, label) = OTHERS.iter().find(|(other, _)| *other == name)?;
    Some(((*label).to_string(), value))
}
