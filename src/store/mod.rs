//! The store: one SQLite file, and every SQL statement annals knows.

mod sqlite;

pub(crate) use sqlite::*;
