//! The span of time that a page looks at.

use maud::{Markup, html};

use super::format;
use crate::domain::filter::QueryFilter;
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::envelope::ApiError;
use crate::http::query_parameters::address;
use crate::http::view::View;
use crate::store::{Bucket, Spans};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What is looked at where the address names nothing: the time before the newest query. The chart of a history
/// of years would read all of it.
const USUAL: i64 = DAY;
/// The most bars of a chart.
const MAX_BARS: i64 = 100;
/// What a bar may stand for.
const WIDTHS: [i64; 23] = [
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    30 * DAY,
    91 * DAY,
];
/// What can be chosen by a click.
const CHOICES: [(i64, &str); 4] =
    [(HOUR, "1 hour"), (DAY, "24 hours"), (7 * DAY, "7 days"), (30 * DAY, "30 days")];

/// A span of time, cut into parts of the same length that begin at round times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// Its begin, in Unix milliseconds.
    pub from_ms: i64,
    /// Its end, which is not in it.
    pub to_ms: i64,
    /// How long a part is.
    pub width_ms: i64,
    /// The first start there is.
    first_ms: i64,
    /// Behind the last start there is.
    end_ms: i64,
}

impl Range {
    /// What a filter's `from` and `to` say, else the usual time before the newest query; `None` where there
    /// is nothing.
    pub(crate) async fn of(view: &View, filter: &QueryFilter) -> Result<Option<Range>, ApiError> {
        let Some((first_ms, last_ms)) = view.span().await? else {
            return Ok(None);
        };
        let end_ms = last_ms.saturating_add(1);
        let to_ms = filter.to_ms.unwrap_or(end_ms);
        let usual = if filter.to_ms.is_some() { first_ms } else { to_ms.saturating_sub(USUAL) };
        let from_ms = filter.from_ms.unwrap_or(usual);
        if from_ms >= to_ms {
            return Ok(None);
        }
        Ok(Some(Range { from_ms, to_ms, width_ms: width(from_ms, to_ms), first_ms, end_ms }))
    }

    /// Where the first part begins.
    fn first_part_ms(&self) -> i64 {
        self.from_ms.div_euclid(self.width_ms) * self.width_ms
    }

    /// How many parts there are.
    fn parts(&self) -> i64 {
        (self.to_ms - 1 - self.first_part_ms()) / self.width_ms + 1
    }

    /// A filter of this range alone.
    pub(crate) fn within(&self, filter: &QueryFilter) -> QueryFilter {
        QueryFilter {
            from_ms: Some(self.from_ms),
            to_ms: Some(self.to_ms),
            after: None,
            ..filter.clone()
        }
    }

    /// How long it is.
    pub(crate) fn length_ms(&self) -> u64 {
        self.from_ms.abs_diff(self.to_ms)
    }

    /// What ran in each part.
    pub(crate) async fn timeline(
        &self,
        view: &View,
        filter: &QueryFilter,
    ) -> Result<Vec<Bucket>, ApiError> {
        let count = usize::try_from(self.parts()).unwrap_or(0);
        let spans = Spans { from_ms: self.first_part_ms(), width_ms: self.width_ms, count };
        Ok(view.timeline(filter, spans).await?)
    }

    /// How long a part is, in words.
    pub(crate) fn width_text(&self) -> String {
        let ms = self.width_ms;
        let (count, unit) = match ms {
            _ if ms % DAY == 0 => (ms / DAY, "day"),
            _ if ms % HOUR == 0 => (ms / HOUR, "hour"),
            _ if ms % MINUTE == 0 => (ms / MINUTE, "minute"),
            _ => (ms / SECOND, "second"),
        };
        if count == 1 { unit.to_string() } else { format!("{count} {unit}s") }
    }

    /// The heading of a range, with links to other ones.
    pub(crate) fn choices(&self, path: &str, parameters: &Parameters, zone: Zone) -> Markup {
        let chosen = |from_ms: i64| self.to_ms == self.end_ms && self.from_ms == from_ms;
        let to =
            |from: &str| address(path, parameters, &[("from", from), ("to", ""), ("cursor", "")]);
        let given = parameters.contains_key("from") || parameters.contains_key("to");
        html! {
            div.range {
                p {
                    (format::time(Some(self.from_ms), zone)) " to "
                    (format::time(Some(self.to_ms), zone))
                }
                ul aria-label="Time range" {
                    @for (length_ms, name) in CHOICES {
                        @let from_ms = self.end_ms - length_ms;
                        li {
                            a href=(to(&from_ms.to_string()))
                                aria-current=[chosen(from_ms).then_some("true")] { (name) }
                        }
                    }
                    li {
                        a href=(to(&self.first_ms.to_string()))
                            aria-current=[chosen(self.first_ms).then_some("true")] { "All" }
                    }
                    @if given { li { a href=(to("")) { "Any time" } } }
                }
            }
        }
    }
}

fn width(from_ms: i64, to_ms: i64) -> i64 {
    let length_ms = to_ms.saturating_sub(from_ms);
    let wide_enough = WIDTHS.into_iter().find(|width_ms| length_ms / width_ms < MAX_BARS);
    // Longer than anybody keeps queries: whole days, as many as it takes.
    wide_enough.unwrap_or((length_ms / MAX_BARS / DAY + 1) * DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_has_a_bounded_number_of_parts() {
        for (from_ms, to_ms) in [
            (0, 1),
            (999, 1001),
            (0, DAY),
            (12_345, HOUR),
            (i64::MIN, i64::MAX),
            (-DAY, 3650 * DAY),
        ] {
            let range =
                Range { from_ms, to_ms, width_ms: width(from_ms, to_ms), first_ms: 0, end_ms: 1 };
            if from_ms > i64::MIN / 2 {
                assert!((1..=MAX_BARS + 1).contains(&range.parts()), "{from_ms} {to_ms}");
                assert!(range.first_part_ms() <= from_ms);
            }
        }
    }
}
