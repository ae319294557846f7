"""What ended lately, minute by minute: kept in memory, so that a look reads only what ended since the one before."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, groupby, islice

from lakehead.inspection.runs import run_summary
from lakehead.results import DatasetSummary, NotificationSummary, Overview, RunSummary, WorkMinute
from lakehead.workflow import queries
from lakehead.workflow.journal import Journal
from lakehead.workflow.queries import Ended, Place

LONGEST_WINDOW = timedelta(days=7)
OVERLAP = timedelta(seconds=60)
"""An end may be stored later than one that is younger: it waited for the file. So much is read again each time."""
PATIENCE_SECONDS = 0.03
"""How long one look reads; what is left is for the next one."""
SCAN, CHUNK = 20_000, 500
"""How many ends are found, and how many executions are read, at a time."""
FINE_WINDOW = timedelta(days=1)
"""Of a longer window ten minutes are told together."""
_COUNTED = ("rows_committed", "rows_quarantined")
_COUNTS = ("succeeded", "failed", *_COUNTED)
_MINUTE = timedelta(minutes=1)
_FAILED = ("FAILED", "TIMED_OUT", "ABORTED")


@dataclass(frozen=True, slots=True)
class WorkDone:
    """What ended within a window. `complete`: all of it has been read."""

    minutes: tuple[WorkMinute, ...]
    p50_seconds: float | None
    p95_seconds: float | None
    complete: bool

    def total(self, name: str) -> int:
        """The sum of a count over the minutes."""
        return sum(getattr(minute, name) for minute in self.minutes)


@dataclass(slots=True)
class _Minute:
    """The executions that ended within a minute, by number. `told` and `seconds` are made of them when asked for."""

    ended: dict[int, Ended] = field(default_factory=dict)
    told: WorkMinute | None = None
    seconds: list[float] = field(default_factory=list)


class Ends:
    """The executions of a journal that ended lately. Safe from several threads.

    A redriven execution counts by its last end, and not at all while it runs again.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._minutes: dict[datetime, _Minute] = {}
        self._known: dict[int, datetime] = {}
        self._unread: dict[int, datetime] = {}
        self._found: tuple[Place, Place] | None = None

    def now(self) -> datetime:
        """The time by the journal's clock."""
        return self._journal.clock()

    def within(self, window: timedelta) -> WorkDone:
        """What ended within the last `window`, at most LONGEST_WINDOW, as far as it could be read in a moment."""
        with self._lock:
            now = self._journal.clock()
            start = now - min(window, LONGEST_WINDOW)
            complete = self._read(now, start)
            self._forget(now - LONGEST_WINDOW)
            return self._told(start, complete)

    def _read(self, now: datetime, start: datetime) -> bool:
        """Read on, and return whether all from `start` on was read."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._journal.database.read() as connection:
            first, last = self._found or ((now, 0), (now, 0))
            last = self._find_newer(connection, last)
            if first[0] > start:
                older = queries.older_ends(connection, first, start, SCAN)
                self._note(older)
                first = (start, 0) if len(older) < SCAN else older[-1]
            self._found = first, last
            for number in queries.redriven(connection):
                self._drop(number)
            while self._unread:
                numbers = list(islice(self._unread, CHUNK))
                self._take(queries.ended(connection, numbers, _COUNTED))
                for number in numbers:
                    del self._unread[number]
                if time.monotonic() >= deadline:
                    break
        return first[0] <= start and not any(ended >= start for ended in self._unread.values())

    def _find_newer(self, connection: sqlite3.Connection, last: Place) -> Place:
        """Find what ended since, and return the newest end that was found."""
        after = last[0] - OVERLAP, 0
        while newer := queries.newer_ends(connection, after, SCAN):
            self._note(newer)
            after = newer[-1]
        return max(last, after)

    def _note(self, found: Iterable[Place]) -> None:
        for ended, number in found:
            if self._known.get(number) != ended:
                self._unread[number] = ended

    def _take(self, found: Iterable[Ended]) -> None:
        for one in found:
            self._drop(one.number)
            minute = self._minutes.setdefault(one.ended.replace(second=0, microsecond=0), _Minute())
            minute.ended[one.number], minute.told = one, None
            self._known[one.number] = one.ended

    def _drop(self, number: int) -> None:
        ended = self._known.pop(number, None)
        if ended is not None:
            minute = self._minutes[ended.replace(second=0, microsecond=0)]
            del minute.ended[number]
            minute.told = None

    def _forget(self, before: datetime) -> None:
        for moment in [moment for moment in self._minutes if moment + _MINUTE <= before]:
            for number in self._minutes.pop(moment).ended:
                del self._known[number]
        if self._found is not None:
            self._found = max(self._found[0], (before, 0)), self._found[1]

    def _told(self, start: datetime, complete: bool) -> WorkDone:
        told: list[tuple[WorkMinute, Sequence[float]]] = []
        for moment in sorted(moment for moment in self._minutes if moment + _MINUTE > start):
            minute = self._minutes[moment]
            if moment < start:
                minute = _Minute({n: one for n, one in minute.ended.items() if one.ended >= start})
            if minute.ended:
                told.append((minute.told or _tell(minute, moment), minute.seconds))
        seconds = sorted(chain.from_iterable(its for _, its in told))
        if start < self.now() - FINE_WINDOW:
            told = [_joined(moment, list(group)) for moment, group in groupby(told, _ten_minutes)]
        minutes = tuple(minute for minute, _ in told)
        return WorkDone(minutes, _share(seconds, 0.5), _share(seconds, 0.95), complete)


def overview(
    ends: Ends,
    window_seconds: int,
    datasets: Sequence[DatasetSummary],
    failures: Sequence[RunSummary],
    notifications: Sequence[NotificationSummary],
) -> Overview:
    """A lake at a glance, of what was looked at for it."""
    now, done = ends.now(), ends.within(timedelta(seconds=window_seconds))
    succeeded, failed = done.total("succeeded"), done.total("failed")
    return Overview(
        now=now,
        window_seconds=window_seconds,
        succeeded=succeeded,
        failed=failed,
        rows_committed=done.total("rows_committed"),
        rows_quarantined=done.total("rows_quarantined"),
        success_rate=succeeded / (succeeded + failed) if succeeded + failed else None,
        p50_seconds=done.p50_seconds,
        p95_seconds=done.p95_seconds,
        waiting=sum(dataset.waiting for dataset in datasets),
        running=sum(dataset.running for dataset in datasets),
        minutes=done.minutes,
        datasets=tuple(datasets),
        failures=tuple(failures),
        notifications=tuple(notifications),
        complete=done.complete,
    )


def newest_failures(journal: Journal, limit: int) -> list[RunSummary]:
    """The executions that failed last, in whatever way."""
    found = [run_summary(one) for status in _FAILED for one in journal.executions(status=status, limit=limit)]
    return sorted(found, key=lambda run: run.ended or run.started, reverse=True)[:limit]


def _tell(minute: _Minute, moment: datetime) -> WorkMinute:
    succeeded = [one for one in minute.ended.values() if one.status == "SUCCEEDED"]
    minute.seconds = sorted((one.ended - one.started).total_seconds() for one in succeeded)
    committed, quarantined = (sum(_count(one.outputs[n]) for one in succeeded) for n in range(len(_COUNTED)))
    minute.told = WorkMinute(
        moment,
        len(succeeded),
        len(minute.ended) - len(succeeded),
        committed,
        quarantined,
        _share(minute.seconds, 0.5),
        _share(minute.seconds, 0.95),
    )
    return minute.told


def _ten_minutes(told: tuple[WorkMinute, Sequence[float]]) -> datetime:
    moment = told[0].minute
    return moment - moment.minute % 10 * _MINUTE


def _joined(moment: datetime, told: list[tuple[WorkMinute, Sequence[float]]]) -> tuple[WorkMinute, Sequence[float]]:
    seconds = sorted(chain.from_iterable(its for _, its in told))
    counts = {name: sum(getattr(minute, name) for minute, _ in told) for name in _COUNTS}
    whole = WorkMinute(moment, **counts, p50_seconds=_share(seconds, 0.5), p95_seconds=_share(seconds, 0.95))
    return whole, seconds


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _share(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None
