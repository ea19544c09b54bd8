//! The write-ahead log as it is on the disk, read without SQLite (sqlite.org/fileformat2.html, "The Write-Ahead Log").
//!
//! SQLite's recovery ends at the first frame whose checksum is wrong, and overwrites what is behind. That is right for the
//! last transaction, which a loss of power may tear: annals acknowledges a commit after its frames are on the disk. It is
//! wrong if frames in the middle are damaged. Checksums tell the two apart: each is counted on from that of the frame
//! before. A frame that follows a commit frame was written after that commit was complete; so if such a pair is behind
//! the first wrong frame, a commit is damaged. What a transaction that failed leaves behind never has such a pair.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::PAGE_BYTES;

/// Bytes of a log before its first frame, and of a frame before its page.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The first frames, of which the salts of a log are known if its header is damaged.
const FIRST_FRAMES: u64 = 3;
/// How often a log is read until two readings agree. Another process may write to it meanwhile.
const READINGS: usize = 5;

/// A write-ahead log up to its last whole transaction.
pub(super) struct LogFile {
    pub(super) file: File,
    /// The newest frame of each page: where its page begins in the log.
    pub(super) frames: HashMap<u32, u64>,
    pub(super) page_bytes: usize,
    /// Pages of the database after the last transaction.
    pub(super) pages: u32,
    /// None if the log ends as SQLite's recovery expects.
    pub(super) damage: Option<Damage>,
}

/// Damage before the end of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    /// The header of the log, to know it again.
    header: [u8; LOG_HEADER],
    /// Where the first wrong frame begins.
    at: u64,
    /// Frames whose checksum is wrong: what they hold may be wrong or missing.
    pub(super) frames: u64,
}

/// What the header of a log says, and whether its checksum is right.
struct Header {
    bytes: [u8; LOG_HEADER],
    is_valid: bool,
    is_big_endian: bool,
    page_bytes: usize,
    salts: [u8; 8],
}

impl Header {
    /// Returns the header of a log; of a damaged one what its frames and annals' page size say. None if the file is too
    /// short for a log.
    fn read(file: &File) -> io::Result<Option<Header>> {
        let mut bytes = [0; LOG_HEADER];
        if file.metadata()?.len() < LOG_HEADER as u64 {
            return Ok(None);
        }
        file.read_exact_at(&mut bytes, 0)?;
        let magic = word(&bytes, 0);
        let is_big_endian = magic == 0x377f_0683;
        let page_bytes = word(&bytes, 8) as usize;
        let sum = checksum(&bytes[..24], (0, 0), is_big_endian);
        let is_valid = (is_big_endian || magic == 0x377f_0682)
            && is_page_size(page_bytes)
            && sum == (word(&bytes, 24), word(&bytes, 28));
        let mut salts = [0; 8];
        salts.copy_from_slice(&bytes[16..24]);
        if is_valid {
            return Ok(Some(Header { bytes, is_valid, is_big_endian, page_bytes, salts }));
        }
        // annals writes no other size, on machines that begin numbers with the low byte.
        let page_bytes = PAGE_BYTES as usize;
        let is_big_endian = cfg!(target_endian = "big");
        let mut first = Vec::new();
        for frame in 0..FIRST_FRAMES {
            let mut salts = [0; 8];
            let at = LOG_HEADER as u64 + frame * (FRAME_HEADER + page_bytes) as u64 + 8;
            if file.read_exact_at(&mut salts, at).is_ok() {
                first.push(salts);
            }
        }
        // One of the first frames may be damaged, too.
        let twice = first.iter().find(|one| first.iter().filter(|other| other == one).count() > 1);
        let salts = twice.or(first.first()).copied().unwrap_or(salts);
        Ok(Some(Header { bytes, is_valid, is_big_endian, page_bytes, salts }))
    }

    /// Returns whether the header may be one that a failing disk wrote half, as SQLite began the log anew. The frames of the
    /// old one are in the file by then. The new header has the next number, and the next first salt.
    fn is_half_written(&self) -> bool {
        let mut old = self.bytes;
        let number = word(&old, 12).wrapping_sub(1);
        old[12..16].copy_from_slice(&number.to_be_bytes());
        let sum = checksum(&old[..24], (0, 0), self.is_big_endian);
        let is_old_but_number = sum == (word(&old, 24), word(&old, 28));
        is_old_but_number || word(&self.bytes, 16) == word(&self.salts, 0).wrapping_add(1)
    }
}

impl LogFile {
    /// Returns the log of a database. None for an empty log, and for one whose header is damaged if it has no whole
    /// transaction, or none that is not in the database: a loss of power may bring parts of a log back that was moved into
    /// the file and cut.
    pub(super) fn read(file: File, database: &File) -> io::Result<Option<LogFile>> {
        let Some(header) = Header::read(&file)? else { return Ok(None) };
        let mut scan = Scan::of(&header);
        let mut frame = vec![0; FRAME_HEADER + header.page_bytes];
        let mut at = LOG_HEADER as u64;
        while file.read_exact_at(&mut frame, at).is_ok() {
            scan.take(&header, &frame, at);
            at += frame.len() as u64;
        }
        let mut log = LogFile {
            file,
            frames: scan.whole.frames,
            page_bytes: header.page_bytes,
            pages: scan.whole.pages,
            damage: None,
        };
        if scan.is_damage && !header.is_valid && !log.is_newer(&scan.newest, database) {
            return Ok(None);
        }
        if scan.is_damage {
            let at = scan.first_wrong.unwrap_or(0);
            log.damage = Some(Damage { header: header.bytes, at, frames: scan.behind_wrong });
            log.frames.extend(scan.behind.frames);
            if scan.behind.pages > 0 {
                log.pages = scan.behind.pages;
            }
        }
        Ok((header.is_valid || log.damage.is_some()).then_some(log))
    }

    /// Returns whether a page in one of these frames is not as in the database.
    fn is_newer(&self, frames: &HashMap<u32, u64>, database: &File) -> bool {
        let (mut page, mut stored) = (vec![0; self.page_bytes], vec![0; self.page_bytes]);
        frames.iter().any(|(number, at)| {
            let place = u64::from(number.saturating_sub(1)) * self.page_bytes as u64;
            let read = self.file.read_exact_at(&mut page, *at);
            let read = read.and_then(|()| database.read_exact_at(&mut stored, place));
            read.is_err() || page != stored
        })
    }
}

/// What a log holds for SQLite.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::store::sqlite) struct LogState {
    /// Whether there is a whole transaction, or a damaged one.
    pub(in crate::store::sqlite) has_transactions: bool,
    /// Whether acknowledged commits are damaged, so that SQLite would drop what is behind.
    pub(in crate::store::sqlite) is_damaged: bool,
}

/// Reads the log of a file. No connection of this process is open: closing a file drops SQLite's locks on it. Other processes may write to it meanwhile: damage is what two readings agree on.
pub(in crate::store::sqlite) fn log_state(path: &Path, log: &Path) -> LogState {
    let mut state = LogState::default();
    let mut before: Option<Damage> = None;
    for _ in 0..READINGS {
        let read = File::open(path).and_then(|file| LogFile::read(File::open(log)?, &file));
        let Ok(Some(log)) = read else { return state };
        state.has_transactions = !log.frames.is_empty();
        let Some(damage) = log.damage else { return state };
        let is_same = |before: Damage| before.header == damage.header && before.at == damage.at;
        if before.is_some_and(is_same) {
            return LogState { is_damaged: true, ..state };
        }
        before = Some(damage);
    }
    state
}

/// Pages of whole transactions.
#[derive(Default)]
struct Transactions {
    frames: HashMap<u32, u64>,
    /// Pages of the database after the last one.
    pages: u32,
}

/// A reading of frames in their order.
struct Scan {
    /// The checksum that the frame before has.
    sum: (u32, u32),
    /// Frames since the last commit frame.
    pending: Vec<(u32, u64)>,
    /// Up to the first wrong frame.
    whole: Transactions,
    /// Where the first wrong frame begins.
    first_wrong: Option<u64>,
    /// Behind the first wrong frame.
    behind: Transactions,
    /// The newest frame of each page, as far as it is certain: of whole transactions behind the last wrong frame.
    newest: HashMap<u32, u64>,
    /// Wrong frames up to the last commit frame, and since.
    behind_wrong: u64,
    pending_wrong: u64,
    /// Whether the frame before is a commit frame.
    is_behind_commit: bool,
    /// Whether the frames belong to the log before.
    is_begun_anew: bool,
    /// Whether a commit behind the first wrong frame was complete.
    is_damage: bool,
}

impl Scan {
    fn of(header: &Header) -> Scan {
        Scan {
            sum: (word(&header.bytes, 24), word(&header.bytes, 28)),
            pending: Vec::new(),
            whole: Transactions::default(),
            // Nothing of a log with a damaged header is part of SQLite's recovery.
            first_wrong: (!header.is_valid).then_some(0),
            behind: Transactions::default(),
            newest: HashMap::new(),
            behind_wrong: 0,
            pending_wrong: 0,
            is_behind_commit: false,
            is_begun_anew: !header.is_valid && header.is_half_written(),
            is_damage: false,
        }
    }

    fn take(&mut self, header: &Header, frame: &[u8], at: u64) {
        let stored = (word(frame, 16), word(frame, 20));
        let has_salts = frame[8..16] == header.salts;
        let mut sum = self.sum;
        if has_salts {
            sum = checksum(&frame[..8], sum, header.is_big_endian);
            sum = checksum(&frame[FRAME_HEADER..], sum, header.is_big_endian);
        }
        self.sum = stored;
        let follows = has_salts && sum == stored;
        if !follows {
            self.first_wrong.get_or_insert(at);
            self.pending_wrong += 1;
            self.newest.clear();
        }
        let pages = if has_salts { word(frame, 4) } else { 0 };
        if has_salts {
            self.pending.push((word(frame, 0), at + FRAME_HEADER as u64));
        }
        let is_behind = self.first_wrong.is_some();
        // SQLite writes a header to the disk before any frame, so a loss of power does not damage it.
        let is_complete = self.is_behind_commit || (!header.is_valid && pages > 0);
        self.is_damage |= is_behind && follows && is_complete && !self.is_begun_anew;
        self.is_behind_commit = is_behind && pages > 0;
        if pages > 0 {
            let part = if is_behind { &mut self.behind } else { &mut self.whole };
            if is_behind && self.pending_wrong == 0 {
                self.newest.extend(self.pending.iter().copied());
            }
            part.frames.extend(self.pending.drain(..));
            if follows {
                part.pages = pages;
            }
            self.behind_wrong += std::mem::take(&mut self.pending_wrong);
        }
    }
}

/// Returns the checksum of a log (sqlite.org/fileformat2.html#checksum_algorithm).
fn checksum(bytes: &[u8], mut sum: (u32, u32), is_big_endian: bool) -> (u32, u32) {
    let read = if is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
    for pair in bytes.chunks_exact(8) {
        let first = read([pair[0], pair[1], pair[2], pair[3]]);
        let second = read([pair[4], pair[5], pair[6], pair[7]]);
        sum.0 = sum.0.wrapping_add(first).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(second).wrapping_add(sum.0);
    }
    sum
}

/// Returns whether no log belongs to a file with these versions of the file format, for writers and readers: to a backup, and
/// to a file that `annals salvage` made. SQLite writes other versions into the file, and syncs it, before it begins a log.
pub(in crate::store::sqlite) fn is_without_log(versions: [u8; 2]) -> bool {
    versions == [1, 1]
}

/// Returns whether a database may have pages of this size.
pub(super) fn is_page_size(bytes: usize) -> bool {
    bytes.is_power_of_two() && (512..=65_536).contains(&bytes)
}

/// Returns the number of 32 bits at a place; 0 beyond the end.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{FRAME_HEADER, LogFile, checksum};

    const PAGE: usize = super::PAGE_BYTES as usize;

    /// A log as SQLite writes it: transactions, each as its number of frames.
    struct Log {
        bytes: Vec<u8>,
        salt: u32,
        number: u32,
    }

    impl Log {
        fn header(number: u32, salt: u32) -> Vec<u8> {
            let words = [0x377f_0682, 3_007_000, PAGE as u32, number, salt, 7];
            let mut header: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
            let sum = checksum(&header, (0, 0), false);
            header.extend([sum.0, sum.1].into_iter().flat_map(u32::to_be_bytes));
            header
        }

        fn new(transactions: &[usize]) -> Log {
            let mut log = Log { bytes: Log::header(1, 5), salt: 5, number: 0 };
            transactions.iter().for_each(|frames| log.write(*frames));
            log
        }

        /// Overwrites the frames from a place on, or appends.
        fn write_at(&mut self, mut at: usize, frames: usize) {
            let stored =
                |bytes: &[u8], at: usize| (super::word(bytes, at), super::word(bytes, at + 4));
            let mut sum = match at {
                32 => stored(&self.bytes, 24),
                _ => stored(&self.bytes, at - PAGE - 8),
            };
            for frame in 1..=frames {
                self.number += 1;
                let pages = if frame == frames { 100 } else { 0 };
                let words = [self.number, pages, self.salt, 7];
                let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
                let page = vec![self.number as u8; PAGE];
                sum = checksum(&page, checksum(&bytes[..8], sum, false), false);
                bytes.extend([sum.0, sum.1].into_iter().flat_map(u32::to_be_bytes));
                bytes.extend(page);
                let end = (at + bytes.len()).max(self.bytes.len());
                self.bytes.resize(end, 0);
                self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
                at += bytes.len();
            }
        }

        fn write(&mut self, frames: usize) {
            self.write_at(self.bytes.len(), frames);
        }

        fn damage(mut self, frame: usize) -> Log {
            self.bytes[place(frame) + FRAME_HEADER + 50] ^= 1;
            self
        }

        /// Returns the number of pages, and the wrong frames if commits are damaged.
        fn read(&self) -> (usize, Option<u64>) {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&self.bytes).unwrap();
            let database = tempfile::tempfile().unwrap();
            let log = LogFile::read(file, &database).unwrap();
            log.map_or((0, None), |log| (log.frames.len(), log.damage.map(|damage| damage.frames)))
        }
    }

    /// Returns where a frame begins, counted from 0.
    fn place(frame: usize) -> usize {
        32 + frame * (FRAME_HEADER + PAGE)
    }

    #[test]
    fn damage_before_the_last_transaction_is_found() {
        assert_eq!(Log::new(&[3, 4, 2]).read(), (9, None));
        for frame in 0..7 {
            assert_eq!(Log::new(&[3, 4, 2]).damage(frame).read(), (9, Some(1)), "{frame}");
        }
        // One of the last transaction may be torn.
        assert_eq!(Log::new(&[3, 4, 2]).damage(7).read(), (7, None));
        assert_eq!(Log::new(&[3, 4, 2]).damage(8).read(), (7, None));
    }

    #[test]
    fn what_a_failed_transaction_leaves_is_no_damage() {
        let mut log = Log::new(&[3, 4]);
        // Their syncs fail, so each begins at the same place.
        for frames in [10, 6] {
            log.write_at(place(7), frames);
        }
        log.write_at(place(7), 2);
        assert_eq!(log.read(), (9, None));
        log.write_at(place(9), 3);
        assert_eq!(log.read(), (12, None));
        assert!(log.damage(8).read().1.is_some());
    }

    #[test]
    fn the_log_before_is_no_damage() {
        let mut log = Log::new(&[3, 4, 2, 2]);
        let before = log.bytes.clone();
        log.bytes[..32].copy_from_slice(&Log::header(2, 6));
        log.salt = 6;
        assert_eq!(log.read(), (0, None));
        log.write_at(place(0), 2);
        assert_eq!(log.read(), (2, None));
        // The header is half of each.
        for bytes in [4, 12, 16, 20, 24, 28] {
            let mut half = before.clone();
            half[..bytes].copy_from_slice(&Log::header(2, 6)[..bytes]);
            let log = Log { bytes: half, salt: 5, number: 0 };
            assert_eq!(log.read().1, None, "{bytes}");
        }
    }
}
