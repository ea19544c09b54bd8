//! Finds and reads the files of an import.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::ProgressBar;
use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, error::TryRecvError};
use walkdir::WalkDir;

use super::is_standard_input;
use super::report::{Problem, Report, START};
use crate::domain::readable::counted;
use crate::formats::file::{self, Emit, Location, Options};
use crate::formats::{Item, SkipReason};
use crate::store::{Batch, StoreError, WriteError, WriteSummary, Writer, is_history};

/// Returns the files at and below the paths, those of a folder by name, without the history itself.
pub(super) fn search(
    paths: &[PathBuf],
    own_file: Option<&Path>,
    report: &mut Report,
) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if is_standard_input(path) {
            files.push(path.clone());
            continue;
        }
        for entry in WalkDir::new(path).follow_links(true).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) if is_part_of(entry.path(), own_file) => {}
                // Opening a pipe waits for another program, perhaps for ever.
                Ok(entry) if entry.depth() > 0 && !entry.file_type().is_file() => {
                    report.problem(Problem::Skipped(SkipReason::NotAFile), entry.path(), START);
                }
                Ok(entry) if entry.file_type().is_file() && is_history(entry.path()) => {
                    report.histories.push(entry.into_path());
                }
                Ok(entry) if is_beside_history(entry.path()) => {}
                Ok(entry) => files.push(entry.into_path()),
                Err(error) if error.depth() == 0 && !path.exists() => report.missing(path),
                Err(error) => {
                    let place = error.path().unwrap_or(path).to_path_buf();
                    report.problem(Problem::Skipped(SkipReason::Unreadable), &place, START);
                }
            }
        }
    }
    files
}

/// Reads files until one holds something to store. Returns the report of all files if none does. Returns `None` for a pipe
/// as well: it can be read only once.
pub(super) fn report_of_nothing(
    paths: &[PathBuf],
    options: Options,
    source: &str,
) -> Option<Report> {
    let (mut report, started) = (Report::new(options.zone, source), Instant::now());
    for path in search(paths, None, &mut report) {
        if !path.is_file() {
            return None;
        }
        let emit = &mut |place: Location<'_>, item: Item| {
            report.item(&item, &path, place);
            match item {
                Item::Skipped(_) | Item::OtherFile => Ok(()),
                Item::Record { .. } | Item::Login { .. } | Item::Profile { .. } => Err(()),
            }
        };
        if !read_file(&path, &ProgressBar::hidden(), options, emit).ok()? {
            report.problem(Problem::Skipped(SkipReason::Unreadable), &path, START);
        }
        report.files += 1;
    }
    report.took = started.elapsed();
    Some(report)
}

/// Reads a file, or the standard input, and calls `emit` with what it holds. Returns whether it could be opened. Errors only
/// as `emit` does.
fn read_file<E>(
    path: &Path,
    progress: &ProgressBar,
    options: Options,
    emit: &mut Emit<'_, E>,
) -> Result<bool, E> {
    if is_standard_input(path) {
        let input = progress.wrap_read(io::stdin().lock());
        file::read(input, Path::new(""), options, emit)?;
        return Ok(true);
    }
    let Ok(file) = File::open(path) else {
        return Ok(false);
    };
    // A pipe cannot seek.
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let input = progress.wrap_read(file);
    match is_file {
        true => file::read_seekable(input, path, options, emit)?,
        false => file::read(input, path, options, emit)?,
    }
    Ok(true)
}

/// What the names of SQLite's files beside a database end with.
const ENDS: [&str; 2] = ["-wal", "-shm"];

/// Whether a file is one of SQLite's beside a history.
fn is_beside_history(file: &Path) -> bool {
    let history = |end| Some(Path::new(file.to_str()?.strip_suffix(end)?));
    ENDS.into_iter().filter_map(history).any(|path| path.is_file() && is_history(path))
}

/// Whether a file is the history, or its write-ahead log.
fn is_part_of(file: &Path, history: Option<&Path>) -> bool {
    let (Ok(file), Some(history)) = (file.canonicalize(), history) else {
        return false;
    };
    ENDS.into_iter().chain([""]).any(|end| {
        let mut name = history.as_os_str().to_os_string();
        name.push(end);
        file.as_os_str() == name
    })
}

/// Reads files, and sends what they hold to the writer.
pub(super) struct Reader {
    runtime: Handle,
    writer: Writer,
    options: Options,
    batch: Batch,
    /// The results of the batches that were sent, the oldest first.
    pending: VecDeque<oneshot::Receiver<Result<WriteSummary, WriteError>>>,
    progress: ProgressBar,
    started: Instant,
    report: Report,
}

impl Reader {
    pub(super) fn new(
        runtime: Handle,
        writer: Writer,
        options: Options,
        batch: Batch,
        progress: ProgressBar,
        report: Report,
    ) -> Reader {
        let (pending, started) = (VecDeque::new(), Instant::now());
        Reader { runtime, writer, options, batch, pending, progress, started, report }
    }

    /// Reads the files, and returns the report once everything is stored.
    pub(super) fn run(mut self, files: &[PathBuf]) -> anyhow::Result<Report> {
        match self.read_all(files).and_then(|()| self.finish()) {
            Ok(()) => Ok(self.report),
            Err(error) => Err(self.with_stored(error)),
        }
    }

    fn read_all(&mut self, files: &[PathBuf]) -> Result<(), WriteError> {
        for path in files {
            let (progress, options) = (self.progress.clone(), self.options);
            let add = &mut |place: Location<'_>, item| self.add(item, path, place);
            if !read_file(path, &progress, options, add)? {
                self.report.problem(Problem::Skipped(SkipReason::Unreadable), path, START);
            }
            self.report.files += 1;
        }
        self.send()
    }

    /// Adds what a file holds to the batch, and sends the batch if it is full.
    fn add(&mut self, item: Item, path: &Path, place: Location<'_>) -> Result<(), WriteError> {
        self.report.item(&item, path, place);
        match item {
            Item::Record { record, .. } => self.batch.record(*record),
            Item::Login { login, .. } => self.batch.login(*login),
            Item::Profile { profile, .. } => self.batch.profile(*profile),
            Item::Skipped(_) | Item::OtherFile => {}
        }
        if self.batch.is_full() { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), WriteError> {
        let batch = self.batch.take();
        self.report.excluded += batch.excluded();
        let result = self.runtime.block_on(self.writer.send(batch))?;
        self.pending.push_back(result);
        // A full disk ends the import here, and not after the last file.
        while let Some(result) = self.pending.front_mut() {
            let written = match result.try_recv() {
                Ok(written) => written,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Closed) => Err(WriteError::Closed),
            };
            self.pending.pop_front();
            self.report.written.add(written?);
        }
        let records = self.report.written.records.total();
        let rate = records as f64 / self.started.elapsed().as_secs_f64();
        self.progress.set_message(format!("{records} records, {rate:.0}/s, "));
        Ok(())
    }

    /// Waits for the commits.
    fn finish(&mut self) -> Result<(), WriteError> {
        let (writer, written, pending) =
            (&self.writer, &mut self.report.written, &mut self.pending);
        let add_written = async {
            while let Some(result) = pending.front_mut() {
                let result = result.await.unwrap_or(Err(WriteError::Closed));
                pending.pop_front();
                written.add(result?);
            }
            Ok(())
        };
        // The writer waits for more until it is finished, and commits after that. The first error ends the import: a database
        // that does not answer would be waited for once for each group.
        self.runtime.block_on(async { tokio::try_join!(writer.finish(), add_written) })?;
        self.progress.finish_and_clear();
        self.report.took = self.started.elapsed();
        Ok(())
    }

    /// Adds to the error of a full disk how many records are stored.
    fn with_stored(mut self, error: WriteError) -> anyhow::Error {
        if !matches!(error, WriteError::Store(StoreError::Full(_))) {
            return error.into();
        }
        // A smaller group behind the one that failed may be stored. A full disk lets no group wait.
        while let Some(result) = self.pending.pop_front() {
            if let Ok(Ok(written)) = result.blocking_recv() {
                self.report.written.add(written);
            }
        }
        let stored = counted(self.report.written.records.total(), "record is", "records are");
        anyhow::Error::from(error).context(format!(
            "the disk is full, and {stored} stored; free space on it, and run the same import again, which stores the others"
        ))
    }
}
