//! What a statement is made of, in the dialects of Doris and StarRocks.

use super::escape::Escapes;

/// A part of a statement that is neither white space nor a comment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    Word(&'a str),
    /// A name in backquotes, without them.
    Quoted(&'a str),
    Literal,
    Symbol(&'a str),
}

/// Reads a statement token by token.
pub(super) struct Tokens<'a> {
    pub text: &'a str,
    /// Where the next token is looked for.
    pub at: usize,
    /// Whether the text ended within quotes or a comment.
    pub is_unclosed: bool,
    /// Which line ends a frontend escaped; read from the text where a comment needs it.
    escapes: Option<Escapes>,
    /// Whether a `*/` ends a comment even if comments within it are open. StarRocks does not nest comments, so a
    /// comment whose nested ones do not all end is read as StarRocks reads it.
    is_unnested: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str) -> Tokens<'a> {
        Tokens { text, at: 0, is_unclosed: false, escapes: None, is_unnested: false }
    }

    /// The next token. A sign belongs to a number only where a value may begin (`awaits_value`), and behind a dot
    /// (`after_dot`) only a name can stand.
    pub(super) fn next(&mut self, awaits_value: bool, after_dot: bool) -> Option<Token<'a>> {
        while let Some((_, length)) = self.gap() {
            self.at += length;
        }
        let rest = &self.text.as_bytes()[self.at..];
        let first = *rest.first()?;
        let second = rest.get(1).copied().unwrap_or(0);
        let may_be_number = match first {
            b'0'..=b'9' => !after_dot,
            b'.' => !after_dot && second.is_ascii_digit(),
            b'-' | b'+' => awaits_value && matches!(second, b'0'..=b'9' | b'.'),
            _ => false,
        };
        if may_be_number {
            let sign = usize::from(matches!(first, b'-' | b'+'));
            if let Some(length) = number(&rest[sign..]) {
                self.at += sign + length;
                return Some(Token::Literal);
            }
        }
        match first {
            b'\'' | b'"' => {
                self.quoted(0, first);
                Some(Token::Literal)
            }
            // A text of hexadecimal or binary digits, or in the national character set.
            b'x' | b'X' | b'b' | b'B' | b'n' | b'N' if matches!(second, b'\'' | b'"') => {
                self.quoted(1, second);
                Some(Token::Literal)
            }
            // A text in which a backslash is one.
            b'r' | b'R' if matches!(second, b'\'' | b'"') => {
                let end = memchr::memchr(second, &rest[2..]);
                self.is_unclosed |= end.is_none();
                self.at += end.map_or(rest.len(), |end| 2 + end + 1);
                Some(Token::Literal)
            }
            b'?' => {
                self.at += 1;
                Some(Token::Literal)
            }
            b'`' => Some(Token::Quoted(self.backquoted())),
            _ if is_word(first) => {
                let length = word(rest);
                // The character set of a text: _utf8mb4'…'.
                if first == b'_'
                    && let Some(quote @ (b'\'' | b'"')) = rest.get(length)
                {
                    self.quoted(length, *quote);
                    return Some(Token::Literal);
                }
                let word = &self.text[self.at..self.at + length];
                self.at += length;
                Some(Token::Word(word))
            }
            _ => {
                let length = match first {
                    // No operator begins with one of these; they are the most of all symbols.
                    b',' | b'(' | b')' | b'.' | b';' | b'[' | b']' | b'*' | b'+' => 1,
                    _ => operator(rest),
                };
                let symbol = &self.text[self.at..self.at + length];
                self.at += length;
                Some(Token::Symbol(symbol))
            }
        }
    }

    /// Goes over a text whose `quote` opens so many bytes on.
    fn quoted(&mut self, opens: usize, quote: u8) {
        let text = &self.text.as_bytes()[self.at + opens..];
        let end = quoted(text, quote);
        self.is_unclosed |= end.is_none();
        self.at += opens + end.unwrap_or(text.len());
    }

    /// Goes over a name in backquotes. Two of them within it are one of the name.
    fn backquoted(&mut self) -> &'a str {
        let from = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = from;
        while let Some(found) = memchr::memchr(b'`', &bytes[at..]) {
            at += found + 1;
            if bytes.get(at) != Some(&b'`') {
                self.at = at;
                return &self.text[from..at - 1];
            }
            at += 1;
        }
        self.is_unclosed = true;
        self.at = self.text.len();
        &self.text[from..]
    }

    /// The white space or the comment that stands next, and its length.
    pub(super) fn gap(&mut self) -> Option<(Gap, usize)> {
        let rest = &self.text.as_bytes()[self.at..];
        // Most words have one space before them.
        if rest.first().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        match rest {
            [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => Some((Gap::Space, 1)),
            // The space as wide as a Chinese character.
            [0xe3, 0x80, 0x80, ..] => Some((Gap::Space, 3)),
            // A line end or a tab as frontends escape it. No other backslash stands outside of quotes.
            [b'\\', b'n' | b'r' | b't', ..] => Some((Gap::Space, 2)),
            [b'-', b'-', ..] | [b'#', ..] => Some((Gap::Comment, self.line_comment())),
            [b'/', b'*', ..] => Some((Gap::Comment, self.block_comment())),
            _ => None,
        }
    }

    /// The length of a comment up to the end of its line: a line feed, a carriage return alone, or an escape of them.
    fn line_comment(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
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

    /// The length of a comment and of those within it.
    fn block_comment(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
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

/// What stands between tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    Space,
    Comment,
}

/// The length of the operator at the start of `text`, or of the one sign that stands there.
fn operator(text: &[u8]) -> usize {
    let mut operators = OPERATORS.iter();
    operators.find(|operator| text.starts_with(operator.as_bytes())).map_or(1, |it| it.len())
}

/// Operators of more than one sign, longest first.
const OPERATORS: [&str; 11] = ["<=>", "<=", ">=", "<>", "!=", "==", "||", "&&", "->", "::", ":="];

/// Whether a byte is one of a word. Every byte of a character beyond ASCII is.
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

/// The length of the word at the start of `text`.
fn word(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match text.get(at) {
            Some(0xe3) if text[at..].starts_with(&[0xe3, 0x80, 0x80]) => return at,
            Some(byte) if is_word(*byte) => at += 1,
            _ => return at,
        }
    }
}

/// The length of what `quote` opens at the start of `text`; None where nothing closes it.
fn quoted(text: &[u8], quote: u8) -> Option<usize> {
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

/// The length of a number at the start of `text`, if one stands there and is no start of a name, as in
/// `2024_orders`.
fn number(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let ends = |at: usize| !text.get(at).is_some_and(|byte| is_word(*byte));
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
    // Doris' suffixes of types.
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
            ("1e", None),
            ("1.5L", None),
            ("0x", None),
            ("0b2", None),
            ("2024_orders", None),
            (".", None),
        ] {
            assert_eq!(number(text.as_bytes()), length, "{text}");
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
            let mut tokens = Tokens::of(text);
            while tokens.next(false, false).is_some() {}
            assert_eq!(tokens.is_unclosed, unclosed, "{text}");
        }
    }
}
