-- Loads in views: which failed, and which filtered rows.

DROP VIEW load_history;

-- Loads with what only loads have, with readable times in UTC.
CREATE VIEW load_history AS
SELECT
    query.query_id,
    load.job_id,
    load.label,
    load.load_type,
    query.state,
    strftime('%Y-%m-%d %H:%M:%f', query.started_ms / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%d %H:%M:%f', query.ended_ms / 1000.0, 'unixepoch') AS ended_at,
    query.duration_ms,
    query.user,
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
JOIN load ON load.query = query.id;

-- Failed loads, newest first. url is where Doris lists the rows that it rejected.
CREATE VIEW failed_loads AS
SELECT
    query_id,
    started_at,
    user,
    db,
    table_list,
    label,
    state,
    ifnull(error_message, message) AS message,
    total_rows,
    filtered_rows,
    url,
    started_ms
FROM load_history
WHERE is_failed
ORDER BY started_ms DESC;

-- Loads that filtered rows, also those that did not fail, the most filtered rows first.
CREATE VIEW filtered_loads AS
SELECT
    query_id,
    started_at,
    user,
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
ORDER BY filtered_rows DESC, started_ms DESC;

DROP VIEW failed_queries;

-- Failed queries and loads, newest first. Only loads have labels.
CREATE VIEW failed_queries AS
SELECT
    query_id,
    strftime('%Y-%m-%d %H:%M:%f', started_ms / 1000.0, 'unixepoch') AS started_at,
    user,
    db,
    state,
    error_code,
    ifnull(error_message, load.message) AS error_message,
    statement,
    started_ms,
    kind,
    load.label
FROM query
LEFT JOIN load ON load.query = query.id
WHERE is_failed
ORDER BY started_ms DESC;

DROP VIEW slow_queries;

-- Queries of five seconds and more, which Doris calls slow, the longest first. Loads without a statement are not among them.
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
WHERE duration_ms >= 5000 AND (kind = 'query' OR statement IS NOT NULL)
ORDER BY duration_ms DESC;

DROP VIEW missing_profiles;

-- Slow queries without a stored profile, the longest first. Loads without a statement are not among them.
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
WHERE duration_ms >= 5000 AND (kind = 'query' OR statement IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id)
ORDER BY duration_ms DESC;
