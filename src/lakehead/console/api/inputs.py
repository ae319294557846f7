"""What the API takes: the kinds of parameters, and the bodies. Each is checked before its endpoint is called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from lakehead.contract.load import DATASET_PART

DATASET = f"{DATASET_PART}(?:/{DATASET_PART})*"
"""A dataset's name, `sales/orders`."""
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)


def _instant(value: object) -> datetime:
    """An instant of RFC 3339, in UTC."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("expected an instant with a zone, such as 2025-01-03T08:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except OverflowError:  # the first or the last day of the calendar, in another zone
        return datetime.fromisoformat(value.upper()).replace(tzinfo=UTC)


def _day(value: object) -> date:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("expected a day such as 2025-01-03")
    return date.fromisoformat(value)


def _whole(value: object) -> object:
    """The digits of a whole number, and nothing that merely equals one."""
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise ValueError("expected a whole number")
    return value


Text: TypeAlias = Annotated[str, Field(max_length=1024)]
Dataset: TypeAlias = Annotated[str, Field(pattern=f"^{DATASET}$")]
Limit: TypeAlias = Annotated[int, Field(ge=1, le=500), BeforeValidator(_whole)]
SampleLimit: TypeAlias = Annotated[int, Field(ge=1, le=100), BeforeValidator(_whole)]
LogLimit: TypeAlias = Annotated[int, Field(ge=1, le=5_000), BeforeValidator(_whole)]
Offset: TypeAlias = Annotated[int, Field(ge=0, le=1 << 40), BeforeValidator(_whole)]
Seconds: TypeAlias = Annotated[int, Field(ge=60, le=7 * 86_400), BeforeValidator(_whole)]
Instant: TypeAlias = Annotated[
    datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
Day: TypeAlias = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Status: TypeAlias = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Why an execution is stopped; it is kept in its history."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    cause: Text = ""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What to load again: each field narrows it, and without any it is all of the raw zone. `date`: an ingest date."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    dataset: Text | None = None
    key: Text | None = None
    prefix: Text | None = None
    date: Day | None = None


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """Athena SQL."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    sql: Annotated[str, Field(min_length=1, max_length=262_144)]
