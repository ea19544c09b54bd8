//! `annals export`: queries for other programs, as a stream.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::READING;
use super::args::{FilterArgs, History, ReadArgs, column_names, plain};
use super::output::{WRITING, json_escaped, visible};
use crate::domain::filter::QueryFilter;
use crate::domain::record::{Kind, QueryRecord};
use crate::domain::time::Zone;
use crate::store::{StoreError, StoredQuery};

/// Write queries for other programs, newest first
///
/// Statements are complete. Memory does not grow with the number of queries.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// The format of the output
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    /// A line of names, then a line for each query. A text that a spreadsheet would run as a formula gets an apostrophe
    /// before it
    Csv,
    /// An object a line, with the columns that `annals show` prints
    Ndjson,
    /// An audit log as Doris writes it. Only this format is without loss: annals import reads it with the same
    /// --time-zone
    Audit,
}

/// Queries that are read at once.
const PAGE: u32 = 200;
/// Longer statements are cut in lists, in characters.
const LISTED: usize = 65_536;

/// Runs the command.
pub async fn run(args: ExportArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open().await?;
    let mut filter = args.filters.filter(history.zone, PAGE)?;
    let mut output = BufWriter::new(io::stdout().lock());
    let to_terminal = history.output.is_terminal();
    let mut written = Ok(());
    if args.format == Format::Csv {
        written = csv_row(&mut output, column_names());
    }
    let mut lost = 0_u64;
    while written.is_ok() {
        let page = next_page(&history, &mut filter, &mut lost).await?;
        let is_last = page.len() < filter.limit as usize;
        filter.after = page.last().map(StoredQuery::cursor);
        filter.limit = PAGE.min(filter.limit * 2);
        written = page.iter().try_for_each(|query| {
            let mut line = Vec::new();
            write(&mut line, query, args.format, history.zone)?;
            if to_terminal {
                line = visible(&String::from_utf8_lossy(&line)).into_bytes();
            }
            output.write_all(&line)
        });
        if is_last {
            break;
        }
    }
    match written.and_then(|()| output.flush()) {
        // The reader has gone.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        written => written.context(WRITING)?,
    }
    if lost > 0 {
        eprintln!(
            "annals: {lost} or more queries cannot be read: the history is damaged; `annals salvage` saves what can be read"
        );
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the next page that can be read, an empty one behind the last. Counts the queries before it that are damaged.
async fn next_page(
    history: &History,
    filter: &mut QueryFilter,
    lost: &mut u64,
) -> anyhow::Result<Vec<StoredQuery>> {
    loop {
        match page(history, filter).await {
            // A smaller page may end before the damage.
            Err(error) if error.is_damage() && filter.limit > 1 => filter.limit /= 2,
            Err(error) if error.is_damage() => {
                *lost += 1;
                // Without the index, nobody knows where to go on.
                let place = history.store.place_behind_next(filter).await.ok().flatten();
                let Some(place) = place else { return Ok(Vec::new()) };
                filter.after = Some(place);
            }
            page => return page.context(READING),
        }
    }
}

/// Reads a page of queries with their complete statements.
async fn page(history: &History, filter: &QueryFilter) -> Result<Vec<StoredQuery>, StoreError> {
    let mut page = history.store.records(filter, None).await?;
    for query in &mut page {
        let is_cut =
            query.statement.as_ref().is_some_and(|it| it.chars().nth(LISTED - 1).is_some());
        if is_cut {
            query.record.statement = history.store.statement(&query.query_id, None).await?;
        }
    }
    Ok(page)
}

fn csv_row<C: AsRef<[u8]>>(output: &mut impl Write, cells: Vec<C>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(output);
    writer.write_record(cells)?;
    writer.flush()
}

/// Returns a value as a cell of CSV. Spreadsheets run a text that begins as a formula does, so such a text gets an
/// apostrophe before it, as OWASP recommends. Numbers stay numbers.
fn cell(value: Option<&Value>) -> String {
    const FORMULA: [char; 11] =
        ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    let text = plain(value);
    let is_number = || text.parse::<f64>().is_ok() && text.ends_with(|c: char| c.is_ascii_digit());
    let is_formula = matches!(value, Some(Value::String(_))) && text.starts_with(FORMULA);
    if is_formula && !is_number() { format!("'{text}") } else { text }
}

fn write(
    output: &mut impl Write,
    query: &StoredQuery,
    format: Format,
    zone: Zone,
) -> io::Result<()> {
    let value = serde_json::to_value(query)?;
    match format {
        Format::Csv => {
            let names = column_names();
            csv_row(output, names.iter().map(|name| cell(value.get(*name))).collect::<Vec<_>>())
        }
        Format::Ndjson => writeln!(output, "{}", json_escaped(&value.to_string())),
        Format::Audit => {
            let kind = match query.kind {
                Kind::Load => "load",
                Kind::Query if query.is_slow => "slow_query",
                Kind::Query => "query",
            };
            // A record is written as its statement ends.
            let written_ms = query.ended_ms.or(query.started_ms).unwrap_or(0);
            let (time, ms) = (zone.format_ms(written_ms), written_ms.rem_euclid(1000));
            let record = match &value {
                Value::Object(columns) if kind != "load" => plain_record(columns),
                _ => None,
            };
            let record = record.unwrap_or_else(|| Value::Object(audit_fields(value)).to_string());
            writeln!(output, "{time},{ms:03} [{kind}] {record}")
        }
    }
}

/// The keys of a `[query]` record in the order of Doris 3.0, with the columns of annals. The key behind the statement is
/// there in every version, so that readers recognize the end of the statement.
const AUDIT_KEYS: [(&str, &str); 36] = [
    ("Timestamp", "started_ms"),
    ("Client", "client"),
    ("User", "user"),
    ("Ctl", "catalog"),
    ("Db", "db"),
    ("State", "state"),
    ("ErrorCode", "error_code"),
    ("ErrorMessage", "error_message"),
    ("Time(ms)", "duration_ms"),
    ("ScanBytes", "scan_bytes"),
    ("ScanRows", "scan_rows"),
    ("ReturnRows", "return_rows"),
    ("StmtId", "statement_id"),
    ("QueryId", "query_id"),
    ("IsQuery", "is_query"),
    ("isNereids", "is_nereids"),
    ("feIp", "frontend"),
    ("StmtType", "statement_type"),
    ("CommandType", "command_type"),
    ("IsInternal", "is_internal"),
    ("SessionId", "session_id"),
    ("Stmt", "statement"),
    ("CpuTimeMS", "cpu_time_ms"),
    ("ShuffleSendBytes", "shuffle_send_bytes"),
    ("ShuffleSendRows", "shuffle_send_rows"),
    ("SqlHash", "sql_hash"),
    ("peakMemoryBytes", "peak_memory_bytes"),
    ("SqlDigest", "sql_digest"),
    ("ComputeGroupName", "compute_group"),
    ("TraceId", "trace_id"),
    ("WorkloadGroup", "workload_group"),
    ("FuzzyVariables", "fuzzy_variables"),
    ("scanBytesFromLocalStorage", "local_scan_bytes"),
    ("scanBytesFromRemoteStorage", "remote_scan_bytes"),
    ("SpillWriteBytesToLocalStorage", "spill_write_bytes"),
    ("queriedTablesAndViews", "queried_tables"),
];

/// Fields that a reader of the log knows without a key: by the kind of the line, or from other keys.
const IMPLIED: [&str; 5] = ["kind", "origin", "ended_ms", "is_slow", "is_start_estimated"];

/// Returns whether a `[query]` record has a key for the field. Fields of later versions have none.
fn has_audit_key(field: &str) -> bool {
    IMPLIED.contains(&field) || AUDIT_KEYS.iter().any(|(_, column)| *column == field)
}

/// Returns the fields of a query as Doris writes them, or None if a reader would not read them as the same, for Doris
/// escapes nothing. Such a record is written as an object instead, as newer versions of StarRocks write all records.
fn plain_record(columns: &Map<String, Value>) -> Option<String> {
    let extra = columns.get("extra").and_then(Value::as_object);
    let is_known = |name| columns.get(name).is_some_and(|value| !value.is_null());
    let mut fields = QueryRecord::FIELDS.iter().map(|field| field.name);
    if extra.is_some_and(|keys| !keys.is_empty())
        || fields.any(|name| is_known(name) && !has_audit_key(name))
    {
        return None;
    }
    let is_estimated = columns.get("is_start_estimated").and_then(Value::as_bool) == Some(true);
    let mut record = String::new();
    for (key, column) in AUDIT_KEYS {
        // A reader guesses the same start from the time of writing.
        let value = match key == "Timestamp" && is_estimated {
            true => continue,
            false => plain(columns.get(column)),
        };
        // A line that begins as a record does would end this one.
        let begins_record =
            |line: &str| line.bytes().take(4).filter(u8::is_ascii_digit).count() == 4;
        let is_one_text =
            || !value.starts_with('|') && !value.split('\n').skip(1).any(begins_record);
        let is_plain = match key {
            "Stmt" => is_one_text(),
            "ErrorMessage" => is_one_text() && !value.contains("|Stmt="),
            "FuzzyVariables" | "queriedTablesAndViews" => !value.contains(['|', '\n', '\r']),
            _ => !value.contains(|c: char| c.is_whitespace() || "|'\"`(),;".contains(c)),
        };
        if !is_plain {
            return None;
        }
        record.extend(["|", key, "=", &value]);
    }
    Some(record)
}

/// Returns the fields of a query by the names of their columns, without those that annals computes.
fn audit_fields(value: Value) -> Map<String, Value> {
    let mut fields = Map::new();
    let Value::Object(object) = value else { return fields };
    let is_estimated = object.get("is_start_estimated").and_then(Value::as_bool) == Some(true);
    for (name, value) in object {
        match (name.as_str(), value) {
            (
                "fingerprint" | "has_profile" | "origin" | "started_at" | "ended_at" | "is_slow"
                | "is_failed" | "is_start_estimated",
                _,
            )
            | (_, Value::Null) => {}
            // A reader guesses the same times from the time of writing.
            ("started_ms" | "ended_ms", _) if is_estimated => {}
            ("extra" | "load", Value::Object(parts)) => {
                fields.extend(parts.into_iter().filter(|(_, value)| !value.is_null()));
            }
            (_, value) => {
                fields.insert(name, value);
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::{Item, audit_log::AuditLog};

    proptest! {
        #[test]
        fn a_plain_record_is_read_as_the_same(
            statement in "([ -~\\n订]|\\|Stmt=|\\|CpuTimeMS=1|\\|Key=v|\n2024-08-06 11:15:51,248 \\[query\\] \\|){1,12}",
            message in "([a-z]|\\||\\|Stmt=|\\|Time=1){0,4}",
            user in "[a-z|;']{1,5}",
        ) {
            let columns = serde_json::json!({
                "query_id": "1-2", "started_ms": 1_700_000_000_000_i64, "duration_ms": 5,
                "statement": statement, "error_message": message, "user": user, "trace_id": "t",
            });
            let Some(record) = plain_record(columns.as_object().unwrap()) else { return Ok(()) };
            let mut log = AuditLog::new(Zone::UTC);
            for line in format!("2024-08-06 11:15:51,248 [query] {record}\n").split_inclusive('\n') {
                prop_assert!(log.push_line(line.as_bytes()).is_none());
            }
            let Some(Item::Record { record, .. }) = log.end() else { panic!("no record") };
            prop_assert_eq!(record.statement.unwrap_or_default(), if statement.trim().is_empty() { "" } else { &statement });
            prop_assert_eq!(record.error_message.unwrap_or_default(), message);
            prop_assert_eq!(record.user.unwrap_or_default(), user);
            prop_assert_eq!(record.trace_id.unwrap_or_default(), "t");
        }
    }
}
