//! Why a request fails, and the status of its answer.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use warp::http::StatusCode;

use super::lock;
use super::query_parameters::UnknownParameter;
use crate::ingest::PushError;
use crate::store::{FileFault, StoreError, WriteError};

/// The time between two lines of the log about pushes that are not stored.
const LOG_FAILED_PUSH_EVERY: Duration = Duration::from_secs(10);

/// What a client whose push failed should do.
const NOT_STORED: &str = "nothing was stored, send it again later";
/// The same if annals does not know whether the push is stored.
const MAY_BE_STORED: &str =
    "it may have been stored; send it again later, which changes nothing if it was";

/// A failed request. The text of a variant is written for the person who sent the request.
///
/// The envelope's codes and their names are Doris' own (`RestApiStatusCode`), which calls 403 "Bad Request".
#[derive(Debug)]
pub(crate) enum ApiError {
    /// 200 with code 1: Doris reports an unknown query, or a query without a profile, in the envelope alone.
    Common(String),
    /// 200 with code 403: Doris reports a trace id or a form of a profile that it does not know in the envelope alone.
    Unsupported(String),
    /// 400: the request cannot be understood.
    BadRequest(String),
    /// 400: a page does not have this parameter.
    UnknownParameter(UnknownParameter),
    /// 401: the request names no user, or proves none.
    Unauthorized(String),
    /// 403: the user is known and may not do this.
    Forbidden(String),
    /// 404: there is nothing at this path.
    NotFound(String),
    /// 405: the path takes only these methods.
    MethodNotAllowed(&'static str),
    /// 413: the body is too large.
    TooLarge(String),
    /// 408: the body came too slowly.
    TooSlow(String),
    /// 429: the client asks too often, and may ask again after this time.
    TooMany(String, Duration),
    /// 503: the same request may succeed later.
    Busy(String),
    /// 500: annals failed. The cause goes to the log and never to the client.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

/// What is sent for an [`ApiError`].
pub(crate) struct ErrorParts {
    pub status: StatusCode,
    /// The code in the envelope.
    pub code: u16,
    /// Doris' name of the code.
    pub name: &'static str,
    pub message: String,
}

impl ApiError {
    /// Returns what is sent to the client. Logs the cause of an internal error.
    pub(crate) fn into_parts(self) -> ErrorParts {
        let (status, code, name, message) = match self {
            ApiError::Common(message) => (StatusCode::OK, 1, "Error", message),
            ApiError::Unsupported(message) => (StatusCode::OK, 403, "Bad Request", message),
            ApiError::BadRequest(message)
            | ApiError::UnknownParameter(UnknownParameter { sentence: message, .. }) => {
                (StatusCode::BAD_REQUEST, 403, "Bad Request", message)
            }
            ApiError::Unauthorized(message) => {
                (StatusCode::UNAUTHORIZED, 401, "Unauthorized", message)
            }
            ApiError::Forbidden(message) => (StatusCode::FORBIDDEN, 403, "Bad Request", message),
            ApiError::NotFound(message) => (StatusCode::NOT_FOUND, 404, "Not Found", message),
            ApiError::MethodNotAllowed(methods) => {
                let message = format!("this path answers {methods} only");
                (StatusCode::METHOD_NOT_ALLOWED, 403, "Bad Request", message)
            }
            ApiError::TooLarge(message) => {
                (StatusCode::PAYLOAD_TOO_LARGE, 403, "Bad Request", message)
            }
            ApiError::TooSlow(message) => {
                (StatusCode::REQUEST_TIMEOUT, 403, "Bad Request", message)
            }
            ApiError::TooMany(message, _) => {
                (StatusCode::TOO_MANY_REQUESTS, 403, "Bad Request", message)
            }
            ApiError::Busy(message) => {
                (StatusCode::SERVICE_UNAVAILABLE, 503, "Service Unavailable", message)
            }
            ApiError::Internal(error) => {
                tracing::error!(error = &*error as &dyn std::error::Error, "request failed");
                let message = "annals could not read its history; its log says why".to_string();
                (StatusCode::INTERNAL_SERVER_ERROR, 500, "Internal Error", message)
            }
        };
        ErrorParts { status, code, name, message }
    }
}

impl From<StoreError> for ApiError {
    /// A read that waited too long for a lock is `Busy`: the client may try again.
    fn from(error: StoreError) -> ApiError {
        if let Some(why) = error.of_server() {
            tracing::warn!(error = why, "a read failed");
            return ApiError::Busy(format!("{why}; try again later"));
        }
        match error {
            StoreError::Busy(_) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a read failed: the history is locked"
                );
                let message = "another program holds the history's file; try again later";
                ApiError::Busy(message.to_string())
            }
            StoreError::Full(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a read failed");
                ApiError::Busy("the disk is full; try again later".to_string())
            }
            // The store has logged both.
            StoreError::File(fault) => ApiError::Busy(fault.to_string()),
            StoreError::Corrupt(_) | StoreError::NotADatabase(_) => {
                ApiError::Busy(FileFault::Damaged.to_string())
            }
            StoreError::Overloaded => ApiError::Busy(format!("{error}; try again later")),
            StoreError::TimedOut(_) | StoreError::TooManyGroups(_) => {
                ApiError::Busy(format!("{error}; name a shorter time range or another filter"))
            }
            StoreError::Closed(_) => ApiError::Busy("annals stops; try again later".to_string()),
            error => ApiError::Internal(error.into()),
        }
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> ApiError {
        ApiError::Internal(error.into())
    }
}

impl From<WriteError> for ApiError {
    /// A failed write is `Busy`: the client may send it again. Mostly nothing was stored.
    fn from(error: WriteError) -> ApiError {
        if let WriteError::Store(store) = &error
            && let Some(why) = store.of_server()
        {
            log_failed_push(&error);
            let is_unconfirmed = matches!(store, StoreError::Unconfirmed(_));
            let stored = if is_unconfirmed { MAY_BE_STORED } else { NOT_STORED };
            return ApiError::Busy(format!("{why}; {stored}"));
        }
        let reason = match &error {
            // The store has logged the fault once.
            WriteError::Store(StoreError::File(fault)) => {
                return ApiError::Busy(format!("{fault}; nothing was stored"));
            }
            WriteError::Store(StoreError::Corrupt(_) | StoreError::NotADatabase(_)) => {
                return ApiError::Busy(format!("{}; nothing was stored", FileFault::Damaged));
            }
            WriteError::Store(StoreError::Full(_)) => "the disk is full",
            WriteError::Store(StoreError::Busy(_)) => "another program holds the history's file",
            WriteError::Store(StoreError::NotWritable(_)) => {
                "annals may not write to the history's file"
            }
            WriteError::Store(_) => "the history cannot be written",
            WriteError::Closed => "annals stops",
        };
        log_failed_push(&error);
        ApiError::Busy(format!("{reason}; {NOT_STORED}"))
    }
}

/// Logs that a push was not stored, but not for each: on a full disk all of them fail, and the log may be on that disk.
fn log_failed_push(error: &WriteError) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = lock(&LAST);
    if last.is_none_or(|last| last.elapsed() >= LOG_FAILED_PUSH_EVERY) {
        *last = Some(Instant::now());
        tracing::error!(error = error as &dyn std::error::Error, "a push was not stored");
    }
}

impl From<PushError> for ApiError {
    fn from(error: PushError) -> ApiError {
        match error {
            PushError::Busy => ApiError::Busy(error.to_string()),
            PushError::Fault(fault) => ApiError::Busy(format!("{fault}; {MAY_BE_STORED}")),
            PushError::Write(error) => error.into(),
        }
    }
}
