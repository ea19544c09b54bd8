//! The profile of a query in one of four forms: the plan as a graph, a tree of operators, a flame graph, or the text.

use maud::{Markup, html};

use super::download::Download;
use super::view::PlanView;
use super::{operators, phases, plan};
use crate::domain::profile::{Phases, Usual, lossy};
use crate::domain::record::Kind;
use crate::http::Parameters;
use crate::http::error::ApiError;
use crate::http::query_parameters::address;
use crate::http::view::View;
use crate::store::{StoreError, StoredQuery, StoredText};
use crate::web::{format, paths};

/// A page shows this much of a profile's text. The download has all of it.
const SHOWN_BYTES: usize = 512 << 10;

/// How much of a profile's text is read where not all of it is needed: what is shown, and the phases, which follow a
/// statement of up to some megabytes.
const HEAD_BYTES: usize = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plan,
    Operators,
    FlameGraph,
    Text,
}

impl Form {
    /// The forms, by the value of the parameter `show`, with the labels of their tabs.
    const ALL: [(&'static str, &'static str, Form); 4] = [
        ("plan", "Plan", Form::Plan),
        ("tree", "Operators", Form::Operators),
        ("flame", "Flame graph", Form::FlameGraph),
        ("text", "Text", Form::Text),
    ];

    fn of(parameters: &Parameters) -> Result<Form, ApiError> {
        let Some(show) = parameters.get("show") else {
            let is_list = parameters.contains_key("operators");
            return Ok(if is_list { Form::Operators } else { Form::Plan });
        };
        let form = Form::ALL.into_iter().find(|(name, ..)| name == show);
        form.map(|(.., form)| form).ok_or_else(|| {
            ApiError::BadRequest("show must be plan, tree, flame or text".to_string())
        })
    }
}

/// Returns the section of the phases and the profile of a query. Errors if a parameter is invalid.
pub(super) async fn section(
    view: &View,
    query: &StoredQuery,
    profile: Option<StoredText>,
    parameters: &Parameters,
) -> Result<Markup, ApiError> {
    let form = Form::of(parameters)?;
    let first_operator = operators::first_operator(parameters)?;
    let state = format::Outcome::of(query.state.as_deref(), query.is_failed());
    let is_running = matches!(state, format::Outcome::Running);
    let plan = PlanView { is_running, ..PlanView::of(parameters)? };
    let others = match (form, &profile, query.query_id.parse()) {
        (Form::Plan, Some(_), Ok(id)) => view.other_profiles(&id).await?,
        _ => Vec::new(),
    };
    let path = paths::query(&query.query_id);
    let size = profile.as_ref().map(StoredText::len);
    let (profile, phases) = match profile {
        None => (None, None),
        Some(text) => {
            let (path, queue_ms) = (path.clone(), query.queue_time_ms);
            let bytes = text.len() + others.iter().map(StoredText::len).sum::<usize>();
            let work = move || {
                let others = others.into_iter().filter_map(|text| text.unpack().ok());
                let plan = plan.with_usual(Usual::of_texts(others));
                shown(text, form, first_operator, &plan, &path, queue_ms)
            };
            let shown = view.compute(bytes, work).await??;
            (Some(shown.0), Some(shown.1))
        }
    };
    // The phases that the profile reports, else those of the record.
    let phases = phases.filter(|phases| !phases.phases.is_empty());
    let phases = phases.unwrap_or_else(|| query.phases()).with_queue(query.queue_time_ms);
    Ok(html! {
        section aria-labelledby="profile-heading" {
            div.heading {
                h2 #profile-heading { "Profile" }
                @if let Some(size) = size { (tabs(form, size, &path, parameters)) }
            }
            (phases::bar(&phases))
            @match profile {
                Some(profile) => (profile),
                None => p.empty {
                    "No profile stored for this " (query.kind.name()) "."
                    @if query.kind == Kind::Query {
                        " Frontends write a profile only for sessions with " code { "SET enable_profile = true" } "."
                    }
                },
            }
        }
    })
}

/// Returns a profile in a form, and its phases. Errors if the stored text is damaged.
fn shown(
    text: StoredText,
    form: Form,
    first_operator: Option<usize>,
    plan: &PlanView,
    path: &str,
    queue_ms: Option<i64>,
) -> Result<(Markup, Phases), StoreError> {
    let size = text.len();
    let text = match form {
        Form::Plan | Form::Operators => text.unpack()?,
        Form::FlameGraph | Form::Text => text.head(HEAD_BYTES)?,
    };
    let markup = match form {
        Form::Plan => plan::picture(&text, plan, path, queue_ms),
        Form::Operators => operators::tree(&text, first_operator, path, &plan.kept),
        Form::FlameGraph => flame_graph(path),
        Form::Text => plain_text(&text, size, path),
    };
    Ok((markup, Phases::of_text(&text)))
}

fn tabs(current: Form, size: usize, path: &str, parameters: &Parameters) -> Markup {
    let kept = paths::kept_of(parameters);
    html! {
        nav.tabs aria-label="Profile view" {
            @for (name, label, form) in Form::ALL {
                a href={ (address(path, &kept, &[("show", name)])) "#profile-heading" }
                    aria-current=[(form == current).then_some("true")] { (label) }
            }
        }
        a.button href={ (path) (Download::PROFILE) } { "Download (" (format::bytes(Some(size))) ")" }
    }
}

fn flame_graph(path: &str) -> Markup {
    html! {
        p.note {
            "The width of a box is the time of its operator and of all operators stacked on it. "
            a href={ (path) (Download::FLAME_GRAPH) } { "Open the image" }
        }
        div.flame tabindex="0" role="region" aria-label="Flame graph" {
            img src={ (path) (Download::FLAME_GRAPH) } width="1200"
                alt="Flame graph of the operators; the Operators tab has the same as a list";
        }
    }
}

/// Returns a profile of `size` bytes as text, given its first bytes.
fn plain_text(head: &[u8], size: usize, path: &str) -> Markup {
    let text = lossy(head);
    let shown = &text[..text.floor_char_boundary(SHOWN_BYTES)];
    html! {
        @if shown.len() < text.len() || head.len() < size {
            p.note {
                "Showing the first " (format::bytes(Some(shown.len()))) " of "
                (format::bytes(Some(size))) ". "
                a href={ (path) (Download::PROFILE) } { "Download the profile" } " to read all of it."
            }
        }
        pre.text tabindex="0" { (shown) }
    }
}
