"""The one place where the console's answers become JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from starlette.responses import Response

MAX_NUMBER = 2**53
"""Beyond this a browser's number is another one, so an integer is sent as text, like every decimal."""


class JsonResponse(Response):
    """A value as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes that are sent."""
        return to_json(content)


def to_json(value: Any) -> bytes:
    """JSON in UTF-8. Instants are `2025-01-03T08:01:25.123Z`; what JSON has no word for (NaN) is null."""
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def plain(value: Any) -> Any:
    """A value as dicts, lists, texts, numbers, booleans and None. Raises TypeError for what has no such form."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return exact(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    return _text(value)


def exact(value: int) -> int | str:
    """An integer, as text where a browser's number would be another one."""
    return value if -MAX_NUMBER <= value <= MAX_NUMBER else str(value)


def digits(value: Decimal) -> str:
    """A decimal with all its digits and no exponent."""
    return format(value, "f")


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return digits(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, timedelta | PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _instant(value: datetime) -> str:
    """An instant in UTC with as many digits as it has, at least milliseconds; a time without a zone without one."""
    digits = "milliseconds" if value.microsecond % 1_000 == 0 else "microseconds"
    if value.tzinfo is None:
        return value.isoformat(timespec=digits)
    return value.astimezone(UTC).isoformat(timespec=digits).removesuffix("+00:00") + "Z"
