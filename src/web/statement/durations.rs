//! The chart of how long the runs of a statement took, over the whole range of its page.

use maud::{Markup, html};

use crate::domain::filter::QueryFilter;
use crate::domain::statistics::Durations;
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::store::{Group, GroupBy, StoreError};
use crate::web::chart::{DurationsPart, durations};
use crate::web::time_range::TimeRange;

/// Returns the section of the chart; none for a range of one hour, which has one column.
pub(super) async fn section(
    view: &View,
    filter: &QueryFilter,
    range: &TimeRange,
    (path, parameters): (&str, &Parameters),
) -> Result<Option<Markup>, ApiError> {
    let range = range.in_hours();
    let chart = match view.top(filter, GroupBy::Hour(Zone::UTC)).await {
        // The page has more than this chart.
        Err(StoreError::TimedOut(_) | StoreError::Overloaded) => {
            html! { p.note { "The chart is missing: reading the runs took too long." } }
        }
        groups => {
            let parts = parts(&groups?, &range);
            if parts.len() < 2 {
                return Ok(None);
            }
            durations(&parts, &range, (path, parameters), view.zone)
        }
    };
    Ok(Some(html! {
        section aria-labelledby="durations" {
            h2 #durations { "Durations over time" }
            (chart)
        }
    }))
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
