//! The memory of pushes: what they hold is reserved from one budget, and no client may hold all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::pipeline::{PUSH_TIMEOUT, PushError};
use super::unpoisoned;

/// Bytes of pushed bodies and of the records made of them that are in memory at the same time, over all clients. A push
/// beyond this budget waits.
const BUDGET_BYTES: usize = 512 << 20;
/// The most of the budget that one client may hold: the largest body and the records of the largest stream load fit in,
/// and the others keep a quarter of the budget.
const SHARE_BYTES: usize = BUDGET_BYTES / 4 * 3;
/// The memory of the rows of large stream loads. All rows of a load are in memory at once, because it is one transaction,
/// so one large load after another is read: loads that each held a part would wait for each other. Some 270,000 short rows
/// fit in, more than Doris' audit loader collects (50 MB).
pub(crate) const LOAD_BYTES: usize = 320 << 20;
/// How long a large load waits for those before it. Each takes some seconds.
const LOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of one permit of the budget.
const PERMIT_BYTES: usize = 1 << 10;

/// The memory that all pushes share.
#[derive(Debug)]
pub(super) struct Budget {
    all: Arc<Semaphore>,
    /// What is left of the share of each client that holds any memory.
    shares: Mutex<HashMap<String, Weak<Semaphore>>>,
    /// For one large load at a time.
    loads: Arc<Semaphore>,
}

/// A part of the budget that one push holds. Dropping it gives the memory back.
#[derive(Debug)]
pub(crate) struct Reservation {
    share: OwnedSemaphorePermit,
    all: OwnedSemaphorePermit,
    max_permits: usize,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget {
            all: Arc::new(Semaphore::new(BUDGET_BYTES / PERMIT_BYTES)),
            shares: Mutex::default(),
            loads: Arc::new(Semaphore::new(LOAD_BYTES / PERMIT_BYTES)),
        }
    }

    /// Returns a reservation of no bytes for a client. Errors if the budget is closed, which it never is.
    pub(super) fn reservation(&self, client: &str) -> Result<Reservation, PushError> {
        let none = |permits: Arc<Semaphore>| {
            permits.try_acquire_many_owned(0).map_err(|_| PushError::Busy)
        };
        Ok(Reservation {
            share: none(self.share(client))?,
            all: none(self.all.clone())?,
            max_permits: SHARE_BYTES / PERMIT_BYTES,
        })
    }

    /// Returns a reservation for the rows of a large stream load, of [`LOAD_BYTES`], in the order of the calls. Errors if the
    /// loads before it take too long.
    pub(super) async fn load_reservation(&self) -> Result<Reservation, PushError> {
        let none = self.loads.clone().try_acquire_many_owned(0).map_err(|_| PushError::Busy)?;
        let max_permits = LOAD_BYTES / PERMIT_BYTES;
        let all = tokio::time::timeout(LOAD_TIMEOUT, acquire(&none, max_permits)).await;
        Ok(Reservation { share: none, all: all.map_err(|_| PushError::Busy)??, max_permits })
    }

    fn share(&self, client: &str) -> Arc<Semaphore> {
        let mut shares = unpoisoned(&self.shares);
        if let Some(share) = shares.get(client).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(SHARE_BYTES / PERMIT_BYTES));
        shares.insert(client.to_string(), Arc::downgrade(&share));
        share
    }
}

impl Reservation {
    /// Returns how many bytes are reserved.
    pub(crate) fn bytes(&self) -> usize {
        self.all.num_permits() * PERMIT_BYTES
    }

    /// Reserves memory until at least `bytes` are reserved, in the order of the calls of all clients. Errors if the memory
    /// does not become free in time. A push that alone needs more than it may have takes all of it.
    pub(crate) async fn grow_to(&mut self, bytes: usize) -> Result<(), PushError> {
        let wanted = bytes.div_ceil(PERMIT_BYTES).min(self.max_permits);
        let Some(more) = wanted.checked_sub(self.all.num_permits()).filter(|more| *more > 0) else {
            return Ok(());
        };
        let acquired = async {
            let share = acquire(&self.share, more).await?;
            Ok::<_, PushError>((share, acquire(&self.all, more).await?))
        };
        let acquired = tokio::time::timeout(PUSH_TIMEOUT, acquired).await;
        let (share, all) = acquired.map_err(|_| PushError::Busy)??;
        self.share.merge(share);
        self.all.merge(all);
        Ok(())
    }

    /// Gives back what is reserved beyond `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let needed = bytes.div_ceil(PERMIT_BYTES);
        let surplus = self.all.num_permits().saturating_sub(needed);
        drop((self.share.split(surplus), self.all.split(surplus)));
    }
}

/// Takes more permits of the semaphore of a permit.
async fn acquire(
    of: &OwnedSemaphorePermit,
    permits: usize,
) -> Result<OwnedSemaphorePermit, PushError> {
    let permits = u32::try_from(permits).unwrap_or(u32::MAX);
    of.semaphore().clone().acquire_many_owned(permits).await.map_err(|_| PushError::Busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_never_holds_more_than_its_share() {
        let budget = Budget::new();
        let left = || budget.all.available_permits() * PERMIT_BYTES;
        let mut one = budget.reservation("one").unwrap();
        one.grow_to(2 * BUDGET_BYTES).await.unwrap();
        assert_eq!((one.bytes(), left()), (SHARE_BYTES, BUDGET_BYTES - SHARE_BYTES));
        let mut other = budget.reservation("other").unwrap();
        other.grow_to(1 << 20).await.unwrap();
        assert_eq!(left(), BUDGET_BYTES - SHARE_BYTES - (1 << 20));
        one.shrink_to(1);
        assert_eq!((one.bytes(), left()), (PERMIT_BYTES, BUDGET_BYTES - PERMIT_BYTES - (1 << 20)));
        drop((one, other));
        assert_eq!(left(), BUDGET_BYTES);
        drop(budget.reservation("third").unwrap());
        assert_eq!(unpoisoned(&budget.shares).len(), 1);
    }

    #[tokio::test]
    async fn a_client_waits_for_its_own_share_alone() {
        let budget = Budget::new();
        let mut first = budget.reservation("one").unwrap();
        first.grow_to(SHARE_BYTES).await.unwrap();
        let mut second = budget.reservation("one").unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(20), second.grow_to(1)).await;
        assert!(waits.is_err());
        budget.reservation("other").unwrap().grow_to(1).await.unwrap();
        drop(first);
        second.grow_to(SHARE_BYTES).await.unwrap();
    }
}
