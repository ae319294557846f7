"""What ended within a window: the same numbers as by reading every execution, however the looks are cut."""

from __future__ import annotations

import math
import threading
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.journals import Clock, clock, journal, wait

from lakehead.inspection import overview
from lakehead.inspection.overview import Ends, WorkDone
from lakehead.results import WorkMinute
from lakehead.workflow import outbox, queries
from lakehead.workflow.journal import Execution, Journal

__all__ = ["clock", "journal"]

LOADED = {
    "StartAt": "Loaded",
    "States": {"Loaded": {"Type": "Pass", "Result": {"rows_committed": 5, "rows_quarantined": 2}, "End": True}},
}
ODD = {"StartAt": "Odd", "States": {"Odd": {"Type": "Pass", "Result": "a text", "End": True}}}


def fire_due(journal: Journal) -> None:
    """End the executions whose Wait is over, as a worker would."""
    journal.transact(lambda steps: steps.deliver(outbox.due(steps.connection, steps.now)))


def share(seconds: list[float], part: float) -> float | None:
    return sorted(seconds)[math.ceil(part * len(seconds)) - 1] if seconds else None


def minutes_of(executions: list[Execution]) -> tuple[WorkMinute, ...]:
    """The plain way: every execution is looked at."""
    found: dict[Any, list[Execution]] = {}
    for one in executions:
        assert one.ended is not None
        found.setdefault(one.ended.replace(second=0, microsecond=0), []).append(one)
    told = []
    for minute, its in sorted(found.items()):
        good = [one for one in its if one.status == "SUCCEEDED"]
        seconds = [(one.ended - one.started).total_seconds() for one in good if one.ended]
        rows = [one.output for one in good if isinstance(one.output, dict)]
        told.append(
            WorkMinute(
                minute,
                len(good),
                len(its) - len(good),
                sum(row.get("rows_committed", 0) for row in rows),
                sum(row.get("rows_quarantined", 0) for row in rows),
                share(seconds, 0.5),
                share(seconds, 0.95),
            )
        )
    return tuple(told)


def until_complete(ends: Ends, window: timedelta) -> WorkDone:
    for _ in range(10_000):
        done = ends.within(window)
        if done.complete:
            return done
    raise AssertionError("it was never complete")


def assert_same(journal: Journal, done: WorkDone, window: timedelta) -> None:
    start = journal.clock() - window
    within = [one for one in journal.executions(limit=10_000) if one.ended and one.ended >= start]
    assert done.minutes == minutes_of(within)
    good = [one for one in within if one.status == "SUCCEEDED" and one.ended]
    seconds = [(one.ended - one.started).total_seconds() for one in good if one.ended]
    assert (done.p50_seconds, done.p95_seconds) == (share(seconds, 0.5), share(seconds, 0.95))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("load"), st.integers(1, 9)),
        st.tuples(st.just("wait"), st.integers(1, 200)),
        st.tuples(st.just("stop late"), st.integers(0, 50)),
        st.tuples(st.just("redrive"), st.just(0)),
        st.tuples(st.just("redrive and stop"), st.just(0)),
        st.tuples(st.just("forward"), st.integers(0, 400)),
    ),
    min_size=5,
    max_size=30,
)


@given(STEPS, st.sampled_from([1, 90, 600, 3600]))
@settings(max_examples=60, deadline=None)
def test_the_numbers_of_any_window(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], seconds: int
) -> None:
    """`stop late`: an execution's end may be stored after a younger one's, by up to the time that a write waits."""
    clock, window = Clock(), timedelta(seconds=seconds)
    with (
        Journal(tmp_path_factory.mktemp("ends") / "workflow.db", clock=clock) as journal,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(overview, "SCAN", 4)
        patch.setattr(overview, "CHUNK", 3)
        ends = Ends(journal)
        for number, (what, value) in enumerate(steps):
            if what == "load":
                for one in range(value):
                    journal.start_execution(f"load-{number}-{one}", LOADED if one else ODD, {})
            elif what == "wait":
                journal.start_execution(f"wait-{number}", wait(value), {"rows_committed": value})
            elif what == "forward":
                clock.forward(seconds=value)
                fire_due(journal)
            else:
                clock.forward(seconds=-value)
                for found in journal.executions(status="RUNNING" if "late" in what else "ABORTED", limit=1):
                    if "redrive" in what:
                        journal.redrive(found.name)
                    if "stop" in what:
                        journal.stop(found.name)
                clock.forward(seconds=value)
            assert_same(journal, until_complete(ends, window), window)
        hour = timedelta(hours=1)
        assert_same(journal, until_complete(ends, hour), hour)
        assert_same(journal, until_complete(Ends(journal), hour), hour)


def test_a_first_look_reads_a_part_and_says_so(journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(overview, "SCAN", 7)
    monkeypatch.setattr(overview, "CHUNK", 3)
    for number in range(30):
        clock.forward(seconds=20)
        journal.start_execution(f"load-{number}", LOADED, {})
    ends, hour = Ends(journal), timedelta(hours=1)
    counts, complete = [], False
    while not complete:
        done = ends.within(hour)
        counts.append(done.total("succeeded"))
        complete = done.complete
    assert counts[0] == 3 and counts == sorted(counts) and counts[-1] == 30
    assert_same(journal, done, hour)


def test_a_look_reads_only_what_ended_since(journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        journal.start_execution(f"load-{number}", LOADED, {})
    ends, hour = Ends(journal), timedelta(hours=1)
    until_complete(ends, hour)
    clock.forward(minutes=2)
    read: list[int] = []
    really = queries.ended

    def noted(connection: Any, numbers: list[int], outputs: Any) -> Any:
        read.extend(numbers)
        return really(connection, numbers, outputs)

    monkeypatch.setattr(queries, "ended", noted)
    assert until_complete(ends, hour).total("succeeded") == 20 and read == []
    journal.start_execution("new", LOADED, {})
    assert until_complete(ends, hour).total("succeeded") == 21 and read == [21]
    assert until_complete(ends, timedelta(hours=2)).total("succeeded") == 21 and read == [21]


def test_of_a_long_window_ten_minutes_are_told_together(journal: Journal, clock: Clock) -> None:
    for number in range(4):
        journal.start_execution(f"load-{number}", LOADED, {})
        clock.forward(minutes=4)
    done = until_complete(Ends(journal), timedelta(days=2))
    assert [(minute.minute.minute, minute.succeeded, minute.rows_committed) for minute in done.minutes] == [
        (0, 3, 15),
        (10, 1, 5),
    ]


def test_what_is_older_than_any_window_is_forgotten(journal: Journal, clock: Clock) -> None:
    journal.start_execution("old", LOADED, {})
    ends = Ends(journal)
    assert until_complete(ends, timedelta(days=7)).total("succeeded") == 1
    clock.forward(days=8)
    assert until_complete(ends, timedelta(days=7)).total("succeeded") == 0
    assert not ends._minutes and not ends._known


def test_several_threads_look_while_executions_end(journal: Journal) -> None:
    ends, stop, faults = Ends(journal), threading.Event(), []

    def look() -> None:
        last = 0
        while not stop.is_set():
            count = ends.within(timedelta(hours=1)).total("succeeded")
            if count < last:
                faults.append((last, count))
            last = count

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(100):
        journal.start_execution(f"load-{number}", LOADED, {})
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not faults
    assert until_complete(ends, timedelta(hours=1)).total("succeeded") == 100
