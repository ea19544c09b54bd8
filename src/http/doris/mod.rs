//! The interface of a Doris frontend: the paths, envelopes and words that Doris' own clients know.

pub(crate) mod envelope;
pub(super) mod login;
pub(super) mod manager;
mod probes;
pub(super) mod profile_html;
mod query_detail;
pub(super) mod query_profile;
pub(super) mod session;
pub(super) mod stream_load;

use std::borrow::Cow;

use super::error::ApiError;
use super::route::Route;
use super::view::NoProfile;
use crate::domain::record::QueryId;

/// The routes of a frontend, but for those of its manager. A path of fixed parts comes before one that varies.
pub(super) const ROUTES: &[Route] = &[
    session::LIST,
    session::LIST_OF_ALL,
    session::PROFILE,
    query_profile::LIST,
    query_profile::HTML,
    query_profile::ENVELOPED,
    query_profile::TEXT,
    query_detail::DORIS,
    query_detail::STARROCKS,
    login::LOG_IN,
    login::LOG_OUT,
    probes::BOOTSTRAP,
    probes::HEALTH,
    stream_load::ROUTE,
];

/// Returns Doris' own error for a query without a profile.
fn no_profile(reason: NoProfile, query_id: &QueryId) -> ApiError {
    ApiError::Common(match reason {
        NoProfile::UnknownQuery => format!("ID {query_id} does not exist"),
        NoProfile::NotStored => format!("no profile stored for query {query_id}"),
    })
}

/// Returns a text, or what Doris writes for an unknown one.
fn text_or_na(text: Option<String>) -> Cow<'static, str> {
    text.map_or(Cow::Borrowed("N/A"), Cow::Owned)
}
