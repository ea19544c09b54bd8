//! Finds where a profile begins in a text, and gives its lines as the frontend wrote them: without the frame of a
//! client's table, the marks of a quotation, and the doubled spaces of a frontend's page.

use std::borrow::Cow;

/// The number of lines of a text within which a profile begins. Headings, notes and a code fence may precede.
const HEAD_LINES: usize = 64;
/// The number of bytes of a text within which a profile begins.
const HEAD_BYTES: usize = 256 << 10;

/// The root sections. Doris up to 2.0 and StarRocks write the whole profile below one of the first two, later versions
/// of Doris begin with the last.
const ROOTS: [&str; 3] = ["Query:", "Load:", "Summary:"];

/// The frames of a line: MySQL's client writes `| ` before each line of a table, mail and Markdown write `> ` before
/// each line of a quotation.
const FRAMES: [&str; 2] = ["|", ">"];

/// The keys of a summary's first entry in all versions of Doris and StarRocks.
const FIRST_KEYS: [&str; 15] = [
    "Profile ID", "Query ID", "Task Type", "Query Type", "Start Time", "End Time", "Total",
    "Task State", "Query State", "User", "Default Catalog", "Default Db",
    // Some versions write a summary from a map, so any key may be the first.
    "Distributed Plan", "Sql Statement", "System Message",
];

/// Returns the byte offset at which a profile begins in `head`, the first bytes of a text, or None if none does.
///
/// A profile begins with a line `Query:`, `Load:` or `Summary:`, indented or within a frame, whose next lines are a
/// summary: `Summary:` below one of the other two, then an entry with a key that frontends write. The text before it (a
/// heading, a note, a code fence, the border of a table) is not part of the profile. The offset is that of the root's
/// line, or of the root itself if a client writes the name of a column before it, as `mysql` does with `\G`.
pub(super) fn find_start(head: &[u8]) -> Option<usize> {
    let head = &head[..head.len().min(HEAD_BYTES)];
    let mut offset = 0;
    for line in head.split_inclusive(|byte| *byte == b'\n').take(HEAD_LINES) {
        let text = String::from_utf8_lossy(line);
        if let Some(root) = root(unframed(&text)) {
            let below = &head[offset + line.len()..];
            if has_summary(root, below) {
                // The lossy text may be longer than the bytes, but not behind the root, which is ASCII.
                let has_prefix = trim(unframed(&text)).len() > root.len();
                let from_end = text.len() - text.rfind(root).unwrap_or(0);
                return Some(if has_prefix { offset + line.len() - from_end } else { offset });
            }
        }
        offset += line.len();
    }
    None
}

/// Returns the root that a line opens, if any.
fn root(line: &str) -> Option<&'static str> {
    let line = trim(line);
    ROOTS.into_iter().find(|root| {
        line.strip_suffix(root).is_some_and(|before| before.is_empty() || before.ends_with(": "))
    })
}

/// Returns whether the lines below a root are a summary.
fn has_summary(root: &str, below: &[u8]) -> bool {
    let text = |line| String::from_utf8_lossy(line).into_owned();
    let lines = below.split(|byte| *byte == b'\n').take(8).map(text);
    let mut lines = lines.filter(|line| !trim(unframed(line)).is_empty());
    if root != "Summary:" && lines.next().is_none_or(|line| trim(unframed(&line)) != "Summary:") {
        return false;
    }
    lines.next().is_some_and(|line| {
        let words: Vec<&str> = unframed(&line).split_whitespace().collect();
        let entry = words.join(" ");
        let entry = entry.strip_prefix("- ").unwrap_or(&entry);
        FIRST_KEYS.iter().any(|key| {
            entry.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        })
    })
}

/// Returns a line without its frame.
fn unframed(line: &str) -> &str {
    let bare = FRAMES.iter().find_map(|frame| line.trim_start().strip_prefix(frame));
    bare.map_or(line, |bare| bare.strip_prefix(' ').unwrap_or(bare))
}

/// Returns whether a character is white space or a byte-order mark.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// Returns a text without the white space around it.
pub(super) fn trim(text: &str) -> &str {
    indented(text).1
}

/// Returns the column in which the text of a line begins, and the text without the white space around it.
pub(super) fn indented(line: &str) -> (usize, &str) {
    const SPACES: &str = "        ";
    // Nearly all white space is spaces, and is passed sooner as bytes.
    let mut rest = line;
    while let Some(behind) = rest.strip_prefix(SPACES) {
        rest = behind;
    }
    let is_space_byte = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let bytes = rest.as_bytes();
    let start = bytes.iter().position(|byte| !is_space_byte(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_space_byte(byte)).map_or(start, |last| last + 1);
    let text = &rest[start..end];
    let ends = [text.as_bytes().first(), text.as_bytes().last()];
    if ends.into_iter().flatten().all(u8::is_ascii) {
        return (line.len() - rest.len() + start, text);
    }
    (line.chars().take_while(|c| is_space(*c)).count(), line.trim_matches(is_space))
}

/// How the lines of a text differ from the lines that the frontend wrote.
#[derive(Debug, Clone, Copy, Default)]
struct Form {
    /// The lines are in a client's table or in a quotation.
    is_framed: bool,
    /// A bar ends each line of the table.
    is_closed: bool,
    /// Each space is written as two spaces or two no-break spaces.
    is_doubled: bool,
    /// Each space is written as a no-break space.
    is_unbroken: bool,
}

/// Returns the lines of the profile in a text as the frontend wrote them, up to the end of the text or of the code
/// fence or table around the profile. Returns all lines of a text without a profile.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> + Clone {
    let start = find_start(text.as_bytes()).filter(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let text = &text[start..];
    let form = Form::of(text);
    let is_end = move |line: &&str| {
        let fence = line.strip_prefix("```").is_some_and(|rest| rest.trim().is_empty());
        let border = form.is_framed && line.starts_with("+-") && line.trim_end().ends_with("-+");
        fence || border
    };
    split_lines(text).take_while(move |line| !is_end(line)).map(move |line| form.plain(line))
}

/// Returns what `str::lines` returns, sooner.
fn split_lines(text: &str) -> impl Iterator<Item = &str> + Clone {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(end) = memchr::memchr(b'\n', rest.as_bytes()) else {
            return Some(std::mem::take(&mut rest));
        };
        let line = &rest[..end];
        rest = &rest[end + 1..];
        Some(line.strip_suffix('\r').unwrap_or(line))
    })
}

impl Form {
    fn of(text: &str) -> Form {
        let mut lines = text.lines().skip_while(|line| trim(line).is_empty());
        let Some(first) = lines.next() else { return Form::default() };
        let is_framed = FRAMES.iter().any(|frame| first.trim_start().starts_with(frame));
        let is_closed = is_framed && first.trim_end().len() > 1 && first.trim_end().ends_with('|');
        let is_doubled = |line: &str| {
            let behind = trim(unframed(line)).strip_prefix('-').unwrap_or_default();
            behind.chars().take(2).filter(|c| matches!(c, ' ' | '\u{a0}')).count() == 2
        };
        // A statement may have no-break spaces of its own, a key has none.
        let is_unbroken = |line: &str| line.split(':').next().unwrap_or(line).contains('\u{a0}');
        // The first entry of the summary decides.
        let entry = lines.take(8).find(|line| trim(unframed(line)).starts_with('-'));
        Form {
            is_framed,
            is_closed,
            is_doubled: entry.is_some_and(is_doubled),
            is_unbroken: entry.is_some_and(is_unbroken),
        }
    }

    /// Returns a line as the frontend wrote it.
    fn plain(self, line: &str) -> Cow<'_, str> {
        let mut bare = line;
        if self.is_framed {
            bare = unframed(bare);
            if self.is_closed {
                bare = bare.trim_end().strip_suffix('|').unwrap_or(bare).trim_end();
            }
        }
        match self.is_doubled {
            true => Cow::Owned(bare.replace('\u{a0}', " ").replace("  ", " ")),
            false if self.is_unbroken && bare.contains('\u{a0}') => {
                Cow::Owned(bare.replace('\u{a0}', " "))
            }
            false => Cow::Borrowed(bare),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BARE: &str = "Summary:\n   - Profile ID: 1a-2b\n   - User: mira\n";

    #[test]
    fn a_profile_begins_behind_headings_and_fences() {
        for before in
            ["", "\n\u{feff}", "Profile of last night\n\n", "# Slow\n```text\n", "a: b\n- c: d\n"]
        {
            let text = format!("{before}{BARE}");
            let at = find_start(text.as_bytes()).unwrap();
            assert_eq!(trim(&text[at..]), trim(BARE), "{before:?}");
        }
        let nested = "Query:\n  Summary:\n    Query ID: 1a-2b\n";
        assert_eq!(find_start(nested.as_bytes()), Some(0));
        let table =
            "+----+\n| Explain String |\n+----+\n| Load:\n|   Summary:\n|      - Query ID: 1\n";
        assert_eq!(find_start(table.as_bytes()), table.find("| Load"));
        let vertical =
            "*** 1. row ***\nget_query_profile('1'): Query:\n  Summary:\n     - Query ID: 1\n";
        assert_eq!(find_start(vertical.as_bytes()), vertical.find("Query:\n"));
        let page =
            "Summary:\n\u{a0}\u{a0}\u{a0}\u{a0}-\u{a0}\u{a0}Profile\u{a0}\u{a0}ID:\u{a0}\u{a0}1\n";
        assert_eq!(find_start(page.as_bytes()), Some(0));
    }

    #[test]
    fn other_texts_hold_no_profile() {
        let far = format!("{}{BARE}", "a line\n".repeat(HEAD_LINES));
        for other in [
            "",
            "hello",
            "Summary:",
            "Summary:\n",
            "Summary:\n  - Fixed: a bug\n",
            "Query:\n  - User: a\n",
            "Query:\n  Summary:\n",
            "select 1 -- Summary:\n",
            far.as_str(),
        ] {
            assert_eq!(find_start(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn frames_and_doubled_spaces_are_removed() {
        let table = "| Query:         |\n|   Summary:     |\n|      - User: a |\n|        | b     |\n+---+\n1 row\n";
        let text: Vec<_> = lines(table).collect();
        assert_eq!(text, ["Query:", "  Summary:", "     - User: a", "       | b"]);
        let fenced = format!("```\n{BARE}```\nand so on\n");
        assert_eq!(lines(&fenced).count(), 3);
        let quoted = "> Summary:\n>    - User: a\n";
        assert_eq!(lines(quoted).collect::<Vec<_>>(), ["Summary:", "   - User: a"]);
    }

    proptest! {
        #[test]
        fn lines_are_split_and_trimmed_as_the_standard_library_does(
            text in "([ \t\r\n\u{a0}\u{feff}\u{3000}a-c]|        ){0,60}",
        ) {
            prop_assert_eq!(split_lines(&text).collect::<Vec<_>>(), text.lines().collect::<Vec<_>>());
            let column = text.chars().take_while(|c| is_space(*c)).count();
            prop_assert_eq!(indented(&text), (column, text.trim_matches(is_space)));
        }

        #[test]
        fn the_start_of_a_profile_is_found(
            before in proptest::collection::vec(any::<u8>(), 0..80),
            frame in "(\\| |> | {0,5})",
            named in any::<bool>(),
        ) {
            let mut text = before;
            text.push(b'\n');
            let column = if named { "c: " } else { &frame };
            text.extend_from_slice(format!("{column}Summary:\n{frame}  - User: a\n").as_bytes());
            let at = find_start(&text).unwrap();
            let rest = String::from_utf8_lossy(&text[at..]);
            prop_assert!(trim(unframed(rest.lines().next().unwrap())) == "Summary:", "{rest}");
        }
    }
}
