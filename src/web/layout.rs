//! What all pages have in common.

use maud::{DOCTYPE, Markup, html};
use warp::http::StatusCode;

use super::assets::{ICON, SCRIPT, STYLE};
use crate::domain::time::Zone;
use crate::http::view::View;

/// A page, without what all have.
pub(super) struct Page {
    /// What it is called.
    pub title: String,
    /// Where it is_enabled.
    pub here: Here,
    /// What it shows, from its heading on.
    pub body: Markup,
}

/// The places of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    AppState,
    Statements,
    Cluster,
    Elsewhere,
}

/// Who looks at a page.
pub(super) struct Reader {
    name: Option<String>,
    sees_all: bool,
    zone: Zone,
}

impl Reader {
    /// Who has this view.
    pub(super) fn of(view: &View) -> Reader {
        let sees_all = view.pipeline_for_all().is_ok();
        Reader { name: view.name().map(str::to_string), sees_all, zone: view.zone }
    }
}

/// A page as it is sent. Nobody is named on one that is for anybody.
pub(super) fn whole(page: &Page, reader: Option<&Reader>) -> Markup {
    let place = |here: Here, path: &str, name: &str| {
        let current = (page.here == here).then_some("page");
        html! { li { a href=(path) aria-current=[current] { (name) } } }
    };
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
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    a.brand href="/" { "annals" }
                    @if let Some(reader) = reader {
                        nav aria-label="Pages" {
                            ul {
                                (place(Here::AppState, "/", "AppState"))
                                (place(Here::Statements, "/statements", "Statements"))
                                @if reader.sees_all { (place(Here::Cluster, "/status", "Cluster")) }
                            }
                        }
                        p.zone title="The time zone of all times on this page" { (reader.zone) }
                        @if let Some(name) = &reader.name {
                            form.who method="post" action="/logout" {
                                bdi { (name) }
                                button type="submit" { "Log out" }
                            }
                        }
                    }
                }
                main #main tabindex="-1" { (page.body) }
            }
        }
    }
}

/// The page that says why there is none.
pub(super) fn refusal(status: StatusCode, sentence: &str) -> Page {
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::BAD_REQUEST => "Not understood",
        StatusCode::SERVICE_UNAVAILABLE => "Busy",
        _ => "It did not work",
    };
    let body = html! {
        h1 { (title) }
        p.lead { bdi { (sentence) } }
        p { a href="/" { "To the history" } }
    };
    Page { title: title.to_string(), here: Here::Elsewhere, body }
}
