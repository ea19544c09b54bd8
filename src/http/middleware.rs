//! What every request passes on its source in and out: its id, the log, the metrics, and the headers that every
//! answer has.

use std::convert::Infallible;
use std::time::Instant;

use tracing::{Instrument, Level, Span};
use warp::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use warp::http::{HeaderMap, Method, Request, Response, StatusCode};
use xxhash_rust::xxh3::xxh3_128;

use crate::http::envelope::Answer;
use crate::http::metrics::Metrics;

/// The header that carries a request's id, from the client or from annals.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a client.
const MAX_REQUEST_ID_BYTES: usize = 64;

/// A request, as far as its answer is logged and counted.
pub(crate) struct InFlight {
    began: Instant,
    id: HeaderValue,
    method: Method,
    path: String,
}

impl InFlight {
    /// Of a request that has just come.
    pub(crate) fn of<In>(request: &Request<In>) -> InFlight {
        InFlight {
            began: Instant::now(),
            id: request_id(request.headers()),
            method: request.method().clone(),
            path: request.uri().path().to_string(),
        }
    }

    /// What is logged of it is_enabled in this.
    fn span(&self) -> Span {
        tracing::error_span!("request", id = self.id.to_str().unwrap_or_default())
    }

    /// Logs and counts its answer, and gives it the request's id. The path is logged without what is behind the
    /// question mark, which may hold SQL.
    pub(crate) fn answered<Out>(self, answer: &mut Response<Out>, metrics: &Metrics) {
        let (status, took) = (answer.status(), self.began.elapsed());
        metrics.answered(&self.method, &self.path, status, took);
        if tracing::enabled!(Level::INFO) {
            let InFlight { method, path, .. } = &self;
            let ms = took.as_secs_f64() * 1000.0;
            self.span().in_scope(|| {
                tracing::info!(%method, path, status = status.as_u16(), ms, "answered");
            });
        }
        answer.headers_mut().insert(REQUEST_ID, self.id);
    }

    /// Has `answer` made, what is logged meanwhile with the request's id.
    pub(crate) async fn answered_by<Out>(
        self,
        answer: impl Future<Output = Result<Response<Out>, Infallible>>,
        metrics: &Metrics,
    ) -> Result<Response<Out>, Infallible> {
        let mut answer = answer.instrument(self.span()).await?;
        self.answered(&mut answer, metrics);
        Ok(answer)
    }
}

fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sent = headers.get(REQUEST_ID).filter(|id| {
        let id = id.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES && id.iter().all(plain)
    });
    sent.cloned().unwrap_or_else(|| {
        let made = format!("{:016x}", fastrand::u64(..));
        HeaderValue::try_from(made).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// Keeps the place of a request's id in headers of which many answers are made.
pub(crate) fn keep_place(headers: &mut HeaderMap) {
    headers.insert(REQUEST_ID, HeaderValue::from_static(""));
}

/// Adds the headers that every answer has and this one has not yet, and answers 304 where the client has these
/// bytes already.
pub(crate) fn finalize_response(method: &Method, asked: &HeaderMap, mut answer: Answer) -> Answer {
    let reads = *method == Method::GET || *method == Method::HEAD;
    let own = answer.headers_mut().remove(ETAG);
    let tag = (reads && answer.status() == StatusCode::OK)
        .then(|| own.or_else(|| tag(xxh3_128(answer.body()))))
        .flatten();
    if let Some(tag) = &tag
        && asked.get_all(IF_NONE_MATCH).iter().any(|known| knows(known, tag))
    {
        answer.body_mut().clear();
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    headers.reserve(10);
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (VARY, "authorization, cookie"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // SQL is nobody's to keep on the source; its reader may keep it and ask whether it is still so.
    let kept = if tag.is_some() { "private, no-cache" } else { "no-store" };
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static(kept));
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
    answer
}

/// Whether somebody who asks has an answer with these headers already.
pub(crate) fn is_known(asked: &HeaderMap, headers: &HeaderMap) -> bool {
    let tag = headers.get(ETAG);
    let mut known = asked.get_all(IF_NONE_MATCH).iter();
    tag.is_some_and(|tag| known.any(|known| knows(known, tag)))
}

/// The tag of what has this hash: a weak one, for the same bytes may go out with gzip and without.
pub(crate) fn tag(hash: u128) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("W/\"{hash:032x}\"")).ok()
}

/// Whether an If-None-Match names a tag, weak or strong.
fn knows(header: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(header), Ok(tag)) = (header.to_str(), tag.to_str()) else {
        return false;
    };
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_string();
    header.trim() == "*" || header.split(',').any(|known| bare(known) == bare(tag))
}
