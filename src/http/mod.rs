//! The REST interface of a Doris frontend, as far as it tells of query history.

pub(crate) mod answer;
pub(crate) mod auth;
mod body;
pub(crate) mod cache;
pub(crate) mod doris;
pub(crate) mod error;
mod etag;
mod fast_path;
mod metrics;
pub(crate) mod middleware;
pub(crate) mod query_parameters;
mod raw_head;
mod response_cache;
pub(crate) mod server;
mod v1;
pub(crate) mod view;

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use percent_encoding::percent_decode_str;
use warp::filters::BoxedFilter;
use warp::filters::path::{FullPath, Tail};
use warp::host::Authority;
use warp::http::header::{HOST, ORIGIN};
use warp::http::{HeaderMap, Method};
use warp::reject::{InvalidQuery, MethodNotAllowed};
use warp::{Filter, Rejection, Reply};

use crate::domain::record::{QueryId, QueryIdError};
use crate::domain::time::Zone;
use crate::ingest::Pipeline;
use crate::store::{Store, StoredProfile};
use answer::Answer;
use auth::{Authenticator, Principal, SessionCookie};
use doris::{login, manager, query_detail, query_profile, session, stream_load};
use error::ApiError;
pub(crate) use metrics::Metrics;
pub(crate) use response_cache::ResponseCache;
use v1::{openapi, push, queries, statements, status};
use view::View;

/// What the routes answer from.
#[derive(Debug)]
pub(crate) struct AppState {
    /// The history.
    pub store: Store,
    /// The zone in which times are written.
    pub zone: Zone,
    /// The source to the store for what is pushed.
    pub pipeline: Arc<Pipeline>,
    /// `http`, or `https` where annals serves with TLS.
    pub scheme: &'static str,
    /// Who may ask.
    pub authenticator: Authenticator,
    /// Whether those who reach it by any name may ask, though annals asks nobody who they are.
    pub open_to_all: bool,
    /// What is counted of requests.
    pub metrics: Arc<Metrics>,
    /// Answers that are response_cache.
    pub response_cache: ResponseCache,
}

/// What a client says of who it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credentials<'a> {
    /// Its `Authorization` header.
    authorization: Option<&'a str>,
    /// The id of its session on Doris' paths.
    session: Option<&'a str>,
    /// What it asks for.
    path: &'a str,
}

impl Credentials<'_> {
    /// What it is told whom nobody knows. Doris' page knows by these words that it has to log in.
    fn told(&self, refusal: ApiError) -> ApiError {
        match refusal {
            ApiError::Unauthorized(_)
                if self.authorization.is_none() && self.path.starts_with("/rest/v1/") =>
            {
                ApiError::Unauthorized("Cookie is invalid".to_string())
            }
            refusal => refusal,
        }
    }
}

impl AppState {
    /// The history as far as those may see it who asked this host so.
    async fn view(
        &self,
        credentials: Credentials<'_>,
        host: Option<Authority>,
    ) -> Result<View, ApiError> {
        let principal = self.principal(credentials, host.as_ref()).await?;
        Ok(self.seen_by(principal))
    }

    /// The same for a browser, which sends the id of its session rather than the header.
    pub(crate) async fn view_in_session(
        &self,
        session: Option<&str>,
        authorization: Option<String>,
        host: Option<Authority>,
    ) -> Result<View, ApiError> {
        if let Some(id) = session
            && let Some(principal) = self.authenticator.principal_in_session(id).await?
        {
            return Ok(self.seen_by(principal));
        }
        let authorization = authorization.as_deref();
        self.view(Credentials { authorization, session: None, path: "" }, host).await
    }

    /// Refuses those who came by a name that annals does not answer to.
    pub(crate) fn reached(&self, host: Option<&Authority>) -> Result<(), ApiError> {
        if self.authenticator.is_enabled() || self.open_to_all {
            return Ok(());
        }
        reached_as_this_machine(host)
    }

    fn seen_by(&self, principal: Principal) -> View {
        View::new(self.store.clone(), self.zone, self.scheme, self.pipeline.clone(), principal)
    }

    /// Who asked this host so.
    async fn principal(
        &self,
        credentials: Credentials<'_>,
        host: Option<&Authority>,
    ) -> Result<Principal, ApiError> {
        self.reached(host)?;
        if let (None, Some(id)) = (credentials.authorization, credentials.session)
            && let Some(principal) = self.authenticator.principal_in_session(id).await?
        {
            return Ok(principal);
        }
        self.authenticator
            .principal(credentials.authorization)
            .await
            .map_err(|refusal| credentials.told(refusal))
    }
}

/// The parameters behind the question mark.
pub(crate) type Parameters = HashMap<String, String>;

/// Returns the first of some routes that takes a request. All are of one type, and joined as a tree: a chain of their own
/// types takes the compiler minutes, and a chain of boxes has each request pass all before its own.
fn any_of(routes: impl IntoIterator<Item = BoxedFilter<(Answer,)>>) -> BoxedFilter<(Answer,)> {
    let mut level: Vec<_> = routes.into_iter().collect();
    while level.len() > 1 {
        let mut pairs = level.into_iter();
        level = Vec::new();
        while let Some(first) = pairs.next() {
            level.push(match pairs.next() {
                Some(second) => first.or(second).unify().boxed(),
                None => first,
            });
        }
    }
    level.pop().unwrap_or_else(|| {
        warp::any().and_then(|| async { Err::<Answer, _>(warp::reject::not_found()) }).boxed()
    })
}

/// Every route there is.
pub(crate) fn routes(
    history: Arc<AppState>,
) -> impl Filter<Extract = (impl Reply,), Error = Infallible> + Clone {
    let scraped = history.clone();
    let sessions = session_routes(history.clone());
    let pushed = history.clone();
    let history = warp::header::optional("authorization")
        .and(warp::cookie::optional(SessionCookie::DORIS.name()))
        .and(warp::path::full())
        .and(warp::host::optional())
        .then(
            move |authorization: Option<String>, session: Option<String>, path: FullPath, host| {
                let history = history.clone();
                async move {
                    let (authorization, session) = (authorization.as_deref(), session.as_deref());
                    history
                        .view(Credentials { authorization, session, path: path.as_str() }, host)
                        .await
                }
            },
        );
    // Who pushes sends HTTP Basic: a cookie is sent by a browser for whatever page has it do so.
    let pushing = warp::header::optional("authorization").and(warp::host::optional()).then(
        move |authorization: Option<String>, host| {
            let history = pushed.clone();
            async move {
                let authorization = authorization.as_deref();
                history.view(Credentials { authorization, session: None, path: "" }, host).await
            }
        },
    );
    // The method is asked for behind the path, so that a wrong one on a path that exists is told from
    // a path that does not.
    let read = warp::get().or(warp::head()).unify();
    // Boxed, here and below: warp clones what may come next for each request, and what is boxed is one counter.
    let history = history.boxed();
    let at_end = warp::path::end().and(read).and(history.clone()).and(warp::query()).boxed();
    let before_id = read.and(history.clone()).and(warp::path::tail()).boxed();

    let session = warp::path!("rest" / "v1" / "session" / ..).and(at_end.clone()).then(
        |view: Result<View, ApiError>, parameters: Parameters| {
            answered(async move {
                match parameters.get("query_id") {
                    Some(id) => session::profile(&view?, query_id(id)?).await,
                    None => session::list(&view?, parameters).await,
                }
            })
        },
    );
    let all_sessions = warp::path!("rest" / "v1" / "session" / "all" / ..)
        .and(at_end.clone())
        .then(|view: Result<View, ApiError>, parameters: Parameters| {
            answered(async move { session::list(&view?, parameters).await })
        });
    let session_profile = warp::path!("rest" / "v1" / "session" / ..).and(before_id.clone()).then(
        |view: Result<View, ApiError>, id: Tail| {
            answered(async move { session::profile(&view?, query_id_in_path(&id)?).await })
        },
    );
    let query_profiles = warp::path!("rest" / "v1" / "query_profile" / ..)
        .and(at_end.clone())
        .then(|view: Result<View, ApiError>, parameters: Parameters| {
            answered(async move { query_profile::list(&view?, parameters).await })
        });
    let query_profile = warp::path!("rest" / "v1" / "query_profile" / ..)
        .and(before_id.clone())
        .then(|view: Result<View, ApiError>, id: Tail| {
            answered(async move { session::profile(&view?, query_id_in_path(&id)?).await })
        });
    let profile = warp::path!("api" / "profile" / ..).and(at_end.clone()).then(
        |view: Result<View, ApiError>, parameters: Parameters| {
            answered(async move {
                query_profile::enveloped(&view?, query_id_parameter(&parameters)?).await
            })
        },
    );
    let profile_text = warp::path!("api" / "profile" / "text" / ..).and(at_end.clone()).then(
        |view: Result<View, ApiError>, parameters: Parameters| {
            answered(async move {
                match parameters.get("query_id").is_some_and(|id| !id.is_empty()) {
                    true => query_profile::bare(&view?, query_id_parameter(&parameters)?).await,
                    false => query_profile::newest(&view?).await,
                }
            })
        },
    );
    let details = warp::path!("api" / "query_detail" / ..).and(at_end.clone()).then(
        |view: Result<View, ApiError>, parameters| {
            answered(async move { query_detail::doris(&view?, parameters).await })
        },
    );
    let details_v2 = warp::path!("api" / "v2" / "query_detail" / ..).and(at_end.clone()).then(
        |view: Result<View, ApiError>, parameters| {
            answered(async move { query_detail::starrocks(&view?, parameters).await })
        },
    );

    let metrics = warp::path!("metrics" / ..).and(at_end.clone()).then(
        move |view: Result<View, ApiError>, _| {
            let metrics = scraped.metrics.clone();
            answered(async move { metrics::report(&view?, &metrics).await })
        },
    );
    let own = own_routes(at_end.clone());
    let pushes = push_routes(pushing.boxed());
    let manager = manager_routes(at_end.clone(), before_id.clone());
    let routes = any_of([
        session.boxed(),
        sessions.boxed(),
        all_sessions.boxed(),
        session_profile.boxed(),
        query_profiles.boxed(),
        query_profile.boxed(),
        profile.boxed(),
        profile_text.boxed(),
        details.boxed(),
        details_v2.boxed(),
        own.boxed(),
        metrics.boxed(),
        manager.boxed(),
        pushes.boxed(),
    ]);
    warp::method().and(warp::header::headers_cloned()).and(routes.recover(refuse).unify()).map(
        |method, headers: HeaderMap, answer| {
            middleware::finalize_response(&method, &headers, answer)
        },
    )
}

/// Refuses what comes to a name that is not this machine's: a page in somebody's browser may have its own
/// name point to the loopback, and would read the history as if it were of its site.
fn reached_as_this_machine(host: Option<&Authority>) -> Result<(), ApiError> {
    let Some(host) = host.map(Authority::host) else {
        return Ok(());
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.to_ascii_lowercase();
    if address.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost") {
        return Ok(());
    }
    Err(ApiError::Forbidden(format!(
        "annals is asked for as {host}, but without users it answers to 127.0.0.1 and localhost only"
    )))
}

/// The routes that begin and end a session, as Doris' page and its manager ask for one.
fn session_routes(history: Arc<AppState>) -> BoxedFilter<(Answer,)> {
    let asked = warp::method()
        .and(warp::header::headers_cloned())
        .and(warp::host::optional())
        .map(move |method, headers, host| (history.clone(), method, headers, host))
        .boxed();
    type Sent = (Arc<AppState>, Method, HeaderMap, Option<Authority>);
    let log_in = warp::path!("rest" / "v1" / "login").and(asked.clone()).then(
        |(history, method, headers, host): Sent| {
            answered(async move {
                only(method, Method::POST, "POST")?;
                login::log_in(&history, &headers, host).await
            })
        },
    );
    let log_out = warp::path!("rest" / "v1" / "logout").and(asked).then(
        |(history, method, headers, host): Sent| {
            answered(async move {
                only(method, Method::POST, "POST")?;
                login::log_out(&history, &headers, host)
            })
        },
    );
    any_of([log_in.boxed(), log_out.boxed()])
}

/// The routes of annals' own that read.
fn own_routes(at_end: BoxedFilter<(Result<View, ApiError>, Parameters)>) -> BoxedFilter<(Answer,)> {
    let own = warp::path!("api" / "v1" / ..);
    let description = warp::path!("openapi.json" / ..)
        .and(at_end.clone())
        .then(|_, _| answered(async { openapi::description() }));
    let status = warp::path!("status" / ..).and(at_end.clone()).then(
        |view: Result<View, ApiError>, parameters: Parameters| {
            answered(async move { status::report(&view?, parameters).await })
        },
    );
    let list = warp::path!("queries" / ..).and(at_end.clone()).then(
        |view: Result<View, ApiError>, parameters| {
            answered(async move { queries::list(&view?, parameters).await })
        },
    );
    let one = warp::path!("queries" / String / ..).and(at_end.clone()).then(
        |id: String, view: Result<View, ApiError>, parameters| {
            answered(async move { queries::one(&view?, segment(&id)?, parameters).await })
        },
    );
    let profile = warp::path!("queries" / String / "profile" / ..).and(at_end.clone()).then(
        |id: String, view: Result<View, ApiError>, parameters| {
            answered(async move { queries::profile(&view?, segment(&id)?, parameters).await })
        },
    );
    let tree = warp::path!("queries" / String / "profile" / "tree" / ..).and(at_end.clone()).then(
        |id: String, view: Result<View, ApiError>, parameters| {
            answered(async move { queries::profile_tree(&view?, segment(&id)?, parameters).await })
        },
    );
    let statements = warp::path!("statements" / ..).and(at_end.clone()).then(
        |view: Result<View, ApiError>, parameters| {
            answered(async move { statements::statements(&view?, parameters).await })
        },
    );
    let timeline = warp::path!("timeline" / ..).and(at_end).then(
        |view: Result<View, ApiError>, parameters| {
            answered(async move { statements::timeline(&view?, parameters).await })
        },
    );
    let routes = any_of([
        description.boxed(),
        status.boxed(),
        list.boxed(),
        one.boxed(),
        profile.boxed(),
        tree.boxed(),
        statements.boxed(),
        timeline.boxed(),
    ]);
    own.and(routes).boxed()
}

/// The routes that take something in.
fn push_routes(history: BoxedFilter<(Result<View, ApiError>,)>) -> BoxedFilter<(Answer,)> {
    let asked =
        warp::method().and(history).and(warp::header::headers_cloned()).and(warp::body::stream());
    let queries = warp::path!("api" / "v1" / "queries").and(asked.clone()).then(
        |method, view: Result<View, ApiError>, headers: HeaderMap, chunks| {
            answered(async move {
                only(method, Method::POST, "GET, HEAD, POST")?;
                not_from_another_site(&headers)?;
                push::queries(&view?, headers, chunks).await
            })
        },
    );
    let profile = warp::path!("api" / "v1" / "queries" / String / "profile")
        .and(asked.clone())
        .then(|id: String, method, view: Result<View, ApiError>, headers: HeaderMap, chunks| {
            answered(async move {
                only(method, Method::PUT, "GET, HEAD, PUT")?;
                not_from_another_site(&headers)?;
                push::profile(&view?, segment(&id)?, headers, chunks).await
            })
        });
    let stream_load = warp::path!("api" / String / String / "_stream_load")
        .and(warp::path::full())
        .and(warp::query())
        .and(asked)
        .then(
            |db: String,
             _: String,
             path: FullPath,
             parameters,
             method,
             view: Result<View, ApiError>,
             headers: HeaderMap,
             chunks| {
                answered(async move {
                    only(method, Method::PUT, "PUT")?;
                    not_from_another_site(&headers)?;
                    let db = percent_decode_str(&db).decode_utf8_lossy();
                    stream_load::load(&view?, path.as_str(), &db, parameters, headers, chunks).await
                })
            },
        );
    any_of([queries.boxed(), profile.boxed(), stream_load.boxed()])
}

fn only(method: Method, allowed: Method, name: &'static str) -> Result<(), ApiError> {
    if method == allowed { Ok(()) } else { Err(ApiError::MethodNotAllowed(name)) }
}

/// Refuses what a browser sends for a page of another site: annals may listen on the machine of somebody
/// who surfs.
pub(crate) fn not_from_another_site(headers: &HeaderMap) -> Result<(), ApiError> {
    let host = headers.get(HOST).map(|host| host.as_bytes());
    let foreign_origin = headers.get(ORIGIN).is_some_and(|origin| {
        let origin = origin.as_bytes();
        let at = memchr::memmem::find(origin, b"://").map(|at| &origin[at + 3..]);
        at.is_none() || at != host
    });
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if foreign_origin || site.is_some_and(|site| ![&b"same-origin"[..], b"none"].contains(&site)) {
        let sentence = "a page of another site may not send anything here";
        return Err(ApiError::Forbidden(sentence.to_string()));
    }
    Ok(())
}

/// The routes of Doris' manager, and those with which a frontend is looked for.
fn manager_routes(
    at_end: BoxedFilter<(Result<View, ApiError>, Parameters)>,
    before_id: BoxedFilter<(Result<View, ApiError>, Tail)>,
) -> BoxedFilter<(Answer,)> {
    let query = warp::path!("rest" / "v2" / "manager" / "query" / ..);
    let query_info = warp::path!("query_info" / ..).and(at_end.clone()).then(
        |view: Result<View, ApiError>, parameters| {
            answered(async move { manager::query_info(&view?, parameters).await })
        },
    );
    let current_queries = warp::path!("current_queries" / ..).and(at_end.clone()).then(
        |view: Result<View, ApiError>, _| {
            answered(async move { manager::current_queries(&view?).await })
        },
    );
    let sql = warp::path!("sql" / ..).and(before_id.clone()).then(
        |view: Result<View, ApiError>, id: Tail| {
            answered(async move { manager::sql(&view?, query_id_in_path(&id)?).await })
        },
    );
    let text = warp::path!("profile" / "text" / ..).and(before_id.clone()).then(
        |view: Result<View, ApiError>, id: Tail| {
            answered(async move { manager::profile_text(&view?, query_id_in_path(&id)?).await })
        },
    );
    let json = warp::path!("profile" / "json" / ..).and(before_id.clone()).then(
        |view: Result<View, ApiError>, id: Tail| {
            answered(async move { manager::profile_json(&view?, query_id_in_path(&id)?).await })
        },
    );
    let fragments = warp::path!("profile" / "fragments" / ..).and(before_id.clone()).then(
        |view: Result<View, ApiError>, id: Tail| {
            answered(
                async move { manager::profile_fragments(&view?, query_id_in_path(&id)?).await },
            )
        },
    );
    let graph = warp::path!("profile" / "graph" / ..).and(before_id.clone()).then(
        |view: Result<View, ApiError>, id: Tail| {
            answered(async move { manager::profile_graph(&view?, query_id_in_path(&id)?).await })
        },
    );
    let traced = warp::path!("trace_id" / ..).and(before_id.clone()).then(
        |view: Result<View, ApiError>, id: Tail| {
            answered(async move { manager::traced(&view?, &trace_id_in_path(&id)).await })
        },
    );
    let other_form = warp::path!("profile" / String / ..).and(before_id.clone()).then(
        |form: String, view: Result<View, ApiError>, _| {
            answered(async move { view.and_then(|_| Err(manager::no_such_form(&form))) })
        },
    );
    let statistics = warp::path!("statistics" / ..).and(before_id.clone()).then(
        |view: Result<View, ApiError>, id: Tail| {
            answered(async move { manager::statistics(&view?, &trace_id_in_path(&id)).await })
        },
    );
    let qerror = warp::path!("qerror" / ..).and(before_id.clone()).then(
        |view: Result<View, ApiError>, _| {
            answered(async move { view.and_then(|_| manager::no_estimates()) })
        },
    );
    let kill = warp::path!("kill" / ..)
        .and(warp::post())
        .and(warp::path::tail())
        .then(|_| answered(async { Err(manager::kill()) }));
    let query = query.and(any_of([
        query_info.boxed(),
        current_queries.boxed(),
        sql.boxed(),
        text.boxed(),
        json.boxed(),
        fragments.boxed(),
        graph.boxed(),
        traced.boxed(),
        other_form.boxed(),
        statistics.boxed(),
        qerror.boxed(),
        kill.boxed(),
    ]));
    let bootstrap = warp::path!("api" / "bootstrap" / ..)
        .and(at_end.clone())
        .then(|_, parameters| answered(async move { manager::bootstrap(&parameters) }));
    let health = warp::path!("api" / "health" / ..)
        .and(at_end)
        .then(|_, _| answered(async { manager::health() }));
    any_of([query.boxed(), bootstrap.boxed(), health.boxed()])
}

/// Makes the answer of a refusal. Boxed: the state of all routes holds this, and is moved for each request.
fn answered(
    answer: impl Future<Output = Result<Answer, ApiError>> + Send + 'static,
) -> BoxFuture<'static, Answer> {
    Box::pin(async { answer.await.unwrap_or_else(ApiError::into_answer) })
}

/// Makes the answer to a request that no route took.
async fn refuse(rejection: Rejection) -> Result<Answer, Infallible> {
    let refusal = if rejection.is_not_found() {
        ApiError::NotFound(
            "there is nothing at this path; the session list is at /rest/v1/session".to_string(),
        )
    } else if rejection.find::<MethodNotAllowed>().is_some() {
        ApiError::MethodNotAllowed("GET, HEAD")
    } else if rejection.find::<InvalidQuery>().is_some() {
        ApiError::BadRequest("the parameters behind the ? cannot be read".to_string())
    } else {
        ApiError::BadRequest("the request cannot be read".to_string())
    };
    Ok(refusal.into_answer())
}

/// The id at the end of a path, with Doris' `query_id=` before it or without. Doris' paths may end in a slash.
fn query_id_in_path(path: &Tail) -> Result<QueryId, ApiError> {
    let path = path.as_str();
    let id = percent_decode_str(path.strip_suffix('/').unwrap_or(path)).decode_utf8_lossy();
    query_id(id.strip_prefix("query_id=").unwrap_or(&id))
}

/// The trace id at the end of a path, which may end in a slash.
fn trace_id_in_path(path: &Tail) -> Cow<'_, str> {
    let path = path.as_str();
    percent_decode_str(path.strip_suffix('/').unwrap_or(path)).decode_utf8_lossy()
}

/// The id that is one part of a path, exactly.
fn segment(part: &str) -> Result<QueryId, ApiError> {
    let text = percent_decode_str(part).decode_utf8_lossy();
    let id = query_id(&text)?;
    if id.as_str() == text {
        Ok(id)
    } else {
        Err(ApiError::BadRequest("the query id has white space around it".to_string()))
    }
}

fn query_id_parameter(parameters: &Parameters) -> Result<QueryId, ApiError> {
    query_id(parameters.get("query_id").map_or("", String::as_str))
}

fn query_id(text: &str) -> Result<QueryId, ApiError> {
    text.parse().map_err(|error: QueryIdError| ApiError::BadRequest(error.to_string()))
}

/// The profile's text of a query that has one, and the hash of what is stored.
async fn known_profile(view: &View, query_id: &QueryId) -> Result<(Vec<u8>, u128), ApiError> {
    match view.profile(query_id).await? {
        StoredProfile::Text(text, hash) => Ok((text, hash)),
        StoredProfile::None => Err(ApiError::Common(format!(
            "ID {query_id} is known, but no profile of it was taken in"
        ))),
        StoredProfile::UnknownQuery => {
            Err(ApiError::Common(format!("ID {query_id} does not exist")))
        }
    }
}

/// What Doris writes for what is not known.
fn text_or_na(text: Option<String>) -> Cow<'static, str> {
    text.map_or(Cow::Borrowed("N/A"), Cow::Owned)
}
