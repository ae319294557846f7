"""A chart of an answer, chosen by its columns' types and by how many values they have."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lakehead.console.answers import Kept
from lakehead.results import ChartData, ChartSeries

POINTS = 2_000
LINES = 8
"""The most values of a text column that are lines of their own."""
MEASURES = 4
"""The most numbers that are lines of one chart."""
BARS = 30

_LABEL_CHARS = 100
_NUMBERS = ("tinyint", "smallint", "integer", "bigint", "float", "real", "double", "decimal")
_TIMES = ("date", "timestamp", "timestamp with time zone")

_STEPS = (
    *((seconds, f"{seconds:g} s") for seconds in (0.001, 0.01, 0.1, 1, 2, 5, 10, 15, 30)),
    *((minutes * 60, f"{minutes} min") for minutes in (1, 2, 5, 10, 15, 30)),
    *((hours * 3_600, f"{hours} h") for hours in (1, 2, 3, 6, 12)),
    *((days * 86_400, f"{days} days") for days in (1, 2, 7, 14, 30, 90, 365, 3_650, 36_500, 365_000)),
)
"""What points are put together by, in seconds, where there are too many."""

Rows = Callable[[str], list[tuple[Any, ...]]]
"""All rows of a query over answers."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of an answer: its place and its name there."""

    at: int
    name: str

    @property
    def sql(self) -> str:
        return f"c{self.at}"


def chart(rows: Rows, kept: Kept) -> ChartData:
    """The chart that fits: lines over time, bars, or none and why."""
    times, numbers, texts = (_of(kept, kinds) for kinds in (_TIMES, _NUMBERS, ("varchar",)))
    if not kept.rows:
        return _none("The answer has no rows.")
    if not numbers:
        return _none("A chart needs a column of numbers.")
    if times and len(texts) <= 1 and len(numbers) <= MEASURES:
        return _over_time(rows, kept, times[0], numbers, texts[0] if texts else None)
    if texts and not times:
        return _bars(rows, kept, texts, numbers[0])
    return _none(_advice(times, texts))


def _advice(times: list[_Column], texts: list[_Column]) -> str:
    if not times:
        return "A chart needs a column of dates or timestamps, or one of text, beside the numbers."
    if len(texts) > 1:
        return "A chart over time can have one column of text at most."
    return f"A chart over time can have {MEASURES} columns of numbers at most."


def _of(kept: Kept, kinds: tuple[str, ...]) -> list[_Column]:
    return [_Column(at, name) for at, (name, kind) in enumerate(kept.columns) if kind.partition("(")[0] in kinds]


def _none(note: str) -> ChartData:
    return ChartData("none", note)


def _source(kept: Kept) -> str:
    """The answer with columns c0, c1, ...: people's names for them may be anything, and stand twice."""
    names = ", ".join(f"c{at}" for at in range(len(kept.columns)))
    return f"(SELECT * FROM {kept.scan}) AS answer ({names})"


def _over_time(rows: Rows, kept: Kept, time: _Column, numbers: list[_Column], text: _Column | None) -> ChartData:
    at = f"epoch(CAST({time.sql} AS TIMESTAMP))"
    source = f"{_source(kept)} WHERE isfinite(CAST({time.sql} AS TIMESTAMP))"
    ((count, first, last),) = rows(f"SELECT count(DISTINCT {at}), min({at}), max({at}) FROM {source}")
    if count < 2:
        return _none("A chart over time needs two different times at least.")
    label = "NULL" if text is None else f"left({text.sql}, {_LABEL_CHARS})"
    labels = [row[0] for row in rows(f"SELECT DISTINCT {label} FROM {source} ORDER BY 1 LIMIT {LINES + 1}")]
    if len(labels) > LINES:
        return _none(f"A chart over time can have {LINES} lines at most; {text and text.name} has more values.")
    step, told = _step(count, last - first)
    bucket = f"floor({at} / {step}) * {step}" if step else at
    chosen = numbers if text is None else numbers[:1]
    measures = ", ".join(f"avg(CAST({one.sql} AS DOUBLE))" for one in chosen)
    found = rows(f"SELECT {bucket}, {label}, {measures}, count(*) FROM {source} GROUP BY 1, 2 ORDER BY 1")
    notes = [f"Each point is the average of {told}."] if step else []
    if not step and any(row[-1] > 1 for row in found):
        notes.append("Values of the same time are averaged.")
    if len(chosen) < len(numbers):
        notes.append(f"Only {chosen[0].name} is drawn.")
    names = [one.name for one in chosen] if text is None else [_label(one) for one in labels]
    lines = {label: place for place, label in enumerate(labels)}
    return _lines(found, lines, time.name, names, " ".join(notes))


def _step(count: int, seconds: float) -> tuple[float, str]:
    """How many seconds to put together so that no more than POINTS remain, and how to say so; 0 for no need."""
    if count <= POINTS:
        return 0, ""
    return next(((step, told) for step, told in _STEPS if seconds / step <= POINTS - 1), _STEPS[-1])


def _lines(found: list[tuple[Any, ...]], lines: dict[Any, int], x_name: str, names: list[str], note: str) -> ChartData:
    """Rows of (time, label, measures, count) as lines: those of a label begin at the line that `lines` tells."""
    x = list(dict.fromkeys(float(row[0]) for row in found))
    places = {moment: place for place, moment in enumerate(x)}
    values: list[list[float | None]] = [[None] * len(x) for _ in names]
    for moment, label, *measures, _ in found:
        for line, value in enumerate(measures, lines[label]):
            values[line][places[float(moment)]] = _finite(value)
    series = tuple(ChartSeries(name, tuple(line)) for name, line in zip(names, values, strict=True))
    return ChartData("time", note, x_name, tuple(x), series)


def _bars(rows: Rows, kept: Kept, texts: list[_Column], number: _Column) -> ChartData:
    if kept.rows > BARS:
        return _none(f"Bars can show {BARS} rows at most; the answer has {kept.rows:,}.")
    labels = ", ".join(f"left({one.sql}, {_LABEL_CHARS})" for one in texts)
    found = rows(f"SELECT CAST({number.sql} AS DOUBLE), {labels} FROM {_source(kept)}")
    x = tuple(" / ".join(_label(part) for part in parts) for _, *parts in found)
    bars = ChartSeries(number.name, tuple(_finite(value) for value, *_ in found))
    return ChartData("bars", "", " / ".join(one.name for one in texts), x, (bars,))


def _label(value: Any) -> str:
    return "(none)" if value is None else str(value)


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
