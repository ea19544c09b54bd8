-- How often the queries of each fingerprint ran from ?4 to ?3, in each span of ?2 milliseconds from ?1 on.
SELECT fingerprint AS "fingerprint!: i64", (started_ms - ?1) / ?2 AS "part!: i64",
    count(*) AS "count!: i64"
FROM query
WHERE started_ms BETWEEN ?4 AND ?3
  AND fingerprint IN (SELECT value FROM json_each(?5))
  AND (?6 IS NULL OR user = ?6)
  AND (?7 IS NULL OR cluster IN (SELECT value FROM json_each(?7)))
GROUP BY 1, 2
