//! `annals merge`: merges the histories of several machines into one.

use std::collections::HashMap;
use std::ffi::OsString;
use std::hash::Hash as _;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::args::ConfigArgs;
use super::import::counting_bar;
use super::output::print;
use super::{CLOSING, READING};
use crate::domain::cluster::ClusterName;
use crate::domain::login::Login;
use crate::domain::readable::counted;
use crate::domain::record::StoredQuery;
use crate::store::{
    Address, BUSY_TIMEOUT, Batch, MergedPart, Store, TimeSource, Unread, WriteSummary, Writer,
};

/// Merge other histories into the history
///
/// Queries, loads and profiles are merged as an import merges them: nothing is counted twice, and what the configuration
/// excludes is not kept. A run that was ended continues where it was, and a later run sends only what is new or has changed. The
/// zones in which times were read come along. The other files are not changed. Their users, and how far they followed logs, are not
/// merged.
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
#[derive(Default)]
pub(super) struct Merged {
    pub(super) summary: WriteSummary,
    /// Of the unchanged queries and log-ins, how many an earlier merge brought: they were not sent again.
    queries_before: usize,
    logins_before: usize,
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
        let target = Target { writer: &writer, parts: Some(&store) };
        let merged = merge(&other, &file, target, batch).await?;
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
    let Merged { summary, rejected, lost, excluded, .. } = merged;
    let before: Vec<String> = [
        (merged.queries_before, counted(merged.queries_before, "query", "queries")),
        (merged.logins_before, counted(merged.logins_before, "log-in", "log-ins")),
    ]
    .into_iter()
    .filter_map(|(count, counted)| (count > 0).then_some(counted))
    .collect();
    if !before.is_empty() {
        print(format_args!("  continues after {} of an earlier merge", before.join(" and ")));
    }
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

/// Merges a history in batches, so that memory stays bounded. Skips what is damaged, and the parts that are noted in the target
/// as merged.
pub(super) async fn merge(
    other: &Store,
    file: &Address,
    target: Target<'_>,
    batch: Batch,
) -> anyhow::Result<Merged> {
    let unreadable = || format!("{file} cannot be read");
    let (progress, merged) = (progress(other).await, Merged::default());
    let mut merging = Merging { other, target, batch, merged, progress, is_damaged: false };
    let (mut last, mut read, mut unread) = (i64::MIN, 0, Unread::default());
    // Counted first: another process may add queries meanwhile.
    let indexed = other.indexed_queries().await.ok().flatten();
    let (mut part, mut bytes) = (Vec::new(), 0);
    while let Some(page) = other.page_after(last).await.with_context(unreadable)? {
        last = page.last;
        merging.is_damaged |= page.is_damaged;
        unread.add(page.unread);
        read += page.queries.len() as u64 + page.rejected;
        merging.merged.rejected += page.rejected;
        for query in page.queries {
            bytes += query.statement.as_ref().map_or(0, String::len);
            let is_end = is_end_of_part(query.query_id.as_str());
            part.push(query);
            if is_end || part.len() >= MAX_PART || bytes >= MAX_PART_BYTES {
                bytes = 0;
                merging.queries(std::mem::take(&mut part)).await.with_context(unreadable)?;
            }
        }
    }
    merging.queries(part).await.with_context(unreadable)?;
    last = i64::MIN;
    let mut part = Vec::new();
    loop {
        match other.logins_after(last).await {
            Ok(Some((logins, end))) => {
                last = end;
                for login in logins {
                    let is_end = is_end_of_part(&login.id);
                    part.push(login);
                    if is_end || part.len() >= MAX_PART {
                        merging.logins(std::mem::take(&mut part)).await?;
                    }
                }
            }
            Ok(None) => break,
            Err(error) if error.is_damage() => {
                merging.is_damaged = true;
                break;
            }
            Err(error) => return Err(error).with_context(unreadable),
        }
    }
    merging.logins(part).await?;
    merging.write().await?;
    let Merging { mut merged, progress, is_damaged, .. } = merging;
    progress.finish_and_clear();
    let queries = missing(other, indexed, read).await;
    if is_damaged || queries > 0 {
        merged.lost = Some(Lost { queries, unread });
    }
    Ok(merged)
}

/// Returns a bar for a terminal, which shows nothing elsewhere.
async fn progress(other: &Store) -> ProgressBar {
    let bar = counting_bar("queries");
    if !bar.is_hidden()
        && let Ok(sizes) = other.sizes().await
    {
        bar.set_length(sizes.queries.unsigned_abs());
    }
    bar
}

/// Returns whether a part ends with the record of an id: one of 2,048 does. So the parts of a history stay the same where it gets
/// and loses records.
fn is_end_of_part(id: &str) -> bool {
    xxh3_64(id.as_bytes()).is_multiple_of(2048)
}

/// The most records of a part.
const MAX_PART: usize = 8192;

/// A part ends after this many bytes of statements: it is in memory.
const MAX_PART_BYTES: usize = 4 << 20;

/// The history that others are merged into.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) writer: &'a Writer,
    /// Where merged parts are noted. None merges everything, and notes nothing.
    pub(super) parts: Option<&'a Store>,
}

/// A merge of one history that is under way.
struct Merging<'a> {
    other: &'a Store,
    target: Target<'a>,
    batch: Batch,
    merged: Merged,
    progress: ProgressBar,
    /// Whether something of the history could not be read. What comes after that is not noted as merged.
    is_damaged: bool,
}

impl Merging<'_> {
    /// Merges queries in the order of their arrival, unless they are noted as merged.
    async fn queries(&mut self, mut queries: Vec<StoredQuery>) -> anyhow::Result<()> {
        self.progress.inc(queries.len() as u64);
        let (part, excluded) = self.part_of_queries(&mut queries).await?;
        if self.skips(&part).await? {
            self.merged.excluded += excluded;
            return Ok(());
        }
        let mut is_as_read = true;
        for query in queries {
            if self.batch.is_full() {
                is_as_read &= self.write().await?;
            }
            if !query.has_profile {
                self.batch.record(query.record);
                continue;
            }
            match self.other.profile_of_row(query.id, query.record).await? {
                Ok(profile) => self.batch.profile(profile),
                Err(record) => {
                    is_as_read = false;
                    self.merged.rejected += 1;
                    self.batch.record(record);
                }
            }
        }
        self.note(part, is_as_read);
        Ok(())
    }

    /// Merges log-ins in the order of their arrival, unless they are noted as merged.
    async fn logins(&mut self, mut logins: Vec<Login>) -> anyhow::Result<()> {
        let mut hash = self.new_hash();
        logins.iter_mut().for_each(|login| self.batch.hash_login(login, &mut hash));
        let ids = logins.iter().map(|login| login.id.clone()).collect();
        let part = MergedPart { digest: hex(&hash), logins: ids, ..MergedPart::default() };
        if self.skips(&part).await? {
            return Ok(());
        }
        let mut is_as_read = true;
        for login in logins {
            if self.batch.is_full() {
                is_as_read &= self.write().await?;
            }
            self.batch.login(login);
        }
        self.note(part, is_as_read);
        Ok(())
    }

    /// Returns queries as a part, and how many of them the configuration excludes.
    async fn part_of_queries(
        &mut self,
        queries: &mut [StoredQuery],
    ) -> anyhow::Result<(MergedPart, u64)> {
        let mut part = MergedPart::default();
        let (mut hash, mut with_profile, mut excluded) = (self.new_hash(), Vec::new(), 0);
        for query in queries {
            if self.batch.excludes(&query.record) {
                excluded += 1;
                continue;
            }
            self.batch.hash_record(&mut query.record, &mut hash);
            query.has_profile.hash(&mut hash);
            let id = query.query_id.as_str().to_string();
            if query.has_profile {
                part.profiles.push(id.clone());
                with_profile.push(&*query);
            }
            part.queries.push(id);
        }
        if !with_profile.is_empty() {
            match self.other.hash_of_profiles(&with_profile).await {
                Err(error) if error.is_damage() => self.is_damaged = true,
                profiles => profiles?.hash(&mut hash),
            }
        }
        part.digest = hex(&hash);
        Ok((part, excluded))
    }

    /// Returns a hash of what a part depends on beside its own values: another annals may merge in another way.
    fn new_hash(&self) -> Xxh3 {
        let mut hash = Xxh3::new();
        (env!("CARGO_PKG_VERSION"), self.batch.cluster()).hash(&mut hash);
        hash
    }

    /// Returns whether a part is merged already, and counts it then.
    async fn skips(&mut self, part: &MergedPart) -> anyhow::Result<bool> {
        let Some(parts) = self.target.parts else { return Ok(false) };
        let is_merged = parts.has_merged(part).await?;
        if is_merged {
            self.merged.summary.add_merged_part(part);
            self.merged.queries_before += part.queries.len();
            self.merged.logins_before += part.logins.len();
        }
        Ok(is_merged)
    }

    /// Notes that a part is merged with the batch that has its last record, if the history keeps it as it was read.
    fn note(&mut self, part: MergedPart, is_as_read: bool) {
        if is_as_read && !self.is_damaged && self.target.parts.is_some() {
            self.batch.merged_part(part.digest);
        }
    }

    /// Writes the batch. Returns whether its records are stored as they were sent.
    async fn write(&mut self) -> anyhow::Result<bool> {
        let batch = self.batch.take();
        match batch.is_empty() {
            true => Ok(true),
            false => self.merged.write(self.target.writer, batch).await,
        }
    }
}

fn hex(hash: &Xxh3) -> String {
    format!("{:032x}", hash.digest128())
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
    /// Writes a batch. Returns whether its records are stored as they were sent.
    pub(super) async fn write(&mut self, writer: &Writer, batch: Batch) -> anyhow::Result<bool> {
        self.excluded += batch.excluded();
        let written = writer.write(batch).await?;
        self.summary.add(written);
        Ok(written.is_as_sent())
    }
}
