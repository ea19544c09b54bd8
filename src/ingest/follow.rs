//! Follows audit logs as they grow, through rotation and restarts.
//!
//! A file is known by the start of its text, not by its name or inode: rolling, copying and compressing a
//! log change those. How far it is in the history is committed together with its records, so that a crash
//! neither loses nor doubles any. What is not committed is read again.
//!
//! Files are looked at a few times a second rather than watched: a look costs a few system calls, sees
//! what notifications miss (network file systems, what happened while annals was down), and nothing is
//! known of a file that a look does not tell.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::NaiveDateTime;
use flate2::read::MultiGzDecoder;
use xxhash_rust::xxh3::xxh3_128;

use super::{Parcel, Pipeline, Source};
use crate::domain::time::leading_local_time;
use crate::formats::audit_log::{AuditLog, MAX_LINE_BYTES};
use crate::formats::encoding::Encoding;
use crate::formats::wrapper::{Unwrapped, Unwrapper};
use crate::formats::{ForeignLines, Item, SkipReason, Skipped};
use crate::store::{FollowedFile, Store, WriteError};

/// From one look at the files to the next.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A last record is taken for whole when its file has not grown for so long: nothing in a log says where
/// its last record ends.
const QUIET: Duration = Duration::from_secs(1);
/// From a failed write to the next try, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// The start of a text that tells it from others: some records, each with a time and an id.
const HEAD_BYTES: usize = 1024;
/// How much of a file is looked at to sniff it.
const RECOGNISED_BYTES: u64 = 1 << 20;
/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 18;
/// Records that are written together while there are more: large commits are cheaper.
const FULL_RECORDS: usize = 10_000;
/// Places of a file that are told of in the log, where something was not understood.
const PLACES: u64 = 3;

/// Follows what `patterns` name, for ever.
pub(crate) async fn follow(pipeline: Arc<Pipeline>, store: Store, patterns: Vec<String>) {
    let sources: Vec<Arc<Source>> =
        patterns.iter().map(|pattern| pipeline.source(&format!("follow {pattern}"))).collect();
    let known = loop {
        match store.followed_files().await {
            Ok(known) => break known,
            Err(error) => {
                sources.iter().for_each(|source| source.failed(&error));
                tokio::time::sleep(RETRY.1).await;
            }
        }
    };
    let mut follower = Follower {
        pipeline,
        patterns,
        sources,
        known,
        tails: HashMap::new(),
        seen: HashMap::new(),
    };
    let mut retry = RETRY.0;
    loop {
        match follower.look().await {
            Ok(()) => {
                retry = RETRY.0;
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "followed logs hold their place, for the history cannot be written"
                );
                // What is not committed is read again, by whatever the disk takes next.
                follower.tails.clear();
                follower.seen.clear();
                tokio::time::sleep(retry.mul_f64(0.5 + fastrand::f64())).await;
                retry = RETRY.1.min(retry * 2);
            }
        }
    }
}

struct Follower {
    pipeline: Arc<Pipeline>,
    patterns: Vec<String>,
    sources: Vec<Arc<Source>>,
    /// What is committed.
    known: Vec<FollowedFile>,
    /// The files that are open: those that grow, and those that are read to their end.
    tails: HashMap<FileId, Tail>,
    /// What needs no further look until it changes.
    seen: HashMap<FileId, Stamp>,
}

/// Device and inode: which file a name stands for, for as long as it is open.
type FileId = (u64, u64);

/// What changes when a file does: its size, and when it was changed in Unix milliseconds.
type Stamp = (u64, i64);

/// A file that a pattern names now.
struct Candidate {
    id: FileId,
    stamp: Stamp,
    path: PathBuf,
    pattern: usize,
    /// Whether it was rolled, and so has been written to its end.
    rolled: bool,
}

impl Candidate {
    fn new(path: PathBuf, pattern: usize, rolled: bool) -> Option<Candidate> {
        let metadata = path.metadata().ok().filter(Metadata::is_file)?;
        let rolled = rolled || is_gzip(&path);
        let (id, stamp) = identity(&metadata);
        Some(Candidate { id, stamp, path, pattern, rolled })
    }
}

fn identity(metadata: &Metadata) -> (FileId, Stamp) {
    let modified_ms = metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000;
    ((metadata.dev(), metadata.ino()), (metadata.len(), modified_ms))
}

fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

impl Follower {
    /// Takes in what is new since the last look.
    async fn look(&mut self) -> Result<(), WriteError> {
        let candidates = tokio::task::block_in_place(|| self.candidates());
        let named: HashSet<FileId> = candidates.iter().map(|candidate| candidate.id).collect();
        let mut changed = Vec::new();
        for candidate in candidates {
            if let Some(tail) = self.tails.get_mut(&candidate.id) {
                tail.path.clone_from(&candidate.path);
                tail.rolled |= candidate.rolled;
            } else if self.seen.get(&candidate.id) != Some(&candidate.stamp) {
                changed.push(candidate);
            }
        }
        self.seen.retain(|id, _| named.contains(id));
        // A file without a name was rolled away and deleted; its rest is still there.
        for (id, tail) in &mut self.tails {
            tail.rolled |= !named.contains(id);
        }

        // What is open goes on first: it is older than what took its name.
        let mut open: Vec<FileId> = self.tails.keys().copied().collect();
        open.sort_by_key(|id| !self.tails[id].rolled);
        for id in open {
            self.go_on(id).await?;
        }
        let mut logs: Vec<(Candidate, Start)> = Vec::new();
        for candidate in changed {
            match tokio::task::block_in_place(|| {
                Start::read(&candidate, &self.sources[candidate.pattern])
            }) {
                Ok(Some(start)) => logs.push((candidate, start)),
                Ok(None) => {
                    self.seen.insert(candidate.id, candidate.stamp);
                }
                Err(error) => {
                    self.sources[candidate.pattern].failed(&Unreadable(candidate.path, error));
                }
            }
        }
        logs.sort_by_key(|(candidate, start)| (start.first_time, candidate.path.clone()));
        for (candidate, start) in logs {
            self.start(candidate, start).await?;
        }

        for (number, source) in self.sources.iter().enumerate() {
            let of_way = self.tails.values().filter(|tail| tail.pattern == number);
            source.lag(of_way.map(Tail::behind).sum());
            source.succeeded();
        }
        Ok(())
    }

    /// The files that the patterns name, each once.
    fn candidates(&self) -> Vec<Candidate> {
        let mut candidates: BTreeMap<PathBuf, Candidate> = BTreeMap::new();
        for (number, pattern) in self.patterns.iter().enumerate() {
            let mut live: Vec<PathBuf> = match glob::glob(pattern) {
                Ok(paths) => paths.filter_map(Result::ok).collect(),
                // Not a pattern, but perhaps a name.
                Err(_) => Vec::new(),
            };
            // The name itself may be missing just now, while what it was rolled to is there.
            if !live.iter().any(|path| path.as_os_str() == pattern.as_str()) {
                live.push(PathBuf::from(pattern));
            }
            for path in &live {
                for rolled in rolled(path) {
                    if let Some(candidate) = Candidate::new(rolled.clone(), number, true) {
                        candidates.insert(rolled, candidate);
                    }
                }
            }
            for path in live {
                if !candidates.contains_key(&path)
                    && let Some(candidate) = Candidate::new(path.clone(), number, false)
                {
                    candidates.insert(path, candidate);
                }
            }
        }
        let mut ids = HashSet::new();
        candidates.into_values().filter(|candidate| ids.insert(candidate.id)).collect()
    }

    /// Begins with a file where the history ends.
    async fn start(&mut self, candidate: Candidate, start: Start) -> Result<(), WriteError> {
        let id = candidate.id;
        let known = self.known_of(&start.head).cloned();
        let read_whole = known.as_ref().is_some_and(|known| {
            let stamp = (known.file_bytes as u64, known.modified_ms);
            Path::new(&known.path) == candidate.path && stamp == candidate.stamp
        });
        if is_gzip(&candidate.path) && read_whole {
            self.seen.insert(id, candidate.stamp);
            return Ok(());
        }
        let log = AuditLog::new(self.pipeline.zone());
        let open = || Tail::open(&candidate, start, known, log);
        match tokio::task::block_in_place(open) {
            // Another file took its name meanwhile; the next look finds both.
            Ok(None) => Ok(()),
            Ok(Some(tail)) => {
                self.tails.insert(id, tail);
                self.go_on(id).await
            }
            Err(error) => {
                self.sources[candidate.pattern].failed(&Unreadable(candidate.path, error));
                self.seen.insert(id, candidate.stamp);
                Ok(())
            }
        }
    }

    /// The file that begins with `head`, as far as it is committed.
    fn known_of(&self, head: &[u8]) -> Option<&FollowedFile> {
        // Most have the same size of head: each is hashed once.
        let mut hashes: HashMap<i64, String> = HashMap::new();
        let matching = self.known.iter().filter(|known| {
            let start = usize::try_from(known.head_bytes).ok().and_then(|bytes| head.get(..bytes));
            start.is_some_and(|start| {
                *hashes.entry(known.head_bytes).or_insert_with(|| hash(start)) == known.head_hash
            })
        });
        matching.max_by_key(|known| known.head_bytes)
    }

    /// Reads a file as far as it goes now.
    async fn go_on(&mut self, id: FileId) -> Result<(), WriteError> {
        let Some(mut tail) = self.tails.remove(&id) else {
            return Ok(());
        };
        let source = self.sources[tail.pattern].clone();
        loop {
            let mut parcel = self.pipeline.parcel();
            let read = tokio::task::block_in_place(|| tail.read(&mut parcel, &source));
            let more = match read {
                Ok(Step::Full) => true,
                Ok(Step::Waits) => false,
                Ok(Step::Ended) => {
                    self.commit(&source, &mut tail, parcel).await?;
                    self.seen.insert(id, tail.stamp);
                    return Ok(());
                }
                Ok(Step::Truncated) => {
                    // The copy that was made of it before, if one was, is another file and goes on.
                    self.pipeline.write(&source, parcel).await?;
                    return Ok(());
                }
                Err(error) => {
                    source.failed(&Unreadable(tail.path.clone(), error));
                    self.commit(&source, &mut tail, parcel).await?;
                    // It is tried again when it changes: a file may be found while it is compressed.
                    self.seen.insert(id, tail.stamp);
                    return Ok(());
                }
            };
            self.commit(&source, &mut tail, parcel).await?;
            if !more {
                self.tails.insert(id, tail);
                return Ok(());
            }
        }
    }

    /// Writes records and how far their file is, in one transaction.
    async fn commit(
        &mut self,
        source: &Source,
        tail: &mut Tail,
        mut parcel: Parcel,
    ) -> Result<(), WriteError> {
        let place = tail.place();
        if parcel.is_empty() && place == tail.committed {
            return Ok(());
        }
        if let Some(place) = &place {
            parcel.followed(place.clone());
        }
        self.pipeline.write(source, parcel).await?;
        if let Some(place) = place {
            let replaced = |known: &FollowedFile| {
                known.head_hash == place.head_hash
                    || Some(&known.head_hash) == place.replaces.as_ref()
            };
            self.known.retain(|known| !replaced(known));
            let place = FollowedFile { replaces: None, ..place };
            self.known.push(place.clone());
            tail.committed = Some(place);
        }
        Ok(())
    }
}

/// What a log was rolled to: `fe.audit.log.20240806-1`, `fe.audit.log-20240806.gz`.
fn rolled(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else {
        return Vec::new();
    };
    let is_rolled = |entry: &std::fs::DirEntry| {
        let entry = entry.file_name();
        let behind = entry.to_str().and_then(|entry| entry.strip_prefix(name));
        behind.is_some_and(|behind| behind.len() > 1 && behind.starts_with(['.', '-']))
    };
    let rolled = entries.filter_map(Result::ok).filter(is_rolled);
    rolled.map(|entry| path.with_file_name(entry.file_name())).collect()
}

fn hash(head: &[u8]) -> String {
    format!("{:032x}", xxh3_128(head))
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: {}", .0.display(), .1)]
struct Unreadable(PathBuf, #[source] io::Error);

/// The start of an audit log.
struct Start {
    head: Vec<u8>,
    first_time: Option<NaiveDateTime>,
    /// What takes off the wrappers of a container's log.
    unwrapper: Option<Unwrapper>,
}

/// A file in an encoding whose lines cannot be told while it grows.
#[derive(Debug, thiserror::Error)]
#[error("{} is in {encoding:?}; a followed log must be in UTF-8, annals import reads it", path.display())]
struct NotUtf8 {
    path: PathBuf,
    encoding: Encoding,
}

impl Start {
    /// Reads the start of a file; `None` where it is not an audit log, or not yet.
    fn read(candidate: &Candidate, source: &Source) -> io::Result<Option<Start>> {
        let mut file = File::open(&candidate.path)?.take(RECOGNISED_BYTES);
        let mut text = Vec::new();
        if is_gzip(&candidate.path) {
            // Half a file has half a start.
            let _ = MultiGzDecoder::new(file).take(RECOGNISED_BYTES).read_to_end(&mut text);
        } else {
            file.read_to_end(&mut text)?;
        }
        let unwrapper = Unwrapper::detect(&text);
        let is_log = match &unwrapper {
            // A container may write much before its first record.
            Some(unwrapper) => unwrapper.is_certain() || unwrapper.clone().finds_record(&text),
            None => AuditLog::sniff(&text),
        };
        if !is_log {
            if let Some(encoding) = Encoding::of(&text, None) {
                source.failed(&NotUtf8 { path: candidate.path.clone(), encoding });
            }
            return Ok(None);
        }
        let mut lines = text.split(|byte| *byte == b'\n');
        let first_time = lines.find_map(|line| Some(leading_local_time(line)?.0));
        let head = text[..text.len().min(HEAD_BYTES)].to_vec();
        Ok(Some(Start { head, first_time, unwrapper }))
    }
}

enum Input {
    Plain(File),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
}

/// How reading a file went.
enum Step {
    /// There is more, but it is time to write.
    Full,
    /// It may grow.
    Waits,
    /// It was read to its end and does not grow any more.
    Ended,
    /// It was cut, and begins anew.
    Truncated,
}

/// An open file, and how far it is read.
struct Tail {
    path: PathBuf,
    pattern: usize,
    rolled: bool,
    input: Input,
    stamp: Stamp,
    head: Vec<u8>,
    log: AuditLog,
    /// What takes off the wrappers of a container's log.
    unwrapper: Option<Unwrapper>,
    /// Where the first part begins of a line that a container wrote in parts and not to its end yet.
    part_start: Option<u64>,
    /// The bytes of the text that were read.
    read_bytes: u64,
    /// The start of a line whose end is not there yet, as much of it as a record can hold, and its size.
    line: Vec<u8>,
    line_bytes: u64,
    /// Where the record that is not complete yet begins: all before it was handed on.
    record_start: u64,
    /// How far the open record was handed on, though it may go on.
    told: u64,
    /// When the file was seen to change.
    grown: Instant,
    committed: Option<FollowedFile>,
    /// Whether the whole of a compressed file was read.
    ended: bool,
    /// Pieces that were not understood.
    rejected: u64,
}

impl Tail {
    /// Opens a file where what is committed of it ends; `None` if it is not the file that was looked at.
    fn open(
        candidate: &Candidate,
        start: Start,
        committed: Option<FollowedFile>,
        log: AuditLog,
    ) -> io::Result<Option<Tail>> {
        let read_bytes = committed.as_ref().map_or(0, |known| known.read_bytes as u64);
        let mut file = File::open(&candidate.path)?;
        if identity(&file.metadata()?).0 != candidate.id {
            return Ok(None);
        }
        let input = if is_gzip(&candidate.path) {
            let mut text = Box::new(MultiGzDecoder::new(BufReader::new(file)));
            io::copy(&mut text.by_ref().take(read_bytes), &mut io::sink())?;
            Input::Gzip(text)
        } else {
            file.seek(SeekFrom::Start(read_bytes))?;
            Input::Plain(file)
        };
        // What has not changed for long needs no quiet time.
        let modified =
            SystemTime::UNIX_EPOCH + Duration::from_millis(candidate.stamp.1.max(0) as u64);
        let age = SystemTime::now().duration_since(modified).unwrap_or_default().min(QUIET);
        let now = Instant::now();
        Ok(Some(Tail {
            path: candidate.path.clone(),
            pattern: candidate.pattern,
            rolled: candidate.rolled,
            input,
            stamp: candidate.stamp,
            head: start.head,
            log,
            unwrapper: start.unwrapper,
            part_start: None,
            read_bytes,
            line: Vec::new(),
            line_bytes: 0,
            record_start: read_bytes,
            told: read_bytes,
            grown: now.checked_sub(age).unwrap_or(now),
            committed,
            ended: false,
            rejected: 0,
        }))
    }

    fn behind(&self) -> u64 {
        match self.input {
            Input::Plain(_) => self.stamp.0.saturating_sub(self.read_bytes),
            Input::Gzip(_) => 0,
        }
    }

    /// Reads on, until there is enough to write or nothing more.
    fn read(&mut self, parcel: &mut Parcel, source: &Source) -> io::Result<Step> {
        if self.is_truncated()? {
            if let Some(found) = self.log.end() {
                self.hand_on(found, parcel, source);
            }
            return Ok(Step::Truncated);
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = match &mut self.input {
                Input::Plain(file) => file.read(&mut chunk)?,
                Input::Gzip(text) => text.read(&mut chunk)?,
            };
            if length == 0 {
                break;
            }
            self.take(&chunk[..length], parcel, source);
            if parcel.records() >= FULL_RECORDS || parcel.is_large() {
                return Ok(Step::Full);
            }
        }
        let quiet = matches!(self.input, Input::Gzip(_)) || self.grown.elapsed() >= QUIET;
        if quiet && self.rolled {
            self.end(parcel, source);
            return Ok(Step::Ended);
        }
        if quiet && self.line_bytes == 0 && self.told < self.read_bytes {
            // It is read again from its start should it go on, and the longer takes its place.
            // Lines behind it are counted once it has ended.
            match self.log.peek_record() {
                Some(Item::Record { record, .. }) => parcel.record(*record),
                Some(Item::Login { login, .. }) => parcel.login(*login),
                _ => {}
            }
            self.told = self.read_bytes;
        }
        Ok(Step::Waits)
    }

    /// Looks at the file itself: whether it was cut, even if it has grown again since.
    fn is_truncated(&mut self) -> io::Result<bool> {
        let Input::Plain(file) = &self.input else {
            return Ok(false);
        };
        let (_, stamp) = identity(&file.metadata()?);
        if stamp == self.stamp {
            return Ok(false);
        }
        self.stamp = stamp;
        self.grown = Instant::now();
        // A copy may be found while it is made, and then is shorter than what is known of it.
        let copied =
            self.committed.as_ref().is_some_and(|known| known.read_bytes as u64 == self.read_bytes);
        if stamp.0 < self.read_bytes && !(copied && stamp.0 >= self.head.len() as u64) {
            return Ok(true);
        }
        let mut head = vec![0; self.head.len()];
        let same = file.read_exact_at(&mut head, 0).is_ok() && head == self.head;
        Ok(!same)
    }

    fn take(&mut self, mut chunk: &[u8], parcel: &mut Parcel, source: &Source) {
        let missing = HEAD_BYTES.saturating_sub(self.head.len());
        if missing > 0 {
            let known = (self.head.len() as u64).saturating_sub(self.read_bytes) as usize;
            let new = chunk.get(known..).unwrap_or_default();
            self.head.extend_from_slice(&new[..new.len().min(missing)]);
        }
        self.read_bytes += chunk.len() as u64;
        while !chunk.is_empty() {
            let (length, ended) = match memchr::memchr(b'\n', chunk) {
                Some(at) => (at + 1, true),
                None => (chunk.len(), false),
            };
            let room = MAX_LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(&chunk[..length.min(room)]);
            self.line_bytes += length as u64;
            chunk = &chunk[length..];
            if ended {
                let line_start = self.read_bytes - chunk.len() as u64 - self.line_bytes;
                self.take_line(line_start, parcel, source);
            }
        }
    }

    fn take_line(&mut self, line_start: u64, parcel: &mut Parcel, source: &Source) {
        let line = std::mem::take(&mut self.line);
        // A half line that this one ends begins where its first part does.
        if let Some(half) =
            self.unwrapper.as_mut().and_then(|unwrapper| unwrapper.interrupted_line(&line))
        {
            let half_start = self.part_start.take();
            if let Some(found) = self.log.push_line(&half) {
                self.hand_on(found, parcel, source);
            }
            if let Some(start) = half_start
                && self.log.is_at_first_line() == Some(true)
            {
                self.record_start = start;
            }
        }
        let start = self.part_start.unwrap_or(line_start);
        let (unwrapped, is_within) = match &mut self.unwrapper {
            None => (Unwrapped::Line(Cow::Borrowed(line.as_slice())), false),
            Some(unwrapper) => (unwrapper.unwrap_line(&line), unwrapper.is_within_line()),
        };
        let found = match &unwrapped {
            Unwrapped::Line(line) => self.log.push_line(line),
            // The record before is whole, however long no other comes.
            Unwrapped::OtherLog => self.log.end(),
            Unwrapped::Nothing => None,
            Unwrapped::NotWrapped => {
                let reason = SkipReason::NotWrapped;
                Some(Item::Skipped(Skipped { line: 0, reason }))
            }
        };
        if let Some(found) = found {
            self.hand_on(found, parcel, source);
        }
        self.part_start = is_within.then_some(start);
        match self.log.is_at_first_line() {
            Some(true) if matches!(unwrapped, Unwrapped::Line(_)) => self.record_start = start,
            Some(_) => {}
            None => {
                let line_end = line_start + self.line_bytes;
                self.record_start = self.part_start.unwrap_or(line_end);
            }
        }
        self.line = line;
        self.line.clear();
        self.line_bytes = 0;
    }

    /// Ends a file that does not grow any more.
    fn end(&mut self, parcel: &mut Parcel, source: &Source) {
        if self.line_bytes > 0 {
            self.take_line(self.read_bytes - self.line_bytes, parcel, source);
        }
        for line in self.unwrapper.as_mut().map(Unwrapper::end).unwrap_or_default() {
            if let Some(found) = self.log.push_line(&line) {
                self.hand_on(found, parcel, source);
            }
        }
        if let Some(found) = self.log.end() {
            self.hand_on(found, parcel, source);
        }
        self.record_start = self.read_bytes;
        self.ended = true;
    }

    fn hand_on(&mut self, found: Item, parcel: &mut Parcel, source: &Source) {
        match found {
            Item::Record { record, foreign, .. } => {
                parcel.record(*record);
                self.count_foreign(foreign, source);
            }
            Item::Login { login, foreign } => {
                parcel.login(*login);
                self.count_foreign(foreign, source);
            }
            Item::Profile { profile, .. } => parcel.profile(*profile),
            // Only whole files are.
            Item::OtherFile => {}
            Item::Skipped(Skipped { reason, .. }) => {
                source.rejected(reason);
                // Doris writes records of other types all the time.
                if reason != SkipReason::OtherType {
                    self.rejected += 1;
                    if self.rejected <= PLACES {
                        let (path, byte) = (self.path.display(), self.record_start);
                        tracing::warn!("{path}: {reason}, at byte {byte} or behind");
                    }
                }
            }
        }
    }

    fn count_foreign(&self, foreign: Option<ForeignLines>, source: &Source) {
        for _ in 0..foreign.map_or(0, |lines| lines.count) {
            source.rejected(SkipReason::OutsideRecord);
        }
    }

    /// How far the file is once all that was handed on is committed; `None` as long as that is nothing.
    fn place(&self) -> Option<FollowedFile> {
        let head = &self.head[..self.head.len().min(self.record_start as usize)];
        if head.is_empty() {
            return None;
        }
        let head_hash = hash(head);
        let before = self.committed.as_ref();
        let replaces = before.filter(|before| before.head_hash != head_hash);
        // Of a compressed file, what it was when it was read to its end.
        let (file_bytes, modified_ms) = match self.input {
            Input::Gzip(_) if self.ended => (self.stamp.0 as i64, self.stamp.1),
            _ => (0, 0),
        };
        Some(FollowedFile {
            replaces: replaces.map(|before| before.head_hash.clone()),
            head_bytes: head.len() as i64,
            head_hash,
            read_bytes: self.record_start as i64,
            path: self.path.display().to_string(),
            file_bytes,
            modified_ms,
        })
    }
}
