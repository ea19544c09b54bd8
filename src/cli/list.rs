//! `annals list`: queries, newest first or by another order.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use super::READING;
use super::args::{
    FilterArgs, History, ReadArgs, column_names, column_value, load_column_names, plain,
};
use super::output::{Shown, has_reader, json_escaped, write_bytes};
use crate::domain::filter::{QueryFilter, QueryOrder};
use crate::domain::record::Kind;
use crate::store::{Reader, StoredQuery};

/// List queries, newest first or by --sort
///
/// Writes a table on a terminal, elsewhere lines with tabs below the names of the columns. With --json, writes an
/// object a line. A load without a statement has its label in that column; with --type load, columns have its label, its tables and
/// its rows.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// List at most this number of queries
    #[arg(long, short = 'n', default_value_t = 100, value_parser = parse_limit)]
    limit: u32,
    #[command(flatten)]
    sorting: SortArgs,
    /// The columns of the output, separated by commas: names that `annals show` prints
    #[arg(
        long,
        short,
        value_delimiter = ',',
        value_name = "NAME",
        default_value = COLUMNS
    )]
    columns: Vec<String>,
    /// Wait for new queries, and write them as they arrive, the newest last
    #[arg(long, short, conflicts_with_all = ["sort", "reverse"])]
    follow: bool,
    #[command(flatten)]
    read: ReadArgs,
}

/// What a list is sorted by.
#[derive(Debug, Args)]
pub(super) struct SortArgs {
    /// The value to sort by, largest first; queries whose value is unknown come last
    #[arg(long, value_enum, default_value = "started-ms")]
    sort: Sort,
    /// The smallest value first, or with --sort started-ms the oldest query; unknown values come last all the same
    #[arg(long)]
    reverse: bool,
}

impl SortArgs {
    /// Returns a filter in this order.
    pub(super) fn sorted(&self, filter: QueryFilter) -> QueryFilter {
        QueryFilter { order: self.sort.order(), is_ascending: self.reverse, ..filter }
    }
}

/// The default of --columns.
const COLUMNS: &str = "query_id,started_at,duration_ms,state,user,db,statement";

/// The same with `--type load`.
const LOAD_COLUMNS: [&str; 10] = [
    "query_id", "started_at", "duration_ms", "state", "load.loaded_rows", "load.filtered_rows",
    "user", "db", "load.table_list", "load.label",
];

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    StartedMs,
    DurationMs,
    CpuTimeMs,
    ScanRows,
    ScanBytes,
    PeakMemoryBytes,
    ReturnRows,
    QueueTimeMs,
}

impl Sort {
    fn order(self) -> QueryOrder {
        match self {
            Sort::StartedMs => QueryOrder::Start,
            Sort::DurationMs => QueryOrder::Duration,
            Sort::CpuTimeMs => QueryOrder::CpuTime,
            Sort::ScanRows => QueryOrder::ScanRows,
            Sort::ScanBytes => QueryOrder::ScanBytes,
            Sort::PeakMemoryBytes => QueryOrder::PeakMemory,
            Sort::ReturnRows => QueryOrder::ReturnRows,
            Sort::QueueTimeMs => QueryOrder::QueueTime,
        }
    }
}

/// From one read of a followed history to the next.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How far before the newest query a followed history is read at once. Queries that started earlier, because they ran for long,
/// are looked for one by one.
const LATE_MS: i64 = 60_000;
/// Queries that are read at once.
const PAGE: u32 = 1000;

fn parse_limit(text: &str) -> Result<u32, String> {
    let limit = text.parse().ok().filter(|limit| (1..=100_000).contains(limit));
    limit.ok_or_else(|| format!("{text} is not a whole number from 1 to 100000"))
}

/// Runs the command.
pub async fn run(args: ListArgs) -> anyhow::Result<ExitCode> {
    let known: Vec<String> =
        column_names().into_iter().map(str::to_string).chain(load_column_names()).collect();
    if let Some(unknown) = args.columns.iter().find(|name| !known.contains(name)) {
        bail!("unknown column {unknown}; the columns are {}", known.join(", "));
    }
    let history = args.read.open().await?;
    let filter = args.sorting.sorted(args.filters.filter(history.zone, args.limit)?);
    let columns = match args.columns.join(",") == COLUMNS {
        true => Columns::of_list(&history, &filter).await?,
        false => Columns::chosen(args.columns, filter.order),
    };
    if args.follow {
        return follow(&history, &columns, filter).await;
    }
    let queries = pages(&history, &filter).await?;
    let text = text(&history, &columns, &queries).await?;
    match history.json {
        true => write_bytes(text.as_bytes())?,
        false => history.output.write(&text)?,
    }
    match queries.is_empty() {
        true => history.say_nothing_found(&filter).await,
        false => Ok(ExitCode::SUCCESS),
    }
}

/// The columns of a list, and which of them a narrow terminal shows.
pub(super) struct Columns {
    names: Vec<String>,
    shown: Shown,
}

impl Columns {
    /// Returns the columns of a list for which the user names none: also the value by which it is sorted, and the cluster if the
    /// history has several.
    pub(super) async fn of_list(
        history: &History,
        filter: &QueryFilter,
    ) -> anyhow::Result<Columns> {
        let mut names: Vec<String> = match filter.kind {
            Some(Kind::Load) => LOAD_COLUMNS.map(str::to_string).to_vec(),
            _ => COLUMNS.split(',').map(str::to_string).collect(),
        };
        let behind = |names: &[String], name: &str| {
            names.iter().position(|other| other == name).map_or(0, |at| at + 1)
        };
        let field = filter.order.field();
        if filter.order != QueryOrder::Start && names.iter().all(|name| name != field) {
            names.insert(behind(&names, "started_at"), field.to_string());
        }
        let clusters = history.store.clusters(Reader::default()).await.context(READING)?;
        if clusters.len() > 1 {
            names.insert(behind(&names, "db"), "cluster".to_string());
        }
        // The most important first.
        let first: &[&str] = match filter.kind {
            Some(Kind::Load) => &[
                field, "started_at", "state", "load.filtered_rows", "load.loaded_rows",
                "duration_ms", "load.table_list", "cluster", "db", "user",
            ],
            _ => &[field, "started_at", "duration_ms", "user", "cluster", "db", "state"],
        };
        let first = first.iter().filter_map(|name| names.iter().position(|other| other == name));
        let shown = Shown { first: first.collect(), ..Shown::default() };
        Ok(Columns { names, shown })
    }

    /// Returns the columns that the user names.
    fn chosen(names: Vec<String>, order: QueryOrder) -> Columns {
        let first = names.iter().position(|name| name == order.field());
        let shown =
            Shown { first: first.into_iter().collect(), has_empty: true, ..Shown::default() };
        Columns { names, shown }
    }
}

/// Writes queries, then new ones until the reader has gone.
async fn follow(
    history: &History,
    columns: &Columns,
    filter: QueryFilter,
) -> anyhow::Result<ExitCode> {
    // Queries that are stored already are not new, also where the first list is too short for them. They are read
    // before that list: a query that arrives between the two reads is then written.
    let mut arrived = history.store.newest_row().await.context(READING)?;
    let first = QueryFilter { limit: PAGE, ..filter.clone() };
    let stored = history.store.records(&first, Reader::default()).await.context(READING)?;
    let mut seen: VecDeque<i64> = stored.iter().map(|query| query.id).collect();
    let mut queries = pages(history, &filter).await?;
    queries.reverse();
    let mut header = String::new();
    write_below(&mut header, &text(history, columns, &queries).await?, history.json)?;
    seen.extend(queries.iter().map(|query| query.id));
    let mut newest_ms = queries.iter().filter_map(|query| query.started_ms).max();
    // The reader may go before there is something to write.
    while has_reader() {
        tokio::time::sleep(POLL_INTERVAL).await;
        let from_ms = newest_ms.map(|ms| ms - LATE_MS).max(filter.from_ms);
        let next = QueryFilter { limit: PAGE, from_ms, ..filter.clone() };
        let mut new = history.store.records(&next, Reader::default()).await.context(READING)?;
        new.extend(long_runs(history, &filter, from_ms, &mut arrived).await?);
        new.retain(|query| !seen.contains(&query.id));
        new.sort_by_key(|query| (query.started_ms, query.id));
        if !new.is_empty() {
            write_below(&mut header, &text(history, columns, &new).await?, history.json)?;
        }
        newest_ms = new.iter().filter_map(|query| query.started_ms).max().max(newest_ms);
        seen.extend(new.iter().map(|query| query.id));
        while seen.len() > 10 * PAGE as usize {
            seen.pop_front();
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the queries of a filter that have arrived behind a row and started before a time: a frontend reports a query when it
/// ends. Moves the row to the last that has arrived.
async fn long_runs(
    history: &History,
    filter: &QueryFilter,
    before_ms: Option<i64>,
    arrived: &mut i64,
) -> anyhow::Result<Vec<StoredQuery>> {
    let mut found = Vec::new();
    while let Some(page) = history.store.page_after(*arrived).await.context(READING)? {
        *arrived = page.last;
        for record in &page.queries {
            let Some(started_ms) = record.started_ms.filter(|ms| Some(*ms) < before_ms) else {
                continue;
            };
            let one = QueryFilter {
                limit: PAGE,
                from_ms: filter.from_ms.max(Some(started_ms)),
                to_ms: Some(filter.to_ms.map_or(started_ms + 1, |ms| ms.min(started_ms + 1))),
                ..filter.clone()
            };
            let of_start = history.store.records(&one, Reader::default()).await.context(READING)?;
            found.extend(of_start.into_iter().filter(|query| query.query_id == record.query_id));
        }
    }
    Ok(found)
}

/// Reads the queries of a filter page by page. A list that is not newest first is one page: each page would look at all
/// queries again.
async fn pages(history: &History, filter: &QueryFilter) -> anyhow::Result<Vec<StoredQuery>> {
    let mut queries: Vec<StoredQuery> = Vec::new();
    let most = if filter.is_newest_first() { PAGE } else { u32::MAX };
    loop {
        let missing = filter.limit - queries.len() as u32;
        let after = queries.last().map(|query| query.cursor(filter.order));
        let page = QueryFilter { limit: missing.min(most), after, ..filter.clone() };
        let found = history.store.records(&page, Reader::default()).await.context(READING)?;
        let is_full = found.len() as u32 == page.limit;
        queries.extend(found);
        if !is_full || queries.len() as u32 >= filter.limit {
            return Ok(queries);
        }
    }
}

/// Returns the queries as lines of JSON, or as a table.
pub(super) async fn text(
    history: &History,
    columns: &Columns,
    queries: &[StoredQuery],
) -> anyhow::Result<String> {
    let mut lines = String::new();
    let mut rows = Vec::with_capacity(queries.len());
    for query in queries {
        if history.json {
            lines.push_str(&serde_json::to_string(query)?);
            lines.push('\n');
            continue;
        }
        let value = serde_json::to_value(query)?;
        rows.push(columns.names.iter().map(|name| column(history, query, &value, name)).collect());
    }
    if history.json {
        return Ok(json_escaped(&lines));
    }
    let names: Vec<&str> = columns.names.iter().map(String::as_str).collect();
    Ok(history.table(&names, &rows, &columns.shown).await)
}

/// Writes queries below those before. Repeats the names of the columns only if their widths change. Uses no pager,
/// which would hold up the next queries.
fn write_below(header: &mut String, text: &str, json: bool) -> anyhow::Result<()> {
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
        "started_at" => query.started_ms.map(|ms| history.zone.format_ms(ms)).unwrap_or_default(),
        "ended_at" => query.ended_ms.map(|ms| history.zone.format_ms(ms)).unwrap_or_default(),
        "statement" => {
            query.statement.as_deref().or(query.load_name()).unwrap_or_default().to_string()
        }
        name => plain(column_value(value, name)),
    }
}
