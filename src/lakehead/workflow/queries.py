"""Finds executions. Every filter walks an index in the order shown, so a page costs what it shows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TypeAlias

from lakehead.errors import ExecutionNotFound
from lakehead.model import Json
from lakehead.workflow.execution import COLUMNS, RUNNING, Execution, micros, moment, position

_SELECTIVITY = 1000
"""Of several labels, the one with the fewest executions leads; counting ends here."""


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions: all of the given conditions hold. `since` is included, `until` is not.

    Newest first; by name where `name_prefix` is given.
    """

    status: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None
    name_prefix: str = ""


def find(connection: sqlite3.Connection, name: str) -> Execution | None:
    """The execution of this name."""
    row = connection.execute(f"SELECT {COLUMNS} FROM executions WHERE name = ?", (name,)).fetchone()
    return None if row is None else Execution.of_row(row)


def newest_step(connection: sqlite3.Connection) -> datetime | None:
    """When the newest step of a running execution was made."""
    sql = "SELECT max(updated) FROM states JOIN executions ON number = execution WHERE status = ?"
    (stamp,) = connection.execute(sql, (RUNNING,)).fetchone()
    return None if stamp is None else moment(stamp)


def page(
    connection: sqlite3.Connection, wanted: ExecutionFilter, limit: int, after: str | None = None
) -> list[Execution]:
    """One page of executions, those that come after the one named `after`. Raises ExecutionNotFound."""
    sql, values = page_query(connection, wanted, limit, after)
    return [Execution.of_row(row) for row in connection.execute(sql, values)]


def page_query(
    connection: sqlite3.Connection, wanted: ExecutionFilter, limit: int, after: str | None = None
) -> tuple[str, list[Json]]:
    """The SELECT of a page and its values."""
    query = _Query()
    labels = dict(wanted.labels)
    lead = "executions"
    if labels and not wanted.name_prefix:
        name = _rarest(connection, labels)
        query.add("lead.name = ? AND lead.value = ?", name, labels.pop(name))
        lead = "lead"
    for name, value in labels.items():
        query.add(
            "EXISTS (SELECT 1 FROM labels WHERE labels.execution = executions.number"
            " AND labels.name = ? AND labels.value = ?)", name, value,
        )  # fmt: skip
    if wanted.status is not None:
        query.add(f"{lead}.status = ?", wanted.status)
    if wanted.since is not None:
        query.add(f"{lead}.created >= ?", micros(wanted.since))
    if wanted.until is not None:
        query.add(f"{lead}.created < ?", micros(wanted.until))
    if wanted.name_prefix:
        query.add("executions.name >= ? AND executions.name < ?", wanted.name_prefix, _past(wanted.name_prefix))
    order = _after(connection, query, lead, wanted, after)
    source = "executions"
    if lead == "lead":
        source = "labels AS lead CROSS JOIN executions ON executions.number = lead.execution"
    where = f" WHERE {' AND '.join(query.conditions)}" if query.conditions else ""
    return f"SELECT {COLUMNS} FROM {source}{where} ORDER BY {order} LIMIT ?", [*query.values, limit]


def _after(connection: sqlite3.Connection, query: _Query, lead: str, wanted: ExecutionFilter, after: str | None) -> str:
    """Add the condition of the page and return the order."""
    number = "lead.execution" if lead == "lead" else "executions.number"
    if wanted.name_prefix:
        if after is not None:
            query.add("executions.name > ?", after)
        return "executions.name"
    if after is not None:
        row = connection.execute("SELECT created, number FROM executions WHERE name = ?", (after,)).fetchone()
        if row is None:
            raise ExecutionNotFound("no execution of this name to go on after", name=after)
        query.add(f"({lead}.created, {number}) < (?, ?)", *row)
    return f"{lead}.created DESC, {number} DESC"


class _Query:
    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.values: list[Json] = []

    def add(self, condition: str, *values: Json) -> None:
        self.conditions.append(condition)
        self.values.extend(values)


def _rarest(connection: sqlite3.Connection, labels: Mapping[str, str]) -> str:
    if len(labels) == 1:
        return next(iter(labels))

    def executions(name: str) -> int:
        sql = "SELECT count(*) FROM (SELECT 1 FROM labels WHERE name = ? AND value = ? LIMIT ?)"
        (count,) = connection.execute(sql, (name, labels[name], _SELECTIVITY)).fetchone()
        return int(count)

    return min(labels, key=executions)


def _past(prefix: str) -> str:
    """The first text after all that begin with the prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def history(connection: sqlite3.Connection, name: str, *, after: int, limit: int, newest_first: bool) -> list[Json]:
    """Events of an execution. Raises ExecutionNotFound."""
    row = connection.execute("SELECT number FROM executions WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ExecutionNotFound("no execution of this name", name=name)
    start, end = position(row[0], after), position(row[0] + 1, 0)
    if newest_first:
        if after:
            # A step holds several events, so the one that `after` is in is read as well.
            (end,) = connection.execute(
                "SELECT coalesce(min(position) + 1, ?2) FROM history WHERE position >= ?1 AND position < ?2",
                (start, end),
            ).fetchone()
            start = position(row[0], 0)
        sql = "SELECT events FROM history WHERE position > ? AND position < ? ORDER BY position DESC"
        rows = connection.execute(sql, (start, end))
        found = (event for (text,) in rows for event in reversed(json.loads(text)) if not after or event["id"] < after)
    else:
        sql = "SELECT events FROM history WHERE position > ? AND position < ? ORDER BY position"
        rows = connection.execute(sql, (start, end))
        found = (event for (text,) in rows for event in json.loads(text) if event["id"] > after)
    return list(islice(found, limit))


def count(connection: sqlite3.Connection, status: str, labels: Mapping[str, str]) -> int:
    """How many executions have a status and at most one label."""
    sql, values = "SELECT coalesce(sum(executions), 0) FROM counts WHERE status = ?", [status]
    for name, value in labels.items():
        sql = "SELECT count(*) FROM labels WHERE name = ? AND value = ? AND status = ?"
        values = [name, value, status]
    return int(connection.execute(sql, values).fetchone()[0])


@dataclass(frozen=True, slots=True)
class Ended:
    """How an execution ended. `outputs` are the fields of its output that were asked for; None where it has none."""

    number: int
    status: str
    started: datetime
    ended: datetime
    outputs: tuple[Json, ...]


Place: TypeAlias = tuple[datetime, int]
"""When an execution ended, and its number: a place in the order of ends."""


def newer_ends(connection: sqlite3.Connection, after: Place, limit: int) -> list[Place]:
    """The executions that ended after a place, oldest end first: read from an index alone."""
    ended, number = micros(after[0]), after[1]
    sql = (
        "SELECT ended, number FROM executions WHERE ended >= ? AND (ended, number) > (?, ?)"
        " ORDER BY ended, number LIMIT ?"
    )
    return [(moment(row[0]), row[1]) for row in connection.execute(sql, (ended, ended, number, limit))]


def older_ends(connection: sqlite3.Connection, before: Place, since: datetime, limit: int) -> list[Place]:
    """The executions that ended from `since` on and before a place, newest end first: read from an index alone."""
    sql = (
        "SELECT ended, number FROM executions WHERE ended >= ? AND (ended, number) < (?, ?)"
        " ORDER BY ended DESC, number DESC LIMIT ?"
    )
    rows = connection.execute(sql, (micros(since), micros(before[0]), before[1], limit))
    return [(moment(row[0]), row[1]) for row in rows]


def ended(connection: sqlite3.Connection, numbers: Sequence[int], outputs: Sequence[str]) -> list[Ended]:
    """How these executions ended; those that run (again), or are gone, are left out."""
    fields = "".join(", CASE WHEN output IS NOT NULL THEN json_extract(output, ?) END" for _ in outputs)
    sql = (
        f"SELECT number, status, created, ended{fields} FROM executions"
        f" WHERE number IN ({', '.join('?' * len(numbers))}) AND ended IS NOT NULL"
    )
    paths = [f'$."{name}"' for name in outputs]
    return [
        Ended(number, status, moment(created), moment(end), tuple(rest))
        for number, status, created, end, *rest in connection.execute(sql, [*paths, *numbers])
    ]


def redriven(connection: sqlite3.Connection) -> list[int]:
    """The numbers of the executions that had ended and run again."""
    sql = "SELECT number FROM executions WHERE status = ? AND redrives > 0"
    return [number for (number,) in connection.execute(sql, (RUNNING,))]


def newest_end(connection: sqlite3.Connection, status: str, label: str, value: str) -> datetime | None:
    """When the last of the newest executions with a status and a label ended.

    Executions that were started much later than another do not end before it, so some of the newest tell.
    """
    (found,) = connection.execute(
        "SELECT max(ended) FROM (SELECT ended FROM labels AS lead CROSS JOIN executions"
        " ON executions.number = lead.execution WHERE lead.name = ? AND lead.value = ? AND lead.status = ?"
        " ORDER BY lead.created DESC, lead.execution DESC LIMIT 100)",
        (label, value, status),
    ).fetchone()
    return None if found is None else moment(found)


def counts(connection: sqlite3.Connection, labels: Mapping[str, str]) -> dict[str, int]:
    """How many executions have each status."""
    if not labels:
        rows = connection.execute("SELECT status, executions FROM counts WHERE executions > 0")
        return dict(rows.fetchall())
    lead = _rarest(connection, labels)
    conditions, values = ["lead.name = ? AND lead.value = ?"], [lead, labels[lead]]
    for name, value in labels.items():
        if name != lead:
            conditions.append(
                "EXISTS (SELECT 1 FROM labels WHERE execution = lead.execution AND name = ? AND value = ?)"
            )
            values += [name, value]
    sql = f"SELECT status, count(*) FROM labels AS lead WHERE {' AND '.join(conditions)} GROUP BY status"
    return dict(connection.execute(sql, values).fetchall())


def prune(connection: sqlite3.Connection, before: datetime, limit: int) -> int:
    """Forget executions that ended before, oldest end first. Returns how many."""
    rows = connection.execute(
        "SELECT number FROM executions WHERE ended IS NOT NULL AND ended < ? ORDER BY ended LIMIT ?",
        (micros(before), limit),
    ).fetchall()
    for (number,) in rows:
        forget(connection, number)
    if rows:
        connection.execute(
            "DELETE FROM definitions WHERE NOT EXISTS (SELECT 1 FROM executions WHERE definition = hash)"
        )
    return len(rows)


def forget_ended(connection: sqlite3.Connection, label: str, value: str) -> list[str]:
    """Forget the executions with a label that have ended, and overwrite what was stored of them. Their names."""
    rows = connection.execute(
        "SELECT number, e.name FROM labels AS l JOIN executions AS e ON e.number = l.execution"
        " WHERE l.name = ? AND l.value = ? AND ended IS NOT NULL",
        (label, value),
    ).fetchall()
    connection.execute("PRAGMA secure_delete = ON")
    for number, _ in rows:
        forget(connection, number)
    return [name for _, name in rows]


def forget(connection: sqlite3.Connection, number: int) -> None:
    """Delete all that is stored of an execution."""
    for table in ("states", "labels", "tasks", "timers"):
        connection.execute(f"DELETE FROM {table} WHERE execution = ?", (number,))
    end = position(number + 1, 0)
    connection.execute("DELETE FROM history WHERE position > ? AND position < ?", (position(number, 0), end))
    connection.execute("DELETE FROM executions WHERE number = ?", (number,))
