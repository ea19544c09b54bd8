//! Plans of stored profiles.

use super::Store;
use crate::domain::filter::QueryFilter;
use crate::domain::profile::{FindingsOverview, ProfiledStatements};
use crate::domain::record::{QueryId, StoredQuery};
use crate::store::error::StoreError;
use crate::store::plans::{
    MAX_PLAN_RUNS, MAX_PROFILED_RUNS, NearestProfiles, OTHER_TEXTS_BYTES, PlanCursor, PlanRuns,
    UnreadPlans, UnreadProfile,
};
use crate::store::profile_body::StoredText;
use crate::store::query::Reader;

/// Leaves as many runs as `most`. Returns whether there were more: a read asks for one more, to know that.
fn cut<T>(runs: &mut Vec<T>, most: i64) -> bool {
    let is_cut = runs.len() as i64 > most;
    if is_cut {
        runs.pop();
    }
    is_cut
}

/// Plans.
impl Store {
    /// Returns the newest runs of a filter's statement whose plan is known and which the reader may see. Ignores the filter's
    /// limit and cursor.
    pub(crate) async fn plan_runs(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<PlanRuns, StoreError> {
        let filter = &*filter.within_clusters(reader.clusters);
        let unread_profiles = self.unread_profiles(reader).await?;
        let limit = MAX_PLAN_RUNS as usize + 1;
        let mut runs = of_engine!(self, store => store.plan_runs(filter, limit, reader).await?);
        let is_cut = cut(&mut runs, MAX_PLAN_RUNS);
        Ok(PlanRuns { runs, is_cut, unread_profiles })
    }

    /// Returns what rules found in the profiles of the runs of a filter that the reader may see: of as many runs as those of
    /// [`Store::plan_runs`], the last to arrive. Ignores the filter's limit and cursor.
    pub(crate) async fn findings_overview(
        &self,
        filter: &QueryFilter,
        reader: Reader<'_>,
    ) -> Result<FindingsOverview, StoreError> {
        let filter = &*filter.within_clusters(reader.clusters);
        let unread_profiles = self.unread_profiles(reader).await?;
        let limit = MAX_PLAN_RUNS as usize + 1;
        let mut runs = of_engine!(self, store => store.found_runs(filter, limit, reader).await?);
        let is_cut = cut(&mut runs, MAX_PLAN_RUNS);
        let mut overview =
            FindingsOverview { unread_profiles, ..FindingsOverview::of(&runs, is_cut) };
        let statements = overview.rules.iter().flat_map(|rule| &rule.statements);
        let named = statements.map(|one| one.fingerprint).collect();
        let named = self.normalized_statements(&named).await?;
        for one in overview.rules.iter_mut().flat_map(|rule| &mut rule.statements) {
            one.normalized = named.get(&one.fingerprint).cloned().unwrap_or_default();
        }
        Ok(overview)
    }

    /// Returns the statements of the runs of a filter whose plan is known and which the reader may see: what their plans cost,
    /// and where their time went. As many statements as the filter's limit. With `are_several`, only statements with several
    /// plans. Ignores the filter's cursor.
    pub(crate) async fn profiled_statements(
        &self,
        filter: &QueryFilter,
        are_several: bool,
        reader: Reader<'_>,
    ) -> Result<ProfiledStatements, StoreError> {
        let (filter, limit) = (&*filter.within_clusters(reader.clusters), filter.limit);
        let unread_profiles = self.unread_profiles(reader).await?;
        let most = MAX_PROFILED_RUNS as usize + 1;
        let mut runs = of_engine!(self, store => store.profiled_runs(filter, most, reader).await?);
        let is_cut = cut(&mut runs, MAX_PROFILED_RUNS);
        let compute = move || {
            let mut found =
                ProfiledStatements { unread_profiles, ..ProfiledStatements::of(runs, is_cut) };
            if are_several {
                found.retain_several_plans();
            }
            found.statements.truncate(limit as usize);
            found
        };
        let mut found = tokio::task::spawn_blocking(compute).await.map_err(StoreError::other)?;
        let named = found.statements.iter().map(|one| one.fingerprint).collect();
        let mut named = self.normalized_statements(&named).await?;
        for one in &mut found.statements {
            one.normalized = named.remove(&one.fingerprint).unwrap_or_default();
        }
        Ok(found)
    }

    /// Returns the profiles of other runs of a query's statement with the query's plan, which say what is usual for the plan.
    /// They are the newest that the reader may see, as many as their size allows.
    pub(crate) async fn other_profiles(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
    ) -> Result<Vec<StoredText>, StoreError> {
        let others = of_engine!(self, store => store.other_runs(query_id, reader).await?);
        let (mut texts, mut bytes) = (Vec::new(), 0_i64);
        for (query_id, text_bytes) in others {
            bytes = bytes.saturating_add(text_bytes);
            if bytes > OTHER_TEXTS_BYTES {
                break;
            }
            let Ok(query_id) = query_id.parse() else { continue };
            texts.extend(self.profile(&query_id, reader).await?.stored_text());
        }
        Ok(texts)
    }

    /// Returns the runs of a query's statement that have a stored profile, that the reader may see, and that are nearest to the
    /// query in time. Looks at the 5,000 runs before the query and at as many after it.
    pub(crate) async fn nearest_profiles(
        &self,
        query: &StoredQuery,
        reader: Reader<'_>,
    ) -> Result<NearestProfiles, StoreError> {
        let Some((fingerprint, started_ms)) = query.fingerprint.zip(query.started_ms) else {
            return Ok(NearestProfiles::default());
        };
        let place = (fingerprint, started_ms, &*query.query_id);
        of_engine!(self, store => store.nearest_profiles(place, reader).await)
    }

    /// Returns some of the queries whose profile is stored and whose plan is not read, behind a place; none if none is left.
    pub(crate) async fn unread_plans(
        &self,
        after: &PlanCursor,
    ) -> Result<Option<UnreadPlans>, StoreError> {
        of_engine!(self, store => store.unread_plans(after).await)
    }

    /// Returns the profile of a query; none if its plan is read.
    pub(crate) async fn unread_profile(
        &self,
        query_id: &QueryId,
    ) -> Result<Option<UnreadProfile>, StoreError> {
        of_engine!(self, store => store.unread_profile(query_id).await)
    }

    /// Returns how many profiles are stored whose plan is not read, and whose queries the reader may see. Who asks before reading
    /// plans knows whether these were all.
    pub(crate) async fn unread_profiles(&self, reader: Reader<'_>) -> Result<i64, StoreError> {
        of_engine!(self, store => store.unread_profiles(reader).await)
    }
}
