//! `POST /rest/v1/login` and `/rest/v1/logout`, by which Doris' own page and its manager begin and end a session: HTTP
//! Basic in, and out a cookie that then replaces it (`LoginController`, `LogoutController`, `BaseController`).
//!
//! The cookie serves to read alone. Pushes need HTTP Basic or a token, so that no page of another site can have a browser push with
//! a cookie.

use std::sync::Arc;

use serde_json::json;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::host::Authority;
use warp::http::header::AUTHORIZATION;
use warp::http::{HeaderMap, Method, StatusCode};

use crate::http::answer::{self, Answer};
use crate::http::auth::{Claim, ProxyUser, SessionCookie};
use crate::http::client::{Client, client};
use crate::http::doris::envelope::success;
use crate::http::error::ApiError;
use crate::http::route::{Route, RouteBuilder, answered, at};
use crate::http::same_site::reject_cross_site;
use crate::http::state::{AppState, Credentials};

const LOG_IN_PATH: &str = "/rest/v1/login";

pub(super) const LOG_IN: Route = Route::new(LOG_IN_PATH, |to, path| post(to, path, log_in));
pub(super) const LOG_OUT: Route = Route::new("/rest/v1/logout", |to, path| {
    post(to, path, |state, headers, _, _| async move { log_out(&state, &headers) })
});

/// A route that answers a POST of annals' own site.
fn post<F>(
    to: &RouteBuilder,
    path: &'static str,
    handler: fn(Arc<AppState>, HeaderMap, Option<ProxyUser>, Client) -> F,
) -> BoxedFilter<(Answer,)>
where
    F: Future<Output = Result<Answer, ApiError>> + Send + 'static,
{
    let state = to.state().clone();
    let parts = warp::header::headers_cloned().and(warp::ext::optional());
    let parts = parts.and(warp::host::optional()).and(client());
    let post = at(path).and(warp::method()).and(parts).then(
        move |_,
              method: Method,
              headers: HeaderMap,
              proxied: Option<ProxyUser>,
              host: Option<Authority>,
              client: Client| {
            let state = state.clone();
            answered(async move {
                if method != Method::POST {
                    return Err(ApiError::MethodNotAllowed("POST"));
                }
                state.check_host(host.as_ref())?;
                reject_cross_site(&headers)?;
                handler(state, headers, proxied, client).await
            })
        },
    );
    post.boxed()
}

/// Begins a session. The answer has no cookie where there is no session: annals has no users, or a proxy names the user of
/// each request.
async fn log_in(
    state: Arc<AppState>,
    headers: HeaderMap,
    proxied: Option<ProxyUser>,
    client: Client,
) -> Result<Answer, ApiError> {
    let authorization = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let claim = Claim { authorization, proxied: proxied.as_ref() };
    let credentials = Credentials { claim, session: None, path: LOG_IN_PATH, client };
    let session = state.authenticator().log_in_by(claim, client).await;
    let id = session.map_err(|error| credentials.error(error))?;
    let mut answer = answer::json(StatusCode::OK, json!({"code": 200, "msg": "Login success!"}))?;
    if let Some(id) = id {
        SessionCookie::DORIS.set(answer.headers_mut(), &id, state.scheme() == "https");
    }
    Ok(answer)
}

/// Ends the session of the cookie.
fn log_out(state: &AppState, headers: &HeaderMap) -> Result<Answer, ApiError> {
    if let Some(id) = SessionCookie::DORIS.read(headers) {
        state.authenticator().log_out(&id);
    }
    let mut answer = success((), 0)?;
    SessionCookie::DORIS.clear(answer.headers_mut(), state.scheme() == "https");
    Ok(answer)
}
