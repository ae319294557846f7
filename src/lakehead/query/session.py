"""A DuckDB session that queries run in: how it is opened, timed, and what it says of errors."""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.catalog.athena_types import athena_type
from lakehead.catalog.types import ColumnType
from lakehead.errors import QueryError, StorageUnavailable, UnsupportedSql
from lakehead.query import casts, operators
from lakehead.query.bound import text_sql
from lakehead.query.reader import Describe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

log = logging.getLogger(__name__)

ATTEMPTS = 6
"""How often a query begins anew because a file was replaced meanwhile."""
TOO_LONG = "the query took too long and was stopped"


class Vanished(Exception):
    """A file went away between the snapshot and its reading: its object was committed again."""


def open_session(
    spill: Path | None, *, memory_limit: str, threads: int | None, spill_bytes: int | None = None
) -> DuckDBPyConnection:
    """A session of its own, in memory. `spill` is where it may put data aside, at most `spill_bytes`; None: nowhere."""
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "temp_directory": str(spill or ""),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
    }
    if threads is not None:
        config["threads"] = threads
    connection = duckdb.connect(":memory:", config=config)
    # DuckDB 2.0 turns TRY_CAST over read_csv into the reader's hard cast and loses rows.
    settings = [
        "SET disabled_optimizers = 'type_pushdown'",
        "SET TimeZone = 'UTC'",
        "SET order_by_non_integer_literal = true",
    ]
    if spill_bytes is not None:
        # Where it is only configured, DuckDB 2.0 tells this limit but does not keep to it.
        settings.append(f"SET max_temp_directory_size = '{spill_bytes} bytes'")
    connection.execute("; ".join((*settings, *casts.MACROS, *operators.MACROS)))
    return connection


def described(connection: DuckDBPyConnection) -> Describe:
    """Tells the columns of Parquet files by their footers."""

    def describe(paths: list[Path]) -> tuple[ColumnType, ...]:
        listed = ", ".join(text_sql(str(path)) for path in paths)
        sql = f"DESCRIBE SELECT * FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
        return tuple(
            ColumnType(str(row[0]).lower(), athena_type(str(row[1]))) for row in connection.execute(sql).fetchall()
        )

    return describe


@contextmanager
def watched(paths: list[Path]) -> Iterator[None]:
    """Tell a file that went away from one that cannot be read."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        # Of a missing file DuckDB says that it may not look for others like it.
        gone = next((path for path in paths if not path.exists()), None)
        if gone is not None:
            raise Vanished(str(gone)) from error
        raise


class TimeLimit:
    """Interrupts a session from its deadline on, again and again, until the block ends."""

    def __init__(self, connection: DuckDBPyConnection, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline
        self._done = threading.Event()
        self.expired = False
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> TimeLimit:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        wait = self._deadline - time.monotonic()
        while not self._done.wait(max(0.0, wait)):
            self.expired = True
            self._connection.interrupt()
            wait = 0.1


@contextmanager
def explained(limit: TimeLimit) -> Iterator[None]:
    """Turn what DuckDB raises into errors that say what to do next."""
    import duckdb

    try:
        yield
    except duckdb.InterruptException as error:
        raise QueryError(TOO_LONG, hint="Select fewer partitions.") from error
    except duckdb.OutOfMemoryException as error:
        raise QueryError(
            "the query needs more memory than it may have", hint="Select less, or group by less."
        ) from error
    except duckdb.IOException as error:
        if os.strerror(errno.EFBIG) in str(error):
            raise QueryError("the query needs more room on the disk than it may have", hint="Select less.") from error
        raise StorageUnavailable(f"a file of the query cannot be read: {_said(error)}") from error
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        log.error("a query cannot be run by DuckDB: %s", error)
        raise UnsupportedSql(f"the embedded engine cannot run this query: {_said(error)}") from error
    except duckdb.Error as error:
        if limit.expired:
            raise QueryError(TOO_LONG, hint="Select fewer partitions.") from error
        raise QueryError(_said(error)) from error


def _said(error: Exception) -> str:
    """What DuckDB says, without its own names of error kinds and its view of our SQL."""
    text = str(error).strip().split("\n\nLINE ")[0]
    text = re.sub(r"^(?:[A-Z][A-Za-z]*(?: [A-Za-z]+)* Error: )+", "", text).split("\n")[0]
    if text.startswith("Division by zero"):
        return "Division by zero"
    return re.sub(r"\s*(?:You might want to|Use \"SET) .*$", "", text)
