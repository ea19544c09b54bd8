//! `/findings`: what rules found in the profiles of a time range.

use maud::{Markup, html};
use warp::filters::BoxedFilter;

use super::layout::{NavItem, Page};
use super::range_form::picker;
use super::request::{PageRequests, page_route, query_filter};
use super::statements::{EXCERPT_CHARS, tabs};
use super::time_range::TimeRange;
use super::{filter_form, format, paths};
use crate::domain::profile::{FindingsOverview, FoundStatement, RuleOverview, meaning_of};
use crate::http::Parameters;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::view::View;

pub(super) fn route(requests: PageRequests) -> BoxedFilter<(Answer,)> {
    page_route("/findings", requests, |_, request| request.answer(&[], page))
}

async fn page(view: View, parameters: Parameters) -> Result<Page, ApiError> {
    let filter = query_filter(&view, &parameters)?;
    let range = TimeRange::of(&view, &filter).await?;
    let overview = match &range {
        Some(range) => Some(view.findings_overview(&range.restrict(&filter)).await?),
        None => None,
    };
    let ranged = range.map_or_else(|| parameters.clone(), |range| range.kept(&parameters));
    let body = html! {
        h1 { "Statements" }
        (tabs(paths::FINDINGS, &parameters))
        p.note { "What profiles prove to be worth a look. The rule whose runs took longest together is first." }
        (picker(paths::FINDINGS, &parameters, view.zone, range.as_ref()))
        (filter_form::cluster_choices(&view.several_clusters().await?, paths::FINDINGS, &parameters))
        (filter_form::chosen(paths::FINDINGS, &parameters, view.zone))
        @if let Some(unread) = overview.as_ref().and_then(|it| format::unread_profiles(it.unread_profiles)) { (unread) }
        @match overview {
            Some(overview) if !overview.rules.is_empty() => (rules(&overview, &ranged)),
            _ => p.empty { "No finding in the profiles of these runs." },
        }
    };
    Ok(Page { title: "Findings".to_string(), nav: Some(NavItem::Statements), body })
}

fn rules(overview: &FindingsOverview, parameters: &Parameters) -> Markup {
    html! {
        p {
            (format::counted(overview.runs, "run has", "runs have")) " findings."
            @if overview.is_cut { " Older ones are not shown." }
        }
        div.wide-table {
            table.statements {
                thead {
                    tr {
                        th scope="col" { "Finding" }
                        th.number scope="col" { "Runs" }
                        th.number scope="col" { "Total" }
                        th scope="col" { "Statements" }
                    }
                }
                tbody { @for rule in &overview.rules { (row(rule, parameters)) } }
            }
        }
    }
}

fn row(rule: &RuleOverview, parameters: &Parameters) -> Markup {
    html! {
        tr {
            td.statement {
                strong { (rule.rule) }
                @if let Some(meaning) = meaning_of(&rule.rule) { p.note { (meaning) } }
            }
            td.number data-label="Runs" { (format::number(Some(rule.runs))) }
            td.number.duration data-label="Total" { (format::duration(rule.total_ms)) }
            td data-label="Statements" {
                ul.plain { @for statement in &rule.statements { li { (link(statement, parameters)) } } }
            }
        }
    }
}

fn link(statement: &FoundStatement, parameters: &Parameters) -> Markup {
    html! {
        a href=(paths::statement_of(statement.fingerprint, parameters)) {
            bdi { (format::excerpt(&statement.normalized, EXCERPT_CHARS / 2)) }
        }
        " (" (format::counted(statement.runs, "run", "runs")) ", "
        a href=(paths::keeping(&paths::query(&statement.newest_query_id), parameters)) { "newest" } ")"
    }
}
