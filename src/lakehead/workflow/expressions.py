"""Values of a definition that are computed: `"key.$": "$.path"`, whole templates, and what they read from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from lakehead.model import Json
from lakehead.workflow.functions import compact
from lakehead.workflow.intrinsics import IntrinsicFailed, IntrinsicSyntaxError, compile_intrinsic, is_intrinsic
from lakehead.workflow.paths import Path, PathNotFound, PathSyntaxError, compile_path


class StateError(Exception):
    """A state fails: `error` is the name that Retry and Catch match, `cause` is for people.

    `placed` False: the cause still wants the state's name put before it. `field` is where a JSONata expression failed,
    "" where it is the state as a whole.
    """

    def __init__(self, error: str | None, cause: str | None, *, placed: bool = True, field: str | None = None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
        self.placed = placed
        self.field = field

    def at(self, state: str, entered: int) -> StateError:
        """The same failure with its place, as AWS words it."""
        if self.placed:
            return self
        where = f"An error occurred while executing the state '{state}' (entered at the event id #{entered}). "
        return StateError(self.error, where + str(self.cause), field=self.field)


class RuntimeFault(StateError):
    """States.Runtime, which nothing catches."""

    def __init__(self, cause: str) -> None:
        super().__init__("States.Runtime", cause, placed=False)


class QueryFault(StateError):
    """States.QueryEvaluationError: a JSONata expression failed, or gave what its field cannot take."""

    def __init__(self, cause: str, field: str = "") -> None:
        super().__init__("States.QueryEvaluationError", cause, placed=False, field=field)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an expression can see besides its data: the context object, the step's time, and random numbers."""

    context: Callable[[], Json]
    now: datetime
    random: Callable[[], bytes]


class Scope:
    """What an expression of one state can read: `$` the data, `$$` the context object, `$name` a variable."""

    __slots__ = ("_around", "data", "states", "variables")

    def __init__(
        self,
        data: Json,
        around: Surroundings,
        variables: Mapping[str, Json],
        states: Mapping[str, Json] | None = None,
    ) -> None:
        self.data = data
        self._around = around
        self.variables = variables
        self.states = states or {}

    def over(self, data: Json) -> Scope:
        """The same scope with another `$`."""
        return Scope(data, self._around, self.variables, self.states)

    def with_states(self, **states: Json) -> Scope:
        """The same scope in which JSONata's `$states` has a `result` or an `errorOutput` too."""
        return Scope(self.data, self._around, self.variables, states)

    def within(self, around: Surroundings) -> Scope:
        """The same scope with another context object."""
        return Scope(self.data, around, self.variables, self.states)

    def read(self, path: Path) -> Json:
        """The value at a path. Raises PathNotFound."""
        if path.root == "$":
            return path.read(self.data)
        if path.root == "$$":
            return path.read(self._around.context())
        try:
            value = self.variables[path.root[1:]]
        except KeyError:
            raise PathNotFound(f"The variable '{path.root}' does not exist") from None
        return path.read(value)

    def context(self) -> Json:
        """The context object."""
        return self._around.context()

    def now(self) -> datetime:
        """The time of the step."""
        return self._around.now

    def random_bytes(self) -> bytes:
        """32 bytes from the execution's own stream; a replay of the step gives them again."""
        return self._around.random()


def random_bytes(seed: str, counter: int) -> bytes:
    """The counter's 32 bytes of an execution's random stream."""
    return hashlib.sha256(f"{seed}#{counter}".encode()).digest()


Expression: TypeAlias = Callable[[Scope], Json]


class ExpressionError(ValueError):
    """The text of a definition is no path and no intrinsic function."""


def compile_expression(text: str, *, field: str = "") -> Expression:
    """Compile a path or an intrinsic function. Raises ExpressionError.

    Evaluating raises RuntimeFault where a path leads nowhere and StateError where a function fails.
    """
    if is_intrinsic(text):
        return _intrinsic(text)
    try:
        path = compile_path(text)
    except PathSyntaxError as error:
        raise ExpressionError(str(error)) from error

    def evaluate(scope: Scope) -> Json:
        try:
            return scope.read(path)
        except PathNotFound as error:
            raise RuntimeFault(_not_found(text, field, scope) if field else str(error)) from error

    return evaluate


def _intrinsic(text: str) -> Expression:
    try:
        call = compile_intrinsic(text)
    except IntrinsicSyntaxError as error:
        raise ExpressionError(str(error)) from error

    def evaluate(scope: Scope) -> Json:
        try:
            return call(scope)
        except PathNotFound as error:
            raise RuntimeFault(f"The function '{text}' had the following error: {error}") from error
        except IntrinsicFailed as error:
            raise StateError("States.IntrinsicFailure", str(error), placed=False) from error

    return evaluate


def _not_found(text: str, field: str, scope: Scope) -> str:
    shown = compact(scope.data)
    shown = shown if len(shown) <= 1000 else shown[:1000] + "..."
    return f"The JSONPath '{text}' specified for the field '{field}' could not be found in the input '{shown}'"


def compile_template(value: Json, report: Callable[[str, str], None], path: str) -> Expression | None:
    """Compile a payload template; None where it is a constant, which can be used as it is.

    Only keys that end in `.$` are computed. `report(path, message)` gets every fault of the template.
    """
    if isinstance(value, dict):
        return _object(value, report, path)
    if isinstance(value, list):
        return _list(value, report, path)
    return None


def _object(template: dict[str, Json], report: Callable[[str, str], None], path: str) -> Expression | None:
    parts: list[tuple[str, Expression | None, Json]] = []
    for key, value in template.items():
        where = f"{path}.{key}"
        if key.endswith(".$"):
            name = key[:-2]
            if name in template:
                report(where, f"the key {name!r} is given twice, with and without .$")
            if not isinstance(value, str):
                report(where, "a key that ends in .$ needs a path or an intrinsic function as its value")
                continue
            try:
                parts.append((name, compile_expression(value, field=key), None))
            except ExpressionError as error:
                report(where, str(error))
        else:
            parts.append((key, compile_template(value, report, where), value))
    if all(expression is None for _, expression, _ in parts):
        return None
    return lambda scope: {
        name: constant if expression is None else expression(scope) for name, expression, constant in parts
    }


def _list(template: list[Json], report: Callable[[str, str], None], path: str) -> Expression | None:
    items = [(compile_template(item, report, f"{path}[{index}]"), item) for index, item in enumerate(template)]
    if all(expression is None for expression, _ in items):
        return None
    return lambda scope: [item if expression is None else expression(scope) for expression, item in items]


def write_path(document: Json, keys: tuple[str | int, ...], value: Json, text: str) -> Json:
    """The document with `value` at a reference path. Only what lies on the way is copied.

    Raises StateError States.ResultPathMatchFailure where the document has no place for it.
    """
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(key, str) and (document is None or isinstance(document, dict)):
        base: dict[str, Any] = document or {}
        return {**base, key: write_path(base.get(key), rest, value, text)}
    if isinstance(key, int) and isinstance(document, list) and key < len(document):
        return [*document[:key], write_path(document[key], rest, value, text), *document[key + 1 :]]
    cause = f"Unable to apply ReferencePath {text} to input {compact(document)[:200]}"
    raise StateError("States.ResultPathMatchFailure", cause, placed=False)
