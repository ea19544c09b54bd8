//! Reading takes linear time.

use std::time::{Duration, Instant};

use super::{Write, doris2, doris4, parse, starrocks};

/// How often a time is measured.
const TRIES: usize = 6;

/// Returns the time that a log takes, without the time in which other processes have the processor.
fn time_of(log: &str) -> Duration {
    let (start, start_cpu) = (Instant::now(), cpu_time());
    assert!(!parse(log.as_bytes()).is_empty());
    let elapsed = start.elapsed();
    start_cpu.zip(cpu_time()).map_or(elapsed, |(start, end)| end.saturating_sub(start))
}

/// Returns the processor time of this thread so far, or None if the system is not Linux.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[test]
fn reading_is_linear() {
    let repeated = |piece: &str, bytes: usize| piece.repeat(bytes / piece.len());
    let numbered =
        |bytes: usize| (0..bytes / 11).map(|n| format!("|K{n:06}=1")).collect::<String>();
    for name in [
        "|Key000001=1|Key000002=1", "|Xy={\"a\":[1,", "|CpuTimeMS=1|Digest=a|Time(ms)=1",
        "|Digest=a|ErrorMessage=x", "|A=[{\"\\n",
    ] {
        let text =
            |bytes| if name.starts_with("|Key") { numbered(bytes) } else { repeated(name, bytes) };
        let message = |id: &str, text: &str| {
            doris2(id, "s").replace("ErrorMessage=", &format!("ErrorMessage=no {text}"))
        };
        let message_after = |id: &str, text: &str| {
            let failed = starrocks(id, text).replace("State=EOF", "State=ERR");
            format!("{failed}|ErrorMessage=no {text}")
        };
        for write in [doris2 as Write, doris4, starrocks, message, message_after] {
            let logs = [50_000, 200_000]
                .map(|bytes| write("1-a", &format!("select 1 -- {}", text(bytes))) + "\n");
            let (mut short, mut long) = (Duration::MAX, Duration::MAX);
            // Four times as long; sixteen times if it were the square.
            let is_linear = (0..TRIES).any(|_| {
                short = short.min(time_of(&logs[0]));
                long = long.min(time_of(&logs[1]));
                long < short * 8 + Duration::from_millis(40)
            });
            assert!(is_linear, "{name}: {short:?}, then {long:?}");
        }
    }
    // The square of this would be minutes.
    let log = doris2("1-a", &format!("select 1 -- {}", numbered(3_000_000))) + "\n";
    assert!(time_of(&log) < Duration::from_secs(60));
}
