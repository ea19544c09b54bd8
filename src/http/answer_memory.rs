//! The memory of large answers that are made, kept, or not read yet by their clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use warp::hyper::body::Bytes;

use super::answer::{Answer, AnswerBody};
use super::auth::Principal;
use super::client::Client;
use super::error::ApiError;
use super::lock;

/// What memory is counted in. A smaller answer takes none, so that it is sent whatever others leave unread.
const PART_BYTES: usize = 64 << 10;
/// An answer that is no list counts from this size: larger than nearly all pages.
const COUNTED_BYTES: usize = 256 << 10;
/// The memory of all: 256 MiB, which hold 32 of the largest lists.
const ALL_PARTS: usize = 4096;
/// The memory of one client: the other half is for everybody else.
const EACH_PARTS: usize = ALL_PARTS / 2;
/// The memory of one client for lists that may read many queries before they have a page: the other half is for its quick
/// lists, which else would wait for them.
const SLOW_PARTS: usize = EACH_PARTS / 2;
/// What a list takes at most: the store ends a list after 8 MiB.
const LIST_BYTES: usize = 8 << 20;
/// How long a request waits until other answers are read. A client that reads nothing is cut off after 30 s.
const MAX_WAIT: Duration = Duration::from_secs(10);

const UNREAD: &str =
    "this client has too many large answers that it has not read; read them before asking for more";

/// Whoever has a share: a user, or an address where annals knows no user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    User(String),
    Address(Client),
}

/// Accounts for memory.
#[derive(Debug)]
pub(super) struct AnswerMemory {
    all: Arc<Semaphore>,
    each: Mutex<HashMap<Holder, Weak<Share>>>,
    max_wait: Duration,
}

/// The memory of one client.
#[derive(Debug)]
struct Share {
    all: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

/// Marks a request whose answer is counted already.
#[derive(Debug, Clone, Copy)]
pub(super) struct IsCounted;

/// Memory that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    all: OwnedSemaphorePermit,
    each: OwnedSemaphorePermit,
    /// Until the list is made.
    slow: Option<OwnedSemaphorePermit>,
    // As long as anything of it is reserved, the share is that of the client.
    _share: Arc<Share>,
}

/// A body with its memory.
struct Counted {
    bytes: Bytes,
    _reserved: Reserved,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AnswerMemory {
    pub(super) fn new() -> AnswerMemory {
        AnswerMemory::with_wait(MAX_WAIT)
    }

    fn with_wait(max_wait: Duration) -> AnswerMemory {
        let all = Arc::new(Semaphore::new(ALL_PARTS));
        AnswerMemory { all, each: Mutex::default(), max_wait }
    }

    /// Reserves the memory of the largest list, before a list is made; one that `is_slow` has less. Errors with
    /// 503 if it is not free in time.
    pub(super) async fn reserve_list(
        &self,
        principal: &Principal,
        client: Client,
        is_slow: bool,
    ) -> Result<Reserved, ApiError> {
        let deadline = Instant::now() + self.max_wait;
        let parts = u32::try_from(LIST_BYTES / PART_BYTES).unwrap_or(u32::MAX);
        // The client's share comes first: a client without any takes nothing from the others while it waits.
        let holder = principal.name.clone().map_or(Holder::Address(client), Holder::User);
        let share = self.of(holder);
        let each = async {
            let slow = match is_slow {
                true => Some(share.slow.clone().acquire_many_owned(parts).await?),
                false => None,
            };
            Ok::<_, AcquireError>((slow, share.all.clone().acquire_many_owned(parts).await?))
        };
        let Ok(Ok((slow, each))) = timeout_at(deadline, each).await else {
            return Err(ApiError::Busy(UNREAD.to_string()));
        };
        let all = self.all.clone().acquire_many_owned(parts);
        let Ok(Ok(all)) = timeout_at(deadline, all).await else {
            let sentence = "annals holds as many large answers as it can; try again later";
            return Err(ApiError::Busy(sentence.to_string()));
        };
        Ok(Reserved { all, each, slow, _share: share })
    }

    /// Counts an answer that is no list, if it is large, such as a query with a statement of many MB. Waiting with it would
    /// take the memory that is not free, so it becomes 503 at once.
    pub(super) fn count(&self, client: Client, answer: Answer) -> Answer {
        let size = answer.body().as_whole().map_or(0, Bytes::len);
        if size < COUNTED_BYTES {
            return answer;
        }
        let (head, body) = answer.into_parts();
        let AnswerBody::Whole(bytes) = body else {
            return Answer::from_parts(head, body);
        };
        match self.reserve_at_once(client).and_then(|reserved| reserved.hold(bytes)) {
            Ok(bytes) => Answer::from_parts(head, bytes.into()),
            Err(error) => error.into_answer(),
        }
    }

    /// Returns a reservation of nothing, which grows.
    fn reserve_at_once(&self, client: Client) -> Result<Reserved, ApiError> {
        let none = |semaphore: Arc<Semaphore>| {
            semaphore.try_acquire_many_owned(0).map_err(|_| ApiError::Busy(UNREAD.to_string()))
        };
        let share = self.of(Holder::Address(client));
        let (all, each) = (none(self.all.clone())?, none(share.all.clone())?);
        Ok(Reserved { all, each, slow: None, _share: share })
    }

    /// Returns the share of a client.
    fn of(&self, holder: Holder) -> Arc<Share> {
        let mut each = lock(&self.each);
        if let Some(share) = each.get(&holder).and_then(Weak::upgrade) {
            return share;
        }
        // A share that nobody uses is whole.
        each.retain(|_, share| share.strong_count() > 0);
        let parts = |count| Arc::new(Semaphore::new(count));
        let share = Arc::new(Share { all: parts(EACH_PARTS), slow: parts(SLOW_PARTS) });
        each.insert(holder, Arc::downgrade(&share));
        share
    }
}

impl Reserved {
    /// Returns the body of an answer, which counts as long as anybody holds it. What it does not need is free at once.
    /// Errors with 503 if it needs more than was reserved, and that is not free: JSON may have six bytes for one.
    pub(super) fn hold(mut self, bytes: Bytes) -> Result<Bytes, ApiError> {
        self.slow = None;
        let parts = bytes.len() / PART_BYTES;
        if parts == 0 {
            return Ok(bytes);
        }
        for permits in [&mut self.each, &mut self.all] {
            let reserved = permits.num_permits();
            drop(permits.split(reserved.saturating_sub(parts)));
            let missing = u32::try_from(parts.saturating_sub(reserved)).unwrap_or(u32::MAX);
            let more = permits.semaphore().clone().try_acquire_many_owned(missing);
            permits.merge(more.map_err(|_| ApiError::Busy(UNREAD.to_string()))?);
        }
        Ok(Bytes::from_owner(Counted { bytes, _reserved: self }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::answer;

    const WAIT: Duration = Duration::from_millis(30);

    fn user(name: Option<&str>) -> Principal {
        Principal {
            name: name.map(str::to_string),
            restricted_to: None,
            clusters: None,
            may_push: false,
        }
    }

    fn client(last: u8) -> Client {
        Client::of([10, 0, 0, last].into())
    }

    async fn largest(
        memory: &AnswerMemory,
        name: Option<&str>,
        last: u8,
    ) -> Result<Bytes, ApiError> {
        let reserved = memory.reserve_list(&user(name), client(last), false).await?;
        reserved.hold(vec![0; LIST_BYTES].into())
    }

    #[tokio::test]
    async fn a_client_holds_half_and_all_together_the_whole() {
        let memory = AnswerMemory::with_wait(WAIT);
        let mut unread = Vec::new();
        for _ in 0..16 {
            unread.push(largest(&memory, None, 1).await.unwrap());
        }
        assert!(matches!(largest(&memory, None, 1).await, Err(ApiError::Busy(_))));
        // A user has an own share, from any address.
        for _ in 0..16 {
            unread.push(largest(&memory, Some("alice"), 1).await.unwrap());
        }
        assert!(matches!(largest(&memory, Some("alice"), 2).await, Err(ApiError::Busy(_))));
        assert!(matches!(largest(&memory, None, 3).await, Err(ApiError::Busy(_))));
        // A copy is the same memory.
        let copy = unread[0].clone();
        drop(unread.remove(0));
        assert!(largest(&memory, None, 1).await.is_err());
        drop(copy);
        unread.push(largest(&memory, None, 1).await.unwrap());
        drop(unread);
        assert!(largest(&memory, None, 3).await.is_ok());
        assert_eq!(memory.all.available_permits(), ALL_PARTS);
        assert_eq!(lock(&memory.each).len(), 1);
    }

    #[tokio::test]
    async fn slow_lists_leave_memory_for_quick_ones() {
        let memory = AnswerMemory::with_wait(WAIT);
        let (user, client) = (user(None), client(1));
        let reserve = async |is_slow| memory.reserve_list(&user, client, is_slow).await;
        let mut reserved = Vec::new();
        // A list that is made is no slow one any more, also if it is kept.
        let mut made = Vec::new();
        for _ in 0..4 {
            made.push(reserve(true).await.unwrap().hold(vec![0; PART_BYTES].into()).unwrap());
        }
        for _ in 0..8 {
            reserved.push(reserve(true).await.unwrap());
        }
        assert!(matches!(reserve(true).await, Err(ApiError::Busy(_))));
        for _ in 0..7 {
            reserved.push(reserve(false).await.unwrap());
        }
        assert!(matches!(reserve(false).await, Err(ApiError::Busy(_))));
        drop((reserved, made));
        assert!(reserve(true).await.is_ok());
        assert_eq!(memory.all.available_permits(), ALL_PARTS);
    }

    #[test]
    fn a_large_answer_is_sent_or_rejected_at_once() {
        let memory = AnswerMemory::with_wait(WAIT);
        let answer = |bytes| memory.count(client(1), answer::text(vec![0; bytes]));
        let unread: Vec<_> = (0..2).map(|_| answer(60 << 20)).collect();
        assert!(unread.iter().all(|answer| answer.status() == 200));
        assert_eq!(answer(60 << 20).status(), 503);
        assert_eq!(answer(COUNTED_BYTES - 1).status(), 200);
        drop(unread);
        assert_eq!(answer(60 << 20).status(), 200);
        assert_eq!(memory.all.available_permits(), ALL_PARTS);
    }

    #[tokio::test]
    async fn a_list_counts_what_it_takes() {
        let memory = AnswerMemory::with_wait(WAIT);
        let mut unread = Vec::new();
        for (bytes, parts) in [(PART_BYTES - 1, 0), (PART_BYTES, 1), (1 << 20, 17), (48 << 20, 785)]
        {
            let reserved = memory.reserve_list(&user(None), client(1), false).await.unwrap();
            unread.push(reserved.hold(vec![0; bytes].into()).unwrap());
            assert_eq!(memory.all.available_permits(), ALL_PARTS - parts);
        }
        let reserved = memory.reserve_list(&user(None), client(1), false).await.unwrap();
        assert!(reserved.hold(vec![0; 100 << 20].into()).is_err());
        assert_eq!(memory.all.available_permits(), ALL_PARTS - 785);
    }
}
