"""The pages of the console."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lakehead.console.context import console_of
from lakehead.console.rendering import page


def overview(request: Request) -> Response:
    """The lake at a glance."""
    console = console_of(request)
    return page(request, "overview.html", runs=console.lake.runs(limit=20))


routes: list[BaseRoute] = [Route("/", overview, name="overview")]
"""What a browser opens. A plain function runs in a thread; an async one must not block."""
