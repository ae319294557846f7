"""The Open Data Contract Standard's own JSON schema, held against a document.

The schema comes with the package `open-data-contract-standard` (ODCS v3.1). Only its data file is used: importing the
package would import pydantic.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lakehead.contract.document import Document, Place, nearest, shown
from lakehead.errors import ContractError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

_UNKNOWN_KEY = ("additionalProperties", "unevaluatedProperties")


def check(document: Document) -> None:
    """Hold the document against the standard. Raises ContractError for the first thing that is wrong in it."""
    if not isinstance(document.data, dict):
        raise document.invalid((), "a contract is a mapping of keys to values", "Begin with apiVersion: v3.1.0")
    errors = list(_validator().iter_errors(document.data))
    if errors:
        raise _explain(document, min(_genuine(errors), key=lambda error: _order(document, error)))


@functools.cache
def _validator() -> Validator:
    from jsonschema import Draft201909Validator

    spec = importlib.util.find_spec("open_data_contract_standard")
    if spec is None or not spec.submodule_search_locations:
        raise ContractError("the package open-data-contract-standard is not installed", hint="Install lakehead again.")
    file = Path(spec.submodule_search_locations[0]) / "schema.json"
    return Draft201909Validator(json.loads(file.read_text(encoding="utf-8")))


def _genuine(errors: list[ValidationError]) -> list[ValidationError]:
    """Errors that are not the echo of another: a value that fails makes its neighbours look unevaluated."""
    solid = [error for error in errors if error.validator not in _UNKNOWN_KEY]
    places = [_place(error) for error in solid]
    for error in errors:
        place = _place(error)
        echo = error.validator == "unevaluatedProperties" and any(other[: len(place)] == place for other in places)
        if error.validator in _UNKNOWN_KEY and (not echo or any(_unknown_keys(error))):
            solid.append(error)
    return solid or errors


def _order(document: Document, error: ValidationError) -> tuple[bool, int, int]:
    # An unknown key is often the misspelling of a key that is reported as missing.
    place = _place(error)
    key = next(_unknown_keys(error), None)
    line = document.line((*place, key) if key else place)
    return (key is None, line or 0, -len(place))


def _explain(document: Document, error: ValidationError) -> ContractError:
    place = _place(error)
    if error.validator in _UNKNOWN_KEY:
        return _explain_unknown_key(document, error, place)
    wanted: Any = error.validator_value
    instance: Any = error.instance
    received = shown(instance)
    if error.validator == "required":
        missing = [name for name in wanted if name not in instance]
        return document.invalid(place, f"{missing[0]} is missing")
    if error.validator == "enum":
        hint = nearest(str(error.instance), [str(value) for value in wanted])
        return document.invalid(place, f"{received} is not one of the valid values", hint)
    if error.validator == "type":
        return document.invalid(place, f"expected {_kind(wanted)}, received {received}", _quoting(error))
    if error.validator == "oneOf" and "mustBe" in str(wanted):
        return document.invalid(place, "a quality metric needs exactly one comparison", "For example: mustBe: 0")
    return document.invalid(place, f"{received} does not fit: {error.message[-160:]}")


def _explain_unknown_key(document: Document, error: ValidationError, place: Place) -> ContractError:
    known = set(_names(error.schema))
    key = next(_unknown_keys(error), None)
    if key is None and place[-2:-1] == ("quality",):
        return document.invalid(place, "metric is missing", "For example: metric: nullValues")
    if key is None:
        # Each key is known, but not beside the others.
        key = next((name for name in cast(Any, error.instance) if f"'{name}'" in error.message), "")
    if place and place[-1] == "logicalTypeOptions":
        owner: Any = document.data
        for step in place[:-1]:
            owner = owner[step]
        if "logicalType" not in owner:
            return document.invalid(place, "logicalTypeOptions need a logicalType", "For example: logicalType: string")
        message = f'"{key}" is no option of logicalType {owner["logicalType"]}'
        return document.invalid((*place, key), message, nearest(key, known))
    hint = nearest(key, known)
    if not hint.startswith("Did you mean"):
        hint = "What the standard has no word for goes into customProperties."
    return document.invalid((*place, key), f'unknown key "{key}"', hint)


def _unknown_keys(error: ValidationError) -> Iterator[str]:
    if error.validator in _UNKNOWN_KEY and isinstance(error.instance, dict):
        known = set(_names(error.schema))
        yield from (key for key in error.instance if key not in known)


def _names(schema: Any, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """Every property name that a schema speaks of for the object itself."""
    if not isinstance(schema, dict):
        return
    yield from schema.get("properties", {})
    reference = schema.get("$ref")
    if reference and reference not in seen:
        found: Any = _validator().schema
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        yield from _names(found, (*seen, reference))
    for part in (*schema.get("allOf", ()), *schema.get("oneOf", ()), schema.get("then")):
        yield from _names(part, seen)


def _place(error: ValidationError) -> Place:
    return tuple(error.absolute_path)


def _kind(wanted: Any) -> str:
    names = {"string": "text", "array": "a list", "object": "a mapping", "boolean": "true or false"}
    return " or ".join(names.get(name, f"a {name}") for name in ([wanted] if isinstance(wanted, str) else wanted))


def _quoting(error: ValidationError) -> str:
    scalar = isinstance(error.instance, int | bool) or "Decimal" in type(error.instance).__name__
    return "Put it in quotes." if error.validator_value == "string" and scalar else ""
