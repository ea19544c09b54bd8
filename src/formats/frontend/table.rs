//! The rows of a frontend's lists as records.
//!
//! Known from Doris' `QueryProfileController`, `QueryProfileAction`, `NodeAction`, `ProfileManager` and
//! `SummaryProfile` (0.15 to 4.x) and from `QueryDetail` of Doris and StarRocks:
//!
//! - Rows with names (`/rest/v1/query_profile`): `Profile ID`, `Task Type` … since 1.0; `Query ID`, `Query Type` …
//!   before.
//! - Rows of cells (`query_info`) under ten titles. The cells stand in the order of the titles up to 1.2, and in the
//!   order of a profile's summary since: id, frontend, type, start, end, total, state, user, the catalog since 3.0,
//!   database, statement, and in some versions the plan, which mostly is null. So there are ten to twelve cells, and
//!   what they hold tells which is which.
//! - Objects of `query_detail`, with times in Unix milliseconds.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::domain::record::{Kind, Origin, QueryId, QueryRecord};
use crate::domain::time::{Zone, leading_local_time, parse_duration_ms, parse_instant_ms};

/// Returns the records of a list, newest first, and how many rows were not understood; `None` where `data` is no
/// list. Times are local to `zone`.
pub(crate) fn records(data: &Value, zone: Zone) -> Option<(Vec<QueryRecord>, usize)> {
    let details = data.as_array().or_else(|| data.get("query_details")?.as_array());
    if let Some(details) = details {
        return Some(of_details(details));
    }
    let rows = data.get("rows")?.as_array()?;
    let titles = ["columnNames", "column_names", "columns_names"];
    let titles = titles.iter().find_map(|key| data.get(*key)?.as_array());
    let titles: Vec<Option<Column>> =
        titles.into_iter().flatten().map(|title| Column::of_title(title.as_str()?)).collect();

    // The rows of a list are all of one width; if ever they are not, each width has an order of its own.
    let mut tables: BTreeMap<usize, Vec<&[Value]>> = BTreeMap::new();
    for cells in rows.iter().filter_map(Value::as_array) {
        tables.entry(cells.len()).or_default().push(cells);
    }
    let orders: BTreeMap<usize, Vec<Option<Column>>> =
        tables.into_iter().map(|(width, rows)| (width, order(&titles, width, &rows))).collect();

    let mut records = Vec::with_capacity(rows.len());
    let mut not_understood = 0;
    for row in rows {
        let record = match row {
            Value::Object(row) => Row::of_names(row).into_record(zone),
            Value::Array(cells) => {
                let order = orders.get(&cells.len()).map_or(&[][..], Vec::as_slice);
                Row::of_cells(cells, order).into_record(zone)
            }
            _ => None,
        };
        match record {
            Some(record) => records.push(record),
            None => not_understood += 1,
        }
    }
    Some((records, not_understood))
}

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Id,
    Frontend,
    Type,
    Start,
    End,
    Total,
    State,
    User,
    Catalog,
    Db,
    Statement,
}

/// How many columns there are.
const COLUMNS: usize = 11;

impl Column {
    /// The column of a title. Letter case, white space and underscores do not matter.
    fn of_title(title: &str) -> Option<Column> {
        let title: String = title
            .chars()
            .filter(|sign| !sign.is_whitespace() && *sign != '_')
            .flat_map(char::to_lowercase)
            .collect();
        Some(match title.as_str() {
            "profileid" | "queryid" => Column::Id,
            "fe节点" | "frontend" => Column::Frontend,
            "查询类型" | "tasktype" | "querytype" => Column::Type,
            "开始时间" | "starttime" => Column::Start,
            "结束时间" | "endtime" => Column::End,
            "执行时长" | "total" => Column::Total,
            "状态" | "taskstate" | "querystate" | "state" => Column::State,
            "查询用户" | "user" => Column::User,
            "defaultcatalog" | "catalog" => Column::Catalog,
            "执行数据库" | "defaultdb" | "database" | "db" => Column::Db,
            "sql" | "sqlstatement" | "statement" => Column::Statement,
            _ => return None,
        })
    }

    /// Whether most of the cells that say something are what this column holds. Only the columns whose values have
    /// a form of their own can be told so; all others take anything.
    fn fits(self, seen: &Seen) -> bool {
        let count = match self {
            Column::Type => seen.types,
            Column::Start | Column::End => seen.times,
            Column::Total => seen.durations,
            Column::State => seen.states,
            _ => return true,
        };
        seen.most(count)
    }
}

/// How many of a column's cells have which form.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    /// Cells that say something.
    known: usize,
    ids: usize,
    hosts: usize,
    types: usize,
    times: usize,
    durations: usize,
    states: usize,
    /// Cells of several words.
    texts: usize,
}

impl Seen {
    fn add(&mut self, cell: &str) {
        let cell = cell.trim();
        if is_unknown(cell) {
            return;
        }
        let is_one_of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(cell));
        self.known += 1;
        self.ids += usize::from(is_id(cell));
        self.hosts += usize::from(is_host(cell));
        self.types += usize::from(is_one_of(&TYPES));
        self.times += usize::from(leading_local_time(cell.as_bytes()).is_some());
        self.durations += usize::from(cell == "0" || parse_duration_ms(cell).is_some());
        self.states += usize::from(is_one_of(&STATES));
        self.texts += usize::from(cell.contains(char::is_whitespace));
    }

    /// Whether `count` is more than half of the cells that say something, or none says anything.
    fn most(&self, count: usize) -> bool {
        self.known == 0 || 2 * count > self.known
    }

    /// The same where some cell says something.
    fn surely(&self, count: usize) -> bool {
        2 * count > self.known
    }
}

/// What frontends write as a type.
const TYPES: [&str; 3] = ["query", "load", "insert"];
/// What they write as a state.
const STATES: [&str; 14] = [
    "eof", "ok", "err", "error", "noop", "running", "finished", "failed", "cancelled", "canceled",
    "pending", "loading", "committed", "timeout",
];

/// Whether a cell says nothing.
fn is_unknown(cell: &str) -> bool {
    ["", "N/A", "null", "-1"].contains(&cell) || cell.eq_ignore_ascii_case("unknown")
}

/// Whether a text is a query id (two hexadecimal numbers, or a UUID) or the number of a load's job.
fn is_id(text: &str) -> bool {
    let mut parts = 0;
    let are_hex = text.split('-').all(|part| {
        parts += 1;
        (1..=16).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    are_hex && (parts == 2 || parts == 5 && text.len() == 36)
        || parts == 1 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is an address, or a host and a port.
fn is_host(text: &str) -> bool {
    let with_port = text.rsplit_once(':').is_some_and(|(host, port)| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:%".contains(&byte);
        !host.is_empty() && host.bytes().all(is_name) && port.parse::<u16>().is_ok()
    });
    with_port || text.parse::<IpAddr>().is_ok()
}

/// Returns which column each cell of the rows of one width belongs to.
fn order(titles: &[Option<Column>], width: usize, rows: &[&[Value]]) -> Vec<Option<Column>> {
    let mut seen = vec![Seen::default(); width];
    for row in rows {
        for (cell, seen) in row.iter().zip(&mut seen) {
            if let Some(text) = text(cell) {
                seen.add(&text);
            }
        }
    }
    let are_right = titles.len() == width
        && titles.contains(&Some(Column::Start))
        && titles.iter().zip(&seen).all(|(title, seen)| title.is_none_or(|it| it.fits(seen)));
    if are_right {
        return titles.to_vec();
    }

    let mut order = vec![None; width];
    let place = |at: Option<usize>, column: Column, order: &mut Vec<Option<Column>>| {
        let free = at.filter(|at| order.get(*at) == Some(&None));
        if let Some(at) = free {
            order[at] = Some(column);
        }
        free
    };
    let find = |order: &[Option<Column>], is: &dyn Fn(&Seen) -> bool| {
        (0..width).find(|at| order[*at].is_none() && is(&seen[*at]))
    };
    // Type, start, end, total and state stand in this order in every version, wherever they begin. In a list of
    // running queries alone the end says nothing, and is found by its place.
    let next_is = |at: Option<usize>, column: Column| {
        at.map(|at| at + 1).filter(|at| seen.get(*at).is_some_and(|seen| column.fits(seen)))
    };
    let start = find(&order, &|seen| seen.surely(seen.times));
    let start = place(start, Column::Start, &mut order);
    let end = next_is(start, Column::End).or_else(|| find(&order, &|seen| seen.surely(seen.times)));
    let end = place(end, Column::End, &mut order);
    let total =
        next_is(end, Column::Total).or_else(|| find(&order, &|seen| seen.surely(seen.durations)));
    let total = place(total, Column::Total, &mut order);
    let state = next_is(total, Column::State)
        .or_else(|| find(&order, &|seen| seen.surely(seen.states)))
        // A state that nobody knows yet.
        .or_else(|| total.map(|at| at + 1).filter(|at| seen.get(*at).is_some_and(is_word)));
    place(state, Column::State, &mut order);
    let before = start.and_then(|at| at.checked_sub(1));
    let kind = before
        .filter(|at| seen[*at].surely(seen[*at].types))
        .or_else(|| find(&order, &|seen| seen.surely(seen.types)))
        .or_else(|| before.filter(|at| *at > 1 && is_word(&seen[*at])));
    place(kind, Column::Type, &mut order);
    let id = find(&order, &|seen| seen.surely(seen.ids)).or_else(|| find(&order, &is_word));
    place(id, Column::Id, &mut order);
    let host = find(&order, &|seen| seen.surely(seen.hosts));
    let titled = titles.iter().position(|title| *title == Some(Column::Frontend));
    place(host.or(titled), Column::Frontend, &mut order);

    // What is left has no form of its own, but one order in every version: the user, the catalog in some, the
    // database, the statement, the plan in some.
    let left: Vec<usize> = (0..width).filter(|at| order[*at].is_none()).collect();
    let columns: &[Column] = match left.as_slice() {
        [_, _, third, fourth, ..] => {
            let (third, fourth) = (&seen[*third], &seen[*fourth]);
            let is_statement = third.surely(third.texts) || third.known > 0 && fourth.known == 0;
            match is_statement && third.known > 0 {
                true => &[Column::User, Column::Db, Column::Statement],
                false => &[Column::User, Column::Catalog, Column::Db, Column::Statement],
            }
        }
        [_, _] => &[Column::User, Column::Statement],
        _ => &[Column::User, Column::Db, Column::Statement],
    };
    for (at, column) in left.into_iter().zip(columns) {
        order[at] = Some(*column);
    }
    order
}

/// Whether most of a column's cells are one word.
fn is_word(seen: &Seen) -> bool {
    seen.surely(seen.known - seen.texts)
}

/// A cell as text; `None` where it is none.
fn text(cell: &Value) -> Option<Cow<'_, str>> {
    match cell {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What a row says, by column.
#[derive(Default)]
struct Row<'a>([Option<Cow<'a, str>>; COLUMNS]);

impl<'a> Row<'a> {
    fn of_names(names: &'a Map<String, Value>) -> Row<'a> {
        let mut row = Row::default();
        for (name, cell) in names {
            if let Some(column) = Column::of_title(name) {
                row.0[column as usize] = text(cell);
            }
        }
        if row.0[Column::Id as usize].is_none() {
            row.0[Column::Id as usize] = linked_id(names).map(Cow::Borrowed);
        }
        row
    }

    fn of_cells(cells: &'a [Value], order: &[Option<Column>]) -> Row<'a> {
        let mut row = Row::default();
        for (cell, column) in cells.iter().zip(order) {
            if let Some(column) = column {
                row.0[*column as usize] = text(cell);
            }
        }
        row
    }

    /// What a column says; `None` where that is nothing.
    fn get(&self, column: Column) -> Option<&str> {
        let text = self.0[column as usize].as_deref()?.trim();
        let is_unknown = match column {
            Column::Statement => ["", "N/A"].contains(&text),
            _ => is_unknown(text),
        };
        (!is_unknown).then_some(text)
    }

    /// The record of a row; `None` where it has no id, or says nothing of how the query went.
    fn into_record(self, zone: Zone) -> Option<QueryRecord> {
        let text = |column| self.get(column).map(str::to_string);
        let query_id = self.get(Column::Id)?.parse().ok()?;
        let kind = self.get(Column::Type).map_or(Kind::Query, Kind::of_name);
        let mut record = QueryRecord::new(query_id, kind, Origin::Summary);
        let instant = |column| self.get(column).and_then(|time| parse_instant_ms(time, zone));
        record.started_ms = instant(Column::Start);
        record.state = text(Column::State);
        if record.started_ms.is_none() && record.state.is_none() {
            return None;
        }
        record.frontend = text(Column::Frontend);
        record.user = self.get(Column::User).and_then(name);
        record.catalog = text(Column::Catalog);
        record.db = self.get(Column::Db).and_then(name);
        record.statement = text(Column::Statement);
        // What a running query has of these is not how it ended.
        if !record.is_running() {
            record.ended_ms = instant(Column::End);
            record.duration_ms = self.get(Column::Total).and_then(parse_duration_ms);
        }
        Some(record)
    }
}

/// A user or a database without the cluster that versions up to 1.1 name before it.
fn name(text: &str) -> Option<String> {
    let name = text.strip_prefix("default_cluster:").unwrap_or(text);
    (!name.is_empty()).then(|| name.to_string())
}

/// The id in the link of a row: `/query_profile/ID`, or `/query_profile/query_id=ID`.
fn linked_id(row: &Map<String, Value>) -> Option<&str> {
    let link = row.get("__hrefPaths").or_else(|| row.get("__hrefPath"))?;
    let link = link.as_array().map_or(Some(link), |links| links.first())?.as_str()?;
    let (_, id) = link.rsplit_once('/')?;
    Some(id.rsplit_once("query_id=").map_or(id, |(_, id)| id))
}

/// The records of `query_detail`. The list is oldest first, and has a query as it begins and again as it ends: what
/// was listed last counts.
fn of_details(details: &[Value]) -> (Vec<QueryRecord>, usize) {
    let mut known: HashSet<QueryId> = HashSet::new();
    let mut records = Vec::new();
    let mut not_understood = 0;
    for detail in details.iter().rev() {
        match detail.as_object().and_then(of_detail) {
            Some(record) if known.insert(record.query_id.clone()) => records.push(record),
            Some(_) => {}
            None => not_understood += 1,
        }
    }
    (records, not_understood)
}

/// The record of a `QueryDetail`. What is -1 or missing is not known.
fn of_detail(detail: &Map<String, Value>) -> Option<QueryRecord> {
    let text = |key: &str| {
        let text = detail.get(key)?.as_str()?.trim();
        (!is_unknown(text)).then_some(text)
    };
    let number = |key: &str| detail.get(key)?.as_i64().filter(|number| *number >= 0);
    let mut record = QueryRecord::new(text("queryId")?.parse().ok()?, Kind::Query, Origin::Summary);
    record.started_ms = number("startTime").filter(|ms| *ms > 0);
    record.state = text("state").map(str::to_string);
    if record.started_ms.is_none() && record.state.is_none() {
        return None;
    }
    if !record.is_running() {
        record.ended_ms = number("endTime").filter(|ms| *ms > 0);
        record.duration_ms = number("latency");
    }
    record.is_query = detail.get("isQuery").and_then(Value::as_bool);
    record.session_id = number("connId").map(|id| id.to_string());
    record.client = text("remoteIP").map(str::to_string);
    record.user = text("user").and_then(name);
    record.catalog = text("catalog").map(str::to_string);
    record.db = text("database").and_then(name);
    record.statement = detail.get("sql").and_then(Value::as_str).map(str::to_string);
    record.error_message = text("errorMessage").map(str::to_string);
    record.workload_group = text("resourceGroupName").map(str::to_string);
    record.compute_group = text("warehouse").map(str::to_string);
    record.sql_digest = text("digest").map(str::to_string);
    record.scan_rows = number("scanRows");
    record.scan_bytes = number("scanBytes");
    record.return_rows = number("returnRows");
    record.peak_memory_bytes = number("memCostBytes");
    record.spill_write_bytes = number("spillBytes");
    record.cpu_time_ms = number("cpuCostNs").map(|ns| ns.saturating_add(500_000) / 1_000_000);
    Some(record)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The titles of `query_info` in every version.
    const TITLES: [&str; 10] = [
        "Query ID", "FE节点", "查询用户", "执行数据库", "Sql", "查询类型", "开始时间", "结束时间",
        "执行时长", "状态",
    ];

    fn listed(rows: Value) -> Vec<QueryRecord> {
        let (records, not_understood) =
            records(&json!({"columnNames": TITLES, "rows": rows}), Zone::UTC).unwrap();
        assert_eq!(not_understood, 0, "{rows}");
        records
    }

    /// What a record says, for comparing.
    fn told(record: &QueryRecord) -> Value {
        json!([
            record.query_id.as_str(),
            record.frontend,
            record.kind.name(),
            record.started_ms,
            record.ended_ms,
            record.duration_ms,
            record.state,
            record.user,
            record.catalog,
            record.db,
            record.statement
        ])
    }

    #[test]
    fn cells_in_the_order_of_every_version() {
        let head = ["7f-1", "10.1.0.4:8030", "QUERY", "2026-03-04 05:06:07", "2026-03-04 05:06:09"];
        let with = |tail: &[Option<&str>]| {
            let head = head.iter().map(|cell| json!(cell));
            let tail = tail.iter().map(|cell| json!(cell));
            listed(json!([head.chain(tail).collect::<Vec<_>>()])).remove(0)
        };
        let expected = |catalog: Option<&str>, statement: &str| {
            json!([
                "7f-1", "10.1.0.4:8030", "query", 1_772_600_767_000_i64, 1_772_600_769_000_i64,
                2120, "EOF", "dora", catalog, "till", statement
            ])
        };
        let some = Some;
        // 2.0, 2.1 with its plan, 3.0, 4.x with its plan.
        let of_2_0 = with(&[
            some("2s120ms"),
            some("EOF"),
            some("dora"),
            some("till"),
            some("select coins from till"),
        ]);
        assert_eq!(told(&of_2_0), expected(None, "select coins from till"));
        for plan in [None, some("N/A"), some("PLAN FRAGMENT 0\n  OUTPUT EXPRS:")] {
            let of_2_1 = with(&[
                some("2s120ms"),
                some("EOF"),
                some("dora"),
                some("default_cluster:till"),
                some("select coins\nfrom till"),
                plan,
            ]);
            assert_eq!(told(&of_2_1), expected(None, "select coins\nfrom till"), "{plan:?}");
            let of_4 = with(&[
                some("2sec120ms"),
                some("EOF"),
                some("default_cluster:dora"),
                some("internal"),
                some("till"),
                some("select coins from till"),
                plan,
            ]);
            assert_eq!(told(&of_4), expected(some("internal"), "select coins from till"));
        }
        let of_3_0 = with(&[
            some("2sec120ms"),
            some("EOF"),
            some("dora"),
            some("internal"),
            some("till"),
            some("commit"),
        ]);
        assert_eq!(told(&of_3_0), expected(some("internal"), "commit"));
        // In the order of the titles.
        let record = listed(json!([[
            "7f-1", "10.1.0.4:8030", "dora", "till", "select coins from till", "Query",
            "2026-03-04 05:06:07", "2026-03-04 05:06:09", "2s120ms", "EOF"
        ]]));
        assert_eq!(told(&record[0]), expected(None, "select coins from till"));
    }

    #[test]
    fn what_is_not_known_keeps_its_column() {
        // All of them run: no end, no total. The user is called as a state is.
        let records = listed(json!([
            [
                "7f-2", "fe-2:8030", "QUERY", "2026-03-04 05:06:07", "N/A", "N/A", "RUNNING", "ok",
                "internal", "", "select sleep(9)", null
            ],
            [
                "7f-3", "fe-2:8030", "QUERY", "2026-03-04 05:06:08", null, null, "RUNNING", "ok",
                "internal", "", "select sleep(8)", null
            ],
        ]));
        for record in &records {
            assert!(record.is_running());
            assert_eq!(
                (record.user.as_deref(), record.catalog.as_deref()),
                (Some("ok"), Some("internal"))
            );
            assert_eq!((&record.db, record.ended_ms, record.duration_ms), (&None, None, None));
            assert!(record.statement.as_deref().unwrap().starts_with("select sleep"));
        }
        // Loads go by the number of their job; a state may be new, a frontend a bare name.
        let load = listed(json!([[
            "10238", "fe-2", "LOAD", "2026-03-04 05:06:07", "2026-03-04 05:06:09", "2sec",
            "HALTED", "dora", "internal", "till", "LOAD LABEL till.l1 (…)"
        ]]));
        assert_eq!((load[0].kind, load[0].state.as_deref()), (Kind::Load, Some("HALTED")));
        assert_eq!(
            (load[0].frontend.as_deref(), load[0].db.as_deref()),
            (Some("fe-2"), Some("till"))
        );
    }

    #[test]
    fn rows_with_names_of_every_version() {
        let old = json!({"column_names": ["Query ID"], "rows": [{
            "Query ID": "7f-4", "Query Type": "Query", "Query State": "EOF", "User": "default_cluster:dora",
            "Start Time": "2021-03-04 05:06:07", "End Time": "2021-03-04 05:06:07", "Total": "31ms",
            "Default Db": "default_cluster:till", "Sql Statement": "select 4", "__hrefPath": ["/query_profile/7f-4"]
        }]});
        let (records_of_old, _) = records(&old, Zone::UTC).unwrap();
        assert_eq!(
            told(&records_of_old[0]),
            json!([
                "7f-4", null, "query", 1_614_834_367_000_i64, 1_614_834_367_000_i64, 31, "EOF",
                "dora", null, "till", "select 4"
            ])
        );
        let linked = json!({"rows": [
            {"Start Time": "2021-03-04 05:06:07", "__hrefPath": "/query_profile/query_id=7f-5"},
            {"Start Time": "2021-03-04 05:06:07", "__hrefPaths": ["/query_profile/-1"]},
            {"Profile ID": "7f-6"}, {"Profile ID": "N/A", "Task State": "EOF"}, 7,
        ]});
        let (linked, not_understood) = records(&linked, Zone::UTC).unwrap();
        assert_eq!(linked[0].query_id.as_str(), "7f-5");
        assert_eq!((linked.len(), not_understood), (1, 4));
        for none in [json!({}), json!({"rows": 7}), json!("rows"), json!(null)] {
            assert!(records(&none, Zone::UTC).is_none(), "{none}");
        }
    }

    #[test]
    fn details_of_starrocks_and_of_older_frontends() {
        let details = json!([
            {"eventTime": 1_772_600_767_000_000_001_i64, "queryId": "0195feed-2b5f-11ee-bdee-00000000aa01",
             "isQuery": true, "remoteIP": "10.1.0.9", "connId": 12, "startTime": 1_772_600_767_000_i64,
             "endTime": -1, "latency": -1, "state": "RUNNING", "database": "till", "sql": "select sum(c) from coins",
             "user": "dora", "scanRows": -1, "cpuCostNs": -1, "warehouse": "default_warehouse"},
            {"eventTime": 1_772_600_768_000_000_000_i64, "queryId": "0195feed-2b5f-11ee-bdee-00000000aa01",
             "isQuery": true, "remoteIP": "10.1.0.9", "connId": 12, "startTime": 1_772_600_767_000_i64,
             "endTime": 1_772_600_768_000_i64, "latency": 1000, "state": "FINISHED", "database": "till",
             "sql": "select sum(c) from coins", "user": "dora", "scanRows": 77, "scanBytes": 1024,
             "returnRows": 1, "cpuCostNs": 1_600_000, "memCostBytes": 4096, "spillBytes": 0,
             "resourceGroupName": "rg_tills", "warehouse": "default_warehouse", "digest": "", "catalog": "default_catalog"},
        ]);
        for data in [details.clone(), json!({"query_details": details})] {
            let (records, not_understood) = records(&data, Zone::UTC).unwrap();
            assert_eq!((records.len(), not_understood), (1, 0));
            let record = &records[0];
            assert_eq!(
                (record.duration_ms, record.ended_ms),
                (Some(1000), Some(1_772_600_768_000))
            );
            assert_eq!((record.scan_rows, record.cpu_time_ms), (Some(77), Some(2)));
            assert_eq!(record.workload_group.as_deref(), Some("rg_tills"));
            assert_eq!(
                (record.sql_digest.as_deref(), record.session_id.as_deref()),
                (None, Some("12"))
            );
        }
    }

    proptest! {
        /// Wherever the cells with a form of their own stand, they are found, and what is left keeps its order.
        #[test]
        fn cells_in_any_order(
            order in Just((0..11_usize).collect::<Vec<_>>()).prop_shuffle(),
            seconds in prop::collection::vec(0..50_u32, 1..6),
            catalog in any::<bool>(),
        ) {
            let rows: Vec<Vec<Value>> = seconds.iter().enumerate().map(|(number, second)| {
                let start = format!("2026-03-04 05:06:{second:02}");
                let end = format!("2026-03-04 05:06:{:02}", second + 9);
                let typed = [
                    format!("{number:x}7f-{second:x}"), "10.1.0.4:8030".into(), "QUERY".into(), start, end,
                    "9sec1ms".into(), "EOF".into(),
                ];
                let mut left = vec!["dora".to_string(), "till".into(), format!("select {number} from coins")];
                if catalog { left.insert(1, "hive".into()) }
                let mut left = left.into_iter();
                // The start stands before the end in every version.
                let mut times = [3, 4].into_iter();
                let cells = order.iter().filter_map(|place| match place {
                    3 | 4 => Some(typed[times.next()?].clone()),
                    0..=6 => Some(typed[*place].clone()),
                    _ => left.next(),
                });
                cells.map(Value::from).collect()
            }).collect();
            let records = listed(json!(rows));
            for (number, record) in records.iter().enumerate() {
                prop_assert_eq!(record.frontend.as_deref(), Some("10.1.0.4:8030"));
                prop_assert_eq!((record.user.as_deref(), record.db.as_deref()), (Some("dora"), Some("till")));
                prop_assert_eq!(record.catalog.is_some(), catalog);
                let statement = format!("select {number} from coins");
                prop_assert_eq!(record.statement.as_deref(), Some(statement.as_str()));
                prop_assert_eq!((record.duration_ms, record.state.as_deref()), (Some(9001), Some("EOF")));
                prop_assert_eq!(record.ended_ms.unwrap() - record.started_ms.unwrap(), 9000);
            }
        }

        #[test]
        fn no_list_breaks_it(cells in prop::collection::vec(
            prop::collection::vec("[0-9a-f-]{0,6}|QUERY|EOF|5ms|2026-03-04 05:06:07|N/A|a b", 0..14), 0..5)
        ) {
            let _ = records(&json!({"columnNames": TITLES, "rows": cells}), Zone::UTC);
        }
    }
}
