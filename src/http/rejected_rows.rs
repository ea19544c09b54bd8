//! The rejected rows of a push or a stream load, for the answer to the client.

use serde::Serialize;
use utoipa::ToSchema;

use crate::formats::rows::RowError;

/// The most rejected rows that an answer names.
const REASONS: usize = 10;

/// The rejected rows of a push.
#[derive(Default)]
pub(super) struct RejectedRows {
    /// The number of all of them.
    pub count: u64,
    /// The first few.
    pub first: Vec<RejectedRow>,
}

/// The number of a row, and why the row was rejected.
#[derive(Serialize, ToSchema)]
#[schema(as = Reason)]
pub(super) struct RejectedRow {
    line: u64,
    reason: String,
}

impl RejectedRows {
    pub(super) fn add(&mut self, line: u64, error: &RowError) {
        self.count += 1;
        if self.first.len() < REASONS {
            self.first.push(RejectedRow { line, reason: error.to_string() });
        }
    }

    /// Returns the first few in one sentence.
    pub(super) fn sentence(&self) -> String {
        let rows =
            self.first.iter().map(|RejectedRow { line, reason }| format!("row {line}: {reason}"));
        rows.collect::<Vec<_>>().join("; ")
    }
}
