//! `annals import --audit-table`: reads the audit table of a cluster.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::ProgressBar;

use super::counting_bar;
use crate::cli::merge::other_clusters;
use crate::cli::output::print;
use crate::config::Config;
use crate::ingest::audit_table::{
    AuditTableSource, EMPTY_TABLE, future_advice, import_audit_table,
};
use crate::ingest::{Pipeline, SourceReport};
use crate::store::{BULK_TIME, Store};

/// Reads tables, one after the other, and prints what was read. Returns 0 if all rows were understood, 1 if some were not, 2 if
/// none was.
pub(super) async fn import_tables(
    store: &Store,
    config: &Config,
    tables: Vec<AuditTableSource>,
) -> anyhow::Result<ExitCode> {
    let writer = store.writer(BULK_TIME, None).await?;
    let exclusions = config.exclude.clone();
    let retention = config.retention.clone();
    // The tables have their clusters, and nothing is pushed.
    let defaults = (config.zone(), None);
    let pipeline = Arc::new(Pipeline::new(store.clone(), writer, exclusions, retention, defaults));
    let (mut understood, mut rejected) = (0, 0);
    for table in tables {
        let (name, started) = (table.name.clone(), Instant::now());
        let bar = counting_bar("rows");
        let progress = |report: &SourceReport| show(&bar, report);
        let imported = import_audit_table(pipeline.clone(), store.clone(), table, progress).await;
        bar.finish_and_clear();
        let report =
            imported.with_context(|| format!("the audit table {name} was not read to its end"))?;
        print(summary(&name, &report, started.elapsed()));
        understood += read(&report);
        rejected += report.rejected.values().sum::<u64>();
    }
    pipeline.finish().await?;
    Ok(match (rejected, understood) {
        (0, _) => ExitCode::SUCCESS,
        (_, 0) => ExitCode::from(2),
        _ => ExitCode::from(1),
    })
}

/// Returns how many rows were understood.
fn read(report: &SourceReport) -> u64 {
    report.records_new
        + report.records_merged
        + report.records_unchanged
        + report.logins
        + report.excluded
}

fn show(bar: &ProgressBar, report: &SourceReport) {
    let Some(table) = &report.audit_table else { return };
    if let Some(left) = table.backfill_rows_left {
        bar.set_length(table.backfill_rows_read + left);
        bar.set_position(table.backfill_rows_read);
    }
}

/// Returns what was read, for the user.
fn summary(name: &str, report: &SourceReport, took: Duration) -> String {
    let table = report.audit_table.clone().unwrap_or_default();
    let has_new = report.records_new + report.records_merged > 0;
    let future = future_advice(&table).filter(|_| has_new);
    let advice = future.or_else(|| report.time_advice.clone());
    let zone = table.time_zone.unwrap_or_default();
    let mut text = format!(
        "read {} of {name} in {:.1} s, with times of the zone {zone}\n  records:  {} new, {} merged, {} unchanged",
        table.table.unwrap_or_default(),
        took.as_secs_f64(),
        report.records_new,
        report.records_merged,
        report.records_unchanged
    );
    if report.logins > 0 {
        text += &format!("\n  logins:   {} new", report.logins);
    }
    if let Some(note) = other_clusters(report.other_clusters) {
        text += &format!("\n  {note}");
    }
    if report.excluded > 0 {
        text += &format!("\n  excluded: {}", report.excluded);
    }
    if table.is_empty {
        text += &format!("\n  {EMPTY_TABLE}");
    }
    if let Some(advice) = advice {
        text += &format!("\n  {advice}");
    }
    if !report.rejected.is_empty() {
        text += "\n  not understood:";
    }
    for (reason, count) in &report.rejected {
        text += &format!("\n    {count} x {reason}");
    }
    text
}
