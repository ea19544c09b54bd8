//! What was written and what was acknowledged, and whether a history has all of it, once.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use flate2::read::ZlibDecoder;

use crate::support::{DORIS_2_1, profile, record_of, stream_load_record};

/// What a record came by, which decides what may become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A row of a push or of an older history.
    Pushed,
    /// A row of a stream load.
    Loaded,
    /// A record of an imported file.
    Imported,
    /// A record of a followed log. Every 25th is a load without an id.
    Followed,
    /// A query of a polled frontend, with its profile.
    Polled,
    /// A pushed query, with its profile.
    Profiled,
    /// The same, older than profiles are stored.
    OldProfile,
    /// A pushed query, older than queries are stored.
    Old,
}

const DAY_MS: i64 = 86_400_000;

/// Returns the query id of a record. Ids are spread over the index, as those of Doris are.
pub fn id(number: u64) -> String {
    format!("{:x}-{number:x}", (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn number_of(id: &str) -> Option<u64> {
    let number = u64::from_str_radix(id.split_once('-')?.1, 16).ok()?;
    (self::id(number) == id).then_some(number)
}

impl Kind {
    fn has_profile(self) -> bool {
        matches!(self, Kind::Polled | Kind::Profiled | Kind::OldProfile)
    }

    /// Returns whether the record is a `[stream_load]` record, which has a label and no id.
    fn is_load(self, number: u64) -> bool {
        self == Kind::Followed && number % 25 == 7
    }

    /// Returns the statement of a record. Some have several lines, one of which looks like a part of a record.
    pub fn statement(self, number: u64) -> String {
        match number % 10 {
            3 if !self.has_profile() => format!("select -- a\n |State=x\n{number}"),
            table => format!("select {number} from t{table}"),
        }
    }

    /// Returns the start of a record in Unix milliseconds.
    pub fn started_ms(self, now_ms: i64) -> i64 {
        match self {
            Kind::Old => now_ms - 3 * DAY_MS,
            Kind::OldProfile => now_ms - 3 * DAY_MS / 2,
            _ => now_ms,
        }
    }

    /// Returns a record as a line of an audit log.
    pub fn audit_record(self, number: u64) -> String {
        let written = crate::support::now().format("%Y-%m-%d %H:%M:%S,%3f").to_string();
        if self.is_load(number) {
            let (label, time) = (format!("l-{number}"), written.replace(',', "."));
            let values = [("Label", label.as_str()), ("StartTime", &time), ("FinishTime", &time)];
            return stream_load_record(&written, &values);
        }
        let values = [
            ("StmtId", number.to_string()),
            ("QueryId", id(number)),
            ("Stmt", self.statement(number)),
        ];
        let values = values.each_ref().map(|(key, value)| (*key, value.as_str()));
        record_of(DORIS_2_1, &format!("{written} [query]"), &values)
    }

    /// Returns the profile of a record.
    pub fn profile(self, number: u64, started_ms: i64) -> String {
        let start = chrono::DateTime::from_timestamp_millis(started_ms).unwrap();
        let start = start.format("%Y-%m-%d %H:%M:%S").to_string();
        let statement = self.statement(number);
        let values = [("Start Time", start.as_str()), ("End Time", &start), ("Total", "1ms")];
        let mut random = fastrand::Rng::with_seed(number);
        let noise = (0..number % 8 * 1000).map(|_| random.alphanumeric()).collect::<String>();
        profile(&id(number), &[&values[..], &[("Sql Statement", &statement)]].concat()) + &noise
    }
}

#[derive(Debug, Clone)]
struct Entry {
    kind: Kind,
    /// Acknowledged, or found once: it must be found from then on.
    is_due: bool,
    /// The text of its profile, once that is acknowledged.
    profile: Option<String>,
}

/// A stream load with a label, which was sent again with other rows while its outcome was unknown.
#[derive(Debug, Clone, Default)]
struct Load {
    attempts: Vec<Range<u64>>,
    is_acknowledged: bool,
}

/// All records of a ledger.
#[derive(Debug, Clone, Default)]
pub struct Records {
    entries: Vec<Entry>,
    /// Rows of one push, all of which are stored, or none.
    pushes: Vec<Range<u64>>,
    loads: Vec<Load>,
}

/// The ledger of one history.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Records>);

/// What a check found.
#[derive(Debug, Default, Clone, Copy)]
pub struct Found {
    pub records: u64,
    /// Those that had been acknowledged.
    pub due: u64,
    pub profiles: u64,
    /// Acknowledged ones that retention deleted.
    pub deleted: u64,
}

/// How much a check asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What is acknowledged is there.
    Acknowledged,
    /// All sources had the time to catch up: what they wrote is there, and profiles are unpacked.
    Complete,
}

impl Ledger {
    /// Returns the numbers of new records, none of which is acknowledged yet.
    pub fn add(&self, kind: Kind, count: u64) -> Range<u64> {
        let mut records = self.0.lock().unwrap();
        let first = records.entries.len() as u64;
        let entry = Entry { kind, is_due: false, profile: None };
        records.entries.extend((0..count).map(|_| entry.clone()));
        first..first + count
    }

    /// Adds records of one push.
    pub fn add_push(&self, kind: Kind, count: u64) -> Range<u64> {
        let rows = self.add(kind, count);
        if kind != Kind::Old {
            self.0.lock().unwrap().pushes.push(rows.clone());
        }
        rows
    }

    /// Notes that records are acknowledged.
    pub fn acknowledge(&self, rows: Range<u64>) {
        let mut records = self.0.lock().unwrap();
        for number in rows {
            records.entries[number as usize].is_due = true;
        }
    }

    /// Adds a query of a frontend, with its profile.
    pub fn add_polled(&self, started_ms: i64) -> (u64, String) {
        let number = self.add(Kind::Polled, 1).start;
        let text = Kind::Polled.profile(number, started_ms);
        self.0.lock().unwrap().entries[number as usize].profile = Some(text.clone());
        (number, text)
    }

    /// Notes that a profile is acknowledged.
    pub fn acknowledge_profile(&self, number: u64, text: String) {
        let mut records = self.0.lock().unwrap();
        let entry = &mut records.entries[number as usize];
        (entry.is_due, entry.profile) = (true, Some(text));
    }

    /// Adds a stream load. Returns its number.
    pub fn add_load(&self) -> usize {
        let mut records = self.0.lock().unwrap();
        records.loads.push(Load::default());
        records.loads.len() - 1
    }

    /// Adds the rows of an attempt to send a load.
    pub fn add_attempt(&self, load: usize, count: u64) -> Range<u64> {
        let rows = self.add(Kind::Loaded, count);
        self.0.lock().unwrap().loads[load].attempts.push(rows.clone());
        rows
    }

    /// Notes that a load is acknowledged: the rows of one of its attempts are stored.
    pub fn acknowledge_load(&self, load: usize) {
        self.0.lock().unwrap().loads[load].is_acknowledged = true;
    }

    /// Returns what is acknowledged by now.
    pub fn snapshot(&self) -> Records {
        self.0.lock().unwrap().clone()
    }

    /// Compares a history with the ledger. Errors with the first difference.
    pub fn check(&self, db: &Path, extent: Extent) -> Result<Found, String> {
        self.check_for(self.snapshot(), db, extent)
    }

    /// Compares a history with what was acknowledged some time ago. Errors with the first difference.
    pub fn check_for(&self, due: Records, db: &Path, extent: Extent) -> Result<Found, String> {
        let rows = read(db, extent).map_err(|error| format!("{}: {error}", db.display()))?;
        let written = self.0.lock().unwrap().entries.clone();
        let mut seen = vec![false; written.len()];
        for row in &rows {
            let known = row.number().filter(|number| (*number as usize) < written.len());
            let number = known.ok_or_else(|| format!("nobody wrote {row:?}"))? as usize;
            if std::mem::replace(&mut seen[number], true) {
                return Err(format!("record {number} is there twice: {row:?}"));
            }
            let profile = due.entries.get(number).and_then(|entry| entry.profile.as_ref());
            row.compare(written[number].kind, number as u64, profile, extent)?;
        }
        let found = due.compare(&seen, extent)?;
        let mut records = self.0.lock().unwrap();
        for (entry, seen) in records.entries.iter_mut().zip(seen) {
            entry.is_due |= seen;
        }
        let profiles = rows.iter().filter(|row| row.profile_bytes.is_some()).count() as u64;
        Ok(Found { records: rows.len() as u64, profiles, ..found })
    }
}

impl Records {
    /// Compares what must be there with what was seen.
    fn compare(&self, seen: &[bool], extent: Extent) -> Result<Found, String> {
        let mut found = Found::default();
        for (number, entry) in self.entries.iter().enumerate() {
            let waits = matches!(entry.kind, Kind::Followed | Kind::Polled | Kind::Imported);
            let is_due = entry.is_due || (waits && extent == Extent::Complete);
            if is_due && !seen[number] && entry.kind == Kind::Old {
                found.deleted += 1;
            } else if is_due && !seen[number] {
                let missing = self.entries.iter().zip(seen).filter(|(e, seen)| e.is_due && !**seen);
                let missing = missing.filter(|(entry, _)| entry.kind != Kind::Old).count();
                return Err(format!(
                    "record {number} ({}, {:?}) is missing, and {missing} acknowledged ones in all",
                    id(number as u64),
                    entry.kind
                ));
            }
            found.due += u64::from(is_due);
        }
        let stored = |rows: &Range<u64>| rows.clone().filter(|row| seen[*row as usize]).count();
        let is_part =
            |rows: &Range<u64>| ![0, (rows.end - rows.start) as usize].contains(&stored(rows));
        for rows in self.pushes.iter().chain(self.loads.iter().flat_map(|load| &load.attempts)) {
            if is_part(rows) {
                return Err(format!("only {} rows of the push {rows:?} are stored", stored(rows)));
            }
        }
        for load in &self.loads {
            let loaded = load.attempts.iter().filter(|rows| stored(rows) > 0).count();
            if loaded > 1 || (load.is_acknowledged && loaded == 0) {
                return Err(format!("{loaded} attempts are stored of {load:?}"));
            }
        }
        Ok(found)
    }
}

/// A row of the history.
#[derive(Debug)]
struct Row {
    query_id: String,
    statement: Option<String>,
    label: Option<String>,
    profile_bytes: Option<i64>,
    profile: Option<Vec<u8>>,
}

impl Row {
    fn number(&self) -> Option<u64> {
        match &self.label {
            Some(label) => label.strip_prefix("l-")?.parse().ok(),
            None => number_of(&self.query_id),
        }
    }

    /// Compares the row with what was written. Part of a followed record may be stored before the rest of its lines.
    fn compare(
        &self,
        kind: Kind,
        number: u64,
        profile: Option<&String>,
        extent: Extent,
    ) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("record {number} ({kind:?}) has {what}"));
        let whole = kind.statement(number);
        let is_whole = match &self.statement {
            None => kind.is_load(number),
            Some(part) if kind == Kind::Followed && extent != Extent::Complete => {
                whole.starts_with(part.as_str())
            }
            Some(statement) => *statement == whole,
        };
        if !is_whole {
            return wrong(&format!("the statement {:?}", self.statement));
        }
        let Some(profile) = profile else { return Ok(()) };
        match self.profile_bytes {
            None if kind == Kind::OldProfile => return Ok(()),
            None if kind == Kind::Polled && extent != Extent::Complete => return Ok(()),
            None => return wrong("no profile"),
            Some(bytes) if bytes != profile.len() as i64 => {
                return wrong(&format!("a profile of {bytes} bytes, not {}", profile.len()));
            }
            Some(_) => {}
        }
        let Some(body) = &self.profile else { return Ok(()) };
        let mut text = Vec::new();
        let is_unpacked = body.len() == profile.len() && body == profile.as_bytes()
            || ZlibDecoder::new(&body[..]).read_to_end(&mut text).is_ok()
                && text == profile.as_bytes();
        if is_unpacked { Ok(()) } else { wrong("another profile") }
    }
}

/// Reads all rows of a history in one transaction.
fn read(db: &Path, extent: Extent) -> rusqlite::Result<Vec<Row>> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let sqlite = rusqlite::Connection::open_with_flags(db, flags)?;
    sqlite.busy_timeout(std::time::Duration::from_secs(10))?;
    let body = if extent == Extent::Complete { "profile.body" } else { "NULL" };
    let mut rows = sqlite.prepare(&format!(
        "SELECT query_id, statement, load.label, profile.text_bytes, {body} FROM query
         LEFT JOIN load ON load.query = query.id LEFT JOIN profile ON profile.query = query.id"
    ))?;
    let rows = rows.query_map((), |row| {
        Ok(Row {
            query_id: row.get(0)?,
            statement: row.get(1)?,
            label: row.get(2)?,
            profile_bytes: row.get(3)?,
            profile: row.get(4)?,
        })
    })?;
    rows.collect()
}
