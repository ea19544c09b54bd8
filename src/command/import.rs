//! `annals import`: takes in audit logs and profile texts.
//!
//! One thread reads and parses, and sends batches to the store's writer, which works on another core.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, error::TryRecvError};
use walkdir::WalkDir;

use super::Common;
use super::output::say;
use crate::config::ConfigError;
use crate::filter::Filter;
use crate::intake::Parcel;
use crate::source::{ForeignLines, Found, SkipReason, Skipped, file};
use crate::store::{OpenError, Store, WriteError, Writer, Written};
use crate::time::Zone;

/// Take in audit logs and profiles
///
/// Reads audit logs (fe.audit.log of any Doris version, StarRocks' too) and profile texts, plain or
/// compressed with gzip. What a file is, is told by its content. Folders are searched with all that is
/// below them. What is known already is joined to what is new, so the same input may be imported again.
///
/// Exit status: 0 if all input was understood, 1 if some was not (the rest is stored), 2 if nothing
/// could be done.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Files and folders to read; - is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Why an import could not go on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ImportError {
    #[error("there is no file or folder {}", .0.display())]
    NoSuchPath(PathBuf),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the reading thread ended early")]
    Reader(#[from] tokio::task::JoinError),
}

/// Runs the command.
pub async fn run(args: ImportArgs) -> Result<ExitCode, ImportError> {
    let config = args.common.configured()?;
    check_paths(&args.paths)?;
    let store = Store::open(&config.db()).await?;
    let report = import(&store, args.paths, config.zone(), config.leave_out.clone()).await?;
    store.close().await.map_err(|error| OpenError::Other(config.db(), error))?;
    say(report.to_string().trim_end());
    Ok(report.exit_code())
}

/// Refuses a path that is not there, before anything is made or written.
pub fn check_paths(paths: &[PathBuf]) -> Result<(), ImportError> {
    match paths.iter().find(|path| !is_standard_input(path) && !path.exists()) {
        Some(missing) => Err(ImportError::NoSuchPath(missing.clone())),
        None => Ok(()),
    }
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Takes in what `paths` hold; returns when all of it is on the disk.
pub async fn import(
    store: &Store,
    paths: Vec<PathBuf>,
    zone: Zone,
    filter: Filter,
) -> Result<Report, ImportError> {
    let writer = store.bulk_writer().await?;
    let own_file = store.path().canonicalize().ok();
    let runtime = tokio::runtime::Handle::current();
    let reading = tokio::task::spawn_blocking(move || {
        let mut report = Report::default();
        let files = search(&paths, own_file.as_deref(), &mut report);
        let mut reader = Reader {
            runtime,
            writer,
            zone,
            parcel: Parcel::new(filter.clone()),
            filter,
            unanswered: VecDeque::new(),
            progress: progress_bar(&files),
            started: Instant::now(),
            report,
        };
        reader.read_all(&files)?;
        reader.finish()
    });
    Ok(reading.await??)
}

/// The files at and below the paths, each folder's in the order of their names, but not the history
/// itself.
fn search(paths: &[PathBuf], own_file: Option<&Path>, report: &mut Report) -> Vec<PathBuf> {
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
                Ok(entry) => files.push(entry.into_path()),
                Err(error) => {
                    let place = error.path().unwrap_or(path).to_path_buf();
                    report.problem(Problem::Skipped(SkipReason::Unreadable), &place, 1);
                }
            }
        }
    }
    files
}

/// Whether a file is the history's own, or its write-ahead log.
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

/// The reading side of an import.
struct Reader {
    runtime: Handle,
    writer: Writer,
    zone: Zone,
    filter: Filter,
    parcel: Parcel,
    /// Batches that are sent and, as far as is known, not yet written.
    unanswered: VecDeque<oneshot::Receiver<Result<Written, WriteError>>>,
    progress: ProgressBar,
    started: Instant,
    report: Report,
}

impl Reader {
    fn read_all(&mut self, files: &[PathBuf]) -> Result<(), WriteError> {
        for path in files {
            if is_standard_input(path) {
                self.read(io::stdin().lock(), path)?;
            } else {
                match File::open(path) {
                    Ok(file) => self.read(file, path)?,
                    Err(_) => {
                        self.report.problem(Problem::Skipped(SkipReason::Unreadable), path, 1);
                    }
                }
            }
            self.report.files += 1;
        }
        self.send()
    }

    fn read(&mut self, input: impl Read, path: &Path) -> Result<(), WriteError> {
        let input = self.progress.wrap_read(input);
        file::read(input, self.zone, &mut |found| self.take(found, path))
    }

    fn take(&mut self, found: Found, path: &Path) -> Result<(), WriteError> {
        match found {
            Found::Record { record, replaced, cut, foreign, misread: _ } => {
                self.parcel.record(*record);
                self.report.replaced += u64::from(replaced);
                if let Some(line) = cut {
                    self.report.problem(Problem::Cut, path, line);
                }
                self.report.foreign(foreign, path);
            }
            Found::Login { login, foreign } => {
                self.parcel.login(*login);
                self.report.foreign(foreign, path);
            }
            Found::Profile(profile) => self.parcel.profile(*profile),
            Found::Skipped(Skipped { line, reason }) => {
                self.report.problem(Problem::Skipped(reason), path, line);
            }
        }
        if self.parcel.is_full() { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), WriteError> {
        let parcel = std::mem::replace(&mut self.parcel, Parcel::new(self.filter.clone()));
        self.report.left_out += parcel.left_out();
        let answer = self.runtime.block_on(self.writer.send(parcel.into_batch()))?;
        self.unanswered.push_back(answer);
        // An answer that is there is taken at once: a full disk ends the import where it happens.
        while let Some(answer) = self.unanswered.front_mut() {
            match answer.try_recv() {
                Ok(written) => self.report.written.add(written?),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Closed) => return Err(WriteError::Closed),
            }
            self.unanswered.pop_front();
        }
        let records = self.report.written.records.total();
        let rate = records as f64 / self.started.elapsed().as_secs_f64();
        self.progress.set_message(format!("{records} records, {rate:.0}/s, "));
        Ok(())
    }

    fn finish(mut self) -> Result<Report, WriteError> {
        // First, for until then the writer waits for more.
        let finished = self.runtime.block_on(self.writer.finish());
        for answer in self.unanswered {
            let written = self.runtime.block_on(answer).map_err(|_| WriteError::Closed)?;
            self.report.written.add(written?);
        }
        finished?;
        self.progress.finish_and_clear();
        self.report.took = self.started.elapsed();
        Ok(self.report)
    }
}

/// A bar on a terminal, nothing elsewhere. Standard input has no known end, and so no time left.
fn progress_bar(files: &[PathBuf]) -> ProgressBar {
    let sizes = files.iter().map(|path| path.metadata().ok().map(|file| file.len()));
    let total: Option<u64> = sizes.sum();
    let (bar, template) = match total {
        Some(bytes) => {
            (ProgressBar::new(bytes), "{wide_bar} {bytes}/{total_bytes}, {msg}{eta} left")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {msg}{bytes} read"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// What was not understood, or not wholly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Skipped(SkipReason),
    #[error("a record that the end of the input cut off, kept as far as it goes")]
    Cut,
}

/// How often a problem was met, and the first places.
#[derive(Debug, Default)]
struct Met {
    times: u64,
    places: Vec<String>,
}

/// Places that a problem is reported with.
const PLACES: usize = 3;

/// What an import did. Shown, it is the summary for the person who ran it.
#[derive(Debug, Default)]
pub struct Report {
    files: u64,
    written: Written,
    /// Records with bytes that were not UTF-8.
    replaced: u64,
    /// Records and profiles that the filter left out.
    left_out: u64,
    problems: BTreeMap<Problem, Met>,
    took: Duration,
}

impl Report {
    fn problem(&mut self, problem: Problem, path: &Path, line: u64) {
        let met = self.problems.entry(problem).or_default();
        met.times += 1;
        if met.places.len() < PLACES {
            let name = match is_standard_input(path) {
                true => "<standard input>".to_string(),
                false => path.display().to_string(),
            };
            met.places.push(format!("{name}:{line}"));
        }
    }

    /// Counts lines between records.
    fn foreign(&mut self, foreign: Option<ForeignLines>, path: &Path) {
        for line in foreign.into_iter().flat_map(|lines| lines.first..lines.first + lines.count) {
            self.problem(Problem::Skipped(SkipReason::OutsideRecord), path, line);
        }
    }

    /// 0 if all input was understood, 1 if some was not, 2 if none was.
    fn exit_code(&self) -> ExitCode {
        let taken = self.written.records.total() + self.written.profiles.total() + self.left_out;
        match (self.problems.is_empty(), taken) {
            (true, _) => ExitCode::SUCCESS,
            (false, 0) => ExitCode::from(2),
            (false, _) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = if self.files == 1 { "file" } else { "files" };
        writeln!(f, "read {} {files} in {:.1} s", self.files, self.took.as_secs_f64())?;
        writeln!(f, "  records:  {}", self.written.records)?;
        writeln!(f, "  profiles: {}", self.written.profiles)?;
        if self.replaced > 0 {
            let replaced = self.replaced;
            writeln!(f, "  records with bytes that are not UTF-8, kept with U+FFFD: {replaced}")?;
        }
        if self.left_out > 0 {
            writeln!(f, "  left out as the configuration says: {}", self.left_out)?;
        }
        if !self.problems.is_empty() {
            writeln!(f, "  not understood:")?;
        }
        for (problem, met) in &self.problems {
            writeln!(f, "    {} x {problem}", met.times)?;
            for place in &met.places {
                writeln!(f, "        {place}")?;
            }
            if met.times > PLACES as u64 {
                writeln!(f, "        ...")?;
            }
        }
        Ok(())
    }
}
