"""Runs Athena SQL over the files that commit records name, in a DuckDB session that can reach nothing else."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lakehead.catalog import CatalogFile, CatalogReader, Snapshot, Table
from lakehead.catalog.athena_types import athena_type
from lakehead.catalog.types import ColumnType
from lakehead.errors import Busy, ObjectNotFound, QueryError, StorageUnavailable, UnsupportedSql
from lakehead.model import utc_now
from lakehead.query import casts, operators
from lakehead.query.bound import text_sql
from lakehead.query.parse import Show, parse
from lakehead.query.prune import wanted_partitions
from lakehead.query.queries import Binder, Scan, Statement
from lakehead.query.reader import CACHE_BYTES, Files, scan_sql
from lakehead.query.result import Answer, QueryResult
from lakehead.query.show import show
from lakehead.query.truth import committed_files
from lakehead.query.types import Type
from lakehead.storage.base import ObjectStore

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from sqlglot import exp

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 120.0

ChooseFiles: TypeAlias = Callable[[Snapshot, Table], list[CatalogFile]]
"""Which files of a table a query reads, chosen from the state of the catalog that the query sees."""

_ATTEMPTS = 6
_RESULT = "result"
_TOO_LONG = "the query took too long and was stopped"
_FIXED_BYTES = 16
"""What a value takes that is no text, at most."""


class _Vanished(Exception):
    """A file went away between the snapshot and its reading: its object was committed again."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The files that a scan reads."""

    scan: Scan
    files: list[CatalogFile]
    paths: dict[str, Path]
    partitions: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How big an answer may be: the texts of a row, those of all rows, and what a query puts aside on the disk."""

    row_bytes: int
    answer_bytes: int
    spill_bytes: int


class QueryEngine:
    """Answers queries over a lake. Safe from several threads: each query has a session of its own.

    `cache_dir` holds downloaded files where the store is remote. `memory_limit` is DuckDB's, for each query.
    """

    def __init__(
        self,
        catalog: CatalogReader,
        store: ObjectStore,
        *,
        cache_dir: Path,
        memory_limit: str = "1GB",
        threads: int | None = None,
        cache_bytes: int = CACHE_BYTES,
        bounds: Bounds | None = None,
    ) -> None:
        self._catalog, self._store = catalog, store
        self._files = Files(store, cache_dir, limit=cache_bytes)
        self._memory_limit, self._threads, self._bounds = memory_limit, threads, bounds

    def run(
        self,
        sql: str,
        *,
        max_rows: int | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        only: ChooseFiles | None = None,
    ) -> QueryResult:
        """Run one SELECT, VALUES, SHOW or DESCRIBE. `only` chooses the files of its tables, instead of all.

        Raises QueryError for SQL that is wrong, takes too long or too much memory; UnsupportedSql for what the
        embedded engine cannot answer as Athena does; StorageUnavailable for files that cannot be read.
        """
        statement = parse(sql)
        if isinstance(statement, Show):
            return show(statement, self._catalog)
        deadline = time.monotonic() + timeout_seconds
        for attempt in range(_ATTEMPTS):
            try:
                return self._attempt(statement.copy(), deadline, max_rows, only, refresh=attempt > 0)
            except (_Vanished, ObjectNotFound) as gone:
                log.info("a query starts again, for a file was replaced meanwhile: %s", gone)
            except RecursionError as error:
                raise QueryError("the SQL is nested too deeply") from error
        raise Busy("files of the query keep being replaced while it reads them", hint="Try again.")

    def _attempt(
        self, node: exp.Query, deadline: float, max_rows: int | None, only: ChooseFiles | None, *, refresh: bool
    ) -> QueryResult:
        folder = Path(tempfile.mkdtemp(prefix="lakehead-query-"))
        connection = self._connect(folder)
        widest = 0
        try:
            with _TimeLimit(connection, deadline) as limit, _explained(limit):
                bound, chosen = self._plan(node, connection, only, refresh=refresh)
                paths = [path for one in chosen for path in one.paths.values()]
                sql = _whole_sql(bound, chosen, connection)
                _lock_down(connection, paths, folder)
                with _watched(paths):
                    count = _materialise(connection, sql, max_rows)
                if self._bounds is not None:
                    widest = _measured(connection, [one.type for one in bound.body.fields], self._bounds)
        except BaseException:
            connection.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        truncated = max_rows is not None and count > max_rows
        kinds = [one.type for one in bound.body.fields]
        shown = min(count, max_rows) if max_rows is not None else count
        answer = Answer(connection, _RESULT, kinds, folder, shown)
        names = [one.name or f"_col{index}" for index, one in enumerate(bound.body.fields)]
        return QueryResult(
            columns=[(name, kind.athena) for name, kind in zip(names, kinds, strict=True)],
            rows=answer.rows(),
            row_count=shown,
            files=sum(len(one.files) for one in chosen),
            scanned_bytes=sum(file.bytes for one in chosen for file in one.files),
            partitions=(sum(one.partitions[0] for one in chosen), sum(one.partitions[1] for one in chosen)),
            truncated=truncated,
            widest_row=widest,
            _answer=answer,
        )

    def _connect(self, folder: Path) -> DuckDBPyConnection:
        import duckdb

        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self._memory_limit,
            "temp_directory": str(folder / "spill"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
        }
        if self._threads is not None:
            config["threads"] = self._threads
        if self._bounds is not None:
            config["max_temp_directory_size"] = f"{self._bounds.spill_bytes} bytes"
        connection = duckdb.connect(":memory:", config=config)
        # DuckDB 2.0 turns TRY_CAST over read_csv into the reader's hard cast and loses rows.
        settings = (
            "SET disabled_optimizers = 'type_pushdown'",
            "SET TimeZone = 'UTC'",
            "SET order_by_non_integer_literal = true",
        )
        connection.execute("; ".join((*settings, *casts.MACROS, *operators.MACROS)))
        return connection

    def _plan(
        self, node: exp.Query, connection: DuckDBPyConnection, only: ChooseFiles | None, *, refresh: bool
    ) -> tuple[Statement, list[_Chosen]]:
        """Bind the query and choose its files, all from one state of the catalog."""
        with self._catalog.snapshot() as seen:
            binder = Binder(seen.table, self._catalog.database, utc_now())
            bound = binder.statement(node)
            return bound, [
                self._choose(seen, scan, connection, refresh=refresh)
                if only is None
                else self._chosen(scan, only(seen, scan.table), refresh=refresh)
                for scan in binder.scans
            ]

    def _chosen(self, scan: Scan, files: list[CatalogFile], *, refresh: bool) -> _Chosen:
        table = scan.table
        if refresh:
            files = committed_files(self._store, table, files)
        partitions = (len({file.partition for file in files if file.partition}), table.partitions)
        return _Chosen(scan, files, self._files.paths(files, table.zone), partitions)

    def _choose(self, seen: Snapshot, scan: Scan, connection: DuckDBPyConnection, *, refresh: bool) -> _Chosen:
        table = scan.table
        if refresh:
            files = committed_files(self._store, table, seen.files(table.name))
            known = sorted({file.partition for file in files}) if table.partition_keys else []
        else:
            files = None
            known = [one.path for one in seen.partitions(table.name)]
        wanted = wanted_partitions(connection, scan, known)
        if files is None:
            files = seen.files(table.name) if wanted is None else seen.files_of(table.name, wanted)
        elif wanted is not None:
            files = [file for file in files if file.partition in set(wanted)]
        paths = self._files.paths(files, table.zone)
        return _Chosen(scan, files, paths, (len(known) if wanted is None else len(wanted), len(known)))


def _whole_sql(bound: Statement, chosen: list[_Chosen], connection: DuckDBPyConnection) -> str:
    """The statement, with its tables' rows as queries that WITH names."""

    def describe(paths: list[Path]) -> tuple[ColumnType, ...]:
        listed = ", ".join(text_sql(str(path)) for path in paths)
        sql = f"DESCRIBE SELECT * FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
        return tuple(
            ColumnType(str(row[0]).lower(), athena_type(str(row[1]))) for row in connection.execute(sql).fetchall()
        )

    withs = [
        f"{one.scan.name} AS NOT MATERIALIZED ({scan_sql(one.scan.table, one.files, one.paths, describe)})"
        for one in chosen
    ]
    withs += bound.withs
    return f"WITH {', '.join(withs)} {bound.body.sql}" if withs else bound.body.sql


def _lock_down(connection: DuckDBPyConnection, paths: list[Path], folder: Path) -> None:
    """From here on the session reads these files, writes its own folder, and changes no setting."""
    listed = ", ".join(text_sql(str(path)) for path in paths)
    connection.execute(f"SET allowed_paths = [{listed}]")
    connection.execute(f"SET allowed_directories = [{text_sql(str(folder))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _materialise(connection: DuckDBPyConnection, sql: str, max_rows: int | None) -> int:
    """Compute the whole answer before a row is given, so that no file can go away in the middle of it."""
    if max_rows is not None:
        sql = f"FROM ({sql}) AS q LIMIT {int(max_rows) + 1}"
    (count,) = connection.execute(f"CREATE TABLE {_RESULT} AS {sql}").fetchone() or (0,)
    return int(count)


def _measured(connection: DuckDBPyConnection, kinds: list[Type], bounds: Bounds) -> int:
    """The bytes of the widest row's texts. Raises QueryError where it, or the answer as a whole, has too many."""
    lengths = [_length(f"c{index}", kind) for index, kind in enumerate(kinds)]
    fixed = _FIXED_BYTES * lengths.count("")
    texts = " + ".join(one for one in lengths if one) or "0"
    sql = f"SELECT max(texts) + {fixed}, sum(texts) FROM (SELECT {texts} AS texts FROM {_RESULT})"
    widest, whole = (int(one or 0) for one in connection.execute(sql).fetchone() or (0, 0))
    if widest > bounds.row_bytes:
        hint = f"A row may have {bounds.row_bytes:,} bytes. Select fewer columns, or shorten texts by substr()."
        raise QueryError(f"a row of the answer has {widest:,} bytes", hint=hint)
    if whole > bounds.answer_bytes:
        hint = f"It may have {bounds.answer_bytes:,} bytes. Select fewer columns or rows, or aggregate."
        raise QueryError(f"the answer has {whole:,} bytes of text", hint=hint)
    return widest


def _length(column: str, kind: Type) -> str:
    """SQL for the bytes of a text; nothing for what is none."""
    if kind.name == "varbinary":
        return f"coalesce(octet_length({column}), 0)"
    if kind.duckdb == "VARCHAR":
        return f"coalesce(strlen({column}), 0)"
    if kind.name in ("array", "map", "row"):
        return f"coalesce(strlen(CAST({column} AS VARCHAR)), 0)"
    return ""


@contextmanager
def _watched(paths: list[Path]) -> Iterator[None]:
    """Tell a file that went away from one that cannot be read."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        # Of a missing file DuckDB says that it may not look for others like it.
        gone = next((path for path in paths if not path.exists()), None)
        if gone is not None:
            raise _Vanished(str(gone)) from error
        raise


class _TimeLimit:
    """Interrupts a session from its deadline on, again and again, until the block ends."""

    def __init__(self, connection: DuckDBPyConnection, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline
        self._done = threading.Event()
        self.expired = False
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _TimeLimit:
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
def _explained(limit: _TimeLimit) -> Iterator[None]:
    """Turn what DuckDB raises into errors that say what to do next."""
    import duckdb

    try:
        yield
    except duckdb.InterruptException as error:
        raise QueryError(_TOO_LONG, hint="Select fewer partitions.") from error
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
            raise QueryError(_TOO_LONG, hint="Select fewer partitions.") from error
        raise QueryError(_said(error)) from error


def _said(error: Exception) -> str:
    """What DuckDB says, without its own names of error kinds and its view of our SQL."""
    text = str(error).strip().split("\n\nLINE ")[0]
    text = re.sub(r"^(?:[A-Z][A-Za-z]*(?: [A-Za-z]+)* Error: )+", "", text).split("\n")[0]
    if text.startswith("Division by zero"):
        return "Division by zero"
    return re.sub(r"\s*(?:You might want to|Use \"SET) .*$", "", text)
