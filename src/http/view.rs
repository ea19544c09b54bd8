//! The only door from HTTP to the store: every route reads the history through the view of its caller, so that none can
//! forget to ask whose query it is. What the caller may not see is answered like what does not exist.

use std::collections::HashMap;
use std::sync::Arc;

use warp::http::HeaderMap;

use crate::domain::baseline::Baseline;
use crate::domain::cluster::ClusterName;
use crate::domain::filter::QueryFilter;
use crate::domain::find::Sought;
use crate::domain::profile::{FindingsOverview, ProfiledStatements};
use crate::domain::record::QueryId;
use crate::domain::statement::Fingerprint;
use crate::domain::time::Zone;
use crate::http::answer::Answer;
use crate::http::auth::{LogOut, Principal};
use crate::http::client::Client;
use crate::http::cluster_header::{CLUSTER_HEADER, cluster_of};
use crate::http::compute::ComputeQueue;
use crate::http::error::ApiError;
use crate::ingest::Pipeline;
use crate::store::{
    Batch, Bucket, ChangeKind, Concurrent, Found, Group, GroupBy, Incomplete, ListedQuery,
    NearestProfiles, PlanRuns, QueryPage, Reader, Regressions, Spans, StatementOrder,
    StatementPage, Steps, Store, StoreError, StoredProfile, StoredQuery, StoredText, Usage,
    UsageOrder, Visibility,
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
    compute: ComputeQueue,
    principal: Principal,
    client: Client,
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
        compute: ComputeQueue,
        principal: Principal,
        client: Client,
    ) -> View {
        View { zone: pipeline.zone(), scheme, store, pipeline, compute, principal, client }
    }

    /// Returns whether this is what `principal` sees.
    pub(super) fn is_of(&self, principal: &Principal) -> bool {
        self.principal == *principal
    }

    /// Returns the name of the principal, or `None` if annals has no users.
    pub(crate) fn name(&self) -> Option<&str> {
        self.principal.name.as_deref()
    }

    /// Returns how the principal logs out.
    pub(crate) fn log_out(&self) -> &LogOut {
        &self.principal.log_out
    }

    /// Returns what the principal may see: two views of the same visibility show the same queries.
    pub(crate) fn visibility(&self) -> Visibility {
        Visibility {
            user: self.principal.restricted_to.clone(),
            clusters: self.principal.clusters.clone(),
        }
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            owner: self.principal.restricted_to.as_deref(),
            clusters: self.principal.clusters.as_deref(),
            name: self.name(),
            address: Some(self.client.address()),
        }
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

    /// Returns an empty batch for a push of the principal with these headers, for rows that name no cluster. Errors if the
    /// principal may not push to the cluster.
    pub(crate) fn push_batch(&self, headers: &HeaderMap) -> Result<Batch, ApiError> {
        let cluster = self.push_cluster(cluster_of(headers)?)?;
        let mut batch = self.pipeline.push_batch(cluster);
        let visibility = self.visibility();
        if !visibility.is_all() {
            batch.restrict(visibility);
        }
        Ok(batch)
    }

    /// Returns the cluster of a push, of which the headers name one or none.
    fn push_cluster(&self, named: Option<ClusterName>) -> Result<Option<ClusterName>, ApiError> {
        let cluster = named.or_else(|| match self.principal.clusters.as_deref() {
            Some([only]) => only.parse().ok(),
            _ => self.pipeline.cluster().cloned(),
        });
        let Some(clusters) = &self.principal.clusters else { return Ok(cluster) };
        let names = clusters.join(", ");
        match cluster {
            Some(cluster) if clusters.iter().any(|it| it == cluster.as_str()) => Ok(Some(cluster)),
            Some(cluster) => Err(ApiError::Forbidden(format!(
                "this user may push to {names}, and not to the cluster {cluster}"
            ))),
            None => Err(ApiError::Forbidden(format!(
                "this user may push to {names}: name the cluster in the header {CLUSTER_HEADER}"
            ))),
        }
    }

    /// Returns the pipeline to report on. Errors if the principal may not see all queries.
    pub(crate) fn pipeline_for_all(&self) -> Result<&Pipeline, ApiError> {
        if self.visibility().is_all() {
            Ok(&self.pipeline)
        } else {
            Err(ApiError::Forbidden(
                "only an admin or a viewer of all clusters may read this".to_string(),
            ))
        }
    }

    /// Returns the store to report on. Errors if the principal may not see all queries.
    pub(crate) fn store(&self) -> Result<&Store, ApiError> {
        self.pipeline_for_all().map(|_| &self.store)
    }

    /// Returns what `work` makes of texts of this size together, in the queue if they are large.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        text_bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        self.compute.run(text_bytes, work).await
    }

    /// Returns the answer that `work` makes of a profile's text, in the queue if the text is large.
    pub(super) async fn answer(
        &self,
        text: StoredText,
        work: impl FnOnce(&[u8]) -> Result<Answer, ApiError> + Send + 'static,
    ) -> Result<Answer, ApiError> {
        self.answer_with(text, 0, work).await
    }

    /// Returns the same, where `work` reads other texts besides, of so many bytes together.
    pub(super) async fn answer_with(
        &self,
        text: StoredText,
        other_bytes: usize,
        work: impl FnOnce(&[u8]) -> Result<Answer, ApiError> + Send + 'static,
    ) -> Result<Answer, ApiError> {
        let bytes = text.len() + other_bytes;
        self.compute.answer(bytes, move || work(&text.unpack().map_err(StoreError::from)?)).await
    }

    /// Returns the text of a query's profile, and the hash of what is stored. Errors by `error` if there is none.
    pub(super) async fn known_profile(
        &self,
        query_id: &QueryId,
        error: fn(NoProfile, &QueryId) -> ApiError,
    ) -> Result<(StoredText, u128), ApiError> {
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
    ) -> Result<Option<Incomplete>, StoreError> {
        self.store.list(filter, self.reader(), each).await
    }

    pub(crate) async fn listed(
        &self,
        query_id: &QueryId,
        each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), StoreError> {
        self.store.listed(query_id, self.reader(), each).await
    }

    pub(crate) async fn statement(&self, query_id: &QueryId) -> Result<Option<String>, StoreError> {
        self.store.statement(query_id, self.reader()).await
    }

    /// Returns the id of the query of a trace id that arrived last.
    pub(crate) async fn traced(&self, trace_id: &str) -> Result<Option<String>, StoreError> {
        Ok(self.store.traced(trace_id, 1, self.reader()).await?.pop())
    }

    pub(crate) async fn ids_with_prefix(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        self.store.ids_with_prefix(prefix, limit, self.reader()).await
    }

    pub(crate) async fn find(
        &self,
        sought: &Sought,
        filter: &QueryFilter,
    ) -> Result<Found, StoreError> {
        self.store.find(sought, filter, self.reader()).await
    }

    pub(crate) async fn nearest_profiles(
        &self,
        query: &StoredQuery,
    ) -> Result<NearestProfiles, StoreError> {
        self.store.nearest_profiles(query, self.reader()).await
    }

    pub(crate) async fn profile(&self, query_id: &QueryId) -> Result<StoredProfile, StoreError> {
        self.store.profile(query_id, self.reader()).await
    }

    pub(crate) async fn newest_profile(&self) -> Result<Option<QueryId>, StoreError> {
        self.store.newest_profile(self.reader()).await
    }

    pub(crate) async fn page(&self, filter: &QueryFilter) -> Result<QueryPage, StoreError> {
        self.store.page(filter, self.reader()).await
    }

    /// Returns the queries of a page, without the place where the next page begins.
    pub(crate) async fn records(
        &self,
        filter: &QueryFilter,
    ) -> Result<Vec<StoredQuery>, StoreError> {
        Ok(self.page(filter).await?.queries)
    }

    pub(crate) async fn record(
        &self,
        query_id: &QueryId,
    ) -> Result<Option<StoredQuery>, StoreError> {
        self.store.record(query_id, self.reader()).await
    }

    pub(crate) async fn statements(
        &self,
        filter: &QueryFilter,
        order: StatementOrder,
    ) -> Result<StatementPage, StoreError> {
        self.store.statements(filter, order, self.reader()).await
    }

    pub(crate) async fn top(
        &self,
        filter: &QueryFilter,
        by: GroupBy,
    ) -> Result<Vec<Group>, StoreError> {
        self.store.top(filter, by, self.reader()).await
    }

    /// Errors also if nothing of the baseline is before the period.
    pub(crate) async fn regressions(
        &self,
        filter: &QueryFilter,
        baseline: Baseline,
        kinds: &[ChangeKind],
    ) -> Result<Regressions, ApiError> {
        let found = self.store.regressions(filter, baseline, kinds, self.reader()).await?;
        match baseline.fault((found.from_ms, found.to_ms), self.zone) {
            Some(fault) => Err(ApiError::BadRequest(fault)),
            None => Ok(found),
        }
    }

    pub(crate) async fn usage(
        &self,
        filter: &QueryFilter,
        baseline: Baseline,
        shown: (UsageOrder, Steps),
    ) -> Result<Usage, StoreError> {
        self.store.usage(filter, baseline, shown, self.reader()).await
    }

    pub(crate) async fn concurrent(
        &self,
        query: &StoredQuery,
        all_clusters: bool,
        limit: u32,
    ) -> Result<Option<Concurrent>, StoreError> {
        self.store.concurrent(query, all_clusters, limit, self.reader()).await
    }

    pub(crate) async fn unread_profiles(&self) -> Result<i64, StoreError> {
        self.store.unread_profiles(self.reader()).await
    }

    pub(crate) async fn plan_runs(&self, filter: &QueryFilter) -> Result<PlanRuns, StoreError> {
        self.store.plan_runs(filter, self.reader()).await
    }

    pub(crate) async fn findings_overview(
        &self,
        filter: &QueryFilter,
    ) -> Result<FindingsOverview, StoreError> {
        self.store.findings_overview(filter, self.reader()).await
    }

    pub(crate) async fn profiled_statements(
        &self,
        filter: &QueryFilter,
        are_several: bool,
    ) -> Result<ProfiledStatements, StoreError> {
        self.store.profiled_statements(filter, are_several, self.reader()).await
    }

    pub(crate) async fn other_profiles(
        &self,
        query_id: &QueryId,
    ) -> Result<Vec<StoredText>, StoreError> {
        self.store.other_profiles(query_id, self.reader()).await
    }

    pub(crate) async fn trends(
        &self,
        fingerprints: &[Fingerprint],
        filter: &QueryFilter,
        spans: (i64, u64, usize),
    ) -> Result<HashMap<Fingerprint, Vec<i64>>, StoreError> {
        self.store.trends(fingerprints, filter, spans, self.reader()).await
    }

    /// Returns the clusters that the principal may see, if they are several: only then do pages tell them apart.
    pub(crate) async fn several_clusters(&self) -> Result<Vec<String>, StoreError> {
        self.store.several_clusters(self.reader()).await
    }

    pub(crate) async fn usage_range(
        &self,
        filter: &QueryFilter,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        self.store.usage_range(filter, self.reader()).await
    }

    pub(crate) async fn span(&self) -> Result<Option<(i64, i64)>, StoreError> {
        self.store.span(self.reader()).await
    }

    pub(crate) async fn timeline(
        &self,
        filter: &QueryFilter,
        spans: Spans,
    ) -> Result<Vec<Bucket>, StoreError> {
        self.store.timeline(filter, spans, self.reader()).await
    }
}
