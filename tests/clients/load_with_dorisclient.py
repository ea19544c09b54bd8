"""Loads rows with the PyPI package DorisClient, unchanged. Arguments: host, port, rows."""

import sys

from DorisClient import DorisSession

host, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
session = DorisSession(["%s:%s" % (host, port)], "__internal_schema", "root", "secret")
rows = [
    {"query_id": "dorisclient-%d" % number, "time": "2024-08-06 11:17:00.1", "user": "bob",
     "db": "shop", "query_time": 7, "is_query": True, "stmt": "select '中文', %d" % number}
    for number in range(count)
]
assert session.streamload("audit_log", rows)
