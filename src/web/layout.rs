//! The frame around every page: head, navigation, account.

use maud::{DOCTYPE, Markup, html};
use warp::http::StatusCode;

use super::assets::{ICON, SCRIPT, STYLE};
use super::{format, paths};
use crate::domain::time::Zone;
use crate::http::Parameters;
use crate::http::auth::LogOut;
use crate::http::view::View;

/// Characters of a parameter that an error page repeats.
const PARAMETER_CHARS: usize = 100;

/// A page without its frame.
pub(super) struct Page {
    pub title: String,
    /// The navigation item that is marked as current; `None` for pages outside the navigation.
    pub nav: Option<NavItem>,
    /// The content of `<main>`, from the heading on.
    pub body: Markup,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NavItem {
    History,
    Statements,
    Usage,
    Status,
}

/// The user whom the frame names.
pub(super) struct Viewer {
    name: Option<String>,
    log_out: LogOut,
    sees_status: bool,
    zone: Zone,
    /// The time range and the filters of the page, which other pages keep.
    kept: Parameters,
}

impl Viewer {
    pub(super) fn of(view: &View, page: &Parameters) -> Viewer {
        let sees_status = view.pipeline_for_all().is_ok();
        let (name, log_out) = (view.name().map(str::to_string), view.log_out().clone());
        Viewer { name, log_out, sees_status, zone: view.zone, kept: paths::kept_of(page) }
    }
}

/// Returns a complete HTML document. Without a viewer it has no navigation and no account.
pub(super) fn document(page: &Page, viewer: Option<&Viewer>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) " · annals" }
                link rel="icon" href=(ICON.path) type="image/svg+xml";
                link rel="stylesheet" href=(STYLE.path);
                script src=(SCRIPT.path) defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header.top {
                    a.brand href=(paths::HISTORY) { "annals" }
                    @if let Some(viewer) = viewer { (navigation(page.nav, viewer)) }
                }
                main #main tabindex="-1" { (page.body) }
            }
        }
    }
}

fn navigation(current: Option<NavItem>, viewer: &Viewer) -> Markup {
    let item = |item: NavItem, path: &str, name: &str| {
        let is_current = (current == Some(item)).then_some("page");
        let path = paths::keeping(path, &viewer.kept);
        html! { li { a href=(path) aria-current=[is_current] { (name) } } }
    };
    html! {
        nav aria-label="Pages" {
            ul {
                (item(NavItem::History, paths::HISTORY, "History"))
                (item(NavItem::Statements, paths::STATEMENTS, "Statements"))
                (item(NavItem::Usage, paths::USAGE, "Usage"))
                @if viewer.sees_status { (item(NavItem::Status, paths::STATUS, "Status")) }
            }
        }
        (find_form(viewer))
        p.zone title="Time zone of all times on this page" { (viewer.zone) }
        @if let Some(name) = &viewer.name {
            (account(name, &viewer.log_out))
        }
    }
}

/// Returns the name of the user, with what ends the session. A proxy that logged the user in would do it again at once, so
/// the session ends at the proxy or nowhere.
fn account(name: &str, log_out: &LogOut) -> Markup {
    html! {
        @match log_out {
            LogOut::Form => form.account method="post" action="/logout" {
                bdi { (name) }
                button type="submit" { "Log out" }
            },
            LogOut::AtProxy(url) => p.account {
                bdi { (name) }
                @if let Some(url) = url { a.button href=(url) { "Log out" } }
            },
        }
    }
}

/// Returns the box that finds queries and statements. It keeps the time range and the filters of the page.
fn find_form(viewer: &Viewer) -> Markup {
    html! {
        form.find method="get" action=(paths::FIND) role="search" aria-label="Find a query or a statement" {
            input type="search" name="q" required maxlength="4000" autocomplete="off" spellcheck="false"
                aria-label="Query ID, trace ID, session, label, fingerprint or text" aria-keyshortcuts="/"
                placeholder="Query ID, trace, session, label, fingerprint, text" data-find;
            @for (name, value) in paths::kept_by_find(&viewer.kept).iter() { input type="hidden" name=(name) value=(value); }
            button type="submit" { "Find" }
        }
    }
}

/// The page that an address with a wrong parameter leads to.
pub(super) struct Repaired {
    pub address: String,
    /// Says how its address differs.
    pub change: Change,
}

/// How a repaired address differs from the wrong one. Parameters have their values.
pub(super) enum Change {
    With(String),
    Without(String),
}

/// Returns the page that shows an error. Its link to the history keeps the time range and the filters among some parameters.
pub(super) fn error_page(
    status: StatusCode,
    message: &str,
    parameters: &Parameters,
    repaired: Option<Repaired>,
) -> Page {
    let way_on = html! {
        @if let Some(Repaired { address, change }) = repaired {
            @let (how, parameter) = match &change {
                Change::With(parameter) => ("with", parameter),
                Change::Without(parameter) => ("without", parameter),
            };
            p { a.button href=(address) { "Show the page " (how) " " code { bdi { (format::excerpt(parameter, PARAMETER_CHARS)) } } } }
        }
        p { a href=(paths::keeping(paths::HISTORY, parameters)) { "Back to History" } }
    };
    page_of(status, message, way_on)
}

/// Returns the page for a user whom a proxy names and annals rejects. Every other page would answer the same.
pub(super) fn rejected_page(status: StatusCode, message: &str, log_out_url: Option<&str>) -> Page {
    let way_on = html! {
        @if status == StatusCode::FORBIDDEN {
            p {
                "Ask an administrator of annals for an account with the name that the proxy uses, or log in to the proxy as another "
                "user. Then load this page again."
            }
        }
        @if let Some(url) = log_out_url { p { a.button href=(url) { "Log out" } } }
    };
    page_of(status, message, way_on)
}

fn page_of(status: StatusCode, message: &str, way_on: Markup) -> Page {
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Access denied",
        StatusCode::BAD_REQUEST => "Invalid request",
        StatusCode::SERVICE_UNAVAILABLE => "Server busy",
        _ => "Request failed",
    };
    let body = html! {
        h1 { (title) }
        p.lead { bdi { (message) } }
        (way_on)
    };
    Page { title: title.to_string(), nav: None, body }
}
