//! `…/query_info`: the list of Doris' manager, and its search.

use std::borrow::Cow;

use serde::Serialize;

use crate::domain::filter::QueryFilter;
use crate::domain::record::Kind;
use crate::domain::search::CellSearch;
use crate::domain::time::{Zone, format_duration_ms};
use crate::http::answer::Answer;
use crate::http::doris::envelope::ListBuilder;
use crate::http::doris::text_or_na;
use crate::http::error::ApiError;
use crate::http::query_ids::query_id;
use crate::http::query_parameters::{ListParameters, OrderName, SearchText, read_known, with_next};
use crate::http::route::{ReadRequest, Route};
use crate::store::ListedQuery;

const PATH: &str = "/rest/v2/manager/query/query_info";

pub(super) const ROUTE: Route = Route::new(PATH, |to, path| to.get(path, query_info)).cached();

/// A table of Doris' manager: a row is a list of texts in the order of the columns. Doris names the titles in another key
/// since 1.1 (`NodeAction.NodeInfo`), and clients read either key.
#[derive(Serialize)]
struct Table {
    #[serde(rename = "columnNames")]
    column_names: [&'static str; 10],
    #[serde(rename = "column_names")]
    old_column_names: [&'static str; 10],
}

/// The titles of the manager's list.
const TITLES: [&str; 10] = [
    "Query ID", "FE节点", "查询用户", "执行数据库", "Sql", "查询类型", "开始时间", "结束时间",
    "执行时长", "状态",
];
/// Answers with the newest queries, without loads. The cells are in the order of the titles, which Doris itself does not
/// keep to since 2.0. A search finds a text in any cell, letter case included, as Doris' search does.
async fn query_info(request: ReadRequest) -> Result<Answer, ApiError> {
    let ReadRequest { view, parameters, .. } = request;
    let table = Table { column_names: TITLES, old_column_names: TITLES };
    let mut rows = ListBuilder::new(&table);
    if let Some(id) = parameters.get("query_id").filter(|id| !id.is_empty()) {
        let add = |query: ListedQuery<'_>| {
            if let Kind::Query = query.kind() {
                rows.add(&cells(view.zone, &query), query.cursor());
            }
        };
        view.listed(&query_id(id)?, add).await?;
        return rows.finish(0);
    }
    let mut list: ListParameters = read_known(&parameters)?;
    // The manager searches all cells, not only the statement.
    let text = list.search.take();
    let anywhere = text.map(|SearchText(text)| CellSearch::new(text, view.zone)).transpose();
    let anywhere = anywhere.map_err(|error| ApiError::BadRequest(error.to_string()))?;
    list.order = OrderName::default();
    let filter = QueryFilter { kind: Some(Kind::Query), anywhere, ..list.filter(view.zone)? };
    let add = |query: ListedQuery<'_>| rows.add(&cells(view.zone, &query), query.cursor());
    let incomplete = view.list(&filter, add).await?;
    let last = rows.cursor_if_full(filter.limit);
    Ok(with_next(rows.finish(0)?, PATH, (&parameters, &filter), last, incomplete))
}

/// Returns a row of the manager's list. The frontend has a port if the source of the query named one.
fn cells<'q>(zone: Zone, query: &ListedQuery<'q>) -> [Cow<'q, str>; 10] {
    [
        query.query_id.into(),
        query.frontend.unwrap_or_default().into(),
        query.user.unwrap_or_default().into(),
        query.db.unwrap_or_default().into(),
        query.statement.unwrap_or_default().into(),
        "Query".into(),
        text_or_na(query.started_ms.map(|ms| zone.format_ms(ms))),
        text_or_na(query.ended_ms.map(|ms| zone.format_ms(ms))),
        text_or_na(query.duration_ms.map(format_duration_ms)),
        query.state.unwrap_or("N/A").into(),
    ]
}
