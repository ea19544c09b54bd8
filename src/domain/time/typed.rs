//! Reads times that people type, the same on the command line, over REST and in pages.

use super::{Zone, parse_duration_ms, parse_instant_ms};

const MINUTE_MS: i64 = 60_000;
/// From this number of milliseconds on, how long ago is counted from the begin of the minute: requests of one minute
/// ask for the same range.
const ROUNDED_FROM_MS: i64 = 60 * MINUTE_MS;
/// Unix seconds of ten digits: from 2001 to 2286.
const SECONDS: std::ops::RangeInclusive<i64> = 1_000_000_000..=9_999_999_999;
/// Unix milliseconds of twelve digits and more: from 1973 to 9999.
const MILLISECONDS: std::ops::RangeInclusive<i64> = 100_000_000_000..=253_402_300_799_999;

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TypedTimeError {
    #[error(
        "{0} is not a time; write one like '2024-08-06 11:15', a day like 2024-08-06, T14:00 for today, yesterday, how long \
         ago, like 2h, or Unix milliseconds"
    )]
    Unknown(String),
    #[error("{0} may be several times; write the day {1}")]
    Day(String, String),
    #[error("{0} may be several times: Unix seconds have 10 digits, Unix milliseconds 13")]
    Number(String),
    #[error("the range ends before it begins")]
    Reversed,
}

/// Returns the time that a text names, in Unix milliseconds: a time with or without seconds and zone, a day (its first moment in
/// `zone`), a time of today, `now`, `today`, `yesterday`, how long before `now_ms`, or Unix seconds or milliseconds.
pub(crate) fn parse_typed_time_ms(
    text: &str,
    zone: Zone,
    now_ms: i64,
) -> Result<i64, TypedTimeError> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return epoch_ms(text, number);
    }
    let at = |text: &str| parse_instant_ms(text, zone);
    let midnight =
        |ms: i64| zone.format_ms(ms).get(..10).and_then(|day| at(&format!("{day} 00:00:00")));
    let today = || midnight(now_ms);
    // A day has 23 to 25 hours.
    let yesterday = || midnight(today()?.saturating_sub(12 * 60 * MINUTE_MS));
    let of_today = |time: &str| {
        let day = zone.format_ms(now_ms);
        at(&with_seconds(&format!("{} {time}", day.get(..10)?)))
    };
    let found = match text.to_ascii_lowercase().as_str() {
        "now" => Some(now_ms),
        "today" => today(),
        "yesterday" => yesterday(),
        _ => at(&with_seconds(text))
            .or_else(|| at(&format!("{text} 00:00:00")))
            .or_else(|| of_today(text.strip_prefix(['T', 't']).unwrap_or(text)))
            .or_else(|| parse_duration_ms(text).map(|ms| ago(ms, now_ms))),
    };
    found.ok_or_else(|| TypedTimeError::Unknown(text.to_string()))
}

/// Errors if a range ends before it begins.
pub(crate) fn check_range(from_ms: Option<i64>, to_ms: Option<i64>) -> Result<(), TypedTimeError> {
    let is_reversed = from_ms.zip(to_ms).is_some_and(|(from_ms, to_ms)| to_ms < from_ms);
    if is_reversed { Err(TypedTimeError::Reversed) } else { Ok(()) }
}

/// Returns whether a text names the same time whenever it is read, if it names one.
pub(crate) fn is_absolute(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits == text.len() || (digits == 4 && text.as_bytes().get(4) == Some(&b'-'))
}

fn epoch_ms(text: &str, number: i64) -> Result<i64, TypedTimeError> {
    if SECONDS.contains(&number) {
        return Ok(number * 1000);
    }
    if MILLISECONDS.contains(&number) {
        return Ok(number);
    }
    let day = match text.as_bytes() {
        [b'1'..=b'2', ..] if text.len() == 8 => {
            chrono::NaiveDate::parse_from_str(text, "%Y%m%d").ok()
        }
        _ => None,
    };
    Err(match day {
        Some(day) => TypedTimeError::Day(text.to_string(), day.to_string()),
        None => TypedTimeError::Number(text.to_string()),
    })
}

fn ago(ms: i64, now_ms: i64) -> i64 {
    let begin_ms = now_ms.saturating_sub(ms);
    if ms < ROUNDED_FROM_MS { begin_ms } else { begin_ms - begin_ms.rem_euclid(MINUTE_MS) }
}

/// Adds the seconds to a time that ends with minutes, or has its zone behind them.
fn with_seconds(text: &str) -> String {
    let bytes = text.as_bytes();
    let has_minutes = bytes.get(13) == Some(&b':')
        && bytes.get(14..16).is_some_and(|it| it.iter().all(u8::is_ascii_digit));
    match text.split_at_checked(16) {
        Some((minutes, behind)) if has_minutes && !behind.starts_with(':') => {
            format!("{minutes}:00{behind}")
        }
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-08-06 03:15:50.500 UTC, 11:15:50.500 in Shanghai.
    const NOW_MS: i64 = 1_722_914_150_500;

    fn read(text: &str) -> Result<String, String> {
        let zone: Zone = "Asia/Shanghai".parse().unwrap();
        let read = parse_typed_time_ms(text, zone, NOW_MS);
        read.map(|ms| zone.format_ms(ms)).map_err(|error| error.to_string())
    }

    #[test]
    fn each_spelling_names_its_time() {
        for (text, expected) in [
            ("2024-08-06 11:15:51", "2024-08-06 11:15:51"),
            ("2024-08-06T11:15", "2024-08-06 11:15:00"),
            (" 2024-08-06 11:15 ", "2024-08-06 11:15:00"),
            ("2024-08-06T11:15Z", "2024-08-06 19:15:00"),
            ("2024-08-06 11:15+02:00", "2024-08-06 17:15:00"),
            ("2024-08-05", "2024-08-05 00:00:00"),
            ("T14:00", "2024-08-06 14:00:00"),
            ("t14:00:30", "2024-08-06 14:00:30"),
            ("09:05", "2024-08-06 09:05:00"),
            ("now", "2024-08-06 11:15:50"),
            ("Today", "2024-08-06 00:00:00"),
            ("yesterday", "2024-08-05 00:00:00"),
            ("30s", "2024-08-06 11:15:20"),
            ("2h", "2024-08-06 09:15:00"),
            ("7d", "2024-07-30 11:15:00"),
            ("1722914150", "2024-08-06 11:15:50"),
            ("1722914150999", "2024-08-06 11:15:50"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_may_be_several_times_is_none() {
        for (text, expected) in [
            ("20240806", "20240806 may be several times; write the day 2024-08-06"),
            (
                "20241306",
                "20241306 may be several times: Unix seconds have 10 digits, Unix milliseconds 13",
            ),
            ("0", "0 may be several times: Unix seconds have 10 digits, Unix milliseconds 13"),
            ("-5", "-5 may be several times: Unix seconds have 10 digits, Unix milliseconds 13"),
        ] {
            assert_eq!(read(text).unwrap_err(), expected);
        }
        for text in ["", "soon", "2024-13-01", "25:00", "T", "2024-08-06 11", "2 h ago"] {
            assert!(read(text).unwrap_err().contains(" is not a time; write one like "), "{text}");
        }
    }

    #[test]
    fn only_some_spellings_move_with_the_clock() {
        for text in ["2024-08-06", "2024-08-06T11:15", "1722914150999", ""] {
            assert!(is_absolute(text), "{text}");
        }
        for text in ["2h", "30s", "T14:00", "14:00", "now", "yesterday"] {
            assert!(!is_absolute(text), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,30}", now_ms in proptest::num::i64::ANY) {
            let _ = parse_typed_time_ms(&text, Zone::UTC, now_ms);
        }
    }
}
