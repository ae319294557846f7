"""The JSON API: one table of endpoints, from which come the routes, the checks and the OpenAPI document."""

from __future__ import annotations

from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lakehead.console.api import access, data, queries, runs
from lakehead.console.api.endpoint import PREFIX, Endpoint
from lakehead.console.api.openapi import document
from lakehead.console.encoding import JsonResponse

ENDPOINTS: tuple[Endpoint, ...] = (
    *access.ENDPOINTS,
    *runs.ENDPOINTS,
    *data.ENDPOINTS,
    *queries.ENDPOINTS,
)


@cache
def openapi() -> dict[str, Any]:
    """The document that describes them."""
    return document(ENDPOINTS)


def routes() -> list[BaseRoute]:
    """Every endpoint, and the document itself."""

    def describe(_: Request) -> Response:
        return JsonResponse(openapi())

    return [Route(f"{PREFIX}/openapi.json", describe, name="api-openapi"), *(one.route() for one in ENDPOINTS)]
