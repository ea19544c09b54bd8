//! The chart of how long the runs of a statement took, over the whole range of its page.

use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};

use crate::domain::filter::QueryFilter;
use crate::domain::statistics::Durations;
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::store::{Group, GroupBy, Visibility, Watch};
use crate::web::chart::{DurationsPart, durations};
use crate::web::report_cache::{Report, ReportCache};
use crate::web::time_range::TimeRange;

/// A page that has read all else waits this long for its chart, and is then sent without the chart. A filter that summaries of hours do not know takes
/// seconds for a million runs.
const PAGE_WAIT: Duration = Duration::from_secs(1);
/// The most bytes of the charts in the cache.
const CACHE_BYTES: usize = 4 << 20;

/// The parts of a range; None for an empty history.
type Chart = Option<(TimeRange, Vec<DurationsPart>)>;

/// What the reader may see, and the filter of the page.
type Key = (Visibility, QueryFilter);

pub(super) type Charts = ReportCache<Key, Chart>;

/// Returns an empty cache of charts.
pub(super) fn charts(watch: Arc<Watch>) -> Arc<Charts> {
    Arc::new(ReportCache::new(watch, CACHE_BYTES, weigh))
}

fn weigh(_: &Key, report: Option<&Report<Chart>>) -> usize {
    let chart = report.and_then(|report| report.value.as_ref());
    1000 + chart.map_or(0, |(_, parts)| parts.len() * size_of::<DurationsPart>())
}

/// Returns the section of the chart; none for a range of one hour, which has one column.
pub(super) async fn section(
    view: &View,
    filter: &QueryFilter,
    charts: &Arc<Charts>,
    page: (&str, &Parameters),
) -> Result<Option<Markup>, ApiError> {
    let key = (view.visibility(), filter.clone());
    let chart = charts.get_for_page(key, compute(view.clone(), filter.clone()));
    let chart = match tokio::time::timeout(PAGE_WAIT, chart).await {
        Err(_) => {
            html! { p.note { "The chart is still being computed. Reload the page to see it." } }
        }
        // The page has more than this chart.
        Ok(Err(ApiError::Busy(_))) => {
            html! { p.note { "The chart is missing: reading the runs took too long." } }
        }
        Ok(chart) => match &chart?.value {
            Some((range, parts)) if parts.len() > 1 => durations(parts, range, page, view.zone),
            _ => return Ok(None),
        },
    };
    Ok(Some(html! {
        section aria-labelledby="durations" {
            h2 #durations { "Durations over time" }
            (chart)
        }
    }))
}

async fn compute(view: View, filter: QueryFilter) -> Result<Chart, ApiError> {
    let Some(range) = TimeRange::or_whole(&view, &filter).await? else { return Ok(None) };
    let range = range.in_hours();
    let hours = view.top(&range.restrict(&filter), GroupBy::Hour(Zone::UTC)).await?;
    Ok(Some((range, parts(&hours, &range))))
}

/// Puts the hours of a range together to its parts.
fn parts(hours: &[Group], range: &TimeRange) -> Vec<DurationsPart> {
    let begins: Vec<i64> = range.begins().collect();
    let mut sums = vec![(0, Durations::default()); begins.len()];
    for hour in hours {
        let at = hour.first_ms.and_then(|ms| range.position(ms));
        if let Some((runs, durations)) = at.and_then(|at| sums.get_mut(at)) {
            *runs += hour.count;
            durations.add_all(&hour.durations);
        }
    }
    let parts = begins.into_iter().zip(sums).map(|(from_ms, (runs, durations))| DurationsPart {
        from_ms,
        runs,
        p50_ms: durations.percentile(50),
        p95_ms: durations.percentile(95),
    });
    parts.collect()
}
