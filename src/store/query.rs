//! What the store gives of single queries, beside [`StoredQuery`].

use std::net::IpAddr;

use crate::domain::filter::{Cursor, QueryFilter};
use crate::domain::record::{Kind, QueryRecord, StoredQuery};
use crate::store::contents::Unread;
use crate::store::error::StoreError;
use crate::store::profile_body::StoredText;

/// Who reads.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Reader<'a> {
    /// The user whose queries alone may be seen; `None` for all queries.
    pub owner: Option<&'a str>,
    /// The clusters whose queries alone may be seen; `None` for all queries.
    pub clusters: Option<&'a [String]>,
    /// The name of the principal; `None` without users.
    pub name: Option<&'a str>,
    /// Where the request comes from; `None` for a command.
    pub address: Option<IpAddr>,
}

impl Reader<'_> {
    /// Returns the clusters as a JSON array.
    pub(super) fn clusters_json(&self) -> Option<String> {
        self.clusters.map(|clusters| serde_json::json!(clusters).to_string())
    }

    /// Returns whose share of the long reads this is: that of the principal, or without users that of the address.
    pub(crate) fn client(&self) -> Option<String> {
        let address = || self.address.map(|address| address.to_string());
        self.name.map(str::to_string).or_else(address)
    }
}

/// The most clusters that a page offers.
pub(super) const MAX_CLUSTERS: i64 = 1000;
/// The newest queries of a user that say which clusters the user sees.
pub(super) const NEWEST_OF_USER: i64 = 1000;
/// The queries at each end of the history that say whether there are some of no cluster: no index has clusters, and pages ask often.
pub(super) const QUERIES_AT_END: i64 = 100;

/// What somebody may see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Visibility {
    /// The user whose queries alone are seen; `None` for all users.
    pub user: Option<String>,
    /// The clusters whose queries alone are seen; `None` for all queries.
    pub clusters: Option<Vec<String>>,
}

impl Visibility {
    /// Returns whether all queries are seen.
    pub(crate) fn is_all(&self) -> bool {
        self.user.is_none() && self.clusters.is_none()
    }

    /// Returns whether a push of a record may change a stored one: not one of another user, nor one of another cluster, nor one
    /// of an unknown cluster, which is hidden from a principal of some clusters.
    pub(super) fn may_merge(&self, stored: &QueryRecord, pushed: &QueryRecord) -> bool {
        let is_of_other_user = self.user.is_some() && stored.is_of_other_user(pushed);
        let is_of_other_cluster = self.clusters.is_some()
            && (stored.cluster.is_none() || stored.is_of_other_cluster(pushed));
        !is_of_other_user && !is_of_other_cluster
    }
}

/// What ended a page of a list before it was full, although queries may be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The time of a read.
    Time,
    /// The bytes of an answer.
    Bytes,
}

/// Where a page of a list ended before it was full. The next page begins there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incomplete {
    pub by: Bound,
    /// The last query that was looked at.
    pub at: Cursor,
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct QueryPage {
    pub queries: Vec<StoredQuery>,
    pub incomplete: Option<Incomplete>,
    /// What of these queries cannot be read.
    pub unread: Unread,
}

impl QueryPage {
    /// Returns where the next page of a filter begins; `None` if no query is left.
    pub(crate) fn next(&self, filter: &QueryFilter) -> Option<Cursor> {
        let is_full = self.queries.len() >= filter.limit as usize;
        let last = self.queries.last().filter(|_| is_full);
        let last = last.map(|query| query.cursor(filter.order));
        self.incomplete.map(|end| end.at).or(last)
    }
}

/// The fields of a query that lists of Doris' interface show.
#[derive(Debug)]
pub(crate) struct ListedQuery<'r> {
    pub id: i64,
    pub query_id: &'r str,
    pub kind: &'r str,
    pub state: Option<&'r str>,
    pub started_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    pub duration_ms: Option<i64>,
    pub user: Option<&'r str>,
    pub catalog: Option<&'r str>,
    pub db: Option<&'r str>,
    pub statement: Option<&'r str>,
    pub frontend: Option<&'r str>,
    pub session_id: Option<&'r str>,
    pub sql_hash: Option<&'r str>,
}

impl ListedQuery<'_> {
    /// Returns the bytes of all texts.
    pub(crate) fn text_bytes(&self) -> usize {
        let ListedQuery { query_id, state, user, catalog, db, statement, .. } = self;
        let ListedQuery { frontend, session_id, sql_hash, .. } = self;
        let texts = [state, user, catalog, db, statement, frontend, session_id, sql_hash];
        texts.into_iter().flatten().map(|text| text.len()).sum::<usize>() + query_id.len()
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind::of_name(self.kind)
    }

    /// Returns the place of the query in a list by start.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { value: self.started_ms, id: self.id }
    }
}

/// What the store has of the profile of a query.
#[derive(Debug)]
pub(crate) enum StoredProfile {
    /// The text of the profile, and a hash of the stored bytes (XXH3, 128 bits), which differs for another text.
    Text(StoredText, u128),
    /// The query has no profile.
    None,
    UnknownQuery,
}

impl StoredProfile {
    /// Returns the stored text of the profile, or None if there is none.
    pub(crate) fn stored_text(self) -> Option<StoredText> {
        match self {
            StoredProfile::Text(text, _) => Some(text),
            StoredProfile::None | StoredProfile::UnknownQuery => None,
        }
    }

    /// Returns the text of the profile, or None if there is none. Errors if it is damaged. Unpacking a large text takes
    /// long, so a server does it elsewhere.
    pub(crate) fn text(self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.stored_text().map(StoredText::unpack).transpose()?)
    }
}
