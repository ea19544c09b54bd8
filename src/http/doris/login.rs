//! `POST /rest/v1/login` and `/rest/v1/logout`, with which Doris' own page and its manager begin and end: HTTP Basic
//! in, a cookie out that then serves instead of it (`LoginController`, `LogoutController`, `BaseController`).
//!
//! The cookie serves to read alone. Pushes ask for HTTP Basic, so that no page of another site can have a browser
//! push with a cookie.

use serde_json::json;
use warp::host::Authority;
use warp::http::header::AUTHORIZATION;
use warp::http::{HeaderMap, StatusCode};

use crate::http::answer::{self, Answer};
use crate::http::auth::SessionCookie;
use crate::http::doris::envelope::success;
use crate::http::error::ApiError;
use crate::http::{AppState, Credentials, not_from_another_site};

/// Begins a session. Without users there is none to begin, and the answer has no cookie.
pub(crate) async fn log_in(
    history: &AppState,
    headers: &HeaderMap,
    host: Option<Authority>,
) -> Result<Answer, ApiError> {
    history.reached(host.as_ref())?;
    not_from_another_site(headers)?;
    let sent = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let credentials = Credentials { authorization: sent, session: None, path: "/rest/v1/login" };
    let id =
        history.authenticator.log_in_by(sent).await.map_err(|refusal| credentials.told(refusal))?;
    let mut answer = answer::json(StatusCode::OK, json!({"code": 200, "msg": "Login success!"}))?;
    if let Some(id) = id {
        SessionCookie::DORIS.set(answer.headers_mut(), &id, history.scheme == "https");
    }
    Ok(answer)
}

/// Ends the session of the cookie.
pub(crate) fn log_out(
    history: &AppState,
    headers: &HeaderMap,
    host: Option<Authority>,
) -> Result<Answer, ApiError> {
    history.reached(host.as_ref())?;
    not_from_another_site(headers)?;
    if let Some(id) = SessionCookie::DORIS.read(headers) {
        history.authenticator.log_out(&id);
    }
    let mut answer = success((), 0)?;
    SessionCookie::DORIS.clear(answer.headers_mut(), history.scheme == "https");
    Ok(answer)
}
