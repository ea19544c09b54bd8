//! Merging another history, and reading a whole one for that.

use sqlx::{PgConnection, PgExecutor};

use super::Result;

/// Returns the size of the text of the profile of a row, and its body.
pub async fn profile_of_row(
    server: impl PgExecutor<'_>,
    row: i64,
) -> Result<Option<(i64, Vec<u8>)>> {
    let stored = sqlx::query!(
        "SELECT profile.text_bytes, profile.body
         FROM query JOIN profile ON profile.query_id = query.query_id WHERE query.id = $1",
        row
    );
    let stored = stored.fetch_optional(server).await?;
    Ok(stored.map(|stored| (stored.text_bytes, stored.body)))
}

/// Returns the size and the SHA-256 of the body of each profile of some queries, by query id.
pub async fn profile_hashes(
    server: impl PgExecutor<'_>,
    query_ids: &[&str],
) -> Result<Vec<(i64, Vec<u8>)>> {
    let hashed = sqlx::query!(
        r#"SELECT text_bytes, sha256(body) AS "hash!" FROM profile WHERE query_id = ANY($1) ORDER BY query_id"#,
        query_ids as &[&str]
    );
    let hashed = hashed.fetch_all(server).await?;
    Ok(hashed.into_iter().map(|profile| (profile.text_bytes, profile.hash)).collect())
}

/// Returns whether a part of another history is noted as merged.
pub async fn is_merged_part(server: impl PgExecutor<'_>, digest: &str) -> Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT count(*) > 0 AS "is_merged!" FROM merged_part WHERE digest = $1"#,
        digest
    )
    .fetch_one(server)
    .await
}

/// Returns how many of the queries, of the profiles and of the log-ins are stored.
pub async fn count_stored(
    server: impl PgExecutor<'_>,
    queries: &[String],
    profiles: &[String],
    logins: &[String],
) -> Result<[i64; 3]> {
    let counted = sqlx::query!(
        r#"SELECT queries AS "queries!", profiles AS "profiles!", logins AS "logins!"
           FROM (SELECT count(*) AS queries FROM query WHERE query_id = ANY($1)) AS of_queries,
                (SELECT count(*) AS profiles FROM profile WHERE query_id = ANY($2)) AS of_profiles,
                (SELECT count(*) AS logins FROM login WHERE login_id = ANY($3)) AS of_logins"#,
        queries,
        profiles,
        logins
    );
    let counted = counted.fetch_one(server).await?;
    Ok([counted.queries, counted.profiles, counted.logins])
}

/// Notes parts of another history as merged.
pub async fn note_merged_parts(connection: &mut PgConnection, digests: &[String]) -> Result<()> {
    sqlx::query!(
        "INSERT INTO merged_part (digest) SELECT new.digest FROM unnest($1::text[]) AS new (digest) ORDER BY new.digest
         ON CONFLICT (digest) DO NOTHING",
        digests
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes the notes of all parts.
pub async fn forget_merged_parts(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("DELETE FROM merged_part WHERE digest IS NOT NULL").execute(connection).await?;
    Ok(())
}
