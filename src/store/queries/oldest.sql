-- The queries that started first, with the bytes of the texts that go with them.
SELECT query.id AS "id!", started_ms,
    ifnull(octet_length(statement), 0) + ifnull(octet_length(error_message), 0)
        + ifnull(octet_length(queried_tables), 0) + ifnull(octet_length(chosen_views), 0)
        + ifnull(octet_length(changed_variables), 0) + ifnull(octet_length(extra), 0)
        + ifnull(octet_length(table_list), 0) + ifnull(octet_length(file_path_list), 0)
        + ifnull(octet_length(message), 0) + ifnull(octet_length(url), 0)
        + ifnull(length(body), 0) AS "bytes!: i64"
FROM query INDEXED BY query_by_start
LEFT JOIN load ON load.query = query.id
LEFT JOIN profile ON profile.query = query.id
WHERE query.id <= ?1
ORDER BY started_ms, query.id LIMIT ?2
