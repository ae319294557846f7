"""Endpoints: a function with typed parameters is one, and from it come the route, the checks and the document.

A parameter that stands in the path is taken from it, `body` from the JSON that was sent, every other one from the
query. What is not valid is refused with 400 before the function is called. Functions run in a thread.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lakehead.console.api.inputs import DATASET
from lakehead.console.context import Console, console_of
from lakehead.console.encoding import JsonResponse
from lakehead.console.faults import Refused

PREFIX = "/api/v1"
MAX_BODY = 1 << 20
"""Bytes of a JSON body."""


class _DatasetConvertor(Convertor[str]):
    """A dataset's name in a path, with its slashes."""

    regex = DATASET

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("dataset", _DatasetConvertor())


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that a request brings. `place` is path or query."""

    name: str
    place: str
    kind: TypeAdapter[Any]
    default: Any = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        """Whether a request must have it."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class Endpoint:
    """A place of the API. `errors` are the statuses that it adds to those that every place may answer with.

    `media_types` are those of an answer that is no JSON. `receives` are those of a body that the function reads itself,
    as it comes: then it is async and gets the request.
    """

    method: str
    path: str
    function: Callable[..., Any]
    errors: Sequence[int] = ()
    status: int = 200
    media_types: Sequence[str] = ()
    receives: Sequence[str] = ()
    public: bool = False

    @property
    def name(self) -> str:
        """What the endpoint is called in the document."""
        return self.function.__name__

    @property
    def tag(self) -> str:
        """What the document sorts it under: the module of its function."""
        return self.function.__module__.rpartition(".")[2]

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The function's types."""
        return get_type_hints(self.function, include_extras=True)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those of the path and of the query."""
        found = inspect.signature(self.function).parameters
        return tuple(
            Parameter(
                name,
                "path" if re.search(rf"\{{{name}[:}}]", self.path) else "query",
                TypeAdapter(self.hints[name]),
                one.default,
            )
            for name, one in found.items()
            if one.kind is inspect.Parameter.KEYWORD_ONLY and name != "body"
        )

    @cached_property
    def body(self) -> TypeAdapter[Any] | None:
        """The type of the JSON that is sent, where one is."""
        return TypeAdapter(self.hints["body"]) if "body" in self.hints else None

    @cached_property
    def answer(self) -> TypeAdapter[Any] | None:
        """The type of the JSON that is answered, where it is JSON."""
        return None if self.media_types else TypeAdapter(self.hints["return"])

    def route(self) -> Route:
        """The endpoint as a route."""

        async def serve(request: Request) -> Response:
            values = checked(self.parameters, request)
            if self.receives:
                return self._response(await self.function(console_of(request), request, **values))
            if self.body is not None:
                values["body"] = await _body(self.body, request)
            return await run_in_threadpool(self._serve, console_of(request), values)

        return Route(PREFIX + self.path, serve, methods=[self.method], name=f"api-{self.name}")

    def _serve(self, console: Console, values: Mapping[str, Any]) -> Response:
        return self._response(self.function(console, **values))

    def _response(self, answer: Any) -> Response:
        return answer if isinstance(answer, Response) else JsonResponse(answer, self.status)


def checked(parameters: Sequence[Parameter], request: Request) -> dict[str, Any]:
    """The parameters of a request. Raises Refused for what is missing, not valid, said twice or not known."""
    given = request.query_params
    known = {one.name for one in parameters if one.place == "query"}
    for name, _ in given.multi_items():
        if name not in known:
            raise _invalid(name, "there is no such parameter", f"Known: {', '.join(sorted(known)) or 'none'}.")
        if len(given.getlist(name)) > 1:
            raise _invalid(name, "the parameter is given twice")
    values: dict[str, Any] = {}
    for one in parameters:
        found = request.path_params.get(one.name) if one.place == "path" else given.get(one.name)
        if found is None:
            if one.required:
                raise _invalid(one.name, "the parameter is missing")
            values[one.name] = one.default
            continue
        try:
            values[one.name] = one.kind.validate_python(found)
        except ValidationError as error:
            raise _invalid(one.name, _first(error)) from error
    return values


async def _body(kind: TypeAdapter[Any], request: Request) -> Any:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Refused(415, "UnsupportedMediaType", "a body is sent as application/json", received=media_type)
    text = bytearray()
    async for chunk in request.stream():
        text += chunk
        if len(text) > MAX_BODY:
            raise Refused(413, "TooLarge", f"a body has at most {MAX_BODY:,} bytes")
    try:
        return kind.validate_json(bytes(text))
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise _invalid(place or "body", _first(error)) from error


def _first(error: ValidationError) -> str:
    told = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
    return told[:1].lower() + told[1:]


def _invalid(name: str, message: str, hint: str = "") -> Refused:
    return Refused(400, "InvalidParameter", message, hint=hint, parameter=name)
