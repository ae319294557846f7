"""The outbox of tasks and timers: what is due, and which worker takes what."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lakehead.workflow.execution import micros, moment
from lakehead.workflow.steps import Delivery
from lakehead.workflow.types import TaskTimedOut, TimerFired

MAX_DUE = 200
"""At most so many due timers and overdue tasks share a transaction."""

_CLAIMED = (
    "execution, task, name, labels, state_name, resource, request, wait_for_token, task_token, timeout, heartbeat,"
    " runs + 1, ?"
)


@dataclass(frozen=True, slots=True)
class ClaimedTask:
    """A task that a worker has taken. `request` and `labels` are JSON; `runs` counts this one too."""

    execution: int
    task: int
    name: str
    labels: str
    state_name: str
    resource: str
    request: str
    wait_for_token: int
    task_token: str
    timeout: float | None
    heartbeat: float | None
    runs: int
    owner: int

    @property
    def token(self) -> str:
        """The same each time that the task is run."""
        return f"{self.name}/{self.task}"


def due(connection: sqlite3.Connection, now: datetime) -> list[Delivery]:
    """The timers that are due and the tasks that are overdue, at most MAX_DUE of each, longest due first."""
    stamp = micros(now)
    timers = connection.execute(
        "SELECT execution, timer FROM timers WHERE due <= ? ORDER BY due LIMIT ?", (stamp, MAX_DUE)
    )
    late = connection.execute(
        "SELECT execution, task FROM tasks WHERE deadline <= ? ORDER BY deadline LIMIT ?", (stamp, MAX_DUE)
    )
    silent = connection.execute(
        "SELECT execution, task FROM tasks WHERE silent_until <= ? ORDER BY silent_until LIMIT ?", (stamp, MAX_DUE)
    )
    return [
        *(Delivery(execution, TimerFired(timer)) for execution, timer in timers),
        *(Delivery(execution, TaskTimedOut(task)) for execution, task in late),
        *(Delivery(execution, TaskTimedOut(task, heartbeat=True)) for execution, task in silent),
    ]


def next_due(connection: sqlite3.Connection) -> datetime | None:
    """When the next timer or deadline is due."""
    row = connection.execute(
        "SELECT (SELECT min(due) FROM timers),"
        " (SELECT min(deadline) FROM tasks WHERE deadline IS NOT NULL),"
        " (SELECT min(silent_until) FROM tasks WHERE silent_until IS NOT NULL)"
    ).fetchone()
    stamps = [stamp for stamp in row if stamp is not None]
    return moment(min(stamps)) if stamps else None


def pending_resources(connection: sqlite3.Connection) -> list[str]:
    """The resources that tasks wait for. Costs the number of resources, not of tasks."""
    found: list[str] = []
    last = ""
    while True:
        row = connection.execute(
            "SELECT resource FROM tasks WHERE phase = 0 AND resource > ? ORDER BY resource LIMIT 1", (last,)
        ).fetchone()
        if row is None:
            return found
        last = row[0]
        found.append(last)


def claim(
    connection: sqlite3.Connection,
    worker: int,
    resources: Iterable[str],
    pool_of: Callable[[str], str],
    room: Mapping[str, int],
    now: datetime,
) -> list[ClaimedTask]:
    """Take the oldest pending tasks for a worker, as many in each pool as it has room for."""
    by_pool: dict[str, list[str]] = {}
    for resource in resources:
        pool = pool_of(resource)
        if room.get(pool, 0) > 0:
            by_pool.setdefault(pool, []).append(resource)
    claimed: list[ClaimedTask] = []
    for pool, its in by_pool.items():
        rows = heapq.merge(*(_oldest(connection, worker, resource, room[pool]) for resource in its))
        claimed += [_take(connection, row, now) for row, _ in zip(rows, range(room[pool]), strict=False)]
    return claimed


def _oldest(connection: sqlite3.Connection, worker: int, resource: str, limit: int) -> list[tuple[Any, ...]]:
    return connection.execute(
        f"SELECT {_CLAIMED} FROM tasks JOIN executions ON executions.number = tasks.execution"
        " WHERE phase = 0 AND resource = ? ORDER BY execution, task LIMIT ?",
        (worker, resource, limit),
    ).fetchall()


def _take(connection: sqlite3.Connection, row: tuple[Any, ...], now: datetime) -> ClaimedTask:
    task = ClaimedTask(*row)
    connection.execute(
        "UPDATE tasks SET phase = 1, owner = ?, runs = ?, deadline = ?, silent_until = ?"
        " WHERE execution = ? AND task = ?",
        (
            task.owner,
            task.runs,
            _after(now, task.timeout),
            _after(now, task.heartbeat),
            task.execution,
            task.task,
        ),
    )
    return task


def await_token(connection: sqlite3.Connection, worker: int, execution: int, task: int) -> None:
    """The task's handler has returned; from now on the task waits for someone who reports with its token."""
    connection.execute(
        "UPDATE tasks SET phase = 2, owner = NULL WHERE execution = ? AND task = ? AND owner = ?",
        (execution, task, worker),
    )


def beat(connection: sqlite3.Connection, task_token: str, now: datetime) -> bool:
    """Note a heartbeat. False where nobody waits for the task any more."""
    found = by_token(connection, task_token)
    if found is None:
        name, _, task = task_token.rpartition("/")
        found = connection.execute(
            "SELECT number, task FROM executions JOIN tasks ON execution = number WHERE name = ? AND task = ?",
            (name, int(task) if task.isdecimal() else -1),
        ).fetchone()
    if found is None:
        return False
    row = connection.execute("SELECT heartbeat FROM tasks WHERE execution = ? AND task = ?", found).fetchone()
    connection.execute(
        "UPDATE tasks SET silent_until = ? WHERE execution = ? AND task = ? AND phase > 0",
        (_after(now, row[0]), *found),
    )
    return True


def by_token(connection: sqlite3.Connection, task_token: str) -> tuple[int, int] | None:
    """The execution's number and the task's id that a token stands for."""
    row: tuple[int, int] | None = connection.execute(
        "SELECT execution, task FROM tasks WHERE task_token = ? AND task_token <> ''", (task_token,)
    ).fetchone()
    return row


def is_idle(connection: sqlite3.Connection) -> bool:
    """Whether nothing will happen by itself: no task to run and no timer. Tasks that wait for a token do not count."""
    (busy,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM timers) OR EXISTS (SELECT 1 FROM tasks WHERE phase = 0)"
        " OR EXISTS (SELECT 1 FROM tasks WHERE owner IS NOT NULL)"
    ).fetchone()
    return not busy


def _after(now: datetime, seconds: float | None) -> int | None:
    return None if seconds is None else micros(now + timedelta(seconds=seconds))
