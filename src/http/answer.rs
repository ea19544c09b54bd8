//! Answers: most are made whole before they are sent; large profiles are made while they are sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;
use warp::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use warp::http::{Response, StatusCode};
use warp::hyper::body::Bytes;
use warp::{Reply, reply};

use crate::http::error::ApiError;
use crate::http::{etag, text_body};
use crate::store::StoredText;

/// A response of a route.
pub(crate) type Answer = Response<AnswerBody>;

/// The body of an [`Answer`].
#[derive(Debug)]
pub(crate) enum AnswerBody {
    Whole(Bytes),
    Chunks(Chunks),
}

/// A body that is made chunk by chunk, as fast as the client reads: a client that reads nothing holds two chunks.
pub(crate) struct Chunks {
    chunks: Box<dyn Iterator<Item = io::Result<Bytes>> + Send + Sync>,
    /// The chunks that were made since another task could run on the thread.
    in_a_row: usize,
}

/// Making a chunk takes about 0.1 ms, so a thread is free for other requests after a millisecond.
const CHUNKS_IN_A_ROW: usize = 8;

impl AnswerBody {
    /// Returns a body of these chunks. An error among them breaks the response off.
    pub(crate) fn chunks(
        chunks: impl Iterator<Item = io::Result<Bytes>> + Send + Sync + 'static,
    ) -> AnswerBody {
        AnswerBody::Chunks(Chunks { chunks: Box::new(chunks), in_a_row: 0 })
    }

    /// Returns the bytes of a whole body; `None` of one that is made while it is sent.
    pub(crate) fn as_whole(&self) -> Option<&Bytes> {
        match self {
            AnswerBody::Whole(bytes) => Some(bytes),
            AnswerBody::Chunks(_) => None,
        }
    }
}

impl Default for AnswerBody {
    fn default() -> AnswerBody {
        AnswerBody::Whole(Bytes::new())
    }
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> AnswerBody {
        AnswerBody::Whole(bytes)
    }
}

impl std::fmt::Debug for Chunks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Chunks").finish_non_exhaustive()
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            AnswerBody::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            AnswerBody::Chunks(chunks) if chunks.in_a_row == CHUNKS_IN_A_ROW => {
                chunks.in_a_row = 0;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            AnswerBody::Chunks(chunks) => {
                chunks.in_a_row += 1;
                Poll::Ready(chunks.chunks.next().map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.as_whole().is_some_and(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        self.as_whole().map_or_else(SizeHint::new, |bytes| SizeHint::with_exact(bytes.len() as u64))
    }
}

/// Returns an answer as warp sends it.
pub(crate) fn into_reply(answer: Answer) -> reply::Response {
    let (head, body) = answer.into_parts();
    match body {
        AnswerBody::Whole(bytes) => Response::from_parts(head, bytes).into_response(),
        body @ AnswerBody::Chunks(_) => {
            let mut response = reply::stream(body.into_data_stream()).into_response();
            *response.status_mut() = head.status;
            *response.headers_mut() = head.headers;
            response
        }
    }
}

/// Returns an answer with this body.
pub(crate) fn whole(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    with_body(status, content_type, Bytes::from(body).into())
}

fn with_body(status: StatusCode, content_type: &'static str, body: AnswerBody) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Returns `body` as JSON, without Doris' envelope. Errors if `body` cannot be written as JSON.
pub(crate) fn json(status: StatusCode, body: impl Serialize) -> Result<Answer, ApiError> {
    Ok(whole(status, "application/json", serde_json::to_vec(&body)?))
}

/// Returns the text of a profile within JSON, tagged with the hash of its stored form.
pub(crate) fn profile_json(body: AnswerBody, hash: u128) -> Answer {
    let mut answer = with_body(StatusCode::OK, "application/json", body);
    etag::insert(answer.headers_mut(), hash);
    answer
}

pub(crate) fn text(body: Vec<u8>) -> Answer {
    whole(StatusCode::OK, TEXT, body)
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Returns the text of a profile, tagged with the hash of its stored form.
pub(crate) fn profile_text(profile: StoredText, hash: u128) -> Answer {
    let size = HeaderValue::from(profile.len());
    let body = text_body::bare(profile);
    let is_whole = body.as_whole().is_some();
    let mut answer = with_body(StatusCode::OK, TEXT, body);
    if !is_whole {
        answer.headers_mut().insert(CONTENT_LENGTH, size);
    }
    etag::insert(answer.headers_mut(), hash);
    answer
}

/// Returns metrics in the text form of OpenMetrics.
pub(crate) fn open_metrics(body: String) -> Answer {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    whole(StatusCode::OK, content_type, body.into_bytes())
}
