//! Profiles without the routes, as the response cache has lists without the routes.
//!
//! Reading and unpacking a profile takes 30 µs. The way of a request through compression and routes, and back, took
//! another 35 µs. So a plain request for the profile of one query is answered here, by the functions of its routes.
//! The routes answer everything else: errors, gzip, what the client has already, a password that is not verified yet.

use futures_util::FutureExt;
use warp::http::header::{ACCEPT_ENCODING, HeaderValue, IF_NONE_MATCH, VARY};
use warp::http::{Method, Request, Uri};

use super::AppState;
use super::auth::Claim;
use super::doris::{query_profile, session};
use crate::domain::record::QueryId;
use crate::http::answer::{Answer, AnswerBody};
use crate::http::client::Client;
use crate::http::middleware::finalize_response;
use crate::http::response_cache::host;

/// The routes compress longer bodies, and vary them by encoding.
const COMPRESSED_FROM_BYTES: usize = 32;

/// Returns the requested profile, or `None` if the routes have to answer.
pub(super) fn profile<In>(
    state: &AppState,
    request: &Request<In>,
    client: Client,
) -> Option<Answer> {
    let (as_html, query_id) = requested_profile(request.uri())?;
    let headers = request.headers();
    // A read that waits would be dropped in its first moment, and with it its connection to the server.
    if !state.reads_in_place()
        || *request.method() != Method::GET
        || [ACCEPT_ENCODING, IF_NONE_MATCH].iter().any(|header| headers.contains_key(header))
    {
        return None;
    }
    let claim = Claim::of(request).ok()?;
    let view = state.known_view(claim, host(headers)?.as_ref(), client)?;
    let answer = match as_html {
        true => session::profile(&view, query_id).now_or_never(),
        false => query_profile::bare(&view, query_id).now_or_never(),
    };
    let answer = answer?.ok().filter(|answer| is_long(answer.body()))?;
    let mut answer = finalize_response(request.method(), headers, answer);
    answer.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    Some(answer)
}

/// Returns whether the routes would vary a body by encoding.
fn is_long(body: &AnswerBody) -> bool {
    body.as_whole().is_some_and(|body| body.len() > COMPRESSED_FROM_BYTES)
}

/// Returns whether a profile is requested as HTML, and of which query. `None` for other requests, and for a profile in
/// any spelling that no client of Doris uses.
fn requested_profile(uri: &Uri) -> Option<(bool, QueryId)> {
    let path = uri.path();
    let (as_html, id) = match uri.query() {
        Some(query) if path == query_profile::TEXT.path => {
            (false, query.strip_prefix("query_id=")?)
        }
        None => {
            let routes = [query_profile::HTML, session::PROFILE];
            let id = routes.iter().find_map(|route| route.rest(path))?;
            (true, id.strip_prefix("query_id=").unwrap_or(id))
        }
        _ => return None,
    };
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let query_id = id.parse().ok().filter(|_| is_plain && uri.authority().is_none())?;
    Some((as_html, query_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_requested_by_one_of_the_spellings_of_doris_clients() {
        for (uri, expected) in [
            ("/api/profile/text?query_id=1-2", Some((false, "1-2"))),
            ("/rest/v1/query_profile/1-2", Some((true, "1-2"))),
            ("/rest/v1/query_profile/query_id=1-2", Some((true, "1-2"))),
            ("/rest/v1/session/1-2", Some((true, "1-2"))),
            ("/api/profile/text", None),
            ("/api/profile/text?query_id=", None),
            ("/api/profile/text?query_id=1-2&x=1", None),
            ("/api/profile?query_id=1-2", None),
            ("/rest/v1/query_profile/1-2?x=1", None),
            ("/rest/v1/query_profile/1-2/", None),
            ("/rest/v1/query_profile/1%2D2", None),
            ("http://example.org/rest/v1/session/1-2", None),
        ] {
            let requested = requested_profile(&uri.parse().unwrap());
            let expected = expected.map(|(as_html, id)| (as_html, id.parse().unwrap()));
            assert_eq!(requested, expected, "{uri}");
        }
    }
}
