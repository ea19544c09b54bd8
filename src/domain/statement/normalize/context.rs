//! What the tokens before say about the next token.

/// What the normalizer wrote last, as far as the next token depends on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Context {
    /// The start of a statement.
    Start,
    /// A keyword that is no name.
    Keyword,
    /// A keyword that may be a name.
    Word,
    /// A keyword before a condition or a value.
    Expression,
    /// A keyword before a list whose length does not matter.
    List,
    /// A keyword before rows of values.
    Rows,
    /// A keyword before the rows of an INSERT.
    InsertRows,
    /// A keyword before a table, or before a function that returns one.
    Table,
    /// A keyword before the name of something, even if a parenthesis follows the name.
    NameFollows,
    /// A keyword before an alias or a type.
    Alias,
    With,
    Partition,
    /// A keyword that announces a label.
    Labelled,
    Label,
    Name,
    Literal,
    /// `(` or `[`.
    Open,
    /// `)` or `]`.
    Close,
    Comma,
    Dot,
    Operator,
    /// The parenthesis of a row that is skipped.
    SkippedOpen,
    SkippedClose,
    /// A comma behind a skipped row. It is not written.
    SkippedComma,
}

impl Context {
    /// Returns whether a value may begin here, so that a sign belongs to it.
    pub(super) fn awaits_value(self) -> bool {
        !matches!(
            self,
            Context::Name
                | Context::Word
                | Context::Literal
                | Context::Close
                | Context::Dot
                | Context::SkippedClose
        )
    }

    /// Returns whether `null` is a value here, and not part of `is null`.
    pub(super) fn is_value_next(self) -> bool {
        matches!(self, Context::Open | Context::Comma | Context::Operator | Context::Expression)
    }

    /// Returns whether a keyword that may be a name is one here.
    pub(super) fn is_name_next(self) -> bool {
        matches!(self, Context::Table | Context::NameFollows | Context::Alias)
    }
}
