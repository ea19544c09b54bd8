//! The rows of a pushed body on their way into batches.

use crate::formats::rows::{self, Entry, RowError, Rows};
use crate::http::error::ApiError;
use crate::http::rejected_rows::RejectedRows;
use crate::ingest::Reservation;
use crate::store::Batch;

/// Memory that is reserved before rows are read. Small, because each push reserves it for a moment.
const STEP_BYTES: usize = 1 << 20;

/// The rows of a body, with counts of the rows that were read and rejected.
pub(super) struct PushedRows<'a> {
    rows: Rows<'a>,
    /// Whether a value that its column cannot hold rejects its row.
    is_strict: bool,
    /// The number of rows that were read.
    pub total: u64,
    pub rejected: RejectedRows,
}

impl<'a> PushedRows<'a> {
    pub(super) fn new(rows: Rows<'a>, is_strict: bool) -> PushedRows<'a> {
        PushedRows { rows, is_strict, total: 0, rejected: RejectedRows::default() }
    }

    /// Adds rows to a batch until it takes `most` bytes of memory, which are `reserved` meanwhile. Returns whether rows
    /// may be left. Errors if the body as a whole cannot be read, or if no memory becomes free in time.
    pub(super) async fn fill(
        &mut self,
        batch: &mut Batch,
        reserved: &mut Reservation,
        most: usize,
    ) -> Result<bool, ApiError> {
        let mut has_more = true;
        while has_more && batch.memory_bytes() < most {
            reserved.grow_to(batch.memory_bytes() + STEP_BYTES).await?;
            let until = most.min(reserved.bytes());
            has_more = tokio::task::block_in_place(|| self.add_rows(batch, until))?;
        }
        reserved.grow_to(batch.memory_bytes()).await?;
        reserved.shrink_to(batch.memory_bytes());
        Ok(has_more)
    }

    fn add_rows(&mut self, batch: &mut Batch, until: usize) -> Result<bool, ApiError> {
        while batch.memory_bytes() < until {
            let Some(row) = self.rows.next() else { return Ok(false) };
            let (number, row) = row.map_err(|error| ApiError::BadRequest(error.to_string()))?;
            self.total += 1;
            match row.and_then(|row| self.checked(row, batch)) {
                Ok(row) => batch.row(row),
                Err(error) => self.rejected.add(number, &error),
            }
        }
        Ok(true)
    }

    fn checked(&self, row: Entry, batch: &Batch) -> Result<Entry, RowError> {
        if let Entry::Record(record) = &row
            && let Some(cluster) = batch.other_cluster(record)
        {
            return Err(RowError::OtherCluster(cluster.to_string()));
        }
        match &row {
            Entry::Record(record) if self.is_strict => match rows::wrongly_typed_column(record) {
                Some(column) => Err(RowError::WrongType(column.to_string())),
                None => Ok(row),
            },
            _ => Ok(row),
        }
    }
}
