"""The quarantine file: every row that was dropped, with its exact text and all its reasons."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.contract import sql
from lakehead.errors import CountMismatch
from lakehead.etl.base import StagedFile
from lakehead.etl.place import Place
from lakehead.etl.records import Normalised, texts_of
from lakehead.etl.scan import MAX_LINE, MAX_RECORD
from lakehead.etl.source import TextFile
from lakehead.etl.staging import PARQUET

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FETCH = 10_000


def write_quarantine(
    connection: DuckDBPyConnection,
    broken: str,
    text: TextFile,
    normalised: Normalised | None,
    *,
    place: Place,
    work: Path,
    target: Path,
    overlong: bool,
) -> StagedFile | None:
    """Write `target`: source_bucket, source_key, source_etag, line, text, reasons, dataset, in the order of lines.

    `broken` is a relation of `line` and `reasons` for the rows that break a rule; `normalised` knows the malformed
    ones. None where there are no such rows.
    """
    texts = work / "texts.csv"
    count = _write_texts(connection, broken, text, normalised, texts)
    parts = []
    if count:
        read = _read(texts, ("line", "text"), overlong)
        parts.append(f"SELECT line, text, reasons FROM {read} JOIN {broken} USING (line)")
    if normalised is not None and normalised.reasons:
        read = _read(normalised.bad, ("line", "reason", "text"), overlong)
        parts.append(f"SELECT line, text, [reason] AS reasons FROM {read}")
        count += normalised.reasons.total()
    origin = place.origin
    constants = ", ".join(
        f"{sql.text(value)} AS {name}"
        for name, value in (
            ("source_bucket", origin.bucket),
            ("source_key", origin.key),
            ("source_etag", origin.etag),
        )
    )
    query = (
        f"SELECT {constants}, line, text, reasons, {sql.text(place.dataset)} AS dataset "
        f"FROM ({' UNION ALL '.join(parts)}) ORDER BY line"
    )
    (written,) = connection.execute(f"COPY ({query}) TO {sql.text(str(target))} ({PARQUET})").fetchone() or (0,)
    if written != count:
        raise CountMismatch(
            "other rows were quarantined than were refused; nothing was committed",
            hint="This is a fault of Lakehead; please report it with the file.",
            **place.where,
            expected=count,
            received=written,
        )
    return StagedFile(target, "", count, target.stat().st_size)


def _write_texts(
    connection: DuckDBPyConnection, broken: str, text: TextFile, normalised: Normalised | None, target: Path
) -> int:
    """Read the broken rows' texts again from the source, by their lines."""
    count = 0
    spans = normalised.spans if normalised else {}
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for item in texts_of(text, _lines(connection, broken), spans):
            writer.writerow(item)
            count += 1
    return count


def _lines(connection: DuckDBPyConnection, broken: str) -> Iterator[int]:
    found = connection.execute(f"SELECT line FROM {broken} ORDER BY line")
    while rows := found.fetchmany(_FETCH):
        for (line,) in rows:
            yield line


def _read(path: Path, names: tuple[str, ...], overlong: bool) -> str:
    # A malformed text may be as long as a line may be, and doubled quotes make it twice that.
    longest = 2 * MAX_LINE + MAX_RECORD if overlong else 5 * MAX_RECORD
    columns = ", ".join(f"{name}: '{'BIGINT' if name == 'line' else 'VARCHAR'}'" for name in names)
    return (
        f"read_csv({sql.text(str(path))}, columns = {{{columns}}}, auto_detect = false, header = false, delim = ',', "
        f"quote = '\"', escape = '\"', strict_mode = true, parallel = false, max_line_size = {longest})"
    )
