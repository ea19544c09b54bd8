//! `/statements`: which statements cost most; `/statements/<fingerprint>`: the runs of one.

use std::collections::HashMap;

use maud::{Markup, html};

use super::history::{path_of, selected, table};
use super::layout::{Here, Page};
use super::query::{nanoseconds, operators_of, statement};
use super::range::Range;
use super::{chart, format};
use crate::domain::filter::QueryFilter;
use crate::domain::profile::{OperatorDifference, compare};
use crate::domain::statement::{Fingerprint, NotAFingerprint};
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::envelope::ApiError;
use crate::http::query_parameters::address;
use crate::http::view::View;
use crate::store::{StatementOrder, StatementStatistics, StoredQuery};

/// Where the list is.
const PATH: &str = "/statements";
/// Characters of a shape in the list.
const EXCERPT_CHARS: usize = 160;
/// Parts of a trend.
const TREND_PARTS: usize = 24;
/// Runs of one statement that are shown.
const RUNS: u32 = 200;
/// Operators whose difference is shown.
const DIFFERENCES: usize = 20;

/// What is told of each.
const DIFFERENCE: [&str; 4] = ["Time, fastest", "Time, slowest", "Rows, fastest", "Rows, slowest"];

/// What the list can be put in order by.
const ORDERS: [(&str, &str); 6] = [
    ("count", "Runs"),
    ("errors", "Failed"),
    ("total_ms", "Total"),
    ("p50_ms", "Median"),
    ("p95_ms", "p95"),
    ("max_ms", "Longest"),
];

/// The list.
pub(super) async fn page(view: View, parameters: Parameters) -> Result<Page, ApiError> {
    let asked = parameters.get("order").map_or("total_ms", String::as_str);
    let named = StatementOrder::NAMES.into_iter().find(|(name, _)| *name == asked);
    let (_, order) =
        named.ok_or_else(|| ApiError::BadRequest(format!("there is no order {asked:?}")))?;
    let filter = selected(&view, &parameters)?;
    let range = Range::of(&view, &filter).await?;
    let (statements, trends) = match &range {
        None => (Vec::new(), HashMap::new()),
        Some(range) => {
            let within = range.within(&filter);
            let statements = view.statements(&within, order).await?;
            let all: Vec<Fingerprint> =
                statements.iter().map(|statement| statement.fingerprint).collect();
            let width_ms = range.length_ms().div_ceil(TREND_PARTS as u64).max(1);
            (statements, view.trends(&all, range.from_ms, width_ms, TREND_PARTS).await?)
        }
    };
    let most = statements.iter().map(|statement| statement.total_ms).max().unwrap_or(0);
    let body = html! {
        h1 { "Statements" }
        p.note { "Statements that differ only in their values count as one." }
        @if let Some(range) = &range { (range.choices(PATH, &parameters, view.zone)) }
        div.wide-table {
            table.statements {
                thead {
                    tr {
                        th scope="col" { "Statement" }
                        th scope="col" { "Trend" }
                        @for (name, label) in ORDERS {
                            th.number scope="col" aria-sort=[(name == asked).then_some("descending")] {
                                a href=(address(PATH, &parameters, &[("order", name)])) { (label) }
                            }
                        }
                        th.number scope="col" { "Scanned" }
                        th.number scope="col" { "Users" }
                    }
                }
                tbody {
                    @for statement in &statements {
                        (row(statement, most, trends.get(&statement.fingerprint)))
                    }
                }
            }
        }
        @if statements.is_empty() { p.empty { "No statement ran then." } }
    };
    Ok(Page { title: "Statements".to_string(), here: Here::Statements, body })
}

fn row(statement: &StatementStatistics, most: i64, trend: Option<&Vec<i64>>) -> Markup {
    html! {
        tr {
            td.statement {
                a href={ "/statements/" (statement.fingerprint) } {
                    bdi { (format::excerpt(&statement.normalized, EXCERPT_CHARS)) }
                }
            }
            td.trend { @if let Some(trend) = trend { (chart::spark(trend)) } }
            td.number data-label="Runs" { (format::number(Some(statement.count))) }
            td.number.errors[statement.errors > 0] data-label="Failed" { (format::number(Some(statement.errors))) }
            td.number.took data-label="Total" {
                (chart::bar(statement.total_ms, most)) (format::duration(Some(statement.total_ms)))
            }
            td.number data-label="Median" { (format::duration(statement.p50_ms)) }
            td.number data-label="p95" { (format::duration(statement.p95_ms)) }
            td.number data-label="Longest" { (format::duration(statement.max_ms)) }
            td.number data-label="Scanned" { (format::bytes(Some(statement.scan_bytes))) }
            td.number data-label="Users" { (format::number(Some(statement.users))) }
        }
    }
}

/// One statement.
pub(super) async fn one(
    view: View,
    path: String,
    parameters: Parameters,
) -> Result<Page, ApiError> {
    let fingerprint: Fingerprint =
        path.parse().map_err(|error: NotAFingerprint| ApiError::BadRequest(error.to_string()))?;
    let filter = QueryFilter {
        fingerprint: Some(fingerprint),
        limit: RUNS,
        ..selected(&view, &parameters)?
    };
    // All of its runs, unless a range was chosen: they are few beside all queries.
    let runs = view.records(&filter).await?;
    let statistics = view.statements(&filter, StatementOrder::Total).await?;
    let Some(statistics) = statistics.into_iter().next() else {
        return Err(ApiError::NotFound(format!("no statement {fingerprint} is known here")));
    };
    let timed = || runs.iter().filter(|run| run.duration_ms.is_some());
    let slowest = timed().max_by_key(|run| (run.duration_ms, run.has_profile));
    let fastest = timed().min_by_key(|run| (run.duration_ms, !run.has_profile));
    let pair = fastest.zip(slowest).filter(|(fastest, slowest)| fastest.id != slowest.id);
    let differences = match pair {
        Some((fastest, slowest)) => {
            let before = operators_of(&view, &fastest.query_id).await?;
            let after = operators_of(&view, &slowest.query_id).await?;
            before.zip(after).map(|(before, after)| compare(&before, &after))
        }
        None => None,
    };
    let body = html! {
        div.heading {
            h1 { "Statement " code { (fingerprint) } }
            a href=(address("/", &Parameters::new(), &[("fingerprint", &fingerprint.to_string())])) {
                "Its runs in the history"
            }
        }
        dl.facts {
            div { dt { "Runs" } dd { (format::whole(statistics.count)) } }
            div { dt { "Failed" } dd { (format::whole(statistics.errors)) } }
            div { dt { "Total" } dd { (format::duration(Some(statistics.total_ms))) } }
            div { dt { "Median" } dd { (format::duration(statistics.p50_ms)) } }
            div { dt { "p95" } dd { (format::duration(statistics.p95_ms)) } }
            div { dt { "p99" } dd { (format::duration(statistics.p99_ms)) } }
            div { dt { "Longest" } dd { (format::duration(statistics.max_ms)) } }
            div { dt { "Scanned" } dd { (format::bytes(Some(statistics.scan_bytes))) } }
            div { dt { "Users" } dd { (format::whole(statistics.users)) } }
            div { dt { "First" } dd { (format::time(statistics.first_ms, view.zone)) } }
            div { dt { "Last" } dd { (format::time(statistics.last_ms, view.zone)) } }
        }
        section aria-labelledby="shape" {
            h2 #shape { "Without its values" }
            (statement(&statistics.normalized))
        }
        section aria-labelledby="over-time" {
            h2 #over-time { "Its runs over time" }
            (chart::runs(&runs, None, view.zone))
        }
        @if let Some((fastest, slowest)) = pair {
            (side_by_side(fastest, slowest, differences.as_deref(), view.zone))
        }
        section aria-labelledby="runs" {
            h2 #runs { "Runs" }
            (table(&runs[..runs.len().min(50)], None, view.zone))
            p.paging {
                a href=(address("/", &Parameters::new(), &[("fingerprint", &fingerprint.to_string())])) { "All" }
            }
        }
    };
    Ok(Page { title: format!("Statement {fingerprint}"), here: Here::Statements, body })
}

/// The fastest and the slowest run, and where the time went that one took longer.
fn side_by_side(
    fastest: &StoredQuery,
    slowest: &StoredQuery,
    differences: Option<&[OperatorDifference]>,
    zone: Zone,
) -> Markup {
    let cells = |name: &str, of: &dyn Fn(&StoredQuery) -> Markup| {
        html! { tr { th scope="row" { (name) } td { (of(fastest)) } td { (of(slowest)) } } }
    };
    html! {
        section aria-labelledby="sides" {
            h2 #sides { "Fastest and slowest" }
            div.wide-table {
                table.sides {
                    thead { tr { td {} th scope="col" { "Fastest" } th scope="col" { "Slowest" } } }
                    tbody {
                        (cells("Query", &|run| html! { a href=(path_of(&run.query_id)) { code { (run.query_id) } } }))
                        (cells("Started", &|run| format::time(run.started_ms, zone)))
                        (cells("Duration", &|run| html! { (format::duration(run.duration_ms)) }))
                        (cells("State", &|run| format::state(run.state.as_deref(), run.is_failed())))
                        (cells("User", &|run| format::text(run.user.as_deref())))
                        (cells("Rows scanned", &|run| html! { (format::number(run.scan_rows)) }))
                        (cells("Scanned", &|run| html! { (format::bytes(run.scan_bytes)) }))
                        (cells("Memory at most", &|run| html! { (format::bytes(run.peak_memory_bytes)) }))
                        (cells("CPU time", &|run| html! { (format::duration(run.cpu_time_ms)) }))
                    }
                }
            }
            @match differences {
                None => p.note { "Where both have a profile, their operators are compared here." },
                Some(differences) => {
                    div.wide-table {
                        table.differences {
                            thead {
                                tr {
                                    th scope="col" { "Operator" }
                                    @for heading in DIFFERENCE { th.number scope="col" { (heading) } }
                                }
                            }
                            tbody {
                                @for difference in differences.iter().take(DIFFERENCES) {
                                    tr {
                                        td.name { bdi { (format::excerpt(&difference.name, 120)) } }
                                        @for (heading, number) in DIFFERENCE.iter().zip([
                                            nanoseconds(difference.before_ns),
                                            nanoseconds(difference.after_ns),
                                            format::number(signed(difference.before_rows)),
                                            format::number(signed(difference.after_rows)),
                                        ]) {
                                            td.number data-label=(heading) { (number) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn signed(value: Option<u64>) -> Option<i64> {
    value.and_then(|value| i64::try_from(value).ok())
}
