-- Reports: the questions people ask, as views. Times and days are UTC; durations are milliseconds, and sizes
-- bytes. A query failed where Doris gave an error code or says ERR or CANCELLED. Each view reads all queries
-- of its kind unless a condition on started_ms, which every list has, narrows it by an index.

-- How much ran each day, the newest day first.
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

-- Queries of five seconds and more, which is what Doris itself calls slow, the longest first.
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

-- Statements by shape, the one that took most time in all first.
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
    (SELECT shape FROM statement WHERE statement.fingerprint = query.fingerprint) AS shape
FROM query
WHERE query.fingerprint IS NOT NULL
GROUP BY query.fingerprint
ORDER BY total_ms DESC;

-- Who ran how much, the one who took most time first.
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

-- What failed, newest first.
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

-- When in the week how much runs, by day and hour; Monday is 1, Sunday 7.
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

-- How much was read from each database, the most first, with its share of all.
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

-- How much of what was read came from the cache on the backends' own disks, day by day. Only what newer
-- frontends tell of is in it.
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

-- Slow queries that no profile was kept of, the longest first: what cannot be looked into any more.
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
