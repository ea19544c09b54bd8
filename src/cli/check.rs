//! `annals check`: whether a history is sound.

use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;

use super::Common;
use super::output::say;
use crate::config::ConfigError;
use crate::store::{Finding, OpenError, Store, TableSize};

/// Say whether a history is sound
///
/// Reads all of it and changes nothing: SQLite's own check, rows without their other half, profiles that
/// cannot be unpacked, and what each table takes of the file. Ends with 0 if it is sound, with 1 if
/// something is wrong, with 2 if it cannot be opened.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    common: Common,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Why a history cannot be checked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum CheckError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Runs the command.
pub async fn run(args: CheckArgs) -> Result<ExitCode, CheckError> {
    let config = args.common.configured()?;
    let store = Store::open_to_read(&config.db()).await?;
    // What cannot be read is what was looked for.
    let unread = |error: crate::store::StoreError| Finding {
        what: format!("it cannot be read on: {error}"),
        count: 1,
    };
    let mut findings = store.integrity().await.unwrap_or_else(|error| vec![unread(error)]);
    findings.extend(store.damaged_profiles().await.unwrap_or_else(|error| vec![unread(error)]));
    let tables = store.table_sizes().await.unwrap_or_else(|error| {
        findings.push(unread(error));
        Vec::new()
    });
    let room = store.disk_usage().await.ok();
    let (file_bytes, free_bytes) =
        room.map_or((0, 0), |room| (room.file_bytes(), room.free_bytes()));
    if args.json {
        let report = serde_json::json!({
            "file": config.db(), "sound": findings.is_empty(), "findings": findings,
            "tables": tables, "file_bytes": file_bytes, "free_bytes": free_bytes,
            "log_bytes": store.log_bytes(),
        });
        say(report);
    } else {
        let size = |bytes: i64| ByteSize(u64::try_from(bytes).unwrap_or(0));
        let file = config.db();
        say(format_args!(
            "{}: {}, of which {} free",
            file.display(),
            size(file_bytes),
            size(free_bytes)
        ));
        for table in tables {
            let (bytes, index) = (size(table.bytes), size(table.index_bytes));
            let (bytes, index) = (bytes.to_string(), index.to_string());
            let TableSize { table, rows, .. } = table;
            say(format_args!("  {table:<17} {rows:>12} rows {bytes:>10}, indexes {index:>10}"));
        }
        for Finding { what, count } in &findings {
            say(format_args!("  wrong: {count} x {what}"));
        }
        say(if findings.is_empty() { "it is sound" } else { "it is damaged" });
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
