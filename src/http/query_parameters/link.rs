//! Addresses with parameters, and the link to the next page of a list.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use warp::http::header::{HeaderName, HeaderValue, LINK};

use super::values::{OrderName, PageCursor};
use crate::domain::filter::{Cursor, QueryFilter};
use crate::http::answer::Answer;
use crate::http::route::Parameters;
use crate::store::{Bound, Incomplete};

/// Says why a page has fewer rows than its limit although more may follow: `time` or `bytes`.
const INCOMPLETE: HeaderName = HeaderName::from_static("annals-incomplete");

/// Adds to a page of a filter's list the link to the next one. The link is a header, so that the envelope stays as Doris makes it. `last`
/// is the last row of a page that is full; a page that is `incomplete` goes on where it ended.
pub(crate) fn with_next(
    mut answer: Answer,
    path: &str,
    (parameters, filter): (&Parameters, &QueryFilter),
    last: Option<Cursor>,
    incomplete: Option<Incomplete>,
) -> Answer {
    if let Some(Incomplete { by, .. }) = incomplete {
        set_incomplete(&mut answer, by);
    }
    let Some(last) = incomplete.map(|end| end.at).or(last) else {
        return answer;
    };
    let next = address(path, parameters, &[("cursor", &cursor(filter, last))]);
    let link = format!("<{next}>; rel=\"next\"");
    // Parameters may have any length: a link too long for a header is left away.
    if let Ok(link) = HeaderValue::from_str(&link) {
        answer.headers_mut().insert(LINK, link);
    }
    answer
}

/// Marks an answer that has less than was asked for.
pub(crate) fn set_incomplete(answer: &mut Answer, by: Bound) {
    let by = match by {
        Bound::Time => "time",
        Bound::Bytes => "bytes",
    };
    answer.headers_mut().insert(INCOMPLETE, HeaderValue::from_static(by));
}

/// Returns the text of a place in the list of a filter, which [`PageCursor`] reads.
pub(crate) fn cursor(filter: &QueryFilter, place: Cursor) -> String {
    PageCursor { order: OrderName::of(filter), place }.to_string()
}

/// Returns the address of a path with these parameters, some of them changed to one value, and without empty ones.
pub(crate) fn address(path: &str, parameters: &Parameters, changed: &[(&str, &str)]) -> String {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in parameters.iter() {
        all.entry(name).or_default().push(value);
    }
    all.extend(changed.iter().map(|(name, value)| (*name, vec![*value])));
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let each = all.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    let given = each.filter(|(_, value)| !value.is_empty());
    let query: Vec<String> =
        given.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    if query.is_empty() { path.to_string() } else { format!("{path}?{}", query.join("&")) }
}
