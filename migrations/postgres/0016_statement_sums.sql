CREATE OR REPLACE VIEW top_statements AS
SELECT
    lpad(to_hex(one.fingerprint), 16, '0') AS fingerprint,
    one.count,
    one.errors,
    one.total_ms,
    one.average_ms,
    one.longest_ms,
    one.scan_rows,
    one.scan_bytes,
    one.users,
    one.last_at,
    statement.normalized,
    one.cpu_time_ms,
    one.peak_memory_bytes,
    one.queue_time_ms
FROM (
    SELECT
        fingerprint,
        count(*) AS count,
        count(*) FILTER (WHERE is_failed) AS errors,
        sum(duration_ms) AS total_ms,
        CAST(round(avg(duration_ms)) AS bigint) AS average_ms,
        max(duration_ms) AS longest_ms,
        sum(scan_rows) AS scan_rows,
        sum(scan_bytes) AS scan_bytes,
        count(DISTINCT "user") AS users,
        to_char(utc(max(started_ms) / 1000 * 1000), 'YYYY-MM-DD HH24:MI:SS') AS last_at,
        sum(cpu_time_ms) AS cpu_time_ms,
        max(peak_memory_bytes) AS peak_memory_bytes,
        sum(queue_time_ms) AS queue_time_ms
    FROM query
    WHERE fingerprint IS NOT NULL
    GROUP BY fingerprint
) AS one
LEFT JOIN statement ON statement.fingerprint = one.fingerprint
ORDER BY one.total_ms DESC NULLS LAST;
