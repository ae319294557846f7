"""Timestamps as the Amazon States Language wants them: the RFC 3339 profile with an upper-case T and Z."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from lakehead.model import Json

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)
_NO_SECONDS = re.compile(r"(.{10}T\d\d:\d\d)(Z|[+-].*)", re.ASCII)
_GREATEST_OFFSET = timedelta(hours=18)


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
            if int(minutes) > 59 or offset > _GREATEST_OFFSET:
                return None
            zone = timezone(offset if sign == "+" else -offset)
        moment = datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment, int((fraction or "").ljust(9, "0") or 0)


def instant(value: Json) -> datetime | None:
    """The timestamp as a datetime in UTC, to the microsecond.

    Wait reads what Java's ISO_OFFSET_DATE_TIME reads, as AWS's words for a wrong one say: small letters and no seconds
    will do.
    """
    text = _NO_SECONDS.sub(r"\1:00\2", value.upper()) if isinstance(value, str) else value
    parsed = parse_timestamp(text)
    return None if parsed is None else parsed[0] + timedelta(microseconds=parsed[1] // 1000)
