//! The store of either engine, behind one interface in the words of the domain.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use super::batch::FollowedFile;
use super::contents::{LoginCounts, Page, ReparseSummary, Sizes, StoredPage};
use super::error::{FileFault, OpenError, StoreError};
use super::group::{Group, GroupBy};
use super::query::{Incomplete, ListedQuery, QueryPage, Reader, StoredProfile};
use super::retention::{DiskUsage, Mark, Oldest, OldestFilter};
use super::statements::{StatementOrder, StatementPage};
use super::timeline::{Bucket, Spans};
use super::writer::Writer;
use super::{Address, postgres, sqlite};
use crate::domain::account::Account;
use crate::domain::filter::QueryFilter;
use crate::domain::login::Login;
use crate::domain::profile::Profile;
use crate::domain::record::{QueryId, QueryRecord, StoredQuery};
use crate::domain::retention::Retention;
use crate::domain::statement::Fingerprint;

/// An open history. A clone is another handle to the same history.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    Sqlite(Box<sqlite::Store>),
    Postgres(postgres::Store),
}

/// A state of a history. Two versions are equal only if nothing was committed between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Sqlite(sqlite::Version),
    Postgres(postgres::Version),
}

/// Watches for commits, of this process and of others.
#[derive(Debug)]
pub(crate) enum Watch {
    Sqlite(sqlite::Watch),
    Postgres(postgres::Watch),
}

impl Watch {
    /// Returns the version now, if that takes no more than reading memory.
    pub(crate) fn now_at_once(&self) -> Option<Version> {
        match self {
            Watch::Sqlite(watch) => Some(Version::Sqlite(watch.now())),
            Watch::Postgres(_) => None,
        }
    }

    /// Returns the version now. What is read from the history afterwards is of this version or a later one.
    pub(crate) async fn now(&self) -> Version {
        match self {
            Watch::Sqlite(watch) => Version::Sqlite(watch.now()),
            Watch::Postgres(watch) => Version::Postgres(watch.now().await),
        }
    }
}

impl From<sqlite::Store> for Store {
    fn from(store: sqlite::Store) -> Store {
        Store::Sqlite(Box::new(store))
    }
}

/// Calls the same method of either engine.
macro_rules! of_engine {
    ($store:expr, $it:ident => $call:expr) => {
        match $store {
            Store::Sqlite($it) => $call,
            Store::Postgres($it) => $call,
        }
    };
}

/// Opening, writing and closing.
impl Store {
    /// Opens a history to read and to write. Creates what is missing, and brings an older history up to date.
    pub(crate) async fn open(address: &Address) -> Result<Store, OpenError> {
        Ok(match address {
            Address::File(path) => sqlite::Store::open(path).await?.into(),
            Address::Postgres(address) => Store::Postgres(postgres::Store::open(address).await?),
        })
    }

    /// Opens a history to read only, for a command that runs once and ends. Never changes it or its schema.
    pub(crate) async fn open_to_read(address: &Address) -> Result<Store, OpenError> {
        Ok(match address {
            Address::File(path) => sqlite::Store::open_to_read(path).await?.into(),
            Address::Postgres(address) => {
                Store::Postgres(postgres::Store::open_to_read(address).await?)
            }
        })
    }

    /// Returns what the store changed in a history of an older annals when it opened it.
    pub(crate) fn reparsed(&self) -> ReparseSummary {
        match self {
            Store::Sqlite(store) => store.reparsed(),
            Store::Postgres(_) => ReparseSummary::default(),
        }
    }

    /// Returns where the history is, without a password.
    pub(crate) fn place(&self) -> String {
        match self {
            Store::Sqlite(store) => store.path().display().to_string(),
            Store::Postgres(store) => store.address().to_string(),
        }
    }

    /// Returns the file of the history; none if it is not in one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Store::Sqlite(store) => Some(store.path()),
            Store::Postgres(_) => None,
        }
    }

    /// Returns a writer that commits at once; a process needs one. The writer waits for `busy_timeout` while another
    /// process holds up its batch, then rejects the batch. `max_size` is the bound of the file, if it has one.
    pub(crate) async fn writer(
        &self,
        busy_timeout: Duration,
        max_size: Option<u64>,
    ) -> Result<Writer, OpenError> {
        match self {
            Store::Sqlite(store) => store.writer(busy_timeout, max_size).await,
            Store::Postgres(store) => store.writer(busy_timeout).await,
        }
    }

    /// Returns a writer for a process that imports much, and waits for no answer before the end.
    pub(crate) async fn bulk_writer(&self) -> Result<Writer, OpenError> {
        of_engine!(self, store => store.bulk_writer().await)
    }

    /// Returns why nothing can be written to the file. Looks at the file.
    pub(crate) fn file_fault(&self) -> Option<FileFault> {
        match self {
            Store::Sqlite(store) => store.file_fault(),
            Store::Postgres(_) => None,
        }
    }

    /// Returns a watch for commits, of this process and of others.
    pub(crate) fn watch(&self) -> Result<Watch, OpenError> {
        Ok(match self {
            Store::Sqlite(store) => Watch::Sqlite(store.watch()?),
            Store::Postgres(store) => Watch::Postgres(store.watch()),
        })
    }

    /// Takes or renews a lease for a time in milliseconds: what only one of the annals that share a history does at a time.
    /// Returns false if another annals has the lease. A history in a file has one annals, which has every lease.
    pub(crate) async fn holds(&self, name: &str, for_ms: i64) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(_) => Ok(true),
            Store::Postgres(store) => store.holds(name, for_ms).await,
        }
    }

    /// Closes every connection, and gives the leases back.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        of_engine!(self, store => store.close().await)
    }
}

/// Lists and single queries.
impl Store {
    /// Hands over the queries of a page of a list, newest first. Every page of a list costs the same. Returns where the page
    /// ended if it reached a bound.
    pub(crate) async fn list(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
        each: impl FnMut(ListedQuery<'_>),
    ) -> Result<Option<Incomplete>, StoreError> {
        of_engine!(self, store => store.list(filter, reader, each).await)
    }

    /// Returns the queries of a page of a list with all their fields, newest first.
    pub(crate) async fn page(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<QueryPage, StoreError> {
        of_engine!(self, store => store.page(filter, reader).await)
    }

    /// The same without a bound of bytes, for commands.
    pub(crate) async fn records(
        &self,
        filter: &QueryFilter,
        owner: Option<&str>,
    ) -> Result<Vec<StoredQuery>, StoreError> {
        Ok(self.unbounded_page(filter, owner).await?.queries)
    }

    /// Returns the same with what of the queries cannot be read.
    pub(crate) async fn unbounded_page(
        &self,
        filter: &QueryFilter,
        owner: Option<&str>,
    ) -> Result<QueryPage, StoreError> {
        of_engine!(self, store => store.unbounded_page(filter, owner).await)
    }

    /// Hands over one query, as a list shows it, if it is known.
    pub(crate) async fn listed(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
        each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), StoreError> {
        of_engine!(self, store => store.listed(query_id, owner, each).await)
    }

    /// Returns a query with all its fields, its statement whole, or None if it is unknown.
    pub(crate) async fn record(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
    ) -> Result<Option<StoredQuery>, StoreError> {
        of_engine!(self, store => store.record(query_id, owner).await)
    }

    /// Returns the profile of a query. A text of more than 64 KiB is returned packed.
    pub(crate) async fn profile(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
    ) -> Result<StoredProfile, StoreError> {
        of_engine!(self, store => store.profile(query_id, owner).await)
    }

    /// Returns the id of the newest query that has a profile, or None if no query has one.
    pub(crate) async fn newest_profile(
        &self,
        reader: Reader<'_>,
    ) -> Result<Option<QueryId>, StoreError> {
        of_engine!(self, store => store.newest_profile(reader).await)
    }

    /// Returns the whole statement of a query, or None if the query or its statement is unknown.
    pub(crate) async fn statement(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        of_engine!(self, store => store.statement(query_id, owner).await)
    }

    /// Returns the id of the newest query of a trace id.
    pub(crate) async fn traced(
        &self,
        trace_id: &str,
        owner: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        of_engine!(self, store => store.traced(trace_id, owner).await)
    }

    /// Returns those of the queries that have ended and whose profile is stored.
    pub(crate) async fn complete(
        &self,
        query_ids: &[QueryId],
    ) -> Result<HashSet<QueryId>, StoreError> {
        of_engine!(self, store => store.complete(query_ids).await)
    }

    /// Returns the ids with this prefix, in order, at most `limit`.
    pub(crate) async fn ids_with_prefix(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        of_engine!(self, store => store.ids_with_prefix(prefix, limit).await)
    }

    /// Returns the place behind the next query of a list, if the rows there cannot be read but an index has them; None if no
    /// row is left.
    pub(crate) async fn place_behind_next(
        &self,
        filter: &QueryFilter,
    ) -> Result<Option<crate::domain::filter::Cursor>, StoreError> {
        match self {
            Store::Sqlite(store) => store.place_behind_next(filter).await,
            // A server of PostgreSQL reads all rows, or fails as a whole.
            Store::Postgres(_) => Ok(None),
        }
    }

    /// Returns the queries of a list after a row, in the order of their arrival, for a file whose index by start is damaged;
    /// none after the last.
    pub(crate) async fn listed_after(
        &self,
        filter: &QueryFilter,
        row: i64,
    ) -> Result<Option<StoredPage>, StoreError> {
        match self {
            Store::Sqlite(store) => store.listed_after(filter, row).await,
            Store::Postgres(_) => Ok(None),
        }
    }
}

/// Counts of many queries.
impl Store {
    /// Returns the counts of each span, of the queries of a filter that the reader may see. Ignores the filter's own times,
    /// limit and cursor.
    pub(crate) async fn timeline(
        &self,
        filter: &QueryFilter,
        spans: Spans,
        reader: Reader<'_>,
    ) -> Result<Vec<Bucket>, StoreError> {
        of_engine!(self, store => store.timeline(filter, spans, reader).await)
    }

    /// Returns the queries of a filter that the owner may see, in groups, in no order. Ignores the filter's limit and cursor.
    pub(crate) async fn top(
        &self,
        filter: &QueryFilter,
        by: GroupBy,
        owner: Option<&str>,
    ) -> Result<Vec<Group>, StoreError> {
        of_engine!(self, store => store.top(filter, by, owner).await)
    }

    /// Returns the statistics of the queries of a filter that the reader may see, by statement, as many as the filter's
    /// limit. Ignores the filter's cursor.
    ///
    /// Errors if there are too many statements, if too many reports wait, or if the time is up.
    pub(crate) async fn statements(
        &self,
        filter: &QueryFilter,
        order: StatementOrder,
        reader: Reader<'_>,
    ) -> Result<StatementPage, StoreError> {
        of_engine!(self, store => store.statements(filter, order, reader).await)
    }

    /// Returns how often the queries of each fingerprint ran in each of `parts` spans of `width_ms` from `from_ms` on.
    pub(crate) async fn trends(
        &self,
        fingerprints: &[Fingerprint],
        (from_ms, width_ms, parts): (i64, u64, usize),
        reader: Reader<'_>,
    ) -> Result<HashMap<Fingerprint, Vec<i64>>, StoreError> {
        let width_ms = i64::try_from(width_ms).unwrap_or(i64::MAX).max(1);
        let length_ms = width_ms.saturating_mul(i64::try_from(parts).unwrap_or(i64::MAX));
        let last_ms = from_ms.saturating_add(length_ms).saturating_sub(1);
        let spans = (from_ms, width_ms, last_ms);
        let counted =
            of_engine!(self, store => store.counted_by_span(fingerprints, spans, reader).await?);
        let mut trends = HashMap::new();
        for (fingerprint, part, count) in counted {
            let trend = trends.entry(fingerprint).or_insert_with(|| vec![0; parts]);
            if let Some(place) = usize::try_from(part).ok().and_then(|part| trend.get_mut(part)) {
                *place = count;
            }
        }
        Ok(trends)
    }

    /// Returns the normalized statements of fingerprints, each its first 64 KiB. Unknown fingerprints are missing.
    pub(crate) async fn normalized_statements(
        &self,
        fingerprints: &HashSet<Fingerprint>,
    ) -> Result<HashMap<Fingerprint, String>, StoreError> {
        of_engine!(self, store => store.normalized_statements(fingerprints).await)
    }

    /// Returns how much the store holds. Reads an index of all queries, and all rows of profiles.
    pub(crate) async fn sizes(&self) -> Result<Sizes, StoreError> {
        of_engine!(self, store => store.sizes().await)
    }

    /// Returns how many queries each frontend ran, the most first; none is an unknown frontend. Reads all queries.
    pub(crate) async fn frontends(&self) -> Result<Vec<(Option<String>, i64)>, StoreError> {
        let mut frontends = of_engine!(self, store => store.frontends().await?);
        frontends.sort_by(|(name, count), (other, other_count)| {
            other_count.cmp(count).then_with(|| name.cmp(other))
        });
        Ok(frontends)
    }

    /// Returns the first and the last start of the queries that the owner may see; none if no query has one.
    pub(crate) async fn span(&self, owner: Option<&str>) -> Result<Option<(i64, i64)>, StoreError> {
        of_engine!(self, store => store.span(owner).await)
    }
}

/// Followed logs, accounts and log-ins.
impl Store {
    /// Returns every audit log that was followed, and how far it was read.
    pub(crate) async fn followed_files(&self) -> Result<Vec<FollowedFile>, StoreError> {
        of_engine!(self, store => store.followed_files().await)
    }

    /// Returns every account, by name.
    pub(crate) async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        of_engine!(self, store => store.accounts().await)
    }

    /// Adds an account, or replaces the account of the same name.
    pub(crate) async fn put_account(&self, account: &Account) -> Result<(), OpenError> {
        of_engine!(self, store => store.put_account(account).await)
    }

    /// Removes an account. Returns false if no account has the name.
    pub(crate) async fn remove_account(&self, name: &str) -> Result<bool, OpenError> {
        of_engine!(self, store => store.remove_account(name).await)
    }

    /// Returns how many log-ins the store holds. Reads all of them.
    pub(crate) async fn login_counts(&self) -> Result<LoginCounts, StoreError> {
        of_engine!(self, store => store.login_counts().await)
    }

    /// Returns a page of the log-ins after a row, in the order of their arrival, with the row of the last; none after the
    /// last.
    pub(crate) async fn logins_after(
        &self,
        row: i64,
    ) -> Result<Option<(Vec<Login>, i64)>, StoreError> {
        of_engine!(self, store => store.logins_after(row).await)
    }
}

/// Reading all of a history, to merge it into another.
impl Store {
    /// Returns the queries after a row, in the order of their arrival; none after the last. Skips rows that are damaged.
    pub(crate) async fn page_after(&self, row: i64) -> Result<Option<Page>, StoreError> {
        of_engine!(self, store => store.page_after(row).await)
    }

    /// Returns the profile of a row with the record of its query; only the record if the profile is damaged.
    pub(crate) async fn profile_of_row(
        &self,
        row: i64,
        summary: QueryRecord,
    ) -> Result<Result<Profile, QueryRecord>, StoreError> {
        of_engine!(self, store => store.profile_of_row(row, summary).await)
    }

    /// Returns how many queries an index has, or None if no index can be read. The rows of some may not be readable.
    pub(crate) async fn indexed_queries(&self) -> Result<Option<i64>, StoreError> {
        match self {
            Store::Sqlite(store) => store.indexed_queries().await,
            // A server of PostgreSQL reads all rows, or fails as a whole.
            Store::Postgres(_) => Ok(None),
        }
    }
}

/// Retention.
impl Store {
    /// Returns the space that the history takes now.
    pub(crate) async fn disk_usage(&self) -> Result<DiskUsage, StoreError> {
        of_engine!(self, store => store.disk_usage().await)
    }

    /// Returns the size of the write-ahead log beside the file; 0 if there is no file.
    pub(crate) fn log_bytes(&self) -> u64 {
        match self {
            Store::Sqlite(store) => store.log_bytes(),
            Store::Postgres(_) => 0,
        }
    }

    /// Returns what retention noted last; none if it never did.
    pub(crate) async fn retention_mark(&self) -> Result<Option<Mark>, StoreError> {
        of_engine!(self, store => store.retention_mark().await)
    }

    /// Returns the newest start that is not after a time, in Unix milliseconds.
    pub(crate) async fn newest_start_ms(&self, until_ms: i64) -> Result<Option<i64>, StoreError> {
        of_engine!(self, store => store.newest_start_ms(until_ms).await)
    }

    /// Returns the row that arrived last; 0 if there is none.
    pub(super) async fn newest_row(&self) -> Result<i64, StoreError> {
        of_engine!(self, store => store.newest_row().await)
    }

    /// Returns the size of the tables and indexes from which retention never removes anything. Reads their pages.
    pub(super) async fn fixed_bytes(&self) -> Result<u64, StoreError> {
        match self {
            Store::Sqlite(store) => store.fixed_bytes().await,
            Store::Postgres(_) => Ok(0),
        }
    }

    /// Returns the oldest queries. Queries without a start are the oldest, but did not start before any time.
    pub(super) async fn oldest(&self, filter: OldestFilter) -> Result<Oldest, StoreError> {
        of_engine!(self, store => store.oldest(filter).await)
    }

    /// Returns the time of the first log-in, in Unix milliseconds.
    pub(super) async fn first_login_ms(&self) -> Result<Option<i64>, StoreError> {
        of_engine!(self, store => store.first_login_ms().await)
    }

    /// Returns the time before which labels go: those before `before_ms`, and the oldest beyond `max_bytes`. None if none
    /// goes.
    pub(super) async fn outdated_labels(
        &self,
        before_ms: i64,
        max_bytes: u64,
    ) -> Result<Option<i64>, StoreError> {
        of_engine!(self, store => store.outdated_labels(before_ms, max_bytes).await)
    }

    /// Returns the time of the oldest label, in Unix milliseconds.
    pub(super) async fn first_label_ms(&self) -> Result<Option<i64>, StoreError> {
        of_engine!(self, store => store.first_label_ms().await)
    }

    /// Returns the segments of the search index without a row.
    pub(super) async fn empty_segments(&self) -> Result<Vec<i64>, StoreError> {
        match self {
            Store::Sqlite(store) => store.empty_segments().await,
            Store::Postgres(_) => Ok(Vec::new()),
        }
    }

    /// Looks at some normalized statements from a fingerprint on. Returns those that no query has, and the fingerprint to go
    /// on from; none after the last.
    pub(super) async fn unused_statements(
        &self,
        from: i64,
    ) -> Result<(Vec<i64>, Option<i64>), StoreError> {
        of_engine!(self, store => store.unused_statements(from).await)
    }

    /// Returns the queries whose profiles go, with the bytes of the profiles, the oldest first.
    pub(super) async fn outdated_profiles(
        &self,
        retention: &Retention,
        now_ms: i64,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        of_engine!(self, store => store.outdated_profiles(retention, now_ms).await)
    }
}
