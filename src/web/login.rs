//! `/login` and `/logout`: who looks at pages, where annals asks who it is.

use std::sync::Arc;

use maud::{Markup, html};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::host::Authority;
use warp::http::{HeaderMap, StatusCode};
use warp::hyper::body::Bytes;

use super::layout::{Here, Page};
use super::{html as answer_of, redirect, refused};
use crate::http::answer::Answer;
use crate::http::auth::SessionCookie;
use crate::http::error::ApiError;
use crate::http::query_parameters::address as address_of;
use crate::http::{AppState, Parameters, reject_cross_site};

/// What a log-in may be long: a name, a password, a path.
const MAX_FORM_BYTES: u64 = 32 << 10;

/// Where somebody logs in who then goes on to `next`.
pub(super) fn address(next: &str) -> String {
    let next = if next == "/" { "" } else { next };
    address_of("/login", &Parameters::new(), &[("next", next)])
}

/// The routes.
pub(super) fn routes(history: Arc<AppState>) -> BoxedFilter<(Answer,)> {
    let with_history = warp::any().map(move || history.clone());
    let asked = with_history.clone().and(warp::host::optional());
    let form = warp::path!("login")
        .and(warp::get().or(warp::head()).unify())
        .and(asked.clone())
        .and(warp::query())
        .then(
            |history: Arc<AppState>, host: Option<Authority>, parameters: Parameters| async move {
                match history.check_host(host.as_ref()) {
                    Err(refusal) => refused(refusal, None),
                    // Nobody is asked: there is nothing to log in to.
                    Ok(()) if !history.authenticator().is_enabled() => {
                        redirect(local(parameters.get("next")))
                    }
                    Ok(()) => answer_of(StatusCode::OK, &page(&parameters, None), None),
                }
            },
        );
    let log_in = warp::path!("login")
        .and(warp::post())
        .and(asked.clone())
        .and(warp::header::headers_cloned())
        .and(warp::body::content_length_limit(MAX_FORM_BYTES))
        .and(warp::body::bytes())
        .then(log_in);
    let log_out = warp::path!("logout")
        .and(warp::post())
        .and(asked)
        .and(warp::header::headers_cloned())
        .and(warp::cookie::optional(SessionCookie::PAGES.name()))
        .then(log_out);
    let neither = warp::path!("login").or(warp::path!("logout")).unify().map(|| {
        refused(ApiError::BadRequest("this takes the form of the log-in page".to_string()), None)
    });
    form.or(log_in).unify().or(log_out).unify().or(neither).unify().boxed()
}

async fn log_in(
    history: Arc<AppState>,
    host: Option<Authority>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let allowed = history.check_host(host.as_ref()).and_then(|()| reject_cross_site(&headers));
    if let Err(refusal) = allowed {
        return refused(refusal, None);
    }
    let mut form: Parameters = form_urlencoded::parse(&body).into_owned().collect();
    let name = form.remove("name").unwrap_or_default();
    let password = form.remove("password").unwrap_or_default();
    match history.authenticator().log_in(&name, &password).await {
        Ok(id) => {
            let mut answer = redirect(local(form.get("next")));
            SessionCookie::PAGES.set(answer.headers_mut(), &id, history.scheme() == "https");
            answer
        }
        Err(ApiError::Unauthorized(sentence)) => {
            answer_of(StatusCode::UNAUTHORIZED, &page(&form, Some(&sentence)), None)
        }
        Err(refusal) => refused(refusal, None),
    }
}

async fn log_out(
    history: Arc<AppState>,
    host: Option<Authority>,
    headers: HeaderMap,
    session: Option<String>,
) -> Answer {
    let allowed = history.check_host(host.as_ref()).and_then(|()| reject_cross_site(&headers));
    if let Err(refusal) = allowed {
        return refused(refusal, None);
    }
    if let Some(id) = session {
        history.authenticator().log_out(&id);
    }
    let mut answer = redirect("/login");
    SessionCookie::PAGES.clear(answer.headers_mut(), history.scheme() == "https");
    answer
}

/// Where to go on behind the log-in: a path of annals' own, never another site.
fn local(next: Option<&String>) -> &str {
    let next = next.map_or("/", String::as_str);
    let behind = next.strip_prefix('/');
    // Browsers read `//host` and `/\host` as another site, and skip tabs and line ends.
    let other = behind.is_none_or(|behind| behind.starts_with(['/', '\\']));
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic());
    if other || !plain { "/" } else { next }
}

fn page(parameters: &Parameters, wrong: Option<&str>) -> Page {
    Page { title: "Log in".to_string(), here: Here::Elsewhere, body: form(parameters, wrong) }
}

fn form(parameters: &Parameters, wrong: Option<&str>) -> Markup {
    html! {
        form.login method="post" action="/login" {
            h1 { "Log in" }
            @if let Some(sentence) = wrong { p.wrong role="alert" { (sentence) } }
            input type="hidden" name="next" value=(local(parameters.get("next")));
            label { "User" input name="name" autocomplete="username" required autofocus; }
            label {
                "Password"
                input type="password" name="password" autocomplete="current-password" required;
            }
            button type="submit" { "Log in" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_in_leads_to_annals_alone() {
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
            assert_eq!(local(Some(&next.to_string())), expected, "{next:?}");
        }
        assert_eq!(address("/?user=a b"), "/login?next=%2F%3Fuser%3Da%20b");
        assert_eq!(address("/"), "/login");
    }
}
