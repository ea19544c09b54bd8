//! `annals import`: takes in audit logs and profile texts.
//!
//! One thread reads and parses, and sends batches to the store's writer, which works on another core.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io;
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
use crate::domain::exclusion::ExclusionRules;
use crate::domain::record::QueryRecord;
use crate::domain::time::Zone;
use crate::formats::encoding::Encoding;
use crate::formats::file::{self, Options, Place};
use crate::formats::{ForeignLines, Item, Misread, SkipReason, Skipped};

use crate::store::{Batch, OpenError, Store, WriteError, WriteSummary, Writer};

/// Take in audit logs and profiles
///
/// Reads audit logs (fe.audit.log of any Doris version, StarRocks' too) and profiles: as text, as a frontend
/// spills them (log/profile/*.zip), as its REST interface answers them (JSON, HTML), or in notes, one or many.
/// Also tables of the audit log as CSV, TSV or JSON, and logs of containers (Docker, Kubernetes). Files may be
/// packed with gzip, zip or tar. The content tells what a file is. Folders are searched with all that is below
/// them; other files of a frontend, as fe.log, are counted. What is known already is joined to what is new, so
/// the same input may be imported again.
///
/// Exit status: 0 if all input was understood, 1 if some was not (the rest is stored), 2 if nothing
/// could be done.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Files and folders to read; - is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The encoding of files without a byte-order mark: gbk, gb18030, utf-16le and the like. Without it, UTF-8,
    /// or UTF-16 where that is obvious
    #[arg(long, value_name = "NAME")]
    encoding: Option<Encoding>,
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
    super::report_healed(&store);
    let options = Options { zone: config.zone(), encoding: args.encoding };
    let report = import(&store, args.paths, options, config.exclude.clone()).await?;
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
    options: Options,
    filter: ExclusionRules,
) -> Result<Report, ImportError> {
    let writer = store.bulk_writer().await?;
    let own_file = store.path().canonicalize().ok();
    let runtime = tokio::runtime::Handle::current();
    let reading = tokio::task::spawn_blocking(move || {
        let mut report = Report::new(options.zone);
        let files = search(&paths, own_file.as_deref(), &mut report);
        let mut reader = Reader {
            runtime,
            writer,
            options,
            parcel: Batch::new(filter.clone()),
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
                    report.problem(Problem::Skipped(SkipReason::Unreadable), &place, START);
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
    options: Options,
    filter: ExclusionRules,
    parcel: Batch,
    /// Batches that are sent and, as far as is known, not yet written.
    unanswered: VecDeque<oneshot::Receiver<Result<WriteSummary, WriteError>>>,
    progress: ProgressBar,
    started: Instant,
    report: Report,
}

impl Reader {
    fn read_all(&mut self, files: &[PathBuf]) -> Result<(), WriteError> {
        for path in files {
            if is_standard_input(path) {
                let input = self.progress.wrap_read(io::stdin().lock());
                let options = self.options;
                file::read(input, Path::new(""), options, &mut |place, found| {
                    self.take(found, path, place)
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
        // In a pipe nothing can jump.
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        let input = self.progress.wrap_read(file);
        let options = self.options;
        let mut take = |place: Place<'_>, found| self.take(found, path, place);
        match is_file {
            true => file::read_seekable(input, path, options, &mut take),
            false => file::read(input, path, options, &mut take),
        }
    }

    fn take(&mut self, found: Item, path: &Path, place: Place<'_>) -> Result<(), WriteError> {
        match found {
            Item::Record { record, replaced, cut, foreign, misread } => {
                if replaced {
                    self.report.warn(Warning::NotUtf8, path, place);
                }
                if cut.is_some() {
                    self.report.problem(Problem::Cut, path, place);
                }
                for misread in misread {
                    self.report.misread(misread, path, place);
                }
                self.report.check_start(&record, path, place);
                self.report.foreign(foreign, path, place);
                self.parcel.record(*record);
            }
            Item::Login { login, foreign } => {
                self.report.foreign(foreign, path, place);
                self.parcel.login(*login);
            }
            Item::Profile { profile, replaced } => {
                if replaced {
                    self.report.warn(Warning::NotUtf8, path, place);
                }
                self.report.check_start(&profile.summary, path, place);
                self.parcel.profile(*profile);
            }
            // A running log is nobody's mistake, whatever it holds.
            Item::Skipped(Skipped { reason: SkipReason::ProfileInLog, .. }) => {
                self.report.other_files += 1;
                self.report.warn(Warning::ProfileInLog, path, place);
            }
            Item::Skipped(Skipped { reason, .. }) => {
                self.report.problem(Problem::Skipped(reason), path, place);
            }
            Item::OtherFile => self.report.other_files += 1,
        }
        if self.parcel.is_full() { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), WriteError> {
        let parcel = std::mem::replace(&mut self.parcel, Batch::new(self.filter.clone()));
        self.report.excluded += parcel.excluded();
        let answer = self.runtime.block_on(self.writer.send(parcel))?;
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

/// What was understood, but looks wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
enum Warning {
    #[error(
        "a record with bytes that are not UTF-8, kept with U+FFFD in their place; if the file is in another \
         encoding, import it into a new file with --encoding gbk, or whatever it is"
    )]
    NotUtf8,
    #[error("a record whose error message holds |Time(ms)=, so its fields may have been misread")]
    Misread,
    #[error("a query that begins after its record was written")]
    AfterWritten,
    #[error("a query that begins in the future")]
    Future,
    #[error("{}", SkipReason::ProfileInLog)]
    ProfileInLog,
}

/// How often something was met, and the first places.
#[derive(Debug, Default)]
struct Met {
    times: u64,
    places: Vec<String>,
}

/// Places that something is reported with.
const PLACES: usize = 3;

/// The start of a file.
const START: Place<'static> = Place { entry: None, line: 1 };

/// A clock may be wrong by so much, but no zone is nearer to another, in milliseconds.
const FUTURE_MS: i64 = 25 * 60 * 1000;

/// What an import did. Shown, it is the summary for the person who ran it.
#[derive(Debug)]
pub struct Report {
    files: u64,
    /// Files that a frontend writes beside its audit log, and that hold neither records nor profiles.
    other_files: u64,
    written: WriteSummary,
    /// Records and profiles that the filter left out.
    excluded: u64,
    problems: BTreeMap<Problem, Met>,
    warnings: BTreeMap<Warning, Met>,
    /// The zone of times that name none.
    zone: Zone,
    /// When the import began, and the latest start of a query that begins later, in Unix milliseconds.
    now_ms: i64,
    latest_ms: i64,
    /// How much later than its record was written a query begins at most, in milliseconds.
    after_written_ms: i64,
    took: Duration,
}

impl Met {
    fn add(&mut self, path: &Path, place: Place<'_>) {
        self.times += 1;
        if self.places.len() < PLACES {
            let name = match is_standard_input(path) {
                true => "<standard input>".to_string(),
                false => path.display().to_string(),
            };
            let entry = place.entry.map(|entry| format!("/{entry}")).unwrap_or_default();
            self.places.push(format!("{name}{entry}:{}", place.line));
        }
    }
}

impl Report {
    fn new(zone: Zone) -> Report {
        Report {
            files: 0,
            other_files: 0,
            written: WriteSummary::default(),
            excluded: 0,
            problems: BTreeMap::new(),
            warnings: BTreeMap::new(),
            zone,
            now_ms: chrono::Utc::now().timestamp_millis(),
            latest_ms: i64::MIN,
            after_written_ms: 0,
            took: Duration::ZERO,
        }
    }

    fn problem(&mut self, problem: Problem, path: &Path, place: Place<'_>) {
        self.problems.entry(problem).or_default().add(path, place);
    }

    fn warn(&mut self, warning: Warning, path: &Path, place: Place<'_>) {
        self.warnings.entry(warning).or_default().add(path, place);
    }

    fn misread(&mut self, misread: Misread, path: &Path, place: Place<'_>) {
        let warning = match misread {
            Misread::MessageHoldsFields => Warning::Misread,
            Misread::StartsAfterWritten { by_ms } => {
                self.after_written_ms = self.after_written_ms.max(by_ms);
                Warning::AfterWritten
            }
        };
        self.warn(warning, path, place);
    }

    /// Looks whether a query begins in the future, as it does where times are read in a wrong zone.
    fn check_start(&mut self, record: &QueryRecord, path: &Path, place: Place<'_>) {
        if let Some(started_ms) = record.started_ms
            && started_ms > self.now_ms + FUTURE_MS
        {
            self.latest_ms = self.latest_ms.max(started_ms);
            self.warn(Warning::Future, path, place);
        }
    }

    /// Says which zone makes times that are `ahead_ms` too late lie where they belong.
    fn advice(&self, ahead_ms: i64) -> String {
        const HALF_HOUR_MS: i64 = 30 * 60 * 1000;
        let ahead = format!("{}h{}min", ahead_ms / 3_600_000, ahead_ms / 60_000 % 60);
        // Zones differ by whole or half hours.
        let steps = (ahead_ms + HALF_HOUR_MS - 1) / HALF_HOUR_MS;
        let own_ms = self.zone.offset_ms(self.now_ms);
        let named = |step: i64| {
            let offset_ms = own_ms + step * HALF_HOUR_MS;
            let fits = |name: &&&str| {
                let zone = name.parse::<Zone>();
                zone.is_ok_and(|zone| zone.offset_ms(self.now_ms) == offset_ms)
            };
            LIKELY_ZONES.iter().find(fits).map(|name| (offset_ms, *name))
        };
        // The log may have ended some time ago, so its zone may be further off, but hardly nearer.
        match (steps..steps + 4).find_map(named) {
            Some((offset_ms, name)) => {
                let minutes = offset_ms / 60_000;
                let (hour, minute) = (minutes.abs() / 60, minutes.abs() % 60);
                let sign = if minutes < 0 { '-' } else { '+' };
                let or_default = match named(steps) {
                    Some((_, DEFAULT_ZONE)) => String::new(),
                    _ if self.is_default_likely(steps * HALF_HOUR_MS) => {
                        format!(", or {DEFAULT_ZONE}, Doris' own default")
                    }
                    _ => String::new(),
                };
                format!(
                    "the latest is {ahead} ahead: their times look like those of UTC{sign}{hour:02}:{minute:02}, \
                     but were read as those of {}; if so, import into a new file with --time-zone {name}\
                     {or_default}",
                    self.zone
                )
            }
            None => format!(
                "the latest is {ahead} ahead: the times were read as those of {}, and no zone makes up for that",
                self.zone
            ),
        }
    }

    /// Whether Doris' default zone makes times that are so far ahead lie in the past.
    fn is_default_likely(&self, ahead_ms: i64) -> bool {
        let default = DEFAULT_ZONE.parse::<Zone>().map(|zone| zone.offset_ms(self.now_ms));
        default.is_ok_and(|default| default - self.zone.offset_ms(self.now_ms) > ahead_ms)
    }

    /// Counts lines between records.
    fn foreign(&mut self, foreign: Option<ForeignLines>, path: &Path, place: Place<'_>) {
        for line in foreign.into_iter().flat_map(|lines| lines.first..lines.first + lines.count) {
            let place = Place { line, ..place };
            self.problem(Problem::Skipped(SkipReason::OutsideRecord), path, place);
        }
    }

    /// 0 if all input was understood, 1 if some was not, 2 if none was.
    fn exit_code(&self) -> ExitCode {
        let WriteSummary { records, profiles, logins, .. } = self.written;
        let taken = records.total() + profiles.total() + logins.total() + self.excluded;
        match (self.problems.is_empty(), taken) {
            (true, _) => ExitCode::SUCCESS,
            (false, 0) => ExitCode::from(2),
            (false, _) => ExitCode::from(1),
        }
    }
}

/// The zone of a frontend that nobody told another.
const DEFAULT_ZONE: &str = "Asia/Shanghai";

/// A well-known zone for each offset, the likelier first.
const LIKELY_ZONES: [&str; 38] = [
    "Asia/Shanghai", "UTC", "America/New_York", "America/Chicago", "America/Denver",
    "America/Los_Angeles", "America/Sao_Paulo", "Europe/London", "Europe/Berlin", "Europe/Athens",
    "Europe/Moscow", "Asia/Dubai", "Asia/Kolkata", "Asia/Dhaka", "Asia/Bangkok", "Asia/Tokyo",
    "Australia/Sydney", "Pacific/Auckland", "Asia/Tehran", "Asia/Kabul", "Asia/Karachi",
    "Asia/Yangon", "Australia/Adelaide", "Australia/Darwin", "Australia/Brisbane",
    "Pacific/Noumea", "Pacific/Fiji", "Pacific/Tongatapu", "Pacific/Kiritimati", "Atlantic/Azores",
    "Atlantic/South_Georgia", "America/Halifax", "America/Caracas", "America/Bogota",
    "America/Phoenix", "America/Anchorage", "Pacific/Honolulu", "Pacific/Pago_Pago",
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = if self.files == 1 { "file" } else { "files" };
        writeln!(f, "read {} {files} in {:.1} s", self.files, self.took.as_secs_f64())?;
        writeln!(f, "  records:  {}", self.written.records)?;
        writeln!(f, "  profiles: {}", self.written.profiles)?;
        if self.written.logins.total() > 0 {
            writeln!(f, "  log-ins:  {}", self.written.logins)?;
        }
        if self.other_files > 0 {
            writeln!(f, "  other files: {}", self.other_files)?;
        }
        if self.excluded > 0 {
            writeln!(f, "  left out as the configuration says: {}", self.excluded)?;
        }
        if !self.problems.is_empty() {
            writeln!(f, "  not understood:")?;
        }
        for (problem, met) in &self.problems {
            show(f, problem, met)?;
        }
        if !self.warnings.is_empty() {
            writeln!(f, "  warnings:")?;
        }
        for (warning, met) in &self.warnings {
            show(f, warning, met)?;
            match warning {
                Warning::Future => {
                    writeln!(f, "        {}", self.advice(self.latest_ms - self.now_ms))?;
                }
                Warning::AfterWritten => {
                    writeln!(f, "        {}", self.advice(self.after_written_ms))?;
                }
                Warning::NotUtf8 | Warning::Misread | Warning::ProfileInLog => {}
            }
        }
        Ok(())
    }
}

/// Writes how often something was met, and where first.
fn show(f: &mut fmt::Formatter<'_>, what: &dyn fmt::Display, met: &Met) -> fmt::Result {
    writeln!(f, "    {} x {what}", met.times)?;
    for place in &met.places {
        writeln!(f, "        {place}")?;
    }
    if met.times > PLACES as u64 {
        writeln!(f, "        ...")?;
    }
    Ok(())
}
