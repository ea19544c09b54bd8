-- Finds the queries that ran for a minute or longer, or whose end is not known, by their start: what ran in a range of time is
-- what started in it or shortly before, and what of these few was still running.
CREATE INDEX query_by_long_run ON query (started_ms, duration_ms, ended_ms)
    WHERE duration_ms >= 60000 OR ended_ms IS NULL;
