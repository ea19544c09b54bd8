//! `/regressions`: the statements that got slower since an earlier period.

use std::sync::Arc;

use maud::{Markup, Render, html};
use warp::Filter;
use warp::filters::BoxedFilter;

use super::filter_form::{self, cluster_choices};
use super::layout::{NavItem, Page};
use super::range_form::picker;
use super::report_cache::{Report, ReportCache};
use super::request::{PageRequest, PageRequests, query_filter};
use super::statements::{EXCERPT_CHARS, tabs};
use super::time_range::TimeRange;
use super::{format, paths};
use crate::domain::baseline::Baseline;
use crate::domain::filter::QueryFilter;
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::query_parameters::{BaselineText, address};
use crate::http::view::View;
use crate::store::{Regression, Regressions, Visibility, Watch};

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
type Key = (Visibility, QueryFilter, Baseline);

type Reports = ReportCache<Key, Option<Regressions>>;

fn weigh(_: &Key, report: Option<&Report<Option<Regressions>>>) -> usize {
    // A row with what the page shows of its statement.
    const ROW_BYTES: usize = 1000;
    let rows = report.and_then(|report| report.value.as_ref()).map_or(0, |it| it.statements.len());
    1000 + rows * ROW_BYTES
}

pub(super) fn route(requests: PageRequests, watch: Arc<Watch>) -> BoxedFilter<(Answer,)> {
    let reports = Arc::new(ReportCache::new(watch, CACHE_BYTES, weigh));
    warp::path!("regressions")
        .and(requests)
        .then(move |request: PageRequest| {
            let reports = reports.clone();
            request
                .answer(&["limit", "baseline"], |view, parameters| page(view, parameters, reports))
        })
        .boxed()
}

async fn page(view: View, parameters: Parameters, reports: Arc<Reports>) -> Result<Page, ApiError> {
    let text = parameters.get("baseline").filter(|text| !text.is_empty()).cloned();
    let baseline = text.clone().map(|text| BaselineText(text).baseline(view.zone)).transpose()?;
    let baseline = baseline.unwrap_or_default();
    let filter = query_filter(&view, &parameters)?;
    let key = (view.visibility(), filter.clone(), baseline);
    let report = reports.get_for_page(key, read(view.clone(), filter.clone(), baseline)).await?;
    let range = TimeRange::of(&view, &filter).await?;
    let body = html! {
        h1 { "Statements" }
        (tabs(paths::REGRESSIONS, &parameters))
        p.note { "Statements whose runs take longer than in an earlier period, by more than chance explains. The first costs most time." }
        (picker(paths::REGRESSIONS, &parameters, view.zone, range.as_ref()))
        (baseline_choices(paths::REGRESSIONS, &BASELINES, text.as_deref().unwrap_or("7d"), &parameters))
        (cluster_choices(&view.several_clusters().await?, paths::REGRESSIONS, &parameters))
        (filter_form::chosen(paths::REGRESSIONS, &parameters, view.zone))
        @match &report.value {
            Some(found) => {
                @if let Some(unread) = format::unread_profiles(found.unread_profiles) { (unread) }
                (comparison(found, &parameters, view.zone))
            }
            None => p.empty { "The history is empty." },
        }
    };
    Ok(Page { title: "What got slower".to_string(), nav: Some(NavItem::Statements), body })
}

async fn read(
    view: View,
    filter: QueryFilter,
    baseline: Baseline,
) -> Result<Option<Regressions>, ApiError> {
    let mut found = view.regressions(&filter, baseline).await?;
    for statement in found.iter_mut().flat_map(|found| &mut found.statements) {
        statement.normalized = format::excerpt(&statement.normalized, EXCERPT_CHARS);
    }
    Ok(found)
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

fn comparison(found: &Regressions, parameters: &Parameters, zone: Zone) -> Markup {
    html! {
        p {
            (format::range(found.from_ms, found.to_ms, zone)) ", compared with "
            (format::range(found.baseline_from_ms, found.baseline_to_ms, zone)) ": "
            (format::counted(found.compared, "statement", "statements")) " ran at least 8 times in both. The median and p95 are of all runs, including failed ones."
            @if let Some(factor) = found.slower_cluster() {
                " The whole cluster got slower: a typical statement took " (format!("{factor:.1}")) " times as long."
            }
        }
        @if found.compared == 0 {
            p.empty { "No statement ran often enough to be compared. Another baseline may have more runs." }
        } @else if found.statements.is_empty() {
            p.empty { "No statement got slower." }
        } @else {
            (table(found, parameters))
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
                        th.number scope="col" { "More time" }
                        th.number scope="col" { "Median" }
                        th.number scope="col" { "p95" }
                        th.number scope="col" { "Runs" }
                        th.number scope="col" { "Confidence" }
                        th scope="col" { "Cause" }
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
    let change = |label: &'static str, before: String, after: String| {
        html! {
            td.number data-label=(label) { (before) " → " strong { (after) } }
        }
    };
    let causes: Vec<&str> = statement.causes.iter().map(|cause| cause.label()).collect();
    html! {
        tr {
            td.statement {
                a href=(&runs) { bdi { (statement.normalized) } }
            }
            td.number.duration data-label="More time" { (format::duration(Some(statement.extra_ms))) }
            (change("Median", format::duration(before.p50_ms), format::duration(after.p50_ms)))
            (change("p95", format::duration(before.p95_ms), format::duration(after.p95_ms)))
            td.number data-label="Runs" {
                a href=(baseline) title="Runs of the baseline" { (format::number(Some(before.count))) } " → "
                a href=(runs) title="Runs of the period" { strong { (format::number(Some(after.count))) } }
            }
            td.number data-label="Confidence" { (format::percent(statement.shown_confidence())) }
            @if causes.is_empty() { td.cause {} } @else { td.cause data-label="Cause" { (causes.join(", ")) } }
        }
    }
}
