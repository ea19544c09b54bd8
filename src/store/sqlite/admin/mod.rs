//! Care for the file: backup, check, merge and retention.

pub(super) mod backup;
pub(super) mod check;
pub(super) mod merge;
pub(super) mod retention;
