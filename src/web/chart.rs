//! Charts: SVG that is made here, of numbers alone. Sizes are attributes and colours classes, as the policy
//! of the pages allows no style of their own.

use maud::{Markup, html};

use super::format;
use super::history::path_of;
use super::range::Range;
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::query_parameters::address;
use crate::store::{Bucket, StoredQuery};

/// Width of a bar's place in the coordinates of a timeline.
const STEP: usize = 10;
/// The upper part of a timeline counts, the lower one sums up time.
const COUNTS_HIGH: f64 = 62.0;
const TIMES_FROM: f64 = 68.0;
const TIMES_HIGH: f64 = 32.0;

/// A share of the longest, as a bar beside its number.
pub(super) fn bar(value: i64, longest: i64) -> Markup {
    let share = if longest > 0 { value.max(0) as f64 / longest as f64 * 100.0 } else { 0.0 };
    let width = coordinate(share.clamp(0.0, 100.0));
    html! {
        svg.bar viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect width=(width) height="4" {}
        }
    }
}

/// What ran over time. Each bar is a link to its part of the range.
pub(super) fn timeline(
    buckets: &[Bucket],
    range: &Range,
    path: &str,
    parameters: &Parameters,
    zone: Zone,
) -> Markup {
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0).max(1);
    let longest = buckets.iter().map(|bucket| bucket.total_ms).max().unwrap_or(0).max(1);
    let (count, errors, total_ms) = buckets.iter().fold((0, 0, 0), |sum, bucket| {
        (sum.0 + bucket.count, sum.1 + bucket.errors, sum.2 + bucket.total_ms)
    });
    let size = format!("0 0 {} 100", buckets.len() * STEP);
    let part = range.width_text();
    let sentence = format!(
        "{}, {} failed, {} in all; at most {} and {} in each {part}",
        queries(count),
        format::whole(errors),
        format::duration(Some(total_ms)),
        queries(most),
        format::duration(Some(longest)),
    );
    html! {
        figure.timeline {
            figcaption {
                span.key.count { (queries(count)) }
                span.key.errors { (format::whole(errors)) " failed" }
                span.key.total { (format::duration(Some(total_ms))) " in all" }
                span.most { "a bar for each " (part) ": at most " (queries(most)) ", "
                    (format::duration(Some(longest))) }
            }
            svg viewBox=(size) preserveAspectRatio="none" role="img" aria-label=(sentence)
                data-step=(STEP) data-base=(address(path, parameters, &[("from", ""), ("to", ""), ("cursor", "")])) {
                @for (place, bucket) in buckets.iter().enumerate() {
                    (column(place, bucket, most, longest, range, path, parameters, zone))
                }
            }
            div.axis aria-hidden="true" {
                @for at in [0, buckets.len() / 2, buckets.len().saturating_sub(1)] {
                    @if let Some(bucket) = buckets.get(at) { span { (zone.text(bucket.from_ms)) } }
                }
            }
        }
    }
}

#[allow(clippy::too_many_arguments)] // what one bar is made of
fn column(
    place: usize,
    bucket: &Bucket,
    most: i64,
    longest: i64,
    range: &Range,
    path: &str,
    parameters: &Parameters,
    zone: Zone,
) -> Markup {
    let x = place * STEP;
    let from = zone.text(bucket.from_ms);
    let to = zone.text(bucket.from_ms.saturating_add(range.width_ms));
    let high = |value: i64, most: i64, high: f64| match value {
        0 => 0.0,
        _ => (value as f64 / most as f64 * high).max(1.5),
    };
    let count = high(bucket.count, most, COUNTS_HIGH);
    let errors = high(bucket.errors, most, COUNTS_HIGH);
    let time = high(bucket.total_ms, longest, TIMES_HIGH);
    let area = html! { rect.place x=(x) y="0" width=(STEP) height="100" {} };
    if bucket.count == 0 {
        return html! { g data-from=(from) data-to=(to) { (area) } };
    }
    html! {
        g data-from=(from) data-to=(to) {
            a href=(address(path, parameters, &[("from", &from), ("to", &to), ("cursor", "")])) tabindex="-1" {
                title {
                    (from) ": " (queries(bucket.count)) ", " (format::whole(bucket.errors))
                    " failed, " (format::duration(Some(bucket.total_ms))) " in all, longest "
                    (format::duration(Some(bucket.max_ms)))
                }
                (area)
                rect.count x=(x + 1) y=(coordinate(COUNTS_HIGH - count)) width=(STEP - 2) height=(coordinate(count)) {}
                @if bucket.errors > 0 {
                    rect.errors x=(x + 1) y=(coordinate(COUNTS_HIGH - errors)) width=(STEP - 2)
                        height=(coordinate(errors)) {}
                }
                rect.total x=(x + 1) y=(coordinate(TIMES_FROM + TIMES_HIGH - time)) width=(STEP - 2)
                    height=(coordinate(time)) {}
            }
        }
    }
}

/// How a number went over time, without axes.
pub(super) fn spark(values: &[i64]) -> Markup {
    let most = values.iter().copied().max().unwrap_or(0).max(1) as f64;
    let size = format!("0 0 {} 20", values.len() * 4);
    html! {
        svg.spark viewBox=(size) preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            @for (place, value) in values.iter().enumerate().filter(|(_, value)| **value > 0) {
                @let high = (*value as f64 / most * 20.0).max(1.0);
                rect x=(place * 4) y=(coordinate(20.0 - high)) width="3" height=(coordinate(high)) {}
            }
        }
    }
}

/// Runs of a statement: when each was, and how long it took. Each is a link; `this` one is marked.
pub(super) fn runs(runs: &[StoredQuery], this: Option<&str>, zone: Zone) -> Markup {
    let timed: Vec<(&StoredQuery, i64, i64)> = runs
        .iter()
        .filter_map(|run| Some((run, run.started_ms?, run.duration_ms?.max(0))))
        .collect();
    let starts = || timed.iter().map(|(_, started_ms, _)| *started_ms);
    let (Some(first), Some(last)) = (starts().min(), starts().max()) else {
        return html! { p.empty { "Nobody told when it ran, or for how long." } };
    };
    let longest = timed.iter().map(|(.., duration_ms)| *duration_ms).max().unwrap_or(0);
    let span = (last.saturating_sub(first) as f64).max(1.0);
    let sentence =
        format!("{} runs, the longest took {}", timed.len(), format::duration(Some(longest)));
    html! {
        figure.runs {
            figcaption {
                (format::whole(timed.len() as i64)) " runs, the highest " (format::duration(Some(longest)))
            }
            svg viewBox="0 0 1000 120" preserveAspectRatio="none" role="group" aria-label=(sentence) {
                line.ground x1="0" y1="120" x2="1000" y2="120" {}
                @for (run, started_ms, duration_ms) in &timed {
                    @let x = started_ms.saturating_sub(first) as f64 / span * 1000.0;
                    @let x = if first == last { 500.0 } else { x };
                    @let y = 120.0 - *duration_ms as f64 / (longest as f64).max(1.0) * 120.0;
                    @let here = this == Some(run.query_id.as_str());
                    @let outcome = format::Outcome::of(run.state.as_deref(), run.is_failed()).class();
                    a href=(path_of(&run.query_id)) aria-current=[here.then_some("true")] {
                        title {
                            (zone.text(*started_ms)) ": " (format::duration(Some(*duration_ms))) " "
                            (run.state.as_deref().unwrap_or_default())
                        }
                        // A line to itself with round ends is a dot, however the picture is stretched.
                        path class={ "run " (outcome) }
                            d={ "M" (coordinate(x)) " " (coordinate(y)) "h0" } {}
                    }
                }
            }
            div.axis aria-hidden="true" { span { (zone.text(first)) } span { (zone.text(last)) } }
        }
    }
}

fn queries(count: i64) -> String {
    format!("{} {}", format::whole(count), if count == 1 { "query" } else { "queries" })
}

fn coordinate(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}
