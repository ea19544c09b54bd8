//! Turns of the reads that take long: a bounded queue, in which no client waits for another's many reads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::StoreError;

/// The most reads of one queue that run or wait. At the bounds of time, the last of them waits for some minutes, which
/// [`MAX_WAIT`] prevents; more only take memory.
const MAX_READS: usize = 64;
/// The most reads of one client in a queue. A browser sends six requests at a time.
const MAX_READS_OF_ONE: usize = 16;
/// How long a read waits for its turn. Clients give up soon after.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The reads of one client; those of commands have none.
#[derive(Debug)]
struct Client {
    reads: usize,
    /// A permit for each read that may run.
    running: Arc<Semaphore>,
}

type Clients = Arc<Mutex<HashMap<Option<String>, Client>>>;

/// A queue of reads, of which `size` may run at once.
#[derive(Debug)]
pub(super) struct Turns {
    size: usize,
    /// Whether reads are rejected if many wait.
    is_bounded: bool,
    clients: Clients,
}

/// A read that may run, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _own: OwnedSemaphorePermit,
    _place: Place,
}

/// A place in a queue.
#[derive(Debug)]
struct Place {
    clients: Clients,
    name: Option<String>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get_mut(&self.name) {
            client.reads -= 1;
            if client.reads == 0 {
                clients.remove(&self.name);
            }
        }
    }
}

impl Turns {
    /// Returns a queue of reads, of which `size` run at once. The reads of commands, which run once, are not bounded.
    pub(super) fn new(size: usize, is_bounded: bool) -> Turns {
        Turns { size, is_bounded, clients: Clients::default() }
    }

    /// Returns once a read of a client may run, with what `ready` returns, which waits for one of the `size` connections. A
    /// client never gets all of them.
    ///
    /// Errors if too many reads wait, or if the read has waited for too long.
    pub(super) async fn next<T>(
        &self,
        client: Option<String>,
        ready: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<(Turn, T), StoreError> {
        let (place, own) = self.place(client)?;
        let turn = async {
            let own = own.acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            Ok((Turn { _own: own, _place: place }, ready.await?))
        };
        if !self.is_bounded {
            return turn.await;
        }
        tokio::time::timeout(MAX_WAIT, turn).await.map_err(|_| StoreError::Overloaded)?
    }

    fn place(&self, name: Option<String>) -> Result<(Place, Arc<Semaphore>), StoreError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = clients.values().map(|client| client.reads).sum();
        let most_of_one = if name.is_some() { MAX_READS_OF_ONE } else { MAX_READS };
        let size = if name.is_some() { self.size.saturating_sub(1).max(1) } else { self.size };
        let client = clients
            .entry(name.clone())
            .or_insert_with(|| Client { reads: 0, running: Arc::new(Semaphore::new(size)) });
        if self.is_bounded && (all >= MAX_READS || client.reads >= most_of_one) {
            if client.reads == 0 {
                clients.remove(&name);
            }
            return Err(StoreError::Overloaded);
        }
        client.reads += 1;
        let running = client.running.clone();
        Ok((Place { clients: self.clients.clone(), name }, running))
    }

    /// Returns whether no read runs or waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.clients.lock().unwrap().is_empty()
    }

    /// Returns whether a client has as many reads as it may have.
    #[cfg(test)]
    pub(super) fn has_full_client(&self) -> bool {
        self.clients.lock().unwrap().values().any(|it| it.reads == MAX_READS_OF_ONE)
    }

    /// The most reads of one client in a queue.
    #[cfg(test)]
    pub(super) const MAX_READS_OF_ONE: usize = MAX_READS_OF_ONE;
}
