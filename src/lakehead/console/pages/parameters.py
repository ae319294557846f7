"""What a page's address may ask for. What is not valid raises UsageError, which becomes a page that says so."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from starlette.requests import Request

from lakehead.errors import UsageError

LONGEST = 1_024
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def text(request: Request, name: str, *, longest: int = LONGEST) -> str:
    """A text without spaces around it; empty where it is not given."""
    found = request.query_params.get(name, "").strip()
    if len(found) > longest:
        raise UsageError("the parameter is too long", parameter=name, longest=longest)
    return found


def whole(request: Request, name: str, default: int, *, least: int = 0, most: int = 1 << 40) -> int:
    """A whole number within limits."""
    found = text(request, name)
    if not found:
        return default
    if not re.fullmatch(r"\d{1,15}", found, re.ASCII) or not least <= int(found) <= most:
        raise UsageError(f"the parameter is no whole number from {least:,} to {most:,}", parameter=name, received=found)
    return int(found)


def one_of(request: Request, name: str, known: tuple[str, ...], default: str) -> str:
    """One of some words."""
    found = text(request, name) or default
    if found not in known:
        raise UsageError("the parameter is not known", parameter=name, received=found, known=", ".join(known))
    return found


def moment(request: Request, name: str) -> datetime | None:
    """A day, or a day and a time, in UTC unless it states a zone."""
    found = text(request, name)
    if not found:
        return None
    try:
        if not _MOMENT.fullmatch(found):
            raise ValueError
        parsed = datetime.fromisoformat(found.replace(" ", "T"))
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        hint = "Write it as 2025-01-03T08:00."
        raise UsageError("the parameter is no time", hint=hint, parameter=name, received=found) from error
