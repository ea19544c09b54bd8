//! The conditions of statements that read queries.

use sqlx::{Encode, Postgres, QueryBuilder, Type};

use super::nul::without_nul;
use crate::domain::filter::{Choice, ChosenText, Cursor, QueryFilter, Users};
use crate::domain::record::Kind;
use crate::domain::search::{CellSearch, Search};
use crate::domain::statement::Fingerprint;
use crate::store::query::Reader;

/// The longest user and trace id that an index has, in bytes.
pub(super) const INDEXED_BYTES: usize = 1024;

/// The tables of the load of a query, each as a query names it: a load writes into the internal catalog.
macro_rules! load_tables {
    () => {
        "(SELECT CASE WHEN query.db IS NULL OR strpos(load.table_list, '.') > 0 THEN load.table_list
            ELSE 'internal.' || query.db || '.' || replace(load.table_list, ',', ',internal.' || query.db || '.') END
        FROM load WHERE load.query_id = query.query_id)"
    };
}
pub(super) use load_tables;

/// The tables of a query or a load as `,a,b.c,`, without what a list of JSON has around each.
const TABLES: &str = concat!(
    "(',' || translate(coalesce(query.queried_tables, ",
    load_tables!(),
    "), '\"[] ', '') || ',')"
);

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

    /// Adds the users whose queries a filter shows to an owner, if that is one user or none.
    pub(super) fn and_users(&mut self, filter: &QueryFilter, owner: Option<&str>) {
        match filter.users(owner) {
            Users::All | Users::Some => {}
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

    /// Adds the user and the clusters that a reader may see. A filter has the clusters already.
    pub(super) fn and_reader(&mut self, reader: Reader<'_>) {
        if let Some(owner) = reader.owner {
            self.and_user(owner);
        }
        if let Some(clusters) = stored_clusters(reader) {
            self.and("query.cluster = ANY(", clusters).push(")");
        }
    }

    /// Adds the conditions of a filter other than times, limit, cursor and the text anywhere, and the condition of an
    /// owner.
    pub(super) fn and_filter(&mut self, filter: &QueryFilter, owner: Option<&str>) {
        self.and_users(filter, owner);
        if let Some(fingerprint) = filter.fingerprint {
            self.and("query.fingerprint = ", Fingerprint::to_signed(fingerprint));
        }
        for (text, Choice { any_of, none_of, is_unknown }) in filter.choices() {
            // One user is in the condition above.
            if text == ChosenText::User && filter.users(owner) != Users::Some {
                continue;
            }
            if *is_unknown {
                self.and_plain("(").push(unknown(text));
                if !any_of.is_empty() {
                    self.end().push(" OR ");
                    self.push_is_one_of(text, any_of);
                }
                self.end().push(")");
            } else if !any_of.is_empty() {
                self.and_plain("");
                self.push_is_one_of(text, any_of);
            }
            if !none_of.is_empty() {
                self.and_plain("NOT coalesce(");
                self.push_is_one_of(text, none_of);
                self.end().push(", false)");
            }
        }
        if let Some(is_failed) = filter.is_failed {
            self.and("query.is_failed = ", is_failed);
        }
        if let Some(has_profile) = filter.has_profile {
            let stored = "EXISTS (SELECT 1 FROM profile WHERE profile.query_id = query.query_id)";
            self.and(&format!("{stored} = "), has_profile);
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

    /// Adds to the text whether a text of a query is one of some values, which is unknown if the text is.
    fn push_is_one_of(&mut self, text: ChosenText, values: &[String]) {
        let values = values.iter().map(|value| without_nul(value).into_owned());
        let column = match text {
            ChosenText::Table => return self.push_has_table(values),
            // With the collation "C", only the letters of ASCII have two cases.
            ChosenText::State => format!("lower({})", column(text)),
            text => column(text).to_string(),
        };
        let values: Vec<String> = match text {
            ChosenText::State => values.map(|state| state.to_ascii_lowercase()).collect(),
            _ => values.collect(),
        };
        let hosts: Vec<String> = values.iter().map(|host| format!("{host}:")).collect();
        self.end().push(format!("({column} = ANY(")).push_bind(values).push(")");
        if text == ChosenText::Client {
            self.end()
                .push(" OR rtrim(query.client, '0123456789') = ANY(")
                .push_bind(hosts)
                .push(")");
        }
        self.end().push(")");
    }

    /// Adds to the text whether a query reads or a load writes one of some tables.
    fn push_has_table(&mut self, names: impl Iterator<Item = String>) {
        for (at, text) in names.flat_map(|name| ChosenText::table_in_list(&name)).enumerate() {
            let before = if at == 0 { "(" } else { " OR " };
            self.end().push(before).push(format!("strpos({TABLES}, ")).push_bind(text);
            self.end().push(") > 0");
        }
        self.end().push(")");
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

    /// Adds the place behind which a page of the filter's order begins.
    pub(super) fn and_after(&mut self, filter: &QueryFilter) {
        let column = filter.order.field();
        let behind = if filter.is_ascending { ">" } else { "<" };
        match filter.after {
            None => {}
            Some(Cursor { value: Some(value), id }) => {
                self.and_plain(&format!(
                    "(query.{column} IS NULL OR (query.{column}, query.id) {behind} ("
                ));
                self.end().push_bind(value).push(", ").push_bind(id).push("))");
            }
            Some(Cursor { value: None, id }) => {
                self.and(&format!("query.{column} IS NULL AND query.id {behind} "), id);
            }
        }
    }

    /// Returns the statement for all rows in the order of a filter, those whose value is unknown last. No index has this order.
    pub(super) fn all_sorted(mut self, filter: &QueryFilter) -> QueryBuilder<Postgres> {
        let (column, direction) =
            (filter.order.field(), if filter.is_ascending { "ASC" } else { "DESC" });
        self.statement
            .push(format!(" ORDER BY query.{column} {direction} NULLS LAST, query.id {direction}"));
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

/// Returns the column of a text.
fn column(text: ChosenText) -> &'static str {
    match text {
        ChosenText::User => "query.\"user\"",
        ChosenText::Db => "query.db",
        ChosenText::State => "query.state",
        ChosenText::Client => "query.client",
        ChosenText::Frontend => "query.frontend",
        ChosenText::WorkloadGroup => "query.workload_group",
        ChosenText::ComputeGroup => "query.compute_group",
        ChosenText::Cluster => "query.cluster",
        ChosenText::Catalog => "query.catalog",
        ChosenText::StatementType => "query.statement_type",
        ChosenText::Session => "query.session_id",
        ChosenText::Fingerprint => "query.fingerprint",
        ChosenText::Table => TABLES,
    }
}

/// Returns the condition that a text is unknown. A list of no tables says nothing, either.
fn unknown(text: ChosenText) -> String {
    match text {
        ChosenText::Table => format!("coalesce({TABLES}, ',,') = ',,'"),
        text => format!("{} IS NULL", column(text)),
    }
}

/// Returns the clusters that a reader may see, as they are stored; none for all queries.
pub(super) fn stored_clusters(reader: Reader<'_>) -> Option<Vec<String>> {
    let clusters = reader.clusters?.iter().map(|cluster| without_nul(cluster).into_owned());
    Some(clusters.collect())
}

/// Returns whether an index has all queries of the user of a filter, by start.
pub(super) fn is_indexed(filter: &QueryFilter, owner: Option<&str>) -> bool {
    match filter.users(owner) {
        Users::One(user) => user.len() <= INDEXED_BYTES,
        Users::All | Users::Nobody => true,
        Users::Some => false,
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
