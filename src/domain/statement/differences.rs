//! The lines in which two statements differ.

use std::time::{Duration, Instant};

use similar::{Algorithm, ChangeTag, capture_diff_slices_deadline, group_diff_ops};

use super::format_sql;

/// Equal lines that are shown before and after lines that differ.
const CONTEXT: usize = 3;
/// The most bytes of a statement that are compared.
const COMPARED_BYTES: usize = 256 << 10;
/// The most lines of a comparison.
const MAX_LINES: usize = 2000;
/// A comparison that takes longer reports more lines as different than need be.
const TIME: Duration = Duration::from_millis(200);

/// A line of one statement or of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DifferenceLine {
    Both(String),
    Before(String),
    After(String),
    /// Equal lines that are not shown.
    Gap,
}

/// How two statements differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Differences {
    /// The lines of the formatted statements that differ, with some equal lines around them.
    pub lines: Vec<DifferenceLine>,
    /// Whether a statement is too long to be compared to its end, or more lines differ.
    pub is_cut: bool,
}

/// Compares two statements as they are formatted.
pub(crate) fn differences(before: &str, after: &str) -> Differences {
    let texts =
        [before, after].map(|text| format_sql(&text[..text.floor_char_boundary(COMPARED_BYTES)]));
    let [before_lines, after_lines] = texts.each_ref().map(|text| text.lines().collect::<Vec<_>>());
    let deadline = Instant::now() + TIME;
    let steps =
        capture_diff_slices_deadline(Algorithm::Myers, &before_lines, &after_lines, Some(deadline));
    let mut lines = Vec::new();
    for group in group_diff_ops(steps, CONTEXT) {
        let begins_later =
            group.first().is_some_and(|op| op.old_range().start > 0 && op.new_range().start > 0);
        if begins_later {
            lines.push(DifferenceLine::Gap);
        }
        for change in group.iter().flat_map(|op| op.iter_changes(&before_lines, &after_lines)) {
            let line = change.value().to_string();
            lines.push(match change.tag() {
                ChangeTag::Equal => DifferenceLine::Both(line),
                ChangeTag::Delete => DifferenceLine::Before(line),
                ChangeTag::Insert => DifferenceLine::After(line),
            });
        }
    }
    let is_cut = lines.len() > MAX_LINES || before.len().max(after.len()) > COMPARED_BYTES;
    lines.truncate(MAX_LINES);
    Differences { lines, is_cut }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn before(line: &DifferenceLine) -> Option<&str> {
        match line {
            DifferenceLine::Before(text) => Some(text),
            _ => None,
        }
    }

    fn after(line: &DifferenceLine) -> Option<&str> {
        match line {
            DifferenceLine::After(text) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn only_lines_that_differ_and_their_neighbours_are_there() {
        let statement = |number: u32| {
            format!(
                "select a, b, c, d, e, f, g from t where a = 1 and b = 2 and c = 3 and d = 4 and e = {number} and f = 6 and g = 7"
            )
        };
        let Differences { lines, is_cut } = differences(&statement(5), &statement(50));
        assert!(!is_cut);
        assert_eq!(lines.first(), Some(&DifferenceLine::Gap), "{lines:?}");
        let has = |of: fn(&DifferenceLine) -> Option<&str>, text: &str| {
            lines.iter().filter_map(of).filter(|line| line.contains(text)).count()
        };
        assert_eq!((has(before, "e = 5"), has(after, "e = 50")), (1, 1), "{lines:?}");
        assert_eq!(lines.iter().filter_map(before).count(), 1, "{lines:?}");
        assert_eq!(differences("select 1", "select  1").lines, []);
    }

    #[test]
    fn long_statements_take_little_time() {
        let began = Instant::now();
        let long = |step: usize| {
            (0..200_000).map(|at| format!("{} ,\n", at * step % 1009)).collect::<String>()
        };
        let Differences { lines, is_cut } = differences(&long(7), &long(11));
        assert!(is_cut && lines.len() <= MAX_LINES);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }

    proptest! {
        #[test]
        fn the_lines_are_of_their_statements(before in "[a-c ,\n]{0,40}", after in "[a-c ,\n]{0,40}") {
            let (one, other) = (format_sql(&before), format_sql(&after));
            for line in differences(&before, &after).lines {
                match line {
                    DifferenceLine::Before(line) => prop_assert!(one.contains(&line)),
                    DifferenceLine::After(line) => prop_assert!(other.contains(&line)),
                    DifferenceLine::Both(line) => prop_assert!(one.contains(&line) && other.contains(&line)),
                    DifferenceLine::Gap => {}
                }
            }
        }
    }
}
