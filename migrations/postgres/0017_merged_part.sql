-- The parts of other histories that `annals merge` has merged into this one, so that the next run does not send them again. A part
-- that has changed since has another digest. A row says nothing that the queries do not say: without it, the part is merged again,
-- which changes nothing.
CREATE TABLE merged_part (
    digest               text COLLATE "C" PRIMARY KEY
);

COMMENT ON TABLE merged_part IS 'The parts of other histories that annals merge has merged into this one';
COMMENT ON COLUMN merged_part.digest IS 'XXH3 (128 bits, hex) of all values of the part';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        PERFORM create_distributed_table('merged_part', 'digest', colocate_with => 'none');
    END IF;
END $$;
