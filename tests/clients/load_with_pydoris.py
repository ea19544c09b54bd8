"""Loads rows with the PyPI package pydoris, unchanged. Arguments: host, port, rows."""

import sys

from pydoris.doris_client import DorisClient

host, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = DorisClient(host, port, "root", "")
client.options.set_csv_format("\\x01").set_line_delimiter("\\x02").set_label("pydoris-csv")
client.options.set_option("columns", "query_id, time, user, db, state, query_time, stmt")
rows = [
    ["pydoris-%d" % number, "2024-08-06 11:16:00.951", "alice", "shop", "EOF", "12",
     "select %d,\n'%s'" % (number, "x" * 500)]
    for number in range(count)
]
body = "".join("\x01".join(row) + "\x02" for row in rows)
assert client.write("__internal_schema", "audit_log", body)
# A second load with the same label fails, and adds no rows.
assert not client.write("__internal_schema", "audit_log", body.replace("pydoris-", "again-"))

client = DorisClient(host, port, "root", "")
client.options.set_json_format().set_auto_uuid_label()
assert client.write(
    "__internal_schema",
    "audit_log",
    '{"query_id": "pydoris-json", "time": "2024-08-06 11:16:01", "stmt": "select 1"}\n',
)
