//! `annals salvage`: what can be read of a damaged history, as a sound one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use tempfile::TempDir;

use super::merge::{Merged, Target, carry_zones, merge};
use super::output::print;
use super::{CLOSING, READING};
use crate::domain::readable::counted;
use crate::store::{Address, Batch, SqliteStore, Survey};

/// Save what can be read of a damaged history into a new one
///
/// Reads each page of the file and of its write-ahead log by itself, so a damaged page costs what is in that page. Changes
/// neither; stop what writes to the file first. The new history is checked. The exit status is 0 if everything was saved,
/// 1 if something cannot be read, 2 if nothing was saved.
#[derive(Debug, Args)]
pub struct SalvageArgs {
    /// The damaged history
    broken: OsString,
    /// The file to make; beside it, space for twice the history is needed
    good: OsString,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Ids of lost queries that are printed for a person; JSON has all.
const SHOWN_IDS: usize = 10;

/// Runs the command.
pub async fn run(args: SalvageArgs) -> anyhow::Result<ExitCode> {
    let SalvageArgs { broken, good, json } = args;
    let broken = Address::parse(broken)?
        .file("restore it from a backup, or see the manual of pg_resetwal and pg_amcheck")?;
    let good = Address::parse(good)?.file("save into a file, and merge that with annals merge")?;
    if good.exists() {
        bail!("{} already exists; name another file", good.display());
    }
    let mut log = broken.clone().into_os_string();
    log.push("-wal");
    // A log whose file is gone has whole pages, too.
    if !Path::new(&log).exists() {
        File::open(&broken).with_context(|| format!("{} cannot be read", broken.display()))?;
    }
    let folder = match good.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let own = tempfile::Builder::new()
        .prefix(".annals-salvage-")
        .tempdir_in(folder)
        .with_context(|| format!("{} cannot be written", good.display()))?;
    let saved = save(&broken, &own).await?;
    // A hard link, unlike a rename, never replaces a file that came meanwhile.
    let name = || format!("{} cannot be written", good.display());
    match std::fs::hard_link(own.path().join(RESULT), &good) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} already exists; name another file", good.display())
        }
        named => named.with_context(name)?,
    }
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(name)?;
    let is_whole = saved.survey.is_whole() && saved.profiles_lost == 0;
    if json {
        print(serde_json::json!({
            "file": broken, "saved_to": good, "whole": is_whole, "saved": saved.counts,
            "lost": saved.lost(), "incomplete": saved.survey.incomplete,
            "pages": saved.survey.pages, "queries": saved.survey.queries,
            "damaged_frames": saved.survey.damaged_frames,
        }));
    } else {
        saved.print(&broken, &good);
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The files in the folder of a salvage: the rows as they were read, and the history made of them.
const ROWS: &str = "rows.db";
const RESULT: &str = "history.db";

struct Saved {
    survey: Survey,
    /// Rows of the new history, by table.
    counts: BTreeMap<String, i64>,
    /// Profiles whose text cannot be unpacked.
    profiles_lost: u64,
}

/// Makes a sound history of what can be read.
async fn save(broken: &Path, own: &TempDir) -> anyhow::Result<Saved> {
    let (rows_path, result) = (own.path().join(ROWS), own.path().join(RESULT));
    SqliteStore::open(&rows_path).await?.close().await.context(CLOSING)?;
    let survey = SqliteStore::salvage(broken, &rows_path).await.context(READING)?;
    if survey.rows() == 0 {
        bail!("{} has nothing of a history that can be read", broken.display());
    }
    // Records of an older annals are parsed again as the file is opened.
    let rows = SqliteStore::open(&rows_path).await?;
    let store = SqliteStore::open(&result).await?;
    let writer = store.bulk_writer().await?;
    let read = rows.clone().into();
    let zones = carry_zones(&read, &store.clone().into(), &writer).await?;
    let batch = Batch::default().with_zones(zones);
    let file = Address::File(broken.to_path_buf());
    let target = Target { writer: &writer, parts: None };
    let mut merged = merge(&read, &file, target, batch).await?;
    let unpaired = merge_orphans(&rows, &writer, &mut merged).await?;
    writer.finish().await?;
    store.copy_rest(&rows_path).await.context(READING)?;
    rows.close().await.context(CLOSING)?;
    store.close().await.context(CLOSING)?;
    SqliteStore::end_log(&result).await.context(CLOSING)?;
    let checked = SqliteStore::open_to_read(&result).await?;
    let mut findings = checked.integrity().await.context(READING)?;
    findings.extend(checked.damaged_profiles().await.context(READING)?);
    if let Some(finding) = findings.first() {
        bail!("the new history is not sound ({}); this is a defect of annals", finding.what);
    }
    let sizes = checked.table_sizes().await.context(READING)?;
    let counts = sizes.into_iter().map(|size| (size.table, size.rows)).collect();
    File::open(&result)?.sync_all()?;
    Ok(Saved { survey, counts, profiles_lost: merged.rejected + unpaired })
}

/// Merges the profiles whose queries are lost: a profile says of which query it is. Returns how many cannot be read.
async fn merge_orphans(
    rows: &SqliteStore,
    writer: &crate::store::Writer,
    merged: &mut Merged,
) -> anyhow::Result<u64> {
    let (mut last, mut lost) = (i64::MIN, 0);
    let mut batch = Batch::default();
    while let Some((row, profile)) = rows.orphan_after(last).await.context(READING)? {
        last = row;
        match profile {
            Some(profile) => batch.profile(profile),
            None => lost += 1,
        }
        if batch.is_full() {
            merged.write(writer, batch.take()).await?;
        }
    }
    merged.write(writer, batch).await?;
    Ok(lost)
}

impl Saved {
    /// Returns the rows that cannot be read, by table. Those of a page that cannot be read are counted only where an index
    /// has them: queries.
    fn lost(&self) -> BTreeMap<String, u64> {
        let mut lost = self.survey.lost.clone();
        let queries = self.survey.queries.len() as u64;
        if queries > 0 {
            lost.insert("query".to_string(), queries);
        }
        if self.profiles_lost > 0 {
            *lost.entry("profile".to_string()).or_default() += self.profiles_lost;
        }
        lost
    }

    fn print(&self, broken: &Path, good: &Path) {
        print(format_args!("saved to {}", good.display()));
        for (table, rows) in &self.counts {
            let noun = if *rows == 1 { "row" } else { "rows" };
            print(format_args!("  {table:<17} {rows:>12} {noun}"));
        }
        if self.survey.is_whole() && self.profiles_lost == 0 {
            print(format_args!("everything in {} was saved", broken.display()));
            return;
        }
        print(format_args!("not saved from {}", broken.display()));
        print_losses(&self.survey);
        if self.profiles_lost > 0 {
            let lost = counted(self.profiles_lost, "profile", "profiles");
            print(format_args!("  {lost} cannot be unpacked"));
        }
    }
}

/// Prints what cannot be read of a file.
pub(super) fn print_losses(survey: &Survey) {
    let mut pages = BTreeMap::<&str, Vec<String>>::new();
    for lost in &survey.pages {
        let table = lost.table.as_deref().unwrap_or("an unknown table");
        pages.entry(table).or_default().push(lost.page.to_string());
    }
    for (table, pages) in pages {
        print(format_args!("  pages of {table}: {}", listed(&pages)));
    }
    for (table, rows) in &survey.lost {
        print(format_args!("  rows of {table}: {rows}"));
    }
    for (table, rows) in &survey.incomplete {
        print(format_args!("  rows of {table} of which a part is missing: {rows}"));
    }
    if survey.damaged_frames > 0 {
        let frames = survey.damaged_frames;
        print(format_args!(
            "  damaged frames of the write-ahead log, of which records may be missing: {frames}"
        ));
    }
    if !survey.queries.is_empty() {
        let lost = counted(survey.queries.len(), "query", "queries");
        print(format_args!("  {lost}: {}", listed(&survey.queries)));
    }
    if survey.pages.iter().any(|lost| lost.table.as_deref() == Some("account"))
        || survey.lost.contains_key("account")
    {
        print("  users may be missing: see `annals user list` before you serve the new history");
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN_IDS).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN_IDS) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
