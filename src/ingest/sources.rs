//! Sources: each followed pattern, each frontend, each audit table, and each interface to push to.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::Serialize;
use utoipa::ToSchema;

use super::{now_ms, unpoisoned};
use crate::domain::cluster::ClusterName;
use crate::domain::time::{Zone, format_shift, likely_zone};
use crate::formats::SkipReason;
use crate::store::{Arrival, WriteSummary};

/// One source: its cluster, and its counters and state, for many threads.
#[derive(Debug, Default)]
pub(crate) struct Source {
    name: String,
    cluster: Option<ClusterName>,
    /// The zone of times without one, if it is not that of annals.
    zone: Mutex<Option<Zone>>,
    report: Mutex<SourceReport>,
}

/// What a source sent since annals started, and its state. Times are Unix milliseconds.
#[derive(Debug, Default, Clone, Serialize, ToSchema)]
pub(crate) struct SourceReport {
    /// The cluster that the configuration names.
    pub cluster: Option<String>,
    pub records_new: u64,
    pub records_merged: u64,
    pub records_unchanged: u64,
    /// Records that name another cluster than the stored one, which keeps its own.
    pub other_clusters: u64,
    pub profiles: u64,
    /// Logins that were new.
    pub logins: u64,
    /// Records and profiles that an exclusion rule matched.
    pub excluded: u64,
    /// The zone in which times without one were read last; `null` if no time depends on it.
    pub time_zone: Option<String>,
    /// The zone in which annals read the source before, if that was another one.
    pub time_zone_before: Option<String>,
    /// Records that were more than 25 minutes in the future as they arrived.
    pub future_records: u64,
    /// What is probably wrong with the times, and what to do.
    pub time_advice: Option<String>,
    /// How far ahead the latest of the records is whose times depend on the zone, in milliseconds.
    #[serde(skip)]
    #[schema(ignore)]
    zone_ahead_ms: Option<i64>,
    /// Pieces of input that annals does not understand, by reason.
    pub rejected: BTreeMap<String, u64>,
    pub last_success_ms: Option<i64>,
    pub last_error: Option<String>,
    pub last_error_ms: Option<i64>,
    /// Why nothing is read at present, although nothing failed.
    pub waits_for: Option<WaitsFor>,
    /// What is not read yet: bytes of a followed log, profiles of a frontend, new rows of an audit table.
    pub lag: Option<u64>,
    /// Of an audit table alone.
    pub audit_table: Option<AuditTableReport>,
}

/// What a source waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaitsFor {
    /// No file has the followed name.
    File,
    /// Another annals that shares the history reads the source. This one takes over if the other stops.
    OtherAnnals,
}

/// How far an audit table is read. Times are Unix milliseconds, and durations milliseconds.
#[derive(Debug, Default, Clone, Serialize, ToSchema)]
pub(crate) struct AuditTableReport {
    /// The frontend that is asked, as `host:port`.
    pub server: Option<String>,
    /// The table with its database.
    pub table: Option<String>,
    /// The zone in which the table's times are read.
    pub time_zone: Option<String>,
    /// The start of the newest row that was counted and is not of the future, to the minute.
    pub newest_ms: Option<i64>,
    /// The start of the newest row, if it is more than some minutes ahead of this machine's clock: the zone of the table's times
    /// is probably another one, or a frontend's clock is wrong.
    pub future_ms: Option<i64>,
    /// The longest time from the end of a query to its row, of the last day.
    pub late_ms: Option<i64>,
    /// How far back each look for new rows goes. annals learns it from how late rows come.
    pub overlap_ms: i64,
    /// The rows from this time on are stored.
    pub read_from_ms: Option<i64>,
    /// Older rows that were read since annals started.
    pub backfill_rows_read: u64,
    /// Older rows that are not read yet. Unknown until they are counted.
    pub backfill_rows_left: Option<u64>,
    /// Whether all older rows are read.
    pub is_backfilled: bool,
    /// Whether the table has no row: the cluster may not fill it.
    pub is_empty: bool,
}

impl Source {
    /// Returns a source whose records are of a cluster, unless they name one.
    pub(super) fn new(name: &str, cluster: Option<ClusterName>) -> Source {
        let cluster_name = cluster.as_ref().map(ToString::to_string);
        let report = SourceReport { cluster: cluster_name, ..SourceReport::default() };
        let (name, zone) = (name.to_string(), Mutex::default());
        Source { name, cluster, zone, report: Mutex::new(report) }
    }

    /// The name in the status and in the history.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The zone of times without one; none for that of annals.
    pub(super) fn zone(&self) -> Option<Zone> {
        *unpoisoned(&self.zone)
    }

    /// Sets the zone of times without one, if it is not that of annals.
    pub(super) fn set_zone(&self, zone: Zone) {
        *unpoisoned(&self.zone) = Some(zone);
    }

    /// The cluster of the records that name none.
    pub(super) fn cluster(&self) -> Option<&ClusterName> {
        self.cluster.as_ref()
    }

    pub(super) fn report(&self) -> SourceReport {
        unpoisoned(&self.report).clone()
    }

    /// Counts a committed batch, whose times without a zone were read in `zone`.
    pub(super) fn wrote(&self, summary: WriteSummary, arrival: Arrival, zone: Option<Zone>) {
        let mut report = unpoisoned(&self.report);
        // What was stored already has the times that it had: a shift of this source moves nothing of it.
        let has_new_times = summary.has_new_times();
        report.note_zone(&self.name, summary.zone_before.filter(|_| has_new_times), zone);
        if has_new_times {
            report.note_future(&self.name, arrival, zone);
        }
        report.records_new += summary.records.new;
        report.records_merged += summary.records.merged;
        report.records_unchanged += summary.records.unchanged;
        if summary.other_clusters > 0 && report.other_clusters == 0 {
            let cluster = report.cluster.as_deref();
            tracing::warn!(
                cluster,
                "a source reports queries that are stored as those of another cluster; they keep it"
            );
        }
        report.other_clusters += summary.other_clusters;
        report.profiles += summary.profiles.new + summary.profiles.merged;
        report.logins += summary.logins.new;
        report.excluded += arrival.excluded;
        report.last_success_ms = Some(now_ms());
    }

    /// Notes a successful poll, also one that found nothing new.
    pub(super) fn succeeded(&self) {
        unpoisoned(&self.report).last_success_ms = Some(now_ms());
    }

    pub(super) fn failed(&self, error: &dyn std::error::Error) {
        let mut report = unpoisoned(&self.report);
        report.last_error = Some(error.to_string());
        report.last_error_ms = Some(now_ms());
    }

    /// Counts a piece of input that annals does not understand.
    pub(super) fn rejected(&self, reason: SkipReason) {
        *unpoisoned(&self.report).rejected.entry(reason.to_string()).or_default() += 1;
    }

    /// Counts pushed rows that annals does not understand. The answer to the push says why.
    pub(crate) fn rejected_rows(&self, count: u64) {
        if count > 0 {
            let mut report = unpoisoned(&self.report);
            *report.rejected.entry("a row that is not a valid record".to_string()).or_default() +=
                count;
        }
    }

    pub(super) fn set_waits_for(&self, waits_for: Option<WaitsFor>) {
        unpoisoned(&self.report).waits_for = waits_for;
    }

    pub(super) fn set_audit_table(&self, report: AuditTableReport) {
        unpoisoned(&self.report).audit_table = Some(report);
    }

    /// Changes what is reported of an audit table.
    pub(super) fn change_audit_table(&self, change: impl FnOnce(&mut AuditTableReport)) {
        if let Some(report) = &mut unpoisoned(&self.report).audit_table {
            change(report);
        }
    }

    pub(super) fn set_lag(&self, lag: u64) {
        unpoisoned(&self.report).lag = Some(lag);
    }
}

impl SourceReport {
    /// Notes the zone in which times were read, and logs once that it was another one before.
    fn note_zone(&mut self, source: &str, before: Option<Zone>, zone: Option<Zone>) {
        let Some(zone) = zone else { return };
        if let Some(before) = before
            && self.time_zone_before.is_none()
        {
            tracing::warn!(source, "{}", other_zone(source, before, zone));
            self.time_zone_before = Some(before.to_string());
            self.time_advice = Some(other_zone(source, before, zone));
        }
        self.time_zone = Some(zone.to_string());
    }

    /// Counts records of the future, and says what is probably wrong.
    fn note_future(&mut self, source: &str, arrival: Arrival, zone: Option<Zone>) {
        if arrival.future == 0 {
            return;
        }
        let is_first = self.future_records == 0;
        self.future_records += arrival.future;
        let is_further = arrival.zone_ahead_ms > self.zone_ahead_ms;
        if !is_first && !is_further {
            return;
        }
        self.zone_ahead_ms = self.zone_ahead_ms.max(arrival.zone_ahead_ms);
        let advice = match (self.zone_ahead_ms, zone) {
            (Some(ahead_ms), Some(zone)) => future_in_zone(source, zone, ahead_ms),
            _ => FUTURE_INSTANTS.to_string(),
        };
        if is_first {
            tracing::warn!(source, "records start in the future: {advice}");
        }
        self.time_advice = Some(advice);
    }
}

/// Returns what to say of a source whose times were read in another zone before.
pub(crate) fn other_zone(source: &str, before: Zone, zone: Zone) -> String {
    format!(
        "Times of the source '{source}' were read in the zone {before} until now, and are read in {zone} from now on. If {before} \
         was wrong, move the stored times with `annals shift --source '{source}' --read-as {before} --by {}`. If {zone} is wrong, set \
         the time zone.",
        format_shift(before.offset_ms(now_ms()) - zone.offset_ms(now_ms()))
    )
}

/// What to say of instants of the future.
pub(crate) const FUTURE_INSTANTS: &str =
    "Their times depend on no zone: the clock of the frontend or of this machine is wrong.";

/// Returns what to say of times of a source that are ahead because they were read in `zone`.
pub(crate) fn future_in_zone(source: &str, zone: Zone, ahead_ms: i64) -> String {
    let ahead = format!("{}h{}min", ahead_ms / 3_600_000, ahead_ms / 60_000 % 60);
    match likely_zone(zone, now_ms(), ahead_ms) {
        None => format!(
            "The latest is {ahead} ahead: the times were read as times of {zone}, and no zone explains them."
        ),
        Some(likely) => format!(
            "The latest is {ahead} ahead: the times look like {}, but were read as times of {zone}. If so, set --time-zone {}, \
             and move the stored times with `annals shift --source '{source}' --read-as {zone} --by {}`.",
            likely.offset,
            likely.zones,
            format_shift(likely.shift_ms)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_adds_up_what_its_batches_did() {
        let source = Source::default();
        let mut summary = WriteSummary::default();
        (summary.records.new, summary.records.merged, summary.records.unchanged) = (2, 1, 4);
        summary.other_clusters = 1;
        (summary.profiles.new, summary.profiles.merged, summary.profiles.unchanged) = (1, 1, 1);
        source.wrote(summary, Arrival { excluded: 3, ..Arrival::default() }, None);
        source.wrote(summary, Arrival::default(), None);
        source.rejected(SkipReason::NoTime);
        source.rejected_rows(0);
        source.rejected_rows(2);
        let report = source.report();
        assert_eq!((report.records_new, report.records_merged), (4, 2));
        assert_eq!(report.other_clusters, 2);
        // A profile that is stored already is not counted.
        assert_eq!((report.records_unchanged, report.profiles, report.excluded), (8, 4, 3));
        assert_eq!(report.rejected.values().sum::<u64>(), 3);
        assert!(report.last_success_ms.is_some() && report.last_error_ms.is_none());
    }

    #[test]
    fn the_advice_names_the_zone_of_the_times_and_what_mends_them() {
        const HOUR_MS: i64 = 3_600_000;
        let source = Source::new("follow fe.audit.log", None);
        let arrival =
            |future, zone_ahead_ms| Arrival { future, zone_ahead_ms, ..Arrival::default() };
        let unchanged = WriteSummary::default();
        source.wrote(unchanged, arrival(1, None), None);
        assert_eq!(source.report().time_advice, None);
        let mut new = WriteSummary::default();
        new.records.new = 1;
        source.wrote(new, arrival(1, None), None);
        assert_eq!(source.report().time_advice.as_deref(), Some(FUTURE_INSTANTS));
        let ahead = Some(8 * HOUR_MS - 60_000);
        source.wrote(new, arrival(2, ahead), Some(Zone::UTC));
        let report = source.report();
        assert_eq!((report.future_records, report.time_zone.as_deref()), (3, Some("UTC")));
        let advice = report.time_advice.unwrap();
        assert!(advice.contains("look like UTC+08:00"), "{advice}");
        assert!(advice.contains("--read-as UTC --by -8h"), "{advice}");
        let zone_before = Some("Asia/Shanghai".parse().unwrap());
        source.wrote(
            WriteSummary { zone_before, ..Default::default() },
            arrival(0, None),
            Some(Zone::UTC),
        );
        assert_eq!(source.report().time_zone_before, None, "nothing was stored");
        source.wrote(WriteSummary { zone_before, ..new }, arrival(0, None), Some(Zone::UTC));
        assert_eq!(source.report().time_zone_before.as_deref(), Some("Asia/Shanghai"));
    }

    #[test]
    fn a_success_keeps_the_last_error_with_its_time() {
        let source = Source::default();
        source.failed(&std::io::Error::other("no route to host"));
        source.succeeded();
        let report = source.report();
        assert_eq!(report.last_error.as_deref(), Some("no route to host"));
        assert!(report.last_success_ms >= report.last_error_ms);
    }
}
