//! `/login` and `/logout`: sessions of browsers, where annals has users.

use std::sync::Arc;

use maud::{Markup, html};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::host::Authority;
use warp::http::header::RETRY_AFTER;
use warp::http::{HeaderMap, StatusCode};
use warp::hyper::body::Bytes;

use super::layout::Page;
use super::request::rejected_by_name;
use super::{paths, response};
use crate::http::answer::Answer;
use crate::http::auth::{Claim, ProxyUser, SessionCookie};
use crate::http::client::{Client, client};
use crate::http::error::ApiError;
use crate::http::{AppState, Parameters, any_of, reject_cross_site};

/// The form is a name, a password and a path.
const MAX_FORM_BYTES: u64 = 32 << 10;

pub(super) fn routes(state: Arc<AppState>) -> BoxedFilter<(Answer,)> {
    let state = warp::any().map(move || state.clone());
    let state = state.and(warp::host::optional()).and(warp::ext::optional()).boxed();
    let (log_in_path, log_out_path) = (warp::path!("login").boxed(), warp::path!("logout").boxed());
    let form = log_in_path
        .clone()
        .and(warp::get().or(warp::head()).unify())
        .and(state.clone())
        .and(warp::query())
        .then(show_form);
    let log_in = log_in_path
        .clone()
        .and(warp::post())
        .and(state.clone())
        .and(warp::header::headers_cloned())
        .and(client())
        .boxed()
        .and(warp::body::content_length_limit(MAX_FORM_BYTES))
        .and(warp::body::bytes())
        .then(log_in);
    let log_out = log_out_path
        .clone()
        .and(warp::post())
        .and(state)
        .and(warp::header::headers_cloned())
        .and(warp::cookie::optional(SessionCookie::PAGES.name()))
        .then(log_out);
    let other = log_in_path.or(log_out_path).unify().map(|| {
        response::error(ApiError::BadRequest("use the form of the log-in page".to_string()))
    });
    any_of([form.boxed(), log_in.boxed(), log_out.boxed(), other.boxed()])
}

async fn show_form(
    state: Arc<AppState>,
    host: Option<Authority>,
    proxied: Option<ProxyUser>,
    parameters: Parameters,
) -> Answer {
    if let Some(user) = proxied {
        return logged_in_by_proxy(&state, &user, parameters.get("next")).await;
    }
    match state.check_host(host.as_ref()) {
        Err(error) => response::error(error),
        // Without users there is nothing to log in to.
        Ok(()) if !state.authenticator().is_enabled() => {
            response::redirect(local_path(parameters.get("next")))
        }
        Ok(()) => response::page(StatusCode::OK, &page(&parameters, None), None),
    }
}

async fn log_in(
    state: Arc<AppState>,
    host: Option<Authority>,
    proxied: Option<ProxyUser>,
    headers: HeaderMap,
    client: Client,
    body: Bytes,
) -> Answer {
    let allowed = state.check_host(host.as_ref()).and_then(|()| reject_cross_site(&headers));
    if let Err(error) = allowed {
        return response::error(error);
    }
    let mut form: Parameters = form_urlencoded::parse(&body).into_owned().collect();
    if let Some(user) = proxied {
        return logged_in_by_proxy(&state, &user, form.get("next")).await;
    }
    let name = form.get("name").cloned().unwrap_or_default();
    let password = form.remove("password").unwrap_or_default();
    match state.authenticator().log_in(&name, &password, client).await {
        Ok(session) => {
            let mut answer = response::redirect(local_path(form.get("next")));
            SessionCookie::PAGES.set(answer.headers_mut(), &session, state.scheme() == "https");
            answer
        }
        Err(ApiError::Unauthorized(message)) => {
            response::page(StatusCode::UNAUTHORIZED, &page(&form, Some(&message)), None)
        }
        Err(ApiError::TooMany(message, retry_after)) => {
            let status = StatusCode::TOO_MANY_REQUESTS;
            let mut answer = response::page(status, &page(&form, Some(&message)), None);
            answer.headers_mut().insert(RETRY_AFTER, retry_after.as_secs().into());
            answer
        }
        Err(error) => response::error(error),
    }
}

/// Leads a user whom a proxy has logged in to the page that the user wanted: no password replaces the user whom the proxy
/// names.
async fn logged_in_by_proxy(state: &AppState, user: &ProxyUser, next: Option<&String>) -> Answer {
    let claim = Claim { authorization: None, proxied: Some(user) };
    match state.authenticator().principal(claim, Client::UNKNOWN).await {
        Ok(_) => response::redirect(local_path(next)),
        Err(error) => rejected_by_name(error, state),
    }
}

/// Ends the session of annals, and leads a user whom a proxy has logged in to where the proxy ends its own.
async fn log_out(
    state: Arc<AppState>,
    host: Option<Authority>,
    proxied: Option<ProxyUser>,
    headers: HeaderMap,
    session: Option<String>,
) -> Answer {
    let allowed = state.check_host(host.as_ref()).and_then(|()| reject_cross_site(&headers));
    if let Err(error) = allowed {
        return response::error(error);
    }
    if let Some(id) = session {
        state.authenticator().log_out(&id);
    }
    let at_proxy = proxied.and_then(|_| state.authenticator().proxy_login()?.log_out_url());
    let mut answer = response::redirect(at_proxy.unwrap_or(paths::LOGIN));
    SessionCookie::PAGES.clear(answer.headers_mut(), state.scheme() == "https");
    answer
}

/// Returns the path to open after the log-in: `next` if it is a path of annals, else the history.
fn local_path(next: Option<&String>) -> &str {
    let next = next.map_or(paths::HISTORY, String::as_str);
    // Browsers read `//host` and `/\host` as another site, and skip tabs and line ends.
    let is_local = next.strip_prefix('/').is_some_and(|rest| !rest.starts_with(['/', '\\']));
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic());
    if is_local && is_plain { next } else { paths::HISTORY }
}

fn page(parameters: &Parameters, error: Option<&str>) -> Page {
    Page { title: "Log in".to_string(), nav: None, body: form(parameters, error) }
}

fn form(parameters: &Parameters, error: Option<&str>) -> Markup {
    html! {
        form.login method="post" action=(paths::LOGIN) {
            h1 { "Log in" }
            @if let Some(error) = error { p.error role="alert" { (error) } }
            input type="hidden" name="next" value=(local_path(parameters.get("next")));
            @let name = parameters.get("name");
            label {
                "User"
                input name="name" value=[name] autocomplete="username" required autofocus[name.is_none()];
            }
            label {
                "Password"
                input type="password" name="password" autocomplete="current-password" required
                    autofocus[name.is_some()];
            }
            button type="submit" { "Log in" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_in_leads_to_paths_of_annals_only() {
        for (next, expected) in [
            ("/", "/"),
            ("/query_profile/1-2?a=b%20c", "/query_profile/1-2?a=b%20c"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("/\t/evil.example", "/"),
            ("/a\r\nset-cookie: b", "/"),
            ("", "/"),
        ] {
            assert_eq!(local_path(Some(&next.to_string())), expected, "{next:?}");
        }
    }
}
