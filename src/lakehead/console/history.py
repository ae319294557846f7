"""The queries that people asked, newest kept, in a small SQLite file."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, fields, replace
from datetime import datetime
from pathlib import Path

from lakehead.results import QueryState
from lakehead.sqlite import Database

KEPT = 500
"""How many queries the history holds."""

MIGRATIONS = (
    (
        """CREATE TABLE queries (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            status TEXT NOT NULL,
            state TEXT NOT NULL
        ) STRICT""",
    ),
)

_TIMES = ("submitted", "started", "ended")


class History:
    """Safe from several threads. Every method may raise Busy and StorageUnavailable."""

    def __init__(self, path: Path, *, kept: int = KEPT) -> None:
        self._database, self._kept = Database(path, MIGRATIONS), kept

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def note(self, state: QueryState) -> None:
        """Remember a query as it now is."""
        told = json.dumps(asdict(replace(state, has_result=False)), default=datetime.isoformat)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO queries (id, status, state) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET status = excluded.status, state = excluded.state",
                (state.id, state.status, told),
            )
            connection.execute(
                "DELETE FROM queries WHERE number <= (SELECT max(number) FROM queries) - ?", (self._kept,)
            )

    def find(self, id: str) -> QueryState | None:
        """One query; None for one that is unknown or forgotten."""
        rows = self._database.rows("SELECT state FROM queries WHERE id = ?", (id,))
        return _state(rows[0]) if rows else None

    def newest(self, limit: int) -> list[QueryState]:
        """Queries, newest first."""
        rows = self._database.rows("SELECT state FROM queries ORDER BY number DESC LIMIT ?", (limit,))
        return [_state(row) for row in rows]

    def unfinished(self) -> list[QueryState]:
        """Queries that nobody told the end of."""
        return [_state(row) for row in self._database.rows("SELECT state FROM queries WHERE status = 'RUNNING'")]


def _state(row: sqlite3.Row) -> QueryState:
    told = json.loads(row["state"])
    values = {field.name: told[field.name] for field in fields(QueryState) if field.name in told}
    for name in _TIMES:
        values[name] = datetime.fromisoformat(values[name]) if values[name] else None
    values["partitions"] = tuple(values["partitions"]) if values["partitions"] else None
    return QueryState(**values)
