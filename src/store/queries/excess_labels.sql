-- The time of the last label that must go, so that those up to it have ?2 bytes.
SELECT loaded_ms FROM (
    SELECT loaded_ms, sum(2 * (octet_length(cluster) + octet_length(db) + octet_length(label)) + ?1)
        OVER (ORDER BY loaded_ms ROWS UNBOUNDED PRECEDING) AS bytes
    FROM stream_load_label
)
WHERE bytes >= ?2 LIMIT 1
