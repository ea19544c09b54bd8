//! The history as far as somebody may see it. Every route reaches the history through this, so that none
//! can forget to ask whose query it is. What they may not see is answered like what is not there.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::filter::QueryFilter;
use crate::domain::record::QueryId;
use crate::domain::statement::Fingerprint;
use crate::domain::time::Zone;
use crate::http::auth::Principal;
use crate::http::envelope::ApiError;
use crate::ingest::Pipeline;
use crate::store::{
    Bucket, ListedQuery, Spans, StatementOrder, StatementStatistics, Store, StoredProfile,
    StoredQuery,
};

/// What one principal sees.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The zone in which times are written.
    pub zone: Zone,
    /// `http` or `https`: how annals is reached.
    pub scheme: &'static str,
    store: Store,
    pipeline: Arc<Pipeline>,
    principal: Principal,
}

impl View {
    /// What a principal sees of a history.
    pub(crate) fn new(
        store: Store,
        zone: Zone,
        scheme: &'static str,
        pipeline: Arc<Pipeline>,
        principal: Principal,
    ) -> View {
        View { zone, scheme, store, pipeline, principal }
    }

    /// What those who ask are called, where they are asked.
    pub(crate) fn name(&self) -> Option<&str> {
        self.principal.name.as_deref()
    }

    /// Whose queries alone they see; `None` where they see all.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.principal.sees_only.as_deref()
    }

    /// The source to the store, for those who may push.
    pub(crate) fn pipeline(&self) -> Result<&Pipeline, ApiError> {
        if self.principal.may_push {
            Ok(&self.pipeline)
        } else {
            Err(ApiError::Forbidden("this user may not push; it takes the role writer".to_string()))
        }
    }

    /// The source to the store, for those who may see what all of it brings.
    pub(crate) fn pipeline_for_all(&self) -> Result<&Pipeline, ApiError> {
        if self.principal.sees_only.is_none() {
            Ok(&self.pipeline)
        } else {
            Err(ApiError::Forbidden("this takes the role admin".to_string()))
        }
    }

    /// The whole history, for those who may see what all of it is.
    pub(crate) fn store(&self) -> Result<&Store, ApiError> {
        self.pipeline_for_all().map(|_| &self.store)
    }

    /// See [`Store::list`].
    pub(crate) async fn list(
        &self,
        filter: &QueryFilter,
        each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), crate::store::StoreError> {
        self.store.list(filter, self.owner(), each).await
    }

    /// See [`Store::listed`].
    pub(crate) async fn listed(
        &self,
        query_id: &QueryId,
        each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), crate::store::StoreError> {
        self.store.listed(query_id, self.owner(), each).await
    }

    /// See [`Store::statement`].
    pub(crate) async fn statement(
        &self,
        query_id: &QueryId,
    ) -> Result<Option<String>, crate::store::StoreError> {
        self.store.statement(query_id, self.owner()).await
    }

    /// See [`Store::traced`].
    pub(crate) async fn traced(
        &self,
        trace_id: &str,
    ) -> Result<Option<String>, crate::store::StoreError> {
        self.store.traced(trace_id, self.owner()).await
    }

    /// See [`Store::profile`].
    pub(crate) async fn profile(
        &self,
        query_id: &QueryId,
    ) -> Result<StoredProfile, crate::store::StoreError> {
        self.store.profile(query_id, self.owner()).await
    }

    /// See [`Store::newest_profile`].
    pub(crate) async fn newest_profile(&self) -> Result<Option<QueryId>, crate::store::StoreError> {
        self.store.newest_profile(self.owner()).await
    }

    /// See [`Store::records`].
    pub(crate) async fn records(
        &self,
        filter: &QueryFilter,
    ) -> Result<Vec<StoredQuery>, crate::store::StoreError> {
        self.store.records(filter, self.owner()).await
    }

    /// See [`Store::record`].
    pub(crate) async fn record(
        &self,
        query_id: &QueryId,
    ) -> Result<Option<StoredQuery>, crate::store::StoreError> {
        self.store.record(query_id, self.owner()).await
    }

    /// See [`Store::statements`].
    pub(crate) async fn statements(
        &self,
        filter: &QueryFilter,
        order: StatementOrder,
    ) -> Result<Vec<StatementStatistics>, crate::store::StoreError> {
        self.store.statements(filter, order, self.owner()).await
    }

    /// See [`Store::trends`].
    pub(crate) async fn trends(
        &self,
        fingerprints: &[Fingerprint],
        from_ms: i64,
        width_ms: u64,
        parts: usize,
    ) -> Result<HashMap<Fingerprint, Vec<i64>>, crate::store::StoreError> {
        self.store.trends(fingerprints, (from_ms, width_ms, parts), self.owner()).await
    }

    /// See [`Store::span`].
    pub(crate) async fn span(&self) -> Result<Option<(i64, i64)>, crate::store::StoreError> {
        self.store.span(self.owner()).await
    }

    /// See [`Store::timeline`].
    pub(crate) async fn timeline(
        &self,
        filter: &QueryFilter,
        spans: Spans,
    ) -> Result<Vec<Bucket>, crate::store::StoreError> {
        self.store.timeline(filter, spans, self.owner()).await
    }
}
