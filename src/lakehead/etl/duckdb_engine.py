"""The embedded engine: DuckDB casts and judges the rows, Python guards what DuckDB reads."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.contract import Contract, sql
from lakehead.contract.plan import ColumnPlan, column_plan
from lakehead.errors import CountMismatch, QualityCheckFailed, TooManyQuarantined
from lakehead.etl.base import EngineResult, StagedFile
from lakehead.etl.header import Columns, read_columns
from lakehead.etl.place import Place
from lakehead.etl.quarantine import write_quarantine
from lakehead.etl.records import Normalised, normalise
from lakehead.etl.scan import MAX_RECORD, Scan, scan
from lakehead.etl.sessions import Sessions, explained
from lakehead.etl.source import TextFile, open_source
from lakehead.etl.staging import Accepted, refuse_too_many_partitions, write_partitions
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
        text = open_source(source, contract.dialect, place, work)
        seen = scan(text, contract.dialect, place)
        columns = read_columns(text, contract, place)
        if columns is None:
            return EngineResult(0, 0, 0, (), None, warnings=(*text.warnings, "the file is empty: no rows"))
        spill = (self.temp_dir / work.parent.name if self.temp_dir else work) / "spill"
        with self.sessions.session(spill) as connection:
            load = _Load(connection, contract, column_plan(contract), place, text, columns, staging, work)
            return load.run(seen, fast=self.fast)


@dataclass
class _Load:
    """One load, step by step. Table `judged` holds every well-formed row, with its reasons."""

    connection: DuckDBPyConnection
    contract: Contract
    plan: ColumnPlan
    place: Place
    text: TextFile
    columns: Columns
    staging: Path
    work: Path
    line: str = "_line"
    records: int = 0
    normalised: Normalised | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    first_bad: dict[str, int] = field(default_factory=dict)
    partitions: tuple[tuple[tuple[str | None, ...], int], ...] = ()

    def run(self, seen: Scan, *, fast: bool) -> EngineResult:
        width = len(self.columns.names)
        if not (fast and seen.rectangular(width) and self._fast(seen)):
            self._careful()
        warnings = [*self.text.warnings, *self.columns.warnings]
        if self.records == 0:
            self.connection.execute("DROP TABLE judged")
            what = "the file holds only a header" if self.columns.header else "the file is empty"
            return EngineResult(0, 0, 0, (), None, warnings=(*warnings, f"{what}: no rows"))
        quarantined = self._count()
        committed = self.records - quarantined
        self._refuse_too_many(quarantined)
        warnings += self._check_quality(committed)
        quarantine = self._write_quarantine(quarantined, lone_cr=seen.lone_cr)
        files = self._write_data(committed)
        return EngineResult(
            self.records, committed, quarantined, files, quarantine, dict(self.reasons.most_common()), tuple(warnings)
        )

    def _fast(self, seen: Scan) -> bool:
        """DuckDB reads the file itself. False where it refuses it or counts other records than the scan did."""
        import duckdb

        self.records = seen.lines - (1 if self.columns.header else 0)
        self.line = f"(rowid + {self.columns.first_line})"
        options = self._options(self.columns.names, skip=1 if self.columns.header else 0)
        numbered = "CAST(0 AS BIGINT)"
        if self.contract.unique_keys:  # the first row of a key is told by its line; this costs the parallel read
            self.line, numbered = "_line", f"ROW_NUMBER() OVER () + {self.columns.first_line - 1}"
        relation = f"(SELECT {numbered} AS _line, * FROM read_csv({sql.text(str(self.text.path))}, {options}))"
        try:
            return self._judge(relation) == self.records
        except (duckdb.InvalidInputException, duckdb.ConversionException):
            return False

    def _careful(self) -> None:
        header, names = self.columns.header, self.columns.names
        self.normalised = found = normalise(self.text, self.contract.dialect, header, len(names), self.work)
        self.records, self.line = found.records, "_line"
        self.reasons, self.first_bad = Counter(found.reasons), dict(found.first_bad)
        options = self._options(("_line", *names), skip=0, parallel=not found.spans) + r", new_line = '\n'"
        path = sql.text(str(found.clean))
        judged = self._judge(f"(SELECT * REPLACE (CAST(_line AS BIGINT) AS _line) FROM read_csv({path}, {options}))")
        if judged != found.good:
            raise CountMismatch(
                "DuckDB read another number of records than Python; nothing was committed",
                hint="This is a fault of Lakehead; please report it with the file.",
                **self.place.where,
                expected=found.good,
                received=judged,
            )

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

    def _count(self) -> int:
        """Count the rows of each partition and of each list of reasons, at once; the number of quarantined rows."""
        keys = [sql.name(name) for name in self.contract.partitions]
        values = "".join(f"CASE WHEN {GOOD} THEN {key} END AS k{n}, " for n, key in enumerate(keys))
        texts = "".join(f"CAST(k{n} AS VARCHAR), " for n in range(len(keys)))
        order = ", ".join(["reasons NULLS FIRST", *(f"k{n} NULLS LAST" for n in range(len(keys)))])
        found = self.connection.execute(
            f"SELECT {texts} reasons, n, line FROM (SELECT {values} CASE WHEN {BAD} THEN _reasons END AS reasons, "
            f"COUNT(*) AS n, MIN({self.line}) AS line FROM judged GROUP BY ALL) ORDER BY {order}"
        )
        partitions, quarantined = [], self.reasons.total()
        while row := found.fetchone():
            *key, reasons, count, line = row
            if reasons is None:
                partitions.append((tuple(key), count))
                refuse_too_many_partitions(len(partitions), keys, self.place)
                continue
            quarantined += count
            for reason in reasons:
                self.reasons[reason] += count
                self.first_bad[reason] = min(line, self.first_bad.get(reason, line))
        self.partitions = tuple(partitions)
        return quarantined

    def _refuse_too_many(self, quarantined: int) -> None:
        limit = self.contract.max_quarantined_share
        if quarantined < self.records and quarantined <= limit * self.records:
            return
        top = "; ".join(
            f"{reason} ({count} rows, first in line {self.first_bad[reason]})"
            for reason, count in self.reasons.most_common(3)
        )
        share = "all" if quarantined == self.records else f"{quarantined} of"
        raise TooManyQuarantined(
            f"{share} {self.records} rows break the contract: {top}",
            hint="Mend the file and land it again, or change the contract and replay.",
            **self.place.where,
            line=min(self.first_bad.values()),
            expected=f"at most {limit:.0%} quarantined, and not every row",
        )

    def _check_quality(self, committed: int) -> list[str]:
        """Hold the accepted rows against the contract's checks; the warnings of those that only warn."""
        names = ", ".join(sql.name(column.name) for column in self.plan.output_columns)
        checks = self.plan.quality_sql(f"(SELECT {names} FROM judged WHERE {GOOD})")
        warnings = []
        for told, check in zip(self.contract.quality, checks, strict=True):
            value: object = committed
            if told.metric != "rowCount":
                (value, *_) = self.connection.execute(check.sql).fetchone() or (None,)
            if check.holds(value):
                continue
            if check.fatal:
                raise QualityCheckFailed(
                    f"a quality check of the contract failed: {check.words(value)}",
                    hint="Mend the file and land it again, or change the check and replay.",
                    **self.place.where,
                    received=str(value),
                )
            warnings.append(f"quality: {check.words(value)}")
        return warnings

    def _write_quarantine(self, quarantined: int, *, lone_cr: bool) -> StagedFile | None:
        if not quarantined:
            return None
        return write_quarantine(
            self.connection,
            f"SELECT {self.line} AS line, _reasons FROM judged WHERE {BAD} ORDER BY line",
            self.text,
            self.normalised,
            lone_cr=lone_cr,
            place=self.place,
            work=self.work,
            target=self.staging / "quarantine.parquet",
        )

    def _write_data(self, committed: int) -> tuple[StagedFile, ...]:
        columns = self.plan.output_columns
        rows = Accepted(
            "judged",
            GOOD,
            self.line,
            columns,
            self.contract.partitions,
            self.partitions,
            self.text.size,
            in_order=not self.contract.unique_keys,  # telling repeated keys apart reorders the rows
        )
        files = tuple(write_partitions(self.connection, rows, self.staging / "data", self.place))
        self.connection.execute("DROP TABLE IF EXISTS judged")
        written = sum(file.rows for file in files)
        if written != committed:
            raise CountMismatch(
                "other rows were written than were accepted; nothing was committed",
                hint="This is a fault of Lakehead; please report it with the file.",
                **self.place.where,
                expected=committed,
                received=written,
            )
        return files
