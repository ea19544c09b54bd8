//! `annals check`: whether a history is sound.

use std::collections::HashSet;
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;

use super::args::ConfigArgs;
use super::output::print;
use crate::store::{Finding, Store, TableSize};

/// Check whether the history is sound
///
/// Reads all of it and changes nothing: SQLite's own check, rows that refer to missing rows, profiles that cannot be
/// unpacked, and the size of each table. The exit status is 0 if the history is sound, 1 if it is damaged, 2 if it
/// cannot be opened.
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
    let store = Store::open_to_read(&db).await?;
    // An error while reading is a finding.
    let unreadable = |error: crate::store::StoreError| Finding {
        what: format!("reading stopped: {error}"),
        count: 1,
    };
    let mut findings = store.integrity().await.unwrap_or_else(|error| vec![unreadable(error)]);
    findings.extend(store.damaged_profiles().await.unwrap_or_else(|error| vec![unreadable(error)]));
    let tables = store.table_sizes().await.unwrap_or_else(|error| {
        findings.push(unreadable(error));
        Vec::new()
    });
    // The same damage may stop several readings.
    let mut seen = HashSet::new();
    findings.retain(|finding| seen.insert(finding.what.clone()));
    let room = store.disk_usage().await.ok();
    let (file_bytes, free_bytes) =
        room.map_or((0, 0), |room| (room.file_bytes(), room.free_bytes()));
    if args.json {
        print(serde_json::json!({
            "file": db, "sound": findings.is_empty(), "findings": findings,
            "tables": tables, "file_bytes": file_bytes, "free_bytes": free_bytes,
            "log_bytes": store.log_bytes(),
        }));
    } else {
        let (file, free) = (size(file_bytes), size(free_bytes));
        let name = db.display();
        print(format_args!("{name}: {file}, of which {free} free"));
        for TableSize { table, rows, bytes, index_bytes } in tables {
            let (bytes, index) = (size(bytes).to_string(), size(index_bytes).to_string());
            print(format_args!("  {table:<17} {rows:>12} rows {bytes:>10}, indexes {index:>10}"));
        }
        for Finding { what, count } in &findings {
            match count {
                1 => print(format_args!("  {what}")),
                _ => print(format_args!("  {count} x {what}")),
            }
        }
        let state = if findings.is_empty() { "sound" } else { "damaged" };
        print(format_args!("{name} is {state}"));
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn size(bytes: i64) -> ByteSize {
    ByteSize(u64::try_from(bytes).unwrap_or(0))
}
