//! Whether two reports of a statement are of the same one, although one was cut or its line ends escaped.

use super::escape::unwrap;

/// An unmarked statement of this many bytes may have been cut: older audit loaders cut at 4,096 bytes by default and
/// leave no mark. A shorter one that another begins with is another statement: people type a statement again with more
/// behind it.
const MIN_UNMARKED_CUT_BYTES: usize = 1024;

/// Returns whether two texts are reports of one statement: equal, or one a cut of the other. White space, its escapes
/// (`\n`, `\r`, `\t`) and `;` at the end make no difference.
///
/// A cut is known by its mark (`without_cut`); by its length, where it has 1,024 bytes and more; or by a quote or a
/// parenthesis that it leaves open.
pub(crate) fn same(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (a, b) = (Report::of(a), Report::of(b));
    match common(a.text, b.text) {
        Common::Equal => true,
        Common::FirstEnds => a.may_be_cut(),
        Common::SecondEnds => b.may_be_cut(),
        Common::Less => false,
    }
}

/// Returns whether the second of two reports of one statement says more of it than the first: it is the whole of what
/// the first is a cut of, or has line ends where the first has escapes or spaces. None where neither says more, or they
/// are two statements.
pub(crate) fn says_more(first: &str, second: &str) -> Option<bool> {
    if first == second {
        return None;
    }
    let (a, b) = (Report::of(first), Report::of(second));
    match common(a.text, b.text) {
        Common::Equal if a.is_cut != b.is_cut => Some(a.is_cut),
        Common::Equal => {
            let (a, b) = (Fidelity::of(a.text), Fidelity::of(b.text));
            (a != b).then(|| a < b)
        }
        // A whole statement that another begins with is not taken for the whole of it.
        Common::FirstEnds => (a.is_cut || !b.is_cut).then_some(true),
        Common::SecondEnds => (b.is_cut || !a.is_cut).then_some(false),
        Common::Less => None,
    }
}

/// Returns what is left of a statement that was cut, without the mark that says so; None where there is no mark.
///
/// Doris 2.1 and later write ` ... /* truncated. audit_plugin_max_sql_length=4096 */` and, of an INSERT of rows,
/// ` ... /* total 30 rows, truncated. audit_plugin_max_insert_stmt_length=2048 */`, some without the dot behind
/// `truncated`; other writers `...`.
pub(super) fn without_cut(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let cut = match text.strip_suffix("*/") {
        None => text.strip_suffix("...")?,
        Some(marked) => {
            let comment = memchr::memmem::rfind(marked.as_bytes(), b"/*")?;
            let said = marked[comment + 2..].trim_start();
            let said = match said.strip_prefix("total ") {
                Some(rows) => {
                    rows.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(" rows, ")?
                }
                None => said,
            };
            said.strip_prefix("truncated")?;
            text[..comment].trim_end().strip_suffix("...")?
        }
    };
    Some(cut.strip_suffix(' ').unwrap_or(cut))
}

/// What one source says of a statement.
struct Report<'a> {
    /// Without a wrapper, a mark, and what does not matter at its end.
    text: &'a str,
    is_cut: bool,
}

impl<'a> Report<'a> {
    fn of(text: &'a str) -> Report<'a> {
        let text = unwrap(text);
        match without_cut(text) {
            // The decoder of a frontend may leave half a character.
            Some(cut) => Report { text: trimmed(cut.trim_end_matches('\u{fffd}')), is_cut: true },
            None => Report { text: trimmed(text), is_cut: false },
        }
    }

    fn may_be_cut(&self) -> bool {
        self.is_cut || self.text.len() >= MIN_UNMARKED_CUT_BYTES || super::is_left_open(self.text)
    }
}

/// The text without white space, its escapes and `;` at its end.
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

/// What two texts have in common from their start.
enum Common {
    Equal,
    /// All of the first, and the second goes on.
    FirstEnds,
    SecondEnds,
    Less,
}

fn common(a: &str, b: &str) -> Common {
    let (mut a, mut b) = (Significant(a.as_bytes()), Significant(b.as_bytes()));
    // White space before a text does not matter either.
    a.skip_space();
    b.skip_space();
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Common::Equal,
            (None, Some(_)) => return Common::FirstEnds,
            (Some(_), None) => return Common::SecondEnds,
            (Some(a), Some(b)) if a == b => {}
            _ => return Common::Less,
        }
    }
}

/// The bytes of a text, with one space for all white space and escapes of it that stand together.
struct Significant<'a>(&'a [u8]);

impl Significant<'_> {
    /// Goes over white space, and returns whether there was any.
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

/// How true a text is to the line ends of its statement; the greater the truer.
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
            assert!(same(a, b), "{a} | {b}");
            assert!(same(b, a), "{b} | {a}");
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
            assert!(!same(a, b), "{a} | {b}");
            assert!(!same(b, a), "{b} | {a}");
        }
    }

    #[test]
    fn the_whole_statement_and_its_line_ends_say_more() {
        for (less, more) in [
            ("select a from parc...", "select a from parcels"),
            ("select a ... /* truncated. x=9 */", "select a"),
            ("select a ...", "select a from ..."),
            ("select 'a\\nb'", "select 'a\nb'"),
            ("select a from p", "select a\nfrom p"),
            ("select a from p wh", "select a from p where b"),
        ] {
            assert_eq!(says_more(less, more), Some(true), "{less} | {more}");
            assert_eq!(says_more(more, less), Some(false), "{more} | {less}");
        }
        for (a, b) in [("select 1", "select 2"), ("select 1", "select 1 ;"), ("a", "a")] {
            assert_eq!(says_more(a, b), None, "{a} | {b}");
        }
    }

    #[test]
    fn marks_of_cuts_are_known() {
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
            assert_eq!(without_cut(text), cut, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_marked_cut_is_the_same_as_its_whole(text in "[a-z'(), \n\t中]{1,60}", at in 0usize..60) {
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let escaped = text[..at].replace('\n', "\\n").replace('\t', "\\t");
            let cut = format!("{escaped} ... /* truncated. audit_plugin_max_sql_length={at} */");
            prop_assert!(same(&cut, &text));
            prop_assert!(same(&text, &cut));
        }

        #[test]
        fn any_texts_can_be_compared(a: String, b: String) {
            prop_assert_eq!(same(&a, &b), same(&b, &a));
            prop_assert_eq!(says_more(&a, &b), says_more(&b, &a).map(|more| !more));
        }
    }
}
