//! `/query_profile/<id>`, which the envelope's `__hrefPath` names: everything that is known of one query.

use std::cell::Cell;

use maud::{Markup, html};
use percent_encoding::percent_decode_str;
use warp::http::Response;
use warp::http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, VARY,
};
use warp::hyper::body::Bytes;

use super::history::path_of;
use super::layout::{Here, Page};
use super::{chart, format};
use crate::domain::filter::QueryFilter;
use crate::domain::profile::{Operator, Phase, Phases, Section, flame_svg, in_order, operators};
use crate::domain::record::{QueryId, QueryIdError};
use crate::domain::statement::{Kind, format_sql, tokens};
use crate::http::Parameters;
use crate::http::envelope::{Answer, ApiError};
use crate::http::view::View;
use crate::store::StoredQuery;

/// A statement is coloured up to so many bytes, and shown up to so many; all of it can be downloaded.
const COLOURED_BYTES: usize = 64 << 10;
const SHOWN_BYTES: usize = 256 << 10;
/// Where there are more operators than this, the costliest ones are shown and those above them; the others, so many
/// at a time, are behind a link.
const SHOWN_OPERATORS: usize = 400;
/// No page has more rows of operators: many of those that are shown may hang below many others.
const MAX_OPERATORS: usize = 2000;
/// Where fewer operators are shown, each tells what it counted; else the costly ones do.
const COUNTERS_OF: usize = 150;
/// Other runs of a statement on the page of one, and how far from it they are looked for.
const RUNS: u32 = 100;
const RUNS_WITHIN_MS: i64 = 7 * 24 * 3_600_000;

/// What is asked for of a query.
pub(super) enum Part {
    Page,
    Flame,
    Profile,
    Statement,
}

/// Reads the end of a path: the id with Doris' `query_id=` before it or without, and what of it.
pub(super) fn of_path(tail: &str) -> Result<(QueryId, Part), ApiError> {
    let parts = [
        ("/flame.svg", Part::Flame),
        ("/profile.txt", Part::Profile),
        ("/statement.sql", Part::Statement),
    ];
    let mut asked = (tail, Part::Page);
    for (end, part) in parts {
        if let Some(id) = tail.strip_suffix(end) {
            asked = (id, part);
        }
    }
    let (id, part) = asked;
    let id = percent_decode_str(id).decode_utf8_lossy();
    let id = id.strip_prefix("query_id=").unwrap_or(&id);
    let id = id.parse().map_err(|error: QueryIdError| ApiError::BadRequest(error.to_string()))?;
    Ok((id, part))
}

/// The page.
pub(super) async fn page(
    view: View,
    id: QueryId,
    parameters: Parameters,
) -> Result<Page, ApiError> {
    let query = known(&view, &id).await?;
    let profile = view.profile(&id).await?.text();
    let shown = Shown::of(parameters.get("show").map_or("", String::as_str))?;
    let first = first_operator(&parameters)?;
    let path = path_of(&query.query_id);
    let bytes = profile.as_ref().map_or(0, Vec::len);
    let mut phases = profile.as_deref().map(Phases::of_text).unwrap_or_default();
    if phases.phases.is_empty() {
        phases = query.phases();
    }
    let phases = phases.with_queue(query.queue_time_ms);
    let profile = match (profile, shown) {
        (None, _) => None,
        (Some(text), Shown::Tree) => Some(apart(move || tree(&text, first, &path)).await?),
        (Some(_), Shown::Flame) => Some(flame(&id)),
        (Some(text), Shown::Text) => Some(plain(&text, &id)),
    };
    let runs = runs(&view, &query).await?;
    let body = html! {
        div.heading {
            h1 { "Query " code { (query.query_id) } }
            (format::state(query.state.as_deref(), query.is_failed()))
            strong { (format::duration(query.duration_ms)) }
        }
        @if let Some(message) = &query.error_message { p.wrong { bdi { (message) } } }
        (facts(&view, &query))
        section aria-labelledby="statement-heading" {
            div.heading {
                h2 #statement-heading { "Statement" }
                @if query.statement.is_some() {
                    button type="button" hidden data-copy="statement" { "Copy" }
                    a.button href={ (path_of(&query.query_id)) "/statement.sql" } { "Download" }
                }
                @if let Some(fingerprint) = query.fingerprint {
                    @let fingerprint = fingerprint.to_string();
                    a href={ "/statements/" (fingerprint) } { "All its runs" }
                }
            }
            @match &query.statement {
                Some(text) => (statement(text)),
                None => p.empty { "The statement is not known." },
            }
        }
        section aria-labelledby="profile-heading" {
            div.heading {
                h2 #profile-heading { "Profile" }
                @if profile.is_some() {
                    nav.tabs aria-label="Ways to see the profile" {
                        @for (name, label, other) in Shown::ALL {
                            a href={ (path_of(&query.query_id)) "?show=" (name) "#profile-heading" }
                                aria-current=[(other == shown).then_some("true")] { (label) }
                        }
                    }
                    a.button href={ (path_of(&query.query_id)) "/profile.txt" } {
                        "Download " (format::bytes(i64::try_from(bytes).ok()))
                    }
                }
            }
            (phases_of(&phases))
            @match profile {
                Some(profile) => (profile),
                None => p.empty { "No profile of it was taken in. Doris makes them where it was told "
                    code { "SET enable_profile = true" } "." },
            }
        }
        @if runs.len() > 1 {
            section aria-labelledby="runs-heading" {
                h2 #runs-heading { "Runs of the same statement within a week" }
                (chart::runs(&runs, Some(&query.query_id), view.zone))
            }
        }
    };
    Ok(Page { title: format!("Query {id}"), here: Here::Elsewhere, body })
}

/// A part of a query that is no page.
pub(super) async fn part(view: View, id: QueryId, part: Part) -> Result<Answer, ApiError> {
    let query = known(&view, &id).await?;
    let profile = async || {
        let missing = || ApiError::NotFound(format!("no profile of query {id} was taken in"));
        view.profile(&id).await?.text().ok_or_else(missing)
    };
    match part {
        Part::Flame => {
            let (text, title) = (profile().await?, format!("Query {id}"));
            let svg = apart(move || {
                let section = Section::parse(&String::from_utf8_lossy(&text));
                flame_svg(&operators(&section), &title)
            });
            let svg = svg.await?.map_err(|error| ApiError::Internal(error.into()))?;
            let mut answer = file("image/svg+xml", svg);
            // It brings colours, and a script which need not run.
            let policy = HeaderValue::from_static(
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
            );
            answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
            Ok(answer)
        }
        Part::Profile => Ok(download("profile.txt", profile().await?)),
        Part::Statement | Part::Page => {
            Ok(download("statement.sql", query.record.statement.unwrap_or_default().into_bytes()))
        }
    }
}

async fn known(view: &View, id: &QueryId) -> Result<StoredQuery, ApiError> {
    let query = view.record(id).await?;
    query.ok_or_else(|| ApiError::NotFound(format!("query {id} is not known")))
}

/// Does what takes a core for long, so that others are answered meanwhile.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::Internal(error.into()))
}

fn file(content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Bytes::from(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(VARY, HeaderValue::from_static("authorization, cookie"));
    answer
}

fn download(name: &str, body: Vec<u8>) -> Answer {
    let mut answer = file("text/plain; charset=utf-8", body);
    let disposition = format!("attachment; filename=\"{name}\"");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        answer.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    answer
}

/// How a profile is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Tree,
    Flame,
    Text,
}

impl Shown {
    const ALL: [(&'static str, &'static str, Shown); 3] = [
        ("tree", "Operators", Shown::Tree),
        ("flame", "Flame graph", Shown::Flame),
        ("text", "Text", Shown::Text),
    ];

    fn of(name: &str) -> Result<Shown, ApiError> {
        if name.is_empty() {
            return Ok(Shown::Tree);
        }
        let named = Shown::ALL.into_iter().find(|(known, ..)| *known == name);
        named
            .map(|(.., shown)| shown)
            .ok_or_else(|| ApiError::BadRequest("show must be tree, flame or text".to_string()))
    }
}

/// Every field that somebody told.
fn facts(view: &View, query: &StoredQuery) -> Markup {
    let text = |name: &'static str, value: &Option<String>| {
        value.as_ref().map(|value| (name, html! { bdi { (value) } }))
    };
    let number = |name: &'static str, value: Option<i64>| {
        value.map(|value| (name, html! { (format::whole(value)) }))
    };
    let bytes = |name: &'static str, value: Option<i64>| {
        value.map(|value| (name, html! { (format::bytes(Some(value))) }))
    };
    let time = |name: &'static str, value: Option<i64>| {
        value.map(|ms| (name, html! { (format::duration(Some(ms))) }))
    };
    let truth = |name: &'static str, value: Option<bool>| {
        value.map(|value| (name, html! { @if value { "yes" } @else { "no" } }))
    };
    let first = [
        query.started_ms.map(|ms| {
            let name = if query.is_start_estimated { "Started (estimated)" } else { "Started" };
            (name, format::time(Some(ms), view.zone))
        }),
        query.ended_ms.map(|ms| ("Ended", format::time(Some(ms), view.zone))),
        text("User", &query.user),
        text("Client", &query.client),
        text("Catalog", &query.catalog),
        text("Database", &query.db),
        number("Rows scanned", query.scan_rows),
        bytes("Scanned", query.scan_bytes),
        number("Rows returned", query.return_rows),
        bytes("Memory at most", query.peak_memory_bytes),
        time("CPU time", query.cpu_time_ms),
        text("Frontend", &query.frontend),
    ];
    let more = [
        Some(("Type", html! { (query.kind) })),
        bytes("Scanned from the cache", query.local_scan_bytes),
        bytes("Scanned from remote", query.remote_scan_bytes),
        number("Rows shuffled", query.shuffle_send_rows),
        bytes("Shuffled", query.shuffle_send_bytes),
        bytes("Spilled", query.spill_write_bytes),
        bytes("Read back from spill", query.spill_read_bytes),
        time("Queued", query.queue_time_ms),
        time("Parsed", query.parse_time_ms),
        time("Planned", query.plan_time_ms),
        time("Scheduled", query.schedule_time_ms),
        truth("From the SQL cache", query.cache_hit),
        number("Error code", query.error_code),
        text("Workload group", &query.workload_group),
        text("Compute group", &query.compute_group),
        text("Tables", &query.queried_tables),
        text("Materialized views", &query.chosen_views),
        text("Statement type", &query.statement_type),
        text("Command type", &query.command_type),
        number("Statement number", query.statement_id),
        text("Session", &query.session_id),
        text("Trace id", &query.trace_id),
        truth("Is a query", query.is_query),
        truth("Nereids planner", query.is_nereids),
        truth("Internal", query.is_internal),
        truth("In the slow-query log", Some(query.is_slow)),
        text("SQL hash", &query.sql_hash),
        text("SQL digest", &query.sql_digest),
        text("Fuzzy variables", &query.fuzzy_variables),
        Some(("Told by", html! { (query.origin) })),
    ];
    let others = others(query);
    html! {
        dl.facts {
            @for (name, value) in first.into_iter().flatten() { div { dt { (name) } dd { (value) } } }
        }
        details.more {
            summary { "All fields" }
            dl.facts {
                @for (name, value) in more.into_iter().flatten() { div { dt { (name) } dd { (value) } } }
                @for (name, value) in others { div { dt { bdi { (name) } } dd { bdi { (value) } } } }
            }
        }
    }
}

/// What only loads have, the variables that were set, and what annals has no field for.
fn others(query: &StoredQuery) -> Vec<(String, String)> {
    let values = [
        serde_json::to_value(&query.load),
        serde_json::to_value(&query.changed_variables),
        serde_json::to_value(&query.extra),
    ]
    .into_iter()
    .flatten();
    let mut all = Vec::new();
    for value in values {
        let serde_json::Value::Object(object) = value else { continue };
        for (name, value) in object {
            match value {
                serde_json::Value::Null => {}
                serde_json::Value::String(text) => all.push((name.replace('_', " "), text)),
                other => all.push((name.replace('_', " "), other.to_string())),
            }
        }
    }
    all
}

/// A statement, laid out and coloured.
pub(super) fn statement(text: &str) -> Markup {
    let text = format_sql(text);
    let shown = &text[..text.floor_char_boundary(SHOWN_BYTES)];
    html! {
        pre.sql #statement tabindex="0" dir="auto" {
            @if text.len() <= COLOURED_BYTES {
                @for (kind, part) in tokens(shown) {
                    @match class(kind) {
                        Some(class) => span class=(class) { (part) },
                        None => (part),
                    }
                }
            } @else { (shown) }
        }
        @if shown.len() < text.len() {
            p.note {
                "These are its first " (format::bytes(i64::try_from(shown.len()).ok())) " of "
                (format::bytes(i64::try_from(text.len()).ok())) "; download it for the rest."
            }
        }
    }
}

fn class(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Keyword => Some("k"),
        Kind::Function => Some("f"),
        Kind::Literal => Some("l"),
        Kind::Comment => Some("c"),
        Kind::Name | Kind::Symbol | Kind::Space => None,
    }
}

fn flame(id: &QueryId) -> Markup {
    html! {
        p.note { "The wider, the longer; what is_enabled on a box is what it waited for. "
            a href={ (path_of(id.as_str())) "/flame.svg" } { "The picture alone" } }
        div.flame tabindex="0" {
            img src={ (path_of(id.as_str())) "/flame.svg" } width="1200"
                alt="Flame graph of the operators; the tab Operators has the same as a list";
        }
    }
}

fn plain(text: &[u8], id: &QueryId) -> Markup {
    let text = String::from_utf8_lossy(text);
    let shown = &text[..text.floor_char_boundary(2 * SHOWN_BYTES)];
    html! {
        @if shown.len() < text.len() {
            p.note {
                "This is the beginning, " (format::bytes(i64::try_from(shown.len()).ok())) ". "
                a href={ (path_of(id.as_str())) "/profile.txt" } { "Download all of it" } "."
            }
        }
        pre.text tabindex="0" { (shown) }
    }
}

/// The phases of a query as one bar, and below it each with its time; nothing where none is known.
fn phases_of(phases: &Phases) -> Markup {
    let sum: f64 = phases.phases.iter().map(|phase| phase.share).sum();
    let mut from = 0.0;
    let parts = phases.phases.iter().map(|phase| {
        let (at, width) = (from / sum.max(1e-9), phase.share / sum.max(1e-9));
        from += phase.share;
        (phase, format!("{:.2}", at * 1000.0), format!("{:.2}", width * 1000.0))
    });
    let parts: Vec<(&Phase, String, String)> = parts.collect();
    let time = |phase: &Phase| format::duration(Some(phase.duration_ms));
    let has_steps = phases.phases.iter().any(|phase| !phase.steps.is_empty());
    html! {
        @if !parts.is_empty() {
            figure.phases {
                figcaption { "Where the time went" }
                svg viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                    @for (phase, at, width) in &parts {
                        rect class=(phase_class(&phase.name)) x=(at) width=(width) height="10" {
                            title { (phase.name) " " (time(phase)) }
                        }
                    }
                }
                ul {
                    @for (phase, ..) in &parts {
                        li class={ "key " (phase_class(&phase.name)) } {
                            (phase.name) " " strong { (time(phase)) } " (" (percent(phase.share)) ")"
                        }
                    }
                }
                @if has_steps {
                    details.more {
                        summary { "Steps" }
                        dl.facts {
                            @for phase in &phases.phases {
                                @for step in &phase.steps {
                                    div { dt { (phase.name) ": " (step.name) } dd { (time(step)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The class that gives a phase its colour.
fn phase_class(name: &str) -> &'static str {
    match name {
        Phases::PARSE => "parse",
        Phases::ANALYZE => "analyze",
        Phases::PLAN => "plan",
        Phases::QUEUE => "queue",
        Phases::SCHEDULE => "schedule",
        "prepare" => "prepare",
        "other" => "rest",
        _ => "run",
    }
}

/// From which operator on they are asked for in their order; `None` where the costliest are.
fn first_operator(parameters: &Parameters) -> Result<Option<usize>, ApiError> {
    let number = |text: &String| text.parse().ok().filter(|number| *number >= 1);
    let first = parameters.get("operators").map(|text| {
        number(text).ok_or_else(|| {
            ApiError::BadRequest("operators must be the number of the first to show".to_string())
        })
    });
    first.transpose()
}

/// The operators: all where they are few; else those from `first` on, or those that took most time. Each hangs where
/// it hangs in the profile, so those above it are there, too.
fn tree(text: &[u8], first: Option<usize>, path: &str) -> Markup {
    let roots = operators(&Section::parse(&String::from_utf8_lossy(text)));
    let all: Vec<(usize, &Operator)> = in_order(&roots).collect();
    let count = all.len();
    if count == 0 {
        return html! { p.empty { "No operator is_enabled in it; the text has all of it." } };
    }
    let first = first.map(|first| (first.min(count) - 1) / SHOWN_OPERATORS * SHOWN_OPERATORS);
    let last = first.map_or(count, |first| (first + SHOWN_OPERATORS).min(count));
    let mut shown = match first {
        _ if count <= SHOWN_OPERATORS => vec![true; count],
        Some(first) => (0..count).map(|at| (first..last).contains(&at)).collect(),
        None => costliest(&all),
    };
    add_those_above(&all, &mut shown);
    let mut costly: Vec<&Operator> =
        all.iter().map(|(_, operator)| *operator).filter(|operator| operator.is_costly).collect();
    costly.sort_by(|a, b| b.share.total_cmp(&a.share));
    let begins = |at: usize| at == 0 || roots[at - 1].fragment != roots[at].fragment;
    let rows = Rows {
        shown,
        at: Cell::new(0),
        left: Cell::new(MAX_OPERATORS),
        counters: count <= COUNTERS_OF,
    };
    html! {
        @if !costly.is_empty() {
            p.note {
                "Most time went into "
                @for (place, operator) in costly.iter().enumerate() {
                    @if place > 0 { ", " }
                    strong { bdi { (format::excerpt(&operator.name, 60)) } } " (" (percent(operator.share)) ")"
                }
                "."
            }
        }
        @if count > SHOWN_OPERATORS { (part_of_tree(count, first, last, path)) }
        div.tree {
            p.columns aria-hidden="true" {
                span { "Operator" } span { "Share" } span { "Own time" } span { "Rows" } span { "Memory" }
            }
            @for (at, root) in roots.iter().enumerate() {
                @if let Some(fragment) = root.fragment.as_ref().filter(|_| begins(at) && rows.is_next_shown()) {
                    h3 { "Fragment " bdi { (fragment) } }
                }
                @if let Some(branch) = rows.branch(root) { ul { (branch) } }
            }
        }
    }
}

/// Which operators took most time.
fn costliest(all: &[(usize, &Operator)]) -> Vec<bool> {
    let mut places: Vec<usize> = (0..all.len()).collect();
    places.sort_by(|a, b| all[*b].1.share.total_cmp(&all[*a].1.share));
    let mut shown = vec![false; all.len()];
    for place in places.into_iter().take(SHOWN_OPERATORS) {
        shown[place] = true;
    }
    shown
}

/// Has those shown, too, below which one is shown.
fn add_those_above(all: &[(usize, &Operator)], shown: &mut [bool]) {
    // Whether, at each depth, one is shown of which the one above did not come yet, from the end on.
    let mut waiting = Vec::new();
    for (at, (depth, _)) in all.iter().enumerate().rev() {
        if waiting.len() < depth + 2 {
            waiting.resize(depth + 2, false);
        }
        shown[at] |= std::mem::take(&mut waiting[depth + 1]);
        waiting[*depth] |= shown[at];
    }
}

/// What of a large tree is shown, and the source to the rest.
fn part_of_tree(count: usize, first: Option<usize>, last: usize, path: &str) -> Markup {
    let from = |first: usize| format!("{path}?operators={}#profile-heading", first + 1);
    html! {
        p.note {
            @match first {
                Some(first) => {
                    "Operators " (format::counted(first + 1)) " to " (format::counted(last)) " of " (format::counted(count))
                    " in the order of the profile, and those above them."
                }
                None => {
                    "Of " (format::counted(count)) " operators those are shown that took most time, and those above them."
                }
            }
        }
        nav.paging aria-label="Operators" {
            @match first {
                None => a href=(from(0)) { "All in their order" },
                Some(first) => {
                    a href={ (path) "#profile-heading" } { "The costliest" }
                    @if first > 0 { a rel="prev" href=(from(first - SHOWN_OPERATORS)) { "Before" } }
                    @if last < count { a rel="next" href=(from(last)) { "Next" } }
                }
            }
        }
    }
}

/// The rows of a tree, on the source through all of it.
struct Rows {
    /// Of each operator in order, whether it is shown.
    shown: Vec<bool>,
    /// Which operator comes next.
    at: Cell<usize>,
    /// How many more rows the page takes.
    left: Cell<usize>,
    /// Whether each tells what it counted, not the costly ones alone.
    counters: bool,
}

impl Rows {
    fn is_next_shown(&self) -> bool {
        self.left.get() > 0 && self.shown.get(self.at.get()).is_some_and(|shown| *shown)
    }

    /// An operator and what is shown of those below it; `None`, and they are passed by, where it is not shown.
    fn branch(&self, operator: &Operator) -> Option<Markup> {
        if !self.is_next_shown() {
            let passed = in_order(std::slice::from_ref(operator)).count();
            self.at.set(self.at.get() + passed);
            return None;
        }
        self.at.set(self.at.get() + 1);
        self.left.set(self.left.get() - 1);
        let children: Vec<Markup> =
            operator.children.iter().filter_map(|child| self.branch(child)).collect();
        let hidden = operator.children.len() - children.len();
        let counters = !operator.counters.is_empty() && (operator.is_costly || self.counters);
        Some(html! {
            li {
                details open {
                    (row(operator))
                    @if counters { (counters_of(operator)) }
                    @if !operator.children.is_empty() {
                        ul {
                            @for child in &children { (child) }
                            @if hidden > 0 {
                                li.note { (format::counted(hidden))
                                    " more below it are not shown here" }
                            }
                        }
                    }
                }
            }
        })
    }
}

fn row(operator: &Operator) -> Markup {
    let class = if operator.is_costly { "operator costly" } else { "operator" };
    let share = (operator.share * 1000.0).round() as i64;
    let number = |label: &str, number: String| {
        html! { span.number { span.label { (label) " " } (number) } }
    };
    html! {
        summary class=(class) {
            span.name {
                bdi { (format::excerpt(&operator.name, 300)) }
                @if operator.is_costly { span.badge { "costly" } }
            }
            span.share { (chart::bar(share, 1000)) (percent(operator.share)) }
            (number("Time", nanoseconds(operator.time_ns)))
            (number("Rows", format::number(signed(operator.rows))))
            (number("Memory", format::bytes(signed(operator.memory_bytes))))
        }
    }
}

fn counters_of(operator: &Operator) -> Markup {
    html! {
        details.counters {
            summary { "Counters" }
            dl.facts {
                @for counter in operator.counters.iter().take(60) {
                    div {
                        dt { bdi { (format::excerpt(&counter.name, 80)) } }
                        dd { bdi { (format::excerpt(&counter.value, 200)) } }
                    }
                }
            }
        }
    }
}

fn signed(value: Option<u64>) -> Option<i64> {
    value.and_then(|value| i64::try_from(value).ok())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A duration in its largest unit: `1.23 ms`.
pub(super) fn nanoseconds(ns: Option<u64>) -> String {
    let Some(ns) = ns else {
        return "–".to_string();
    };
    let ns = ns as f64;
    match ns {
        _ if ns < 1e3 => format!("{ns:.0} ns"),
        _ if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        _ if ns < 1e9 => format!("{:.1} ms", ns / 1e6),
        _ => format!("{:.2} s", ns / 1e9),
    }
}

/// Runs of the same statement around this one.
async fn runs(view: &View, query: &StoredQuery) -> Result<Vec<StoredQuery>, ApiError> {
    let (Some(fingerprint), Some(started_ms)) = (query.fingerprint, query.started_ms) else {
        return Ok(Vec::new());
    };
    let filter = QueryFilter {
        limit: RUNS,
        fingerprint: Some(fingerprint),
        from_ms: Some(started_ms.saturating_sub(RUNS_WITHIN_MS)),
        to_ms: Some(started_ms.saturating_add(RUNS_WITHIN_MS)),
        ..QueryFilter::default()
    };
    Ok(view.records(&filter).await?)
}

/// The operators of a query's profile, where there is one.
pub(super) async fn operators_of(view: &View, id: &str) -> Result<Option<Vec<Operator>>, ApiError> {
    let Ok(id) = id.parse::<QueryId>() else {
        return Ok(None);
    };
    let Some(text) = view.profile(&id).await?.text() else {
        return Ok(None);
    };
    let read = move || operators(&Section::parse(&String::from_utf8_lossy(&text)));
    apart(read).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_of_many_operators_makes_a_small_page() {
        let mut text = String::from("MergedProfile:\n  Fragments:\n    Fragment 0:\n");
        for number in 0..100_000 {
            text.push_str(&format!(
                "      OLAP_SCAN_OPERATOR (id={number}):\n        - ExecTime: {number}us\n"
            ));
        }
        let markup = tree(text.as_bytes(), None, "/query_profile/1-2").into_string();
        assert!(markup.len() < 1_000_000, "{}", markup.len());
        assert!(markup.contains("(id=99999)") && !markup.contains("(id=17)"));
        assert!(markup.contains("/query_profile/1-2?operators=1#profile-heading"));
        let markup = tree(text.as_bytes(), Some(usize::MAX), "").into_string();
        assert!(
            markup.contains("99,601 to 100,000 of 100,000") && !markup.contains("rel=\"next\"")
        );
    }

    #[test]
    fn every_operator_is_on_some_page_where_it_hangs() {
        // Each hundredth hangs deeper than all before, the others below the one before.
        let mut text = String::from("Fragment 0:\n");
        for number in 0..1000 {
            let depth = 1 + number / 100 + usize::from(number % 100 > 0);
            let (indent, inner) = ("  ".repeat(depth), "  ".repeat(depth + 1));
            text.push_str(&format!("{indent}A_SCAN (id={number}):\n{inner}- ExecTime: 3ms\n"));
        }
        let pages = [1, 401, 801]
            .map(|first| (first, tree(text.as_bytes(), Some(first), "").into_string()));
        for number in 0..1000 {
            let name = format!("(id={number})");
            let has = pages.iter().filter(|(_, markup)| markup.contains(&name));
            let on: Vec<usize> = has.map(|(first, _)| *first).collect();
            let own = number / 400 * 400 + 1;
            assert!(on.contains(&own), "{number}: {on:?}");
            let is_above = number % 100 == 0;
            assert!(is_above || on == [own], "{number}: {on:?}");
        }
        assert!(pages[2].1.contains("Operators 801 to 1,000 of 1,000"));
    }

    #[test]
    fn phases_are_one_bar_with_a_legend() {
        let text = include_str!("../../tests/profiles/starrocks-3.3.txt");
        let phases = Phases::of_text(text.as_bytes());
        let markup = phases_of(&phases).into_string();
        assert_eq!(markup.matches("<rect ").count(), 7, "{markup}");
        for expected in [
            "<li class=\"key queue\">queue <strong>1sec200ms</strong> (0.7 %)</li>",
            "<dt>plan: optimize</dt><dd>60ms</dd>",
        ] {
            assert!(markup.contains(expected), "{expected}: {markup}");
        }
        let widths: f64 = markup
            .split(" width=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next()?.parse::<f64>().ok())
            .sum();
        assert!((widths - 1000.0).abs() < 0.1, "{widths}");
        assert_eq!(phases_of(&Phases::default()).into_string(), "");
    }

    #[test]
    fn the_costliest_operator_is_named_first() {
        let mut text = String::from("Fragment 0:\n");
        for (id, ms) in [(0, 130), (1, 347), (2, 144)] {
            text.push_str(&format!("  A_SCAN (id={id}):\n    - ExecTime: {ms}ms\n"));
        }
        let markup = tree(text.as_bytes(), None, "").into_string();
        let note = markup.split("</p>").next().unwrap();
        let places: Vec<Option<usize>> =
            ["(id=1)", "(id=2)", "(id=0)"].map(|id| note.find(id)).to_vec();
        assert!(places.is_sorted() && places[0].is_some(), "{note}");
    }

    #[test]
    fn operators_and_statements_are_text() {
        let text = "Fragment 0:\n  A_SCAN (id=1 <script>alert(1)</script>):\n    - ExecTime: 3ms\n";
        let markup = tree(text.as_bytes(), None, "").into_string();
        assert!(markup.contains("&lt;script&gt;") && !markup.contains("<script>"), "{markup}");
        let markup = statement("select '</pre><script>alert(1)</script>'").into_string();
        assert!(!markup.contains("<script>"), "{markup}");
        assert!(statement(&"x ".repeat(2_500_000)).into_string().len() < 300_000);
    }
}
