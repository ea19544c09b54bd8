//! Generated data, the same at each run: an audit log and profiles in the form of Doris 2.1.

use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::{FIRST_MS, ODD, ONCE, STEP_MS};

/// Returns the id of a query.
pub(crate) fn id(number: u64) -> String {
    let mut random = Random(number);
    format!("{:x}-{:x}", random.next(), random.next())
}

const OPERATORS: [&str; 6] = [
    "RESULT_SINK_OPERATOR", "AGGREGATION_SINK_OPERATOR", "HASH_JOIN_OPERATOR",
    "LOCAL_EXCHANGE_OPERATOR", "EXCHANGE_OPERATOR", "OLAP_SCAN_OPERATOR",
];
/// Counters that are zero in most queries: a scan has all of them, another operator the first few.
const IDLE_TIMES: [&str; 4] =
    ["WaitForRuntimeFilter", "SpillTotalTime", "SpillWriteTime", "SpillReadTime"];
const IDLE_COUNTS: [&str; 10] = [
    "RowsDelFiltered", "RowsKeyRangeFiltered", "RowsShortCircuitPredFiltered",
    "RowsVectorPredFiltered", "RowsStatsFiltered", "RowsBloomFilterFiltered", "RowsDictFiltered",
    "RowsZoneMapRuntimePredicateFiltered", "NumRemoteIOTotal", "RemoteOnlyReads",
];

/// Returns the profile of a query of the log, in the form of Doris 2.1 at its level 1, of 20 KB on average.
pub(crate) fn profile(number: u64) -> String {
    let mut random = Random(number ^ 0x5eed);
    let mut text = profile_summary(number, &mut random);
    let mut fragment = 0;
    let mut rows = random.below(1_000_000);
    // As in a cluster, most profiles are short, and some are long.
    while fragment == 0 || (fragment < 16 && random.below(48) < 31) {
        writeln!(text, "       Fragment {fragment}:\n         Pipeline : 0(instance_num=8):")
            .unwrap();
        for (depth, operator) in OPERATORS.iter().enumerate() {
            write_operator(&mut text, &mut random, (depth, operator), &mut rows);
        }
        fragment += 1;
    }
    text
}

/// Returns the part of a profile above the fragments.
fn profile_summary(number: u64, random: &mut Random) -> String {
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
    let (planning, scheduling) = (random.below(90), random.below(30));
    format!(
        "Summary:\n   - Profile ID: {}\n   - Task Type: QUERY\n   - Start Time: {}\n   \
         - End Time: {}\n   - Total: {total}\n   - Task State: EOF\n   - User: user{}\n   \
         - Default Catalog: internal\n   - Default Db: db{}\n   - Sql Statement: {}\n\
         Execution Summary:\n   - Parse SQL Time: {}ms\n   - Nereids Analysis Time: {}ms\n   \
         - Nereids Rewrite Time: {}ms\n   - Nereids Optimize Time: {}ms\n   \
         - Nereids Translate Time: {}ms\n   - Workload Group: normal\n   - Analysis Time: N/A\n   \
         - Plan Time: {planning}ms\n     - JoinReorder Time: N/A\n     - CreateSingleNode Time: N/A\n     \
         - QueryDistributed Time: N/A\n   - Schedule Time: {scheduling}ms\n     \
         - Fragment Assign Time: 0ms\n     - Fragment Serialize Time: 1ms\n     \
         - Fragment RPC Phase1 Time: {}ms\n     - Fragment RPC Phase2 Time: 0ms\n     \
         - Fragment Compressed Size: {}.00 KB\n     - Fragment RPC Count: 2\n   \
         - Wait and Fetch Result Time: {}ms\n   - Fetch Result Time: {}ms\n   - Write Result Time: 0ms\n   \
         - Doris Version: doris-2.1.5\n   - Is Nereids: Yes\n   - Is Cached: No\n   \
         - Total Instances Num: 24\n   - Instances Num Per BE: 10.16.10.11:8060:24\n   \
         - Parallel Fragment Exec Instance Num: 8\n   - Trace ID: \n   - Transaction Commit Time: N/A\n\n\
         Changed Session Variables:\nVarName        | CurrentValue | DefaultValue\n\
         ---------------|--------------|-------------\nenable_profile | true         | false       \n\n\n \
         MergedProfile \n     Fragments:\n",
        id(number),
        time(ended_ms - query.duration_ms),
        time(ended_ms),
        query.user,
        query.db,
        query.statement,
        random.below(9),
        planning / 3,
        planning / 3,
        planning / 4,
        planning / 12,
        scheduling / 2,
        2 + random.below(9),
        query.duration_ms.saturating_sub(planning + scheduling),
        query.duration_ms.saturating_sub(planning + scheduling),
    )
}

/// Writes an operator with its counters. `rows` are those that the operator above needs.
fn write_operator(
    text: &mut String,
    random: &mut Random,
    (depth, operator): (usize, &str),
    rows: &mut u64,
) {
    let nereids_id = random.below(99);
    writeln!(text, "           {operator} (id={depth} , nereids_id={nereids_id}):").unwrap();
    let mut line = |counter: &str, value: &str| {
        writeln!(text, "              - {counter}: {value}").unwrap();
    };
    for counter in ["ExecTime", "WaitForDependencyTime"] {
        let least = random.below(400_000);
        let (average, most) =
            (least + random.below(200_000), least + 200_000 + random.below(200_000));
        // Thousandths, without the zeros in front of them.
        let us = |ns| format!("{}.{}us", ns / 1000, ns % 1000);
        let value = format!("avg {}, max {}, min {}", us(average), us(most), us(least));
        line(counter, &value);
    }
    for counter in ["InitTime", "OpenTime", "CloseTime"] {
        let ns = 10 + random.below(90) * 10;
        line(counter, &format!("avg {ns}ns, max {}ns, min {}ns", ns + 80, ns / 2));
    }
    // The input of an operator is the output of the one below.
    line("RowsProduced", &spread(*rows));
    line("BlocksProduced", &spread(*rows / 4064));
    if depth % 2 == 0 {
        *rows = *rows * (2 + random.below(5)) % 10_000_000;
    }
    line("InputRows", &spread(*rows));
    let memory = random.below(64);
    let (all, part) = (format!("{memory}.00 MB"), format!("{}.00 MB", memory / 8));
    line("MemoryUsagePeak", &format!("sum {all}, avg {part}, max {part}, min {part}"));
    let is_scan = operator.contains("SCAN");
    for counter in &IDLE_TIMES[..if is_scan { 4 } else { 2 }] {
        line(counter, "avg 0ns, max 0ns, min 0ns");
    }
    for counter in &IDLE_COUNTS[..if is_scan { 10 } else { 1 }] {
        line(counter, "sum 0, avg 0, max 0, min 0");
    }
}

/// Returns a counter of eight instances.
fn spread(sum: u64) -> String {
    let printed = |count: u64| match count {
        ..1000 => count.to_string(),
        1000..1_000_000 => format!("{}.{:03}K ({count})", count / 1000, count % 1000),
        _ => format!("{}.{:06}M ({count})", count / 1_000_000, count % 1_000_000),
    };
    let part = sum / 8;
    let (sum, most, part) = (printed(sum), printed(part + part / 9), printed(part));
    format!("sum {sum}, avg {part}, max {most}, min {part}")
}

/// Writes an audit log in the form of Doris 2.1, with statements of 300 bytes on average. Half of them have one of
/// 20 fingerprints, the others one of 5,000.
pub(crate) fn write_log(path: &Path, queries: std::ops::Range<u64>) {
    let mut log = BufWriter::new(std::fs::File::create(path).unwrap());
    for number in queries {
        let ms = FIRST_MS + number * STEP_MS;
        let time = chrono::DateTime::from_timestamp_millis(ms as i64).unwrap();
        let time = time.format("%Y-%m-%d %H:%M:%S,%3f");
        let mut random = Random(number ^ LOG_SEED);
        let Query { statement, pattern, duration_ms, user, db } = Query::new(number);
        let scan_bytes = random.below(1_000_000_000);
        let local_bytes = scan_bytes / 8 * random.below(9);
        writeln!(
            log,
            "{time} [query] |Client=10.0.{}.{}:{}|User=user{user}|Ctl=internal|Db=db{db}|State=EOF\
             |ErrorCode=0|ErrorMessage=|Time(ms)={duration_ms}|ScanBytes={scan_bytes}|ScanRows={}\
             |ReturnRows={}|StmtId={number}|QueryId={}|IsQuery=true|isNereids=true|feIp=10.16.10.{}\
             |StmtType=SELECT|Stmt={statement}|CpuTimeMS={}|ShuffleSendBytes={}|ShuffleSendRows={}\
             |SqlHash={pattern:032x}|peakMemoryBytes={}|SqlDigest=|cloudClusterName=UNKNOWN|TraceId=\
             |WorkloadGroup=normal|FuzzyVariables=|scanBytesFromLocalStorage={local_bytes}\
             |scanBytesFromRemoteStorage={}",
            random.below(4),
            random.below(250),
            1024 + random.below(60_000),
            random.below(10_000_000),
            random.below(1000),
            id(number),
            random.below(5),
            random.below(5000),
            random.below(10_000_000),
            random.below(100_000),
            random.below(1_000_000_000),
            scan_bytes - local_bytes,
        )
        .unwrap();
    }
    log.flush().unwrap();
}

/// Seeds that differ from those of ids and profiles.
pub(crate) const LOG_SEED: u64 = 42 << 40;

pub(crate) const QUERY_SEED: u64 = 43 << 40;

/// What the log and the profile of a query have in common.
pub(crate) struct Query {
    pub(crate) statement: String,
    pub(crate) pattern: u64,
    pub(crate) duration_ms: u64,
    pub(crate) user: u64,
    pub(crate) db: u64,
}

impl Query {
    pub(crate) fn new(number: u64) -> Query {
        let mut random = Random(number ^ QUERY_SEED);
        let mut statement = String::new();
        let pattern = write_statement(&mut statement, &mut random);
        if number == ODD {
            statement.push_str(" -- ");
            statement.push_str(ONCE);
        }
        let (duration_ms, user, db) = (random.below(5000), random.below(40), random.below(20));
        Query { statement, pattern, duration_ms, user, db }
    }
}

/// Writes a statement. Returns the number of its normalized statement.
pub(crate) fn write_statement(statement: &mut String, random: &mut Random) -> u64 {
    let pattern = match random.below(2) {
        0 => random.below(20),
        _ => random.below(5000),
    };
    statement.clear();
    write!(
        statement,
        "select c_{}, count(*), sum(v_{pattern}) from orders_{} o join lineitem l on o.id = l.oid \
         where o.ts >= '2024-01-{:02}' and l.price > {} and o.region in (",
        pattern % 50,
        pattern % 997,
        1 + random.below(28),
        random.below(1_000_000)
    )
    .unwrap();
    for _ in 0..random.below(40) {
        write!(statement, "'r{}', ", random.below(1000)).unwrap();
    }
    write!(statement, "'') group by c_{} order by 2 desc limit {}", pattern % 50, pattern % 100)
        .unwrap();
    pattern
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
