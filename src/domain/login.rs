//! What a log-in is: somebody connected to a frontend, or tried to.
//!
//! StarRocks writes a `[connection]` audit record for each, where `audit_log_modules` names `connection`
//! (2.5 and later, `LogUtil.java`), and its AuditLoader sends them as rows with `queryType` `connection`.
//! Doris has the event type, but no version writes such a record.

use std::collections::BTreeMap;

/// One log-in, or one that failed. `None` is unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// The name of this log-in, the same whenever the same record is read: see [`Login::derived_id`].
    pub id: String,
    /// When it was, in Unix milliseconds (UTC).
    pub at_ms: i64,
    /// Who logged in, as they called themselves.
    pub user: Option<String>,
    /// The client, as `host:port`.
    pub client: Option<String>,
    /// The frontend.
    pub frontend: Option<String>,
    /// The catalog that was asked for.
    pub catalog: Option<String>,
    /// The database that was asked for.
    pub db: Option<String>,
    /// Whether the frontend let them in.
    pub succeeded: bool,
    /// The error's number, where there was one.
    pub error_code: Option<i64>,
    /// Why they were not let in.
    pub error_message: Option<String>,
    /// Keys without a field, with their values as they came; `AuthorizedUser` is among them.
    pub extra: BTreeMap<String, String>,
}

impl Login {
    /// Returns an id made of what the record says: 128 bits of XXH3 over the parts, in the shape of Doris'
    /// query ids. The same parts give the same id in every version of annals.
    pub fn derived_id(parts: &[&str]) -> String {
        crate::domain::record::QueryId::derived(parts).as_str().to_string()
    }
}
