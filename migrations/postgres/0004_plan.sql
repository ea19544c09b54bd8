-- What annals reads of each profile's plan as it stores the profile.

CREATE TABLE plan (
    query_id             text COLLATE "C" PRIMARY KEY,
    id                   bigserial NOT NULL,
    read_version         bigint NOT NULL,
    fingerprint          bigint,
    planning_ms          bigint,
    queue_ms             bigint,
    execution_ms         bigint,
    fetching_ms          bigint,
    work_ns              bigint,
    wait_ns              bigint,
    spill_bytes          bigint,
    findings             text COLLATE "C"
);

COMMENT ON TABLE plan IS
    'What annals reads of each profile''s plan as it stores the profile. A row goes with its profile. A profile that an '
    'older annals stored gets its row while annals serves';
COMMENT ON COLUMN plan.id IS 'order in which the profiles were read first';
COMMENT ON COLUMN plan.read_version IS 'of the reader: a later annals reads the plan again';
COMMENT ON COLUMN plan.fingerprint IS 'shape of the plan; NULL if the profile has no operators';
COMMENT ON COLUMN plan.planning_ms IS 'parsed, analysed and planned by the frontend';
COMMENT ON COLUMN plan.queue_ms IS 'waited in the queue of a resource group, as the profile reports it';
COMMENT ON COLUMN plan.execution_ms IS 'from the end of scheduling until the result was complete';
COMMENT ON COLUMN plan.fetching_ms IS 'of that, the frontend fetched the result; only Doris reports it';
COMMENT ON COLUMN plan.work_ns IS 'sum of the own times of all nodes';
COMMENT ON COLUMN plan.wait_ns IS 'sum of the times that the nodes waited';
COMMENT ON COLUMN plan.spill_bytes IS 'written to disk by all nodes because memory was short';
COMMENT ON COLUMN plan.findings IS 'JSON array of the rules that found something in the profile';

-- Finds the other runs of a plan, the newest first.
CREATE INDEX plan_by_fingerprint ON plan (fingerprint, id) WHERE fingerprint IS NOT NULL;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        PERFORM set_config('citus.multi_shard_modify_mode', 'sequential', true);
        PERFORM create_distributed_table('plan', 'query_id', colocate_with => 'query');
    END IF;
END $$;

-- Citus knows foreign keys only between tables that are distributed already.
ALTER TABLE plan ADD CONSTRAINT plan_of_profile
    FOREIGN KEY (query_id) REFERENCES profile (query_id) ON DELETE CASCADE;

CREATE VIEW plan_history AS
SELECT
    query.query_id,
    to_char(utc(query.started_ms), 'YYYY-MM-DD HH24:MI:SS.MS') AS started_at,
    lpad(to_hex(query.fingerprint), 16, '0') AS fingerprint,
    lpad(to_hex(plan.fingerprint), 16, '0') AS plan_fingerprint,
    query.duration_ms,
    plan.planning_ms,
    coalesce(plan.queue_ms, query.queue_time_ms) AS queue_ms,
    plan.execution_ms,
    plan.fetching_ms,
    plan.work_ns,
    plan.wait_ns,
    plan.spill_bytes,
    plan.findings,
    query."user",
    query.db,
    query.started_ms
FROM plan
JOIN query ON query.query_id = plan.query_id;

COMMENT ON VIEW plan_history IS
    'Every run whose plan is known, with readable times in UTC. The view has no order, as query_history';

CREATE VIEW statement_days AS
SELECT
    to_char(utc(query.started_ms / 1000 * 1000), 'YYYY-MM-DD') AS day,
    lpad(to_hex(query.fingerprint), 16, '0') AS fingerprint,
    count(*) AS count,
    count(*) FILTER (WHERE query.is_failed) AS errors,
    sum(query.duration_ms) AS total_ms,
    CAST(round(avg(query.duration_ms)) AS bigint) AS average_ms,
    max(query.duration_ms) AS longest_ms,
    CAST(round(avg(query.scan_rows)) AS bigint) AS average_scan_rows,
    sum(query.cpu_time_ms) AS cpu_time_ms,
    sum(query.queue_time_ms) AS queue_time_ms,
    count(DISTINCT plan.fingerprint) AS plans
FROM query
LEFT JOIN plan ON plan.query_id = query.query_id
WHERE query.fingerprint IS NOT NULL AND query.started_ms IS NOT NULL
GROUP BY 1, query.fingerprint
ORDER BY 1 DESC, total_ms DESC NULLS LAST;

COMMENT ON VIEW statement_days IS
    'Normalized statements by day, the newest day first, and the one with the largest total time first within a day';
