//! The chart of how many queries ran at once.

use maud::{Markup, html};

use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::query_parameters::address;
use crate::store::{ConcurrencyStep, Usage};
use crate::web::time_range::TimeRange;
use crate::web::{format, paths};

/// The width of a column, in the coordinates of the SVG.
const COLUMN_WIDTH: usize = 10;
const HEIGHT: f64 = 100.0;

/// Returns the chart of a range, with the peaks of the baseline as a line. Each column is a link to its part of the range.
pub(super) fn concurrency(
    usage: &Usage,
    range: &TimeRange,
    parameters: &Parameters,
    zone: Zone,
) -> Markup {
    let before = Some(usage.baseline_concurrency.as_slice()).filter(|steps| peak(steps) > 0);
    let all_time = address(paths::USAGE, parameters, &[("from", ""), ("to", "")]);
    let link =
        |from: &str, to: &str| address(paths::USAGE, parameters, &[("from", from), ("to", to)]);
    let width = format!("per {}", range.width_text());
    let to_ms = usage.to_ms;
    Chart { steps: &usage.concurrency, before, to_ms, zone }
        .figure(&width, Some((&all_time, &link)))
}

/// Returns the chart of what ran beside a query.
pub(super) fn beside(steps: &[ConcurrencyStep], to_ms: i64, zone: Zone) -> Markup {
    Chart { steps, before: None, to_ms, zone }.figure("", None)
}

/// What makes the address of a part of the range from its begin and its end.
type Link<'a> = &'a dyn Fn(&str, &str) -> String;

struct Chart<'a> {
    steps: &'a [ConcurrencyStep],
    before: Option<&'a [ConcurrencyStep]>,
    to_ms: i64,
    zone: Zone,
}

/// Returns the most runs at one moment.
fn peak(steps: &[ConcurrencyStep]) -> i64 {
    steps.iter().map(|step| step.peak).max().unwrap_or(0)
}

impl Chart<'_> {
    /// Returns the figure. `links` has the address without a range, and what makes the address of a part.
    fn figure(&self, width: &str, links: Option<(&str, Link<'_>)>) -> Markup {
        let most = peak(self.steps);
        let before = self.before.map(peak);
        let max = most.max(before.unwrap_or(0)).max(1);
        let caption = format!("at most {} at once", format::counted(most, "query", "queries"));
        let earlier =
            before.map(|before| format!("earlier range: at most {}", format::integer(before)));
        let label = [Some(caption.clone()), earlier.clone()].into_iter().flatten();
        let label = label.collect::<Vec<_>>().join("; ");
        let size = format!("0 0 {} {HEIGHT}", (self.steps.len() * COLUMN_WIDTH).max(1));
        let height =
            |runs: f64| (runs / max as f64 * HEIGHT).max(if runs > 0.0 { 1.0 } else { 0.0 });
        html! {
            figure.timeline {
                figcaption {
                    span.key.peak { (caption) }
                    span.key.count { "average" }
                    @if let Some(earlier) = &earlier { span.key.earlier { (earlier) } }
                    @if !width.is_empty() { span.peaks { (width) } }
                }
                svg viewBox=(size) preserveAspectRatio="none" role=(if links.is_some() { "group" } else { "img" }) aria-label=(label)
                    data-step=[links.map(|_| COLUMN_WIDTH)] data-base=[links.map(|(base, _)| base)] {
                    @for (index, step) in self.steps.iter().enumerate() {
                        (self.column(index, step, &height, links.map(|(_, link)| link)))
                    }
                    @if let Some(before) = self.before { path.earlier d=(line(before, &height)) {} }
                }
                div.axis aria-hidden="true" {
                    @for index in [0, self.steps.len() / 2, self.steps.len().saturating_sub(1)] {
                        @if let Some(step) = self.steps.get(index) { span { (self.zone.format_ms(step.from_ms)) } }
                    }
                }
            }
        }
    }

    fn column(
        &self,
        index: usize,
        step: &ConcurrencyStep,
        height: &dyn Fn(f64) -> f64,
        link: Option<Link<'_>>,
    ) -> Markup {
        let x = index * COLUMN_WIDTH;
        let end_ms = self.steps.get(index + 1).map_or(self.to_ms, |next| next.from_ms);
        let [from, to] = [step.from_ms, end_ms].map(|ms| format::instant(ms, self.zone));
        let bar = |class: &str, height: f64| {
            html! {
                rect class=(class) x=(x + 1) y=(coordinate(HEIGHT - height)) width=(COLUMN_WIDTH - 2)
                    height=(coordinate(height)) {}
            }
        };
        let bars = html! {
            title {
                (self.zone.format_ms(step.from_ms)) ": "
                @if step.peak == 0 { "nothing ran" } @else {
                    "at most " (format::integer(step.peak)) " at once, " (average(step.average)) " on average"
                }
            }
            rect.area x=(x) y="0" width=(COLUMN_WIDTH) height=(HEIGHT) {}
            @if step.peak > 0 {
                (bar("peak", height(step.peak as f64)))
                (bar("count", height(step.average)))
            }
        };
        html! {
            g data-from=(from) data-to=(to) {
                @match link {
                    Some(link) => a href=(link(&from, &to)) tabindex="-1" { (bars) },
                    None => (bars),
                }
            }
        }
    }
}

/// Returns an average above 0 with one digit behind the point.
fn average(average: f64) -> String {
    if average < 0.05 { "less than 0.1".to_string() } else { format!("{average:.1}") }
}

/// Returns the line of the peaks of steps.
fn line(steps: &[ConcurrencyStep], height: &dyn Fn(f64) -> f64) -> String {
    let mut path = String::new();
    for (index, step) in steps.iter().enumerate() {
        let (x, y) = (index * COLUMN_WIDTH, coordinate(HEIGHT - height(step.peak as f64)));
        path += &format!("{}{x} {y}h{COLUMN_WIDTH}", if index == 0 { "M" } else { "L" });
    }
    path
}

fn coordinate(value: f64) -> String {
    format!("{value:.1}")
}
