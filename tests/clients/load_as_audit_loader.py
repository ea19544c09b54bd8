"""Loads rows with the requests of the AuditLoader plugin of Doris, and with the columns of each version.
Arguments: host, port."""

import base64
import http.client
import json
import sys
from urllib.parse import urlsplit

host, port = sys.argv[1], int(sys.argv[2])

OLD = ("query_id,time,client_ip,user,db,state,error_code,error_message,query_time,scan_bytes,scan_rows,"
       "return_rows,stmt_id,is_query,frontend_ip,cpu_time_ms,sql_hash,sql_digest,peak_memory_bytes,stmt")
NEWER = OLD.replace("user,db", "user,catalog,db").replace(
    ",peak_memory_bytes,stmt", ",peak_memory_bytes,workload_group,stmt")
NEWEST = NEWER.replace(
    "return_rows,", "return_rows,shuffle_send_rows,shuffle_send_bytes,"
    "scan_bytes_from_local_storage,scan_bytes_from_remote_storage,").replace(
    "stmt_id,is_query,", "stmt_id,stmt_type,is_query,is_nereids,").replace(
    "workload_group,", "workload_group,compute_group,trace_id,")

VALUES = {
    "time": "2024-08-06 11:18:00.123", "client_ip": "10.0.0.9:4711", "user": "carol",
    "catalog": "internal", "db": "web", "state": "EOF", "error_code": "0", "error_message": "",
    "query_time": "33", "scan_bytes": "1024", "scan_rows": "10", "return_rows": "1",
    "shuffle_send_rows": "2", "shuffle_send_bytes": "20", "scan_bytes_from_local_storage": "3",
    "scan_bytes_from_remote_storage": "4", "stmt_id": "5", "stmt_type": "SELECT", "is_query": "1",
    "is_nereids": "1", "frontend_ip": "10.0.0.1", "cpu_time_ms": "6", "sql_hash": "ab12",
    "sql_digest": "", "peak_memory_bytes": "4096", "workload_group": "normal", "compute_group": "g1",
    "trace_id": "trace-1",
}


def headers(label, columns, separator, delimiter):
    sent = {
        "Authorization": "Basic " + base64.b64encode(b"root:").decode(),
        "Expect": "100-continue",
        "Content-Type": "text/plain; charset=UTF-8",
        "label": label,
        "columns": columns,
        "max_filter_ratio": "1.0",
    }
    if separator != "\t":
        sent["column_separator"] = "\\x%02x" % ord(separator)
        sent["line_delimiter"] = "\\x%02x" % ord(delimiter)
    return sent


def load(version, columns, separator, delimiter):
    names = columns.split(",")
    row = dict(VALUES, query_id="loader-" + version, stmt="select '%s' from a | b" % version)
    body = separator.join(row[name] for name in names) + delimiter
    sent = headers("_log_20240806_111800_" + version, columns, separator, delimiter)
    # The first request has no body, and is redirected.
    frontend = http.client.HTTPConnection(host, port, timeout=20)
    frontend.request("PUT", "/api/__internal_schema/audit_log/_stream_load", headers=sent)
    answer = frontend.getresponse()
    assert answer.status == 307, answer.status
    location = urlsplit(answer.headers["Location"])
    answer.read()
    # The second request sends the rows to the new location.
    backend = http.client.HTTPConnection(location.hostname, location.port, timeout=20)
    backend.request("PUT", location.path + "?" + location.query, body.encode(), sent)
    answer = backend.getresponse()
    assert answer.status == 200, answer.status
    return json.loads(answer.read())


for version, columns, separator, delimiter in [
    ("2.0", OLD, "\t", "\n"), ("2.1", NEWER, "\t", "\n"), ("3.0", NEWEST, "\x01", "\x02"),
]:
    loaded = load(version, columns, separator, delimiter)
    assert loaded["Status"] == "Success" and loaded["NumberLoadedRows"] == 1, loaded
    loaded = load(version, columns, separator, delimiter)
    assert loaded["Status"] == "Label Already Exists", loaded
