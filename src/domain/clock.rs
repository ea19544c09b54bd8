//! The time by which ages count. The system clock can jump, as when a machine starts without a network; a clock that
//! is three years ahead for a second must not make a history three years old.

use std::time::Duration;

/// A system clock that is further off the trusted time than this is not trusted, in milliseconds. A day is more than any
/// correction of a clock that once was right, and less than any bound of age that people set.
pub(crate) const MAX_DIFFERENCE_MS: i64 = 24 * 3600 * 1000;
/// A system clock that stays off for this long, in milliseconds, is right after all.
const CONFIRMED_AFTER_MS: i64 = 24 * 3600 * 1000;

/// The trusted time: as it was seen last, and what the monotonic clock counted since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Unix milliseconds.
    pub trusted_ms: i64,
    /// None while the system clock agrees with the trusted time.
    pub off: Option<Off>,
}

/// A system clock that does not agree with the trusted time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Off {
    /// The system clock as it was seen last, in Unix milliseconds.
    pub system_ms: i64,
    /// How long annals has run since the clock is off, in milliseconds.
    pub for_ms: i64,
}

/// What a look at the system clock changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockChange {
    None,
    /// The system clock has jumped, by this many milliseconds.
    Jumped(i64),
    /// The system clock agrees with the trusted time again.
    Returned,
    /// The system clock was off for so long that it is trusted now.
    Confirmed,
}

impl Clock {
    /// Returns a clock that trusts the system clock.
    pub(crate) fn at(system_ms: i64) -> Clock {
        Clock { trusted_ms: system_ms, off: None }
    }

    /// Returns the time by which ages count: the earlier one, which deletes less.
    pub(crate) fn now_ms(&self, system_ms: i64) -> i64 {
        self.trusted_ms.min(system_ms)
    }

    /// Returns by how many milliseconds the system clock is ahead of the trusted time or behind it; zero while it is
    /// trusted.
    pub(crate) fn off_ms(&self) -> i64 {
        self.off.map_or(0, |off| off.system_ms.saturating_sub(self.trusted_ms))
    }

    /// Moves on by the time that the monotonic clock counted, and compares the system clock.
    pub(crate) fn advance(&mut self, elapsed: Duration, system_ms: i64) -> ClockChange {
        let elapsed_ms = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        self.trusted_ms = self.trusted_ms.saturating_add(elapsed_ms);
        let is_near = |one: i64, other: i64| one.abs_diff(other) <= MAX_DIFFERENCE_MS as u64;
        if is_near(system_ms, self.trusted_ms) {
            // A clock that is put back by less than a day makes nothing older than it was.
            self.trusted_ms = self.trusted_ms.max(system_ms);
            return if self.off.take().is_some() {
                ClockChange::Returned
            } else {
                ClockChange::None
            };
        }
        let lasting =
            self.off.filter(|off| is_near(system_ms, off.system_ms.saturating_add(elapsed_ms)));
        let Some(off) = lasting else {
            self.off = Some(Off { system_ms, for_ms: 0 });
            return ClockChange::Jumped(system_ms.saturating_sub(self.trusted_ms));
        };
        let for_ms = off.for_ms.saturating_add(elapsed_ms);
        if for_ms >= CONFIRMED_AFTER_MS {
            *self = Clock::at(system_ms);
            return ClockChange::Confirmed;
        }
        self.off = Some(Off { system_ms, for_ms });
        ClockChange::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const HOUR_MS: i64 = 3_600_000;
    const YEAR_MS: i64 = 365 * 24 * HOUR_MS;
    /// 2024-01-01.
    const BEGUN: i64 = 1_704_067_200_000;

    #[test]
    fn a_clock_that_jumps_for_a_second_makes_nothing_older() {
        let mut clock = Clock::at(BEGUN);
        let jumped = BEGUN + 3 * YEAR_MS;
        assert_eq!(clock.advance(HOUR, jumped), ClockChange::Jumped(3 * YEAR_MS - HOUR_MS));
        assert_eq!(clock.now_ms(jumped), BEGUN + HOUR_MS);
        assert_eq!(clock.off_ms(), 3 * YEAR_MS - HOUR_MS);
        // Before 1970.
        assert!(matches!(clock.advance(HOUR, -YEAR_MS), ClockChange::Jumped(_)));
        assert_eq!(clock.now_ms(-YEAR_MS), -YEAR_MS);
        assert_eq!(clock.advance(HOUR, BEGUN + 3 * HOUR_MS), ClockChange::Returned);
        assert_eq!((clock.now_ms(i64::MAX), clock.off_ms()), (BEGUN + 3 * HOUR_MS, 0));
    }

    #[test]
    fn a_clock_that_stays_off_for_a_day_is_trusted() {
        let mut clock = Clock::at(BEGUN);
        let jumped = BEGUN + YEAR_MS;
        assert!(matches!(clock.advance(HOUR, jumped), ClockChange::Jumped(_)));
        for hour in 1..24 {
            assert_eq!(clock.advance(HOUR, jumped + hour * HOUR_MS), ClockChange::None);
            assert_eq!(clock.now_ms(i64::MAX), BEGUN + (hour + 1) * HOUR_MS);
        }
        assert_eq!(clock.advance(HOUR, jumped + 24 * HOUR_MS), ClockChange::Confirmed);
        assert_eq!(clock.now_ms(i64::MAX), jumped + 24 * HOUR_MS);
        // A second jump begins a second day.
        for year in 2..100 {
            let jump = clock.advance(HOUR, BEGUN + year * 2 * YEAR_MS);
            assert!(matches!(jump, ClockChange::Jumped(_)), "{jump:?}");
        }
    }

    #[test]
    fn small_corrections_are_followed() {
        let mut clock = Clock::at(BEGUN);
        assert_eq!(clock.advance(HOUR, BEGUN + 2 * HOUR_MS), ClockChange::None);
        assert_eq!(clock.now_ms(BEGUN + 2 * HOUR_MS), BEGUN + 2 * HOUR_MS);
        assert_eq!(clock.advance(HOUR, BEGUN + HOUR_MS), ClockChange::None);
        assert_eq!(clock.now_ms(BEGUN + HOUR_MS), BEGUN + HOUR_MS);
    }

    #[test]
    fn any_clock_is_survived() {
        for first in [i64::MIN, -1, 0, BEGUN, i64::MAX] {
            for then in [i64::MIN, -1, 0, BEGUN, i64::MAX] {
                let mut clock = Clock::at(first);
                clock.advance(Duration::MAX, then);
                clock.advance(HOUR, first);
                assert!(clock.now_ms(then) <= then);
                clock.off_ms();
            }
        }
    }
}
