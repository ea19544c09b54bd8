-- One history of several clusters.
ALTER TABLE query ADD COLUMN cluster TEXT;                -- as the source names it

-- The clusters that queries name, so that lists know without reading the queries whether there are several.
CREATE TABLE cluster (
    name           TEXT    PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- The clusters whose queries alone the account may see, as a JSON array; NULL for all queries.
ALTER TABLE account ADD COLUMN clusters TEXT;

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
    is_start_estimated,
    cluster
FROM query;

-- The labels of stream loads. A label of a database of a cluster is loaded once. The new table takes the pages of the old one.
CREATE TEMP TABLE kept_label AS SELECT db, label, loaded_ms FROM stream_load_label;

DROP TABLE stream_load_label;

CREATE TABLE stream_load_label (
    cluster        TEXT    NOT NULL,                 -- empty where the load names none
    db             TEXT    NOT NULL,
    label          TEXT    NOT NULL,
    loaded_ms      INTEGER NOT NULL,
    PRIMARY KEY (cluster, db, label)
) STRICT, WITHOUT ROWID;

INSERT INTO stream_load_label SELECT '', db, label, loaded_ms FROM kept_label;

DROP TABLE temp.kept_label;

CREATE INDEX stream_load_label_by_time ON stream_load_label (loaded_ms);
