//! The masks of rows that this process copies, for the search index: what it has written just now need not be read again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use annals_postgres_statements as statements;
use sqlx::PgConnection;

use crate::store::ngram_index::{Masks, SEGMENT_ROWS, segment_of};

/// Segments whose masks are kept, of 256 KiB each. The index is made a few segments behind the writer.
const SEGMENTS: usize = 8;

/// The other writers of the history, by name, and how often each has committed. While that stays the same, only this process
/// changes the history.
pub(super) type OtherWriters = Vec<(String, i64)>;

/// The masks of the last segments that this process has copied rows of.
pub(super) struct OwnMasks {
    /// The name of the writer of this process.
    writer: String,
    segments: Mutex<VecDeque<OwnSegment>>,
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
    /// Returns the masks of a writer that has copied nothing.
    pub(super) fn of_writer(name: &str) -> OwnMasks {
        OwnMasks { writer: name.to_string(), segments: Mutex::default() }
    }

    /// Reads the other writers of the history.
    pub(super) async fn others(
        &self,
        connection: &mut PgConnection,
    ) -> Result<OtherWriters, sqlx::Error> {
        let writers = statements::writers(connection).await?;
        let others = writers.into_iter().filter(|it| it.name != self.writer);
        Ok(others.map(|it| (it.name, it.commits)).collect())
    }

    /// Adds a row that is copied, each row once. Its transaction may still fail: the masks then have more than the table.
    /// `others` are the other writers as the transaction found them.
    pub(super) fn add(&self, row: i64, statement: Option<&str>, others: &OtherWriters) {
        let mut segments = self.segments();
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
        self.segments().retain(|it| !changed.contains(&it.segment));
    }

    /// Takes the masks of a segment. None unless this process has copied all its rows, and no other has committed since.
    pub(super) fn take(&self, segment: i64, others: &OtherWriters) -> Option<Masks> {
        let mut segments = self.segments();
        let at = segments.iter().position(|it| it.segment == segment)?;
        let own = segments.remove(at)?;
        (own.rows == SEGMENT_ROWS && own.others == *others).then_some(own.masks)
    }

    fn segments(&self) -> MutexGuard<'_, VecDeque<OwnSegment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(rows: std::ops::Range<i64>) -> OwnMasks {
        let own = OwnMasks::of_writer("this");
        let others = vec![("other".to_string(), 3)];
        rows.for_each(|row| own.add(row, Some("select 1"), &others));
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
