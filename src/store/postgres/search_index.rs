//! Keeping the search index, and reading it.
//!
//! Rows are inserted by several writers, and a lower row may be committed after a higher one. So a segment is made once
//! every transaction that was given one of its rows has ended.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use annals_postgres_statements as statements;
use futures_util::TryStreamExt;
use sqlx::{Connection, PgConnection, Row};

use super::own_masks::OwnMasks;
use crate::domain::search::Search;
use crate::store::error::StoreError;
use crate::store::ngram_index::{
    Candidates, Grams, Mask, Masks, PAGES, next_segment, segment_ids, segment_of,
};

/// From one look at the workers of Citus to the next.
const WORKERS_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Sequences of bytes whose pages a search reads at a time: four rule out nearly all runs that do not match.
const GRAMS: usize = 4;

/// Until which row every transaction has ended.
#[derive(Debug, Default)]
pub(super) struct Horizon {
    /// The last row that was given at some times, with the number of a transaction that began then; the oldest first.
    seen: VecDeque<(i64, i64)>,
    /// All transactions that were given a row up to this one have ended.
    settled: i64,
}

impl Horizon {
    /// Returns the last row up to which no row will be added.
    async fn look(&mut self, connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
        let ended = statements::ended_transactions(&mut *connection).await?;
        while let Some((row, number)) = self.seen.front()
            && *number < ended
        {
            self.settled = *row;
            self.seen.pop_front();
        }
        if self.seen.len() < 2 {
            let mut transaction = connection.begin().await?;
            self.seen.push_back(statements::last_row(&mut transaction).await?);
            transaction.commit().await?;
        }
        Ok(self.settled)
    }
}

/// Makes a segment: a stale one, or the next one. Returns false if there is none to make.
pub(super) async fn make_segment(
    connection: &mut PgConnection,
    horizon: &mut Horizon,
    own_masks: &OwnMasks,
) -> Result<bool, StoreError> {
    let settled = horizon.look(connection).await?;
    let Some((first, last)) = statements::row_range(&mut *connection).await? else {
        return Ok(false);
    };
    // Segments all of whose rows were deleted.
    let emptied = segment_of(first);
    statements::remove_segments(connection, emptied, emptied.saturating_mul(PAGES)).await?;
    let (stale, newest) = statements::segments_to_make(&mut *connection).await?;
    let Some(segment) = stale.or_else(|| next_segment(newest, first, last.min(settled))) else {
        return Ok(false);
    };
    let changes = statements::begin_segment(connection, segment).await?;
    if statements::is_citus(&mut *connection).await? {
        await_workers(connection).await?;
    }
    // A change from here on makes the segment stale.
    let others = own_masks.others(connection).await?;
    let masks = match own_masks.take(segment, &others) {
        Some(own) => own,
        None => read_masks(connection, segment).await?,
    };
    let (ids, pages): (Vec<i64>, Vec<Vec<u8>>) = masks.pages().unzip();
    let mut transaction = connection.begin().await?;
    statements::write_pages(&mut transaction, &ids, &pages).await?;
    statements::end_segment(&mut transaction, segment, changes).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Returns once the workers of Citus have committed each transaction that has ended on the coordinator.
pub(super) async fn await_workers(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut awaited = prepared_transactions(connection).await?;
    while !awaited.is_empty() {
        tokio::time::sleep(WORKERS_AGAIN_AFTER).await;
        let prepared = prepared_transactions(connection).await?;
        awaited.retain(|name| prepared.contains(name));
    }
    Ok(())
}

/// Returns the names of transactions that the workers of Citus have prepared and not committed. Errors if one does not answer.
async fn prepared_transactions(
    connection: &mut PgConnection,
) -> Result<HashSet<String>, sqlx::Error> {
    // No macro: the function is one of Citus.
    let prepared = "SELECT success, result FROM run_command_on_all_nodes($$
        SELECT coalesce(string_agg(gid, ' '), '') FROM pg_prepared_xacts WHERE database = current_database() $$)";
    let mut names = HashSet::new();
    for node in sqlx::query(prepared).fetch_all(connection).await? {
        let (is_answer, result): (bool, String) = (node.try_get(0)?, node.try_get(1)?);
        if !is_answer {
            return Err(sqlx::Error::Protocol(result));
        }
        names.extend(result.split_whitespace().map(str::to_string));
    }
    Ok(names)
}

/// Makes the masks of a segment of its rows.
async fn read_masks(connection: &mut PgConnection, segment: i64) -> Result<Masks, sqlx::Error> {
    let mut masks = Masks::new(segment);
    let (first, last) = segment_ids(segment);
    // No macro: the rows are streamed, and lend their statements.
    let rows = sqlx::query("SELECT id, statement FROM query WHERE id BETWEEN $1 AND $2");
    let mut rows = rows.bind(first).bind(last).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        if let Some(statement) = row.try_get::<Option<&str>, _>(1)? {
            masks.add(row.try_get(0)?, statement.as_bytes());
        }
    }
    Ok(masks)
}

/// Returns the candidates of a search; all rows if its text is too short.
pub(super) async fn candidates(
    connection: &mut PgConnection,
    search: &Search,
) -> Result<Candidates, StoreError> {
    let grams: Vec<_> = Grams::of(Some(search)).iter().collect();
    let mut masks: HashMap<i64, Mask> = HashMap::new();
    if !grams.is_empty() {
        let segments = statements::valid_segments(&mut *connection).await?;
        masks = segments.into_iter().map(|segment| (segment, Mask::default())).collect();
    }
    for grams in grams.chunks(GRAMS) {
        let open =
            || masks.iter().filter(|(_, mask)| !mask.is_empty()).map(|(segment, _)| *segment);
        let ids: Vec<i64> =
            open().flat_map(|segment| grams.iter().map(move |gram| gram.page(segment))).collect();
        if ids.is_empty() {
            break;
        }
        let pages: HashMap<i64, Vec<u8>> =
            statements::pages(&mut *connection, &ids).await?.into_iter().collect();
        for (segment, mask) in &mut masks {
            for gram in grams {
                // A page that is missing rules nothing out.
                if let Some(page) = pages.get(&gram.page(*segment)) {
                    mask.and(gram.mask(page));
                }
            }
        }
    }
    let mut candidates = Candidates::default();
    masks.into_iter().for_each(|(segment, mask)| candidates.insert(segment, mask));
    Ok(candidates)
}
