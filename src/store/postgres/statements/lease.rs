//! Statements of leases: what only one annals does at a time. Their times are those of the server's clock.

use sqlx::PgExecutor;

use super::Result;

/// Takes a lease for a time in milliseconds, if it is free, over, or held by `holder`. Returns false if another holds it.
pub async fn take_lease(
    server: impl PgExecutor<'_>,
    name: &str,
    holder: &str,
    for_ms: i64,
) -> Result<bool> {
    // The clock is read once: Citus takes no function that reads it as a condition.
    let taken = sqlx::query!(
        "INSERT INTO lease AS known (name, holder, until_ms)
         VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $3)
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms
         WHERE known.holder = excluded.holder OR known.until_ms <= excluded.until_ms - $3",
        name,
        holder,
        for_ms
    );
    Ok(taken.execute(server).await?.rows_affected() == 1)
}

/// Gives all leases of a holder back.
pub async fn return_leases(server: impl PgExecutor<'_>, holder: &str) -> Result<()> {
    sqlx::query!("DELETE FROM lease WHERE holder = $1", holder).execute(server).await?;
    Ok(())
}
