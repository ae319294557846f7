"""Applies events to stored executions and stores what the interpreter answers, inside a transaction of the caller."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakehead.errors import NotRedrivable
from lakehead.model import Json, iso
from lakehead.workflow import machine
from lakehead.workflow.definition import load_definition
from lakehead.workflow.execution import RUNNING, Change, encode, micros, position
from lakehead.workflow.history import entered_states
from lakehead.workflow.states import Definition
from lakehead.workflow.types import (
    CancelTask,
    CancelTimer,
    Command,
    Event,
    ExecutionInfo,
    ScheduleTask,
    StartTimer,
    Step,
    StopRequested,
    TimerFired,
)

log = logging.getLogger(__name__)

MAX_DEFINITIONS = 256


class Definitions:
    """The parsed definitions, by the hash of their documents."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Definition] = OrderedDict()

    def add(self, document: Mapping[str, Json]) -> tuple[str, str, Definition]:
        """Parse a document: its hash, its text and its meaning. Raises DefinitionError."""
        text = json.dumps(document)
        key = hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        return key, text, self._known.get(key) or self._keep(key, text)

    def get(self, connection: sqlite3.Connection, key: str) -> Definition:
        """The definition of a stored document."""
        known = self._known.get(key)
        if known is None:
            (text,) = connection.execute("SELECT document FROM definitions WHERE hash = ?", (key,)).fetchone()
            known = self._keep(key, text, stored=True)
        return known

    def _keep(self, key: str, text: str, *, stored: bool = False) -> Definition:
        # From the text, so that a caller who changes the document later changes nothing here.
        definition = load_definition(json.loads(text), stored=stored)
        self._known[key] = definition
        while len(self._known) > MAX_DEFINITIONS:
            self._known.popitem(last=False)
        return definition


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event for an execution. `owner`: counts only while that worker still has the task."""

    execution: int
    event: Event
    owner: int | None = None


@dataclass(slots=True)
class _Stored:
    """An execution as it is stored, and what is to be stored of it."""

    number: int
    name: str
    state: dict[str, Json]
    labels: Mapping[str, str]
    history: list[dict[str, Json]]


class Steps:
    """Moves executions on. One for each transaction; `changes` tells what it did."""

    def __init__(self, connection: sqlite3.Connection, definitions: Definitions, now: datetime) -> None:
        self.connection = connection
        self.definitions = definitions
        self.now = now
        self.changes: list[Change] = []

    def start(
        self,
        number: int,
        name: str,
        labels: Mapping[str, str],
        definition: Definition,
        input: Json,
        info: ExecutionInfo,
    ) -> None:
        """The first step of an execution whose row has just been inserted."""
        stored = _Stored(number, name, {}, labels, history=[])
        self._take(stored, machine.start(definition, input, info, self.now))
        self._store(stored)

    def redrive(self, number: int) -> None:
        """Run a failed execution again from where it failed. Raises NotRedrivable."""
        stored = self._load(number)
        if stored is None:
            raise NotRedrivable("the execution is SUCCEEDED", hint="Only one that failed can be redriven.")
        self._take(stored, machine.redrive(self._definition(number), stored.state, self.now))
        self.connection.execute("UPDATE executions SET redrives = redrives + 1 WHERE number = ?", (number,))
        self._store(stored, restarted=True)

    def deliver(self, deliveries: Iterable[Delivery]) -> None:
        """Apply events, each execution's in their order. Events that nobody waits for any more change nothing."""
        by_execution: dict[int, list[Delivery]] = {}
        for delivery in deliveries:
            by_execution.setdefault(delivery.execution, []).append(delivery)
        for number, its in by_execution.items():
            self._deliver(number, its)

    def _deliver(self, number: int, deliveries: list[Delivery]) -> None:
        stored = self._load(number)
        if stored is None or stored.state["status"] != RUNNING:
            return
        before = stored.state
        self.connection.execute("SAVEPOINT execution")
        try:
            self._run(stored, deliveries)
            if stored.history:
                self._store(stored)
        except sqlite3.Error:
            raise
        except Exception as error:
            # A fault of the interpreter must not stop the other executions, nor be tried for ever.
            log.exception("the interpreter failed", extra={"execution": stored.name})
            self.connection.execute("ROLLBACK TO execution")
            stored.state, stored.history = _broken(before, error, self.now)
            self._store(stored)
        self.connection.execute("RELEASE execution")

    def _run(self, stored: _Stored, deliveries: Iterable[Delivery]) -> None:
        definition = self._definition(stored.number)
        for delivery in deliveries:
            if self._awaited(delivery):
                self._take(stored, machine.advance(definition, stored.state, delivery.event, self.now))

    def _take(self, stored: _Stored, step: Step) -> None:
        """Keep a step's state and history and carry out its commands."""
        stored.state = step.state
        stored.history.extend(step.history)
        for command in step.commands:
            self._carry_out(stored.number, command)

    def _carry_out(self, number: int, command: Command) -> None:
        execute = self.connection.execute
        match command:
            case ScheduleTask():
                execute(
                    "INSERT INTO tasks (execution, task, resource, state_name, request, timeout, heartbeat,"
                    " wait_for_token, task_token) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        number,
                        command.task_id,
                        _storable(command.resource),
                        _storable(command.state_name),
                        encode(command.request),
                        command.timeout_seconds,
                        command.heartbeat_seconds,
                        command.wait_for_token,
                        command.task_token,
                    ),
                )
            case CancelTask():
                execute("DELETE FROM tasks WHERE execution = ? AND task = ?", (number, command.task_id))
            case StartTimer():
                execute("INSERT INTO timers VALUES (?, ?, ?)", (number, command.timer_id, micros(command.due)))
            case CancelTimer():
                execute("DELETE FROM timers WHERE execution = ? AND timer = ?", (number, command.timer_id))

    def _awaited(self, delivery: Delivery) -> bool:
        """Whether the outbox still has the event's task or timer; it is taken out, so that it counts once."""
        execute, event = self.connection.execute, delivery.event
        match event:
            case StopRequested():
                return True
            case TimerFired():
                found = execute(
                    "DELETE FROM timers WHERE execution = ? AND timer = ?", (delivery.execution, event.timer_id)
                )
            case _:
                found = execute(
                    "DELETE FROM tasks WHERE execution = ?1 AND task = ?2 AND (?3 IS NULL OR owner = ?3)",
                    (delivery.execution, event.task_id, delivery.owner),
                )
        return found.rowcount > 0

    def _load(self, number: int) -> _Stored | None:
        row = self.connection.execute(
            "SELECT name, state, labels FROM executions JOIN states ON execution = number WHERE number = ?", (number,)
        ).fetchone()
        if row is None:
            return None
        name, state, labels = row
        return _Stored(number, name, json.loads(state), json.loads(labels), [])

    def _definition(self, number: int) -> Definition:
        sql = "SELECT definition FROM executions WHERE number = ?"
        (key,) = self.connection.execute(sql, (number,)).fetchone()
        return self.definitions.get(self.connection, key)

    def _store(self, stored: _Stored, *, restarted: bool = False) -> None:
        number, state, now = stored.number, stored.state, micros(self.now)
        status = state["status"]
        execute = self.connection.execute
        execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", (number, encode(state), now))
        if stored.history:
            place = position(number, stored.history[-1]["id"])
            execute("INSERT INTO history VALUES (?, ?)", (place, encode(stored.history)))
        if restarted or status != RUNNING:
            self._restate(stored, status, now)
        self.changes.append(Change(stored.name, status, entered_states(stored.history), stored.labels))

    def _restate(self, stored: _Stored, status: str, now: int) -> None:
        """Store how an execution stands now that it has ended, or was started again."""
        number, state, execute = stored.number, stored.state, self.connection.execute
        output = encode(state.get("output")) if status == "SUCCEEDED" else None
        execute(
            "UPDATE executions SET status = ?, output = ?, error = ?, cause = ?, ended = ? WHERE number = ?",
            (
                status,
                output,
                _storable(state.get("error")),
                _storable(state.get("cause")),
                None if status == RUNNING else now,
                number,
            ),
        )
        if stored.labels:
            execute("UPDATE labels SET status = ? WHERE execution = ?", (status, number))
        if status != RUNNING:
            execute("DELETE FROM tasks WHERE execution = ?", (number,))
            execute("DELETE FROM timers WHERE execution = ?", (number,))
        if status == "SUCCEEDED":
            execute("DELETE FROM states WHERE execution = ?", (number,))


def _storable(text: str | None) -> str | None:
    """Text without lone surrogates, which JSON allows and SQLite does not."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def _broken(state: dict[str, Json], error: Exception, now: datetime) -> tuple[dict[str, Json], list[dict[str, Any]]]:
    """The state and history of an execution that the interpreter cannot go on with."""
    cause = f"the interpreter failed: {type(error).__name__}: {error}"
    number = state["events"] + 1
    failed = {
        "timestamp": iso(now),
        "type": "ExecutionFailed",
        "id": number,
        "previousEventId": number - 1,
        "executionFailedEventDetails": {"error": "States.Runtime", "cause": cause},
    }
    closed = {**state, "status": "FAILED", "error": "States.Runtime", "cause": cause, "events": number}
    return {**closed, "tasks": {}, "timers": {}}, [failed]
