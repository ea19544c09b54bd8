//! The store of either engine, behind one interface in the words of the domain.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::batch::{AuditCheckpoint, FollowedFile};
use super::contents::{LoginCounts, ReparseSummary};
use super::error::{Fault, OpenError, StoreError};
use super::shift::{Shifted, TimeSource, ZoneGroup};
use super::writer::Writer;
use super::{Address, postgres, sqlite};
use crate::domain::account::Account;
use crate::domain::filter::QueryFilter;
use crate::domain::login::Login;
use crate::domain::token::Token;

/// Calls the same method of either engine.
macro_rules! of_engine {
    ($store:expr, $it:ident => $call:expr) => {
        match $store {
            Store::Sqlite($it) => $call,
            Store::Postgres($it) => $call,
        }
    };
}

mod counts;
mod find;
mod lists;
mod plans;
mod retention;
mod usage;

pub(crate) use find::{Found, Match, MatchKind, Only};

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

    /// Returns whether a read of one query waits for nothing: it reads a file, and asks no server.
    pub(crate) fn reads_in_place(&self) -> bool {
        matches!(self, Store::Sqlite(_))
    }

    /// Returns host and port of the replica that answers reads; none if the server that accepts writes does, or a file.
    pub(crate) fn replica(&self) -> Option<String> {
        match self {
            Store::Sqlite(_) => None,
            Store::Postgres(store) => store.replica(),
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

    /// Returns why nothing can be written, without waiting. Looks at the file, or at what is known of the server.
    pub(crate) fn fault(&self) -> Option<Fault> {
        match self {
            Store::Sqlite(store) => store.file_fault().map(Fault::File),
            Store::Postgres(store) => store.fault(),
        }
    }

    /// Returns once the database server does not answer, with the reason; never for a file.
    pub(crate) async fn until_away(&self) -> Fault {
        match self {
            Store::Sqlite(_) => std::future::pending().await,
            Store::Postgres(store) => store.until_away().await,
        }
    }

    /// Returns once the database server does not answer, or a write waits for it, with the reason; never for a file.
    pub(crate) async fn until_late(&self) -> Fault {
        match self {
            Store::Sqlite(_) => std::future::pending().await,
            Store::Postgres(store) => tokio::select! {
                fault = store.until_away() => fault,
                fault = store.until_late() => fault,
            },
        }
    }

    /// Returns once the database server answers and no write waits for it; at once for a file.
    pub(crate) async fn until_on_time(&self) {
        if let Store::Postgres(store) = self {
            store.until_on_time().await;
        }
    }

    async fn until_unread(&self) -> Fault {
        match self {
            Store::Sqlite(_) => std::future::pending().await,
            Store::Postgres(store) => store.until_unread().await,
        }
    }

    /// Returns once the database server answers; at once for a file.
    pub(crate) async fn until_back(&self) {
        if let Store::Postgres(store) = self {
            store.until_back().await;
        }
    }

    /// Returns what a read returns. Does not wait for a database server that is known not to answer, unless a replica does.
    pub(crate) async fn unless_away<T, E: From<StoreError>>(
        &self,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        tokio::select! {
            biased;
            fault = self.until_unread() => Err(StoreError::Unreachable(Arc::new(fault)).into()),
            read = read => read,
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

/// Followed logs, zones of times, accounts, tokens and log-ins.
impl Store {
    /// Returns every audit log that was followed, and how far it was read.
    pub(crate) async fn followed_files(&self) -> Result<Vec<FollowedFile>, StoreError> {
        of_engine!(self, store => store.followed_files().await)
    }

    /// Returns how far an audit table was read; none if the name is new.
    pub(crate) async fn audit_checkpoint(
        &self,
        name: &str,
    ) -> Result<Option<AuditCheckpoint>, StoreError> {
        of_engine!(self, store => store.audit_checkpoint(name).await)
    }

    /// Returns every source with each zone in which it was read.
    pub(crate) async fn time_sources(&self) -> Result<Vec<TimeSource>, StoreError> {
        of_engine!(self, store => store.time_sources().await)
    }

    /// Returns the records whose times depend on a zone, or may, by source and zone: of the filter count times, frontends and
    /// clusters. Reads all rows.
    pub(crate) async fn zone_groups(
        &self,
        what: Shifted,
        filter: &QueryFilter,
    ) -> Result<Vec<ZoneGroup>, StoreError> {
        of_engine!(self, store => store.zone_groups(what, filter).await)
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

    /// Returns every token, by name.
    pub(crate) async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        of_engine!(self, store => store.tokens().await)
    }

    /// Adds a token. Returns false if another has the name.
    pub(crate) async fn add_token(&self, token: &Token) -> Result<bool, OpenError> {
        of_engine!(self, store => store.add_token(token).await)
    }

    /// Removes a token. Returns false if no token has the name.
    pub(crate) async fn remove_token(&self, name: &str) -> Result<bool, OpenError> {
        of_engine!(self, store => store.remove_token(name).await)
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
