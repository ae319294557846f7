"""The query desk. The script asks, by the API; the page brings the SQL of its address and the saved queries."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from lakehead.console.context import console_of
from lakehead.console.pages.parameters import text
from lakehead.console.rendering import page

LONGEST_SQL = 100_000


def query(request: Request) -> Response:
    """The editor."""
    sql = text(request, "sql", longest=LONGEST_SQL)
    return page(request, "query.html", here="query", sql=sql, named=console_of(request).lake.named_queries())
