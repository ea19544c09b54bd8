-- From a trace id to its query. Only rows that have one are in it.
CREATE INDEX query_by_trace_id ON query (trace_id) WHERE trace_id IS NOT NULL;
