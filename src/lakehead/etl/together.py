"""Many small files in one query: planning the contract's query takes far longer than running it over a small file.

Only plain files are taken: each line is a record, and no field needs a look at quotes. Python writes their lines into
one text, each with the number of its file before it, so it is DuckDB that says from which file a row comes. What a
file's Parquet files hold, byte for byte, does not depend on the files that are loaded beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehead.contract import Contract, sql
from lakehead.contract.model import QualityCheck
from lakehead.contract.plan import ColumnPlan
from lakehead.errors import LakeheadError
from lakehead.etl.base import EngineResult, StagedFile
from lakehead.etl.csv_relation import TEXT, read_csv
from lakehead.etl.folders import folder_of
from lakehead.etl.header import Columns
from lakehead.etl.judging import BAD, GOOD
from lakehead.etl.place import Place
from lakehead.etl.quarantine import copy_quarantine, dropped_rows
from lakehead.etl.reading import Reading
from lakehead.etl.scan import MAX_RECORD
from lakehead.etl.staging import PARQUET
from lakehead.etl.tally import Tally
from lakehead.private import make_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SMALL_BYTES = 1 << 20
"""The largest text that is loaded so: a larger one takes longer to run than to plan."""
SMALL_RECORDS = 20_000
"""As many records at most, so that the rows of one partition are one file."""
LONGEST_ROW = MAX_RECORD + 32
"""In bytes, with the number of its file before it."""
QUERY_BYTES = 8 << 20
QUERY_RECORDS = 100_000
"""What one query takes at most, of all its files: their rows are held in memory. So many rows are also one row group
of DuckDB's tables (122,880), so that no file is cut in two by the rows before it."""


class NotTogether(Exception):
    """DuckDB does not read the files together as they would be read alone."""


@dataclass(slots=True)
class SmallFile:
    """A plain file of `records` records that was read and scanned.

    `first` is the number of rows of the files before it; `start` is where its good rows begin in the table from which
    they are copied. `outcome` is what became of it: its result, or the error that keeps it from being loaded.
    """

    reading: Reading
    columns: Columns
    records: int
    place: Place
    staging: Path
    tally: Tally
    first: int = 0
    start: int = 0
    warnings: tuple[str, ...] = ()
    outcome: EngineResult | LakeheadError | None = None

    def begin(self, first: int) -> None:
        """Start a load, the first or one more."""
        self.tally = Tally(self.tally.contract, self.place, self.records)
        self.first = self.start = first
        self.warnings, self.outcome = self.reading.warnings, None

    @property
    def layout(self) -> tuple[tuple[str, ...], frozenset[str]]:
        """What files that are loaded together have in common."""
        return self.columns.names, self.columns.absent

    def told(self) -> EngineResult | LakeheadError:
        """The outcome, once there is one."""
        assert self.outcome is not None
        return self.outcome

    def line(self, row: int) -> int:
        """The line of a row of the whole text."""
        return row - self.first + self.columns.first_line

    def text(self, before: bytes) -> bytes:
        """The records, each a line that ends with LF, with `before` before it."""
        text = self.reading.text.path.read_bytes()[self.reading.text.bom :].replace(b"\r\n", b"\n")
        if self.columns.header is not None:
            text = text.partition(b"\n")[2]
        return before + text.removesuffix(b"\n").replace(b"\n", b"\n" + before) + b"\n"


def small_file(reading: Reading, place: Place, staging: Path, contract: Contract) -> SmallFile | None:
    """The file, where it can be loaded beside others; None where it has to be loaded alone."""
    columns = reading.columns
    # Telling repeated keys apart reorders rows.
    if columns is None or contract.unique_keys or reading.text.size > SMALL_BYTES:
        return None
    records = reading.plain_records(columns)
    if not records or records > SMALL_RECORDS:
        return None
    return SmallFile(reading, columns, records, place, staging, Tally(contract, place))


def surely_large(source: Path, key: str) -> bool:
    """Whether a file is too large to be loaded beside others, as far as that is told without reading it."""
    size = source.stat().st_size
    if not key.lower().endswith(".gz"):
        return size > 2 * SMALL_BYTES  # UTF-16 takes at most twice the room of UTF-8
    with source.open("rb") as packed:
        packed.seek(max(0, size - 4))
        return int.from_bytes(packed.read(4), "little") > SMALL_BYTES  # RFC 1952, ISIZE: of the last member's text


def queries(files: Sequence[SmallFile]) -> Iterator[list[SmallFile]]:
    """The files that share a query each: of one layout, and no more than a query takes."""
    for layout in dict.fromkeys(file.layout for file in files):
        chosen: list[SmallFile] = []
        size = records = 0
        for file in files:
            if file.layout != layout:
                continue
            size, records = size + file.reading.text.size, records + file.records
            if chosen and (size > QUERY_BYTES or records > QUERY_RECORDS):
                yield chosen
                chosen, size, records = [], file.reading.text.size, file.records
            chosen.append(file)
        yield chosen


@dataclass(slots=True)
class Together:
    """One load of small files of one layout. Table `together` has the number of a row's file as its `_line`."""

    connection: DuckDBPyConnection
    plan: ColumnPlan
    files: Sequence[SmallFile]
    work: Path
    relation: str = "together"

    def run(self) -> None:
        """Load the files. Raises NotTogether, and LakeheadError for what is wrong with all of them.

        Then nothing became of any file, and the session is not to be used again.
        """
        counts = itertools.accumulate((file.records for file in self.files), initial=0)
        for file, first in zip(self.files, counts, strict=False):
            file.begin(first)
        self._judge()
        self._count()
        self._check()
        self._drop_rows()
        self._order()
        for number, file in self._live():
            file.outcome = self._write(number, file)
        for table in ("together", "ordered", "dropped"):
            self.connection.execute(f"DROP TABLE IF EXISTS {table}")

    def _live(self) -> Iterator[tuple[int, SmallFile]]:
        """The files that nothing keeps from being loaded, with their numbers."""
        return ((number, file) for number, file in enumerate(self.files) if file.outcome is None)

    def _for_each(self, step: Callable[[int, SmallFile], object]) -> None:
        """What is wrong with one file is told of that one."""
        for number, file in self._live():
            try:
                step(number, file)
            except LakeheadError as error:
                file.outcome = error

    def _judge(self) -> None:
        """Cast and judge the rows of all files; they keep their order."""
        import duckdb

        dialect = self.plan.contract.dialect
        names, absent = self.files[0].layout
        path = self.work / "together.csv"
        with path.open("wb") as text:
            for number, file in enumerate(self.files):
                text.write(file.text(f"{number}{dialect.delimiter}".encode()))
        columns = {"_line": "BIGINT", **dict.fromkeys(names, TEXT)}
        rows = read_csv(path, dialect, columns, parallel=False, longest=LONGEST_ROW, all_lf=True)
        query = f"CREATE OR REPLACE TABLE together AS {self.plan.select_sql(rows, absent)}"
        try:
            self.connection.execute(query)
        except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
            raise NotTogether(_reason(error)) from error

    def _count(self) -> None:
        """Count the rows of each file's partitions and of each list of reasons, at once.

        Raises NotTogether where a file has not as many rows as the scan counted, one behind the other.
        """
        keys = [sql.name(name) for name in self.plan.contract.partitions]
        values = "".join(f"CASE WHEN {GOOD} THEN {key} END AS k{n}, " for n, key in enumerate(keys))
        texts = "".join(f"CAST(k{n} AS VARCHAR), " for n in range(len(keys)))
        order = ", ".join(["_line", "reasons NULLS FIRST", *(f"k{n} NULLS LAST" for n in range(len(keys)))])
        found = self.connection.execute(
            f"SELECT _line, {texts} reasons, n, row, last FROM (SELECT _line, {values} "
            f"CASE WHEN {BAD} THEN _reasons END AS reasons, COUNT(*) AS n, MIN(rowid) AS row, MAX(rowid) AS last "
            f"FROM together GROUP BY ALL) ORDER BY {order}"
        ).fetchall()
        rows = {number: list(its) for number, its in itertools.groupby(found, itemgetter(0))}
        if len(rows) != len(self.files) or not all(_complete(file, rows[n]) for n, file in enumerate(self.files)):
            raise NotTogether("DuckDB read other records than the scan counted")
        self._for_each(lambda number, file: _tally(file, rows[number]))

    def _check(self) -> None:
        """Hold each file against what the contract says of whole files."""
        names = ", ".join(sql.name(column.name) for column in self.plan.output_columns)

        def check(number: int, file: SmallFile) -> None:
            file.tally.refuse_too_many()
            checks = self.plan.quality_sql(f"(SELECT {names} FROM together WHERE {GOOD} AND _line = {number})")
            file.warnings = (*file.warnings, *file.tally.check_quality(checks, self._value))

        self._for_each(check)

    def _value(self, _: QualityCheck, query: str) -> object:
        row = self.connection.execute(query).fetchone()
        return row[0] if row else None

    def _drop_rows(self) -> None:
        """Table `dropped`: the rows that break a rule, with their texts, in the order of files and lines."""
        if not any(file.tally.quarantined for _, file in self._live()):
            return
        query = f"SELECT _line, rowid, _reasons FROM together WHERE {BAD} ORDER BY rowid"
        broken = self.connection.execute(query).fetchall()
        listed: list[list[Any]] = [[], [], [], []]
        for number, its in itertools.groupby(broken, itemgetter(0)):
            file = self.files[number]
            if file.outcome is not None:
                continue
            rows = ((file.line(row), reasons) for _, row, reasons in its)
            for line, reasons, text in dropped_rows(rows, file.reading.text, None, lone_cr=False):
                for values, value in zip(listed, (number, line, text, reasons), strict=True):
                    values.append(value)
        if listed[0]:
            columns = "unnest(?) AS file, CAST(unnest(?) AS BIGINT) AS line, unnest(?) AS text, unnest(?) AS reasons"
            self.connection.execute(f"CREATE OR REPLACE TABLE dropped AS SELECT {columns}", listed)

    def _order(self) -> None:
        """Have the good rows of each partition of a file one behind the other, in table `relation`."""
        if all(len(file.tally.partitions) < 2 for _, file in self._live()):
            return  # they are, but for bad rows in between
        keys = "".join(f"{sql.name(key)} NULLS LAST, " for key in self.plan.contract.partitions)
        self.connection.execute(
            f"CREATE OR REPLACE TABLE ordered AS FROM together WHERE {GOOD} ORDER BY _line, {keys} rowid"
        )
        self.relation = "ordered"
        for number, start in self.connection.execute("SELECT _line, MIN(rowid) FROM ordered GROUP BY _line").fetchall():
            self.files[number].start = start

    def _write(self, number: int, file: SmallFile) -> EngineResult:
        quarantine = self._write_quarantine(number, file)
        files = tuple(self._write_data(file))
        file.tally.demand(
            "other rows were written than were accepted", file.tally.committed, sum(one.rows for one in files)
        )
        return file.tally.result(files, quarantine, file.warnings)

    def _write_quarantine(self, number: int, file: SmallFile) -> StagedFile | None:
        if not file.tally.quarantined:
            return None
        rows = (
            "SELECT line, text, string_split(reasons, chr(10)) AS reasons "
            f"FROM dropped WHERE file = {number} ORDER BY line"
        )
        target = file.staging / "quarantine.parquet"
        return copy_quarantine(self.connection, rows, file.tally.quarantined, file.place, target)

    def _write_data(self, file: SmallFile) -> Iterator[StagedFile]:
        # Whether a column has a mask of nulls hangs on rows beside these, and shows in the bytes: CASE makes it anew.
        stored = ", ".join(
            f"CASE WHEN {name} IS NULL THEN NULL ELSE {name} END AS {name}"
            for column in self.plan.output_columns
            if not column.partition and (name := sql.name(column.name))
        )
        start = file.start
        for values, count in file.tally.partitions:
            partition = folder_of(self.plan.contract.partitions, values, file.place)
            length = count if self.relation == "ordered" else file.records
            target = file.staging / "data" / partition / "0.parquet"
            make_folder(target.parent)
            query = (
                f"SELECT {stored} FROM {self.relation} WHERE {GOOD} AND rowid >= {start} AND rowid < {start + length}"
            )
            yield StagedFile(target, partition, self._copy(query, target), target.stat().st_size)
            start += length

    def _copy(self, query: str, target: Path) -> int:
        (rows,) = self.connection.execute(f"COPY ({query}) TO {sql.text(str(target))} ({PARQUET})").fetchone() or (0,)
        return int(rows)


def _reason(error: Exception) -> str:
    """What DuckDB says of a file, without the line of it that it shows."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith("Original Line:")]
    return ", ".join(lines[:2])


def _complete(file: SmallFile, rows: Sequence[tuple[Any, ...]]) -> bool:
    count, first, last = sum(row[-3] for row in rows), min(row[-2] for row in rows), max(row[-1] for row in rows)
    return (count, first, last) == (file.records, file.first, file.first + file.records - 1)


def _tally(file: SmallFile, rows: Sequence[tuple[Any, ...]]) -> None:
    for _, *values, reasons, count, row, _ in rows:
        if reasons is None:
            file.tally.accept(values, count)
            folder_of(file.tally.contract.partitions, values, file.place)
            continue
        file.tally.quarantined += count
        for reason in reasons:
            file.tally.refuse(reason, count, file.line(row))
