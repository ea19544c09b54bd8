//! `annals prune`: removes what is old, and gives its room back.

use std::process::ExitCode;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::Common;
use super::output::say;
use crate::config::ConfigError;
use crate::domain::retention::{Retention, parse_age, parse_size};
use crate::store::{BUSY_TIMEOUT, Batch, OpenError, Pruner, Store, WriteError};

/// Remove old queries and profiles, and give their room back to the disk
///
/// Bounds that are not given here are those of `[retention]` in the configuration, within which
/// `annals serve` keeps a history by itself. May run beside it.
#[derive(Debug, Args)]
pub struct PruneArgs {
    #[command(flatten)]
    common: Common,
    /// Remove queries and loads that started longer ago, with their profiles: 730d, 2years
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    keep_queries: Option<Duration>,
    /// Remove profiles of queries that started longer ago; the queries stay
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    keep_profiles: Option<Duration>,
    /// Remove the oldest queries until the file is smaller: 20GB, 512MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_size: Option<u64>,
    /// Remove the profiles of the oldest queries until those left are smaller together
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    profiles_max_size: Option<u64>,
    /// Write what was removed as JSON
    #[arg(long)]
    json: bool,
}

/// Why nothing more was removed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum PruneError {
    #[error(
        "nothing says what is to go: give --keep-queries, --keep-profiles, --max-size or \
         --profiles-max-size, or set them under [retention] in the configuration"
    )]
    Unbounded,
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the history cannot be read")]
    Read(#[from] crate::store::StoreError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Runs the command.
pub async fn run(args: PruneArgs) -> Result<ExitCode, PruneError> {
    let config = args.common.configured()?;
    let set = config.retention.clone();
    let retention = Retention {
        keep_queries: args.keep_queries.or(set.keep_queries),
        keep_profiles: args.keep_profiles.or(set.keep_profiles),
        max_size: args.max_size.or(set.max_size),
        profiles_max_size: args.profiles_max_size.or(set.profiles_max_size),
    };
    if !retention.is_bounded() {
        return Err(PruneError::Unbounded);
    }
    if !config.db().exists() {
        return Err(OpenError::Missing(config.db()).into());
    }
    let store = Store::open(&config.db()).await?;
    super::report_healed(&store);
    let before = store.disk_usage().await?;
    let writer = store.writer(BUSY_TIMEOUT, retention.max_size).await?;
    let mut pruner = Pruner::once(store.clone(), retention);
    let (mut queries, mut profiles) = (0, 0);
    loop {
        let removal = pruner.next(chrono::Utc::now().timestamp_millis()).await?;
        if removal.is_empty() {
            break;
        }
        let written = writer.write(Batch::removal(removal)).await?;
        queries += written.removed_queries;
        profiles += written.removed_profiles;
    }
    writer.finish().await?;
    let after = store.disk_usage().await?;
    store.close().await?;
    let size = |bytes: i64| ByteSize(u64::try_from(bytes).unwrap_or(0));
    if args.json {
        let removed = serde_json::json!({
            "removed_queries": queries,
            "removed_profiles": profiles,
            "file_bytes_before": before.file_bytes(),
            "file_bytes": after.file_bytes(),
        });
        say(removed);
    } else {
        say(format_args!("removed {queries} queries and loads, and {profiles} more profiles"));
        say(format_args!(
            "the file was {} and is {}",
            size(before.file_bytes()),
            size(after.file_bytes())
        ));
    }
    if !after.is_shrinkable() && after.free_bytes() > 0 {
        eprintln!(
            "annals: {} of the file are free and are used again, but SQLite cannot give them back: \
             the file was not made by annals. While nothing else uses it: sqlite3 {} 'PRAGMA \
             auto_vacuum = 2; VACUUM'",
            size(after.free_bytes()),
            store.path().display()
        );
    }
    Ok(ExitCode::SUCCESS)
}
