//! The rows of a transaction.

use std::collections::{BTreeSet, HashMap, HashSet};

use annals_postgres_statements as statements;
use sqlx::PgConnection;
use xxhash_rust::xxh3::xxh3_64;

use super::hours::change_hours;
use super::nul::without_nul;
use super::own_masks::OwnMasks;
use super::rows::{self, Insertion};
use super::shift::{of_row, shift_rows};
use crate::domain::login::Login;
use crate::domain::profile::{PlanFingerprint, PlanSummary};
use crate::domain::record::{QueryId, QueryRecord, StoredQuery};
use crate::domain::statement::Fingerprint;
use crate::domain::time::now_ms;
use crate::domain::token::TokenHash;
use crate::store::batch::{
    AuditCheckpoint, Counts, FollowedFile, Label, NormalizedStatements, WriteSummary,
};
use crate::store::error::StoreError;
use crate::store::hours::{HourChange, hour_of};
use crate::store::ngram_index::segment_of;
use crate::store::packing::PackedProfile;
use crate::store::plans::ReadPlan;
use crate::store::retention::Removal;
use crate::store::shift::{Shift, Shifted, TimeSource};
use crate::store::write::Rows;

pub(super) struct PostgresRows<'c> {
    connection: &'c mut PgConnection,
    /// The token of the group of batches that is written.
    token: &'c str,
    /// How many labels this transaction has stored or found. A group is written in the same order when it is tried again.
    labels: usize,
    insertion: Insertion,
    own_masks: &'c OwnMasks,
    is_citus: bool,
    /// The normalized statements that this transaction has stored or found.
    stored_statements: foldhash::HashSet<Fingerprint>,
    /// The names of clusters that this transaction has stored or found.
    stored_clusters: BTreeSet<String>,
    /// What is known of the rows that were read last.
    known: HashMap<QueryId, KnownRow>,
    /// The hours in which this transaction changes a query.
    changed_hours: foldhash::HashSet<i64>,
    hour_changes: Vec<HourChange>,
}

/// A row that was read.
#[derive(Clone, Copy)]
struct KnownRow {
    revision: i32,
    statement_hash: u64,
    started_ms: Option<i64>,
}

impl<'c> PostgresRows<'c> {
    /// Returns the rows of a connection that is in a transaction.
    pub(super) fn new(
        connection: &'c mut PgConnection,
        token: &'c str,
        insertion: Insertion,
        own_masks: &'c OwnMasks,
        is_citus: bool,
    ) -> PostgresRows<'c> {
        PostgresRows {
            connection,
            token,
            labels: 0,
            insertion,
            own_masks,
            is_citus,
            stored_statements: foldhash::HashSet::default(),
            stored_clusters: BTreeSet::new(),
            known: HashMap::new(),
            changed_hours: foldhash::HashSet::default(),
            hour_changes: Vec::new(),
        }
    }

    /// Removes the summaries of hours in which a query changed, and begins and ends readings of hours. The last of a
    /// transaction.
    pub(super) async fn finish(self) -> Result<(), StoreError> {
        change_hours(self.connection, &self.changed_hours, &self.hour_changes).await
    }

    fn changes_hours_of(&mut self, starts: impl IntoIterator<Item = i64>) {
        self.changed_hours.extend(starts.into_iter().map(hour_of));
    }
}

fn statement_hash(query: &StoredQuery) -> u64 {
    query.statement.as_deref().map_or(0, |statement| xxh3_64(statement.as_bytes()))
}

impl Rows for PostgresRows<'_> {
    async fn insert_label(&mut self, label: &Label) -> Result<bool, StoreError> {
        let Label { cluster, db, label } = label;
        let [cluster, db, label] = [cluster, db, label].map(|text| without_nul(text));
        // Two loads of one group may have the same label: only the first is stored.
        self.labels += 1;
        let token = format!("{}-{}", self.token, self.labels);
        let is_new =
            statements::insert_label(self.connection, (&cluster, &db, &label), &token, now_ms());
        Ok(is_new.await?)
    }

    async fn insert_clusters(&mut self, names: &BTreeSet<String>) -> Result<(), StoreError> {
        let new = names.difference(&self.stored_clusters).cloned();
        let new: Vec<String> = new.map(|name| without_nul(&name).into_owned()).collect();
        if !new.is_empty() {
            statements::insert_clusters(self.connection, &new).await?;
            self.stored_clusters.extend(names.iter().cloned());
        }
        Ok(())
    }

    async fn remove(
        &mut self,
        removal: &Removal,
        written: &mut WriteSummary,
    ) -> Result<(), StoreError> {
        // A normalized statement goes with the last of its queries.
        self.stored_statements.clear();
        let connection = &mut *self.connection;
        if !removal.profiles.is_empty() {
            let removed = statements::remove_profiles(connection, &removal.profiles).await?;
            written.removed_profiles = removed;
        }
        if !removal.queries.is_empty() {
            let removed = statements::remove_queries(connection, &removal.queries).await?;
            written.removed_queries = removed.len() as u64;
            self.changed_hours.extend(removed.iter().filter_map(|it| it.started_ms).map(hour_of));
            // On Citus this would read all entries of common statements. Retention sweeps the statements, too.
            if !self.is_citus {
                let mut fingerprints: Vec<i64> =
                    removed.into_iter().filter_map(|it| it.fingerprint).collect();
                fingerprints.sort_unstable();
                fingerprints.dedup();
                statements::remove_unused_statements(connection, &fingerprints).await?;
            }
        }
        if let Some(before_ms) = removal.logins_before_ms {
            statements::remove_logins(connection, before_ms).await?;
        }
        if let Some(before_ms) = removal.labels_before_ms {
            statements::remove_labels(connection, before_ms).await?;
        }
        if !removal.statements.is_empty() {
            let unused = &removal.statements;
            match self.is_citus {
                true => statements::remove_unused_statements_on_citus(connection, unused).await?,
                false => statements::remove_unused_statements(connection, unused).await?,
            }
        }
        if let Some(mark) = &removal.mark {
            let mark = statements::Mark {
                trusted_ms: mark.clock.trusted_ms,
                off_ms: mark.clock.off.map(|off| off.system_ms),
                off_for_ms: mark.clock.off.map(|off| off.for_ms),
                settled_query: mark.settled_query,
            };
            statements::write_mark(connection, mark).await?;
        }
        Ok(())
    }

    async fn insert_queries(
        &mut self,
        queries: &[(&QueryRecord, Option<Fingerprint>)],
    ) -> Result<Vec<bool>, StoreError> {
        let inserted =
            rows::insert_queries(self.connection, queries, self.insertion, self.own_masks).await?;
        let new = inserted.iter().zip(queries).filter(|(is_new, _)| **is_new);
        self.changes_hours_of(new.filter_map(|(_, (record, _))| record.started_ms));
        Ok(inserted)
    }

    async fn stored_queries(&mut self, ids: &[QueryId]) -> Result<Vec<StoredQuery>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let stored = rows::stored_queries(self.connection, ids).await?;
        let known = stored.iter().map(|(query, revision)| {
            let known = KnownRow {
                revision: *revision,
                statement_hash: statement_hash(query),
                started_ms: query.started_ms,
            };
            (query.query_id.clone(), known)
        });
        self.known = known.collect();
        Ok(stored.into_iter().map(|(query, _)| query).collect())
    }

    async fn update_queries(
        &mut self,
        queries: &[(&StoredQuery, Option<Fingerprint>)],
    ) -> Result<(), StoreError> {
        if queries.is_empty() {
            return Ok(());
        }
        let (mut revisions, mut segments) = (Vec::new(), Vec::new());
        for (query, _) in queries {
            let Some(known) = self.known.get(&query.query_id).copied() else { continue };
            revisions.push(known.revision);
            if statement_hash(query) != known.statement_hash {
                segments.push(segment_of(query.id));
            }
            self.changes_hours_of([known.started_ms, query.started_ms].into_iter().flatten());
        }
        if !rows::update_queries(self.connection, queries, &revisions).await? {
            return Err(StoreError::busy("another writer has changed the same queries"));
        }
        if !segments.is_empty() {
            segments.sort_unstable();
            segments.dedup();
            self.own_masks.forget(&segments);
            statements::change_segments(self.connection, &segments).await?;
        }
        Ok(())
    }

    async fn insert_normalized(
        &mut self,
        normalized: &NormalizedStatements,
    ) -> Result<(), StoreError> {
        let texts = normalized.texts.iter();
        // Most statements of a batch are those of the one before.
        let new: Vec<_> = texts.filter(|(it, _)| self.stored_statements.insert(**it)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let fingerprints: Vec<i64> = new.iter().map(|(it, _)| it.to_signed()).collect();
        let texts: Vec<String> =
            new.iter().map(|(_, text)| without_nul(text).into_owned()).collect();
        Ok(statements::insert_normalized(self.connection, &fingerprints, &texts).await?)
    }

    async fn stored_profile(
        &mut self,
        query_id: &QueryId,
    ) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
        Ok(statements::stored_profile(self.connection, query_id.as_str()).await?)
    }

    async fn insert_profile(
        &mut self,
        query_id: &QueryId,
        profile: &PackedProfile,
    ) -> Result<bool, StoreError> {
        let PackedProfile { text_bytes, body, .. } = profile;
        let inserted =
            statements::insert_profile(self.connection, query_id.as_str(), *text_bytes, body);
        Ok(inserted.await?)
    }

    async fn replace_profile(
        &mut self,
        query_id: &QueryId,
        profile: &PackedProfile,
    ) -> Result<(), StoreError> {
        let PackedProfile { text_bytes, body, .. } = profile;
        statements::replace_profile(self.connection, query_id.as_str(), *text_bytes, body).await?;
        Ok(statements::remove_plan(self.connection, query_id.as_str()).await?)
    }

    /// Notes the changes, for [`PostgresRows::finish`].
    async fn change_hours(&mut self, changes: &[HourChange]) -> Result<(), StoreError> {
        self.hour_changes.extend(changes.iter().cloned());
        Ok(())
    }

    async fn note_unread_plans(
        &mut self,
        queries: &BTreeSet<&QueryId>,
        token: i64,
    ) -> Result<(), StoreError> {
        let query_ids: Vec<_> = queries.iter().map(|it| it.as_str().to_string()).collect();
        Ok(statements::note_unread_plans(self.connection, &query_ids, token).await?)
    }

    async fn write_plans(&mut self, plans: &[ReadPlan]) -> Result<(), StoreError> {
        let query_ids: Vec<_> = plans.iter().map(|it| it.query_id.as_str().to_string()).collect();
        let tokens: Vec<_> = plans.iter().map(|it| it.token).collect();
        let read = statements::note_read_plans(self.connection, &query_ids, &tokens).await?;
        let read: HashSet<String> = read.into_iter().collect();
        let mut rows = statements::Plans::default();
        for ReadPlan { query_id, plan, .. } in plans {
            let Some(plan) = plan.as_ref().filter(|_| read.contains(query_id.as_str())) else {
                continue;
            };
            rows.query_ids.push(query_id.as_str().to_string());
            rows.fingerprints.push(plan.fingerprint.map(PlanFingerprint::to_signed));
            rows.planning_ms.push(plan.planning_ms);
            rows.queue_ms.push(plan.queue_ms);
            rows.execution_ms.push(plan.execution_ms);
            rows.fetching_ms.push(plan.fetching_ms);
            rows.work_ns.push(plan.work_ns);
            rows.wait_ns.push(plan.wait_ns);
            rows.spill_bytes.push(plan.spill_bytes);
            rows.findings.push(plan.findings.clone());
        }
        let version = PlanSummary::READ_VERSION;
        Ok(statements::write_plans(self.connection, &rows, version).await?)
    }

    async fn write_logins(&mut self, logins: &[Login]) -> Result<Counts, StoreError> {
        let mut counts = Counts::default();
        for login in logins {
            let text = |value: &Option<String>| {
                value.as_deref().map(|text| without_nul(text).into_owned())
            };
            let extra =
                (!login.extra.is_empty()).then(|| serde_json::json!(login.extra).to_string());
            let row = statements::Login {
                login_id: login.id.clone(),
                at_ms: login.at_ms,
                user: text(&login.user),
                client: text(&login.client),
                frontend: text(&login.frontend),
                catalog: text(&login.catalog),
                db: text(&login.db),
                succeeded: login.succeeded,
                error_code: login.error_code,
                error_message: text(&login.error_message),
                extra,
                time_source: login.zoned.number(),
            };
            match statements::insert_login(self.connection, &row).await? {
                true => counts.new += 1,
                false => counts.unchanged += 1,
            }
        }
        Ok(counts)
    }

    async fn note_merged_parts(&mut self, digests: &[String]) -> Result<(), StoreError> {
        Ok(statements::note_merged_parts(self.connection, digests).await?)
    }

    async fn forget_merged_parts(&mut self) -> Result<(), StoreError> {
        Ok(statements::forget_merged_parts(self.connection).await?)
    }

    async fn write_followed(&mut self, file: &FollowedFile) -> Result<(), StoreError> {
        let row = statements::FollowedFile {
            head_hash: file.head_hash.clone(),
            head_bytes: file.head_bytes,
            read_bytes: file.read_bytes,
            path: without_nul(&file.path).into_owned(),
            file_bytes: file.file_bytes,
            modified_ms: file.modified_ms,
        };
        let replaces = file.replaces.as_deref();
        Ok(statements::write_followed(self.connection, &row, replaces).await?)
    }

    async fn write_audit_checkpoint(
        &mut self,
        checkpoint: &AuditCheckpoint,
    ) -> Result<(), StoreError> {
        let row = statements::AuditCheckpoint {
            name: without_nul(&checkpoint.name).into_owned(),
            read_from: checkpoint.read_from.to_string(),
            oldest: checkpoint.oldest.to_string(),
            minutes: checkpoint.minutes.iter().map(|(minute, _)| minute.to_string()).collect(),
            rows: checkpoint
                .minutes
                .iter()
                .map(|(_, rows)| i64::try_from(*rows).unwrap_or(i64::MAX))
                .collect(),
        };
        Ok(statements::write_audit_checkpoint(self.connection, &row).await?)
    }

    async fn time_sources(&mut self, source: &str) -> Result<Vec<TimeSource>, StoreError> {
        let rows = statements::time_sources_of(self.connection, &without_nul(source)).await?;
        Ok(rows.into_iter().map(of_row).collect())
    }

    async fn put_time_source(&mut self, row: &TimeSource) -> Result<i64, StoreError> {
        let row = statements::TimeSource {
            id: row.id,
            source: without_nul(&row.source).into_owned(),
            time_zone: row.time_zone.clone(),
            shifted_ms: row.shifted_ms,
            used_ms: row.used_ms,
        };
        Ok(statements::put_time_source(self.connection, &row).await?)
    }

    async fn shift(&mut self, shift: &Shift, to: Option<i64>) -> Result<u64, StoreError> {
        let starts = shift_rows(self.connection, shift, to).await?;
        if shift.what == Shifted::Queries {
            let moved = starts.iter().flat_map(|ms| [*ms, ms.saturating_sub(shift.by_ms)]);
            self.changes_hours_of(moved);
        }
        Ok(starts.len() as u64)
    }

    async fn write_token_use(&mut self, token: TokenHash, used_ms: i64) -> Result<(), StoreError> {
        Ok(statements::use_token(&mut *self.connection, token.as_bytes(), used_ms).await?)
    }
}
