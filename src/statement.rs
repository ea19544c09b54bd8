//! Statement fingerprints: statements that differ only in their values, comments, white space, or the
//! letter case of keywords and functions are of one shape.
//!
//! The shape of a statement is the same in every version of annals of one major number, so this is a
//! tokenizer of our own: another's would change under us. It takes any text, also a statement that was cut.

mod layout;
mod token;

use std::fmt;
use std::str::FromStr;

use token::{Before, Token, Tokens, is_word, keyword};

pub use layout::{Kind, laid_out, tokens};

/// The name of a shape: 64 bits of XXH3 over [`shape`], in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u64);

/// Why a text is not a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 16 hex digits")]
pub struct NotAFingerprint;

impl Fingerprint {
    /// The fingerprint of a shape.
    pub fn of_shape(shape: &str) -> Fingerprint {
        Fingerprint(xxhash_rust::xxh3::xxh3_64(shape.as_bytes()))
    }

    /// As SQLite keeps it: the same 64 bits with a sign.
    pub fn to_signed(self) -> i64 {
        self.0.cast_signed()
    }

    /// From what SQLite keeps.
    pub fn from_signed(bits: i64) -> Fingerprint {
        Fingerprint(bits.cast_unsigned())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Fingerprint, NotAFingerprint> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u64::from_str_radix(text, 16).map_err(|_| NotAFingerprint)?;
        if digits { Ok(Fingerprint(bits)) } else { Err(NotAFingerprint) }
    }
}

/// The shape of a statement: `SELECT  a FROM t WHERE b IN (1, 2) -- x` gives `select a from t where b in
/// (?)`.
///
/// Literals become `?`, and lists of them one `?`, so that their length does not matter; so do the rows of
/// VALUES. Hints count as comments. Names keep their case, for Doris tells tables apart by it.
pub fn shape(statement: &str) -> String {
    let mut shape = String::with_capacity(statement.len().min(1024));
    shape_into(statement, &mut shape);
    shape
}

/// Writes the [`shape`] of a statement into a buffer, in place of what is there.
pub fn shape_into(statement: &str, shape: &mut String) {
    shape.clear();
    let mut writer =
        Writer { shape, lists: Vec::new(), deeper: 0, before: Before::Start, function: None };
    let mut tokens = Tokens::of(statement);
    while let Some(token) = tokens.next(writer.before) {
        writer.write(token);
    }
    writer.end_of_rows();
    let end = shape.trim_end_matches([';', ' ']).len();
    shape.truncate(end);
}

/// How deep lists are looked at. Deeper ones are written as they are.
const MAX_DEPTH: usize = 256;

/// What is between two parentheses, or behind VALUES.
struct List {
    kind: ListKind,
    /// Where the element begins that is being written.
    element: usize,
    /// The first element.
    first: Option<(usize, usize)>,
    /// Where the last one ends that stays.
    end: usize,
}

#[derive(PartialEq)]
enum ListKind {
    /// Its length matters.
    Other,
    /// An element that is like the first adds nothing to the shape.
    Values,
    /// The same for the rows of VALUES, which no parentheses enclose.
    Rows,
}

struct Writer<'a> {
    shape: &'a mut String,
    lists: Vec<List>,
    /// How many parentheses are open beyond [`MAX_DEPTH`].
    deeper: usize,
    before: Before,
    /// Where the name begins that was written last, if a parenthesis makes it a function.
    function: Option<usize>,
}

impl Writer<'_> {
    fn write(&mut self, token: Token<'_>) {
        if token != Token::Symbol(",") && self.before == Before::Close {
            self.end_of_rows();
        }
        let function = self.function.take();
        match token {
            Token::Literal => self.put("?", Before::Literal),
            Token::Quoted(name) => {
                let plain = name.bytes().all(is_word)
                    && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
                    && keyword(name).is_none();
                if plain {
                    self.put(name, Before::Name);
                } else {
                    self.put("`", Before::Name);
                    self.shape.push_str(name);
                    self.shape.push('`');
                }
            }
            Token::Word(word) => self.word(word),
            Token::Symbol(symbol) => {
                if let Some(name) = function.filter(|_| symbol == "(")
                    && let Some(name) = self.shape.get_mut(name..)
                {
                    name.make_ascii_lowercase();
                }
                self.symbol(symbol);
            }
        }
    }

    fn word(&mut self, word: &str) {
        let after_dot = self.before == Before::Dot;
        match keyword(word) {
            Some("null" | "true" | "false") if self.before.is_punctuation() => {
                self.put("?", Before::Literal);
            }
            Some(keyword) if !after_dot => {
                let before = match keyword {
                    "in" => Before::In,
                    "values" => Before::Values,
                    "as" | "from" | "into" | "join" | "overwrite" | "table" | "update" | "view"
                    | "with" => Before::NameFollows,
                    _ => Before::Keyword,
                };
                self.put(keyword, before);
            }
            _ => {
                let may_be_function = !after_dot && self.before != Before::NameFollows;
                self.put(word, Before::Name);
                self.function = may_be_function.then_some(self.shape.len() - word.len());
            }
        }
    }

    fn symbol(&mut self, symbol: &str) {
        match symbol {
            "(" | "[" => {
                let values = symbol == "[" || self.before == Before::In;
                let kind = if values { ListKind::Values } else { ListKind::Other };
                let rows = self.before == Before::Values;
                self.put(symbol, Before::Open);
                if rows {
                    self.open(ListKind::Rows, self.shape.len() - 1);
                }
                self.open(kind, self.shape.len());
            }
            ")" | "]" => {
                if self.deeper > 0 {
                    self.deeper -= 1;
                } else {
                    self.end_of_element();
                    self.lists.pop();
                }
                self.put(symbol, Before::Close);
            }
            "," => {
                if self.deeper == 0 {
                    self.end_of_element();
                }
                self.put(",", Before::Comma);
                // The next element begins behind the space.
                let element = self.shape.len() + 1;
                if let Some(list) = self.lists.last_mut() {
                    list.element = element;
                }
            }
            "." => self.put(".", Before::Dot),
            ";" => self.put(";", Before::Start),
            _ => self.put(symbol, Before::Operator),
        }
    }

    fn open(&mut self, kind: ListKind, element: usize) {
        if self.lists.len() < MAX_DEPTH {
            self.lists.push(List { kind, element, first: None, end: element });
        } else if kind != ListKind::Rows {
            self.deeper += 1;
        }
    }

    /// Takes an element back that is like the first of its list.
    fn end_of_element(&mut self) {
        let Some(list) = self.lists.last_mut().filter(|list| list.kind != ListKind::Other) else {
            return;
        };
        let end = self.shape.len();
        match list.first {
            None => list.first = Some((list.element, end)),
            Some((from, to)) => {
                if self.shape.get(from..to) == self.shape.get(list.element..end) {
                    self.shape.truncate(list.end);
                }
            }
        }
        list.end = self.shape.len();
    }

    /// Ends the rows of VALUES, if it is those that are being written.
    fn end_of_rows(&mut self) {
        if self.lists.last().is_some_and(|list| list.kind == ListKind::Rows) {
            self.end_of_element();
            self.lists.pop();
        }
    }

    /// Writes a text, with a space before it where one belongs.
    fn put(&mut self, text: &str, becomes: Before) {
        let glued = match self.before {
            Before::Start if self.shape.is_empty() => true,
            Before::Open | Before::Dot => true,
            Before::Name | Before::Close => matches!(text, "(" | "[" | ")" | "]" | "," | "." | ";"),
            _ => matches!(text, ")" | "]" | "," | "." | ";"),
        };
        if !glued {
            self.shape.push(' ');
        }
        self.shape.push_str(text);
        self.before = becomes;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fingerprint(statement: &str) -> Fingerprint {
        Fingerprint::of_shape(&shape(statement))
    }

    #[test]
    fn what_does_not_matter_is_gone() {
        for (statement, expected) in [
            ("SELECT  a\tFROM t\nWHERE b = 1;", "select a from t where b = ?"),
            ("select a from t where b = 'x'", "select a from t where b = ?"),
            ("select a from t where b=\"it''s\"", "select a from t where b = ?"),
            ("select a from t where b='it\\'s' -- x", "select a from t where b = ?"),
            ("select /*+ SET_VAR(a=1) */ a from t where b=-1.5e-3", "select a from t where b = ?"),
            ("select a\\nfrom t -- c\\nwhere b = 0xFF # d", "select a from t where b = ?"),
            ("select `a` from `t` where b = ?", "select a from t where b = ?"),
            ("select a from t where b in (1, 2,3)", "select a from t where b in (?)"),
            ("select a from t where b NOT IN ('x')", "select a from t where b not in (?)"),
            ("where (a,b) in ((1,2),(3,4))", "where (a, b) in ((?, ?))"),
            ("where a in (1, null, true)", "where a in (?)"),
            ("insert into T (a, b) values (1,'x'), (2, 'y')", "insert into T(a, b) values (?, ?)"),
            ("insert into T values (1, NOW()), (2, now());", "insert into T values (?, now())"),
            ("select * from (values (1), (2)) v limit 10", "select * from (values (?)) v limit ?"),
            ("select array_contains([1,2,3], x)", "select array_contains([?], x)"),
            ("select x'1f', DATE '2024-01-01', .5, 1.", "select ?, date ?, ?, ?"),
            (
                "select case when a is null then -1 else a-1 end",
                "select case when a is null then ? else a - ? end",
            ),
        ] {
            assert_eq!(shape(statement), expected, "{statement}");
        }
    }

    #[test]
    fn what_matters_stays() {
        for (statement, expected) in [
            ("select Count(*), t.Date from Orders t", "select count(*), t.Date from Orders t"),
            ("select COUNT (*) from orders", "select count(*) from orders"),
            ("select round(a, 1), round(a)", "select round(a, ?), round(a)"),
            ("select * from db.2024_orders p1", "select * from db.2024_orders p1"),
            ("select `order`, `a b` from t", "select `order`, `a b` from t"),
            ("where a is not null and b = null", "where a is not null and b = ?"),
            ("select a->'$.x', b::int, @@v, @x := 1", "select a -> ?, b :: int, @@v, @x := ?"),
            ("select a,b from t where 中文 <=> 1", "select a, b from t where 中文 <=> ?"),
            ("select 1; select 2;", "select ?; select ?"),
            ("from t where a in (select b, b from u)", "from t where a in (select b, b from u)"),
        ] {
            assert_eq!(shape(statement), expected, "{statement}");
        }
        assert_ne!(fingerprint("select a from T"), fingerprint("select a from t"));
    }

    #[test]
    fn what_was_cut_or_is_no_sql_has_a_shape() {
        for (statement, expected) in [
            ("", ""),
            ("  -- only this", ""),
            ("select 'abc", "select ?"),
            ("select `abc", "select abc"),
            ("select a /* abc", "select a"),
            ("select a, b from t wh...", "select a, b from t wh..."),
            (")))](,,", ")))](,,"),
            ("\u{0}\u{1f600}'\\", "\u{0} \u{1f600} ?"),
        ] {
            assert_eq!(shape(statement), expected, "{statement}");
        }
        let deep = "(".repeat(100_000);
        assert_eq!(shape(&deep), deep);
        let long = format!("select * from t where a in ({}1)", "1, ".repeat(1_000_000));
        assert_eq!(shape(&long), "select * from t where a in (?)");
    }

    #[test]
    fn fingerprints_are_the_same_in_every_version() {
        let fingerprint = fingerprint("SELECT a FROM t WHERE b IN (1, 2)");
        assert_eq!(fingerprint.to_string(), "af6035f278e1b724");
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert_eq!(Fingerprint::from_signed(fingerprint.to_signed()), fingerprint);
        for wrong in ["", "123", "+123456789abcdef", "g123456789abcdef"] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NotAFingerprint));
        }
    }

    /// Pieces of statements, whole and broken.
    fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
        let piece = prop::sample::select(vec![
            "select", "in", "values", "(", ")", "[", "]", ",", ".", ";", "a", "T", "1", "-1",
            "'x'", "\"", "`", "`b`", "null", "is", "=", "-", "f(", "/*", "*/", "?", "中", "\\",
        ]);
        prop::collection::vec(piece, 0..40)
    }

    proptest! {
        #[test]
        fn any_text_has_a_shape(statement: String) {
            shape(&statement);
        }

        #[test]
        fn white_space_and_comments_never_matter(pieces in pieces()) {
            let whole: Vec<_> = pieces
                .into_iter()
                .filter(|piece| !["\"", "`", "/*", "*/", "\\"].contains(piece))
                .collect();
            let spaced = shape(&whole.join(" "));
            prop_assert_eq!(shape(&whole.join("\n  ")), spaced.clone());
            prop_assert_eq!(shape(&whole.join(" /* x */ ")), spaced);
        }

        #[test]
        fn pieces_of_statements_have_a_shape(pieces in pieces()) {
            shape(&pieces.concat());
        }
    }
}

/// Returns whether two texts are reports of one statement.
pub fn same(a: &str, b: &str) -> bool {
    a == b
}
