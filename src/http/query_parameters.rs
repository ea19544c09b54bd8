//! What the parameters of a list ask for, and the link to its next page.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use utoipa::IntoParams;
use warp::http::header::{HeaderValue, LINK};

use super::{Parameters, View};
use crate::domain::filter::{Cursor, QueryFilter};
use crate::domain::record::Kind;
use crate::domain::search::Search;
use crate::domain::statement::{Fingerprint, NotAFingerprint};
use crate::domain::time::parse_asked_ms;
use crate::http::envelope::{Answer, ApiError};

/// Rows of a list where the request names no limit.
const DEFAULT_LIMIT: u32 = 100;
/// The most rows of a list.
const MAX_LIMIT: u32 = 1000;
/// The longest duration that is asked for: what a JSON number holds exactly.
const MAX_MS: i64 = (1 << 53) - 1;

/// Where a path takes no parameters.
#[derive(IntoParams)]
pub(crate) struct NoParameters {}

/// Refuses parameters that `P` does not describe, and empty ones: a misspelt filter must not look like
/// none.
pub(crate) fn known_parameters<P: IntoParams>(parameters: &Parameters) -> Result<(), ApiError> {
    let known: Vec<String> =
        P::into_params(|| None).into_iter().map(|parameter| parameter.name).collect();
    if let Some((name, _)) = parameters.iter().find(|(_, value)| value.is_empty()) {
        return Err(ApiError::BadRequest(format!("{name} is empty")));
    }
    match parameters.keys().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) if known.is_empty() => {
            Err(ApiError::BadRequest(format!("there are no parameters here, nor {name:?}")))
        }
        Some(name) => Err(ApiError::BadRequest(format!(
            "there is no parameter {name:?} here; there are {}",
            known.join(", ")
        ))),
    }
}

/// Reads the parameters of a list: `limit`, `user`, `db`, `state`, `type`, `fingerprint`, `search`, `words`,
/// `min_ms`, `min_queue_ms`, `cache_hit`, `from`, `to` and `cursor`. An empty one counts as not given, as forms send them; others are not heeded, for
/// Doris' clients send more.
pub(crate) fn filter(view: &View, parameters: &Parameters) -> Result<QueryFilter, ApiError> {
    let given = |name: &str| parameters.get(name).filter(|value| !value.is_empty());
    let text = |name: &str| given(name).cloned();
    // Older frontends name the cluster before a user or a database; it is no part of the name.
    let bare = |name: &str| {
        let text = given(name)?;
        Some(text.strip_prefix("default_cluster:").unwrap_or(text).to_string())
    };
    let time = |name: &str| match given(name) {
        None => Ok(None),
        Some(text) => parse_asked_ms(text, view.zone).map(Some).ok_or_else(|| {
            ApiError::BadRequest(format!(
                "{name} must be a time like 2024-08-06 11:15:50, a day like 2024-08-06, or Unix \
                     milliseconds"
            ))
        }),
    };
    let milliseconds = |name: &str| given(name).map(|ms| milliseconds(name, ms)).transpose();
    let (searched, words) = (given("search"), given("words"));
    let search = match (searched, words) {
        (None, None) => None,
        _ => Some(
            Search::new(searched.map(String::as_str), words.map(String::as_str))
                .map_err(|error| ApiError::BadRequest(error.to_string()))?,
        ),
    };
    Ok(QueryFilter {
        limit: limit(parameters)?,
        after: given("cursor").map(|cursor| place(cursor)).transpose()?,
        user: bare("user"),
        db: bare("db"),
        state: text("state"),
        kind: given("type").map(|kind| kind_of(kind)).transpose()?,
        fingerprint: given("fingerprint").map(|text| fingerprint(text)).transpose()?,
        search,
        anywhere: None,
        min_ms: milliseconds("min_ms")?,
        min_queue_ms: milliseconds("min_queue_ms")?,
        cache_hit: match given("cache_hit").map(|text| text.parse()) {
            None => None,
            Some(Ok(hit)) => Some(hit),
            Some(Err(_)) => {
                let sentence = "cache_hit must be true or false";
                return Err(ApiError::BadRequest(sentence.to_string()));
            }
        },
        from_ms: time("from")?,
        to_ms: time("to")?,
    })
}

fn limit(parameters: &Parameters) -> Result<u32, ApiError> {
    let Some(text) = parameters.get("limit") else {
        return Ok(DEFAULT_LIMIT);
    };
    match text.parse() {
        Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
        _ => {
            Err(ApiError::BadRequest(format!("limit must be a whole number from 1 to {MAX_LIMIT}")))
        }
    }
}

fn kind_of(text: &str) -> Result<Kind, ApiError> {
    [Kind::Query, Kind::Load]
        .into_iter()
        .find(|kind| kind.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| ApiError::BadRequest("type must be query or load".to_string()))
}

fn fingerprint(text: &str) -> Result<Fingerprint, ApiError> {
    text.parse().map_err(|error: NotAFingerprint| ApiError::BadRequest(error.to_string()))
}

fn milliseconds(name: &str, text: &str) -> Result<i64, ApiError> {
    let ms = text.parse().ok().filter(|ms| (0..=MAX_MS).contains(ms));
    ms.ok_or_else(|| ApiError::BadRequest(format!("{name} must be a whole number of milliseconds")))
}

/// Reads a cursor, which [`with_next`] wrote.
fn place(cursor: &str) -> Result<Cursor, ApiError> {
    let parts = cursor.split_once('.').and_then(|(started_ms, id)| {
        let started_ms = match started_ms {
            "none" => None,
            ms => Some(ms.parse().ok()?),
        };
        Some(Cursor { started_ms, id: id.parse().ok()? })
    });
    parts.ok_or_else(|| {
        ApiError::BadRequest("cursor must come from the Link header of the page before".to_string())
    })
}

/// Adds to a page the link to the next one, so that the envelope stays as Doris makes it. `last` is the
/// last row of a page that is full.
pub(crate) fn with_next(
    mut answer: Answer,
    path: &str,
    parameters: &Parameters,
    last: Option<Cursor>,
) -> Answer {
    let Some(last) = last else {
        return answer;
    };
    let link =
        format!("<{}>; rel=\"next\"", address(path, parameters, &[("cursor", &cursor(last))]));
    // Parameters of any length: a link too long for a header is left out.
    if let Ok(link) = HeaderValue::from_str(&link) {
        answer.headers_mut().insert(LINK, link);
    }
    answer
}

/// The cursor of what lies behind a place.
pub(crate) fn cursor(Cursor { started_ms, id }: Cursor) -> String {
    let started_ms = started_ms.map_or("none".to_string(), |ms| ms.to_string());
    format!("{started_ms}.{id}")
}

/// The address of a path with these parameters, some of them changed. Empty ones are left out.
pub(crate) fn address(path: &str, parameters: &Parameters, changed: &[(&str, &str)]) -> String {
    let mut all: BTreeMap<&str, &str> =
        parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.extend(changed.iter().copied());
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let given = all.iter().filter(|(_, value)| !value.is_empty());
    let query: Vec<String> =
        given.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    if query.is_empty() { path.to_string() } else { format!("{path}?{}", query.join("&")) }
}

/// The place of the last of `rows` where a page is full, and so may not be the last.
pub(crate) fn last_of_full<T>(
    filter: &QueryFilter,
    rows: &[T],
    place: impl Fn(&T) -> Cursor,
) -> Option<Cursor> {
    let full = rows.len() as u32 >= filter.limit;
    rows.last().filter(|_| full).map(place)
}
