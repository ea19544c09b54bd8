//! Breaks a statement into lines for people to read.

use super::highlight::{SyntaxKind, highlight};
use super::unescape::unescape;

/// Longer statements stay as they are: nobody reads them in full, and breaking them takes long.
const MAX_FORMATTED_BYTES: usize = 100_000;

/// Keywords that begin a line.
const CLAUSES: [&str; 17] = [
    "select", "from", "where", "group", "having", "qualify", "order", "limit", "union", "except",
    "intersect", "minus", "values", "insert", "set", "lateral", "with",
];

/// Keywords of a join. The first one of a join begins a line.
const JOINS: [&str; 9] =
    ["left", "right", "inner", "full", "cross", "natural", "semi", "anti", "join"];

/// Deeper subqueries are not indented further, which bounds the length of the result.
const MAX_INDENTS: usize = 32;

/// Returns the statement with a line for each clause, column, join and condition, and with subqueries indented. Only
/// white space differs. A statement of more than 100,000 bytes is returned as it is.
///
/// This is not a crate, because the crates that format SQL take time that grows with the square of a statement's
/// length: ten seconds for a list of 8,000 columns.
pub(crate) fn format_sql(statement: &str) -> String {
    if statement.len() > MAX_FORMATTED_BYTES {
        return statement.to_string();
    }
    // Older versions of annals stored statements escaped.
    let statement = &*unescape(statement);
    let mut formatter = Formatter::default();
    let mut parts = highlight(statement).peekable();
    while let Some((kind, text)) = parts.next() {
        let opens_query = kind == SyntaxKind::Symbol && text == "(" && {
            let next = parts.next_if(|(kind, _)| *kind == SyntaxKind::Space);
            formatter.space_behind = next.is_some();
            parts.peek().is_some_and(|(_, text)| is_any(text, &["select", "with"]))
        };
        formatter.part(kind, text, opens_query);
    }
    formatter.text
}

fn is_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[derive(Default)]
struct Formatter {
    text: String,
    /// For each open parenthesis, whether it encloses a query.
    open: Vec<bool>,
    /// The number of open parentheses that enclose a query.
    queries: usize,
    /// What separates the next part from the text before it.
    gap: Break,
    /// Whether white space follows the current parenthesis.
    space_behind: bool,
    /// Whether the current part is in the columns of a SELECT.
    in_columns: bool,
    /// Whether the current keyword continues a join.
    in_join: bool,
    /// Whether the next AND belongs to a BETWEEN.
    after_between: bool,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Break {
    #[default]
    None,
    Space,
    /// A new line, indented by this many levels more than its query.
    Line(usize),
}

impl Formatter {
    /// Appends a part; `opens_query` says whether it is a parenthesis around a query.
    fn part(&mut self, kind: SyntaxKind, text: &str, opens_query: bool) {
        let in_query = self.open.last().is_none_or(|query| *query);
        match kind {
            SyntaxKind::Space => {
                if self.gap == Break::None {
                    self.gap = Break::Space;
                }
                return;
            }
            SyntaxKind::Keyword if in_query => self.keyword(text),
            SyntaxKind::Symbol if text == ")" => self.close(),
            _ => {}
        }
        self.put(text);
        match (kind, text) {
            (SyntaxKind::Comment, text) if !text.starts_with("/*") => self.gap = Break::Line(1),
            (SyntaxKind::Symbol, "(") => {
                self.open.push(opens_query);
                if opens_query {
                    self.queries += 1;
                    self.gap = Break::Line(0);
                } else if self.space_behind {
                    self.gap = Break::Space;
                }
            }
            (SyntaxKind::Symbol, ",") if in_query && self.in_columns => self.gap = Break::Line(1),
            (SyntaxKind::Symbol, ";") if in_query => self.gap = Break::Line(0),
            _ => {}
        }
    }

    fn close(&mut self) {
        if self.open.pop() == Some(true) {
            self.queries -= 1;
            self.gap = Break::Line(0);
            self.in_columns = false;
        }
    }

    fn keyword(&mut self, word: &str) {
        if is_any(word, &CLAUSES) {
            self.in_columns = is_any(word, &["select"]);
            self.in_join = false;
            self.gap = Break::Line(0);
        } else if is_any(word, &JOINS) {
            if !self.in_join {
                self.gap = Break::Line(0);
            }
            self.in_join = !is_any(word, &["join"]);
        } else if is_any(word, &["and", "or"]) {
            if !self.after_between {
                self.gap = Break::Line(1);
            }
            self.after_between = false;
        } else if is_any(word, &["between"]) {
            self.after_between = true;
        }
    }

    fn put(&mut self, text: &str) {
        match self.gap {
            _ if self.text.is_empty() => {}
            Break::None => {}
            Break::Space => self.text.push(' '),
            Break::Line(more) => {
                self.text.push('\n');
                for _ in 0..(self.queries + more).min(MAX_INDENTS) {
                    self.text.push_str("  ");
                }
            }
        }
        self.gap = Break::None;
        self.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::super::highlight::tests::pieces;
    use super::*;

    #[test]
    fn a_statement_is_broken_into_lines() {
        let statement = "with w as (select 1) SELECT o.id,sum( l.price), x from orders o left  outer join \
             (select * from lineitem) l on o.id = l.order_id where o.note = 'a  b' -- note\\nand o.total \
             between -1 and 3 or (a and b) group by o.id, x; ";
        assert_eq!(
            format_sql(statement),
            "with w as (
  select 1
)
SELECT o.id,
  sum( l.price),
  x
from orders o
left outer join (
  select *
  from lineitem
) l on o.id = l.order_id
where o.note = 'a  b' -- note
  and o.total between -1 and 3
  or (a and b)
group by o.id, x;"
        );
        for statement in
            ["", "selec 1 'abc", "select `a", "select a /* b", "}{)(", "select 'it\\'s'"]
        {
            assert_eq!(format_sql(statement), statement);
        }
        let huge = format!("select {}1", "1, ".repeat(50_000));
        assert_eq!(format_sql(&huge), huge);
    }

    #[test]
    fn the_time_grows_with_the_length() {
        for piece in ["(", "a,", "case when ", "(select ", "and ", "--\n", "'", "a ", "(a) "] {
            let long = piece.repeat(MAX_FORMATTED_BYTES / piece.len());
            let begun = Instant::now();
            assert!(format_sql(&long).len() < 20 * long.len(), "{piece}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{piece}: {:?}", begun.elapsed());
        }
    }

    proptest! {
        #[test]
        fn formatting_keeps_all_parts(text: String, pieces in pieces()) {
            for text in [text, pieces] {
                let parts = |text| -> Vec<String> {
                    let parts = highlight(text).filter(|(kind, _)| *kind != SyntaxKind::Space);
                    parts.map(|(_, part)| part.to_string()).collect()
                };
                // Removed white space may make an escape of the backslash before it.
                if text.contains('\\') && text.contains(['\n', '\r', '\t']) {
                    continue;
                }
                let formatted = format_sql(&text);
                prop_assert_eq!(parts(&formatted), parts(&unescape(&text)));
            }
        }
    }
}
