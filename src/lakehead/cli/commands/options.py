"""Types and options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Day(click.ParamType[date]):
    """A day, `2025-01-31`."""

    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The text as a date."""
        if isinstance(value, date):
            return value
        try:
            if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
                raise ValueError
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day; write it as 2025-01-31", param, ctx)


class Since(click.ParamType[datetime]):
    """A moment: `90m`, `24h`, `7d` ago, or a day or instant in ISO 8601 (UTC where it names no zone)."""

    name = "WHEN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The text as an instant in UTC."""
        if isinstance(value, datetime):
            return value
        ago = re.fullmatch(r"([0-9]{1,6})([smhd])", value)
        if ago:
            unit = {"s": 1, "m": 60, "h": 3600, "d": 86_400}[ago[2]]
            seconds = int(ago[1]) * unit
            if seconds < 86_400 * 36_500:
                return datetime.now(UTC) - timedelta(seconds=seconds)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no moment; write 90m, 24h, 7d or 2025-01-31T08:00", param, ctx)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def limit_option(default: int) -> Callable[[_Command], _Command]:
    """--limit N."""
    return click.option(
        "--limit", "-n", type=click.IntRange(1, 1_000_000), default=default, show_default=True, help="At most so many."
    )


dataset_option = click.option("--dataset", metavar="NAME", help="Only this dataset, such as sales/orders.")
key_option = click.option("--key", metavar="KEY", help="Only this object's key.")
