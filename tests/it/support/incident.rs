//! Eight days of a cluster, as Doris 4.0 logs them. In the last hour, mira joins two large tables again and again, and the
//! planner expects a tenth of the rows. On the last day, one statement of the application takes five times as long.

use std::path::{Path, PathBuf};

use super::audit_log::{DORIS_4_0, record_of};

/// The query of the incident that has a profile.
pub const PROFILED: &str = "6b1d3f5a7c9e4b20-9a8c7e6d5b4f3a21";
/// The statement that got slower, and the statement of the incident.
pub const SLOWER: &str = "select count(*) from stock where sku =";
pub const HEAVY: &str =
    "select sum(o.price) from orders o join customers c on o.customer = c.id where o.price > 10";

/// What a query costs, and who runs it.
struct Run<'a> {
    user: &'a str,
    client: &'a str,
    table: &'a str,
    statement: &'a str,
    ms: u64,
    cpu_ms: u64,
    bytes: u64,
    rows: u64,
    memory: u64,
}

/// The log as it grows.
#[derive(Default)]
struct Log {
    text: String,
    queries: u64,
}

impl Log {
    /// Adds a query that starts `minutes` after midnight of a day.
    fn add(&mut self, day: &str, minutes: u64, id: Option<&str>, run: &Run<'_>) {
        self.queries += 1;
        let random = self.queries.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let drawn = format!("{random:016x}-{:016x}", random.rotate_left(23) ^ self.queries);
        let second = if id.is_some() { 0 } else { random >> 40 & 31 };
        let start = format!("{day} {:02}:{:02}:{second:02}", minutes / 60, minutes % 60);
        let ended_ms = second * 1000 + run.ms;
        let (late, ms) = (ended_ms / 1000, ended_ms % 1000);
        let (minutes, second) = (minutes + late / 60, late % 60);
        let written = format!("{day} {:02}:{:02}:{second:02},{ms:03}", minutes / 60, minutes % 60);
        self.text += &record_of(
            DORIS_4_0,
            &format!("{written} [query]"),
            &[
                ("QueryId", id.unwrap_or(&drawn)),
                ("Timestamp", &format!("{start}.000")),
                ("Client", &format!("{}:{}", run.client, 40_000 + self.queries % 999)),
                ("User", run.user),
                ("FeIp", "10.0.0.2"),
                ("Db", "shop"),
                ("Time(ms)", &run.ms.to_string()),
                ("CpuTimeMS", &run.cpu_ms.to_string()),
                ("PeakMemoryBytes", &run.memory.to_string()),
                ("ScanBytes", &run.bytes.to_string()),
                ("ScanRows", &run.rows.to_string()),
                ("queriedTablesAndViews", &format!("[{}]", run.table)),
                ("StmtId", &self.queries.to_string()),
                ("WorkloadGroup", "normal"),
                ("Stmt", run.statement),
            ],
        );
    }
}

/// Writes the log and the profile below a folder. Returns the folder of both.
pub fn incident(folder: &Path) -> PathBuf {
    let mut log = Log::default();
    let days: Vec<String> = (27..=31)
        .map(|day| format!("2025-10-{day}"))
        .chain((1..=3).map(|day| format!("2025-11-0{day}")))
        .collect();
    for day in &days {
        let is_last = day == "2025-11-03";
        let end = if is_last { 15 * 60 } else { 18 * 60 };
        for minutes in (8 * 60..end).step_by(2) {
            every_day(&mut log, day, minutes, is_last);
            if is_last && minutes >= 14 * 60 {
                let is_profiled = minutes == 14 * 60 + 58;
                let run = Run {
                    user: "mira",
                    client: "10.4.0.9",
                    table: "\"internal.shop.orders\",\"internal.shop.customers\"",
                    statement: HEAVY,
                    ms: if is_profiled { 10_240 } else { 9_600 + minutes % 7 * 40 },
                    cpu_ms: if is_profiled { 402_000 } else { 380_000 + minutes % 7 * 900 },
                    bytes: 80 << 30,
                    rows: 640_000_000,
                    memory: 9 << 30,
                };
                log.add(day, minutes, is_profiled.then_some(PROFILED), &run);
            }
        }
    }
    let input = folder.join("incident");
    std::fs::create_dir(&input).unwrap();
    std::fs::write(input.join("fe.audit.log"), log.text).unwrap();
    let profile = include_str!("../../profiles/doris-4.0-join.txt")
        .replace("2025-11-03 09:00:00", "2025-11-03 14:58:00")
        .replace("2025-11-03 09:00:10", "2025-11-03 14:58:10")
        .replace("cardinality=30,000,000", "cardinality=3,000,000");
    assert!(profile.contains(PROFILED) && profile.contains(HEAVY));
    std::fs::write(input.join("profile.txt"), profile).unwrap();
    input
}

/// Adds what the cluster does every day.
fn every_day(log: &mut Log, day: &str, minutes: u64, is_last: bool) {
    let jitter = minutes * 7 % 23;
    let slow = if is_last && minutes >= 14 * 60 { 3 } else { 1 };
    if minutes.is_multiple_of(10) {
        let statement =
            format!("select day, sum(amount) from payments where day = '{day}' group by day");
        let ms = (120 + jitter) * slow;
        let table = "\"internal.shop.payments\"";
        log.add(
            day,
            minutes,
            None,
            &Run {
                user: "dash",
                client: "10.4.0.7",
                table,
                statement: &statement,
                ms,
                cpu_ms: 900 + jitter,
                bytes: 48 << 20,
                rows: 2_000_000,
                memory: 64 << 20,
            },
        );
    }
    if minutes % 14 == 4 {
        let statement = format!("{SLOWER} {}", 1000 + minutes);
        let (ms, rows) =
            if is_last { (1000 + jitter * 5, 5_000_000) } else { (200 + jitter, 1_000_000) };
        let table = "\"internal.shop.stock\"";
        log.add(
            day,
            minutes,
            None,
            &Run {
                user: "app",
                client: "10.4.0.8",
                table,
                statement: &statement,
                ms,
                cpu_ms: ms * 3,
                bytes: rows * 8,
                rows,
                memory: 8 << 20,
            },
        );
    }
    if minutes % 60 == 30 {
        let statement = "insert into daily select day, sum(amount) from payments group by day";
        let table = "\"internal.shop.payments\"";
        log.add(
            day,
            minutes,
            None,
            &Run {
                user: "etl",
                client: "10.4.0.6",
                table,
                statement,
                ms: 20_000 + jitter * 50,
                cpu_ms: 60_000,
                bytes: 6 << 30,
                rows: 250_000_000,
                memory: 1 << 30,
            },
        );
    }
}
