//! Compares two reports of a statement, of which one may be cut or have its line ends escaped.

use super::normalize::is_left_open;
use super::unescape::unwrap;

/// A statement without a mark may have been cut if it has this many bytes: older audit loaders cut at 4,096 bytes by
/// default and leave no mark. A shorter text that another text begins with is a statement of its own: people run a
/// statement again with more text behind it.
const MIN_UNMARKED_CUT_BYTES: usize = 1024;

/// Returns whether two texts report one statement: the texts are equal, or one is a cut of the other. White space, its
/// escapes (`\n`, `\r`, `\t`) and `;` at the end make no difference.
///
/// A text may be a cut if it has a mark ([`without_cut_mark`]), if it has at least 1,024 bytes, or if a quote or a
/// parenthesis in it is not closed.
pub(crate) fn is_same_statement(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (a, b) = (Report::of(a), Report::of(b));
    match compare_prefixes(a.text, b.text) {
        Prefix::Equal => true,
        Prefix::FirstEnds => a.may_be_cut(),
        Prefix::SecondEnds => b.may_be_cut(),
        Prefix::Differ => false,
    }
}

/// Returns whether the second of two reports of one statement is more complete than the first: the second is the whole
/// statement and the first a cut, or the second has line ends where the first has escapes or spaces. Returns None if
/// neither is more complete, or if the texts are two statements.
pub(crate) fn is_more_complete(first: &str, second: &str) -> Option<bool> {
    if first == second {
        return None;
    }
    let (a, b) = (Report::of(first), Report::of(second));
    match compare_prefixes(a.text, b.text) {
        Prefix::Equal if a.is_cut != b.is_cut => Some(a.is_cut),
        Prefix::Equal => {
            let (a, b) = (Fidelity::of(a.text), Fidelity::of(b.text));
            (a != b).then(|| a < b)
        }
        // A marked cut that is longer than a whole statement is a cut of another statement.
        Prefix::FirstEnds => (a.is_cut || !b.is_cut).then_some(true),
        Prefix::SecondEnds => (b.is_cut || !a.is_cut).then_some(false),
        Prefix::Differ => None,
    }
}

/// Returns a statement that was cut without the mark that says so; None if the text has no mark.
///
/// Doris 2.1 and later write ` ... /* truncated. audit_plugin_max_sql_length=4096 */` and, for an INSERT of rows,
/// ` ... /* total 30 rows, truncated. audit_plugin_max_insert_stmt_length=2048 */`; some versions have no dot behind
/// `truncated`. Other writers append `...`.
pub(super) fn without_cut_mark(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let cut = match text.strip_suffix("*/") {
        None => text.strip_suffix("...")?,
        Some(marked) => {
            let comment = memchr::memmem::rfind(marked.as_bytes(), b"/*")?;
            let mark = marked[comment + 2..].trim_start();
            let mark = match mark.strip_prefix("total ") {
                Some(rows) => {
                    rows.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(" rows, ")?
                }
                None => mark,
            };
            mark.strip_prefix("truncated")?;
            text[..comment].trim_end().strip_suffix("...")?
        }
    };
    Some(cut.strip_suffix(' ').unwrap_or(cut))
}

/// The text of a statement as one source reports it.
struct Report<'a> {
    /// Without the wrapper, the mark of a cut, and insignificant characters at its end.
    text: &'a str,
    /// Whether the text had a mark.
    is_cut: bool,
}

impl<'a> Report<'a> {
    fn of(text: &'a str) -> Report<'a> {
        let text = unwrap(text);
        match without_cut_mark(text) {
            // The cut may go through a character, which the frontend then decodes to U+FFFD.
            Some(cut) => Report { text: trimmed(cut.trim_end_matches('\u{fffd}')), is_cut: true },
            None => Report { text: trimmed(text), is_cut: false },
        }
    }

    fn may_be_cut(&self) -> bool {
        self.is_cut || self.text.len() >= MIN_UNMARKED_CUT_BYTES || is_left_open(self.text)
    }
}

/// Returns the text without white space, its escapes and `;` at its end.
fn trimmed(text: &str) -> &str {
    let mut text = text;
    loop {
        let shorter = text.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
        let shorter = ["\\n", "\\r", "\\t"]
            .iter()
            .find_map(|escape| shorter.strip_suffix(escape))
            .unwrap_or(shorter);
        if shorter.len() == text.len() {
            return text;
        }
        text = shorter;
    }
}

/// Which of two texts is a prefix of the other.
enum Prefix {
    /// Both texts end.
    Equal,
    FirstEnds,
    SecondEnds,
    /// The texts differ before either ends.
    Differ,
}

fn compare_prefixes(a: &str, b: &str) -> Prefix {
    let (mut a, mut b) = (Significant(a.as_bytes()), Significant(b.as_bytes()));
    // White space at the start of a text does not matter.
    a.skip_space();
    b.skip_space();
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Prefix::Equal,
            (None, Some(_)) => return Prefix::FirstEnds,
            (Some(_), None) => return Prefix::SecondEnds,
            (Some(a), Some(b)) if a == b => {}
            _ => return Prefix::Differ,
        }
    }
}

/// Iterates over the bytes of a text and gives one space for each run of white space and its escapes.
struct Significant<'a>(&'a [u8]);

impl Significant<'_> {
    /// Skips white space, and returns whether there was any.
    fn skip_space(&mut self) -> bool {
        let before = self.0.len();
        loop {
            self.0 = match self.0 {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, rest @ ..] => rest,
                [b'\\', b'n' | b'r' | b't', rest @ ..] => rest,
                _ => return self.0.len() < before,
            };
        }
    }
}

impl Iterator for Significant<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.skip_space() {
            return Some(b' ');
        }
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

/// How faithfully a text keeps the line ends of its statement. Greater is better.
#[derive(PartialEq, PartialOrd)]
struct Fidelity {
    fewer_escapes: std::cmp::Reverse<usize>,
    line_ends: usize,
}

impl Fidelity {
    fn of(text: &str) -> Fidelity {
        let mut fidelity = Fidelity { fewer_escapes: std::cmp::Reverse(0), line_ends: 0 };
        for pair in text.as_bytes().windows(2) {
            match pair {
                [b'\\', b'n' | b'r' | b't'] => fidelity.fewer_escapes.0 += 1,
                [b'\n', _] => fidelity.line_ends += 1,
                _ => {}
            }
        }
        fidelity
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reports_of_one_statement_are_the_same() {
        let long = format!("select * from parcels where id in ({})", "12345, ".repeat(300));
        let cut_unmarked = &long[..2000];
        for (a, b) in [
            ("select 1", "select 1"),
            ("select 1;", " select  1 \n"),
            ("select a\\nfrom p\\r\\n", "select a\nfrom p"),
            ("select 'a\\tb'", "select 'a\tb'"),
            ("select a from parc...", "select a from parcels"),
            ("select a ... /* truncated. audit_plugin_max_sql_length=9 */", "select a from p"),
            ("select a ... /* truncated audit_plugin_max_sql_length=9 */", "select a,b\n from p"),
            (
                "insert into p values (1),\\n(2 ... /* total 30 rows, truncated. audit_plugin_max_insert_stmt_length=9 */",
                "insert into p values (1),\n(22)",
            ),
            ("select a ...", "select a from ..."),
            ("OriginStatement{originStmt='select 'a'', idx=0}", "select 'a'"),
            ("select a from p where b = 'x", "select a from p where b = 'xy'"),
            ("select a from p where b in (1", "select a from p where b in (12)"),
            (cut_unmarked, &long),
        ] {
            assert!(is_same_statement(a, b), "{a} | {b}");
            assert!(is_same_statement(b, a), "{b} | {a}");
        }
    }

    #[test]
    fn two_statements_are_not_the_same() {
        for (a, b) in [
            ("select 1", "select 2"),
            ("select 1", "select 12"),
            ("select a from p", "select a from p whre b = 1"),
            ("select a b", "select ab"),
            ("select a ...", "select b from p"),
            ("", "select 1"),
            ("select 1 /* truncated */", "select 1, 2"),
        ] {
            assert!(!is_same_statement(a, b), "{a} | {b}");
            assert!(!is_same_statement(b, a), "{b} | {a}");
        }
    }

    #[test]
    fn the_whole_statement_and_its_line_ends_are_more_complete() {
        for (less, more) in [
            ("select a from parc...", "select a from parcels"),
            ("select a ... /* truncated. x=9 */", "select a"),
            ("select a ...", "select a from ..."),
            ("select 'a\\nb'", "select 'a\nb'"),
            ("select a from p", "select a\nfrom p"),
            ("select a from p wh", "select a from p where b"),
        ] {
            assert_eq!(is_more_complete(less, more), Some(true), "{less} | {more}");
            assert_eq!(is_more_complete(more, less), Some(false), "{more} | {less}");
        }
        for (a, b) in [("select 1", "select 2"), ("select 1", "select 1 ;"), ("a", "a")] {
            assert_eq!(is_more_complete(a, b), None, "{a} | {b}");
        }
    }

    #[test]
    fn marks_of_cuts_are_recognized() {
        for (text, cut) in [
            ("select a...", Some("select a")),
            ("select a ... /* truncated. audit_plugin_max_sql_length=4 */", Some("select a")),
            ("a ... /* total 3 rows, truncated audit_plugin_max_sql_length=4 */\n", Some("a")),
            ("select a ... /* total */", None),
            ("select a /* truncated */", None),
            ("select '...'", None),
            ("...", Some("")),
            ("*/", None),
        ] {
            assert_eq!(without_cut_mark(text), cut, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_marked_cut_is_the_same_as_its_whole(text in "[a-z'(), \n\t中]{1,60}", at in 0usize..60) {
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let escaped = text[..at].replace('\n', "\\n").replace('\t', "\\t");
            let cut = format!("{escaped} ... /* truncated. audit_plugin_max_sql_length={at} */");
            prop_assert!(is_same_statement(&cut, &text));
            prop_assert!(is_same_statement(&text, &cut));
        }

        #[test]
        fn any_texts_can_be_compared(a: String, b: String) {
            prop_assert_eq!(is_same_statement(&a, &b), is_same_statement(&b, &a));
            prop_assert_eq!(is_more_complete(&a, &b), is_more_complete(&b, &a).map(|more| !more));
        }
    }
}
