//! Writes the normalized text, token by token.

use super::context::Context;
use super::list::List;
use crate::domain::statement::keywords::keyword;
use crate::domain::statement::tokenizer::Token;

/// Offsets in this struct are offsets in the normalized text.
pub(super) struct Normalizer<'a, 't> {
    /// The normalized text.
    pub(super) text: &'t mut String,
    pub(super) context: Context,
    /// The lists that are open.
    pub(super) lists: Vec<List>,
    /// The number of parentheses that are open and too deep for `lists`.
    pub(super) deeper: usize,
    /// The word that was written last.
    pub(super) last_word: Option<LastWord<'a>>,
    /// The start of the signs that belong to the next number, and the context before them.
    pub(super) signs: Option<(usize, Context)>,
    /// The start of the current part of a label.
    pub(super) label: Option<usize>,
    /// The depth at which commas separate the tables of a FROM.
    pub(super) tables_depth: Option<usize>,
    /// The end of the last whole part of the statement.
    pub(super) whole_end: usize,
    /// Whether the name of a table or the like is being written.
    pub(super) is_in_name: bool,
    pub(super) is_insert: bool,
    /// Whether brackets are open around the hint of a join.
    pub(super) is_join_hint: bool,
    /// Whether the statement is the refresh of a materialized view.
    pub(super) is_refresh: bool,
}

/// A word of which the next token decides how it is written.
pub(super) struct LastWord<'a> {
    /// The end of the normalized text before the word.
    pub start: usize,
    /// The context before the word.
    pub context: Context,
    /// The word as the statement has it.
    pub text: &'a str,
    /// Whether the word is a function if a parenthesis follows.
    pub may_be_function: bool,
    /// Whether a text behind the word is one value with it.
    pub is_typed: bool,
}

impl<'a, 't> Normalizer<'a, 't> {
    pub(super) fn new(text: &'t mut String, is_refresh: bool) -> Normalizer<'a, 't> {
        Normalizer {
            text,
            context: Context::Start,
            lists: Vec::new(),
            deeper: 0,
            last_word: None,
            signs: None,
            label: None,
            tables_depth: None,
            whole_end: 0,
            is_in_name: false,
            is_insert: false,
            is_join_hint: false,
            is_refresh,
        }
    }

    pub(super) fn write(&mut self, token: Token<'a>) {
        if self.context == Context::Close && token != Token::Symbol(",") {
            self.end_rows();
        }
        if self.context == Context::SkippedComma && token != Token::Symbol("(") {
            self.context = Context::SkippedClose;
            self.put(",", Context::Comma);
        }
        if self.label.is_some() {
            self.end_label_part(token);
        }
        if self.context.is_name_next() {
            self.is_in_name = true;
        } else if self.is_in_name && token != Token::Symbol(".") {
            self.end_name();
        }
        let last_word = self.last_word.take();
        let signs = self.signs.take();
        match token {
            Token::Literal => self.literal(last_word, signs),
            Token::Word(word) => self.word(word, keyword(word)),
            Token::Quoted(name) => self.quoted(name),
            Token::Symbol(symbol) => {
                let is_behind_array = last_word.is_some_and(|word| {
                    self.decide_case(&word, symbol);
                    word.context != Context::Dot && word.text.eq_ignore_ascii_case("array")
                });
                self.symbol(symbol, signs, is_behind_array);
            }
        }
    }

    /// Writes a literal in place of itself, of its signs, and of a type before it.
    fn literal(&mut self, last_word: Option<LastWord<'a>>, signs: Option<(usize, Context)>) {
        if let Some((start, context)) = signs {
            self.text.truncate(start);
            self.context = context;
        } else if let Some(word) = last_word.filter(|word| word.is_typed) {
            self.text.truncate(word.start);
            self.context = word.context;
        }
        // Texts next to each other are one text.
        if self.context != Context::Literal {
            self.put("?", Context::Literal);
        }
        self.whole_end = self.text.len();
    }

    /// Ends the name of a table or the like, if one is being written.
    pub(super) fn end_name(&mut self) {
        if self.is_in_name && self.context == Context::Name {
            self.is_in_name = false;
            self.whole_end = self.text.len();
        }
    }

    /// Ends the normalized text; of a statement that was cut, behind its last whole part.
    pub(super) fn finish(mut self, is_cut: bool) {
        if self.label.is_some() {
            self.end_label_part(Token::Literal);
        }
        match self.context {
            Context::InsertRows if is_cut => return self.text.push_str(" (?)"),
            Context::SkippedClose | Context::SkippedComma => {}
            _ => {
                self.end_rows();
                if let Some(end) = self.end_of_cut_list() {
                    self.text.truncate(end);
                    if self.text.ends_with(['(', '[']) {
                        self.text.push('?');
                    }
                    self.text.push_str(" ...");
                } else if is_cut {
                    // Text that became shorter behind the end may have moved a character of several bytes there.
                    self.text.truncate(self.text.floor_char_boundary(self.whole_end));
                    let end = self.text.trim_end_matches([';', ',', ' ']).len();
                    self.text.truncate(end);
                    self.text.push_str(if end == 0 { "..." } else { " ..." });
                }
            }
        }
        let end = self.text.trim_end_matches([';', ' ']).len();
        self.text.truncate(end);
    }

    /// Appends a text, with a space before it where one belongs, and sets the context behind it.
    pub(super) fn put(&mut self, text: &str, context: Context) {
        let is_glued = match self.context {
            Context::Start if self.text.is_empty() => true,
            Context::Open | Context::Dot | Context::SkippedOpen => true,
            Context::Label if self.text.ends_with('.') => true,
            Context::Name | Context::Word | Context::Close | Context::Partition => {
                matches!(text.as_bytes(), [b'(' | b'[' | b')' | b']' | b',' | b'.' | b';'])
            }
            _ => matches!(text.as_bytes(), [b')' | b']' | b',' | b'.' | b';']),
        };
        if !is_glued {
            self.text.push(' ');
        }
        self.text.push_str(text);
        self.context = context;
    }
}
