-- Reports as views, with the names, columns, orders and values that SQLite's have. Times and days are texts in UTC,
-- durations milliseconds, sizes bytes. Each view reads all queries of its kind; in the lists, an index serves a
-- condition on started_ms.
--
-- What differs from SQLite:
-- * Truth values are boolean, not 0 or 1.
-- * Sums are numeric and exact, and so are the averages and shares. SQLite adds doubles: its sum is exact while no part
--   of it exceeds 2^53, and at most the largest 64-bit integer.
-- * A time before the year 1 is NULL, as SQLite's is only before -4713.
-- * profile_packed has a profile as it is stored, because PostgreSQL has no function that reads a zlib stream.
--   SQLite has profile_text.
-- * Rows without a start come first in ORDER BY started_ms DESC, unless NULLS LAST follows. The views say NULLS LAST.
--
-- The views fit Citus: what joins a query is on the query's node, and what reads groups reads them from a subquery.

-- Seconds and milliseconds are added apart, because an interval is multiplied by a double, which holds either exactly.
CREATE FUNCTION utc(ms bigint) RETURNS timestamp LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN ms BETWEEN -62135596800000 AND 253402300799999 THEN
        timestamp '1970-01-01' + ms / 1000 * interval '1 second' + ms % 1000 * interval '1 millisecond'
    END
$$;

COMMENT ON FUNCTION utc(bigint) IS 'The time of Unix milliseconds in UTC, or NULL outside the years 1 to 9999';

CREATE VIEW query_history AS
SELECT
    query.query_id,
    kind,
    state,
    to_char(utc(started_ms), 'YYYY-MM-DD HH24:MI:SS.MS') AS started_at,
    to_char(utc(ended_ms), 'YYYY-MM-DD HH24:MI:SS.MS') AS ended_at,
    duration_ms,
    "user",
    client,
    catalog,
    db,
    statement,
    lpad(to_hex(fingerprint), 16, '0') AS fingerprint,
    statement_type,
    command_type,
    error_code,
    error_message,
    scan_rows,
    scan_bytes,
    local_scan_bytes,
    remote_scan_bytes,
    return_rows,
    shuffle_send_rows,
    shuffle_send_bytes,
    spill_write_bytes,
    spill_read_bytes,
    peak_memory_bytes,
    cpu_time_ms,
    queue_time_ms,
    parse_time_ms,
    plan_time_ms,
    schedule_time_ms,
    cache_hit,
    is_query,
    is_nereids,
    is_internal,
    is_slow,
    is_failed,
    frontend,
    workload_group,
    compute_group,
    queried_tables,
    chosen_views,
    changed_variables,
    statement_id,
    session_id,
    trace_id,
    sql_hash,
    sql_digest,
    fuzzy_variables,
    extra,
    profile.query_id IS NOT NULL AS has_profile,
    started_ms,
    ended_ms,
    is_start_estimated
FROM query
LEFT JOIN profile ON profile.query_id = query.query_id;

COMMENT ON VIEW query_history IS
    'Every query and load, with readable times in UTC. The view has no order, so that a report over all rows is one '
    'scan. An index serves WHERE started_ms >= ... ORDER BY started_ms DESC';

CREATE VIEW load_history AS
SELECT
    query.query_id,
    load.job_id,
    load.label,
    load.load_type,
    query.state,
    to_char(utc(query.started_ms), 'YYYY-MM-DD HH24:MI:SS.MS') AS started_at,
    to_char(utc(query.ended_ms), 'YYYY-MM-DD HH24:MI:SS.MS') AS ended_at,
    query.duration_ms,
    query."user",
    query.client,
    query.db,
    load.table_list,
    load.file_path_list,
    load.file_number,
    load.broker_user,
    load.message,
    load.url,
    load.total_rows,
    load.loaded_rows,
    load.filtered_rows,
    load.unselected_rows,
    load.load_bytes,
    query.scan_rows,
    query.scan_bytes,
    query.started_ms,
    query.ended_ms
FROM query
JOIN load ON load.query_id = query.query_id;

COMMENT ON VIEW load_history IS 'Every load, with readable times in UTC';

CREATE VIEW profile_packed AS
SELECT query_id, text_bytes, body FROM profile;

COMMENT ON VIEW profile_packed IS
    'The profile of a query. body is a zlib stream, or the text itself if its length is text_bytes. annals profile '
    'QUERY_ID prints the text; Python reads a row with body if len(body) == text_bytes else zlib.decompress(body)';

CREATE VIEW login_history AS
SELECT
    to_char(utc(at_ms), 'YYYY-MM-DD HH24:MI:SS.MS') AS at,
    "user",
    client,
    frontend,
    catalog,
    db,
    succeeded,
    error_code,
    error_message,
    extra,
    at_ms
FROM login;

COMMENT ON VIEW login_history IS 'Every log-in, with readable times in UTC';

CREATE VIEW slow_queries AS
SELECT
    query.query_id,
    to_char(utc(started_ms), 'YYYY-MM-DD HH24:MI:SS.MS') AS started_at,
    duration_ms,
    "user",
    db,
    state,
    scan_rows,
    scan_bytes,
    peak_memory_bytes,
    statement,
    profile.query_id IS NOT NULL AS has_profile,
    started_ms
FROM query
LEFT JOIN profile ON profile.query_id = query.query_id
WHERE duration_ms >= 5000
ORDER BY duration_ms DESC;

COMMENT ON VIEW slow_queries IS 'Queries of five seconds and more, which Doris calls slow, the longest first';

CREATE VIEW missing_profiles AS
SELECT
    query.query_id,
    to_char(utc(started_ms), 'YYYY-MM-DD HH24:MI:SS.MS') AS started_at,
    duration_ms,
    "user",
    db,
    frontend,
    statement,
    started_ms
FROM query
LEFT JOIN profile ON profile.query_id = query.query_id
WHERE duration_ms >= 5000 AND profile.query_id IS NULL
ORDER BY duration_ms DESC;

COMMENT ON VIEW missing_profiles IS 'Slow queries without a stored profile, the longest first';

CREATE VIEW failed_queries AS
SELECT
    query_id,
    to_char(utc(started_ms), 'YYYY-MM-DD HH24:MI:SS.MS') AS started_at,
    "user",
    db,
    state,
    error_code,
    error_message,
    statement,
    started_ms
FROM query
WHERE is_failed
ORDER BY started_ms DESC NULLS LAST;

COMMENT ON VIEW failed_queries IS 'Failed queries, newest first';

-- In the views below, started_ms / 1000 * 1000 is the whole second, rounded towards 1970 as SQLite rounds it.

CREATE VIEW daily_load AS
SELECT
    to_char(utc(started_ms / 1000 * 1000), 'YYYY-MM-DD') AS day,
    count(*) FILTER (WHERE kind = 'query') AS queries,
    count(*) FILTER (WHERE kind = 'load') AS loads,
    count(*) FILTER (WHERE is_failed) AS errors,
    count(DISTINCT "user") AS users,
    sum(duration_ms) AS total_ms,
    CAST(round(avg(duration_ms)) AS bigint) AS average_ms,
    max(duration_ms) AS longest_ms,
    sum(scan_rows) AS scan_rows,
    sum(scan_bytes) AS scan_bytes,
    sum(cpu_time_ms) AS cpu_time_ms
FROM query
WHERE started_ms IS NOT NULL
GROUP BY 1
ORDER BY 1 DESC NULLS LAST;

COMMENT ON VIEW daily_load IS 'Queries and loads by day, the newest day first';

CREATE VIEW top_statements AS
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
    statement.normalized
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
        to_char(utc(max(started_ms) / 1000 * 1000), 'YYYY-MM-DD HH24:MI:SS') AS last_at
    FROM query
    WHERE fingerprint IS NOT NULL
    GROUP BY fingerprint
) AS one
LEFT JOIN statement ON statement.fingerprint = one.fingerprint
ORDER BY one.total_ms DESC NULLS LAST;

COMMENT ON VIEW top_statements IS 'Normalized statements, the one with the largest total time first';

CREATE VIEW user_load AS
SELECT
    "user",
    count(*) AS count,
    count(*) FILTER (WHERE is_failed) AS errors,
    sum(duration_ms) AS total_ms,
    max(duration_ms) AS longest_ms,
    sum(scan_rows) AS scan_rows,
    sum(scan_bytes) AS scan_bytes,
    sum(return_rows) AS return_rows,
    to_char(utc(max(started_ms) / 1000 * 1000), 'YYYY-MM-DD HH24:MI:SS') AS last_at
FROM query
GROUP BY "user"
ORDER BY total_ms DESC NULLS LAST;

COMMENT ON VIEW user_load IS 'Queries by user, the one with the largest total time first';

CREATE VIEW hour_by_weekday AS
SELECT
    CAST(extract(isodow FROM utc(started_ms / 1000 * 1000)) AS integer) AS weekday,
    CAST(extract(hour FROM utc(started_ms / 1000 * 1000)) AS integer) AS hour,
    count(*) AS count,
    sum(duration_ms) AS total_ms,
    CAST(round(avg(duration_ms)) AS bigint) AS average_ms
FROM query
WHERE started_ms IS NOT NULL
GROUP BY 1, 2
ORDER BY 1 NULLS FIRST, 2 NULLS FIRST;

COMMENT ON VIEW hour_by_weekday IS 'Queries by weekday and hour. Monday is 1, Sunday 7';

CREATE VIEW scans_by_database AS
SELECT
    catalog,
    db,
    count,
    scan_rows,
    scan_bytes,
    round(100.0 * scan_bytes / nullif(sum(scan_bytes) OVER (), 0), 1) AS percent
FROM (
    SELECT catalog, db, count(*) AS count, sum(scan_rows) AS scan_rows, sum(scan_bytes) AS scan_bytes
    FROM query
    WHERE scan_bytes IS NOT NULL
    GROUP BY catalog, db
) AS one
ORDER BY scan_bytes DESC;

COMMENT ON VIEW scans_by_database IS 'Scanned rows and bytes by database, the most first, with the share of all bytes';

CREATE VIEW cache_hits AS
SELECT
    to_char(utc(started_ms / 1000 * 1000), 'YYYY-MM-DD') AS day,
    count(*) AS count,
    sum(local_scan_bytes) AS local_scan_bytes,
    sum(remote_scan_bytes) AS remote_scan_bytes,
    round(100.0 * coalesce(sum(local_scan_bytes), 0)
        / nullif(coalesce(sum(local_scan_bytes), 0) + coalesce(sum(remote_scan_bytes), 0), 0), 1) AS local_percent
FROM query
WHERE started_ms IS NOT NULL
    AND (local_scan_bytes IS NOT NULL OR remote_scan_bytes IS NOT NULL)
GROUP BY 1
ORDER BY 1 DESC NULLS LAST;

COMMENT ON VIEW cache_hits IS
    'Bytes that were read from the cache on the backends'' own disks, by day. Only newer frontends report them';
