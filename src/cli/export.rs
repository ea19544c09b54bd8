//! `annals export`: queries for other programs, as a stream.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::READING;
use super::args::{FilterArgs, History, ReadArgs, column_names, plain};
use super::list::SortArgs;
use super::merge::unreadable;
use super::output::{WRITING, json_escaped, visible};
use crate::domain::filter::QueryFilter;
use crate::domain::readable::counted;
use crate::domain::record::{Kind, QueryRecord};
use crate::domain::time::Zone;
use crate::formats::formula::guarded;
use crate::store::{QueryPage, Reader, StoreError, StoredQuery, Unread};

/// Write queries for other programs, newest first or by --sort
///
/// Statements are complete, and annals import reads each format without loss; profiles are not exported. Memory does not grow with the number of queries. Only newest first has an index: any other order looks at
/// all queries again for each 10000 that are written.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    sorting: SortArgs,
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
    /// An audit log as Doris writes it, which annals import reads with the same --time-zone
    Audit,
}

/// Queries that are read at once.
const PAGE: u32 = 200;
/// The same where each page looks at all queries. As many statements fit into memory.
const SORTED_PAGE: u32 = 10_000;
/// Longer statements are cut in lists, in characters.
const LISTED: usize = 65_536;

/// Runs the command.
pub async fn run(args: ExportArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open().await?;
    let filter = args.sorting.sorted(args.filters.filter(history.zone, PAGE)?);
    let page = if filter.is_newest_first() { PAGE } else { SORTED_PAGE };
    let filter = QueryFilter { limit: page, ..filter };
    let mut export = Export {
        format: args.format,
        output: BufWriter::new(io::stdout().lock()),
        history,
        written: 0,
        lost: Lost::default(),
    };
    match export.all(&filter).await {
        // The reader has gone.
        Err(error) if is_broken_pipe(&error) => return Ok(ExitCode::SUCCESS),
        done => done?,
    }
    if !export.lost.is_damaged {
        return match export.written {
            0 => export.history.say_nothing_found(&filter).await,
            _ => Ok(ExitCode::SUCCESS),
        };
    }
    let queries = export.lost_queries(&filter).await;
    match unreadable(queries, export.lost.unread) {
        Some(lost) => eprintln!(
            "annals: {lost} cannot be read: the history is damaged; `annals salvage` saves what can be read"
        ),
        None => eprintln!(
            "annals: the history is damaged; every query was written, some of them out of order"
        ),
    }
    Ok(ExitCode::from(1))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Returns whether the index of all queries by start has those of a list.
fn is_by_start(filter: &QueryFilter) -> bool {
    filter.is_by_start_alone() && filter.user.is_any()
}

/// An export that runs.
struct Export {
    history: History,
    format: Format,
    output: BufWriter<StdoutLock<'static>>,
    /// Queries that were written.
    written: u64,
    lost: Lost,
}

/// What cannot be read of a damaged history.
#[derive(Default)]
struct Lost {
    is_damaged: bool,
    /// Queries that the index by start has and whose rows cannot be read.
    queries: u64,
    /// Whether rows were skipped that nobody counted.
    has_more: bool,
    unread: Unread,
}

impl Export {
    async fn all(&mut self, filter: &QueryFilter) -> anyhow::Result<()> {
        if self.format == Format::Csv {
            csv_row(&mut self.output, column_names()).context(WRITING)?;
        }
        let mut filter = filter.clone();
        let most = filter.limit;
        loop {
            let Some(page) = self.next_page(&mut filter).await? else {
                self.rest_by_row(&filter).await?;
                break;
            };
            let is_last = page.len() < filter.limit as usize;
            filter.after = page.last().map(|query| query.cursor(filter.order));
            filter.limit = most.min(filter.limit * 2);
            self.write(&page).context(WRITING)?;
            if is_last {
                break;
            }
        }
        self.output.flush().context(WRITING)
    }

    /// Returns the next page that can be read, an empty one behind the last; None if an index is damaged. Counts
    /// the queries before the page that are damaged.
    async fn next_page(
        &mut self,
        filter: &mut QueryFilter,
    ) -> anyhow::Result<Option<Vec<StoredQuery>>> {
        loop {
            match self.page(filter).await {
                // The rest is read in the order of arrival, which is no place in this one.
                Err(error) if error.is_damage() && !filter.is_newest_first() => {
                    return Err(error).context("a damaged history is exported only without --sort");
                }
                Err(error) if error.is_damage() => self.lost.is_damaged = true,
                page => return page.map(Some).context(READING),
            }
            if filter.limit > 1 {
                // A smaller page may end before the damage.
                filter.limit /= 2;
                continue;
            }
            // Other conditions may read other indexes, which may be damaged.
            if !is_by_start(filter) {
                return Ok(None);
            }
            match self.history.store.place_behind_next(filter).await {
                Err(error) if error.is_damage() => return Ok(None),
                place => match place.context(READING)? {
                    Some(place) => filter.after = Some(place),
                    // The index has no query any more, but reading one failed: the damage is elsewhere.
                    None => return Ok(None),
                },
            }
            self.lost.queries += 1;
        }
    }

    /// Writes what is left of a list whose index is damaged, in the order of arrival.
    async fn rest_by_row(&mut self, filter: &QueryFilter) -> anyhow::Result<()> {
        let mut last = i64::MIN;
        while let Some(page) =
            self.history.store.listed_after(filter, last).await.context(READING)?
        {
            last = page.last;
            self.lost.has_more |= page.is_damaged && page.queries.is_empty();
            self.lost.unread.add(page.unread);
            self.write(&page.queries).context(WRITING)?;
        }
        Ok(())
    }

    /// Reads a page of queries with their complete statements.
    async fn page(&mut self, filter: &QueryFilter) -> Result<Vec<StoredQuery>, StoreError> {
        let store = &self.history.store;
        let QueryPage { mut queries, unread, .. } =
            store.unbounded_page(filter, Reader::default()).await?;
        for query in &mut queries {
            let is_cut =
                query.statement.as_ref().is_some_and(|it| it.chars().nth(LISTED - 1).is_some());
            if is_cut {
                query.record.statement =
                    store.statement(&query.query_id, Reader::default()).await?;
            }
        }
        self.lost.unread.add(unread);
        self.lost.is_damaged |= unread != Unread::default();
        Ok(queries)
    }

    fn write(&mut self, queries: &[StoredQuery]) -> io::Result<()> {
        for query in queries {
            let mut line = Vec::new();
            write(&mut line, query, self.format, self.history.zone)?;
            if self.history.output.is_terminal() {
                line = visible(&String::from_utf8_lossy(&line)).into_bytes();
            }
            self.output.write_all(&line)?;
        }
        self.written += queries.len() as u64;
        Ok(())
    }

    /// Returns how many queries cannot be read; None if all can.
    async fn lost_queries(&self, filter: &QueryFilter) -> Option<String> {
        if is_by_start(filter) && filter.from_ms.is_none() && filter.to_ms.is_none() {
            let indexed = self.history.store.indexed_queries().await.ok().flatten();
            if let Some(indexed) = indexed {
                let lost = indexed.saturating_sub_unsigned(self.written).max(0);
                return (lost > 0).then(|| counted(lost, "query", "queries"));
            }
        }
        match self.lost {
            Lost { has_more: true, .. } => Some("some queries".to_string()),
            Lost { queries: 0, .. } => None,
            Lost { queries, .. } => Some(counted(queries, "query", "queries")),
        }
    }
}

fn csv_row<C: AsRef<[u8]>>(output: &mut impl Write, cells: Vec<C>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(output);
    writer.write_record(cells)?;
    writer.flush()
}

/// Returns a value as a cell of CSV that no spreadsheet runs.
fn cell(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => guarded(text).into_owned(),
        value => plain(value),
    }
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
