//! Restores the text that a client sent from the form in which a frontend logs it.

use std::borrow::Cow;
use std::ops::Range;

use super::tokenizer::{Gap, Tokenizer};

/// The start of the wrapper around a statement that a frontend runs on its own behalf. Doris 2.1 logs the INSERT of
/// collected statistics like this (`OriginStatement.toString`).
const WRAPPER: &str = "OriginStatement{originStmt='";

/// Returns the statement as its client sent it: without the wrapper `OriginStatement{originStmt='…', idx=0}`, and
/// [unescaped](unescape).
pub(crate) fn original_text(text: &str) -> Cow<'_, str> {
    unescape(unwrap(text))
}

/// Returns the statement inside of `OriginStatement{originStmt='…', idx=0}`; a text without this wrapper as it is. The
/// end of the wrapper is missing if the statement was cut.
pub(super) fn unwrap(text: &str) -> &str {
    let Some(inner) = text.trim_start().strip_prefix(WRAPPER) else {
        return text;
    };
    let closed = || {
        let (statement, index) = inner.trim_end().strip_suffix('}')?.rsplit_once("', idx=")?;
        index.bytes().all(|byte| byte.is_ascii_digit()).then_some(statement)
    };
    closed().unwrap_or(inner)
}

/// Returns the statement with real line ends and tabs in place of the escapes `\n`, `\r` and `\t` that a frontend
/// writes.
///
/// Doris 2.1 and 3.0 escape all three (`AuditLogHelper.handleStmt`), later versions only line feeds. Frontends do not
/// escape backslashes, so an escape within quotes or backquotes may be the statement's own text and stays. A text with
/// a real line feed was not escaped at all; a text with a real carriage return or tab has no escapes of that character.
/// The time grows with the length of the text, not with its square.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let escapes = Escapes::of(text);
    if escapes == Escapes::NONE {
        return Cow::Borrowed(text);
    }
    let mut original = String::new();
    let mut copied = 0;
    let mut tokenizer = Tokenizer::new(text);
    loop {
        let start = tokenizer.position;
        match tokenizer.gap() {
            Some((Gap::Space | Gap::Comment, length)) => {
                tokenizer.position += length;
                escapes.replace(text, start..tokenizer.position, &mut copied, &mut original);
            }
            None => {
                if tokenizer.next(false, false).is_none() {
                    break;
                }
            }
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    original.push_str(&text[copied..]);
    Cow::Owned(original)
}

/// The characters that a frontend may have escaped in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Escapes {
    line_feed: bool,
    carriage_return: bool,
    tab: bool,
}

impl Escapes {
    const NONE: Escapes = Escapes { line_feed: false, carriage_return: false, tab: false };

    pub(super) fn of(text: &str) -> Escapes {
        let has = |byte| memchr::memchr(byte, text.as_bytes()).is_some();
        if has(b'\n') {
            return Escapes::NONE;
        }
        Escapes { line_feed: true, carriage_return: !has(b'\r'), tab: !has(b'\t') }
    }

    /// Returns the character that `\` and this byte stand for.
    fn character(self, byte: u8) -> Option<char> {
        match byte {
            b'n' if self.line_feed => Some('\n'),
            b'r' if self.carriage_return => Some('\r'),
            b't' if self.tab => Some('\t'),
            _ => None,
        }
    }

    /// Returns whether `\` and this byte end a line.
    pub(super) fn ends_line(self, byte: u8) -> bool {
        matches!(self.character(byte), Some('\n' | '\r'))
    }

    /// Appends `text` from `copied` up to the last escape within `range` to `original`, with the characters in place of
    /// the escapes, and moves `copied` behind that escape.
    fn replace(self, text: &str, range: Range<usize>, copied: &mut usize, original: &mut String) {
        let mut at = range.start;
        while let Some(found) = memchr::memchr(b'\\', &text.as_bytes()[at..range.end]) {
            at += found;
            let next = text.as_bytes()[at + 1..range.end].first().copied();
            match next.and_then(|byte| self.character(byte)) {
                Some(character) => {
                    original.push_str(&text[*copied..at]);
                    original.push(character);
                    at += 2;
                    *copied = at;
                }
                None => at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::super::normalize;
    use super::*;

    #[test]
    fn escaped_line_ends_are_line_ends_outside_of_quotes() {
        for (text, sent) in [
            ("select id\\nfrom\\r\\n\\tparcels", "select id\nfrom\r\n\tparcels"),
            ("select 1 -- one's\\nfrom parcels", "select 1 -- one's\nfrom parcels"),
            ("select /* a\\n'b */ 1\\n", "select /* a\n'b */ 1\n"),
            (
                "select '\\n', \"a\\tb\", `c\\nd`\\nfrom p",
                "select '\\n', \"a\\tb\", `c\\nd`\nfrom p",
            ),
            ("select 'it\\'s\\n'\\nfrom p", "select 'it\\'s\\n'\nfrom p"),
            ("select r'\\'\\nfrom p", "select r'\\'\nfrom p"),
            // A text with real line ends has no escapes.
            ("select 1 -- C:\\new\nfrom p", "select 1 -- C:\\new\nfrom p"),
            ("select\t1 -- C:\\temp\\nfrom p", "select\t1 -- C:\\temp\nfrom p"),
            ("select '(\\w+)\\d\\.html$'", "select '(\\w+)\\d\\.html$'"),
            ("\\", "\\"),
            ("-- \\", "-- \\"),
        ] {
            assert_eq!(unescape(text), sent, "{text}");
        }
        assert!(matches!(unescape("select '\\n'"), Cow::Borrowed(_)));
    }

    #[test]
    fn wrapped_statements_are_unwrapped() {
        for (text, sent) in [
            ("OriginStatement{originStmt='select 'a', idx=1}', idx=0}", "select 'a', idx=1}"),
            ("OriginStatement{originStmt='select 1\\nfrom p', idx=12}", "select 1\nfrom p"),
            ("OriginStatement{originStmt='insert into p valu...", "insert into p valu..."),
            ("select 'OriginStatement{originStmt='", "select 'OriginStatement{originStmt='"),
        ] {
            assert_eq!(original_text(text), sent, "{text}");
        }
    }

    /// Pieces of statements as a frontend writes them.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "select ", "'", "\"", "`", "--", "#", "/*", "*/", "\\", "\\n", "\\r", "\\t", "\n",
            "\r", "\t", " ", "a", "1", ".", "(", ",", "-", "中", "r'", "x",
        ]);
        prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn unescaping_again_changes_nothing(text: String, pieces in pieces()) {
            for text in [text, pieces] {
                let once = unescape(&text).into_owned();
                if !text.contains("\\\\") {
                    prop_assert_eq!(unescape(&once), once.as_str());
                }
            }
        }

        #[test]
        fn a_statement_and_its_escaped_form_normalize_alike(pieces in pieces()) {
            prop_assert_eq!(normalize(&unescape(&pieces)), normalize(&pieces));
        }

        #[test]
        fn what_was_escaped_comes_back(text in "[a-z ,()=\n\r\t]{0,40}") {
            let escaped = text.replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r");
            prop_assert_eq!(unescape(&escaped), text);
        }
    }

    #[test]
    fn the_time_to_read_a_statement_grows_with_its_length() {
        let fastest = |text: &str| {
            let once = |_| {
                let begun = Instant::now();
                normalize(&unescape(text));
                begun.elapsed()
            };
            (0..3).map(once).min().unwrap()
        };
        for piece in [
            "\\n", "-- \\n", "/* \\n", "-- \\r", "'\\n", "# a", "\\", "/*/*", "/* */\\n", "- ",
            "(", "in (1,", "values (1),", "partition (a,", "label a.", "from a,", "``", "/*/**/",
        ] {
            for start in ["", "select 1 -- "] {
                let text = |bytes| format!("{start}{}", piece.repeat(bytes / piece.len()));
                let (short, long) = (fastest(&text(1 << 12)), fastest(&text(1 << 16)));
                // Sixteen times as long; the square would take 256 times as long, some seconds.
                assert!(
                    long < 64 * short + Duration::from_millis(500),
                    "{piece}: {short:?}, {long:?}"
                );
            }
        }
    }
}
