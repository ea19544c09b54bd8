-- Rows whose counterpart in another table is missing. A normalized statement without a query is none: one stays when
-- another report of its query has another statement.
SELECT
    (SELECT count(*) FROM profile WHERE query NOT IN (SELECT id FROM query))
        AS "profiles!: i64",
    (SELECT count(*) FROM plan WHERE query NOT IN (SELECT query FROM profile))
        AS "plans!: i64",
    (SELECT count(*) FROM load WHERE query NOT IN (SELECT id FROM query))
        AS "loads!: i64",
    (SELECT count(DISTINCT fingerprint) FROM query
     WHERE fingerprint NOT IN (SELECT fingerprint FROM statement))
        AS "fingerprints!: i64"
