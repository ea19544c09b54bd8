//! `annals backup`: a copy of the history, made while annals serves it.

use std::path::PathBuf;
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;

use super::args::ConfigArgs;
use super::output::print;
use crate::store::SqliteStore;

/// Copy the history into another file, also while annals serves it
///
/// The copy is the history at one moment. It is checked, and can be served. Other programs that write meanwhile do
/// not wait. An existing file is not overwritten.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to make
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs the command.
pub async fn run(args: BackupArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.read()?;
    let db =
        config.db().file("copy it with pg_dump, or with PostgreSQL's own continuous archiving")?;
    let store = SqliteStore::open_to_read(&db).await?;
    let bytes = store.back_up(&args.file).await?;
    print(format_args!("copied the history to {}, {}", args.file.display(), ByteSize(bytes)));
    Ok(ExitCode::SUCCESS)
}
