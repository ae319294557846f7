"""What the overview's charts are drawn from: plain numbers, summed into bars of even width."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from lakehead.results import Overview, WorkMinute

BARS = 60
"""About how many bars a chart has; it is one minute each for an hour."""


@dataclass(frozen=True, slots=True)
class Series:
    """A line, or the bars of one colour. `field` is what is drawn of a WorkMinute; `tone` is a colour's name."""

    name: str
    tone: str
    field: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart. `data` is the JSON that the script draws, `told` a sentence for who cannot see it."""

    id: str
    title: str
    told: str
    series: tuple[Series, ...]
    data: str


COMMITTED = Series("committed", "accent", "rows_committed"), Series("quarantined", "warn", "rows_quarantined")
LOADED = Series("loaded", "ok", "succeeded"), Series("failed", "fail", "failed")
TOOK = Series("p50", "run", "p50_seconds"), Series("p95", "violet", "p95_seconds")


def overview_figures(seen: Overview) -> list[Figure]:
    """The overview's charts."""
    step = step_seconds(seen.window_seconds)
    per = "minute" if step == 60 else f"{step // 60} minutes"
    rows = f"{seen.rows_committed:,} rows committed and {seen.rows_quarantined:,} quarantined in this window."
    files = f"{seen.succeeded:,} files loaded and {seen.failed:,} failed in this window."
    took = "Half of the loads took less than p50, nineteen of twenty less than p95."
    return [
        Figure("chart-rows", f"Rows per {per}", rows, COMMITTED, _bars(seen, step, COMMITTED)),
        Figure("chart-files", f"Files per {per}", files, LOADED, _bars(seen, step, LOADED)),
        Figure("chart-durations", "Duration of a load", took, TOOK, _lines(seen, step, TOOK)),
    ]


def step_seconds(window_seconds: int) -> int:
    """The width of a bar: whole minutes."""
    return max(60, ceil(window_seconds / BARS / 60) * 60)


def _span(seen: Overview, step: int) -> tuple[int, int]:
    """Where the axis begins and ends, in seconds since 1970, both at the edge of a bar."""
    end = (_seconds(seen.now) // step + 1) * step
    return end - ceil(seen.window_seconds / step) * step, end


def _bars(seen: Overview, step: int, series: Sequence[Series]) -> str:
    start, end = _span(seen, step)
    places = range(start, end, step)
    values = [[0] * len(places) for _ in series]
    for minute in seen.minutes:
        place = (_seconds(minute.minute) - start) // step
        if 0 <= place < len(places):
            for one, drawn in zip(series, values, strict=True):
                drawn[place] += getattr(minute, one.field)
    return _chart("bars", "count", (start, end), step, places, series, values)


def _lines(seen: Overview, step: int, series: Sequence[Series]) -> str:
    shown = [minute for minute in seen.minutes if minute.p50_seconds is not None]
    values = [[_rounded(minute, one.field) for minute in shown] for one in series]
    places = [_seconds(minute.minute) for minute in shown]
    return _chart("lines", "seconds", _span(seen, step), 60, places, series, values)


def _chart(
    kind: str,
    unit: str,
    span: tuple[int, int],
    step: int,
    places: Sequence[int],
    series: Sequence[Series],
    values: Sequence[Sequence[Any]],
) -> str:
    drawn = [{"name": one.name, "tone": one.tone, "values": row} for one, row in zip(series, values, strict=True)]
    told = {"kind": kind, "unit": unit, "from": span[0], "to": span[1], "step": step, "x": list(places)}
    return json.dumps({**told, "series": drawn}, separators=(",", ":"))


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _rounded(minute: WorkMinute, field: str) -> float | None:
    value = getattr(minute, field)
    return None if value is None else round(value, 4)
