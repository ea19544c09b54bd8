//! What only a load has: its label, its tables, and what became of its rows.

use maud::{Markup, html};

use super::summary::{label, shown, tables};
use crate::domain::record::{FieldValue, Kind, LABEL_EXISTS, Load};
use crate::http::Parameters;
use crate::store::StoredQuery;
use crate::web::paths;

/// Returns the section of a load; nothing for a query, or where nothing is known of the load.
pub(super) fn section(query: &StoredQuery, page: &Parameters) -> Markup {
    let Some(load) = query.load.as_deref().filter(|_| query.kind == Kind::Load) else {
        return html! {};
    };
    let is_above = |name: &str| name == "message" && failure(query).is_some();
    let fields = Load::FIELDS.iter().map(|field| field.name).zip(load.values());
    let known = fields.filter(|(name, _)| !is_above(name)).filter_map(|(name, value)| {
        let shown = match value {
            // What Doris writes where no row was rejected.
            FieldValue::Text("N/A") => return None,
            FieldValue::Text(url) if name == "url" => link(url),
            FieldValue::Text(list) if name == "table_list" => {
                tables(list, query.db.as_deref(), page)
            }
            value => shown(name, value, page)?,
        };
        Some((label(name), shown))
    });
    let state = query.state.as_deref().unwrap_or_default();
    let has_label = state.eq_ignore_ascii_case(LABEL_EXISTS);
    html! {
        section aria-labelledby="load-heading" {
            h2 #load-heading { "Load" }
            @if let Some(label) = load.label.as_ref().filter(|_| has_label) {
                p.note {
                    "This load wrote nothing, because another load with its label was running or had finished. "
                    a href=(paths::find(label, page)) { "Loads with this label" }
                }
            }
            dl.facts { @for (name, value) in known { div { dt { (name) } dd { (value) } } } }
        }
    }
}

/// Returns why the query or the load failed, as its source says.
pub(super) fn failure(query: &StoredQuery) -> Option<&str> {
    let message = || query.load.as_deref().and_then(|load| load.message.as_deref());
    match &query.error_message {
        Some(message) => Some(message),
        None if query.is_failed() => message(),
        None => None,
    }
}

/// Returns an address of a source as a link. A source may write anything there: what is no address of HTTP stays text.
fn link(url: &str) -> Markup {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let is_http = ["http", "https"].iter().any(|it| scheme.eq_ignore_ascii_case(it));
    html! {
        @if is_http {
            a href=(url) rel="noopener noreferrer nofollow" { bdi { (url) } }
        } @else {
            bdi { (url) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_http_is_a_link() {
        let log = "http://10.0.0.4:8040/api/_load_error_log?file=__shard_1/error_log_a\"b";
        let shown = link(log).into_string();
        assert!(shown.starts_with("<a href=\"http://10.0.0.4:8040/"), "{shown}");
        assert!(shown.contains("a&quot;b") && !shown.contains("a\"b"), "{shown}");
        for text in ["javascript:alert(1)//http://x", "data:text/html,x", "error.log", "http:x", ""]
        {
            assert!(!link(text).into_string().contains("href"), "{text}");
        }
        assert!(link("HTTPS://x/y").into_string().contains("href"));
    }
}
