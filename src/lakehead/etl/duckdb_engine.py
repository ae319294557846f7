"""The embedded engine: DuckDB casts and judges the rows, Python guards what DuckDB reads."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.contract import Contract, sql
from lakehead.contract.plan import ColumnPlan, column_plan
from lakehead.errors import LakeheadError
from lakehead.etl import folders
from lakehead.etl.base import EngineResult, Load, StagedFile
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
from lakehead.etl.together import SmallFile, Together, small_file
from lakehead.model import ObjectVersion
from lakehead.private import make_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LONGEST_ROW = 5 * MAX_RECORD
"""In bytes, and with quotes doubled and a line number before it: what DuckDB must be ready for."""


class DuckDBEngine:
    """Loads files with DuckDB. Safe to use from several threads; each load has a database of its own.

    `memory_limit` (a size as DuckDB writes it, `1GB`) and `threads` are of one query. `fast` and `together` let plain
    files be read as such and small ones share a query; the rows are the same. What does not fit spills to the
    staging directory, or below `temp_dir`.
    """

    name = "duckdb"

    def __init__(
        self,
        *,
        memory_limit: str = "1GB",
        threads: int | None = None,
        temp_dir: Path | None = None,
        fast: bool = True,
        together: bool = True,
    ) -> None:
        self.memory_limit, self.temp_dir, self.fast, self.together = memory_limit, temp_dir, fast, together
        self.sessions = Sessions(memory_limit=memory_limit, threads=threads)

    def load(self, source: Path, contract: Contract, *, origin: ObjectVersion, staging: Path) -> EngineResult:
        """See `Engine.load`. Data files go to `staging/data`, the quarantine to `staging/quarantine.parquet`.

        Raises SourceError for a file that cannot be loaded as its contract says, CountMismatch if rows got lost on
        the way, StorageUnavailable when the disk is full, Busy when the memory limit is too low.
        """
        (found,) = self.load_together([Load(source, origin, staging)], contract)
        if isinstance(found, LakeheadError):
            raise found
        return found

    def shares(self, contract: Contract) -> bool:
        """See `Engine.shares`. Telling repeated keys apart reorders rows, so such files are loaded one by one."""
        return self.fast and self.together and not contract.unique_keys

    def load_together(self, loads: Sequence[Load], contract: Contract) -> list[EngineResult | LakeheadError]:
        """See `Engine.load_together`. Small plain files share a query, also where there is only one."""
        with contextlib.ExitStack() as stack:
            for one in loads:
                stack.callback(shutil.rmtree, one.staging / "work", ignore_errors=True)
            found = [self._open(one, contract) for one in loads]
            small = [one for one in found if isinstance(one, SmallFile)]
            for layout in dict.fromkeys(one.layout for one in small):
                self._share([one for one in small if one.layout == layout], contract)
        return [one.told() if isinstance(one, SmallFile) else one for one in found]

    def close(self) -> None:
        """Close what is kept for the next load."""
        self.sessions.close()

    def _open(self, load: Load, contract: Contract) -> EngineResult | LakeheadError | SmallFile:
        """Look at a file, and load it unless it is a small one."""
        place, work = Place.of(contract, load.origin), load.staging / "work"
        try:
            with explained(place, self.memory_limit):
                make_folder(work)
                reading = read_source(load.source, contract, place, work)
                small = small_file(reading, place, load.staging, contract) if self.fast and self.together else None
                return small or self._alone(reading, contract, place, load.staging)
        except LakeheadError as error:
            return error

    def _alone(self, reading: Reading, contract: Contract, place: Place, staging: Path) -> EngineResult:
        if reading.columns is None:
            return reading.no_rows()
        with self._session(staging) as connection:
            tally, work = Tally(contract, place), staging / "work"
            load = _Load(connection, column_plan(contract), reading, reading.columns, tally, staging, work)
            return load.run(fast=self.fast)

    def _session(self, staging: Path) -> contextlib.AbstractContextManager[DuckDBPyConnection]:
        spill = (self.temp_dir / staging.name if self.temp_dir else staging / "work") / "spill"
        return self.sessions.session(spill)

    def _share(self, files: Sequence[SmallFile], contract: Contract) -> None:
        """Load small files by one query; one by one where that cannot be done, so that none spoils another."""
        first = files[0]
        try:
            with explained(first.place, self.memory_limit):
                with self._session(first.staging) as connection:
                    if Together(connection, column_plan(contract), files, first.staging / "work").run():
                        return
                if len(files) == 1:
                    first.outcome = self._alone(first.reading, contract, first.place, first.staging)
        except LakeheadError as error:
            if len(files) == 1:
                first.outcome = error
        if len(files) > 1:
            for file in files:
                self._share([file], contract)


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
        options = self._options(self.columns.names, skip=skip)
        numbered = f"ROW_NUMBER() OVER () + {line + skip - 1} AS _line"
        return f"(SELECT {numbered}, * FROM read_csv({sql.text(str(path))}, {options}))"

    def _careful(self) -> Judged:
        self.normalised = found = self.reading.normalise(self.contract, self.columns, self.work)
        self.tally.begin(found)
        names = ("_line", *self.columns.names)
        options = self._options(names, skip=0, parallel=not found.spans) + r", new_line = '\n'"
        path = sql.text(str(found.clean))
        judged = self.judging.whole(
            f"(SELECT * REPLACE (CAST(_line AS BIGINT) AS _line) FROM read_csv({path}, {options}))"
        )
        self.tally.demand("DuckDB read another number of records than Python", found.good, judged.rows)
        return judged

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
