//! `annals list`: queries, newest first.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::args::{Filters, History, ReadError, Reading, column_names, plain};
use super::output::{is_read, write_bytes};
use crate::domain::filter::QueryFilter;
use crate::store::StoredQuery;

/// List queries, newest first
///
/// On a terminal a table, else lines with tabs, below the names of the columns. With --json an object a line.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    filters: Filters,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// The columns to show, separated by commas; those of show
    #[arg(
        long,
        short,
        value_delimiter = ',',
        value_name = "NAME",
        default_value = "query_id,started_at,duration_ms,state,user,db,statement"
    )]
    columns: Vec<String>,
    /// Wait for new queries and write them as they come, the newest last
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    reading: Reading,
}

/// How often a followed history is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// So far back a followed history is looked at for queries that came late.
const LATE_MS: i64 = 60_000;
/// So many queries are asked for at once.
const PAGE: u32 = 1000;

/// Runs the command.
pub async fn run(args: ListArgs) -> Result<ExitCode, ReadError> {
    if let Some(unknown) = args.columns.iter().find(|name| !column_names().contains(&name.as_str()))
    {
        return Err(ReadError::NoColumn(unknown.clone(), column_names().join(", ")));
    }
    let history = args.reading.open().await?;
    let filter = args.filters.filter(history.zone, args.limit)?;
    let mut queries = pages(&history, &filter).await?;
    if !args.follow {
        let text = text(&history, &args.columns, &queries)?;
        match history.json {
            true => write_bytes(text.as_bytes())?,
            false => history.output.write(&text)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    queries.reverse();
    let mut header = String::new();
    write_below(&mut header, &text(&history, &args.columns, &queries)?, history.json)?;
    let mut seen: VecDeque<i64> = queries.iter().map(|query| query.id).collect();
    let mut newest_ms = queries.iter().filter_map(|query| query.started_ms).max();
    // Whoever reads may leave before there is something to write.
    while is_read() {
        tokio::time::sleep(EVERY).await;
        let from_ms = newest_ms.map(|ms| ms - LATE_MS).max(filter.from_ms);
        let next = QueryFilter { limit: PAGE, from_ms, ..filter.clone() };
        let mut new = history.store.records(&next, None).await?;
        new.retain(|query| !seen.contains(&query.id));
        new.reverse();
        if !new.is_empty() {
            write_below(&mut header, &text(&history, &args.columns, &new)?, history.json)?;
        }
        newest_ms = new.iter().filter_map(|query| query.started_ms).max().max(newest_ms);
        seen.extend(new.iter().map(|query| query.id));
        while seen.len() > 10 * PAGE as usize {
            seen.pop_front();
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The queries of a filter, asked for page by page.
async fn pages(history: &History, filter: &QueryFilter) -> Result<Vec<StoredQuery>, ReadError> {
    let mut queries: Vec<StoredQuery> = Vec::new();
    loop {
        let missing = filter.limit - queries.len() as u32;
        let after = queries.last().map(StoredQuery::cursor);
        let page = QueryFilter { limit: missing.min(PAGE), after, ..filter.clone() };
        let found = history.store.records(&page, None).await?;
        let full = found.len() as u32 == page.limit;
        queries.extend(found);
        if !full || queries.len() as u32 >= filter.limit {
            return Ok(queries);
        }
    }
}

/// The queries as lines of JSON, or as a table.
fn text(
    history: &History,
    columns: &[String],
    queries: &[StoredQuery],
) -> Result<String, ReadError> {
    let mut lines = String::new();
    let mut rows = Vec::with_capacity(queries.len());
    for query in queries {
        if history.json {
            lines.push_str(&serde_json::to_string(query).map_err(std::io::Error::from)?);
            lines.push('\n');
            continue;
        }
        let value = serde_json::to_value(query).map_err(std::io::Error::from)?;
        rows.push(columns.iter().map(|name| column(history, query, &value, name)).collect());
    }
    if history.json {
        return Ok(lines);
    }
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    Ok(history.output.table(&names, &rows))
}

/// Writes what came; of a table the names of the columns, too, where they stand otherwise than those written
/// last. Never through a pager, which would hold up what comes next.
fn write_below(header: &mut String, text: &str, json: bool) -> Result<(), ReadError> {
    let (names, rows) = text.split_once('\n').unwrap_or((text, ""));
    if json || names != header {
        *header = names.to_string();
        write_bytes(text.as_bytes())?;
    } else {
        write_bytes(rows.as_bytes())?;
    }
    Ok(())
}

fn column(history: &History, query: &StoredQuery, value: &serde_json::Value, name: &str) -> String {
    match name {
        "started_at" => query.started_ms.map(|ms| history.zone.text(ms)).unwrap_or_default(),
        "ended_at" => query.ended_ms.map(|ms| history.zone.text(ms)).unwrap_or_default(),
        name => plain(value.get(name)),
    }
}
