"""What the tests of the journal share: small workflows, a clock that is set by hand, and worker processes that die."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehead.errors import ExecutionAlreadyExists
from lakehead.workflow.database import Database
from lakehead.workflow.journal import Journal
from lakehead.workflow.types import TaskError, TaskHandler, TaskRequest
from lakehead.workflow.worker import Worker

WORK = "arn:aws:states:::demo:work"


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    with Journal(tmp_path / "workflow.db", clock=clock) as journal:
        yield journal


class FastClock:
    """A clock that runs fifty times as fast, the same in every process that knows its start."""

    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.start + (time.time() - self.start) * 50, UTC)


@contextmanager
def running(worker: Worker) -> Iterator[threading.Event]:
    """Let a worker run in a thread. It is stopped at the end, or by the event that is given."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(worker.run, stop)
        try:
            yield stop
        finally:
            stop.set()
            worker.wake()
            run.result(60)


def task(name: str = "Work", resource: str = WORK, **fields: Any) -> dict[str, Any]:
    """A machine of one task."""
    return {"StartAt": name, "States": {name: {"Type": "Task", "Resource": resource, "End": True, **fields}}}


def chain(length: int, resource: str = WORK) -> dict[str, Any]:
    """A machine of tasks, one after the other, that pass on what they are given."""
    states = {
        f"T{i}": {"Type": "Task", "Resource": resource, **({"Next": f"T{i + 1}"} if i + 1 < length else {"End": True})}
        for i in range(length)
    }
    return {"StartAt": "T0", "States": states}


def wait(seconds: int) -> dict[str, Any]:
    """A machine that only waits."""
    return {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": seconds, "End": True}}}


def _branch(name: str, state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": name, "States": {name: {**state, "End": True}}}


EVERYTHING: dict[str, Any] = {
    "StartAt": "Flaky",
    "States": {
        "Flaky": {
            "Type": "Task",
            "Resource": f"{WORK}/flaky",
            "Parameters": {"attempt.$": "$$.State.RetryCount"},
            "ResultPath": "$.flaky",
            "Retry": [{"ErrorEquals": ["Flaky"], "IntervalSeconds": 1, "MaxAttempts": 3}],
            "Next": "Wait",
        },
        "Wait": {"Type": "Wait", "Seconds": 2, "Next": "Each"},
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemProcessor": _branch("One", {"Type": "Task", "Resource": f"{WORK}/double"}),
            "ResultPath": "$.doubled",
            "Next": "Both",
        },
        "Both": {
            "Type": "Parallel",
            "Branches": [
                _branch("Left", {"Type": "Task", "Resource": f"{WORK}/left"}),
                _branch("Right", {"Type": "Wait", "Seconds": 1}),
            ],
            "ResultSelector": {"left.$": "$[0]"},
            "ResultPath": "$.both",
            "Next": "Broken",
        },
        "Broken": {
            "Type": "Task",
            "Resource": f"{WORK}/broken",
            "Catch": [{"ErrorEquals": ["Broken"], "ResultPath": "$.caught", "Next": "Last"}],
            "End": True,
        },
        "Last": {"Type": "Task", "Resource": f"{WORK}/last", "ResultPath": "$.last", "End": True},
    },
}
"""Retry, Wait, Map, Parallel and Catch."""


def handlers(log: Path) -> dict[str, TaskHandler]:
    """Handlers for EVERYTHING that note each run's process and token in `log`."""

    def noting(answer: Callable[[TaskRequest], Any]) -> TaskHandler:
        def handler(request: TaskRequest) -> Any:
            note(log, request.token)
            return answer(request)

        return handler

    def flaky(request: TaskRequest) -> str:
        if request.arguments["attempt"] < 2:
            raise TaskError("Flaky", "not yet")
        return "at last"

    def broken(request: TaskRequest) -> None:
        raise TaskError("Broken", "for good")

    return {
        f"{WORK}/flaky": noting(flaky),
        f"{WORK}/double": noting(lambda request: request.arguments * 2),
        f"{WORK}/left": noting(lambda request: "left"),
        f"{WORK}/broken": noting(broken),
        f"{WORK}/last": noting(lambda request: "done"),
    }


def note(log: Path, text: str) -> None:
    """Append one line in one write, so that processes do not mix theirs."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{os.getpid()} {text}\n".encode())
    finally:
        os.close(file)


def notes(log: Path) -> list[tuple[int, str]]:
    """The process and the text of each line."""
    if not log.exists():
        return []
    lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
    return [(int(pid), text) for pid, text in lines]


def types(journal: Journal, name: str) -> Counter[str]:
    """How often each type of event is in an execution's history, whose ids must be gapless."""
    history = journal.history(name)
    assert [event["id"] for event in history] == list(range(1, len(history) + 1))
    assert all(event["previousEventId"] < event["id"] for event in history)
    return Counter(event["type"] for event in history)


def start_and_run(journal: Journal, log: Path, items: list[int]) -> None:
    """Start EVERYTHING (again) and work until nothing is left."""
    with suppress(ExecutionAlreadyExists):  # killed after its end
        journal.start_execution("everything", EVERYTHING, {"items": items}, labels={"dataset": "a/b"})
    worker = Worker(journal, handlers(log), pools={"default": 2}, lease_seconds=3600, poll_seconds=0.01)
    assert worker.run_until_idle(60)


def die_at_commit(path: Path, log: Path, start: float, items: list[int], commit: int, before: bool) -> None:
    """In a process of its own: run EVERYTHING and be killed right before or after the given commit of the journal."""
    done = 0
    commit_really = Database._commit

    def counted(self: Database) -> None:
        nonlocal done
        done += 1
        if done == commit and before:
            os.kill(os.getpid(), signal.SIGKILL)
        commit_really(self)
        if done == commit:
            os.kill(os.getpid(), signal.SIGKILL)

    Database._commit = counted  # type: ignore[method-assign]
    start_and_run(Journal(path, clock=FastClock(start)), log, items)


def work_on(path: Path, log: Path, needed: int) -> None:
    """In a process of its own: work on a journal until stopped.

    Tasks of `meet` end once `needed` processes work on them.
    """

    def meet(request: TaskRequest) -> Any:
        note(log, request.token)
        end = time.monotonic() + 60
        while len({pid for pid, _ in notes(log)}) < needed and time.monotonic() < end:
            time.sleep(0.01)
        return request.arguments

    def work(request: TaskRequest) -> Any:
        note(log, request.token)
        return request.arguments

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Journal(path) as journal:
        worker = Worker(journal, {f"{WORK}/meet": meet, WORK: work}, pools={"default": 4})
        worker.run(stop)


def plan(journal: Journal, sql: str, values: list[Any]) -> str:
    """How SQLite would run a query."""
    connection = sqlite3.connect(journal.database.path)
    try:
        return "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values))
    finally:
        connection.close()
