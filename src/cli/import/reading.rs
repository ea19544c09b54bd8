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
use super::report::{Problem, Report, START, Warning};
use crate::formats::file::{self, Location, Options};
use crate::formats::{Item, SkipReason, Skipped};
use crate::store::{Batch, WriteError, WriteSummary, Writer};

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
                Ok(entry) => files.push(entry.into_path()),
                Err(error) => {
                    let place = error.path().unwrap_or(path).to_path_buf();
                    report.problem(Problem::Skipped(SkipReason::Unreadable), &place, START);
                }
            }
        }
    }
    files
}

/// Whether a file is the history, or its write-ahead log.
fn is_part_of(file: &Path, history: Option<&Path>) -> bool {
    let (Ok(file), Some(history)) = (file.canonicalize(), history) else {
        return false;
    };
    ["", "-wal", "-shm"].iter().any(|end| {
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

    pub(super) fn read_all(&mut self, files: &[PathBuf]) -> Result<(), WriteError> {
        for path in files {
            if is_standard_input(path) {
                let input = self.progress.wrap_read(io::stdin().lock());
                let options = self.options;
                file::read(input, Path::new(""), options, &mut |place, item| {
                    self.add(item, path, place)
                })?;
            } else {
                match File::open(path) {
                    Ok(file) => self.read(file, path)?,
                    Err(_) => {
                        self.report.problem(Problem::Skipped(SkipReason::Unreadable), path, START);
                    }
                }
            }
            self.report.files += 1;
        }
        self.send()
    }

    fn read(&mut self, file: File, path: &Path) -> Result<(), WriteError> {
        // A pipe cannot seek.
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        let input = self.progress.wrap_read(file);
        let options = self.options;
        let mut add = |place: Location<'_>, item| self.add(item, path, place);
        match is_file {
            true => file::read_seekable(input, path, options, &mut add),
            false => file::read(input, path, options, &mut add),
        }
    }

    /// Adds what a file holds to the batch, and sends the batch if it is full.
    fn add(&mut self, item: Item, path: &Path, place: Location<'_>) -> Result<(), WriteError> {
        match item {
            Item::Record { record, replaced, cut, foreign, warnings } => {
                if replaced {
                    self.report.warn(Warning::NotUtf8, path, place);
                }
                if cut.is_some() {
                    self.report.problem(Problem::Cut, path, place);
                }
                for warning in warnings {
                    self.report.read_warning(warning, path, place);
                }
                self.report.check_start(&record, path, place);
                self.report.foreign(foreign, path, place);
                self.batch.record(*record);
            }
            Item::Login { login, foreign } => {
                self.report.foreign(foreign, path, place);
                self.batch.login(*login);
            }
            Item::Profile { profile, replaced } => {
                if replaced {
                    self.report.warn(Warning::NotUtf8, path, place);
                }
                self.report.check_start(&profile.summary, path, place);
                self.batch.profile(*profile);
            }
            // A log of a frontend is no mistake of the user, whatever it holds.
            Item::Skipped(Skipped { reason: SkipReason::ProfileInLog, .. }) => {
                self.report.other_files += 1;
                self.report.warn(Warning::ProfileInLog, path, place);
            }
            Item::Skipped(Skipped { reason, .. }) => {
                self.report.problem(Problem::Skipped(reason), path, place);
            }
            Item::OtherFile => self.report.other_files += 1,
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
            match result.try_recv() {
                Ok(written) => self.report.written.add(written?),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Closed) => return Err(WriteError::Closed),
            }
            self.pending.pop_front();
        }
        let records = self.report.written.records.total();
        let rate = records as f64 / self.started.elapsed().as_secs_f64();
        self.progress.set_message(format!("{records} records, {rate:.0}/s, "));
        Ok(())
    }

    /// Waits for the commits, and returns the report.
    pub(super) fn finish(mut self) -> Result<Report, WriteError> {
        let (writer, written, pending) =
            (&self.writer, &mut self.report.written, std::mem::take(&mut self.pending));
        let add_written = async {
            for result in pending {
                written.add(result.await.map_err(|_| WriteError::Closed)??);
            }
            Ok(())
        };
        // The writer waits for more until it is finished, and commits after that. The first error ends the import: a database
        // that does not answer would be waited for once for each group.
        self.runtime.block_on(async { tokio::try_join!(writer.finish(), add_written) })?;
        self.progress.finish_and_clear();
        self.report.took = self.started.elapsed();
        Ok(self.report)
    }
}
