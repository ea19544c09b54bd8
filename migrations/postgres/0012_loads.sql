-- Loads in views: which failed, and which filtered rows. New columns are the last, so that the rights on views stay.
CREATE OR REPLACE VIEW load_history AS
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
    query.ended_ms,
    query.is_failed,
    query.error_code,
    query.error_message,
    query.cluster
FROM query
JOIN load ON load.query_id = query.query_id;

COMMENT ON VIEW load_history IS 'Loads with what only loads have, with readable times in UTC';

CREATE VIEW failed_loads AS
SELECT
    query_id,
    started_at,
    "user",
    db,
    table_list,
    label,
    state,
    coalesce(error_message, message) AS message,
    total_rows,
    filtered_rows,
    url,
    started_ms
FROM load_history
WHERE is_failed
ORDER BY started_ms DESC NULLS LAST;

COMMENT ON VIEW failed_loads IS 'Failed loads, newest first. url is where Doris lists the rows that it rejected';

CREATE VIEW filtered_loads AS
SELECT
    query_id,
    started_at,
    "user",
    db,
    table_list,
    label,
    state,
    total_rows,
    loaded_rows,
    filtered_rows,
    round(100.0 * filtered_rows / nullif(total_rows, 0), 1) AS filtered_percent,
    url,
    started_ms
FROM load_history
WHERE filtered_rows > 0
ORDER BY filtered_rows DESC, started_ms DESC NULLS LAST;

COMMENT ON VIEW filtered_loads IS
    'Loads that filtered rows, also those that did not fail, the most filtered rows first';

CREATE OR REPLACE VIEW failed_queries AS
SELECT
    query.query_id,
    to_char(utc(started_ms), 'YYYY-MM-DD HH24:MI:SS.MS') AS started_at,
    "user",
    db,
    state,
    error_code,
    coalesce(error_message, load.message) AS error_message,
    statement,
    started_ms,
    kind,
    load.label
FROM query
LEFT JOIN load ON load.query_id = query.query_id
WHERE is_failed
ORDER BY started_ms DESC NULLS LAST;

COMMENT ON VIEW failed_queries IS 'Failed queries and loads, newest first. Only loads have labels';

CREATE OR REPLACE VIEW slow_queries AS
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
WHERE duration_ms >= 5000 AND (kind = 'query' OR statement IS NOT NULL)
ORDER BY duration_ms DESC;

COMMENT ON VIEW slow_queries IS
    'Queries of five seconds and more, which Doris calls slow, the longest first. Loads without a statement are not among them';

CREATE OR REPLACE VIEW missing_profiles AS
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
WHERE duration_ms >= 5000 AND profile.query_id IS NULL AND (kind = 'query' OR statement IS NOT NULL)
ORDER BY duration_ms DESC;

COMMENT ON VIEW missing_profiles IS
    'Slow queries without a stored profile, the longest first. Loads without a statement are not among them';
