//! `annals import`: reads audit logs, profiles and audit tables into the history.
//!
//! One thread reads and parses, and sends batches to the store's writer, which works on another core.

mod audit_table;
mod progress;
mod reading;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use tokio::task::JoinHandle;

pub(super) use self::progress::counting_bar;
use self::reading::{Reader, report_of_nothing, search};
use self::report::Report;
use super::CLOSING;
use super::args::{ConfigArgs, FileName};
use super::output::print;
use crate::config::Config;
use crate::domain::cluster::ClusterName;
use crate::formats::encoding::Encoding;
use crate::formats::file::Options;
use crate::store::{Address, BULK_TIME, Batch, Store};

/// Import audit logs, profiles and audit tables
///
/// Reads audit logs (fe.audit.log of any version of Doris or StarRocks) and profiles: as text, as a frontend archives
/// them (log/profile/*.zip), as its HTTP interface returns them (JSON, HTML), or in notes, one or many. Also reads
/// tables of the audit log as CSV, TSV or JSON, and logs of containers (Docker, Kubernetes). Files may be packed with
/// gzip, zip or tar. annals recognizes a file by its content. Folders are searched with all their subfolders. Other
/// files of a frontend, like fe.log, are counted. New records merge with known ones, so the same input may be imported
/// again.
///
/// The exit status is 0 if all input was understood, 1 if some was not or a path does not exist (the rest is stored), 2 if nothing was,
/// or if there is nothing in the files and folders.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Files and folders to read; - is standard input. Without any, and without --audit-table, annals reads the audit tables of
    /// the configuration
    #[arg(value_name = "PATH", value_parser = FileName)]
    paths: Vec<PathBuf>,
    /// An audit table to read, like mysql://user@host:9030, with more frontends of the cluster behind commas. annals reads
    /// what it has not read yet, and goes on after an interruption. May be given again. The password is in
    /// ANNALS_AUDIT_TABLE_PASSWORD, or in the file that ANNALS_AUDIT_TABLE_PASSWORD_FILE names
    #[arg(long, value_name = "URL")]
    audit_table: Vec<String>,
    /// The encoding of files without a byte-order mark: gbk, gb18030, utf-16le and others. Without it, UTF-8, or UTF-16
    /// if the file looks like it
    #[arg(long, value_name = "NAME")]
    encoding: Option<Encoding>,
    /// The cluster that the records are of, unless they name one
    #[arg(long, env = "ANNALS_CLUSTER", value_name = "NAME")]
    cluster: Option<ClusterName>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs the command.
pub async fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let mut config = args.config.read()?;
    config.cluster = args.cluster.or(config.cluster);
    let is_missing = |path: &PathBuf| !is_standard_input(path) && !path.exists();
    if args.paths.iter().all(is_missing) {
        check_paths(&args.paths)?;
    }
    let tables = match (args.paths.as_slice(), args.audit_table.as_slice()) {
        ([_, ..], []) => Vec::new(),
        (_, tables) => config.audit_tables(tables)?,
    };
    if args.paths.is_empty() && tables.is_empty() {
        bail!(
            "there is nothing to import; name files or folders, an audit table with --audit-table, or a configuration \
             with [[audit_table]]"
        );
    }
    let options = Options { zone: config.zone(), encoding: args.encoding };
    if tables.is_empty()
        && let Some(report) = nothing_for_new_history(&config, &args.paths, options)
    {
        print(report.to_string().trim_end());
        return Ok(report.exit_code());
    }
    let store = Store::open(&config.db()).await?;
    super::report_reparsed(&store);
    let mut exit_code = ExitCode::SUCCESS;
    if !args.paths.is_empty() {
        let report = import(&store, args.paths, options, batch(&config)).await?;
        print(report.to_string().trim_end());
        exit_code = report.exit_code();
    }
    if !tables.is_empty() {
        let of_tables = audit_table::import_tables(&store, &config, tables).await?;
        if exit_code == ExitCode::SUCCESS {
            exit_code = of_tables;
        }
    }
    store.close().await.context(CLOSING)?;
    Ok(exit_code)
}

/// Returns an empty batch for imported files.
pub(super) fn batch(config: &Config) -> Batch {
    let batch = Batch::new(config.exclude.clone()).of_cluster(config.cluster.clone());
    batch.of_source(&source_name(config), config.zone())
}

/// Returns the name of the source that imports are. The logs of two clusters may be of two zones.
fn source_name(config: &Config) -> String {
    match &config.cluster {
        None => "import".to_string(),
        Some(cluster) => format!("import of {cluster}"),
    }
}

/// Returns the report of an import that understands nothing, where the history does not exist: it is not made then.
fn nothing_for_new_history(config: &Config, paths: &[PathBuf], options: Options) -> Option<Report> {
    match &config.db() {
        Address::File(file) if !file.exists() => {
            let report = report_of_nothing(paths, options, &source_name(config));
            report.filter(|report| report.has_problems() || report.is_empty())
        }
        _ => None,
    }
}

/// Fails if a path does not exist, before anything is made or written.
pub(super) fn check_paths(paths: &[PathBuf]) -> anyhow::Result<()> {
    if let Some(missing) = paths.iter().find(|path| !is_standard_input(path) && !path.exists()) {
        bail!("there is no file or folder {}", missing.display());
    }
    Ok(())
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Imports what is at the paths, in batches like `batch`. Returns after all of it is committed.
pub(super) async fn import(
    store: &Store,
    paths: Vec<PathBuf>,
    options: Options,
    batch: Batch,
) -> anyhow::Result<Report> {
    let writer = store.bulk_writer().await?;
    let own_file = store.file().and_then(|file| file.canonicalize().ok());
    let runtime = tokio::runtime::Handle::current();
    let waited_for = store.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut report = Report::new(options.zone, batch.source_name());
        let files = search(&paths, own_file.as_deref(), &mut report);
        let progress = progress::bar(&files);
        let _waiting = AbortOnDrop(runtime.spawn(say_waiting(waited_for, progress.clone())));
        Reader::new(runtime, writer, options, batch, progress, report).run(&files)
    });
    reading.await.context("the reading thread ended early")?
}

/// A task that ends with its owner.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Says that the import waits while the database does not answer or a write waits for it, and for how long.
async fn say_waiting(store: Store, progress: ProgressBar) {
    loop {
        let fault = store.until_late().await;
        let longest = humantime::format_duration(BULK_TIME);
        let waits = format!("annals: {fault}; the import waits for it, up to {longest}");
        progress.suspend(|| eprintln!("{waits}"));
        store.until_on_time().await;
        progress.suspend(|| eprintln!("annals: the database answers again; the import goes on"));
    }
}
