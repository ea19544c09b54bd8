//! Splits a statement into tokens, in the dialects of Doris and StarRocks.

use super::unescape::Escapes;

/// A part of a statement that is neither white space nor a comment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    Word(&'a str),
    /// A name in backquotes, without them.
    Quoted(&'a str),
    /// A number, a text, or the placeholder `?`.
    Literal,
    Symbol(&'a str),
}

/// What separates tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    Space,
    Comment,
}

/// Reads a statement token by token.
pub(super) struct Tokenizer<'a> {
    text: &'a str,
    /// The offset in bytes from which the next token is read.
    pub position: usize,
    /// Whether the text ended within quotes or a comment.
    pub is_unclosed: bool,
    /// The line ends that a frontend escaped; determined at the first comment that needs them.
    escapes: Option<Escapes>,
    /// Whether a `*/` ends a comment even if nested comments are open. StarRocks does not nest comments, so a comment
    /// with an unclosed nested comment is read as StarRocks reads it.
    is_unnested: bool,
}

impl<'a> Tokenizer<'a> {
    pub(super) fn new(text: &'a str) -> Tokenizer<'a> {
        Tokenizer { text, position: 0, is_unclosed: false, escapes: None, is_unnested: false }
    }

    /// Returns the next token. `awaits_value` says that a value may begin here, so that a sign belongs to a number;
    /// `after_dot` says that a dot precedes, so that digits belong to a name.
    pub(super) fn next(&mut self, awaits_value: bool, after_dot: bool) -> Option<Token<'a>> {
        while let Some((_, length)) = self.gap() {
            self.position += length;
        }
        let rest = &self.text.as_bytes()[self.position..];
        let first = *rest.first()?;
        if let Some(length) = signed_number(rest, awaits_value, after_dot) {
            self.position += length;
            return Some(Token::Literal);
        }
        let second = rest.get(1).copied().unwrap_or(0);
        match first {
            b'\'' | b'"' => self.skip_quoted(0, first),
            // A text of hexadecimal or binary digits, or in the national character set.
            b'x' | b'X' | b'b' | b'B' | b'n' | b'N' if matches!(second, b'\'' | b'"') => {
                self.skip_quoted(1, second);
            }
            // A raw text, in which a backslash escapes nothing.
            b'r' | b'R' if matches!(second, b'\'' | b'"') => {
                let end = memchr::memchr(second, &rest[2..]);
                self.is_unclosed |= end.is_none();
                self.position += end.map_or(rest.len(), |end| 2 + end + 1);
            }
            b'?' => self.position += 1,
            b'`' => return Some(Token::Quoted(self.backquoted())),
            _ if is_word(first) => return Some(self.word()),
            _ => return Some(self.symbol()),
        }
        Some(Token::Literal)
    }

    /// Reads a word, or a text with its character set: `_utf8mb4'…'`.
    fn word(&mut self) -> Token<'a> {
        let rest = &self.text.as_bytes()[self.position..];
        let length = word_length(rest);
        if rest.first() == Some(&b'_')
            && let Some(quote @ (b'\'' | b'"')) = rest.get(length)
        {
            self.skip_quoted(length, *quote);
            return Token::Literal;
        }
        Token::Word(self.take(length))
    }

    fn symbol(&mut self) -> Token<'a> {
        let length = match &self.text.as_bytes()[self.position..] {
            // The most frequent symbols; no operator begins with one of them.
            [b',' | b'(' | b')' | b'.' | b';' | b'[' | b']' | b'*' | b'+', ..] => 1,
            rest => operator_length(rest),
        };
        Token::Symbol(self.take(length))
    }

    /// Returns the next `length` bytes, and moves behind them.
    fn take(&mut self, length: usize) -> &'a str {
        let start = self.position;
        self.position += length;
        &self.text[start..self.position]
    }

    /// Moves behind a text in quotes, of which the opening `quote` is `offset` bytes ahead.
    fn skip_quoted(&mut self, offset: usize, quote: u8) {
        let text = &self.text.as_bytes()[self.position + offset..];
        let length = quoted_length(text, quote);
        self.is_unclosed |= length.is_none();
        self.position += offset + length.unwrap_or(text.len());
    }

    /// Reads a name in backquotes. Two backquotes within it are one of the name.
    fn backquoted(&mut self) -> &'a str {
        let start = self.position + 1;
        let bytes = self.text.as_bytes();
        let mut at = start;
        while let Some(found) = memchr::memchr(b'`', &bytes[at..]) {
            at += found + 1;
            if bytes.get(at) != Some(&b'`') {
                self.position = at;
                return &self.text[start..at - 1];
            }
            at += 1;
        }
        self.is_unclosed = true;
        self.position = self.text.len();
        &self.text[start..]
    }

    /// Returns whether white space or a comment comes next, and the length in bytes: of one space, of a whole comment.
    pub(super) fn gap(&mut self) -> Option<(Gap, usize)> {
        let rest = &self.text.as_bytes()[self.position..];
        // Most words have one space before them.
        if rest.first().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        match rest {
            [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => Some((Gap::Space, 1)),
            // `IDEOGRAPHIC_SPACE`
            [0xe3, 0x80, 0x80, ..] => Some((Gap::Space, 3)),
            // A line end or a tab as frontends escape it. Outside of quotes a backslash has no other meaning.
            [b'\\', b'n' | b'r' | b't', ..] => Some((Gap::Space, 2)),
            [b'-', b'-', ..] | [b'#', ..] => Some((Gap::Comment, self.line_comment_length())),
            [b'/', b'*', ..] => Some((Gap::Comment, self.block_comment_length())),
            _ => None,
        }
    }

    /// Returns the length of a comment that ends with its line: at a line feed, a carriage return, or an escape of one.
    fn line_comment_length(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.position..];
        let mut at = 0;
        while let Some(found) = memchr::memchr3(b'\n', b'\r', b'\\', &rest[at..]) {
            at += found;
            if rest[at] != b'\\' {
                return at;
            }
            if let Some(next) = rest.get(at + 1)
                && self.escapes.get_or_insert_with(|| Escapes::of(self.text)).ends_line(*next)
            {
                return at;
            }
            at += 1;
        }
        rest.len()
    }

    /// Returns the length of a comment with the comments nested in it.
    fn block_comment_length(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.position..];
        let Some(first_end) = memchr::memmem::find(&rest[2..], b"*/").map(|found| 2 + found + 2)
        else {
            self.is_unclosed = true;
            return rest.len();
        };
        if self.is_unnested || memchr::memmem::find(&rest[2..first_end], b"/*").is_none() {
            return first_end;
        }
        let mut open = 0;
        let mut at = 0;
        while let Some(found) = memchr::memchr2(b'/', b'*', &rest[at..]) {
            at += found;
            match &rest[at..] {
                [b'/', b'*', ..] => open += 1,
                [b'*', b'/', ..] => open -= 1,
                _ => {
                    at += 1;
                    continue;
                }
            }
            at += 2;
            if open == 0 {
                return at;
            }
        }
        self.is_unnested = true;
        first_end
    }
}

/// Returns the length of the operator at the start of `text`; 1 for any other byte.
fn operator_length(text: &[u8]) -> usize {
    let mut operators = OPERATORS.iter();
    operators
        .find(|operator| text.starts_with(operator.as_bytes()))
        .map_or(1, |operator| operator.len())
}

/// Operators of more than one character, longest first.
const OPERATORS: [&str; 11] = ["<=>", "<=", ">=", "<>", "!=", "==", "||", "&&", "->", "::", ":="];

/// U+3000, which separates words as a space does.
const IDEOGRAPHIC_SPACE: &[u8] = "\u{3000}".as_bytes();

/// Returns whether a byte belongs to a word. Every byte of a character beyond ASCII does.
pub(super) fn is_word(byte: u8) -> bool {
    const IS_WORD: [bool; 256] = {
        let mut is_word = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            let character = byte as u8;
            is_word[byte] = character.is_ascii_alphanumeric()
                || matches!(character, b'_' | b'$' | b'@' | 0x80..);
            byte += 1;
        }
        is_word
    };
    IS_WORD[usize::from(byte)]
}

/// Returns the length of the word at the start of `text`. The ideographic space ends a word.
fn word_length(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match text.get(at) {
            Some(0xe3) if text[at..].starts_with(IDEOGRAPHIC_SPACE) => return at,
            Some(byte) if is_word(*byte) => at += 1,
            _ => return at,
        }
    }
}

/// Returns the length of the quoted text at the start of `text`, both quotes included; None if it is not closed.
fn quoted_length(text: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    while let Some(found) = memchr::memchr2(quote, b'\\', text.get(at..)?) {
        at += found;
        if text[at] == quote && text.get(at + 1) != Some(&quote) {
            return Some(at + 1);
        }
        at += 2;
    }
    None
}

/// Returns the length of the number at the start of `text` with its sign, if a number may stand there.
fn signed_number(text: &[u8], awaits_value: bool, after_dot: bool) -> Option<usize> {
    let second = text.get(1).copied().unwrap_or(0);
    let (sign, may_be_number) = match text.first()? {
        b'0'..=b'9' => (0, !after_dot),
        b'.' => (0, !after_dot && second.is_ascii_digit()),
        b'-' | b'+' => (1, awaits_value && matches!(second, b'0'..=b'9' | b'.')),
        _ => (0, false),
    };
    if may_be_number { Some(sign + number_length(&text[sign..])?) } else { None }
}

/// Returns the length of the number at the start of `text`; None if there is none or a name begins with its digits, as
/// in `2024_orders`.
fn number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let ends = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        !rest.first().is_some_and(|byte| is_word(*byte)) || rest.starts_with(IDEOGRAPHIC_SPACE)
    };
    let based = |is_digit: fn(&u8) -> bool| {
        let length = 2 + text[2..].iter().take_while(|byte| is_digit(byte)).count();
        (length > 2 && ends(length)).then_some(length)
    };
    match text {
        [b'0', b'x' | b'X', ..] => return based(u8::is_ascii_hexdigit),
        [b'0', b'b' | b'B', b'0' | b'1', ..] => return based(|byte| matches!(byte, b'0' | b'1')),
        _ => {}
    }
    let mut end = digits(0);
    if end > 0 && ends(end) && text.get(end) != Some(&b'.') {
        return Some(end);
    }
    let is_whole = text.get(end) != Some(&b'.');
    if !is_whole {
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
    // Doris marks the type of a number by a suffix.
    let suffix = match text[end..] {
        [b'l' | b'L' | b's' | b'S' | b'y' | b'Y', ..] if is_whole => 1,
        [b'b' | b'B', b'd' | b'D', ..] => 2,
        _ => 0,
    };
    [end, end + suffix].into_iter().find(|end| ends(*end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_form_are_read() {
        for (text, length) in [
            ("1", Some(1)),
            ("1.5e-3,", Some(6)),
            ("1.", Some(2)),
            (".5", Some(2)),
            ("0xfF)", Some(4)),
            ("0b101 ", Some(5)),
            ("12L", Some(3)),
            ("1.5BD", Some(5)),
            ("1\u{3000}and", Some(1)),
            ("1.\u{3000}", Some(2)),
            ("0x1\u{3000}", Some(3)),
            ("1中", None),
            ("1e", None),
            ("1.5L", None),
            ("0x", None),
            ("0b2", None),
            ("2024_orders", None),
            (".", None),
        ] {
            assert_eq!(number_length(text.as_bytes()), length, "{text}");
        }
    }

    #[test]
    fn a_text_that_ends_within_something_is_unclosed() {
        for (text, unclosed) in [
            ("select 'a", true),
            ("select \"a\\\"", true),
            ("select r'a\\'", false),
            ("select `a``", true),
            ("select `a``b`", false),
            ("select /* a", true),
            ("select /* a */", false),
            ("select 'it''s' -- x'", false),
        ] {
            let mut tokenizer = Tokenizer::new(text);
            while tokenizer.next(false, false).is_some() {}
            assert_eq!(tokenizer.is_unclosed, unclosed, "{text}");
        }
    }
}
