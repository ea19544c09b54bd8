//! The addresses of the pages.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::filter::ChosenText;
use crate::domain::statement::Fingerprint;
use crate::http::Parameters;
use crate::http::query_parameters::{address, choosing_names};

pub(super) const HISTORY: &str = "/";
pub(super) const STATEMENTS: &str = "/statements";
pub(super) const REGRESSIONS: &str = "/regressions";
pub(super) const FINDINGS: &str = "/findings";
pub(super) const PLANS: &str = "/plans";
pub(super) const USAGE: &str = "/usage";
pub(super) const FIND: &str = "/find";
pub(super) const COMPARE: &str = "/compare";
pub(super) const STATUS: &str = "/status";
pub(super) const LOGIN: &str = "/login";
pub(super) const EVENTS: &str = "/events";

/// Returns the path of the page of one query.
pub(super) fn query(query_id: &str) -> String {
    let id = utf8_percent_encode(query_id, NON_ALPHANUMERIC).to_string();
    // Doris' ids are hex numbers with a dash, which needs no escape.
    format!("/query_profile/{}", id.replace("%2D", "-"))
}

/// Returns the path of the page of what ran beside a query.
pub(super) fn usage_during(query_id: &str) -> String {
    format!("{USAGE}{}", query(query_id).trim_start_matches("/query_profile"))
}

/// Returns the path of the page of one statement.
pub(super) fn statement(fingerprint: Fingerprint) -> String {
    format!("{STATEMENTS}/{fingerprint}")
}

/// Returns the parameters of a page with the range that the page shows. What a page shows without a range ends with the newest
/// query, and moves.
pub(super) fn with_range(page: &Parameters, (from_ms, to_ms): (i64, i64)) -> Parameters {
    let mut ranged = page.clone();
    if range_of(page).is_empty() {
        ranged.set("from", from_ms.to_string());
        ranged.set("to", to_ms.to_string());
    }
    ranged
}

/// Returns the address of the page of one statement, with the time range and the filters of another page.
pub(super) fn statement_of(fingerprint: Fingerprint, page: &Parameters) -> String {
    address(&statement(fingerprint), &kept_of(page), &[("fingerprint", "")])
}

/// Returns the same with another time range, from its begin to its end in Unix milliseconds.
pub(super) fn statement_within(
    fingerprint: Fingerprint,
    page: &Parameters,
    (from_ms, to_ms): (i64, i64),
) -> String {
    let times = [("from", &*from_ms.to_string()), ("to", &*to_ms.to_string()), ("fingerprint", "")];
    address(&statement(fingerprint), &kept_of(page), &times)
}

/// Returns the address of the history, filtered by one statement, with the time range and the filters of a page.
pub(super) fn history_of_statement(fingerprint: Fingerprint, page: &Parameters) -> String {
    address(HISTORY, &kept_of(page), &[("fingerprint", &fingerprint.to_string())])
}

/// Returns the address of the history, filtered by one value, with the time range and the filters of a page.
pub(super) fn history_of(name: &str, value: &str, page: &Parameters) -> String {
    address(HISTORY, &narrowed(kept_of(page), name, value), &[])
}

/// Returns the address of the history of the failed runs of one statement, with the time range and the filters of a page.
pub(super) fn failed_runs_of(fingerprint: Fingerprint, page: &Parameters) -> String {
    let failed = [("fingerprint", &*fingerprint.to_string()), FAILED];
    address(HISTORY, &kept_of(page), &failed)
}

/// The parameter that chooses failed queries, and its value.
pub(super) const FAILED: (&str, &str) = ("is_failed", "true");
/// The parameter that chooses the queries of which a text is unknown.
pub(super) const UNKNOWN: &str = "unknown";

/// Returns parameters that choose of their queries those with one value alone, or with `UNKNOWN` those without a value.
pub(super) fn narrowed(mut parameters: Parameters, name: &str, value: &str) -> Parameters {
    if name == UNKNOWN {
        // Several texts may be unknown.
        let others = parameters.iter().filter(|it| it.0 != value && *it != (name, value));
        let all = others.chain([(name, value)]);
        return all.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    }
    // A client with its port is chosen within its host.
    let is_within = |it: &str| name == "client" && ChosenText::host(it) == value;
    parameters
        .retain(|other, it| (other, it) != (UNKNOWN, name) && (other != name || is_within(it)));
    if !parameters.contains_key(name) {
        parameters.set(name, value);
    }
    parameters
}

/// Returns the address of the comparison of two queries, with the time range and the filters of a page.
pub(super) fn compare(query_id: &str, other_id: &str, page: &Parameters) -> String {
    let runs = [query_id, other_id].map(|id| ("run".to_string(), id.to_string()));
    let kept = kept_of(page);
    let kept = kept.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    address(COMPARE, &kept.chain(runs).collect(), &[])
}

/// Returns the address that finds a text, with the time range and the filters of a page.
pub(super) fn find(text: &str, page: &Parameters) -> String {
    address(FIND, &kept_by_find(page), &[("q", text)])
}

/// Returns the address of a path with the time range and the filters of a page, so that a person chooses them once.
pub(super) fn keeping(path: &str, page: &Parameters) -> String {
    address(path, &kept_of(page), &[])
}

/// Returns those of the parameters of a page that choose queries: its time range and its filters.
pub(super) fn kept_of(page: &Parameters) -> Parameters {
    let mut kept = page.clone();
    kept.retain(|name, _| choosing_names().iter().any(|known| known == name));
    kept
}

/// Returns those of the parameters of a page that choose queries, but not their statements: a text to find takes their place.
pub(super) fn kept_by_find(page: &Parameters) -> Parameters {
    let mut kept = kept_of(page);
    kept.retain(|name, _| !["search", "words", "fingerprint"].contains(&name));
    kept
}

/// Returns those of the parameters of a page that are its time range.
pub(super) fn range_of(page: &Parameters) -> Parameters {
    let mut range = page.clone();
    range.retain(|name, _| ["from", "to"].contains(&name));
    range
}

/// Returns the address of the log-in page that leads on to `next`.
pub(super) fn login(next: &str) -> String {
    let next = if next == HISTORY { "" } else { next };
    address(LOGIN, &Parameters::new(), &[("next", next)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_escaped() {
        assert_eq!(query("1f-2e"), "/query_profile/1f-2e");
        assert_eq!(query("a/b?c"), "/query_profile/a%2Fb%3Fc");
        assert_eq!(usage_during("1f-2e"), "/usage/1f-2e");
        assert_eq!(login("/?user=a b"), "/login?next=%2F%3Fuser%3Da%20b");
        assert_eq!(login("/"), "/login");
        let mut page = Parameters::new();
        page.set("from", "2h");
        page.set("user", "alice");
        page.set("order", "count");
        page.set("fingerprint", "00000000000000ab");
        let kept = "fingerprint=00000000000000ab&from=2h&user=alice";
        assert_eq!(keeping(STATEMENTS, &page), format!("/statements?{kept}"));
        let statement = statement_of(Fingerprint::from_signed(7), &page);
        assert_eq!(statement, "/statements/0000000000000007?from=2h&user=alice");
        let failed = failed_runs_of(Fingerprint::from_signed(7), &page);
        assert_eq!(failed, "/?fingerprint=0000000000000007&from=2h&is%5Ffailed=true&user=alice");
        let runs = "run=1f%2D2e&run=3d%2D4c";
        let expected = format!("/compare?fingerprint=00000000000000ab&from=2h&{runs}&user=alice");
        assert_eq!(compare("1f-2e", "3d-4c", &page), expected);
    }

    #[test]
    fn a_value_narrows_what_is_chosen() {
        let narrowed_to = |chosen: &[(&str, &str)], name, value| {
            let pairs = chosen.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            address("", &narrowed(pairs.collect(), name, value), &[])
        };
        let several = [("user", "alice"), ("user", "bob"), ("unknown", "user"), ("unknown", "db")];
        assert_eq!(narrowed_to(&several, "user", "bob"), "?unknown=db&user=bob");
        assert_eq!(narrowed_to(&several, "unknown", "user"), "?unknown=db&unknown=user");
        let client = [("client", "10.0.0.1:99"), ("client", "10.0.0.2")];
        assert_eq!(narrowed_to(&client, "client", "10.0.0.1"), "?client=10%2E0%2E0%2E1%3A99");
    }

    #[test]
    fn a_page_without_a_range_hands_on_what_it_shows() {
        let mut page = Parameters::new();
        page.set("user", "alice");
        assert_eq!(address("", &with_range(&page, (1, 2)), &[]), "?from=1&to=2&user=alice");
        page.set("to", "2h");
        assert_eq!(address("", &with_range(&page, (1, 2)), &[]), "?to=2h&user=alice");
    }
}
