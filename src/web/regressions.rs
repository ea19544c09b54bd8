//! `/regressions`: the statements that are new, slower, more frequent or failing more than in an earlier period.

use std::sync::Arc;

use maud::{Markup, Render, html};
use warp::filters::BoxedFilter;

use super::filter_form::{self, cluster_choices};
use super::layout::{NavItem, Page};
use super::range_form::picker;
use super::report_cache::{Report, ReportCache};
use super::request::{PageRequests, page_route, query_filter};
use super::statements::{EXCERPT_CHARS, tabs};
use super::time_range::TimeRange;
use super::{format, nearest, paths};
use crate::domain::baseline::Baseline;
use crate::domain::filter::QueryFilter;
use crate::http::Parameters;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::query_parameters::{BaselineText, Count, address};
use crate::http::view::View;
use crate::store::{Change, ChangeKind, Regression, Regressions, Visibility, Watch};

/// The baselines that the page offers as links.
const BASELINES: [(&str, &str); 4] = [
    ("1d", "the day before"),
    ("7d", "the week before"),
    ("28d", "four weeks before"),
    ("91d", "the quarter before"),
];

/// The most bytes of the reports in the cache.
const CACHE_BYTES: usize = 8 << 20;

/// What the reader may see, and what the address selects.
type Key = (Visibility, QueryFilter, Baseline, Vec<ChangeKind>);

type Reports = ReportCache<Key, Option<Regressions>>;

fn weigh(_: &Key, report: Option<&Report<Option<Regressions>>>) -> usize {
    // A row with what the page shows of its statement.
    const ROW_BYTES: usize = 1000;
    let rows = report.and_then(|report| report.value.as_ref()).map_or(0, |it| it.statements.len());
    1000 + rows * ROW_BYTES
}

pub(super) fn route(requests: PageRequests, watch: Arc<Watch>) -> BoxedFilter<(Answer,)> {
    let reports = Arc::new(ReportCache::new(watch, CACHE_BYTES, weigh));
    page_route("/regressions", requests, move |_, request| {
        let reports = reports.clone();
        request.answer(&["limit", "baseline", "change"], |view, parameters| {
            page(view, parameters, reports)
        })
    })
}

async fn page(view: View, parameters: Parameters, reports: Arc<Reports>) -> Result<Page, ApiError> {
    let text = parameters.get("baseline").filter(|text| !text.is_empty()).cloned();
    let baseline = text.clone().map(|text| BaselineText(text).baseline(view.zone)).transpose()?;
    let baseline = baseline.unwrap_or_default();
    let filter = query_filter(&view, &parameters)?;
    let changes = changes(&parameters)?;
    let key = (view.visibility(), filter.clone(), baseline, changes.clone());
    let read = read(view.clone(), filter.clone(), baseline, changes);
    let report = reports.get_for_page(key, read).await?;
    let range = TimeRange::of(&view, &filter).await?;
    let nearest = match &report.value {
        Some(found) if found.ran == 0 => {
            let period = QueryFilter { from_ms: Some(found.from_ms), ..filter.clone() };
            nearest::sentence(&view, &period, &parameters).await?
        }
        _ => None,
    };
    let clusters = view.several_clusters().await?;
    let body = html! {
        h1 { "Statements" }
        (tabs(paths::REGRESSIONS, &parameters))
        p.note { "Statements that are new, slower, more frequent or failing more than in an earlier period, by more than chance explains. The one with most extra time comes first, and those with few runs come last." }
        (picker(paths::REGRESSIONS, &parameters, view.zone, range.as_ref()))
        (baseline_choices(paths::REGRESSIONS, &BASELINES, text.as_deref().unwrap_or("7d"), &parameters))
        (cluster_choices(&clusters, paths::REGRESSIONS, &parameters))
        @if !clusters.is_empty() && filter.cluster.is_any() {
            p.note { "The runs of all clusters are compared together, which may hide what changed in one: choose it above." }
        }
        (filter_form::chosen(paths::REGRESSIONS, &parameters, view.zone))
        @match &report.value {
            Some(found) => {
                @if let Some(unread) = format::unread_profiles(found.unread_profiles) { (unread) }
                (comparison(found, &parameters, &view, nearest.as_ref()))
            }
            None => p.empty { "The history is empty." },
        }
    };
    Ok(Page { title: "What changed".to_string(), nav: Some(NavItem::Statements), body })
}

/// Reads the ways in which statements changed that the page shows, each once and in order; empty for all of them.
fn changes(parameters: &Parameters) -> Result<Vec<ChangeKind>, ApiError> {
    let names = parameters.all("change").iter().filter(|name| !name.is_empty());
    let kinds = names.map(|name| {
        ChangeKind::named(name).ok_or_else(|| {
            let names = ChangeKind::ALL.map(|(_, name, _)| name).join(", ");
            ApiError::BadRequest(format!("change must be one of {names}"))
        })
    });
    let mut kinds = kinds.collect::<Result<Vec<ChangeKind>, ApiError>>()?;
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

async fn read(
    view: View,
    filter: QueryFilter,
    baseline: Baseline,
    changes: Vec<ChangeKind>,
) -> Result<Option<Regressions>, ApiError> {
    if view.span().await?.is_none() {
        return Ok(None);
    }
    let mut found = view.regressions(&filter, baseline, &changes).await?;
    for statement in &mut found.statements {
        statement.normalized = format::excerpt(&statement.normalized, EXCERPT_CHARS);
    }
    Ok(Some(found))
}

/// Returns links to the page with each of some baselines, which have labels, and the chosen one if it is another.
pub(super) fn baseline_choices(
    path: &str,
    baselines: &[(&str, impl Render)],
    chosen: &str,
    parameters: &Parameters,
) -> Markup {
    let compared_with = |baseline: &str| address(path, parameters, &[("baseline", baseline)]);
    html! {
        div.range {
            p { "Compared with" }
            ul aria-label="Compared with" {
                @for (baseline, label) in baselines {
                    li {
                        a href=(compared_with(baseline))
                            aria-current=[(*baseline == chosen).then_some("true")] { (label) }
                    }
                }
                @if !baselines.iter().any(|(baseline, _)| *baseline == chosen) {
                    li { strong { bdi { (chosen) } } }
                }
            }
        }
    }
}

fn comparison(
    found: &Regressions,
    parameters: &Parameters,
    view: &View,
    nearest: Option<&Markup>,
) -> Markup {
    let zone = view.zone;
    let history =
        if view.visibility().is_all() { "The history" } else { "The history that you may see" };
    html! {
        (change_choices(found, parameters))
        p {
            (format::range(found.from_ms, found.to_ms, zone)) ", compared with "
            (format::range(found.baseline_from_ms, found.baseline_to_ms, zone)) "."
            @if let Some(factor) = found.slower_cluster() {
                " The whole cluster got slower: a typical statement took " (format!("{factor:.1}")) " times as long."
            }
            @if let Some(factor) = found.busier_cluster() {
                " The whole cluster got busier: a typical statement ran " (format!("{factor:.1}")) " times as often."
            }
            @if let Some(from_ms) = found.history_from_ms.filter(|_| found.has_baseline) {
                " " (history) " begins at " (format::time(Some(from_ms), zone)) ", within the baseline, so a statement may be new because nothing older is stored."
            }
        }
        @if found.ran == 0 {
            p.empty { "No statement ran in this range. " @if let Some(nearest) = nearest { (nearest) } }
        } @else if let Some(from_ms) = found.begins_behind_baseline() {
            p.empty {
                (history) " begins at " (format::time(Some(from_ms), zone)) ", after the baseline, so nothing is compared. "
                @if from_ms < found.from_ms { "Another baseline may have runs." } @else { "A later range can be compared with this one." }
            }
        } @else if !found.has_baseline {
            p.empty { "No statement ran in the baseline, so nothing is compared. Another baseline may have runs." }
        } @else if found.changed == 0 {
            p.empty { "No statement changed." }
        } @else if found.statements.is_empty() {
            p.empty { "No statement changed in this way." }
        } @else {
            (table(found, parameters))
            (beyond(found, parameters))
            p.note {
                "The median, p95 and the extra time of a slower statement are of runs that did not fail. The confidence is how sure it is that a change is no chance, among all statements. "
                "With few runs it is that of the statement alone, and of a new statement how sure it is that it is not only rare."
            }
        }
    }
}

/// Says how many of the statements the page shows, if it does not show all, with a link to more.
fn beyond(found: &Regressions, parameters: &Parameters) -> Markup {
    let (shown, all) = (found.statements.len(), found.chosen);
    let limit = all.min(Count::<50>::MAX as usize);
    html! {
        @if shown < all {
            p {
                (format::integer(shown as i64)) " of " (format::integer(all as i64)) " statements are shown. "
                @if shown < limit {
                    a href=(address(paths::REGRESSIONS, parameters, &[("limit", &limit.to_string())])) {
                        "Show " (format::integer(limit as i64))
                    }
                }
            }
        }
    }
}

/// Returns links to the page with the statements that changed in each way, and to all.
fn change_choices(found: &Regressions, parameters: &Parameters) -> Markup {
    let chosen = parameters.all("change");
    let link = |name: &str| address(paths::REGRESSIONS, parameters, &[("change", name)]);
    html! {
        div.range {
            p { "Changes" }
            ul aria-label="Changes" {
                li {
                    a href=(link("")) aria-current=[chosen.is_empty().then_some("true")] {
                        "All (" (format::integer(found.changed as i64)) ")"
                    }
                }
                @for (kind, name, label) in ChangeKind::ALL {
                    li {
                        a href=(link(name)) aria-current=[chosen.iter().any(|it| it == name).then_some("true")] {
                            (label) " (" (format::integer(found.number_of(kind) as i64)) ")"
                        }
                    }
                }
            }
        }
    }
}

fn table(found: &Regressions, parameters: &Parameters) -> Markup {
    html! {
        div.wide-table {
            table.statements {
                thead {
                    tr {
                        th scope="col" { "Statement" }
                        th scope="col" { "Change" }
                        th.number scope="col" { "Extra time" }
                        th.number scope="col" { "Median" }
                        th.number scope="col" { "p95" }
                        th.number scope="col" { "Runs" }
                        th.number scope="col" { "Failed" }
                    }
                }
                tbody { @for statement in &found.statements { (row(statement, found, parameters)) } }
            }
        }
    }
}

fn row(statement: &Regression, found: &Regressions, parameters: &Parameters) -> Markup {
    let Regression { before, after, .. } = statement;
    let runs_of = |from_ms, to_ms| {
        paths::statement_within(statement.fingerprint, parameters, (from_ms, to_ms))
    };
    let runs = runs_of(found.from_ms, found.to_ms);
    let baseline = runs_of(found.baseline_from_ms, found.baseline_to_ms);
    let mut within = parameters.clone();
    within.set("from", found.from_ms.to_string());
    within.set("to", found.to_ms.to_string());
    let failed = paths::failed_runs_of(statement.fingerprint, &within);
    let change = |label: &'static str, before: String, after: String| {
        html! {
            td.number data-label=(label) { (before) " → " strong { (after) } }
        }
    };
    let extra = match statement.extra_ms {
        extra_ms if extra_ms < 0 => {
            format!("−{}", format::duration(Some(extra_ms.saturating_neg())))
        }
        extra_ms => format::duration(Some(extra_ms)),
    };
    html! {
        tr {
            td.statement {
                a href=(&runs) { bdi { (statement.normalized) } }
            }
            td.cause {
                ul.plain { @for change in &statement.changes { li { (changed(change, statement)) } } }
            }
            td.number.duration data-label="Extra time" { (extra) }
            (change("Median", format::duration(before.p50_ms), format::duration(after.p50_ms)))
            (change("p95", format::duration(before.p95_ms), format::duration(after.p95_ms)))
            td.number data-label="Runs" {
                @if before.count > 0 {
                    a href=(baseline) title="Runs of the baseline" { (format::number(Some(before.count))) }
                } @else { "0" }
                " → "
                a href=(runs) title="Runs of the period" { strong { (format::number(Some(after.count))) } }
            }
            td.number data-label="Failed" {
                (format::number(Some(before.errors))) " → "
                @if after.errors > 0 {
                    a href=(failed) title="Failed runs of the period" { strong { (format::number(Some(after.errors))) } }
                } @else { strong { "0" } }
            }
        }
    }
}

/// Returns a change of a statement, with what is known of it and how sure it is.
fn changed(change: &Change, statement: &Regression) -> Markup {
    let causes: Vec<&str> = statement.causes.iter().map(|cause| cause.label()).collect();
    let (before, after) = (&statement.before, &statement.after);
    let detail = match change.kind {
        ChangeKind::New => None,
        ChangeKind::Slower => (!causes.is_empty()).then(|| causes.join(", ")),
        ChangeKind::MoreFrequent => {
            statement.frequency_factor().map(|factor| format!("{factor:.1} times as often"))
        }
        ChangeKind::FailingMore => Some(format!(
            "{} → {}",
            format::percent(before.failed_part()),
            format::percent(after.failed_part())
        )),
    };
    let confidence = format::percent(change.shown_confidence());
    html! {
        strong { (change.kind.label()) }
        @if let Some(detail) = detail { ": " (detail) }
        " " span.note { "(" @if change.few_runs { "few runs, " } (confidence) ")" }
    }
}
