//! The envelope of every Doris answer, `{"msg", "code", "data", "count"}`, and of every refusal.

use serde::Serialize;
use utoipa::ToSchema;
use warp::http::header::{ALLOW, CONTENT_TYPE, ETAG, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use warp::http::{Response, StatusCode};
use warp::hyper::body::Bytes;

use crate::domain::filter::Cursor;
use crate::domain::profile::write_html_json;
use crate::http::middleware::tag;
use crate::ingest::PushError;
use crate::store::WriteError;

/// When those who were told that annals is busy should come back.
const RETRY_AFTER_SECONDS: &str = "5";

/// What the routes answer with.
pub(crate) type Answer = Response<Bytes>;

/// What every answer of Doris is wrapped in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Envelope<T> {
    /// `success`, or the name of the code.
    msg: &'static str,
    /// 0 where it went well.
    code: u16,
    /// What was asked for.
    data: T,
    /// The rows of a list, else 0.
    count: usize,
}

/// An answer that carries `data`; `count` is the number of its rows, 0 for what is no list.
pub(crate) fn success(data: impl Serialize, count: usize) -> Result<Answer, ApiError> {
    envelope(StatusCode::OK, &Envelope { msg: "success", code: 0, data, count })
}

/// An answer that carries a profile as HTML, tagged by the hash of what is stored, which is a thirtieth as long.
pub(crate) fn profile_html(text: &[u8], hash: u128) -> Answer {
    let mut body = br#"{"msg":"success","code":0,"data":"#.to_vec();
    write_html_json(text, &mut body);
    body.extend_from_slice(br#","count":0}"#);
    tagged(hash, answer(StatusCode::OK, "application/json", body))
}

/// An answer of its own JSON, for the routes of Doris that answer without the envelope.
pub(crate) fn json(status: StatusCode, body: impl Serialize) -> Result<Answer, ApiError> {
    let body = serde_json::to_vec(&body).map_err(|error| ApiError::Internal(error.into()))?;
    Ok(answer(status, "application/json", body))
}

/// The answer of a list, written row by row: what SQLite has at hand goes into it without being kept.
pub(crate) struct Rows {
    /// The envelope up to the last row.
    body: Vec<u8>,
    count: usize,
    last: Option<Cursor>,
    failed: Option<serde_json::Error>,
}

impl Rows {
    /// A list without rows; `columns` serialises to an object, which gets them as its `rows`.
    pub(crate) fn of(columns: &impl Serialize) -> Rows {
        let mut rows =
            Rows { body: Vec::with_capacity(1 << 16), count: 0, last: None, failed: None };
        rows.body.extend(br#"{"msg":"success","code":0,"data":"#);
        rows.write(columns);
        rows.body.pop();
        rows.body.extend(br#","rows":["#);
        rows
    }

    /// Adds a row, and the place it has in the list.
    pub(crate) fn add(&mut self, row: &impl Serialize, place: Cursor) {
        if self.count > 0 {
            self.body.push(b',');
        }
        self.write(row);
        self.count += 1;
        self.last = Some(place);
    }

    fn write(&mut self, value: &impl Serialize) {
        if let Err(error) = serde_json::to_writer(&mut self.body, value) {
            self.failed = Some(error);
        }
    }

    /// The place of the last row where there are `limit` of them, and so may be more.
    pub(crate) fn last_of_full(&self, limit: u32) -> Option<Cursor> {
        self.last.filter(|_| self.count >= limit as usize)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The whole answer, in which `count` is_enabled.
    pub(crate) fn answer(mut self, count: usize) -> Result<Answer, ApiError> {
        if let Some(error) = self.failed {
            return Err(ApiError::Internal(error.into()));
        }
        self.body.extend(format!("]}},\"count\":{count}}}").into_bytes());
        // It may be kept, and takes no more room than its length so. Shrunk in place it would leave rests between
        // answers that nothing fits into: a third of a server's memory was these.
        Ok(answer(StatusCode::OK, "application/json", self.body.as_slice().into()))
    }
}

/// A bare text, for the routes of Doris that answer without the envelope.
pub(crate) fn text(body: Vec<u8>) -> Answer {
    answer(StatusCode::OK, "text/plain; charset=utf-8", body)
}

/// A profile as it is, without the envelope, tagged as its HTML is.
pub(crate) fn profile_text(profile: Vec<u8>, hash: u128) -> Answer {
    tagged(hash, text(profile))
}

fn tagged(hash: u128, mut answer: Answer) -> Answer {
    answer.headers_mut().extend(tag(hash).map(|tag| (ETAG, tag)));
    answer
}

/// The text form of metrics.
pub(crate) fn open_metrics(body: String) -> Answer {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    answer(StatusCode::OK, content_type, body.into_bytes())
}

fn envelope(status: StatusCode, envelope: &Envelope<impl Serialize>) -> Result<Answer, ApiError> {
    json(status, envelope)
}

fn answer(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Why a request is not answered with what it asks for. The sentence is for the person who asked.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// Doris' own refusal, with HTTP status 200: an unknown id, a query without a profile.
    Common(String),
    /// Doris' own refusal of what it is asked for, code 403 with HTTP status 200: a trace id or a form of a profile
    /// that it does not know.
    NotOffered(String),
    /// The request cannot be understood.
    BadRequest(String),
    /// Nobody knows who asks.
    Unauthorized(String),
    /// Who asks may not.
    Forbidden(String),
    /// There is nothing at this path.
    NotFound(String),
    /// The path takes only these methods.
    MethodNotAllowed(&'static str),
    /// The body is too large.
    TooLarge(String),
    /// The body came too slowly.
    TooSlow(String),
    /// It can be asked again in a while.
    Busy(String),
    /// Something failed here. What it was goes to the log, not to the client.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl From<crate::store::StoreError> for ApiError {
    fn from(error: crate::store::StoreError) -> ApiError {
        ApiError::Internal(error.into())
    }
}

impl From<PushError> for ApiError {
    fn from(error: PushError) -> ApiError {
        match error {
            PushError::Busy => ApiError::Busy(error.to_string()),
            PushError::Write(error) => ApiError::Busy(not_written(&error)),
        }
    }
}

/// What a client is told whose push was not written. Why goes to the log.
pub(crate) fn not_written(error: &WriteError) -> String {
    tracing::error!(error = error as &dyn std::error::Error, "a push was not written");
    "annals cannot write now: its disk may be full, or another program holds its file; nothing was \
     stored, send it again later"
        .to_string()
}

/// Tells a client when to come back.
pub(crate) fn retry_later(answer: &mut Answer) {
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
}

impl ApiError {
    /// The answer.
    pub(crate) fn into_answer(self) -> Answer {
        let allow = match &self {
            ApiError::MethodNotAllowed(methods) => Some(*methods),
            _ => None,
        };
        let (status, code, msg, data) = self.told();
        let refused = envelope(status, &Envelope { msg, code, data, count: 0 });
        let mut answer = refused.unwrap_or_else(|_| answer(status, "application/json", Vec::new()));
        if status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=\"annals\", charset=\"UTF-8\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, basic);
        }
        if let Some(methods) = allow {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            retry_later(&mut answer);
        }
        answer
    }
    /// What a person is told, and with which status.
    pub(crate) fn into_sentence(self) -> (StatusCode, String) {
        let (status, _, _, sentence) = self.told();
        (status, sentence)
    }

    /// Status, code, the code's name and the sentence. Codes and names are Doris' own, which calls 403
    /// "Bad Request".
    fn told(self) -> (StatusCode, u16, &'static str, String) {
        match self {
            ApiError::Common(data) => (StatusCode::OK, 1, "Error", data),
            ApiError::NotOffered(data) => (StatusCode::OK, 403, "Bad Request", data),
            ApiError::BadRequest(data) => (StatusCode::BAD_REQUEST, 403, "Bad Request", data),
            ApiError::Unauthorized(data) => (StatusCode::UNAUTHORIZED, 401, "Unauthorized", data),
            ApiError::Forbidden(data) => (StatusCode::FORBIDDEN, 403, "Bad Request", data),
            ApiError::NotFound(data) => (StatusCode::NOT_FOUND, 404, "Not Found", data),
            ApiError::MethodNotAllowed(methods) => {
                let sentence = format!("this path answers {methods} only");
                (StatusCode::METHOD_NOT_ALLOWED, 403, "Bad Request", sentence)
            }
            ApiError::TooLarge(data) => (StatusCode::PAYLOAD_TOO_LARGE, 403, "Bad Request", data),
            ApiError::TooSlow(data) => (StatusCode::REQUEST_TIMEOUT, 403, "Bad Request", data),
            ApiError::Busy(data) => {
                (StatusCode::SERVICE_UNAVAILABLE, 503, "Service Unavailable", data)
            }
            ApiError::Internal(error) => {
                tracing::error!(error = &*error as &dyn std::error::Error, "a request failed");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    500,
                    "Internal Error",
                    "annals could not read its history; its log says why".to_string(),
                )
            }
        }
    }
}
