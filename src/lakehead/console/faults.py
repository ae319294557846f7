"""What goes wrong, as a status and as a body: `{"error": {"type", "message", "hint", "where"}}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route

from lakehead.console.encoding import JsonResponse
from lakehead.console.notice import notice
from lakehead.console.rendering import page
from lakehead.errors import (
    ConfigError,
    ExecutionAlreadyExists,
    LakeheadError,
    NotFound,
    NotRedrivable,
    PreconditionFailed,
    QueryError,
    TransientError,
    UsageError,
)
from lakehead.model import Json

API = "/api/"
HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}

STATUSES: tuple[tuple[type[LakeheadError], int], ...] = (
    (NotFound, 404),
    (NotRedrivable, 409),
    (ExecutionAlreadyExists, 409),
    (PreconditionFailed, 409),
    (QueryError, 422),
    (TransientError, 503),
    (ConfigError, 500),
    (UsageError, 400),
)
"""The status of an error: that of the first class that it is of. What is in none of them is the lake's own fault."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happened, where, and what to do."""

    type: str
    message: str
    hint: str = ""
    where: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FaultAnswer:
    """The body of every answer that is no success."""

    error: Fault


class Refused(Exception):
    """A request that cannot be served as it was made. `status` is the answer's."""

    def __init__(self, status: int, kind: str, message: str, *, hint: str = "", **where: Json) -> None:
        super().__init__(message)
        self.status = status
        self.fault = Fault(kind, message, hint, where)


EXPLAINED: tuple[type[Exception], ...] = (LakeheadError, Refused, HTTPException)
"""What a handler may raise. Anything else is a fault of the console, and the gate answers for it."""


def status_of(error: LakeheadError) -> int:
    """The status that an error is answered with."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def wants_json(request: Request) -> bool:
    """Whether a program asks: the API and the live stream are no pages."""
    path: str = request.scope["path"]
    return path.startswith(API) or path == "/live"


def answer(request: Request, status: int, fault: Fault) -> Response:
    """An answer that tells of a fault, in the form that who asked can read."""
    headers = HEADERS.get(status)
    if wants_json(request):
        return JsonResponse(FaultAnswer(fault), status, headers)
    place = "".join(f" {name}: {value}." for name, value in fault.where.items())
    text = f"{fault.message[:1].upper()}{fault.message[1:]}. {fault.hint}{place}"
    return HTMLResponse(notice("That did not work", text), status, headers)


async def on_error(request: Request, error: Exception) -> Response:
    """Answer for a handler that raised one of EXPLAINED: who opened a page gets one, with the way back."""
    status, fault = explain(request, error)
    if wants_json(request):
        found = answer(request, status, fault)
    else:
        titles = {404: "There is nothing here", 400: "This address asks for something odd"}
        title = titles.get(status, "That did not work")
        found = page(request, "error.html", status, here="", title=title, fault=fault)
    if status == 405:
        found.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return found


def _methods(request: Request) -> set[str]:
    """What can be done at the place that the request's path leads to."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    path = next((one.path for one in routes if one.matches(request.scope)[0] is not Match.NONE), "")
    return {method for one in routes if one.path == path for method in one.methods or ()}


def told(error: LakeheadError) -> Fault:
    """What an error of the lake tells."""
    where = {name: str(value) if not isinstance(value, int) else value for name, value in error.where.items()}
    return Fault(type(error).__name__, error.message, error.hint, where)


def explain(request: Request, error: Exception) -> tuple[int, Fault]:
    """Status and fault of one of EXPLAINED."""
    if isinstance(error, LakeheadError):
        return status_of(error), told(error)
    if isinstance(error, Refused):
        return error.status, error.fault
    assert isinstance(error, HTTPException)
    words = {404: "there is no such place", 405: f"{request.method} is not possible here"}
    return error.status_code, Fault("HttpError", words.get(error.status_code, error.detail))
