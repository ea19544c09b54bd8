//! A record being filled in, key by key. Every source uses it, whatever it calls the keys.

use chrono::NaiveDateTime;

use crate::domain::login::Login;
use crate::domain::record::{Kind, Load, Origin, QueryId, QueryIdError, QueryRecord};
use crate::domain::statement;
use crate::domain::time::{Zone, parse_instant_ms};
use crate::formats::SkipReason;

/// What a record says that has a place of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Timestamp,
    Client,
    User,
    Catalog,
    Db,
    State,
    ErrorCode,
    ErrorMessage,
    Time,
    QueueTimeMs,
    ScanBytes,
    ScanRows,
    ReturnRows,
    StmtId,
    QueryId,
    IsQuery,
    IsNereids,
    IsInternal,
    FeIp,
    StmtType,
    CommandType,
    Stmt,
    CpuTimeMs,
    CpuTimeNs,
    ShuffleSendBytes,
    ShuffleSendRows,
    SqlHash,
    SqlDigest,
    PeakMemoryBytes,
    ComputeGroup,
    CnGroup,
    TraceId,
    WorkloadGroup,
    FuzzyVariables,
    LocalScanBytes,
    RemoteScanBytes,
    SpillWriteBytes,
    SpillReadBytes,
    ParseTimeMs,
    PlanTimeMs,
    PlanTimes,
    ScheduleTimeMs,
    ScheduleTimes,
    CacheHit,
    QueriedTables,
    ChosenViews,
    ChangedVariables,
    SessionId,
    JobId,
    Label,
    LoadType,
    TableList,
    FilePathList,
    BrokerUser,
    LoadStartTime,
    EndTime,
    FileNumber,
    Status,
    Message,
    Url,
    TotalRows,
    LoadedRows,
    FilteredRows,
    UnselectedRows,
    LoadBytes,
    Kind,
    QueryType,
    IsSlow,
    IsStartEstimated,
    /// A key that a version is known to write and that has no place of its own; kept by its name.
    Known,
    /// A key nobody knows yet; kept by its name.
    Unknown,
}

impl Key {
    /// How many there are that have a number: [`Key::Known`] and [`Key::Unknown`] stand for many names.
    pub(super) const COUNT: usize = Key::Known as usize;

    /// Whether the value may be any text.
    pub(super) fn is_free_text(self) -> bool {
        matches!(self, Key::Stmt | Key::ErrorMessage | Key::Message)
    }

    /// Whether each value is a whole number, or nothing.
    pub(super) fn is_number(self) -> bool {
        matches!(
            self,
            Key::Time
                | Key::QueueTimeMs
                | Key::ScanBytes
                | Key::ScanRows
                | Key::ReturnRows
                | Key::StmtId
                | Key::CpuTimeMs
                | Key::CpuTimeNs
                | Key::ShuffleSendBytes
                | Key::ShuffleSendRows
                | Key::PeakMemoryBytes
                | Key::LocalScanBytes
                | Key::RemoteScanBytes
                | Key::SpillWriteBytes
                | Key::SpillReadBytes
                | Key::ParseTimeMs
                | Key::PlanTimeMs
                | Key::ScheduleTimeMs
                | Key::TotalRows
                | Key::LoadedRows
                | Key::FilteredRows
                | Key::UnselectedRows
                | Key::LoadBytes
                | Key::FileNumber
        )
    }

    /// The key of a name of the audit log's query records: Doris 0.8 to 4.x (`AuditEvent.java`, as `AuditLogBuilder.java`
    /// writes it) and StarRocks 2.x to 4.x (the files of the same names). Versions differ in letter case.
    pub(super) fn of_audit(lower: &[u8]) -> Key {
        match lower {
            b"timestamp" => Key::Timestamp,
            b"client" | b"clientip" => Key::Client,
            b"user" => Key::User,
            b"ctl" | b"catalog" => Key::Catalog,
            b"db" => Key::Db,
            b"state" => Key::State,
            b"errorcode" => Key::ErrorCode,
            b"errormessage" => Key::ErrorMessage,
            b"time" | b"time(ms)" | b"querytime" => Key::Time,
            b"queuetimems" | b"queuetime(ms)" | b"pendingtimems" => Key::QueueTimeMs,
            b"scanbytes" => Key::ScanBytes,
            b"scanrows" => Key::ScanRows,
            b"returnrows" => Key::ReturnRows,
            b"stmtid" => Key::StmtId,
            b"queryid" => Key::QueryId,
            b"isquery" => Key::IsQuery,
            b"isnereids" => Key::IsNereids,
            b"isinternal" => Key::IsInternal,
            b"feip" => Key::FeIp,
            b"stmttype" => Key::StmtType,
            b"commandtype" => Key::CommandType,
            b"stmt" => Key::Stmt,
            b"cputimems" => Key::CpuTimeMs,
            b"cpucostns" => Key::CpuTimeNs,
            b"shufflesendbytes" => Key::ShuffleSendBytes,
            b"shufflesendrows" => Key::ShuffleSendRows,
            b"sqlhash" => Key::SqlHash,
            b"sqldigest" | b"digest" => Key::SqlDigest,
            b"peakmemorybytes" | b"memcostbytes" => Key::PeakMemoryBytes,
            b"cloudclustername" | b"computegroupname" | b"computegroup" | b"warehouse" => {
                Key::ComputeGroup
            }
            b"cngroup" => Key::CnGroup,
            b"traceid" => Key::TraceId,
            b"workloadgroup" | b"resourcegroup" => Key::WorkloadGroup,
            b"fuzzyvariables" => Key::FuzzyVariables,
            b"scanbytesfromlocalstorage" => Key::LocalScanBytes,
            b"scanbytesfromremotestorage" => Key::RemoteScanBytes,
            b"spillwritebytestolocalstorage" | b"spillwritebytesfromlocalstorage" | b"spilledbytes" => {
                Key::SpillWriteBytes
            }
            b"spillreadbytesfromlocalstorage" => Key::SpillReadBytes,
            b"parsetimems" => Key::ParseTimeMs,
            b"plantimesms" => Key::PlanTimes,
            b"plantimems" => Key::PlanTimeMs,
            b"scheduletimesms" => Key::ScheduleTimes,
            b"scheduletimems" => Key::ScheduleTimeMs,
            b"hitsqlcache" => Key::CacheHit,
            b"queriedtablesandviews" | b"queriedrelations" => Key::QueriedTables,
            b"chosenmviews" | b"hitmvs" => Key::ChosenViews,
            b"changedvariables" => Key::ChangedVariables,
            b"sessionid" => Key::SessionId,
            b"querytype" => Key::QueryType,
            // Doris, in `extra`.
            b"getmetatimesms" | b"ishandledinfe" | b"handledinfe" | b"sqlmode" | b"protocol"
            // StarRocks, in `extra`.
            | b"authorizeduser" | b"plancpucost" | b"plancpucosts" | b"planmemcost" | b"planmemcosts"
            | b"numslots" | b"slots" | b"candidatemvs" | b"isforwardtoleader" | b"source" | b"features"
            | b"predictmembytes" | b"customqueryid" | b"customsessionname" | b"querysource"
            | b"writeclienttimems" | b"cachehitratio" | b"bigquerylogcpusecondthreshold"
            | b"bigquerylogscanbytesthreshold" | b"bigquerylogscanrowsthreshold" => Key::Known,
            _ => Key::Unknown,
        }
    }

    /// The key of a column: of Doris' `audit_log` table (`InternalSchema.java`, 1.2 to 4.x), of the table of
    /// StarRocks' AuditLoader, of the audit log, or of annals' own.
    pub(super) fn of_column(name: &str) -> Key {
        // The column `time` is the start, the audit log's `Time` the duration.
        if name == "Time" {
            return Key::Time;
        }
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "time" | "start_time" | "started_at" | "started_ms" => Key::Timestamp,
            "end_time" | "ended_at" | "ended_ms" => Key::EndTime,
            "duration_ms" => Key::Time,
            "stmt_id" | "statement_id" => Key::StmtId,
            "stmt_type" | "statement_type" => Key::StmtType,
            "statement" => Key::Stmt,
            "is_slow" => Key::IsSlow,
            "is_start_estimated" => Key::IsStartEstimated,
            "frontend_ip" | "frontend" => Key::FeIp,
            "compute_group" => Key::ComputeGroup,
            "local_scan_bytes" => Key::LocalScanBytes,
            "remote_scan_bytes" => Key::RemoteScanBytes,
            "spill_write_bytes" => Key::SpillWriteBytes,
            "spill_read_bytes" => Key::SpillReadBytes,
            "cache_hit" => Key::CacheHit,
            "queried_tables" => Key::QueriedTables,
            "chosen_m_views" | "chosen_views" => Key::ChosenViews,
            "kind" => Key::Kind,
            "job_id" => Key::JobId,
            "label" => Key::Label,
            "load_type" => Key::LoadType,
            "table_list" => Key::TableList,
            "file_path_list" => Key::FilePathList,
            "broker_user" => Key::BrokerUser,
            "file_number" => Key::FileNumber,
            "message" => Key::Message,
            "url" => Key::Url,
            "total_rows" => Key::TotalRows,
            "loaded_rows" => Key::LoadedRows,
            "filtered_rows" => Key::FilteredRows,
            "unselected_rows" => Key::UnselectedRows,
            "load_bytes" => Key::LoadBytes,
            // All others are the audit log's names, their words apart.
            _ => Key::of_audit(lower.replace('_', "").as_bytes()),
        }
    }
}

/// Reads a truth value.
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value.trim() {
        "1" => Some(true),
        "0" => Some(false),
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// What a finished draft is.
pub(super) enum Built {
    Record(Box<QueryRecord>),
    Login(Box<Login>),
}

/// What a draft is going to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// A query or a load.
    Record,
    /// A log-in.
    Login,
    /// A query, or a log-in: the record's type is not told.
    Either,
    /// Something that is not kept.
    Nothing,
}

/// A record being filled in.
pub(super) struct RecordBuilder {
    record: QueryRecord,
    load: Load,
    zone: Zone,
    query_id: Result<QueryId, QueryIdError>,
    /// The time as it came, for ids that are derived.
    start_text: String,
    expected: Expected,
    /// An error code that is no number, and the name of its key.
    error_word: Option<(String, String)>,
    /// StarRocks' group of compute nodes within a warehouse, and the name of its key.
    cn_group: Option<(String, String)>,
}

/// When a record was written, where its source says so: as its statement ended, or later.
pub(super) struct Written {
    pub ms: i64,
    /// As it stands in the log. For an id that is derived of a record without a start.
    pub local: NaiveDateTime,
}

impl RecordBuilder {
    /// A record of which nothing is known; its times without a zone are local to `zone`.
    pub(super) fn new(kind: Kind, zone: Zone) -> RecordBuilder {
        RecordBuilder {
            record: QueryRecord::new(QueryId::derived(&[]), kind, Origin::Audit),
            load: Load::default(),
            zone,
            query_id: Err(QueryIdError::Missing),
            start_text: String::new(),
            expected: Expected::Record,
            error_word: None,
            cn_group: None,
        }
    }

    /// Says what it is going to be.
    pub(super) fn expect(&mut self, expected: Expected) {
        self.expected = expected;
    }

    /// Sets what `key` says; a value that cannot be one of it is kept by `name`.
    pub(super) fn set(&mut self, key: Key, name: &str, value: &str) {
        let trimmed = value.trim();
        if key == Key::QueryId || key == Key::JobId {
            self.query_id = trimmed.parse();
        }
        // What frontends write for nothing. In free text -1 and UNKNOWN may be what somebody wrote.
        let nothing = match trimmed {
            "" | "null" | "N/A" => true,
            "-1" | "UNKNOWN" => !key.is_free_text(),
            _ => false,
        };
        if nothing {
            return;
        }
        let zone = self.zone;
        let (record, load) = (&mut self.record, &mut self.load);
        let text = || Some(trimmed.to_string());
        let name_text = || Some(without_cluster(trimmed).to_string());
        let mut understood = true;
        let mut number = || {
            let number = trimmed.parse().ok();
            understood = number.is_some();
            number
        };
        match key {
            Key::Timestamp | Key::LoadStartTime => {
                let started = parse_instant_ms(trimmed, zone);
                understood = started.is_some();
                // A load's own start is closer than the time of its record.
                if key == Key::LoadStartTime || record.started_ms.is_none() {
                    record.started_ms = started.or(record.started_ms);
                    self.start_text = trimmed.to_string();
                }
            }
            Key::EndTime => {
                record.ended_ms = parse_instant_ms(trimmed, zone);
                understood = record.ended_ms.is_some();
            }
            Key::Client => record.client = text(),
            Key::User => record.user = name_text(),
            Key::Catalog => record.catalog = text(),
            Key::Db => record.db = name_text(),
            Key::State | Key::Status => record.state = text(),
            Key::ErrorCode => match trimmed.parse() {
                Ok(code) => record.error_code = Some(code),
                Err(_) => self.error_word = Some((name.to_string(), trimmed.to_string())),
            },
            Key::ErrorMessage => record.error_message = Some(value.to_string()),
            Key::Time => record.duration_ms = number(),
            Key::QueueTimeMs => record.queue_time_ms = number(),
            Key::ScanBytes => record.scan_bytes = number(),
            Key::ScanRows => record.scan_rows = number(),
            Key::ReturnRows => record.return_rows = number(),
            Key::StmtId => record.statement_id = number(),
            Key::QueryId => {}
            Key::IsQuery => {
                record.is_query = boolean(trimmed);
                understood = record.is_query.is_some();
            }
            Key::IsNereids => {
                record.is_nereids = boolean(trimmed);
                understood = record.is_nereids.is_some();
            }
            Key::IsInternal => {
                record.is_internal = boolean(trimmed);
                understood = record.is_internal.is_some();
            }
            Key::CacheHit => {
                record.cache_hit = boolean(trimmed);
                understood = record.cache_hit.is_some();
            }
            Key::FeIp => record.frontend = text(),
            Key::StmtType => record.statement_type = text(),
            Key::CommandType => record.command_type = text(),
            Key::Stmt => record.statement = Some(statement::as_sent(value).into_owned()),
            Key::CpuTimeMs => record.cpu_time_ms = number(),
            Key::CpuTimeNs => {
                record.cpu_time_ms = number().map(|ns: i64| ns.saturating_add(500_000) / 1_000_000);
            }
            Key::ShuffleSendBytes => record.shuffle_send_bytes = number(),
            Key::ShuffleSendRows => record.shuffle_send_rows = number(),
            Key::SqlHash => record.sql_hash = text(),
            Key::SqlDigest => record.sql_digest = text(),
            Key::PeakMemoryBytes => record.peak_memory_bytes = number(),
            Key::ComputeGroup => record.compute_group = text(),
            Key::CnGroup => self.cn_group = Some((name.to_string(), trimmed.to_string())),
            Key::TraceId => record.trace_id = text(),
            Key::WorkloadGroup => record.workload_group = text(),
            Key::FuzzyVariables => record.fuzzy_variables = text(),
            Key::LocalScanBytes => record.local_scan_bytes = number(),
            Key::RemoteScanBytes => record.remote_scan_bytes = number(),
            Key::SpillWriteBytes => record.spill_write_bytes = number(),
            Key::SpillReadBytes => record.spill_read_bytes = number(),
            Key::ParseTimeMs => record.parse_time_ms = number(),
            Key::PlanTimeMs => record.plan_time_ms = number(),
            Key::ScheduleTimeMs => record.schedule_time_ms = number(),
            // The other times in it are parts of these; they stay together.
            Key::PlanTimes => {
                record.plan_time_ms = json_number(trimmed, "plan").or(record.plan_time_ms);
                understood = false;
            }
            Key::ScheduleTimes => {
                record.schedule_time_ms =
                    json_number(trimmed, "schedule_time_ms").or(record.schedule_time_ms);
                understood = false;
            }
            Key::QueriedTables => record.queried_tables = text(),
            Key::ChosenViews => record.chosen_views = text().filter(|views| views != "[]"),
            Key::ChangedVariables => {
                // What is no JSON object would break queries that look into the column.
                match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(trimmed) {
                    Ok(_) => record.changed_variables = text().map(Into::into),
                    Err(_) => understood = false,
                }
            }
            Key::SessionId => record.session_id = text(),
            Key::JobId => load.job_id = text(),
            Key::Label => load.label = text(),
            Key::LoadType => load.load_type = text(),
            Key::TableList => load.table_list = text(),
            Key::FilePathList => load.file_path_list = text(),
            Key::BrokerUser => load.broker_user = name_text(),
            Key::FileNumber => load.file_number = number(),
            Key::Message => load.message = text(),
            Key::Url => load.url = text(),
            Key::TotalRows => load.total_rows = number(),
            Key::LoadedRows => load.loaded_rows = number(),
            Key::FilteredRows => load.filtered_rows = number(),
            Key::UnselectedRows => load.unselected_rows = number(),
            Key::LoadBytes => load.load_bytes = number(),
            Key::Kind => match trimmed {
                _ if trimmed.eq_ignore_ascii_case("load") => record.kind = Kind::Load,
                _ if trimmed.eq_ignore_ascii_case("query") => record.kind = Kind::Query,
                _ => understood = false,
            },
            Key::QueryType => match trimmed.to_ascii_lowercase().as_str() {
                "query" => {}
                "slow_query" => record.is_slow = true,
                "connection" => self.expected = Expected::Login,
                "disconnection" => self.expected = Expected::Nothing,
                _ => understood = false,
            },
            Key::IsSlow => match boolean(trimmed) {
                Some(slow) => record.is_slow = slow,
                None => understood = false,
            },
            Key::IsStartEstimated => match boolean(trimmed) {
                Some(estimated) => record.is_start_estimated = estimated,
                None => understood = false,
            },
            Key::Known | Key::Unknown => understood = false,
        }
        if !understood {
            record.extra.insert(name.to_string(), trimmed.to_string());
        }
    }

    /// The record, with its id and its times, or the log-in.
    pub(super) fn finish(mut self, written: Option<Written>) -> Result<Built, SkipReason> {
        if let Some((name, group)) = self.cn_group.take() {
            match &self.record.compute_group {
                None => self.record.compute_group = Some(group),
                Some(_) => {
                    self.record.extra.insert(name, group);
                }
            }
        }
        match self.expected {
            Expected::Nothing => Err(SkipReason::OtherType),
            Expected::Login => self.login(written),
            Expected::Either if self.looks_like_login() => self.login(written),
            Expected::Record | Expected::Either => {
                Ok(Built::Record(Box::new(self.record(written)?)))
            }
        }
    }

    /// Whether it lacks all that a query has: an id, a statement and a duration.
    fn looks_like_login(&self) -> bool {
        let record = &self.record;
        self.query_id == Err(QueryIdError::Missing)
            && record.statement.is_none()
            && record.duration_ms.is_none()
            && record.state.is_some()
            && (record.client.is_some() || record.user.is_some())
    }

    fn login(self, written: Option<Written>) -> Result<Built, SkipReason> {
        let QueryRecord {
            started_ms,
            user,
            client,
            frontend,
            catalog,
            db,
            state,
            error_code,
            mut error_message,
            workload_group,
            compute_group,
            session_id,
            mut extra,
            ..
        } = self.record;
        // StarRocks puts the message into the code's field.
        if let Some((name, word)) = self.error_word {
            match error_message {
                None => error_message = Some(word),
                Some(_) => {
                    extra.insert(name, word);
                }
            }
        }
        for (name, value) in [
            ("ResourceGroup", workload_group),
            ("Warehouse", compute_group),
            ("SessionId", session_id),
        ] {
            if let Some(value) = value {
                extra.insert(name.to_string(), value);
            }
        }
        let at_ms = started_ms.or(written.as_ref().map(|written| written.ms));
        let at_ms = at_ms.ok_or(SkipReason::NoTime)?;
        let succeeded = match state.as_deref() {
            Some(state) if state.eq_ignore_ascii_case("ERR") => false,
            Some(_) => true,
            None => error_message.is_none() && error_code.is_none_or(|code| code == 0),
        };
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        let id = match &self.query_id {
            // The loader makes one up for each row.
            Ok(id) => Login::derived_id(&["login", id.as_str()]),
            Err(_) => Login::derived_id(&[
                "login",
                &match (&written, self.start_text.is_empty()) {
                    (Some(written), true) => written.local.to_string(),
                    _ => self.start_text.clone(),
                },
                &part(&frontend),
                &part(&client),
                &part(&user),
                &part(&db),
                &part(&state),
                &part(&error_message),
            ]),
        };
        Ok(Built::Login(Box::new(Login {
            id,
            at_ms,
            user,
            client,
            frontend,
            catalog,
            db,
            succeeded,
            error_code,
            error_message,
            extra,
        })))
    }

    fn record(mut self, written: Option<Written>) -> Result<QueryRecord, SkipReason> {
        let mut record = self.record;
        if let Some((name, word)) = self.error_word {
            // The code of a query that went well says nothing; with a message it says little.
            let failed = !record.state.as_deref().is_some_and(|state| {
                ["OK", "EOF"].iter().any(|well| state.eq_ignore_ascii_case(well))
            });
            if failed && record.error_message.is_none() {
                record.error_message = Some(word);
            } else {
                record.extra.insert(name, word);
            }
        }
        if record.trace_id.is_none() {
            record.trace_id = record.changed_variables.as_deref().and_then(trace_id);
        }
        record.query_id = match (self.query_id, record.kind) {
            (Ok(id), _) => id,
            (Err(QueryIdError::Missing), Kind::Load) => {
                // Doris gives a stream load no id. A label may be used again once a load failed, so
                // the time makes it the load's own.
                let label = self.load.label.as_deref().ok_or(SkipReason::NoQueryId)?;
                let db = record.db.as_deref().unwrap_or_default();
                QueryId::derived(&["stream_load", db, label, &self.start_text])
            }
            (Err(QueryIdError::Missing), Kind::Query) => {
                // Statements that never ran may have no id. Their slow-query line must give the same
                // one, and is written a moment later: a time counts only where the record names it.
                let statement = record.statement.as_deref().ok_or(SkipReason::NoQueryId)?;
                if self.start_text.is_empty()
                    && let Some(written) = &written
                {
                    self.start_text = written.local.date().to_string();
                }
                let part = |text: &Option<String>| text.clone().unwrap_or_default();
                QueryId::derived(&[
                    "query",
                    &part(&record.frontend),
                    &part(&record.client),
                    &part(&record.user),
                    &record.statement_id.map(|id| id.to_string()).unwrap_or_default(),
                    &self.start_text,
                    // Of its lines the first: a followed log may be read before all of them are written.
                    statement.trim_start().lines().next().unwrap_or_default(),
                ])
            }
            (Err(error), _) => return Err(SkipReason::BadQueryId(error)),
        };
        fill_in_times(&mut record, written.map(|written| written.ms))?;
        if self.load != Load::default() {
            record.load = Some(Box::new(self.load));
        }
        Ok(record)
    }
}

/// Derives of start, end and duration what is not told from what is. The time of writing counts only where there is
/// no start: a frontend holds records back for five seconds and more (Doris 2.1 and later), and StarRocks for minutes.
fn fill_in_times(record: &mut QueryRecord, written_ms: Option<i64>) -> Result<(), SkipReason> {
    if record.is_running() {
        record.ended_ms = None;
    }
    match (record.started_ms, record.ended_ms) {
        (Some(started_ms), Some(ended_ms)) => {
            let took_ms = ended_ms.checked_sub(started_ms).map(|ms| ms.max(0));
            record.duration_ms = record.duration_ms.or(took_ms);
        }
        (Some(started_ms), None) if !record.is_running() => {
            record.ended_ms = record.duration_ms.and_then(|ms| started_ms.checked_add(ms));
        }
        (Some(_), None) => {}
        (None, ended_ms) => {
            let known_ms = ended_ms.or(written_ms).ok_or(SkipReason::NoTime)?;
            record.started_ms = known_ms.checked_sub(record.duration_ms.unwrap_or(0));
            record.is_start_estimated |= ended_ms.is_none() || record.duration_ms.is_none();
            if !record.is_running() {
                record.ended_ms = Some(known_ms);
            }
        }
    }
    Ok(())
}

/// A name without the cluster's that Doris before 1.2, and StarRocks before 3.0, write before it.
pub(super) fn without_cluster(name: &str) -> &str {
    name.strip_prefix("default_cluster:").unwrap_or(name)
}

/// A number by its key in a JSON object; `None` where it is unknown.
fn json_number(text: &str, key: &str) -> Option<i64> {
    let object: serde_json::Value = serde_json::from_str(text).ok()?;
    object.get(key)?.as_i64().filter(|number| *number >= 0)
}

/// The trace id that a client set as `session_context`, `trace_id:ID`, among the variables it changed.
fn trace_id(changed_variables: &str) -> Option<String> {
    if !changed_variables.contains("trace_id") {
        return None;
    }
    let variables: serde_json::Value = serde_json::from_str(changed_variables).ok()?;
    let context = variables.get("session_context")?.as_str()?;
    let mut parts = context.split([';', ',']);
    let id = parts.find_map(|part| part.trim().strip_prefix("trace_id:"))?.trim();
    (!id.is_empty()).then(|| id.to_string())
}
