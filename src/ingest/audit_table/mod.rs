//! Collects from the audit table of a cluster: what is new, and behind it, from new to old, what the table still holds.
//!
//! - [`coverage`] knows which minutes are read, and finds the changed minutes.
//! - [`lateness`] learns how late rows come.
//! - [`known_rows`] knows the rows that were read lately.
//! - [`collector`] asks for counts and rows, and writes the rows with the checkpoint.

mod collector;
mod coverage;
mod known_rows;
mod lateness;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use self::collector::{Collector, Next};
use super::frontend::retry_after;
use super::sources::{AuditTableReport, WaitsFor};
use super::{Pipeline, SourceReport};
use crate::domain::cluster::ClusterName;
use crate::domain::time::{format_duration_ms, now_ms};
use crate::formats::audit_table::{AuditTableError, AuditTableSettings};
use crate::store::{Store, StoreError, WriteError};

/// How long the lease of a table is held, at least. If a page takes longer, two annals may read it, which changes nothing.
const LEAST_LEASE: Duration = Duration::from_secs(30);

/// What to do about a table without rows.
pub(crate) const EMPTY_TABLE: &str = "The table has no rows. Doris fills it after SET GLOBAL enable_audit_plugin = true, \
     and StarRocks once its AuditLoader is installed.";

/// Returns what is wrong with the times of a table, if its newest row is ahead of this machine's clock.
pub(crate) fn future_advice(report: &AuditTableReport) -> Option<String> {
    let ahead_ms = report.future_ms?.saturating_sub(now_ms());
    let zone = report.time_zone.as_deref().unwrap_or("unknown");
    Some(format!(
        "The newest row starts {} ahead of this machine's clock. The table's times are probably not of the zone {zone}: set \
         time_zone of the audit table, and move the stored times with `annals shift`. Or a frontend's clock is wrong.",
        format_duration_ms(ahead_ms)
    ))
}

/// An audit table, and how it is read.
#[derive(Clone)]
pub(crate) struct AuditTableSource {
    /// The name of the source and of its checkpoint.
    pub name: String,
    pub settings: AuditTableSettings,
    /// The cluster whose table it is.
    pub cluster: Option<ClusterName>,
    /// From one look for new rows to the next.
    pub interval: Duration,
    /// About how many rows one statement reads.
    pub page_rows: u64,
    /// Rows of statements that started before are not read, in Unix milliseconds.
    pub since_ms: Option<i64>,
}

/// Why a step of collecting did not complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    #[error(transparent)]
    Table(#[from] AuditTableError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the history cannot be read")]
    Read(#[from] StoreError),
    #[error(
        "the answer of the frontend ends a task of annals; check that the URL names a frontend's MySQL port"
    )]
    Fault,
}

/// Collects from an audit table until the task is aborted. Of the annals that share a history, one collects; another takes over
/// if that one does not renew its lease.
pub(crate) async fn collect_audit_table(
    pipeline: Arc<Pipeline>,
    store: Store,
    table: AuditTableSource,
) {
    let (name, interval) = (format!("audit table {}", table.name), table.interval);
    let lease_ms = i64::try_from((interval * 3).max(LEAST_LEASE).as_millis()).unwrap_or(i64::MAX);
    let source = pipeline.source(&name, table.cluster.clone());
    let mut collector = Collector::new(pipeline, store.clone(), source.clone(), table);
    let mut failures = 0;
    loop {
        let stepped = match store.holds(&name, lease_ms).await {
            Ok(true) => {
                source.set_waits_for(None);
                step(&mut collector).await
            }
            Ok(false) => {
                source.set_waits_for(Some(WaitsFor::OtherAnnals));
                collector.forget_uncommitted();
                tokio::time::sleep(interval).await;
                continue;
            }
            Err(error) => Err(CollectError::Read(error)),
        };
        let error = match stepped {
            Ok(next) => {
                if failures > 0 {
                    tracing::info!(source = name, "the audit table is read again");
                }
                failures = 0;
                source.succeeded();
                tokio::time::sleep(next.pause()).await;
                continue;
            }
            Err(error) => error,
        };
        source.failed(&error);
        collector.recover();
        // Sources that failed together are not tried together.
        let retry = retry_after(interval, failures).mul_f64(0.5 + fastrand::f64());
        if failures == 0 {
            let (source, retry_in_ms) = (&name, retry.as_millis());
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, source, retry_in_ms, "the audit table was not read");
        }
        failures += 1;
        tokio::time::sleep(retry).await;
    }
}

/// Reads all of an audit table that is not read yet. Calls `progress` with what was done, after each page.
pub(crate) async fn import_audit_table(
    pipeline: Arc<Pipeline>,
    store: Store,
    table: AuditTableSource,
    mut progress: impl FnMut(&SourceReport),
) -> Result<SourceReport, CollectError> {
    let source = pipeline.source(&format!("audit table {}", table.name), table.cluster.clone());
    let mut collector = Collector::new(pipeline, store, source.clone(), table);
    loop {
        let next = step(&mut collector).await?;
        progress(&source.report());
        if matches!(next, Next::Poll(_)) {
            collector.close().await;
            return Ok(source.report());
        }
    }
}

/// Does one step. A driver that meets bytes of another protocol may panic, which ends the step and not the task.
async fn step(collector: &mut Collector) -> Result<Next, CollectError> {
    AssertUnwindSafe(collector.step()).catch_unwind().await.unwrap_or(Err(CollectError::Fault))
}
