"""Timestamps as the Amazon States Language wants them: the RFC 3339 profile with an upper-case T and Z."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from lakehead.model import Json

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)


def parse_timestamp(value: Json) -> tuple[datetime, int] | None:
    """(instant in UTC to the second, nanoseconds), which can be compared; None where the value is no timestamp."""
    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, sign, hours, minutes = found.groups()[6:]
    zone: timezone = UTC
    try:
        if sign:
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            zone = timezone(offset if sign == "+" else -offset)
        moment = datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment, int((fraction or "").ljust(9, "0") or 0)


def instant(value: Json) -> datetime | None:
    """The timestamp as a datetime in UTC, to the microsecond."""
    parsed = parse_timestamp(value)
    return None if parsed is None else parsed[0] + timedelta(microseconds=parsed[1] // 1000)
