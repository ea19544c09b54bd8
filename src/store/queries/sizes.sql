-- How much the store holds.
SELECT
    (SELECT count(*) FROM query) AS "queries!: i64",
    (SELECT count(*) FROM profile) AS "profiles!: i64",
    (SELECT CAST(total(text_bytes) AS INTEGER) FROM profile)
        AS "profile_text_bytes!: i64",
    (SELECT CAST(total(length(body)) AS INTEGER) FROM profile)
        AS "profile_bytes!: i64",
    (SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size())
        AS "file_bytes!: i64"
