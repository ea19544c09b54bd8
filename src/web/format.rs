//! Values as people read them.

use maud::{Markup, html};

use crate::domain::time::{Zone, format_duration_ms};

/// What is_enabled where nobody said.
const UNKNOWN: &str = "–";

/// A time in a zone, with the instant itself for programs.
pub(super) fn time(ms: Option<i64>, zone: Zone) -> Markup {
    match ms {
        Some(ms) => {
            html! { time datetime=(Zone::UTC.format_ms(ms).replace(' ', "T") + "Z") { (zone.format_ms(ms)) } }
        }
        None => html! { (UNKNOWN) },
    }
}

/// A duration as Doris writes it.
pub(super) fn duration(ms: Option<i64>) -> String {
    ms.filter(|ms| *ms >= 0).map_or(UNKNOWN.to_string(), format_duration_ms)
}

/// A number in three digits: `999`, `1.2K`, `34M`.
pub(super) fn number(value: Option<i64>) -> String {
    value.map_or(UNKNOWN.to_string(), |value| scaled(value, 1000.0, &["", "K", "M", "G", "T", "P"]))
}

/// A size in three digits: `999 B`, `1.2 KB`, by 1024 as Doris does.
pub(super) fn bytes(value: Option<i64>) -> String {
    let units = [" B", " KB", " MB", " GB", " TB", " PB"];
    value.map_or(UNKNOWN.to_string(), |value| scaled(value, 1024.0, &units))
}

fn scaled(value: i64, step: f64, units: &[&str]) -> String {
    let mut left = value as f64;
    let mut unit = 0;
    while left.abs() >= step && unit + 1 < units.len() {
        left /= step;
        unit += 1;
    }
    let digits = if unit == 0 || left.abs() >= 99.95 { 0 } else { 1 };
    format!("{left:.digits$}{}", units[unit])
}

/// A count with its thousands apart.
pub(super) fn counted(count: impl TryInto<i64>) -> String {
    whole(count.try_into().unwrap_or(i64::MAX))
}

/// A whole number with its thousands apart: `1,234,567`.
pub(super) fn whole(value: i64) -> String {
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

/// A text, or that nobody said.
pub(super) fn text(text: Option<&str>) -> Markup {
    match text {
        Some(text) => html! { bdi { (text) } },
        None => html! { span.unknown { (UNKNOWN) } },
    }
}

/// The beginning of a statement in one line.
pub(super) fn excerpt(statement: &str, chars: usize) -> String {
    let mut line = String::new();
    let mut taken = 0;
    // A statement may be megabytes of white space: what is looked at is bounded, too.
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

/// How a query ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Good,
    Failed,
    Running,
    Unknown,
}

impl Outcome {
    /// Returns how a query of this state ended.
    pub(super) fn of(state: Option<&str>, is_failed: bool) -> Outcome {
        let state = state.unwrap_or_default().to_ascii_uppercase();
        match state.as_str() {
            _ if is_failed => Outcome::Failed,
            "RUNNING" => Outcome::Running,
            "" => Outcome::Unknown,
            _ => Outcome::Good,
        }
    }

    /// The class that colours it.
    pub(super) fn class(self) -> &'static str {
        match self {
            Outcome::Good => "good",
            Outcome::Failed => "failed",
            Outcome::Running => "running",
            Outcome::Unknown => "unknown",
        }
    }
}

/// A state with its colour; the word alone tells it, too.
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
        assert_eq!(bytes(Some(236_667_379_712)), "220 GB");
        assert_eq!(bytes(Some(1536)), "1.5 KB");
        assert_eq!(number(None), UNKNOWN);
        assert_eq!(whole(-1_234_567), "-1,234,567");
        assert_eq!(whole(123), "123");
    }

    #[test]
    fn excerpts_are_one_line_and_bounded() {
        assert_eq!(excerpt("select\n  1", 20), "select 1");
        assert_eq!(excerpt("select 12345", 9), "select 12…");
        assert!(excerpt(&" ".repeat(5_000_000), 200).chars().count() <= 201);
        assert!(excerpt(&"é".repeat(1000), 200).chars().count() <= 201);
    }
}
