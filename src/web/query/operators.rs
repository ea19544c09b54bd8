//! The operators of a profile as a tree.

use std::ops::Range;

use maud::{Markup, html};

use crate::domain::profile::{Operator, Section, lossy, operators, walk};
use crate::http::Parameters;
use crate::http::error::ApiError;
use crate::http::query_parameters::address;
use crate::web::{chart, format};

/// A page shows this many operators and their ancestors: of a larger profile the costliest ones, and behind links all
/// operators in order.
const PAGE_OPERATORS: usize = 400;
/// A page has at most this many rows of operators, ancestors included.
const MAX_ROWS: usize = 2000;
/// In a profile of more operators only the costly ones show their counters.
const MAX_WITH_COUNTERS: usize = 150;
/// Counters of one operator.
const MAX_COUNTERS: usize = 60;

/// Returns the first operator to show, from 1, as the parameter `operators` says; `None` for the costliest operators.
/// Errors if the parameter is not a number from 1 on.
pub(super) fn first_operator(parameters: &Parameters) -> Result<Option<usize>, ApiError> {
    let parse = |text: &String| text.parse().ok().filter(|number| *number >= 1);
    let first = parameters.get("operators").map(|text| {
        parse(text).ok_or_else(|| {
            ApiError::BadRequest("operators must be the number of an operator, from 1".to_string())
        })
    });
    first.transpose()
}

/// Returns the tree of a profile's operators: all of a small profile; else the page that holds operator number `first`,
/// or the costliest operators. Ancestors of shown operators are always shown. `path` is the path of the query's
/// page, whose links keep the parameters in `kept`.
pub(super) fn tree(profile: &[u8], first: Option<usize>, path: &str, kept: &Parameters) -> Markup {
    let text = lossy(profile);
    let section = Section::parse(&text);
    let roots = operators(&section);
    let all: Vec<(usize, &Operator<'_>)> = walk(&roots).collect();
    if all.is_empty() {
        return html! { p.empty { "No operators found in this profile. The Text tab shows all of it." } };
    }
    let page = OperatorPage::of(all.len(), first);
    let mut tree = Tree {
        shown: page.shown(&all),
        next: 0,
        rows_left: MAX_ROWS,
        all_counters: all.len() <= MAX_WITH_COUNTERS,
    };
    html! {
        @if section.is_cut {
            p.note { "The profile is too long to be read to its end. The operators below are from its first part." }
        }
        (costly_note(&all))
        @if all.len() > PAGE_OPERATORS { (page.links(path, kept)) }
        div.tree {
            p.columns aria-hidden="true" {
                span { "Operator" } span { "Share" } span { "Own time" } span { "Rows" } span { "Memory" }
            }
            (tree.roots(&roots))
        }
    }
}

/// Returns a sentence that names the costly operators, the costliest first.
fn costly_note(all: &[(usize, &Operator<'_>)]) -> Markup {
    let costly = all.iter().map(|(_, operator)| *operator).filter(|operator| operator.is_costly);
    let mut costly: Vec<&Operator<'_>> = costly.collect();
    costly.sort_by(|a, b| b.share.total_cmp(&a.share));
    html! {
        @if !costly.is_empty() {
            p.note {
                "Costliest: "
                @for (index, operator) in costly.iter().enumerate() {
                    @if index > 0 { ", " }
                    strong { bdi { (format::excerpt(operator.name, 60)) } } " (" (format::percent(operator.share)) ")"
                }
            }
        }
    }
}

/// The operators that a page shows.
struct OperatorPage {
    /// Operators of the profile.
    count: usize,
    /// The places of the shown operators in the order of the profile; `None` for the costliest operators.
    range: Option<Range<usize>>,
}

impl OperatorPage {
    /// Returns the page that holds operator number `first`, from 1. All operators of a small profile are one page.
    fn of(count: usize, first: Option<usize>) -> OperatorPage {
        let first = if count <= PAGE_OPERATORS { Some(1) } else { first };
        let range = first.map(|first| {
            let start = (first.min(count) - 1) / PAGE_OPERATORS * PAGE_OPERATORS;
            start..(start + PAGE_OPERATORS).min(count)
        });
        OperatorPage { count, range }
    }

    /// Returns for each operator whether the page shows it.
    fn shown(&self, all: &[(usize, &Operator<'_>)]) -> Vec<bool> {
        let mut shown = match &self.range {
            Some(range) => (0..all.len()).map(|place| range.contains(&place)).collect(),
            None => costliest(all),
        };
        add_ancestors(all, &mut shown);
        shown
    }

    /// Returns what the page shows of the profile in words, and links to the other pages.
    fn links(&self, path: &str, kept: &Parameters) -> Markup {
        let from = |place: usize| {
            let first = (place + 1).to_string();
            address(path, kept, &[("operators", &first)]) + "#profile-heading"
        };
        let count = format::integer(self.count);
        let Some(range) = &self.range else {
            return html! {
                p.note { "The " (PAGE_OPERATORS) " costliest of " (count) " operators, with their ancestors." }
                nav.paging aria-label="Operators" { a href=(from(0)) { "All in profile order" } }
            };
        };
        html! {
            p.note {
                "Operators " (format::integer(range.start + 1)) " to " (format::integer(range.end)) " of "
                (count) " in profile order, with their ancestors."
            }
            nav.paging aria-label="Operators" {
                a href={ (address(path, kept, &[("show", "tree")])) "#profile-heading" } { "Costliest" }
                @if range.start > 0 { a rel="prev" href=(from(range.start - PAGE_OPERATORS)) { "Previous" } }
                @if range.end < self.count { a rel="next" href=(from(range.end)) { "Next" } }
            }
        }
    }
}

/// Returns for each operator whether it is one of the costliest.
fn costliest(all: &[(usize, &Operator<'_>)]) -> Vec<bool> {
    let mut places: Vec<usize> = (0..all.len()).collect();
    places.sort_by(|a, b| all[*b].1.share.total_cmp(&all[*a].1.share));
    let mut shown = vec![false; all.len()];
    for place in places.into_iter().take(PAGE_OPERATORS) {
        shown[place] = true;
    }
    shown
}

/// Marks the ancestors of all shown operators as shown.
fn add_ancestors(all: &[(usize, &Operator<'_>)], shown: &mut [bool]) {
    // From the last operator back: for each depth, whether an operator there is shown and its parent is yet to come.
    let mut needs_parent = Vec::new();
    for (place, (depth, _)) in all.iter().enumerate().rev() {
        if needs_parent.len() < depth + 2 {
            needs_parent.resize(depth + 2, false);
        }
        shown[place] |= std::mem::take(&mut needs_parent[depth + 1]);
        needs_parent[*depth] |= shown[place];
    }
}

/// Renders the shown operators, in the order of the profile.
struct Tree {
    /// For each operator in order, whether it is shown.
    shown: Vec<bool>,
    /// The place of the next operator.
    next: usize,
    rows_left: usize,
    /// Whether all operators show their counters, or only the costly ones.
    all_counters: bool,
}

impl Tree {
    fn is_next_shown(&self) -> bool {
        self.rows_left > 0 && self.shown.get(self.next).is_some_and(|shown| *shown)
    }

    fn roots(&mut self, roots: &[Operator<'_>]) -> Markup {
        let mut markup = String::new();
        for (index, root) in roots.iter().enumerate() {
            if !self.is_next_shown() {
                self.skip(root);
                continue;
            }
            let is_new_fragment = index == 0 || roots[index - 1].fragment != root.fragment;
            if let Some(fragment) = root.fragment.filter(|_| is_new_fragment) {
                markup.push_str(&html! { h3 { "Fragment " bdi { (fragment) } } }.0);
            }
            markup.push_str("<ul>");
            self.branch(root, &mut markup);
            markup.push_str("</ul>");
        }
        maud::PreEscaped(markup)
    }

    /// Passes over an operator that is not shown, with its descendants.
    fn skip(&mut self, operator: &Operator<'_>) {
        self.next += walk(std::slice::from_ref(operator)).count();
    }

    /// Appends the next operator, which is shown, with its shown descendants. Appends to one text: a text for each operator
    /// would be copied once for each of its ancestors.
    fn branch(&mut self, operator: &Operator<'_>, markup: &mut String) {
        self.next += 1;
        self.rows_left -= 1;
        markup.push_str("<li><details open>");
        markup.push_str(&row(operator).0);
        if !operator.counters.is_empty() && (operator.is_costly || self.all_counters) {
            markup.push_str(&counters(operator).0);
        }
        if !operator.children.is_empty() {
            markup.push_str("<ul>");
            let mut hidden = 0;
            for child in &operator.children {
                if self.is_next_shown() {
                    self.branch(child, markup);
                } else {
                    self.skip(child);
                    hidden += 1;
                }
            }
            if hidden > 0 {
                let count = format::counted(hidden, "child", "children");
                markup.push_str(&html! { li.note { (count) " not shown" } }.0);
            }
            markup.push_str("</ul>");
        }
        markup.push_str("</details></li>");
    }
}

fn row(operator: &Operator<'_>) -> Markup {
    let class = if operator.is_costly { "operator costly" } else { "operator" };
    let permille = (operator.share * 1000.0).round() as i64;
    let number = |label: &str, number: String| {
        html! { span.number { span.label { (label) " " } (number) } }
    };
    html! {
        summary class=(class) {
            span.name {
                bdi { (format::excerpt(operator.name, 300)) }
                @if operator.is_costly { span.badge { "costly" } }
            }
            span.share { (chart::bar(permille, 1000)) (format::percent(operator.share)) }
            (number("Time", format::nanoseconds(operator.time_ns)))
            (number("Rows", format::number(operator.rows)))
            (number("Memory", format::bytes(operator.memory_bytes)))
        }
    }
}

fn counters(operator: &Operator<'_>) -> Markup {
    html! {
        details.counters {
            summary { "Counters" }
            (counter_list(operator))
        }
    }
}

/// Returns the first counters of an operator.
pub(super) fn counter_list(operator: &Operator<'_>) -> Markup {
    html! {
        dl.facts {
            @for counter in operator.counters.iter().take(MAX_COUNTERS) {
                div {
                    dt { bdi { (format::excerpt(&counter.name, 80)) } }
                    dd { bdi { (format::excerpt(&counter.value, 200)) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_of_many_operators_makes_a_small_page() {
        let mut text = String::from("MergedProfile:\n  Fragments:\n    Fragment 0:\n");
        for number in 0..100_000 {
            text.push_str(&format!(
                "      OLAP_SCAN_OPERATOR (id={number}):\n        - ExecTime: {number}us\n"
            ));
        }
        let markup =
            tree(text.as_bytes(), None, "/query_profile/1-2", &Parameters::new()).into_string();
        assert!(markup.len() < 1_000_000, "{}", markup.len());
        assert!(markup.contains("(id=99999)") && !markup.contains("(id=17)"));
        assert!(markup.contains("/query_profile/1-2?operators=1#profile-heading"));
        let markup = tree(text.as_bytes(), Some(usize::MAX), "", &Parameters::new()).into_string();
        assert!(
            markup.contains("99,601 to 100,000 of 100,000") && !markup.contains("rel=\"next\"")
        );
    }

    #[test]
    fn every_operator_is_on_some_page_where_it_hangs() {
        // Each hundredth hangs deeper than all before, the others below the one before.
        let mut text = String::from("Fragment 0:\n");
        for number in 0..1000 {
            let depth = 1 + number / 100 + usize::from(number % 100 > 0);
            let (indent, inner) = ("  ".repeat(depth), "  ".repeat(depth + 1));
            text.push_str(&format!("{indent}A_SCAN (id={number}):\n{inner}- ExecTime: 3ms\n"));
        }
        let pages = [1, 401, 801].map(|first| {
            (first, tree(text.as_bytes(), Some(first), "", &Parameters::new()).into_string())
        });
        for number in 0..1000 {
            let name = format!("(id={number})");
            let has = pages.iter().filter(|(_, markup)| markup.contains(&name));
            let on: Vec<usize> = has.map(|(first, _)| *first).collect();
            let own = number / 400 * 400 + 1;
            assert!(on.contains(&own), "{number}: {on:?}");
            let is_above = number % 100 == 0;
            assert!(is_above || on == [own], "{number}: {on:?}");
        }
        assert!(pages[2].1.contains("Operators 801 to 1,000 of 1,000"));
    }

    #[test]
    fn the_costliest_operator_is_named_first() {
        let mut text = String::from("Fragment 0:\n");
        for (id, ms) in [(0, 130), (1, 347), (2, 144)] {
            text.push_str(&format!("  A_SCAN (id={id}):\n    - ExecTime: {ms}ms\n"));
        }
        let markup = tree(text.as_bytes(), None, "", &Parameters::new()).into_string();
        let note = markup.split("</p>").next().unwrap();
        let places: Vec<Option<usize>> =
            ["(id=1)", "(id=2)", "(id=0)"].map(|id| note.find(id)).to_vec();
        assert!(places.is_sorted() && places[0].is_some(), "{note}");
    }

    #[test]
    fn operators_are_escaped() {
        let text = "Fragment 0:\n  A_SCAN (id=1 <script>alert(1)</script>):\n    - ExecTime: 3ms\n";
        let markup = tree(text.as_bytes(), None, "", &Parameters::new()).into_string();
        assert!(markup.contains("&lt;script&gt;") && !markup.contains("<script>"), "{markup}");
    }
}
