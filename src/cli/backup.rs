//! `annals backup`: a copy that can be served at once.

use std::path::PathBuf;
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;

use super::Common;
use super::output::say;
use crate::config::ConfigError;
use crate::store::{self, OpenError, Store};

/// Copy a history into another file, also while annals serves it
///
/// The copy is the history as it was at one moment, is checked, and can be served at once. Nobody who
/// writes meanwhile waits. A file that is there already is not written over.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to make
    file: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BackupError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Backup(#[from] store::BackupError),
}

/// Runs the command.
pub async fn run(args: BackupArgs) -> Result<ExitCode, BackupError> {
    let config = args.common.configured()?;
    let store = Store::open_to_read(&config.db()).await?;
    let bytes = store.back_up(&args.file).await?;
    say(format_args!("{} holds the history, {}", args.file.display(), ByteSize(bytes)));
    Ok(ExitCode::SUCCESS)
}
