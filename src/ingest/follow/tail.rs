//! Reads an open log on.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use flate2::read::MultiGzDecoder;

use super::checkpoint::{HEAD_BYTES, hash};
use super::head::Head;
use super::rotation::{Candidate, Stamp, identity, is_gzip};
use crate::formats::audit_log::{AuditLog, MAX_LINE_BYTES};
use crate::formats::wrapper::{Unwrapped, Unwrapper};
use crate::formats::{ForeignLines, Item, SkipReason, Skipped};
use crate::ingest::Source;
use crate::store::{Batch, FollowedFile};

/// The last record of a file counts as whole once the file has not grown for this long: nothing in a log says
/// where its last record ends.
const QUIET: Duration = Duration::from_secs(1);
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 1 << 18;
/// Records of a batch while there are more to read: large commits are cheaper.
const BATCH_RECORDS: usize = 10_000;
/// Rejected pieces of a file that are logged with their position.
const LOGGED_REJECTIONS: u64 = 3;

enum Input {
    Plain(File),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
}

/// What reading a file came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to read, but the batch is full.
    BatchFull,
    /// All is read, and the file may grow.
    CaughtUp,
    /// All is read, and the file does not grow any more.
    Ended,
    /// The file was cut, and begins anew.
    Truncated,
}

/// An open file, and how far it is read.
pub(super) struct Tail {
    pub(super) path: PathBuf,
    /// The number of the pattern that names the file.
    pub(super) pattern: usize,
    /// Whether the file was rolled, and so does not grow any more.
    pub(super) rolled: bool,
    pub(super) stamp: Stamp,
    /// The checkpoint of the file in the history.
    pub(super) committed: Option<FollowedFile>,
    input: Input,
    head: Vec<u8>,
    log: AuditLog,
    unwrapper: Option<Unwrapper>,
    /// The start of a line that a container wrote in parts, while its last part is missing.
    part_start: Option<u64>,
    /// Bytes of the text that are read.
    read_bytes: u64,
    /// The start of the incomplete last line, as much of it as a record can hold.
    line: Vec<u8>,
    /// The size of the incomplete last line.
    line_bytes: u64,
    /// The start of the incomplete last record. All before it is emitted.
    record_start: u64,
    /// How far the incomplete last record is emitted already, though it may grow.
    flushed_to: u64,
    grew_at: Instant,
    /// Whether all of a compressed file is read.
    is_ended: bool,
    rejected: u64,
}

impl Tail {
    /// Opens a file at its checkpoint. Returns `None` if another file has the name by now.
    pub(super) fn open(
        candidate: &Candidate,
        head: Head,
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
        // A file that has not changed for long is quiet from the start.
        let modified = SystemTime::UNIX_EPOCH
            + Duration::from_millis(candidate.stamp.modified_ms.max(0) as u64);
        let age = SystemTime::now().duration_since(modified).unwrap_or_default().min(QUIET);
        let now = Instant::now();
        Ok(Some(Tail {
            path: candidate.path.clone(),
            pattern: candidate.pattern,
            rolled: candidate.rolled,
            stamp: candidate.stamp,
            committed,
            input,
            head: head.text,
            log,
            unwrapper: head.unwrapper,
            part_start: None,
            read_bytes,
            line: Vec::new(),
            line_bytes: 0,
            record_start: read_bytes,
            flushed_to: read_bytes,
            grew_at: now.checked_sub(age).unwrap_or(now),
            is_ended: false,
            rejected: 0,
        }))
    }

    /// Bytes of the file that are not read yet.
    pub(super) fn lag(&self) -> u64 {
        match self.input {
            Input::Plain(_) => self.stamp.bytes.saturating_sub(self.read_bytes),
            Input::Gzip(_) => 0,
        }
    }

    /// Reads on until the batch is full or the file has no more.
    pub(super) fn read(&mut self, batch: &mut Batch, source: &Source) -> io::Result<Progress> {
        if self.is_truncated()? {
            if let Some(item) = self.log.end() {
                self.emit(item, batch, source);
            }
            return Ok(Progress::Truncated);
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
            self.split(&chunk[..length], batch, source);
            if batch.records() >= BATCH_RECORDS || batch.is_large() {
                return Ok(Progress::BatchFull);
            }
        }
        let is_quiet = matches!(self.input, Input::Gzip(_)) || self.grew_at.elapsed() >= QUIET;
        if is_quiet && self.rolled {
            self.finish(batch, source);
            return Ok(Progress::Ended);
        }
        if is_quiet && self.line_bytes == 0 && self.flushed_to < self.read_bytes {
            // The checkpoint stays before this record: if the record grows, it is read again from its start, and
            // the longer one replaces this one. Lines behind it are counted once it has ended.
            match self.log.peek_record() {
                Some(Item::Record { record, .. }) => batch.record(*record),
                Some(Item::Login { login, .. }) => batch.login(*login),
                _ => {}
            }
            self.flushed_to = self.read_bytes;
        }
        Ok(Progress::CaughtUp)
    }

    /// Whether the file was cut, even if it has grown again since.
    fn is_truncated(&mut self) -> io::Result<bool> {
        let Input::Plain(file) = &self.input else {
            return Ok(false);
        };
        let (_, stamp) = identity(&file.metadata()?);
        if stamp == self.stamp {
            return Ok(false);
        }
        self.stamp = stamp;
        self.grew_at = Instant::now();
        // A copy that is being made is shorter than its checkpoint, which is that of the original.
        let is_copy =
            self.committed.as_ref().is_some_and(|known| known.read_bytes as u64 == self.read_bytes);
        if stamp.bytes < self.read_bytes && !(is_copy && stamp.bytes >= self.head.len() as u64) {
            return Ok(true);
        }
        let mut head = vec![0; self.head.len()];
        let is_same = file.read_exact_at(&mut head, 0).is_ok() && head == self.head;
        Ok(!is_same)
    }

    /// Splits what was read into lines.
    fn split(&mut self, mut chunk: &[u8], batch: &mut Batch, source: &Source) {
        let missing = HEAD_BYTES.saturating_sub(self.head.len());
        if missing > 0 {
            let known = (self.head.len() as u64).saturating_sub(self.read_bytes) as usize;
            let new = chunk.get(known..).unwrap_or_default();
            self.head.extend_from_slice(&new[..new.len().min(missing)]);
        }
        self.read_bytes += chunk.len() as u64;
        while !chunk.is_empty() {
            let (length, is_whole) = match memchr::memchr(b'\n', chunk) {
                Some(at) => (at + 1, true),
                None => (chunk.len(), false),
            };
            let capacity = MAX_LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(&chunk[..length.min(capacity)]);
            self.line_bytes += length as u64;
            chunk = &chunk[length..];
            if is_whole {
                let line_start = self.read_bytes - chunk.len() as u64 - self.line_bytes;
                self.parse_line(line_start, batch, source);
            }
        }
    }

    /// Parses the line that is complete now.
    fn parse_line(&mut self, line_start: u64, batch: &mut Batch, source: &Source) {
        let line = std::mem::take(&mut self.line);
        self.end_partial_line(&line, batch, source);
        let start = self.part_start.unwrap_or(line_start);
        let (unwrapped, is_within) = match &mut self.unwrapper {
            None => (Unwrapped::Line(Cow::Borrowed(line.as_slice())), false),
            Some(unwrapper) => (unwrapper.unwrap_line(&line), unwrapper.is_within_line()),
        };
        let skipped = |reason| Some(Item::Skipped(Skipped { line: 0, reason }));
        let item = match &unwrapped {
            Unwrapped::Line(line) => self.log.push_line(line),
            // The record before is whole, however long no other comes.
            Unwrapped::OtherLog => self.log.end(),
            Unwrapped::Nothing => None,
            Unwrapped::NotWrapped => skipped(SkipReason::NotWrapped),
            Unwrapped::OutsideRecord => skipped(SkipReason::OutsideRecord),
        };
        if let Some(item) = item {
            self.emit(item, batch, source);
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

    /// Parses the parts of a container's line whose last part never came, if this line ends them.
    fn end_partial_line(&mut self, line: &[u8], batch: &mut Batch, source: &Source) {
        let Some(partial) =
            self.unwrapper.as_mut().and_then(|unwrapper| unwrapper.interrupted_line(line))
        else {
            return;
        };
        let start = self.part_start.take();
        if let Some(item) = self.log.push_line(&partial) {
            self.emit(item, batch, source);
        }
        if let Some(start) = start
            && self.log.is_at_first_line() == Some(true)
        {
            self.record_start = start;
        }
    }

    /// Parses what is left of a file that does not grow any more.
    fn finish(&mut self, batch: &mut Batch, source: &Source) {
        if self.line_bytes > 0 {
            self.parse_line(self.read_bytes - self.line_bytes, batch, source);
        }
        for line in self.unwrapper.as_mut().map(Unwrapper::end).unwrap_or_default() {
            if let Some(item) = self.log.push_line(&line) {
                self.emit(item, batch, source);
            }
        }
        if let Some(item) = self.log.end() {
            self.emit(item, batch, source);
        }
        self.record_start = self.read_bytes;
        self.is_ended = true;
    }

    fn emit(&mut self, item: Item, batch: &mut Batch, source: &Source) {
        match item {
            Item::Record { record, foreign, .. } => {
                batch.record(*record);
                count_foreign(foreign, source);
            }
            Item::Login { login, foreign } => {
                batch.login(*login);
                count_foreign(foreign, source);
            }
            Item::Profile { profile, .. } => batch.profile(*profile),
            // An audit log yields none.
            Item::OtherFile => {}
            Item::Skipped(Skipped { reason, .. }) => {
                source.rejected(reason);
                // Doris writes records of other types all the time.
                if reason != SkipReason::OtherType {
                    self.log_rejection(reason);
                }
            }
        }
    }

    fn log_rejection(&mut self, reason: SkipReason) {
        self.rejected += 1;
        if self.rejected <= LOGGED_REJECTIONS {
            let (path, at_byte) = (self.path.display(), self.record_start);
            tracing::warn!(%path, at_byte, %reason, "a piece of a followed log was skipped");
        }
    }

    /// Returns the checkpoint of the file once all that was emitted is committed, or None if nothing was.
    pub(super) fn checkpoint(&self) -> Option<FollowedFile> {
        let head = &self.head[..self.head.len().min(self.record_start as usize)];
        if head.is_empty() {
            return None;
        }
        let head_hash = hash(head);
        let before = self.committed.as_ref();
        let replaces = before.filter(|before| before.head_hash != head_hash);
        // A compressed file that is read whole is known by its stamp, and not opened again.
        let (file_bytes, modified_ms) = match self.input {
            Input::Gzip(_) if self.is_ended => (self.stamp.bytes as i64, self.stamp.modified_ms),
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

/// Counts lines between records.
fn count_foreign(foreign: Option<ForeignLines>, source: &Source) {
    for _ in 0..foreign.map_or(0, |lines| lines.count) {
        source.rejected(SkipReason::OutsideRecord);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;
    use crate::domain::time::Zone;

    fn record(number: u32, statement: &str) -> String {
        format!(
            "2024-08-06 11:15:51,248 [query] |Client=10.0.0.1:1|User=u|Time(ms)=1|QueryId=1-{number}\
             |Stmt={statement}|CpuTimeMS=0\n"
        )
    }

    fn open(path: &Path, rolled: bool, committed: Option<FollowedFile>) -> Tail {
        let (id, stamp) = identity(&path.metadata().unwrap());
        let candidate = Candidate { id, stamp, path: path.to_path_buf(), pattern: 0, rolled };
        let head = Head::read(&candidate, &Source::default()).unwrap().unwrap();
        let log = AuditLog::new(Zone::UTC);
        Tail::open(&candidate, head, committed, log).unwrap().unwrap()
    }

    fn append(path: &Path, text: &str) {
        let mut file = File::options().append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn the_checkpoint_stays_before_a_record_that_may_grow() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fe.audit.log");
        let (first, second) = (record(1, "select 1"), record(2, "select\n  2"));
        std::fs::write(&path, format!("{first}{second}")).unwrap();
        let mut tail = open(&path, false, None);
        let (mut batch, source) = (Batch::default(), Source::default());
        assert_eq!(tail.read(&mut batch, &source).unwrap(), Progress::CaughtUp);
        assert_eq!(batch.records(), 1);
        assert_eq!(tail.checkpoint().unwrap().read_bytes, first.len() as i64);
        // Once the file is quiet, the last record is emitted once, and the checkpoint stays.
        tail.grew_at = Instant::now().checked_sub(QUIET).unwrap();
        for _ in 0..2 {
            assert_eq!(tail.read(&mut batch, &source).unwrap(), Progress::CaughtUp);
            assert_eq!(batch.records(), 2);
            assert_eq!(tail.checkpoint().unwrap().read_bytes, first.len() as i64);
        }
        // A restart reads it again.
        let mut tail = open(&path, true, tail.checkpoint());
        tail.grew_at = Instant::now().checked_sub(QUIET).unwrap();
        let mut batch = Batch::default();
        assert_eq!(tail.read(&mut batch, &source).unwrap(), Progress::Ended);
        assert_eq!(batch.records(), 1);
        let checkpoint = tail.checkpoint().unwrap();
        assert_eq!(checkpoint.read_bytes, (first.len() + second.len()) as i64);
    }

    #[test]
    fn a_file_that_is_cut_and_grows_again_is_truncated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fe.audit.log");
        std::fs::write(&path, record(1, "select 1")).unwrap();
        let mut tail = open(&path, false, None);
        let (mut batch, source) = (Batch::default(), Source::default());
        tail.read(&mut batch, &source).unwrap();
        append(&path, &record(2, "select 2"));
        assert_eq!(tail.read(&mut batch, &source).unwrap(), Progress::CaughtUp);
        assert_eq!((batch.records(), tail.lag()), (1, 0));
        std::fs::write(
            &path,
            [record(3, "select 3"), record(4, "select 4"), record(5, "x")].concat(),
        )
        .unwrap();
        assert_eq!(tail.read(&mut batch, &source).unwrap(), Progress::Truncated);
        assert_eq!(batch.records(), 2);
    }
}
