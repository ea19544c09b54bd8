//! Where a profile begins in a text, and its lines as the frontend wrote them: without the frame of a client's
//! table, the marks of a quotation, and the doubled spaces of a frontend's page.

use std::borrow::Cow;

/// A profile begins within so many lines of a text, behind headings, notes and a code fence.
const HEAD_LINES: usize = 64;
/// And within so many bytes.
const HEAD_BYTES: usize = 256 << 10;

/// The names of the root sections: Doris up to 2.0 and StarRocks write all of a profile below one of the first two,
/// later versions of Doris begin with the last.
const ROOTS: [&str; 3] = ["Query:", "Load:", "Summary:"];

/// What frames a line: MySQL's client writes `| ` before each line of a table, mail and Markdown `> ` before each
/// line of a quotation.
const FRAMES: [&str; 2] = ["|", ">"];

/// The keys with which the entries of a summary begin, in every version of Doris and StarRocks.
const FIRST_KEYS: [&str; 15] = [
    "Profile ID", "Query ID", "Task Type", "Query Type", "Start Time", "End Time", "Total",
    "Task State", "Query State", "User", "Default Catalog", "Default Db",
    // A frontend fills its summary from a map, so any key may come first.
    "Distributed Plan", "Sql Statement", "System Message",
];

/// Returns the byte offset at which a profile begins in `head`, the first bytes of a text, or None if none does.
///
/// A profile begins with a line `Query:`, `Load:` or `Summary:`, indented or within a frame, whose next lines are a
/// summary: `Summary:` under one of the other two, then an entry of a key that frontends write. What stands before
/// it (a heading, a note, a code fence, the border of a table) is not part of it. The offset is that of the root's
/// line, or of the root itself where a client writes the name of a column before it, as `mysql` does with `\G`.
pub(super) fn find(head: &[u8]) -> Option<usize> {
    let head = &head[..head.len().min(HEAD_BYTES)];
    let mut offset = 0;
    for line in head.split_inclusive(|byte| *byte == b'\n').take(HEAD_LINES) {
        let text = String::from_utf8_lossy(line);
        if let Some(root) = root(unframed(&text)) {
            let below = &head[offset + line.len()..];
            if has_summary(root, below) {
                // A lossy text may be longer than the bytes, but not behind the last of them that is ASCII.
                let named = trim(unframed(&text)).len() > root.len();
                let from_end = text.len() - text.rfind(root).unwrap_or(0);
                return Some(if named { offset + line.len() - from_end } else { offset });
            }
        }
        offset += line.len();
    }
    None
}

/// The root that a line opens.
fn root(line: &str) -> Option<&'static str> {
    let line = trim(line);
    ROOTS.into_iter().find(|root| {
        line.strip_suffix(root).is_some_and(|before| before.is_empty() || before.ends_with(": "))
    })
}

/// Whether the lines below a root are a summary.
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

/// A line without its frame.
fn unframed(line: &str) -> &str {
    let bare = FRAMES.iter().find_map(|frame| line.trim_start().strip_prefix(frame));
    bare.map_or(line, |bare| bare.strip_prefix(' ').unwrap_or(bare))
}

/// Whether a character is space, a byte-order mark among them.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// A text without the space around it.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// How the lines of a text differ from those that the frontend wrote.
#[derive(Debug, Clone, Copy, Default)]
struct Form {
    /// A client's table or a quotation is around them.
    framed: bool,
    /// The table's lines are closed by a bar.
    closed: bool,
    /// Two spaces, or no-break spaces, stand for each space.
    doubled: bool,
    /// No-break spaces stand for spaces, one for one.
    unbroken: bool,
}

/// The lines of the profile in a text, as the frontend wrote them: from where it begins to its end, or to the end
/// of the code fence or table that it stands in. Of a text without a profile, all lines.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> + Clone {
    let start = find(text.as_bytes()).filter(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let text = &text[start..];
    let form = Form::of(text);
    let is_end = move |line: &&str| {
        let fence = line.strip_prefix("```").is_some_and(|rest| rest.trim().is_empty());
        let border = form.framed && line.starts_with("+-") && line.trim_end().ends_with("-+");
        fence || border
    };
    text.lines().take_while(move |line| !is_end(line)).map(move |line| form.plain(line))
}

impl Form {
    fn of(text: &str) -> Form {
        let mut lines = text.lines().skip_while(|line| trim(line).is_empty());
        let Some(first) = lines.next() else { return Form::default() };
        let framed = FRAMES.iter().any(|frame| first.trim_start().starts_with(frame));
        let closed = framed && first.trim_end().len() > 1 && first.trim_end().ends_with('|');
        let is_doubled = |line: &str| {
            let behind = trim(unframed(line)).strip_prefix('-').unwrap_or_default();
            behind.chars().take(2).filter(|c| matches!(c, ' ' | '\u{a0}')).count() == 2
        };
        // A statement may hold a no-break space of its own, a key holds none.
        let is_unbroken = |line: &str| line.split(':').next().unwrap_or(line).contains('\u{a0}');
        // The first entry of the summary tells.
        let entry = lines.take(8).find(|line| trim(unframed(line)).starts_with('-'));
        let is = |form: &dyn Fn(&str) -> bool| entry.is_some_and(form);
        Form { framed, closed, doubled: is(&is_doubled), unbroken: is(&is_unbroken) }
    }

    fn plain(self, line: &str) -> Cow<'_, str> {
        let mut bare = line;
        if self.framed {
            bare = unframed(bare);
            if self.closed {
                bare = bare.trim_end().strip_suffix('|').unwrap_or(bare).trim_end();
            }
        }
        match self.doubled {
            true => Cow::Owned(bare.replace('\u{a0}', " ").replace("  ", " ")),
            false if self.unbroken && bare.contains('\u{a0}') => {
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
            let at = find(text.as_bytes()).unwrap();
            assert_eq!(trim(&text[at..]), trim(BARE), "{before:?}");
        }
        let nested = "Query:\n  Summary:\n    Query ID: 1a-2b\n";
        assert_eq!(find(nested.as_bytes()), Some(0));
        let table =
            "+----+\n| Explain String |\n+----+\n| Load:\n|   Summary:\n|      - Query ID: 1\n";
        assert_eq!(find(table.as_bytes()), table.find("| Load"));
        let vertical =
            "*** 1. row ***\nget_query_profile('1'): Query:\n  Summary:\n     - Query ID: 1\n";
        assert_eq!(find(vertical.as_bytes()), vertical.find("Query:\n"));
        let page =
            "Summary:\n\u{a0}\u{a0}\u{a0}\u{a0}-\u{a0}\u{a0}Profile\u{a0}\u{a0}ID:\u{a0}\u{a0}1\n";
        assert_eq!(find(page.as_bytes()), Some(0));
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
            assert_eq!(find(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn frames_and_doubled_spaces_are_taken_off() {
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
        fn where_a_profile_begins_is_a_place_in_the_text(
            before in proptest::collection::vec(any::<u8>(), 0..80),
            frame in "(\\| |> | {0,5})",
            named in any::<bool>(),
        ) {
            let mut text = before;
            text.push(b'\n');
            let column = if named { "c: " } else { &frame };
            text.extend_from_slice(format!("{column}Summary:\n{frame}  - User: a\n").as_bytes());
            let at = find(&text).unwrap();
            let rest = String::from_utf8_lossy(&text[at..]);
            prop_assert!(trim(unframed(rest.lines().next().unwrap())) == "Summary:", "{rest}");
        }
    }
}
