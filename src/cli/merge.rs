//! `annals merge`: merges the histories of several machines into one.

use std::collections::HashMap;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::args::ConfigArgs;
use super::output::print;
use super::{CLOSING, READING};
use crate::domain::cluster::ClusterName;
use crate::domain::readable::counted;
use crate::store::{Address, BUSY_TIMEOUT, Batch, Store, TimeSource, Unread, WriteSummary, Writer};

/// Merge other histories into the history
///
/// Queries, loads and profiles are merged as an import merges them: nothing is counted twice, what the configuration
/// excludes is not kept, and a second run changes nothing. The zones in which times were read come along. The other files are not changed. Their users, and how far
/// they followed logs, are not merged.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The histories to merge
    #[arg(required = true, value_name = "FILE")]
    files: Vec<OsString>,
    /// The cluster of the records that name none
    #[arg(long, value_name = "NAME")]
    cluster: Option<ClusterName>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What a merge of one file did.
pub(super) struct Merged {
    pub(super) summary: WriteSummary,
    /// Rows and profiles that annals does not understand.
    pub(super) rejected: u64,
    /// What of the file cannot be read; None if it has no damage.
    lost: Option<Lost>,
    /// Records and profiles that the configuration excludes.
    excluded: u64,
}

/// What of a damaged history cannot be read.
struct Lost {
    /// Queries that an index has; 0 if their number is unknown.
    queries: i64,
    unread: Unread,
}

/// Runs the command.
pub async fn run(args: MergeArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.read()?;
    // Each file is checked before the first is merged.
    let mut others = Vec::new();
    for file in args.files {
        let file = Address::parse(file)?;
        if is_same(&file, &config.db()) {
            bail!("{file} is the history to merge into");
        }
        others.push((Store::open_to_read(&file).await?, file));
    }
    let store = Store::open(&config.db()).await?;
    super::report_reparsed(&store);
    let writer = store.writer(BUSY_TIMEOUT, None).await?;
    let (mut rejected, mut is_damaged) = (0, false);
    for (other, file) in others {
        let zones = carry_zones(&other, &store, &writer).await?;
        let batch = Batch::new(config.exclude.clone()).of_cluster(args.cluster.clone());
        let batch = batch.with_zones(zones);
        let merged = merge(&other, &file, &writer, batch).await?;
        print(&file);
        print_contents(&other).await;
        report(&merged);
        rejected += merged.rejected;
        is_damaged |= merged.lost.is_some();
    }
    writer.finish().await?;
    print(config.db());
    print_contents(&store).await;
    store.close().await.context(CLOSING)?;
    Ok(if rejected == 0 && !is_damaged { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn is_same(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::File(one), Address::File(other)) => {
            one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
        }
        (one, other) => one == other,
    }
}

/// Says how much a history holds, so that what was merged can be counted on both sides. A damaged one may not say it.
async fn print_contents(store: &Store) {
    if let (Ok(sizes), Ok(logins)) = (store.sizes().await, store.login_counts().await) {
        let queries = counted(sizes.queries, "query", "queries");
        let profiles = counted(sizes.profiles, "profile", "profiles");
        let logins = counted(logins.all, "log-in", "log-ins");
        print(format_args!("  holds:    {queries}, {profiles}, {logins}"));
    }
}

fn report(merged: &Merged) {
    let Merged { summary, rejected, lost, excluded } = merged;
    print(format_args!("  records:  {}", summary.records));
    print(format_args!("  profiles: {}", summary.profiles));
    if summary.logins.total() > 0 {
        print(format_args!("  logins:   {}", summary.logins));
    }
    if let Some(note) = other_clusters(summary.other_clusters) {
        print(format_args!("  {note}"));
    }
    if *excluded > 0 {
        print(format_args!("  excluded by the configuration: {excluded}"));
    }
    if *rejected > 0 {
        print(format_args!("  not understood: {rejected} (`annals check` may say more)"));
    }
    if let Some(lost) = lost {
        let queries = (lost.queries > 0).then(|| counted(lost.queries, "query", "queries"));
        let lost = unreadable(queries, lost.unread).unwrap_or_else(|| "some rows".to_string());
        print(format_args!(
            "  {lost} cannot be read: the file is damaged; `annals salvage` saves more"
        ));
    }
}

/// Returns what to say of records that name another cluster than the stored one; None if there are none.
pub(super) fn other_clusters(records: u64) -> Option<String> {
    (records > 0).then(|| format!("stored under another cluster, which they keep: {records}"))
}

/// Returns what cannot be read as the subject of a sentence; None if it is nothing.
pub(super) fn unreadable(queries: Option<String>, unread: Unread) -> Option<String> {
    let parts: Vec<String> = queries.into_iter().chain(unread.parts()).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Merges a history in batches, so that memory stays bounded. Skips what is damaged.
pub(super) async fn merge(
    other: &Store,
    file: &Address,
    writer: &Writer,
    mut batch: Batch,
) -> anyhow::Result<Merged> {
    let unreadable = || format!("{file} cannot be read");
    let mut merged =
        Merged { summary: WriteSummary::default(), rejected: 0, lost: None, excluded: 0 };
    let (mut last, mut read, mut is_damaged) = (i64::MIN, 0, false);
    let mut unread = Unread::default();
    // Counted first: another process may add queries meanwhile.
    let indexed = other.indexed_queries().await.ok().flatten();
    while let Some(page) = other.page_after(last).await.with_context(unreadable)? {
        last = page.last;
        is_damaged |= page.is_damaged;
        unread.add(page.unread);
        read += page.records.len() as u64 + page.with_profile.len() as u64 + page.rejected;
        merged.rejected += page.rejected;
        page.records.into_iter().for_each(|record| batch.record(record));
        for (row, record) in page.with_profile {
            match other.profile_of_row(row, record).await.with_context(unreadable)? {
                Ok(profile) => batch.profile(profile),
                Err(record) => {
                    merged.rejected += 1;
                    batch.record(record);
                }
            }
            if batch.is_large() {
                merged.write(writer, batch.take()).await?;
            }
        }
        if batch.is_full() {
            merged.write(writer, batch.take()).await?;
        }
    }
    last = i64::MIN;
    loop {
        match other.logins_after(last).await {
            Ok(Some((logins, end))) => {
                last = end;
                logins.into_iter().for_each(|login| batch.login(login));
                merged.write(writer, batch.take()).await?;
            }
            Ok(None) => break,
            Err(error) if error.is_damage() => {
                is_damaged = true;
                break;
            }
            Err(error) => return Err(error).with_context(unreadable),
        }
    }
    merged.write(writer, batch).await?;
    let queries = missing(other, indexed, read).await;
    if is_damaged || queries > 0 {
        merged.lost = Some(Lost { queries, unread });
    }
    Ok(merged)
}

/// Notes in a history the zones in which the times of another one were read. Returns their numbers here by those there.
pub(super) async fn carry_zones(
    other: &Store,
    store: &Store,
    writer: &Writer,
) -> anyhow::Result<HashMap<i64, i64>> {
    let there = match other.time_sources().await {
        // The zone of the records is unknown then.
        Err(error) if error.is_damage() => Vec::new(),
        zones => zones.context(READING)?,
    };
    if there.is_empty() {
        return Ok(HashMap::new());
    }
    writer.write(Batch::of_time_sources(there.clone())).await?;
    let here = store.time_sources().await.context(READING)?;
    let own = |zone: &TimeSource| {
        let same = here.iter().find(|own| own.is_same(zone))?;
        Some((zone.id, same.id))
    };
    Ok(there.iter().filter_map(own).collect())
}

/// Returns how many queries of an index were not read. `indexed` had the index before they were read; another process may
/// have deleted some since.
async fn missing(other: &Store, indexed: Option<i64>, read: u64) -> i64 {
    let missing = |indexed: Option<i64>| indexed.unwrap_or(0).saturating_sub_unsigned(read).max(0);
    match missing(indexed) {
        0 => 0,
        most => most.min(missing(other.indexed_queries().await.ok().flatten())),
    }
}

impl Merged {
    pub(super) async fn write(&mut self, writer: &Writer, batch: Batch) -> anyhow::Result<()> {
        self.excluded += batch.excluded();
        self.summary.add(writer.write(batch).await?);
        Ok(())
    }
}
