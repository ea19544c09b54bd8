//! `/compare?run=…&run=…`: any two queries side by side.

mod fields;
mod statements;

use maud::{Markup, html};
use warp::filters::BoxedFilter;

use super::layout::Page;
use super::query::{resolve, stored_profile};
use super::request::{PageRequests, page_route};
use super::statement::{EARLIER_LATER, compared_nodes};
use super::{format, paths};
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::answer::Answer;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::store::{NearestProfiles, ProfiledQuery, StoredQuery};

pub(super) fn route(requests: PageRequests) -> BoxedFilter<(Answer,)> {
    page_route("/compare", requests, |_, request| request.answer(&["run"], page))
}

async fn page(view: View, parameters: Parameters) -> Result<Page, ApiError> {
    let chosen = parameters.all("run");
    let [one, other] = chosen else {
        let body = html! {
            h1 { "Compare two runs" }
            p.note { (choose_two(chosen.len())) }
            (id_form(chosen, &parameters))
        };
        return Ok(Page { title: "Compare two runs".to_string(), nav: None, body });
    };
    let (one, other) = (resolve(&view, one).await?, resolve(&view, other).await?);
    // Lists name the newer run first. A reader expects the older one on the left.
    let (before, after) = if one.started_after(&other) { (other, one) } else { (one, other) };
    let ids = [before.query_id.to_string(), after.query_id.to_string()];
    let plans = plans_section(&view, &before, &after, &parameters).await?;
    let body = html! {
        div.heading {
            h1 { "Compare two runs" }
            @if let Some(fingerprint) = before.fingerprint.filter(|it| after.fingerprint == Some(*it)) {
                a href=(paths::statement_of(fingerprint, &parameters)) { "All runs of this statement" }
            }
        }
        (id_form(&ids, &parameters))
        @if before.query_id == after.query_id { p.note { "Both are the same run." } }
        (fields::section(&before, &after, &parameters, view.zone))
        (statements::section(&before, &after))
        (plans)
    };
    Ok(Page { title: "Compare two runs".to_string(), nav: None, body })
}

/// Returns what to do where not two runs are chosen.
fn choose_two(chosen: usize) -> &'static str {
    match chosen {
        0 => "Tick two runs in a list of queries, or write the ids of two queries.",
        1 => {
            "One run is chosen. Write the id of a second one, or tick two runs in a list of queries."
        }
        _ => "More than two runs are chosen. The fields have the first two of them.",
    }
}

/// Returns the fields by which a form keeps the time range and the filters of a page.
pub(super) fn kept_fields(page: &Parameters) -> Markup {
    html! {
        @for (name, value) in paths::kept_of(page).iter() { input type="hidden" name=(name) value=(value); }
    }
}

/// Returns the form of the two ids.
fn id_form(ids: &[String], page: &Parameters) -> Markup {
    html! {
        form.compare-with method="get" action=(paths::COMPARE) {
            (kept_fields(page))
            @for (at, label) in ["First query ID", "Second query ID"].into_iter().enumerate() {
                label {
                    (label)
                    input name="run" value=[ids.get(at)] required maxlength="300" autocomplete="off" spellcheck="false";
                }
            }
            button type="submit" { "Compare" }
        }
    }
}

/// Returns the form on the page of a query that chooses the other run by its id.
pub(super) fn form_of_query(query_id: &str, page: &Parameters) -> Markup {
    html! {
        form.compare-with method="get" action=(paths::COMPARE) {
            (kept_fields(page))
            input type="hidden" name="run" value=(query_id);
            label {
                "Compare with query ID"
                input name="run" required maxlength="300" autocomplete="off" spellcheck="false";
            }
            button type="submit" { "Compare" }
        }
    }
}

/// Returns the nodes of both plans side by side, or which runs with a profile are nearest.
async fn plans_section(
    view: &View,
    before: &StoredQuery,
    after: &StoredQuery,
    page: &Parameters,
) -> Result<Markup, ApiError> {
    let texts = (
        stored_profile(view, &before.query_id).await?,
        stored_profile(view, &after.query_id).await?,
    );
    let nodes = match texts {
        (Some(first), Some(second)) => {
            let text_bytes = first.len() + second.len();
            let work = move || compared_nodes(first, second, EARLIER_LATER);
            view.compute(text_bytes, work).await??
        }
        (first, second) => html! {
            p.note { "The plans are compared when both runs have a stored profile." }
            @for (has_profile, run, other) in [
                (first.is_some(), before, after), (second.is_some(), after, before),
            ] {
                @if !has_profile {
                    p.note { "No profile is stored for " code { (run.query_id) } "." }
                    (offer(view, run, &other.query_id, page).await?)
                }
            }
        },
    };
    Ok(html! {
        section aria-labelledby="plans" {
            h2 #plans { "Plans" }
            (nodes)
        }
    })
}

/// Returns the run with a profile that is nearest to a run without one, with a link to a comparison with `other`; nothing if
/// no run near it has one.
pub(super) async fn offer(
    view: &View,
    query: &StoredQuery,
    other: &str,
    page: &Parameters,
) -> Result<Markup, ApiError> {
    let nearest = view.nearest_profiles(query).await?;
    let run = query.started_ms.and_then(|started_ms| nearest.nearest_to(started_ms));
    let Some((run, started_ms)) = run.zip(query.started_ms) else {
        return Ok(html! {});
    };
    if run.query_id == other {
        // The reader compares with it already.
        return Ok(html! {});
    }
    Ok(html! {
        p.note {
            "The nearest run of the statement with a profile is "
            (described(run, started_ms, page, view.zone)) ". "
            a href=(paths::compare(&run.query_id, other, page)) { "Compare " code { (run.query_id) } " with " code { (other) } }
            (either_plan(&nearest, page))
        }
    })
}

fn described(run: &ProfiledQuery, started_ms: i64, page: &Parameters, zone: Zone) -> Markup {
    let apart = i64::try_from(run.started_ms.abs_diff(started_ms)).unwrap_or(i64::MAX);
    let side = if run.started_ms > started_ms { "later" } else { "earlier" };
    html! {
        a href=(paths::keeping(&paths::query(&run.query_id), page)) { code { (run.query_id) } }
        ", started " (format::time(Some(run.started_ms), zone)) " (" (format::duration(Some(apart))) " " (side) ")"
        @if run.duration_ms.is_some() { ", took " (format::duration(run.duration_ms)) }
    }
}

/// Returns a sentence where the plan changed around a query, so that the nearest run may have had another plan.
fn either_plan(nearest: &NearestProfiles, page: &Parameters) -> Markup {
    let path = |run: &ProfiledQuery| paths::keeping(&paths::query(&run.query_id), page);
    let runs = nearest.before.as_ref().zip(nearest.after.as_ref());
    html! {
        @if let Some(((before, after), (plan_before, plan_after))) = runs.zip(nearest.different_plans()) {
            " The plan changed in between: " a href=(path(before)) { "the run before" } " had plan "
            code { (plan_before) } ", " a href=(path(after)) { "the run after" } " had plan "
            code { (plan_after) } "."
        }
    }
}
