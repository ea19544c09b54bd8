//! `/api/v1/statements` and `/api/v1/timeline`: many queries at once.

use utoipa::IntoParams;

use crate::http::answer::Answer;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_parameters::{filter, known_parameters};
use crate::http::v1::openapi::{SearchText, SearchWords, Time};
use crate::http::{Parameters, View};
use crate::store::{Bucket, Spans, StatementOrder, StatementStatistics};

/// Spans of a timeline where the request names none.
const DEFAULT_BUCKETS: i64 = 60;
/// The most spans of a timeline.
const MAX_BUCKETS: i64 = 1000;

/// Which statements are shown.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // a description; `statements` reads the parameters
pub(crate) struct StatementParameters {
    /// At most so many; 100 where it is not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// What there is most of comes first; `total_ms` where it is not given.
    #[param(schema_with = order)]
    order: Option<String>,
    /// Whoever ran it.
    #[param(min_length = 1)]
    user: Option<String>,
    /// The database it ran in.
    #[param(min_length = 1)]
    db: Option<String>,
    /// What it was.
    #[param(schema_with = crate::http::v1::openapi::kind)]
    r#type: Option<String>,
    /// This shape alone.
    #[param(pattern = "^[0-9a-f]{16}$")]
    fingerprint: Option<String>,
    /// Text in the statement, in any letter case.
    #[param(value_type = Option<SearchText>)]
    search: Option<String>,
    /// Whole words in the statement, in any order.
    #[param(value_type = Option<SearchWords>)]
    words: Option<String>,
    /// It started then or later.
    #[param(value_type = Option<Time>)]
    from: Option<String>,
    /// It started before then.
    #[param(value_type = Option<Time>)]
    to: Option<String>,
}

fn order() -> utoipa::openapi::schema::Object {
    let names = StatementOrder::NAMES.map(|(name, _)| name);
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::Type::String)
        .enum_values(Some(names))
        .build()
}

/// The shapes of statements, with counts and percentiles of time
#[utoipa::path(
    get, path = "/api/v1/statements", params(StatementParameters), tag = "statements",
    responses((status = 200, body = Envelope<Vec<StatementStatistics>>))
)]
pub(crate) async fn statements(view: &View, parameters: Parameters) -> Result<Answer, ApiError> {
    known_parameters::<StatementParameters>(&parameters)?;
    let order = match parameters.get("order") {
        None => StatementOrder::Total,
        Some(asked) => {
            let named = StatementOrder::NAMES.into_iter().find(|(name, _)| name == asked);
            let (_, order) = named.ok_or_else(|| {
                let names = StatementOrder::NAMES.map(|(name, _)| name).join(", ");
                ApiError::BadRequest(format!("order must be one of {names}"))
            })?;
            order
        }
    };
    let statements = view.statements(&filter(view, &parameters)?, order).await?;
    success(&statements, statements.len())
}

/// Which queries a timeline counts, and how finely.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // a description; `timeline` reads the parameters
pub(crate) struct TimelineParameters {
    /// Into how many spans the time is cut; 60 where it is not given.
    #[param(minimum = 1, maximum = 1000)]
    buckets: Option<u32>,
    /// Whoever ran it.
    #[param(min_length = 1)]
    user: Option<String>,
    /// The database it ran in.
    #[param(min_length = 1)]
    db: Option<String>,
    /// What it was.
    #[param(schema_with = crate::http::v1::openapi::kind)]
    r#type: Option<String>,
    /// This shape alone.
    #[param(pattern = "^[0-9a-f]{16}$")]
    fingerprint: Option<String>,
    /// Text in the statement, in any letter case.
    #[param(value_type = Option<SearchText>)]
    search: Option<String>,
    /// Whole words in the statement, in any order.
    #[param(value_type = Option<SearchWords>)]
    words: Option<String>,
    /// Where it begins; with the first query where it is not given.
    #[param(value_type = Option<Time>)]
    from: Option<String>,
    /// Before when it ends; behind the last query where it is not given.
    #[param(value_type = Option<Time>)]
    to: Option<String>,
}

/// What ran over time, in spans of the same length
///
/// Spans in which nothing started are there, too.
#[utoipa::path(
    get, path = "/api/v1/timeline", params(TimelineParameters), tag = "statements",
    responses((status = 200, body = Envelope<Vec<Bucket>>))
)]
pub(crate) async fn timeline(view: &View, parameters: Parameters) -> Result<Answer, ApiError> {
    known_parameters::<TimelineParameters>(&parameters)?;
    let buckets = match parameters.get("buckets") {
        None => DEFAULT_BUCKETS,
        Some(text) => {
            let number = text.parse().ok().filter(|number| (1..=MAX_BUCKETS).contains(number));
            number.ok_or_else(|| {
                let sentence = format!("buckets must be a whole number from 1 to {MAX_BUCKETS}");
                ApiError::BadRequest(sentence)
            })?
        }
    };
    let filter = filter(view, &parameters)?;
    let span = view.span().await?;
    let from_ms = filter.from_ms.or(span.map(|(first_ms, _)| first_ms));
    let to_ms = filter.to_ms.or(span.map(|(_, last_ms)| last_ms.saturating_add(1)));
    let (Some(from_ms), Some(to_ms)) = (from_ms, to_ms) else {
        return success([(); 0], 0);
    };
    let Some(length_ms) = to_ms.checked_sub(from_ms).filter(|ms| *ms > 0) else {
        return success([(); 0], 0);
    };
    let width_ms = length_ms.saturating_add(buckets - 1) / buckets;
    let count = usize::try_from((length_ms - 1) / width_ms + 1).unwrap_or(0);
    let timeline = view.timeline(&filter, Spans { from_ms, width_ms, count }).await?;
    success(&timeline, timeline.len())
}
