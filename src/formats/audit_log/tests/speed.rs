//! Reading takes linear time.

use std::time::Duration;

use super::{Write, doris1, doris2, doris4, parse, starrocks};
use crate::domain::statement;
use crate::formats::Item;
use crate::growth::thread_time_ns;

/// How often a time is measured.
const TRIES: usize = 6;

/// Returns the processor time that work takes: what other processes do does not count.
fn time_of(work: impl FnOnce()) -> Duration {
    let start_ns = thread_time_ns();
    work();
    Duration::from_nanos(thread_time_ns() - start_ns)
}

/// Pieces of text that a reader may read again and again. `#` stands for a number that differs from piece to piece.
/// `unescape` has a test of what only the tokenizer sees.
const HOSTILE: [&str; 36] = [
    "|K#=1",
    "|K#='",
    "|K#=1\n",
    "|K#={",
    "|K#=1|CpuTimeMS=1",
    "|K#=1|Digest=a",
    "|K#=1|Time(ms)=1",
    "|",
    "=",
    "|Xy={\"a\":[1,",
    "|X={\"a\":1}",
    "|A=[{\"\n",
    "{",
    "\"",
    "'",
    "\r",
    "\r\n",
    "\n",
    " ",
    "--\\n",
    "\\",
    "\\n",
    "/*",
    "/*/**/",
    "(",
    "...",
    "/* truncated.",
    "2024-01-02 11:15:51,248 [query] ",
    "\n2024-01-02 11:15:51,248 [q",
    "|CpuTimeMS=1|Digest=a|Time(ms)=1",
    "|Digest=a|ErrorMessage=x",
    "|ErrorMessage=x|Time=1",
    "|Stmt=a",
    "|Url=a|Message=b",
    "|KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK",
    "OriginStatement{originStmt='",
];

/// Returns a log whose free texts, about `bytes` long together, are a piece repeated: statements and messages of every
/// dialect.
fn hostile_log(piece: &str, bytes: usize) -> String {
    let message = |id: &str, text: &str| {
        doris2(id, "s").replace("ErrorMessage=", &format!("ErrorMessage=no {text}"))
    };
    let message_after = |id: &str, text: &str| {
        let failed = starrocks(id, text).replace("State=EOF", "State=ERR");
        format!("{failed}|ErrorMessage=no {text}")
    };
    let no_row =
        |id: &str, text: &str| doris2(id, text).replace("|CpuTimeMS=3|SqlHash", "|SqlHash");
    let writes = [doris1 as Write, doris2, doris4, starrocks, message, message_after, no_row];
    let count = bytes / writes.len() / piece.len();
    let pieces: String = (0..count).map(|number| piece.replace('#', &number.to_string())).collect();
    let text = format!("select 1 -- {pieces}");
    writes.iter().map(|write| write("1-a", &text) + "\n").collect()
}

/// Does what a record costs on its way into a history.
fn take_in(log: &str) {
    for item in parse(log.as_bytes()) {
        let Item::Record { record, .. } = item else { continue };
        let statement = record.statement.as_deref().unwrap_or_default();
        statement::normalize(statement);
        statement::is_more_complete(statement, &format!("{statement} x"));
        assert!(record.is_same_statement(&record.clone()));
    }
}

#[test]
fn reading_is_linear() {
    for piece in HOSTILE {
        let logs = [80_000, 480_000].map(|bytes| hostile_log(piece, bytes));
        let (mut short, mut long) = (Duration::MAX, Duration::MAX);
        // Six times as long; 36 times if it were the square.
        let is_linear = (0..TRIES).any(|_| {
            short = short.min(time_of(|| take_in(&logs[0])));
            long = long.min(time_of(|| take_in(&logs[1])));
            long < short * 12 + Duration::from_millis(5)
        });
        assert!(is_linear, "{piece:?}: {short:?}, then {long:?}");
    }
}

#[test]
fn a_record_of_very_many_fields_is_read_at_once() {
    // The square of this would be minutes.
    let fields: String = (0..270_000).map(|number| format!("|K{number:06}=1")).collect();
    let log = doris2("1-a", &format!("select 1 -- {fields}")) + "\n";
    assert!(time_of(|| take_in(&log)) < Duration::from_secs(60));
}
