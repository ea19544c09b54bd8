-- Reports as views. Times and days are UTC, durations milliseconds, sizes bytes. A query failed if it has an
-- error code or the state ERR or CANCELLED. Each view reads all queries of its kind; in the lists, an index
-- serves a condition on started_ms.

-- Queries and loads by day, the newest day first.
CREATE VIEW daily_load AS
SELECT
    date(started_ms / 1000, 'unixepoch') AS day,
    sum(kind = 'query') AS queries,
    sum(kind = 'load') AS loads,
    sum(ifnull(error_code, 0) <> 0 OR upper(ifnull(state, '')) IN ('ERR', 'CANCELLED')) AS errors,
    count(DISTINCT user) AS users,
    sum(duration_ms) AS total_ms,
    CAST(round(avg(duration_ms)) AS INTEGER) AS average_ms,
    max(duration_ms) AS longest_ms,
    sum(scan_rows) AS scan_rows,
    sum(scan_bytes) AS scan_bytes,
    sum(cpu_time_ms) AS cpu_time_ms
FROM query
WHERE started_ms IS NOT NULL
GROUP BY day
ORDER BY day DESC;

-- Queries of five seconds and more, which Doris calls slow, the longest first.
CREATE VIEW slow_queries AS
SELECT
    query_id,
    strftime('%Y-%m-%d %H:%M:%f', started_ms / 1000.0, 'unixepoch') AS started_at,
    duration_ms,
    user,
    db,
    state,
    scan_rows,
    scan_bytes,
    peak_memory_bytes,
    statement,
    EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id) AS has_profile,
    started_ms
FROM query
WHERE duration_ms >= 5000
ORDER BY duration_ms DESC;

-- Normalized statements, the one with the largest total time first.
CREATE VIEW top_statements AS
SELECT
    printf('%016x', query.fingerprint) AS fingerprint,
    count(*) AS count,
    sum(ifnull(error_code, 0) <> 0 OR upper(ifnull(state, '')) IN ('ERR', 'CANCELLED')) AS errors,
    sum(duration_ms) AS total_ms,
    CAST(round(avg(duration_ms)) AS INTEGER) AS average_ms,
    max(duration_ms) AS longest_ms,
    sum(scan_rows) AS scan_rows,
    sum(scan_bytes) AS scan_bytes,
    count(DISTINCT user) AS users,
    strftime('%Y-%m-%d %H:%M:%S', max(started_ms) / 1000, 'unixepoch') AS last_at,
    (SELECT normalized FROM statement WHERE statement.fingerprint = query.fingerprint) AS normalized
FROM query
WHERE query.fingerprint IS NOT NULL
GROUP BY query.fingerprint
ORDER BY total_ms DESC;

-- Queries by user, the one with the largest total time first.
CREATE VIEW user_load AS
SELECT
    user,
    count(*) AS count,
    sum(ifnull(error_code, 0) <> 0 OR upper(ifnull(state, '')) IN ('ERR', 'CANCELLED')) AS errors,
    sum(duration_ms) AS total_ms,
    max(duration_ms) AS longest_ms,
    sum(scan_rows) AS scan_rows,
    sum(scan_bytes) AS scan_bytes,
    sum(return_rows) AS return_rows,
    strftime('%Y-%m-%d %H:%M:%S', max(started_ms) / 1000, 'unixepoch') AS last_at
FROM query
GROUP BY user
ORDER BY total_ms DESC;

-- Failed queries, newest first.
CREATE VIEW failed_queries AS
SELECT
    query_id,
    strftime('%Y-%m-%d %H:%M:%f', started_ms / 1000.0, 'unixepoch') AS started_at,
    user,
    db,
    state,
    error_code,
    error_message,
    statement,
    started_ms
FROM query
WHERE ifnull(error_code, 0) <> 0 OR upper(ifnull(state, '')) IN ('ERR', 'CANCELLED')
ORDER BY started_ms DESC;

-- Queries by weekday and hour. Monday is 1, Sunday 7.
CREATE VIEW hour_by_weekday AS
SELECT
    CAST(strftime('%w', started_ms / 1000, 'unixepoch') + 6 AS INTEGER) % 7 + 1 AS weekday,
    CAST(strftime('%H', started_ms / 1000, 'unixepoch') AS INTEGER) AS hour,
    count(*) AS count,
    sum(duration_ms) AS total_ms,
    CAST(round(avg(duration_ms)) AS INTEGER) AS average_ms
FROM query
WHERE started_ms IS NOT NULL
GROUP BY weekday, hour
ORDER BY weekday, hour;

-- Scanned rows and bytes by database, the most first, with the share of all bytes.
CREATE VIEW scans_by_database AS
SELECT
    catalog,
    db,
    count(*) AS count,
    sum(scan_rows) AS scan_rows,
    sum(scan_bytes) AS scan_bytes,
    round(100.0 * sum(scan_bytes) / sum(sum(scan_bytes)) OVER (), 1) AS percent
FROM query
WHERE scan_bytes IS NOT NULL
GROUP BY catalog, db
ORDER BY scan_bytes DESC;

-- Bytes that were read from the cache on the backends' own disks, by day. Only newer frontends report them.
CREATE VIEW cache_hits AS
SELECT
    date(started_ms / 1000, 'unixepoch') AS day,
    count(*) AS count,
    sum(local_scan_bytes) AS local_scan_bytes,
    sum(remote_scan_bytes) AS remote_scan_bytes,
    round(100.0 * sum(local_scan_bytes)
        / nullif(total(local_scan_bytes) + total(remote_scan_bytes), 0), 1) AS local_percent
FROM query
WHERE started_ms IS NOT NULL
    AND (local_scan_bytes IS NOT NULL OR remote_scan_bytes IS NOT NULL)
GROUP BY day
ORDER BY day DESC;

-- Slow queries without a stored profile, the longest first.
CREATE VIEW missing_profiles AS
SELECT
    query_id,
    strftime('%Y-%m-%d %H:%M:%f', started_ms / 1000.0, 'unixepoch') AS started_at,
    duration_ms,
    user,
    db,
    frontend,
    statement,
    started_ms
FROM query
WHERE duration_ms >= 5000
    AND NOT EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id)
ORDER BY duration_ms DESC;
