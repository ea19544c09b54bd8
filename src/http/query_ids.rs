//! Query ids as paths and parameters write them.

use percent_encoding::percent_decode_str;

use super::error::ApiError;
use crate::domain::find::Sought;
use crate::domain::record::{QueryId, QueryIdError};

/// Reads an id. Errors if the text is none.
pub(super) fn query_id(text: &str) -> Result<QueryId, ApiError> {
    text.parse().map_err(|error: QueryIdError| ApiError::BadRequest(error.to_string()))
}

/// Reads an id that is one part of a path. Errors if the part holds anything beside the id.
pub(super) fn exact_query_id(part: &str) -> Result<QueryId, ApiError> {
    let text = percent_decode_str(part).decode_utf8_lossy();
    let id = query_id(&text)?;
    if id.as_str() == text {
        Ok(id)
    } else {
        Err(ApiError::BadRequest("the query id has white space around it".to_string()))
    }
}

/// Returns the error for an id that no query has, or only queries that the user may not see.
pub(super) fn unknown_query(id: &QueryId) -> ApiError {
    ApiError::NotFound(format!(
        "there is no query {id}; this path takes a whole query ID, and /api/v1/find its first {} characters or more",
        Sought::MIN_ID_START
    ))
}

/// Reads an id at the end of one of Doris' paths, with `query_id=` before the id or without, and with a slash behind
/// the id or without.
pub(super) fn doris_query_id(tail: &str) -> Result<QueryId, ApiError> {
    let id = doris_id(tail);
    query_id(id.strip_prefix("query_id=").unwrap_or(&id))
}

/// Reads any id at the end of one of Doris' paths.
pub(super) fn doris_id(tail: &str) -> std::borrow::Cow<'_, str> {
    percent_decode_str(tail.strip_suffix('/').unwrap_or(tail)).decode_utf8_lossy()
}
