//! `annals backup`: a copy of the history, made while annals serves it.

use std::ffi::OsString;
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;

use super::args::ConfigArgs;
use super::output::print;
use crate::store::{Address, SqliteStore};

/// Copy the history into another file, also while annals serves it
///
/// The copy is the history at one moment. It is checked, and can be served. Other programs that write meanwhile do
/// not wait. An existing file is not overwritten.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to make
    file: OsString,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What copies a history in PostgreSQL.
const PG_DUMP: &str = "copy it with pg_dump, or with PostgreSQL's own continuous archiving";

/// Runs the command.
pub async fn run(args: BackupArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.read()?;
    let db = config.db().file(PG_DUMP)?;
    // Whoever names the history here expects what is for files only.
    let file = Address::parse(args.file)?.file(PG_DUMP)?;
    let store = SqliteStore::open_to_read(&db).await?;
    let bytes = store.back_up(&file).await?;
    print(format_args!("copied the history to {}, {}", file.display(), ByteSize(bytes)));
    Ok(ExitCode::SUCCESS)
}
