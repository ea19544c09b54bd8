-- The size of the tables and indexes from which retention never removes anything.
SELECT ifnull(sum(pgsize), 0) AS "bytes!: i64"
FROM sqlite_schema CROSS JOIN dbstat ON dbstat.name = sqlite_schema.name AND aggregate = 1
WHERE rootpage > 0 AND tbl_name NOT IN (
    'query', 'load', 'profile', 'plan', 'unread_plan', 'statement', 'search_segment', 'search_page', 'login',
    'stream_load_label')
