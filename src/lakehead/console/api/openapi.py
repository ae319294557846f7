"""The API's OpenAPI document, made of the same table as its routes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from inspect import getdoc
from typing import Any

from pydantic import TypeAdapter

from lakehead import __version__
from lakehead.console.api.endpoint import PREFIX, Endpoint, Parameter
from lakehead.console.faults import FaultAnswer

REASONS = {
    400: "A parameter or the body is not valid.",
    401: "The request has no token of this console.",
    403: "The request comes from another site.",
    404: "There is no such thing.",
    408: "The sender stopped sending.",
    409: "Its state does not allow that.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    421: "The console does not answer to this host name.",
    422: "The SQL is wrong.",
    503: "A lock or a limit is in the way; try again.",
}
EVERYWHERE = (401, 403, 503)
_SUCCESS = {200: "As asked.", 201: "Made.", 202: "Begun."}

Schema = dict[str, Any]


def document(endpoints: Sequence[Endpoint]) -> Schema:
    """The OpenAPI 3.1 document of these endpoints."""
    schemas = _Schemas(endpoints)
    paths: dict[str, Schema] = {}
    for one in endpoints:
        paths.setdefault(_path(one), {})[one.method.lower()] = _operation(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lakehead console",
            "version": __version__,
            "description": "What the console shows and does. Send `Authorization: Bearer TOKEN`, as"
            " `lakehead console token` prints it. Decimals, and integers beyond 2^53, are text; instants are in UTC.",
        },
        "servers": [{"url": PREFIX}],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


class _Schemas:
    """The schema of every type that is sent or received, by what it belongs to."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        wanted: list[tuple[str, Any, TypeAdapter[Any]]] = [("fault", "serialization", TypeAdapter(FaultAnswer))]
        for one in endpoints:
            wanted += [(f"{one.name}.{p.name}", "validation", p.kind) for p in one.parameters]
            if one.body is not None:
                wanted.append((f"{one.name}.body", "validation", one.body))
            if one.answer is not None:
                wanted.append((f"{one.name}.answer", "serialization", one.answer))
        found, rest = TypeAdapter.json_schemas(wanted, ref_template="#/components/schemas/{model}")
        self._by_key: Mapping[Any, Any] = {key: _simple(schema) for key, schema in found.items()}
        self.definitions: Schema = _simple(rest.get("$defs", {}))

    def validated(self, key: str) -> Schema:
        return dict(self._by_key[key, "validation"])

    def answered(self, key: str) -> Schema:
        return dict(self._by_key[key, "serialization"])


def _simple(schema: Any) -> Any:
    """The schema without `prefixItems` where all of them are the same: many tools know only `items`."""
    if isinstance(schema, list):
        return [_simple(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _simple(entry) for name, entry in schema.items()}
    first, *rest = found.get("prefixItems") or [None]
    if first is not None and all(entry == first for entry in rest):
        found = {**{name: entry for name, entry in found.items() if name != "prefixItems"}, "items": first}
    return found


def _path(endpoint: Endpoint) -> str:
    return re.sub(r":\w+\}", "}", endpoint.path)


def _operation(one: Endpoint, schemas: _Schemas) -> Schema:
    summary, _, description = (getdoc(one.function) or "").partition("\n")
    found: Schema = {
        "operationId": one.name,
        "summary": summary,
        "tags": [one.tag],
        "parameters": [_parameter(one, parameter, schemas) for parameter in one.parameters],
        "responses": _responses(one, schemas),
    }
    if description.strip():
        found["description"] = description.strip()
    if one.body is not None:
        content = {"application/json": {"schema": schemas.validated(f"{one.name}.body")}}
        found["requestBody"] = {"required": True, "content": content}
    if one.receives:
        binary = {"schema": {"type": "string", "format": "binary"}}
        found["requestBody"] = {"required": True, "content": dict.fromkeys(one.receives, binary)}
    if one.public:
        found["security"] = []
    return found


def _parameter(one: Endpoint, parameter: Parameter, schemas: _Schemas) -> Schema:
    schema = schemas.validated(f"{one.name}.{parameter.name}")
    return {"name": parameter.name, "in": parameter.place, "required": parameter.required, "schema": schema}


def _responses(one: Endpoint, schemas: _Schemas) -> Schema:
    if one.answer is not None:
        content: Schema = {"application/json": {"schema": schemas.answered(f"{one.name}.answer")}}
    else:
        content = {name: {"schema": {"type": "string", "format": "binary"}} for name in one.media_types}
    found: Schema = {str(one.status): {"description": _SUCCESS[one.status], "content": content}}
    for status in sorted({*EVERYWHERE, *one.errors, *_own_errors(one)} - ({401} if one.public else set())):
        fault = {"application/json": {"schema": schemas.answered("fault")}}
        found[str(status)] = {"description": REASONS[status], "content": fault}
    found["421"] = {"description": REASONS[421], "content": {"text/plain": {"schema": {"type": "string"}}}}
    return found


def _own_errors(one: Endpoint) -> set[int]:
    """What follows from what it takes."""
    return {400} | ({413, 415} if one.body is not None else set())
