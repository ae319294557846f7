"""A value of an answer as JSON for the page, and as a cell of a CSV file that a spreadsheet may open."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from lakehead.model import Json, iso

TEXT_CHARS = 2_000
"""How much of a text a page shows."""
EXACT = 1 << 53
"""Whole numbers up to here a browser holds exactly."""
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
    told = _json(value)
    if told is None:
        return ""
    if isinstance(told, bool):
        return "true" if told else "false"
    if isinstance(told, list | dict):
        return json.dumps(told, ensure_ascii=False)
    return guarded(told) if isinstance(value, str) else told


def guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _json(value: Any) -> Json:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -EXACT <= value <= EXACT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(_json(key)): _json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_json(entry) for entry in value]
    return _text(value)


def _text(value: Decimal | datetime | date | timedelta | bytes | Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return iso(value) if value.microsecond % 1000 == 0 else value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return str(value)


def cut(text: str) -> str:
    """A text of a length that a page can show."""
    return text if len(text) <= TEXT_CHARS else text[:TEXT_CHARS] + CUT
