//! A record being filled in, key by key. Every way in uses it, whatever it calls the keys.

use crate::query::{Kind, Load, Origin, QueryId, QueryIdError, QueryRecord};
use crate::source::SkipReason;
use crate::statement;
use crate::time::{Zone, parse_instant_ms};

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
    ShuffleSendBytes,
    ShuffleSendRows,
    SqlHash,
    SqlDigest,
    PeakMemoryBytes,
    ComputeGroup,
    TraceId,
    WorkloadGroup,
    FuzzyVariables,
    LocalScanBytes,
    RemoteScanBytes,
    SpillWriteBytes,
    QueriedTables,
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
    IsSlow,
    /// A key nobody knows yet; kept by its name.
    Unknown,
}

impl Key {
    /// Whether the value may be any text.
    pub(super) fn is_free_text(self) -> bool {
        matches!(self, Key::Stmt | Key::ErrorMessage | Key::Message)
    }

    /// The key of a column, as the tables of Doris' audit loaders, StarRocks' or annals' own call it.
    pub(super) fn of_column(name: &str) -> Key {
        match name.to_ascii_lowercase().as_str() {
            "query_id" | "queryid" => Key::QueryId,
            "time" | "timestamp" | "start_time" | "started_at" | "started_ms" => Key::Timestamp,
            "end_time" | "ended_at" | "ended_ms" => Key::EndTime,
            "query_time" | "duration_ms" => Key::Time,
            "client_ip" | "client" | "clientip" => Key::Client,
            "user" => Key::User,
            "catalog" => Key::Catalog,
            "db" => Key::Db,
            "state" => Key::State,
            "error_code" => Key::ErrorCode,
            "error_message" => Key::ErrorMessage,
            "scan_bytes" => Key::ScanBytes,
            "scan_rows" => Key::ScanRows,
            "return_rows" => Key::ReturnRows,
            "stmt_id" | "statement_id" => Key::StmtId,
            "stmt_type" | "statement_type" => Key::StmtType,
            "command_type" => Key::CommandType,
            "stmt" | "statement" => Key::Stmt,
            "is_query" => Key::IsQuery,
            "is_nereids" => Key::IsNereids,
            "is_internal" => Key::IsInternal,
            "is_slow" => Key::IsSlow,
            "frontend_ip" | "frontend" => Key::FeIp,
            "cpu_time_ms" => Key::CpuTimeMs,
            "sql_hash" => Key::SqlHash,
            "sql_digest" | "digest" => Key::SqlDigest,
            "peak_memory_bytes" => Key::PeakMemoryBytes,
            "workload_group" => Key::WorkloadGroup,
            "compute_group" | "compute_group_name" | "cloud_cluster_name" => Key::ComputeGroup,
            "trace_id" => Key::TraceId,
            "session_id" => Key::SessionId,
            "shuffle_send_rows" => Key::ShuffleSendRows,
            "shuffle_send_bytes" => Key::ShuffleSendBytes,
            "scan_bytes_from_local_storage" | "local_scan_bytes" => Key::LocalScanBytes,
            "scan_bytes_from_remote_storage" | "remote_scan_bytes" => Key::RemoteScanBytes,
            "spill_write_bytes_to_local_storage" | "spill_write_bytes" => Key::SpillWriteBytes,
            "queried_tables_and_views" | "queried_tables" => Key::QueriedTables,
            "fuzzy_variables" => Key::FuzzyVariables,
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
            _ => Key::Unknown,
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

/// A record being filled in.
pub(super) struct Draft {
    record: QueryRecord,
    load: Load,
    zone: Zone,
    query_id: Result<QueryId, QueryIdError>,
    /// The time as it came, for ids that are derived.
    start_text: String,
}

/// When a record was written, where its source says so: as its statement ended.
pub(super) struct Written {
    pub ms: i64,
    /// The day, as text: all that a record without a start has for an id that is derived.
    pub date: String,
}

impl Draft {
    /// A record of which nothing is known; its times without a zone are local to `zone`.
    pub(super) fn new(kind: Kind, zone: Zone) -> Draft {
        Draft {
            record: QueryRecord::new(QueryId::derived(&[]), kind, Origin::Audit),
            load: Load::default(),
            zone,
            query_id: Err(QueryIdError::Missing),
            start_text: String::new(),
        }
    }

    /// Sets what `key` says; a value that cannot be one of it is kept by `name`.
    pub(super) fn set(&mut self, key: Key, name: &str, value: &str) {
        let trimmed = value.trim();
        if key == Key::QueryId || key == Key::JobId {
            self.query_id = trimmed.parse();
        }
        if trimmed.is_empty() || !key.is_free_text() && ["null", "-1"].contains(&trimmed) {
            return;
        }
        let zone = self.zone;
        let (record, load) = (&mut self.record, &mut self.load);
        let text = || Some(trimmed.to_string());
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
            Key::User => record.user = text(),
            Key::Catalog => record.catalog = text(),
            Key::Db => record.db = text(),
            Key::State | Key::Status => record.state = text().filter(|state| state != "N/A"),
            Key::ErrorCode => record.error_code = number(),
            Key::ErrorMessage => record.error_message = Some(value.to_string()),
            Key::Time => record.duration_ms = number(),
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
            Key::FeIp => record.frontend = text(),
            Key::StmtType => record.statement_type = text(),
            Key::CommandType => record.command_type = text(),
            Key::Stmt => record.statement = Some(statement::as_sent(value).into_owned()),
            Key::CpuTimeMs => record.cpu_time_ms = number(),
            Key::ShuffleSendBytes => record.shuffle_send_bytes = number(),
            Key::ShuffleSendRows => record.shuffle_send_rows = number(),
            Key::SqlHash => record.sql_hash = text(),
            Key::SqlDigest => record.sql_digest = text(),
            Key::PeakMemoryBytes => record.peak_memory_bytes = number(),
            Key::ComputeGroup => record.compute_group = text(),
            Key::TraceId => record.trace_id = text(),
            Key::WorkloadGroup => record.workload_group = text(),
            Key::FuzzyVariables => record.fuzzy_variables = text(),
            Key::LocalScanBytes => record.local_scan_bytes = number(),
            Key::RemoteScanBytes => record.remote_scan_bytes = number(),
            Key::SpillWriteBytes => record.spill_write_bytes = number(),
            Key::QueriedTables => record.queried_tables = text(),
            Key::SessionId => record.session_id = text(),
            Key::JobId => load.job_id = text(),
            Key::Label => load.label = text(),
            Key::LoadType => load.load_type = text(),
            Key::TableList => load.table_list = text(),
            Key::FilePathList => load.file_path_list = text(),
            Key::BrokerUser => load.broker_user = text(),
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
            Key::IsSlow => match boolean(trimmed) {
                Some(slow) => record.is_slow = slow,
                None => understood = false,
            },
            Key::Unknown => understood = false,
        }
        if !understood {
            record.extra.insert(name.to_string(), trimmed.to_string());
        }
    }

    /// The record, with its id and its times.
    pub(super) fn finish(mut self, written: Option<Written>) -> Result<QueryRecord, SkipReason> {
        let mut record = self.record;
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
                    self.start_text.clone_from(&written.date);
                }
                let part = |text: &Option<String>| text.clone().unwrap_or_default();
                QueryId::derived(&[
                    "query",
                    &part(&record.frontend),
                    &part(&record.client),
                    &part(&record.user),
                    &record.statement_id.map(|id| id.to_string()).unwrap_or_default(),
                    &self.start_text,
                    statement,
                ])
            }
            (Err(error), _) => return Err(SkipReason::BadQueryId(error)),
        };
        let written_ms = written.map(|written| written.ms);
        if record.ended_ms.is_none() && !record.is_running() {
            let by_duration = || record.started_ms?.checked_add(record.duration_ms?);
            record.ended_ms = written_ms.or_else(by_duration);
        }
        if record.duration_ms.is_none()
            && let (Some(started_ms), Some(ended_ms)) = (record.started_ms, record.ended_ms)
        {
            record.duration_ms = ended_ms.checked_sub(started_ms).map(|ms| ms.max(0));
        }
        if record.started_ms.is_none() {
            let told_ms = record.ended_ms.or(written_ms).ok_or(SkipReason::NoTime)?;
            record.started_ms = told_ms.checked_sub(record.duration_ms.unwrap_or(0));
        }
        if self.load != Load::default() {
            record.load = Some(Box::new(self.load));
        }
        Ok(record)
    }
}
