-- Finds a query by its trace id. The index has only rows with a trace id.
CREATE INDEX query_by_trace_id ON query (trace_id) WHERE trace_id IS NOT NULL;
