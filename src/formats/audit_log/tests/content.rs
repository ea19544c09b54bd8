//! The field of each value of a record.

use super::{
    Write, doris1, doris2, doris2_1, doris4, parse, records, starrocks, starrocks_json, statement,
};
use crate::domain::record::Kind;
use crate::domain::time::{Zone, parse_instant_ms};
use crate::formats::{Item, ReadWarning, SkipReason};

#[test]
fn keys_of_every_version_have_their_columns() {
    let record = records(&(doris4("1-a", "select 1") + "\n")).remove(0);
    assert_eq!(
        (record.parse_time_ms, record.plan_time_ms, record.schedule_time_ms),
        (Some(1), Some(6), Some(2))
    );
    assert_eq!((record.cache_hit, record.compute_group.as_deref()), (Some(false), None));
    assert_eq!(record.chosen_views.as_deref(), Some("[\"internal.shop.sums\"]"));
    assert_eq!(record.trace_id.as_deref(), Some("job-7"));
    assert_eq!(
        record.changed_variables.as_deref(),
        Some("{\"session_context\":\"trace_id:job-7\"}")
    );
    assert_eq!(record.extra["SqlMode"], "ONLY_FULL_GROUP_BY");
    assert_eq!(record.extra["PlanTimesMs"], "{\"plan\":6,\"analyze\":4}");
    assert_eq!(record.ended_ms.unwrap() - record.started_ms.unwrap(), 9);
    let record = records(&(starrocks("1-a", "select 1") + "\n")).remove(0);
    assert_eq!((record.queue_time_ms, record.cpu_time_ms), (Some(15), Some(120)));
    assert_eq!(record.peak_memory_bytes, Some(9_437_184));
    assert_eq!(
        (record.workload_group.as_deref(), record.compute_group.as_deref()),
        (Some("etl"), Some("bi_wh"))
    );
    assert_eq!(
        (record.chosen_views.as_deref(), record.extra["AuthorizedUser"].as_str()),
        (Some("mv1"), "'bo'@'%'")
    );
    assert_eq!(
        (record.started_ms, record.ended_ms),
        (Some(1_767_460_199_503), Some(1_767_460_200_143))
    );
}

#[test]
fn loads_have_their_own_fields() {
    let log = "2024-01-02 11:15:51,248 [load] |JobId=7|Label=l|LoadType=BROKER|Db=d|TableList=t1,t2\
               |FilePathList=hdfs://a|BrokerUser=b|Timestamp=-1|LoadStartTime=1704190000000\
               |LoadFinishTime=1704190003000|ScanRows=1|ScanBytes=2|FileNumber=3\n\
               2024-01-02 11:15:51,248 [stream_load] |Label=s|Db=d|Table=t|User=u|ClientIp=1.2.3.4\
               |Status=Fail|Message=too many|Table=filtered rows|Url=http://e|TotalRows=5|LoadedRows=1\
               |FilteredRows=3|UnselectedRows=1|LoadBytes=9|StartTime=2024-01-02 11:15:50.000\
               |FinishTime=2024-01-02 11:15:50.500\n";
    let records = records(log);
    let (broker, stream) = (&records[0], &records[1]);
    assert_eq!((broker.query_id.as_str(), broker.kind), ("7", Kind::Load));
    assert_eq!((broker.started_ms, broker.duration_ms), (Some(1_704_190_000_000), Some(3000)));
    assert_eq!((broker.state.as_deref(), broker.scan_bytes), (Some("FINISHED"), Some(2)));
    let load = broker.load.as_ref().unwrap();
    assert_eq!((load.table_list.as_deref(), load.file_number), (Some("t1,t2"), Some(3)));
    assert_eq!((load.broker_user.as_deref(), load.label.as_deref()), (Some("b"), Some("l")));
    let load = stream.load.as_ref().unwrap();
    assert_eq!(load.message.as_deref(), Some("too many|Table=filtered rows"));
    assert_eq!((load.url.as_deref(), load.filtered_rows), (Some("http://e"), Some(3)));
    assert_eq!((stream.user.as_deref(), stream.client.as_deref()), (Some("u"), Some("1.2.3.4")));
    assert_eq!((stream.state.as_deref(), stream.duration_ms), (Some("Fail"), Some(500)));
}

#[test]
fn a_statement_without_an_id_and_its_slow_query_line_are_one() {
    let line = doris2_1("NaN", "set x = 1") + "\n";
    let slow = line.replace(",220 [query]", ",221 [slow_query]");
    let records = records(&format!("{line}{slow}"));
    assert_eq!(records[0].query_id, records[1].query_id);
    let other = line.replace("StmtId=31", "StmtId=32");
    let Item::Record { record, .. } = parse(other.as_bytes()).remove(0) else { panic!() };
    assert_ne!(record.query_id, records[0].query_id);
}

#[test]
fn starrocks_writes_json_and_its_own_zone() {
    // A new key is kept, and without a Timestamp the line's own time, with its zone, is the end.
    let log = starrocks_json("0199aa10-5c3e-7d21-9f00-0a1b2c3d4e5f", "select\n1")
        .replace("2026-01-03 17:10:00.716Z", "2024-01-02 11:15:51.248+08:00")
        .replace("\"Timestamp\":1767460199503,", "\"New\":{\"x\":1},");
    let record = records(&(log + "\n")).remove(0);
    assert_eq!(record.ended_ms, parse_instant_ms("2024-01-02 03:15:51.248", Zone::UTC));
    assert_eq!((record.statement.as_deref(), record.is_query), (Some("select\n1"), Some(true)));
    assert_eq!((record.duration_ms, record.extra["New"].as_str()), (Some(640), "{\"x\":1}"));
}

#[test]
fn a_value_that_is_no_number_is_kept_in_extra() {
    // No version writes such values, but a new one may.
    let log = doris2_1("1-2", "s").replace("ScanRows=40", "ScanRows=many");
    let log = log.replace("IsQuery=true", "IsQuery=perhaps");
    let record = records(&(log + "\n")).remove(0);
    assert_eq!((record.scan_rows, record.is_query), (None, None));
    assert_eq!(
        (record.extra["ScanRows"].as_str(), record.extra["IsQuery"].as_str()),
        ("many", "perhaps")
    );
}

#[test]
fn an_error_code_that_is_a_word_is_the_message_of_a_failure() {
    for (state, code, message, expected, extra) in [
        ("ERR", "ANALYSIS_ERR", "", Some("ANALYSIS_ERR"), None),
        ("ERR", "ANALYSIS_ERR", "no table", Some("no table"), Some("ANALYSIS_ERR")),
        ("EOF", "OTHER_ERR", "", None, Some("OTHER_ERR")),
        ("ERR", "1064", "", None, None),
    ] {
        let log = starrocks("1-a", "s")
            .replace("State=EOF|ErrorCode=", &format!("State={state}|ErrorCode={code}"));
        let record = records(&format!("{log}|ErrorMessage={message}\n")).remove(0);
        assert_eq!(record.error_message.as_deref(), expected, "{state} {code} {message}");
        assert_eq!(
            record.extra.get("ErrorCode").map(String::as_str),
            extra,
            "{state} {code} {message}"
        );
        assert_eq!(record.error_code, code.parse().ok());
    }
}

#[test]
fn placeholders_are_no_ids() {
    let ids = [
        "NaN", "null", "N/A", "0-0", "", "00000000-0000-0000-0000-000000000000",
        "0000000000000000-0000000000000000",
    ];
    let log: String = ids.iter().map(|id| doris2(id, &format!("set x = '{id}'")) + "\n").collect();
    let records = records(&log);
    let mut found: Vec<&str> = records.iter().map(|record| record.query_id.as_str()).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), ids.len());
    assert!(found.iter().all(|id| !ids.contains(id)));
}

#[test]
fn a_start_without_a_timestamp_is_a_guess() {
    let old = records(&(doris2("1-a", "s") + "\n")).remove(0);
    let written = parse_instant_ms("2025-07-02 10:00:06.220", Zone::UTC).unwrap();
    assert_eq!(
        (old.started_ms, old.ended_ms, old.is_start_estimated),
        (Some(written - 12), Some(written), true)
    );
    let late = records(&(doris4("1-a", "s") + "\n")).remove(0);
    assert!(!late.is_start_estimated);
    // A query that runs has not ended.
    let running = doris2("1-a", "s").replace("State=EOF", "State=RUNNING");
    let running = records(&(running + "\n")).remove(0);
    assert_eq!((running.started_ms, running.ended_ms), (Some(written - 12), None));
}

#[test]
fn names_of_old_clusters_and_wrapped_statements_are_bare() {
    let log = doris1("1-a", "s").replace("User=root", "User=default_cluster:ann");
    let record = records(&(log + "\n")).remove(0);
    assert_eq!((record.user.as_deref(), record.db.as_deref()), (Some("ann"), Some("test")));
    let wrapped = "OriginStatement{originStmt='insert into t values ('a', 'b|c')', idx=0}";
    for write in [doris2 as Write, doris2_1] {
        assert_eq!(statement(&write("1-a", wrapped)), "insert into t values ('a', 'b|c')");
    }
    assert_eq!(
        statement(&doris2_1("1-2", "OriginStatement{originStmt='select 1 ...")),
        "select 1 ..."
    );
}

#[test]
fn log_ins_are_records_of_their_own() {
    let text = "2026-01-03 17:10:00,716 [connection] |Client=10.0.0.3:40010|User=bo|AuthorizedUser='bo'@'%'|ResourceGroup=\
                |Catalog=|Db=shop|State=OK|ErrorCode=|QueryId=|IsQuery=false|feIp=10.0.0.2|Stmt=|Digest=\
                |Warehouse=default_warehouse|IsForwardToLeader=false\n\
                2026-01-03 17:10:01,716 [connection] |Client=10.0.0.3:40011|User=eve|AuthorizedUser=null|ResourceGroup=\
                |Db=null|State=ERR|ErrorCode=Access denied for user 'eve' (using password: YES)|QueryId=|IsQuery=false\
                |feIp=10.0.0.2|Stmt=|Digest=|PlanCpuCost=0.0\n\n";
    let json = "2026-01-03 17:10:00.716Z INFO (p|7) [AuditLog.log():68] {\"Client\":\"10.0.0.3:40010\",\"User\":\"bo\",\
                \"Db\":\"shop\",\"State\":\"OK\",\"ErrorCode\":\"\",\"QueryId\":\"\",\"IsQuery\":false,\"feIp\":\"10.0.0.2\",\
                \"Stmt\":\"\",\"Digest\":\"\",\"AuthorizedUser\":\"'bo'@'%'\"}\n";
    let logins = |log: &str| -> Vec<crate::domain::login::Login> {
        let login = |item| match item {
            Item::Login { login, foreign: None } => *login,
            other => panic!("{other:?}"),
        };
        parse(log.as_bytes()).into_iter().map(login).collect()
    };
    let found = logins(text);
    assert_eq!(found.len(), 2);
    assert_eq!(found, logins(text));
    assert_ne!(found[0].id, found[1].id);
    assert!(found[0].succeeded && !found[1].succeeded);
    assert_eq!(found[0].at_ms, parse_instant_ms("2026-01-03 17:10:00.716", Zone::UTC).unwrap());
    assert_eq!(
        (found[0].user.as_deref(), found[0].client.as_deref()),
        (Some("bo"), Some("10.0.0.3:40010"))
    );
    assert_eq!(
        (found[0].frontend.as_deref(), found[0].db.as_deref()),
        (Some("10.0.0.2"), Some("shop"))
    );
    assert_eq!(
        (&found[0].error_message, found[0].extra["AuthorizedUser"].as_str()),
        (&None, "'bo'@'%'")
    );
    assert_eq!(
        found[1].error_message.as_deref(),
        Some("Access denied for user 'eve' (using password: YES)")
    );
    assert_eq!(found[1].db, None);
    assert_eq!(logins(json)[0].id, found[0].id);
    let other = text.replace("[connection]", "[disconnection]");
    assert!(parse(other.as_bytes()).iter().all(|found| {
        matches!(found, Item::Skipped(skipped) if skipped.reason == SkipReason::OtherType)
    }));
}

#[test]
fn signs_of_a_misread_record_are_warnings() {
    let warnings = |log: &str| match parse(log.as_bytes()).remove(0) {
        Item::Record { warnings, .. } => warnings,
        other => panic!("{other:?}"),
    };
    assert_eq!(warnings(&(doris4("1-a", "s") + "\n")), []);
    let log = doris4("1-a", "s").replace("ErrorMessage=", "ErrorMessage=no|Time(ms)=x|");
    assert_eq!(warnings(&(log + "\n")), [ReadWarning::MessageHoldsFields]);
    let log = doris4("1-a", "s").replace("Timestamp=2026-02-03 10", "Timestamp=2026-02-03 18");
    let by_ms = 8 * 3_600_000 - 5_902;
    assert_eq!(warnings(&(log + "\n")), [ReadWarning::StartsAfterWritten { by_ms }]);
}
