"""Event patterns that match as EventBridge's do (EventBridge User Guide, "Comparison operators")."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from lakehead.errors import UsageError
from lakehead.model import Json

MAX_CHARACTERS = 4096

_NUMERIC: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_TEXTUAL = ("prefix", "suffix", "wildcard", "equals-ignore-case")
_ABSENT = object()


class EventPattern:
    """A pattern of exact values, prefix, suffix, equals-ignore-case, wildcard, numeric, exists, anything-but and $or.

    Raises UsageError naming the path for anything else (`cidr` is not supported), and for a pattern that is longer
    than 4096 characters as JSON.
    """

    def __init__(self, pattern: Mapping[str, Json]) -> None:
        if len(json.dumps(pattern, separators=(",", ":"), ensure_ascii=False)) > MAX_CHARACTERS:
            raise UsageError(f"an event pattern holds at most {MAX_CHARACTERS} characters")
        _check(pattern, "")
        self.pattern = pattern

    def matches(self, event: Json) -> bool:
        """Whether the event matches."""
        return _object(self.pattern, event)


def wildcard_matches(pattern: str, text: str) -> bool:
    """Whether the text matches a wildcard: `*` is any number of any characters, also `/`; `\\*` and `\\\\` are literal.

    Takes time in proportion to the text: between the first and the last piece, the leftmost fit is as good as any.
    """
    first, *rest = _pieces(pattern)
    if not rest:
        return text == first
    if not text.startswith(first):
        return False
    *middle, last = rest
    place = len(first)
    for piece in middle:
        found = text.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    return len(text) - len(last) >= place and text.endswith(last)


def _pieces(pattern: str) -> list[str]:
    pieces, escaped = [""], False
    for letter in pattern:
        if escaped or letter not in "\\*":
            pieces[-1] += letter
            escaped = False
        elif letter == "\\":
            escaped = True
        else:
            pieces.append("")
    return pieces


def _object(pattern: Mapping[str, Json], event: Json) -> bool:
    for name, wanted in pattern.items():
        if name == "$or" and isinstance(wanted, list):
            if not any(_object(branch, event) for branch in wanted):
                return False
        elif not _field(wanted, event.get(name, _ABSENT) if isinstance(event, Mapping) else _ABSENT):
            return False
    return True


def _field(wanted: Json, value: Any) -> bool:
    if isinstance(wanted, Mapping):
        if isinstance(value, list):
            return any(_object(wanted, item) for item in value)
        return _object(wanted, value)
    if isinstance(value, list):
        # An array matches when one of its values does; an empty one is as good as absent.
        return any(_leaf(one, item) for one in wanted for item in value or [_ABSENT])
    return any(_leaf(one, value) for one in wanted)


def _leaf(wanted: Json, value: Any) -> bool:
    if isinstance(wanted, Mapping) and "exists" in wanted:
        # Only a leaf exists: an object below is not one.
        return wanted["exists"] is (value is not _ABSENT and not isinstance(value, Mapping))
    if value is _ABSENT or isinstance(value, Mapping):
        return False
    if not isinstance(wanted, Mapping):
        return _equal(wanted, value)
    ((operator, argument),) = wanted.items()
    match operator:
        case "numeric":
            return _number_fits(argument, value)
        case "anything-but":
            return not _excluded(argument, value)
        case _:
            return isinstance(value, str) and _text_fits(operator, argument, value)


def _equal(wanted: Json, value: Any) -> bool:
    # JSON knows true from 1 where Python does not.
    return isinstance(wanted, bool) == isinstance(value, bool) and bool(wanted == value)


def _excluded(argument: Json, value: Any) -> bool:
    if isinstance(argument, Mapping):
        ((operator, inner),) = argument.items()
        choices = inner if isinstance(inner, list) else [inner]
        return isinstance(value, str) and any(_text_fits(operator, choice, value) for choice in choices)
    return any(_equal(one, value) for one in (argument if isinstance(argument, list) else [argument]))


def _text_fits(operator: str, argument: Json, value: str) -> bool:
    if isinstance(argument, Mapping):  # {"prefix": {"equals-ignore-case": ...}}
        argument, value = argument["equals-ignore-case"].casefold(), value.casefold()
    match operator:
        case "prefix":
            return value.startswith(argument)
        case "suffix":
            return value.endswith(argument)
        case "equals-ignore-case":
            return bool(value.casefold() == argument.casefold())
        case _:
            return wildcard_matches(argument, value)


def _number_fits(argument: list[Json], value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    number = Decimal(str(value))
    return all(
        _NUMERIC[operator](number, Decimal(str(bound)))
        for operator, bound in zip(argument[::2], argument[1::2], strict=True)
    )


def _check(pattern: Json, path: str) -> None:
    if not isinstance(pattern, Mapping) or not pattern:
        raise _wrong(path, "an object with fields", pattern)
    for name, wanted in pattern.items():
        here = f"{path}.{name}" if path else name
        if name == "$or" and isinstance(wanted, list):
            if len(wanted) < 2:
                raise _wrong(here, "at least two branches", wanted)
            for number, branch in enumerate(wanted):
                _check(branch, f"{here}[{number}]")
        elif isinstance(wanted, Mapping):
            _check(wanted, here)
        elif isinstance(wanted, list) and wanted:
            for number, one in enumerate(wanted):
                _check_leaf(one, f"{here}[{number}]")
        else:
            raise _wrong(here, "an array of at least one value, or an object", wanted)


def _check_leaf(wanted: Json, path: str) -> None:
    if isinstance(wanted, list):
        raise _wrong(path, "a value or a comparison", wanted)
    if not isinstance(wanted, Mapping):
        return
    if len(wanted) != 1:
        raise _wrong(path, "one comparison", wanted)
    ((operator, argument),) = wanted.items()
    match operator:
        case "exists":
            good = isinstance(argument, bool)
        case "numeric":
            good = _is_numeric(argument)
        case "anything-but":
            good = _is_exclusion(argument)
        case _:
            good = operator in _TEXTUAL and _is_textual(operator, argument)
    if not good:
        raise _wrong(path, "a comparison that Lakehead knows, with a fitting value", wanted)


def _is_numeric(argument: Json) -> bool:
    if not isinstance(argument, list) or len(argument) not in (2, 4):
        return False
    return all(operator in _NUMERIC for operator in argument[::2]) and all(
        isinstance(bound, int | float) and not isinstance(bound, bool) for bound in argument[1::2]
    )


def _is_exclusion(argument: Json) -> bool:
    if isinstance(argument, Mapping):
        if len(argument) != 1:
            return False
        ((operator, inner),) = argument.items()
        choices = inner if isinstance(inner, list) else [inner]
        return operator in _TEXTUAL and bool(choices) and all(_is_textual(operator, choice) for choice in choices)
    values = argument if isinstance(argument, list) else [argument]
    return bool(values) and all(isinstance(value, str | int | float) for value in values)


def _is_textual(operator: str, argument: Json) -> bool:
    if isinstance(argument, Mapping):
        inner = argument.get("equals-ignore-case")
        return operator in ("prefix", "suffix") and len(argument) == 1 and isinstance(inner, str)
    if not isinstance(argument, str):
        return False
    return operator != "wildcard" or "" not in _pieces(argument)[1:-1]  # "**" is refused


def _wrong(path: str, expected: str, received: Json) -> UsageError:
    return UsageError(
        "the event pattern is wrong", path=path or "(top)", expected=expected, received=json.dumps(received)[:100]
    )
