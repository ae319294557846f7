"""A value of an answer as JSON for the page, and as a cell of a CSV file that a spreadsheet may open."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from lakehead.console.encoding import digits, exact
from lakehead.model import Json, iso

TEXT_CHARS = 2_000
"""How much of a text a page shows."""
CUT = "…"

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def json_value(value: Any) -> Json:
    """A value for a page; see `QueryPage`."""
    told = _json(value)
    if isinstance(told, str):
        return cut(told)
    if isinstance(told, list | dict):
        text = json.dumps(told, ensure_ascii=False)
        return told if len(text) <= TEXT_CHARS else cut(text)
    return told


def csv_value(value: Any) -> str | int | float:
    """A cell. A text that a spreadsheet would take for a formula gets an apostrophe before it; numbers stay numbers."""
    convert: Callable[[Any], Any] = _CSV.get(type(value), _json)
    told: str | int | float = convert(value)
    return told


def guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def cut(text: str) -> str:
    """A text of a length that a page can show."""
    return text if len(text) <= TEXT_CHARS else text[:TEXT_CHARS] + CUT


def _json(value: Any) -> Json:
    return _JSON.get(type(value), str)(value)


def _as_is(value: Any) -> Any:
    return value


def _instant(value: datetime) -> str:
    return iso(value) if value.microsecond % 1000 == 0 else value.isoformat().replace("+00:00", "Z")


def _nested(value: Any) -> str:
    return json.dumps(_json(value), ensure_ascii=False)


_JSON: dict[type, Callable[[Any], Json]] = {
    type(None): _as_is,
    bool: _as_is,
    str: _as_is,
    int: exact,
    float: lambda value: value if math.isfinite(value) else str(value),
    Decimal: digits,
    datetime: _instant,
    date: date.isoformat,
    bytes: bytes.hex,
    list: lambda value: [_json(entry) for entry in value],
    tuple: lambda value: [_json(entry) for entry in value],
    dict: lambda value: {str(_json(key)): _json(entry) for key, entry in value.items()},
}
"""How a value is told in JSON, by its type; all others as their text."""

_CSV: dict[type, Callable[[Any], str | int | float]] = {
    type(None): lambda _: "",
    bool: lambda value: "true" if value else "false",
    str: guarded,
    int: _as_is,
    list: _nested,
    tuple: _nested,
    dict: _nested,
}
"""How a value is a cell, where that is not its JSON."""
