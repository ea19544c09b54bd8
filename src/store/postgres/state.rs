//! Whether annals can write to the server: what it knows without asking.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::store::error::{Fault, StoreError};

/// How long a failed write counts. Health checks that find it send no client, so that no other write would end it.
const FAILED_WRITE_COUNTS: Duration = Duration::from_secs(15);

/// What is known of the server that accepts writes.
#[derive(Debug)]
pub(super) struct ServerState {
    /// Why the server does not answer; none while it does.
    away: watch::Sender<Option<Fault>>,
    /// Why the last write failed, and when.
    failed_write: Mutex<Option<(Instant, Fault)>>,
    /// Whether the writer waits for the answer to COMMIT.
    is_committing: AtomicBool,
}

impl ServerState {
    /// Returns the state of a server that answers.
    pub(super) fn new() -> ServerState {
        ServerState {
            away: watch::Sender::new(None),
            failed_write: Mutex::default(),
            is_committing: AtomicBool::new(false),
        }
    }

    /// Returns why nothing can be written; none if annals knows of no reason.
    pub(super) fn fault(&self) -> Option<Fault> {
        let failed = self.failed_write.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = failed.as_ref().filter(|(at, _)| at.elapsed() < FAILED_WRITE_COUNTS);
        self.away().or_else(|| failed.map(|(_, fault)| fault.clone()))
    }

    /// Returns why the server does not answer; none while it does.
    pub(super) fn away(&self) -> Option<Fault> {
        self.away.borrow().clone()
    }

    /// Notes that the server answers.
    pub(super) fn answers(&self) {
        self.away.send_if_modified(|away| away.take().is_some());
    }

    /// Notes why the server does not answer.
    pub(super) fn does_not_answer(&self, why: &str) {
        self.away.send_replace(Some(Fault::Server(Arc::from(why))));
    }

    /// Returns once the server does not answer, with the reason.
    pub(super) async fn until_away(&self) -> Fault {
        let mut away = self.away.subscribe();
        let fault = away.wait_for(Option::is_some).await.ok().and_then(|fault| fault.clone());
        match fault {
            Some(fault) => fault,
            // The sender is this one, so that the channel does not close.
            None => std::future::pending().await,
        }
    }

    /// Returns once the server answers.
    pub(super) async fn until_back(&self) {
        let _ = self.away.subscribe().wait_for(Option::is_none).await;
    }

    /// Notes that the writer sends COMMIT, or has its answer.
    pub(super) fn set_committing(&self, is_committing: bool) {
        self.is_committing.store(is_committing, Ordering::Relaxed);
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
        *self.failed_write.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }
}
