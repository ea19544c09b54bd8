//! `/api/v1/queries`: what engines and scripts push that speak none of Doris' sources.

use futures_util::Stream;
use serde::Serialize;
use utoipa::ToSchema;
use warp::Buf;
use warp::http::header::CONTENT_ENCODING;
use warp::http::{HeaderMap, StatusCode};

use crate::domain::profile::{Profile, ProfileError};
use crate::domain::record::{Kind, Origin, QueryId, QueryRecord};
use crate::domain::time::Zone;
use crate::formats::rows::{self, Format, JsonKind, RowError};
use crate::http::envelope::{Answer, ApiError, Envelope, success};
use crate::http::{View, body};

/// Rows that are told of when they are rejected.
const REASONS: usize = 10;

/// Rows that were not taken in: how many, and the first of them.
#[derive(Default)]
pub(crate) struct RejectedRows {
    /// All of them.
    pub count: u64,
    /// The first few, with their number and why.
    pub first: Vec<Reason>,
}

/// A row, and why it was rejected.
#[derive(Serialize, ToSchema)]
pub(crate) struct Reason {
    line: u64,
    reason: String,
}

impl RejectedRows {
    /// Adds a row.
    pub(crate) fn add(&mut self, line: u64, error: &RowError) {
        self.count += 1;
        if self.first.len() < REASONS {
            self.first.push(Reason { line, reason: error.to_string() });
        }
    }

    /// The first few in one sentence.
    pub(crate) fn sentence(&self) -> String {
        let told = self.first.iter().map(|Reason { line, reason }| format!("row {line}: {reason}"));
        told.collect::<Vec<_>>().join("; ")
    }
}

/// What became of the rows.
#[derive(Serialize, ToSchema)]
pub(crate) struct Pushed {
    new: u64,
    merged: u64,
    unchanged: u64,
    excluded: u64,
    rejected: u64,
    reasons: Vec<Reason>,
}

/// Push queries
///
/// A JSON object a line, or one array of them. The names are those of the list or of Doris' audit table;
/// others are kept in `extra`. A row that is rejected does not keep the others out: the answer is 422 then,
/// with what became of all of them.
#[utoipa::path(
    post, path = "/api/v1/queries", tag = "queries",
    request_body(content((Vec<crate::http::v1::openapi::Row> = "application/json"))),
    responses(
        (status = 200, description = "all are on the disk", body = Envelope<Pushed>),
        (status = 422, description = "some rows were rejected, the others are on the disk",
            body = Envelope<Pushed>))
)]
pub(crate) async fn queries(
    view: &View,
    headers: HeaderMap,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let pipeline = view.pipeline()?;
    let body = body::read(pipeline, &headers, is_gzip(&headers)?, chunks).await?;
    if body.bytes.trim_ascii().is_empty() {
        return Err(ApiError::BadRequest("the body is empty; send JSON".to_string()));
    }
    let first = body.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let kind = if first == Some(&b'[') { JsonKind::Array } else { JsonKind::Lines };
    let format = Format::json(kind);
    let mut parcel = pipeline.batch();
    let mut rejected = RejectedRows::default();
    tokio::task::block_in_place(|| {
        rows::read(&body.bytes, &format, pipeline.zone(), &mut |line, row| match row {
            Ok(row) => parcel.row(row),
            Err(error) => rejected.add(line, &error),
        })
    })
    .map_err(|error| ApiError::BadRequest(error.to_string()))?;
    let excluded = parcel.excluded();
    let source = pipeline.source("push");
    source.rejected_rows(rejected.count);
    let written = pipeline.push(&source, parcel).await?.records;
    let taken = written.total();
    let pushed = Pushed {
        new: written.new,
        merged: written.merged,
        unchanged: written.unchanged,
        excluded,
        rejected: rejected.count,
        reasons: rejected.first,
    };
    let mut answer = success(pushed, taken as usize)?;
    if rejected.count > 0 {
        *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(answer)
}

/// What became of a profile.
#[derive(Serialize, ToSchema)]
pub(crate) struct PushedProfile {
    /// `new`, `merged`, `unchanged` or `left out`.
    profile: &'static str,
}

/// Push the profile of a query
#[utoipa::path(
    put, path = "/api/v1/queries/{query_id}/profile", tag = "profiles",
    params(("query_id" = crate::http::v1::openapi::QueryIdText, Path, description = "as Doris writes it")),
    request_body(content((crate::http::v1::openapi::ProfileText = "text/plain"))),
    responses((status = 200, body = Envelope<PushedProfile>))
)]
pub(crate) async fn profile(
    view: &View,
    query_id: QueryId,
    headers: HeaderMap,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let pipeline = view.pipeline()?;
    let mut body = body::read(pipeline, &headers, is_gzip(&headers)?, chunks).await?;
    let text = std::mem::take(&mut body.bytes);
    if text.is_empty() {
        return Err(ApiError::BadRequest("the body is empty; send the profile's text".into()));
    }
    let mut parcel = pipeline.batch();
    tokio::task::block_in_place(|| {
        parcel.profile(named(query_id, text, pipeline.zone())?);
        Ok::<_, ApiError>(())
    })?;
    let excluded = parcel.excluded() > 0;
    let written = pipeline.push(&pipeline.source("push"), parcel).await?.profiles;
    let profile = match written {
        _ if excluded => "left out",
        written if written.new > 0 => "new",
        written if written.merged > 0 => "merged",
        _ => "unchanged",
    };
    success(PushedProfile { profile }, 0)
}

/// The profile of a text. Whose it is says the path where its summary does not.
fn named(query_id: QueryId, text: Vec<u8>, zone: Zone) -> Result<Profile, ApiError> {
    match Profile::summary_of(&text, zone) {
        Ok(summary) if summary.query_id == query_id => Ok(Profile { summary, text }),
        Ok(summary) => Err(ApiError::BadRequest(format!(
            "the profile says that it is of query {}",
            summary.query_id
        ))),
        Err(ProfileError::QueryId(_)) => {
            let summary = QueryRecord::new(query_id, Kind::Query, Origin::Summary);
            Ok(Profile { summary, text })
        }
        Err(error @ ProfileError::NotAProfile) => Err(ApiError::BadRequest(error.to_string())),
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers.get(CONTENT_ENCODING).map(|encoding| encoding.as_bytes()) {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(_) => Err(ApiError::BadRequest("Content-Encoding must be gzip or absent".to_string())),
    }
}
