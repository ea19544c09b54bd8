//! Writing a batch, the same for every engine: which records are new, which merge with stored ones, and which profile of a
//! query is kept. An engine has the rows.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::batch::{
    AuditCheckpoint, Batch, Counts, FollowedFile, Label, NormalizedStatements, WriteSummary,
};
use super::error::StoreError;
use super::hours::HourChange;
use super::packing::PackedProfile;
use super::plans::ReadPlan;
use super::profile_body::unpack;
use super::query::Visibility;
use super::retention::Removal;
use super::shift::{Shift, TimeSource};
use crate::domain::login::Login;
use crate::domain::profile::Profile;
use crate::domain::record::{QueryId, QueryRecord, StoredQuery};
use crate::domain::statement::Fingerprint;
use crate::domain::time::{Zone, now_ms};
use crate::domain::token::TokenHash;

/// The rows of one engine, within one transaction.
pub(super) trait Rows: Send {
    /// Stores a label. Returns false if another batch has stored it.
    fn insert_label(
        &mut self,
        label: &Label,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes rows, and notes in `written` how many queries and profiles were removed and what became free. A profile that
    /// goes with its query does not count.
    fn remove(
        &mut self,
        removal: &Removal,
        written: &mut WriteSummary,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Inserts the queries whose ids have no row, with what only loads have. Returns for each query whether its row is new.
    fn insert_queries(
        &mut self,
        queries: &[(&QueryRecord, Option<Fingerprint>)],
    ) -> impl Future<Output = Result<Vec<bool>, StoreError>> + Send;

    /// Returns the stored queries of some ids, in no order.
    fn stored_queries(
        &mut self,
        ids: &[QueryId],
    ) -> impl Future<Output = Result<Vec<StoredQuery>, StoreError>> + Send;

    /// Writes queries anew that [`Rows::stored_queries`] returned, with what only loads have.
    fn update_queries(
        &mut self,
        queries: &[(&StoredQuery, Option<Fingerprint>)],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Inserts the names of clusters that are not stored yet.
    fn insert_clusters(
        &mut self,
        names: &BTreeSet<String>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Inserts the normalized statements that are not stored yet.
    fn insert_normalized(
        &mut self,
        statements: &NormalizedStatements,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Returns the stored profile of a query: the size of its text, and its body.
    fn stored_profile(
        &mut self,
        query_id: &QueryId,
    ) -> impl Future<Output = Result<Option<(i64, Vec<u8>)>, StoreError>> + Send;

    /// Stores the profile of a query. Returns false if another writer has stored one meanwhile.
    fn insert_profile(
        &mut self,
        query_id: &QueryId,
        profile: &PackedProfile,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Stores a profile in place of the one that [`Rows::stored_profile`] returned, and removes what was read of its plan.
    fn replace_profile(
        &mut self,
        query_id: &QueryId,
        profile: &PackedProfile,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Notes queries whose profile was stored just now and whose plan is not read, each id at most once, with a token that no
    /// other transaction has.
    fn note_unread_plans(
        &mut self,
        queries: &BTreeSet<&QueryId>,
        token: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Stores what was read of the plans of stored profiles, each id at most once, and notes that they are read. Ignores a plan
    /// whose profile is not noted as unread with the token of the plan.
    fn write_plans(
        &mut self,
        plans: &[ReadPlan],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Begins and ends readings of hours.
    fn change_hours(
        &mut self,
        changes: &[HourChange],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes log-ins; a stored one counts as unchanged.
    fn write_logins(
        &mut self,
        logins: &[Login],
    ) -> impl Future<Output = Result<Counts, StoreError>> + Send;

    /// Notes the parts of another history that are merged, by their digests.
    fn note_merged_parts(
        &mut self,
        digests: &[String],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes the notes of all parts.
    fn forget_merged_parts(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Stores how far a followed file is read.
    fn write_followed(
        &mut self,
        file: &FollowedFile,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Stores how far an audit table is read, and removes the minutes that the table has no more.
    fn write_audit_checkpoint(
        &mut self,
        checkpoint: &AuditCheckpoint,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Returns the rows of `time_source` of a source.
    fn time_sources(
        &mut self,
        source: &str,
    ) -> impl Future<Output = Result<Vec<TimeSource>, StoreError>> + Send;

    /// Stores a row of `time_source`, or when it was used if it is stored already. Returns its number.
    fn put_time_source(
        &mut self,
        row: &TimeSource,
    ) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Moves times, and notes `to` as the new row of `time_source`. Returns how many rows were changed.
    fn shift(
        &mut self,
        shift: &Shift,
        to: Option<i64>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Stores when a token was used last, unless the token is gone or a later use is stored.
    fn write_token_use(
        &mut self,
        token: TokenHash,
        used_ms: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Writes a batch. It may be written again if the transaction fails.
pub(super) async fn write_batch(
    rows: &mut impl Rows,
    batch: &mut Batch,
) -> Result<WriteSummary, StoreError> {
    let mut written = WriteSummary::default();
    let mut other_zone = None;
    if let Some(label) = &batch.label
        && !rows.insert_label(label).await?
    {
        written.label_exists = true;
        return Ok(written);
    }
    if !batch.removal.is_empty() {
        rows.remove(&batch.removal, &mut written).await?;
    }
    if let Some(shift) = &batch.shift {
        // What was merged before would change other values now.
        rows.forget_merged_parts().await?;
        let to = match &shift.to {
            Some(row) => Some(rows.put_time_source(row).await?),
            None => None,
        };
        written.shifted = rows.shift(shift, to).await?;
    }
    for row in &batch.time_sources {
        rows.put_time_source(row).await?;
    }
    if batch.is_zoned
        && let Some((source, zone)) = batch.source.clone()
    {
        let (number, other) = time_source(rows, &source, zone).await?;
        batch.set_time_source(number);
        written.zone_before = other.as_ref().and_then(|last| last.time_zone.parse().ok());
        other_zone = other;
    }
    if !batch.clusters.is_empty() {
        rows.insert_clusters(&batch.clusters).await?;
    }
    let sender = batch.sender.as_ref();
    let summaries = batch.profiles.iter().map(|profile| (&profile.summary, profile.fingerprint));
    let first_summary = batch.records.len();
    let records = batch.records.iter().map(|(record, fingerprint)| (record, *fingerprint));
    let records = records.chain(summaries);
    let statements = &mut batch.statements;
    let kept_as = write_records(rows, records, sender, statements, &mut written).await?;
    written.moved += kept_as.len() as u64;
    rows.insert_normalized(statements).await?;
    let mut unread_plans = BTreeSet::new();
    for (number, profile) in batch.profiles.iter().enumerate() {
        let query_id = kept_as.get(&(first_summary + number)).unwrap_or(&profile.summary.query_id);
        let may_replace = sender.is_none();
        if write_profile(rows, query_id, profile, may_replace, &mut written.profiles).await? {
            unread_plans.insert(query_id);
        }
    }
    if !unread_plans.is_empty() {
        rows.note_unread_plans(&unread_plans, fastrand::i64(..)).await?;
    }
    if !batch.plans.is_empty() {
        rows.write_plans(&batch.plans).await?;
    }
    if !batch.hours.is_empty() {
        rows.change_hours(&batch.hours).await?;
    }
    written.logins = rows.write_logins(&batch.logins).await?;
    if let Some(last) = other_zone.filter(|_| !written.has_new_times()) {
        // No stored time was read in the zone of this batch.
        rows.put_time_source(&TimeSource { used_ms: later_than(&last), ..last }).await?;
    }
    if !batch.merged_parts.is_empty() && written.is_as_sent() {
        rows.note_merged_parts(&batch.merged_parts).await?;
    }
    if let Some(file) = &batch.followed {
        rows.write_followed(file).await?;
    }
    if let Some(checkpoint) = &batch.audit_table {
        rows.write_audit_checkpoint(checkpoint).await?;
    }
    for (token, used_ms) in &batch.token_uses {
        rows.write_token_use(*token, *used_ms).await?;
    }
    Ok(written)
}

/// Returns the number under which a source with a zone is stored, and its row of the zone in which it was read until now, if that
/// is another one.
async fn time_source(
    rows: &mut impl Rows,
    source: &str,
    zone: Zone,
) -> Result<(i64, Option<TimeSource>), StoreError> {
    let mut known = rows.time_sources(source).await?;
    // A moved time was not read in another zone.
    known.retain(|row| row.shifted_ms == 0);
    let last = known.into_iter().max_by_key(|row| row.used_ms);
    if let Some(last) = last.as_ref().filter(|last| last.is_of(zone)) {
        return Ok((last.id, None));
    }
    let used_ms = last.as_ref().map_or_else(now_ms, later_than);
    let (source, time_zone) = (source.to_string(), zone.to_string());
    let row = TimeSource { id: 0, source, time_zone, shifted_ms: 0, used_ms };
    let number = rows.put_time_source(&row).await?;
    Ok((number, last))
}

/// Returns when a row of a source is used that is not the last one yet: later than that, whatever the clock says.
fn later_than(last: &TimeSource) -> i64 {
    last.used_ms.saturating_add(1).max(now_ms())
}

/// Writes a profile, unless the stored one of the query is the better one. Returns whether it was written. A profile of a
/// finished query is replaced only if the batch `may_replace` it.
async fn write_profile(
    rows: &mut impl Rows,
    query_id: &QueryId,
    profile: &PackedProfile,
    may_replace: bool,
    counts: &mut Counts,
) -> Result<bool, StoreError> {
    loop {
        let Some((text_bytes, body)) = rows.stored_profile(query_id).await? else {
            if rows.insert_profile(query_id, profile).await? {
                counts.new += 1;
                return Ok(true);
            }
            continue;
        };
        // A damaged text counts as empty, which any other text replaces.
        let text = unpack(&body, text_bytes).unwrap_or_default();
        let is_kept = !may_replace && !Profile::is_running(&text) && !text.is_empty();
        let is_running = profile.summary.is_running();
        if is_kept || !Profile::should_replace(is_running, profile.text_bytes as usize, &text) {
            counts.unchanged += 1;
            return Ok(false);
        }
        rows.replace_profile(query_id, profile).await?;
        counts.merged += 1;
        return Ok(true);
    }
}

/// How many records are written at a time. A batch may have a hundred thousand, which take some hundred megabytes.
const ROUND_RECORDS: usize = 4096;

/// A record that has no row yet.
struct Unplaced<'a> {
    record: Cow<'a, QueryRecord>,
    fingerprint: Option<Fingerprint>,
    /// The number of the record in the batch; None for a stored record that loses its id to one of the batch.
    number: Option<usize>,
    /// The ids that are left to try if the record's own id belongs to another statement.
    alternative_ids: Option<Box<dyn Iterator<Item = QueryId> + Send + Sync>>,
}

/// A stored query, and whether the batch changes it.
struct Known {
    query: StoredQuery,
    is_changed: bool,
}

/// Writes records, or merges them with the stored ones. Returns the new ids of the records that are not kept under their
/// own, by their number among the records.
///
/// An id belongs to the statement that ran. Another statement that came with the same id is kept under an id derived from
/// that one, and neither takes a value from the other.
///
/// Records that were pushed by somebody who may not see all queries have a `sender`: they neither take an
/// id from a stored record, nor merge with one of another user, nor make a record without a user theirs.
async fn write_records(
    rows: &mut impl Rows,
    records: impl Iterator<Item = (&QueryRecord, Option<Fingerprint>)> + Send,
    sender: Option<&Visibility>,
    statements: &mut NormalizedStatements,
    written: &mut WriteSummary,
) -> Result<HashMap<usize, QueryId>, StoreError> {
    let mut new_ids = HashMap::new();
    let mut records = records.enumerate();
    loop {
        let unplaced = |(number, (record, fingerprint))| Unplaced {
            record: Cow::Borrowed(record),
            fingerprint,
            number: Some(number),
            alternative_ids: None,
        };
        let mut round: Vec<_> = records.by_ref().take(ROUND_RECORDS).map(unplaced).collect();
        if round.is_empty() {
            return Ok(new_ids);
        }
        while !round.is_empty() {
            let known = insert_new(rows, round, &mut written.records).await?;
            round = merge_known(rows, known, sender, statements, written).await?;
            round.retain_mut(|unplaced| place_elsewhere(unplaced, statements, &mut new_ids));
        }
    }
}

/// Gives a record the next of the ids that are left to try. Returns false if there is none.
fn place_elsewhere(
    unplaced: &mut Unplaced<'_>,
    statements: &mut NormalizedStatements,
    new_ids: &mut HashMap<usize, QueryId>,
) -> bool {
    let Unplaced { record, fingerprint, number, alternative_ids } = unplaced;
    let ids = alternative_ids.get_or_insert_with(|| Box::new(record.alternative_ids()));
    let Some(id) = ids.next() else {
        let id = record.query_id.as_str();
        tracing::error!(id, "a record is lost: other statements have all its ids");
        return false;
    };
    if let Some(number) = number {
        new_ids.insert(*number, id.clone());
    }
    record.to_mut().query_id = id;
    *fingerprint = statements.add(record);
    true
}

/// Inserts the records whose ids have no row; returns the others.
async fn insert_new<'a>(
    rows: &mut impl Rows,
    records: Vec<Unplaced<'a>>,
    counts: &mut Counts,
) -> Result<Vec<Unplaced<'a>>, StoreError> {
    let queries: Vec<_> = records.iter().map(|it| (&*it.record, it.fingerprint)).collect();
    let is_new = rows.insert_queries(&queries).await?;
    counts.new += is_new.iter().filter(|is_new| **is_new).count() as u64;
    let known = records.into_iter().zip(is_new).filter(|(_, is_new)| !is_new);
    Ok(known.map(|(record, _)| record).collect())
}

/// Merges records with those that are stored under their ids. Returns the records of other statements than those that
/// have the ids.
async fn merge_known<'a>(
    rows: &mut impl Rows,
    records: Vec<Unplaced<'a>>,
    sender: Option<&Visibility>,
    statements: &mut NormalizedStatements,
    written: &mut WriteSummary,
) -> Result<Vec<Unplaced<'a>>, StoreError> {
    let ids: Vec<QueryId> = records.iter().map(|it| it.record.query_id.clone()).collect();
    let mut known: HashMap<QueryId, Known> = rows
        .stored_queries(&ids)
        .await?
        .into_iter()
        .map(|query| (query.query_id.clone(), Known { query, is_changed: false }))
        .collect();
    let mut others = Vec::new();
    for mut unplaced in records {
        let Some(Known { query, is_changed }) = known.get_mut(&unplaced.record.query_id) else {
            // The insert found the row a moment ago, within this transaction.
            return Err(StoreError::other("a row that is stored is not found"));
        };
        let may_merge = sender.is_none_or(|it| it.may_merge(&query.record, &unplaced.record));
        if !may_merge || !query.is_same_statement(&unplaced.record) {
            // Only the id that a frontend gave belongs to one statement before another, and only a report of a source
            // that annals trusts takes it from a stored one.
            if sender.is_none()
                && unplaced.alternative_ids.is_none()
                && unplaced.record.owns_id_before(&query.record, query.has_profile)
            {
                // The row stays that of the id.
                std::mem::swap(&mut query.record, unplaced.record.to_mut());
                unplaced.number = None;
                *is_changed = true;
            }
            others.push(unplaced);
            continue;
        }
        if query.is_of_other_cluster(&unplaced.record) {
            written.other_clusters += 1;
        }
        let before = query.record.clone();
        let record = unplaced.record.into_owned();
        match sender {
            None => query.record.merge(record),
            Some(sender) => query.record.merge_restricted(record, sender.user.as_deref()),
        }
        if query.record == before {
            written.records.unchanged += 1;
        } else {
            *is_changed = true;
            written.records.merged += 1;
        }
    }
    let changed: Vec<StoredQuery> =
        known.into_values().filter(|known| known.is_changed).map(|known| known.query).collect();
    let changed: Vec<_> =
        changed.iter().map(|query| (query, statements.add(&query.record))).collect();
    rows.update_queries(&changed).await?;
    Ok(others)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::filter::QueryFilter;
    use crate::domain::profile::Profile;
    use crate::domain::record::{Kind, Origin};
    use crate::store::{Address, Batch, Reader, Store};

    const START_MS: i64 = 1_767_322_800_000;

    /// The fields that a report of a statement may leave out.
    #[derive(Debug, Clone, Copy)]
    struct Report {
        /// Which of the statements that came with the id.
        statement: i64,
        has_number: bool,
        has_text: bool,
        is_slow: bool,
        /// A profile, which only the statement that ran has.
        is_profile: bool,
        /// An audit record without a start, which was written five seconds late.
        is_late: bool,
    }

    /// A report of one of several statements of one id. Each value tells which statement it is of.
    fn record(report: Report) -> QueryRecord {
        let number = report.statement;
        let origin = if report.is_profile { Origin::Summary } else { Origin::Audit };
        let mut record = QueryRecord::new("1a-2b".parse().unwrap(), Kind::Query, origin);
        // Statement 0 ran; the others failed, as those do that cannot be parsed.
        record.state = Some(if number == 0 { "EOF" } else { "ERR" }.to_string());
        record.error_code = (!report.is_profile).then_some(if number == 0 { 0 } else { 1105 });
        let start_ms = START_MS + number * 67_000 + number;
        record.started_ms = Some(match (report.is_profile, report.is_late) {
            (true, _) => start_ms / 1000 * 1000,
            (false, true) => start_ms + 5000,
            (false, false) => start_ms,
        });
        record.is_start_estimated = report.is_late;
        record.user = Some(format!("user{number}"));
        record.statement = report.has_text.then(|| format!("select {number} from t{number}"));
        record.statement_id = (report.has_number && !report.is_profile).then_some(number);
        record.scan_rows = (!report.is_profile).then_some(number);
        record.is_slow = report.is_slow;
        record
    }

    fn reports() -> impl Strategy<Value = Vec<Report>> {
        let report = (0..3_i64, any::<[bool; 5]>()).prop_map(|(statement, told)| {
            let [number, text, slow, profile, late] = told;
            let is_profile = profile && statement == 0;
            let is_late = late && !is_profile;
            Report {
                statement,
                // An audit record has a number or a text, and both where its start is a guess.
                has_number: number || is_late || !text,
                has_text: text || is_late,
                is_slow: slow && !is_profile,
                is_profile,
                is_late,
            }
        });
        prop::collection::vec(report, 1..12)
    }

    /// Writes reports in batches of some size; gives what is stored, without ids.
    async fn stored(reports: &[Report], batch_size: usize) -> Vec<(String, QueryRecord, bool)> {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(&Address::File(folder.path().join("a.db"))).await.unwrap();
        let writer = store.writer(Duration::from_secs(5), None).await.unwrap();
        for some in reports.chunks(batch_size) {
            let mut batch = Batch::default();
            for report in some {
                if report.is_profile {
                    let text = b"Summary:\n  - Profile ID: 1a-2b\n".to_vec();
                    batch.profile(Profile { summary: record(*report), text });
                } else {
                    batch.record(record(*report));
                }
            }
            writer.write(batch).await.unwrap();
        }
        let filter = QueryFilter { limit: 100, ..QueryFilter::default() };
        let listed = store.records(&filter, Reader::default()).await.unwrap();
        let mut rows: Vec<_> = listed
            .into_iter()
            .map(|query| (query.query_id.to_string(), query.record, query.has_profile))
            .collect();
        rows.sort_by_key(|(_, record, _)| record.started_ms);
        writer.finish().await.unwrap();
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn statements_of_one_id_are_never_mixed(reports in reports(), batch_size in 1..5_usize, turn in 0..12_usize) {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let rows = runtime.block_on(stored(&reports, batch_size));
            let statements: BTreeSet<i64> = reports.iter().map(|report| report.statement).collect();
            prop_assert_eq!(rows.len(), statements.len());
            for (id, record, has_profile) in &rows {
                let number = (record.started_ms.unwrap() - START_MS) / 67_000;
                prop_assert!(statements.contains(&number));
                prop_assert_eq!(&record.user, &Some(format!("user{number}")));
                prop_assert_eq!(record.scan_rows.unwrap_or(number), number);
                prop_assert_eq!(record.statement_id.unwrap_or(number), number);
                prop_assert_eq!(record.is_failed(), number != 0);
                let slow = reports.iter().any(|report| report.statement == number && report.is_slow);
                prop_assert_eq!(record.is_slow, slow);
                let profiled = reports.iter().any(|report| report.statement == number && report.is_profile);
                prop_assert_eq!(*has_profile, profiled);
                if number == 0 {
                    prop_assert_eq!(id.as_str(), "1a-2b");
                }
            }
            // Another order gives the same.
            let mut turned = reports.clone();
            turned.rotate_left(turn % reports.len());
            turned.reverse();
            let again = runtime.block_on(stored(&turned, batch_size));
            for ((_, one, _), (_, other, _)) in rows.iter().zip(&again) {
                prop_assert_eq!((one.started_ms, &one.user, one.statement_id, &one.statement),
                    (other.started_ms, &other.user, other.statement_id, &other.statement));
            }
            prop_assert_eq!(rows.len(), again.len());
        }
    }
}
