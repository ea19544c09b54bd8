-- Queries, loads and profiles.
--
-- People read these tables with the stock sqlite3 (3.40 and later), so tables and columns have plain names.
-- Times are Unix milliseconds in UTC and end in _ms. Sizes are bytes and end in _bytes. A truth value is 0
-- or 1. NULL means that no source reported a value.

-- One row for each statement or load, merged from all reports of it.
CREATE TABLE query (
    id                   INTEGER PRIMARY KEY,        -- order of arrival
    query_id             TEXT    NOT NULL,           -- as Doris writes it
    kind                 TEXT    NOT NULL CHECK (kind IN ('query', 'load')),
    origin               TEXT    NOT NULL CHECK (origin IN ('summary', 'audit')), -- the best report so far
    state                TEXT,                       -- EOF, OK, ERR, RUNNING, FINISHED, CANCELLED, ...
    started_ms           INTEGER,
    ended_ms             INTEGER,
    duration_ms          INTEGER,
    user                 TEXT,
    client               TEXT,                       -- host:port
    catalog              TEXT,
    db                   TEXT,
    statement            TEXT,                       -- in full; annals never truncates it
    statement_type       TEXT,
    command_type         TEXT,
    statement_id         INTEGER,
    session_id           TEXT,
    trace_id             TEXT,
    is_query             INTEGER,
    is_nereids           INTEGER,
    is_internal          INTEGER,
    is_slow              INTEGER NOT NULL,           -- 1 where a [slow_query] line reported it
    error_code           INTEGER,
    error_message        TEXT,
    scan_rows            INTEGER,
    scan_bytes           INTEGER,
    local_scan_bytes     INTEGER,
    remote_scan_bytes    INTEGER,
    return_rows          INTEGER,
    shuffle_send_rows    INTEGER,
    shuffle_send_bytes   INTEGER,
    spill_write_bytes    INTEGER,
    peak_memory_bytes    INTEGER,
    cpu_time_ms          INTEGER,
    frontend             TEXT,                       -- address of the frontend that ran it
    workload_group       TEXT,
    compute_group        TEXT,
    queried_tables       TEXT,                       -- tables and views, as Doris lists them
    sql_hash             TEXT,
    sql_digest           TEXT,
    fuzzy_variables      TEXT,
    extra                TEXT                        -- JSON object of the keys that have no column
) STRICT;

-- Finds a query by its id, and keeps a query from being stored twice.
CREATE UNIQUE INDEX query_by_query_id ON query (query_id);

-- Lists queries newest first. The row's id, which every index has, breaks ties.
CREATE INDEX query_by_start ON query (started_ms);

-- What only a load has. The rest is in its row in query.
CREATE TABLE load (
    query            INTEGER PRIMARY KEY REFERENCES query (id) ON DELETE CASCADE,
    job_id           TEXT,
    label            TEXT,
    load_type        TEXT,
    table_list       TEXT,
    file_path_list   TEXT,
    broker_user      TEXT,
    file_number      INTEGER,
    message          TEXT,
    url              TEXT,                           -- where Doris lists the rejected rows
    total_rows       INTEGER,
    loaded_rows      INTEGER,
    filtered_rows    INTEGER,
    unselected_rows  INTEGER,
    load_bytes       INTEGER
) STRICT;

-- The profile text of a query. body is a zlib stream, or the text itself if its length is text_bytes:
-- sqlar_uncompress(body, text_bytes) of the stock shell returns the text.
CREATE TABLE profile (
    query       INTEGER PRIMARY KEY REFERENCES query (id) ON DELETE CASCADE,
    text_bytes  INTEGER NOT NULL,                    -- size of the text, uncompressed
    body        BLOB    NOT NULL
) STRICT;

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
    peak_memory_bytes,
    cpu_time_ms,
    is_query,
    is_nereids,
    is_internal,
    is_slow,
    frontend,
    workload_group,
    compute_group,
    queried_tables,
    statement_id,
    session_id,
    trace_id,
    sql_hash,
    sql_digest,
    fuzzy_variables,
    extra,
    EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id) AS has_profile,
    started_ms,
    ended_ms
FROM query;

-- The profile of a query as text: SELECT profile FROM profile_text WHERE query_id = '...'.
-- Needs the stock sqlite3 shell, which has sqlar_uncompress.
CREATE VIEW profile_text AS
SELECT
    query.query_id,
    CAST(sqlar_uncompress(profile.body, profile.text_bytes) AS TEXT) AS profile,
    profile.text_bytes
FROM profile
JOIN query ON query.id = profile.query;

-- Every load, with readable times in UTC.
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
    query.ended_ms
FROM query
JOIN load ON load.query = query.id;
