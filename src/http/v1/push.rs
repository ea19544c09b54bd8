//! `POST /api/v1/queries` and `PUT /api/v1/queries/{query_id}/profile`: pushes of engines and scripts that speak none of
//! Doris' formats.

use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, SchemaType};
use utoipa::openapi::{RefOr, Schema, Type};
use utoipa::{OpenApi, PartialSchema, ToSchema};
use warp::http::header::CONTENT_ENCODING;
use warp::http::{HeaderMap, Method};

use super::queries::{LIST_PATH, PROFILE_PATH};
use super::schema::{ClusterNameText, QUERY_ID, QueryIdText};
use crate::domain::profile::{Profile, ProfileError};
use crate::domain::record::{Kind, Origin, QueryId, QueryRecord};
use crate::domain::time::Zone;
use crate::formats::rows::{self, Format, JsonKind};
use crate::http::answer::Answer;
use crate::http::body::{self, Body};
use crate::http::doris::envelope::{Envelope, some_rejected, success};
use crate::http::error::ApiError;
use crate::http::pushed_rows::PushedRows;
use crate::http::query_ids::exact_query_id;
use crate::http::query_parameters::Time;
use crate::http::rejected_rows::RejectedRow;
use crate::http::route::{PushRequest, Route, RouteKind};
use crate::ingest::PushError;
use crate::store::WriteSummary;

pub(super) const QUERIES: Route =
    Route::new(LIST_PATH, |to, path| to.push(path, Method::POST, "GET, HEAD, POST", queries))
        .kind(RouteKind::Push)
        .described_by(Description::openapi);
pub(super) const PROFILE: Route =
    Route::new(PROFILE_PATH, |to, path| to.push(path, Method::PUT, "GET, HEAD, PUT", profile))
        .kind(RouteKind::Push);

/// The rows of a push are written in parts of this much memory, some ten thousand rows: other clients wait for one part and
/// not for the whole push.
const PART_BYTES: usize = 16 << 20;

#[derive(OpenApi)]
#[openapi(paths(queries, profile), components(schemas(Row, ProfileText)))]
struct Description;

/// The outcome of the rows of a push.
#[derive(Serialize, ToSchema)]
struct Pushed {
    new: u64,
    merged: u64,
    unchanged: u64,
    excluded: u64,
    rejected: u64,
    reasons: Vec<RejectedRow>,
}

/// Push queries
///
/// A JSON object a line, or one array of objects. The keys are columns of the view `query_history` or of Doris' audit
/// table; all other keys are kept in `extra`. A rejected row does not reject the others: the answer is then 422, with
/// the outcome of all rows.
#[utoipa::path(
    post, path = LIST_PATH, tag = "queries",
    params(("X-Annals-Cluster" = Option<ClusterNameText>, Header,
        description = "the cluster of rows that name none")),
    request_body(content((Vec<Row> = "application/json"))),
    responses(
        (status = 200, description = "all rows are on the disk", body = Envelope<Pushed>),
        (status = 422, description = "some rows were rejected, the others are on the disk",
            body = Envelope<Pushed>))
)]
async fn queries(request: PushRequest) -> Result<Answer, ApiError> {
    let PushRequest { client, view, headers, body: chunks, .. } = request;
    let pipeline = view.pipeline()?;
    let reserved = pipeline.reservation(&client)?;
    let body = body::read(reserved, &headers, is_gzip(&headers)?, chunks).await?;
    let body = body.into_text().await?;
    let first = body.text.trim_ascii_start().bytes().next();
    let kind = match first {
        None => return Err(ApiError::BadRequest("the body is empty; send JSON".to_string())),
        Some(b'[') => JsonKind::Array,
        Some(_) => JsonKind::Lines,
    };
    let format = Format::json(kind);
    let bad = |error: rows::BodyError| ApiError::BadRequest(error.to_string());
    let mut rows = PushedRows::new(format.rows(&body.text, pipeline.zone()).map_err(bad)?, false);
    let source = pipeline.push_source("push");
    let (mut written, mut excluded) = (WriteSummary::default(), 0);
    let mut has_more = true;
    while has_more {
        let batch = view.push_batch(&headers)?;
        let mut batch = batch.of_source(source.name(), pipeline.zone());
        let mut reserved = pipeline.reservation(&client)?;
        let is_first = rows.total == 0;
        let (reported, stored) = (rows.rejected.count, written.records.total());
        has_more = rows.fill(&mut batch, &mut reserved, PART_BYTES).await?;
        if has_more && is_first {
            // No row of an array is stored unless the array can be read to its end.
            tokio::task::block_in_place(|| format.check(&body.text)).map_err(bad)?;
        }
        source.rejected_rows(rows.rejected.count - reported);
        excluded += batch.excluded();
        batch.hold(reserved);
        let part = pipeline.push(&source, batch).await.map_err(|error| not_whole(stored, error))?;
        written.add(part);
    }
    let total = written.records.total();
    let pushed = Pushed {
        new: written.records.new,
        merged: written.records.merged,
        unchanged: written.records.unchanged,
        excluded,
        rejected: rows.rejected.count,
        reasons: rows.rejected.first,
    };
    match pushed.rejected {
        0 => success(pushed, total as usize),
        _ => some_rejected(pushed, total as usize),
    }
}

/// Returns the error of a push of which the first rows are stored already.
fn not_whole(stored: u64, error: PushError) -> ApiError {
    match ApiError::from(error) {
        ApiError::Busy(_) if stored > 0 => ApiError::Busy(format!(
            "{stored} rows of the body are stored, the others are not; send all of it again later"
        )),
        error => error,
    }
}

/// The outcome of a profile.
#[derive(Serialize, ToSchema)]
struct PushedProfile {
    /// `new`, `merged`, `unchanged` or `excluded`.
    profile: &'static str,
}

/// Push the profile of a query
#[utoipa::path(
    put, path = PROFILE_PATH, tag = "profiles",
    params(
        ("query_id" = QueryIdText, Path, description = "as Doris writes it"),
        ("X-Annals-Cluster" = Option<ClusterNameText>, Header, description = "the cluster of the query")),
    request_body(content((ProfileText = "text/plain"))),
    responses((status = 200, body = Envelope<PushedProfile>))
)]
async fn profile(request: PushRequest) -> Result<Answer, ApiError> {
    let PushRequest { client, view, headers, path, body: chunks, .. } = request;
    let query_id = exact_query_id(path.get("query_id"))?;
    let pipeline = view.pipeline()?;
    let reserved = pipeline.reservation(&client)?;
    let body = body::read(reserved, &headers, is_gzip(&headers)?, chunks).await?;
    let Body { bytes: text, mut reserved } = body;
    if text.is_empty() {
        return Err(ApiError::BadRequest("the body is empty; send the profile's text".into()));
    }
    // The text is compressed beside itself.
    reserved.grow_to(2 * text.len()).await?;
    let source = pipeline.push_source("push");
    let mut batch = view.push_batch(&headers)?.of_source(source.name(), pipeline.zone());
    batch.hold(reserved);
    tokio::task::block_in_place(|| {
        batch.profile(named(query_id, text, pipeline.zone())?);
        Ok::<_, ApiError>(())
    })?;
    let is_excluded = batch.excluded() > 0;
    let written = pipeline.push(&source, batch).await?.profiles;
    let profile = match written {
        _ if is_excluded => "excluded",
        written if written.new > 0 => "new",
        written if written.merged > 0 => "merged",
        _ => "unchanged",
    };
    success(PushedProfile { profile }, 0)
}

/// Returns the profile of a text, under the id of the path if its summary names none. Errors if the summary names
/// another query.
fn named(query_id: QueryId, text: Vec<u8>, zone: Zone) -> Result<Profile, ApiError> {
    match Profile::summary_of(&text, zone) {
        Ok(summary) if summary.query_id == query_id => Ok(Profile { summary, text }),
        Ok(summary) => {
            Err(ApiError::BadRequest(format!("this is the profile of query {}", summary.query_id)))
        }
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

/// A query that is pushed.
struct Row;

impl ToSchema for Row {}

impl PartialSchema for Row {
    fn schema() -> RefOr<Schema> {
        let number = || ObjectBuilder::new().schema_type(Type::Number);
        // -1 is no id, nor is a fraction that is printed so.
        let id = OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(Type::String).pattern(Some(QUERY_ID)).build())
            .item(number().minimum(Some(0)).build())
            .item(number().maximum(Some(-2)).build())
            .description(Some("an opaque token, as Doris writes it"));
        let row = ObjectBuilder::new()
            .property("query_id", id)
            .property("time", RefOr::T(Schema::from(Time::to_the_second().build())))
            .required("query_id")
            .required("time")
            .description(Some(
                "what else is known: user, db, state, query_time, stmt and so on, text or numbers",
            ));
        RefOr::T(row.build().into())
    }
}

/// The text of a profile.
struct ProfileText;

impl ToSchema for ProfileText {}

impl PartialSchema for ProfileText {
    fn schema() -> RefOr<Schema> {
        // Of no type: any body is text.
        let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue).min_length(Some(1));
        RefOr::T(any.build().into())
    }
}
