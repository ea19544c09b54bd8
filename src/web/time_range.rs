//! The time range of a chart or a report, cut into parts of the same length.

use maud::{Markup, html};

use super::{format, paths};
use crate::domain::filter::QueryFilter;
use crate::domain::time::{Zone, now_ms};
use crate::http::Parameters;
use crate::http::error::ApiError;
use crate::http::query_parameters::address;
use crate::http::view::View;
use crate::store::{Bucket, Spans, Steps};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The default range ends with the newest query and is this long: a chart of years would read all of the history.
const DEFAULT_LENGTH: i64 = DAY;
/// A chart has at most this many bars.
const MAX_BARS: i64 = 100;
/// The lengths of time that one bar may stand for.
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
/// The ranges that the page offers as links: how long, the label, and the same as an address has it.
const CHOICES: [(i64, &str, &str); 4] = [
    (HOUR, "1 hour", "1h"),
    (DAY, "24 hours", "24h"),
    (7 * DAY, "7 days", "7d"),
    (30 * DAY, "30 days", "30d"),
];

/// A time range, cut into parts of the same length that begin at round times of a zone. Times are Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeRange {
    pub from_ms: i64,
    /// The end, which is not in the range.
    pub to_ms: i64,
    /// The length of a part.
    pub width_ms: i64,
    /// By how much the clock of the zone is ahead of UTC at the begin of the range.
    offset_ms: i64,
    /// The times that were chosen.
    chosen: (Option<i64>, Option<i64>),
    /// The start of the oldest query.
    first_ms: i64,
    /// The millisecond behind the start of the newest query.
    end_ms: i64,
}

impl TimeRange {
    /// Returns the range of a filter's `from` and `to`, else the 24 hours before the newest query; `None` for an
    /// empty range or an empty history.
    pub(super) async fn of(
        view: &View,
        filter: &QueryFilter,
    ) -> Result<Option<TimeRange>, ApiError> {
        TimeRange::or_default(view, filter, Some(DEFAULT_LENGTH)).await
    }

    /// Returns the same, and the whole history where the filter has no range.
    pub(super) async fn or_whole(
        view: &View,
        filter: &QueryFilter,
    ) -> Result<Option<TimeRange>, ApiError> {
        TimeRange::or_default(view, filter, None).await
    }

    async fn or_default(
        view: &View,
        filter: &QueryFilter,
        default_length: Option<i64>,
    ) -> Result<Option<TimeRange>, ApiError> {
        let Some((first_ms, last_ms)) = view.span().await? else {
            return Ok(None);
        };
        let end_ms = last_ms.saturating_add(1);
        // A range behind the newest query goes up to now, so that the page has its links to other ranges.
        let open_to_ms = match filter.from_ms {
            Some(from_ms) if from_ms >= end_ms => now_ms().max(from_ms.saturating_add(1)),
            _ => end_ms,
        };
        let to_ms = filter.to_ms.unwrap_or(open_to_ms);
        let default_from_ms = match default_length.filter(|_| filter.to_ms.is_none()) {
            Some(length) => to_ms.saturating_sub(length),
            None => first_ms.min(to_ms.saturating_sub(1)),
        };
        let from_ms = filter.from_ms.unwrap_or(default_from_ms);
        if from_ms >= to_ms {
            return Ok(None);
        }
        let width_ms = part_width(from_ms, to_ms);
        let offset_ms = view.zone.offset_ms(from_ms);
        // The begin of a default range is a choice, too: a chart counts what its range says. Only that of a whole history is none.
        let default_from_ms = default_length.filter(|_| filter.to_ms.is_none()).and(Some(from_ms));
        let chosen = (filter.from_ms.or(default_from_ms), filter.to_ms);
        Ok(Some(TimeRange { from_ms, to_ms, width_ms, offset_ms, chosen, first_ms, end_ms }))
    }

    fn first_part_ms(&self) -> i64 {
        let lead_ms = self.from_ms.saturating_add(self.offset_ms).rem_euclid(self.width_ms);
        self.from_ms.saturating_sub(lead_ms)
    }

    /// Returns the begin and the end of the part that begins at a time, as far as it is within the chosen times.
    pub(super) fn part(&self, begin_ms: i64) -> (i64, i64) {
        let (from_ms, to_ms) = self.chosen;
        let end_ms = begin_ms.saturating_add(self.width_ms);
        (from_ms.map_or(begin_ms, |ms| ms.max(begin_ms)), to_ms.map_or(end_ms, |ms| ms.min(end_ms)))
    }

    /// Returns the parts as steps of what runs at once.
    pub(super) fn steps(&self) -> Steps {
        Steps::Aligned { width_ms: self.width_ms, offset_ms: self.offset_ms }
    }

    fn part_count(&self) -> i64 {
        self.to_ms.saturating_sub(1).saturating_sub(self.first_part_ms()) / self.width_ms + 1
    }

    /// Returns the filter with this range instead of its own, and without a cursor.
    pub(super) fn restrict(&self, filter: &QueryFilter) -> QueryFilter {
        QueryFilter {
            from_ms: Some(self.from_ms),
            to_ms: Some(self.to_ms),
            after: None,
            ..filter.clone()
        }
    }

    /// Returns whether the range has a begin in the future and no end: nothing can be in it yet.
    pub(super) fn is_to_come(&self) -> bool {
        let (_, to_ms) = self.chosen;
        to_ms.is_none() && self.from_ms >= now_ms()
    }

    /// Returns the parameters of a page with this range if they have none.
    pub(super) fn kept(&self, page: &Parameters) -> Parameters {
        paths::with_range(page, (self.from_ms, self.to_ms))
    }

    pub(super) fn length_ms(&self) -> u64 {
        self.from_ms.abs_diff(self.to_ms)
    }

    /// Returns what ran in each part.
    pub(super) async fn timeline(
        &self,
        view: &View,
        filter: &QueryFilter,
    ) -> Result<Vec<Bucket>, ApiError> {
        let count = usize::try_from(self.part_count()).unwrap_or(0);
        let spans = Spans { from_ms: self.first_part_ms(), width_ms: self.width_ms, count };
        Ok(view.timeline(filter, spans).await?)
    }

    /// Returns the same range in parts of an hour at least.
    pub(super) fn in_hours(&self) -> TimeRange {
        TimeRange { width_ms: self.width_ms.max(HOUR), ..*self }
    }

    /// Returns the begin of each part.
    pub(super) fn begins(&self) -> impl Iterator<Item = i64> {
        let (first_ms, width_ms) = (self.first_part_ms(), self.width_ms);
        (0..self.part_count())
            .map(move |part| first_ms.saturating_add(part.saturating_mul(width_ms)))
    }

    /// Returns the position of the part that a time within the range is in.
    pub(super) fn position(&self, ms: i64) -> Option<usize> {
        usize::try_from(ms.checked_sub(self.first_part_ms())? / self.width_ms).ok()
    }

    /// Returns the length of a part in words: `hour`, `5 minutes`.
    pub(super) fn width_text(&self) -> String {
        let ms = self.width_ms;
        let (count, unit) = match ms {
            _ if ms % DAY == 0 => (ms / DAY, "day"),
            _ if ms % HOUR == 0 => (ms / HOUR, "hour"),
            _ if ms % MINUTE == 0 => (ms / MINUTE, "minute"),
            _ => (ms / SECOND, "second"),
        };
        if count == 1 { unit.to_string() } else { format!("{count} {unit}s") }
    }

    /// Returns the range as text, and links to other ranges.
    pub(super) fn choices(&self, path: &str, parameters: &Parameters, zone: Zone) -> Markup {
        let is_current = |from_ms: i64| self.to_ms == self.end_ms && self.from_ms == from_ms;
        let from = parameters.get("from").filter(|_| !parameters.contains_key("to"));
        // While queries arrive, the ranges follow the clock. Those of an older history end with its newest query.
        let is_live = now_ms().abs_diff(self.end_ms) < HOUR.unsigned_abs();
        let since =
            |from: &str| address(path, parameters, &[("from", from), ("to", ""), ("cursor", "")]);
        let is_chosen = parameters.contains_key("from") || parameters.contains_key("to");
        let is_empty = self.from_ms >= self.end_ms || self.to_ms <= self.first_ms;
        html! {
            div.range {
                p {
                    @if self.is_to_come() { "from " (format::time(Some(self.from_ms), zone)) " on" }
                    @else { (format::range(self.from_ms, self.to_ms, zone)) }
                }
                ul aria-label="Time range" {
                    @for (length_ms, name, ago) in CHOICES {
                        @let from_ms = self.end_ms.saturating_sub(length_ms);
                        @let is_current = is_current(from_ms) || from.is_some_and(|from| from == ago);
                        @let address = if is_live { since(ago) } else { since(&from_ms.to_string()) };
                        li { a href=(address) aria-current=[is_current.then_some("true")] { (name) } }
                    }
                    li {
                        a href=(since(&self.first_ms.to_string()))
                            aria-current=[is_current(self.first_ms).then_some("true")] { "All" }
                    }
                    @if is_chosen { li { a href=(since("")) { "Reset" } } }
                }
            }
            @if is_empty {
                @let day_before_ms = self.end_ms.saturating_sub(DAY);
                p.note {
                    "The newest query is of " (format::time(Some(self.end_ms.saturating_sub(1)), zone)) ". "
                    a href=(since(&day_before_ms.to_string())) { "Show the 24 hours before it" } "."
                }
            }
        }
    }
}

fn part_width(from_ms: i64, to_ms: i64) -> i64 {
    let length_ms = to_ms.saturating_sub(from_ms);
    let wide_enough = WIDTHS.into_iter().find(|width_ms| length_ms / width_ms < MAX_BARS);
    // The range is longer than anybody keeps queries: a part is as many whole days as needed.
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
            let range = TimeRange {
                from_ms,
                to_ms,
                width_ms: part_width(from_ms, to_ms),
                offset_ms: 0,
                chosen: (None, None),
                first_ms: 0,
                end_ms: 1,
            };
            if from_ms > i64::MIN / 2 {
                assert!((1..=MAX_BARS + 1).contains(&range.part_count()), "{from_ms} {to_ms}");
                assert!(range.first_part_ms() <= from_ms);
            }
        }
    }

    #[test]
    fn parts_begin_at_round_times_of_the_zone() {
        let part = |from_ms, width_ms, offset_ms, chosen| {
            let to_ms = from_ms + 10 * width_ms;
            let range = TimeRange {
                from_ms,
                to_ms,
                width_ms,
                offset_ms,
                chosen,
                first_ms: 0,
                end_ms: to_ms,
            };
            let (from_ms, to_ms) = range.part(range.first_part_ms());
            (from_ms / MINUTE, to_ms / MINUTE)
        };
        let (none, east, india) = ((None, None), 8 * HOUR, 5 * HOUR + 30 * MINUTE);
        let days = |hours: i64| (hours * 60, (hours + 24) * 60);
        let in_india = |from_minute: i64, length: i64| (from_minute, from_minute + length);
        assert_eq!(part(90 * HOUR, DAY, 0, none), days(72));
        assert_eq!(part(90 * HOUR, DAY, east, none), days(88));
        assert_eq!(part(90 * HOUR, DAY, india, none), in_india(66 * 60 + 30, 24 * 60));
        assert_eq!(part(90 * HOUR, HOUR, india, none), in_india(89 * 60 + 30, 60));
        assert_eq!(part(90 * HOUR, 30 * MINUTE, india, none), (5400, 5430));
        // A part has no more than what was chosen.
        let chosen = (Some(90 * HOUR), Some(91 * HOUR));
        assert_eq!(part(90 * HOUR, DAY, east, chosen), (5400, 5460));
    }
}
