"""Runs Athena SQL over the files that commit records name, in a DuckDB session that can reach nothing else."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.catalog import CatalogFile, CatalogReader, Snapshot
from lakehead.errors import Busy, ObjectNotFound, QueryError
from lakehead.model import utc_now
from lakehead.query.bound import text_sql
from lakehead.query.parse import Show, parse
from lakehead.query.prune import wanted_partitions
from lakehead.query.queries import Binder, Scan, Statement
from lakehead.query.reader import CACHE_BYTES, Files, scan_sql
from lakehead.query.result import Answer, QueryResult
from lakehead.query.session import ATTEMPTS, TimeLimit, Vanished, described, explained, open_session, watched
from lakehead.query.show import show
from lakehead.query.truth import committed_files
from lakehead.query.types import Type
from lakehead.storage.base import ObjectStore

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from sqlglot import exp

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 120.0

_RESULT = "result"
_FIXED_BYTES = 16
"""What a value takes that is no text, at most."""


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

    def run(self, sql: str, *, max_rows: int | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> QueryResult:
        """Run one SELECT, VALUES, SHOW or DESCRIBE.

        Raises QueryError for SQL that is wrong, takes too long or too much memory; UnsupportedSql for what the
        embedded engine cannot answer as Athena does; StorageUnavailable for files that cannot be read.
        """
        statement = parse(sql)
        if isinstance(statement, Show):
            return show(statement, self._catalog)
        deadline = time.monotonic() + timeout_seconds
        for attempt in range(ATTEMPTS):
            try:
                return self._attempt(statement.copy(), deadline, max_rows, refresh=attempt > 0)
            except (Vanished, ObjectNotFound) as gone:
                log.info("a query starts again, for a file was replaced meanwhile: %s", gone)
            except RecursionError as error:
                raise QueryError("the SQL is nested too deeply") from error
        raise Busy("files of the query keep being replaced while it reads them", hint="Try again.")

    def _attempt(self, node: exp.Query, deadline: float, max_rows: int | None, *, refresh: bool) -> QueryResult:
        folder = Path(tempfile.mkdtemp(prefix="lakehead-query-"))
        connection = self.session(folder)
        widest = 0
        try:
            with TimeLimit(connection, deadline) as limit, explained(limit):
                bound, chosen = self._plan(node, connection, refresh=refresh)
                paths = [path for one in chosen for path in one.paths.values()]
                sql = _whole_sql(bound, chosen, connection)
                _lock_down(connection, paths, folder)
                with watched(paths):
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

    def session(self, folder: Path) -> DuckDBPyConnection:
        """A session for one query, which puts data aside in a folder of its own. It is not locked down yet."""
        spill = self._bounds.spill_bytes if self._bounds else None
        return open_session(folder / "spill", memory_limit=self._memory_limit, threads=self._threads, spill_bytes=spill)

    def _plan(
        self, node: exp.Query, connection: DuckDBPyConnection, *, refresh: bool
    ) -> tuple[Statement, list[_Chosen]]:
        """Bind the query and choose its files, all from one state of the catalog."""
        with self._catalog.snapshot() as seen:
            binder = Binder(seen.table, self._catalog.database, utc_now())
            bound = binder.statement(node)
            return bound, [self._choose(seen, scan, connection, refresh=refresh) for scan in binder.scans]

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

    withs = [
        f"{one.scan.name} AS NOT MATERIALIZED ({scan_sql(one.scan.table, one.files, one.paths, described(connection))})"
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
