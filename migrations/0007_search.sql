-- The search index. For each run of 256 rows of query the index has the sequences of five bytes that occur in
-- their statements. A search reads the statements of the runs that the index does not rule out.

-- A segment is the 16,384 rows of query from id segment * 16384 on. A search reads all rows that are in no
-- segment or in a stale one.
CREATE TABLE search_segment (
    segment        INTEGER PRIMARY KEY,
    is_stale       INTEGER NOT NULL                  -- 1 where a statement has changed; the writer makes the segment again
) STRICT;

-- The masks of a segment. A sequence of five bytes (ASCII letters in lower case) hashes into one of 32,768
-- buckets. Bit n of a bucket's mask is set if run n of the segment's 64 has such a sequence.
CREATE TABLE search_page (
    id             INTEGER PRIMARY KEY,              -- segment * 512 + bucket / 64
    masks          BLOB    NOT NULL                  -- of 64 buckets, 8 bytes each, little endian
) STRICT;

CREATE TRIGGER search_segment_becomes_stale
AFTER UPDATE OF statement ON query WHEN new.statement IS NOT old.statement
BEGIN
    UPDATE search_segment SET is_stale = 1 WHERE segment = old.id / 16384;
END;
