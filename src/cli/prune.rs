//! `annals prune`: removes old queries and profiles, and shrinks the file.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use clap::Args;

use super::args::ConfigArgs;
use super::output::print;
use super::{CLOSING, READING};
use crate::domain::clock::{Clock, MAX_DIFFERENCE_MS};
use crate::domain::readable::counted;
use crate::domain::retention::{Retention, parse_age, parse_size};
use crate::domain::time::{Zone, now_ms};
use crate::store::{
    Address, BUSY_TIMEOUT, Batch, Mark, OpenError, Pruner, Removal, SqliteStore, Store, StoreError,
    WriteError, WriteSummary,
};

/// The bound whose log prune uses on a full disk, in bytes: the smallest log, of 256 KiB.
const LOG_BOUND: u64 = 16 << 20;
/// What a step of prune needs on the disk beside what the log takes already, in bytes: the log of the smallest step with
/// its index, and the pages by which the file grows meanwhile.
const NEEDED_BYTES: u64 = 1 << 20;

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
    /// Trust the system clock. Without this, annals removes nothing for its age if the clock is more than a day ahead of
    /// the time at which `annals serve` ran last and of the newest query: a wrong clock would delete the history
    #[arg(long)]
    trust_clock: bool,
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
    let db = config.db();
    db.check_bound(retention.max_size)?;
    if let Address::File(path) = &db
        && !path.exists()
    {
        return Err(OpenError::Missing(path.clone()).into());
    }
    let store = Store::open(&db).await.map_err(|error| on_full_disk(error.into(), &db))?;
    super::report_reparsed(&store);
    let before = store.disk_usage().await.context(READING)?;
    let pruned = prune(&store, retention, args.trust_clock).await;
    let removed = pruned.map_err(|error| on_full_disk(error, &db))?;
    let after = store.disk_usage().await.context(READING)?;
    store.close().await.context(CLOSING)?;
    let what = if store.file().is_some() { "file" } else { "database" };
    report(&removed, (what, before.file_bytes(), after.file_bytes()), args.json);
    if store.file().is_none() && (removed.removed_queries, removed.removed_profiles) != (0, 0) {
        eprintln!(
            "annals: PostgreSQL keeps the space of what was removed, and stores new rows there once autovacuum has run; VACUUM FULL \
             returns it to the disk"
        );
    }
    if !after.is_shrinkable() && after.free_bytes() > 0 {
        eprintln!(
            "annals: {} of the file are free and will be used again, but SQLite cannot shrink the file, because annals \
             did not make it. To shrink it while nothing else uses it: sqlite3 {} 'PRAGMA auto_vacuum = 2; VACUUM'",
            size(after.free_bytes()),
            db
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes what goes beyond the bounds, in small steps.
async fn prune(
    store: &Store,
    retention: Retention,
    trusts_clock: bool,
) -> anyhow::Result<WriteSummary> {
    let now_ms = now_ms();
    let mark = store.retention_mark().await.context(READING)?;
    let has_age = retention.keep_queries.is_some() || retention.keep_profiles.is_some();
    if let Some(mark) = mark
        && has_age
        && !trusts_clock
    {
        let newest_ms = store.newest_start_ms(now_ms).await.context(READING)?;
        check_clock(now_ms, mark.clock.trusted_ms.max(newest_ms.unwrap_or(i64::MIN)))?;
    }
    let mut writer = store.writer(BUSY_TIMEOUT, retention.max_size).await?;
    if let Some(mark) = mark.filter(|_| trusts_clock) {
        let mark = Some(Mark { clock: Clock::at(now_ms), ..mark });
        writer.write(Batch::removal(Removal { mark, ..Removal::default() })).await?;
    }
    let mut pruner = Pruner::once(store.clone(), retention);
    let mut removed = WriteSummary::default();
    loop {
        let removal = pruner.next(now_ms).await?;
        if removal.is_empty() {
            break;
        }
        match writer.write(Batch::removal(removal)).await {
            Ok(written) => {
                pruner.removed(&written);
                removed.add(written);
            }
            Err(WriteError::Store(StoreError::Full(_))) if pruner.halve_steps() => {
                // Moves the log into the file, and keeps it small from now on.
                let _ = writer.finish().await;
                writer = store.writer(BUSY_TIMEOUT, Some(LOG_BOUND)).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    writer.finish().await?;
    Ok(removed)
}

/// Errors if the system clock is more than a day ahead of what the history knows of the time.
fn check_clock(now_ms: i64, witness_ms: i64) -> anyhow::Result<()> {
    if now_ms.saturating_sub(witness_ms) <= MAX_DIFFERENCE_MS {
        return Ok(());
    }
    let text = |ms| Zone::UTC.format_ms(ms);
    bail!(
        "the system clock says {}, but annals ran last and the newest query started before {} (UTC); if the clock is right, \
         give --trust-clock",
        text(now_ms),
        text(witness_ms.saturating_add(1000))
    );
}

/// Adds what to do to an error of a full disk.
fn on_full_disk(error: anyhow::Error, db: &Address) -> anyhow::Error {
    let is_full = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(StoreError::Full(_)))
    };
    if !error.chain().any(is_full) {
        return error;
    }
    let Address::File(path) = db else {
        return error.context(
            "the disk of PostgreSQL is full; free space there, and run annals prune again",
        );
    };
    let log_bytes = SqliteStore::log_bytes_of(path);
    error.context(format!(
        "the disk is full; SQLite needs some space to delete: free {} on it, for example by moving another file away, and run \
         annals prune again",
        ByteSize(NEEDED_BYTES + log_bytes)
    ))
}

/// Prints what was removed, and the size of what holds the history before and after that.
fn report(removed: &WriteSummary, (what, bytes_before, bytes): (&str, i64, i64), json: bool) {
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
    let queries = counted(queries, "query or load", "queries and loads");
    let profiles = counted(profiles, "more profile", "more profiles");
    print(format_args!("removed {queries}, and {profiles}"));
    print(format_args!("the {what} was {before} and is {after}"));
}

fn size(bytes: i64) -> ByteSize {
    ByteSize(u64::try_from(bytes).unwrap_or(0))
}
