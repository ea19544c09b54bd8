//! Tokens that come back with time.

use std::time::{Duration, Instant};

/// Each try takes a token.
pub(super) struct Tokens {
    most: f64,
    each_second: f64,
    left: f64,
    counted: Instant,
}

impl Tokens {
    pub(super) fn new(most: u32, each_second: u32, now: Instant) -> Tokens {
        let most = f64::from(most);
        Tokens { most, each_second: f64::from(each_second), left: most, counted: now }
    }

    fn left(&self, now: Instant) -> f64 {
        let came_back =
            now.saturating_duration_since(self.counted).as_secs_f64() * self.each_second;
        self.most.min(self.left + came_back)
    }

    /// Returns how long to wait for a token; zero if there is one.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let missing = 1.0 - self.left(now);
        if missing <= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(missing / self.each_second)
        }
    }

    pub(super) fn take(&mut self, now: Instant) {
        self.left = (self.left(now) - 1.0).max(0.0);
        self.counted = now;
    }

    pub(super) fn give_back(&mut self) {
        self.left = self.most.min(self.left + 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_with_time_up_to_the_most() {
        let now = Instant::now();
        let mut tokens = Tokens::new(2, 4, now);
        tokens.take(now);
        assert_eq!(tokens.wait(now), Duration::ZERO);
        tokens.take(now);
        assert_eq!(tokens.wait(now), Duration::from_millis(250));
        assert_eq!(tokens.wait(now + Duration::from_millis(250)), Duration::ZERO);
        tokens.give_back();
        assert_eq!(tokens.wait(now), Duration::ZERO);
        let later = now + Duration::from_secs(60);
        tokens.take(later);
        tokens.take(later);
        assert_eq!(tokens.wait(later), Duration::from_millis(250));
    }
}
