"""What binding makes: DuckDB SQL text with the Athena type of its value. And the one place that quotes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lakehead.errors import QueryError, UnsupportedSql
from lakehead.query.types import Type

if TYPE_CHECKING:
    from sqlglot import exp


_trying: ContextVar[bool] = ContextVar("lakehead_query_trying", default=False)


@dataclass(frozen=True, slots=True)
class Bound:
    """An expression in DuckDB's SQL.

    `key`: the value of a date partition column, which Athena holds as a string, so it answers to strings too.
    `constant`: the same for every row. `literal`: the text of a string literal.
    """

    sql: str
    type: Type
    key: bool = False
    constant: bool = False
    literal: str | None = None

    def with_type(self, sql: str, kind: Type) -> Bound:
        """Another expression made of this one only."""
        return replace(self, sql=sql, type=kind, key=False, literal=None)


def name_sql(name: str) -> str:
    """A name, quoted."""
    return '"' + name.replace('"', '""') + '"'


def text_sql(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def position(node: exp.Expr) -> dict[str, Any]:
    """Where in the SQL a node is: `{"line", "column"}`, from 1; nothing where the parser did not keep it."""
    found = min((one.meta for one in node.walk() if "line" in one.meta), key=lambda meta: meta["start"], default=None)
    if found is None:
        return {}
    return {"line": found["line"], "column": max(1, found["col"] - found["end"] + found["start"])}


def fault(message: str, node: exp.Expr, hint: str = "", **where: Any) -> QueryError:
    """What is wrong with the SQL, and where."""
    return QueryError(message, hint=hint, **where, **position(node))


def unsupported(construct: str, node: exp.Expr, hint: str = "") -> UnsupportedSql:
    """Something that Athena can do and the embedded engine cannot do the same way."""
    return UnsupportedSql(f"{construct} is not supported here", hint=hint, construct=construct, **position(node))


@contextmanager
def trying() -> Iterator[None]:
    """What is bound in the block stands inside TRY, whose errors become null."""
    token = _trying.set(True)
    try:
        yield
    finally:
        _trying.reset(token)


def failure(message: str, kind: Type) -> str:
    """SQL of a type that fails with a message (SQL, too) where it is reached.

    DuckDB's TRY refuses error(), which is volatile, and anything in a CASE whose conditions it evaluates beforehand.
    """
    return f"CAST(CAST(1 // 0 AS VARCHAR) AS {kind.duckdb})" if _trying.get() else f"error({message})"
