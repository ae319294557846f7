"""The quarantine file: every row that was dropped, with its exact text and all its reasons."""

from __future__ import annotations

import csv
import heapq
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

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
# Malformed text may be as long as a line may be; doubled quotes make it twice that, and the reasons come on top.
_LONGEST = 2 * MAX_LINE + MAX_RECORD

Dropped: TypeAlias = tuple[int, str, str]
"""Line, reasons joined by line feeds (no reason holds one), text."""


def write_quarantine(
    connection: DuckDBPyConnection,
    broken: str,
    text: TextFile,
    normalised: Normalised | None,
    *,
    lone_cr: bool,
    place: Place,
    work: Path,
    target: Path,
) -> StagedFile:
    """Write `target`: source_bucket, source_key, source_etag, line, text, reasons, dataset, in the order of lines.

    `broken` is a query of the line and the list of reasons of the rows that break a rule, ordered by line;
    `normalised` knows the malformed ones. Raises CountMismatch.
    """
    rows = dropped_rows(_fetch(connection, broken), text, normalised, lone_cr=lone_cr)
    listed, count = work / "quarantine.csv", 0
    with listed.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for row in rows:
            writer.writerow(row)
            count += 1
    rows_of = (
        "SELECT line, text, string_split(reasons, chr(10)) AS reasons "
        f"FROM read_csv({sql.text(str(listed))}, columns = {{line: 'BIGINT', reasons: 'VARCHAR', text: 'VARCHAR'}}, "
        "auto_detect = false, hive_partitioning = false, header = false, delim = ',', quote = '\"', escape = '\"', "
        f"new_line = '\\n', strict_mode = true, parallel = false, max_line_size = {_LONGEST})"
    )
    return copy_quarantine(connection, rows_of, count, place, target)


def write_texts(connection: DuckDBPyConnection, refused: str, count: int, place: Place, target: Path) -> StagedFile:
    """The same file; `refused` is a query of `_line`, `_reasons` and `_text` of all `count` rows that are dropped.

    Raises CountMismatch.
    """
    rows = f"SELECT _line AS line, _text AS text, _reasons AS reasons FROM ({refused}) ORDER BY line"
    return copy_quarantine(connection, rows, count, place, target)


def dropped_rows(
    broken: Iterator[tuple[int, list[str]]], text: TextFile, normalised: Normalised | None, *, lone_cr: bool
) -> Iterator[Dropped]:
    """All rows that are dropped, in the order of lines: those that break a rule, and the malformed ones."""
    spans = normalised.spans if normalised else {}
    rows = _broken_rows(broken, text, spans, lone_cr=lone_cr)
    if normalised is not None and normalised.reasons:
        return heapq.merge(rows, _malformed_rows(normalised))
    return rows


def _broken_rows(
    broken: Iterator[tuple[int, list[str]]], text: TextFile, spans: dict[int, int], *, lone_cr: bool
) -> Iterator[Dropped]:
    """Rows that break a rule; their texts are read again from the source, by their lines."""
    found, again = tee(broken)
    texts = texts_of(text, (line for line, _ in found), spans, lone_cr=lone_cr)
    for (line, reasons), (_, exact) in zip(again, texts, strict=True):
        yield line, "\n".join(reasons), exact


def _fetch(connection: DuckDBPyConnection, query: str) -> Iterator[tuple[int, list[str]]]:
    result = connection.execute(query)
    while rows := result.fetchmany(_FETCH):
        yield from rows


def _malformed_rows(normalised: Normalised) -> Iterator[Dropped]:
    with normalised.bad.open(encoding="utf-8", newline="") as file:
        for line, reason, text in csv.reader(file):
            yield int(line), reason, text


def copy_quarantine(connection: DuckDBPyConnection, rows: str, count: int, place: Place, target: Path) -> StagedFile:
    """Write the file. `rows` is a query of `line`, `text` and `reasons` of all `count` rows that are dropped.

    Raises CountMismatch.
    """
    origin = place.origin
    bucket, key, etag, dataset = map(sql.text, (origin.bucket, origin.key, origin.etag, place.dataset))
    (written,) = connection.execute(
        f"COPY (SELECT {bucket} AS source_bucket, {key} AS source_key, {etag} AS source_etag, line, text, reasons, "
        f"{dataset} AS dataset FROM ({rows})) TO {sql.text(str(target))} ({PARQUET})"
    ).fetchone() or (0,)
    if written != count:
        raise CountMismatch(
            "other rows were quarantined than were refused; nothing was committed",
            hint="This is a fault of Lakehead; please report it with the file.",
            **place.where,
            expected=count,
            received=written,
        )
    return StagedFile(target, "", count, target.stat().st_size)
