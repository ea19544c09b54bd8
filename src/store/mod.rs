//! The store: the interface to the queries, loads, profiles and log-ins of clusters, in the words of the domain.
//!
//! This folder has what every engine shares: batches and the writer, results, errors and retention. A folder
//! below has one engine, with every SQL statement. A query is visible to readers once its batch is committed.
//! The writer commits in groups; readers never wait for the writer.
//!
//! A parameter `owner` restricts a read to the queries of one user; none reads the queries of all users.

mod address;
mod batch;
mod contents;
mod error;
mod group;
mod hours;
mod interface;
mod list;
mod ngram_index;
mod packing;
mod plans;
mod postgres;
mod profile_body;
mod query;
mod regression;
mod retention;
mod shift;
mod sqlite;
mod statements;
mod timeline;
mod turns;
mod usage;
mod write;
mod writer;

pub(crate) use crate::domain::record::StoredQuery;
pub(crate) use address::{Address, is_address};
pub(crate) use batch::{Arrival, AuditCheckpoint, Batch, FollowedFile, MergedPart, WriteSummary};
pub(crate) use contents::{Finding, ReparseSummary, Sizes, Survey, TableSize, Unread};
pub(crate) use error::{Fault, FileFault, OpenError, StoreError, WriteError};
pub(crate) use group::{Group, GroupBy};
pub(crate) use interface::{Found, Match, MatchKind, Only, Store, Version, Watch};
pub(crate) use plans::{
    NearestProfiles, PlanCursor, PlanRuns, ProfiledQuery, ReadPlan, UnreadPlan, UnreadPlans,
};
pub(crate) use postgres::BULK_TIME;
pub(crate) use profile_body::StoredText;
pub(crate) use query::{
    Bound, Incomplete, ListedQuery, QueryPage, Reader, StoredProfile, Visibility,
};
pub(crate) use regression::{Change, ChangeKind, Regression, Regressions};
pub(crate) use retention::{Mark, Pruner, Removal};
pub(crate) use shift::{Shift, Shifted, TimeSource, ZoneGroup};
pub(crate) use sqlite::{BUSY_TIMEOUT, Store as SqliteStore, is_history, sqlite_version};
pub(crate) use statements::{StatementOrder, StatementPage, StatementStatistics};
pub(crate) use timeline::{Bucket, Spans};
pub(crate) use usage::{
    ConcurrencyStep, Concurrent, ConcurrentRun, Steps, Usage, UsageCosts, UsageGroups, UsageOrder,
    UsageRow,
};
pub(crate) use writer::Writer;
