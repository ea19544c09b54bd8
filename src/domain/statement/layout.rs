//! A statement as people read it: laid out on lines, and its parts told apart for colours.

use super::escape::unescape;
use super::keyword::{Role, keyword};
use super::token::{Gap, Token, Tokens};

/// Longer statements are shown as they are: nobody reads their layout, and it takes long to make.
const MAX_LAID_OUT_BYTES: usize = 100_000;

/// What a part of a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word of the language.
    Keyword,
    /// The name of a function that is called.
    Function,
    /// A number, a text, or a place for one.
    Literal,
    /// A comment or a hint.
    Comment,
    /// The name of a table, a column or the like.
    Name,
    /// An operator or punctuation.
    Symbol,
    /// White space.
    Space,
}

/// What stands before a part, as far as it matters for it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Before {
    /// Something behind which a value may begin.
    Other,
    /// What a value is: a sign behind it is an operator.
    Value,
    Dot,
    /// A word behind which a name stands, even if it may be a word of the language.
    NameFollows,
    /// A word behind which an alias or a type stands.
    Alias,
}

/// The parts of a statement, in order. Put together they are the statement, byte for byte, whatever it is.
pub(crate) fn tokens(statement: &str) -> impl Iterator<Item = (Kind, &str)> {
    let mut tokens = Tokens::of(statement);
    let mut before = Before::Other;
    std::iter::from_fn(move || {
        let from = tokens.at;
        let kind = match tokens.gap() {
            Some((gap, length)) => {
                tokens.at += length;
                while gap == Gap::Space
                    && let Some((Gap::Space, length)) = tokens.gap()
                {
                    tokens.at += length;
                }
                if gap == Gap::Space { Kind::Space } else { Kind::Comment }
            }
            None => {
                let awaits_value = !matches!(before, Before::Value | Before::Dot);
                let token = tokens.next(awaits_value, before == Before::Dot)?;
                let kind = kind(token, before, &statement[tokens.at..]);
                before = becomes(token, kind, before);
                kind
            }
        };
        Some((kind, &statement[from..tokens.at]))
    })
}

fn kind(token: Token<'_>, before: Before, behind: &str) -> Kind {
    let word = match token {
        Token::Literal => return Kind::Literal,
        Token::Quoted(_) => return Kind::Name,
        Token::Symbol(_) => return Kind::Symbol,
        Token::Word(word) => word,
    };
    let is_followed_by = |symbol| behind.trim_start().starts_with(symbol);
    match keyword(word) {
        _ if before == Before::Dot => Kind::Name,
        Some(keyword) if keyword.is_reserved || keyword.role == Role::Between => Kind::Keyword,
        Some(_) if before == Before::NameFollows || is_followed_by('.') => Kind::Name,
        Some(keyword) if before == Before::Alias && !keyword.is_type => Kind::Name,
        Some(keyword) if keyword.role == Role::Plain && !keyword.is_type && is_followed_by('(') => {
            Kind::Function
        }
        Some(_) => Kind::Keyword,
        None if before != Before::NameFollows && is_followed_by('(') => Kind::Function,
        None => Kind::Name,
    }
}

/// What a token is to the one behind it.
fn becomes(token: Token<'_>, kind: Kind, before: Before) -> Before {
    match token {
        Token::Word(word) if kind == Kind::Keyword => match keyword(word) {
            Some(keyword) => match keyword.role {
                Role::Table | Role::Name => Before::NameFollows,
                Role::Alias => Before::Alias,
                Role::Between => before,
                _ if keyword.is_reserved => Before::Other,
                _ => Before::Value,
            },
            None => Before::Other,
        },
        Token::Symbol(")" | "]") | Token::Word(_) | Token::Quoted(_) | Token::Literal => {
            Before::Value
        }
        Token::Symbol(".") => Before::Dot,
        Token::Symbol(_) => Before::Other,
    }
}

/// The statement laid out on lines: a line for each clause, column, join and condition, and what is within a
/// subquery indented. Nothing but white space differs. What is longer than 100,000 bytes is given as it is.
///
/// Own code, for crates that lay out SQL take time that grows with the square of a statement's length: ten
/// seconds for a list of 8,000 columns.
pub(crate) fn format_sql(statement: &str) -> String {
    if statement.len() > MAX_LAID_OUT_BYTES {
        return statement.to_string();
    }
    // As older versions of annals stored it.
    let statement = &*unescape(statement);
    let mut layout = Layout::default();
    let mut parts = tokens(statement).peekable();
    while let Some((kind, text)) = parts.next() {
        let opens_query = kind == Kind::Symbol && text == "(" && {
            let next = parts.next_if(|(kind, _)| *kind == Kind::Space);
            layout.space_behind = next.is_some();
            parts.peek().is_some_and(|(_, text)| is_any(text, &["select", "with"]))
        };
        layout.part(kind, text, opens_query);
    }
    layout.text
}

fn is_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Keywords that begin a line.
const CLAUSES: [&str; 17] = [
    "select", "from", "where", "group", "having", "qualify", "order", "limit", "union", "except",
    "intersect", "minus", "values", "insert", "set", "lateral", "with",
];

/// Keywords that begin a line where a join begins.
const JOINS: [&str; 9] =
    ["left", "right", "inner", "full", "cross", "natural", "semi", "anti", "join"];

/// Deeper subqueries are indented no further, so that a layout's length stays in bounds.
const MAX_INDENTS: usize = 32;

#[derive(Default)]
struct Layout {
    text: String,
    /// The open parentheses: whether each holds a query.
    open: Vec<bool>,
    /// How many of them do.
    queries: usize,
    /// What stands between this part and the one before.
    gap: Break,
    /// Whether white space stood behind a parenthesis that was just taken in.
    space_behind: bool,
    in_columns: bool,
    in_join: bool,
    after_between: bool,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Break {
    #[default]
    None,
    Space,
    /// A new line, indented by so much more than its query.
    Line(usize),
}

impl Layout {
    fn part(&mut self, kind: Kind, text: &str, opens_query: bool) {
        let in_query = self.open.last().is_none_or(|query| *query);
        match kind {
            Kind::Space => {
                if self.gap == Break::None {
                    self.gap = Break::Space;
                }
                return;
            }
            Kind::Keyword if in_query => self.keyword(text),
            Kind::Symbol if text == ")" => self.close(),
            _ => {}
        }
        self.put(text);
        match (kind, text) {
            (Kind::Comment, text) if !text.starts_with("/*") => self.gap = Break::Line(1),
            (Kind::Symbol, "(") => {
                self.open.push(opens_query);
                if opens_query {
                    self.queries += 1;
                    self.gap = Break::Line(0);
                } else if self.space_behind {
                    self.gap = Break::Space;
                }
            }
            (Kind::Symbol, ",") if in_query && self.in_columns => self.gap = Break::Line(1),
            (Kind::Symbol, ";") if in_query => self.gap = Break::Line(0),
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

    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let told: Vec<(Kind, &str)> =
            tokens("select Sum(`a b`) -- x\n from t.date where a>=-1").collect();
        use Kind::*;
        assert_eq!(
            told,
            [
                (Keyword, "select"),
                (Space, " "),
                (Function, "Sum"),
                (Symbol, "("),
                (Name, "`a b`"),
                (Symbol, ")"),
                (Space, " "),
                (Comment, "-- x"),
                (Space, "\n "),
                (Keyword, "from"),
                (Space, " "),
                (Name, "t"),
                (Symbol, "."),
                (Name, "date"),
                (Space, " "),
                (Keyword, "where"),
                (Space, " "),
                (Name, "a"),
                (Symbol, ">="),
                (Literal, "-1"),
            ]
        );
        assert_eq!(tokens("insert into t (a)").nth(4), Some((Name, "t")));
    }

    #[test]
    fn a_statement_is_laid_out() {
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
    fn a_layout_takes_time_by_length_alone() {
        for piece in ["(", "a,", "case when ", "(select ", "and ", "--\n", "'", "a ", "(a) "] {
            let long = piece.repeat(MAX_LAID_OUT_BYTES / piece.len());
            let begun = Instant::now();
            assert!(format_sql(&long).len() < 20 * long.len(), "{piece}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{piece}: {:?}", begun.elapsed());
        }
    }

    /// Pieces of statements, whole and broken.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "select ", "in", " from ", "(", ")", "[", "]", ",", ".", ";", "a", "T", "1", "-1",
            "'x'", "\"", "`", "`b`", "--", "\n", "=", "-", "f(", "/*", "*/", "?", "中", "\\",
            "\\n", "#", "(select ", " and ", "with ", "join ",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn parts_together_are_the_statement(text: String, pieces in pieces()) {
            for text in [text, pieces] {
                let together: String = tokens(&text).map(|(_, part)| part).collect();
                prop_assert_eq!(together, text);
            }
        }

        #[test]
        fn a_layout_has_the_same_parts(text: String, pieces in pieces()) {
            for text in [text, pieces] {
                let parts = |text| -> Vec<String> {
                    let parts = tokens(text).filter(|(kind, _)| *kind != Kind::Space);
                    parts.map(|(_, part)| part.to_string()).collect()
                };
                // White space that is taken away may make an escape of a backslash before it.
                if text.contains('\\') && text.contains(['\n', '\r', '\t']) {
                    continue;
                }
                let format_sql = format_sql(&text);
                prop_assert_eq!(parts(&format_sql), parts(&unescape(&text)));
            }
        }
    }
}
