-- How far annals has read each audit table.

CREATE TABLE audit_table (
    name                 text COLLATE "C" PRIMARY KEY,
    read_from            text COLLATE "C" NOT NULL,
    oldest               text COLLATE "C" NOT NULL
);

COMMENT ON TABLE audit_table IS
    'How far annals has read each audit table. Minutes are of the table''s own local time, like 2024-01-02 11:15';
COMMENT ON COLUMN audit_table.name IS 'as it is configured, or its address';
COMMENT ON COLUMN audit_table.read_from IS 'the rows from this minute on are stored; older ones are read next';
COMMENT ON COLUMN audit_table.oldest IS 'the table has no rows before this minute';

CREATE TABLE audit_table_minute (
    name                 text COLLATE "C" NOT NULL,
    minute               text COLLATE "C" NOT NULL,
    rows                 bigint NOT NULL,
    PRIMARY KEY (name, minute)
);

COMMENT ON TABLE audit_table_minute IS
    'How many rows were read of each minute. A minute is read again once the table has another number';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        PERFORM create_distributed_table('audit_table', 'name', colocate_with => 'none');
        PERFORM create_distributed_table('audit_table_minute', 'name', colocate_with => 'audit_table');
    END IF;
END $$;
