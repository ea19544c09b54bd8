//! `annals merge`: joins the histories of several machines.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Common;
use super::output::say;
use crate::config::ConfigError;
use crate::store::{BUSY_TIMEOUT, Batch, OpenError, Store, WriteError, WriteSummary, Writer};

/// Join other histories to one
///
/// Queries, loads and profiles are joined as an import joins them: nothing is counted twice, and again is
/// harmless. The other files are not changed. Their users, and how far they followed logs, stay theirs.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The histories to take in
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Why histories are not joined, or not all.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum MergeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{} is the history itself", .0.display())]
    Itself(PathBuf),
    #[error("{} cannot be read", .0.display())]
    Read(PathBuf, #[source] crate::store::StoreError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the history could not be closed")]
    Close(#[source] crate::store::StoreError),
}

/// Runs the command.
pub async fn run(args: MergeArgs) -> Result<ExitCode, MergeError> {
    let config = args.common.configured()?;
    // All are looked at before the first is taken in.
    let mut others = Vec::new();
    for file in args.files {
        let same = |a: &PathBuf, b: &PathBuf| {
            a.canonicalize().ok().is_some_and(|a| b.canonicalize().is_ok_and(|b| a == b))
        };
        if same(&file, &config.db()) {
            return Err(MergeError::Itself(file));
        }
        others.push((Store::open_to_read(&file).await?, file));
    }
    let store = Store::open(&config.db()).await?;
    super::report_healed(&store);
    let writer = store.writer(BUSY_TIMEOUT, None).await?;
    let mut refused = 0;
    for (other, file) in others {
        let (written, not_taken) = take_in(&other, &file, &writer).await?;
        say(file.display());
        say(format_args!("  records:  {}", written.records));
        say(format_args!("  profiles: {}", written.profiles));
        if written.logins.total() > 0 {
            say(format_args!("  log-ins:  {}", written.logins));
        }
        if not_taken > 0 {
            say(format_args!("  not understood: {not_taken} (`annals check` may say more)"));
        }
        refused += not_taken;
    }
    writer.finish().await?;
    store.close().await.map_err(MergeError::Close)?;
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Takes in a history, a bounded part at a time; gives what became of it, and how many rows and profiles
/// could not be understood.
async fn take_in(
    other: &Store,
    file: &Path,
    writer: &Writer,
) -> Result<(WriteSummary, u64), MergeError> {
    let unreadable = |error| MergeError::Read(file.to_path_buf(), error);
    let (mut written, mut refused, mut last) = (WriteSummary::default(), 0, i64::MIN);
    let mut batch = Batch::default();
    while let Some(page) = other.page_after(last).await.map_err(unreadable)? {
        last = page.last;
        refused += page.rejected;
        page.records.into_iter().for_each(|record| batch.record(record));
        for (row, record) in page.with_profile {
            match other.profile_of_row(row, record).await.map_err(unreadable)? {
                Ok(profile) => batch.profile(profile),
                Err(record) => {
                    refused += 1;
                    batch.record(record);
                }
            }
            if batch.is_large() {
                written.add(writer.write(std::mem::take(&mut batch)).await?);
            }
        }
        if batch.is_full() {
            written.add(writer.write(std::mem::take(&mut batch)).await?);
        }
    }
    last = i64::MIN;
    while let Some((logins, end)) = other.logins_after(last).await.map_err(unreadable)? {
        last = end;
        logins.into_iter().for_each(|login| batch.login(login));
        written.add(writer.write(std::mem::take(&mut batch)).await?);
    }
    written.add(writer.write(batch).await?);
    Ok((written, refused))
}
