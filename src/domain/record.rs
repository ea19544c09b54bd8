//! What a query record is: one statement or load that a cluster ran, as far as annals was told of it.
//!
//! A record is told of more than once: by its audit line, by its slow-query line, by its profile, by
//! the same log imported again. [`QueryRecord::merge`] makes one record of all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::domain::statement;

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

impl QueryId {
    /// Returns the id of a stored row, which may be one that is no longer accepted as an id.
    pub(crate) fn of_stored(text: String) -> QueryId {
        QueryId(text)
    }
}

impl FromStr for QueryId {
    type Err = QueryIdError;

    fn from_str(text: &str) -> Result<QueryId, QueryIdError> {
        let text = text.trim();
        match text.len() {
            0 => Err(QueryIdError::Missing),
            _ if is_placeholder(text) => Err(QueryIdError::Missing),
            _ if text.chars().nth(QueryId::MAX_CHARS).is_some() => Err(QueryIdError::TooLong),
            _ if text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                Err(QueryIdError::NotAToken)
            }
            _ => Ok(QueryId(text.to_string())),
        }
    }
}

/// Whether a text is what frontends write in place of an id: `NaN` (Doris 1.2 to 4.x, a statement that got none),
/// `N/A`, `null`, `0-0` (an id that was never set), a UUID of zeros.
fn is_placeholder(text: &str) -> bool {
    ["null", "nan", "n/a", "unknown", "none", "-1"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
        || text.contains('-') && text.bytes().all(|byte| matches!(byte, b'0' | b'-'))
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

/// Who told of a record; the later of these is preferred where two differ.
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

/// The fields of a record that may be unknown, each with its type: the one list that gives the struct, an empty
/// record and the rule of merging.
macro_rules! record_fields {
    ($then:ident) => {
        $then! {
            /// EOF, OK, ERR, RUNNING, FINISHED, CANCELLED, and what stream loads say.
            state: String,
            duration_ms: i64,
            user: String,
            client: String,
            catalog: String,
            db: String,
            statement_type: String,
            command_type: String,
            statement_id: i64,
            session_id: String,
            trace_id: String,
            is_query: bool,
            is_nereids: bool,
            is_internal: bool,
            /// Whether the frontend answered from its SQL cache.
            cache_hit: bool,
            error_code: i64,
            error_message: String,
            /// How long the statement waited in its workload group's queue.
            queue_time_ms: i64,
            /// How long the frontend parsed it.
            parse_time_ms: i64,
            /// How long the frontend analysed and planned it.
            plan_time_ms: i64,
            /// How long the frontend sent its fragments to the backends.
            schedule_time_ms: i64,
            scan_rows: i64,
            scan_bytes: i64,
            local_scan_bytes: i64,
            remote_scan_bytes: i64,
            return_rows: i64,
            shuffle_send_rows: i64,
            shuffle_send_bytes: i64,
            spill_write_bytes: i64,
            spill_read_bytes: i64,
            peak_memory_bytes: i64,
            cpu_time_ms: i64,
            frontend: String,
            workload_group: String,
            compute_group: String,
            queried_tables: String,
            /// The materialized views that the planner chose.
            chosen_views: String,
            /// The session variables that differ from their defaults, as a JSON object.
            changed_variables: String,
            sql_hash: String,
            sql_digest: String,
            fuzzy_variables: String,
        }
    };
}

macro_rules! define_record {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)+) => {
        /// Everything known of one statement or load. `None` is unknown. The fields are those of Doris' audit log,
        /// sizes in bytes, times in Unix milliseconds (UTC).
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)] // most names are the documentation; the migrations comment the columns
        pub struct QueryRecord {
            pub query_id: QueryId,
            pub kind: Kind,
            pub origin: Origin,
            /// The text of the statement, its line ends as they were sent.
            pub statement: Option<String>,
            pub started_ms: Option<i64>,
            pub ended_ms: Option<i64>,
            $($(#[$doc])* pub $field: Option<$type>,)+
            /// Whether a slow-query record reported it.
            pub is_slow: bool,
            /// Whether the start is a guess: the time at which the record was written, less the duration.
            pub is_start_estimated: bool,
            /// Keys that annals has no field for, with their values as they came.
            pub extra: BTreeMap<String, String>,
            /// What only loads have.
            pub load: Option<Box<Load>>,
        }

        impl QueryRecord {
            /// Returns a record of which only this is known.
            pub fn new(query_id: QueryId, kind: Kind, origin: Origin) -> QueryRecord {
                QueryRecord {
                    query_id,
                    kind,
                    origin,
                    statement: None,
                    started_ms: None,
                    ended_ms: None,
                    $($field: None,)+
                    is_slow: false,
                    is_start_estimated: false,
                    extra: BTreeMap::new(),
                    load: None,
                }
            }

            /// Merges the fields that need no rule of their own.
            fn merge_fields(&mut self, other: &mut QueryRecord, prefer: bool) {
                $(merge_value(&mut self.$field, other.$field.take(), prefer);)+
            }
        }
    };
}

record_fields!(define_record);

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
    /// Whether the statement was still running when this was told.
    pub fn is_running(&self) -> bool {
        self.state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("RUNNING"))
    }

    /// Takes in what `other` tells of the same query.
    ///
    /// A known value is never lost to an unknown one. Where both know a value, a finished record is
    /// preferred over a running one, then an audit record over a summary, then whoever came first; a
    /// statement that was cut gives source to the whole one whoever tells it. Taking in the same again
    /// changes nothing.
    pub fn merge(&mut self, mut other: QueryRecord) {
        let prefer = (!other.is_running(), other.origin) > (!self.is_running(), self.origin);
        if other.kind == Kind::Load {
            self.kind = Kind::Load;
        }
        self.is_slow |= other.is_slow;
        merge_statement(&mut self.statement, other.statement.take(), prefer);
        self.merge_times(&other, prefer);
        self.merge_fields(&mut other, prefer);
        if self.ended_ms.is_none() && !self.is_running() {
            self.ended_ms =
                self.started_ms.zip(self.duration_ms).and_then(|(start, ms)| start.checked_add(ms));
        }
        let QueryRecord { origin, extra, load, .. } = other;
        for (key, value) in extra {
            if prefer || !self.extra.contains_key(&key) {
                self.extra.insert(key, value);
            }
        }
        self.origin = self.origin.max(origin);
        match (&mut self.load, load) {
            (Some(mine), Some(theirs)) => mine.merge(*theirs, prefer),
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
    }
}

impl QueryRecord {
    /// How well the start is known: not at all, guessed, to the second as profiles and lists have it, or to the
    /// millisecond.
    fn start_precision(&self) -> u8 {
        match self.started_ms {
            None => 0,
            Some(_) if self.is_start_estimated => 1,
            Some(ms) if ms % 1000 == 0 => 2,
            Some(_) => 3,
        }
    }

    /// Takes the start from the report that knows it best, and the end with it: where the start is a guess, so is the
    /// end.
    fn merge_times(&mut self, other: &QueryRecord, prefer: bool) {
        let (mine, theirs) = (self.start_precision(), other.start_precision());
        // A guess that lies in the second which a profile names is kept for its milliseconds.
        let second = |record: &QueryRecord| record.started_ms.map(|ms| ms.div_euclid(1000));
        if mine.min(theirs) == 1 && mine.max(theirs) == 2 && second(self) == second(other) {
            if theirs == 1 {
                self.started_ms = other.started_ms;
                self.is_start_estimated = true;
                self.ended_ms = other.ended_ms;
            }
            return;
        }
        if theirs > mine || theirs == mine && prefer {
            self.started_ms = other.started_ms;
            self.is_start_estimated = other.is_start_estimated;
            self.ended_ms = match mine == theirs {
                true => other.ended_ms.or(self.ended_ms),
                false => other.ended_ms,
            };
        } else if theirs == mine {
            self.ended_ms = self.ended_ms.or(other.ended_ms);
        }
    }
}

/// How far apart two starts of one statement may be, where both are told: a list and a profile have them to the second.
const START_TOLERANCE_MS: i64 = 2_000;
/// How much later than the start a guess of it may be: a frontend holds a record back until the backends have reported
/// what the query cost, and no longer than some minutes.
const ESTIMATE_TOLERANCE_MS: i64 = 15 * 60_000;
/// Time zones differ by multiples of this.
const ZONE_STEP_MS: i64 = 15 * 60_000;
/// No two time zones differ by more.
const ZONE_SPAN_MS: i64 = 26 * 3_600_000;

impl QueryRecord {
    /// Returns whether two reports of one query id are of one statement.
    ///
    /// A frontend logs a statement that it cannot parse under the id of the statement before it (apache/doris#53107),
    /// so one id may stand for several. They differ in their number on the connection, in their text or in their
    /// start. What one of the two does not say cannot tell them apart. Loads are told apart by their id alone.
    pub fn is_same_statement(&self, other: &QueryRecord) -> bool {
        if self.kind == Kind::Load || other.kind == Kind::Load {
            return true;
        }
        if self.statement_id.zip(other.statement_id).is_some_and(|(mine, theirs)| mine != theirs) {
            return false;
        }
        let texts = self.statement.as_deref().zip(other.statement.as_deref());
        let same_text = texts.map(|(mine, theirs)| statement::is_same_statement(mine, theirs));
        let starts_agree = self.start_agrees_with(other, same_text == Some(true));
        let outcomes = self.outcome().zip(other.outcome());
        let outcomes_agree = outcomes.is_none_or(|(mine, theirs)| mine == theirs);
        match same_text {
            // A log may have broken off within the statement.
            Some(false) if self.has_number_of(other) && starts_agree == Some(true) => texts
                .is_some_and(|(mine, theirs)| mine.starts_with(theirs) || theirs.starts_with(mine)),
            // A frontend writes one text into all audit records of a statement.
            Some(false) if self.origin == Origin::Audit && other.origin == Origin::Audit => false,
            // A profile may have another text than the audit log, which hides passwords, but one of the same shape.
            Some(false) => outcomes_agree && starts_agree == Some(true) && self.has_shape_of(other),
            None => outcomes_agree && starts_agree != Some(false),
            Some(true) => starts_agree != Some(false),
        }
    }

    fn has_shape_of(&self, other: &QueryRecord) -> bool {
        let shape = |record: &QueryRecord| record.statement.as_deref().map(statement::normalize);
        shape(self) == shape(other)
    }

    /// Returns whether it failed, or None while it runs and where no state is known.
    fn outcome(&self) -> Option<bool> {
        let is_known = self.state.is_some() || self.error_code.is_some();
        (is_known && !self.is_running()).then(|| self.is_failed())
    }

    fn has_number_of(&self, other: &QueryRecord) -> bool {
        self.statement_id.is_some() && self.statement_id == other.statement_id
    }

    /// Returns whether the starts of two reports can be those of one statement, or None where that is not known. A
    /// statement of the same text may have been read in another time zone.
    fn start_agrees_with(&self, other: &QueryRecord, same_text: bool) -> Option<bool> {
        let (mine, theirs) = self.started_ms.zip(other.started_ms)?;
        let apart = mine.saturating_sub(theirs);
        let tolerated = match (self.is_start_estimated, other.is_start_estimated) {
            (false, false) => apart.abs() <= START_TOLERANCE_MS,
            (true, false) => (-START_TOLERANCE_MS..=ESTIMATE_TOLERANCE_MS).contains(&apart),
            (false, true) => (-ESTIMATE_TOLERANCE_MS..=START_TOLERANCE_MS).contains(&apart),
            // The lines of one statement are written together.
            (true, true) => apart.abs() <= START_TOLERANCE_MS,
        };
        let of_other_zone = || {
            let rest = apart.abs() % ZONE_STEP_MS;
            apart.abs() <= ZONE_SPAN_MS
                && (rest <= START_TOLERANCE_MS || rest >= ZONE_STEP_MS - START_TOLERANCE_MS)
        };
        Some(tolerated || same_text && of_other_zone())
    }

    /// Returns whether this report, rather than a stored one of another statement, belongs to the query id that both
    /// came with: the one with a profile ran, one that failed did not; of two alike the earlier one.
    pub fn owns_id_before(&self, stored: &QueryRecord, has_profile: bool) -> bool {
        let rank = |record: &QueryRecord, has_profile: bool| {
            let start = record.started_ms.unwrap_or(i64::MAX);
            let number = record.statement_id.unwrap_or(i64::MAX);
            (!has_profile, record.is_failed(), start, number)
        };
        // Only a profile, or a list of profiles, gives a summary.
        let mine = rank(self, self.origin == Origin::Summary);
        let theirs = rank(stored, has_profile || stored.origin == Origin::Summary);
        (mine, &self.statement) < (theirs, &stored.statement)
    }

    /// Returns whether it failed, as the column `is_failed` decides it.
    pub fn is_failed(&self) -> bool {
        const FAILED: [&str; 7] =
            ["ERR", "ERROR", "CANCELLED", "CANCELED", "FAIL", "FAILED", "ABORTED"];
        let state = self.state.as_deref().unwrap_or_default();
        self.error_code.unwrap_or(0) != 0
            || FAILED.iter().any(|name| state.eq_ignore_ascii_case(name))
    }

    /// Returns the ids under which a statement is looked for whose own id belongs to another one, each but the last
    /// made of the one before. The last is made of what the report says, for an id with which very many statements came.
    pub fn ids_beside(&self) -> impl Iterator<Item = QueryId> + use<> {
        const CHAINED: usize = 8;
        let text = |value: Option<i64>| value.map_or(String::new(), |value| value.to_string());
        let (number, start) = (text(self.statement_id), text(self.started_ms));
        let statement = self.statement.as_deref().unwrap_or_default();
        let own =
            QueryId::derived(&["one of many", self.query_id.as_str(), &number, &start, statement]);
        let next = |id: &QueryId| Some(QueryId::derived(&["another statement", id.as_str()]));
        std::iter::successors(next(&self.query_id), next).take(CHAINED).chain([own])
    }
}

impl Load {
    fn merge(&mut self, other: Load, prefer: bool) {
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
        merge_value(&mut self.job_id, job_id, prefer);
        merge_value(&mut self.label, label, prefer);
        merge_value(&mut self.load_type, load_type, prefer);
        merge_value(&mut self.table_list, table_list, prefer);
        merge_value(&mut self.file_path_list, file_path_list, prefer);
        merge_value(&mut self.broker_user, broker_user, prefer);
        merge_value(&mut self.file_number, file_number, prefer);
        merge_value(&mut self.message, message, prefer);
        merge_value(&mut self.url, url, prefer);
        merge_value(&mut self.total_rows, total_rows, prefer);
        merge_value(&mut self.loaded_rows, loaded_rows, prefer);
        merge_value(&mut self.filtered_rows, filtered_rows, prefer);
        merge_value(&mut self.unselected_rows, unselected_rows, prefer);
        merge_value(&mut self.load_bytes, load_bytes, prefer);
    }
}

fn merge_value<T>(mine: &mut Option<T>, theirs: Option<T>, prefer: bool) {
    if theirs.is_some() && (prefer || mine.is_none()) {
        *mine = theirs;
    }
}

fn merge_statement(mine: &mut Option<String>, theirs: Option<String>, prefer: bool) {
    let more = match (mine.as_deref(), theirs.as_deref()) {
        (Some(mine), Some(theirs)) => statement::is_more_complete(mine, theirs),
        _ => None,
    };
    merge_value(mine, theirs, more.unwrap_or(prefer));
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
    fn a_start_is_as_exact_as_any_report_knows_it() {
        let at = |origin, started_ms: i64, is_guess| {
            let mut record = record(origin, "EOF");
            record.started_ms = Some(started_ms);
            record.duration_ms = Some(40);
            record.ended_ms = Some(started_ms + 40);
            record.is_start_estimated = is_guess;
            record
        };
        let summary = at(Origin::Summary, 1_767_322_800_000, false);
        let late_guess = at(Origin::Audit, 1_767_322_806_100, true);
        let good_guess = at(Origin::Audit, 1_767_322_800_700, true);
        let exact = at(Origin::Audit, 1_767_322_800_654, false);
        for (reports, started_ms) in [
            (vec![&summary, &late_guess], 1_767_322_800_000),
            (vec![&summary, &good_guess], 1_767_322_800_700),
            (vec![&summary, &late_guess, &exact], 1_767_322_800_654),
            (vec![&summary, &good_guess, &exact], 1_767_322_800_654),
        ] {
            for turn in 0..reports.len() {
                let mut order = reports.clone();
                order.rotate_left(turn);
                for _ in 0..2 {
                    order.reverse();
                    let merged = merged(&order);
                    assert_eq!(merged.started_ms, Some(started_ms), "{order:?}");
                    assert_eq!(merged.ended_ms, Some(started_ms + 40), "{order:?}");
                    assert_eq!(merged.is_start_estimated, started_ms == 1_767_322_800_700);
                }
            }
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
