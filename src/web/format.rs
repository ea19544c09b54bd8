//! Values as text for people.

use maud::{Markup, html};

use crate::domain::readable::{readable_bytes, readable_duration_ms, readable_number};
use crate::domain::record::LABEL_EXISTS;
use crate::domain::time::Zone;

/// Shown for a value that is not known.
pub(super) const UNKNOWN: &str = "–";

/// Returns a time in a zone as text, with the instant in UTC for programs.
pub(super) fn time(ms: Option<i64>, zone: Zone) -> Markup {
    match ms {
        Some(ms) => {
            html! { time datetime=(Zone::UTC.format_ms(ms).replace(' ', "T") + "Z") { (zone.format_ms(ms)) } }
        }
        None => html! { (UNKNOWN) },
    }
}

/// Returns a range of time. Its end, which is not in it, is shown as the first whole second behind the range: a range of some
/// milliseconds does not seem to end where it begins.
pub(super) fn range(from_ms: i64, to_ms: i64, zone: Zone) -> Markup {
    let rest_ms = (-to_ms.rem_euclid(1000)).rem_euclid(1000);
    html! { (time(Some(from_ms), zone)) " to " (time(Some(to_ms.saturating_add(rest_ms)), zone)) }
}

/// Returns a time as an address has it: as a person writes it in the zone, or Unix milliseconds if it is no whole second.
pub(super) fn instant(ms: i64, zone: Zone) -> String {
    match ms % 1000 {
        0 => zone.format_ms(ms),
        _ => ms.to_string(),
    }
}

/// Returns milliseconds as people read them: `2.80 s`.
pub(super) fn duration(ms: Option<i64>) -> String {
    ms.filter(|ms| *ms >= 0).map_or(UNKNOWN.to_string(), readable_duration_ms)
}

/// Returns nanoseconds in their largest unit: `1.2 ms`.
pub(super) fn nanoseconds(ns: Option<u64>) -> String {
    let Some(ns) = ns else {
        return UNKNOWN.to_string();
    };
    let ns = ns as f64;
    match ns {
        _ if ns < 1e3 => format!("{ns:.0} ns"),
        _ if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        _ if ns < 1e9 => format!("{:.1} ms", ns / 1e6),
        _ => readable_duration_ms((ns / 1e6) as i64),
    }
}

/// Returns that the plans and findings of some profiles are missing; none if annals has read all.
pub(super) fn unread_profiles(count: i64) -> Option<Markup> {
    (count > 0).then(|| {
        html! {
            p.note {
                "annals is still reading the plans of " (counted(count, "profile", "profiles"))
                "; they are missing here until then."
            }
        }
    })
}

/// Returns a number in three digits: `999`, `1.2K`, `34M`.
pub(super) fn number(value: Option<impl TryInto<i64>>) -> String {
    known(value).map_or(UNKNOWN.to_string(), readable_number)
}

/// Returns a size in three digits, by 1024 as Doris does: `999 B`, `1.2 KB`.
pub(super) fn bytes(value: Option<impl TryInto<i64>>) -> String {
    known(value).map_or(UNKNOWN.to_string(), readable_bytes)
}

fn known(value: Option<impl TryInto<i64>>) -> Option<i64> {
    value.and_then(|value| value.try_into().ok())
}

/// Returns an integer with its thousands separated: `1,234,567`. What does not fit is shown as the largest one.
pub(super) fn integer(value: impl TryInto<i64>) -> String {
    let value = value.try_into().unwrap_or(i64::MAX);
    let digits = value.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if value < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a count with its noun: `1 query`, `2,000 queries`.
pub(super) fn counted(count: impl TryInto<i64>, singular: &str, plural: &str) -> String {
    let count = count.try_into().unwrap_or(i64::MAX);
    format!("{} {}", integer(count), if count == 1 { singular } else { plural })
}

/// Returns a share of 1 as percent: `12.5 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Returns a text, or a dash where there is none.
pub(super) fn text(text: Option<&str>) -> Markup {
    match text {
        Some(text) => html! { bdi { (text) } },
        None => html! { span.unknown { (UNKNOWN) } },
    }
}

/// Returns a name, or a dash where there is none. A long name can be broken behind its words.
pub(super) fn name(name: Option<&str>) -> Markup {
    const UNBROKEN_CHARS: usize = 16;
    let Some(long) = name.filter(|name| name.chars().nth(UNBROKEN_CHARS).is_some()) else {
        return text(name);
    };
    html! {
        bdi { @for word in long.split_inclusive(['_', '-', '.', '@', ':', '/']) { (word) wbr; } }
    }
}

/// Returns the first `chars` characters of a statement in one line.
pub(super) fn excerpt(statement: &str, chars: usize) -> String {
    let mut line = String::new();
    let mut taken = 0;
    // A statement may be megabytes of white space, so the part that is read is bounded too.
    let head: String = statement.chars().take(chars * 8).collect();
    for word in head.split_whitespace() {
        if taken > 0 {
            line.push(' ');
        }
        let left = chars.saturating_sub(taken);
        let count = word.chars().count();
        if count > left {
            line.extend(word.chars().take(left));
            line.push('…');
            return line;
        }
        line.push_str(word);
        taken += count + 1;
    }
    if head.len() < statement.len() {
        line.push('…');
    }
    line
}

/// How a query ended, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Good,
    Failed,
    Running,
    Unknown,
}

impl Outcome {
    pub(super) fn of(state: Option<&str>, is_failed: bool) -> Outcome {
        let state = state.unwrap_or_default().to_ascii_uppercase();
        match state.as_str() {
            _ if is_failed => Outcome::Failed,
            "RUNNING" => Outcome::Running,
            // Nothing was loaded, and nothing had to be.
            "" | LABEL_EXISTS => Outcome::Unknown,
            _ => Outcome::Good,
        }
    }

    /// Returns the CSS class of the colour.
    pub(super) fn class(self) -> &'static str {
        match self {
            Outcome::Good => "good",
            Outcome::Failed => "failed",
            Outcome::Running => "running",
            Outcome::Unknown => "unknown",
        }
    }
}

/// Returns a state with its colour. The word is always there, so the colour is never needed.
pub(super) fn state(state: Option<&str>, is_failed: bool) -> Markup {
    let outcome = Outcome::of(state, is_failed);
    html! { span class={ "state " (outcome.class()) } { bdi { (state.unwrap_or(UNKNOWN)) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, expected) in
            [(0, "0"), (999, "999"), (1000, "1.0K"), (1_234_567, "1.2M"), (99_960, "100K")]
        {
            assert_eq!(number(Some(value)), expected);
        }
        assert_eq!(bytes(Some(236_667_379_712_i64)), "220 GB");
        assert_eq!(bytes(Some(1536)), "1.5 KB");
        assert_eq!(number(None::<i64>), UNKNOWN);
        assert_eq!(integer(-1_234_567), "-1,234,567");
        assert_eq!(integer(123), "123");
    }

    #[test]
    fn excerpts_are_one_line_and_bounded() {
        assert_eq!(excerpt("select\n  1", 20), "select 1");
        assert_eq!(excerpt("select 12345", 9), "select 12…");
        assert!(excerpt(&" ".repeat(5_000_000), 200).chars().count() <= 201);
        assert!(excerpt(&"é".repeat(1000), 200).chars().count() <= 201);
    }
}
