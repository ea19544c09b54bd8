//! What happens to every request before and after its route: its id, its line in the log, its count in the metrics, and the
//! headers that every answer has.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tracing::{Instrument, Level, Span};
use warp::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, DATE, ETAG, HeaderName, HeaderValue,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use warp::http::{HeaderMap, Method, Request, Response, StatusCode};

use crate::http::answer::{Answer, AnswerBody};
use crate::http::metrics::Metrics;
use crate::http::{date, etag};

/// The header that carries the id of a request, from the client or from annals.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is accepted from a client.
const MAX_REQUEST_ID_BYTES: usize = 64;
/// The most bytes of a path and of a method in the log: a client may send 64 KB.
const MAX_LOGGED_BYTES: usize = 256;
/// The most headers that [`finalize_response`] and [`InFlight`] add.
const ADDED_HEADERS: usize = 11;

/// A request that is not answered yet, as far as the log and the metrics need it.
pub(crate) struct InFlight {
    began: Instant,
    id: HeaderValue,
    method: Method,
    path: String,
}

impl InFlight {
    pub(crate) fn new<In>(request: &Request<In>) -> InFlight {
        InFlight {
            began: Instant::now(),
            id: request_id(request.headers()),
            method: request.method().clone(),
            path: request.uri().path().to_string(),
        }
    }

    /// Returns the span that gives lines in the log the id of the request.
    fn span(&self) -> Span {
        tracing::error_span!("request", id = self.id.to_str().unwrap_or_default())
    }

    /// Logs and counts the answer, and gives it the id of the request. The log has the path without the parameters,
    /// which may contain SQL.
    pub(crate) fn finish<Out>(self, answer: &mut Response<Out>, metrics: &Metrics) {
        let (status, took) = (answer.status(), self.began.elapsed());
        metrics.answered(&self.method, &self.path, status, took);
        if tracing::enabled!(Level::INFO) {
            let (method, path) = (cut(self.method.as_str()), cut(&self.path));
            let ms = rounded_ms(took);
            self.span().in_scope(|| {
                tracing::info!(method, path, status = status.as_u16(), ms, "answered");
            });
        }
        protect(answer.headers_mut());
        answer.headers_mut().insert(REQUEST_ID, self.id);
        match date::header() {
            Some(date) => answer.headers_mut().insert(DATE, date),
            None => answer.headers_mut().remove(DATE),
        };
    }

    /// Waits for the answer, and finishes it. What is logged meanwhile has the id of the request.
    pub(crate) async fn run<Out>(
        self,
        answer: impl Future<Output = Result<Response<Out>, Infallible>>,
        metrics: &Metrics,
    ) -> Result<Response<Out>, Infallible> {
        let mut answer = answer.instrument(self.span()).await?;
        self.finish(&mut answer, metrics);
        Ok(answer)
    }
}

/// Returns the start of a text, short enough for the log.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LOGGED_BYTES)]
}

/// Returns a duration in milliseconds with three decimals.
fn rounded_ms(took: Duration) -> f64 {
    (took.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// Returns the id that the client sent, or a new one if the client sent none, or one that does not belong in a log.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sent = headers.get(REQUEST_ID).filter(|id| {
        let id = id.as_bytes();
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES && id.iter().all(is_plain)
    });
    sent.cloned().unwrap_or_else(|| {
        let id = format!("{:016x}", fastrand::u64(..));
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// Reserves the places of the request id and the date in headers that are cloned for many answers: inserting them into
/// a clone then allocates nothing.
pub(crate) fn reserve_request_id(headers: &mut HeaderMap) {
    headers.insert(REQUEST_ID, HeaderValue::from_static(""));
    headers.insert(DATE, HeaderValue::from_static(""));
}

/// Adds the headers by which a browser protects the answer, as far as they are missing. Every answer passes here, also
/// one that no route made.
fn protect(headers: &mut HeaderMap) {
    // Only this function adds the header, with all others.
    if headers.contains_key(X_CONTENT_TYPE_OPTIONS) {
        return;
    }
    headers.reserve(ADDED_HEADERS);
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (VARY, "authorization, cookie"),
        // No proxy may keep SQL.
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Adds the headers that every answer has and this one lacks, and turns it into 304 if the client has its body
/// already.
pub(crate) fn finalize_response(
    method: &Method,
    request: &HeaderMap,
    mut answer: Answer,
) -> Answer {
    let is_read = *method == Method::GET || *method == Method::HEAD;
    let own = answer.headers_mut().remove(ETAG);
    let tag = (is_read && answer.status() == StatusCode::OK)
        .then(|| own.or_else(|| etag::of_body(answer.body().as_whole()?)))
        .flatten();
    if let Some(tag) = &tag
        && etag::if_none_match(request).is_some_and(|known| etag::is_known(&known, tag))
    {
        *answer.body_mut() = AnswerBody::default();
        answer.headers_mut().remove(CONTENT_LENGTH);
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    if let Some(tag) = tag {
        // The client may keep its answer, and asks whether it is current.
        let current = HeaderValue::from_static("private, no-cache");
        headers.entry(CACHE_CONTROL).or_insert(current);
        headers.insert(ETAG, tag);
    }
    protect(headers);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_logged_in_milliseconds_with_three_decimals() {
        let ms = |nanoseconds| rounded_ms(Duration::from_nanos(nanoseconds)).to_string();
        assert_eq!(ms(1_338_097), "1.338");
        assert_eq!(
            (ms(999), ms(499), ms(2_000_000_000)),
            ("0.001".into(), "0".into(), "2000".into())
        );
    }

    #[test]
    fn an_id_of_the_client_is_kept_if_it_is_short_and_plain() {
        let longest = "a".repeat(MAX_REQUEST_ID_BYTES);
        for (sent, is_kept) in [
            ("from.the-client_1", true),
            (longest.as_str(), true),
            (&format!("{longest}a"), false),
            ("", false),
            ("a b", false),
            ("a\"b", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, sent.parse().unwrap());
            let id = request_id(&headers);
            assert_eq!(id == sent, is_kept, "{sent}");
            assert!(is_kept || id.len() == 16);
        }
        assert_eq!(request_id(&HeaderMap::new()).len(), 16);
    }
}
