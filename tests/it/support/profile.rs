//! Profiles in the forms of several versions of Doris.

use std::fmt::Write as _;

use super::Form;

/// The summary of a profile in the order of Doris 2.1.
const SUMMARY: Form = &[
    ("Profile ID", ""),
    ("Task Type", "QUERY"),
    ("Start Time", "2024-01-02 11:15:50"),
    ("End Time", "2024-01-02 11:15:51"),
    ("Total", "950ms"),
    ("Task State", "EOF"),
    ("User", "root"),
    ("Default Catalog", "internal"),
    ("Default Db", "test"),
    ("Sql Statement", "select 1"),
];

/// The text between the summary and the operators of a profile of Doris 2.1.
const EXECUTION_SUMMARY: &str = "Execution Summary:
   - Parse SQL Time: 1ms
   - Nereids Analysis Time: 1ms
   - Nereids Rewrite Time: 1ms
   - Nereids Optimize Time: 1ms
   - Nereids Translate Time: 0ms
   - Workload Group: normal
   - Analysis Time: N/A
   - Plan Time: 4ms
     - JoinReorder Time: N/A
     - CreateSingleNode Time: N/A
     - QueryDistributed Time: N/A
   - Schedule Time: 6ms
   - Wait and Fetch Result Time: 930ms
   - Fetch Result Time: 929ms
   - Write Result Time: 0ms
   - Doris Version: doris-2.1.5
   - Is Nereids: Yes
   - Is Cached: No
   - Total Instances Num: 1
   - Trace ID: 

Changed Session Variables:
VarName        | CurrentValue | DefaultValue
---------------|--------------|-------------
enable_profile | true         | false       


 MergedProfile 
     Fragments:
";

/// The operators of a query without a table.
const OPERATORS: &str = "       Fragment 0:
         Pipeline : 0(instance_num=1):
            - WaitWorkerTime: avg 22.118us, max 22.118us, min 22.118us
           RESULT_SINK_OPERATOR (id=0):
              - ExecTime: avg 61.293us, max 61.293us, min 61.293us
              - InputRows: sum 1, avg 1, max 1, min 1
           UNION_OPERATOR (id=0 , nereids_id=9):
              - ExecTime: avg 9.104us, max 9.104us, min 9.104us
              - RowsProduced: sum 1, avg 1, max 1, min 1
";

/// Returns a profile of Doris 2.1 with some values of the summary replaced.
pub fn profile(id: &str, values: &[(&str, &str)]) -> String {
    profile_of(id, values, OPERATORS)
}

/// Returns the same with these fragments, which are indented by 7 spaces.
pub fn profile_of(id: &str, values: &[(&str, &str)], fragments: &str) -> String {
    let mut text = String::from("Summary:\n");
    for (key, default) in SUMMARY {
        let value = values.iter().find(|(name, _)| name == key).map_or(default, |(_, value)| value);
        let value = if *key == "Profile ID" { id } else { value };
        writeln!(text, "   - {key}: {value}").unwrap();
    }
    assert!(values.iter().all(|(name, _)| SUMMARY.iter().any(|(key, _)| key == name)));
    text + EXECUTION_SUMMARY
        + fragments
        + &format!(
            "\nExecution Profile {id}:(ExecTime: 929.117ms)\n  Fragments:\n  LoadChannels:\n"
        )
}

/// The summary of a profile in the order of Doris 0.15 to 1.2.
const OLD_SUMMARY: Form = &[
    ("Query ID", ""),
    ("Start Time", "2022-01-02 11:15:50"),
    ("End Time", "2022-01-02 11:15:51"),
    ("Total", "950ms"),
    ("Query Type", "Query"),
    ("Query State", "EOF"),
    ("Doris Version", "0.15.0-rc04"),
    ("User", "root"),
    ("Default Db", "default_cluster:test"),
    ("Sql Statement", "select 1"),
    ("Is Cached", "No"),
];

/// Returns a profile of Doris 0.15 to 1.2 with some values of the summary replaced.
pub fn old_profile(id: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::from("Query:\n  Summary:\n");
    for (key, default) in OLD_SUMMARY {
        let value = values.iter().find(|(name, _)| name == key).map_or(default, |(_, value)| value);
        let value = if *key == "Query ID" { id } else { value };
        writeln!(text, "     - {key}: {value}").unwrap();
    }
    assert!(values.iter().all(|(name, _)| OLD_SUMMARY.iter().any(|(key, _)| key == name)));
    let instance = "(Active: 9.482ms, % non-child: 0.02%)";
    text + &format!(
        "  Execution Profile {id}:(Active: 9.91ms, % non-child: 100.00%)\n    Fragment 0:\n      \
         Instance {id} (host=TNetworkAddress(hostname:10.0.0.3, port:9060)):{instance}\n         \
         - RowsProduced: 1\n        \
         VUNION (id=0):(Active: 11.104us, % non-child: 1.02%)\n           - RowsReturned: 1\n"
    )
}

/// Returns a time as counters of a profile print it: the digits after the dot are thousandths without leading zeros.
pub fn printed_time(us: u64) -> String {
    match us {
        ..1000 => format!("{us}.0us"),
        1000..1_000_000 => format!("{}.{}ms", us / 1000, us % 1000),
        _ => format!("{}sec{}ms", us / 1_000_000, us / 1000 % 1000),
    }
}

/// Returns a count as counters of a profile print it: from 1,000 on in short and in full.
pub fn printed_count(count: u64) -> String {
    match count {
        ..1000 => count.to_string(),
        1000..1_000_000 => format!("{}.{:03}K ({count})", count / 1000, count % 1000),
        _ => format!("{}.{:06}M ({count})", count / 1_000_000, count % 1_000_000),
    }
}

/// Returns a profile of Doris 4.0 of a join whose planner expected a tenth of the rows, with this table: a rule finds that.
pub fn profile_with_finding(table: &str) -> String {
    let text = include_str!("../../profiles/doris-4.0-join.txt");
    let (expected, named) = ("cardinality=30,000,000", "shop.orders(orders)");
    assert!(text.contains(expected) && text.contains(named));
    text.replace(expected, "cardinality=3,000,000").replace(named, table)
}
