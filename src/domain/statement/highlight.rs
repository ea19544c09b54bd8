//! Classifies the parts of a statement, so that pages and terminals can colour them.

use super::keywords::{Role, keyword};
use super::tokenizer::{Gap, Token, Tokenizer};

/// What a part of a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyntaxKind {
    Keyword,
    /// The name of a function that is called.
    Function,
    /// A number, a text, or the placeholder `?`.
    Literal,
    /// A comment or a hint.
    Comment,
    /// The name of a table, a column or the like.
    Name,
    /// An operator or punctuation.
    Symbol,
    Space,
}

/// What the token before says about the next token.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Context {
    /// A value may begin.
    Other,
    /// A value ended, so a sign is an operator.
    Value,
    /// A name follows the dot.
    Dot,
    /// A name follows, even if the word is a keyword elsewhere.
    NameFollows,
    /// An alias or a type follows.
    Alias,
}

/// Returns the parts of a statement in order, each with its kind. The parts together are the statement, byte for byte.
pub(crate) fn highlight(statement: &str) -> impl Iterator<Item = (SyntaxKind, &str)> {
    let mut tokenizer = Tokenizer::new(statement);
    let mut context = Context::Other;
    std::iter::from_fn(move || {
        let start = tokenizer.position;
        let kind = match tokenizer.gap() {
            Some((gap, length)) => {
                tokenizer.position += length;
                // Spaces next to each other are one part.
                while gap == Gap::Space
                    && let Some((Gap::Space, length)) = tokenizer.gap()
                {
                    tokenizer.position += length;
                }
                if gap == Gap::Space { SyntaxKind::Space } else { SyntaxKind::Comment }
            }
            None => {
                let awaits_value = !matches!(context, Context::Value | Context::Dot);
                let token = tokenizer.next(awaits_value, context == Context::Dot)?;
                let kind = kind_of(token, context, &statement[tokenizer.position..]);
                context = context_behind(token, kind, context);
                kind
            }
        };
        Some((kind, &statement[start..tokenizer.position]))
    })
}

/// Returns the kind of a token in its context; `behind` is the text that follows the token.
fn kind_of(token: Token<'_>, context: Context, behind: &str) -> SyntaxKind {
    let word = match token {
        Token::Literal => return SyntaxKind::Literal,
        Token::Quoted(_) => return SyntaxKind::Name,
        Token::Symbol(_) => return SyntaxKind::Symbol,
        Token::Word(word) => word,
    };
    let is_followed_by = |symbol| behind.trim_start().starts_with(symbol);
    match keyword(word) {
        _ if context == Context::Dot => SyntaxKind::Name,
        Some(keyword) if keyword.is_reserved || keyword.role == Role::Between => {
            SyntaxKind::Keyword
        }
        Some(_) if context == Context::NameFollows || is_followed_by('.') => SyntaxKind::Name,
        Some(keyword) if context == Context::Alias && !keyword.is_type => SyntaxKind::Name,
        Some(keyword) if keyword.role == Role::Plain && !keyword.is_type && is_followed_by('(') => {
            SyntaxKind::Function
        }
        Some(_) => SyntaxKind::Keyword,
        None if context != Context::NameFollows && is_followed_by('(') => SyntaxKind::Function,
        None => SyntaxKind::Name,
    }
}

/// Returns the context behind a token.
fn context_behind(token: Token<'_>, kind: SyntaxKind, context: Context) -> Context {
    match token {
        Token::Word(word) if kind == SyntaxKind::Keyword => match keyword(word) {
            Some(keyword) => match keyword.role {
                Role::Table | Role::Name => Context::NameFollows,
                Role::Alias => Context::Alias,
                Role::Between => context,
                _ if keyword.is_reserved => Context::Other,
                _ => Context::Value,
            },
            None => Context::Other,
        },
        Token::Symbol(")" | "]") | Token::Word(_) | Token::Quoted(_) | Token::Literal => {
            Context::Value
        }
        Token::Symbol(".") => Context::Dot,
        Token::Symbol(_) => Context::Other,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_have_kinds() {
        let parts: Vec<(SyntaxKind, &str)> =
            highlight("select Sum(`a b`) -- x\n from t.date where a>=-1").collect();
        use SyntaxKind::*;
        assert_eq!(
            parts,
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
        assert_eq!(highlight("insert into t (a)").nth(4), Some((Name, "t")));
    }

    /// Pieces of statements, whole and broken.
    pub(in super::super) fn pieces() -> impl Strategy<Value = String> {
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
                let together: String = highlight(&text).map(|(_, part)| part).collect();
                prop_assert_eq!(together, text);
            }
        }
    }
}
