-- What Doris 4.x and StarRocks report of a statement, and earlier versions do not.
ALTER TABLE query ADD COLUMN queue_time_ms INTEGER;       -- waited in its workload group's queue
ALTER TABLE query ADD COLUMN parse_time_ms INTEGER;       -- parsed by the frontend
ALTER TABLE query ADD COLUMN plan_time_ms INTEGER;        -- analysed and planned by the frontend
ALTER TABLE query ADD COLUMN schedule_time_ms INTEGER;    -- its fragments sent to the backends
ALTER TABLE query ADD COLUMN cache_hit INTEGER;           -- 1 where the frontend answered from its SQL cache
ALTER TABLE query ADD COLUMN spill_read_bytes INTEGER;
ALTER TABLE query ADD COLUMN chosen_views TEXT;           -- materialized views that the planner chose
ALTER TABLE query ADD COLUMN changed_variables TEXT;      -- JSON object of the session variables that were set

-- 1 where started_ms is estimated: the time at which the record was written, less the duration.
ALTER TABLE query ADD COLUMN is_start_estimated INTEGER NOT NULL DEFAULT 0;

-- 1 where the query failed: it has an error code, or a state of failure. Only this column decides that.
ALTER TABLE query ADD COLUMN is_failed INTEGER NOT NULL GENERATED ALWAYS AS (
    ifnull(error_code, 0) <> 0
    OR upper(ifnull(state, '')) IN (
        'ERR', 'ERROR', 'CANCELLED', 'CANCELED', 'FAIL', 'FAILED', 'ABORTED')
) VIRTUAL;

-- Log-ins that a frontend's audit log reports, successful and failed ones.
CREATE TABLE login (
    id             INTEGER PRIMARY KEY,              -- order of arrival
    login_id       TEXT    NOT NULL UNIQUE,          -- a hash of the record, so that a log-in is stored once
    at_ms          INTEGER NOT NULL,
    user           TEXT,
    client         TEXT,                             -- host:port
    frontend       TEXT,
    catalog        TEXT,
    db             TEXT,
    succeeded      INTEGER NOT NULL,
    error_code     INTEGER,
    error_message  TEXT,
    extra          TEXT                              -- JSON object of the keys that have no column
) STRICT;

CREATE INDEX login_by_time ON login (at_ms);

-- Every log-in, with readable times in UTC.
CREATE VIEW login_history AS
SELECT
    strftime('%Y-%m-%d %H:%M:%f', at_ms / 1000.0, 'unixepoch') AS at,
    user,
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

DROP VIEW query_history;

-- Every query and load, with readable times in UTC. The view has no order, so that a report over all rows
-- is one scan. An index serves ORDER BY started_ms DESC.
CREATE VIEW query_history AS
SELECT
    query_id,
    kind,
    state,
    strftime('%Y-%m-%d %H:%M:%f', started_ms / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%d %H:%M:%f', ended_ms / 1000.0, 'unixepoch') AS ended_at,
    duration_ms,
    user,
    client,
    catalog,
    db,
    statement,
    iif(fingerprint IS NULL, NULL, printf('%016x', fingerprint)) AS fingerprint,
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
    EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id) AS has_profile,
    started_ms,
    ended_ms,
    is_start_estimated
FROM query;

DROP VIEW daily_load;

-- Queries and loads by day, the newest day first.
CREATE VIEW daily_load AS
SELECT
    date(started_ms / 1000, 'unixepoch') AS day,
    sum(kind = 'query') AS queries,
    sum(kind = 'load') AS loads,
    sum(is_failed) AS errors,
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

DROP VIEW top_statements;

-- Normalized statements, the one with the largest total time first.
CREATE VIEW top_statements AS
SELECT
    printf('%016x', query.fingerprint) AS fingerprint,
    count(*) AS count,
    sum(is_failed) AS errors,
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

DROP VIEW user_load;

-- Queries by user, the one with the largest total time first.
CREATE VIEW user_load AS
SELECT
    user,
    count(*) AS count,
    sum(is_failed) AS errors,
    sum(duration_ms) AS total_ms,
    max(duration_ms) AS longest_ms,
    sum(scan_rows) AS scan_rows,
    sum(scan_bytes) AS scan_bytes,
    sum(return_rows) AS return_rows,
    strftime('%Y-%m-%d %H:%M:%S', max(started_ms) / 1000, 'unixepoch') AS last_at
FROM query
GROUP BY user
ORDER BY total_ms DESC;

DROP VIEW failed_queries;

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
WHERE is_failed
ORDER BY started_ms DESC;
