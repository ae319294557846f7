"""The index of quarantined rows: per landed object and reason, how many. Kept by the crawl, made of commit records."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import TypeAlias

from lakehead.catalog.types import Quarantined
from lakehead.model import iso

Place: TypeAlias = tuple[int, str]
"""What objects are ordered by, those with most rows first: less for more rows, then the key."""


def store(connection: sqlite3.Connection, table: str, object_id: str, held: Quarantined) -> None:
    """Note what an object has in quarantine. What was noted of it before is to be forgotten first."""
    if not held.rows:
        return
    connection.execute(
        "INSERT INTO quarantined (table_name, key, object_id, row_count, committed_at, execution)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (table, held.key, object_id, held.rows, iso(held.committed_at), held.execution),
    )
    connection.executemany(
        "INSERT INTO reasons (table_name, key, reason, row_count) VALUES (?, ?, ?, ?)",
        [(table, held.key, reason, rows) for reason, rows in held.reasons.items()],
    )


def forget(connection: sqlite3.Connection, table: str, object_id: str) -> None:
    """Forget an object, with its reasons."""
    connection.execute("DELETE FROM quarantined WHERE table_name=? AND object_id=?", (table, object_id))


class QuarantineIndex:
    """One state of the index. `table` is always the name of a quarantine table."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def reasons(self, table: str, key: str | None, limit: int) -> list[tuple[str, int, int]]:
        """The reasons of a table's rows, or of one object's: (reason, rows, objects), the commonest first."""
        where, values = (" AND key=?", (table, key)) if key is not None else ("", (table,))
        sql = (
            f"SELECT reason, sum(row_count) AS total, count(*) FROM reasons WHERE table_name=?{where}"
            " GROUP BY reason ORDER BY total DESC, reason LIMIT ?"
        )
        return [(row[0], row[1], row[2]) for row in self._connection.execute(sql, (*values, limit))]

    def objects(self, table: str, reason: str | None, limit: int, after: Place | None) -> list[Quarantined]:
        """The objects with most rows (of a reason), then by key; those that come after a place."""
        source, where, values = _source(table, reason)
        if after is not None:
            where += " AND (rank, key) > (?, ?)"
        sql = f"SELECT key FROM {source} WHERE {where} ORDER BY rank, key LIMIT ?"
        keys = [row["key"] for row in self._connection.execute(sql, (*values, *(after or ()), limit))]
        return [found for key in keys if (found := self.object(table, key)) is not None]

    def place(self, table: str, reason: str | None, key: str) -> Place | None:
        """Where an object stands among the others."""
        source, where, values = _source(table, reason)
        sql = f"SELECT rank, key FROM {source} WHERE {where} AND key=?"
        row = self._connection.execute(sql, (*values, key)).fetchone()
        return None if row is None else (row["rank"], row["key"])

    def object(self, table: str, key: str) -> Quarantined | None:
        """What one object has in quarantine."""
        row = self._connection.execute(
            "SELECT * FROM quarantined WHERE table_name=? AND key=?", (table, key)
        ).fetchone()
        if row is None:
            return None
        reasons = self._connection.execute(
            "SELECT reason, row_count FROM reasons WHERE table_name=? AND key=? ORDER BY row_count DESC, reason",
            (table, key),
        )
        committed = datetime.fromisoformat(row["committed_at"])
        return Quarantined(key, row["row_count"], committed, row["execution"], dict(map(tuple, reasons)))

    def counts(self, table: str, key: str | None, reason: str | None) -> Iterator[tuple[str, int]]:
        """How many rows (of a reason) each object has, by key: pairs of an object id and a count."""
        sql, values = "SELECT object_id, row_count FROM quarantined WHERE table_name=?", [table]
        if reason is not None:
            sql = (
                "SELECT object_id, r.row_count FROM reasons AS r CROSS JOIN quarantined USING (table_name, key)"
                " WHERE table_name=? AND reason=?"
            )
            values.append(reason)
        if key is not None:
            sql += " AND key=?"
            values.append(key)
        for row in self._connection.execute(f"{sql} ORDER BY key", values):
            yield row[0], row[1]


def _source(table: str, reason: str | None) -> tuple[str, str, list[str]]:
    """Where objects are ranked: by all of their rows, or by those of one reason."""
    if reason is None:
        return "quarantined", "table_name=?", [table]
    return "reasons", "table_name=? AND reason=?", [table, reason]
