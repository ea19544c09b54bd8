//! `…/query_info`: the list of Doris' manager, and its search.

use std::borrow::Cow;

use serde::Serialize;

use crate::domain::filter::{Cursor, QueryFilter};
use crate::domain::record::Kind;
use crate::domain::time::{Zone, format_duration_ms};
use crate::http::answer::Answer;
use crate::http::doris::envelope::ListBuilder;
use crate::http::doris::text_or_na;
use crate::http::error::ApiError;
use crate::http::query_ids::query_id;
use crate::http::query_parameters::{ListParameters, SearchText, read_known, with_next};
use crate::http::route::{ReadRequest, Route};
use crate::http::view::View;
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
/// The rows that a search reads at a time.
const PAGE: u32 = 1000;
/// The most rows that a search reads for one answer if SQLite cannot search for the text. The link to the next page
/// continues from there.
const MAX_READ: usize = 50_000;
/// A list cuts statements to this many characters, so a statement of fewer bytes is whole.
const CUT_FROM_BYTES: usize = 1 << 16;

/// Answers with the newest queries, without loads. The cells are in the order of the titles, which Doris itself does not
/// keep to since 2.0.
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
    let filter = QueryFilter { kind: Some(Kind::Query), ..list.filter(view.zone)? };
    let next = match text {
        Some(SearchText(text)) => search(&view, &filter, &text, &mut rows).await?,
        None => {
            let add = |query: ListedQuery<'_>| rows.add(&cells(view.zone, &query), query.cursor());
            view.list(&filter, add).await?;
            rows.cursor_if_full(filter.limit)
        }
    };
    Ok(with_next(rows.finish(0)?, PATH, &parameters, next))
}

/// Adds the rows in which any cell contains a text, letter case included, as Doris' search does. Returns the cursor from
/// which the next page continues, or `None` if no row is left.
///
/// SQLite finds the rows with the text in any letter case. But times and durations are texts only in the row: if the
/// text may be a part of one, all rows are read.
async fn search(
    view: &View,
    filter: &QueryFilter,
    text: &str,
    rows: &mut ListBuilder,
) -> Result<Option<Cursor>, ApiError> {
    let is_like_a_time =
        text.chars().all(|sign| sign.is_ascii_digit() || "-: .hourminsecdayNA/".contains(sign));
    let anywhere = (!is_like_a_time).then(|| text.to_string());
    let mut page = QueryFilter { limit: PAGE, anywhere, ..filter.clone() };
    let mut read = 0;
    loop {
        let mut count = 0;
        let mut last = None;
        let mut found = Vec::new();
        let each = |query: ListedQuery<'_>| {
            count += 1;
            last = Some(query.cursor());
            let row = cells(view.zone, &query);
            let is_found = row.iter().any(|cell| cell.contains(text));
            let is_cut = query.statement.is_some_and(|text| text.len() >= CUT_FROM_BYTES);
            if is_found || is_cut && page.anywhere.is_some() {
                found.push((row.map(Cow::into_owned), query.cursor(), is_found));
            }
        };
        view.list(&page, each).await?;
        for (row, cursor, is_found) in found {
            if !is_found {
                let Ok(id) = row[0].parse() else { continue };
                let whole = view.statement(&id).await?;
                if !whole.is_some_and(|statement| statement.contains(text)) {
                    continue;
                }
            }
            rows.add(&row, cursor);
            if rows.cursor_if_full(filter.limit).is_some() {
                return Ok(Some(cursor));
            }
        }
        read += count;
        page.after = last;
        if count < PAGE as usize {
            return Ok(None);
        }
        if page.anywhere.is_none() && read >= MAX_READ {
            return Ok(last);
        }
    }
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
