//! The REST interface of a Doris frontend, as far as it tells of query history.

mod envelope;
mod query_profile;
mod session;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use warp::filters::path::Tail;
use warp::reject::{InvalidQuery, MethodNotAllowed};
use warp::{Filter, Rejection, Reply};

use crate::query::{QueryId, QueryIdError};
use crate::store::{Store, StoredProfile};
use crate::time::Zone;
use envelope::{Answer, Refusal};

/// Rows of a list where the request names no limit.
const DEFAULT_LIMIT: u32 = 100;
/// The most rows of a list.
const MAX_LIMIT: u32 = 1000;

/// What the routes answer from.
#[derive(Debug)]
pub struct History {
    /// The history.
    pub store: Store,
    /// The zone in which times are written.
    pub zone: Zone,
}

/// The parameters behind the question mark.
type Parameters = HashMap<String, String>;

/// Every route there is.
pub fn routes(
    history: Arc<History>,
) -> impl Filter<Extract = (impl Reply,), Error = Infallible> + Clone {
    let history = warp::any().map(move || history.clone());
    // The method is asked for behind the path, so that a wrong one on a path that exists is told from
    // a path that does not.
    let read = warp::get().or(warp::head()).unify();
    let at_end = warp::path::end().and(read).and(history.clone()).and(warp::query());
    let before_id = read.and(history).and(warp::path::tail());

    let session = warp::path!("rest" / "v1" / "session" / ..).and(at_end.clone()).then(
        |history: Arc<History>, parameters: Parameters| {
            answered(async move {
                match parameters.get("query_id") {
                    Some(id) => session::profile(&history, query_id(id)?).await,
                    None => session::list(&history, limit(&parameters)?).await,
                }
            })
        },
    );
    let session_profile = warp::path!("rest" / "v1" / "session" / ..).and(before_id.clone()).then(
        |history: Arc<History>, id: Tail| {
            answered(async move { session::profile(&history, query_id_in_path(&id)?).await })
        },
    );
    let query_profiles = warp::path!("rest" / "v1" / "query_profile" / ..)
        .and(at_end.clone())
        .then(|history: Arc<History>, parameters: Parameters| {
            answered(async move { query_profile::list(&history, limit(&parameters)?).await })
        });
    let query_profile = warp::path!("rest" / "v1" / "query_profile" / ..).and(before_id).then(
        |history: Arc<History>, id: Tail| {
            answered(async move { session::profile(&history, query_id_in_path(&id)?).await })
        },
    );
    let profile = warp::path!("api" / "profile" / ..).and(at_end.clone()).then(
        |history: Arc<History>, parameters: Parameters| {
            answered(async move {
                query_profile::enveloped(&history, query_id_parameter(&parameters)?).await
            })
        },
    );
    let profile_text = warp::path!("api" / "profile" / "text" / ..).and(at_end).then(
        |history: Arc<History>, parameters: Parameters| {
            answered(async move {
                query_profile::bare(&history, query_id_parameter(&parameters)?).await
            })
        },
    );

    let routes = session
        .or(session_profile)
        .unify()
        .or(query_profiles)
        .unify()
        .or(query_profile)
        .unify()
        .or(profile)
        .unify()
        .or(profile_text)
        .unify();
    routes.recover(refuse)
}

/// Makes the answer of a refusal.
async fn answered(answer: impl Future<Output = Result<Answer, Refusal>>) -> Answer {
    answer.await.unwrap_or_else(Refusal::into_answer)
}

/// Makes the answer to a request that no route took.
async fn refuse(rejection: Rejection) -> Result<Answer, Infallible> {
    let refusal = if rejection.is_not_found() {
        Refusal::NotFound(
            "there is nothing at this path; the session list is at /rest/v1/session".to_string(),
        )
    } else if rejection.find::<MethodNotAllowed>().is_some() {
        Refusal::MethodNotAllowed
    } else if rejection.find::<InvalidQuery>().is_some() {
        Refusal::BadRequest("the parameters behind the ? cannot be read".to_string())
    } else {
        Refusal::BadRequest("the request cannot be read".to_string())
    };
    Ok(refusal.into_answer())
}

/// The id at the end of a path, with Doris' `query_id=` before it or without.
fn query_id_in_path(path: &Tail) -> Result<QueryId, Refusal> {
    let id = percent_decode_str(path.as_str()).decode_utf8_lossy();
    query_id(id.strip_prefix("query_id=").unwrap_or(&id))
}

fn query_id_parameter(parameters: &Parameters) -> Result<QueryId, Refusal> {
    query_id(parameters.get("query_id").map_or("", String::as_str))
}

fn query_id(text: &str) -> Result<QueryId, Refusal> {
    text.parse().map_err(|error: QueryIdError| Refusal::BadRequest(error.to_string()))
}

fn limit(parameters: &Parameters) -> Result<u32, Refusal> {
    let Some(text) = parameters.get("limit") else {
        return Ok(DEFAULT_LIMIT);
    };
    match text.parse() {
        Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
        _ => {
            Err(Refusal::BadRequest(format!("limit must be a whole number from 1 to {MAX_LIMIT}")))
        }
    }
}

/// The profile's text of a query that has one.
async fn known_profile(history: &History, query_id: &QueryId) -> Result<Vec<u8>, Refusal> {
    match history.store.profile(query_id).await? {
        StoredProfile::Text(text) => Ok(text),
        StoredProfile::None => Err(Refusal::Common(format!(
            "ID {query_id} is known, but no profile of it was taken in"
        ))),
        StoredProfile::UnknownQuery => {
            Err(Refusal::Common(format!("ID {query_id} does not exist")))
        }
    }
}

/// What Doris writes for what is not known.
fn text_or_na(text: Option<String>) -> String {
    text.unwrap_or_else(|| "N/A".to_string())
}
