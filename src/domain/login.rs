//! Logins: a client connected to a frontend, or tried to.
//!
//! StarRocks writes a `[connection]` audit record for each login if `audit_log_modules` names `connection` (since 2.5,
//! `LogUtil.java`), and its AuditLoader sends the records as rows with `queryType` `connection`. Doris has the event
//! type, but no version writes such a record.

use std::collections::BTreeMap;

use crate::domain::record::{QueryId, Zoned, extra_bytes};

/// A login that succeeded or failed. An unknown field is `None`.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(crate) struct Login {
    /// An id that is derived from the record, see [`Login::derived_id`].
    pub id: String,
    /// The time of the login in Unix milliseconds.
    pub at_ms: i64,
    /// The name of the user, as the client sent it.
    pub user: Option<String>,
    /// The client as `host:port`.
    pub client: Option<String>,
    pub frontend: Option<String>,
    /// The catalog that the client requested.
    pub catalog: Option<String>,
    /// The database that the client requested.
    pub db: Option<String>,
    pub succeeded: bool,
    pub error_code: Option<i64>,
    pub error_message: Option<String>,
    /// The keys that have no field, with their values as they arrived. `AuthorizedUser` is one of them.
    pub extra: BTreeMap<String, String>,
    /// Whether the time depends on the zone in which it was read.
    pub zoned: Zoned,
}

impl Login {
    /// Returns about how many bytes of memory the log-in takes, its texts included.
    pub(crate) fn memory_bytes(&self) -> usize {
        let texts = [
            &self.user, &self.client, &self.frontend, &self.catalog, &self.db, &self.error_message,
        ];
        let texts = texts.iter().map(|text| text.as_ref().map_or(0, String::len)).sum::<usize>();
        size_of::<Login>() + self.id.len() + texts + extra_bytes(&self.extra)
    }

    /// Returns an id made of parts of the record: 128 bits of XXH3, in the form of Doris' query ids. The same parts
    /// give the same id in every version of annals.
    pub(crate) fn derived_id(parts: &[&str]) -> String {
        QueryId::derived(parts).as_str().to_string()
    }
}
