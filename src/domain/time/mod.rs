//! Times and durations in the text forms of Doris.
//!
//! Doris writes local times without a zone, `2024-01-02 11:15:51,248`. annals keeps instants, Unix milliseconds in UTC,
//! and converts between the two by a [`Zone`].
//!
//! - [`zone`] converts between instants and local times.
//! - [`instant`] reads times.
//! - [`zone_advice`] says which zone times were probably written in.
//! - [`minute`] is a minute of local time.
//! - [`typed`] reads times that people type.
//! - [`duration`] reads and writes durations.

mod duration;
mod instant;
mod minute;
mod typed;
mod zone;
mod zone_advice;

pub(crate) use duration::{format_duration_ms, parse_duration_ms, parse_duration_ns};
pub(crate) use instant::{leading_local_time, leading_zone_offset, parse_instant_ms, read_time};
pub(crate) use minute::LocalMinute;
pub(crate) use typed::{check_range, is_absolute, parse_typed_time_ms};
pub(crate) use zone::{UnknownZone, Zone};
pub(crate) use zone_advice::{FUTURE_MS, format_shift, likely_zone, parse_shift_ms};

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the time of the system clock in Unix milliseconds; negative if the clock is set to before 1970.
/// `chrono::Utc::now` panics then.
pub(crate) fn now_ms() -> i64 {
    let ms = |elapsed: std::time::Duration| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => ms(after),
        Err(before) => -ms(before.duration()),
    }
}
