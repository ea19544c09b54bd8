//! `…/current_queries`: the queries that run.

use serde::Serialize;

use crate::domain::filter::{Choice, QueryFilter};
use crate::http::answer::Answer;
use crate::http::doris::envelope::ListBuilder;
use crate::http::error::ApiError;
use crate::http::route::{ReadRequest, Route};

pub(super) const ROUTE: Route =
    Route::new("/rest/v2/manager/query/current_queries", |to, path| to.get(path, current_queries));

/// Answers with the queries that ran when they were reported last, in the columns of Doris 3.0 and later.
async fn current_queries(request: ReadRequest) -> Result<Answer, ApiError> {
    #[derive(Serialize)]
    struct Running {
        #[serde(rename = "columnNames")]
        column_names: [&'static str; 9],
    }
    let mut rows = ListBuilder::new(&Running {
        column_names: [
            "Frontend", "QueryId", "ConnectionId", "Catalog", "Database", "User", "ExecTime",
            "SqlHash", "Statement",
        ],
    });
    let filter =
        QueryFilter { limit: 1000, state: Choice::one("RUNNING"), ..QueryFilter::default() };
    let now_ms = crate::domain::time::now_ms();
    let listed = request.view.list(&filter, |query| {
        let took_ms = query.started_ms.map(|ms| now_ms.saturating_sub(ms).max(0));
        let took = took_ms.map(|ms| ms.to_string()).unwrap_or_default();
        let row = [
            query.frontend.unwrap_or_default(),
            query.query_id,
            query.session_id.unwrap_or_default(),
            query.catalog.unwrap_or_default(),
            query.db.unwrap_or_default(),
            query.user.unwrap_or_default(),
            &took,
            query.sql_hash.unwrap_or_default(),
            query.statement.unwrap_or_default(),
        ];
        rows.add(&row, query.cursor());
    });
    listed.await?;
    rows.finish(0)
}
