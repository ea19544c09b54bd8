//! `POST /rest/v1/login` and `/rest/v1/logout`, with which Doris' own page and its manager begin and end: HTTP Basic
//! in, a cookie out that then serves instead of it (`LoginController`, `LogoutController`, `BaseController`).
//!
//! The cookie serves to read alone. Pushes ask for HTTP Basic, so that no page of another site can have a browser
//! push with a cookie.

use serde_json::json;
use warp::host::Authority;
use warp::http::header::{AUTHORIZATION, COOKIE, HeaderValue, SET_COOKIE};
use warp::http::{HeaderMap, StatusCode};

use crate::http::auth::SESSION_LASTS;
use crate::http::envelope::{self, Answer, ApiError, success};
use crate::http::{AppState, Credentials, not_from_another_site};

/// The cookie of a session, as Doris names it.
pub(crate) const NAME: &str = "PALO_SESSION_ID";

/// Returns the id of the session that a client names in its cookie.
pub(crate) fn session_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
    cookies.flat_map(|cookies| cookies.split(';')).find_map(|cookie| {
        let (name, id) = cookie.trim().split_once('=')?;
        (name == NAME).then_some(id)
    })
}

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
    let answer = envelope::json(StatusCode::OK, json!({"code": 200, "msg": "Login success!"}))?;
    Ok(match id {
        Some(id) => with_cookie(answer, history, &id, SESSION_LASTS.as_secs()),
        None => answer,
    })
}

/// Ends the session of the cookie.
pub(crate) fn log_out(
    history: &AppState,
    headers: &HeaderMap,
    host: Option<Authority>,
) -> Result<Answer, ApiError> {
    history.reached(host.as_ref())?;
    not_from_another_site(headers)?;
    if let Some(id) = session_of(headers) {
        history.authenticator.log_out(id);
    }
    Ok(with_cookie(success((), 0)?, history, "", 0))
}

/// Gives a client the id of its session, for so many seconds. No script and no other site gets it.
fn with_cookie(mut answer: Answer, history: &AppState, id: &str, seconds: u64) -> Answer {
    let secure = if history.scheme == "https" { "; Secure" } else { "" };
    let cookie = format!("{NAME}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
    answer
}
