//! What a query record is: one statement or load that a cluster ran, as far as annals was told of it.
//!
//! A record is told of more than once: by its audit line, by its slow-query line, by its profile, by
//! the same log imported again. [`QueryRecord::merge`] makes one record of all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The name of a query: an opaque token. Doris writes two hex numbers
/// (`fbb2582c72884d29-9dd9de3b42b740e9`), StarRocks a UUID, load jobs a decimal number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryId(String);

/// Why a text is not a query id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum QueryIdError {
    /// Nothing, or what Doris writes for nothing.
    #[error("the query id is missing")]
    Missing,
    /// Longer than [`QueryId::MAX_CHARS`].
    #[error("the query id is longer than {max} characters", max = QueryId::MAX_CHARS)]
    TooLong,
    /// It holds white space or a control character.
    #[error("the query id holds white space or a control character")]
    NotAToken,
}

impl QueryId {
    /// The longest id annals takes, in characters; Doris' own have at most 33.
    pub const MAX_CHARS: usize = 128;

    /// An id for a record whose cluster gave it none. The same parts always give the same id, in every
    /// version of annals: 128 bits of XXH3 over the parts, in the shape of Doris' ids.
    pub fn derived(parts: &[&str]) -> QueryId {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        for part in parts {
            hash.update(part.as_bytes());
            // A byte that no UTF-8 text has, so that the parts can't run into each other.
            hash.update(&[0xff]);
        }
        let hash = hash.digest128();
        QueryId(format!("{:x}-{:x}", (hash >> 64) as u64, hash as u64))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for QueryId {
    type Err = QueryIdError;

    fn from_str(text: &str) -> Result<QueryId, QueryIdError> {
        let text = text.trim();
        match text.len() {
            0 => Err(QueryIdError::Missing),
            _ if ["null", "N/A"].contains(&text) => Err(QueryIdError::Missing),
            _ if text.chars().nth(QueryId::MAX_CHARS).is_some() => Err(QueryIdError::TooLong),
            _ if text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                Err(QueryIdError::NotAToken)
            }
            _ => Ok(QueryId(text.to_string())),
        }
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What Doris calls the task type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A statement.
    Query,
    /// A load job, a stream load, or a statement whose profile calls it a load.
    Load,
}

impl Kind {
    /// The name the store keeps.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Query => "query",
            Kind::Load => "load",
        }
    }

    /// The kind of a stored name.
    pub fn of_name(name: &str) -> Kind {
        if name.eq_ignore_ascii_case("load") { Kind::Load } else { Kind::Query }
    }
}

/// Who told of a record; the later of these is believed where two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The summary of a profile: times to the second, durations rounded.
    Summary,
    /// An audit record: everything, to the millisecond.
    Audit,
}

impl Origin {
    /// The name the store keeps.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Summary => "summary",
            Origin::Audit => "audit",
        }
    }

    /// The origin of a stored name.
    pub fn of_name(name: &str) -> Origin {
        if name == "audit" { Origin::Audit } else { Origin::Summary }
    }
}

/// Everything known of one statement or load. `None` is what nobody said. The fields are those of
/// Doris' audit log, sizes in bytes, times in Unix milliseconds (UTC).
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the names are the documentation; the migrations comment the columns
pub struct QueryRecord {
    pub query_id: QueryId,
    pub kind: Kind,
    pub origin: Origin,
    pub state: Option<String>,
    pub started_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    pub duration_ms: Option<i64>,
    pub user: Option<String>,
    pub client: Option<String>,
    pub catalog: Option<String>,
    pub db: Option<String>,
    pub statement: Option<String>,
    pub statement_type: Option<String>,
    pub command_type: Option<String>,
    pub statement_id: Option<i64>,
    pub session_id: Option<String>,
    pub trace_id: Option<String>,
    pub is_query: Option<bool>,
    pub is_nereids: Option<bool>,
    pub is_internal: Option<bool>,
    pub is_slow: bool,
    pub error_code: Option<i64>,
    pub error_message: Option<String>,
    pub scan_rows: Option<i64>,
    pub scan_bytes: Option<i64>,
    pub local_scan_bytes: Option<i64>,
    pub remote_scan_bytes: Option<i64>,
    pub return_rows: Option<i64>,
    pub shuffle_send_rows: Option<i64>,
    pub shuffle_send_bytes: Option<i64>,
    pub spill_write_bytes: Option<i64>,
    pub peak_memory_bytes: Option<i64>,
    pub cpu_time_ms: Option<i64>,
    pub frontend: Option<String>,
    pub workload_group: Option<String>,
    pub compute_group: Option<String>,
    pub queried_tables: Option<String>,
    pub sql_hash: Option<String>,
    pub sql_digest: Option<String>,
    pub fuzzy_variables: Option<String>,
    /// Keys annals has no field for, with their values as they came.
    pub extra: BTreeMap<String, String>,
    /// What only loads have.
    pub load: Option<Box<Load>>,
}

/// What only a load has: the fields of `[load]` and `[stream_load]` audit records.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Load {
    pub job_id: Option<String>,
    pub label: Option<String>,
    pub load_type: Option<String>,
    pub table_list: Option<String>,
    pub file_path_list: Option<String>,
    pub broker_user: Option<String>,
    pub file_number: Option<i64>,
    pub message: Option<String>,
    pub url: Option<String>,
    pub total_rows: Option<i64>,
    pub loaded_rows: Option<i64>,
    pub filtered_rows: Option<i64>,
    pub unselected_rows: Option<i64>,
    pub load_bytes: Option<i64>,
}

impl QueryRecord {
    /// A record of which only this is known.
    pub fn new(query_id: QueryId, kind: Kind, origin: Origin) -> QueryRecord {
        QueryRecord {
            query_id,
            kind,
            origin,
            state: None,
            started_ms: None,
            ended_ms: None,
            duration_ms: None,
            user: None,
            client: None,
            catalog: None,
            db: None,
            statement: None,
            statement_type: None,
            command_type: None,
            statement_id: None,
            session_id: None,
            trace_id: None,
            is_query: None,
            is_nereids: None,
            is_internal: None,
            is_slow: false,
            error_code: None,
            error_message: None,
            scan_rows: None,
            scan_bytes: None,
            local_scan_bytes: None,
            remote_scan_bytes: None,
            return_rows: None,
            shuffle_send_rows: None,
            shuffle_send_bytes: None,
            spill_write_bytes: None,
            peak_memory_bytes: None,
            cpu_time_ms: None,
            frontend: None,
            workload_group: None,
            compute_group: None,
            queried_tables: None,
            sql_hash: None,
            sql_digest: None,
            fuzzy_variables: None,
            extra: BTreeMap::new(),
            load: None,
        }
    }

    /// Whether the statement was still running when this was told.
    pub fn is_running(&self) -> bool {
        self.state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("RUNNING"))
    }

    /// Takes in what `other` tells of the same query.
    ///
    /// A known value is never lost to an unknown one. Where both know a value, a finished record is
    /// believed over a running one, then an audit record over a summary, then whoever came first; a
    /// statement that was cut gives way to the whole one whoever tells it. Taking in the same again
    /// changes nothing.
    pub fn merge(&mut self, other: QueryRecord) {
        let believe = (!other.is_running(), other.origin) > (!self.is_running(), self.origin);
        // Every field by name, so that a new one cannot be forgotten here.
        let QueryRecord {
            query_id: _,
            kind,
            origin,
            state,
            started_ms,
            ended_ms,
            duration_ms,
            user,
            client,
            catalog,
            db,
            statement,
            statement_type,
            command_type,
            statement_id,
            session_id,
            trace_id,
            is_query,
            is_nereids,
            is_internal,
            is_slow,
            error_code,
            error_message,
            scan_rows,
            scan_bytes,
            local_scan_bytes,
            remote_scan_bytes,
            return_rows,
            shuffle_send_rows,
            shuffle_send_bytes,
            spill_write_bytes,
            peak_memory_bytes,
            cpu_time_ms,
            frontend,
            workload_group,
            compute_group,
            queried_tables,
            sql_hash,
            sql_digest,
            fuzzy_variables,
            extra,
            load,
        } = other;
        if kind == Kind::Load {
            self.kind = Kind::Load;
        }
        self.origin = self.origin.max(origin);
        self.is_slow |= is_slow;
        merge_statement(&mut self.statement, statement, believe);
        merge_value(&mut self.state, state, believe);
        merge_value(&mut self.started_ms, started_ms, believe);
        merge_value(&mut self.ended_ms, ended_ms, believe);
        merge_value(&mut self.duration_ms, duration_ms, believe);
        merge_value(&mut self.user, user, believe);
        merge_value(&mut self.client, client, believe);
        merge_value(&mut self.catalog, catalog, believe);
        merge_value(&mut self.db, db, believe);
        merge_value(&mut self.statement_type, statement_type, believe);
        merge_value(&mut self.command_type, command_type, believe);
        merge_value(&mut self.statement_id, statement_id, believe);
        merge_value(&mut self.session_id, session_id, believe);
        merge_value(&mut self.trace_id, trace_id, believe);
        merge_value(&mut self.is_query, is_query, believe);
        merge_value(&mut self.is_nereids, is_nereids, believe);
        merge_value(&mut self.is_internal, is_internal, believe);
        merge_value(&mut self.error_code, error_code, believe);
        merge_value(&mut self.error_message, error_message, believe);
        merge_value(&mut self.scan_rows, scan_rows, believe);
        merge_value(&mut self.scan_bytes, scan_bytes, believe);
        merge_value(&mut self.local_scan_bytes, local_scan_bytes, believe);
        merge_value(&mut self.remote_scan_bytes, remote_scan_bytes, believe);
        merge_value(&mut self.return_rows, return_rows, believe);
        merge_value(&mut self.shuffle_send_rows, shuffle_send_rows, believe);
        merge_value(&mut self.shuffle_send_bytes, shuffle_send_bytes, believe);
        merge_value(&mut self.spill_write_bytes, spill_write_bytes, believe);
        merge_value(&mut self.peak_memory_bytes, peak_memory_bytes, believe);
        merge_value(&mut self.cpu_time_ms, cpu_time_ms, believe);
        merge_value(&mut self.frontend, frontend, believe);
        merge_value(&mut self.workload_group, workload_group, believe);
        merge_value(&mut self.compute_group, compute_group, believe);
        merge_value(&mut self.queried_tables, queried_tables, believe);
        merge_value(&mut self.sql_hash, sql_hash, believe);
        merge_value(&mut self.sql_digest, sql_digest, believe);
        merge_value(&mut self.fuzzy_variables, fuzzy_variables, believe);
        for (key, value) in extra {
            if believe || !self.extra.contains_key(&key) {
                self.extra.insert(key, value);
            }
        }
        match (&mut self.load, load) {
            (Some(mine), Some(theirs)) => mine.merge(*theirs, believe),
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
    }
}

impl Load {
    fn merge(&mut self, other: Load, believe: bool) {
        let Load {
            job_id,
            label,
            load_type,
            table_list,
            file_path_list,
            broker_user,
            file_number,
            message,
            url,
            total_rows,
            loaded_rows,
            filtered_rows,
            unselected_rows,
            load_bytes,
        } = other;
        merge_value(&mut self.job_id, job_id, believe);
        merge_value(&mut self.label, label, believe);
        merge_value(&mut self.load_type, load_type, believe);
        merge_value(&mut self.table_list, table_list, believe);
        merge_value(&mut self.file_path_list, file_path_list, believe);
        merge_value(&mut self.broker_user, broker_user, believe);
        merge_value(&mut self.file_number, file_number, believe);
        merge_value(&mut self.message, message, believe);
        merge_value(&mut self.url, url, believe);
        merge_value(&mut self.total_rows, total_rows, believe);
        merge_value(&mut self.loaded_rows, loaded_rows, believe);
        merge_value(&mut self.filtered_rows, filtered_rows, believe);
        merge_value(&mut self.unselected_rows, unselected_rows, believe);
        merge_value(&mut self.load_bytes, load_bytes, believe);
    }
}

fn merge_value<T>(mine: &mut Option<T>, theirs: Option<T>, believe: bool) {
    if theirs.is_some() && (believe || mine.is_none()) {
        *mine = theirs;
    }
}

fn merge_statement(mine: &mut Option<String>, theirs: Option<String>, believe: bool) {
    match (mine.as_deref(), theirs.as_deref()) {
        (Some(mine), Some(theirs)) if is_cut_of(theirs, mine) => {}
        (Some(whole), Some(longer)) if is_cut_of(whole, longer) => *mine = theirs,
        _ => merge_value(mine, theirs, believe),
    }
}

/// Whether `text` is the longer `whole` cut short: by a record that broke off, by `...`, or as newer
/// frontends write it, `... /* truncated. audit_plugin_max_sql_length=4096 */`.
fn is_cut_of(text: &str, whole: &str) -> bool {
    let start = match text.rfind("...") {
        Some(dots) if text[dots + 3..].is_empty() => &text[..dots],
        Some(dots) if text[dots + 3..].trim_start().starts_with("/* truncated") => &text[..dots],
        _ => text,
    };
    whole.len() > text.len() && whole.starts_with(start.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(origin: Origin, state: &str) -> QueryRecord {
        let mut record = QueryRecord::new("1a-2b".parse().unwrap(), Kind::Query, origin);
        record.state = Some(state.to_string());
        record
    }

    fn merged(records: &[&QueryRecord]) -> QueryRecord {
        let mut all = records[0].clone();
        for record in &records[1..] {
            all.merge((*record).clone());
        }
        all
    }

    #[test]
    fn ids_are_tokens_of_bounded_length() {
        assert_eq!(" 1a-2b ".parse::<QueryId>().unwrap().as_str(), "1a-2b");
        assert_eq!("".parse::<QueryId>(), Err(QueryIdError::Missing));
        assert_eq!("null".parse::<QueryId>(), Err(QueryIdError::Missing));
        assert_eq!("a b".parse::<QueryId>(), Err(QueryIdError::NotAToken));
        assert_eq!("a\0b".parse::<QueryId>(), Err(QueryIdError::NotAToken));
        assert!("é".repeat(128).parse::<QueryId>().is_ok());
        assert_eq!("x".repeat(129).parse::<QueryId>(), Err(QueryIdError::TooLong));
    }

    #[test]
    fn derived_ids_are_the_same_in_every_version() {
        let id = QueryId::derived(&["stream_load", "db1", "label"]);
        assert_eq!(id.as_str(), "dde2ed46c07bc173-a419b01c8a6964a8");
        assert_ne!(id, QueryId::derived(&["stream_load", "db", "1label"]));
    }

    #[test]
    fn an_audit_record_and_a_summary_give_the_same_in_either_order() {
        let mut summary = record(Origin::Summary, "EOF");
        summary.started_ms = Some(1_000);
        summary.duration_ms = Some(3_600_000);
        summary.catalog = Some("internal".into());
        let mut audit = record(Origin::Audit, "EOF");
        audit.started_ms = Some(1_234);
        audit.duration_ms = Some(3_601_000);
        audit.client = Some("10.0.0.1:5000".into());
        let both = merged(&[&summary, &audit]);
        assert_eq!(both, merged(&[&audit, &summary]));
        assert_eq!(both.started_ms, Some(1_234));
        assert_eq!(both.duration_ms, Some(3_601_000));
        assert_eq!(both.catalog.as_deref(), Some("internal"));
        assert_eq!(both.client.as_deref(), Some("10.0.0.1:5000"));
        assert_eq!(merged(&[&both, &summary, &audit]), both);
    }

    #[test]
    fn finished_is_never_overwritten_by_running() {
        let mut running = record(Origin::Audit, "RUNNING");
        running.db = Some("running".into());
        let mut finished = record(Origin::Summary, "FINISHED");
        finished.db = Some("finished".into());
        for order in [[&running, &finished], [&finished, &running]] {
            assert_eq!(merged(&order).state.as_deref(), Some("FINISHED"));
            assert_eq!(merged(&order).db.as_deref(), Some("finished"));
        }
    }

    #[test]
    fn a_slow_query_line_only_marks_the_query() {
        let query = record(Origin::Audit, "EOF");
        let mut slow = query.clone();
        slow.is_slow = true;
        assert_eq!(merged(&[&query, &slow]), slow);
        assert_eq!(merged(&[&slow, &query]), slow);
    }

    #[test]
    fn a_cut_statement_gives_way_to_the_whole_one() {
        let whole = "select a, b, c from t where a = 1 and b = 2";
        for cut in ["select a, b", "select a, b...", "select a, b ... /* truncated. x=16 */"] {
            let (mut cut_audit, mut summary) =
                (record(Origin::Audit, "EOF"), record(Origin::Summary, "EOF"));
            cut_audit.statement = Some(cut.to_string());
            summary.statement = Some(whole.to_string());
            for order in [[&cut_audit, &summary], [&summary, &cut_audit]] {
                assert_eq!(merged(&order).statement.as_deref(), Some(whole), "{cut}");
            }
        }
    }
}
