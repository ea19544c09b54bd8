-- Rows whose counterpart in another table is missing.
SELECT
    (SELECT count(*) FROM profile WHERE query NOT IN (SELECT id FROM query))
        AS "profiles!: i64",
    (SELECT count(*) FROM load WHERE query NOT IN (SELECT id FROM query))
        AS "loads!: i64",
    (SELECT count(DISTINCT fingerprint) FROM query
     WHERE fingerprint NOT IN (SELECT fingerprint FROM statement))
        AS "fingerprints!: i64",
    (SELECT count(*) FROM statement
     WHERE NOT EXISTS (
         SELECT 1 FROM query WHERE query.fingerprint = statement.fingerprint))
        AS "statements!: i64"
