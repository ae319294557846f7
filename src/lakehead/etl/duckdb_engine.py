"""The embedded engine: DuckDB casts and judges the rows, Python guards what DuckDB reads."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lakehead.contract import Contract, sql
from lakehead.contract.plan import ColumnPlan, column_plan
from lakehead.errors import LakeheadError, TerminalError
from lakehead.etl import folders
from lakehead.etl.base import EngineResult, Load, StagedFile
from lakehead.etl.csv_relation import TEXT, read_csv
from lakehead.etl.header import Columns
from lakehead.etl.judged import Judged, Partition, partitions, threads_of
from lakehead.etl.judging import Judging, Lines, ManyInDoubt
from lakehead.etl.pieces import Piece, copy, cut
from lakehead.etl.place import Place
from lakehead.etl.quarantine import write_quarantine, write_texts
from lakehead.etl.reading import Reading, read_source
from lakehead.etl.records import Normalised
from lakehead.etl.scan import MAX_RECORD
from lakehead.etl.sessions import Sessions, columns_optional, explained
from lakehead.etl.staging import Accepted, write_partitions
from lakehead.etl.tally import Tally
from lakehead.etl.together import SMALL_BYTES, NotTogether, SmallFile, Together, queries, small_file, surely_large
from lakehead.model import ObjectVersion
from lakehead.private import make_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LONGEST_ROW = 5 * MAX_RECORD
"""In bytes, and with quotes doubled and a line number before it: what DuckDB must be ready for."""

_log = logging.getLogger(__name__)


class DuckDBEngine:
    """Loads files with DuckDB. Safe to use from several threads; each load has a database of its own.

    `memory_limit` (a size as DuckDB writes it, `1GB`) and `threads` are of one query. `fast` lets plain files be read
    as such, and small ones share a query; the rows are the same. What does not fit spills to the staging directory, or
    below `temp_dir`.
    """

    name = "duckdb"

    def __init__(
        self,
        *,
        memory_limit: str = "1GB",
        threads: int | None = None,
        temp_dir: Path | None = None,
        fast: bool = True,
    ) -> None:
        self.memory_limit, self.temp_dir, self.fast = memory_limit, temp_dir, fast
        self.sessions = Sessions(memory_limit=memory_limit, threads=threads)

    def load(self, source: Path, contract: Contract, *, origin: ObjectVersion, staging: Path) -> EngineResult:
        """See `Engine.load`. Data files go to `staging/data`, the quarantine to `staging/quarantine.parquet`.

        Raises SourceError for a file that cannot be loaded as its contract says, CountMismatch if rows got lost on
        the way, StorageUnavailable when the disk is full, Busy when the memory limit is too low.
        """
        one = Load(source, origin, staging)
        with _working(one):
            (told,) = self._load([self._open(one, contract, large=True)], contract)
        if not isinstance(told, EngineResult):
            assert told is not None, "a large file was asked for"
            raise told
        return told

    def shares(self, contract: Contract) -> bool:
        """See `Engine.shares`. Telling repeated keys apart reorders rows, so such files are loaded one by one."""
        return self.fast and not contract.unique_keys

    def load_together(self, loads: Sequence[Load], contract: Contract) -> list[EngineResult | LakeheadError | None]:
        """See `Engine.load_together`. Small plain files share a query, as many as one holds; then come small others."""
        with _working(*loads):
            return self._load([self._open(one, contract, large=False) for one in loads], contract)

    def close(self) -> None:
        """Close what is kept for the next load."""
        self.sessions.close()

    def _open(self, load: Load, contract: Contract, *, large: bool) -> _Opened:
        """Look at a file. None for a large one where that is not wanted."""
        place, work = Place.of(contract, load.origin), load.staging / "work"
        try:
            with explained(place, self.memory_limit):
                if not large and surely_large(load.source, load.origin.key):
                    return None
                make_folder(work)
                reading = read_source(load.source, contract, place, work)
                if not large and reading.text.size > SMALL_BYTES:
                    return None
                return self._small(reading, place, load.staging, contract) or _Other(reading, place, load.staging)
        except LakeheadError as error:
            return error

    def _small(self, reading: Reading, place: Place, staging: Path, contract: Contract) -> SmallFile | None:
        return small_file(reading, place, staging, contract) if self.fast else None

    def _load(self, opened: Sequence[_Opened], contract: Contract) -> list[EngineResult | LakeheadError | None]:
        for files in queries([one for one in opened if isinstance(one, SmallFile)]):
            self._share(files, contract)
        return [self._outcome(one, contract) for one in opened]

    def _outcome(self, one: _Opened, contract: Contract) -> EngineResult | LakeheadError | None:
        if isinstance(one, SmallFile):
            return one.told()
        return self._alone(one, contract) if isinstance(one, _Other) else one

    def _alone(self, one: SmallFile | _Other, contract: Contract) -> EngineResult | LakeheadError:
        reading, staging = one.reading, one.staging
        if reading.columns is None:
            return reading.no_rows()
        try:
            with explained(one.place, self.memory_limit), self._session(staging) as connection:
                tally, work = Tally(contract, one.place), staging / "work"
                load = _Load(connection, column_plan(contract), reading, reading.columns, tally, staging, work)
                return load.run(fast=self.fast)
        except LakeheadError as error:
            return error

    def _session(self, staging: Path) -> contextlib.AbstractContextManager[DuckDBPyConnection]:
        spill = (self.temp_dir / staging.name if self.temp_dir else staging / "work") / "spill"
        return self.sessions.session(spill)

    def _share(self, files: Sequence[SmallFile], contract: Contract) -> None:
        """Load small files by one query; one by one where that cannot be done, so that none spoils another."""
        first = files[0]
        try:
            with explained(first.place, self.memory_limit), self._session(first.staging) as connection:
                Together(connection, column_plan(contract), files, first.staging / "work").run()
        except (NotTogether, LakeheadError) as error:
            if len(files) > 1:
                _log.warning("%d small files are loaded one by one, for their query failed: %s", len(files), error)
                for file in files:
                    self._share([file], contract)
            elif isinstance(error, NotTogether | TerminalError):
                _log.warning("a small file is loaded as a large one, for its query failed: %s", error)
                first.outcome = self._alone(first, contract)
            else:
                first.outcome = error


@dataclass(frozen=True, slots=True)
class _Other:
    """A file that shares no query."""

    reading: Reading
    place: Place
    staging: Path


_Opened: TypeAlias = SmallFile | _Other | LakeheadError | None


@contextmanager
def _working(*loads: Load) -> Iterator[None]:
    """Remove the loads' temporary files at the end."""
    try:
        yield
    finally:
        for one in loads:
            shutil.rmtree(one.staging / "work", ignore_errors=True)


@dataclass
class _Load:
    """One load, step by step."""

    connection: DuckDBPyConnection
    plan: ColumnPlan
    reading: Reading
    columns: Columns
    tally: Tally
    staging: Path
    work: Path
    normalised: Normalised | None = None
    contract: Contract = field(init=False)
    judging: Judging = field(init=False)

    def __post_init__(self) -> None:
        self.contract = self.plan.contract
        large = self.reading.text.size > folders.TEXT_PER_FILE  # its rows may be cut into several files
        ordered = bool(self.contract.partitions or self.contract.unique_keys) or large
        names, absent = self.columns.names, self.columns.absent
        self.judging = Judging(self.connection, self.plan, names, absent, self.reading.seen.blanks, ordered)

    def run(self, *, fast: bool) -> EngineResult:
        judged = (self._fast() if fast else None) or self._careful()
        tally = self.tally
        if tally.records == 0:
            self.judging.clear()
            return self.reading.no_rows()
        self._count_refused(judged)
        found = []
        for partition in partitions(self.connection, judged, self.contract.partitions):
            tally.accept(partition.values, partition.rows)
            found.append(partition)
        tally.refuse_too_many()
        warnings = (*self.reading.warnings, *self._check_quality(judged))
        with columns_optional(self.connection):
            quarantine = self._write_quarantine(judged)
            files = self._write_data(judged, found)
        self.judging.clear()
        return tally.result(files, quarantine, warnings)

    def _fast(self) -> Judged | None:
        """DuckDB reads the file itself. None where it refuses it or counts other records than the scan did."""
        import duckdb

        records = self.reading.plain_records(self.columns)
        if not records:
            return None
        self.tally.records = records
        try:
            judged = self._quickly() or self.judging.whole(self._plain(self.reading.text.path))
        except (duckdb.InvalidInputException, duckdb.ConversionException):
            judged = None
        if judged is None or judged.rows != records:
            self.judging.clear()
            return None
        return judged

    def _quickly(self) -> Judged | None:
        if self.contract.unique_keys:
            return None
        pieces = cut(self.reading.text, self.reading.seen, threads_of(self.connection))
        try:
            return self.judging.in_pieces([Lines(piece.line, partial(self._open, pieces, piece)) for piece in pieces])
        except ManyInDoubt:
            return None

    @contextmanager
    def _open(self, pieces: Sequence[Piece], piece: Piece) -> Iterator[str]:
        source = self.reading.text.path
        if len(pieces) == 1:
            yield self._plain(source)
            return
        copied = self.work / f"piece{piece.number}.csv"
        copy(piece, source, copied)
        yield self._plain(copied, piece.line)
        copied.unlink()

    def _plain(self, path: Path, line: int = 1) -> str:
        """A relation of the rows of a file of which each line is a record; its first line has this number."""
        skip = self.columns.first_line - 1 if line == 1 else 0
        columns = dict.fromkeys(self.columns.names, TEXT)
        rows = read_csv(path, self.contract.dialect, columns, skip=skip, longest=_LONGEST_ROW)
        return f"(SELECT ROW_NUMBER() OVER () + {line + skip - 1} AS _line, * FROM {rows})"

    def _careful(self) -> Judged:
        self.normalised = found = self.reading.normalise(self.contract, self.columns, self.work)
        self.tally.begin(found)
        columns = dict.fromkeys(("_line", *self.columns.names), TEXT)
        rows = read_csv(
            found.clean,
            self.contract.dialect,
            columns,
            parallel=not found.spans,
            longest=_LONGEST_ROW,
            all_lf=True,  # the careful reader's copy is, and it has quotes
        )
        judged = self.judging.whole(f"(SELECT * REPLACE (CAST(_line AS BIGINT) AS _line) FROM {rows})")
        self.tally.demand("DuckDB read another number of records than Python", found.good, judged.rows)
        return judged

    def _count_refused(self, judged: Judged) -> None:
        """Count the rows of each list of reasons."""
        found = self.connection.execute(
            f"SELECT _reasons, COUNT(*), MIN(_line) FROM ({judged.refused}) GROUP BY _reasons ORDER BY _reasons"
        )
        while row := found.fetchone():
            reasons, count, line = row
            self.tally.quarantined += count
            for reason in reasons:
                self.tally.refuse(reason, count, line)

    def _check_quality(self, judged: Judged) -> tuple[str, ...]:
        names = ", ".join(sql.name(column.name) for column in self.plan.output_columns)
        checks = self.plan.quality_sql(f"({judged.accepted(names)})")
        return self.tally.check_quality(checks, lambda _, query: self._first(query))

    def _first(self, query: str) -> object:
        (value, *_) = self.connection.execute(query).fetchone() or (None,)
        return value

    def _write_quarantine(self, judged: Judged) -> StagedFile | None:
        if not self.tally.quarantined:
            return None
        target, place = self.staging / "quarantine.parquet", self.tally.place
        if judged.texts:
            return write_texts(self.connection, judged.refused, self.tally.quarantined, place, target)
        return write_quarantine(
            self.connection,
            f"SELECT _line, _reasons FROM ({judged.refused}) ORDER BY _line",
            self.reading.text,
            self.normalised,
            lone_cr=self.reading.seen.lone_cr,
            place=place,
            work=self.work,
            target=target,
        )

    def _write_data(self, judged: Judged, found: Sequence[Partition]) -> tuple[StagedFile, ...]:
        columns, keys = self.plan.output_columns, self.contract.partitions
        rows = Accepted(judged, found, columns, keys, self.reading.text.size)
        files = tuple(write_partitions(self.connection, rows, self.staging / "data", self.tally.place))
        written = sum(file.rows for file in files)
        self.tally.demand("other rows were written than were accepted", self.tally.committed, written)
        return files
