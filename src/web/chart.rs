//! Charts as SVG. All their content is numbers and escaped text. Sizes are attributes and colours are classes,
//! because the content security policy of the pages forbids inline styles.

use maud::{Markup, html};

use super::time_range::TimeRange;
use super::{format, paths};
use crate::domain::record::Kind;
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::query_parameters::address;
use crate::store::{Bucket, StoredQuery};

/// The width of a column of a timeline, in the coordinates of its SVG.
const COLUMN_WIDTH: usize = 10;
/// The upper part of a timeline shows counts, the lower part the sum of durations.
const COUNT_HEIGHT: f64 = 62.0;
const DURATION_TOP: f64 = 68.0;
const DURATION_HEIGHT: f64 = 32.0;

/// Returns a bar as long as `value` is of `max`. The number itself belongs beside the bar.
pub(super) fn bar(value: i64, max: i64) -> Markup {
    let share = if max > 0 { value.max(0) as f64 / max as f64 * 100.0 } else { 0.0 };
    let width = coordinate(share.clamp(0.0, 100.0));
    html! {
        svg.bar viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect width=(width) height="4" {}
        }
    }
}

/// Returns a chart of how many queries or loads ran in each part of a range, and for how long. Each column is a link to its
/// part of the range.
pub(super) fn timeline(
    buckets: &[Bucket],
    range: &TimeRange,
    kind: Kind,
    (path, parameters): (&str, &Parameters),
    zone: Zone,
) -> Markup {
    let queries = |count: i64| format::counted(count, kind.name(), kind.plural());
    let max_count = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0);
    let max_total_ms = buckets.iter().map(|bucket| bucket.total_ms).max().unwrap_or(0);
    let (count, errors, total_ms) = buckets.iter().fold((0, 0, 0), |sum, bucket| {
        (sum.0 + bucket.count, sum.1 + bucket.errors, sum.2 + bucket.total_ms)
    });
    let (count, errors) = (queries(count), format::integer(errors));
    let total = format::duration(Some(total_ms));
    let peaks = format!(
        "at most {} and {} per {}",
        queries(max_count),
        format::duration(Some(max_total_ms)),
        range.width_text(),
    );
    let size = format!("0 0 {} 100", buckets.len() * COLUMN_WIDTH);
    let all_time = address(path, parameters, &[("from", ""), ("to", ""), ("cursor", "")]);
    let columns = Columns { range, kind, path, parameters, zone, max_count, max_total_ms };
    html! {
        figure.timeline {
            figcaption {
                span.key.count { (count) }
                span.key.errors { (errors) " failed" }
                span.key.total { (total) " total duration" }
                span.peaks { (peaks) }
            }
            svg viewBox=(size) preserveAspectRatio="none" role="group"
                aria-label={ (count) ", " (errors) " failed, " (total) " total duration; " (peaks) }
                data-step=(COLUMN_WIDTH) data-base=(all_time) {
                @for (index, bucket) in buckets.iter().enumerate() { (columns.column(index, bucket)) }
            }
            div.axis aria-hidden="true" {
                @for index in [0, buckets.len() / 2, buckets.len().saturating_sub(1)] {
                    @if let Some(bucket) = buckets.get(index) { span { (zone.format_ms(range.part(bucket.from_ms).0)) } }
                }
            }
        }
    }
}

/// What the columns of a timeline have in common.
struct Columns<'a> {
    range: &'a TimeRange,
    kind: Kind,
    path: &'a str,
    parameters: &'a Parameters,
    zone: Zone,
    max_count: i64,
    max_total_ms: i64,
}

impl Columns<'_> {
    fn column(&self, index: usize, bucket: &Bucket) -> Markup {
        let x = index * COLUMN_WIDTH;
        let (from_ms, to_ms) = self.range.part(bucket.from_ms);
        let [from, to] = [from_ms, to_ms].map(|ms| format::instant(ms, self.zone));
        let area = html! { rect.area x=(x) y="0" width=(COLUMN_WIDTH) height="100" {} };
        if bucket.count == 0 {
            return html! { g data-from=(from) data-to=(to) { (area) } };
        }
        let part = [("from", from.as_str()), ("to", &to), ("cursor", "")];
        let bar = |class: &str, bottom: f64, height: f64| column(class, x, bottom, height);
        let count_height = |count| bar_height(count, self.max_count, COUNT_HEIGHT);
        let duration = bar_height(bucket.total_ms, self.max_total_ms, DURATION_HEIGHT);
        html! {
            g data-from=(from) data-to=(to) {
                a href=(address(self.path, self.parameters, &part)) tabindex="-1" {
                    title {
                        (self.zone.format_ms(from_ms)) ": " (format::counted(bucket.count, self.kind.name(), self.kind.plural())) ", " (format::integer(bucket.errors))
                        " failed, " (format::duration(Some(bucket.total_ms))) " total duration, longest "
                        (format::duration(Some(bucket.max_ms)))
                    }
                    (area)
                    (bar("count", COUNT_HEIGHT, count_height(bucket.count)))
                    @if bucket.errors > 0 { (bar("errors", COUNT_HEIGHT, count_height(bucket.errors))) }
                    (bar("total", DURATION_TOP + DURATION_HEIGHT, duration))
                }
            }
        }
    }
}

/// The runs of a statement in one part of a range.
#[derive(Debug)]
pub(super) struct DurationsPart {
    pub from_ms: i64,
    pub runs: i64,
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
}

/// Returns a chart of the median and the 95th percentile of the durations in each part of a range, above the number of runs.
/// Each column is a link to its part of the range.
pub(super) fn durations(
    parts: &[DurationsPart],
    range: &TimeRange,
    (path, parameters): (&str, &Parameters),
    zone: Zone,
) -> Markup {
    let largest = |value: fn(&DurationsPart) -> Option<i64>| parts.iter().filter_map(value).max();
    let (max_p50_ms, max_p95_ms) = (largest(|part| part.p50_ms), largest(|part| part.p95_ms));
    let max_runs = largest(|part| Some(part.runs)).unwrap_or(0);
    let max_ms = max_p95_ms.unwrap_or(0).max(1);
    let median = format!("median, at most {}", format::duration(max_p50_ms));
    let p95 = format!("p95, at most {}", format::duration(max_p95_ms));
    let runs = format!("at most {}", format::counted(max_runs, "run", "runs"));
    let width = format!("per {}", range.width_text());
    let size = format!("0 0 {} 100", parts.len() * COLUMN_WIDTH);
    let link = |from: &str, to: &str| address(path, parameters, &[("from", from), ("to", to)]);
    html! {
        figure.timeline {
            figcaption {
                span.key.count { (median) }
                span.key.peak { (p95) }
                span.key.total { (runs) }
                span.peaks { (width) }
            }
            svg viewBox=(size) preserveAspectRatio="none" role="group"
                aria-label={ (median) "; " (p95) "; " (runs) " " (width) }
                data-step=(COLUMN_WIDTH) data-base=(link("", "")) {
                @for (index, part) in parts.iter().enumerate() {
                    @let (from_ms, to_ms) = range.part(part.from_ms);
                    @let (from, to) = (format::instant(from_ms, zone), format::instant(to_ms, zone));
                    @let x = index * COLUMN_WIDTH;
                    g data-from=(from) data-to=(to) {
                        @if part.runs == 0 {
                            rect.area x=(x) y="0" width=(COLUMN_WIDTH) height="100" {}
                        } @else {
                            a href=(link(&from, &to)) tabindex="-1" {
                                title {
                                    (zone.format_ms(from_ms)) ": " (format::counted(part.runs, "run", "runs"))
                                    ", median " (format::duration(part.p50_ms)) ", p95 " (format::duration(part.p95_ms))
                                }
                                rect.area x=(x) y="0" width=(COLUMN_WIDTH) height="100" {}
                                (column("peak", x, COUNT_HEIGHT, bar_height(part.p95_ms.unwrap_or(0), max_ms, COUNT_HEIGHT)))
                                (column("count", x, COUNT_HEIGHT, bar_height(part.p50_ms.unwrap_or(0), max_ms, COUNT_HEIGHT)))
                                (column("total", x, DURATION_TOP + DURATION_HEIGHT, bar_height(part.runs, max_runs, DURATION_HEIGHT)))
                            }
                        }
                    }
                }
            }
            div.axis aria-hidden="true" {
                @for index in [0, parts.len() / 2, parts.len().saturating_sub(1)] {
                    @if let Some(part) = parts.get(index) { span { (zone.format_ms(range.part(part.from_ms).0)) } }
                }
            }
        }
    }
}

/// Returns the bar of a column at `x`.
fn column(class: &str, x: usize, bottom: f64, height: f64) -> Markup {
    html! {
        rect class=(class) x=(x + 1) y=(coordinate(bottom - height)) width=(COLUMN_WIDTH - 2)
            height=(coordinate(height)) {}
    }
}

/// Returns the height of a bar. Every value above 0 is visible.
fn bar_height(value: i64, max: i64, height: f64) -> f64 {
    if value <= 0 { 0.0 } else { (value as f64 / max as f64 * height).max(1.5) }
}

/// Returns a small chart of values over time, without axes.
pub(super) fn sparkline(values: &[i64]) -> Markup {
    let max = values.iter().copied().max().unwrap_or(0).max(1) as f64;
    let size = format!("0 0 {} 20", values.len() * 4);
    html! {
        svg.sparkline viewBox=(size) preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            @for (index, value) in values.iter().enumerate().filter(|(_, value)| **value > 0) {
                @let height = (*value as f64 / max * 20.0).max(1.0);
                rect x=(index * 4) y=(coordinate(20.0 - height)) width="3" height=(coordinate(height)) {}
            }
        }
    }
}

/// Returns a chart of runs by start and duration. Each run is a link, which the keyboard passes over: there may be hundreds,
/// and a list has them, too. The run with the id `current` is marked, and links keep what the `page` chose. `colour`
/// returns the class of a run's colour, if it has one of its own.
pub(super) fn runs(
    runs: &[StoredQuery],
    (current, page): (Option<&str>, &Parameters),
    colour: &dyn Fn(&StoredQuery) -> Option<String>,
    zone: Zone,
) -> Markup {
    let timed: Vec<(&StoredQuery, i64, i64)> = runs
        .iter()
        .filter_map(|run| Some((run, run.started_ms?, run.duration_ms?.max(0))))
        .collect();
    let starts = || timed.iter().map(|(_, started_ms, _)| *started_ms);
    let (Some(first_ms), Some(last_ms)) = (starts().min(), starts().max()) else {
        return html! { p.empty { "No run has both a start and a duration." } };
    };
    let max_ms = timed.iter().map(|(.., duration_ms)| *duration_ms).max().unwrap_or(0);
    let caption = format!(
        "{}, longest {}",
        format::counted(timed.len(), "run", "runs"),
        format::duration(Some(max_ms))
    );
    let span_ms = (last_ms.saturating_sub(first_ms) as f64).max(1.0);
    let x = |started_ms: i64| match first_ms == last_ms {
        true => 500.0,
        false => started_ms.saturating_sub(first_ms) as f64 / span_ms * 1000.0,
    };
    let y = |duration_ms: i64| 120.0 - duration_ms as f64 / (max_ms as f64).max(1.0) * 120.0;
    html! {
        figure.runs {
            figcaption { (caption) }
            svg viewBox="0 0 1000 120" preserveAspectRatio="none" role="group" aria-label=(caption) {
                line.ground x1="0" y1="120" x2="1000" y2="120" {}
                @for (run, started_ms, duration_ms) in &timed {
                    (dot(run, (x(*started_ms), y(*duration_ms)), (current, page), colour(run), zone))
                }
            }
            div.axis aria-hidden="true" { span { (zone.format_ms(first_ms)) } span { (zone.format_ms(last_ms)) } }
        }
    }
}

fn dot(
    run: &StoredQuery,
    (x, y): (f64, f64),
    (current, page): (Option<&str>, &Parameters),
    colour: Option<String>,
    zone: Zone,
) -> Markup {
    let is_current = current == Some(run.query_id.as_str());
    let outcome = format::Outcome::of(run.state.as_deref(), run.is_failed()).class();
    html! {
        a href=(paths::keeping(&paths::query(&run.query_id), page)) tabindex="-1" aria-current=[is_current.then_some("true")] {
            title {
                (zone.format_ms(run.started_ms.unwrap_or_default())) ": " (format::duration(run.duration_ms)) " "
                (run.state.as_deref().unwrap_or_default())
            }
            // A line of no length with round ends is a dot, however the SVG is stretched.
            path class={ "run " (colour.unwrap_or_default()) " " (outcome) } d={ "M" (coordinate(x)) " " (coordinate(y)) "h0" } {}
        }
    }
}

fn coordinate(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}
