"""The durable journal of executions: every step is one transaction of state, history, tasks and timers."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from lakehead.errors import Busy, ExecutionAlreadyExists, ExecutionNotFound, NotFound, NotRedrivable, UsageError
from lakehead.listeners import Listeners
from lakehead.logs import log_context
from lakehead.model import Json, iso, utc_now
from lakehead.workflow import outbox, queries
from lakehead.workflow.database import Database
from lakehead.workflow.execution import RUNNING, Change, Execution, canonical, encode, micros
from lakehead.workflow.queries import ExecutionFilter
from lakehead.workflow.states import Definition
from lakehead.workflow.steps import Definitions, Delivery, Steps
from lakehead.workflow.types import Event, ExecutionInfo, StopRequested, TaskFailed, TaskSucceeded

__all__ = ["Change", "Execution", "ExecutionFilter", "Journal", "Start"]

T = TypeVar("T")

NAME = re.compile(r"[0-9A-Za-z_-]{1,80}")
LABEL = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_INPUT = 262_144
"""Bytes of an input (Step Functions quotas, "Maximum input or output size")."""
NAME_KEPT = timedelta(days=90)
"""How long after its end an execution's name is taken (Step Functions, StartExecution)."""
REDRIVABLE = timedelta(days=14)
"""How long after its end an execution can be redriven (Step Functions, RedriveExecution)."""
POLL_SECONDS = 0.5
"""How soon a change by another process is noticed."""
ACCOUNT = "local:000000000000"


@dataclass(frozen=True, slots=True)
class Start:
    """An execution that is to be started; see `Journal.start_execution`."""

    name: str
    definition: Mapping[str, Json]
    input: Json
    labels: Mapping[str, str] = field(default_factory=dict)
    state_machine: str = "workflow"


@dataclass(frozen=True, slots=True)
class _New:
    """A start that was checked."""

    name: str
    hash: str
    document: str
    definition: Definition
    input: Json
    input_text: str
    labels: Mapping[str, str]
    machine: str


class Journal:
    """Executions in a SQLite file. Safe from several threads; several processes may open the same file.

    `clock` tells the time in UTC. Every method raises Busy where another process holds the file for too long, and
    StorageUnavailable where the disk fails; then nothing of the call was done.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.database = Database(path)
        self.clock = clock
        self.definitions = Definitions()
        self._listeners, self._wakers = Listeners[Change](), Listeners[[]]()
        self._ended = threading.Condition()

    def close(self) -> None:
        """Close the file. Running executions go on when a worker opens it again."""
        self.database.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Starting, stopping, redriving

    def start_execution(
        self,
        name: str,
        definition: Mapping[str, Json],
        input: Json,
        *,
        labels: Mapping[str, str] | None = None,
        state_machine: str = "workflow",
    ) -> Execution:
        """Start an execution, or return the one of this name if it is running with the same input.

        A name is 1 to 80 characters of `[0-9A-Za-z_-]`; it can be used again 90 days after the execution ended.
        `labels` can be searched and are in every log line of the execution's tasks. Raises DefinitionError, UsageError,
        and ExecutionAlreadyExists where the execution of this name has ended or has another input (Step Functions API
        reference, StartExecution).
        """
        start = Start(name, definition, input, labels or {}, state_machine)
        return self.start_executions([start])[0]

    def start_executions(self, starts: Iterable[Start]) -> list[Execution]:
        """Start several executions in one transaction, as by `start_execution`: all of them or none."""
        new = self._prepared(starts)
        return self._write(lambda steps: [self._start(each, steps) for each in new])

    def start_missing(self, starts: Iterable[Start]) -> list[Execution]:
        """The same, but a name that is taken already is left to the execution that has it."""
        new = self._prepared(starts)

        def start(each: _New, steps: Steps) -> Execution:
            try:
                return self._start(each, steps)
            except ExecutionAlreadyExists:
                return self._found(steps.connection, each.name)

        return self._write(lambda steps: [start(each, steps) for each in new])

    def _prepared(self, starts: Iterable[Start]) -> list[_New]:
        # A document is looked at once for all that run it: it is larger than what is to be stored of a start.
        known: dict[int, tuple[Mapping[str, Json], tuple[str, str, Definition]]] = {}
        new = []
        for start in starts:
            _check(start.name, start.labels, start.state_machine)
            if id(start.definition) not in known:
                known[id(start.definition)] = start.definition, self.definitions.add(start.definition)
            text, given = _input(start.input)
            _, parsed = known[id(start.definition)]
            new.append(_New(start.name, *parsed, given, text, dict(start.labels), start.state_machine))
        return new

    def _start(self, new: _New, steps: Steps) -> Execution:
        connection, now = steps.connection, steps.now
        found = queries.find(connection, new.name)
        if found is not None and found.ended is not None and found.ended + NAME_KEPT <= now:
            queries.forget(connection, found.number)
        elif found is not None:
            if found.running and canonical(found.input) == canonical(new.input):
                return found
            how = "with another input" if found.running else "that has ended"
            raise ExecutionAlreadyExists(f"this name is taken by an execution {how}", name=new.name)
        connection.execute("INSERT OR IGNORE INTO definitions VALUES (?, ?)", (new.hash, new.document))
        stamp = micros(now)
        cursor = connection.execute(
            "INSERT INTO executions (name, machine, definition, status, input, labels, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (new.name, new.machine, new.hash, RUNNING, new.input_text, encode(new.labels), stamp),
        )
        number = int(cursor.lastrowid or 0)
        connection.executemany(
            "INSERT INTO labels VALUES (?, ?, ?, ?, ?)",
            [(number, label, value, RUNNING, stamp) for label, value in new.labels.items()],
        )
        info = ExecutionInfo(
            id=f"arn:aws:states:{ACCOUNT}:execution:{new.machine}:{new.name}",
            name=new.name,
            start_time=iso(now),
            state_machine_id=f"arn:aws:states:{ACCOUNT}:stateMachine:{new.machine}",
            state_machine_name=new.machine,
        )
        steps.start(number, new.name, new.labels, new.definition, new.input, info)
        return self._found(connection, new.name)

    def stop(self, name: str, *, error: str = "", cause: str = "") -> Execution:
        """Stop a running execution; it ends as ABORTED. One that has ended stays as it is."""

        def work(steps: Steps) -> Execution:
            number = self._found(steps.connection, name).number
            steps.deliver([Delivery(number, StopRequested(error, cause))])
            return self._found(steps.connection, name)

        return self._write(work)

    def redrive(self, name: str) -> Execution:
        """Run a failed, timed out or stopped execution again from where it ended; what succeeded is not run again.

        The history is appended. Raises NotRedrivable: it runs or succeeded, ended more than 14 days ago, or its history
        is full (Step Functions Developer Guide, "Redrive eligibility for unsuccessful executions").
        """

        def work(steps: Steps) -> Execution:
            found = self._found(steps.connection, name)
            if found.ended is not None and found.ended + REDRIVABLE < steps.now and found.status != "SUCCEEDED":
                raise NotRedrivable(
                    "the execution ended more than 14 days ago", hint="Start a new one with its input.", name=name
                )
            try:
                steps.redrive(found.number)
            except NotRedrivable as error:
                error.where["name"] = name
                raise
            return self._found(steps.connection, name)

        return self._write(work)

    # Tasks that wait for a token

    def send_task_success(self, task_token: str, output: Json) -> None:
        """Report the output of a task that waits for its token. Raises NotFound where none does."""
        text = encode(output)
        self._report(task_token, lambda task: TaskSucceeded(task, json.loads(text)))

    def send_task_failure(self, task_token: str, error: str, cause: str = "") -> None:
        """Report the failure of a task that waits for its token. Raises NotFound where none does."""
        self._report(task_token, lambda task: TaskFailed(task, error, cause))

    def send_task_heartbeat(self, token: str) -> None:
        """Tell that a task is being worked on, by its task token or by the token its handler got.

        Raises NotFound where nobody waits for it any more: it timed out, or its execution ended.
        """

        def work(steps: Steps) -> None:
            if not outbox.beat(steps.connection, token, steps.now):
                raise NotFound("no task waits for this token", hint="It may have timed out.")

        self._write(work)

    def _report(self, task_token: str, event: Callable[[int], Event]) -> None:
        def work(steps: Steps) -> None:
            found = outbox.by_token(steps.connection, task_token)
            if found is None:
                raise NotFound("no task waits for this token", hint="It may have timed out.")
            execution, task = found
            steps.deliver([Delivery(execution, event(task))])

        self._write(work)

    # Looking

    def find(self, name: str) -> Execution | None:
        """The execution of this name."""
        with self.database.read() as connection:
            return queries.find(connection, name)

    def describe(self, name: str) -> Execution:
        """The execution of this name. Raises ExecutionNotFound."""
        with self.database.read() as connection:
            return self._found(connection, name)

    def ended(self, names: Iterable[str]) -> list[Execution]:
        """Those of these executions that have ended."""
        with self.database.read() as connection:
            found = [queries.find(connection, name) for name in names]
        return [execution for execution in found if execution is not None and not execution.running]

    def newest_step(self) -> datetime | None:
        """When the newest step of a running execution was made; None where none runs."""
        with self.database.read() as connection:
            return queries.newest_step(connection)

    def definition(self, name: str) -> dict[str, Json]:
        """The document that an execution runs. Raises ExecutionNotFound."""
        with self.database.read() as connection:
            key = self._found(connection, name).definition
            (text,) = connection.execute("SELECT document FROM definitions WHERE hash = ?", (key,)).fetchone()
        document: dict[str, Json] = json.loads(text)
        return document

    def executions(
        self,
        *,
        status: str | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        name_prefix: str = "",
        limit: int = 100,
        after: str | None = None,
    ) -> list[Execution]:
        """Executions for which all conditions hold, newest first; by name where `name_prefix` is given.

        `since` is included, `until` is not. The next page comes `after` the name of this page's last one. Raises
        ExecutionNotFound where that one was pruned.
        """
        wanted = ExecutionFilter(status, labels or {}, since, until, name_prefix)
        with self.database.read() as connection:
            return queries.page(connection, wanted, limit, after)

    def history(
        self, name: str, *, after: int = 0, limit: int = 1_000_000, newest_first: bool = False
    ) -> list[dict[str, Json]]:
        """Step Functions events of an execution, those that come after event id `after`. Raises ExecutionNotFound."""
        with self.database.read() as connection:
            return queries.history(connection, name, after=after, limit=limit, newest_first=newest_first)

    def count(self, status: str | None = None, *, labels: Mapping[str, str] | None = None) -> int:
        """How many executions there are, of a status and with labels."""
        if status is not None and len(labels or {}) <= 1:
            with self.database.read() as connection:
                return queries.count(connection, status, labels or {})
        found = self.counts(labels=labels)
        return found.get(status, 0) if status is not None else sum(found.values())

    def counts(self, *, labels: Mapping[str, str] | None = None) -> dict[str, int]:
        """How many executions have each status."""
        with self.database.read() as connection:
            return queries.counts(connection, labels or {})

    def newest_end(self, status: str, label: str, value: str) -> datetime | None:
        """When the last execution with a status and a label ended."""
        with self.database.read() as connection:
            return queries.newest_end(connection, status, label, value)

    def wait_for(self, name: str, timeout: float) -> Execution:
        """Wait until an execution has ended, in whichever process. Raises Busy after `timeout` seconds."""
        end = time.monotonic() + timeout
        while True:
            # Held across look and wait, so that an end in between is not missed.
            with self._ended:
                found = self.describe(name)
                rest = end - time.monotonic()
                if not found.running:
                    return found
                if rest <= 0:
                    raise Busy(
                        "the execution has not ended yet", hint="Is a worker running?", name=name, seconds=timeout
                    )
                self._ended.wait(min(rest, POLL_SECONDS))

    # Housekeeping

    def prune(self, before: datetime, *, chunk: int = 200) -> int:
        """Forget executions that ended before, with their histories. Returns how many."""
        total = 0
        while True:
            count = self.database.write(lambda connection: queries.prune(connection, before, chunk))
            total += count
            if count < chunk:
                return total

    def forget(self, label: str, value: str) -> list[str]:
        """Forget the executions with this label that have ended, with their histories. Returns their names."""
        return self.database.write(lambda connection: queries.forget_ended(connection, label, value))

    def on_change(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` after each transaction of this process that changed an execution. Returns how to end that.

        It is called by the thread that made the change; what it raises is logged.
        """
        return self._listeners.add(listener)

    def on_work(self, waker: Callable[[], None]) -> Callable[[], None]:
        """Call `waker` when this process gave workers something to do. Returns how to end that."""
        return self._wakers.add(waker)

    def transact(self, work: Callable[[Steps], T]) -> T:
        """Run `work` in a transaction, then tell the listeners what it changed. For workers."""

        def step(connection: sqlite3.Connection) -> tuple[T, list[Change]]:
            steps = Steps(connection, self.definitions, self.clock())
            return work(steps), steps.changes

        result, changes = self.database.write(step)
        self._tell(changes)
        return result

    def _write(self, work: Callable[[Steps], T]) -> T:
        result = self.transact(work)
        self._wakers.tell()
        return result

    def _tell(self, changes: list[Change]) -> None:
        if any(change.ended for change in changes):
            with self._ended:
                self._ended.notify_all()
        for change in changes:
            with log_context(execution=change.name):
                self._listeners.tell(change)

    @staticmethod
    def _found(connection: sqlite3.Connection, name: str) -> Execution:
        found = queries.find(connection, name)
        if found is None:
            raise ExecutionNotFound("no execution of this name", name=name)
        return found


def _check(name: str, labels: Mapping[str, str], machine: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError("an execution's name is 1 to 80 characters of 0-9 A-Z a-z _ -", received=name)
    if not NAME.fullmatch(machine):
        raise UsageError("a state machine's name is 1 to 80 characters of 0-9 A-Z a-z _ -", received=machine)
    for label, value in labels.items():
        if not LABEL.fullmatch(label) or not isinstance(value, str):
            raise UsageError("a label is a small-letter identifier with a text", received=f"{label}={value!r}")


def _input(value: Json) -> tuple[str, Json]:
    """The input as text, and a copy that no caller can change."""
    try:
        text = encode(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"an execution's input is JSON: {error}") from error
    if (
        len(text) > MAX_INPUT
        and len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))
        > MAX_INPUT
    ):
        raise UsageError("an execution's input is too large", expected=f"at most {MAX_INPUT} bytes", received=len(text))
    return text, json.loads(text)
