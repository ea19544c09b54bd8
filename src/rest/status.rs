//! `/api/v1/status`: how annals and its ways in fare.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Answer, Envelope, Refusal, success};
use super::selection::{NoParameters, known_parameters};
use super::{Parameters, View};
use crate::intake::WayReport;

/// How annals fares.
#[derive(Serialize, ToSchema)]
pub struct Status {
    version: &'static str,
    /// Each way in that was used or is configured.
    ways_in: BTreeMap<String, WayReport>,
}

/// How annals and its ways in fare, since it started
///
/// For admins.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "operation",
    responses((status = 200, body = Envelope<Status>))
)]
pub fn report(view: &View, parameters: Parameters) -> Result<Answer, Refusal> {
    known_parameters::<NoParameters>(&parameters)?;
    let ways_in = view.all_of_intake()?.report();
    success(Status { version: env!("CARGO_PKG_VERSION"), ways_in }, 0)
}
