//! The files beside the page of a query: its statement, its profile, and the flame graph of its profile.

use warp::http::Response;
use warp::http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, VARY,
};

use super::lookup::resolve;
use crate::domain::profile::{Section, lossy, operators};
use crate::domain::record::QueryId;
use crate::http::answer::{Answer, AnswerBody};
use crate::http::error::ApiError;
use crate::http::text_body;
use crate::http::view::View;
use crate::store::StoredText;

#[derive(Debug, Clone, Copy)]
pub(super) enum Download {
    FlameGraph,
    Profile,
    Statement,
}

impl Download {
    pub(super) const FLAME_GRAPH: &'static str = "/flame.svg";
    pub(super) const PROFILE: &'static str = "/profile.txt";
    pub(super) const STATEMENT: &'static str = "/statement.sql";
    /// The files, by the end of their path.
    pub(super) const ALL: [(&'static str, Download); 3] = [
        (Download::FLAME_GRAPH, Download::FlameGraph),
        (Download::PROFILE, Download::Profile),
        (Download::STATEMENT, Download::Statement),
    ];

    pub(super) async fn answer(self, view: &View, id: QueryId) -> Result<Answer, ApiError> {
        let query = resolve(view, id.as_str()).await?;
        match self {
            Download::FlameGraph => {
                let (profile, title) = (profile(view, &id).await?, format!("Query {id}"));
                let size = profile.len();
                let svg = move || {
                    let text = profile.unpack()?;
                    let text = lossy(&text);
                    let tree = Section::parse(&text);
                    crate::web::flame_graph::flame_graph_svg(&operators(&tree), &title)
                };
                let svg = view.compute(size, svg).await?;
                Ok(flame_graph(svg.map_err(|error| ApiError::Internal(error.into()))?))
            }
            Download::Profile => {
                Ok(attachment("profile.txt", text_body::bare(profile(view, &id).await?)))
            }
            Download::Statement => Ok(attachment(
                "statement.sql",
                AnswerBody::Whole(query.record.statement.unwrap_or_default().into()),
            )),
        }
    }
}

async fn profile(view: &View, id: &QueryId) -> Result<StoredText, ApiError> {
    let text = view.profile(id).await?.stored_text();
    text.ok_or_else(|| ApiError::NotFound(format!("no profile stored for query {id}")))
}

fn flame_graph(svg: Vec<u8>) -> Answer {
    let mut answer = file("image/svg+xml", AnswerBody::Whole(svg.into()));
    // The SVG has inline styles, and a script that need not run.
    let policy = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
    );
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    answer
}

fn attachment(name: &str, body: AnswerBody) -> Answer {
    let mut answer = file("text/plain; charset=utf-8", body);
    let disposition = format!("attachment; filename=\"{name}\"");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        answer.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    answer
}

fn file(content_type: &'static str, body: AnswerBody) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(VARY, HeaderValue::from_static("authorization, cookie"));
    answer
}
