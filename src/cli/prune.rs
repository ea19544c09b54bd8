//! `annals prune`: removes old queries and profiles, and shrinks the file.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use clap::Args;

use super::args::ConfigArgs;
use super::output::print;
use super::{CLOSING, READING};
use crate::domain::retention::{Retention, parse_age, parse_size};
use crate::store::{BUSY_TIMEOUT, Batch, OpenError, Pruner, Store, WriteSummary};

/// Remove old queries and profiles, and shrink the file
///
/// A bound that is not given here comes from `[retention]` in the configuration, which `annals serve` applies all the
/// time. May run while annals serves.
#[derive(Debug, Args)]
pub struct PruneArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Remove queries and loads that started longer ago, with their profiles: 730d, 2years
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    keep_queries: Option<Duration>,
    /// Remove profiles of queries that started longer ago; the queries stay
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    keep_profiles: Option<Duration>,
    /// Remove the oldest queries until the file is smaller: 20GB, 512MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_size: Option<u64>,
    /// Remove the profiles of the oldest queries until all profiles together are smaller
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    profiles_max_size: Option<u64>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: PruneArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.read()?;
    let configured = &config.retention;
    let retention = Retention {
        keep_queries: args.keep_queries.or(configured.keep_queries),
        keep_profiles: args.keep_profiles.or(configured.keep_profiles),
        max_size: args.max_size.or(configured.max_size),
        profiles_max_size: args.profiles_max_size.or(configured.profiles_max_size),
    };
    if !retention.is_bounded() {
        bail!(
            "there is no bound; give --keep-queries, --keep-profiles, --max-size or --profiles-max-size, or set them \
             under [retention] in the configuration"
        );
    }
    if !config.db().exists() {
        return Err(OpenError::Missing(config.db()).into());
    }
    let store = Store::open(&config.db()).await?;
    super::report_reparsed(&store);
    let before = store.disk_usage().await.context(READING)?;
    let removed = prune(&store, retention).await?;
    let after = store.disk_usage().await.context(READING)?;
    let db = store.path().to_path_buf();
    store.close().await.context(CLOSING)?;
    report(&removed, before.file_bytes(), after.file_bytes(), args.json);
    if !after.is_shrinkable() && after.free_bytes() > 0 {
        eprintln!(
            "annals: {} of the file are free and will be used again, but SQLite cannot shrink the file, because annals \
             did not make it. To shrink it while nothing else uses it: sqlite3 {} 'PRAGMA auto_vacuum = 2; VACUUM'",
            size(after.free_bytes()),
            db.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes what goes beyond the bounds, in small steps.
async fn prune(store: &Store, retention: Retention) -> anyhow::Result<WriteSummary> {
    let writer = store.writer(BUSY_TIMEOUT, retention.max_size).await?;
    let mut pruner = Pruner::once(store.clone(), retention);
    let mut removed = WriteSummary::default();
    loop {
        let removal = pruner.next(chrono::Utc::now().timestamp_millis()).await.context(READING)?;
        if removal.is_empty() {
            break;
        }
        removed.add(writer.write(Batch::removal(removal)).await?);
    }
    writer.finish().await?;
    Ok(removed)
}

fn report(removed: &WriteSummary, bytes_before: i64, bytes: i64, json: bool) {
    let (queries, profiles) = (removed.removed_queries, removed.removed_profiles);
    if json {
        print(serde_json::json!({
            "removed_queries": queries,
            "removed_profiles": profiles,
            "file_bytes_before": bytes_before,
            "file_bytes": bytes,
        }));
        return;
    }
    let (before, after) = (size(bytes_before), size(bytes));
    print(format_args!("removed {queries} queries and loads, and {profiles} more profiles"));
    print(format_args!("the file was {before} and is {after}"));
}

fn size(bytes: i64) -> ByteSize {
    ByteSize(u64::try_from(bytes).unwrap_or(0))
}
