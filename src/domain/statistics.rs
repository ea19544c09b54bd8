//! Statistics of durations: percentiles, and a test whether the durations of one period are longer than those of
//! another.

use std::borrow::Cow;

/// A sum of 64-bit values. It is exact, so that the order of the values and parts that were added up elsewhere do not
/// matter; only the result is bounded.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sum(i128);

impl Sum {
    pub(crate) fn add(&mut self, value: impl Into<i128>) {
        self.0 = self.0.saturating_add(value.into());
    }

    /// Returns the sum of both.
    pub(crate) fn and(self, other: Sum) -> Sum {
        Sum(self.0.saturating_add(other.0))
    }

    /// Returns the sum, or the 64-bit number that is nearest to it.
    pub(crate) fn bounded(self) -> i64 {
        self.0.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// A sum of values of which some may be unknown. It is unknown if all of them are, and 0 only if a source said so.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct KnownSum(Option<Sum>);

impl KnownSum {
    /// Adds a value. An unknown one changes nothing.
    pub(crate) fn add(&mut self, value: Option<impl Into<i128>>) {
        if let Some(value) = value {
            self.0.get_or_insert_default().add(value);
        }
    }

    /// Returns the sum of both.
    pub(crate) fn and(self, other: KnownSum) -> KnownSum {
        let both = self.0.zip(other.0).map(|(one, other)| one.and(other));
        KnownSum(both.or(self.0).or(other.0))
    }

    /// Returns the sum, or the 64-bit number that is nearest to it; None if no value was known.
    pub(crate) fn bounded(self) -> Option<i64> {
        self.0.map(Sum::bounded)
    }
}

/// A histogram of durations in milliseconds. The memory depends on the number of different durations, not on the number
/// of all.
#[derive(Debug, Default, Clone)]
pub(crate) struct Durations {
    /// Each different duration with its number of occurrences, sorted.
    times: Vec<(i64, u64)>,
    /// Durations that are not in `times` yet, each with a number of occurrences. Sorting them together takes a third of the
    /// time of inserting each into a tree, which was a sixth of the time of counting queries.
    recent: Vec<(i64, u64)>,
    count: u64,
}

/// The least number of recent durations that are sorted together. If there are more different durations, as many as
/// those are sorted together, which keeps the time for each duration constant.
const MIN_SORTED_TOGETHER: usize = 256;

impl Durations {
    /// Adds a duration that occurred so many times.
    pub(crate) fn add(&mut self, ms: i64, times: u64) {
        self.recent.push((ms, times));
        self.count += times;
        if self.recent.len() >= self.times.len().max(MIN_SORTED_TOGETHER) {
            self.compact();
        }
    }

    /// Adds the durations of another histogram.
    pub(crate) fn add_all(&mut self, other: &Durations) {
        other.times().iter().for_each(|(ms, times)| self.add(*ms, *times));
    }

    /// Moves the recent durations into the sorted ones, which makes reading faster.
    pub(crate) fn compact(&mut self) {
        if let Cow::Owned(times) = self.times() {
            self.times = times;
            self.recent.clear();
        }
    }

    /// Returns each different duration with its number of occurrences, sorted.
    fn times(&self) -> Cow<'_, [(i64, u64)]> {
        if self.recent.is_empty() {
            return Cow::Borrowed(&self.times);
        }
        let mut all = self.times.clone();
        all.extend(&self.recent);
        // Mostly two sorted runs, which a stable sort merges in one pass.
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

    /// Returns the number of durations.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the percentile by nearest rank: `percent` of 100 durations are not longer.
    pub(crate) fn percentile(&self, percent: u64) -> Option<i64> {
        let rank = self.count.saturating_mul(percent).div_ceil(100).max(1);
        let mut seen = 0;
        self.times().iter().find_map(|(ms, times)| {
            seen += times;
            (seen >= rank).then_some(*ms)
        })
    }

    /// Returns the average, rounded down.
    pub(crate) fn average(&self) -> Option<i64> {
        let all: i128 =
            self.times().iter().map(|(ms, times)| i128::from(*ms) * i128::from(*times)).sum();
        i64::try_from(all.checked_div_euclid(i128::from(self.count))?).ok()
    }

    /// Returns the longest duration.
    pub(crate) fn longest(&self) -> Option<i64> {
        self.times().last().map(|(ms, _)| *ms)
    }

    /// Returns the durations as they were if each had taken so many times as long.
    pub(crate) fn scaled(&self, factor: f64) -> Durations {
        let longer = |(ms, times): &(i64, u64)| ((*ms as f64 * factor).round() as i64, *times);
        Durations {
            times: self.times().iter().map(longer).collect(),
            recent: Vec::new(),
            count: self.count,
        }
    }

    /// Returns the p-value of the hypothesis that these durations are not longer than the `earlier` ones, by the
    /// one-sided Mann-Whitney U test with ties and the normal approximation, which differs from the exact value by 0.06 at most
    /// with fewer than 8 durations on either side. Returns None if a side has no duration, or if all durations are the same.
    ///
    /// The test compares ranks, so a few very long durations do not decide it, and assumes no distribution of
    /// durations. `independent` says how many of these and of the earlier durations say something of their own; the others
    /// make the test no surer.
    pub(crate) fn slowdown_p_value(
        &self,
        earlier: &Durations,
        independent: (f64, f64),
    ) -> Option<f64> {
        if self.count == 0 || earlier.count == 0 {
            return None;
        }
        let (now, then) = (self.count as f64, earlier.count as f64);
        let all = now + then;
        let (later_times, earlier_times) = (self.times(), earlier.times());
        let mut later_times = later_times.iter().peekable();
        let mut earlier_times = earlier_times.iter().peekable();
        // The number of pairs in which the later duration is longer. A pair of equal durations counts half.
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
        // What the test is sure of grows with the root of the sizes' product over their sum.
        let size = |(now, then): (f64, f64)| now * then / (now + then);
        let deviation = deviation * (size(independent) / size((now, then))).sqrt();
        Some(libm::erfc(deviation / std::f64::consts::SQRT_2) / 2.0)
    }
}

/// Returns the chance that so many or more of `all` runs are in a period that has this share of the time, if runs come at random
/// times: the upper tail of the binomial distribution. The number is not below the expected one.
pub(crate) fn chance_of_runs(later: i64, all: i64, share: f64) -> f64 {
    let (later, all) = (later as f64, all as f64);
    let first = ln_choose(all, later) + later * share.ln() + (all - later) * (-share).ln_1p();
    let odds = share / (1.0 - share);
    upper_tail(first.exp(), later, all, |runs| (all - runs) / (runs + 1.0) * odds)
}

/// Returns the chance that so many or more of the failed runs are later ones, if later and earlier runs fail alike: Fisher's exact test,
/// one-sided. Both are the failed runs and all runs. The later part of failed runs is not below the earlier one.
pub(crate) fn chance_of_failures(later: (i64, i64), earlier: (i64, i64)) -> f64 {
    let [(later_failed, later), (earlier_failed, earlier)] =
        [later, earlier].map(|(failed, all)| (failed.clamp(0, all) as f64, all as f64));
    let failed = later_failed + earlier_failed;
    let first = ln_choose(later, later_failed) + ln_choose(earlier, earlier_failed)
        - ln_choose(later + earlier, failed);
    upper_tail(first.exp(), later_failed, failed.min(later), |runs| {
        (later - runs) * (failed - runs) / ((runs + 1.0) * (earlier - failed + runs + 1.0))
    })
}

/// Returns the sum of the chances from a number on, whose own is `first`. `ratio` is the chance of the next number, as a part of
/// that of a number.
fn upper_tail(first: f64, from: f64, to: f64, ratio: impl Fn(f64) -> f64) -> f64 {
    let (mut sum, mut chance, mut number) = (first, first, from);
    // Beyond the expected number, each chance is smaller than the one before.
    while number < to && chance > sum * 1e-12 {
        chance *= ratio(number);
        number += 1.0;
        sum += chance;
    }
    sum.min(1.0)
}

/// Returns the logarithm of the number of ways to choose some of all.
fn ln_choose(all: f64, some: f64) -> f64 {
    let ln_factorial = |number: f64| libm::lgamma(number + 1.0);
    ln_factorial(all) - ln_factorial(some) - ln_factorial(all - some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(durations: impl IntoIterator<Item = i64>) -> Durations {
        let mut all = Durations::default();
        durations.into_iter().for_each(|ms| all.add(ms, 1));
        all
    }

    fn p_value(later: &Durations, earlier: &Durations) -> Option<f64> {
        later.slowdown_p_value(earlier, (later.count() as f64, earlier.count() as f64))
    }

    #[test]
    fn a_sum_does_not_depend_on_the_order() {
        for values in [[i64::MAX, 1, -3], [-3, 1, i64::MAX], [1, i64::MAX, -3]] {
            let mut sum = Sum::default();
            values.into_iter().for_each(|value| sum.add(value));
            assert_eq!(sum.bounded(), i64::MAX - 2);
            sum.add(5);
            assert_eq!(sum.bounded(), i64::MAX);
        }
    }

    #[test]
    fn a_sum_of_unknown_values_is_unknown() {
        let mut sum = KnownSum::default();
        sum.add(None::<i64>);
        assert_eq!(sum.bounded(), None);
        assert_eq!(sum.and(KnownSum::default()).bounded(), None);
        sum.add(Some(0));
        sum.add(None::<i64>);
        assert_eq!(sum.bounded(), Some(0));
        let mut other = KnownSum::default();
        assert_eq!(sum.and(other).bounded(), Some(0));
        other.add(Some(3));
        assert_eq!(sum.and(other).bounded(), Some(3));
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred = of(1..=100);
        assert_eq!([50, 95, 99, 100].map(|p| hundred.percentile(p)), [50, 95, 99, 100].map(Some));
        assert_eq!(of([7]).percentile(50), Some(7));
        assert_eq!(of([1, 2, 3]).percentile(50), Some(2));
        assert_eq!(of([]).percentile(50), None);
        assert_eq!((hundred.count(), hundred.longest()), (100, Some(100)));
        // More durations than are sorted together, unsorted, and one more behind them.
        let mut many = of((0..10_000).map(|n| n * 7919 % 1000));
        assert_eq!([1, 50, 99].map(|p| many.percentile(p)), [9, 499, 989].map(Some));
        assert_eq!((many.count(), many.longest()), (10_000, Some(999)));
        many.add(1_000_000, 1);
        assert_eq!((many.count(), many.longest()), (10_001, Some(1_000_000)));
        many.add(2_000_000, 9_999);
        assert_eq!([50, 51].map(|p| many.percentile(p)), [Some(999), Some(2_000_000)]);
        assert_eq!(many.count(), 20_000);
    }

    #[test]
    fn a_slowdown_has_a_small_p_value() {
        let earlier = of((0..100).map(|n| 100 + n % 20));
        let slower = of((0..100).map(|n| 112 + n % 20));
        assert!(p_value(&slower, &earlier).unwrap() < 1e-6);
        assert!(p_value(&earlier, &slower).unwrap() > 0.999);
        let same = p_value(&earlier, &earlier).unwrap();
        assert!((0.45..0.55).contains(&same), "{same}");
        // Few of many durations say something of their own.
        let unsure = slower.slowdown_p_value(&earlier, (2.0, 2.0)).unwrap();
        assert!(unsure > 0.05, "{unsure}");
        // One very long duration proves nothing.
        let mut outlier = earlier.clone();
        outlier.add(1_000_000, 1);
        assert!(p_value(&outlier, &earlier).unwrap() > 0.4);
        assert_eq!(p_value(&of([5; 9]), &of([5; 9])), None, "all are the same");
        assert_eq!(p_value(&of([]), &earlier), None, "no duration");
    }

    #[test]
    fn the_test_of_few_durations_is_near_the_exact_one() {
        // All later durations are longer: one of the ways to choose them from all.
        for (later, earlier) in [(1, 1), (1, 3), (1, 7), (1, 20), (2, 2), (2, 5), (3, 7), (7, 7)] {
            let p = p_value(&of(100..100 + later), &of(0..earlier)).unwrap();
            let exact = (-ln_choose((later + earlier) as f64, later as f64)).exp();
            assert!((p - exact).abs() < 0.065, "{later} {earlier}: {p} {exact}");
        }
    }

    #[test]
    fn chances_are_those_of_the_textbook() {
        let is = |chance: f64, expected: f64| {
            assert!((chance - expected).abs() < 1e-9, "{chance} {expected}");
        };
        // Heads eight times and more in ten throws: 56 of 1024.
        is(chance_of_runs(8, 10, 0.5), 56.0 / 1024.0);
        is(chance_of_runs(3, 3, 0.125), 1.0 / 512.0);
        is(chance_of_runs(0, 0, 0.5), 1.0);
        // The lady tastes four cups of eight: all right, and three of them.
        is(chance_of_failures((4, 4), (0, 4)), 1.0 / 70.0);
        is(chance_of_failures((3, 4), (1, 4)), 17.0 / 70.0);
        is(chance_of_failures((0, 5), (0, 9)), 1.0);
        assert!(chance_of_runs(90_000, 100_000, 0.5) < 1e-300);
        assert!(chance_of_failures((9_000, 10_000), (0, 90_000)) < 1e-300);
    }

    #[test]
    fn the_test_gives_the_numbers_of_the_textbook() {
        // The later one is longer in 62 of 72 pairs; chance gives 36, with a variance of 108.
        let later = of([5, 8, 9, 11, 12, 14, 15, 16, 17]);
        let earlier = of([1, 2, 3, 4, 6, 7, 10, 13]);
        let pairs = 62.0;
        let z: f64 = (pairs - 36.0 - 0.5) / 108.0_f64.sqrt();
        let expected = libm::erfc(z / std::f64::consts::SQRT_2) / 2.0;
        assert!((p_value(&later, &earlier).unwrap() - expected).abs() < 1e-12);
    }
}
