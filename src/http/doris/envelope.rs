//! The envelope of Doris' answers, `{"msg", "code", "data", "count"}`. annals' own JSON answers have the same.

use serde::Serialize;
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::domain::filter::Cursor;
use crate::http::answer::{Answer, json, profile_json, whole};
use crate::http::doris::profile_html::write_html_json;
use crate::http::error::{ApiError, ErrorParts};
use crate::http::text_body::{encoded, write_json_string};
use crate::store::StoredText;

/// After how many seconds a client should send a request again that came while annals was busy.
const RETRY_AFTER_SECONDS: &str = "5";
/// The first capacity of a list. A list of 100 queries mostly fits.
const LIST_BYTES: usize = 1 << 16;

#[derive(Serialize, ToSchema)]
pub(crate) struct Envelope<T> {
    /// `success`, or the name of the code.
    msg: &'static str,
    /// 0 for success.
    code: u16,
    data: T,
    /// The rows of a list, 0 for everything else.
    count: usize,
}

/// Returns `data` in the envelope. `count` is the number of rows of a list, 0 for everything else. Errors if `data`
/// cannot be written as JSON.
pub(crate) fn success(data: impl Serialize, count: usize) -> Result<Answer, ApiError> {
    json(StatusCode::OK, Envelope { msg: "success", code: 0, data, count })
}

/// Returns the outcome of a push of which some rows were rejected: 422, in the envelope. `count` is the number of rows that
/// are stored. Errors if `data` cannot be written as JSON.
pub(crate) fn some_rejected(data: impl Serialize, count: usize) -> Result<Answer, ApiError> {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    json(status, Envelope { msg: "Unprocessable Content", code: status.as_u16(), data, count })
}

/// Returns a profile as HTML in the envelope, tagged with the hash of its stored form.
pub(crate) fn profile_html(text: StoredText, hash: u128) -> Answer {
    let (head, tail) = (br#"{"msg":"success","code":0,"data":""#, br#"","count":0}"#);
    profile_json(encoded(head, text, write_html_json, tail), hash)
}

/// Returns a profile as text in the envelope, `{"profile": ...}`, tagged with the hash of its stored form.
pub(crate) fn profile_in_envelope(text: StoredText, hash: u128) -> Answer {
    let (head, tail) = (br#"{"msg":"success","code":0,"data":{"profile":""#, br#""},"count":0}"#);
    profile_json(encoded(head, text, write_json_string, tail), hash)
}

/// Writes the answer of a list row by row, straight from what SQLite holds in memory.
pub(crate) struct ListBuilder {
    /// The envelope up to the last row.
    body: Vec<u8>,
    count: usize,
    last: Option<Cursor>,
    error: Option<serde_json::Error>,
}

impl ListBuilder {
    /// Begins a list. `columns` serializes to an object, and the list adds `rows` to this object.
    pub(crate) fn new(columns: &impl Serialize) -> ListBuilder {
        let body = Vec::with_capacity(LIST_BYTES);
        let mut list = ListBuilder { body, count: 0, last: None, error: None };
        list.body.extend(br#"{"msg":"success","code":0,"data":"#);
        list.write(columns);
        list.body.pop();
        list.body.extend(br#","rows":["#);
        list
    }

    /// Adds a row, and its position in the list.
    pub(crate) fn add(&mut self, row: &impl Serialize, cursor: Cursor) {
        if self.count > 0 {
            self.body.push(b',');
        }
        self.write(row);
        self.count += 1;
        self.last = Some(cursor);
    }

    fn write(&mut self, value: &impl Serialize) {
        if let Err(error) = serde_json::to_writer(&mut self.body, value) {
            self.error = Some(error);
        }
    }

    /// Returns the position of the last row, or `None` if the list has fewer than `limit` rows and so no next page.
    pub(crate) fn cursor_if_full(&self, limit: u32) -> Option<Cursor> {
        self.last.filter(|_| self.count >= limit as usize)
    }

    /// Returns the number of rows.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns the answer with this `count`. Errors if a row could not be written as JSON.
    pub(crate) fn finish(mut self, count: usize) -> Result<Answer, ApiError> {
        if let Some(error) = self.error {
            return Err(error.into());
        }
        self.body.extend(format!("]}},\"count\":{count}}}").into_bytes());
        // Copied, because the response cache may keep the body, and a copy takes no more than its length. Shrinking
        // the vector in place leaves gaps between bodies that nothing fits into: a third of a server's memory.
        Ok(whole(StatusCode::OK, "application/json", self.body.as_slice().into()))
    }
}

/// Tells the client when to send its request again.
pub(crate) fn set_retry_after(answer: &mut Answer) {
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
}

impl ApiError {
    /// Returns the error in the envelope, with the headers that its status requires.
    pub(crate) fn into_answer(self) -> Answer {
        let allow = match &self {
            ApiError::MethodNotAllowed(methods) => Some(*methods),
            _ => None,
        };
        let retry_after = match &self {
            ApiError::TooMany(_, time) => Some(*time),
            _ => None,
        };
        let ErrorParts { status, code, name, message } = self.into_parts();
        let mut answer = json(status, Envelope { msg: name, code, data: message, count: 0 })
            .unwrap_or_else(|_| whole(status, "application/json", Vec::new()));
        if status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=\"annals\", charset=\"UTF-8\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, basic);
        }
        if let Some(methods) = allow {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        }
        if let Some(time) = retry_after {
            answer.headers_mut().insert(RETRY_AFTER, time.as_secs().into());
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            set_retry_after(&mut answer);
        }
        answer
    }
}
