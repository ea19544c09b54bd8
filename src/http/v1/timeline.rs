//! `/api/v1/timeline`: what ran over time.

use utoipa::OpenApi;

use crate::http::answer::Answer;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_parameters::{Count, filter_parameters, read_all};
use crate::http::route::{ReadRequest, Route, RouteKind};
use crate::store::{Bucket, Spans};

const PATH: &str = "/api/v1/timeline";

pub(super) const ROUTE: Route = Route::new(PATH, |to, path| to.get(path, timeline))
    .kind(RouteKind::Report)
    .cached()
    .described_by(Description::openapi);

#[derive(OpenApi)]
#[openapi(paths(timeline))]
struct Description;

filter_parameters! {
    /// Which queries a timeline counts, and how finely. Without `from`, the first span begins with the first start; without
    /// `to`, the last ends behind the last start. The pages show the last day.
    struct TimelineParameters {
        /// The number of spans; 60 by default.
        #[serde(default)]
        #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
        buckets: Count<60>,
    }
}

/// What ran over time, in spans of the same length
///
/// Spans without queries are in the list, too.
#[utoipa::path(
    get, path = PATH, params(TimelineParameters), tag = "statements",
    responses((status = 200, body = Envelope<Vec<Bucket>>))
)]
async fn timeline(request: ReadRequest) -> Result<Answer, ApiError> {
    let view = request.view;
    let parameters: TimelineParameters = read_all(&request.parameters)?;
    let buckets = i64::from(parameters.buckets.0);
    let filter = parameters.chosen(view.zone)?;
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
