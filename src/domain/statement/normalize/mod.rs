//! Normalizes statements: two runs of a statement that differ only in values, comments, white space or letter case give
//! one text.
//!
//! - [`normalizer`] writes the normalized text, token by token.
//! - [`context`] is what the normalizer knows about the next token.
//! - [`words`] writes keywords, names, labels and partitions.
//! - [`symbols`] writes operators, brackets and commas.
//! - [`list`] shortens lists of values and rows.

mod context;
mod list;
mod normalizer;
mod symbols;
#[cfg(test)]
mod tests;
mod words;

use self::context::Context;
use self::normalizer::Normalizer;
use super::compare::without_cut_mark;
use super::tokenizer::{Token, Tokenizer};
use super::unescape::unwrap;

/// The version of [`normalize`]. Raise it with every change that gives some statement another text: a store whose
/// fingerprints are of an older version then renews them as it is opened.
pub(crate) const NORMALIZER_VERSION: i64 = 3;

/// Returns a normalized statement: `SELECT  a FROM t WHERE b IN (1, 2) -- x` gives `select a from t where b in (?)`.
///
/// - A literal becomes `?`, together with its sign, and a list of literals becomes one `?`. The rows of an INSERT
///   become one `(?)`.
/// - Comments and hints are removed.
/// - Keywords and names of functions are in lower case. Other names keep their case, because Doris distinguishes tables
///   by case. So does a keyword in the place of a name: behind FROM, JOIN, INTO, TABLE, AS and the like, or beside a
///   dot.
/// - Labels of loads and names of partitions become `?`, because they differ in each run.
/// - The wrapper that a frontend writes around a statement is removed.
/// - A statement that was cut ends in ` ...` behind its last whole part.
pub(crate) fn normalize(statement: &str) -> String {
    let mut normalized = String::with_capacity(statement.len().min(1024));
    normalize_into(statement, &mut normalized);
    normalized
}

/// Replaces the content of a buffer by the [normalized](normalize) statement.
pub(crate) fn normalize_into(statement: &str, normalized: &mut String) {
    normalized.clear();
    let statement = unwrap(statement);
    let without_mark = without_cut_mark(statement);
    let text = without_mark.unwrap_or(statement);
    let mut tokenizer = Tokenizer::new(text);
    let mut token_end = 0;
    let mut normalizer = Normalizer::new(normalized, is_refresh(statement));
    while let Some(token) =
        tokenizer.next(normalizer.context.awaits_value(), normalizer.context == Context::Dot)
    {
        token_end = tokenizer.position;
        normalizer.write(token);
        if normalizer.context == Context::SkippedOpen {
            let is_closed = skip_parenthesis(&mut tokenizer);
            normalizer.put(if is_closed { "?)" } else { "?" }, Context::SkippedClose);
            if !is_closed {
                normalized.push(')');
                return;
            }
        }
    }
    if token_end < text.len() {
        normalizer.end_name();
    }
    normalizer.finish(without_mark.is_some());
}

/// Moves behind the end of the open parenthesis, and returns whether it is closed.
fn skip_parenthesis(tokenizer: &mut Tokenizer<'_>) -> bool {
    let mut open = 1;
    while let Some(token) = tokenizer.next(false, false) {
        match token {
            Token::Symbol("(") => open += 1,
            Token::Symbol(")") => open -= 1,
            _ => {}
        }
        if open == 0 {
            return true;
        }
    }
    false
}

/// Returns whether Doris logged the text for the refresh of a materialized view (`MTMVTask`). Its task and its
/// partitions differ in each run.
fn is_refresh(text: &str) -> bool {
    const START: &str = "Asynchronous materialized view refresh task";
    text.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START))
}

/// Returns whether a text ends within quotes, a comment or parentheses, as a statement that was cut may.
pub(super) fn is_left_open(text: &str) -> bool {
    let mut tokenizer = Tokenizer::new(text);
    let mut open: usize = 0;
    while let Some(token) = tokenizer.next(false, false) {
        match token {
            Token::Symbol("(") => open += 1,
            Token::Symbol(")") => open = open.saturating_sub(1),
            _ => {}
        }
    }
    tokenizer.is_unclosed || open > 0
}
