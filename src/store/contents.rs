//! What the store holds: counts, sizes, and findings of a check.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::readable::counted;
use crate::domain::record::StoredQuery;

/// How much the store holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Queries and loads.
    pub queries: i64,
    pub profiles: i64,
    /// Sum of the profile texts, uncompressed.
    pub profile_text_bytes: i64,
    /// Sum of the profile texts as they are stored.
    pub profile_bytes: i64,
    /// The database file, without its write-ahead log.
    pub file_bytes: i64,
}

/// How many log-ins the store holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoginCounts {
    pub all: i64,
    pub failed: i64,
}

/// Something that `annals check` found wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What is wrong, and where.
    pub what: String,
    /// How often; 1 for a message of the engine.
    pub count: i64,
}

/// The part of the file that a table takes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TableSize {
    pub table: String,
    pub rows: i64,
    /// Bytes of the pages of its rows.
    pub bytes: i64,
    /// Bytes of the pages of its indexes.
    pub index_bytes: i64,
}

/// What the store changed in an older database when it opened the file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReparseSummary {
    /// Queries that today's parser reads differently.
    pub records: u64,
    /// Rows whose id is a placeholder, like NaN, into which an older annals merged several statements. Their
    /// values stay mixed.
    pub mixed: u64,
}

/// What a file has that cannot be read, and what can.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Survey {
    /// Pages that cannot be read, with the table or index that they belong to, as far as it is known.
    pub pages: Vec<LostPage>,
    /// For each table, the rows that can be read.
    pub saved: BTreeMap<String, u64>,
    /// For each table, the rows of pages that can be read that cannot be read themselves.
    pub lost: BTreeMap<String, u64>,
    /// For each table, the rows of which some values cannot be read.
    pub incomplete: BTreeMap<String, u64>,
    /// The ids of queries whose rows cannot be read, as far as the index of the ids has them.
    pub queries: Vec<String>,
    /// Frames of the write-ahead log whose checksum is wrong: what they hold may be wrong or missing.
    pub damaged_frames: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LostPage {
    pub page: u32,
    pub table: Option<String>,
}

impl Survey {
    /// Returns whether everything can be read.
    pub(crate) fn is_whole(&self) -> bool {
        self.pages.is_empty()
            && self.lost.is_empty()
            && self.incomplete.is_empty()
            && self.queries.is_empty()
            && self.damaged_frames == 0
    }

    /// Returns the number of rows that can be read.
    pub(crate) fn rows(&self) -> u64 {
        self.saved.values().sum()
    }
}

/// Parts of queries that cannot be read, while the rest of these queries was.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unread {
    /// Queries with bytes that are no text. U+FFFD is in their place.
    pub texts: u64,
    /// Loads without the fields that only loads have.
    pub loads: u64,
    /// Queries of which it is unknown whether they have a profile.
    pub profiles: u64,
}

impl Unread {
    pub(crate) fn add(&mut self, other: Unread) {
        self.texts += other.texts;
        self.loads += other.loads;
        self.profiles += other.profiles;
    }

    /// Returns what cannot be read, each as a part of a sentence.
    pub(crate) fn parts(self) -> Vec<String> {
        let Unread { texts, loads, profiles } = self;
        [
            (texts, format!("parts of the texts of {}", counted(texts, "query", "queries"))),
            (loads, format!("the fields of {}", counted(loads, "load", "loads"))),
            (profiles, format!("the profiles of up to {}", counted(profiles, "query", "queries"))),
        ]
        .into_iter()
        .filter_map(|(count, part)| (count > 0).then_some(part))
        .collect()
    }
}

/// Queries of a damaged file or a sound one, in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct StoredPage {
    pub queries: Vec<StoredQuery>,
    /// The row of the last query; of a damaged row if no query could be read.
    pub last: i64,
    pub unread: Unread,
    /// Whether the file is damaged where these rows are. Rows that cannot be read are skipped.
    pub is_damaged: bool,
}

/// Queries of a database, in the order of their arrival, for joining two databases.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub queries: Vec<StoredQuery>,
    /// The row of the last query.
    pub last: i64,
    /// Rows whose query id annals does not accept, as another program may have written them.
    pub rejected: u64,
    pub unread: Unread,
    /// Whether the file is damaged where these rows are. Rows that cannot be read are skipped.
    pub is_damaged: bool,
}

impl Page {
    /// Returns the page of queries as they are stored, without those whose ids annals does not accept.
    pub(crate) fn of(mut queries: Vec<StoredQuery>) -> Page {
        let read = queries.len();
        queries.retain(|query| query.query_id.parse().as_ref() == Ok(&query.query_id));
        let rejected = (read - queries.len()) as u64;
        Page { queries, rejected, ..Page::default() }
    }
}
