//! The parameters that choose queries in lists and reports.

use std::sync::LazyLock;

use utoipa::IntoParams;

use super::values::{Count, OrderName, PageCursor, SearchText, SearchWords};
use super::{read_all, read_known};
use crate::domain::filter::QueryFilter;
use crate::domain::search::Search;
use crate::domain::time::Zone;
use crate::http::error::ApiError;
use crate::http::route::Parameters;
use crate::http::view::View;

/// Defines the parameters of a path: its own, and all that choose queries. serde flattens no struct into another without
/// losing the names of its fields.
macro_rules! filter_parameters {
    ($(#[$attribute:meta])* $visible:vis struct $parameters:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        #[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
        #[into_params(parameter_in = Query)]
        $visible struct $parameters {
            $($own)*
            /// The user who ran the query. Several values of this or another text are alternatives: `user=app&user=etl`.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub user: Vec<String>,
            /// Not this user. A query whose user is unknown stays; so with each parameter that begins with `not_`.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub not_user: Vec<String>,
            /// The database of the query.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub db: Vec<String>,
            /// Not this database.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub not_db: Vec<String>,
            /// The state, in any letter case. `RUNNING` is that of queries whose last report says that they run.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub state: Vec<String>,
            /// Not this state.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub not_state: Vec<String>,
            /// The host of the client, with any port, or host and port.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub client: Vec<String>,
            /// Not this client.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub not_client: Vec<String>,
            /// The frontend that ran the query.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub frontend: Vec<String>,
            /// Not this frontend.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub not_frontend: Vec<String>,
            /// The workload group of Doris, or the resource group of StarRocks.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub workload_group: Vec<String>,
            /// Not this workload group.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub not_workload_group: Vec<String>,
            /// The compute group of Doris, or the warehouse of StarRocks.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub compute_group: Vec<String>,
            /// Not this compute group.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub not_compute_group: Vec<String>,
            /// The cluster, as its sources name it.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub cluster: Vec<String>,
            /// Not this cluster.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub not_cluster: Vec<String>,
            /// The catalog of the session, like `internal`.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub catalog: Vec<String>,
            /// Not this catalog.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub not_catalog: Vec<String>,
            /// What the frontend calls the statement, like `SELECT`.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub statement_type: Vec<String>,
            /// Not this type of statement.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub not_statement_type: Vec<String>,
            /// A table that the query read or the load wrote, as far as its record names tables: `orders`, `shop.orders` or
            /// `internal.shop.orders`; `=orders` is exactly this name.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub table: Vec<String>,
            /// Not this table.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub not_table: Vec<String>,
            /// The session that ran the query: the id that the frontend gave it, which may be the number of a connection.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub session_id: Vec<String>,
            /// Not this session.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::values_schema)]
            pub not_session_id: Vec<String>,
            /// A text that is unknown, by the name of its parameter: `unknown=user` chooses the queries without a user. With
            /// values of the same text, these are chosen, too. Several of these texts are all unknown. `fingerprint` stands for the
            /// statement.
            #[serde(default)]
            #[param(schema_with = $crate::http::query_parameters::UnknownText::schema)]
            pub unknown: Vec<$crate::http::query_parameters::UnknownText>,
            /// Whether the query failed.
            pub is_failed: Option<bool>,
            /// Whether the profile of the query is stored.
            pub has_profile: Option<bool>,
            /// Queries or loads.
            #[param(schema_with = $crate::http::query_parameters::KindName::schema)]
            pub r#type: Option<$crate::http::query_parameters::KindName>,
            /// The fingerprint of the statement.
            #[param(value_type = Option<String>, pattern = "^[0-9a-f]{16}$")]
            pub fingerprint: Option<$crate::http::query_parameters::FingerprintText>,
            /// Text in the statement, in any letter case.
            pub search: Option<$crate::http::query_parameters::SearchText>,
            /// Whole words in the statement, in any order and letter case, at most 32 different ones.
            pub words: Option<$crate::http::query_parameters::SearchWords>,
            /// The shortest duration, in milliseconds.
            #[param(value_type = Option<i64>, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
            pub min_ms: Option<$crate::http::query_parameters::Milliseconds>,
            /// The shortest time in the queue of a workload group, in milliseconds.
            #[param(value_type = Option<i64>, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
            pub min_queue_ms: Option<$crate::http::query_parameters::Milliseconds>,
            /// Whether the frontend answered from its SQL cache.
            pub cache_hit: Option<bool>,
            /// Queries that started at this time or later.
            pub from: Option<$crate::http::query_parameters::Time>,
            /// Queries that started before this time.
            pub to: Option<$crate::http::query_parameters::Time>,
        }

        impl $parameters {
            /// Returns the filter of the queries that the parameters choose, for no page. Errors if a time or a search cannot be
            /// understood.
            fn chosen(
                self,
                zone: $crate::domain::time::Zone,
            ) -> Result<$crate::domain::filter::QueryFilter, $crate::http::error::ApiError> {
                use $crate::domain::filter::Choice;
                use $crate::http::query_parameters::{
                    FingerprintText, KindName, Milliseconds, Time, UnknownText, search, without_cluster,
                };

                let time = |name, time: Option<Time>| time.map(|time| time.ms(name, zone)).transpose();
                let (from_ms, to_ms) = (time("from", self.from)?, time("to", self.to)?);
                $crate::domain::time::check_range(from_ms, to_ms)
                    .map_err(|error| $crate::http::error::ApiError::BadRequest(error.to_string()))?;
                let choice = |any_of, none_of| Choice { any_of, none_of, is_unknown: false };
                let mut filter = $crate::domain::filter::QueryFilter {
                    user: choice(without_cluster(self.user), without_cluster(self.not_user)),
                    db: choice(without_cluster(self.db), without_cluster(self.not_db)),
                    state: choice(self.state, self.not_state),
                    client: choice(self.client, self.not_client),
                    frontend: choice(self.frontend, self.not_frontend),
                    workload_group: choice(self.workload_group, self.not_workload_group),
                    compute_group: choice(self.compute_group, self.not_compute_group),
                    cluster: choice(self.cluster, self.not_cluster),
                    catalog: choice(self.catalog, self.not_catalog),
                    statement_type: choice(self.statement_type, self.not_statement_type),
                    table: choice(self.table, self.not_table),
                    session_id: choice(self.session_id, self.not_session_id),
                    is_failed: self.is_failed,
                    has_profile: self.has_profile,
                    kind: self.r#type.map(|KindName(kind)| kind),
                    fingerprint: self.fingerprint.map(|FingerprintText(fingerprint)| fingerprint),
                    search: search(self.search, self.words)?,
                    min_ms: self.min_ms.map(|Milliseconds(ms)| ms),
                    min_queue_ms: self.min_queue_ms.map(|Milliseconds(ms)| ms),
                    cache_hit: self.cache_hit,
                    from_ms,
                    to_ms,
                    ..$crate::domain::filter::QueryFilter::default()
                };
                for UnknownText(text) in self.unknown {
                    filter.choose_unknown(text);
                }
                Ok(filter)
            }
        }
    };
}
pub(crate) use filter_parameters;

filter_parameters! {
    /// Which queries a list shows.
    #[derive(Default)]
    pub(crate) struct ListParameters {
        /// Rows of a page; 100 by default.
        #[serde(default)]
        #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
        pub limit: Count<100>,
        /// The field by which the list is sorted, the largest value first, or with `.asc` behind it the smallest first;
        /// `started_ms` by default. Queries whose value is unknown come last. Only `started_ms` has an index: another order
        /// looks at all queries of the filter, so name a range of time.
        #[serde(default)]
        #[param(schema_with = OrderName::schema)]
        pub order: OrderName,
        /// Where the page begins: as the `Link` header of the page before has it. A cursor is of one order.
        pub cursor: Option<PageCursor>,
    }
}

impl ListParameters {
    /// Returns the filter that the parameters describe. Errors if a time or a search cannot be understood.
    pub(crate) fn filter(self, zone: Zone) -> Result<QueryFilter, ApiError> {
        let (limit, order) = (self.limit.0, self.order);
        let after = self.cursor.map(|cursor| cursor.place_in(order)).transpose()?;
        let OrderName { by, is_ascending } = order;
        Ok(QueryFilter { limit, order: by, is_ascending, after, ..self.chosen(zone)? })
    }
}

/// The parameters of a list that do not choose queries.
const PAGING_NAMES: [&str; 3] = ["limit", "order", "cursor"];

/// Returns the names of the parameters that choose queries, in lists and reports alike.
pub(crate) fn choosing_names() -> &'static [String] {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let names = ListParameters::into_params(|| None).into_iter().map(|it| it.name);
        names.filter(|name| !PAGING_NAMES.contains(&name.as_str())).collect()
    });
    &NAMES
}

/// Reads the filter of a list of a page, which may have parameters of its own.
pub(crate) fn filter_of_page(
    view: &View,
    parameters: &Parameters,
) -> Result<QueryFilter, ApiError> {
    let mut of_list = parameters.clone();
    of_list.retain(|name, value| {
        let is_choosing = choosing_names().iter().any(|known| known == name);
        (is_choosing || PAGING_NAMES.contains(&name)) && !value.is_empty()
    });
    read_all::<ListParameters>(&of_list)?.filter(view.zone)
}

/// Reads the filter of a list on Doris' paths, which is by start.
pub(crate) fn filter_by_start(
    view: &View,
    parameters: &Parameters,
) -> Result<QueryFilter, ApiError> {
    let list: ListParameters = read_known(parameters)?;
    ListParameters { order: OrderName::default(), ..list }.filter(view.zone)
}

/// Older frontends name the cluster before a user or a database. The cluster is no part of the name.
pub(crate) fn without_cluster(names: Vec<String>) -> Vec<String> {
    let plain = |name: String| match name.strip_prefix("default_cluster:") {
        Some(name) => name.to_string(),
        None => name,
    };
    names.into_iter().map(plain).collect()
}

/// Returns the search for a text and words.
pub(crate) fn search(
    text: Option<SearchText>,
    words: Option<SearchWords>,
) -> Result<Option<Search>, ApiError> {
    let text = text.as_ref().map(|SearchText(text)| text.as_str());
    let words = words.as_ref().map(|SearchWords(words)| words.as_str());
    if text.is_none() && words.is_none() {
        return Ok(None);
    }
    let search = Search::new(text, words);
    search.map(Some).map_err(|error| ApiError::BadRequest(error.to_string()))
}
