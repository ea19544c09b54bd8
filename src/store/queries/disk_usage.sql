-- The pages of the file. The macro does not find a column of a pragma that is no expression.
SELECT
    (SELECT 0 + page_size FROM pragma_page_size()) AS "page_bytes!: i64",
    (SELECT 0 + page_count FROM pragma_page_count()) AS "pages!: i64",
    (SELECT 0 + freelist_count FROM pragma_freelist_count()) AS "free_pages!: i64",
    (SELECT auto_vacuum = 2 FROM pragma_auto_vacuum()) AS "is_shrinkable!: bool"
