//! The generated history: statements of 300 bytes on average, of many shapes with a long tail. Each run generates the
//! same bytes.

use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

/// The start of the generated history, and the time from one query to the next.
pub(crate) const FIRST_MS: u64 = 1_704_067_200_000;
pub(crate) const STEP_MS: u64 = 20;

/// The number of the one query whose statement contains [`RARE_TEXT`].
const RARE_QUERY: u64 = 75_000;
pub(crate) const RARE_TEXT: &str = "needle_in_the_haystack";

/// The log and the statements have seeds of their own, so that they differ from ids and profiles.
const LOG_SEED: u64 = 42 << 40;
const QUERY_SEED: u64 = 43 << 40;

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

pub(crate) fn query_id(number: u64) -> String {
    let mut random = Random(number);
    format!("{:x}-{:x}", random.next(), random.next())
}

/// The fields of a query that its log record, its pushed record and its profile share.
pub(crate) struct Query {
    pub(crate) statement: String,
    pub(crate) shape: u64,
    pub(crate) duration_ms: u64,
    pub(crate) user: u64,
    pub(crate) db: u64,
}

impl Query {
    pub(crate) fn new(number: u64) -> Query {
        let mut random = Random(number ^ QUERY_SEED);
        let (mut statement, shape) = statement(&mut random);
        if number == RARE_QUERY {
            statement.push_str(" -- ");
            statement.push_str(RARE_TEXT);
        }
        let (duration_ms, user, db) = (random.below(5000), random.below(40), random.below(20));
        Query { statement, shape, duration_ms, user, db }
    }
}

/// Returns a statement and the number of its shape.
fn statement(random: &mut Random) -> (String, u64) {
    // Half of all statements have one of 20 shapes.
    let shape = match random.below(2) {
        0 => random.below(20),
        _ => random.below(5000),
    };
    let mut statement = format!(
        "select c_{}, count(*), sum(v_{shape}) from orders_{} o join lineitem l on o.id = l.oid \
         where o.ts >= '2024-01-{:02}' and l.price > {} and o.region in (",
        shape % 50,
        shape % 997,
        1 + random.below(28),
        random.below(1_000_000)
    );
    for _ in 0..random.below(40) {
        write!(statement, "'r{}', ", random.below(1000)).unwrap();
    }
    write!(statement, "'') group by c_{} order by 2 desc limit {}", shape % 50, shape % 100)
        .unwrap();
    (statement, shape)
}

/// Writes the audit log of these queries as Doris 2.1 does.
pub(crate) fn write_log(path: &Path, queries: Range<u64>) {
    let mut log = BufWriter::new(std::fs::File::create(path).unwrap());
    for number in queries {
        let ms = FIRST_MS + number * STEP_MS;
        let time = chrono::DateTime::from_timestamp_millis(ms as i64).unwrap();
        let time = time.format("%Y-%m-%d %H:%M:%S,%3f");
        let mut random = Random(number ^ LOG_SEED);
        let Query { statement, shape, duration_ms, user, db } = Query::new(number);
        let scan_bytes = random.below(1_000_000_000);
        let local_bytes = scan_bytes / 8 * random.below(9);
        writeln!(
            log,
            "{time} [query] |Client=10.0.{}.{}:{}|User=user{user}|Ctl=internal|Db=db{db}|State=EOF\
             |ErrorCode=0|ErrorMessage=|Time(ms)={duration_ms}|ScanBytes={scan_bytes}|ScanRows={}\
             |ReturnRows={}|StmtId={number}|QueryId={}|IsQuery=true|isNereids=true|feIp=10.16.10.{}\
             |StmtType=SELECT|Stmt={statement}|CpuTimeMS={}|ShuffleSendBytes={}|ShuffleSendRows={}\
             |SqlHash={shape:032x}|peakMemoryBytes={}|SqlDigest=|cloudClusterName=UNKNOWN|TraceId=\
             |WorkloadGroup=normal|FuzzyVariables=|scanBytesFromLocalStorage={local_bytes}\
             |scanBytesFromRemoteStorage={}",
            random.below(4),
            random.below(250),
            1024 + random.below(60_000),
            random.below(10_000_000),
            random.below(1000),
            query_id(number),
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

/// Returns the records of these queries as the body of a push.
pub(crate) fn push_body(numbers: Range<u64>) -> String {
    let mut rows = String::new();
    let mut random = Random(numbers.start);
    for number in numbers {
        let Query { statement, shape, duration_ms, user, db } = Query::new(number);
        writeln!(
            rows,
            "{{\"query_id\":\"{}\",\"time\":{},\"query_time\":{duration_ms},\"user\":\"user{user}\",\"db\":\"db{db}\",\
             \"state\":\"EOF\",\"client_ip\":\"10.0.0.1:5000\",\"scan_rows\":{},\"scan_bytes\":{},\
             \"return_rows\":{},\"is_query\":true,\"sql_hash\":\"{shape:032x}\",\"stmt\":\"{statement}\"}}",
            query_id(number),
            FIRST_MS + number * STEP_MS - duration_ms,
            random.below(10_000_000),
            random.below(1_000_000_000),
            random.below(1000),
        )
        .unwrap();
    }
    rows
}
