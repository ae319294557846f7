"""A small lake for tests of commits: real stores, a real Parquet engine of few lines, and what a reader would see."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from lakehead.contract import Column, ColumnType, Contract, Kind
from lakehead.errors import LakeheadError
from lakehead.etl.base import CommitRecord, Engine, EngineResult, JobOutcome, JobRequest, Load, StagedFile, load_each
from lakehead.etl.commit import list_commits, read_commit
from lakehead.etl.job import run_job
from lakehead.etl.jobs import run_jobs
from lakehead.etl.record import HEAD_BYTES
from lakehead.etl.verify import VerifyReport, verify
from lakehead.model import ObjectVersion
from lakehead.storage import LocalStore, Move, ObjectStore, Put

DATASET = "sales/orders"
CONTRACT = Contract(
    dataset=DATASET,
    name="orders",
    version="1.0.0",
    id="orders",
    sha256="c1" * 32,
    columns=(
        Column("id", ColumnType.integer("bigint"), required=True, source="id"),
        Column("amount", ColumnType.decimal(12, 2), source="amount"),
        Column("day", ColumnType.of(Kind.DATE), partitioned=True, source="day"),
    ),
    partitions=("day",),
)
HEADER = "id,amount,day\n"
Row = tuple[str, int, str, str]


class SmallEngine:
    """Rows of three fields; one without an id is quarantined. Writes one file for every day."""

    name = "small"

    def __init__(self, before: Callable[[], object] = lambda: None, after: Callable[[], object] = lambda: None) -> None:
        self.before, self.after = before, after
        self.loads = 0

    def close(self) -> None:
        pass

    def shares(self, contract: Contract) -> bool:
        return True

    def load_together(self, loads: Sequence[Load], contract: Contract) -> list[EngineResult | LakeheadError]:
        return load_each(self, loads, contract)

    def load(self, source: Path, contract: Contract, *, origin: ObjectVersion, staging: Path) -> EngineResult:
        self.loads += 1
        self.before()
        rows = list(csv.reader(io.StringIO(source.read_text())))[1:]
        good, bad = [row for row in rows if row[0]], [row for row in rows if not row[0]]
        files = []
        with reader().cursor() as connection:
            for number, day in enumerate(sorted({row[2] for row in good})):
                path = staging / f"{number}.parquet"
                chosen = [(int(row[0]), row[1]) for row in good if row[2] == day]
                write(connection, path, chosen, "bigint", "decimal(12,2)")
                files.append(StagedFile(path, f"day={day}", len(chosen), path.stat().st_size))
            quarantine = None
            if bad:
                path = staging / "quarantine.parquet"
                write(connection, path, [(origin.key, ",".join(row)) for row in bad], "varchar", "varchar")
                quarantine = StagedFile(path, "", len(bad), path.stat().st_size)
        self.after()
        reasons = {"id is missing": len(bad)} if bad else {}
        return EngineResult(len(rows), len(good), len(bad), tuple(files), quarantine, reasons)


def write(
    connection: duckdb.DuckDBPyConnection, path: Path, rows: Sequence[tuple[Any, str]], one: str, two: str
) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP TABLE t (id {one}, amount {two})")
    connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
    connection.execute("COPY (SELECT * FROM t ORDER BY ALL) TO $path (FORMAT parquet)", {"path": str(path)})


def text(*rows: tuple[int | str, str, str]) -> str:
    return HEADER + "".join(f"{identity},{amount},{day}\n" for identity, amount, day in rows)


A = text((1, "1.00", "2025-01-01"), (2, "2.00", "2025-01-02"), ("", "9", "2025-01-01"))
B = text((3, "3.00", "2025-01-02"), (4, "4.00", "2025-01-03"))


@dataclass
class JobScene:
    """A raw and a processed bucket in a store, and jobs over them."""

    store: ObjectStore
    contract: Contract = CONTRACT
    engine: Engine = field(default_factory=SmallEngine)
    raw_bucket: str = "raw"
    bucket: str = "processed"
    folder: Path = Path()
    sequencers: Iterator[int] = field(default_factory=lambda: itertools.count(1 << 70))
    attempts: Iterator[int] = field(default_factory=itertools.count)

    def with_contract(self, **changes: Any) -> JobScene:
        return replace(self, contract=replace(self.contract, **changes))

    def land(self, name: str, content: str, *, sequencer: int | None = None) -> ObjectVersion:
        info = self.store.put(self.raw_bucket, f"{DATASET}/ingest_date=2025-01-05/{name}", content.encode())
        number = next(self.sequencers) if sequencer is None else sequencer
        return ObjectVersion(info.bucket, info.key, info.etag, info.size, f"{number:018X}", info.version_id)

    def run(
        self,
        version: ObjectVersion,
        *,
        engine: Engine | None = None,
        store: ObjectStore | None = None,
        execution: str = "",
        attempt: str = "",
        force: bool = False,
    ) -> JobOutcome:
        number = next(self.attempts)
        request = JobRequest(
            DATASET, version, execution or f"execution-{number}", attempt or f"attempt-{number}", force=force
        )
        return run_job(
            request,
            contract=self.contract,
            engine=engine or self.engine,
            raw=self.store,
            processed=store or self.store,
            processed_bucket=self.bucket,
        )

    def run_all(
        self,
        versions: Sequence[ObjectVersion],
        *,
        store: ObjectStore | None = None,
        execution: str = "",
        attempt: str = "",
    ) -> list[JobOutcome | Exception]:
        """Load several versions together."""
        numbers = [next(self.attempts) for _ in versions]
        requests = [
            JobRequest(
                DATASET,
                version,
                execution or f"execution-{number}",
                f"{attempt}-{number}" if attempt else f"attempt-{number}",
            )
            for number, version in zip(numbers, versions, strict=True)
        ]
        return run_jobs(
            requests,
            contract=self.contract,
            engine=self.engine,
            raw=self.store,
            processed=store or self.store,
            processed_bucket=self.bucket,
        )

    def load(self, name: str, content: str) -> JobOutcome:
        return self.run(self.land(name, content))

    def record(self, version: ObjectVersion) -> CommitRecord:
        found = read_commit(self.store, self.bucket, DATASET, version.id)
        assert found is not None
        return found

    def document(self, version: ObjectVersion) -> dict[str, Any]:
        key = f"_lakehead/commits/{DATASET}/{version.id}.json"
        found: dict[str, Any] = json.loads(self.store.get(self.bucket, key)[HEAD_BYTES:])
        return found

    def rows(self) -> list[Row]:
        """What a reader sees: the rows of the files that commit records name."""
        found: list[Row] = []
        for record in list_commits(self.store, self.bucket, DATASET):
            name = record.source.key.rpartition("/")[2]
            for file in record.files:
                for identity, amount in read_parquet(self.store.get(self.bucket, file.key), self.folder):
                    found.append((name, identity, str(amount), file.partition.removeprefix("day=")))
        return sorted(found)

    def keys(self, prefix: str = "") -> list[str]:
        return [info.key for info in self.store.list(self.bucket, prefix)]

    def data_files(self) -> list[str]:
        return self.keys(f"{DATASET}/") + self.keys("quarantine/")

    def verify(self, **options: Any) -> VerifyReport:
        options.setdefault("stale_after", timedelta())
        return verify(
            contracts={DATASET: self.contract},
            raw=self.store,
            processed=self.store,
            raw_bucket=self.raw_bucket,
            processed_bucket=self.bucket,
            **options,
        )

    def sound(self) -> None:
        """Nothing is wrong, pending or left over."""
        report = self.verify(deep=True)
        assert report.findings == ()
        assert report.pending == ()
        named = sorted(key for one in list_commits(self.store, self.bucket, DATASET) for key in one.keys)
        assert named == sorted(self.data_files())


def read_parquet(data: bytes, folder: Path) -> list[tuple[Any, ...]]:
    path = folder / "read.parquet"
    path.write_bytes(data)
    with reader().cursor() as cursor:
        return cursor.execute("SELECT * FROM read_parquet($path)", {"path": str(path)}).fetchall()


@cache
def reader() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def rows_of(name: str, content: str) -> list[Row]:
    """The rows that a landed content has to give."""
    parsed = list(csv.reader(io.StringIO(content)))[1:]
    return sorted((name, int(row[0]), row[1], row[2]) for row in parsed if row[0])


def local_scene(root: Path, **options: Any) -> JobScene:
    store = LocalStore(root / "data")
    for name in ("raw", "processed"):
        store.create_bucket(name)
    return JobScene(store, folder=root, **options)


CHANGES = ("put", "put_file", "move_files", "delete", "purge", "create_bucket")


class ChangeWatch:
    """A store whose changes can be watched: `on_change(number, name)` is called before each; moves count one by one."""

    def __init__(self, store: ObjectStore, on_change: Callable[[int, str], object]) -> None:
        self._store, self._on_change = store, on_change
        self.changes = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        if name not in CHANGES:
            return real

        def change(*arguments: Any, **options: Any) -> Any:
            self._changing(name, *arguments)
            return real(*arguments, **options)

        return change

    def _changing(self, name: str, *arguments: Any) -> None:
        self.changes += 1
        target = str(arguments[1]) if len(arguments) > 1 else ""
        self._on_change(self.changes, f"{name} {target}")

    def put_all(self, bucket: str, puts: Sequence[Put]) -> list[Any]:
        return self._each("put", bucket, puts, lambda chosen: self._store.put_all(bucket, chosen))

    def move_files(self, bucket: str, moves: Sequence[Move]) -> list[Any]:
        return self._each("move", bucket, moves, lambda chosen: self._store.move_files(bucket, chosen))

    def _each(
        self, name: str, bucket: str, items: Sequence[Any], work: Callable[[list[Any]], Sequence[Any]]
    ) -> list[Any]:
        """A fault at one leaves it out of the work, and is told in its place, as stores do it."""
        told: dict[int, Any] = {}
        for number, item in enumerate(items):
            try:
                self._changing(name, bucket, item.key)
            except LakeheadError as error:
                told[number] = error
        rest = [number for number in range(len(items)) if number not in told]
        told.update(zip(rest, work([items[number] for number in rest]), strict=True))
        return [told[number] for number in range(len(items))]
