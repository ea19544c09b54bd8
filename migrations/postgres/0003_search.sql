-- The search index: for each run of 256 rows, which sequences of five bytes occur in its statements. Whoever holds the
-- lease of the index makes a segment of 16,384 rows once no transaction can add a row to it.

CREATE TABLE search_segment (
    segment              bigint PRIMARY KEY,
    is_stale             boolean NOT NULL,
    changes              bigint NOT NULL
);

COMMENT ON TABLE search_segment IS 'The segments of the search index';
COMMENT ON COLUMN search_segment.is_stale IS
    'whether a statement has changed since the masks were made. A search reads all rows of such a segment';
COMMENT ON COLUMN search_segment.changes IS
    'how often a statement has changed. The masks are valid if it has not changed while they were made';

CREATE TABLE search_page (
    id                   bigint PRIMARY KEY,
    masks                bytea NOT NULL
);

COMMENT ON TABLE search_page IS 'The masks of the search index';
COMMENT ON COLUMN search_page.id IS 'segment * 512 + bucket / 64';
COMMENT ON COLUMN search_page.masks IS 'of 64 buckets, 8 bytes each, little endian';

-- The masks hardly compress, and a search reads eight bytes of each.
ALTER TABLE search_page ALTER COLUMN masks SET STORAGE MAIN;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        PERFORM create_reference_table('search_segment');
        PERFORM create_distributed_table('search_page', 'id', colocate_with => 'none');
    END IF;
END $$;
