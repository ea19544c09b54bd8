//! Writes keywords, names, labels and partitions.

use super::context::Context;
use super::normalizer::{LastWord, Normalizer};
use crate::domain::statement::keywords::{Keyword, Role, keyword};
use crate::domain::statement::tokenizer::{Token, is_word};

/// Keywords that are not the name of a table behind INTO, TABLE, DESCRIBE and the like.
const NOT_NAMES: [&str; 4] = ["blackhole", "extended", "files", "function"];

/// Keywords that are not the name of a partition behind PARTITION.
const NOT_PARTITIONS: [&str; 4] = ["column", "field", "key", "start"];

/// Clauses that begin with an expression, in which `true` is a value.
const EXPRESSION_CLAUSES: [&str; 4] = ["having", "qualify", "select", "where"];

impl<'a> Normalizer<'a, '_> {
    /// Writes a word; `keyword` is the keyword that the word is, if any.
    pub(super) fn word(&mut self, word: &'a str, keyword: Option<Keyword>) {
        let context = self.context;
        // CLEAN LABEL FROM has no label.
        let has_no_label = keyword.is_some_and(|keyword| keyword.word == "from");
        if context == Context::Label && (!has_no_label || self.text.ends_with('.')) {
            return self.label_part(word);
        }
        let Some(keyword) = keyword.filter(|_| context != Context::Dot) else {
            return self.name(word);
        };
        if keyword.is_reserved {
            match keyword.role {
                Role::Constant if context.is_value_next() => {
                    return self.put("?", Context::Literal);
                }
                Role::Clause => {
                    self.tables_depth = None;
                    self.whole_end = self.text.len();
                }
                Role::Expression | Role::Table | Role::Rows => self.whole_end = self.text.len(),
                _ => {}
            }
        } else if context.is_name_next()
            && keyword.role != Role::Between
            && !(context == Context::Alias && keyword.is_type)
            && !(context == Context::NameFollows && NOT_NAMES.contains(&keyword.word))
        {
            return self.name(word);
        } else if context == Context::Partition
            && keyword.role != Role::Between
            && !NOT_PARTITIONS.contains(&keyword.word)
        {
            return self.partition();
        }
        let start = self.text.len();
        let context_behind = self.context_behind(keyword);
        self.put(keyword.word, context_behind);
        if !keyword.is_reserved {
            self.last_word = Some(LastWord {
                start,
                context,
                text: word,
                may_be_function: false,
                is_typed: keyword.role == Role::Typed,
            });
        }
    }

    /// Returns the context behind a keyword that is about to be written.
    fn context_behind(&mut self, keyword: Keyword) -> Context {
        let context = self.context;
        match keyword.role {
            Role::Clause if EXPRESSION_CLAUSES.contains(&keyword.word) => Context::Expression,
            Role::Constant | Role::Clause if keyword.is_reserved => Context::Keyword,
            Role::Expression | Role::Value => Context::Expression,
            // SELECT DISTINCT TRUE, WHERE NOT TRUE. `not null` of a column and `is not true` stay.
            _ if ["all", "distinct", "not"].contains(&keyword.word) && context.is_value_next() => {
                Context::Expression
            }
            // ALTER TABLE … SWAP WITH of StarRocks.
            Role::With if self.text.ends_with("swap") => Context::NameFollows,
            Role::List => Context::List,
            Role::Rows if self.is_insert && self.lists.is_empty() => Context::InsertRows,
            Role::Rows => Context::Rows,
            Role::Table => {
                self.tables_depth = Some(self.depth());
                Context::Table
            }
            // SHOW TABLE STATUS, SHOW DATABASE ID: the name comes later.
            Role::Name if context == Context::Keyword && self.text.ends_with("show") => {
                Context::Keyword
            }
            // LATERAL VIEW calls a function.
            Role::Name if self.text.ends_with("lateral") => Context::Table,
            Role::Name => Context::NameFollows,
            Role::Alias => Context::Alias,
            Role::With => Context::With,
            Role::Between if context.is_name_next() || context == Context::Partition => context,
            Role::Partition if !self.is_refresh => Context::Partition,
            // Only LOAD is reserved; the others may be names of columns within a statement.
            Role::Labelled if keyword.is_reserved || context == Context::Start => Context::Labelled,
            Role::Label if matches!(context, Context::Labelled | Context::With) => Context::Label,
            Role::Describe if context == Context::Start => Context::NameFollows,
            Role::Insert if self.is_start_of_insert(keyword) => {
                self.is_insert = true;
                Context::Keyword
            }
            _ if self.is_value_of_insert(keyword) => Context::InsertRows,
            _ if keyword.is_reserved => Context::Keyword,
            _ => Context::Word,
        }
    }

    /// Returns whether rows that do not matter may follow a keyword. MERGE … WHEN NOT MATCHED THEN INSERT has
    /// expressions in its rows.
    fn is_start_of_insert(&self, keyword: Keyword) -> bool {
        self.context != Context::Expression && keyword.is_reserved || self.context == Context::Start
    }

    /// Returns whether a keyword is VALUE in place of VALUES, which some dialects allow.
    fn is_value_of_insert(&self, keyword: Keyword) -> bool {
        self.is_insert
            && keyword.word == "value"
            && self.lists.is_empty()
            && matches!(self.context, Context::Name | Context::Close)
    }

    /// Writes a word that is no keyword here.
    fn name(&mut self, word: &'a str) {
        let context = self.context;
        if context == Context::Partition {
            return self.partition();
        }
        let start = self.text.len();
        self.put(word, Context::Name);
        if word.starts_with("@@") {
            let word_start = self.text.len() - word.len();
            if let Some(variable) = self.text.get_mut(word_start..) {
                variable.make_ascii_lowercase();
            }
            return;
        }
        let is_name =
            matches!(context, Context::Dot | Context::NameFollows | Context::Alias | Context::With);
        self.last_word = Some(LastWord {
            start,
            context,
            text: word,
            may_be_function: !is_name,
            is_typed: false,
        });
    }

    /// Writes a name in backquotes, without them where it means the same without.
    pub(super) fn quoted(&mut self, name: &'a str) {
        match self.context {
            Context::Label => return self.label_part(name),
            Context::Partition => return self.partition(),
            _ => {}
        }
        let is_plain = name.bytes().all(is_word)
            && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        match keyword(name) {
            None if is_plain => self.put(name, Context::Name),
            Some(keyword)
                if !keyword.is_reserved && matches!(keyword.role, Role::Plain | Role::Typed) =>
            {
                self.word(name, Some(keyword));
                self.context = Context::Name;
            }
            _ => {
                self.put("`", Context::Name);
                self.text.push_str(name);
                self.text.push('`');
            }
        }
    }

    /// Writes a placeholder for the name of a partition.
    fn partition(&mut self) {
        self.put("?", Context::Name);
        // A second name follows.
        if self.text.ends_with("rename partition ?") {
            self.context = Context::Partition;
        }
    }

    fn label_part(&mut self, name: &str) {
        self.put(name, Context::Name);
        self.label = Some(self.text.len() - name.len());
    }

    /// Ends a part of a label. The part is the name of a database if a dot follows, and else the label, which becomes a
    /// placeholder.
    pub(super) fn end_label_part(&mut self, next: Token<'_>) {
        if let Some(start) = self.label.take()
            && next != Token::Symbol(".")
        {
            self.text.truncate(start);
            self.text.push('?');
        } else {
            self.context = Context::Label;
        }
        self.last_word = None;
    }

    /// Corrects the letter case of the last word: a word before a dot is a name, a word before a parenthesis may be a
    /// function.
    pub(super) fn decide_case(&mut self, word: &LastWord<'_>, symbol: &str) {
        let word_start = self.text.len() - word.text.len();
        match symbol {
            "." => self.text.replace_range(word_start.., word.text),
            "(" if word.may_be_function => {
                if let Some(name) = self.text.get_mut(word_start..) {
                    name.make_ascii_lowercase();
                }
            }
            _ => {}
        }
    }
}
