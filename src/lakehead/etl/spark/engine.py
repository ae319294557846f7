"""The load by Spark, from end to end. Python guards what is read, as for every engine; Spark casts, judges, writes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.contract import Contract
from lakehead.contract.model import QualityCheck
from lakehead.contract.plan import ColumnPlan, column_plan
from lakehead.errors import LakeheadError
from lakehead.etl.base import EngineResult, Load, StagedFile, load_each
from lakehead.etl.folders import MAX_PARTITIONS
from lakehead.etl.header import Columns
from lakehead.etl.place import Place
from lakehead.etl.quarantine import dropped_rows
from lakehead.etl.reading import Reading, read_source
from lakehead.etl.records import Normalised
from lakehead.etl.spark.dialect import spark_sql
from lakehead.etl.spark.faults import spark_explained
from lakehead.etl.spark.ground import Ground, OpenGround, local_ground
from lakehead.etl.spark.lines import as_json, clean_rows, plain_rows
from lakehead.etl.spark.output import write_data, write_quarantine
from lakehead.etl.spark.runtime import SPLIT_BYTES, SUBMITTED, Lease, SparkSettings
from lakehead.etl.tally import Tally
from lakehead.model import ObjectVersion
from lakehead.private import make_folder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PLAIN_FROM = 8 << 20
"""The size from which Spark reads a plain file itself: below, Python's copy is made before a job has started."""
_MOST_GROUPS = MAX_PARTITIONS + 100_000
"""More groups of rows than there can be, where there are no more partitions than may be: a column has few reasons."""
_BROKEN_AT_ONCE = 100_000
"""How many quarantined rows this process holds at a time."""


class SparkEngine:
    """Loads files with Spark. Safe to use from several threads; all engines of a process share one Spark.

    `master` is Spark's (`local[2]`, `spark://host:7077`); `memory_limit` is the heap of the driver, which on one
    machine does all the work. What does not fit spills below `temp_dir`, or the system's. `ground` is where Spark's
    tasks and this process exchange files; the default asks for a disk that both see.
    """

    name = "spark"

    def __init__(
        self,
        *,
        master: str = "local[*]",
        memory_limit: str = "1GB",
        temp_dir: Path | None = None,
        plain_from: int = PLAIN_FROM,
        ground: OpenGround = local_ground,
    ) -> None:
        self.lease = Lease(SparkSettings(master, memory_limit, temp_dir))
        self.plain_from, self.ground = plain_from, ground

    def load(self, source: Path, contract: Contract, *, origin: ObjectVersion, staging: Path) -> EngineResult:
        """See `Engine.load`. Data files go to `staging/data`, the quarantine to `staging/quarantine.parquet`.

        Raises what DuckDBEngine raises, ConfigError where Spark does not start, TransientError where its process
        ended, and UnsupportedContract for SQL that Spark cannot run alike.
        """
        place = Place.of(contract, origin)
        work = staging / "work"
        heap = "" if self.lease.settings.master == SUBMITTED else self.lease.settings.heap
        with spark_explained(place, heap, self.lease.ran_out_of_memory):
            make_folder(work)
            try:
                return self._load(source, contract, place, staging, work)
            finally:
                shutil.rmtree(work, ignore_errors=True)

    def shares(self, contract: Contract) -> bool:  # noqa: ARG002  (the protocol)
        """Never: each load is a job of its own."""
        return False

    def load_together(self, loads: Sequence[Load], contract: Contract) -> list[EngineResult | LakeheadError]:
        """See `Engine.load_together`."""
        return load_each(self, loads, contract)

    def close(self) -> None:
        """Let go of Spark, which ends with the last engine that uses it."""
        self.lease.close()

    def _load(self, source: Path, contract: Contract, place: Place, staging: Path, work: Path) -> EngineResult:
        reading = read_source(source, contract, place, work)
        if reading.columns is None:
            return reading.no_rows()
        runtime = self.lease.runtime()
        session = runtime.session()
        pieces = reading.text.size // SPLIT_BYTES + 1
        session.conf.set("spark.sql.shuffle.partitions", str(pieces))
        with self.ground(work, runtime.scratch) as ground:
            tally = Tally(contract, place)
            load = _Load(session, ground, column_plan(contract), reading, reading.columns, tally, staging, work)
            return load.run(plain_from=self.plain_from)


@dataclass
class _Load:
    """One load, step by step."""

    session: SparkSession
    ground: Ground
    plan: ColumnPlan
    reading: Reading
    columns: Columns
    tally: Tally
    staging: Path
    work: Path
    normalised: Normalised | None = None
    contract: Contract = field(init=False)

    def __post_init__(self) -> None:
        self.contract = self.plan.contract

    def run(self, *, plain_from: int) -> EngineResult:
        from pyspark import StorageLevel

        rows = self._plain() if self.reading.text.size >= plain_from else None
        rows = rows if rows is not None else self._careful()
        if self.tally.records == 0:
            return self.reading.no_rows()
        rows.createOrReplaceTempView("source")
        judged = self.session.sql(spark_sql(self.plan.select_sql("source", self.columns.absent)))
        judged.persist(StorageLevel.DISK_ONLY)  # it is read three times, and does not fit into memory
        try:
            return self._judge(judged)
        finally:
            judged.unpersist()

    def _judge(self, judged: DataFrame) -> EngineResult:
        tally = self.tally
        good = judged.where("size(_reasons) = 0").drop("_reasons")
        self._count(judged)
        tally.refuse_too_many()
        good.createOrReplaceTempView("accepted")
        warnings = (*self.reading.warnings, *self._check_quality())
        quarantine = self._write_quarantine(judged) if tally.quarantined else None
        size, target = self.reading.text.size, self.staging / "data"
        files = write_data(self.session, good, self.contract, tally, size, self.ground, target)
        return tally.result(files, quarantine, warnings)

    def _plain(self) -> DataFrame | None:
        """The rows of the file as it landed; None where that cannot be, or Spark sees other lines than the scan."""
        records = self.reading.plain_records(self.columns)
        if records is None:
            return None
        self.tally.records = records
        return plain_rows(
            self.session,
            self.ground.readable(self.reading.text.path),
            self.columns.names,
            self.contract.dialect.delimiter,
            lines=self.reading.seen.lines,
            first=self.columns.first_line,
        )

    def _careful(self) -> DataFrame:
        self.normalised = found = self.reading.normalise(self.contract, self.columns, self.work, as_json)
        self.tally.begin(found)
        uri = self.ground.readable(found.clean)
        return clean_rows(self.session, uri, self.columns.names, self.contract.dialect.delimiter)

    def _count(self, judged: DataFrame) -> None:
        """Count the rows of each partition and of each reason, at once."""
        from pyspark.sql import functions as f

        each = judged.select("*", f.posexplode_outer("_reasons").alias("_pos", "_reason"))
        keys = [f.when(f.col("_reason").isNull(), f.col(name)) for name in self.contract.partitions]
        names = [f"_k{number}" for number in range(len(keys))]
        groups = each.groupBy("_reason", *(key.alias(name) for key, name in zip(keys, names, strict=True))).agg(
            f.count("*").alias("n"), f.min("_line").alias("line"), f.count_if(f.col("_pos") == 0).alias("bad")
        )
        texts = [f.col(name).cast("string") for name in names]
        found = groups.select("_reason", "n", "line", "bad", f.array(*texts), *names).limit(_MOST_GROUPS).collect()
        broken = 0
        for reason, count, line, bad, key, *_ in sorted(found, key=lambda row: [(v is None, v) for v in row[5:]]):
            broken += bad
            if reason is None:
                self.tally.accept(key, count)
            else:
                self.tally.refuse(reason, count, line)
        self.tally.quarantined += broken
        rows = sum(count for _, count in self.tally.partitions) + self.tally.quarantined
        self.tally.demand("Spark read another number of records than Python", self.tally.records, rows)

    def _check_quality(self) -> tuple[str, ...]:
        return self.tally.check_quality(self.plan.quality_sql("accepted"), self._value_of)

    def _value_of(self, check: QualityCheck, query: str) -> object:
        row = self.session.sql(spark_sql(query, foreign=check.metric == "sql")).first()
        return row[0] if row else None

    def _write_quarantine(self, judged: DataFrame) -> StagedFile:
        reading = self.reading
        rows = dropped_rows(self._broken(judged), reading.text, self.normalised, lone_cr=reading.seen.lone_cr)
        target = self.staging / "quarantine.parquet"
        return write_quarantine(self.session, rows, self.tally, self.ground, self.work, target)

    def _broken(self, judged: DataFrame) -> Iterator[tuple[int, list[str]]]:
        """Line and reasons of the rows that break a rule, in the order of lines."""
        pieces = self.tally.quarantined // _BROKEN_AT_ONCE + 1
        broken = judged.where("size(_reasons) > 0").select("_line", "_reasons")
        broken = broken.repartitionByRange(pieces, "_line") if pieces > 1 else broken.coalesce(1)
        for row in broken.sortWithinPartitions("_line").toLocalIterator():
            yield row[0], row[1]
