//! The parameters of a list of queries.

use serde::Deserialize;
use utoipa::IntoParams;

use super::read_known;
use super::values::{
    Count, FingerprintText, KindName, Milliseconds, PageCursor, SearchText, SearchWords, Time,
};
use crate::domain::filter::QueryFilter;
use crate::domain::search::Search;
use crate::domain::time::{Zone, check_range};
use crate::http::error::ApiError;
use crate::http::route::Parameters;
use crate::http::view::View;

/// Which queries a list shows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParameters {
    /// Rows of a page; 100 by default.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    pub limit: Count<100>,
    /// The user who ran the query.
    #[param(min_length = 1)]
    pub user: Option<String>,
    /// The database of the query.
    #[param(min_length = 1)]
    pub db: Option<String>,
    /// The state, in any letter case.
    #[param(min_length = 1)]
    pub state: Option<String>,
    /// Queries or loads.
    #[param(schema_with = KindName::schema)]
    pub r#type: Option<KindName>,
    /// The fingerprint of the statement.
    #[param(value_type = Option<String>, pattern = "^[0-9a-f]{16}$")]
    pub fingerprint: Option<FingerprintText>,
    /// Text in the statement, in any letter case.
    pub search: Option<SearchText>,
    /// Whole words in the statement, in any order and letter case, at most 32 different ones.
    pub words: Option<SearchWords>,
    /// The shortest duration, in milliseconds.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub min_ms: Option<Milliseconds>,
    /// The shortest time in the queue of a workload group, in milliseconds.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub min_queue_ms: Option<Milliseconds>,
    /// Whether the frontend answered from its SQL cache.
    pub cache_hit: Option<bool>,
    /// Queries that started at this time or later.
    pub from: Option<Time>,
    /// Queries that started before this time.
    pub to: Option<Time>,
    /// Where the page begins: as the `Link` header of the page before has it.
    pub cursor: Option<PageCursor>,
}

impl ListParameters {
    /// Returns the filter that the parameters describe. Errors if a time or a search cannot be understood.
    pub(crate) fn filter(self, zone: Zone) -> Result<QueryFilter, ApiError> {
        let time = |name, time: Option<Time>| time.map(|time| time.ms(name, zone)).transpose();
        let (from_ms, to_ms) = (time("from", self.from)?, time("to", self.to)?);
        check_range(from_ms, to_ms).map_err(|error| ApiError::BadRequest(error.to_string()))?;
        Ok(QueryFilter {
            limit: self.limit.0,
            after: self.cursor.map(|PageCursor(cursor)| cursor),
            user: self.user.map(without_cluster),
            db: self.db.map(without_cluster),
            state: self.state,
            kind: self.r#type.map(|KindName(kind)| kind),
            fingerprint: self.fingerprint.map(|FingerprintText(fingerprint)| fingerprint),
            search: search(self.search, self.words)?,
            anywhere: None,
            min_ms: self.min_ms.map(|Milliseconds(ms)| ms),
            min_queue_ms: self.min_queue_ms.map(|Milliseconds(ms)| ms),
            cache_hit: self.cache_hit,
            from_ms,
            to_ms,
        })
    }
}

/// Reads the filter of a list on Doris' paths or of a page.
pub(crate) fn filter(view: &View, parameters: &Parameters) -> Result<QueryFilter, ApiError> {
    read_known::<ListParameters>(parameters)?.filter(view.zone)
}

/// Older frontends name the cluster before a user or a database. The cluster is no part of the name.
fn without_cluster(name: String) -> String {
    match name.strip_prefix("default_cluster:") {
        Some(name) => name.to_string(),
        None => name,
    }
}

fn search(
    text: Option<SearchText>,
    words: Option<SearchWords>,
) -> Result<Option<Search>, ApiError> {
    let text = text.as_ref().map(|SearchText(text)| text.as_str());
    let words = words.as_ref().map(|SearchWords(words)| words.as_str());
    if text.is_none() && words.is_none() {
        return Ok(None);
    }
    let search = Search::new(text, words);
    search.map(Some).map_err(|error| ApiError::BadRequest(error.to_string()))
}
