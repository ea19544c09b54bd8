-- Queries whose profiles may go, the oldest first: all, or those that started before ?2.
SELECT profile.query AS "query!", length(profile.body) AS "bytes!: i64",
       query.started_ms
FROM profile CROSS JOIN query ON query.id = profile.query
WHERE ?1 OR query.started_ms < ?2
ORDER BY query.started_ms, query.id LIMIT ?3
