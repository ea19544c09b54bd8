//! Profiles that are answered at once, as lists are that are response_cache.
//!
//! To read a profile and unpack it takes 30 µs; what every request passes on its source to a route and back took
//! another 35. A plain question for a profile by its id is answered by the route's own function before that. All
//! else is left to the routes: refusals, gzip, what a client has already, whose password is to be verified.

use futures_util::FutureExt;
use warp::http::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderValue, IF_NONE_MATCH, VARY};
use warp::http::{Method, Request, Uri};

use super::AppState;
use super::doris::{query_profile, session};
use crate::domain::record::QueryId;
use crate::http::envelope::Answer;
use crate::http::middleware::finalize_response;
use crate::http::response_cache::host;

/// The route compresses what is longer.
const COMPRESSED_FROM_BYTES: usize = 32;

/// The profile that is asked for, where it can be answered without waiting for anybody.
pub(super) fn profile<In>(history: &AppState, request: &Request<In>) -> Option<Answer> {
    let (as_html, query_id) = asked(request.uri())?;
    let headers = request.headers();
    if *request.method() != Method::GET
        || [ACCEPT_ENCODING, IF_NONE_MATCH].iter().any(|header| headers.contains_key(header))
    {
        return None;
    }
    history.check_host(host(headers)?.as_ref()).ok()?;
    let authorization = headers.get(AUTHORIZATION).map(HeaderValue::to_str).transpose().ok()?;
    let view = history.view_of(history.authenticator().known_principal(authorization)?);
    let answer = match as_html {
        true => session::profile(&view, query_id).now_or_never(),
        false => query_profile::bare(&view, query_id).now_or_never(),
    };
    // A short answer is the sentence that there is no profile, and the route does not vary it by encoding.
    let answer = answer?.ok().filter(|answer| answer.body().len() > COMPRESSED_FROM_BYTES)?;
    let mut answer = finalize_response(request.method(), headers, answer);
    answer.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    Some(answer)
}

/// Whether it is asked for as HTML, and the query; `None` where anything else is asked for, or a profile in
/// another source than those that clients of Doris know.
fn asked(uri: &Uri) -> Option<(bool, QueryId)> {
    let path = uri.path();
    let (as_html, id) = match (path, uri.query()) {
        ("/api/profile/text", Some(query)) => (false, query.strip_prefix("query_id=")?),
        (_, None) => {
            let id = ["/rest/v1/query_profile/", "/rest/v1/session/"]
                .iter()
                .find_map(|start| path.strip_prefix(start))?;
            (true, id.strip_prefix("query_id=").unwrap_or(id))
        }
        _ => return None,
    };
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let query_id = id.parse().ok().filter(|_| is_plain && uri.authority().is_none())?;
    Some((as_html, query_id))
}
