//! A request for a page: the user's view of the history, the address, and the parameters.

use std::sync::Arc;

use warp::Filter;
use warp::filters::BoxedFilter;
use warp::filters::path::FullPath;
use warp::host::Authority;
use warp::http::StatusCode;

use super::layout::{self, Page, Viewer};
use super::{paths, range_form, response};
use crate::domain::filter::QueryFilter;
use crate::http::answer::Answer;
use crate::http::auth::{ProxyUser, SessionCookie};
use crate::http::client::{Client, client};
use crate::http::error::{ApiError, ErrorParts};
use crate::http::query_parameters;
use crate::http::view::View;
use crate::http::{AppState, BrowserCredentials, Parameters};

/// Rows of a list where the address names no limit.
const DEFAULT_LIMIT: &str = "50";

/// The filter that turns any GET or HEAD request into a [`PageRequest`].
pub(super) type PageRequests = BoxedFilter<(PageRequest,)>;

pub(super) struct PageRequest {
    /// The queries that the user may see, or why the user may see none.
    pub view: Result<View, ApiError>,
    /// Path and query string. The log-in page leads back to it.
    pub address: String,
    pub parameters: Parameters,
    pub visitor: Visitor,
}

/// Who opened a page.
#[derive(Clone)]
pub(super) struct Visitor {
    state: Arc<AppState>,
    credentials: BrowserCredentials,
}

impl Visitor {
    /// Returns the client that the visitor comes from.
    pub(super) fn client(&self) -> Client {
        self.credentials.client
    }

    /// Returns whether the visitor may still see what `view` shows.
    pub(super) async fn may_see(&self, view: &View) -> bool {
        self.state.is_current(&self.credentials, view).await
    }
}

impl PageRequest {
    /// Answers with the page that `make_page` returns, which has parameters of its `own` besides the parameters that choose queries.
    /// Users who are not logged in are sent to the log-in page.
    pub(super) async fn answer<M, F>(self, own: &'static [&'static str], make_page: M) -> Answer
    where
        M: FnOnce(View, Parameters) -> F,
        F: Future<Output = Result<Page, ApiError>>,
    {
        let known = reject_unknown(&self.parameters, own);
        let page = async |view, parameters| {
            known?;
            // Boxed: the futures of pages are large, and move.
            Box::pin(make_page(view, parameters)).await
        };
        self.answer_with(page).await
    }

    /// Does the same with any parameters.
    pub(super) async fn answer_with<M, F>(self, make_page: M) -> Answer
    where
        M: FnOnce(View, Parameters) -> F,
        F: Future<Output = Result<Page, ApiError>>,
    {
        let view = match self.view {
            Ok(view) => view,
            Err(error) => return log_in_or_error(error, &self.address, &self.visitor),
        };
        // A form sends its empty fields too. The redirect keeps the address short enough to share.
        if self.parameters.iter().any(|(_, value)| value.is_empty()) {
            let (path, _) = self.address.split_once('?').unwrap_or((&self.address, ""));
            return response::redirect(&query_parameters::address(path, &self.parameters, &[]));
        }
        let viewer = Viewer::of(&view, &self.parameters);
        let viewer_of_error = Viewer::of_error(&view, &self.parameters);
        let answer = match range_form::invalid_page(&view, &self.address, &self.parameters).await {
            Some(page) => page.map(|page| (StatusCode::BAD_REQUEST, page, &viewer_of_error)),
            None => {
                make_page(view, self.parameters).await.map(|page| (StatusCode::OK, page, &viewer))
            }
        };
        match answer {
            Ok((status, page, viewer)) => response::page(status, &page, Some(viewer)),
            Err(error) => response::error(error, Some(&viewer_of_error)),
        }
    }
}

/// Errors at a parameter that neither chooses queries nor is one of a page's `own`.
pub(super) fn reject_unknown(parameters: &Parameters, own: &[&str]) -> Result<(), ApiError> {
    let choosing = query_parameters::choosing_names().iter().map(String::as_str);
    let known: Vec<&str> = own.iter().copied().chain(choosing).collect();
    query_parameters::reject_unknown(parameters, &known)
}

/// Redirects to the log-in page where the error is a missing log-in; else returns the error page.
pub(super) fn log_in_or_error(error: ApiError, address: &str, visitor: &Visitor) -> Answer {
    match error {
        ApiError::Unauthorized(_) => response::redirect(&paths::login(address)),
        error if visitor.credentials.proxied.is_some() => rejected_by_name(error, &visitor.state),
        error => response::error(error, None),
    }
}

/// Returns the page for a user whom a proxy names and annals rejects.
pub(super) fn rejected_by_name(error: ApiError, state: &AppState) -> Answer {
    let ErrorParts { status, message, .. } = error.into_parts();
    let proxy_login = state.authenticator().proxy_login();
    let log_out_url = proxy_login.and_then(|proxy_login| proxy_login.log_out_url());
    response::page(status, &layout::rejected_page(status, &message, log_out_url), None)
}

pub(super) fn page_requests(state: Arc<AppState>) -> PageRequests {
    let query_string = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::get()
        .or(warp::head())
        .unify()
        .and(warp::cookie::optional(SessionCookie::PAGES.name()))
        .and(warp::header::optional("authorization"))
        .and(warp::ext::optional())
        .and(client())
        .and(warp::host::optional())
        .and(warp::path::full())
        .and(query_string)
        .and(warp::query())
        .then(
            move |session: Option<String>,
                  authorization: Option<String>,
                  proxied: Option<ProxyUser>,
                  client: Client,
                  host: Option<Authority>,
                  path: FullPath,
                  query: String,
                  parameters: Parameters| {
                let state = state.clone();
                async move {
                    let credentials =
                        BrowserCredentials { session, authorization, proxied, client };
                    let view = state.view_of_browser(&credentials, host).await;
                    let address = match query.as_str() {
                        "" => path.as_str().to_string(),
                        query => format!("{}?{query}", path.as_str()),
                    };
                    let visitor = Visitor { state, credentials };
                    PageRequest { view, address, parameters, visitor }
                }
            },
        )
        .boxed()
}

/// Returns the filter that the parameters of a report select. Reports have orders of their own.
pub(super) fn query_filter(view: &View, parameters: &Parameters) -> Result<QueryFilter, ApiError> {
    let mut parameters = parameters.clone();
    parameters.remove("order");
    list_filter(view, &parameters)
}

/// Returns the filter that the parameters of a list select. The parameters are those of the REST lists.
pub(super) fn list_filter(view: &View, parameters: &Parameters) -> Result<QueryFilter, ApiError> {
    let mut parameters = parameters.clone();
    if !parameters.contains_key("limit") {
        parameters.set("limit", DEFAULT_LIMIT);
    }
    query_parameters::filter(view, &parameters)
}
