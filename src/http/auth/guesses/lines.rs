//! The lines in the log about wrong passwords of all clients: a flood from many addresses must not fill the disk.

use std::time::{Duration, Instant};

/// Lines in a minute. A person reads no more, and they take 20 KB.
const MAX_LINES: u32 = 100;
const MINUTE: Duration = Duration::from_secs(60);

/// The lines of a minute.
#[derive(Debug, Default)]
pub(super) struct Lines {
    began: Option<Instant>,
    written: u32,
    omitted: u32,
}

impl Lines {
    /// Returns how many lines were not written since the last one, or `None` if this one must not be either. After a full
    /// minute, one line a minute is written until a minute has few.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u32> {
        if self.began.is_none_or(|began| now - began >= MINUTE) {
            self.began = Some(now);
            self.written = if self.omitted > 0 { MAX_LINES - 1 } else { 0 };
        }
        if self.written == MAX_LINES {
            self.omitted = self.omitted.saturating_add(1);
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.omitted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_writes_a_hundred_lines_and_then_one_a_minute() {
        let mut lines = Lines::default();
        let begin = Instant::now();
        let mut flood = |minute: u32, count: usize| {
            let now = begin + MINUTE * minute;
            (0..count).filter_map(|_| lines.admit(now)).collect::<Vec<_>>()
        };
        assert_eq!(flood(0, 1000), [0; 100]);
        assert_eq!(flood(1, 1000), [900]);
        assert_eq!(flood(2, 1000), [999]);
        assert_eq!(flood(3, 1), [999]);
        assert_eq!(flood(4, 200), [0; 100]);
    }
}
