//! Addresses with parameters, and the link to the next page of a list.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use warp::http::header::{HeaderValue, LINK};

use crate::domain::filter::{Cursor, QueryFilter};
use crate::http::answer::Answer;
use crate::http::route::Parameters;

/// Adds to a page the link to the next one. The link is a header, so that the envelope stays as Doris makes it. `last`
/// is the last row of a page that is full.
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
    // Parameters may have any length: a link too long for a header is left away.
    if let Ok(link) = HeaderValue::from_str(&link) {
        answer.headers_mut().insert(LINK, link);
    }
    answer
}

/// Returns the text of a cursor, which [`super::PageCursor`] reads.
pub(crate) fn cursor(Cursor { started_ms, id }: Cursor) -> String {
    let started_ms = started_ms.map_or("none".to_string(), |ms| ms.to_string());
    format!("{started_ms}.{id}")
}

/// Returns the address of a path with these parameters, some of them changed, and without empty ones.
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

/// Returns the cursor of the last of `rows` if the page is full, for then another page may come.
pub(crate) fn last_of_full<T>(
    filter: &QueryFilter,
    rows: &[T],
    cursor: impl Fn(&T) -> Cursor,
) -> Option<Cursor> {
    let is_full = rows.len() as u32 >= filter.limit;
    rows.last().filter(|_| is_full).map(cursor)
}
