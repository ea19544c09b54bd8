-- The own time of a scan, and what rules find in a plan of many nodes, are read in another way: all plans are read again.
INSERT INTO unread_plan (query_id, token) SELECT query_id, 0 FROM profile ON CONFLICT (query_id) DO NOTHING;
