-- What annals reads of each profile's plan as it stores the profile, so that the plans of a statement are known without
-- reading its profiles. A row goes with its profile. annals reads the profiles that an older annals stored while it serves.
CREATE TABLE plan (
    query         INTEGER PRIMARY KEY REFERENCES profile (query) ON DELETE CASCADE,
    read_version  INTEGER NOT NULL,                  -- of the reader: a later annals reads the plan again; 0 if unread
    fingerprint   INTEGER,                           -- shape of the plan; NULL if the profile has no operators
    planning_ms   INTEGER,                           -- parsed, analysed and planned by the frontend
    queue_ms      INTEGER,                           -- waited in the queue of a resource group, as the profile reports it
    execution_ms  INTEGER,                           -- from the end of scheduling until the result was complete
    fetching_ms   INTEGER,                           -- of that, the frontend fetched the result; only Doris reports it
    work_ns       INTEGER,                           -- sum of the own times of all nodes
    wait_ns       INTEGER,                           -- sum of the times that the nodes waited
    spill_bytes   INTEGER,                           -- written to disk by all nodes because memory was short
    findings      TEXT                               -- JSON array of the rules that found something
) STRICT;

-- Version 0 is of no reader. Profiles alone would have to be read page by page, which annals would do at each start.
INSERT INTO plan (query, read_version) SELECT query, 0 FROM profile;

-- Finds the other runs of a plan, the newest first.
CREATE INDEX plan_by_fingerprint ON plan (fingerprint) WHERE fingerprint IS NOT NULL;

-- Every run whose plan is known, with readable times in UTC. The view has no order, as query_history.
CREATE VIEW plan_history AS
SELECT
    query.query_id,
    strftime('%Y-%m-%d %H:%M:%f', query.started_ms / 1000.0, 'unixepoch') AS started_at,
    iif(query.fingerprint IS NULL, NULL, printf('%016x', query.fingerprint)) AS fingerprint,
    iif(plan.fingerprint IS NULL, NULL, printf('%016x', plan.fingerprint)) AS plan_fingerprint,
    query.duration_ms,
    plan.planning_ms,
    ifnull(plan.queue_ms, query.queue_time_ms) AS queue_ms,
    plan.execution_ms,
    plan.fetching_ms,
    plan.work_ns,
    plan.wait_ns,
    plan.spill_bytes,
    plan.findings,
    query.user,
    query.db,
    query.started_ms
FROM plan
JOIN query ON query.id = plan.query
WHERE plan.read_version > 0;

-- Normalized statements by day, the newest day first, and the one with the largest total time first within a day.
CREATE VIEW statement_days AS
SELECT
    date(query.started_ms / 1000, 'unixepoch') AS day,
    printf('%016x', query.fingerprint) AS fingerprint,
    count(*) AS count,
    sum(query.is_failed) AS errors,
    CAST(sum(query.duration_ms * 1.0) AS INTEGER) AS total_ms,
    CAST(round(avg(query.duration_ms)) AS INTEGER) AS average_ms,
    max(query.duration_ms) AS longest_ms,
    CAST(round(avg(query.scan_rows)) AS INTEGER) AS average_scan_rows,
    CAST(sum(query.cpu_time_ms * 1.0) AS INTEGER) AS cpu_time_ms,
    CAST(sum(query.queue_time_ms * 1.0) AS INTEGER) AS queue_time_ms,
    count(DISTINCT plan.fingerprint) AS plans
FROM query
LEFT JOIN plan ON plan.query = query.id
WHERE query.fingerprint IS NOT NULL AND query.started_ms IS NOT NULL
GROUP BY day, query.fingerprint
ORDER BY day DESC, total_ms DESC;
