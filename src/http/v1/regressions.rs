//! `/api/v1/regressions`: the statements that got slower.

use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use crate::http::answer::Answer;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_parameters::{
    BaselineText, Count, KindName, ListParameters, SearchText, SearchWords, Time, read_all,
};
use crate::http::route::{ReadRequest, Route, RouteKind};
use crate::store::Regressions;

const PATH: &str = "/api/v1/regressions";

pub(super) const ROUTE: Route = Route::new(PATH, |to, path| to.get(path, regressions))
    .kind(RouteKind::Report)
    .cached()
    .described_by(Description::openapi);

#[derive(OpenApi)]
#[openapi(paths(regressions))]
struct Description;

/// Which statements are compared, and with what.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RegressionParameters {
    /// Rows; 100 by default.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Count<100>,
    /// What is compared with: how long before, like `7d`, or two times like `2024-08-01..2024-08-02`; `7d` by default. It ends
    /// before the period.
    #[param(
        value_type = Option<String>,
        pattern = r"^([1-9][0-9]{0,2}[hd]|[0-9]{4}-[0-9]{2}-[0-9]{2}\.\.[0-9]{4}-[0-9]{2}-[0-9]{2})$"
    )]
    baseline: Option<BaselineText>,
    /// The user who ran the query.
    #[param(min_length = 1)]
    user: Option<String>,
    /// The database of the query.
    #[param(min_length = 1)]
    db: Option<String>,
    /// Queries or loads.
    #[param(schema_with = KindName::schema)]
    r#type: Option<KindName>,
    /// Text in the statement, in any letter case.
    search: Option<SearchText>,
    /// Whole words in the statement, in any order.
    words: Option<SearchWords>,
    /// Queries that started at this time or later; a day before the end by default.
    from: Option<Time>,
    /// Queries that started before this time; the end of the history by default.
    to: Option<Time>,
}

/// Statements that got slower since an earlier period, with confidence and causes
///
/// `data` is null if the history is empty.
#[utoipa::path(
    get, path = PATH, params(RegressionParameters), tag = "statements",
    responses((status = 200, body = Envelope<Option<Regressions>>))
)]
async fn regressions(request: ReadRequest) -> Result<Answer, ApiError> {
    let RegressionParameters { limit, baseline, user, db, r#type, search, words, from, to } =
        read_all(&request.parameters)?;
    let zone = request.view.zone;
    let baseline = baseline.map(|text| text.baseline(zone)).transpose()?.unwrap_or_default();
    let list = ListParameters {
        limit,
        user,
        db,
        r#type,
        search,
        words,
        from,
        to,
        ..ListParameters::default()
    };
    let found = request.view.regressions(&list.filter(zone)?, baseline).await?;
    success(&found, found.as_ref().map_or(0, |found| found.statements.len()))
}
