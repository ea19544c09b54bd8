-- What the queries of an hour cost, in groups, so that a report over months reads some rows an hour. annals makes a row while it
-- serves, some hours after the hour's end, and removes it in the same transaction as it changes a query of the hour: such an hour
-- is read query by query until it has a row again. A program that writes queries by other means has to empty the table.
CREATE TABLE hour_summary (
    hour                 bigint PRIMARY KEY,
    token                bigint NOT NULL,
    version              bigint,
    body                 bytea
);

COMMENT ON TABLE hour_summary IS
    'What the queries of an hour cost, in the form of annals. The table holds nothing that the queries do not say';
COMMENT ON COLUMN hour_summary.hour IS 'hours since 1970 in UTC, by start of the queries';
COMMENT ON COLUMN hour_summary.token IS 'of the reading that makes the body';
COMMENT ON COLUMN hour_summary.version IS 'of the form of the body; NULL while it is being made';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        PERFORM create_distributed_table('hour_summary', 'hour', colocate_with => 'none');
    END IF;
END $$;
