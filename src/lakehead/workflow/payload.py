"""How data flows through one state, from its raw input to its output, in both query languages."""

from __future__ import annotations

import re
from typing import TypeAlias

from lakehead.model import Json
from lakehead.workflow.choice import is_number, is_whole
from lakehead.workflow.expressions import QueryFault, RuntimeFault, Scope, write_path
from lakehead.workflow.functions import compact
from lakehead.workflow.jsonata import unexpected
from lakehead.workflow.retry import Catcher
from lakehead.workflow.states import ChoiceRule, Number, State

_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?")
Outcome: TypeAlias = tuple[Json, dict[str, Json] | None]
"""A state's output, and the variables that it sets."""


def selected(state: State, scope: Scope) -> Scope:
    """The scope behind InputPath."""
    return scope if state.select is None else scope.over(state.select(scope))


def arguments(state: State, scope: Scope) -> Json:
    """What the state works on: Parameters or Arguments, else the input itself. `scope` is behind InputPath."""
    return scope.data if state.arguments is None else state.arguments(scope)


def finish(state: State, scope: Scope, result: Json) -> Outcome:
    """The state's output for a result. `scope.data` is the raw input.

    JSONPath: ResultSelector, then ResultPath onto the raw input, then OutputPath. Assign reads the selected result,
    and both it and OutputPath still see the variables as they were.
    """
    if state.jsonata:
        return _finish_jsonata(state, scope.with_states(result=result), result)
    chosen = result if state.result_selector is None else state.result_selector(scope.over(result))
    assigned = None if state.assign is None else state.assign(scope.over(chosen))
    output = _placed(scope.data, state.result_keys, chosen, state.result_text)
    return (output if state.output is None else state.output(scope.over(output))), assigned


def passed(state: State, scope: Scope) -> Outcome:
    """The output of a state that has no result of its own (Wait, Succeed, Choice): its input. `scope` is raw."""
    if state.jsonata:
        return _finish_jsonata(state, scope, scope.data)
    inner = selected(state, scope)
    assigned = None if state.assign is None else state.assign(inner)
    return (inner.data if state.output is None else state.output(inner)), assigned


def chosen(state: State, rule: ChoiceRule, scope: Scope) -> Outcome:
    """The output of a Choice state by a rule of it. The state's own Assign and Output are for when no rule holds."""
    inner = scope if state.jsonata else selected(state, scope)
    assigned = None if rule.assign is None else rule.assign(inner)
    if state.jsonata:
        return (inner.data if rule.output is None else rule.output(inner)), assigned
    return (inner.data if state.output is None else state.output(inner)), assigned


def caught(state: State, catcher: Catcher, scope: Scope, error: dict[str, Json]) -> Outcome:
    """The output of a state whose error was caught. OutputPath does not apply."""
    if state.jsonata:
        inner = scope.with_states(errorOutput=error)
        assigned = None if catcher.assign is None else catcher.assign(inner)
        return (error if catcher.output is None else catcher.output(inner)), assigned
    assigned = None if catcher.assign is None else catcher.assign(scope.over(error))
    return _placed(scope.data, catcher.result_keys, error, catcher.result_text), assigned


def _finish_jsonata(state: State, scope: Scope, result: Json) -> Outcome:
    assigned = None if state.assign is None else state.assign(scope)
    return (result if state.output is None else state.output(scope)), assigned


def _placed(document: Json, keys: tuple[str | int, ...] | None, value: Json, text: str) -> Json:
    if keys is None:
        return document
    return write_path(document, keys, value, text) if keys else value


def number(state: State, spec: Number | None, scope: Scope) -> float | None:
    """A numeric field of a state; None where it is not given.

    Raises RuntimeFault, in JSONata QueryFault, for what is no number between the field's bounds. In JSONPath text that
    holds a number will do.
    """
    if spec is None:
        return None
    value = spec.value(scope)
    found = value if state.jsonata else _from_text(spec, value)
    if state.jsonata and not (is_whole(value) if spec.kind == "integer" else is_number(value)):
        raise unexpected(spec.text, spec.field, "number", value)
    if not spec.low <= found <= spec.high:
        name = spec.field.removesuffix("Path")
        negative = found < 0 and spec.kind == "integer"
        bounds = "cannot be negative" if negative else f"must be between {spec.low:g} and {spec.high:g}"
        cause = f"{name} {bounds}."
        raise QueryFault(cause, spec.field) if state.jsonata else RuntimeFault(cause)
    return int(found) if spec.kind == "integer" else float(found)


def _from_text(spec: Number, value: Json) -> float:
    pattern = _INTEGER if spec.kind == "integer" else _FLOAT
    if isinstance(value, str) and pattern.fullmatch(value):
        return int(value) if spec.kind == "integer" else float(value)
    if is_whole(value) or (spec.kind == "float" and is_number(value)):
        return value
    shown = value if isinstance(value, str) else compact(value)
    noun = "integer" if spec.kind == "integer" else "float"
    raise RuntimeFault(f'The {spec.field} field refers to value "{shown}" which is not a valid {noun}: {spec.text}')
