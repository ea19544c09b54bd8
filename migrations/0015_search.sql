-- What finds a text in ten million statements without reading them: for each run of 256 rows of query,
-- which sequences of five bytes its statements have. It can only rule rows out; the statements decide.

-- A segment is 16,384 rows of query, by id: those from segment * 16384 on. Rows of no segment, and of one
-- that is stale, are read as they are.
CREATE TABLE search_segment (
    segment        INTEGER PRIMARY KEY,
    is_stale       INTEGER NOT NULL                  -- 1 where a statement changed since; it is made anew
) STRICT;

-- The masks of a segment: a sequence of five bytes (ASCII letters in lower case) falls into one of 32,768
-- buckets, and bit n of a bucket's mask says that run n of the segment's 64 has it.
CREATE TABLE search_page (
    id             INTEGER PRIMARY KEY,              -- segment * 512 + bucket / 64
    masks          BLOB    NOT NULL                  -- of 64 buckets, 8 bytes each, little endian
) STRICT;

CREATE TRIGGER search_segment_turns_stale
AFTER UPDATE OF statement ON query WHEN new.statement IS NOT old.statement
BEGIN
    UPDATE search_segment SET is_stale = 1 WHERE segment = old.id / 16384;
END;
