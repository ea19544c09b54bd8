-- In which zone annals read the times that a source wrote without one, so that another zone does not go unnoticed, and times that
-- were read in a wrong one can be moved.
CREATE TABLE time_source (
    id                   bigserial PRIMARY KEY,
    source               text COLLATE "C" NOT NULL,
    time_zone            text COLLATE "C" NOT NULL,
    shifted_ms           bigint NOT NULL,
    used_ms              bigint NOT NULL,
    UNIQUE (source, time_zone, shifted_ms)
);

COMMENT ON TABLE time_source IS 'In which zone annals read the times that a source wrote without one';
COMMENT ON COLUMN time_source.source IS 'as the status names it; empty if none was noted';
COMMENT ON COLUMN time_source.time_zone IS 'IANA name; empty if none was noted';
COMMENT ON COLUMN time_source.shifted_ms IS 'by how much annals shift moved the times since';
COMMENT ON COLUMN time_source.used_ms IS
    'when the source was read in the zone first, or again after another one';

ALTER TABLE query ADD COLUMN time_source bigint;
ALTER TABLE login ADD COLUMN time_source bigint;

COMMENT ON COLUMN query.time_source IS
    'the row of time_source; 0 where the source wrote an instant, which depends on no zone; NULL where nobody knows';
COMMENT ON COLUMN login.time_source IS 'as in query';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        PERFORM create_reference_table('time_source');
    END IF;
END $$;
