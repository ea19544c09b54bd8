//! The keys of a record: their names in audit logs and in tables, and the field that each fills.
//!
//! Names of the audit log's query records are those of Doris 0.8 to 4.x (`AuditEvent.java`, as `AuditLogBuilder.java`
//! writes it) and of StarRocks 2.x to 4.x (the files of the same names). Names of columns are those of Doris'
//! `audit_log` table (`InternalSchema.java`, 1.2 to 4.x), of the table of StarRocks' AuditLoader, and of annals' own
//! tables.

use super::RecordBuilder;
use super::value::{boolean, cluster, name, nanoseconds, number, text};

/// The longest name that is looked up, in bytes. No known name is longer.
const MAX_NAME_BYTES: usize = 64;

/// Whether the values of a type are whole numbers.
macro_rules! is_number {
    (number) => {
        true
    };
    (nanoseconds) => {
        true
    };
    ($other:ident) => {
        false
    };
}

/// Whether the values of a type are truth values.
macro_rules! is_boolean {
    (boolean) => {
        true
    };
    ($other:ident) => {
        false
    };
}

/// Defines [`Key`] and everything that follows from its table: a row is
/// `Key: type target.field, [names in audit logs] [names of columns]`, for a key with a rule of its own without a type
/// and a field. Names are in lower case. A column may also go by the audit log's name, with or without underscores.
macro_rules! keys {
    (
        fields {
            $($key:ident: $type:ident $target:ident.$field:ident, [$($audit:literal)*] [$($column:literal)*];)+
        }
        special {
            $($special:ident, [$($special_audit:literal)*] [$($special_column:literal)*];)+
        }
        known {
            $($known:literal)+
        }
    ) => {
        /// The meaning of a value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::formats) enum Key {
            $($key,)+
            $($special,)+
            /// A key that a version is known to write and that has no field. Its value is kept under its name.
            Known,
            /// A key that no version is known to write. Its value is kept under its name.
            Unknown,
        }

        impl Key {
            /// Returns whether each value is a whole number, or nothing.
            pub(in crate::formats) fn is_number(self) -> bool {
                match self {
                    $(Key::$key => is_number!($type),)+
                    _ => false,
                }
            }

            /// Returns whether a value may not fit: of a number, a truth value or a time.
            pub(in crate::formats) fn is_typed(self) -> bool {
                match self {
                    $(Key::$key => is_number!($type) || is_boolean!($type),)+
                    Key::Timestamp | Key::LoadStartTime | Key::EndTime => true,
                    _ => false,
                }
            }

            /// Returns the key of a name in an audit log's query record. `lower` is the name in lower case, for versions
            /// differ in letter case.
            pub(in crate::formats) fn of_audit(lower: &[u8]) -> Key {
                match lower {
                    $($($audit => Key::$key,)*)+
                    $($($special_audit => Key::$special,)*)+
                    $($known)|+ => Key::Known,
                    _ => Key::Unknown,
                }
            }

            /// Returns the key of a column whose name is not one of the audit log's. `lower` is the name in lower case.
            fn of_own_column(lower: &[u8]) -> Option<Key> {
                Some(match lower {
                    $($($column => Key::$key,)*)+
                    $($($special_column => Key::$special,)*)+
                    _ => return None,
                })
            }
        }

        impl RecordBuilder {
            /// Sets the field of a key. Returns whether the value is one that the field can hold, or None if the key
            /// has a rule of its own.
            pub(super) fn set_field(&mut self, key: Key, value: &str) -> Option<bool> {
                Some(match key {
                    $(Key::$key => $type(&mut self.$target.$field, value),)+
                    _ => return None,
                })
            }
        }
    };
}

keys! {
    fields {
        Client: text record.client, [b"client" b"clientip"] [];
        User: name record.user, [b"user"] [];
        Catalog: text record.catalog, [b"ctl" b"catalog"] [];
        Db: name record.db, [b"db"] [];
        State: text record.state, [b"state"] [];
        Status: text record.state, [] [];
        Time: number record.duration_ms, [b"time" b"time(ms)" b"querytime"] [b"duration_ms"];
        QueueTimeMs: number record.queue_time_ms, [b"queuetimems" b"queuetime(ms)" b"pendingtimems"] [];
        ParseTimeMs: number record.parse_time_ms, [b"parsetimems"] [];
        PlanTimeMs: number record.plan_time_ms, [b"plantimems"] [];
        ScheduleTimeMs: number record.schedule_time_ms, [b"scheduletimems"] [];
        CpuTimeMs: number record.cpu_time_ms, [b"cputimems"] [];
        CpuTimeNs: nanoseconds record.cpu_time_ms, [b"cpucostns"] [];
        ScanBytes: number record.scan_bytes, [b"scanbytes"] [];
        ScanRows: number record.scan_rows, [b"scanrows"] [];
        ReturnRows: number record.return_rows, [b"returnrows"] [];
        LocalScanBytes: number record.local_scan_bytes, [b"scanbytesfromlocalstorage"] [b"local_scan_bytes"];
        RemoteScanBytes: number record.remote_scan_bytes, [b"scanbytesfromremotestorage"] [b"remote_scan_bytes"];
        ShuffleSendBytes: number record.shuffle_send_bytes, [b"shufflesendbytes"] [];
        ShuffleSendRows: number record.shuffle_send_rows, [b"shufflesendrows"] [];
        SpillWriteBytes: number record.spill_write_bytes,
            [b"spillwritebytestolocalstorage" b"spillwritebytesfromlocalstorage" b"spilledbytes"]
            [b"spill_write_bytes"];
        SpillReadBytes: number record.spill_read_bytes, [b"spillreadbytesfromlocalstorage"] [b"spill_read_bytes"];
        PeakMemoryBytes: number record.peak_memory_bytes, [b"peakmemorybytes" b"memcostbytes"] [];
        StmtId: number record.statement_id, [b"stmtid"] [b"stmt_id" b"statement_id"];
        SessionId: text record.session_id, [b"sessionid"] [];
        TraceId: text record.trace_id, [b"traceid"] [];
        IsQuery: boolean record.is_query, [b"isquery"] [];
        IsNereids: boolean record.is_nereids, [b"isnereids"] [];
        IsInternal: boolean record.is_internal, [b"isinternal"] [];
        CacheHit: boolean record.cache_hit, [b"hitsqlcache"] [b"cache_hit"];
        FeIp: text record.frontend, [b"feip"] [b"frontend_ip" b"frontend"];
        StmtType: text record.statement_type, [b"stmttype"] [b"stmt_type" b"statement_type"];
        CommandType: text record.command_type, [b"commandtype"] [];
        SqlHash: text record.sql_hash, [b"sqlhash"] [];
        SqlDigest: text record.sql_digest, [b"sqldigest" b"digest"] [];
        WorkloadGroup: text record.workload_group, [b"workloadgroup" b"resourcegroup"] [];
        ComputeGroup: text record.compute_group,
            [b"cloudclustername" b"computegroupname" b"computegroup" b"warehouse"] [b"compute_group"];
        Cluster: cluster record.cluster, [] [b"cluster"];
        FuzzyVariables: text record.fuzzy_variables, [b"fuzzyvariables"] [];
        QueriedTables: text record.queried_tables, [b"queriedtablesandviews" b"queriedrelations"] [b"queried_tables"];
        Label: text load.label, [] [b"label"];
        LoadType: text load.load_type, [] [b"load_type"];
        TableList: text load.table_list, [] [b"table_list"];
        FilePathList: text load.file_path_list, [] [b"file_path_list"];
        BrokerUser: name load.broker_user, [] [b"broker_user"];
        FileNumber: number load.file_number, [] [b"file_number"];
        JobId: text load.job_id, [] [b"job_id"];
        Message: text load.message, [] [b"message"];
        Url: text load.url, [] [b"url"];
        TotalRows: number load.total_rows, [] [b"total_rows"];
        LoadedRows: number load.loaded_rows, [] [b"loaded_rows"];
        FilteredRows: number load.filtered_rows, [] [b"filtered_rows"];
        UnselectedRows: number load.unselected_rows, [] [b"unselected_rows"];
        LoadBytes: number load.load_bytes, [] [b"load_bytes"];
    }
    special {
        QueryId, [b"queryid"] [];
        Timestamp, [b"timestamp"] [b"time" b"start_time" b"started_at" b"started_ms"];
        LoadStartTime, [] [];
        EndTime, [] [b"end_time" b"ended_at" b"ended_ms"];
        Stmt, [b"stmt"] [b"statement"];
        ErrorCode, [b"errorcode"] [];
        ErrorMessage, [b"errormessage"] [];
        CnGroup, [b"cngroup"] [];
        PlanTimes, [b"plantimesms"] [];
        ScheduleTimes, [b"scheduletimesms"] [];
        ChosenViews, [b"chosenmviews" b"hitmvs"] [b"chosen_m_views" b"chosen_views"];
        ChangedVariables, [b"changedvariables"] [];
        QueryType, [b"querytype"] [];
        Kind, [] [b"kind"];
        IsSlow, [] [b"is_slow"];
        IsStartEstimated, [] [b"is_start_estimated"];
        Origin, [] [b"origin"];
        Extra, [] [b"extra"];
        Load, [] [b"load"];
        Computed, [] [b"fingerprint" b"is_failed" b"has_profile"];
    }
    known {
        // Doris.
        b"getmetatimesms" b"ishandledinfe" b"handledinfe" b"sqlmode" b"protocol"
        // StarRocks.
        b"authorizeduser" b"plancpucost" b"plancpucosts" b"planmemcost" b"planmemcosts"
        b"numslots" b"slots" b"candidatemvs" b"isforwardtoleader" b"source" b"features"
        b"predictmembytes" b"customqueryid" b"customsessionname" b"querysource"
        b"writeclienttimems" b"cachehitratio" b"bigquerylogcpusecondthreshold"
        b"bigquerylogscanbytesthreshold" b"bigquerylogscanrowsthreshold"
    }
}

impl Key {
    /// How many keys stand for one meaning each: all but [`Key::Known`] and [`Key::Unknown`], which stand for many
    /// names.
    pub(in crate::formats) const COUNT: usize = Key::Known as usize;

    /// Returns whether the value may be any text.
    pub(in crate::formats) fn is_free_text(self) -> bool {
        matches!(self, Key::Stmt | Key::ErrorMessage | Key::Message)
    }

    /// Returns the key of a column of a table or of a JSON object.
    pub(in crate::formats) fn of_column(name: &str) -> Key {
        // The column `time` is the start, the audit log's `Time` the duration.
        if name == "Time" {
            return Key::Time;
        }
        let mut buffer = [0; MAX_NAME_BYTES];
        let Some(lower) = lower_case(name, &mut buffer) else { return Key::Unknown };
        if let Some(key) = Key::of_own_column(lower) {
            return key;
        }
        let mut joined = [0; MAX_NAME_BYTES];
        let mut length = 0;
        for byte in lower.iter().filter(|byte| **byte != b'_') {
            joined[length] = *byte;
            length += 1;
        }
        Key::of_audit(&joined[..length])
    }
}

/// Returns a name in lower case, written into `buffer`, or None if it is longer than any known name.
pub(in crate::formats) fn lower_case<'b>(
    name: &str,
    buffer: &'b mut [u8; MAX_NAME_BYTES],
) -> Option<&'b [u8]> {
    let lower = buffer.get_mut(..name.len())?;
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    Some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::{Load, QueryRecord};

    #[test]
    fn each_field_is_read_back_by_its_own_name() {
        for field in QueryRecord::FIELDS.iter().chain(&Load::FIELDS) {
            let key = Key::of_column(field.name);
            assert!(!matches!(key, Key::Known | Key::Unknown), "{}", field.name);
        }
    }

    #[test]
    fn a_column_goes_by_any_spelling_of_its_name() {
        for (name, key) in [
            ("Time", Key::Time),
            ("time", Key::Timestamp),
            ("query_time", Key::Time),
            ("queryTime", Key::Time),
            ("QUERY_ID", Key::QueryId),
            ("scan_bytes_from_local_storage", Key::LocalScanBytes),
            ("local_scan_bytes", Key::LocalScanBytes),
            ("handled_in_fe", Key::Known),
            ("status", Key::Unknown),
            ("", Key::Unknown),
        ] {
            assert_eq!(Key::of_column(name), key, "{name}");
        }
        assert_eq!(Key::of_column(&"a".repeat(1000)), Key::Unknown);
    }
}
