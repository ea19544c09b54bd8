//! What an open page already shows, as hashes. The page names them in the address of its live updates, so that a
//! change between rendering the page and listening is not lost, and nothing is sent twice.

use maud::Markup;

use super::paths;
use crate::http::Parameters;
use crate::http::query_parameters::address;

/// The parameters that carry the hashes.
const ROWS: &str = "shown_rows";
const CHART: &str = "shown_chart";

/// The hashes of the rows and of the chart that a page shows; `None` where it named none.
pub(super) struct ShownContent {
    pub rows: Option<String>,
    pub chart: Option<String>,
}

impl ShownContent {
    /// Removes the hashes from the parameters of a request, and returns them.
    pub(super) fn take(parameters: &mut Parameters) -> ShownContent {
        ShownContent { rows: parameters.remove(ROWS), chart: parameters.remove(CHART) }
    }
}

/// Returns the address of the live updates of a page that shows these rows and this chart.
pub(super) fn events_address<'a>(
    parameters: &Parameters,
    rows: impl IntoIterator<Item = &'a Markup>,
    chart: Option<&Markup>,
) -> String {
    let (rows, chart) = (content_hash(rows), content_hash(chart));
    address(paths::EVENTS, parameters, &[(ROWS, &rows), (CHART, &chart)])
}

/// Returns a hash of some markup as 16 hex digits.
pub(super) fn content_hash<'a>(parts: impl IntoIterator<Item = &'a Markup>) -> String {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    for part in parts {
        hash.update(part.0.as_bytes());
    }
    format!("{:016x}", hash.digest())
}
