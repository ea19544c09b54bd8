//! Counts and sizes of everything.

use super::Store;
use crate::store::contents::Sizes;
use crate::store::error::StoreError;
use crate::store::query::{MAX_CLUSTERS, NEWEST_OF_USER, QUERIES_AT_END, Reader};

impl Store {
    /// Returns how much the store holds. Reads an index of all queries, and all rows of profiles.
    pub(crate) async fn sizes(&self) -> Result<Sizes, StoreError> {
        sqlx::query_file_as!(Sizes, "src/store/queries/sizes.sql")
            .fetch_one(&self.reporters)
            .await
            .map_err(|error| self.read_pool.noted(error))
    }

    /// Returns how many queries each frontend ran; none is an unknown frontend. Reads all queries.
    pub(crate) async fn frontends(&self) -> Result<Vec<(Option<String>, i64)>, StoreError> {
        let found = sqlx::query!(
            r#"SELECT frontend, count(*) AS "count!: i64" FROM query GROUP BY frontend"#
        )
        .fetch_all(&self.reporters)
        .await?;
        Ok(found.into_iter().map(|row| (row.frontend, row.count)).collect())
    }

    /// Returns the clusters that queries name, in order, as many as [`MAX_CLUSTERS`].
    pub(crate) async fn clusters(&self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar!("SELECT name FROM cluster ORDER BY name LIMIT ?", MAX_CLUSTERS)
            .fetch_all(&self.readers)
            .await
            .map_err(|error| self.read_pool.noted(error))
    }

    /// Returns whether one of the oldest or of the newest queries names no cluster.
    pub(crate) async fn has_queries_of_no_cluster(&self) -> Result<bool, StoreError> {
        let has_any = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM (SELECT cluster FROM query ORDER BY started_ms DESC LIMIT ?1) WHERE cluster IS NULL)
                   OR EXISTS (SELECT 1 FROM (SELECT cluster FROM query ORDER BY started_ms LIMIT ?1) WHERE cluster IS NULL)
                   AS "has_any!: bool""#,
            QUERIES_AT_END
        );
        let has_any = has_any.fetch_one(&self.readers).await;
        has_any.map_err(|error| self.read_pool.noted(error))
    }

    /// Returns the clusters of the newest queries of a user; None is that of a query that names none.
    pub(crate) async fn clusters_of(&self, user: &str) -> Result<Vec<Option<String>>, StoreError> {
        let names = sqlx::query_scalar!(
            r#"SELECT DISTINCT cluster AS "cluster?"
               FROM (SELECT cluster FROM query WHERE user = ?1 ORDER BY started_ms DESC LIMIT ?2)"#,
            user,
            NEWEST_OF_USER
        );
        let names = names.fetch_all(&self.readers).await;
        names.map_err(|error| self.read_pool.noted(error))
    }

    /// Returns the first and the last start of the queries that the reader may see; none if no query has one.
    pub(crate) async fn span(&self, reader: Reader<'_>) -> Result<Option<(i64, i64)>, StoreError> {
        if reader.clusters.is_some() {
            return self.span_in_clusters(reader).await;
        }
        // Each statement reads the two ends of an index.
        let (first, last) = match reader.owner {
            None => {
                let ends = sqlx::query!(
                    r#"SELECT (SELECT min(started_ms) FROM query) AS "first: i64",
                           (SELECT max(started_ms) FROM query) AS "last: i64""#
                );
                let ends = ends.fetch_one(&self.readers).await?;
                (ends.first, ends.last)
            }
            Some(user) => {
                let ends = sqlx::query!(
                    r#"SELECT (SELECT min(started_ms) FROM query WHERE user = ?1) AS "first: i64",
                           (SELECT max(started_ms) FROM query WHERE user = ?1) AS "last: i64""#,
                    user
                );
                let ends = ends.fetch_one(&self.readers).await?;
                (ends.first, ends.last)
            }
        };
        Ok(first.zip(last))
    }
}
