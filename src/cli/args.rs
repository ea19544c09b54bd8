//! Arguments that several commands share, and what the reading commands make of them.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::builder::{PathBufValueParser, Resettable, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Args, Command};

use super::READING;
use super::output::{Output, Shown, error_text, visible};
use super::unread::read_plans;
use crate::config::Config;
use crate::domain::filter::{Choice, ChosenText, QueryFilter, QueryOrder};
use crate::domain::record::{Kind, Load, QueryId};
use crate::domain::search::Search;
use crate::domain::statement::Fingerprint;
use crate::domain::time::{Zone, check_range, now_ms, parse_duration_ms, parse_typed_time_ms};
use crate::store::{Address, Reader, Store, StoredQuery, is_address};

/// Ids that are listed where a prefix is ambiguous.
const CANDIDATES: u32 = 10;

/// The settings that every command has.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file. Without it, annals.toml of the working folder, if there is one
    #[arg(long, env = "ANNALS_CONFIG", value_name = "FILE", value_parser = FileName)]
    config: Option<PathBuf>,
    /// The file that holds the history, or postgres://USER@HOST:PORT/DATABASE [default: annals.db]
    #[arg(long, env = "ANNALS_DB", value_name = "FILE", hide_env_values = true)]
    db: Option<OsString>,
    /// The servers of PostgreSQL whose replicas answer reads: postgres://USER@HOST1,HOST2/DATABASE. Without it, the
    /// server that accepts writes
    #[arg(long, env = "ANNALS_DB_READ", value_name = "URL", hide_env_values = true)]
    db_read: Option<OsString>,
    /// The zone of times without one, as Doris writes them: an IANA name like Asia/Shanghai. Without it, the zone
    /// of this machine. A time that occurred twice as clocks were set back is the first one. A time that clocks
    /// skipped has the offset before the change
    #[arg(long, env = "ANNALS_TIME_ZONE", value_name = "ZONE")]
    time_zone: Option<Zone>,
}

impl ConfigArgs {
    /// Returns the configuration file with the environment and the command line over it.
    pub(super) fn read(self) -> anyhow::Result<Config> {
        let mut config = Config::read(self.config.as_deref())?;
        // Not a parser of clap: its message repeats the address, which may have a password.
        if let Some(db) = self.db {
            config.db = Some(Address::parse(db)?);
        }
        if let Some(db_read) = self.db_read {
            config.db_read = Some(Address::parse(db_read)?);
        }
        let db = config.db();
        db.check_target()?;
        if let Some(db_read) = config.db_read.take() {
            config.db = Some(db.with_reads_from(db_read)?);
        }
        config.time_zone = self.time_zone.or(config.time_zone);
        Ok(config)
    }
}

/// Parses the name of a file. Rejects an address, and does not repeat it, because it may have a password.
#[derive(Clone)]
pub(super) struct FileName;

impl TypedValueParser for FileName {
    type Value = PathBuf;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<PathBuf, clap::Error> {
        if is_address(value) {
            let argument = argument.map(ToString::to_string).unwrap_or_default();
            let what = format!("{argument} takes the name of a file, and was given an address\n");
            return Err(clap::Error::raw(ErrorKind::ValueValidation, what).with_cmd(command));
        }
        PathBufValueParser::new().parse_ref(command, argument, value)
    }
}

/// Makes an empty environment variable count as unset: clap takes it for an empty value.
pub fn ignore_empty_variables(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let value = arg.get_env().and_then(std::env::var_os);
            let is_empty = value.is_some_and(|value| value.is_empty());
            if is_empty { arg.env(Resettable::Reset) } else { arg }
        })
        .mut_subcommands(ignore_empty_variables)
}

/// The arguments of the commands that read a history.
#[derive(Debug, Args)]
pub struct ReadArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// A history that is opened to read, and where the output goes.
pub(super) struct History {
    pub(super) store: Store,
    /// The zone in which times are read and written.
    pub(super) zone: Zone,
    pub(super) output: Output,
    pub(super) json: bool,
}

impl ReadArgs {
    pub(super) async fn open(self) -> anyhow::Result<History> {
        let config = self.config.read()?;
        let store = Store::open_to_read(&config.db()).await?;
        Ok(History { store, zone: config.zone(), output: Output::standard(), json: self.json })
    }

    /// The same for a command that needs the plans of profiles: an import stores profiles without reading them. Reads what is not
    /// read yet, or says how many profiles are missing.
    pub(super) async fn open_with_plans(self) -> anyhow::Result<History> {
        let config = self.config.read()?;
        let address = config.db();
        let mut store = Store::open_to_read(&address).await?;
        if unread(&store).await? > 0 {
            // Its connections are closed even if the file cannot be written.
            let _ = store.close().await;
            let read = read_plans(&address).await;
            store = Store::open_to_read(&address).await?;
            if let Err(error) = read {
                let unread = unread(&store).await?;
                let error = error_text(&error);
                eprintln!(
                    "annals: the plans of {unread} profiles are not read, and missing here: {error}"
                );
            }
        }
        Ok(History { store, zone: config.zone(), output: Output::standard(), json: self.json })
    }
}

async fn unread(store: &Store) -> anyhow::Result<i64> {
    store.unread_profiles(Reader::default()).await.context(READING)
}

impl History {
    /// Returns the query of an id, or the one whose id begins with it.
    pub(super) async fn query(&self, id: &str) -> anyhow::Result<StoredQuery> {
        let unknown = || anyhow!("no query id begins with {id}");
        if let Some((start, end)) = id.split_once(CUT) {
            return self.query_of_cut(id, start, end).await;
        }
        let exact: QueryId = id.parse().map_err(|_| unknown())?;
        if let Some(query) = self.store.record(&exact, Reader::default()).await.context(READING)? {
            return Ok(query);
        }
        let found =
            self.store.ids_with_prefix(exact.as_str(), CANDIDATES + 1, Reader::default()).await;
        let mut ids = found.context(READING)?;
        if ids.len() > 1 {
            let has_more = ids.len() > CANDIDATES as usize;
            ids.truncate(CANDIDATES as usize);
            let mut list = String::new();
            for id in &ids {
                list.push_str(&format!("\n{}", self.candidate(id).await?));
            }
            if has_more {
                list.push_str("\n...");
            }
            bail!("several query ids begin with {id}:{list}");
        }
        let found = ids.first().and_then(|id| id.parse().ok()).ok_or_else(unknown)?;
        self.store.record(&found, Reader::default()).await.context(READING)?.ok_or_else(unknown)
    }
}

impl History {
    /// Returns the query whose id a table shows as its start and its end.
    async fn query_of_cut(&self, id: &str, start: &str, end: &str) -> anyhow::Result<StoredQuery> {
        let alike = self.store.ids_with_prefix(start, MAX_ALIKE + 1, Reader::default()).await;
        let mut ids = alike.context(READING)?;
        let is_cut = ids.len() > MAX_ALIKE as usize;
        ids.retain(|alike| alike.len() > start.len() && alike.ends_with(end));
        let found = match ids.as_slice() {
            [found] if !is_cut => found.parse().ok(),
            _ => None,
        };
        let query = match found {
            Some(found) => self.store.record(&found, Reader::default()).await.context(READING)?,
            None => None,
        };
        query.ok_or_else(|| anyhow!("no query id, or more than one, begins and ends like {id}"))
    }

    /// Returns whether a query matches a filter.
    pub(super) async fn has_any(&self, filter: &QueryFilter) -> anyhow::Result<bool> {
        let one = QueryFilter { limit: 1, ..filter.clone() };
        let found = self.store.records(&one, Reader::default()).await.context(READING)?;
        Ok(!found.is_empty())
    }

    /// Says that no query matches a filter, and when the nearest ones started.
    pub(super) async fn say_nothing_found(&self, filter: &QueryFilter) -> anyhow::Result<ExitCode> {
        let what = filter.kind.unwrap_or(Kind::Query).name();
        let range = (filter.from_ms, filter.to_ms);
        if self.store.span(Reader::default()).await.context(READING)?.is_none() {
            eprintln!("annals: the history is empty");
            return Ok(ExitCode::SUCCESS);
        }
        let mut nearest = Vec::new();
        let (first_ms, last_ms) = filter.starts();
        let [earlier, later] = filter.nearest();
        let has = (first_ms > i64::MIN, last_ms < i64::MAX);
        for (side, filter, exists) in [("earlier", earlier, has.0), ("later", later, has.1)] {
            // A search for a text may look at every statement.
            if !exists || filter.search.is_some() {
                continue;
            }
            let found = self.store.records(&filter, Reader::default()).await.context(READING)?;
            if let Some(ms) = found.first().and_then(|query| query.started_ms) {
                let at = self.zone.format_ms(ms);
                nearest.push(format!("; the nearest {side} one started at {at}"));
            }
        }
        let range = in_range(range, self.zone);
        eprintln!("annals: no {what} matches{range}{}", nearest.concat());
        Ok(ExitCode::SUCCESS)
    }

    /// Returns an id with what tells its query from others: its start and its user.
    async fn candidate(&self, id: &str) -> anyhow::Result<String> {
        let Ok(exact) = id.parse::<QueryId>() else { return Ok(id.to_string()) };
        let query = self.store.record(&exact, Reader::default()).await.context(READING)?;
        let Some(StoredQuery { record, .. }) = query else { return Ok(id.to_string()) };
        let start = record.started_ms.map(|ms| self.zone.format_ms(ms)).unwrap_or_default();
        let line = format!("{id}  {start}  {}", record.user.unwrap_or_default());
        Ok(visible(line.trim_end()).replace(['\n', '\t'], " "))
    }

    /// Returns rows as [`Output::table`] does. On a terminal that is too narrow, ids of queries are cut after as many characters
    /// as each command needs to find the query.
    pub(super) async fn table(
        &self,
        names: &[&str],
        rows: &[Vec<String>],
        shown: &Shown,
    ) -> String {
        let column = names.iter().position(|name| *name == "query_id");
        let Some(column) = column.filter(|_| self.output.is_narrow_for(names, rows)) else {
            return self.output.table(names, rows, shown);
        };
        let ids: Vec<&String> = rows.iter().filter_map(|row| row.get(column)).collect();
        if ids.len() > MAX_CUT_IDS {
            return self.output.table(names, rows, shown);
        }
        let mut rows = rows.to_vec();
        for id in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
            *id = self.cut_id(id).await;
        }
        self.output.table(names, &rows, shown)
    }

    /// Returns as many first characters of an id as no other query of the history has; of an id that begins as many others do, its
    /// start and its end. The whole id where neither is known.
    async fn cut_id(&self, id: &str) -> String {
        let start = |length: usize| id.chars().take(length).collect::<String>();
        let first = start(ID_CHARS);
        let alike = self.store.ids_with_prefix(&first, MAX_ALIKE + 1, Reader::default()).await;
        let Ok(alike) = alike else { return id.to_string() };
        if alike.len() > MAX_ALIKE as usize {
            return id.to_string();
        }
        let others = || alike.iter().filter(|other| *other != id);
        let is_telling = |start: &String| !others().any(|other| other.starts_with(start));
        if let Some(start) = (ID_CHARS..=MAX_START_CHARS).map(start).find(is_telling) {
            return start;
        }
        let chars = id.chars().count();
        let end = |length: usize| id.chars().skip(chars - length).collect::<String>();
        let is_telling = |end: &String| !others().any(|other| other.ends_with(end));
        let ends = END_CHARS..chars.saturating_sub(ID_CHARS);
        ends.map(end).find(is_telling).map_or(id.to_string(), |end| format!("{first}{CUT}{end}"))
    }
}

/// The characters of an id that are always shown. Among a million random ids, ten hexadecimal digits are mostly enough.
const ID_CHARS: usize = 10;
/// The most first characters of an id that are shown in place of its start and its end.
const MAX_START_CHARS: usize = 16;
/// The fewest last characters of an id that are shown.
const END_CHARS: usize = 4;
/// What is between the start and the end of an id.
const CUT: char = '…';
/// Of more ids that begin alike, whole ones are shown.
const MAX_ALIKE: u32 = 1000;
/// Of more rows, whole ids are shown: each cut one is looked up in the history.
const MAX_CUT_IDS: usize = 1000;

/// Which queries a command reads.
#[derive(Debug, Args)]
pub struct FilterArgs {
    /// Queries of this user; given several times, of any of these users
    #[arg(long)]
    user: Vec<String>,
    /// Not of this user; queries whose user is unknown stay
    #[arg(long, value_name = "USER")]
    not_user: Vec<String>,
    /// Queries in this database
    #[arg(long, value_name = "NAME")]
    database: Vec<String>,
    /// Not in this database
    #[arg(long, value_name = "NAME")]
    not_database: Vec<String>,
    /// Queries in this state, in any letter case
    #[arg(long)]
    state: Vec<String>,
    /// Not in this state
    #[arg(long, value_name = "STATE")]
    not_state: Vec<String>,
    /// Queries of the client on this host; its port may follow
    #[arg(long, value_name = "HOST")]
    client: Vec<String>,
    /// Not of this client
    #[arg(long, value_name = "HOST")]
    not_client: Vec<String>,
    /// Queries that this frontend ran
    #[arg(long, value_name = "HOST")]
    frontend: Vec<String>,
    /// Not of this frontend
    #[arg(long, value_name = "HOST")]
    not_frontend: Vec<String>,
    /// Queries of this workload group, or resource group of StarRocks
    #[arg(long, value_name = "NAME")]
    workload_group: Vec<String>,
    /// Not of this workload group
    #[arg(long, value_name = "NAME")]
    not_workload_group: Vec<String>,
    /// Queries on this compute group, or warehouse of StarRocks
    #[arg(long, value_name = "NAME")]
    compute_group: Vec<String>,
    /// Not on this compute group
    #[arg(long, value_name = "NAME")]
    not_compute_group: Vec<String>,
    /// Queries of this cluster, as its sources name it
    #[arg(long, value_name = "NAME")]
    cluster: Vec<String>,
    /// Not of this cluster; queries whose cluster is unknown stay
    #[arg(long, value_name = "NAME")]
    not_cluster: Vec<String>,
    /// Queries of sessions in this catalog, like internal
    #[arg(long, value_name = "NAME")]
    catalog: Vec<String>,
    /// Not in this catalog
    #[arg(long, value_name = "NAME")]
    not_catalog: Vec<String>,
    /// Queries whose statement the frontend calls so, like SELECT
    #[arg(long, value_name = "NAME")]
    statement_type: Vec<String>,
    /// Not of this type of statement
    #[arg(long, value_name = "NAME")]
    not_statement_type: Vec<String>,
    /// Queries that read this table and loads that wrote it: orders, shop.orders or internal.shop.orders;
    /// =orders is exactly this name
    #[arg(long, value_name = "NAME")]
    table: Vec<String>,
    /// Not with this table
    #[arg(long, value_name = "NAME")]
    not_table: Vec<String>,
    /// Queries of this session: the id that the frontend gave it, which may be the number of a connection
    #[arg(long, value_name = "ID")]
    session_id: Vec<String>,
    /// Not of this session
    #[arg(long, value_name = "ID")]
    not_session_id: Vec<String>,
    /// Queries of which this is unknown: user, db, state, client, frontend, workload_group, compute_group, cluster, catalog,
    /// statement_type, table, session_id or fingerprint; with --user and the like, beside queries with these values
    #[arg(long, value_name = "NAME", value_parser = parse_text_name)]
    unknown: Vec<ChosenText>,
    /// Queries that failed, or with `false` queries that did not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    failed: Option<bool>,
    /// Queries whose profile is stored, or with `false` those without
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    has_profile: Option<bool>,
    /// Only queries, or only loads
    #[arg(long = "type", value_name = "TYPE", value_parser = ["query", "load"])]
    kind: Option<String>,
    /// Queries with this fingerprint, which top shows
    #[arg(long)]
    fingerprint: Option<Fingerprint>,
    /// Queries with this text in the statement, in any letter case
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Queries with these whole words in the statement, in any order
    #[arg(long)]
    words: Option<String>,
    /// Queries that took at least this long: milliseconds, or a duration like 1.5s
    #[arg(long, value_name = "MS", value_parser = parse_at_least_ms)]
    min_ms: Option<u32>,
    /// Queries that waited in the queue of their workload group for at least this long: milliseconds, or a duration
    #[arg(long, value_name = "MS", value_parser = parse_at_least_ms)]
    min_queue_ms: Option<u32>,
    /// Queries that the frontend answered from its SQL cache, or did not
    #[arg(long, value_name = "BOOL")]
    cache_hit: Option<bool>,
    /// Queries that started at this time or later: a time ('2024-08-06 11:15'), a day, T14:00 for
    /// today, yesterday, how long ago (2h), or Unix milliseconds
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Queries that started before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

impl FilterArgs {
    /// Returns the filter, for at most `limit` queries.
    pub(super) fn filter(&self, zone: Zone, limit: u32) -> anyhow::Result<QueryFilter> {
        let time = |text: &Option<String>| {
            text.as_deref().map(|text| parse_time_ms(text, zone)).transpose()
        };
        let search = match (&self.search, &self.words) {
            (None, None) => None,
            (text, words) => Some(Search::new(text.as_deref(), words.as_deref())?),
        };
        let (from_ms, to_ms) = (time(&self.from)?, time(&self.to)?);
        check_range(from_ms, to_ms)?;
        let mut filter = QueryFilter {
            limit,
            order: QueryOrder::Start,
            is_ascending: false,
            after: None,
            user: choice(&self.user, &self.not_user)?,
            db: choice(&self.database, &self.not_database)?,
            state: choice(&self.state, &self.not_state)?,
            client: choice(&self.client, &self.not_client)?,
            frontend: choice(&self.frontend, &self.not_frontend)?,
            workload_group: choice(&self.workload_group, &self.not_workload_group)?,
            compute_group: choice(&self.compute_group, &self.not_compute_group)?,
            cluster: choice(&self.cluster, &self.not_cluster)?,
            catalog: choice(&self.catalog, &self.not_catalog)?,
            statement_type: choice(&self.statement_type, &self.not_statement_type)?,
            table: choice(&self.table, &self.not_table)?,
            session_id: choice(&self.session_id, &self.not_session_id)?,
            no_statement: Choice::default(),
            is_failed: self.failed,
            has_profile: self.has_profile,
            kind: self.kind.as_deref().map(Kind::of_name),
            fingerprint: self.fingerprint,
            search,
            anywhere: None,
            min_ms: self.min_ms.map(i64::from),
            min_queue_ms: self.min_queue_ms.map(i64::from),
            cache_hit: self.cache_hit,
            from_ms,
            to_ms,
        };
        self.unknown.iter().for_each(|text| filter.choose_unknown(*text));
        Ok(filter)
    }
}

/// Returns the words for a range of time.
pub(super) fn in_range(range: (Option<i64>, Option<i64>), zone: Zone) -> String {
    let time = |ms: i64| zone.format_ms(ms);
    match range {
        (Some(from), Some(to)) => format!(" from {} to {}", time(from), time(to)),
        (Some(from), None) => format!(" since {}", time(from)),
        (None, Some(to)) => format!(" before {}", time(to)),
        (None, None) => String::new(),
    }
}

/// Parses a number of rows.
pub(super) fn parse_count(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("{text} is not a whole number from 1 to {}", u32::MAX))
}

/// Parses the name of a text that queries are chosen by.
fn parse_text_name(name: &str) -> Result<ChosenText, String> {
    let names = || ChosenText::NAMES.map(|(name, _)| name).join(", ");
    ChosenText::named(name).ok_or_else(|| format!("{name} is none of {}", names()))
}

/// Parses how long at least: milliseconds, or a duration with its unit.
fn parse_at_least_ms(text: &str) -> Result<u32, String> {
    let ms = text.parse().ok().or_else(|| parse_duration_ms(text)?.try_into().ok());
    ms.ok_or_else(|| {
        format!("{text} is not a duration; write milliseconds like 500, or a unit: 1.5s, 2min")
    })
}

/// The most values of one option, as of a parameter of the interface.
const MAX_VALUES: usize = 100;

fn choice(any_of: &[String], none_of: &[String]) -> anyhow::Result<Choice> {
    if any_of.len().max(none_of.len()) > MAX_VALUES {
        bail!("an option takes at most {MAX_VALUES} values");
    }
    Ok(Choice { any_of: any_of.to_vec(), none_of: none_of.to_vec(), is_unknown: false })
}

/// Parses a time that a user typed.
pub(super) fn parse_time_ms(text: &str, zone: Zone) -> anyhow::Result<i64> {
    Ok(parse_typed_time_ms(text, zone, now_ms())?)
}

/// Returns the names of a query's columns in the order of CSV, `show` and `diff`: the keys of JSON but `origin`, with a
/// time as text before the same as a number, and the statement, which may be long, last.
pub(super) fn column_names() -> Vec<&'static str> {
    const FIRST: [&str; 7] =
        ["query_id", "kind", "state", "started_at", "started_ms", "ended_at", "ended_ms"];
    const LAST: [&str; 5] = ["is_start_estimated", "is_failed", "load", "has_profile", "statement"];
    let mut names = FIRST.to_vec();
    for name in StoredQuery::keys() {
        if !FIRST.contains(&name) && !LAST.contains(&name) && !["origin", "extra"].contains(&name) {
            names.push(name);
        }
        if name == "fuzzy_variables" {
            // Before the fields that came later, for readers of CSV that count columns.
            names.push("extra");
        }
    }
    names.extend(LAST);
    names
}

/// The beginning of the names of the columns that only loads have.
const LOAD: &str = "load.";

/// Returns the names of the columns that only loads have, as `show` writes them.
pub(super) fn load_column_names() -> impl Iterator<Item = String> {
    Load::FIELDS.iter().map(|field| format!("{LOAD}{}", field.name))
}

/// Returns the value of a column of a query's JSON.
pub(super) fn column_value<'v>(
    query: &'v serde_json::Value,
    name: &str,
) -> Option<&'v serde_json::Value> {
    match name.strip_prefix(LOAD) {
        Some(name) => query.get("load")?.get(name),
        None => query.get(name),
    }
}

/// Returns a number as text, which is empty for an unknown one.
pub(super) fn number(value: Option<i64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Returns a JSON value as plain text, which is empty for null.
pub(super) fn plain(value: Option<&serde_json::Value>) -> String {
    match value {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
