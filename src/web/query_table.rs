//! The table of queries, on the history and on the page of a statement.

use maud::{Markup, html};

use super::compare::kept_fields;
use super::{chart, format, paths};
use crate::domain::filter::QueryOrder;
use crate::domain::record::{Kind, Load};
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::query_parameters::{OrderName, address};
use crate::store::StoredQuery;

/// Characters of a statement in a row.
const EXCERPT_CHARS: usize = 180;

/// A table of queries.
#[derive(Clone, Copy)]
pub(super) struct QueryTable<'a> {
    /// The parameters of the history that lists the queries. The links of the table add to them.
    pub parameters: &'a Parameters,
    pub order: OrderName,
    pub zone: Zone,
    /// Whether a column has the clusters.
    pub has_clusters: bool,
    /// Whether all queries are loads: then columns have the rows that they loaded and filtered.
    pub has_loads_alone: bool,
    /// Whether the heads lead to the list in another order.
    pub is_sortable: bool,
}

/// The name of an order, and what returns the text of a query's value.
type Figure = (&'static str, fn(&StoredQuery) -> String);

/// Returns the figure of an order. The start has a column of its own everywhere.
fn figure(order: QueryOrder) -> Figure {
    match order {
        QueryOrder::Start => ("Start", |_| String::new()),
        QueryOrder::Duration => ("Duration", |query| format::duration(query.duration_ms)),
        QueryOrder::CpuTime => ("CPU time", |query| format::duration(query.cpu_time_ms)),
        QueryOrder::ScanRows => ("Rows scanned", |query| format::number(query.scan_rows)),
        QueryOrder::ScanBytes => ("Bytes scanned", |query| format::bytes(query.scan_bytes)),
        QueryOrder::PeakMemory => ("Peak memory", |query| format::bytes(query.peak_memory_bytes)),
        QueryOrder::ReturnRows => ("Rows returned", |query| format::number(query.return_rows)),
        QueryOrder::QueueTime => ("Queue time", |query| format::duration(query.queue_time_ms)),
    }
}

/// The head of the column that only a table of several clusters has.
const CLUSTER: &str = "Cluster";

/// The head of a column, the order that a click chooses, and for a column of numbers the title.
type Head = (&'static str, Option<QueryOrder>, &'static str);

/// The heads of the columns that every table has.
const HEADS: [Head; 6] = [
    ("Started", Some(QueryOrder::Start), ""),
    ("Duration", Some(QueryOrder::Duration), ""),
    ("State", None, ""),
    ("User", None, ""),
    ("Database", None, ""),
    (CLUSTER, None, ""),
];
/// The heads behind them in a table of queries.
const SCAN_HEADS: [Head; 2] = [
    ("Rows", Some(QueryOrder::ScanRows), "Rows scanned"),
    ("Scanned", Some(QueryOrder::ScanBytes), "Bytes scanned"),
];
/// The same in a table of loads.
const LOAD_HEADS: [Head; 2] =
    [("Loaded", None, "Rows loaded"), ("Filtered", None, "Rows filtered")];

/// Returns which queries come first in an order.
fn first_of(order: OrderName) -> &'static str {
    match (order.by, order.is_ascending) {
        (QueryOrder::Start, false) => "newest",
        (QueryOrder::Start, true) => "oldest",
        (_, false) => "largest",
        (_, true) => "smallest",
    }
}

impl QueryTable<'_> {
    /// Returns the table. `events` is the address of its live updates.
    pub(super) fn table(&self, queries: &[StoredQuery], events: Option<&str>) -> Markup {
        let kind = if self.has_loads_alone { Kind::Load } else { Kind::Query };
        html! {
            table.queries {
                thead {
                    tr {
                        th.pick scope="col" { "Pick" }
                        @for (label, order, title) in self.heads() {
                            @let is_number = !title.is_empty();
                            @let order = order.filter(|_| self.is_sortable);
                            th class=[is_number.then_some("number")] scope="col" title=[is_number.then_some(title)]
                                aria-sort=[(order == Some(self.order.by)).then_some(self.direction())] {
                                @match order {
                                    Some(order) => a href=(self.sorted_by(self.next_order(order))) { (label) },
                                    None => (label),
                                }
                            }
                        }
                        @if let Some((label, _)) = self.own_figure() {
                            th.number scope="col" aria-sort=(self.direction()) {
                                a href=(self.sorted_by(self.next_order(self.order.by))) { (label) }
                            }
                        }
                        th scope="col" { @if self.has_loads_alone { "Load" } @else { "Statement" } }
                    }
                }
                tbody data-events=[events] data-one=(kind.name()) data-several=(kind.plural()) {
                    @for (_, row) in self.rows(queries) { (row) }
                }
            }
        }
    }

    /// Returns the columns that the table has.
    fn heads(&self) -> impl Iterator<Item = Head> {
        let has_clusters = self.has_clusters;
        let numbers = if self.has_loads_alone { LOAD_HEADS } else { SCAN_HEADS };
        let heads = HEADS.into_iter().filter(move |(label, ..)| has_clusters || *label != CLUSTER);
        heads.chain(numbers)
    }

    /// Returns the form that compares two of the queries that are ticked in the tables of the page.
    pub(super) fn compare_form(&self) -> Markup {
        html! {
            form.compare #compare method="get" action=(paths::COMPARE) {
                (kept_fields(self.parameters))
                button type="submit" { "Compare two picked runs" }
            }
        }
    }

    /// Returns the links to the orders of the list.
    pub(super) fn orders(&self) -> Markup {
        html! {
            div.range {
                p { "Sort by, " (first_of(self.order)) " first" }
                ul aria-label="Order" {
                    @for by in QueryOrder::ALL {
                        li {
                            a href=(self.sorted_by(OrderName { by, ..self.order }))
                                aria-current=[(by == self.order.by).then_some("true")] { (figure(by).0) }
                        }
                    }
                    li {
                        a href=(self.sorted_by(self.next_order(self.order.by))) {
                            "Turn round: " (first_of(self.next_order(self.order.by))) " first"
                        }
                    }
                }
            }
        }
    }

    /// Returns the direction of the list for people who do not see it.
    fn direction(&self) -> &'static str {
        if self.order.is_ascending { "ascending" } else { "descending" }
    }

    /// Returns the order that a click on the head of a column chooses: the largest first, and the other direction for the
    /// column by which the list is sorted.
    fn next_order(&self, by: QueryOrder) -> OrderName {
        OrderName { by, is_ascending: by == self.order.by && !self.order.is_ascending }
    }

    /// Returns the address of the list in an order, from its first page on.
    fn sorted_by(&self, order: OrderName) -> String {
        let is_default = order == OrderName::default();
        let order = if is_default { String::new() } else { order.to_string() };
        address(paths::HISTORY, self.parameters, &[("order", &order), ("cursor", "")])
    }

    /// Returns a value as a link to those queries of the list that have it.
    fn filtered(&self, name: &str, value: Option<&str>, shown: Markup) -> Markup {
        // A link without a value would be one to all queries.
        let Some(value) = value.filter(|value| !value.is_empty()) else { return shown };
        let narrowed = paths::narrowed(self.parameters.clone(), name, value);
        let link = address(paths::HISTORY, &narrowed, &[("cursor", "")]);
        html! { a.value href=(link) { (shown) } }
    }

    /// Returns the value by which the list is sorted, if no other column shows it.
    fn own_figure(&self) -> Option<Figure> {
        let is_shown = self.heads().any(|(_, order, _)| order == Some(self.order.by));
        (!is_shown).then(|| figure(self.order.by))
    }

    /// Returns the rows of the table, each with the row id of its query.
    pub(super) fn rows(&self, queries: &[StoredQuery]) -> Vec<(i64, Markup)> {
        let durations = queries.iter().filter_map(|query| query.duration_ms);
        let max_duration_ms = durations.max().unwrap_or(0);
        queries.iter().map(|query| (query.id, self.row(query, max_duration_ms))).collect()
    }

    fn row(&self, query: &StoredQuery, max_duration_ms: i64) -> Markup {
        let texts = [&query.state, &query.user, &query.db, &query.cluster];
        let [state, user, db, cluster] = texts.map(Option::as_deref);
        html! {
            tr data-row=(query.id) {
                td.pick {
                    input type="checkbox" name="run" value=(query.query_id) form="compare" aria-label={ "Pick " (query.query_id) };
                }
                td.started { (format::time(query.started_ms, self.zone)) }
                td.duration {
                    (chart::bar(query.duration_ms.unwrap_or(0), max_duration_ms))
                    span { (format::duration(query.duration_ms)) }
                }
                td.outcome { (self.filtered("state", state, format::state(state, query.is_failed()))) }
                td.user { (self.filtered("user", user, format::name(user))) }
                td.db { (self.filtered("db", db, format::name(db))) }
                @if self.has_clusters {
                    td.cluster { (self.filtered("cluster", cluster, format::name(cluster))) }
                }
                @if self.has_loads_alone { (loaded_cells(query.load.as_deref())) } @else {
                    td.number.sorted[self.order.by == QueryOrder::ScanRows] data-label="Rows scanned" {
                        (format::number(query.scan_rows))
                    }
                    td.number.sorted[self.order.by == QueryOrder::ScanBytes] data-label="Bytes scanned" {
                        (format::bytes(query.scan_bytes))
                    }
                }
                @if let Some((label, figure)) = self.own_figure() {
                    td.number.sorted data-label=(label) { (figure(query)) }
                }
                td.statement {
                    a href=(paths::keeping(&paths::query(&query.query_id), self.parameters)) { (title(query)) }
                    @if query.kind == Kind::Load { span.badge title="A load" { "load" } }
                    @if let Some(load) = query.load.as_deref().filter(|_| !self.has_loads_alone) { (loaded(load)) }
                    @if query.has_profile { span.badge title="Profile stored" { "profile" } }
                }
            }
        }
    }
}

/// Returns what a row calls its query: the start of the statement, or what names the load.
fn title(query: &StoredQuery) -> Markup {
    let text = query.load_name().or(query.statement.as_deref());
    let text = text.map(|text| format::excerpt(text, EXCERPT_CHARS));
    named(text.as_deref(), query.kind)
}

/// Returns the text of a query in a row, or what the query is if it has no text: an id says nothing to a person.
pub(super) fn named(text: Option<&str>, kind: Kind) -> Markup {
    html! {
        @match (text.filter(|text| !text.is_empty()), kind) {
            (Some(text), _) => bdi { (text) },
            (None, Kind::Load) => span.unknown { "no label recorded" },
            (None, Kind::Query) => span.unknown { "no statement recorded" },
        }
    }
}

/// Returns the columns of a load.
fn loaded_cells(load: Option<&Load>) -> Markup {
    let (loaded, filtered) =
        load.map_or((None, None), |load| (load.loaded_rows, load.filtered_rows));
    html! {
        td.number.sorted data-label="Rows loaded" { (format::number(loaded)) }
        td.number.sorted.errors[filtered > Some(0)] data-label="Rows filtered" { (format::number(filtered)) }
    }
}

/// Returns how many rows a load loaded and filtered, as far as they are known.
fn loaded(load: &Load) -> Markup {
    let filtered = load.filtered_rows.filter(|rows| *rows > 0);
    html! {
        @if let Some(rows) = load.loaded_rows { " " span.note { (format::counted(rows, "row", "rows")) " loaded" } }
        @if let Some(rows) = filtered { " " span.errors { (format::counted(rows, "row", "rows")) " filtered" } }
    }
}
