//! The generated profiles: Doris 2.1 at profile level 1, 20 KB on average. Each run generates the same bytes.

use std::fmt::Write as _;

use crate::generator::{FIRST_MS, Query, Random, STEP_MS, query_id};

const OPERATORS: [&str; 6] = [
    "RESULT_SINK_OPERATOR", "AGGREGATION_SINK_OPERATOR", "HASH_JOIN_OPERATOR",
    "LOCAL_EXCHANGE_OPERATOR", "EXCHANGE_OPERATOR", "OLAP_SCAN_OPERATOR",
];

/// Counters that are zero in a usual query. A scan prints all of them, another operator only the first ones.
const IDLE_TIMES: [&str; 4] =
    ["WaitForRuntimeFilter", "SpillTotalTime", "SpillWriteTime", "SpillReadTime"];
const IDLE_COUNTS: [&str; 10] = [
    "RowsDelFiltered", "RowsKeyRangeFiltered", "RowsShortCircuitPredFiltered",
    "RowsVectorPredFiltered", "RowsStatsFiltered", "RowsBloomFilterFiltered", "RowsDictFiltered",
    "RowsZoneMapRuntimePredicateFiltered", "NumRemoteIOTotal", "RemoteOnlyReads",
];

/// Returns the profile of a query.
pub(crate) fn profile_text(number: u64) -> String {
    let mut random = Random(number ^ 0x5eed);
    let mut text = summary(number, &mut random);
    let mut fragment = 0;
    let mut rows = random.below(1_000_000);
    // Most profiles are short and some are long, as on a cluster.
    while fragment == 0 || (fragment < 16 && random.below(48) < 31) {
        writeln!(text, "       Fragment {fragment}:\n         Pipeline : 0(instance_num=8):")
            .unwrap();
        for (depth, operator) in OPERATORS.iter().enumerate() {
            let nereids_id = random.below(99);
            writeln!(text, "           {operator} (id={depth} , nereids_id={nereids_id}):")
                .unwrap();
            write_times(&mut text, &mut random);
            // The rows that an operator reads are the rows that the operator below produces.
            let produced = rows;
            if depth % 2 == 0 {
                rows = rows * (2 + random.below(5)) % 10_000_000;
            }
            let memory_mb = random.below(64);
            write_counts(&mut text, produced, rows, memory_mb);
            write_idle_counters(&mut text, operator.contains("SCAN"));
        }
        fragment += 1;
    }
    text
}

/// Returns the text before the operators.
fn summary(number: u64, random: &mut Random) -> String {
    let query = Query::new(number);
    let time = |ms: u64| {
        let time = chrono::DateTime::from_timestamp_millis(ms as i64).unwrap();
        time.format("%Y-%m-%d %H:%M:%S").to_string()
    };
    let total = match query.duration_ms {
        ms @ ..1000 => format!("{ms}ms"),
        ms => format!("{}sec{}ms", ms / 1000, ms % 1000),
    };
    let ended_ms = FIRST_MS + number * STEP_MS;
    let summary = format!(
        "Summary:\n   - Profile ID: {}\n   - Task Type: QUERY\n   - Start Time: {}\n   \
         - End Time: {}\n   - Total: {total}\n   - Task State: EOF\n   - User: user{}\n   \
         - Default Catalog: internal\n   - Default Db: db{}\n   - Sql Statement: {}\n",
        query_id(number),
        time(ended_ms - query.duration_ms),
        time(ended_ms),
        query.user,
        query.db,
        query.statement,
    );
    summary + &execution_summary(query.duration_ms, random)
}

fn execution_summary(duration_ms: u64, random: &mut Random) -> String {
    let (planning, scheduling) = (random.below(90), random.below(30));
    let fetching = duration_ms.saturating_sub(planning + scheduling);
    format!(
        "Execution Summary:\n   - Parse SQL Time: {}ms\n   - Nereids Analysis Time: {}ms\n   \
         - Nereids Rewrite Time: {}ms\n   - Nereids Optimize Time: {}ms\n   \
         - Nereids Translate Time: {}ms\n   - Workload Group: normal\n   - Analysis Time: N/A\n   \
         - Plan Time: {planning}ms\n     - JoinReorder Time: N/A\n     - CreateSingleNode Time: N/A\n     \
         - QueryDistributed Time: N/A\n   - Schedule Time: {scheduling}ms\n     \
         - Fragment Assign Time: 0ms\n     - Fragment Serialize Time: 1ms\n     \
         - Fragment RPC Phase1 Time: {}ms\n     - Fragment RPC Phase2 Time: 0ms\n     \
         - Fragment Compressed Size: {}.00 KB\n     - Fragment RPC Count: 2\n   \
         - Wait and Fetch Result Time: {fetching}ms\n   - Fetch Result Time: {fetching}ms\n   - Write Result Time: 0ms\n   \
         - Doris Version: doris-2.1.5\n   - Is Nereids: Yes\n   - Is Cached: No\n   \
         - Total Instances Num: 24\n   - Instances Num Per BE: 10.16.10.11:8060:24\n   \
         - Parallel Fragment Exec Instance Num: 8\n   - Trace ID: \n   - Transaction Commit Time: N/A\n\n\
         Changed Session Variables:\nVarName        | CurrentValue | DefaultValue\n\
         ---------------|--------------|-------------\nenable_profile | true         | false       \n\n\n \
         MergedProfile \n     Fragments:\n",
        random.below(9),
        planning / 3,
        planning / 3,
        planning / 4,
        planning / 12,
        scheduling / 2,
        2 + random.below(9),
    )
}

fn write_counter(text: &mut String, counter: &str, value: &str) {
    writeln!(text, "              - {counter}: {value}").unwrap();
}

fn write_times(text: &mut String, random: &mut Random) {
    // Doris prints the thousandths without leading zeros.
    let us = |ns| format!("{}.{}us", ns / 1000, ns % 1000);
    for counter in ["ExecTime", "WaitForDependencyTime"] {
        let min = random.below(400_000);
        let (avg, max) = (min + random.below(200_000), min + 200_000 + random.below(200_000));
        let value = format!("avg {}, max {}, min {}", us(avg), us(max), us(min));
        write_counter(text, counter, &value);
    }
    for counter in ["InitTime", "OpenTime", "CloseTime"] {
        let ns = 10 + random.below(90) * 10;
        let value = format!("avg {ns}ns, max {}ns, min {}ns", ns + 80, ns / 2);
        write_counter(text, counter, &value);
    }
}

fn write_counts(text: &mut String, produced: u64, input: u64, memory_mb: u64) {
    let printed = |count: u64| match count {
        ..1000 => count.to_string(),
        1000..1_000_000 => format!("{}.{:03}K ({count})", count / 1000, count % 1000),
        _ => format!("{}.{:06}M ({count})", count / 1_000_000, count % 1_000_000),
    };
    let of_eight = |sum: u64| {
        let avg = sum / 8;
        let (sum, max, avg) = (printed(sum), printed(avg + avg / 9), printed(avg));
        format!("sum {sum}, avg {avg}, max {max}, min {avg}")
    };
    write_counter(text, "RowsProduced", &of_eight(produced));
    write_counter(text, "BlocksProduced", &of_eight(produced / 4064));
    write_counter(text, "InputRows", &of_eight(input));
    let (sum, avg) = (format!("{memory_mb}.00 MB"), format!("{}.00 MB", memory_mb / 8));
    let value = format!("sum {sum}, avg {avg}, max {avg}, min {avg}");
    write_counter(text, "MemoryUsagePeak", &value);
}

fn write_idle_counters(text: &mut String, is_scan: bool) {
    for counter in &IDLE_TIMES[..if is_scan { 4 } else { 2 }] {
        write_counter(text, counter, "avg 0ns, max 0ns, min 0ns");
    }
    for counter in &IDLE_COUNTS[..if is_scan { 10 } else { 1 }] {
        write_counter(text, counter, "sum 0, avg 0, max 0, min 0");
    }
}
