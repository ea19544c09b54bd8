//! What is of SQLite alone: the file, its write-ahead log and its copies; the stock `sqlite3`; backups, checks, salvage and
//! bounds in bytes, for which PostgreSQL has means of its own; disks that fail. A run on PostgreSQL skips these modules.

mod campaign;
mod care;
mod commands;
mod config;
mod damaged_pages;
mod disk_full;
mod docs;
mod file_changes;
mod hours;
mod log;
mod mistakes;
mod odd_files;
mod on_call;
mod open;
mod other_programs;
pub(crate) mod retention;
mod retention_bounds;
mod salvage;
pub(crate) mod search;
mod soak;
mod sqlite_shell;
mod upgrade;
