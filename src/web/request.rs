//! A request for a page: the user's view of the history, the address, and the parameters.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::filters::path::FullPath;
use warp::host::Authority;
use warp::http::StatusCode;

use super::layout::{self, Change, Page, Repaired, Viewer};
use super::{paths, range_form, response};
use crate::domain::filter::QueryFilter;
use crate::http::answer::Answer;
use crate::http::auth::{ProxyUser, SessionCookie};
use crate::http::client::{Client, client};
use crate::http::error::{ApiError, ErrorParts};
use crate::http::query_parameters::{self, UnknownParameter};
use crate::http::view::View;
use crate::http::{AppState, BrowserCredentials, Parameters, PathValues, at};

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

/// Answers a request for a page, with the parts of its path that vary.
type Handler = Arc<dyn Fn(PathValues, PageRequest) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Returns the route of a page, whose path has a pattern as the REST interface has them. The filters of all pages have one
/// type, as those of the REST interface have.
pub(super) fn page_route<F>(
    path: &'static str,
    requests: PageRequests,
    answer: impl Fn(PathValues, PageRequest) -> F + Send + Sync + 'static,
) -> BoxedFilter<(Answer,)>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let handler =
        move |values, request| -> BoxFuture<'static, Answer> { Box::pin(answer(values, request)) };
    handled_by(path, requests, Arc::new(handler))
}

fn handled_by(
    path: &'static str,
    requests: PageRequests,
    handler: Handler,
) -> BoxedFilter<(Answer,)> {
    at(path).and(requests).then(move |values, request| handler(values, request)).boxed()
}

/// Where a request leads.
pub(super) enum Outcome {
    Page(Page),
    /// To another page.
    Address(String),
}

impl From<Page> for Outcome {
    fn from(page: Page) -> Outcome {
        Outcome::Page(page)
    }
}

impl PageRequest {
    /// Answers with what `make_page` returns, which has parameters of its `own` besides the parameters that choose queries.
    /// Users who are not logged in are sent to the log-in page.
    pub(super) async fn answer<M, F, O>(self, own: &'static [&'static str], make_page: M) -> Answer
    where
        M: FnOnce(View, Parameters) -> F,
        F: Future<Output = Result<O, ApiError>>,
        O: Into<Outcome>,
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
    pub(super) async fn answer_with<M, F, O>(self, make_page: M) -> Answer
    where
        M: FnOnce(View, Parameters) -> F,
        F: Future<Output = Result<O, ApiError>>,
        O: Into<Outcome>,
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
        let answer = match range_form::invalid_page(&view, &self.address, &self.parameters).await {
            Some(Ok(page)) => {
                let viewer = Viewer::of(&view, &readable(&view, &self.parameters));
                return response::page(StatusCode::BAD_REQUEST, &page, Some(&viewer));
            }
            Some(Err(error)) => Err(error),
            None => make_page(view.clone(), self.parameters.clone()).await.map(Into::into),
        };
        match answer {
            Ok(Outcome::Page(page)) => {
                let viewer = Viewer::of(&view, &self.parameters);
                response::page(StatusCode::OK, &page, Some(&viewer))
            }
            Ok(Outcome::Address(address)) => response::redirect(&address),
            Err(error) => error_answer(error, &view, (&self.address, &self.parameters)),
        }
    }
}

/// Returns the page that says what is wrong with a request. Its links keep the time range and the filters that can be read.
fn error_answer(
    error: ApiError,
    view: &View,
    (address, parameters): (&str, &Parameters),
) -> Answer {
    let (path, _) = address.split_once('?').unwrap_or((address, ""));
    let repaired = match &error {
        ApiError::UnknownParameter(UnknownParameter { meant: Some(meant), repaired, .. }) => {
            Some((Change::With(meant.clone()), readable(view, repaired)))
        }
        ApiError::UnknownParameter(UnknownParameter { repaired, .. }) => {
            let repaired = readable(view, repaired);
            Some((Change::Without(removed(parameters, &repaired)), repaired))
        }
        ApiError::BadRequest(sentence) => {
            let repaired = without_wrong(view, parameters, sentence);
            repaired.map(|repaired| (Change::Without(removed(parameters, &repaired)), repaired))
        }
        _ => None,
    };
    let repaired = repaired.map(|(change, parameters)| {
        let address = query_parameters::address(path, &parameters, &[]);
        Repaired { address, change }
    });
    let ErrorParts { status, message, .. } = error.into_parts();
    let kept = readable(view, parameters);
    let page = layout::error_page(status, &message, &kept, repaired);
    response::page(status, &page, Some(&Viewer::of(view, &kept)))
}

/// Returns the parameters of a page without the wrong ones; None if no parameter is wrong. `sentence` says what is wrong: it begins with the name of a parameter of the page itself.
fn without_wrong(view: &View, parameters: &Parameters, sentence: &str) -> Option<Parameters> {
    let mut right = readable(view, parameters);
    if right == *parameters {
        let name = sentence.split([' ', ':']).next().unwrap_or_default();
        right.remove(name);
    }
    (right != *parameters).then_some(right)
}

/// Returns those of some parameters that others do not have, as an address has them.
fn removed(parameters: &Parameters, others: &Parameters) -> String {
    let removed = parameters.iter().filter(|(name, _)| !others.contains_key(name));
    removed.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Returns the parameters of a page without those of its time range and its filters that cannot be read.
fn readable(view: &View, parameters: &Parameters) -> Parameters {
    let times = range_form::readable_times(parameters, view.zone);
    let is_readable = |name: &str, values: &[String]| match name {
        "from" | "to" => values.len() == 1 && times.contains_key(name),
        _ => {
            let alone = values.iter().map(|value| (name.to_string(), value.clone()));
            query_filter(view, &alone.collect()).is_ok()
        }
    };
    let wrong: Vec<&str> = parameters
        .by_name()
        .filter(|(name, values)| !is_readable(name, values))
        .map(|(name, _)| name)
        .collect();
    let mut readable = parameters.clone();
    readable.retain(|name, _| !wrong.contains(&name));
    readable
}

/// Errors at a parameter that neither chooses queries nor is one of a page's `own`.
fn reject_unknown(parameters: &Parameters, own: &[&str]) -> Result<(), ApiError> {
    let choosing = query_parameters::choosing_names().iter().map(String::as_str);
    let known: Vec<&str> = own.iter().copied().chain(choosing).collect();
    query_parameters::reject_unknown(parameters, &known)
}

/// Redirects to the log-in page where the error is a missing log-in; else returns the error page.
pub(super) fn log_in_or_error(error: ApiError, address: &str, visitor: &Visitor) -> Answer {
    match error {
        ApiError::Unauthorized(_) => response::redirect(&paths::login(address)),
        error if visitor.credentials.proxied.is_some() => rejected_by_name(error, &visitor.state),
        error => response::error(error),
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
    // Boxed: of a long chain of filters, the compiler makes a type that it takes long to check.
    let method = warp::get().or(warp::head()).unify().boxed();
    let address = warp::host::optional().and(warp::path::full()).and(query_string).boxed();
    method
        .and(warp::cookie::optional(SessionCookie::PAGES.name()))
        .and(warp::header::optional("authorization"))
        .and(warp::ext::optional())
        .and(client())
        .boxed()
        .and(address)
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
    query_parameters::filter_of_page(view, &parameters)
}
