//! `/usage`: who used the cluster in a time range, beside an earlier one. `/usage/<id>`: what ran beside a query.

mod chart;
mod during;
mod tables;

use std::sync::Arc;

use maud::{Markup, html};
use warp::filters::BoxedFilter;

use self::tables::UsageTables;
use super::filter_form::{self, cluster_choices};
use super::layout::{NavItem, Page};
use super::range_form::picker;
use super::regressions::baseline_choices;
use super::report_cache::{Report, ReportCache};
use super::request::{PageRequests, page_route, query_filter};
use super::statements::EXCERPT_CHARS;
use super::time_range::TimeRange;
use super::{format, nearest, paths};
use crate::domain::baseline::Baseline;
use crate::domain::filter::QueryFilter;
use crate::domain::time::Zone;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::query_parameters::BaselineText;
use crate::http::view::View;
use crate::http::{Parameters, any_of};
use crate::store::{Usage, UsageGroups, UsageOrder, Visibility, Watch};

/// Rows of each kind where the address names no limit.
const ROWS: u32 = 10;
const DAY_MS: i64 = 86_400_000;
/// The baselines that the page offers as links: how many days before, and what a range is called that they reach.
const BASELINES: [(&str, i64, &str); 3] =
    [("1d", 1, "the day before"), ("7d", 7, "the week before"), ("28d", 28, "four weeks before")];

/// The most bytes of the reports in the cache.
const CACHE_BYTES: usize = 8 << 20;

/// What the page shows. None for an empty history.
type Shown = Option<(TimeRange, Usage)>;

/// Whose queries are counted, and what the address selects.
type Key = (Visibility, QueryFilter, Baseline, UsageOrder);

type Reports = ReportCache<Key, Shown>;

fn weigh(_: &Key, report: Option<&Report<Shown>>) -> usize {
    // A row with its name, or a step.
    const ROW_BYTES: usize = 1000;
    let Some((_, usage)) = report.and_then(|report| report.value.as_ref()) else { return 1000 };
    let rows: usize = groups(usage).iter().map(|(_, groups)| groups.rows.len()).sum();
    1000 + (rows + usage.concurrency.len()) * ROW_BYTES
}

/// Returns the groups of a report with their kinds.
fn groups(usage: &Usage) -> [(tables::Kind, &UsageGroups); 6] {
    let Usage { users, dbs, tables, clients, clusters, statements, .. } = usage;
    tables::KINDS.map(|kind| match kind {
        tables::Kind::User => (kind, users),
        tables::Kind::Db => (kind, dbs),
        tables::Kind::Table => (kind, tables),
        tables::Kind::Client => (kind, clients),
        tables::Kind::Cluster => (kind, clusters),
        tables::Kind::Statement => (kind, statements),
    })
}

pub(super) fn route(requests: PageRequests, watch: Arc<Watch>) -> BoxedFilter<(Answer,)> {
    let reports = Arc::new(ReportCache::new(watch, CACHE_BYTES, weigh));
    let usage = page_route("/usage", requests.clone(), move |_, request| {
        let reports = reports.clone();
        request.answer(&["limit", "order", "baseline"], |view, parameters| {
            page(view, parameters, reports)
        })
    });
    any_of([usage, during::route(requests)])
}

async fn page(view: View, parameters: Parameters, reports: Arc<Reports>) -> Result<Page, ApiError> {
    let text = parameters.get("baseline").filter(|text| !text.is_empty()).cloned();
    let baseline = text.clone().map(|text| BaselineText(text).baseline(view.zone)).transpose()?;
    let baseline = baseline.unwrap_or(Baseline::DAY_BEFORE);
    let order_name = parameters.get("order").map_or("running_ms", String::as_str);
    let order = UsageOrder::NAMES.into_iter().find(|(name, _)| *name == order_name);
    let (_, order) = order.ok_or_else(|| {
        let names = UsageOrder::NAMES.map(|(name, _)| name).join(", ");
        ApiError::BadRequest(format!("order must be one of {names}"))
    })?;
    let mut filter = query_filter(&view, &parameters)?;
    if !parameters.contains_key("limit") {
        filter.limit = ROWS;
    }
    let key = (view.visibility(), filter.clone(), baseline, order);
    let report = read(view.clone(), filter.clone(), baseline, order);
    let report = reports.get_for_page(key, report).await?;
    let nearest = match &report.value {
        Some((range, usage)) if usage.total.now.count == 0 => {
            nearest::sentence(&view, &range.restrict(&filter), &parameters).await?
        }
        _ => None,
    };
    let range = match &report.value {
        Some((range, _)) => Some(*range),
        None => TimeRange::of(&view, &filter).await?,
    };
    let times = report.value.as_ref().map(|(_, usage)| (usage.from_ms, usage.to_ms));
    let (baselines, chosen) = baselines(times, baseline, text.as_deref().unwrap_or("1d"));
    let clusters = view.several_clusters().await?;
    let body = html! {
        h1 { "Who used the cluster" }
        p.note { "What ran in a time range, whenever it started, beside an earlier range of the same length." }
        (picker(paths::USAGE, &parameters, view.zone, range.as_ref()))
        (cluster_choices(&clusters, paths::USAGE, &parameters))
        (baseline_choices(paths::USAGE, &baselines, chosen, &parameters))
        (filter_form::chosen(paths::USAGE, &parameters, view.zone))
        @match &report.value {
            Some((range, usage)) => {
                @let tables = UsageTables {
                    parameters: &parameters,
                    range: (usage.from_ms, usage.to_ms),
                    began: "began before",
                    order: Some(order),
                    has_baseline: has_baseline(usage),
                    has_clusters: !clusters.is_empty(),
                };
                (report_of(usage, range, &tables, view.zone))
                @if usage.total.now.count == 0 {
                    p.empty { "Nothing ran in this range. " @if let Some(nearest) = nearest { (nearest) } }
                    (filter_form::several_values(paths::USAGE, &parameters))
                }
            }
            None => p.empty { (nothing(&view).await?) },
        }
    };
    Ok(Page { title: "Usage".to_string(), nav: Some(NavItem::Usage), body })
}

/// Returns the baselines with what they are of a range, and the name of the chosen one. Of a range that is longer than the time
/// before, a baseline is further back: of those that are one period, the last is there alone.
fn baselines(
    range: Option<(i64, i64)>,
    chosen: Baseline,
    chosen_name: &str,
) -> (Vec<(&'static str, String)>, &str) {
    let period =
        |baseline: Baseline| range.map(|(from_ms, to_ms)| baseline.same_length(from_ms, to_ms));
    let before = |days: i64| Baseline::Before(days * DAY_MS);
    let is_same = |one: Baseline, other: Baseline| {
        one == other || period(one).is_some_and(|it| period(other) == Some(it))
    };
    let shown = BASELINES.iter().enumerate().filter(|(at, (_, days, _))| {
        !BASELINES[at + 1..].iter().any(|(_, later, _)| is_same(before(*days), before(*later)))
    });
    let label = |days: i64, usual: &str| {
        let Some((from_ms, to_ms)) = range else { return usual.to_string() };
        let (before_ms, end_ms) = before(days).same_length(from_ms, to_ms);
        let days_back = from_ms.saturating_sub(before_ms) / DAY_MS;
        match days_back == days {
            true => usual.to_string(),
            // No time is between both.
            false if end_ms == from_ms => format!("the {days_back} days before"),
            false => format!("{days_back} days before"),
        }
    };
    let current = BASELINES.iter().rev().find(|(_, days, _)| is_same(before(*days), chosen));
    let shown = shown.map(|(_, (name, days, usual))| (*name, label(*days, usual)));
    (shown.collect(), current.map_or(chosen_name, |(name, ..)| name))
}

/// Returns why there is nothing to show.
async fn nothing(view: &View) -> Result<String, ApiError> {
    let span = view.span().await?;
    let time = |ms| view.zone.format_ms(ms);
    Ok(span.map_or("The history is empty.".to_string(), |(first_ms, last_ms)| {
        format!(
            "Nothing ran in this range. The history is from {} to {}.",
            time(first_ms),
            time(last_ms)
        )
    }))
}

async fn read(
    view: View,
    filter: QueryFilter,
    baseline: Baseline,
    order: UsageOrder,
) -> Result<Shown, ApiError> {
    let Some((from_ms, to_ms)) = view.usage_range(&filter).await? else { return Ok(None) };
    let filter = QueryFilter { from_ms: Some(from_ms), to_ms: Some(to_ms), ..filter };
    let Some(range) = TimeRange::of(&view, &filter).await? else { return Ok(None) };
    let mut usage = view.usage(&filter, baseline, (order, range.steps())).await?;
    for row in &mut usage.statements.rows {
        row.name = row.name.as_ref().map(|text| format::excerpt(text, EXCERPT_CHARS));
    }
    Ok(Some((range, usage)))
}

fn report_of(usage: &Usage, range: &TimeRange, tables: &UsageTables<'_>, zone: Zone) -> Markup {
    html! {
        (compared(usage, zone))
        @if usage.total.now.count > 0 || has_baseline(usage) {
            (tables.total(&usage.total))
            section aria-labelledby="at-once" {
                h2 #at-once { "Queries at once" }
                (chart::concurrency(usage, range, tables.parameters, zone))
            }
        }
        @if usage.total.now.count > 0 {
            (tables.sections(groups(usage)))
            p.note {
                (tables::MEANING) " The runs and the failed ones lead to History, where a run that began before the range is missing."
            }
        }
    }
}

/// Returns whether anything ran in the baseline.
fn has_baseline(usage: &Usage) -> bool {
    usage.total.before.as_ref().is_some_and(|before| before.count > 0)
}

/// Says what is compared, and what of it is special.
fn compared(usage: &Usage, zone: Zone) -> Markup {
    html! {
        p {
            @if usage.is_cut { (format::range(usage.from_ms, usage.to_ms, zone)) ", beside " } @else { "Beside " }
            (format::range(usage.baseline_from_ms, usage.baseline_to_ms, zone))
            @if !has_baseline(usage) { ", in which nothing ran" }
            "."
            (running(usage.still_running))
        }
        @if usage.is_cut {
            p.error { "More than a million queries started in the range or the earlier one: only this part of both was read. Choose a shorter range." }
        }
    }
}

/// Says how many runs have no end.
fn running(still_running: i64) -> Markup {
    html! {
        @if still_running > 0 {
            " " (format::counted(still_running, "run was", "runs were")) " last reported as running."
        }
    }
}
