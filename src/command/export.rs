//! `annals export`: queries for other programs, as a stream.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::reading::{COLUMNS, Filters, ReadError, Reading, plain};
use crate::query::QueryId;
use crate::store::{Selection, StoredQuery};

/// Write queries for other programs, newest first
///
/// Statements are whole. Memory does not grow with the number of queries.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    filters: Filters,
    /// csv with a row of names; ndjson, an object a line, which POST /api/v1/queries takes in; audit, an audit
    /// log with an object a record, which annals import takes in
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
    Audit,
}

/// So many queries are asked for at once.
const PAGE: u32 = 200;
/// Longer statements are cut in lists, in characters.
const LISTED: usize = 65_536;

/// Runs the command.
pub async fn run(args: ExportArgs) -> Result<ExitCode, ReadError> {
    let history = args.reading.open().await?;
    let mut selection = args.filters.selection(history.zone, PAGE)?;
    let mut output = BufWriter::new(io::stdout().lock());
    let mut wrote = Ok(());
    if args.format == Format::Csv {
        wrote = csv_row(&mut output, COLUMNS.map(str::to_string).to_vec());
    }
    loop {
        if let Err(error) = wrote {
            return match error.kind() {
                ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
                _ => Err(error.into()),
            };
        }
        let mut page = history.store.records(&selection, None).await?;
        for query in &mut page {
            let cut =
                query.statement.as_ref().is_some_and(|it| it.chars().nth(LISTED - 1).is_some());
            if cut && let Ok(id) = query.query_id.parse::<QueryId>() {
                query.statement = history.store.statement(&id, None).await?;
            }
        }
        wrote = page.iter().try_for_each(|query| write(&mut output, query, args.format));
        if page.len() < PAGE as usize || wrote.is_err() {
            let ended = wrote.and_then(|()| output.flush());
            return match ended {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
                _ => Ok(ExitCode::SUCCESS),
            };
        }
        let after = page.last().map(StoredQuery::place);
        selection = Selection { after, ..selection };
    }
}

fn csv_row(output: &mut impl Write, cells: Vec<String>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(output);
    writer.write_record(cells)?;
    writer.flush()
}

fn write(output: &mut impl Write, query: &StoredQuery, format: Format) -> io::Result<()> {
    let value = serde_json::to_value(query)?;
    match format {
        Format::Csv => csv_row(output, COLUMNS.iter().map(|name| plain(value.get(name))).collect()),
        Format::Ndjson => writeln!(output, "{value}"),
        Format::Audit => {
            let kind = if query.is_slow { "slow_query" } else { "query" };
            let written = query.ended_at.as_deref().or(query.started_at.as_deref());
            let written = written.unwrap_or("1970-01-01T00:00:00.000Z");
            writeln!(output, "{written} [{kind}] {}", Value::Object(audit_fields(value)))
        }
    }
}

/// The fields of a query as an audit record has them: each by its own name, and none that annals makes.
fn audit_fields(value: Value) -> Map<String, Value> {
    let mut fields = Map::new();
    let Value::Object(object) = value else { return fields };
    for (name, value) in object {
        match (name.as_str(), value) {
            (
                "fingerprint" | "has_profile" | "origin" | "started_at" | "ended_at" | "is_slow",
                _,
            )
            | (_, Value::Null) => {}
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
