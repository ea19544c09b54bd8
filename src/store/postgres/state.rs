//! Whether annals can write to the server: what it knows without asking.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::store::error::{Fault, StoreError};

/// How long a failed write counts. Health checks that find it send no client, so that no other write would end it.
const FAILED_WRITE_COUNTS: Duration = Duration::from_secs(15);

/// A write whose server does nothing for this long waits for something: a lock, or a server that ends each try.
const LATE_WRITE: Duration = Duration::from_secs(10);

/// Why the server does not do what it has to.
#[derive(Debug, Clone)]
struct Away {
    fault: Fault,
    /// Whether the server answers reads, and writes nothing.
    is_readable: bool,
}

/// A group of batches that is written.
#[derive(Debug)]
struct Write {
    /// When the server did a part of it last.
    moved: Instant,
    /// Why the last try failed.
    error: Option<Fault>,
}

/// What is known of the server that accepts writes.
#[derive(Debug)]
pub(super) struct ServerState {
    /// Why the server does not answer, or writes nothing; none while it does.
    away: watch::Sender<Option<Away>>,
    /// Why the last write failed, and when.
    failed_write: Mutex<Option<(Instant, Fault)>>,
    /// Whether the writer waits for the answer to COMMIT.
    is_committing: AtomicBool,
    /// What the writer writes; none while it waits for batches.
    write: Mutex<Option<Write>>,
}

impl ServerState {
    /// Returns the state of a server that answers.
    pub(super) fn new() -> ServerState {
        ServerState {
            away: watch::Sender::new(None),
            failed_write: Mutex::default(),
            is_committing: AtomicBool::new(false),
            write: Mutex::default(),
        }
    }

    /// Returns why nothing can be written; none if annals knows of no reason.
    pub(super) fn fault(&self) -> Option<Fault> {
        let failed = self.failed_write.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = failed.as_ref().filter(|(at, _)| at.elapsed() < FAILED_WRITE_COUNTS);
        self.away().or_else(|| failed.map(|(_, fault)| fault.clone()))
    }

    /// Returns why the server does not answer, or writes nothing; none while it does.
    pub(super) fn away(&self) -> Option<Fault> {
        self.away.borrow().as_ref().map(|away| away.fault.clone())
    }

    /// Notes that the server answers, and writes.
    pub(super) fn answers(&self) {
        self.away.send_if_modified(|away| away.take().is_some());
    }

    /// Notes why the server does not answer.
    pub(super) fn does_not_answer(&self, why: &str) {
        self.set_away(why, false);
    }

    /// Notes why the server, which answers reads, writes nothing.
    pub(super) fn does_not_write(&self, why: &str) {
        self.set_away(why, true);
    }

    fn set_away(&self, why: &str, is_readable: bool) {
        let fault = Fault::Server(Arc::from(why));
        self.away.send_replace(Some(Away { fault, is_readable }));
    }

    /// Returns once the server does not answer, or writes nothing, with the reason.
    pub(super) async fn until_away(&self) -> Fault {
        self.until(|_| true).await
    }

    /// Returns once the server does not answer, with the reason.
    pub(super) async fn until_unread(&self) -> Fault {
        self.until(|away| !away.is_readable).await
    }

    async fn until(&self, is_meant: fn(&Away) -> bool) -> Fault {
        let mut away = self.away.subscribe();
        let found = away.wait_for(|away| away.as_ref().is_some_and(is_meant)).await;
        match found.ok().and_then(|away| away.as_ref().map(|away| away.fault.clone())) {
            Some(fault) => fault,
            // The sender is this one, so that the channel does not close.
            None => std::future::pending().await,
        }
    }

    /// Returns once the server answers, and writes.
    pub(super) async fn until_back(&self) {
        let _ = self.away.subscribe().wait_for(Option::is_none).await;
    }

    /// Notes that the writer begins with a group, or that the server did a part of it.
    pub(super) fn write_moves(&self) {
        let mut write = self.write.lock().unwrap_or_else(PoisonError::into_inner);
        write.get_or_insert_with(|| Write { moved: Instant::now(), error: None }).moved =
            Instant::now();
    }

    /// Notes why a try of the group failed.
    pub(super) fn write_failed(&self, error: &StoreError) {
        let why = error.of_server().map(|why| Fault::Server(Arc::from(why)));
        let mut write = self.write.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(write) = &mut *write {
            write.error = why;
        }
    }

    /// Returns why a write waits, if the server has done nothing for it for long.
    pub(super) fn late_write(&self) -> Option<Fault> {
        let write = self.write.lock().unwrap_or_else(PoisonError::into_inner);
        let write = write.as_ref().filter(|write| write.moved.elapsed() >= LATE_WRITE)?;
        let unknown = "PostgreSQL does not go on with a write; another session may hold a lock";
        Some(write.error.clone().unwrap_or_else(|| Fault::Server(Arc::from(unknown))))
    }

    /// Notes that the writer sends COMMIT, or has its answer.
    pub(super) fn set_committing(&self, is_committing: bool) {
        self.is_committing.store(is_committing, Ordering::Relaxed);
    }

    /// Returns whether the writer waits for the answer to COMMIT.
    pub(super) fn is_committing(&self) -> bool {
        self.is_committing.load(Ordering::Relaxed)
    }

    /// Returns whether an error of a transaction leaves open if it is stored: the server gave no answer to its COMMIT. The
    /// next transaction begins anew.
    pub(super) fn is_unconfirmed(&self, error: &StoreError) -> bool {
        let is_committing = self.is_committing.swap(false, Ordering::Relaxed);
        is_committing && matches!(error, StoreError::Unreachable(_))
    }

    /// Notes what became of a group of batches.
    pub(super) fn wrote<T>(&self, written: &Result<T, StoreError>) {
        let failed = match written {
            // Another writer was in the way.
            Ok(_) | Err(StoreError::Busy(_)) => None,
            Err(error) => error.of_server(),
        };
        let failed = failed.map(|why| (Instant::now(), Fault::Server(Arc::from(why))));
        *self.write.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.failed_write.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }
}
