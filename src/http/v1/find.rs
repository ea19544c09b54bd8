//! `/api/v1/find`: what a text means.

use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use crate::domain::find::Sought;
use crate::http::answer::Answer;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_parameters::{ListParameters, Time, read_all, set_incomplete};
use crate::http::route::{ReadRequest, Route, RouteKind};
use crate::store::{Bound, Match};

const PATH: &str = "/api/v1/find";

pub(super) const ROUTE: Route = Route::new(PATH, |to, path| to.get(path, find))
    .kind(RouteKind::Report)
    .described_by(Description::openapi);

#[derive(OpenApi)]
#[openapi(paths(find))]
struct Description;

/// What is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FindParameters {
    /// A query id or its first six characters or more, a trace id, a session id, the label of a load or its start, a fingerprint in hexadecimal digits, its first
    /// four or more, or the same as a number, a statement, or text of statements. Blanks and quotes around it do not matter.
    #[param(value_type = String, required = true, pattern = "[0-9A-Za-z\u{4E00}-\u{9FFF}]", max_length = 4000)]
    q: Option<String>,
    /// Of statements that contain the text, only those of queries that started at this time or later.
    from: Option<Time>,
    /// The same, before this time.
    to: Option<Time>,
}

/// What a text means: queries by id, trace or session, loads by label, a statement, or statements that contain the text
///
/// A whole query id gives its query alone, and a fingerprint its statement. Statements are searched for the text only if it is no id, no fingerprint and no
/// whole label. Each
/// kind has at most 10 queries. A search that takes long stops, and names the reason in `annals-incomplete`.
#[utoipa::path(
    get, path = PATH, params(FindParameters), tag = "queries",
    responses((status = 200, body = Envelope<Vec<Match>>,
        headers(("annals-incomplete" = Option<String>, description = "`time` or `bytes`"))))
)]
async fn find(request: ReadRequest) -> Result<Answer, ApiError> {
    let FindParameters { q, from, to } = read_all(&request.parameters)?;
    let Some(text) = q else {
        return Err(ApiError::BadRequest("q is missing: the text to find".to_string()));
    };
    let sought = Sought::new(&text).map_err(|error| ApiError::BadRequest(format!("q: {error}")))?;
    let list = ListParameters { from, to, ..ListParameters::default() };
    let found = request.view.find(&sought, &list.filter(request.view.zone)?).await?;
    let mut answer = success(&found.matches, found.matches.len())?;
    if found.is_incomplete {
        set_incomplete(&mut answer, Bound::Time);
    }
    Ok(answer)
}
