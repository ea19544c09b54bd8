//! Answers that are made whole before they are sent.

use serde::Serialize;
use warp::http::header::{CONTENT_TYPE, HeaderValue};
use warp::http::{Response, StatusCode};
use warp::hyper::body::Bytes;

use crate::http::error::ApiError;
use crate::http::etag;

/// A response with its whole body.
pub(crate) type Answer = Response<Bytes>;

/// Returns an answer with this body.
pub(crate) fn whole(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Returns `body` as JSON, without Doris' envelope. Errors if `body` cannot be written as JSON.
pub(crate) fn json(status: StatusCode, body: impl Serialize) -> Result<Answer, ApiError> {
    Ok(whole(status, "application/json", serde_json::to_vec(&body)?))
}

pub(crate) fn text(body: Vec<u8>) -> Answer {
    whole(StatusCode::OK, "text/plain; charset=utf-8", body)
}

/// Returns the text of a profile, tagged with the hash of its stored form.
pub(crate) fn profile_text(profile: Vec<u8>, hash: u128) -> Answer {
    let mut answer = text(profile);
    etag::insert(answer.headers_mut(), hash);
    answer
}

/// Returns metrics in the text form of OpenMetrics.
pub(crate) fn open_metrics(body: String) -> Answer {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    whole(StatusCode::OK, content_type, body.into_bytes())
}
