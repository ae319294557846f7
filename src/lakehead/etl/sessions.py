"""DuckDB sessions for loads: one in-memory database each, kept for the next load, for opening one costs 20 ms."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.contract import sql
from lakehead.errors import Busy, LakeheadError, StorageUnavailable, TerminalError
from lakehead.etl.faults import FULL, disk_explained, disk_full, first_line
from lakehead.etl.place import Place

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


UNSAFE = "type_pushdown"
"""DuckDB 2.0 turns TRY_CAST over read_csv into the reader's hard cast by it, and loses rows."""


class Sessions:
    """Hands out sessions, each to one thread at a time. A session that failed is not used again."""

    def __init__(self, *, memory_limit: str, threads: int | None, keep: int = 2) -> None:
        self.memory_limit, self.threads, self.keep = memory_limit, threads, keep
        self._idle: list[DuckDBPyConnection] = []
        self._lock = threading.Lock()

    @contextmanager
    def session(self, spill: Path) -> Iterator[DuckDBPyConnection]:
        """A session without tables, which spills to `spill` what its memory limit does not hold."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connect()
        try:
            connection.execute(f"SET temp_directory = {sql.text(str(spill))}")
            yield connection
            spilled = spill.exists()
        except BaseException:
            connection.close()
            raise
        with self._lock:
            # DuckDB cannot change the temporary directory once it is in use.
            if not spilled and len(self._idle) < self.keep:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the idle sessions."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _connect(self) -> DuckDBPyConnection:
        import duckdb

        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self.memory_limit,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
            "enable_external_file_cache": False,
        }
        if self.threads is not None:
            config["threads"] = self.threads
        connection = duckdb.connect(":memory:", config=config)
        connection.execute(f"SET disabled_optimizers = '{UNSAFE}'")
        return connection


@contextmanager
def columns_optional(connection: DuckDBPyConnection) -> Iterator[None]:
    """Parquet columns are optional, whatever is in them. Else those that no row of a table leaves empty are required,
    so that a file's schema would follow from rows that are not in it."""
    connection.execute(f"SET disabled_optimizers = '{UNSAFE},statistics_propagation'")
    try:
        yield
    finally:
        connection.execute(f"SET disabled_optimizers = '{UNSAFE}'")


@contextmanager
def explained(place: Place, memory_limit: str) -> Iterator[None]:
    """Turn what DuckDB and the file system raise into errors that say what to do next."""
    import duckdb

    with disk_explained(place):
        try:
            yield
        except LakeheadError:
            raise
        except duckdb.OutOfMemoryException as error:
            if FULL in str(error) or "max_temp_directory_size" in str(error):
                raise disk_full(place) from error
            raise Busy(
                f"the load needs more memory than its limit of {memory_limit}",
                hint="Raise the engine's memory_limit, or run fewer loads at once.",
                **place.where,
            ) from error
        except duckdb.IOException as error:
            if FULL in str(error):
                raise disk_full(place) from error
            raise StorageUnavailable(
                f"reading or writing failed: {first_line(str(error))}",
                hint="Check the disk, then try again.",
                **place.where,
            ) from error
        except duckdb.Error as error:
            raise TerminalError(
                f"DuckDB refused the contract's query: {first_line(str(error))}",
                hint="This is a fault of Lakehead or of an expression in the contract; please report it.",
                **place.where,
            ) from error
