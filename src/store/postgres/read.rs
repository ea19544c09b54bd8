//! Reading: single values of queries, profiles, and the logs that annals follows.

use std::collections::HashSet;

use annals_postgres_statements as statements;
use sqlx::{PgConnection, Row};
use xxhash_rust::xxh3::xxh3_128;

use super::Store;
use super::conditions::{Conditions, INDEXED_BYTES, stored_clusters};
use super::nul::without_nul;
use crate::domain::record::QueryId;
use crate::store::batch::{AuditCheckpoint, FollowedFile};
use crate::store::error::StoreError;
use crate::store::list::IDS_WITH_PREFIX;
use crate::store::profile_body::{StoredText, unpack};
use crate::store::query::{MAX_CLUSTERS, NEWEST_OF_USER, QUERIES_AT_END, Reader, StoredProfile};

/// The longest text of a profile that is unpacked at once, in 30 µs.
const SMALL_PROFILE_BYTES: i64 = 65_536;

impl Store {
    /// Returns the whole statement of a query, or None if the query or its statement is unknown.
    pub(in crate::store) async fn statement(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
    ) -> Result<Option<String>, StoreError> {
        let owner = reader.owner.map(without_nul);
        let clusters = stored_clusters(reader);
        let seen = (owner.as_deref(), clusters.as_deref());
        let connection = &mut *self.cluster.reader().await?;
        Ok(statements::statement(connection, query_id.as_str(), seen).await?)
    }

    /// Returns the ids of the queries of a trace id, the last to arrive first, at most `limit`.
    pub(in crate::store) async fn traced(
        &self,
        trace_id: &str,
        limit: u32,
        reader: Reader<'_>,
    ) -> Result<Vec<String>, StoreError> {
        let limit = i64::from(limit);
        let (trace_id, owner) = (without_nul(trace_id), reader.owner.map(without_nul));
        let clusters = stored_clusters(reader);
        let seen = (owner.as_deref(), clusters.as_deref());
        if trace_id.len() <= INDEXED_BYTES {
            let connection = &mut *self.cluster.reader().await?;
            return Ok(statements::traced(connection, &trace_id, seen, limit).await?);
        }
        let mut read = self.scans.begin(reader.client()).await?;
        let bound = read.bound();
        let connection = read.connection()?;
        let traced = async {
            Ok(statements::traced_without_index(connection, &trace_id, seen, limit).await?)
        };
        let traced = bound.within(traced).await?;
        read.end().await?;
        Ok(traced)
    }

    /// Returns the ids of the loads whose labels begin with a text, the last to arrive first, at most `limit`. Reads all loads: no
    /// index has labels, for each import would pay for it.
    pub(in crate::store) async fn labelled(
        &self,
        label: &str,
        limit: u32,
        reader: Reader<'_>,
    ) -> Result<Vec<String>, StoreError> {
        const LOADS: &str =
            "SELECT load.query_id FROM load JOIN query ON query.query_id = load.query_id";
        let mut loads = Conditions::new(LOADS);
        loads.and("starts_with(load.label, ", without_nul(label).as_ref()).push(")");
        loads.and_reader(reader);
        loads.end().push(" ORDER BY load.label = ").push_bind(without_nul(label).into_owned());
        loads.end().push(format!(" DESC, query.id DESC LIMIT {limit}"));
        let mut read = self.scans.begin(reader.client()).await?;
        let bound = read.bound();
        let connection = read.connection()?;
        let found = async {
            let rows = loads.end().build_query_scalar().persistent(false).fetch_all(connection);
            Ok(rows.await?)
        };
        let found = bound.within(found).await?;
        read.end().await?;
        Ok(found)
    }

    /// Returns those of the queries that have ended and whose profile is stored.
    pub(in crate::store) async fn complete(
        &self,
        query_ids: &[QueryId],
    ) -> Result<HashSet<QueryId>, StoreError> {
        let ids: Vec<String> = query_ids.iter().map(QueryId::to_string).collect();
        let complete = statements::complete(&self.cluster.primary(), &ids).await?;
        Ok(complete.into_iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Returns the ids with this prefix, in order, at most `limit`. Looks at the first [`IDS_WITH_PREFIX`] of all users.
    pub(in crate::store) async fn ids_with_prefix(
        &self,
        prefix: &str,
        limit: u32,
        reader: Reader<'_>,
    ) -> Result<Vec<String>, StoreError> {
        let (prefix, owner) = (without_nul(prefix), reader.owner.map(without_nul));
        let clusters = stored_clusters(reader);
        let seen = (owner.as_deref(), clusters.as_deref());
        let limits = (limit.into(), IDS_WITH_PREFIX);
        let end = format!("{prefix}{}", char::MAX);
        let connection = &mut *self.cluster.reader().await?;
        Ok(statements::ids_between(connection, (&prefix, &end), seen, limits).await?)
    }

    /// Returns the fingerprints of statements from one to another, as signed numbers, at most `limit`.
    pub(in crate::store) async fn fingerprints_between(
        &self,
        range: (i64, i64),
        limit: u32,
    ) -> Result<Vec<i64>, StoreError> {
        let connection = &mut *self.cluster.reader().await?;
        Ok(statements::fingerprints_between(connection, range, limit.into()).await?)
    }

    /// Returns every audit log that was followed, and how far it was read.
    pub(in crate::store) async fn followed_files(&self) -> Result<Vec<FollowedFile>, StoreError> {
        let files = statements::followed_files(&self.cluster.primary()).await?;
        let files = files.into_iter().map(|file| FollowedFile {
            head_hash: file.head_hash,
            head_bytes: file.head_bytes,
            read_bytes: file.read_bytes,
            path: file.path,
            file_bytes: file.file_bytes,
            modified_ms: file.modified_ms,
            replaces: None,
        });
        Ok(files.collect())
    }

    /// Returns how far an audit table was read; none if the name is new.
    pub(in crate::store) async fn audit_checkpoint(
        &self,
        name: &str,
    ) -> Result<Option<AuditCheckpoint>, StoreError> {
        let stored_name = without_nul(name);
        let rows = statements::audit_checkpoint(&self.cluster.primary(), &stored_name).await?;
        let rows =
            rows.into_iter().map(|row| (row.read_from, row.oldest, row.minute.zip(row.row_count)));
        Ok(AuditCheckpoint::of_rows(name, rows))
    }

    /// Returns the clusters that queries name, in order, as many as [`MAX_CLUSTERS`].
    pub(in crate::store) async fn clusters(&self) -> Result<Vec<String>, StoreError> {
        Ok(statements::clusters(&mut *self.cluster.reader().await?, MAX_CLUSTERS).await?)
    }

    /// Returns whether one of the oldest or of the newest queries names no cluster.
    pub(in crate::store) async fn has_queries_of_no_cluster(&self) -> Result<bool, StoreError> {
        let connection = &mut *self.cluster.reader().await?;
        Ok(statements::has_queries_of_no_cluster(connection, QUERIES_AT_END).await?)
    }

    /// Returns the clusters of the newest queries of a user; None is that of a query that names none.
    pub(in crate::store) async fn clusters_of(
        &self,
        user: &str,
    ) -> Result<Vec<Option<String>>, StoreError> {
        let connection = &mut *self.cluster.reader().await?;
        let user = without_nul(user);
        Ok(statements::clusters_of(connection, &user, NEWEST_OF_USER).await?)
    }

    /// Returns the first and the last start of the queries that the reader may see; none if no query has one.
    pub(in crate::store) async fn span(
        &self,
        reader: Reader<'_>,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        // The server reads the two ends of an index: of some clusters, up to the first of their queries.
        if reader.clusters.is_none() {
            let connection = &mut *self.cluster.reader().await?;
            return Ok(span(connection, reader).await?);
        }
        let mut read = self.scans.begin(reader.client()).await?;
        let bound = read.bound();
        let connection = read.connection()?;
        let ends = bound.within(async { Ok(span(connection, reader).await?) }).await?;
        read.end().await?;
        Ok(ends)
    }

    /// Returns the profile of a query. A text of more than 64 KiB is returned packed.
    pub(in crate::store) async fn profile(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
    ) -> Result<StoredProfile, StoreError> {
        let owner = reader.owner.map(without_nul);
        let clusters = stored_clusters(reader);
        let seen = (owner.as_deref(), clusters.as_deref());
        let connection = &mut *self.cluster.reader().await?;
        let found = statements::profile(connection, query_id.as_str(), seen).await?;
        let Some(found) = found else { return Ok(StoredProfile::UnknownQuery) };
        let (Some(text_bytes), Some(body)) = (found.text_bytes, found.body) else {
            return Ok(StoredProfile::None);
        };
        let hash = xxh3_128(&body);
        let text = match text_bytes <= SMALL_PROFILE_BYTES {
            true => StoredText::Unpacked(unpack(&body, text_bytes)?),
            false => StoredText::packed(body, text_bytes)?,
        };
        Ok(StoredProfile::Text(text, hash))
    }

    /// Returns the id of the newest query that has a profile, or None if no query has one. Goes through the index by start
    /// up to that query.
    pub(in crate::store) async fn newest_profile(
        &self,
        reader: Reader<'_>,
    ) -> Result<Option<QueryId>, StoreError> {
        let mut read = self.scans.begin(reader.client()).await?;
        let bound = read.bound();
        let newest = bound.within(newest_profile(read.connection()?, reader)).await?;
        read.end().await?;
        Ok(newest.and_then(|id| id.parse().ok()))
    }
}

/// Returns the first and the last start of the queries that the reader may see.
async fn span(
    connection: &mut PgConnection,
    reader: Reader<'_>,
) -> Result<Option<(i64, i64)>, sqlx::Error> {
    let mut ends =
        Conditions::new("SELECT min(query.started_ms), max(query.started_ms) FROM query");
    ends.and_reader(reader);
    let ends = ends.end().build().fetch_one(connection).await?;
    let (first, last): (Option<i64>, Option<i64>) = (ends.try_get(0)?, ends.try_get(1)?);
    Ok(first.zip(last))
}

/// Returns the newest query with a profile. Queries without a start come last.
async fn newest_profile(
    connection: &mut PgConnection,
    reader: Reader<'_>,
) -> Result<Option<String>, StoreError> {
    for start in ["query.started_ms IS NOT NULL", "query.started_ms IS NULL"] {
        let mut newest = Conditions::new("SELECT query.query_id FROM query");
        newest.and_reader(reader);
        newest.and_plain(start);
        newest.and_plain("EXISTS (SELECT 1 FROM profile WHERE profile.query_id = query.query_id)");
        let mut newest = newest.newest_first(1);
        let found = newest.build_query_scalar().fetch_optional(&mut *connection).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
