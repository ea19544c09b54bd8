//! Audit records in the forms of several versions, for these tests and for the unit tests of the parser.

use std::fmt::Write as _;

/// The keys of an audit record in the order of a version, with default values.
pub(crate) type Form = &'static [(&'static str, &'static str)];

/// Doris 2.1: the statement is in the middle.
pub(crate) const DORIS_2_1: Form = &[
    ("Client", "10.0.0.1:5000"),
    ("User", "root"),
    ("Ctl", "internal"),
    ("Db", "test"),
    ("State", "EOF"),
    ("ErrorCode", "0"),
    ("ErrorMessage", ""),
    ("Time(ms)", "0"),
    ("ScanBytes", "0"),
    ("ScanRows", "0"),
    ("ReturnRows", "1"),
    ("StmtId", "1"),
    ("QueryId", ""),
    ("IsQuery", "true"),
    ("isNereids", "true"),
    ("feIp", "10.0.0.2"),
    ("StmtType", "SELECT"),
    ("Stmt", ""),
    ("CpuTimeMS", "0"),
    ("ShuffleSendBytes", "0"),
    ("ShuffleSendRows", "0"),
    ("SqlHash", "ab"),
    ("peakMemoryBytes", "0"),
    ("SqlDigest", ""),
    ("cloudClusterName", "UNKNOWN"),
    ("TraceId", ""),
    ("WorkloadGroup", ""),
    ("FuzzyVariables", ""),
    ("scanBytesFromLocalStorage", "0"),
    ("scanBytesFromRemoteStorage", "0"),
];

/// Doris 3.1 and 4.x: some fields are JSON, and the statement is last.
pub(crate) const DORIS_4_0: Form = &[
    ("QueryId", ""),
    ("Timestamp", "2024-01-02 11:15:46.000"),
    ("Client", "10.0.0.1:5000"),
    ("User", "root"),
    ("FeIp", "10.0.0.2"),
    ("Ctl", "internal"),
    ("Db", "test"),
    ("State", "EOF"),
    ("ErrorCode", "0"),
    ("ErrorMessage", ""),
    ("Time(ms)", "0"),
    ("CpuTimeMS", "0"),
    ("PeakMemoryBytes", "0"),
    ("ScanBytes", "0"),
    ("ScanRows", "0"),
    ("ReturnRows", "1"),
    ("ShuffleSendRows", "0"),
    ("ShuffleSendBytes", "0"),
    ("SpillWriteBytesToLocalStorage", "0"),
    ("SpillReadBytesFromLocalStorage", "0"),
    ("ScanBytesFromLocalStorage", "0"),
    ("ScanBytesFromRemoteStorage", "0"),
    ("ParseTimeMs", "0"),
    ("PlanTimesMs", "{\"plan\":0,\"analyze\":0}"),
    ("GetMetaTimesMs", "{\"get_partition_version_time_ms\":0}"),
    ("ScheduleTimesMs", "{\"schedule_time_ms\":0}"),
    ("HitSqlCache", "false"),
    ("isHandledInFe", "false"),
    ("queriedTablesAndViews", "[]"),
    ("chosenMViews", "[]"),
    ("ChangedVariables", "{}"),
    ("FuzzyVariables", ""),
    ("SqlMode", "ONLY_FULL_GROUP_BY"),
    ("CommandType", "Query"),
    ("StmtType", "SELECT"),
    ("StmtId", "1"),
    ("SqlHash", "ab"),
    ("SqlDigest", ""),
    ("IsQuery", "true"),
    ("IsNereids", "true"),
    ("IsInternal", "false"),
    ("WorkloadGroup", ""),
    ("ComputeGroupName", "UNKNOWN"),
    ("Stmt", ""),
];

/// StarRocks 3.x in its text format.
pub(crate) const STARROCKS_3: Form = &[
    ("Timestamp", "1704194151000"),
    ("Client", "10.0.0.3:4000"),
    ("User", "root"),
    ("AuthorizedUser", "'root'@'%'"),
    ("ResourceGroup", "default_wg"),
    ("Catalog", "default_catalog"),
    ("Db", "test"),
    ("State", "EOF"),
    ("ErrorCode", ""),
    ("Time", "0"),
    ("ScanBytes", "0"),
    ("ScanRows", "0"),
    ("ReturnRows", "1"),
    ("CpuCostNs", "0"),
    ("MemCostBytes", "0"),
    ("StmtId", "1"),
    ("QueryId", ""),
    ("IsQuery", "true"),
    ("feIp", "10.0.0.4"),
    ("Stmt", ""),
    ("Digest", ""),
    ("PlanCpuCost", "0.0"),
    ("PlanMemCost", "0.0"),
    ("PendingTimeMs", "-1"),
    ("NumSlots", "0"),
    ("Warehouse", "default_warehouse"),
    ("CandidateMVs", "null"),
    ("HitMvs", "null"),
    ("IsForwardToLeader", "false"),
];

/// Returns an audit record in the form of a version with some values replaced. `head` is the text before the first bar.
/// The line end is included.
pub(crate) fn record_of(form: Form, head: &str, values: &[(&str, &str)]) -> String {
    let mut record = format!("{head} ");
    for (key, default) in form {
        let value = values.iter().find(|(name, _)| name == key).map_or(default, |(_, value)| value);
        write!(record, "|{key}={value}").unwrap();
    }
    for (name, _) in values {
        assert!(form.iter().any(|(key, _)| key == name), "this version has no key {name}");
    }
    record + "\n"
}
