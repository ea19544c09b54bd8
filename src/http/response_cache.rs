//! Answers that are ready: the bytes of lists and reports are kept until a commit makes them old.
//!
//! Before a kept answer goes out, the history's version is compared with the one it was read from. A commit
//! takes effect before its acknowledgement, whichever process made it, so nobody who knows of a commit is
//! answered from before it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http_body_util::{BodyExt, Either, Full};
use tower::{Service, ServiceExt};
use warp::host::Authority;
use warp::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HOST, IF_NONE_MATCH};
use warp::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use warp::hyper::body::{Body, Bytes};

use super::doris::login;
use super::{AppState, Credentials, is_cached};
use crate::http::auth::Principal;
use crate::http::envelope::{Answer, ApiError};
use crate::http::middleware::{finalize_response, is_known, keep_place};
use crate::store::{Version, Watch};

/// What is kept, in bytes. Beyond that all is forgotten: what is asked for often is soon there again.
const ROOM_BYTES: usize = 8 << 20;
/// A larger answer is not kept.
const LARGEST_BYTES: usize = 1 << 20;
/// About what an answer takes beside its body and its key.
const OVERHEAD_BYTES: usize = 1 << 10;

/// Answers that are ready.
#[derive(Debug)]
pub(crate) struct ResponseCache {
    watch: Watch,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    by_key: foldhash::HashMap<Box<str>, Arc<Place>>,
    bytes: usize,
}

/// Where the answer to one question is kept.
#[derive(Debug, Default)]
struct Place {
    kept: Mutex<Option<Arc<Kept>>>,
    /// Held by who makes the answer, so that others who ask the same wait for it instead of making it too.
    making: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Kept {
    version: Version,
    /// When its making began.
    began: Instant,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What goes out: bytes that are ready, or what a route answers.
type Out<B> = Response<Either<Full<Bytes>, B>>;

/// The body of an answer that is made whole.
pub(super) fn made<B>(body: Bytes) -> Either<Full<Bytes>, B> {
    Either::Left(Full::new(body))
}

impl ResponseCache {
    /// Keeps answers for as long as what it watches stays the same.
    pub(crate) fn new(watch: Watch) -> ResponseCache {
        ResponseCache { watch, places: Mutex::default() }
    }

    /// The answer that is kept, where there is one and nobody has to be waited for. Most answers are: what this
    /// takes is what annals takes beside a bare route.
    pub(crate) fn kept<In>(&self, history: &AppState, request: &Request<In>) -> Option<Answer> {
        if !is_list(request) {
            return None;
        }
        let headers = request.headers();
        let authorization = headers.get(AUTHORIZATION).map(HeaderValue::to_str).transpose().ok()?;
        let principal = history.authenticator().known_principal(authorization)?;
        // The host is a part of the key: an answer is kept only for one at which annals may be asked.
        Some(self.current(&key(&principal, request))?.answer(headers))
    }

    /// What is kept of this question and is not old.
    fn current(&self, key: &str) -> Option<Arc<Kept>> {
        let version = self.watch.now();
        let place = self.places().by_key.get(key)?.clone();
        place.kept().clone().filter(|kept| kept.version == version)
    }

    /// Answers by `routes`, or from what is kept of a list, and keeps that.
    pub(crate) async fn answer<S, In, B>(
        &self,
        history: &AppState,
        routes: S,
        mut request: Request<In>,
    ) -> Result<Out<B>, Infallible>
    where
        S: Service<Request<In>, Response = Response<B>, Error = Infallible>,
        B: Body<Data = Bytes>,
    {
        let host = if is_list(&request) { host(request.headers()) } else { None };
        let Some(host) = host else {
            return Ok(routes.oneshot(request).await?.map(Either::Right));
        };
        let headers = request.headers();
        let principal = match headers.get(AUTHORIZATION).map(HeaderValue::to_str).transpose() {
            Ok(authorization) => {
                let session = login::session_of(headers);
                let credentials =
                    Credentials { authorization, session, path: request.uri().path() };
                history.principal(credentials, host.as_ref()).await
            }
            Err(_) => Err(ApiError::BadRequest("the request cannot be read".to_string())),
        };
        let key = match principal {
            Ok(principal) => key(&principal, &request),
            Err(refusal) => {
                let answer = finalize_response(request.method(), headers, refusal.into_answer());
                return Ok(answer.map(made));
            }
        };
        if let Some(kept) = self.current(&key) {
            return Ok(kept.answer(headers).map(made));
        }
        let place = self.place(&key);
        let asked = Instant::now();
        let _making = place.making.lock().await;
        // Who waited takes what was begun since: it holds every commit from before the question.
        let kept = place.kept().clone();
        if let Some(kept) = kept.filter(|kept| kept.began >= asked) {
            return Ok(kept.answer(request.headers()).map(made));
        }
        let began = Instant::now();
        let version = self.watch.now();
        // The whole answer is made, whatever this client has of it.
        let known: Vec<HeaderValue> =
            request.headers().get_all(IF_NONE_MATCH).iter().cloned().collect();
        request.headers_mut().remove(IF_NONE_MATCH);
        let (head, body) = routes.oneshot(request).await?.into_parts();
        if head.status != StatusCode::OK {
            return Ok(Response::from_parts(head, Either::Right(body)));
        }
        let Ok(body) = body.collect().await else {
            let failed = "the answer could not be made";
            let answer = ApiError::Internal(failed.into()).into_answer();
            return Ok(answer.map(made));
        };
        let body = body.to_bytes();
        let mut headers = head.headers;
        keep_place(&mut headers);
        let kept = Arc::new(Kept { version, began, status: head.status, headers, body });
        self.keep(&key, &place, kept.clone());
        let mut headers = HeaderMap::new();
        headers.extend(known.into_iter().map(|known| (IF_NONE_MATCH, known)));
        Ok(kept.answer(&headers).map(made))
    }

    fn place(&self, key: &str) -> Arc<Place> {
        let mut places = self.places();
        if let Some(place) = places.by_key.get(key) {
            return place.clone();
        }
        let place = Arc::new(Place::default());
        places.take_room(key.len() + OVERHEAD_BYTES);
        places.by_key.insert(key.into(), place.clone());
        place
    }

    fn keep(&self, key: &str, place: &Arc<Place>, kept: Arc<Kept>) {
        let size = kept.body.len();
        if size > LARGEST_BYTES {
            return;
        }
        let mut places = self.places();
        let before = place.kept().as_ref().map_or(0, |before| before.body.len());
        // If it was forgotten meanwhile, those who wait for it still find it.
        if places.by_key.get(key).is_some_and(|here| Arc::ptr_eq(here, place)) {
            places.bytes -= before;
            places.take_room(size);
            places.by_key.insert(key.into(), place.clone());
        }
        *place.kept() = Some(kept);
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn take_room(&mut self, bytes: usize) {
        if self.bytes + bytes > ROOM_BYTES {
            self.by_key.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
    }
}

impl Place {
    fn kept(&self) -> MutexGuard<'_, Option<Arc<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The answer to somebody who has, or has not, these bytes already.
    fn answer(&self, asked: &HeaderMap) -> Answer {
        let mut answer = Response::new(self.body.clone());
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers.clone();
        if is_known(asked, &self.headers) {
            answer.body_mut().clear();
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            answer.headers_mut().remove(CONTENT_ENCODING);
        }
        answer
    }
}

fn is_list<In>(request: &Request<In>) -> bool {
    let uri = request.uri();
    *request.method() == Method::GET
        && uri.authority().is_none()
        && is_cached(uri.path())
        // One query is asked for then.
        && !uri.query().is_some_and(|query| query.contains("query_id"))
}

/// The host that is asked; `None` where it cannot be read, which is left to the routes.
pub(super) fn host(headers: &HeaderMap) -> Option<Option<Authority>> {
    match headers.get(HOST) {
        None => Some(None),
        Some(host) => host.to_str().ok()?.parse().ok().map(Some),
    }
}

/// What an answer depends on, beside the history.
fn key<In>(principal: &Principal, request: &Request<In>) -> String {
    let question = request.uri().path_and_query().map_or("", |question| question.as_str());
    let headers = request.headers();
    let mut key = String::with_capacity(question.len() + 64);
    key.push_str(question);
    for header in headers.get_all(HOST).iter().chain(headers.get_all(ACCEPT_ENCODING)) {
        key.push('\n');
        key.push_str(&String::from_utf8_lossy(header.as_bytes()));
    }
    if let Some(owner) = &principal.sees_only {
        // Neither a path nor a header holds a NUL.
        key.push('\0');
        key.push_str(owner);
    }
    key
}
