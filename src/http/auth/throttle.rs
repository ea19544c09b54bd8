//! Slows down whoever guesses passwords. Nobody is locked out.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::lock;

/// Wrong passwords for a name without a delay. Each further one doubles the delay.
const FREE_FAILURES: u32 = 5;
/// The first delay before a password is verified.
const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(3);
/// Names whose failures are counted. One more name resets all counts, which gives a guesser new free failures at the
/// price of as many requests.
const MAX_NAMES: usize = 10_000;

/// Counts wrong passwords by the name that they were sent for.
#[derive(Default)]
pub(super) struct Throttle {
    failures: Mutex<HashMap<String, u32>>,
}

impl Throttle {
    /// Returns how long to wait before the next password for this name is verified.
    pub(super) fn delay(&self, name: &str) -> Duration {
        let failures = lock(&self.failures).get(name).copied().unwrap_or(0);
        match failures.checked_sub(FREE_FAILURES) {
            None => Duration::ZERO,
            Some(doublings) => MAX_DELAY.min(MIN_DELAY * (1 << doublings.min(10))),
        }
    }

    /// Counts a wrong password, and returns how many there were for this name.
    pub(super) fn failed(&self, name: &str) -> u32 {
        let mut failures = lock(&self.failures);
        if failures.len() >= MAX_NAMES {
            failures.clear();
        }
        let count = failures.entry(name.to_string()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    pub(super) fn succeeded(&self, name: &str) {
        lock(&self.failures).remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_password_beyond_the_free_ones_doubles_the_delay() {
        let throttle = Throttle::default();
        let delays: Vec<_> = (1..=12)
            .map(|count| {
                assert_eq!(throttle.failed("alice"), count);
                throttle.delay("alice").as_millis()
            })
            .collect();
        assert_eq!(delays, [0, 0, 0, 0, 100, 200, 400, 800, 1600, 3000, 3000, 3000]);
        assert_eq!(throttle.delay("bob"), Duration::ZERO);
        throttle.succeeded("alice");
        assert_eq!(throttle.delay("alice"), Duration::ZERO);
    }

    #[test]
    fn the_names_are_bounded() {
        let throttle = Throttle::default();
        for number in 0..=MAX_NAMES {
            throttle.failed(&number.to_string());
        }
        assert_eq!(lock(&throttle.failures).len(), 1);
    }
}
