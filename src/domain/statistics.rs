//! Many durations together: percentiles, and whether those of one time are longer than those of another.

use std::borrow::Cow;

/// How often each duration was met, in milliseconds. It takes memory by the number of different durations,
/// however many there are.
#[derive(Debug, Default, Clone)]
pub struct Durations {
    /// Each once, the shortest first, and how often it was met.
    times: Vec<(i64, u64)>,
    /// Those that are not among `times` yet. To sort them together takes a third of the time of finding the
    /// place of each in a tree, which was a sixth of the time of counting queries.
    recent: Vec<i64>,
    count: u64,
}

/// As many are sorted together, or as many as there are different ones, which keeps the time for each the same.
const SORTED_TOGETHER: usize = 256;

impl Durations {
    /// Takes in a duration.
    pub fn add(&mut self, ms: i64) {
        self.recent.push(ms);
        self.count += 1;
        if self.recent.len() >= self.times.len().max(SORTED_TOGETHER) {
            self.settle();
        }
    }

    /// Makes ready for being asked, which is quicker then.
    pub fn settle(&mut self) {
        if let Cow::Owned(times) = self.times() {
            self.times = times;
            self.recent.clear();
        }
    }

    fn times(&self) -> Cow<'_, [(i64, u64)]> {
        if self.recent.is_empty() {
            return Cow::Borrowed(&self.times);
        }
        let mut all = self.times.clone();
        all.extend(self.recent.iter().map(|ms| (*ms, 1)));
        // Two runs in order, mostly, which a stable sort puts together in one pass.
        all.sort_by_key(|(ms, _)| *ms);
        all.dedup_by(|(ms, times), (kept, kept_times)| {
            let same = ms == kept;
            if same {
                *kept_times += *times;
            }
            same
        });
        Cow::Owned(all)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The duration that `percent` of 100 are no longer than, by nearest rank.
    pub fn percentile(&self, percent: u64) -> Option<i64> {
        let rank = self.count.saturating_mul(percent).div_ceil(100).max(1);
        let mut seen = 0;
        self.times().iter().find_map(|(ms, times)| {
            seen += times;
            (seen >= rank).then_some(*ms)
        })
    }

    /// The longest.
    pub fn longest(&self) -> Option<i64> {
        self.times().last().map(|(ms, _)| *ms)
    }

    /// How likely it is that chance alone makes these as much longer than the `earlier` ones, or more: the
    /// one-sided test of Mann and Whitney on ranks, with ties, by the normal distribution. `None` where one
    /// side has fewer than [`LEAST_FOR_TEST`], or all are the same.
    ///
    /// It compares ranks, so a few very long ones do not decide it, and asks nothing of how durations are
    /// distributed.
    pub fn chance_of_longer(&self, earlier: &Durations) -> Option<f64> {
        if self.count < LEAST_FOR_TEST || earlier.count < LEAST_FOR_TEST {
            return None;
        }
        let (now, then) = (self.count as f64, earlier.count as f64);
        let all = now + then;
        let (later_times, earlier_times) = (self.times(), earlier.times());
        let mut later_times = later_times.iter().peekable();
        let mut earlier_times = earlier_times.iter().peekable();
        // Pairs in which the later one is longer; where both are the same, half a pair.
        let (mut longer, mut shorter_before, mut ties) = (0.0, 0.0, 0.0);
        while let Some(ms) = [later_times.peek(), earlier_times.peek()]
            .into_iter()
            .filter_map(|next| next.map(|(ms, _)| *ms))
            .min()
        {
            let here = |times: Option<&(i64, u64)>| times.map_or(0.0, |(_, times)| *times as f64);
            let later_here = here(later_times.next_if(|(at, _)| *at == ms));
            let earlier_here = here(earlier_times.next_if(|(at, _)| *at == ms));
            longer += later_here * (shorter_before + earlier_here / 2.0);
            shorter_before += earlier_here;
            let tied = later_here + earlier_here;
            ties += tied * (tied * tied - 1.0);
        }
        let variance = now * then / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
        if variance <= 0.0 {
            return None;
        }
        let deviation = (longer - now * then / 2.0 - 0.5) / variance.sqrt();
        Some(libm::erfc(deviation / std::f64::consts::SQRT_2) / 2.0)
    }
}

/// Fewer durations than these are not compared: the normal distribution does not describe them.
pub(crate) const LEAST_FOR_TEST: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(durations: impl IntoIterator<Item = i64>) -> Durations {
        let mut all = Durations::default();
        durations.into_iter().for_each(|ms| all.add(ms));
        all
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred = of(1..=100);
        assert_eq!([50, 95, 99, 100].map(|p| hundred.percentile(p)), [50, 95, 99, 100].map(Some));
        assert_eq!(of([7]).percentile(50), Some(7));
        assert_eq!(of([1, 2, 3]).percentile(50), Some(2));
        assert_eq!(of([]).percentile(50), None);
        assert_eq!((hundred.count(), hundred.longest()), (100, Some(100)));
        // More than are sorted together, in no order, and some once more behind them.
        let mut many = of((0..10_000).map(|n| n * 7919 % 1000));
        assert_eq!([1, 50, 99].map(|p| many.percentile(p)), [9, 499, 989].map(Some));
        assert_eq!((many.count(), many.longest()), (10_000, Some(999)));
        many.add(1_000_000);
        assert_eq!((many.count(), many.longest()), (10_001, Some(1_000_000)));
    }

    #[test]
    fn what_is_longer_by_more_than_chance_is_told() {
        let earlier = of((0..100).map(|n| 100 + n % 20));
        let slower = of((0..100).map(|n| 112 + n % 20));
        assert!(slower.chance_of_longer(&earlier).unwrap() < 1e-6);
        assert!(earlier.chance_of_longer(&slower).unwrap() > 0.999);
        let chance = earlier.chance_of_longer(&earlier).unwrap();
        assert!((0.45..0.55).contains(&chance), "{chance}");
        // One that took very long proves nothing.
        let mut outlier = earlier.clone();
        outlier.add(1_000_000);
        assert!(outlier.chance_of_longer(&earlier).unwrap() > 0.4);
        assert_eq!(of([5; 9]).chance_of_longer(&of([5; 9])), None, "all are the same");
        assert_eq!(of(0..7).chance_of_longer(&earlier), None, "too few");
    }

    #[test]
    fn the_test_gives_the_numbers_of_the_textbook() {
        // The later one is longer in 62 of 72 pairs; chance gives 36, with a variance of 108.
        let later = of([5, 8, 9, 11, 12, 14, 15, 16, 17]);
        let earlier = of([1, 2, 3, 4, 6, 7, 10, 13]);
        let pairs = 62.0;
        let z: f64 = (pairs - 36.0 - 0.5) / 108.0_f64.sqrt();
        let expected = libm::erfc(z / std::f64::consts::SQRT_2) / 2.0;
        assert!((later.chance_of_longer(&earlier).unwrap() - expected).abs() < 1e-12);
    }
}
