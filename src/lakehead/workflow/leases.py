"""Which worker processes live: each has one row with a lease, which it renews while it lives."""

from __future__ import annotations

import os
import platform
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from lakehead.workflow.execution import micros


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told from every other: `born` is its start in clock ticks, because process ids are used again."""

    host: str
    boot: str
    pid: int
    born: str

    @classmethod
    def current(cls) -> Process:
        """This process."""
        return cls(_host(), _boot(), os.getpid(), _born(os.getpid()))

    def surely_dead(self, here: Process) -> bool:
        """Whether the process is gone for certain, seen from `here`. False where that cannot be told."""
        if self.host != here.host:
            return False
        if self.boot != here.boot:
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        born = _born(self.pid)
        return born != "" and self.born != "" and born != self.born


def register(connection: sqlite3.Connection, process: Process, now: datetime, lease: timedelta) -> int:
    """Enter a worker and return its id."""
    cursor = connection.execute(
        "INSERT INTO workers (host, boot, pid, born, expires) VALUES (?, ?, ?, ?, ?)",
        (process.host, process.boot, process.pid, process.born, micros(now + lease)),
    )
    return int(cursor.lastrowid or 0)


def renew(connection: sqlite3.Connection, worker: int, now: datetime, lease: timedelta) -> int:
    """Renew a worker's lease when a third of it is over. Returns 0 where others have declared the worker dead."""
    row = connection.execute("SELECT expires FROM workers WHERE id = ?", (worker,)).fetchone()
    if row is None:
        return 0
    if row[0] <= micros(now + lease * 2 / 3):
        connection.execute("UPDATE workers SET expires = ? WHERE id = ?", (micros(now + lease), worker))
    return worker


def dead_workers(connection: sqlite3.Connection, here: Process, me: int, now: datetime) -> list[int]:
    """The other workers whose lease is over or whose process is gone, and those that own tasks but are not listed."""
    rows = connection.execute("SELECT id, host, boot, pid, born, expires FROM workers WHERE id <> ?", (me,)).fetchall()
    found = [
        worker
        for worker, host, boot, pid, born, expires in rows
        if expires < micros(now) or Process(host, boot, pid, born).surely_dead(here)
    ]
    lost = connection.execute(
        "SELECT DISTINCT owner FROM tasks WHERE owner IS NOT NULL AND owner NOT IN (SELECT id FROM workers)"
    )
    return found + [owner for (owner,) in lost]


def bury(connection: sqlite3.Connection, worker: int) -> int:
    """Give a dead worker's tasks back; they are run again with the same token. Returns how many."""
    connection.execute("DELETE FROM workers WHERE id = ?", (worker,))
    return connection.execute(
        "UPDATE tasks SET phase = 0, owner = NULL, deadline = NULL, silent_until = NULL WHERE owner = ?", (worker,)
    ).rowcount


def retire(connection: sqlite3.Connection, worker: int) -> int:
    """Let a worker leave in good order: the runs of tasks that it gives back are not counted."""
    connection.execute("UPDATE tasks SET runs = runs - 1 WHERE owner = ?", (worker,))
    return bury(connection, worker)


def owned(connection: sqlite3.Connection, worker: int) -> list[tuple[int, int]]:
    """The executions and ids of the tasks that a worker has."""
    return connection.execute("SELECT execution, task FROM tasks WHERE owner = ?", (worker,)).fetchall()


def release(connection: sqlite3.Connection, worker: int, execution: int, task: int) -> None:
    """Give one task back that its worker will not run."""
    connection.execute(
        "UPDATE tasks SET phase = 0, owner = NULL, deadline = NULL, silent_until = NULL, runs = runs - 1"
        " WHERE execution = ? AND task = ? AND owner = ?",
        (execution, task, worker),
    )


def _host() -> str:
    # Process ids mean something only inside their namespace, which containers on one machine do not share.
    try:
        return f"{platform.node()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return platform.node()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _born(pid: int) -> str:
    """When a process was started, in ticks since boot; empty where the system does not tell, `-` for a zombie."""
    try:
        # The command's name, in parentheses, may itself hold spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "-" if fields[0] in "ZX" else fields[19]
