//! `/api/v1/status`: how annals and its ways in fare.

use std::collections::BTreeMap;

use serde::Serialize;

use super::View;
use super::envelope::{Answer, Refusal, success};
use crate::intake::WayReport;

#[derive(Serialize)]
struct Status {
    version: &'static str,
    /// Each way in that was used or is configured.
    ways_in: BTreeMap<String, WayReport>,
}

/// The state of this annals since it started.
pub fn report(view: &View) -> Result<Answer, Refusal> {
    let ways_in = view.all_of_intake()?.report();
    success(Status { version: env!("CARGO_PKG_VERSION"), ways_in }, 0)
}
