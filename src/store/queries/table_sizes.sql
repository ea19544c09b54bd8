-- The size of each table and of its indexes, the largest first.
WITH counted (name, rows) AS (
    SELECT 'query', count(*) FROM query
    UNION ALL SELECT 'load', count(*) FROM load
    UNION ALL SELECT 'profile', count(*) FROM profile
    UNION ALL SELECT 'plan', count(*) FROM plan
    UNION ALL SELECT 'unread_plan', count(*) FROM unread_plan
    UNION ALL SELECT 'hour_summary', count(*) FROM hour_summary
    UNION ALL SELECT 'statement', count(*) FROM statement
    UNION ALL SELECT 'search_segment', count(*) FROM search_segment
    UNION ALL SELECT 'search_page', count(*) FROM search_page
    UNION ALL SELECT 'followed_file', count(*) FROM followed_file
    UNION ALL SELECT 'audit_table', count(*) FROM audit_table
    UNION ALL SELECT 'audit_table_minute', count(*) FROM audit_table_minute
    UNION ALL SELECT 'stream_load_label', count(*) FROM stream_load_label
    UNION ALL SELECT 'account', count(*) FROM account
    UNION ALL SELECT 'token', count(*) FROM token
    UNION ALL SELECT 'cluster', count(*) FROM cluster
    UNION ALL SELECT 'login', count(*) FROM login
    UNION ALL SELECT 'time_source', count(*) FROM time_source
    UNION ALL SELECT 'merged_part', count(*) FROM merged_part
    UNION ALL SELECT 'retention_clock', count(*) FROM retention_clock
)
SELECT counted.name AS "table!: String", rows AS "rows!: i64",
    ifnull(sum(pgsize) FILTER (WHERE type = 'table'), 0) AS "bytes!: i64",
    ifnull(sum(pgsize) FILTER (WHERE type = 'index'), 0) AS "index_bytes!: i64"
FROM counted
JOIN sqlite_schema ON tbl_name = counted.name
JOIN dbstat ON dbstat.name = sqlite_schema.name AND aggregate = 1
GROUP BY counted.name
ORDER BY sum(pgsize) DESC, counted.name
