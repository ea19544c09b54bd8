//! The conditions of statements that read queries.

use sqlx::{Encode, Postgres, QueryBuilder, Type};

use super::nul::without_nul;
use crate::domain::filter::{QueryFilter, Users};
use crate::domain::record::Kind;
use crate::domain::search::{CellSearch, Search};
use crate::domain::statement::Fingerprint;

/// The longest user and trace id that an index has, in bytes.
pub(super) const INDEXED_BYTES: usize = 1024;

/// A statement that reads queries. Its text has only the conditions that the filter sets, so that the plan of the server
/// fits them.
pub(super) struct Conditions {
    statement: QueryBuilder<Postgres>,
    has_any: bool,
}

impl Conditions {
    /// Begins a statement. `select` has no parameter and ends before the conditions.
    pub(super) fn new(select: &str) -> Conditions {
        Conditions { statement: QueryBuilder::new(select), has_any: false }
    }

    /// Begins a statement whose `select` has the parameter `$1`: the most characters of a statement.
    pub(super) fn with_statements(
        select: &str,
        most_chars: i32,
    ) -> Result<Conditions, sqlx::Error> {
        let mut arguments = sqlx::postgres::PgArguments::default();
        sqlx::Arguments::add(&mut arguments, most_chars).map_err(sqlx::Error::Encode)?;
        let statement = QueryBuilder::with_arguments(select, arguments);
        Ok(Conditions { statement, has_any: false })
    }

    /// Adds a condition that ends with a value.
    pub(super) fn and<'t, T>(&mut self, condition: &str, value: T) -> &mut QueryBuilder<Postgres>
    where
        T: Encode<'t, Postgres> + Type<Postgres>,
    {
        self.and_plain(condition).push_bind(value)
    }

    /// Adds a condition without a value.
    pub(super) fn and_plain(&mut self, condition: &str) -> &mut QueryBuilder<Postgres> {
        self.statement.push(if self.has_any { " AND " } else { " WHERE " });
        self.has_any = true;
        self.statement.push(condition)
    }

    /// Adds the users whose queries a filter shows to an owner.
    pub(super) fn and_users(&mut self, filter: &QueryFilter, owner: Option<&str>) {
        match filter.users(owner) {
            Users::All => {}
            Users::Nobody => {
                self.and_plain("false");
            }
            Users::One(user) => self.and_user(user),
        }
    }

    /// Adds a user.
    pub(super) fn and_user(&mut self, user: &str) {
        let user = without_nul(user);
        if user.len() <= INDEXED_BYTES {
            // Only then has the index all queries of the user.
            self.and_plain(&format!("octet_length(query.\"user\") <= {INDEXED_BYTES}"));
        }
        self.and("query.\"user\" = ", user.as_ref());
    }

    /// Adds the conditions of a filter other than times, limit, cursor and the text anywhere, and the condition of an
    /// owner.
    pub(super) fn and_filter(&mut self, filter: &QueryFilter, owner: Option<&str>) {
        self.and_users(filter, owner);
        if let Some(fingerprint) = filter.fingerprint {
            self.and("query.fingerprint = ", Fingerprint::to_signed(fingerprint));
        }
        if let Some(db) = &filter.db {
            self.and("query.db = ", without_nul(db).as_ref());
        }
        if let Some(state) = &filter.state {
            // With the collation "C", only the letters of ASCII have two cases.
            self.and("lower(query.state) = ", without_nul(state).to_ascii_lowercase());
        }
        if let Some(kind) = filter.kind {
            self.and("query.kind = ", Kind::name(kind));
        }
        if let Some(min_ms) = filter.min_ms {
            self.and("query.duration_ms >= ", min_ms);
        }
        if let Some(min_queue_ms) = filter.min_queue_ms {
            self.and("query.queue_time_ms >= ", min_queue_ms);
        }
        if let Some(cache_hit) = filter.cache_hit {
            self.and("query.cache_hit = ", cache_hit);
        }
        if let Some(search) = &filter.search {
            self.and_search(search);
        }
    }

    /// Adds the times of a filter: the queries with a start among them. Adds nothing if the filter has no times.
    pub(super) fn and_times(&mut self, filter: &QueryFilter) {
        if filter.from_ms.is_some() || filter.to_ms.is_some() {
            let (first_ms, last_ms) = filter.starts();
            self.and("query.started_ms BETWEEN ", first_ms).push(" AND ").push_bind(last_ms);
        }
    }

    /// Adds the users or the fingerprint of a filter: what an index has, by start.
    pub(super) fn and_indexed(&mut self, filter: &QueryFilter, owner: Option<&str>) {
        match filter.fingerprint {
            Some(fingerprint) => {
                self.and("query.fingerprint = ", fingerprint.to_signed());
            }
            None => self.and_users(filter, owner),
        }
    }

    /// Adds the times of a filter and the start of its page, for the queries with a start.
    pub(super) fn and_page(&mut self, filter: &QueryFilter) {
        let ((first_ms, _), (start_ms, id)) = (filter.starts(), filter.page_start());
        self.and("query.started_ms >= ", first_ms);
        self.and("(query.started_ms, query.id) < (", start_ms).push(", ").push_bind(id).push(")");
    }

    /// Adds the start of a page, for all queries: those without a start come last.
    pub(super) fn and_place_or_later(&mut self, filter: &QueryFilter) {
        let ((first_ms, _), (start_ms, id)) = (filter.starts(), filter.page_start());
        self.and("(query.started_ms >= ", first_ms)
            .push(" AND (query.started_ms, query.id) < (")
            .push_bind(start_ms)
            .push(", ")
            .push_bind(id)
            .push(")");
        match filter.page_start_without_time() {
            Some(below) => self
                .end()
                .push(" OR query.started_ms IS NULL AND query.id < ")
                .push_bind(below)
                .push(")"),
            None => self.end().push(")"),
        };
    }

    /// Adds the start of a page of queries without a start: below a row.
    pub(super) fn and_page_without_time(&mut self, below: i64) {
        self.and("query.started_ms IS NULL AND query.id < ", below);
    }

    /// Adds to the text whether a text is in one of the texts that a list writes of a query.
    pub(super) fn push_anywhere(&mut self, search: &CellSearch) {
        let text = without_nul(search.text());
        let columns = ["statement", "query_id", "\"user\"", "db", "state", "frontend"];
        for (at, column) in columns.iter().enumerate() {
            let before = if at == 0 { "(coalesce(" } else { " OR coalesce(" };
            self.statement.push(format!("{before}strpos(query.{column}, "));
            self.statement.push_bind(text.as_ref()).push(") > 0, false)");
        }
        self.statement.push(")");
    }

    /// Returns the statement for all rows, newest first, those without a start last. No index has this order.
    pub(super) fn all_newest_first(mut self) -> QueryBuilder<Postgres> {
        self.statement.push(" ORDER BY query.started_ms DESC NULLS LAST, query.id DESC");
        self.statement
    }

    /// Returns the statement for the first rows, newest first. All rows have a start, or none has: a page goes through an
    /// index in this order only.
    pub(super) fn newest_first(mut self, limit: u32) -> QueryBuilder<Postgres> {
        // A number in the text: the plan of a statement that is prepared for any limit is one for many rows.
        self.statement
            .push(format!(" ORDER BY query.started_ms DESC, query.id DESC LIMIT {limit}"));
        self.statement
    }

    /// Adds the text and the words of a search in statements. `lower` changes only the letters of ASCII: the column has the
    /// collation "C".
    fn and_search(&mut self, search: &Search) {
        for (text, is_word) in search.parts() {
            let text = without_nul(text);
            match is_word.then(|| whole_word(&text)).flatten() {
                None => {
                    self.and("strpos(lower(query.statement), ", text.as_ref()).push(") > 0");
                }
                // Finding the text is faster than the expression, which few statements need then.
                Some(expression) => {
                    self.and("CASE WHEN strpos(lower(query.statement), ", text.as_ref())
                        .push(") > 0 THEN lower(query.statement) ~ ")
                        .push_bind(expression)
                        .push(" ELSE false END");
                }
            }
        }
    }

    /// Returns the statement, to add what follows the conditions.
    pub(super) fn end(&mut self) -> &mut QueryBuilder<Postgres> {
        &mut self.statement
    }
}

/// Returns whether an index has all queries of the user of a filter, by start.
pub(super) fn is_indexed(filter: &QueryFilter, owner: Option<&str>) -> bool {
    match filter.users(owner) {
        Users::One(user) => user.len() <= INDEXED_BYTES,
        Users::All | Users::Nobody => true,
    }
}

fn continues_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Returns an expression of PostgreSQL that matches a word, in lower case, as [`Search`] does: letters of ASCII, digits and
/// underscores continue a word. None if the word begins and ends with other characters, so that it may be anywhere.
fn whole_word(word: &str) -> Option<String> {
    let begins = continues_word(word.as_bytes().first());
    let ends = continues_word(word.as_bytes().last());
    if !begins && !ends {
        return None;
    }
    let mut expression = String::from(if begins { "(?<![a-z0-9_])" } else { "" });
    for sign in word.chars() {
        // A backslash before a letter or a digit has a meaning of its own, and before any other character none.
        if sign.is_ascii() && !sign.is_ascii_alphanumeric() {
            expression.push('\\');
        }
        expression.push(sign);
    }
    expression.push_str(if ends { "(?![a-z0-9_])" } else { "" });
    Some(expression)
}
