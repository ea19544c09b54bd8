//! The plans of a statement: their runs, when one took the place of another, and two of them side by side.

use std::collections::HashMap;

use maud::{Markup, html};

use super::comparison::differing_nodes;
use crate::domain::profile::{
    InvalidPlanFingerprint, PlanChange, PlanFingerprint, PlanStatistics, StatementPlans,
};
use crate::domain::statement::Fingerprint;
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::error::ApiError;
use crate::http::query_parameters::address;
use crate::http::view::View;
use crate::store::{PlanRuns, StoreError, StoredQuery};
use crate::web::query::{PlanView, picture, stored_profile};
use crate::web::{chart, format, paths};

/// Plans with a colour of their own: those that ran last.
const COLOURS: usize = 6;
/// Plans and changes that the page lists.
const MAX_LISTED: usize = 50;

/// The plans of a statement, and which run had which.
pub(super) struct Plans {
    all: StatementPlans,
    /// The number of the plan of each run, by the run's id.
    of_runs: HashMap<String, usize>,
}

impl Plans {
    pub(super) fn of(PlanRuns { runs, is_cut, unread_profiles }: PlanRuns) -> Plans {
        let all = StatementPlans { unread_profiles, ..StatementPlans::of(&runs, is_cut) };
        let plans = all.plans.iter().map(|plan| plan.plan_fingerprint);
        let numbers: HashMap<PlanFingerprint, usize> = plans.zip(0..).collect();
        let of_runs =
            runs.into_iter().filter_map(|run| Some((run.query_id, *numbers.get(&run.plan)?)));
        Plans { of_runs: of_runs.collect(), all }
    }

    /// Returns the class of the colour of a run's plan; none if the statement had one plan only.
    pub(super) fn colour(&self, run: &StoredQuery) -> Option<String> {
        let number = self.of_runs.get(run.query_id.as_str());
        let colour = number.map_or_else(|| "no-plan".to_string(), |number| colour(*number));
        (self.all.plans.len() > 1).then_some(colour)
    }

    /// Returns the section of the plans; none if no run has one. Errors if the plans to show side by side are no plans of the
    /// statement.
    pub(super) async fn section(
        &self,
        view: &View,
        fingerprint: Fingerprint,
        parameters: &Parameters,
    ) -> Result<Option<Markup>, ApiError> {
        let (path, zone) = (paths::statement(fingerprint), view.zone);
        let chosen = match parameters.get("plans") {
            Some(chosen) => Some(self.chosen(chosen, !paths::kept_of(parameters).is_empty())?),
            None => None,
        };
        let unread = format::unread_profiles(self.all.unread_profiles);
        let pictures = match chosen {
            Some(Chosen::Pair(pair)) => Some(side_by_side(view, pair, parameters).await?),
            Some(Chosen::NoRun(plan)) => Some(no_run(plan, &path, parameters)),
            None => None,
        };
        if self.all.plans.is_empty() {
            return Ok(pictures.or(unread));
        }
        Ok(Some(html! {
            section aria-labelledby="plans" {
                h2 #plans { "Plans" @if self.all.is_cut { " (newest " (format::integer(self.all.runs as i64)) " runs)" } }
                @if let Some(unread) = unread { (unread) }
                (self.table(&path, parameters, zone))
                @if self.all.plans.len() > COLOURS {
                    p.note { "The " (COLOURS) " plans that ran last have a colour; further plans are grey." }
                }
                @for change in self.all.changes.iter().take(MAX_LISTED) { (sentence(change, zone)) }
                @if let Some(pictures) = pictures { (pictures) }
            }
        }))
    }

    /// Returns the two plans that a parameter names. `is_chosen` is whether a time range or filters choose among the runs.
    fn chosen(&self, text: &str, is_chosen: bool) -> Result<Chosen<'_>, ApiError> {
        const EXPECTED: &str = "plans must be the fingerprints of two plans of the statement, with a comma between them";
        let expected = || ApiError::BadRequest(EXPECTED.to_string());
        let plan = |text: &str| -> Result<PlanFingerprint, ApiError> {
            text.parse().map_err(|_: InvalidPlanFingerprint| expected())
        };
        let (one, other) = text.split_once(',').ok_or_else(expected)?;
        let pair = [plan(one)?, plan(other)?];
        if pair[0] == pair[1] {
            let text = "plans names one plan twice: name two different plans of the statement";
            return Err(ApiError::BadRequest(text.to_string()));
        }
        let known =
            pair.map(|plan| self.all.plans.iter().find(|known| known.plan_fingerprint == plan));
        match (known, is_chosen) {
            ([Some(one), Some(other)], _) => Ok(Chosen::Pair([one, other])),
            ([one, _], true) => Ok(Chosen::NoRun(if one.is_none() { pair[0] } else { pair[1] })),
            ([one, _], false) => {
                let plan = if one.is_none() { pair[0] } else { pair[1] };
                let text = format!("{EXPECTED}. No run of the statement has plan {plan}");
                Err(ApiError::BadRequest(text))
            }
        }
    }

    fn table(&self, path: &str, parameters: &Parameters, zone: Zone) -> Markup {
        let most = self.all.plans.iter().map(|plan| plan.runs).max().unwrap_or(0);
        let newest = self.all.plans.first().map(|plan| plan.plan_fingerprint);
        let row = |number: usize, plan: &PlanStatistics| {
            let pair = newest.filter(|newest| *newest != plan.plan_fingerprint);
            let pair = pair.map(|newest| format!("{},{newest}", plan.plan_fingerprint));
            html! {
                tr {
                    th scope="row" {
                        @if self.all.plans.len() > 1 {
                            svg class={ "key-dot " (colour(number)) } viewBox="0 0 10 10" aria-hidden="true" focusable="false" {
                                circle cx="5" cy="5" r="4" {}
                            }
                        }
                        a href=(paths::keeping(&paths::query(&plan.newest_query_id), parameters)) { code { (plan.plan_fingerprint) } }
                    }
                    td.number.duration data-label="Runs" {
                        (chart::bar(plan.runs as i64, most as i64)) (format::integer(plan.runs as i64))
                    }
                    td.number data-label="Median" { (format::duration(plan.p50_ms)) }
                    td.number data-label="p95" { (format::duration(plan.p95_ms)) }
                    td.number data-label="CPU time" { (format::duration(plan.cpu_time_ms)) }
                    td.number data-label="Scanned" { (format::bytes(plan.scan_bytes)) }
                    td data-label="First run" { (format::time(Some(plan.first_ms), zone)) }
                    td data-label="Last run" { (format::time(Some(plan.last_ms), zone)) }
                    td {
                        @if let Some(pair) = pair {
                            a href={ (address(path, parameters, &[("plans", &pair)])) "#plans" } { "Beside the newest" }
                        }
                    }
                }
            }
        };
        html! {
            div.wide-table {
                table.plans {
                    thead {
                        tr {
                            th scope="col" { "Plan, its newest run" }
                            @for heading in ["Runs", "Median", "p95", "CPU time", "Scanned"] {
                                th.number scope="col" { (heading) }
                            }
                            @for heading in ["First run", "Last run"] { th scope="col" { (heading) } }
                            td {}
                        }
                    }
                    tbody {
                        @for (number, plan) in self.all.plans.iter().enumerate().take(MAX_LISTED) { (row(number, plan)) }
                    }
                }
            }
            @if self.all.plans.len() > 1 { p.note { "Each run in the chart above has the colour of its plan. A grey one has no plan that was read." } }
        }
    }
}

/// The plans that an address names to be shown side by side.
enum Chosen<'p> {
    Pair([&'p PlanStatistics; 2]),
    /// The time range and the filters choose no run with this one of them.
    NoRun(PlanFingerprint),
}

/// Says that a plan cannot be shown, because the time range and the filters of the page choose no run with it.
fn no_run(plan: PlanFingerprint, path: &str, page: &Parameters) -> Markup {
    let mut all = page.clone();
    all.retain(|name, _| name == "plans");
    html! {
        p.note {
            "Plan " code { (plan) } " has no run that the time range and the filters choose. "
            a href={ (address(path, &all, &[])) "#plans" } { "Show both plans among all runs" } " or "
            a href={ (address(path, page, &[("plans", "")])) "#plans" } { "none side by side" } "."
        }
    }
}

/// Returns the class of the colour of a plan.
fn colour(number: usize) -> String {
    if number < COLOURS { format!("plan{number}") } else { "other-plan".to_string() }
}

fn sentence(change: &PlanChange, zone: Zone) -> Markup {
    html! {
        p.note {
            (format::time(Some(change.at_ms), zone)) ": plan " code { (change.to) } " took the place of " code { (change.from) }
            ". Median before " (format::duration(change.p50_before_ms)) " (" (runs(change.runs_before)) "), since "
            (format::duration(change.p50_after_ms)) " (" (runs(change.runs_after)) ")."
        }
    }
}

fn runs(count: usize) -> String {
    format::counted(count, "run", "runs")
}

/// Returns the pictures of the newest runs of two plans.
async fn side_by_side(
    view: &View,
    pair: [&PlanStatistics; 2],
    parameters: &Parameters,
) -> Result<Markup, ApiError> {
    let [one, other] = pair.map(|plan| plan.newest_query_id.as_str());
    let texts = stored_profile(view, one).await?.zip(stored_profile(view, other).await?);
    let Some((first, second)) = texts else {
        return Ok(html! { p.note { "The profiles of these plans are no longer stored." } });
    };
    let paths = [paths::query(one), paths::query(other)];
    let page = parameters.clone();
    let drawn = view.compute(first.len() + second.len(), move || {
        let texts = [first.unpack()?, second.unpack()?];
        let differing = differing_nodes(&texts[0], &texts[1]);
        let all = texts.into_iter().zip(differing).zip(paths);
        let drawn = all.map(|((text, differing), path)| {
            picture(&text, &PlanView::beside(differing, &page), &path, None)
        });
        Ok::<Vec<Markup>, StoreError>(drawn.collect())
    });
    let pictures = drawn.await??;
    Ok(html! {
        div.two-plans {
            @for (plan, picture) in pair.into_iter().zip(pictures) {
                section aria-label={ "Plan " (plan.plan_fingerprint) } {
                    h3 {
                        code { (plan.plan_fingerprint) } ", "
                        a href=(paths::keeping(&paths::query(&plan.newest_query_id), parameters)) { "its newest run" }
                    }
                    (picture)
                }
            }
        }
    })
}
