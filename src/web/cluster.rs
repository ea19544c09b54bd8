//! `/status`: how the ways in fare, and how much there is.

use std::sync::Arc;

use maud::{Markup, html};

use super::layout::{Here, Page};
use super::show;
use crate::intake::WayReport;
use crate::rest::History;
use crate::rest::envelope::Refusal;
use crate::rest::view::View;

/// The page, for those who see everybody's queries.
pub async fn page(view: View, history: Arc<History>) -> Result<Page, Refusal> {
    let intake = view.all_of_intake()?;
    let sizes = history.metrics.sizes(view.store()?).await?;
    let ways = intake.report();
    let body = html! {
        h1 { "Cluster" }
        section aria-labelledby="ways" {
            h2 #ways { "Where queries come from" }
            @if ways.is_empty() {
                p.empty {
                    "Nothing was sent since annals started, and nothing is followed. "
                    code { "annals serve --follow" } " follows an audit log, and "
                    code { "--frontend" } " asks a frontend."
                }
            } @else {
                div.cards { @for (name, report) in &ways { (way(name, report, &view)) } }
            }
        }
        section aria-labelledby="size" {
            h2 #size { "How much there is" }
            dl.facts {
                div { dt { "Queries and loads" } dd { (show::whole(sizes.queries)) } }
                div { dt { "Profiles" } dd { (show::whole(sizes.profiles)) } }
                div {
                    dt { "Profiles as stored" }
                    dd {
                        (show::bytes(Some(sizes.profile_bytes))) " of "
                        (show::bytes(Some(sizes.profile_text_bytes))) " text"
                    }
                }
                div { dt { "Size of the file" } dd { (show::bytes(Some(sizes.file_bytes))) } }
                div { dt { "File" } dd { bdi { (view.store()?.path().display()) } } }
            }
        }
        section aria-labelledby="versions" {
            h2 #versions { "Versions" }
            dl.facts {
                div { dt { "annals" } dd { (env!("CARGO_PKG_VERSION")) } }
                div { dt { "SQLite" } dd { (crate::store::sqlite_version()) } }
                div { dt { "Batches that wait for the writer" } dd { (show::whole(intake.queued())) } }
            }
        }
    };
    Ok(Page { title: "Cluster".to_string(), here: Here::Cluster, body })
}

fn way(name: &str, report: &WayReport, view: &View) -> Markup {
    let failing = report.last_error_ms > report.last_success_ms;
    let refused: u64 = report.refused.values().sum();
    let counted = |count: u64| show::whole(i64::try_from(count).unwrap_or(i64::MAX));
    html! {
        article.card {
            h3 { bdi { (name) } }
            p {
                @if failing { span.state.failed { "failing" } }
                @else { span.state.good { "works" } }
            }
            dl.facts {
                div { dt { "Records, new" } dd { (counted(report.records_new)) } }
                div { dt { "joined to known ones" } dd { (counted(report.records_merged)) } }
                div { dt { "known already" } dd { (counted(report.records_unchanged)) } }
                div { dt { "Profiles" } dd { (counted(report.profiles)) } }
                div { dt { "Left out by rules" } dd { (counted(report.left_out)) } }
                div { dt { "Not understood" } dd { (counted(refused)) } }
                @if let Some(behind) = report.behind {
                    div { dt { "Waits to be taken in" } dd { (counted(behind)) } }
                }
                div { dt { "Worked last" } dd { (show::time(report.last_success_ms, view.zone)) } }
                @if report.last_error_ms.is_some() {
                    div { dt { "Failed last" } dd { (show::time(report.last_error_ms, view.zone)) } }
                }
            }
            @if let Some(error) = &report.last_error { p.wrong { bdi { (error) } } }
            @if refused > 0 {
                details {
                    summary { "What was not understood" }
                    ul { @for (reason, count) in &report.refused { li { (counted(*count)) ": " bdi { (reason) } } } }
                }
            }
        }
    }
}
