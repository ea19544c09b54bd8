-- How often the queries of each fingerprint ran in each span of ?2 milliseconds from ?1 to ?3.
SELECT fingerprint AS "fingerprint!: i64", (started_ms - ?1) / ?2 AS "part!: i64",
    count(*) AS "count!: i64"
FROM query
WHERE started_ms BETWEEN ?1 AND ?3
  AND fingerprint IN (SELECT value FROM json_each(?4))
  AND (?5 IS NULL OR user = ?5)
GROUP BY 1, 2
