DROP VIEW top_statements;

-- Normalized statements, the one with the largest total time first.
CREATE VIEW top_statements AS
SELECT
    printf('%016x', query.fingerprint) AS fingerprint,
    count(*) AS count,
    sum(is_failed) AS errors,
    CAST(sum(duration_ms * 1.0) AS INTEGER) AS total_ms,
    CAST(round(avg(duration_ms)) AS INTEGER) AS average_ms,
    max(duration_ms) AS longest_ms,
    CAST(sum(scan_rows * 1.0) AS INTEGER) AS scan_rows,
    CAST(sum(scan_bytes * 1.0) AS INTEGER) AS scan_bytes,
    count(DISTINCT user) AS users,
    strftime('%Y-%m-%d %H:%M:%S', max(started_ms) / 1000, 'unixepoch') AS last_at,
    (SELECT normalized FROM statement WHERE statement.fingerprint = query.fingerprint) AS normalized,
    CAST(sum(cpu_time_ms * 1.0) AS INTEGER) AS cpu_time_ms,
    max(peak_memory_bytes) AS peak_memory_bytes,
    CAST(sum(queue_time_ms * 1.0) AS INTEGER) AS queue_time_ms
FROM query
WHERE query.fingerprint IS NOT NULL
GROUP BY query.fingerprint
ORDER BY total_ms DESC;
