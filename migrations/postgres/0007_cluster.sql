-- One history of several clusters.
ALTER TABLE query ADD COLUMN cluster text COLLATE "C";

COMMENT ON COLUMN query.cluster IS 'the cluster, as the source names it';

CREATE TABLE cluster (
    name                 text COLLATE "C" PRIMARY KEY
);

COMMENT ON TABLE cluster IS
    'The clusters that queries name, so that lists know without reading the queries whether there are several';

ALTER TABLE account ADD COLUMN clusters text COLLATE "C";

COMMENT ON COLUMN account.clusters IS
    'the clusters whose queries alone the account may see, as a JSON array; NULL for all queries';

-- The new column is the last, so that the rights on the view stay.
CREATE OR REPLACE VIEW query_history AS
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
    is_start_estimated,
    cluster
FROM query
LEFT JOIN profile ON profile.query_id = query.query_id;

ALTER TABLE stream_load_label ADD COLUMN cluster text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE stream_load_label DROP CONSTRAINT stream_load_label_pkey;
ALTER TABLE stream_load_label ADD CONSTRAINT stream_load_label_pkey PRIMARY KEY (cluster, db, label);

COMMENT ON TABLE stream_load_label IS 'The labels of stream loads. A label of a database of a cluster is loaded once';
COMMENT ON COLUMN stream_load_label.cluster IS 'empty where the load names none';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        PERFORM create_reference_table('cluster');
    END IF;
END $$;
