-- What the plans of each statement cost: the plan with the largest total time first. Only runs whose profile is stored count.
CREATE VIEW statement_plans AS
SELECT
    printf('%016x', query.fingerprint) AS fingerprint,
    printf('%016x', plan.fingerprint) AS plan_fingerprint,
    count(*) AS runs,
    CAST(round(avg(query.duration_ms)) AS INTEGER) AS average_ms,
    min(query.duration_ms) AS shortest_ms,
    max(query.duration_ms) AS longest_ms,
    CAST(sum(query.duration_ms * 1.0) AS INTEGER) AS total_ms,
    strftime('%Y-%m-%d %H:%M:%f', min(query.started_ms) / 1000.0, 'unixepoch') AS first_at,
    strftime('%Y-%m-%d %H:%M:%f', max(query.started_ms) / 1000.0, 'unixepoch') AS last_at,
    count(*) OVER (PARTITION BY query.fingerprint) AS plans_of_statement
FROM plan
JOIN query ON query.id = plan.query
WHERE plan.fingerprint IS NOT NULL AND query.fingerprint IS NOT NULL
GROUP BY query.fingerprint, plan.fingerprint
ORDER BY total_ms DESC;

-- Statements whose runs of the newest day took at least a third longer on average, and 5 ms, than those of the seven days before;
-- at least 8 runs each. The one that cost most time is first. Averages alone: `annals regress` says how sure it is, too.
CREATE VIEW slower_statements AS
WITH newest AS (SELECT max(started_ms) AS at_ms FROM query),
period AS (
    SELECT
        query.fingerprint,
        sum(query.started_ms > newest.at_ms - 86400000) AS runs,
        avg(query.duration_ms) FILTER (WHERE query.started_ms > newest.at_ms - 86400000) AS average_ms,
        avg(query.scan_rows) FILTER (WHERE query.started_ms > newest.at_ms - 86400000) AS scan_rows,
        avg(query.queue_time_ms) FILTER (WHERE query.started_ms > newest.at_ms - 86400000) AS queue_ms,
        sum(query.started_ms <= newest.at_ms - 86400000) AS runs_before,
        avg(query.duration_ms) FILTER (WHERE query.started_ms <= newest.at_ms - 86400000) AS average_before_ms,
        avg(query.scan_rows) FILTER (WHERE query.started_ms <= newest.at_ms - 86400000) AS scan_rows_before,
        avg(query.queue_time_ms) FILTER (WHERE query.started_ms <= newest.at_ms - 86400000) AS queue_before_ms
    FROM newest
    JOIN query ON query.started_ms > newest.at_ms - 8 * 86400000
    WHERE query.fingerprint IS NOT NULL AND query.duration_ms IS NOT NULL
    GROUP BY query.fingerprint
)
SELECT
    printf('%016x', fingerprint) AS fingerprint,
    CAST(round((average_ms - average_before_ms) * runs) AS INTEGER) AS extra_ms,
    runs,
    CAST(round(average_ms) AS INTEGER) AS average_ms,
    CAST(round(scan_rows) AS INTEGER) AS average_scan_rows,
    CAST(round(queue_ms) AS INTEGER) AS average_queue_ms,
    runs_before,
    CAST(round(average_before_ms) AS INTEGER) AS average_before_ms,
    CAST(round(scan_rows_before) AS INTEGER) AS average_scan_rows_before,
    CAST(round(queue_before_ms) AS INTEGER) AS average_queue_before_ms
FROM period
WHERE runs >= 8 AND runs_before >= 8
  AND average_ms >= average_before_ms * 4 / 3 AND average_ms - average_before_ms >= 5
ORDER BY (average_ms - average_before_ms) * runs DESC;
