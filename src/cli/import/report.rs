//! What an import did, as its user reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::is_standard_input;
use crate::cli::merge::other_clusters;
use crate::domain::readable::counted;
use crate::domain::record::{QueryRecord, Zoned};
use crate::domain::time::Zone;
use crate::formats::file::Location;
use crate::formats::{ForeignLines, Item, ReadWarning, SkipReason, Skipped};
use crate::ingest::{FUTURE_INSTANTS, future_in_zone, other_zone};
use crate::store::WriteSummary;

/// Input that annals does not understand, or not completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}")]
    Skipped(SkipReason),
    #[error("the input ends within a record; the fields read so far are stored")]
    Cut,
    #[error("there is no file or folder of this name")]
    Missing,
}

/// Input that annals understands, but that looks wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(super) enum Warning {
    #[error(
        "a record with bytes that are not UTF-8, kept with U+FFFD in their place; if the file is in another \
         encoding, import it into a new file with --encoding, like --encoding gbk"
    )]
    NotUtf8,
    #[error("a record whose error message holds |Time(ms)=, so its fields may have been misread")]
    Misread,
    #[error("a query that starts after its record was written")]
    AfterWritten,
    #[error("a query that starts in the future")]
    Future,
    #[error("{}", SkipReason::ProfileInLog)]
    ProfileInLog,
}

/// How often something occurred, and the first places.
#[derive(Debug, Default)]
struct Occurrences {
    count: u64,
    places: Vec<String>,
}

/// Places that are listed.
const PLACES: usize = 3;

/// The start of a file.
pub(super) const START: Location<'static> = Location { entry: None, line: 1 };

/// What an import did. `Display` writes the summary for the user.
#[derive(Debug)]
pub(in crate::cli) struct Report {
    pub(super) files: u64,
    /// Files that a frontend writes beside its audit log, without records and profiles.
    pub(super) other_files: u64,
    /// Histories of annals, which `annals merge` reads.
    pub(super) histories: Vec<PathBuf>,
    pub(super) written: WriteSummary,
    /// Records and profiles that an exclusion rule matched.
    pub(super) excluded: u64,
    problems: BTreeMap<Problem, Occurrences>,
    warnings: BTreeMap<Warning, Occurrences>,
    /// The zone of times without one, and the name of the source that is read in it.
    zone: Zone,
    source: String,
    /// When the import began, in Unix milliseconds.
    now_ms: i64,
    /// How far ahead the latest query of the future begins whose start depends on the zone, in milliseconds.
    ahead_ms: Option<i64>,
    /// The longest time from the writing of a record to the start of its query, in milliseconds.
    after_written_ms: i64,
    pub(super) took: Duration,
}

impl Occurrences {
    fn add(&mut self, path: &Path, place: Location<'_>) {
        self.add_place(|| {
            let name = match is_standard_input(path) {
                true => "<standard input>".to_string(),
                false => path.display().to_string(),
            };
            let entry = place.entry.map(|entry| format!("/{entry}")).unwrap_or_default();
            format!("{name}{entry}:{}", place.line)
        });
    }

    /// Counts one, and keeps the first places.
    fn add_place(&mut self, place: impl FnOnce() -> String) {
        self.count += 1;
        if self.places.len() < PLACES {
            self.places.push(place());
        }
    }

    /// Returns what is behind the places that are listed, if there are more.
    fn rest(count: u64) -> Option<String> {
        let rest = count.saturating_sub(PLACES as u64);
        (rest > 0).then(|| format!("        and {rest} more"))
    }
}

impl Report {
    pub(super) fn new(zone: Zone, source: &str) -> Report {
        Report {
            files: 0,
            other_files: 0,
            histories: Vec::new(),
            written: WriteSummary::default(),
            excluded: 0,
            problems: BTreeMap::new(),
            warnings: BTreeMap::new(),
            zone,
            source: source.to_string(),
            now_ms: crate::domain::time::now_ms(),
            ahead_ms: None,
            after_written_ms: 0,
            took: Duration::ZERO,
        }
    }

    pub(super) fn problem(&mut self, problem: Problem, path: &Path, place: Location<'_>) {
        self.problems.entry(problem).or_default().add(path, place);
    }

    /// Counts a path that the user names and that does not exist.
    pub(super) fn missing(&mut self, path: &Path) {
        let missing = self.problems.entry(Problem::Missing).or_default();
        missing.add_place(|| path.display().to_string());
    }

    /// Counts what is wrong with a piece of input, or looks wrong.
    pub(super) fn item(&mut self, item: &Item, path: &Path, place: Location<'_>) {
        match item {
            Item::Record { record, replaced, cut, foreign, warnings } => {
                if *replaced {
                    self.warn(Warning::NotUtf8, path, place);
                }
                if cut.is_some() {
                    self.problem(Problem::Cut, path, place);
                }
                for warning in warnings {
                    self.read_warning(*warning, path, place);
                }
                self.check_start(record, path, place);
                self.foreign(*foreign, path, place);
            }
            Item::Login { foreign, .. } => self.foreign(*foreign, path, place),
            Item::Profile { profile, replaced } => {
                if *replaced {
                    self.warn(Warning::NotUtf8, path, place);
                }
                self.check_start(&profile.summary, path, place);
            }
            // A log of a frontend is no mistake of the user, whatever it holds.
            Item::Skipped(Skipped { reason: SkipReason::ProfileInLog, .. }) => {
                self.other_files += 1;
                self.warn(Warning::ProfileInLog, path, place);
            }
            Item::Skipped(Skipped { reason, .. }) => {
                self.problem(Problem::Skipped(*reason), path, place);
            }
            Item::OtherFile => self.other_files += 1,
        }
    }

    fn warn(&mut self, warning: Warning, path: &Path, place: Location<'_>) {
        self.warnings.entry(warning).or_default().add(path, place);
    }

    /// Counts what a reader warned of.
    fn read_warning(&mut self, warning: ReadWarning, path: &Path, place: Location<'_>) {
        let warning = match warning {
            ReadWarning::MessageHoldsFields => Warning::Misread,
            ReadWarning::StartsAfterWritten { by_ms } => {
                self.after_written_ms = self.after_written_ms.max(by_ms);
                Warning::AfterWritten
            }
        };
        self.warn(warning, path, place);
    }

    /// Warns about a query that begins in the future, as it does if times are read in a wrong zone.
    fn check_start(&mut self, record: &QueryRecord, path: &Path, place: Location<'_>) {
        if let Some(ahead_ms) = record.ahead_ms(self.now_ms) {
            if record.zoned == Zoned::Local {
                self.ahead_ms = self.ahead_ms.max(Some(ahead_ms));
            }
            self.warn(Warning::Future, path, place);
        }
    }

    fn advice(&self, ahead_ms: i64) -> String {
        future_in_zone(&self.source, self.zone, ahead_ms)
    }

    /// Counts lines between records.
    fn foreign(&mut self, foreign: Option<ForeignLines>, path: &Path, place: Location<'_>) {
        for line in foreign.into_iter().flat_map(|lines| lines.first..lines.first + lines.count) {
            let place = Location { line, ..place };
            self.problem(Problem::Skipped(SkipReason::OutsideRecord), path, place);
        }
    }

    /// Whether some input was not understood.
    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Returns how many records, profiles and log-ins were understood.
    fn understood(&self) -> u64 {
        let WriteSummary { records, profiles, logins, .. } = self.written;
        records.total() + profiles.total() + logins.total() + self.excluded
    }

    /// Whether there was nothing to understand.
    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty() && self.other_files == 0 && self.understood() == 0
    }

    /// Returns 0 if all input was understood, 1 if some was not, 2 if none was or there was none.
    pub(in crate::cli) fn exit_code(&self) -> ExitCode {
        match (self.problems.is_empty(), self.understood()) {
            _ if self.is_empty() => ExitCode::from(2),
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
        if self.written.logins.total() > 0 {
            writeln!(f, "  logins:   {}", self.written.logins)?;
        }
        if self.other_files > 0 {
            writeln!(f, "  other files: {}", self.other_files)?;
        }
        if !self.histories.is_empty() {
            let count = counted(self.histories.len(), "history", "histories");
            writeln!(
                f,
                "  not imported: {count} of annals; `annals merge FILE` adds one to another"
            )?;
            for history in self.histories.iter().take(PLACES) {
                writeln!(f, "        {}", history.display())?;
            }
            if let Some(rest) = Occurrences::rest(self.histories.len() as u64) {
                writeln!(f, "{rest}")?;
            }
        } else if self.is_empty() {
            let why = match self.files {
                0 => "there is no file",
                1 => "the file is empty",
                _ => "the files are empty",
            };
            writeln!(f, "  nothing was found: {why}")?;
        }
        if let Some(note) = other_clusters(self.written.other_clusters) {
            writeln!(f, "  {note}")?;
        }
        if let Some(before) = self.written.zone_before {
            match self.written.has_new_times() {
                true => writeln!(f, "  {}", other_zone(&self.source, before, self.zone))?,
                false => {
                    writeln!(f, "  the stored times stay: they were read in the zone {before}")?
                }
            }
        }
        if self.excluded > 0 {
            writeln!(f, "  excluded by the configuration: {}", self.excluded)?;
        }
        if !self.problems.is_empty() {
            writeln!(f, "  not understood:")?;
        }
        for (problem, occurrences) in &self.problems {
            list(f, problem, occurrences)?;
        }
        if !self.warnings.is_empty() {
            writeln!(f, "  warnings:")?;
        }
        for (warning, occurrences) in &self.warnings {
            list(f, warning, occurrences)?;
            match warning {
                // A shift of this source would move nothing of what was stored before.
                Warning::Future | Warning::AfterWritten if !self.written.has_new_times() => {
                    writeln!(
                        f,
                        "        All of them are stored already, and nothing was changed."
                    )?;
                }
                Warning::Future => {
                    let advice = self.ahead_ms.map(|ahead_ms| self.advice(ahead_ms));
                    writeln!(f, "        {}", advice.as_deref().unwrap_or(FUTURE_INSTANTS))?;
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

/// Writes how often something occurred, and the first places.
fn list(
    f: &mut fmt::Formatter<'_>,
    what: &dyn fmt::Display,
    occurrences: &Occurrences,
) -> fmt::Result {
    writeln!(f, "    {} x {what}", occurrences.count)?;
    for place in &occurrences.places {
        writeln!(f, "        {place}")?;
    }
    if let Some(rest) = Occurrences::rest(occurrences.count) {
        writeln!(f, "{rest}")?;
    }
    Ok(())
}
