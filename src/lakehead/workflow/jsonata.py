"""JSONata as Step Functions runs it: `{% ... %}` texts in a state's fields, over `$states` and the variables.

The language itself is the library's (extra `jsonata`). What is ours: nothing in an expression reads a clock or draws
random numbers behind the interpreter's back, a runaway expression is stopped after a fixed number of evaluations, and
the functions that Step Functions adds or refuses (Developer Guide, "Transforming data with JSONata").
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from lakehead.model import Json
from lakehead.workflow.choice import Condition
from lakehead.workflow.expressions import Expression, QueryFault, Scope
from lakehead.workflow.functions import FUNCTIONS, FunctionError, compact
from lakehead.workflow.states import Report

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRAPPED = re.compile(r"\{%(.*)%\}", re.DOTALL)
MAX_EVALUATIONS = 1_000_000
MAX_DEPTH = 100
"""Bounds of one expression. They are counts, not times, so that a replay of a step ends the same way."""


def compile_jsonata_template(value: Json, report: Report, path: str, field: str) -> Expression | None:
    """Compile a field; None where it is a constant. `field` is how AWS names the place of a fault, `Output/total`."""
    if isinstance(value, str):
        found = _WRAPPED.fullmatch(value)
        return _expression(found.group(1).strip(), report, path, field) if found else None
    if isinstance(value, dict):
        members = [
            (key, compile_jsonata_template(item, report, f"{path}.{key}", f"{field}/{key}"), item)
            for key, item in value.items()
        ]
        if all(expression is None for _, expression, _ in members):
            return None
        return lambda scope: {key: item if made is None else made(scope) for key, made, item in members}
    if isinstance(value, list):
        items = [
            (compile_jsonata_template(item, report, f"{path}[{index}]", f"{field}[{index}]"), item)
            for index, item in enumerate(value)
        ]
        if all(expression is None for expression, _ in items):
            return None
        return lambda scope: [item if made is None else made(scope) for made, item in items]
    return None


def compile_jsonata_condition(value: Json, report: Report, path: str) -> Condition | None:
    """Compile a choice rule's Condition: true, false, or an expression that gives one of them."""
    if isinstance(value, bool):
        return lambda _scope: value
    if not (isinstance(value, str) and _WRAPPED.fullmatch(value)):
        report(path, "Condition is true, false or a JSONata expression in {% %}")
        return None
    compiled = compile_jsonata_template(value, report, path, "Condition")
    if compiled is None:
        return None
    expression, text = compiled, str(value)

    def holds(scope: Scope) -> bool:
        found = expression(scope)
        if not isinstance(found, bool):
            raise unexpected(text, "Condition", "boolean", found)
        return found

    return holds


def unexpected(text: str, field: str, wanted: str, value: Json) -> QueryFault:
    """The fault of an expression whose result has the wrong type, as AWS words it."""
    found = _WRAPPED.fullmatch(text)
    shown = found.group(1).strip() if found else text
    return QueryFault(
        f"The JSONata expression '{shown}' specified for the field '{field}' returned an unexpected result type. "
        f"Expected '{wanted}', but was '{_type_name(value)}' for value: {compact(value)}",
        field,
    )


def _type_name(value: Json) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _expression(text: str, report: Report, path: str, field: str) -> Expression | None:
    library = _library()
    if library is None:
        report(path, "JSONata needs an extra library: pip install 'lakehead[jsonata]'")
        return None
    try:
        compiled = library.Jsonata(text)
        compiled.set_output_convert_nulls(False)
    # The library raises whatever its Python happens to raise; here it all means that the text is no expression.
    except Exception as error:
        report(path, f"not a JSONata expression: {error}")
        return None
    where = f"The JSONata expression '{text}' specified for the field '{field}'"

    def evaluate(scope: Scope) -> Json:
        try:
            found = compiled.evaluate(None, _bindings(scope))
        # As above: to the workflow all of it is one failed evaluation.
        except Exception as error:
            raise QueryFault(f"{where} threw an error during evaluation. {_told(error)}", field) from error
        if found is None:
            raise QueryFault(f"{where} returned nothing (undefined).", field)
        try:
            return _to_json(found)
        except TypeError as error:
            raise QueryFault(f"{where} returned an unsupported result type.", field) from error

    return evaluate


def _told(error: Exception) -> str:
    """The library's message behind its code, `T1006: Attempted to invoke a non-function`."""
    code = getattr(error, "error", None)
    return f"{code}: {error}" if isinstance(code, str) else str(error)


@cache
def _library() -> Any:
    """The library's main module; None where it is not installed."""
    limit = sys.getrecursionlimit()
    try:
        from jsonata import jsonata
    except ImportError:
        return None
    finally:
        # The library raises the limit of the whole process to 10,000, with which a deep recursion can crash it.
        sys.setrecursionlimit(limit)
    return jsonata


def _bindings(scope: Scope) -> dict[str, Any]:
    states = {"input": scope.data, "context": scope.context(), **scope.states}
    bound = {name: _with_nulls(value) for name, value in scope.variables.items()}
    return {**_functions(scope), **_bounds(), **bound, "states": _with_nulls(states)}


def _with_nulls(value: Json) -> Any:
    """The library takes None for "undefined" here and there, so null is given as its own value for it."""
    from jsonata.utils import Utils

    if value is None:
        return Utils.NULL_VALUE
    if isinstance(value, dict):
        return {key: _with_nulls(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_nulls(item) for item in value]
    return value


def _to_json(value: Any) -> Json:
    from jsonata.utils import Utils

    if value is Utils.NULL_VALUE:
        return None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError("not a JSON number")
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    raise TypeError(f"not JSON: {type(value).__name__}")


def _bounds() -> dict[str, Callable[..., None]]:
    from jsonata.jexception import JException

    left, depth = MAX_EVALUATIONS, 0

    def entered(*_: Any) -> None:
        nonlocal left, depth
        left, depth = left - 1, depth + 1
        if depth > MAX_DEPTH:
            raise JException("D1011", -1)
        if left < 0:
            raise JException("D1012", -1)

    def left_again(*_: Any) -> None:
        nonlocal depth
        depth -= 1

    return {"__evaluate_entry": entered, "__evaluate_exit": left_again}


def _functions(scope: Scope) -> dict[str, Any]:
    from jsonata.functions import Functions
    from jsonata.jsonata import Jsonata

    millis = (scope.now() - _EPOCH) // timedelta(milliseconds=1)

    def add(name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            try:
                return _with_nulls(FUNCTIONS[name](scope, *[_to_json(argument) for argument in arguments]))
            except FunctionError as error:
                raise ValueError(str(error)) from error

        return call

    def numbers(*arguments: Any) -> Any:
        found = add("ArrayRange")(*arguments)
        return found[0] if len(found) == 1 else found  # JSONata: a sequence of one is the one

    def random(seed: Any = None) -> float:
        if seed is not None:
            return float(add("MathRandom")(0, 1 << 53, seed)) / (1 << 53)
        return int.from_bytes(scope.random_bytes()[:6]) / float(1 << 48)

    def now(picture: Any = None, zone: Any = None) -> Any:
        return Functions.datetime_from_millis(millis, picture, zone)

    ours: dict[str, Callable[..., Any]] = {
        "partition": add("ArrayPartition"),
        "range": numbers,
        "hash": add("Hash"),
        "uuid": add("UUID"),
        "parse": add("StringToJson"),
        "random": random,
        "now": now,
        "millis": lambda: millis,
    }
    # Step Functions does not support $eval.
    return {**{name: Jsonata.JLambda(function) for name, function in ours.items()}, "eval": None}
