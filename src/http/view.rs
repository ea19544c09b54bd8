//! The history as far as somebody may see it. Every route reaches the history through this, so that none
//! can forget to ask whose query it is. What they may not see is answered like what is not there.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::record::QueryId;
use crate::domain::statement::Fingerprint;
use crate::domain::time::Zone;
use crate::http::auth::Caller;
use crate::http::envelope::Refusal;
use crate::ingest::Intake;
use crate::store::{
    Bucket, ListedQuery, Selection, Spans, StatementOrder, StatementStatistics, Store,
    StoredProfile, StoredQuery,
};

/// What one caller sees.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The zone in which times are written.
    pub zone: Zone,
    /// `http` or `https`: how annals is reached.
    pub scheme: &'static str,
    store: Store,
    intake: Arc<Intake>,
    caller: Caller,
}

impl View {
    /// What a caller sees of a history.
    pub(crate) fn new(
        store: Store,
        zone: Zone,
        scheme: &'static str,
        intake: Arc<Intake>,
        caller: Caller,
    ) -> View {
        View { zone, scheme, store, intake, caller }
    }

    /// What those who ask are called, where they are asked.
    pub(crate) fn name(&self) -> Option<&str> {
        self.caller.name.as_deref()
    }

    /// Whose queries alone they see; `None` where they see all.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.caller.sees_only.as_deref()
    }

    /// The way to the store, for those who may push.
    pub(crate) fn intake(&self) -> Result<&Intake, Refusal> {
        if self.caller.may_push {
            Ok(&self.intake)
        } else {
            Err(Refusal::Forbidden("this user may not push; it takes the role writer".to_string()))
        }
    }

    /// The way to the store, for those who may see what all of it brings.
    pub(crate) fn all_of_intake(&self) -> Result<&Intake, Refusal> {
        if self.caller.sees_only.is_none() {
            Ok(&self.intake)
        } else {
            Err(Refusal::Forbidden("this takes the role admin".to_string()))
        }
    }

    /// The whole history, for those who may see what all of it is.
    pub(crate) fn store(&self) -> Result<&Store, Refusal> {
        self.all_of_intake().map(|_| &self.store)
    }

    /// See [`Store::list`].
    pub(crate) async fn list(
        &self,
        selection: &Selection,
        each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), sqlx::Error> {
        self.store.list(selection, self.owner(), each).await
    }

    /// See [`Store::listed`].
    pub(crate) async fn listed(
        &self,
        query_id: &QueryId,
        each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), sqlx::Error> {
        self.store.listed(query_id, self.owner(), each).await
    }

    /// See [`Store::statement`].
    pub(crate) async fn statement(
        &self,
        query_id: &QueryId,
    ) -> Result<Option<String>, sqlx::Error> {
        self.store.statement(query_id, self.owner()).await
    }

    /// See [`Store::traced`].
    pub(crate) async fn traced(&self, trace_id: &str) -> Result<Option<String>, sqlx::Error> {
        self.store.traced(trace_id, self.owner()).await
    }

    /// See [`Store::profile`].
    pub(crate) async fn profile(&self, query_id: &QueryId) -> Result<StoredProfile, sqlx::Error> {
        self.store.profile(query_id, self.owner()).await
    }

    /// See [`Store::newest_profile`].
    pub(crate) async fn newest_profile(&self) -> Result<Option<QueryId>, sqlx::Error> {
        self.store.newest_profile(self.owner()).await
    }

    /// See [`Store::records`].
    pub(crate) async fn records(
        &self,
        selection: &Selection,
    ) -> Result<Vec<StoredQuery>, sqlx::Error> {
        self.store.records(selection, self.owner()).await
    }

    /// See [`Store::record`].
    pub(crate) async fn record(
        &self,
        query_id: &QueryId,
    ) -> Result<Option<StoredQuery>, sqlx::Error> {
        self.store.record(query_id, self.owner()).await
    }

    /// See [`Store::statements`].
    pub(crate) async fn statements(
        &self,
        selection: &Selection,
        order: StatementOrder,
    ) -> Result<Vec<StatementStatistics>, sqlx::Error> {
        self.store.statements(selection, order, self.owner()).await
    }

    /// See [`Store::trends`].
    pub(crate) async fn trends(
        &self,
        fingerprints: &[Fingerprint],
        from_ms: i64,
        width_ms: u64,
        parts: usize,
    ) -> Result<HashMap<Fingerprint, Vec<i64>>, sqlx::Error> {
        self.store.trends(fingerprints, (from_ms, width_ms, parts), self.owner()).await
    }

    /// See [`Store::span`].
    pub(crate) async fn span(&self) -> Result<Option<(i64, i64)>, sqlx::Error> {
        self.store.span(self.owner()).await
    }

    /// See [`Store::timeline`].
    pub(crate) async fn timeline(
        &self,
        selection: &Selection,
        spans: Spans,
    ) -> Result<Vec<Bucket>, sqlx::Error> {
        self.store.timeline(selection, spans, self.owner()).await
    }
}
