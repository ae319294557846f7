"""The embedded engine: DuckDB casts and judges the rows, Python guards what DuckDB reads."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.contract import Contract, sql
from lakehead.contract.plan import ColumnPlan, column_plan
from lakehead.etl.base import EngineResult, StagedFile
from lakehead.etl.header import Columns
from lakehead.etl.place import Place
from lakehead.etl.quarantine import write_quarantine
from lakehead.etl.reading import Reading, read_source
from lakehead.etl.records import Normalised
from lakehead.etl.scan import MAX_RECORD
from lakehead.etl.sessions import Sessions, explained
from lakehead.etl.staging import Accepted, write_partitions
from lakehead.etl.tally import Tally
from lakehead.model import ObjectVersion

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

GOOD = "len(_reasons) = 0"
BAD = "len(_reasons) > 0"
_LONGEST_ROW = 5 * MAX_RECORD
"""In bytes, and with quotes doubled and a line number before it: what DuckDB must be ready for."""


class DuckDBEngine:
    """Loads files with DuckDB. Safe to use from several threads; each load has a database of its own.

    `memory_limit` (a size as DuckDB writes it, `1GB`) and `threads` are of one load. What does not fit spills to the
    staging directory, or below `temp_dir`.
    """

    name = "duckdb"

    def __init__(
        self, *, memory_limit: str = "1GB", threads: int | None = None, temp_dir: Path | None = None, fast: bool = True
    ) -> None:
        self.memory_limit, self.temp_dir, self.fast = memory_limit, temp_dir, fast
        self.sessions = Sessions(memory_limit=memory_limit, threads=threads)

    def load(self, source: Path, contract: Contract, *, origin: ObjectVersion, staging: Path) -> EngineResult:
        """See `Engine.load`. Data files go to `staging/data`, the quarantine to `staging/quarantine.parquet`.

        Raises SourceError for a file that cannot be loaded as its contract says, CountMismatch if rows got lost on
        the way, StorageUnavailable when the disk is full, Busy when the memory limit is too low.
        """
        place = Place.of(contract, origin)
        work = staging / "work"
        with explained(place, self.memory_limit):
            work.mkdir(parents=True, exist_ok=True)
            try:
                return self._load(source, contract, place, staging, work)
            finally:
                shutil.rmtree(work, ignore_errors=True)

    def close(self) -> None:
        """Close what is kept for the next load."""
        self.sessions.close()

    def _load(self, source: Path, contract: Contract, place: Place, staging: Path, work: Path) -> EngineResult:
        reading = read_source(source, contract, place, work)
        if reading.columns is None:
            return reading.no_rows()
        spill = (self.temp_dir / work.parent.name if self.temp_dir else work) / "spill"
        with self.sessions.session(spill) as connection:
            tally = Tally(contract, place)
            load = _Load(connection, column_plan(contract), reading, reading.columns, tally, staging, work)
            return load.run(fast=self.fast)


@dataclass
class _Load:
    """One load, step by step. Table `judged` holds every well-formed row, with its reasons."""

    connection: DuckDBPyConnection
    plan: ColumnPlan
    reading: Reading
    columns: Columns
    tally: Tally
    staging: Path
    work: Path
    line: str = "_line"
    normalised: Normalised | None = None
    contract: Contract = field(init=False)

    def __post_init__(self) -> None:
        self.contract = self.plan.contract

    def run(self, *, fast: bool) -> EngineResult:
        if not (fast and self._fast()):
            self._careful()
        tally = self.tally
        if tally.records == 0:
            self.connection.execute("DROP TABLE judged")
            return self.reading.no_rows()
        self._count()
        tally.refuse_too_many()
        warnings = (*self.reading.warnings, *self._check_quality())
        quarantine = self._write_quarantine()
        files = self._write_data()
        return tally.result(files, quarantine, warnings)

    def _fast(self) -> bool:
        """DuckDB reads the file itself. False where it refuses it or counts other records than the scan did."""
        import duckdb

        records = self.reading.plain_records(self.columns)
        if records is None:
            return False
        self.tally.records = records
        self.line = f"(rowid + {self.columns.first_line})"
        options = self._options(self.columns.names, skip=1 if self.columns.header else 0)
        numbered = "CAST(0 AS BIGINT)"
        if self.contract.unique_keys:  # the first row of a key is told by its line; this costs the parallel read
            self.line, numbered = "_line", f"ROW_NUMBER() OVER () + {self.columns.first_line - 1}"
        path = sql.text(str(self.reading.text.path))
        relation = f"(SELECT {numbered} AS _line, * FROM read_csv({path}, {options}))"
        try:
            return self._judge(relation) == records
        except (duckdb.InvalidInputException, duckdb.ConversionException):
            return False

    def _careful(self) -> None:
        self.normalised = found = self.reading.normalise(self.contract, self.columns, self.work)
        self.tally.begin(found)
        self.line = "_line"
        names = ("_line", *self.columns.names)
        options = self._options(names, skip=0, parallel=not found.spans) + r", new_line = '\n'"
        path = sql.text(str(found.clean))
        judged = self._judge(f"(SELECT * REPLACE (CAST(_line AS BIGINT) AS _line) FROM read_csv({path}, {options}))")
        self.tally.demand("DuckDB read another number of records than Python", found.good, judged)

    def _options(self, names: tuple[str, ...], *, skip: int, parallel: bool = True) -> str:
        dialect = self.contract.dialect
        columns = ", ".join(f"{sql.text(name)}: 'VARCHAR'" for name in names)
        quote = sql.text(dialect.quote)
        # DuckDB 2.0 reads no rows at all from a CRLF file when new_line is given, and takes a CR within quotes for a
        # line end when it is not: only the careful reader's copy has quotes, and is all LF.
        return (
            f"columns = {{{columns}}}, auto_detect = false, hive_partitioning = false, header = false, skip = {skip}, "
            f"delim = {sql.text(dialect.delimiter)}, quote = {quote}, escape = {quote}, comment = '', "
            f"strict_mode = true, null_padding = false, ignore_errors = false, parallel = {str(parallel).lower()}, "
            f"max_line_size = {_LONGEST_ROW}"
        )

    def _judge(self, relation: str) -> int:
        """Cast and judge all rows; the number of rows there are. Rows keep the order of their lines."""
        query = self.plan.select_sql(relation, self.columns.absent)
        dropped = "" if self.line == "_line" else " EXCLUDE (_line)"
        made = self.connection.execute(f"CREATE OR REPLACE TABLE judged AS SELECT *{dropped} FROM ({query})")
        (count,) = made.fetchone() or (0,)
        return int(count)

    def _count(self) -> None:
        """Count the rows of each partition and of each list of reasons, at once."""
        keys = [sql.name(name) for name in self.contract.partitions]
        values = "".join(f"CASE WHEN {GOOD} THEN {key} END AS k{n}, " for n, key in enumerate(keys))
        texts = "".join(f"CAST(k{n} AS VARCHAR), " for n in range(len(keys)))
        order = ", ".join(["reasons NULLS FIRST", *(f"k{n} NULLS LAST" for n in range(len(keys)))])
        found = self.connection.execute(
            f"SELECT {texts} reasons, n, line FROM (SELECT {values} CASE WHEN {BAD} THEN _reasons END AS reasons, "
            f"COUNT(*) AS n, MIN({self.line}) AS line FROM judged GROUP BY ALL) ORDER BY {order}"
        )
        while row := found.fetchone():
            *key, reasons, count, line = row
            if reasons is None:
                self.tally.accept(key, count)
            else:
                self.tally.quarantined += count
                for reason in reasons:
                    self.tally.refuse(reason, count, line)

    def _check_quality(self) -> tuple[str, ...]:
        names = ", ".join(sql.name(column.name) for column in self.plan.output_columns)
        checks = self.plan.quality_sql(f"(SELECT {names} FROM judged WHERE {GOOD})")
        return self.tally.check_quality(checks, lambda _, query: self._first(query))

    def _first(self, query: str) -> object:
        (value, *_) = self.connection.execute(query).fetchone() or (None,)
        return value

    def _write_quarantine(self) -> StagedFile | None:
        if not self.tally.quarantined:
            return None
        return write_quarantine(
            self.connection,
            f"SELECT {self.line} AS line, _reasons FROM judged WHERE {BAD} ORDER BY line",
            self.reading.text,
            self.normalised,
            lone_cr=self.reading.seen.lone_cr,
            place=self.tally.place,
            work=self.work,
            target=self.staging / "quarantine.parquet",
        )

    def _write_data(self) -> tuple[StagedFile, ...]:
        rows = Accepted(
            "judged",
            GOOD,
            self.line,
            self.plan.output_columns,
            self.contract.partitions,
            self.tally.partitions,
            self.reading.text.size,
            in_order=not self.contract.unique_keys,  # telling repeated keys apart reorders the rows
        )
        files = tuple(write_partitions(self.connection, rows, self.staging / "data", self.tally.place))
        self.connection.execute("DROP TABLE IF EXISTS judged")
        written = sum(file.rows for file in files)
        self.tally.demand("other rows were written than were accepted", self.tally.committed, written)
        return files
