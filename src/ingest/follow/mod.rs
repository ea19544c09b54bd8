//! Follows audit logs as they grow, through rotation and restarts.
//!
//! A file is known by the start of its text, not by its name or inode: rolling, copying and compressing a log
//! change those. Its checkpoint is committed together with its records, so that a crash neither loses nor doubles
//! any. What is not committed is read again.
//!
//! Files are polled a few times a second rather than watched: a poll costs a few system calls and sees what
//! notifications miss (network file systems, what happened while annals was down).
//!
//! - [`rotation`] finds the files that a pattern names, and those that a log was rolled to.
//! - [`head`] recognizes an audit log by the start of its text.
//! - [`checkpoint`] says how far each file is in the history.
//! - [`tail`] reads an open file on.

mod checkpoint;
mod head;
mod rotation;
mod tail;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::checkpoint::Checkpoints;
use self::head::Head;
use self::rotation::{Candidate, FileId, Stamp, candidates, is_gzip};
use self::tail::{Progress, Tail};
use super::{Pipeline, Source, WaitsFor};
use crate::domain::cluster::ClusterName;
use crate::formats::audit_log::AuditLog;
use crate::store::{Batch, FollowedFile, Store, WriteError};

/// From one poll of the files to the next.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// From a failed write to the next try, at first.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// From a failed write to the next try, at most.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: {}", .0.display(), .1)]
struct Unreadable(PathBuf, #[source] io::Error);

/// Audit logs to follow.
#[derive(Debug, Clone)]
pub(crate) struct FollowedLogs {
    /// A name, or a pattern with * and ?.
    pub pattern: String,
    /// The cluster that writes them.
    pub cluster: Option<ClusterName>,
}

/// Follows audit logs until the task is aborted.
pub(crate) async fn follow(pipeline: Arc<Pipeline>, store: Store, logs: Vec<FollowedLogs>) {
    let mut follower = Follower::new(pipeline, &store, logs).await;
    let mut retry = FIRST_RETRY;
    let mut is_failing = false;
    loop {
        match follower.poll().await {
            Ok(()) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!("followed logs are written again");
                }
                retry = FIRST_RETRY;
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            Err(error) => {
                let wait = retry.mul_f64(0.5 + fastrand::f64());
                if !std::mem::replace(&mut is_failing, true) {
                    let retry_in_ms = wait.as_millis();
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, retry_in_ms, "followed logs wait for the history");
                }
                follower.forget_uncommitted();
                tokio::time::sleep(wait).await;
                retry = LONGEST_RETRY.min(retry * 2);
            }
        }
    }
}

struct Follower {
    pipeline: Arc<Pipeline>,
    patterns: Vec<String>,
    /// The source of each pattern.
    sources: Vec<Arc<Source>>,
    checkpoints: Checkpoints,
    /// Open files: growing files, and rolled files that are read to their end.
    tails: HashMap<FileId, Tail>,
    /// The numbers of the patterns that named no file at the last poll.
    waiting: Vec<usize>,
    /// What the patterns named at the last poll and cannot be followed.
    special: Vec<PathBuf>,
    /// Files that need no reading until their stamp changes.
    settled: HashMap<FileId, Stamp>,
}

impl Follower {
    /// Returns a follower that knows the committed checkpoints. Retries until the store can be read.
    async fn new(pipeline: Arc<Pipeline>, store: &Store, logs: Vec<FollowedLogs>) -> Follower {
        let source = |logs: FollowedLogs| {
            let source = pipeline.source(&format!("follow {}", logs.pattern), logs.cluster);
            (logs.pattern, source)
        };
        let (patterns, sources): (Vec<String>, Vec<Arc<Source>>) =
            logs.into_iter().map(source).unzip();
        let checkpoints = loop {
            match store.followed_files().await {
                Ok(committed) => break Checkpoints::new(committed),
                Err(error) => {
                    sources.iter().for_each(|source| source.failed(&error));
                    tokio::time::sleep(LONGEST_RETRY).await;
                }
            }
        };
        let (tails, settled) = (HashMap::new(), HashMap::new());
        let (waiting, special) = (Vec::new(), Vec::new());
        Follower { pipeline, patterns, sources, checkpoints, tails, waiting, special, settled }
    }

    /// Closes all files, so that the next poll reads them again from their checkpoints.
    fn forget_uncommitted(&mut self) {
        self.tails.clear();
        self.settled.clear();
    }

    /// Reads and writes what the files got since the last poll.
    async fn poll(&mut self) -> Result<(), WriteError> {
        let found = tokio::task::block_in_place(|| candidates(&self.patterns));
        self.log_special(found.special);
        self.log_waiting(found.without_file);
        let changed = self.update_open(found.files);
        // Open files are older than the files that took their names, so they come first.
        let mut open: Vec<FileId> = self.tails.keys().copied().collect();
        open.sort_by_key(|id| !self.tails[id].rolled);
        for id in open {
            self.resume(id).await?;
        }
        for (candidate, head) in tokio::task::block_in_place(|| self.read_heads(changed)) {
            self.start(candidate, head).await?;
        }
        for (number, source) in self.sources.iter().enumerate() {
            let tails = self.tails.values().filter(|tail| tail.pattern == number);
            source.set_lag(tails.map(Tail::lag).sum());
            let has_no_file = self.waiting.contains(&number);
            source.set_waits_for(has_no_file.then_some(WaitsFor::File));
            if !has_no_file {
                source.succeeded();
            }
        }
        Ok(())
    }

    /// Logs once that a pattern names something that cannot be followed: reading it waits, perhaps for ever.
    fn log_special(&mut self, special: Vec<PathBuf>) {
        for path in &special {
            if !self.special.contains(path) {
                let path = path.display();
                tracing::warn!(%path, "a pipe, socket or device is not followed; name a file");
            }
        }
        self.special = special;
    }

    /// Logs once that a pattern names no file, and again only after it named one.
    fn log_waiting(&mut self, without_file: Vec<usize>) {
        for number in &without_file {
            if !self.waiting.contains(number) {
                tracing::info!(path = self.patterns[*number], "waiting for the file");
            }
        }
        self.waiting = without_file;
    }

    /// Tells open files their present names; returns the files that are not open and have changed.
    fn update_open(&mut self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        let named: HashSet<FileId> = candidates.iter().map(|candidate| candidate.id).collect();
        let mut changed = Vec::new();
        for candidate in candidates {
            if let Some(tail) = self.tails.get_mut(&candidate.id) {
                tail.path.clone_from(&candidate.path);
                tail.rolled |= candidate.rolled;
            } else if self.settled.get(&candidate.id) != Some(&candidate.stamp) {
                changed.push(candidate);
            }
        }
        self.settled.retain(|id, _| named.contains(id));
        // A file without a name was rolled and deleted; its rest can still be read.
        for (id, tail) in &mut self.tails {
            tail.rolled |= !named.contains(id);
        }
        changed
    }

    /// Returns the audit logs among the files with their heads, the oldest first.
    fn read_heads(&mut self, files: Vec<Candidate>) -> Vec<(Candidate, Head)> {
        let mut logs: Vec<(Candidate, Head)> = Vec::new();
        for candidate in files {
            let source = &self.sources[candidate.pattern];
            match Head::read(&candidate, source) {
                Ok(Some(head)) => logs.push((candidate, head)),
                Ok(None) => {
                    self.settled.insert(candidate.id, candidate.stamp);
                }
                Err(error) => source.failed(&Unreadable(candidate.path, error)),
            }
        }
        logs.sort_by_key(|(candidate, head)| (head.first_time, candidate.path.clone()));
        logs
    }

    /// Opens a file at its checkpoint, and reads it.
    async fn start(&mut self, candidate: Candidate, head: Head) -> Result<(), WriteError> {
        let id = candidate.id;
        let committed = self.checkpoints.find(&head.text).cloned();
        let is_read_whole = committed.as_ref().is_some_and(|committed| {
            let stamp =
                Stamp { bytes: committed.file_bytes as u64, modified_ms: committed.modified_ms };
            Path::new(&committed.path) == candidate.path && stamp == candidate.stamp
        });
        if is_gzip(&candidate.path) && is_read_whole {
            self.settled.insert(id, candidate.stamp);
            return Ok(());
        }
        let log = AuditLog::new(self.pipeline.zone());
        let open = || Tail::open(&candidate, head, committed, log);
        match tokio::task::block_in_place(open) {
            // Another file took the name meanwhile; the next poll finds both.
            Ok(None) => Ok(()),
            Ok(Some(tail)) => {
                self.tails.insert(id, tail);
                self.resume(id).await
            }
            Err(error) => {
                self.sources[candidate.pattern].failed(&Unreadable(candidate.path, error));
                self.settled.insert(id, candidate.stamp);
                Ok(())
            }
        }
    }

    /// Reads an open file to its present end, and commits what it holds.
    async fn resume(&mut self, id: FileId) -> Result<(), WriteError> {
        let Some(mut tail) = self.tails.remove(&id) else {
            return Ok(());
        };
        let source = self.sources[tail.pattern].clone();
        loop {
            let mut batch = self.pipeline.batch(&source);
            match tokio::task::block_in_place(|| tail.read(&mut batch, &source)) {
                Ok(Progress::BatchFull) => self.commit(&source, &mut tail, batch).await?,
                Ok(Progress::CaughtUp) => {
                    self.commit(&source, &mut tail, batch).await?;
                    self.tails.insert(id, tail);
                    return Ok(());
                }
                Ok(Progress::Ended) => {
                    self.commit(&source, &mut tail, batch).await?;
                    self.settled.insert(id, tail.stamp);
                    return Ok(());
                }
                Ok(Progress::Truncated) => {
                    // A copy that was made before the file was cut keeps the checkpoint.
                    self.pipeline.write(&source, batch).await?;
                    return Ok(());
                }
                Err(error) => {
                    source.failed(&Unreadable(tail.path.clone(), error));
                    self.commit(&source, &mut tail, batch).await?;
                    // The next change is the next try: a file may be found while it is compressed.
                    self.settled.insert(id, tail.stamp);
                    return Ok(());
                }
            }
        }
    }

    /// Writes records and the checkpoint of their file in one transaction.
    async fn commit(
        &mut self,
        source: &Source,
        tail: &mut Tail,
        mut batch: Batch,
    ) -> Result<(), WriteError> {
        let checkpoint = tail.checkpoint();
        if batch.is_empty() && checkpoint == tail.committed {
            return Ok(());
        }
        if let Some(checkpoint) = &checkpoint {
            batch.followed(checkpoint.clone());
        }
        self.pipeline.write(source, batch).await?;
        if let Some(checkpoint) = checkpoint {
            self.checkpoints.put(&checkpoint);
            tail.committed = Some(FollowedFile { replaces: None, ..checkpoint });
        }
        Ok(())
    }
}
