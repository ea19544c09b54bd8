//! The shape of a statement: what is left of it without its values, comments, white space and letter case.

use super::compare::without_cut;
use super::escape::unwrap;
use super::keyword::{Keyword, Role, keyword};
use super::token::{Token, Tokens, is_word};

/// The version of [`shape`]. Raise it with every change after which some statement has another shape: fingerprints that
/// are stored were made by an older version then, and a migration renews them.
pub(crate) const SHAPE_VERSION: i64 = 2;

/// Returns the shape of a statement: `SELECT  a FROM t WHERE b IN (1, 2) -- x` gives `select a from t where b in (?)`.
///
/// - Literals become `?`, with their sign, and lists of them one `?`. The rows that an INSERT brings become one `(?)`.
/// - Comments and hints are no part of it.
/// - Keywords and the names of functions are in lower case. Other names keep their case, for Doris tells tables apart
///   by it: so does a word that may be a name where one stands, behind FROM, JOIN, INTO, TABLE, AS and the like, or
///   beside a dot.
/// - Labels of loads and names of partitions are `?`, for they are other ones in each run.
/// - What a frontend wraps around a statement is no part of it.
/// - A statement that was cut ends in ` ...` behind the last of its parts that is whole.
pub(crate) fn shape(statement: &str) -> String {
    let mut shape = String::with_capacity(statement.len().min(1024));
    shape_into(statement, &mut shape);
    shape
}

/// Writes the [`shape`] of a statement into a buffer, in place of what is there.
pub(crate) fn shape_into(statement: &str, shape: &mut String) {
    shape.clear();
    let statement = unwrap(statement);
    let whole = without_cut(statement);
    let text = whole.unwrap_or(statement);
    let mut tokens = Tokens::of(text);
    let mut token_end = 0;
    let mut writer = Writer::new(shape);
    writer.is_refresh = is_refresh(statement);
    while let Some(token) = tokens.next(writer.before.awaits_value(), writer.before == Before::Dot)
    {
        token_end = tokens.at;
        writer.write(token);
        if writer.before == Before::SkippedOpen {
            let closed = skip_parenthesis(&mut tokens);
            writer.put(if closed { "?)" } else { "?" }, Before::SkippedClose);
            if !closed {
                shape.push(')');
                return;
            }
        }
    }
    if token_end < text.len() {
        writer.end_of_name();
    }
    writer.end(whole.is_some());
}

/// Goes behind the parenthesis that was opened, and returns whether there is one.
fn skip_parenthesis(tokens: &mut Tokens<'_>) -> bool {
    let mut open = 1;
    while let Some(token) = tokens.next(false, false) {
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

/// Whether a text is what Doris logs for the refresh of a materialized view (`MTMVTask`), where its task and its
/// partitions are other ones each time.
fn is_refresh(text: &str) -> bool {
    const START: &str = "Asynchronous materialized view refresh task";
    text.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START))
}

/// Returns whether a text ends within quotes, a comment or parentheses, as one that was cut may.
pub(super) fn is_left_open(text: &str) -> bool {
    let mut tokens = Tokens::of(text);
    let mut open: usize = 0;
    while let Some(token) = tokens.next(false, false) {
        match token {
            Token::Symbol("(") => open += 1,
            Token::Symbol(")") => open = open.saturating_sub(1),
            _ => {}
        }
    }
    tokens.is_unclosed || open > 0
}

/// What stands before a token, as far as it matters for it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Before {
    Start,
    /// A word of the language that is no name.
    Keyword,
    /// A word of the language that may be a name.
    Word,
    /// The same, and a condition or a value follows.
    Expression,
    /// A list, whose length does not matter.
    List,
    /// Rows of values.
    Rows,
    /// Rows that an INSERT brings.
    InsertRows,
    /// A table, or a function that gives one.
    Table,
    /// The name of something, even if a parenthesis follows it.
    NameFollows,
    /// An alias or a type.
    Alias,
    With,
    Partition,
    /// A word that asks for a label.
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
    /// The parenthesis of a row that is gone over.
    SkippedOpen,
    SkippedClose,
    /// A comma behind such a row, which is not written.
    SkippedComma,
}

impl Before {
    /// Whether a value may begin here, so that a sign belongs to it.
    fn awaits_value(self) -> bool {
        !matches!(
            self,
            Before::Name
                | Before::Word
                | Before::Literal
                | Before::Close
                | Before::Dot
                | Before::SkippedClose
        )
    }

    /// Whether `null` is a value here and not part of `is null`.
    fn is_value_next(self) -> bool {
        matches!(self, Before::Open | Before::Comma | Before::Operator | Before::Expression)
    }

    /// Whether a word that may be a name is one here.
    fn is_name_next(self) -> bool {
        matches!(self, Before::Table | Before::NameFollows | Before::Alias)
    }
}

/// Words that are not taken for the name of a table behind INTO, TABLE, DESCRIBE and the like.
const NOT_NAMES: [&str; 4] = ["blackhole", "extended", "files", "function"];

/// Words that are not taken for the name of a partition behind PARTITION.
const NOT_PARTITIONS: [&str; 4] = ["column", "field", "key", "start"];

/// Clauses that begin with an expression, in which `true` is a value.
const EXPRESSION_CLAUSES: [&str; 4] = ["having", "qualify", "select", "where"];

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
    /// How many parentheses are open where the tables are listed that it stands among.
    tables_at: Option<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum ListKind {
    /// Its length matters.
    Other,
    /// An element that is like the first adds nothing to the shape.
    Values,
    /// The same, and names in it are those of partitions.
    Partitions,
    /// The same for the rows of VALUES, which no parentheses enclose.
    Rows,
}

/// The word that was written last.
struct LastWord<'a> {
    /// Where the shape ended before it.
    start: usize,
    /// What stood before it.
    before: Before,
    /// As it stands in the statement.
    text: &'a str,
    /// Whether it is a function where a parenthesis follows.
    may_be_function: bool,
    /// Whether a text behind it is one value with it.
    is_typed: bool,
}

struct Writer<'a, 's> {
    shape: &'s mut String,
    lists: Vec<List>,
    /// How many parentheses are open beyond [`MAX_DEPTH`].
    deeper: usize,
    before: Before,
    last: Option<LastWord<'a>>,
    /// Where signs begin that belong to the number behind them, and what stands before them.
    signs: Option<(usize, Before)>,
    /// Where the part of a label begins that is being written.
    label: Option<usize>,
    /// How many parentheses are open where the tables of a FROM are listed.
    tables_at: Option<usize>,
    /// Where the last whole part of the statement ends.
    whole: usize,
    /// Whether the name of a table or the like is being written.
    is_in_name: bool,
    is_insert: bool,
    is_join_hint: bool,
    /// Whether it is the text of a materialized view's refresh.
    is_refresh: bool,
}

impl<'a, 's> Writer<'a, 's> {
    fn new(shape: &'s mut String) -> Writer<'a, 's> {
        Writer {
            shape,
            lists: Vec::new(),
            deeper: 0,
            before: Before::Start,
            last: None,
            signs: None,
            label: None,
            tables_at: None,
            whole: 0,
            is_in_name: false,
            is_insert: false,
            is_join_hint: false,
            is_refresh: false,
        }
    }

    fn write(&mut self, token: Token<'a>) {
        if self.before == Before::Close && token != Token::Symbol(",") {
            self.end_of_rows();
        }
        if self.before == Before::SkippedComma && token != Token::Symbol("(") {
            self.before = Before::SkippedClose;
            self.put(",", Before::Comma);
        }
        if self.label.is_some() {
            self.label(token);
        }
        if self.before.is_name_next() {
            self.is_in_name = true;
        } else if self.is_in_name && token != Token::Symbol(".") {
            self.end_of_name();
        }
        let last = self.last.take();
        let signs = self.signs.take();
        match token {
            Token::Literal => {
                if let Some((start, before)) = signs {
                    self.shape.truncate(start);
                    self.before = before;
                } else if let Some(last) = last.filter(|last| last.is_typed) {
                    self.shape.truncate(last.start);
                    self.before = last.before;
                }
                // Texts that stand side by side are one.
                if self.before != Before::Literal {
                    self.put("?", Before::Literal);
                }
                self.whole = self.shape.len();
            }
            Token::Word(word) => self.word(word, keyword(word)),
            Token::Quoted(name) => self.quoted(name),
            Token::Symbol(symbol) => {
                if let Some(last) = &last {
                    self.decide_case(last, symbol);
                }
                let is_array = last.is_some_and(|last| {
                    last.before != Before::Dot && last.text.eq_ignore_ascii_case("array")
                });
                self.symbol(symbol, signs, is_array);
            }
        }
    }

    /// Writes the last word as the name that it is where a dot follows, as a function where a parenthesis does.
    fn decide_case(&mut self, last: &LastWord<'_>, symbol: &str) {
        let written = self.shape.len() - last.text.len();
        match symbol {
            "." => self.shape.replace_range(written.., last.text),
            "(" if last.may_be_function => {
                if let Some(name) = self.shape.get_mut(written..) {
                    name.make_ascii_lowercase();
                }
            }
            _ => {}
        }
    }

    /// Ends the name of a table or the like, if one is being written.
    fn end_of_name(&mut self) {
        if self.is_in_name && self.before == Before::Name {
            self.is_in_name = false;
            self.whole = self.shape.len();
        }
    }

    /// Goes on with a label: only what a dot follows of it is no part of its name.
    fn label(&mut self, token: Token<'_>) {
        if let Some(start) = self.label.take()
            && token != Token::Symbol(".")
        {
            self.shape.truncate(start);
            self.shape.push('?');
            self.last = None;
        } else {
            self.before = Before::Label;
            self.last = None;
        }
    }

    fn quoted(&mut self, name: &'a str) {
        match self.before {
            Before::Label => return self.label_part(name),
            Before::Partition => return self.partition(),
            _ => {}
        }
        let is_plain = name.bytes().all(is_word)
            && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        match keyword(name) {
            None if is_plain => self.put(name, Before::Name),
            Some(keyword)
                if !keyword.is_reserved && matches!(keyword.role, Role::Plain | Role::Typed) =>
            {
                self.word(name, Some(keyword));
                self.before = Before::Name;
            }
            _ => {
                self.put("`", Before::Name);
                self.shape.push_str(name);
                self.shape.push('`');
            }
        }
    }

    fn partition(&mut self) {
        self.put("?", Before::Name);
        if self.shape.ends_with("rename partition ?") {
            self.before = Before::Partition;
        }
    }

    fn label_part(&mut self, name: &str) {
        self.put(name, Before::Name);
        self.label = Some(self.shape.len() - name.len());
    }

    fn word(&mut self, word: &'a str, keyword: Option<Keyword>) {
        let before = self.before;
        // CLEAN LABEL FROM has none.
        let is_missing = keyword.is_some_and(|keyword| keyword.word == "from");
        if before == Before::Label && (!is_missing || self.shape.ends_with('.')) {
            return self.label_part(word);
        }
        let Some(keyword) = keyword.filter(|_| before != Before::Dot) else {
            return self.name(word);
        };
        if keyword.is_reserved {
            match keyword.role {
                Role::Constant if before.is_value_next() => return self.put("?", Before::Literal),
                Role::Clause => {
                    self.tables_at = None;
                    self.whole = self.shape.len();
                }
                Role::Expression | Role::Table | Role::Rows => self.whole = self.shape.len(),
                _ => {}
            }
        } else if before.is_name_next()
            && keyword.role != Role::Between
            && !(before == Before::Alias && keyword.is_type)
            && !(before == Before::NameFollows && NOT_NAMES.contains(&keyword.word))
        {
            return self.name(word);
        } else if before == Before::Partition
            && keyword.role != Role::Between
            && !NOT_PARTITIONS.contains(&keyword.word)
        {
            return self.partition();
        }
        let becomes = match keyword.role {
            Role::Clause if EXPRESSION_CLAUSES.contains(&keyword.word) => Before::Expression,
            Role::Constant | Role::Clause if keyword.is_reserved => Before::Keyword,
            Role::Expression | Role::Value => Before::Expression,
            // SELECT DISTINCT TRUE, WHERE NOT TRUE; a column that is NOT NULL and `is not true` stay.
            _ if ["all", "distinct", "not"].contains(&keyword.word) && before.is_value_next() => {
                Before::Expression
            }
            // ALTER TABLE … SWAP WITH of StarRocks.
            Role::With if self.shape.ends_with("swap") => Before::NameFollows,
            Role::List => Before::List,
            Role::Rows if self.is_insert && self.lists.is_empty() => Before::InsertRows,
            Role::Rows => Before::Rows,
            Role::Table => {
                self.tables_at = Some(self.depth());
                Before::Table
            }
            // SHOW TABLE STATUS, SHOW DATABASE ID: the name comes later.
            Role::Name if before == Before::Keyword && self.shape.ends_with("show") => {
                Before::Keyword
            }
            // LATERAL VIEW calls a function.
            Role::Name if self.shape.ends_with("lateral") => Before::Table,
            Role::Name => Before::NameFollows,
            Role::Alias => Before::Alias,
            Role::With => Before::With,
            Role::Between if before.is_name_next() || before == Before::Partition => before,
            Role::Partition if !self.is_refresh => Before::Partition,
            // The others may be names of columns elsewhere.
            Role::Labelled if keyword.is_reserved || before == Before::Start => Before::Labelled,
            Role::Label if matches!(before, Before::Labelled | Before::With) => Before::Label,
            Role::Describe if before == Before::Start => Before::NameFollows,
            // MERGE … WHEN NOT MATCHED THEN INSERT has expressions in its rows.
            Role::Insert
                if before != Before::Expression && keyword.is_reserved
                    || before == Before::Start =>
            {
                self.is_insert = true;
                Before::Keyword
            }
            // A dialect's other word for VALUES.
            _ if self.is_insert
                && keyword.word == "value"
                && self.lists.is_empty()
                && matches!(before, Before::Name | Before::Close) =>
            {
                Before::InsertRows
            }
            _ if keyword.is_reserved => Before::Keyword,
            _ => Before::Word,
        };
        let start = self.shape.len();
        self.put(keyword.word, becomes);
        if !keyword.is_reserved {
            self.last = Some(LastWord {
                start,
                before,
                text: word,
                may_be_function: false,
                is_typed: keyword.role == Role::Typed,
            });
        }
    }

    fn name(&mut self, word: &'a str) {
        let before = self.before;
        if before == Before::Partition {
            return self.partition();
        }
        let start = self.shape.len();
        self.put(word, Before::Name);
        if word.starts_with("@@") {
            let written = self.shape.len() - word.len();
            if let Some(variable) = self.shape.get_mut(written..) {
                variable.make_ascii_lowercase();
            }
            return;
        }
        let is_name =
            matches!(before, Before::Dot | Before::NameFollows | Before::Alias | Before::With);
        self.last = Some(LastWord {
            start,
            before,
            text: word,
            may_be_function: !is_name,
            is_typed: false,
        });
    }

    /// Writes a symbol; `is_array` tells whether the word `array` stands before it.
    fn symbol(&mut self, symbol: &'a str, signs: Option<(usize, Before)>, is_array: bool) {
        // Longer ones are operators.
        let sign = if let [sign] = symbol.as_bytes() { *sign } else { 0 };
        match sign {
            b'(' if matches!(self.before, Before::InsertRows | Before::SkippedComma) => {
                if self.before == Before::InsertRows {
                    self.put("(", Before::SkippedOpen);
                } else {
                    // The row before stands for this one.
                    let end = self.shape.len() - "?)".len();
                    self.shape.truncate(end);
                    self.before = Before::SkippedOpen;
                }
            }
            b'(' | b'[' => {
                let kind = match self.before {
                    _ if sign == b'[' => ListKind::Values,
                    Before::List => ListKind::Values,
                    // The same as `[1, 2]`.
                    Before::Word if is_array => ListKind::Values,
                    Before::Partition => ListKind::Partitions,
                    _ => ListKind::Other,
                };
                // JOIN [shuffle] orders
                self.is_join_hint = sign == b'[' && self.before == Before::Table;
                let rows = self.before == Before::Rows;
                self.whole = self.shape.len();
                self.put(symbol, Before::Open);
                if rows {
                    self.open(ListKind::Rows, self.shape.len() - 1);
                }
                self.open(kind, self.shape.len());
            }
            b')' | b']' => {
                if self.deeper > 0 {
                    self.deeper -= 1;
                } else {
                    self.end_of_element();
                    if let Some(list) = self.lists.pop() {
                        self.tables_at = list.tables_at;
                    }
                }
                self.put(symbol, Before::Close);
                if sign == b']' && std::mem::take(&mut self.is_join_hint) {
                    self.before = Before::Table;
                }
            }
            b',' if self.before == Before::SkippedClose => self.before = Before::SkippedComma,
            b',' => {
                if self.deeper == 0 {
                    self.end_of_element();
                }
                self.whole = self.shape.len();
                let is_table_next = self.tables_at == Some(self.depth());
                self.put(",", if is_table_next { Before::Table } else { Before::Comma });
                // The next element begins behind the space.
                let element = self.shape.len() + 1;
                if let Some(list) = self.lists.last_mut() {
                    list.element = element;
                }
            }
            b'.' => {
                let becomes =
                    if self.before == Before::Label { Before::Label } else { Before::Dot };
                self.put(".", becomes);
            }
            b';' => {
                self.whole = self.shape.len();
                self.tables_at = None;
                self.is_insert = false;
                self.put(";", Before::Start);
            }
            b'-' | b'+' if self.before.awaits_value() => {
                self.signs = Some(signs.unwrap_or((self.shape.len(), self.before)));
                self.put(symbol, Before::Operator);
            }
            _ => self.put(symbol, Before::Operator),
        }
    }

    fn depth(&self) -> usize {
        self.lists.len() + self.deeper
    }

    fn open(&mut self, kind: ListKind, element: usize) {
        if self.lists.len() < MAX_DEPTH {
            let tables_at = self.tables_at;
            self.lists.push(List { kind, element, first: None, end: element, tables_at });
        } else if kind != ListKind::Rows {
            self.deeper += 1;
        }
    }

    /// Takes an element back that is like the first of its list.
    fn end_of_element(&mut self) {
        let Some(list) = self.lists.last_mut().filter(|list| list.kind != ListKind::Other) else {
            return;
        };
        if self.is_refresh {
            // The names of partitions, without anything that says so.
            self.shape.truncate(list.element);
            self.shape.push('?');
        } else if list.kind == ListKind::Partitions
            && let Some(name) = self.shape.get(list.element..)
            // Not `day = ?`, not `*`.
            && !name.is_empty()
            && !name.contains(['=', '*', '('])
        {
            self.shape.truncate(list.element);
            self.shape.push('?');
        }
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

    /// Ends the shape; of a statement that was cut, behind its last whole part.
    fn end(mut self, is_cut: bool) {
        if self.label.is_some() {
            self.label(Token::Literal);
        }
        match self.before {
            Before::InsertRows if is_cut => return self.shape.push_str(" (?)"),
            Before::SkippedClose | Before::SkippedComma => {}
            _ => {
                self.end_of_rows();
                if let Some(end) = self.end_of_open_list() {
                    self.shape.truncate(end);
                    if self.shape.ends_with(['(', '[']) {
                        self.shape.push('?');
                    }
                    self.shape.push_str(" ...");
                } else if is_cut {
                    self.shape.truncate(self.whole);
                    let end = self.shape.trim_end_matches([';', ',', ' ']).len();
                    self.shape.truncate(end);
                    self.shape.push_str(if end == 0 { "..." } else { " ..." });
                }
            }
        }
        let end = self.shape.trim_end_matches([';', ' ']).len();
        self.shape.truncate(end);
    }

    /// Where the list of values ends, as far as it is whole, in which the statement was cut.
    fn end_of_open_list(&self) -> Option<usize> {
        let list = self.lists.iter().find(|list| {
            let is_query = |text: &str| text.starts_with("select ") || text.starts_with("with ");
            matches!(list.kind, ListKind::Values | ListKind::Partitions)
                && !self.shape.get(list.element..).is_some_and(is_query)
        })?;
        Some(list.first.map_or(list.element, |_| list.end))
    }

    /// Writes a text, with a space before it where one belongs.
    fn put(&mut self, text: &str, becomes: Before) {
        let is_glued = match self.before {
            Before::Start if self.shape.is_empty() => true,
            Before::Open | Before::Dot | Before::SkippedOpen => true,
            Before::Label if self.shape.ends_with('.') => true,
            Before::Name | Before::Word | Before::Close | Before::Partition => {
                matches!(text.as_bytes(), [b'(' | b'[' | b')' | b']' | b',' | b'.' | b';'])
            }
            _ => matches!(text.as_bytes(), [b')' | b']' | b',' | b'.' | b';']),
        };
        if !is_glued {
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
            ("insert into T (a, b) values (1,'x'), (2, 'y')", "insert into T(a, b) values (?)"),
            ("insert into T values (1, NOW()), (2, now());", "insert into T values (?)"),
            ("select * from (values (1), (2)) v limit 10", "select * from (values (?)) v limit ?"),
            ("select array_contains([1,2,3], x)", "select array_contains([?], x)"),
            ("select x'1f', DATE '2024-01-01', .5, 1.", "select ?, ?, ?, ?"),
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
        assert_ne!(shape("select a from T"), shape("select a from t"));
    }

    #[test]
    fn what_was_cut_or_is_no_sql_has_a_shape() {
        for (statement, expected) in [
            ("", ""),
            ("  -- only this", ""),
            ("select 'abc", "select ?"),
            ("select `abc", "select abc"),
            ("select a /* abc", "select a"),
            ("select a, b from t wh...", "select a, b from t ..."),
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

    /// Checks that each group of statements has one shape, and that no two groups share theirs.
    fn assert_apart(groups: &[&[&str]]) {
        let mut shapes: Vec<String> = Vec::new();
        for group in groups {
            let first = shape(group[0]);
            for statement in *group {
                assert_eq!(shape(statement), first, "{statement} | {}", group[0]);
            }
            assert!(!shapes.contains(&first), "{first}");
            shapes.push(first);
        }
    }

    #[test]
    fn the_letter_case_of_words_does_not_matter_unless_they_are_names() {
        assert_apart(&[
            &["SHOW PROCESSLIST", "show processlist"],
            &["select a from p ASOF JOIN q", "select a from p asof join q"],
            &[
                "select a from p NULL AWARE LEFT ANTI JOIN q",
                "select a from p null aware left anti join q",
            ],
            &["Show Table Status", "SHOW TABLE STATUS"],
            &["SHOW ROUTINE LOAD TASK", "show routine load task"],
            &["CREATE ROLE packer", "create role packer"],
            &["ADMIN SET FRONTEND CONFIG ('a' = '1')", "admin set frontend config ('b'='2')"],
            &["select Cast(a AS VARCHAR(10)) from p", "SELECT cast(a as varchar(20)) FROM p"],
            &["select CURRENT_DATE", "select current_date"],
            &["select @@SESSION.time_zone", "select @@session.time_zone"],
            &["select a from p where b ILIKE 'x'", "select a from p where b ilike 'y'"],
            &["select a from Events", "SELECT a FROM `Events`"],
            &["select a from events", "select a from `events`"],
            &["select Events.a from p", "select `Events`.a from p"],
            &["select events.a from p", "select events . a from p"],
            &["select a from p, Users", "select a from p , Users"],
            &["select a from p, users"],
            &["select a from p join Tasks", "select a from p JOIN `Tasks`"],
            &["select a from p join tasks"],
            &["insert into Logs (a) select 1", "INSERT INTO Logs(a) SELECT 2"],
            &["insert into logs (a) select 1"],
            &["select a from p join [shuffle] Users", "select a from p JOIN [shuffle] `Users`"],
            &[
                "select a from (select b from p) q, Users",
                "select a FROM (select b FROM p) q, `Users`",
            ],
            &["DESC Events", "desc `Events`"],
            &["desc events", "DESC events"],
            &["DESC FUNCTION s3('a'='b')", "desc function S3('a'='c')"],
            &["insert into FILES('a'='b') select 1", "INSERT INTO files('a'='c') SELECT 2"],
            &["grant SELECT_PRIV on depot.* to 'x'", "GRANT select_priv ON depot.* TO 'y'"],
            &["drop table if exists Roles", "DROP TABLE IF EXISTS Roles"],
            &["drop table if exists roles"],
            &["select a as Rank from p"],
            &["select a as `rank` from p", "select a as rank from p"],
            &["select Type, Comment from p", "select type, `comment` from p"],
            &["select * from NUMBERS('number'='5')", "select * from numbers('number'='7')"],
            &["select * from FILES('path'='a')", "select * from files('path'='b')"],
            &["with Queries as (select 1) select * from Queries"],
            &["with queries as (select 1) select * from queries"],
            &["select E.id from parcels E", "SELECT E.id FROM parcels E"],
            &["select e.id from parcels e"],
        ]);
    }

    #[test]
    fn statements_that_were_cut_end_behind_their_last_whole_part() {
        const MARK: &str = " ... /* truncated. audit_plugin_max_sql_length=64 */";
        const ROWS: &str = " ... /* total 9 rows, truncated audit_plugin_max_sql_length=64 */";
        for (cut, mark, expected) in [
            ("insert into parcels values", ROWS, "insert into parcels values (?)"),
            ("insert into parcels values (", ROWS, "insert into parcels values (?)"),
            ("insert into parcels values (1,'a", ROWS, "insert into parcels values (?)"),
            ("insert into parcels values (1,'a'),", ROWS, "insert into parcels values (?)"),
            ("insert into parcels values (1,'a'),(f(2", ROWS, "insert into parcels values (?)"),
            ("select a from p where b in (1, 2, 34", MARK, "select a from p where b in (? ..."),
            ("select a from p where b in (1,", MARK, "select a from p where b in (? ..."),
            ("select a from p where b in (", MARK, "select a from p where b in (? ..."),
            ("select a from p where b in ('x','y", MARK, "select a from p where b in (? ..."),
            (
                "select a from p where b = 1 and c = 'x",
                MARK,
                "select a from p where b = ? and c = ? ...",
            ),
            ("select a from p where b = 1 and c", MARK, "select a from p where b = ? ..."),
            ("select a from p where b = 1 an", MARK, "select a from p where b = ? ..."),
            ("select a from p where b = 12", MARK, "select a from p where b = ? ..."),
            ("select a from p where b = 1 and ", MARK, "select a from p where b = ? ..."),
            ("select a, b, c", MARK, "select a, b ..."),
            ("select a from parcels /* its", MARK, "select a from parcels ..."),
            ("sel", MARK, "..."),
            ("select a from p whe", "...", "select a from p ..."),
            // Without a mark only an open list tells.
            ("select a from p where b in (1, 2", "", "select a from p where b in (? ..."),
        ] {
            assert_eq!(shape(&format!("{cut}{mark}")), expected, "{cut}");
        }
        assert_ne!(shape("select a from p wh..."), shape("select a from q wh..."));
    }

    #[test]
    fn labels_and_partitions_do_not_matter() {
        for (statement, expected) in [
            (
                "LOAD LABEL depot.l1 (DATA INFILE('a', 'b') INTO TABLE p) WITH BROKER x ('k' = 'v')",
                "load label depot.?(data infile (?) into table p) with broker x(? = ?)",
            ),
            ("load label `depot` . `l1` (x)", "load label depot.?(x)"),
            ("CLEAN LABEL l1 FROM depot", "clean label ? from depot"),
            ("clean label l2 from `depot`", "clean label ? from depot"),
            ("CLEAN LABEL FROM depot", "clean label from depot"),
            (
                "select clean, restore-1, Clean(2) from p",
                "select clean, restore - ?, clean(?) from p",
            ),
            ("load label l1 (x)", "load label ?(x)"),
            ("insert into p WITH LABEL `l1` select 1", "insert into p with label ? select ?"),
            (
                "insert into p (a) with label l1 values (1)",
                "insert into p(a) with label ? values (?)",
            ),
            ("alter table p rename partition p1 p2", "alter table p rename partition ? ?"),
            ("select label from p order by label desc", "select label from p order by label desc"),
            ("BACKUP SNAPSHOT depot.s1 TO r ON (p)", "backup snapshot depot.? to r on (p)"),
            ("select * from p PARTITION (p1, `p2`) q", "select * from p partition(?) q"),
            ("select * from p partition p1 where a", "select * from p partition ? where a"),
            (
                "insert overwrite table p partition(*) select 1",
                "insert overwrite table p partition(*) select ?",
            ),
            (
                "insert into p partition (day='1', h) select 1",
                "insert into p partition(day = ?, ?) select ?",
            ),
            (
                "alter table p drop partition if exists p1 force",
                "alter table p drop partition if exists ? force",
            ),
            (
                "alter table p ADD TEMPORARY PARTITION tp1 VALUES [('1'),('2'))",
                "alter table p add temporary partition ? values [(?))",
            ),
            (
                "alter table p add partition p1 values less than ('1')",
                "alter table p add partition ? values less than(?)",
            ),
            (
                "alter table p replace partition (p1) with temporary partition (tp1, tp2)",
                "alter table p replace partition(?) with temporary partition(?)",
            ),
            (
                "refresh materialized view v partition start ('1') end ('2')",
                "refresh materialized view v partition start(?) end(?)",
            ),
            (
                "select sum(a) over (partition by b, c) from p",
                "select sum(a) over (partition by b, c) from p",
            ),
            ("show partitions from p", "show partitions from p"),
            (
                "delete from p partitions (p1,p2) where a = 1",
                "delete from p partitions(?) where a = ?",
            ),
            ("truncate table p partition(p1)", "truncate table p partition(?)"),
            ("select * from p tablet(1, 2)", "select * from p tablet (?)"),
        ] {
            assert_eq!(shape(statement), expected, "{statement}");
        }
    }

    #[test]
    fn tasks_and_wrapped_texts_have_the_shape_of_what_they_do() {
        const TASK: &str = "Asynchronous materialized view refresh task";
        assert_apart(&[
            &[
                &format!(
                    "{TASK}, taskId: 17, partitions refreshed by this insert overwrite: [p_1]"
                ),
                &format!(
                    "{TASK}, taskId: 18, partitions refreshed by this insert overwrite: [p_1, p_2]"
                ),
            ],
            &[
                &format!(
                    "{TASK}, mvName: internal.depot.v,taskId: 1, refreshMode: PARTIAL, partitions: [p_1]"
                ),
                &format!(
                    "{TASK}, mvName: internal.depot.v,taskId: 2, refreshMode: PARTIAL, partitions: [p_2, p_3]"
                ),
            ],
            &[&format!(
                "{TASK}, mvName: internal.depot.w,taskId: 1, refreshMode: PARTIAL, partitions: [p_1]"
            )],
            &[
                "OriginStatement{originStmt='insert into p values ('a', 1)', idx=0}",
                "insert into p values ('it''s', 2)",
                "OriginStatement{originStmt='insert into p values ('a', 1 ... /* total 3 rows, truncated. x=9 */",
            ],
        ]);
    }

    #[test]
    fn the_way_a_value_is_written_does_not_matter() {
        assert_apart(&[
            &[
                "select * from p where a = 1",
                "select * from p where a = -1",
                "select * from p where a = - /* x */ 1",
                "select * from p where a = + - 1",
                "select * from p where a = 0xfF",
                "select * from p where a = 0b01",
                "select * from p where a = 12L",
                "select * from p where a = 1.5e3",
                "select * from p where a = x'2a'",
                "select * from p where a = r'\\'",
                "select * from p where a = _utf8mb4'x'",
                "select * from p where a = 'a' \"b\"",
                "select * from p where a = DATE '2026-01-01'",
                "select * from p where a = timestamp\n'2026-01-01 00:00:00'",
                "select * from p where a = true",
            ],
            &["select * from p where a = -b"],
            &["select * from p where a = +b"],
            &["select date - 1 from p", "select date - 2 from p"],
            &["select date + 1 from p"],
            &["select case when a then 1 end - 1", "select case when a then null end - 2"],
            &["select case when a then 1 end + 1"],
            &[
                "select a + interval 1 day", "select a + INTERVAL -1 DAY",
                "select a + interval '1' day",
            ],
            &["select * from p where a is null"],
            &["select * from p where a is not true"],
            &["SELECT TRUE", "select false", "select null", "select 1"],
            &["select distinct true", "SELECT DISTINCT 'x'"],
            &["select a from p where true", "select a from p where 1"],
            &["select a from p where not true", "select a from p where NOT FALSE"],
            &["select a from p group by a having true", "select a from p group by a having false"],
            &[
                "create table p (a boolean default true)",
                "create table p (a boolean default false)",
            ],
            &["create table p (a boolean not null)"],
            &["create table p (a boolean null)"],
            &["select array(1, 2, 3)", "SELECT ARRAY(4)"],
            &["select array_size(1, 2, 3)"],
            &["select map(1, 2, 3, 4)"],
            &["select p.array(1, 2, 3)"],
            &["select a from p limit 10", "select a from p limit 20"],
            &[
                "insert into p values (1, default), (now(), 2)",
                "insert into p values (a)",
                "insert into p values\n(?)",
            ],
            &["insert into q values (1)"],
            &["replace into q values (1, 2)", "REPLACE INTO q VALUES (3, now()), (4, 5)"],
            &["insert into q value (1, 2)", "insert into q value (3, now()), (4, 5)"],
            &["select replace(a, 'b', 'c') from p where (d) in (values (1), (2))"],
            &["create table p (a int default -1)", "create table p (a int default '2')"],
            &["insert into p select 1"],
            &["merge into p using q on a = b when not matched then insert (a) values (q.a)"],
            &["merge into p using q on a = b when not matched then insert (a) values (q.b)"],
        ]);
    }

    #[test]
    fn what_is_in_comments_does_not_matter() {
        assert_apart(&[
            &[
                "select a from p where b = 1",
                "/* run 17 /* by */ 'x */ select a from p where b = 1",
                "select a -- it's\r from p # x\nwhere b = 1",
                "select a -- it's\\r from p # x\\nwhere b = 1",
                "select /*+ SET_VAR(x=1) */ a from p where b = 1",
                "select /*!40001 SQL_NO_CACHE */ a from p where b = 1",
                "-- {\"app\": \"x\", \"run\": \"7\"}\nselect a from p where b = 1;",
                // StarRocks does not nest comments.
                "select a /* /* */ from p where b = 1",
            ],
            &["select a from p where b = '-- x' and c"],
        ]);
    }

    /// Pieces of statements, whole and broken.
    fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
        let piece = prop::sample::select(vec![
            "select", "in", "values", "(", ")", "[", "]", ",", ".", ";", "a", "T", "1", "-1",
            "'x'", "\"", "`", "`b`", "null", "is", "=", "-", "f(", "/*", "*/", "?", "中", "\\",
        ]);
        prop::collection::vec(piece, 0..40)
    }

    /// Parts of statements, none of which reaches into the next one.
    fn whole_pieces() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "select", "from", "where", "in", "(", ")", ",", "=", "p", "q.r", "1", "and", "case",
            "when", "then", "insert", "into", "values", "order", "by", "limit", "is", "not",
            "between", "show", "partition", ";", "join", "on", "as", "union", "with", "set", "[",
            "]", "update",
        ])
    }

    /// Values as clients write them.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{1,5}",
            "[0-9]{0,3}\\.[0-9]{1,3}([eE][+-]?[0-9]{1,2})?",
            "0x[0-9a-fA-F]{1,8}",
            "'([a-z (,\\-#/*;`\"]|''|\\\\')*'",
            "\"([a-z (,\\-#/*;`']|\"\")*\"",
        ]
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
        fn letter_case_and_values_never_matter(
            pieces in prop::collection::vec((whole_pieces(), any::<bool>(), value()), 0..40),
        ) {
            let statement = |is_other: bool| {
                let pieces = pieces.iter().map(|(piece, is_upper, value)| match *piece {
                    "1" if is_other => value.clone(),
                    name @ ("p" | "q.r") => name.to_string(),
                    word if is_other && *is_upper => word.to_uppercase(),
                    word => word.to_string(),
                });
                pieces.collect::<Vec<_>>().join(" ")
            };
            prop_assert_eq!(shape(&statement(true)), shape(&statement(false)));
        }

        #[test]
        fn pieces_of_statements_have_a_shape(pieces in pieces()) {
            shape(&pieces.concat());
        }
    }
}
