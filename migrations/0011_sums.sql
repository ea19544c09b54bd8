-- Sums that cannot overflow. A frontend may report any 64-bit number, and sum() of integers fails beyond 64 bits.
-- sum(x * 1.0) is exact up to 2^53, and the cast turns a larger sum than an integer holds into the largest integer.
-- Where no row has a value, the sum is NULL.

DROP VIEW daily_load;

-- Queries and loads by day, the newest day first.
CREATE VIEW daily_load AS
SELECT
    date(started_ms / 1000, 'unixepoch') AS day,
    sum(kind = 'query') AS queries,
    sum(kind = 'load') AS loads,
    sum(is_failed) AS errors,
    count(DISTINCT user) AS users,
    CAST(sum(duration_ms * 1.0) AS INTEGER) AS total_ms,
    CAST(round(avg(duration_ms)) AS INTEGER) AS average_ms,
    max(duration_ms) AS longest_ms,
    CAST(sum(scan_rows * 1.0) AS INTEGER) AS scan_rows,
    CAST(sum(scan_bytes * 1.0) AS INTEGER) AS scan_bytes,
    CAST(sum(cpu_time_ms * 1.0) AS INTEGER) AS cpu_time_ms
FROM query
WHERE started_ms IS NOT NULL
GROUP BY day
ORDER BY day DESC;

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
    (SELECT normalized FROM statement WHERE statement.fingerprint = query.fingerprint) AS normalized
FROM query
WHERE query.fingerprint IS NOT NULL
GROUP BY query.fingerprint
ORDER BY total_ms DESC;

DROP VIEW user_load;

-- Queries by user, the one with the largest total time first.
CREATE VIEW user_load AS
SELECT
    user,
    count(*) AS count,
    sum(is_failed) AS errors,
    CAST(sum(duration_ms * 1.0) AS INTEGER) AS total_ms,
    max(duration_ms) AS longest_ms,
    CAST(sum(scan_rows * 1.0) AS INTEGER) AS scan_rows,
    CAST(sum(scan_bytes * 1.0) AS INTEGER) AS scan_bytes,
    CAST(sum(return_rows * 1.0) AS INTEGER) AS return_rows,
    strftime('%Y-%m-%d %H:%M:%S', max(started_ms) / 1000, 'unixepoch') AS last_at
FROM query
GROUP BY user
ORDER BY total_ms DESC;

DROP VIEW hour_by_weekday;

-- Queries by weekday and hour. Monday is 1, Sunday 7.
CREATE VIEW hour_by_weekday AS
SELECT
    CAST(strftime('%w', started_ms / 1000, 'unixepoch') + 6 AS INTEGER) % 7 + 1 AS weekday,
    CAST(strftime('%H', started_ms / 1000, 'unixepoch') AS INTEGER) AS hour,
    count(*) AS count,
    CAST(sum(duration_ms * 1.0) AS INTEGER) AS total_ms,
    CAST(round(avg(duration_ms)) AS INTEGER) AS average_ms
FROM query
WHERE started_ms IS NOT NULL
GROUP BY weekday, hour
ORDER BY weekday, hour;

DROP VIEW scans_by_database;

-- Scanned rows and bytes by database, the most first, with the share of all bytes.
CREATE VIEW scans_by_database AS
SELECT
    catalog,
    db,
    count(*) AS count,
    CAST(sum(scan_rows * 1.0) AS INTEGER) AS scan_rows,
    CAST(sum(query.scan_bytes * 1.0) AS INTEGER) AS scan_bytes,
    round(100.0 * total(query.scan_bytes) / nullif(sum(total(query.scan_bytes)) OVER (), 0), 1) AS percent
FROM query
WHERE query.scan_bytes IS NOT NULL
GROUP BY catalog, db
ORDER BY total(query.scan_bytes) DESC;

DROP VIEW cache_hits;

-- Bytes that were read from the cache on the backends' own disks, by day. Only newer frontends report them.
CREATE VIEW cache_hits AS
SELECT
    date(started_ms / 1000, 'unixepoch') AS day,
    count(*) AS count,
    CAST(sum(local_scan_bytes * 1.0) AS INTEGER) AS local_scan_bytes,
    CAST(sum(remote_scan_bytes * 1.0) AS INTEGER) AS remote_scan_bytes,
    round(100.0 * total(local_scan_bytes)
        / nullif(total(local_scan_bytes) + total(remote_scan_bytes), 0), 1) AS local_percent
FROM query
WHERE started_ms IS NOT NULL
    AND (local_scan_bytes IS NOT NULL OR remote_scan_bytes IS NOT NULL)
GROUP BY day
ORDER BY day DESC;
