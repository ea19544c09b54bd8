//! The comparison of two periods.

use std::collections::HashMap;

use super::{Cause, Change, ChangeKind, Frequencies, Regression, RunCosts};
use crate::domain::statement::Fingerprint;
use crate::domain::statistics::{Durations, chance_of_failures, chance_of_runs};
use crate::store::group::Group;
use crate::store::hours::HOUR_MS;

/// Durations are compared if a statement has this many runs that did not fail at least in each period ...
const MIN_RUNS: i64 = 8;
/// ... which began in this many quarters of an hour at least.
const MIN_QUARTERS: i64 = 4;
/// A change is sure with this confidence at least, among all statements that were compared.
const MIN_CONFIDENCE: f64 = 0.95;
/// A statement has few runs if they began in fewer quarters of an hour in one of the periods. Then a change is named ...
const FEW_QUARTERS: i64 = 30;
/// ... with this confidence at least, for the statement alone.
const MIN_CONFIDENCE_OF_FEW: f64 = 0.9;
/// A statement is slower if its median or its 95th percentile became longer by this factor at least. With many runs, the test
/// is sure of differences that nobody feels.
const MIN_FACTOR: f64 = 4.0 / 3.0;
/// ... and by this many milliseconds.
const MIN_LONGER_MS: i64 = 5;
/// With few runs, its median became longer by this factor at least.
const MIN_FACTOR_OF_FEW: f64 = 2.0;
/// A statement is more frequent if it runs this many times as often at least.
const MIN_FREQUENCY_FACTOR: f64 = 2.0;
/// A burst has this many times as many runs in each of its quarters of an hour as the baseline, at least.
const BURST_FACTOR: f64 = 4.0;
/// A statement fails more if this part of its runs more fails at least ...
const MIN_MORE_FAILED: f64 = 0.05;
/// ... and this many runs.
const MIN_EXTRA_ERRORS: i64 = 2;
/// Fewer statements say nothing of the whole cluster.
const TYPICAL_OF: usize = 10;
/// More rows are the cause if a run reads this many times as many on average ...
const MORE_ROWS_FACTOR: f64 = 1.5;
/// ... and this many more.
const MORE_ROWS: i64 = 1000;
/// A phase is the cause if it has this part of the longer duration.
const CAUSING_PART: f64 = 0.5;

/// What two periods have in common and what not.
#[derive(Debug, Default)]
pub(in crate::store) struct Compared {
    /// The statements that changed, the one with most extra time first and those with few runs last, without their
    /// normalized statements.
    pub statements: Vec<Regression>,
    /// How many statements have durations to compare.
    pub durations: usize,
    /// How many times as long a typical statement took.
    pub typical_factor: Option<f64>,
    /// How many times as often a typical statement ran.
    pub typical_frequency: Option<f64>,
}

/// Compares the groups by statement of the baseline and of the period. The lengths are those of the period and of the part of
/// the baseline of which there is a history.
pub(in crate::store) fn compare(
    before: Vec<Group>,
    after: Vec<Group>,
    frequencies: &Frequencies,
    (period_ms, baseline_ms): (i64, i64),
) -> Compared {
    let before = before.into_iter().filter_map(|group| Some((group.fingerprint?, group)));
    let before: HashMap<_, Group> = before.collect();
    let pairs = after.iter().filter_map(|after| {
        let fingerprint = after.fingerprint?;
        Some(Pair { fingerprint, before: before.get(&fingerprint), after })
    });
    let pairs: Vec<Pair<'_>> = pairs.collect();
    let comparison = Comparison::of(&pairs, frequencies, (period_ms, baseline_ms));
    let mut statements: Vec<Regression> =
        pairs.iter().filter_map(|pair| comparison.regression(pair)).collect();
    statements.sort_by_key(|it| {
        let extra = (std::cmp::Reverse(it.extra_ms), std::cmp::Reverse(it.extra_errors));
        (it.has_few_runs(), extra, it.fingerprint.to_signed())
    });
    let Comparison { durations, typical_factor, typical_frequency, .. } = comparison;
    Compared { statements, durations, typical_factor, typical_frequency }
}

/// A statement that ran in the period, with its runs of both periods.
#[derive(Debug, Clone, Copy)]
struct Pair<'g> {
    fingerprint: Fingerprint,
    before: Option<&'g Group>,
    after: &'g Group,
}

impl Pair<'_> {
    /// Returns the runs of the baseline if the durations of both periods are enough to be sure.
    fn with_enough_durations(&self) -> Option<&Group> {
        let Pair { before, after, .. } = *self;
        let before = before.filter(|before| {
            before.quarters.min(after.quarters) >= MIN_QUARTERS
                && before.durations.count().min(after.durations.count()) >= MIN_RUNS as u64
        })?;
        let all = (after.durations.count() as f64, before.durations.count() as f64);
        after.durations.slowdown_p_value(&before.durations, all).and(Some(before))
    }
}

/// What all statements are compared by.
struct Comparison<'f> {
    frequencies: &'f Frequencies,
    period_ms: i64,
    baseline_ms: i64,
    /// How many statements have durations to compare, ran in both periods, and ran in both and failed in the period.
    durations: usize,
    in_both: usize,
    failing: usize,
    typical_factor: Option<f64>,
    typical_frequency: Option<f64>,
}

impl<'f> Comparison<'f> {
    fn of(
        pairs: &[Pair<'_>],
        frequencies: &'f Frequencies,
        (period_ms, baseline_ms): (i64, i64),
    ) -> Comparison<'f> {
        let in_both = |pair: &&Pair<'_>| pair.before.is_some();
        let compared = pairs.iter().filter_map(|it| Some((it.with_enough_durations()?, it.after)));
        let mut comparison = Comparison {
            frequencies,
            period_ms,
            baseline_ms,
            durations: 0,
            in_both: pairs.iter().filter(in_both).count(),
            failing: pairs.iter().filter(in_both).filter(|it| it.after.errors > 0).count(),
            typical_factor: None,
            typical_frequency: None,
        };
        let factors = compared.map(|(before, after)| {
            comparison.durations += 1;
            let [before, after] = [before, after].map(|group| group.durations.percentile(50));
            let (before, after) = Option::zip(before.filter(|ms| *ms > 0), after)?;
            Some(after as f64 / before as f64)
        });
        let factors = factors.flatten().collect();
        comparison.typical_factor = typical(factors, comparison.durations);
        let factors: Vec<f64> = pairs
            .iter()
            .filter(|it| it.after.quarters >= MIN_QUARTERS)
            .filter_map(|it| {
                let (_, quarters) = frequencies.of(it.fingerprint);
                let expected = comparison.usual_runs(it)?;
                (quarters >= MIN_QUARTERS).then(|| it.after.count as f64 / expected)
            })
            .collect();
        let number = factors.len();
        comparison.typical_frequency = typical(factors, number);
        comparison
    }

    /// Returns how often a statement would run in the period if it ran as often as in the baseline; None if there is nothing to
    /// compare with.
    fn usual_runs(&self, pair: &Pair<'_>) -> Option<f64> {
        let length_ms = self.frequencies.length_ms();
        let (count, _) = self.frequencies.of(pair.fingerprint);
        (length_ms > 0).then(|| count as f64 * self.period_ms as f64 / length_ms as f64)
    }

    /// Returns a statement if it changed.
    fn regression(&self, pair: &Pair<'_>) -> Option<Regression> {
        let found = [
            self.newly_run(pair),
            self.slower(pair),
            self.more_frequent(pair),
            self.failing_more(pair),
        ];
        let changes: Vec<Change> = found.into_iter().flatten().collect();
        if changes.is_empty() {
            return None;
        }
        let Pair { fingerprint, before, after: group } = *pair;
        let is = |kind| changes.iter().any(|change| change.kind == kind);
        let per_hour = |runs: f64| runs * HOUR_MS as f64 / self.period_ms as f64;
        let usual_runs = self.usual_runs(pair);
        let nothing = Group::default();
        let before = RunCosts::of(before.unwrap_or(&nothing), usual_runs.map(per_hour));
        let after = RunCosts::of(group, Some(per_hour(group.count as f64)));
        let usual_ms = before.average_ms.unwrap_or(0);
        let longer_ms = after.average_ms.map_or(0, |ms| match before.average_ms {
            Some(usual_ms) => ms.saturating_sub(usual_ms),
            None => 0,
        });
        let more_runs = match usual_runs.filter(|_| is(ChangeKind::MoreFrequent)) {
            Some(usual) => (after.count as f64 - usual) as i64,
            None => 0,
        };
        let extra_ms = match is(ChangeKind::New) {
            true => group.total_ms.unwrap_or(0),
            false => longer_ms
                .saturating_mul(after.count.saturating_sub(after.errors))
                .saturating_add(usual_ms.saturating_mul(more_runs)),
        };
        let causes =
            if is(ChangeKind::Slower) { causes(&before, &after, longer_ms) } else { Vec::new() };
        Some(Regression {
            fingerprint,
            normalized: String::new(),
            extra_ms,
            extra_errors: extra_errors(&before, &after),
            changes,
            causes,
            before,
            after,
        })
    }

    fn newly_run(&self, Pair { before, after, .. }: &Pair<'_>) -> Option<Change> {
        if before.is_some() {
            return None;
        }
        // Runs at random times would all be in the period with this chance.
        let part = self.period_ms as f64 / (self.period_ms as f64 + self.baseline_ms as f64);
        let confidence = 1.0 - part.powf(independent_runs(after));
        Some(Change { kind: ChangeKind::New, confidence, few_runs: after.count < MIN_RUNS })
    }

    fn slower(&self, pair: &Pair<'_>) -> Option<Change> {
        let Pair { before, after, .. } = *pair;
        let before = before?;
        // Each statement is compared with what it would take if it had got slower as the others have.
        let expected = before.durations.scaled(self.typical_factor.unwrap_or(1.0).max(1.0));
        if !is_longer(&expected, &after.durations, &[50, 95], MIN_FACTOR)
            || after.durations.average() <= before.durations.average()
        {
            return None;
        }
        let independent =
            |group: &Group| independent_runs(group).min(group.durations.count() as f64);
        let independent = (independent(after), independent(before));
        let chance = after.durations.slowdown_p_value(&expected, independent)?;
        let are_enough = pair.with_enough_durations().is_some();
        let is_felt = is_longer(&expected, &after.durations, &[50], MIN_FACTOR_OF_FEW);
        let sure = sure(ChangeKind::Slower, chance, self.durations).filter(|_| are_enough);
        sure.or_else(|| unsure(ChangeKind::Slower, chance, pair).filter(|_| is_felt))
    }

    fn more_frequent(&self, pair: &Pair<'_>) -> Option<Change> {
        let after = pair.after;
        let (count, quarters) = self.frequencies.of(pair.fingerprint);
        pair.before?;
        // Each statement is compared with how often it would run if it had become more frequent as the others have.
        let busier = self.typical_frequency.unwrap_or(1.0).max(1.0);
        let usual_runs = self.usual_runs(pair)? * busier;
        if (after.count as f64) < usual_runs * MIN_FREQUENCY_FACTOR {
            return None;
        }
        // Runs of one quarter of an hour come together. So quarters are counted and not runs, by the average number of
        // runs in one.
        let all = quarters + after.quarters;
        let part = after.count as f64 / (after.count + count).max(1) as f64;
        let later = ((all as f64 * part).round() as i64).min(after.quarters);
        let (period, baseline) =
            (self.period_ms as f64 * busier, self.frequencies.length_ms() as f64);
        let share = period / (period + baseline);
        let chance = chance_of_runs(later, all, share);
        let kind = ChangeKind::MoreFrequent;
        let of_burst = || {
            let in_quarter = |count: i64, quarters: i64| count as f64 / quarters.max(1) as f64;
            let is_burst = after.count >= MIN_RUNS
                && in_quarter(after.count, after.quarters)
                    >= BURST_FACTOR * in_quarter(count, quarters);
            // One burst is one event.
            is_burst.then_some(Change { kind, confidence: 1.0 - share, few_runs: true })
        };
        sure(kind, chance, self.in_both).or_else(|| unsure(kind, chance, pair)).or_else(of_burst)
    }

    fn failing_more(&self, pair: &Pair<'_>) -> Option<Change> {
        let Pair { before, after, .. } = *pair;
        let before = before?;
        let part = |group: &Group| group.errors as f64 / group.count.max(1) as f64;
        let more = part(after) - part(before);
        if more < MIN_MORE_FAILED || ((more * after.count as f64) as i64) < MIN_EXTRA_ERRORS {
            return None;
        }
        // Runs of one quarter of an hour fail together, so quarters are counted and not runs.
        let independent = |group: &Group| {
            let runs = independent_runs(group);
            ((runs * part(group)).round() as i64, runs as i64)
        };
        let chance = chance_of_failures(independent(after), independent(before));
        let kind = ChangeKind::FailingMore;
        sure(kind, chance, self.failing).or_else(|| unsure(kind, chance, pair))
    }
}

/// Returns a change that is sure among so many statements.
fn sure(kind: ChangeKind, chance: f64, statements: usize) -> Option<Change> {
    let confidence = 1.0 - chance * statements.max(1) as f64;
    (confidence >= MIN_CONFIDENCE).then_some(Change { kind, confidence, few_runs: false })
}

/// Returns a change of a statement that has few runs.
fn unsure(kind: ChangeKind, chance: f64, pair: &Pair<'_>) -> Option<Change> {
    let confidence = 1.0 - chance;
    let quarters = pair.before.map_or(0, |before| before.quarters).min(pair.after.quarters);
    let is_named = quarters < FEW_QUARTERS && confidence >= MIN_CONFIDENCE_OF_FEW;
    is_named.then_some(Change { kind, confidence, few_runs: true })
}

/// Returns the median of the factors of statements; none with few statements.
fn typical(mut factors: Vec<f64>, statements: usize) -> Option<f64> {
    factors.sort_by(f64::total_cmp);
    factors.get(factors.len() / 2).copied().filter(|_| statements >= TYPICAL_OF)
}

/// Returns how many runs say something of their own. Runs at the same time, as those of one dashboard, are slow together:
/// the runs of a quarter of an hour count as one.
fn independent_runs(group: &Group) -> f64 {
    group.quarters.clamp(1, group.count.max(1)) as f64
}

/// Returns whether a person would feel the difference: one of the percentiles is at least `factor` times as long.
fn is_longer(before: &Durations, after: &Durations, percents: &[u64], factor: f64) -> bool {
    percents.iter().any(|percent| {
        let (Some(before), Some(after)) = (before.percentile(*percent), after.percentile(*percent))
        else {
            return false;
        };
        is_longer_by(before, after, factor)
    })
}

/// Returns whether a statement is slower if its median got longer like this.
pub(super) fn is_felt(before_ms: i64, after_ms: i64) -> bool {
    is_longer_by(before_ms, after_ms, MIN_FACTOR)
}

fn is_longer_by(before_ms: i64, after_ms: i64, factor: f64) -> bool {
    after_ms.saturating_sub(before_ms) >= MIN_LONGER_MS
        && after_ms as f64 >= before_ms as f64 * factor
}

/// Returns how many more runs failed than would have with the baseline's share of failed runs.
fn extra_errors(before: &RunCosts, after: &RunCosts) -> i64 {
    (after.errors as f64 - before.failed_part() * after.count as f64).round() as i64
}

fn causes(before: &RunCosts, after: &RunCosts, longer_ms: i64) -> Vec<Cause> {
    // Rows that only one period reports are not more rows.
    let has_more_rows = before.scan_rows.zip(after.scan_rows).is_some_and(|(before, after)| {
        after.saturating_sub(before) >= MORE_ROWS
            && after as f64 >= before as f64 * MORE_ROWS_FACTOR
    });
    // Some frontends report only times that are not 0.
    let has_part = |before_ms: Option<i64>, after_ms: Option<i64>| {
        let more_ms = after_ms.unwrap_or(0).saturating_sub(before_ms.unwrap_or(0));
        longer_ms > 0 && more_ms as f64 >= longer_ms as f64 * CAUSING_PART
    };
    let found = [
        (Cause::Data, has_more_rows),
        (Cause::Queue, has_part(before.queue_time_ms, after.queue_time_ms)),
        (Cause::Planning, has_part(before.planning_time_ms, after.planning_time_ms)),
    ];
    found.into_iter().filter(|(_, is_cause)| *is_cause).map(|(cause, _)| cause).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * HOUR_MS;

    /// Returns the runs of a statement that take about so many milliseconds and read so many rows each.
    fn runs(fingerprint: i64, count: i64, about_ms: i64, rows: i64) -> Group {
        let mut durations = Durations::default();
        let mut total_ms = 0;
        for run in 0..count {
            let ms = about_ms + run * 7 % 10;
            durations.add(ms, 1);
            total_ms += ms;
        }
        let fingerprint = Some(Fingerprint::from_signed(fingerprint));
        let (total_ms, scan_rows) = (Some(total_ms), Some(rows * count));
        Group {
            fingerprint,
            count,
            total_ms,
            durations,
            scan_rows,
            quarters: count,
            ..Group::default()
        }
    }

    /// Compares two days.
    fn days(before: Vec<Group>, after: Vec<Group>) -> Compared {
        let mut frequencies = Frequencies::default();
        frequencies.add(&before, DAY_MS);
        compare(before, after, &frequencies, (DAY_MS, DAY_MS))
    }

    /// Compares a day with the week before.
    fn week(before: Vec<Group>, after: Vec<Group>) -> Compared {
        let mut frequencies = Frequencies::default();
        frequencies.add(&before, 7 * DAY_MS);
        compare(before, after, &frequencies, (DAY_MS, 7 * DAY_MS))
    }

    /// Returns each statement with its changes, and whether they have few runs.
    fn named(compared: &Compared) -> Vec<(i64, Vec<(ChangeKind, bool)>)> {
        let changes =
            |it: &Regression| it.changes.iter().map(|it| (it.kind, it.few_runs)).collect();
        compared.statements.iter().map(|it| (it.fingerprint.to_signed(), changes(it))).collect()
    }

    fn with_errors(group: Group, errors: i64) -> Group {
        Group { errors, ..group }
    }

    const SLOWER: (ChangeKind, bool) = (ChangeKind::Slower, false);
    const NEW: (ChangeKind, bool) = (ChangeKind::New, false);
    const MORE_FREQUENT: (ChangeKind, bool) = (ChangeKind::MoreFrequent, false);
    const FAILING_MORE: (ChangeKind, bool) = (ChangeKind::FailingMore, false);

    fn few((kind, _): (ChangeKind, bool)) -> (ChangeKind, bool) {
        (kind, true)
    }

    #[test]
    fn what_got_slower_is_named_with_its_cause() {
        let before = vec![
            runs(1, 100, 100, 5000),
            runs(2, 100, 100, 5000),
            runs(3, 100, 100, 5000),
            runs(4, 100, 100, 5000),
            runs(6, 5, 100, 5000),
        ];
        let mut queued = runs(4, 50, 180, 5000);
        queued.queue_time_ms = Some(50 * 70);
        let after = vec![
            runs(1, 100, 101, 5000),
            runs(2, 100, 300, 5000),
            runs(3, 100, 150, 8000),
            queued,
            runs(6, 5, 900, 5000),
        ];
        let found = days(before, after);
        let causes: Vec<_> = found.statements.iter().map(|it| it.causes.clone()).collect();
        assert_eq!(causes, [vec![], vec![Cause::Data], vec![Cause::Queue], vec![]]);
        let expected =
            [(2, vec![SLOWER]), (3, vec![SLOWER]), (4, vec![SLOWER]), (6, vec![few(SLOWER)])];
        assert_eq!(named(&found), expected, "one that is hardly slower is not named");
        assert_eq!((found.durations, found.typical_factor), (4, None));
        let slower = &found.statements;
        assert_eq!((slower[0].extra_ms, slower[0].before.p50_ms), (20_000, Some(104)));
        assert!(slower.iter().take(3).all(|it| it.changes[0].confidence > 0.99));
    }

    #[test]
    fn a_slow_tail_is_enough() {
        let before = runs(1, 200, 100, 0);
        let mut after = runs(1, 100, 101, 0);
        let tail = runs(1, 60, 500, 0);
        after.durations = after.durations.clone();
        for ms in 0..60 {
            after.durations.add(500 + ms, 1);
        }
        after.count += tail.count;
        after.total_ms = after.total_ms.zip(tail.total_ms).map(|(one, other)| one + other);
        assert_eq!(named(&days(vec![before], vec![after])), [(1, vec![SLOWER])]);
    }

    #[test]
    fn runs_at_the_same_time_count_as_one() {
        let before = || vec![runs(1, 160, 100, 0)];
        let mut after = runs(1, 32, 140, 0);
        assert_eq!(named(&days(before(), vec![after.clone()])), [(1, vec![SLOWER])]);
        // Two bursts on a bad day.
        after.quarters = 2;
        assert_eq!(named(&days(before(), vec![after])), []);
    }

    #[test]
    fn durations_are_of_runs_that_did_not_fail() {
        let mut after = with_errors(runs(1, 60, 300, 5000), 40);
        // Those that failed are quick.
        (after.count, after.total_ms) = (100, after.total_ms.map(|ms| ms + 40));
        let found = days(vec![runs(1, 100, 100, 5000)], vec![after]);
        assert_eq!(named(&found), [(1, vec![SLOWER, FAILING_MORE])]);
        let one = &found.statements[0];
        assert_eq!((one.extra_ms, one.after.average_ms), (200 * 60, Some(304)));
        // Of a statement that fails always, no duration is known.
        let all = Group { durations: Durations::default(), ..with_errors(runs(1, 100, 9, 0), 100) };
        let found = days(vec![runs(1, 100, 100, 0)], vec![all]);
        assert_eq!(named(&found), [(1, vec![FAILING_MORE])]);
        let one = &found.statements[0];
        assert_eq!((one.extra_ms, one.after.p50_ms, one.after.average_ms), (0, None, None));
    }

    #[test]
    fn a_slow_cluster_is_no_slow_statement() {
        let before = || (0..20).map(|shape| runs(shape, 100, 100, 0)).collect::<Vec<_>>();
        let mut after: Vec<_> = (0..20).map(|shape| runs(shape, 100, 160, 0)).collect();
        let found = days(before(), after.clone());
        assert!(found.statements.is_empty() && found.typical_factor.is_some_and(|it| it > 1.5));
        after[7] = runs(7, 100, 400, 0);
        assert_eq!(named(&days(before(), after)), [(7, vec![SLOWER])]);
    }

    #[test]
    fn a_statement_without_a_run_in_the_baseline_is_new() {
        let before = || vec![runs(1, 70, 100, 0)];
        let after = || vec![runs(1, 10, 100, 0), runs(2, 3, 9_000, 0), runs(3, 20, 200, 0)];
        let found = week(before(), after());
        assert_eq!(named(&found), [(3, vec![NEW]), (2, vec![few(NEW)])], "few runs come last");
        // Three runs at random times are all in the last of eight days with a chance of 1 in 512.
        let rare = &found.statements[1];
        assert!((rare.changes[0].confidence - 511.0 / 512.0).abs() < 1e-9);
        assert_eq!((rare.extra_ms, rare.before.count, rare.before.p50_ms), (27_011, 0, None));
        let found = week(vec![], vec![runs(3, 20, 200, 0)]);
        assert_eq!(named(&found), [(3, vec![NEW])], "nothing that the filter chooses ran before");
    }

    #[test]
    fn what_runs_more_often_is_named_by_runs_in_an_hour() {
        let before = vec![runs(1, 70, 100, 0), runs(2, 70, 100, 0), runs(3, 700, 100, 0)];
        let after = vec![runs(1, 50, 100, 0), runs(2, 12, 100, 0), runs(3, 100, 100, 0)];
        let found = week(before, after);
        assert_eq!(named(&found), [(1, vec![MORE_FREQUENT])]);
        let one = &found.statements[0];
        assert!((one.frequency_factor().unwrap() - 5.0).abs() < 1e-9);
        // Forty runs more than ten.
        assert_eq!(one.extra_ms, 40 * 104);
        // One quarter of an hour with many runs: a dashboard that was open, or the begin of something.
        let busy = Group { quarters: 1, ..runs(1, 500, 100, 0) };
        let found = week(vec![runs(1, 70, 100, 0)], vec![busy.clone()]);
        assert_eq!(named(&found), [(1, vec![few(MORE_FREQUENT)])]);
        let often = Group { quarters: 2, ..runs(1, 900, 100, 0) };
        assert_eq!(named(&week(vec![often], vec![busy])), [], "as it was twice before");
        // Every statement runs more often: a busier day.
        let all = |count| (0..20).map(|shape| runs(shape, count, 100, 0)).collect::<Vec<_>>();
        let found = week(all(70), all(40));
        assert!(named(&found).is_empty() && found.typical_frequency.is_some_and(|it| it > 3.9));
        // Nothing to compare with.
        let before = vec![runs(1, 70, 100, 0)];
        let none = Frequencies::default();
        let found = compare(before, vec![runs(1, 90, 100, 0)], &none, (DAY_MS, DAY_MS / 4));
        assert_eq!(named(&found), []);
    }

    #[test]
    fn what_fails_more_is_named_by_its_share() {
        let before =
            vec![with_errors(runs(1, 700, 100, 0), 7), runs(2, 70, 100, 0), runs(3, 70, 100, 0)];
        let after = vec![
            with_errors(runs(1, 100, 100, 0), 20),
            // One of ten may be chance, and so are two of a hundred.
            with_errors(runs(2, 10, 100, 0), 1),
            with_errors(runs(3, 10, 100, 0), 2),
            runs(4, 8, 100, 0),
        ];
        let found = week(before, after);
        assert_eq!(
            named(&found),
            [(4, vec![NEW]), (1, vec![FAILING_MORE]), (3, vec![FAILING_MORE])]
        );
        assert_eq!((found.statements[1].extra_ms, found.statements[1].extra_errors), (0, 19));
        // Two quarters of an hour in which all failed; and a single run.
        let bad = Group { quarters: 2, ..with_errors(runs(1, 90, 100, 0), 90) };
        let found = week(vec![Group { quarters: 4, ..runs(1, 20, 100, 0) }], vec![bad]);
        assert_eq!(found.statements[0].changes.len(), 2, "{:?}", named(&found));
        assert!(found.statements[0].is(ChangeKind::FailingMore));
        let found = week(vec![runs(1, 7, 100, 0)], vec![with_errors(runs(1, 1, 100, 0), 1)]);
        assert_eq!(named(&found), []);
    }
}
