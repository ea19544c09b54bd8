//! What a statement is made of, in Doris' dialect.

use std::sync::LazyLock;

/// A part of a statement that is neither white space nor a comment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    Word(&'a str),
    /// A name in backquotes, without them.
    Quoted(&'a str),
    Literal,
    Symbol(&'a str),
}

/// What stands before a token, as far as it matters for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Before {
    Start,
    /// A keyword; `in` and `values` open lists.
    Keyword,
    In,
    Values,
    /// A keyword behind which a name comes, even if a parenthesis follows it.
    NameFollows,
    Name,
    Literal,
    /// `(` or `[`.
    Open,
    /// `)` or `]`.
    Close,
    Comma,
    Dot,
    Operator,
}

impl Before {
    /// Whether a value may begin here, so that a sign belongs to it.
    pub fn awaits_value(self) -> bool {
        !matches!(self, Before::Name | Before::Literal | Before::Close | Before::Dot)
    }

    /// Whether it is punctuation, behind which `null` is a value and not part of `is null`.
    pub fn is_punctuation(self) -> bool {
        matches!(self, Before::Open | Before::Comma | Before::Operator)
    }
}

/// Reads a statement token by token.
pub struct Tokens<'a> {
    pub text: &'a str,
    /// Where the next token is looked for.
    pub at: usize,
}

impl<'a> Tokens<'a> {
    pub fn of(text: &'a str) -> Tokens<'a> {
        Tokens { text, at: 0 }
    }

    /// The next token; what stands `before` it tells whether a sign belongs to a number.
    pub fn next(&mut self, before: Before) -> Option<Token<'a>> {
        self.skip();
        let rest = &self.text.as_bytes()[self.at..];
        let first = *rest.first()?;
        let second = rest.get(1).copied().unwrap_or(0);
        let sign = matches!(first, b'-' | b'+') && before.awaits_value();
        let number_at = usize::from(sign);
        if let Some(length) = number(&rest[number_at..], before == Before::Dot) {
            self.at += number_at + length;
            return Some(Token::Literal);
        }
        match first {
            b'\'' | b'"' => {
                self.at += quoted(rest, first);
                Some(Token::Literal)
            }
            b'x' | b'X' | b'b' | b'B' | b'n' | b'N' if matches!(second, b'\'' | b'"') => {
                self.at += 1 + quoted(&rest[1..], second);
                Some(Token::Literal)
            }
            b'?' => {
                self.at += 1;
                Some(Token::Literal)
            }
            b'`' => {
                let length = memchr::memchr(b'`', &rest[1..]);
                let from = self.at + 1;
                let to = length.map_or(self.text.len(), |length| from + length);
                self.at = (to + 1).min(self.text.len());
                Some(Token::Quoted(&self.text[from..to]))
            }
            _ if is_word(first) => {
                let length = rest.iter().take_while(|byte| is_word(**byte)).count();
                let word = &self.text[self.at..self.at + length];
                self.at += length;
                Some(Token::Word(word))
            }
            _ => {
                let length = OPERATORS
                    .iter()
                    .find(|operator| rest.starts_with(operator.as_bytes()))
                    .map_or(1, |operator| operator.len());
                let symbol = &self.text[self.at..self.at + length];
                self.at += length;
                Some(Token::Symbol(symbol))
            }
        }
    }

    /// Goes over white space and comments.
    fn skip(&mut self) {
        while let Some((_, length)) = self.gap() {
            self.at += length;
        }
    }

    /// The white space or the comment that stands next, and its length.
    pub fn gap(&self) -> Option<(Gap, usize)> {
        let rest = &self.text.as_bytes()[self.at..];
        match rest {
            [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => Some((Gap::Space, 1)),
            // Audit logs of some versions write line ends so.
            [b'\\', b'n' | b'r' | b't', ..] => Some((Gap::Space, 2)),
            [b'-', b'-', ..] | [b'#', ..] => Some((Gap::Comment, line_end(rest))),
            [b'/', b'*', ..] => {
                let end = memchr::memmem::find(&rest[2..], b"*/");
                Some((Gap::Comment, end.map_or(rest.len(), |length| 2 + length + 2)))
            }
            _ => None,
        }
    }
}

/// What stands between tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    Space,
    Comment,
}

/// Operators of more than one sign, longest first.
const OPERATORS: [&str; 11] = ["<=>", "<=", ">=", "<>", "!=", "==", "||", "&&", "->", "::", ":="];

/// Every byte of a letter beyond ASCII counts as one of a word.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'@') || byte >= 0x80
}

/// The length of a comment up to the end of its line.
fn line_end(text: &[u8]) -> usize {
    let line = memchr::memchr(b'\n', text).unwrap_or(text.len());
    memchr::memmem::find(&text[..line], b"\\n").unwrap_or(line)
}

/// The length of what `quote` opens at the start of `text`; to the end of the text where nothing closes it.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(found) = memchr::memchr2(quote, b'\\', &text[at..]) {
        at += found;
        if text[at] == quote && text.get(at + 1) != Some(&quote) {
            return at + 1;
        }
        at = (at + 2).min(text.len());
    }
    text.len()
}

/// The length of a number at the start of `text`, if one stands there and is no start of a name, as in
/// `2024_orders`. Behind a dot only a name can stand.
fn number(text: &[u8], after_dot: bool) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let first = *text.first()?;
    if after_dot || !(first.is_ascii_digit() || first == b'.') {
        return None;
    }
    let mut end = digits(0);
    if text.starts_with(b"0x") || text.starts_with(b"0X") {
        let hex = text[2..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        return (hex > 0 && !text.get(2 + hex).is_some_and(|byte| is_word(*byte)))
            .then_some(2 + hex);
    }
    if text.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if end + fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = text.get(end + 1 + sign..).map_or(0, |_| digits(end + 1 + sign));
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    (!text.get(end).is_some_and(|byte| is_word(*byte))).then_some(end)
}

/// The longest of [`KEYWORDS`].
const LONGEST_KEYWORD: usize = 17;

/// The keyword that a word is, in lower case. They are hashed: to search them by halves took a seventh of the CPU
/// time of an import.
pub fn keyword(word: &str) -> Option<&'static str> {
    static HASHED: LazyLock<foldhash::HashSet<&str>> =
        LazyLock::new(|| KEYWORDS.into_iter().collect());
    if word.len() > LONGEST_KEYWORD {
        return None;
    }
    let mut lower = [0; LONGEST_KEYWORD];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    HASHED.get(str::from_utf8(lower).ok()?).copied()
}

/// The words of Doris' dialect whose case does not matter, and that are seldom names; in order.
/// To add one changes the fingerprints of the statements that hold it, so that waits for a major version.
const KEYWORDS: [&str; 230] = [
    "add", "admin", "aggregate", "all", "alter", "analyze", "and", "anti", "any", "array", "as",
    "asc", "at", "auto", "backend", "begin", "between", "bigint", "bitmap", "boolean", "both",
    "broker", "buckets", "by", "cancel", "case", "catalog", "catalogs", "char", "character",
    "charset", "collate", "column", "columns", "commit", "compact", "create", "cross", "cube",
    "current", "current_catalog", "current_date", "current_time", "current_timestamp",
    "current_user", "database", "databases", "date", "datetime", "day", "days", "dec", "decimal",
    "default", "delete", "desc", "describe", "distinct", "distributed", "div", "double", "drop",
    "duplicate", "dynamic", "else", "end", "engine", "except", "exists", "explain", "export",
    "extended", "extract", "false", "first", "float", "following", "for", "force", "foreign",
    "from", "frontend", "full", "function", "functions", "global", "grant", "group", "grouping",
    "hash", "having", "hll", "hour", "if", "ignore", "in", "index", "indexes", "inner", "insert",
    "install", "int", "integer", "intersect", "interval", "into", "is", "job", "join", "key",
    "keys", "kill", "label", "largeint", "last", "lateral", "left", "like", "limit", "list",
    "load", "local", "lock", "materialized", "merge", "minus", "minute", "modify", "month",
    "names", "national", "natural", "not", "null", "nulls", "of", "offset", "on", "only", "or",
    "order", "outer", "over", "overwrite", "partition", "partitions", "plan", "plugin",
    "preceding", "prepare", "primary", "privileges", "procedure", "properties", "property",
    "qualify", "range", "recover", "refresh", "regexp", "release", "rename", "repair", "replace",
    "repository", "restore", "restrict", "revoke", "right", "rlike", "rollback", "rollup",
    "routine", "row", "rows", "schema", "schemas", "second", "select", "semi", "session", "set",
    "sets", "show", "signed", "smallint", "snapshot", "start", "stats", "string", "sync", "system",
    "table", "tables", "tablet", "temporary", "text", "then", "time", "timestamp", "tinyint", "to",
    "transaction", "trigger", "true", "truncate", "type", "unbounded", "union", "unique", "unset",
    "unsigned", "update", "use", "user", "using", "value", "values", "varchar", "variables",
    "verbose", "view", "warnings", "week", "when", "where", "window", "with", "write", "year",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_in_order_and_found() {
        assert!(KEYWORDS.is_sorted());
        for word in KEYWORDS {
            assert_eq!(keyword(&word.to_uppercase()), Some(word));
        }
        assert_eq!(keyword("orders"), None);
        assert_eq!(KEYWORDS.iter().map(|keyword| keyword.len()).max(), Some(LONGEST_KEYWORD));
    }
}
