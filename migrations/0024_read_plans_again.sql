-- The own time of a scan, and what rules find in a plan of many nodes, are read in another way: all plans are read again.
INSERT OR IGNORE INTO unread_plan (query, token) SELECT query, 0 FROM profile;
