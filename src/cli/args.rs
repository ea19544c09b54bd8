//! What the commands share that look into a history and change nothing: which file, which queries, and how
//! a query is named.

use chrono::Utc;
use clap::Args;

use super::Common;
use super::output::Output;
use crate::config::ConfigError;
use crate::domain::filter::QueryFilter;
use crate::domain::record::{Kind, QueryId};
use crate::domain::search::{Search, SearchError};
use crate::domain::statement::Fingerprint;
use crate::domain::time::{Zone, parse_asked_ms, parse_duration_ms};
use crate::store::{OpenError, Store, StoredQuery};

/// How many candidates an ambiguous id is answered with.
const CANDIDATES: u32 = 10;

/// Which history, and in which form the answer.
#[derive(Debug, Args)]
pub struct Reading {
    #[command(flatten)]
    common: Common,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ReadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the history cannot be read")]
    Read(#[from] crate::store::StoreError),
    #[error("the output cannot be written")]
    Write(#[from] std::io::Error),
    #[error("no query's id is {0}, or begins so")]
    Unknown(String),
    #[error("more than one query's id begins with {0}:\n{1}")]
    Ambiguous(String, String),
    #[error("no profile of query {0} was taken in")]
    NoProfile(String),
    #[error(
        "{0} is no time; name one like '2024-08-06 11:15:50', a day like 2024-08-06, Unix milliseconds, or how long ago, like 2h"
    )]
    NotATime(String),
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error("there is no column {0}; there are {1}")]
    NoColumn(String, String),
    #[error("{0}")]
    Other(String),
}

/// A history, opened to read.
pub struct History {
    /// The history.
    pub store: Store,
    /// The zone in which times are read and written.
    pub zone: Zone,
    /// Where the answer goes.
    pub output: Output,
    /// Whether it is to be JSON.
    pub json: bool,
}

impl Reading {
    /// Opens the history.
    pub async fn open(self) -> Result<History, ReadError> {
        let config = self.common.configured()?;
        let store = Store::open_to_read(&config.db()).await?;
        Ok(History { store, zone: config.zone(), output: Output::standard(), json: self.json })
    }
}

impl History {
    /// Everything that is known of the query of an id, or of the one whose id begins so.
    pub async fn query(&self, id: &str) -> Result<StoredQuery, ReadError> {
        let unknown = || ReadError::Unknown(id.to_string());
        let exact: QueryId = id.parse().map_err(|_| unknown())?;
        if let Some(query) = self.store.record(&exact, None).await? {
            return Ok(query);
        }
        let mut ids = self.store.ids_with_prefix(exact.as_str(), CANDIDATES + 1).await?;
        if ids.len() > 1 {
            let more = ids.len() > CANDIDATES as usize;
            ids.truncate(CANDIDATES as usize);
            let list = ids.join("\n") + if more { "\n..." } else { "" };
            return Err(ReadError::Ambiguous(id.to_string(), list));
        }
        let found = ids.first().and_then(|id| id.parse().ok()).ok_or_else(unknown)?;
        self.store.record(&found, None).await?.ok_or_else(unknown)
    }
}

/// Which queries are meant.
#[derive(Debug, Args)]
pub struct Filters {
    /// Whoever ran it
    #[arg(long)]
    user: Option<String>,
    /// The database it ran in
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Its state, in any letter case
    #[arg(long)]
    state: Option<String>,
    /// query or load
    #[arg(long = "type", value_name = "TYPE", value_parser = ["query", "load"])]
    kind: Option<String>,
    /// The shape of its statement, as top shows it
    #[arg(long)]
    fingerprint: Option<Fingerprint>,
    /// Text in the statement, in any letter case
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Whole words in the statement, in any order
    #[arg(long)]
    words: Option<String>,
    /// It took at least so many milliseconds
    #[arg(long, value_name = "MS")]
    min_ms: Option<u32>,
    /// It waited in its workload group's queue for at least so many milliseconds
    #[arg(long, value_name = "MS")]
    min_queue_ms: Option<u32>,
    /// Whether the frontend answered it from its SQL cache
    #[arg(long, value_name = "BOOL")]
    cache_hit: Option<bool>,
    /// It started then or later: a time, a day, Unix milliseconds, or how long ago (2h)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// It started before then
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

impl Filters {
    /// The filter they name, of at most `limit` queries.
    pub fn filter(&self, zone: Zone, limit: u32) -> Result<QueryFilter, ReadError> {
        let time = |text: &Option<String>| text.as_deref().map(|text| time(text, zone)).transpose();
        let search = match (&self.search, &self.words) {
            (None, None) => None,
            (text, words) => Some(Search::new(text.as_deref(), words.as_deref())?),
        };
        Ok(QueryFilter {
            limit,
            after: None,
            user: self.user.clone(),
            db: self.database.clone(),
            state: self.state.clone(),
            kind: self.kind.as_deref().map(Kind::of_name),
            fingerprint: self.fingerprint,
            search,
            anywhere: None,
            min_ms: self.min_ms.map(i64::from),
            min_queue_ms: self.min_queue_ms.map(i64::from),
            cache_hit: self.cache_hit,
            from_ms: time(&self.from)?,
            to_ms: time(&self.to)?,
        })
    }
}

/// A time that somebody typed.
pub fn time(text: &str, zone: Zone) -> Result<i64, ReadError> {
    let ago = || parse_duration_ms(text).map(|ms| Utc::now().timestamp_millis().saturating_sub(ms));
    parse_asked_ms(text, zone).or_else(ago).ok_or_else(|| ReadError::NotATime(text.to_string()))
}

/// Returns the names of a query's columns in the order of CSV, `show` and `diff`: the keys of JSON but `origin`, with a time
/// as text before the same as a number, and the statement, which may be long, last.
pub fn column_names() -> Vec<&'static str> {
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

/// A value as text; nothing where it is not known.
pub fn plain(value: Option<&serde_json::Value>) -> String {
    match value {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
