//! A live frontend: its list of queries, and the text of a profile, over HTTP.
//!
//! The client asks for the list with named columns first (`/rest/v1/query_profile`, Doris 0.15 and later), then for the
//! manager's (`/rest/v2/manager/query/query_info`), whose rows are cells (see `query_list`), then for the queries that a
//! frontend of StarRocks or of an older Doris keeps for monitors (`/api/v2/query_detail`, `/api/query_detail`). A version
//! without a path answers 404, or 200 with a page for a browser.

mod client;
mod envelope;
pub(crate) mod html;
pub(super) mod query_list;

use std::fmt;

use reqwest::{StatusCode, Url};

use crate::domain::cluster::ClusterName;
use crate::domain::record::QueryRecord;
use crate::domain::time::Zone;

pub(crate) use self::client::FrontendClient;
pub(super) use self::envelope::take_envelope;

/// A frontend, and how to ask it.
#[derive(Clone)]
pub(crate) struct Frontend {
    /// The base of its URLs, without a user: `http://fe1:8030`.
    pub url: Url,
    pub user: String,
    pub password: String,
    /// The zone of the times that it writes.
    pub zone: Zone,
    /// The cluster that it belongs to.
    pub cluster: Option<ClusterName>,
}

impl fmt::Debug for Frontend {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.user, self.url)
    }
}

/// Why a frontend did not give a list or a profile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrontendError {
    #[error(
        "the frontend does not answer; check that it runs and that the URL has its HTTP port, 8030 by default"
    )]
    NoAnswer(#[source] reqwest::Error),
    #[error("the frontend rejects the user or the password")]
    Unauthorized,
    #[error(
        "the server does not answer as a frontend of Doris does; check that the URL has the frontend's HTTP \
         port, 8030 by default"
    )]
    NotAFrontend,
    /// None of the listed rows has a query id and a time or a state.
    #[error(
        "the frontend lists {0} queries, of which annals understands none; please report the frontend's version"
    )]
    NotUnderstood(usize),
    #[error("the frontend answers with the HTTP status {0}")]
    Failed(StatusCode),
    /// The limit, in bytes.
    #[error("the frontend's answer is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
}

/// The list of a frontend.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// The queries, newest first. Lists of Doris have times to the second.
    pub queries: Vec<QueryRecord>,
    /// How many rows were not understood.
    pub not_understood: usize,
    /// Whether the frontend forgets its list within seconds, so that two lists may have no query in common even if
    /// annals missed none.
    pub is_short: bool,
}
