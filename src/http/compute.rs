//! The queue for work that takes long or makes large answers: reading a large profile into a tree.
//!
//! The work runs on threads of its own, so that other requests are answered meanwhile. A request whose client leaves while
//! it waits is dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use warp::hyper::body::Bytes;

use super::answer::{Answer, AnswerBody};
use super::error::ApiError;
use crate::allocator;

/// The most threads that compute, on a machine of more cores, too.
const MAX_THREADS: usize = 4;
/// Work on a text of at most this size takes a millisecond, and is done at once.
const SMALL_TEXT_BYTES: usize = 64 << 10;
/// The texts of all work that runs, in MiB: a text of the largest size. Its tree takes up to eight times as much memory.
const TEXTS_MIB: u32 = 128;
/// How long a request waits for a thread, or for the budget of answers. Most work takes less than a second.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// The memory of all large answers that clients have not read yet, in parts of [`PART_BYTES`]: 256 MiB.
const ANSWER_PARTS: u32 = 256;
/// A part of the budget. A smaller answer takes none.
const PART_BYTES: usize = 1 << 20;
/// Memory is given back to the system after work on a text of this size.
const LARGE_TEXT_BYTES: usize = 1 << 20;

/// Where a request waits to compute.
#[derive(Debug, Clone)]
pub(crate) struct ComputeQueue {
    threads: Arc<Semaphore>,
    texts: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    max_wait: Duration,
}

impl ComputeQueue {
    /// Returns a queue with a thread for each core.
    pub(crate) fn new() -> ComputeQueue {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        ComputeQueue::with_threads(cores.min(MAX_THREADS), MAX_WAIT)
    }

    fn with_threads(threads: usize, max_wait: Duration) -> ComputeQueue {
        ComputeQueue {
            threads: Arc::new(Semaphore::new(threads)),
            texts: Arc::new(Semaphore::new(TEXTS_MIB as usize)),
            answers: Arc::new(Semaphore::new(ANSWER_PARTS as usize)),
            max_wait,
        }
    }

    /// Returns what `work` makes of a text of this size. Errors with 503 if no thread is free in time.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        text_bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        if text_bytes <= SMALL_TEXT_BYTES {
            return Ok(work());
        }
        let deadline = Instant::now() + self.max_wait;
        Ok(self.run_before(deadline, text_bytes, work).await?.0)
    }

    /// Returns the answer that `work` makes of a text of this size. A large one counts against a budget until its client
    /// has read it. Errors as [`ComputeQueue::run`] does, and if the budget is not free in time.
    pub(crate) async fn answer(
        &self,
        text_bytes: usize,
        work: impl FnOnce() -> Result<Answer, ApiError> + Send + 'static,
    ) -> Result<Answer, ApiError> {
        if text_bytes <= SMALL_TEXT_BYTES {
            return work();
        }
        let deadline = Instant::now() + self.max_wait;
        // The thread stays taken, so that few answers wait for the budget.
        let (answer, _thread) = self.run_before(deadline, text_bytes, work).await?;
        let (head, body) = answer?.into_parts();
        let size = body.as_whole().map_or(0, Bytes::len);
        let parts = u32::try_from(size / PART_BYTES).unwrap_or(u32::MAX).min(ANSWER_PARTS);
        let body = match body {
            AnswerBody::Whole(bytes) if parts > 0 => {
                let budget = self.answers.clone().acquire_many_owned(parts);
                let budget = before(deadline, budget).await?;
                Bytes::from_owner(Budgeted { bytes, _budget: budget }).into()
            }
            body => body,
        };
        Ok(Answer::from_parts(head, body))
    }

    async fn run_before<T: Send + 'static>(
        &self,
        deadline: Instant,
        text_bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, OwnedSemaphorePermit), ApiError> {
        let mib = u32::try_from(text_bytes >> 20).unwrap_or(u32::MAX).min(TEXTS_MIB);
        let text = before(deadline, self.texts.clone().acquire_many_owned(mib)).await?;
        let thread = before(deadline, self.threads.clone().acquire_owned()).await?;
        // The thread is taken until the work ends, also if the client leaves before.
        let work = tokio::task::spawn_blocking(move || {
            let _text = text;
            let done = work();
            if text_bytes >= LARGE_TEXT_BYTES {
                allocator::trim();
            }
            (done, thread)
        });
        work.await.map_err(|error| ApiError::Internal(error.into()))
    }
}

/// The bytes of an answer with their part of the budget.
struct Budgeted {
    bytes: Bytes,
    _budget: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Budgeted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Waits for permits. Errors with 503 if they are not free in time.
async fn before<E>(
    deadline: Instant,
    permits: impl Future<Output = Result<OwnedSemaphorePermit, E>>,
) -> Result<OwnedSemaphorePermit, ApiError> {
    match tokio::time::timeout_at(deadline, permits).await {
        Ok(Ok(permits)) => Ok(permits),
        _ => Err(ApiError::Busy(
            "annals is busy with other large profiles; try again later".to_string(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::answer;

    const SHORT: Duration = Duration::from_millis(50);

    fn large() -> Result<Answer, ApiError> {
        Ok(answer::text(vec![0; 200 << 20]))
    }

    #[tokio::test]
    async fn work_waits_for_a_thread_and_then_gives_up() {
        let queue = ComputeQueue::with_threads(1, SHORT);
        assert_eq!(queue.run(1 << 20, || 7).await.unwrap(), 7);
        let taken = queue.threads.clone().acquire_owned().await.unwrap();
        assert!(matches!(queue.run(1 << 20, || 7).await, Err(ApiError::Busy(_))));
        // Small work does not wait.
        assert_eq!(queue.run(1 << 10, || 7).await.unwrap(), 7);
        // A client that leaves takes no thread.
        let left = tokio::time::timeout(SHORT / 5, queue.run(1 << 20, || 7)).await;
        assert!(left.is_err());
        drop(taken);
        assert_eq!(queue.run(1 << 20, || 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn large_answers_share_a_budget_until_they_are_read() {
        let queue = ComputeQueue::with_threads(2, SHORT);
        let unread = queue.answer(1 << 20, large).await.unwrap();
        assert!(matches!(queue.answer(1 << 20, large).await, Err(ApiError::Busy(_))));
        drop(unread);
        assert!(queue.answer(1 << 20, large).await.is_ok());
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_thread_back() {
        let queue = ComputeQueue::with_threads(1, SHORT);
        assert!(queue.run(1 << 20, || -> usize { panic!("a test") }).await.is_err());
        assert_eq!(queue.run(1 << 20, || 7).await.unwrap(), 7);
    }
}
