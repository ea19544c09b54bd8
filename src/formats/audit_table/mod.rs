//! The audit table of a live cluster, over the MySQL protocol: `__internal_schema.audit_log` of Doris 2.1 and later, and the
//! table that the AuditLoader of StarRocks or of an older Doris fills.
//!
//! - [`address`] reads how the frontends of a cluster are reached.
//! - [`client`] asks one of the frontends at a time, and goes on to the next after an error.
//! - [`statements`] has the text of every statement that is sent.
//! - [`table`] knows the columns of a table, and makes records of its rows.
//! - [`error`] says what went wrong.

mod address;
mod client;
mod error;
mod statements;
mod table;

pub(crate) use address::{AuditTableUrl, TableName};
pub(crate) use client::AuditTableClient;
pub(crate) use error::AuditTableError;
pub(crate) use table::{AuditRow, AuditTable, MinuteCount, zone_label};

use crate::domain::time::{LocalMinute, Zone};

/// Which table is read, and how to log in.
#[derive(Clone)]
pub(crate) struct AuditTableSettings {
    pub url: AuditTableUrl,
    pub password: String,
    /// The table; without it, the first known one that the cluster has.
    pub table: Option<TableName>,
    /// The zone of the table's times; without it, the one that the cluster names.
    pub zone: Option<Zone>,
}

/// A range of minutes of a table: from the start of one to the start of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MinuteRange {
    pub from: LocalMinute,
    /// The first minute behind the range; none if it is open.
    pub before: Option<LocalMinute>,
}
