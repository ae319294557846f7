"""What an engine staged, checked against what it said: where files lie, their sizes, and the rows in their footers."""

from __future__ import annotations

import contextlib
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.errors import CountMismatch
from lakehead.etl.base import EngineResult, StagedFile
from lakehead.storage.base import ObjectStore
from lakehead.storage.disk import open_for_reading
from lakehead.storage.etags import sha256_file

if TYPE_CHECKING:
    import duckdb

FOOTER_GUESS = 1 << 16
_PARTITION = re.compile(r"([^/=]+=[^/]+(/[^/=]+=[^/]+)*)?")
_lock = threading.Lock()


def checked(result: EngineResult, staging: Path, **where: str) -> EngineResult:
    """The result with every file's size and SHA-256 as they are on disk.

    Raises CountMismatch, with the fields in `where`, when a row is not accounted for or a file is not as it was told.
    """
    (found,) = checked_all([(result, staging, where)])
    if isinstance(found, CountMismatch):
        raise found
    return found


def checked_all(
    results: Sequence[tuple[EngineResult, Path, dict[str, str]]],
) -> list[EngineResult | CountMismatch]:
    """The same for many results, whose footers are read at once; for each what `checked` returns or raises."""
    counts = iter(row_counts([file.path for result, *_ in results for file in _staged(result)]))
    found: list[EngineResult | CountMismatch] = []
    for result, staging, where in results:
        counted = [next(counts) for _ in _staged(result)]
        try:
            found.append(_checked(result, staging, counted, where))
        except CountMismatch as error:
            found.append(error)
    return found


def _staged(result: EngineResult) -> tuple[StagedFile, ...]:
    return (*result.files, *((result.quarantine,) if result.quarantine else ()))


def _checked(result: EngineResult, staging: Path, counted: Sequence[int | None], where: dict[str, str]) -> EngineResult:
    _same(
        "rows read and rows committed + quarantined",
        result.rows_read,
        result.rows_committed + result.rows_quarantined,
        where,
    )
    _same("rows committed and rows in the data files", result.rows_committed, sum(f.rows for f in result.files), where)
    quarantined = result.quarantine.rows if result.quarantine else 0
    _same("rows quarantined and rows in the quarantine file", result.rows_quarantined, quarantined, where)
    for file, rows in zip(_staged(result), counted, strict=True):
        if not file.path.is_relative_to(staging) or ".." in file.path.parts or not _PARTITION.fullmatch(file.partition):
            raise CountMismatch("the engine staged a file in a wrong place", path=str(file.path), **where)
        _same("rows of a staged file and rows in its footer", file.rows, rows, {**where, "path": str(file.path)})
    files = tuple(_measured(file) for file in result.files)
    return replace(result, files=files, quarantine=_measured(result.quarantine) if result.quarantine else None)


def row_counts(paths: Sequence[Path]) -> list[int | None]:
    """The rows that Parquet footers tell, None for a file that is no Parquet."""
    if not paths:
        return []
    import duckdb

    try:
        return list(_footer_rows(paths))
    except duckdb.Error:
        if len(paths) == 1:
            return [None]
        half = len(paths) // 2
        return [*row_counts(paths[:half]), *row_counts(paths[half:])]


def remote_row_count(store: ObjectStore, bucket: str, key: str, size: int) -> int | None:
    """The rows of a Parquet object in a store, by reading no more than its end."""
    tail = store.get_tail(bucket, key, FOOTER_GUESS)
    footer = int.from_bytes(tail[-8:-4], "little") + 8
    if len(tail) < footer <= size:
        tail = store.get_tail(bucket, key, footer)
    with tempfile.TemporaryDirectory(prefix="lakehead-") as folder:
        path = Path(folder) / "footer.parquet"
        with path.open("wb") as stream:  # a footer tells offsets from the file's beginning, so the hole counts
            stream.write(b"PAR1")
            stream.seek(max(0, size - len(tail)))
            stream.write(tail)
        return row_counts([path])[0]


def _footer_rows(paths: Sequence[Path]) -> Iterator[int]:
    with contextlib.closing(_cursor()) as cursor:
        found = cursor.execute(
            "SELECT file_name, num_rows FROM parquet_file_metadata($paths)", {"paths": [_no_glob(p) for p in paths]}
        ).fetchall()
    rows = {str(name): int(count) for name, count in found}
    for path in paths:
        yield rows[str(path)]


def _cursor() -> duckdb.DuckDBPyConnection:
    with _lock:
        return _connection().cursor()


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    import duckdb

    # It serves every load of this process: what DuckDB would keep of each file would only pile up.
    return duckdb.connect(config={"threads": 1, "enable_external_file_cache": False})


def _no_glob(path: Path) -> str:
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _measured(file: StagedFile) -> StagedFile:
    with open_for_reading(file.path) as stream:
        return replace(file, bytes=file.path.stat().st_size, sha256=sha256_file(stream))


def _same(what: str, expected: int, received: int | None, where: dict[str, str]) -> None:
    if expected != received:
        raise CountMismatch(
            f"{what} differ; nothing was committed",
            hint="This is a fault of the engine or of the disk: keep the file, and report it.",
            expected=expected,
            received=received if received is not None else "no Parquet file",
            **where,
        )
