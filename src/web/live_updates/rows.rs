//! The changes of one listener's list.

use std::collections::HashMap;

use maud::Markup;
use serde::Serialize;
use tokio::sync::watch;
use warp::sse::Event;

use super::sender::EventSender;
use crate::domain::filter::QueryFilter;
use crate::domain::record::Kind;
use crate::http::Parameters;
use crate::http::error::ApiError;
use crate::http::query_parameters::OrderName;
use crate::http::view::View;
use crate::web::query_table::QueryTable;
use crate::web::shown_content::content_hash;

/// The event of a changed list.
#[derive(Serialize)]
struct ListChange<'a> {
    /// The row ids of the list, from the top.
    order: Vec<i64>,
    /// The markup of the rows that are new or changed.
    rows: HashMap<i64, &'a str>,
}

pub(super) struct RowFeed {
    view: View,
    filter: QueryFilter,
    parameters: Parameters,
    changes: watch::Receiver<Option<u64>>,
    /// The rows that the listener has, as hashes by row id.
    sent: HashMap<i64, u64>,
    /// The hash of the rows that the page already showed.
    shown: Option<String>,
}

impl RowFeed {
    pub(super) fn new(
        view: View,
        (filter, parameters): (QueryFilter, Parameters),
        changes: watch::Receiver<Option<u64>>,
        shown: Option<String>,
    ) -> RowFeed {
        RowFeed { view, filter, parameters, changes, sent: HashMap::new(), shown }
    }

    /// Sends the changes of the list until the listener is gone, annals stops or a read fails.
    pub(super) async fn send_to(mut self, events: &EventSender) {
        while self.changes.changed().await.is_ok() && self.changes.borrow_and_update().is_some() {
            match self.next_event().await {
                Ok(None) => {}
                Ok(Some(event)) => {
                    if !events.send(event).await {
                        return;
                    }
                }
                Err(error) => {
                    let error = error.into_parts().message;
                    tracing::warn!(error, "cannot read the list of a live page");
                    return;
                }
            }
        }
    }

    /// Reads the list, and returns what changed in it; `None` if nothing did.
    async fn next_event(&mut self) -> Result<Option<Event>, ApiError> {
        let queries = self.view.records(&self.filter).await?;
        let (order, zone) = (OrderName::of(&self.filter), self.view.zone);
        let has_clusters = !self.view.several_clusters().await?.is_empty();
        let table = QueryTable {
            parameters: &self.parameters,
            order,
            zone,
            is_sortable: true,
            has_clusters,
            has_loads_alone: self.filter.kind == Some(Kind::Load),
        };
        let rows = table.rows(&queries);
        let hashes: HashMap<i64, u64> = rows.iter().map(|(id, row)| (*id, row_hash(row))).collect();
        let is_shown = self
            .shown
            .take()
            .is_some_and(|shown| shown == content_hash(rows.iter().map(|(_, row)| row)));
        if is_shown || hashes == self.sent {
            self.sent = hashes;
            return Ok(None);
        }
        let is_new = |id: &i64| self.sent.get(id) != hashes.get(id);
        let change = ListChange {
            order: rows.iter().map(|(id, _)| *id).collect(),
            rows: rows
                .iter()
                .filter(|(id, _)| is_new(id))
                .map(|(id, row)| (*id, row.0.as_str()))
                .collect(),
        };
        // Numbers and texts always serialize.
        let event = Event::default().json_data(&change).ok();
        self.sent = hashes;
        Ok(event)
    }
}

fn row_hash(row: &Markup) -> u64 {
    xxhash_rust::xxh3::xxh3_64(row.0.as_bytes())
}
