//! The pages of a damaged file, read without SQLite: by the bytes of the file and of its write-ahead log
//! (sqlite.org/fileformat2.html). Nothing is written, not even the lock of a reader.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::super::PAGE_BYTES;
use super::super::super::admin::retention::log_path;
pub(super) use super::super::log_file::word;
use super::super::log_file::{LogFile, is_page_size, is_without_log};

/// The first bytes of a database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What a page is used for, by the pointer map that a file with `auto_vacuum` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// The root of a table or an index.
    Root,
    Free,
    Overflow,
    /// A page of a table or an index below another page.
    Below(u32),
    /// There is no pointer map, or its page is damaged.
    Unknown,
}

/// A database file with its write-ahead log.
pub(super) struct Pages {
    file: File,
    log: Option<File>,
    /// The newest committed frame of each page: where its page begins in the log.
    frames: HashMap<u32, u64>,
    /// Frames of the log whose checksum is wrong.
    pub(super) damaged_frames: u64,
    page_bytes: usize,
    /// Bytes of a page that SQLite uses.
    pub(super) usable: usize,
    pub(super) count: u32,
    /// The pages that the header counts, if they are more: the file was cut.
    pub(super) by_header: u32,
    has_map: bool,
    /// Pages that the list of free pages names.
    listed_free: HashSet<u32>,
    /// The `user_version`, if the header can be read.
    pub(super) user_version: Option<i64>,
}

impl Pages {
    pub(super) fn open(path: &Path) -> io::Result<Pages> {
        let file = match File::open(path) {
            // The log alone has whole pages, too.
            Err(error) if error.kind() == ErrorKind::NotFound && log_path(path).exists() => {
                tempfile::tempfile()?
            }
            file => file?,
        };
        let mut header = [0; 100];
        let has_header = file.read_exact_at(&mut header, 0).is_ok() && header[..16] == *MAGIC;
        let log = match has_header && is_without_log([header[18], header[19]]) {
            // The log belongs to another file.
            true => None,
            false => File::open(log_path(path)).ok(),
        };
        let log = log.and_then(|log| LogFile::read(log, &file).transpose()).transpose()?;
        let by_header = usize::from(u16::from_be_bytes([header[16], header[17]]));
        let by_header = if by_header == 1 { 65_536 } else { by_header };
        let file_bytes = file.metadata()?.len();
        // What the header says is damaged if the pages that it counts do not fill the file, but those of the usual size do.
        let fills = |bytes: usize| u64::from(word(&header, 28)) * bytes as u64 == file_bytes;
        let is_usual = !fills(by_header) && fills(PAGE_BYTES as usize);
        let page_bytes = match &log {
            // A sum protects the header of the log. If it is damaged, its frames are of this size.
            Some(log) => log.page_bytes,
            None if has_header && is_page_size(by_header) && !is_usual => by_header,
            None => PAGE_BYTES as usize,
        };
        let reserved = if has_header { usize::from(header[20]) } else { 0 };
        let in_file = u32::try_from(file_bytes / page_bytes as u64).unwrap_or(u32::MAX);
        let by_log = log.as_ref().map_or(0, |log| log.pages);
        let damage = log.as_ref().and_then(|log| log.damage.as_ref());
        let mut pages = Pages {
            file,
            frames: log.as_ref().map(|log| log.frames.clone()).unwrap_or_default(),
            damaged_frames: damage.map_or(0, |damage| damage.frames),
            log: log.map(|log| log.file),
            page_bytes,
            usable: page_bytes.saturating_sub(reserved).max(480),
            count: in_file.max(by_log),
            by_header: 0,
            has_map: false,
            listed_free: HashSet::new(),
            user_version: None,
        };
        pages.read_header();
        pages.has_map = pages.looks_like_a_map();
        Ok(pages)
    }

    /// Reads what the newest header says, if it can be read.
    fn read_header(&mut self) {
        let Some(page) = self.read(1).filter(|page| page[..16] == *MAGIC) else { return };
        self.user_version = Some(i64::from(word(&page, 60)));
        let pages = word(&page, 28);
        self.by_header = pages;
        if pages > 0 && pages < self.count {
            self.count = pages;
        }
        let mut trunk = word(&page, 32);
        while trunk != 0 && self.listed_free.insert(trunk) {
            let Some(page) = self.read(trunk) else { break };
            let leaves = (word(&page, 4) as usize).min(self.usable / 4 - 2);
            self.listed_free.extend((0..leaves).map(|leaf| word(&page, 8 + 4 * leaf)));
            trunk = word(&page, 0);
        }
    }

    /// Returns a page, or None if the disk does not give it.
    pub(super) fn read(&self, number: u32) -> Option<Vec<u8>> {
        if number == 0 || number > self.count {
            return None;
        }
        let mut page = vec![0; self.page_bytes];
        let read = match (self.frames.get(&number), &self.log) {
            (Some(at), Some(log)) => log.read_exact_at(&mut page, *at),
            _ => self.file.read_exact_at(&mut page, u64::from(number - 1) * self.page_bytes as u64),
        };
        read.is_ok().then_some(page)
    }

    /// Returns whether the second page is a pointer map. The header says so, too, but it may be damaged.
    fn looks_like_a_map(&self) -> bool {
        let Some(page) = self.read(2) else { return false };
        let entries = (self.usable / 5).min(self.count.saturating_sub(2) as usize);
        let valid = (0..entries).filter(|at| self.entry(&page, *at) != Use::Unknown).count();
        entries > 0 && valid * 2 > entries
    }

    /// Returns the page of the pointer map that has the entry of a page.
    fn map_page(&self, number: u32) -> u32 {
        let entries = (self.usable / 5) as u32 + 1;
        (number - 2) / entries * entries + 2
    }

    fn entry(&self, map: &[u8], at: usize) -> Use {
        let Some(entry) = map.get(at * 5..at * 5 + 5) else { return Use::Unknown };
        let parent = word(entry, 1);
        match entry[0] {
            1 if parent == 0 => Use::Root,
            2 if parent == 0 => Use::Free,
            3 | 4 if (1..=self.count).contains(&parent) => Use::Overflow,
            5 if (1..=self.count).contains(&parent) => Use::Below(parent),
            _ => Use::Unknown,
        }
    }

    /// Returns whether a page belongs to the pointer map, or is the one that SQLite never uses.
    pub(super) fn is_internal(&self, number: u32) -> bool {
        let is_map = self.has_map && number >= 2 && self.map_page(number) == number;
        is_map || u64::from(number - 1) == (1 << 30) / self.page_bytes as u64
    }

    /// Returns what a page is used for.
    pub(super) fn use_of(&self, number: u32) -> Use {
        let mapped = match number {
            1 => Use::Root,
            _ if !self.has_map => Use::Unknown,
            _ => {
                let map = self.map_page(number);
                let page = self.read(map).filter(|_| number > map);
                page.map_or(Use::Unknown, |page| self.entry(&page, (number - map - 1) as usize))
            }
        };
        match mapped {
            Use::Unknown if self.listed_free.contains(&number) => Use::Free,
            mapped => mapped,
        }
    }

    /// Returns the root of the table or index that a page belongs to.
    pub(super) fn root_of(&self, mut number: u32) -> Option<u32> {
        // A tree is at most some twenty levels deep.
        for _ in 0..40 {
            match self.use_of(number) {
                Use::Root => return Some(number),
                Use::Below(parent) => number = parent,
                _ => return None,
            }
        }
        None
    }
}
