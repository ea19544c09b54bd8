-- Lists the newest queries of one user. A user who is no admin sees only these.
CREATE INDEX query_by_user ON query (user, started_ms);
