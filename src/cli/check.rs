//! `annals check`: whether a history is sound.

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;

use super::args::ConfigArgs;
use super::output::print;
use super::salvage::print_losses;
use crate::store::{Finding, OpenError, SqliteStore, StoreError, Survey, TableSize};

/// Check whether the history is sound
///
/// Reads all of it and changes nothing: SQLite's own check, rows that refer to missing rows, texts that are not
/// UTF-8, profiles that cannot be unpacked, and the size of each table. Of a damaged history it lists the pages, tables and queries that cannot be read,
/// which is exact only while nothing writes to the file. The exit status is 0 if the history is sound, 1 if it is damaged,
/// 2 if it cannot be opened.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let db = args.config.read()?.db();
    let db = db.file("check it with pg_amcheck, and its sizes with \\dt+ in psql")?;
    let mut checked = match SqliteStore::open_to_read(&db).await {
        Ok(store) => check(&store).await,
        // Pages that a reader needs first are damaged. Others may tell a history from any other file.
        Err(
            error
            @ (OpenError::Damaged(_) | OpenError::NotADatabase(_) | OpenError::DamagedLog(..)),
        ) => match SqliteStore::survey(&db).await {
            Ok(survey) if survey.rows() > 0 => Checked {
                findings: vec![unreadable(&error)],
                survey: Some(survey),
                ..Checked::default()
            },
            _ => return Err(error.into()),
        },
        Err(error) => return Err(error.into()),
    };
    if !checked.findings.is_empty() && checked.survey.is_none() {
        checked.survey = SqliteStore::survey(&db).await.ok();
    }
    if args.json {
        checked.print_json(&db);
    } else {
        checked.print(&db);
    }
    Ok(if checked.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What a check found.
#[derive(Default)]
struct Checked {
    findings: Vec<Finding>,
    tables: Vec<TableSize>,
    file_bytes: i64,
    free_bytes: i64,
    log_bytes: u64,
    /// What cannot be read of a damaged file.
    survey: Option<Survey>,
}

/// Returns an error of a reading as a finding.
fn unreadable(error: &dyn std::error::Error) -> Finding {
    Finding { what: format!("reading stopped: {error}"), count: 1 }
}

async fn check(store: &SqliteStore) -> Checked {
    let stopped = |error: StoreError| vec![unreadable(&error)];
    let mut findings = store.integrity().await.unwrap_or_else(stopped);
    findings.extend(store.wrong_texts().await.unwrap_or_else(stopped));
    findings.extend(store.damaged_profiles().await.unwrap_or_else(stopped));
    let tables = store.table_sizes().await.unwrap_or_else(|error| {
        findings.push(unreadable(&error));
        Vec::new()
    });
    // The same damage may stop several readings.
    let mut seen = HashSet::new();
    findings.retain(|finding| seen.insert(finding.what.clone()));
    let room = store.disk_usage().await.ok();
    let (file_bytes, free_bytes) =
        room.map_or((0, 0), |room| (room.file_bytes(), room.free_bytes()));
    let log_bytes = store.log_bytes();
    Checked { findings, tables, file_bytes, free_bytes, log_bytes, survey: None }
}

impl Checked {
    fn print_json(&self, db: &Path) {
        print(serde_json::json!({
            "file": db, "sound": self.findings.is_empty(), "findings": self.findings,
            "tables": self.tables, "file_bytes": self.file_bytes, "free_bytes": self.free_bytes,
            "log_bytes": self.log_bytes, "unreadable": self.survey,
        }));
    }

    fn print(&self, db: &Path) {
        let (file, free) = (size(self.file_bytes), size(self.free_bytes));
        let name = db.display();
        print(format_args!("{name}: {file}, of which {free} free"));
        for TableSize { table, rows, bytes, index_bytes } in &self.tables {
            let (bytes, index) = (size(*bytes).to_string(), size(*index_bytes).to_string());
            let noun = if *rows == 1 { "row " } else { "rows" };
            print(format_args!("  {table:<17} {rows:>12} {noun} {bytes:>10}, indexes {index:>10}"));
        }
        for Finding { what, count } in &self.findings {
            match count {
                1 => print(format_args!("  {what}")),
                _ => print(format_args!("  {count} x {what}")),
            }
        }
        if let Some(survey) = self.survey.as_ref().filter(|survey| !survey.is_whole()) {
            print("not readable");
            print_losses(survey);
        }
        let state = if self.findings.is_empty() { "sound" } else { "damaged" };
        print(format_args!("{name} is {state}"));
        if !self.findings.is_empty() {
            print("`annals salvage` saves what can be read into a new file");
        }
    }
}

fn size(bytes: i64) -> ByteSize {
    ByteSize(u64::try_from(bytes).unwrap_or(0))
}
