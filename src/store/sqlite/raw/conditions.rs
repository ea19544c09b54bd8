//! The conditions of statements that read queries.

use rusqlite::Statement;
use rusqlite::types::Value;

use crate::domain::filter::{Choice, ChosenText, QueryFilter, QueryOrder};
use crate::domain::record::Kind;

/// The tables of the load of a query, each as a query names it: a load writes into the internal catalog.
macro_rules! load_tables {
    () => {
        "(SELECT CASE WHEN query.db IS NULL OR instr(table_list, '.') > 0 THEN table_list
            ELSE 'internal.' || query.db || '.' || replace(table_list, ',', ',internal.' || query.db || '.') END
        FROM load WHERE load.query = query.id)"
    };
}
pub(super) use load_tables;

/// The tables of a query or a load as `,a,b.c,`, without what a list of JSON has around each.
const TABLES: &str = concat!(
    "(',' || replace(replace(replace(replace(ifnull(queried_tables, ",
    load_tables!(),
    "), '\"', ''), '[', ''), ']', ''), ' ', '') || ',')"
);

/// Returns the column of a text. The sign keeps SQLite from an index.
fn column(text: ChosenText) -> &'static str {
    match text {
        ChosenText::User => "+user",
        ChosenText::Db => "db",
        ChosenText::State => "state COLLATE NOCASE",
        ChosenText::Client => "client",
        ChosenText::Frontend => "frontend",
        ChosenText::WorkloadGroup => "workload_group",
        ChosenText::ComputeGroup => "compute_group",
        ChosenText::Cluster => "cluster",
        ChosenText::Catalog => "catalog",
        ChosenText::StatementType => "statement_type",
        ChosenText::Session => "session_id",
        ChosenText::Fingerprint => "+query.fingerprint",
        ChosenText::Table => TABLES,
    }
}

/// Returns the condition that a text is unknown. A list of no tables says nothing, either.
fn unknown(text: ChosenText) -> String {
    match text {
        ChosenText::Table => format!("ifnull({TABLES}, ',,') = ',,'"),
        text => format!("{} IS NULL", column(text)),
    }
}

/// The conditions of a statement that reads queries, with the values of its parameters. The text has only the conditions
/// that the filter sets: SQLite uses no index for `?1 IS NULL OR user = ?1`, and checks it for each row.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Returns no conditions. The first parameters are the statement's own, and have these values.
    pub(super) fn new(own: Vec<Value>) -> Conditions {
        Conditions { sql: String::new(), values: own }
    }

    /// Returns the text of the conditions.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// Binds the values of all parameters. A statement keeps them from one run to the next.
    pub(super) fn bind(&self, statement: &mut Statement<'_>) -> Result<(), rusqlite::Error> {
        for (parameter, value) in (1..).zip(&self.values) {
            statement.raw_bind_parameter(parameter, value)?;
        }
        Ok(())
    }

    /// Adds a condition; each `?` in it is this value.
    pub(super) fn and(mut self, condition: &str, value: impl Into<Value>) -> Conditions {
        let parameter = self.parameter(value);
        self.and_plain(&condition.replace('?', &parameter))
    }

    pub(super) fn and_if<T: Into<Value>>(self, condition: &str, value: Option<T>) -> Conditions {
        match value {
            Some(value) => self.and(condition, value),
            None => self,
        }
    }

    /// Adds a condition whose parameters have their numbers.
    pub(super) fn and_plain(mut self, condition: &str) -> Conditions {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        self.sql.push_str(condition);
        self
    }

    /// Returns the parameter that has this value.
    fn parameter(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    fn parameters(&mut self, values: impl Iterator<Item = String>) -> String {
        values.map(|value| self.parameter(value)).collect::<Vec<_>>().join(", ")
    }

    /// Adds the conditions of a filter other than times, fingerprint, search and cursor, and the condition of an owner. The
    /// signs before columns keep SQLite from an index: the statement has its rows.
    pub(super) fn and_filter(self, filter: &QueryFilter, owner: Option<&str>) -> Conditions {
        let truth = |truth: Option<bool>| truth.map(i64::from);
        let mut all = self
            .and_if("+user = ?", owner.map(str::to_string))
            .and_if("kind = ?", filter.kind.map(|kind| Kind::name(kind).to_string()))
            .and_if("duration_ms >= ?", filter.min_ms)
            .and_if("queue_time_ms >= ?", filter.min_queue_ms)
            .and_if("cache_hit = ?", truth(filter.cache_hit))
            .and_if("is_failed = ?", truth(filter.is_failed))
            .and_if(
                "EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id) = ?",
                truth(filter.has_profile),
            );
        for (text, Choice { any_of, none_of, is_unknown }) in filter.choices() {
            let one_of = (!any_of.is_empty()).then(|| all.is_one_of(text, any_of));
            let chosen: Vec<String> =
                one_of.into_iter().chain(is_unknown.then(|| unknown(text))).collect();
            if !chosen.is_empty() {
                all = all.and_plain(&format!("({})", chosen.join(" OR ")));
            }
            if !none_of.is_empty() {
                let condition = all.is_one_of(text, none_of);
                all = all.and_plain(&format!("NOT ifnull({condition}, 0)"));
            }
        }
        all
    }

    /// Returns the condition that a text is one of some values, which is unknown if the text is.
    fn is_one_of(&mut self, text: ChosenText, values: &[String]) -> String {
        let column = match text {
            ChosenText::Client => return self.is_client(values),
            ChosenText::Table => return self.has_table(values),
            text => column(text),
        };
        format!("({column} IN ({}))", self.parameters(values.iter().cloned()))
    }

    /// Returns the condition that the client has one of some hosts, or is one of them with its port.
    fn is_client(&mut self, values: &[String]) -> String {
        let whole = self.parameters(values.iter().cloned());
        let hosts = self.parameters(values.iter().map(|host| format!("{host}:")));
        format!("(client IN ({whole}) OR rtrim(client, '0123456789') IN ({hosts}))")
    }

    fn has_table(&mut self, names: &[String]) -> String {
        let texts = names.iter().flat_map(|name| ChosenText::table_in_list(name));
        let each: Vec<String> =
            texts.map(|text| format!("instr({TABLES}, {}) > 0", self.parameter(text))).collect();
        format!("({})", each.join(" OR "))
    }

    /// Adds the times of a filter and the start of its page, for the queries with a start.
    pub(super) fn and_page(mut self, filter: &QueryFilter) -> Conditions {
        let ((first_ms, _), (start_ms, id)) = (filter.starts(), filter.page_start());
        let [first, start, id] = [first_ms, start_ms, id].map(|value| self.parameter(value));
        self.and_plain(&format!("started_ms BETWEEN {first} AND {start}"))
            .and_plain(&format!("(started_ms < {start} OR id < {id})"))
    }

    /// Returns the statement for the first rows, newest first. `select` ends before the conditions. SQLite sorts unknown
    /// values behind all others.
    pub(super) fn newest_first(mut self, select: &str, limit: u32) -> (String, Vec<Value>) {
        let (column, limit) = (QueryOrder::Start.field(), self.parameter(limit));
        let sql =
            format!("{select}WHERE {} ORDER BY {column} DESC, id DESC LIMIT {limit}", self.sql);
        (sql, self.values)
    }

    /// Returns the statement for all rows in the order of a filter.
    pub(super) fn all_sorted(self, select: &str, filter: &QueryFilter) -> (String, Vec<Value>) {
        let column = filter.order.field();
        let order = match filter.is_ascending {
            false => format!("{column} DESC, id DESC"),
            true => format!("{column} ASC NULLS LAST, id ASC"),
        };
        (format!("{select}WHERE {} ORDER BY {order}", self.sql), self.values)
    }
}
