//! Every statement of annals on PostgreSQL whose text is fixed, as a function with plain parameters and rows.
//!
//! A crate of its own: `query!` checks the statements of one crate against one engine. The main crate has SQLite's.
//! `.sqlx` has a file for each text, so no statement here has the text of one of SQLite's; the build fails if one does.
//!
//! Every function returns the driver's error, which `store/postgres/error.rs` translates.

mod account;
mod hours;
mod lease;
mod merge;
mod plan;
mod read;
mod report;
mod retention;
mod search;
mod shift;
mod token;
mod write;

pub use account::*;
pub use hours::*;
pub use lease::*;
pub use merge::*;
pub use plan::*;
pub use read::*;
pub use report::*;
pub use retention::*;
pub use search::*;
pub use shift::*;
pub use token::*;
pub use write::*;

use sqlx::PgExecutor;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// The user and the clusters whose queries alone are read; none reads the queries of all.
type Seen<'a> = (Option<&'a str>, Option<&'a [String]>);

/// A writer of the history, as one server knows it.
#[derive(Debug)]
pub struct WriterRow {
    pub name: String,
    pub commits: i64,
    /// The time of the last commit by the writer's clock, in Unix milliseconds.
    pub seen_ms: i64,
    /// Whether the server that answers is a replica.
    pub is_replica: bool,
}

/// Returns the writers, by name.
pub async fn writers(server: impl PgExecutor<'_>) -> Result<Vec<WriterRow>> {
    sqlx::query_as!(
        WriterRow,
        r#"SELECT name, commits, seen_ms, pg_is_in_recovery() AS "is_replica!" FROM writer ORDER BY name"#
    )
    .fetch_all(server)
    .await
}
