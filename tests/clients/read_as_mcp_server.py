"""Reads profile, SQL and trace id with the code of doris-mcp-server. Arguments: host, port.

The script calls the HTTP part of the query tools. There is no Doris, so their SQL part is not tested.
"""

import asyncio
import sys
from types import SimpleNamespace

from doris_mcp_server.utils.analysis_tools import SQLAnalyzer
from doris_mcp_server.utils.config import DorisConfig
from doris_mcp_server.utils.query_runtime import DorisQueryRuntime, QueryRuntimeFailure

QUERY_ID = "fbb2582c72884d29-9dd9de3b42b740e9"


async def main(host: str, port: str) -> None:
    config = DorisConfig()
    config.database.host = host
    config.database.fe_http_host = host
    config.database.fe_http_port = int(port)
    config.database.user = "root"
    config.database.password = "pass-word-of-root"
    connections = SimpleNamespace(config=config)
    runtime = DorisQueryRuntime(connections, adbc_query_tools=None)

    profile = await runtime.get_query_profile(query_id=QUERY_ID, include_operator_tree=True)
    text = str(profile)
    assert QUERY_ID in text and "store_sales5" in text, text
    sql = await runtime._fetch_query_sql(QUERY_ID)
    assert sql == "select count(*) from store_sales5", sql
    assert await runtime._fetch_query_id("checkout-7") == QUERY_ID
    assert await runtime._fetch_query_id("unknown-trace") is None
    try:
        await runtime.get_query_profile(query_id="1-2")
    except QueryRuntimeFailure as failure:
        assert failure.reason_code == "QUERY_PROFILE_NOT_FOUND", failure.reason_code
    else:
        raise AssertionError("an unknown query has a profile")

    analyzer = SQLAnalyzer(connections)
    assert await analyzer._get_query_id_by_trace_id("checkout-7") == QUERY_ID
    found = await analyzer._get_profile_by_query_id(QUERY_ID)
    assert "store_sales5" in found["profile_text"], found


asyncio.run(main(sys.argv[1], sys.argv[2]))
