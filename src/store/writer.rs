//! The writer: one task, one transaction at a time, the same for every engine.
//!
//! A source sends a [`Batch`] through a short queue and gets an answer after the commit. The writer puts
//! the batches that wait in the queue into one transaction: many waiting clients become one large commit,
//! and a single client does not wait for others. The queue is bounded, so that a source that is faster
//! than the disk waits instead of filling the memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::batch::{Batch, WriteSummary};
use super::error::{StoreError, WriteError};

/// Batches that the queue holds.
const QUEUE: usize = 8;

/// How long a bulk commit waits for the next batch. Somebody who feeds an import by hand must not hold the
/// file for longer.
const MORE_WITHIN: Duration = Duration::from_millis(200);

/// The writer resumes upkeep after it wrote this many rows.
const UPKEEP_AFTER_ROWS: u64 = 4096;

/// How long the writer waits before it tries upkeep again that another process held up.
const UPKEEP_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How often the writer looks at the engine while there is nothing to write.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How a writer groups batches into commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitPolicy {
    /// Clients wait for each answer: the writer commits what is in the queue at once.
    Live,
    /// Nobody waits before the end: a commit waits for more batches, until it has this many records.
    Bulk(usize),
}

impl CommitPolicy {
    /// A group that has this many records gets no further batch.
    fn group_records(self) -> usize {
        match self {
            CommitPolicy::Live => 50_000,
            CommitPolicy::Bulk(records) => records,
        }
    }

    /// A group that has this many bytes of statements and profiles gets no further batch.
    fn group_bytes(self) -> usize {
        match self {
            CommitPolicy::Live => 64 << 20,
            CommitPolicy::Bulk(_) => 256 << 20,
        }
    }

    /// Steps of upkeep between two groups: more than a group causes, so that upkeep keeps up, and few
    /// enough that no client waits long.
    fn upkeep_steps(self) -> usize {
        match self {
            CommitPolicy::Live => 4,
            CommitPolicy::Bulk(_) => 16,
        }
    }
}

/// The connection of an engine that a [`Writer`] writes through.
pub(super) trait WriteConnection: Send + 'static {
    /// Writes the batches of a group in one transaction, and commits. On an error nothing of the group is
    /// stored.
    fn write_group(
        &mut self,
        group: &mut Group<'_>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes the connection ready for the next group after an error.
    fn recover(&mut self) -> impl Future<Output = ()> + Send;

    /// Looks at the engine while there is nothing to write.
    fn look(&mut self) -> impl Future<Output = ()> + Send;
    /// Keeps the engine's log small after a commit, while no client waits for the answer to it.
    fn trim_log(&mut self) -> impl Future<Output = ()> + Send;

    /// Does up to `steps` steps of the work that searches profit from and no client waits for.
    fn upkeep(&mut self, steps: usize) -> impl Future<Output = Upkeep> + Send;

    /// Closes the connection once everything is where readers of the file alone find it.
    fn close(self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What is left of an engine's upkeep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upkeep {
    /// Nothing, until rows are written.
    Done,
    /// Perhaps more.
    More,
    /// Perhaps more, but another process holds the lock.
    HeldUp,
}

type Answer = oneshot::Sender<Result<WriteSummary, WriteError>>;

/// The handle to the writing task.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<(Batch, Answer)>,
    /// Notified when the queue gets no more batches.
    finish: Arc<Notify>,
    commit_seconds: Histogram,
    task: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
}

impl Writer {
    pub(super) fn start(connection: impl WriteConnection, policy: CommitPolicy) -> Writer {
        let (queue, batches) = mpsc::channel(QUEUE);
        let finish = Arc::new(Notify::new());
        let commit_seconds = Histogram::new(exponential_buckets(0.001, 4.0, 8));
        let queued = Queued { batches, finish: finish.clone(), policy };
        let task = tokio::spawn(write_all(connection, queued, commit_seconds.clone()));
        Writer { queue, finish, commit_seconds, task: Mutex::new(Some(task)) }
    }

    /// Returns how long commits took, from the beginning of their transaction.
    pub(crate) fn commit_seconds(&self) -> Histogram {
        self.commit_seconds.clone()
    }

    /// Returns how many batches wait in the queue.
    pub(crate) fn queued(&self) -> i64 {
        (self.queue.max_capacity() - self.queue.capacity()) as i64
    }

    /// Queues a batch; waits while the queue is full. The receiver gets the answer after the commit; the
    /// answer is dropped if the writer ends before. A caller that drops the receiver withdraws the batch,
    /// unless the writer has begun with it.
    pub(crate) async fn send(
        &self,
        mut batch: Batch,
    ) -> Result<oneshot::Receiver<Result<WriteSummary, WriteError>>, WriteError> {
        if batch.is_unpacked() {
            // The runtime moves other tasks off this thread.
            tokio::task::block_in_place(|| batch.pack());
        }
        let (answer, answered) = oneshot::channel();
        self.queue.send((batch, answer)).await.map_err(|_| WriteError::Closed)?;
        Ok(answered)
    }

    /// Writes a batch, and returns after its commit.
    pub(crate) async fn write(&self, batch: Batch) -> Result<WriteSummary, WriteError> {
        self.send(batch).await?.await.unwrap_or(Err(WriteError::Closed))
    }

    /// Returns whether the writer still accepts batches.
    pub(crate) fn is_open(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Returns once every queued batch is written and moved into the file itself. The writer rejects
    /// batches from now on.
    pub(crate) async fn finish(&self) -> Result<(), WriteError> {
        self.finish.notify_one();
        let Some(task) = self.task.lock().await.take() else {
            return Ok(());
        };
        match task.await {
            Ok(ended) => Ok(ended?),
            Err(_) => Err(WriteError::Closed),
        }
    }
}

async fn write_all(
    mut connection: impl WriteConnection,
    mut queued: Queued,
    commit_seconds: Histogram,
) -> Result<(), StoreError> {
    // A database may be older than its search index.
    let mut upkeep = Upkeep::More;
    let mut rows = 0;
    loop {
        if upkeep == Upkeep::More && queued.is_idle() {
            upkeep = connection.upkeep(1).await;
            continue;
        }
        let first = tokio::select! {
            first = queued.batches.recv() => first,
            () = tokio::time::sleep(UPKEEP_AGAIN_AFTER), if upkeep == Upkeep::HeldUp => {
                upkeep = Upkeep::More;
                continue;
            }
            () = tokio::time::sleep(LOOK_EVERY), if upkeep != Upkeep::HeldUp => {
                connection.look().await;
                continue;
            }
            () = queued.finish.notified() => {
                queued.batches.close();
                continue;
            }
        };
        let Some(first) = first else { break };
        let policy = queued.policy;
        let mut group = Group::new(first, &mut queued);
        let began = Instant::now();
        match connection.write_group(&mut group).await {
            Ok(()) => {
                commit_seconds.observe(began.elapsed().as_secs_f64());
                rows += group.committed();
                connection.trim_log().await;
                if upkeep != Upkeep::Done || rows >= UPKEEP_AFTER_ROWS {
                    upkeep = connection.upkeep(policy.upkeep_steps()).await;
                    rows = 0;
                }
            }
            Err(error) => {
                group.failed(&error);
                connection.recover().await;
            }
        }
    }
    connection.close().await
}

/// The receiving end of the queue.
struct Queued {
    batches: mpsc::Receiver<(Batch, Answer)>,
    finish: Arc<Notify>,
    policy: CommitPolicy,
}

impl Queued {
    fn is_idle(&self) -> bool {
        self.batches.is_empty() && !self.batches.is_closed()
    }

    /// Returns the next batch of the same group, if there is one.
    async fn next(&mut self) -> Option<(Batch, Answer)> {
        if let Ok(next) = self.batches.try_recv() {
            return Some(next);
        }
        match self.policy {
            CommitPolicy::Live => None,
            CommitPolicy::Bulk(_) => tokio::select! {
                next = self.batches.recv() => next,
                () = self.finish.notified() => {
                    self.batches.close();
                    self.batches.recv().await
                }
                () = tokio::time::sleep(MORE_WITHIN) => None,
            },
        }
    }
}

/// The batches of one transaction, and the clients that wait for its commit.
pub(super) struct Group<'a> {
    /// The batch that the group begins with.
    first: Option<(Batch, Answer)>,
    queued: &'a mut Queued,
    records: usize,
    bytes: usize,
    /// In the order of the batches that [`Group::next`] returned.
    answers: Vec<(Answer, WriteSummary)>,
}

impl Group<'_> {
    fn new(first: (Batch, Answer), queued: &mut Queued) -> Group<'_> {
        Group { first: Some(first), queued, records: 0, bytes: 0, answers: Vec::new() }
    }

    /// Returns the next batch of the group; none once the group is full or the queue is empty. Skips
    /// batches that were withdrawn.
    pub(super) async fn next(&mut self) -> Option<Batch> {
        loop {
            let policy = self.queued.policy;
            let is_full =
                self.records >= policy.group_records() || self.bytes >= policy.group_bytes();
            let (batch, answer) = match self.first.take() {
                Some(first) => first,
                None if is_full => return None,
                None => self.queued.next().await?,
            };
            if answer.is_closed() {
                continue;
            }
            self.records += batch.rows();
            self.bytes += batch.bytes;
            self.answers.push((answer, WriteSummary::default()));
            return Some(batch);
        }
    }

    /// Notes what became of the batch that [`Group::next`] returned last.
    pub(super) fn written(&mut self, summary: WriteSummary) {
        if let Some((_, last)) = self.answers.last_mut() {
            *last = summary;
        }
    }

    /// Notes what became of all batches that [`Group::next`] returned, in their order.
    pub(super) fn all_written(&mut self, summaries: Vec<WriteSummary>) {
        for ((_, written), summary) in self.answers.iter_mut().zip(summaries) {
            *written = summary;
        }
    }

    /// Answers every client after the commit. Returns how many rows of queries are new or changed.
    fn committed(self) -> u64 {
        let mut rows = 0;
        for (answer, written) in self.answers {
            rows += written.records.new + written.records.merged;
            // The client may have gone; its batch is written all the same.
            let _ = answer.send(Ok(written));
        }
        rows
    }

    /// Answers every client that nothing was written.
    fn failed(self, error: &StoreError) {
        let first = self.first.map(|(_, answer)| answer);
        for answer in self.answers.into_iter().map(|(answer, _)| answer).chain(first) {
            let _ = answer.send(Err(error.clone().into()));
        }
    }
}
