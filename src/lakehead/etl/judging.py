"""Casts and judges rows into tables of a DuckDB session.

Most rows of most files need no closer look: `ColumnPlan.sure_sql` takes them piece by piece, several at once, and the
few that it leaves in doubt are judged by `ColumnPlan.select_sql` at the end. Where that cannot be, or would not pay,
`select_sql` judges all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakehead.contract import sql
from lakehead.contract.plan import ColumnPlan
from lakehead.etl.judged import Each, Judged, one_thread_each

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS_ORDERED = 1 << 20
"""How many rows of a table are ordered at once."""
GOOD = "len(_reasons) = 0"
BAD = "len(_reasons) > 0"
_SURE = "_text IS NULL"
_SHARE_IN_DOUBT, _ROWS_IN_DOUBT = 0.25, 10_000


class ManyInDoubt(Exception):
    """So many rows need a closer look that all of them had better get it at once."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Where to read rows from line `first` on: `open` holds a relation of `_line` and the file's columns."""

    first: int
    open: Callable[[], AbstractContextManager[str]]


@dataclass
class Judging:
    """Judges the rows of one load. `ordered` says whether they are to lie by partition and line.

    `names` are the file's columns, `absent` the contract's that it lacks, `blanks` the white space that occurs in it.
    """

    connection: DuckDBPyConnection
    plan: ColumnPlan
    names: tuple[str, ...]
    absent: frozenset[str]
    blanks: str
    ordered: bool
    tables: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.columns = ", ".join(sql.name(column.name) for column in self.plan.output_columns)
        keys = [f"{sql.name(key)} NULLS LAST" for key in self.plan.contract.partitions]
        self.order = ", ".join([*keys, "_line"])

    def clear(self) -> None:
        """Drop all tables."""
        while self.tables:
            self.connection.execute(f"DROP TABLE IF EXISTS {self.tables.pop()}")

    def in_pieces(self, pieces: Sequence[Lines]) -> Judged:
        """Judge the rows of each piece, the sure ones quickly. Raises ManyInDoubt, then nothing remains."""
        try:
            if len(pieces) == 1:
                return self._in_pieces(pieces, lambda work, items: [work(self.connection, item) for item in items])
            with one_thread_each(self.connection) as each:
                return self._in_pieces(pieces, each)
        except ManyInDoubt:
            self.clear()
            raise

    def whole(self, relation: str) -> Judged:
        """Judge all rows of a relation by the whole of the rules."""
        query = self.plan.select_sql(relation, self.absent)
        rows = self._create(self.connection, "judged", query)
        if not self.ordered:
            return Judged(rows, ("judged",), GOOD, False, f"SELECT _line, _reasons FROM judged WHERE {BAD}")
        self._create(self.connection, "verdicts", f"SELECT _line, _reasons FROM judged WHERE {BAD}")
        # Telling repeated keys apart reorders the rows; then all are ordered at once.
        step = max(rows, 1) if self.plan.contract.unique_keys else ROWS_ORDERED
        parts = []
        for number, start in enumerate(range(0, rows, step)):
            within = f"rowid >= {start} AND rowid < {start + step} AND {GOOD}"
            query = f"SELECT _line, {self.columns} FROM judged WHERE {within} ORDER BY {self.order}"
            self._create(self.connection, f"part{number}", query)
            parts.append(f"part{number}")
        self.connection.execute("DROP TABLE judged")
        return Judged(rows, tuple(parts), "TRUE", True, "SELECT _line, _reasons FROM verdicts")

    def _in_pieces(self, pieces: Sequence[Lines], each: Each) -> Judged:
        numbered = list(enumerate(pieces))
        rows = sum(each(self._piece, numbered))
        parts = tuple(f"part{number}" for number, _ in numbered)
        doubt = " UNION ALL ".join(f"SELECT _line, _text FROM {part} WHERE NOT {_SURE}" for part in parts)
        refused = f"SELECT _line, [] AS _reasons, '' AS _text FROM {parts[0]} WHERE FALSE"
        if self._create(self.connection, "doubtful", doubt):
            self._create(
                self.connection,
                "verdicts",
                self.plan.select_sql(self.plan.fields_sql("doubtful", self.names), self.absent),
            )
            refused = f"SELECT _line, _reasons, _text FROM verdicts JOIN doubtful USING (_line) WHERE {BAD}"
            if self._first(self.connection, f"SELECT COUNT(*) FROM verdicts WHERE {GOOD}"):
                ends = [piece.first for piece in pieces[1:]] + [1 << 62]
                each(self._take_back, [(n, piece.first, end) for (n, piece), end in zip(numbered, ends, strict=True)])
        return Judged(rows, parts, _SURE, self.ordered, refused, texts=True)

    def _piece(self, cursor: DuckDBPyConnection, item: tuple[int, Lines]) -> int:
        number, piece = item
        order = f" ORDER BY NOT {_SURE}, {self.order}" if self.ordered else ""
        with piece.open() as relation:
            rows = self._create(cursor, f"part{number}", self.plan.sure_sql(relation, self.names, self.blanks) + order)
        doubt = self._first(cursor, f"SELECT COUNT(_text) FROM part{number}")
        if doubt > max(_ROWS_IN_DOUBT, rows * _SHARE_IN_DOUBT):
            raise ManyInDoubt
        return rows

    def _take_back(self, cursor: DuckDBPyConnection, item: tuple[int, int, int]) -> None:
        """Put the good ones of a part's rows that were in doubt where they belong."""
        number, first, end = item
        found = f"FROM verdicts WHERE {GOOD} AND _line >= {first} AND _line < {end}"
        if not self._first(cursor, f"SELECT COUNT(*) {found}"):
            return
        columns = f"_line, {self.columns}, CAST(NULL AS VARCHAR) AS _text"
        rows = f"SELECT {columns} FROM part{number} WHERE {_SURE} UNION ALL SELECT {columns} {found}"
        order = self.order if self.ordered else "_line"
        self._create(cursor, f"part{number}", f"SELECT * FROM ({rows}) ORDER BY {order}")

    def _create(self, cursor: DuckDBPyConnection, table: str, query: str) -> int:
        """Make a table of a query's rows; their number."""
        self.tables.append(table)
        return self._first(cursor, f"CREATE OR REPLACE TABLE {table} AS {query}")

    def _first(self, cursor: DuckDBPyConnection, query: str) -> int:
        (value, *_) = cursor.execute(query).fetchone() or (0,)
        return int(value)
