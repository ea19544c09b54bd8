CREATE VIEW statement_plans AS
SELECT
    lpad(to_hex(query.fingerprint), 16, '0') AS fingerprint,
    lpad(to_hex(plan.fingerprint), 16, '0') AS plan_fingerprint,
    count(*) AS runs,
    CAST(round(avg(query.duration_ms)) AS bigint) AS average_ms,
    min(query.duration_ms) AS shortest_ms,
    max(query.duration_ms) AS longest_ms,
    sum(query.duration_ms) AS total_ms,
    to_char(utc(min(query.started_ms)), 'YYYY-MM-DD HH24:MI:SS.MS') AS first_at,
    to_char(utc(max(query.started_ms)), 'YYYY-MM-DD HH24:MI:SS.MS') AS last_at,
    count(*) OVER (PARTITION BY query.fingerprint) AS plans_of_statement
FROM plan
JOIN query ON query.query_id = plan.query_id
WHERE plan.fingerprint IS NOT NULL AND query.fingerprint IS NOT NULL
GROUP BY query.fingerprint, plan.fingerprint
ORDER BY total_ms DESC NULLS LAST;

COMMENT ON VIEW statement_plans IS
    'What the plans of each statement cost: the plan with the largest total time first. Only runs whose profile is stored count';

CREATE VIEW slower_statements AS
WITH newest AS (SELECT max(started_ms) AS at_ms FROM query),
period AS (
    SELECT
        query.fingerprint,
        count(*) FILTER (WHERE query.started_ms > newest.at_ms - 86400000) AS runs,
        avg(query.duration_ms) FILTER (WHERE query.started_ms > newest.at_ms - 86400000) AS average_ms,
        avg(query.scan_rows) FILTER (WHERE query.started_ms > newest.at_ms - 86400000) AS scan_rows,
        avg(query.queue_time_ms) FILTER (WHERE query.started_ms > newest.at_ms - 86400000) AS queue_ms,
        count(*) FILTER (WHERE query.started_ms <= newest.at_ms - 86400000) AS runs_before,
        avg(query.duration_ms) FILTER (WHERE query.started_ms <= newest.at_ms - 86400000) AS average_before_ms,
        avg(query.scan_rows) FILTER (WHERE query.started_ms <= newest.at_ms - 86400000) AS scan_rows_before,
        avg(query.queue_time_ms) FILTER (WHERE query.started_ms <= newest.at_ms - 86400000) AS queue_before_ms
    FROM newest
    JOIN query ON query.started_ms > newest.at_ms - 8 * 86400000::bigint
    WHERE query.fingerprint IS NOT NULL AND query.duration_ms IS NOT NULL
    GROUP BY query.fingerprint
)
SELECT
    lpad(to_hex(fingerprint), 16, '0') AS fingerprint,
    CAST(round((average_ms - average_before_ms) * runs) AS bigint) AS extra_ms,
    runs,
    CAST(round(average_ms) AS bigint) AS average_ms,
    CAST(round(scan_rows) AS bigint) AS average_scan_rows,
    CAST(round(queue_ms) AS bigint) AS average_queue_ms,
    runs_before,
    CAST(round(average_before_ms) AS bigint) AS average_before_ms,
    CAST(round(scan_rows_before) AS bigint) AS average_scan_rows_before,
    CAST(round(queue_before_ms) AS bigint) AS average_queue_before_ms
FROM period
WHERE runs >= 8 AND runs_before >= 8
  AND average_ms >= average_before_ms * 4 / 3 AND average_ms - average_before_ms >= 5
ORDER BY (average_ms - average_before_ms) * runs DESC;

COMMENT ON VIEW slower_statements IS
    'Statements whose runs of the newest day took at least a third longer on average than those of the seven days before';
