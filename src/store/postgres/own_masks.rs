//! The masks of rows that this process copies, for the search index: what it has written just now need not be read again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::ngram_index::{Masks, SEGMENT_ROWS, segment_of};

/// Segments whose masks are kept, of 256 KiB each. The index is made a few segments behind the writer.
const SEGMENTS: usize = 8;

/// The other writers of the history, by name, and how often each has committed. While that stays the same, only this process
/// changes the history.
pub(super) type OtherWriters = Vec<(String, i64)>;

/// The masks of the last segments that this process has copied rows of.
#[derive(Default)]
pub(super) struct OwnMasks(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// As the transaction found them that copies rows now.
    others: OtherWriters,
    segments: VecDeque<OwnSegment>,
}

struct OwnSegment {
    segment: i64,
    masks: Masks,
    /// How many of its rows this process has copied.
    rows: i64,
    /// The other writers before the first of these rows.
    others: OtherWriters,
}

impl OwnMasks {
    /// Begins a transaction.
    pub(super) fn begin(&self, others: OtherWriters) {
        self.known().others = others;
    }

    /// Adds a row that is copied, each row once. Its transaction may still fail: the masks then have more than the table.
    pub(super) fn add(&self, row: i64, statement: Option<&str>) {
        let mut known = self.known();
        let Known { others, segments } = &mut *known;
        let segment = segment_of(row);
        let at = segments.iter().rposition(|it| it.segment == segment).unwrap_or_else(|| {
            if segments.len() == SEGMENTS {
                segments.pop_front();
            }
            let (masks, others) = (Masks::new(segment), others.clone());
            segments.push_back(OwnSegment { segment, masks, rows: 0, others });
            segments.len() - 1
        });
        let Some(own) = segments.get_mut(at) else { return };
        own.rows += 1;
        own.masks.add(row, statement.unwrap_or_default().as_bytes());
    }

    /// Forgets segments whose statements this process changes.
    pub(super) fn forget(&self, changed: &[i64]) {
        self.known().segments.retain(|it| !changed.contains(&it.segment));
    }

    /// Takes the masks of a segment. None unless this process has copied all its rows, and no other has committed since.
    pub(super) fn take(&self, segment: i64, others: &OtherWriters) -> Option<Masks> {
        let mut known = self.known();
        let at = known.segments.iter().position(|it| it.segment == segment)?;
        let own = known.segments.remove(at)?;
        (own.rows == SEGMENT_ROWS && own.others == *others).then_some(own.masks)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(rows: std::ops::Range<i64>) -> OwnMasks {
        let own = OwnMasks::default();
        own.begin(vec![("other".to_string(), 3)]);
        rows.for_each(|row| own.add(row, Some("select 1")));
        own
    }

    fn has(own: &OwnMasks, segment: i64, commits: i64) -> bool {
        own.take(segment, &vec![("other".to_string(), commits)]).is_some()
    }

    #[test]
    fn masks_are_those_of_the_rows() {
        let mut expected = Masks::new(0);
        (0..SEGMENT_ROWS).for_each(|row| expected.add(row, b"select 1"));
        let others = vec![("other".to_string(), 3)];
        let own = copied(0..SEGMENT_ROWS).take(0, &others);
        assert!(own.is_some_and(|masks| masks.pages().eq(expected.pages())));
    }

    #[test]
    fn a_segment_that_others_may_have_written_has_no_masks() {
        let own = copied(1..2 * SEGMENT_ROWS);
        assert!(!has(&own, 0, 3) && has(&own, 1, 3) && !has(&own, 1, 3));
        assert!(!has(&copied(0..SEGMENT_ROWS), 0, 4));
        let changed = copied(0..2 * SEGMENT_ROWS);
        changed.forget(&[1]);
        assert!(has(&changed, 0, 3) && !has(&changed, 1, 3));
    }

    #[test]
    fn the_oldest_masks_make_room() {
        let own = copied(0..9 * SEGMENT_ROWS);
        assert!(!has(&own, 0, 3) && has(&own, 1, 3) && has(&own, 8, 3));
    }
}
