//! The interface of a Doris frontend: the paths, envelopes and words that Doris' own clients know.

pub(super) mod login;
pub(super) mod manager;
pub(super) mod profile_html;
pub(super) mod query_detail;
pub(super) mod query_profile;
pub(super) mod session;
pub(super) mod stream_load;
