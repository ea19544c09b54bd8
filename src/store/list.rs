//! How much of a list one read may take.

use std::time::{Duration, Instant};

use super::query::{Bound, Incomplete};
use crate::domain::filter::Cursor;
use crate::domain::record::{FieldValue, StoredQuery};

/// Characters of a statement in a list. The bound keeps an answer small.
pub(super) const LISTED_STATEMENT_CHARS: u32 = 65_536;

/// The ids with a prefix among which those of a user are looked for.
pub(super) const IDS_WITH_PREFIX: i64 = 1000;

/// A row with more bytes than this may be part of a row with many more. Reading it takes long.
const LONG_ROW_BYTES: usize = LISTED_STATEMENT_CHARS as usize;

/// How much of a list one read may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListBounds {
    bytes: usize,
    time: Duration,
}

impl ListBounds {
    /// The bounds of a list that a client gets: 1000 statements of 8 KB. JSON may have six bytes for one.
    pub(super) const SERVED: ListBounds =
        ListBounds { bytes: 8 << 20, time: Duration::from_secs(2) };
    /// The commands write row by row.
    pub(super) const NONE: ListBounds = ListBounds { bytes: usize::MAX, time: Duration::MAX };
}

/// How far a list is read.
#[derive(Debug)]
pub(super) struct ListProgress {
    bounds: ListBounds,
    began: Instant,
    bytes: usize,
    count: u32,
    has_long_rows: bool,
    incomplete: Option<Incomplete>,
}

impl ListProgress {
    /// Begins a list.
    pub(super) fn new(bounds: ListBounds) -> ListProgress {
        ListProgress {
            bounds,
            began: Instant::now(),
            bytes: 0,
            count: 0,
            has_long_rows: false,
            incomplete: None,
        }
    }

    /// Counts a row, by its place in the list and the bytes of its texts.
    pub(super) fn add(&mut self, (at, bytes): (Cursor, usize)) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if bytes >= LONG_ROW_BYTES {
            self.has_long_rows = true;
        }
        let by = match () {
            () if self.bytes > self.bounds.bytes => Bound::Bytes,
            () if self.has_long_rows && self.began.elapsed() > self.bounds.time => Bound::Time,
            () => return,
        };
        self.incomplete = Some(Incomplete { by, at });
    }

    /// Returns the number of rows.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Returns whether a row was so long that the next one may take long to read.
    pub(super) fn has_long_rows(&self) -> bool {
        self.has_long_rows
    }

    /// Returns where the list ended if it reached a bound.
    pub(super) fn incomplete(&self) -> Option<Incomplete> {
        self.incomplete
    }
}

/// Returns the bytes of all texts of a query.
pub(super) fn text_bytes(query: &StoredQuery) -> usize {
    let texts = query.record.values().into_iter().map(|value| match value {
        FieldValue::Text(text) | FieldValue::Json(text) => text.len(),
        FieldValue::Number(_) | FieldValue::Truth(_) | FieldValue::Unknown => 0,
    });
    let extra = query.record.extra.iter().map(|(key, value)| key.len() + value.len());
    texts.chain(extra).sum()
}
