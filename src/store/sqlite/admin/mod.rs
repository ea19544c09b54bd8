//! Care for the file: backup, check, merge, retention, and what to do with a damaged one.

pub(super) mod backup;
pub(super) mod check;
pub(super) mod merge;
pub(super) mod retention;
pub(super) mod salvage;
