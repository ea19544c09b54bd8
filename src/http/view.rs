//! The only door from HTTP to the store: every route reads the history through the view of its caller, so that none can
//! forget to ask whose query it is. What the caller may not see is answered like what does not exist.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::filter::QueryFilter;
use crate::domain::record::QueryId;
use crate::domain::statement::Fingerprint;
use crate::domain::time::Zone;
use crate::http::auth::Principal;
use crate::http::error::ApiError;
use crate::ingest::Pipeline;
use crate::store::{
    Bucket, ListedQuery, Spans, StatementOrder, StatementStatistics, Store, StoredProfile,
    StoredQuery,
};

/// What one principal sees. The methods that read are those of the same name of [`Store`], for the queries that the
/// principal may see.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The zone in which times are written.
    pub zone: Zone,
    /// How annals is reached: `http` or `https`.
    pub scheme: &'static str,
    store: Store,
    pipeline: Arc<Pipeline>,
    principal: Principal,
}

/// Why a query has no profile to show.
#[derive(Debug, Clone, Copy)]
pub(super) enum NoProfile {
    UnknownQuery,
    NotStored,
}

impl View {
    pub(super) fn new(
        store: Store,
        scheme: &'static str,
        pipeline: Arc<Pipeline>,
        principal: Principal,
    ) -> View {
        View { zone: pipeline.zone(), scheme, store, pipeline, principal }
    }

    /// Returns whether this is what `principal` sees.
    pub(super) fn is_of(&self, principal: &Principal) -> bool {
        self.principal == *principal
    }

    /// Returns the name of the principal, or `None` if annals has no users.
    pub(crate) fn name(&self) -> Option<&str> {
        self.principal.name.as_deref()
    }

    /// Returns the only user whose queries the principal may see, or `None` if the principal may see all.
    pub(crate) fn restricted_to(&self) -> Option<&str> {
        self.principal.restricted_to.as_deref()
    }

    /// Returns the pipeline to push to. Errors if the principal may not push.
    pub(crate) fn pipeline(&self) -> Result<&Pipeline, ApiError> {
        if self.principal.may_push {
            Ok(&self.pipeline)
        } else {
            Err(ApiError::Forbidden(
                "this user may not push; only the roles writer and admin may".to_string(),
            ))
        }
    }

    /// Returns the pipeline to report on. Errors if the principal may not see all queries.
    pub(crate) fn pipeline_for_all(&self) -> Result<&Pipeline, ApiError> {
        if self.restricted_to().is_none() {
            Ok(&self.pipeline)
        } else {
            Err(ApiError::Forbidden("only users with the role admin may read this".to_string()))
        }
    }

    /// Returns the store to report on. Errors if the principal may not see all queries.
    pub(crate) fn store(&self) -> Result<&Store, ApiError> {
        self.pipeline_for_all().map(|_| &self.store)
    }

    /// Returns the text of a query's profile, and the hash of what is stored. Errors by `error` if there is none.
    pub(super) async fn known_profile(
        &self,
        query_id: &QueryId,
        error: fn(NoProfile, &QueryId) -> ApiError,
    ) -> Result<(Vec<u8>, u128), ApiError> {
        match self.profile(query_id).await? {
            StoredProfile::Text(text, hash) => Ok((text, hash)),
            StoredProfile::None => Err(error(NoProfile::NotStored, query_id)),
            StoredProfile::UnknownQuery => Err(error(NoProfile::UnknownQuery, query_id)),
        }
    }

    pub(crate) async fn list(
        &self,
        filter: &QueryFilter,
        each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), crate::store::StoreError> {
        self.store.list(filter, self.restricted_to(), each).await
    }

    pub(crate) async fn listed(
        &self,
        query_id: &QueryId,
        each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), crate::store::StoreError> {
        self.store.listed(query_id, self.restricted_to(), each).await
    }

    pub(crate) async fn statement(
        &self,
        query_id: &QueryId,
    ) -> Result<Option<String>, crate::store::StoreError> {
        self.store.statement(query_id, self.restricted_to()).await
    }

    pub(crate) async fn traced(
        &self,
        trace_id: &str,
    ) -> Result<Option<String>, crate::store::StoreError> {
        self.store.traced(trace_id, self.restricted_to()).await
    }

    pub(crate) async fn profile(
        &self,
        query_id: &QueryId,
    ) -> Result<StoredProfile, crate::store::StoreError> {
        self.store.profile(query_id, self.restricted_to()).await
    }

    pub(crate) async fn newest_profile(&self) -> Result<Option<QueryId>, crate::store::StoreError> {
        self.store.newest_profile(self.restricted_to()).await
    }

    pub(crate) async fn records(
        &self,
        filter: &QueryFilter,
    ) -> Result<Vec<StoredQuery>, crate::store::StoreError> {
        self.store.records(filter, self.restricted_to()).await
    }

    pub(crate) async fn record(
        &self,
        query_id: &QueryId,
    ) -> Result<Option<StoredQuery>, crate::store::StoreError> {
        self.store.record(query_id, self.restricted_to()).await
    }

    pub(crate) async fn statements(
        &self,
        filter: &QueryFilter,
        order: StatementOrder,
    ) -> Result<Vec<StatementStatistics>, crate::store::StoreError> {
        self.store.statements(filter, order, self.restricted_to()).await
    }

    pub(crate) async fn trends(
        &self,
        fingerprints: &[Fingerprint],
        from_ms: i64,
        width_ms: u64,
        parts: usize,
    ) -> Result<HashMap<Fingerprint, Vec<i64>>, crate::store::StoreError> {
        self.store.trends(fingerprints, (from_ms, width_ms, parts), self.restricted_to()).await
    }

    pub(crate) async fn span(&self) -> Result<Option<(i64, i64)>, crate::store::StoreError> {
        self.store.span(self.restricted_to()).await
    }

    pub(crate) async fn timeline(
        &self,
        filter: &QueryFilter,
        spans: Spans,
    ) -> Result<Vec<Bucket>, crate::store::StoreError> {
        self.store.timeline(filter, spans, self.restricted_to()).await
    }
}
