"""`make bench-verify`: proves a lake of many objects, then proves it again, unchanged and with some of it changed.

The lake is written as jobs leave it: a landed file, a commit record and a data file for each object. Landed and data
files are few, under many names (hard links), so that a million of them fit on a disk; each record is its own.

    python -m benchmarks.verify [--objects N] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import duckdb

from lakehead.contract import Column, ColumnType, Contract, Kind
from lakehead.etl.base import CommitRecord, CommittedFile
from lakehead.etl.record import encode
from lakehead.etl.verify import verify
from lakehead.model import ObjectVersion, object_id
from lakehead.storage import LocalStore, layout

DATASET = "sales/orders"
DAYS = 365
LINKS = 60_000  # ext4 takes 65,000 names of one file
TEXT = b"id,amount,day\n1,1.00,2025-01-01\n"
CONTRACT = Contract(
    dataset=DATASET,
    name="orders",
    version="1.0.0",
    id="orders",
    sha256="c1" * 32,
    columns=(
        Column("id", ColumnType.integer("bigint"), required=True, source="id"),
        Column("day", ColumnType.of(Kind.DATE), partitioned=True, source="day"),
    ),
    partitions=("day",),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verify")
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="where to make the lake, and leave it")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--full", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, full=options.full)
        return 0
    with tempfile.TemporaryDirectory(prefix="lakehead-bench-") as folder:
        run(options.keep or Path(folder), options.objects)
    return 0


def run(root: Path, objects: int) -> None:
    started = time.perf_counter()
    if not (root / "data").exists():
        write_lake(root, objects)
    print(f"a lake of {objects:,} objects, written in {time.perf_counter() - started:,.0f} s")
    told("first proof", root)
    told("again, unchanged", root)
    changed = change(root, objects, 1_000)
    told(f"again, {changed:,} changed", root)
    told("everything again (--full)", root, "--full")


def told(what: str, root: Path, *more: str) -> None:
    """Measure a proof in a process of its own."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.verify", "--measure", str(root), *more], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    answer = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{what} failed")
    found = json.loads(answer)
    seconds = time.perf_counter() - started
    size = (root / "proofs.db").stat().st_size / 1e6
    print(
        f"  {what:<28} {seconds:8.1f} s {usage.ru_utime + usage.ru_stime:8.1f} s CPU {usage.ru_maxrss / 1024:7,.0f} MB"
        f"  {found['read']:>9,} records read  {found['findings']} findings  proofs {size:,.0f} MB"
    )


def measure(root: Path, *, full: bool) -> None:
    store = LocalStore(root / "data")
    report = verify(
        contracts={DATASET: CONTRACT},
        raw=store,
        processed=store,
        raw_bucket="raw",
        processed_bucket="processed",
        proofs=root / "proofs.db",
        full=full,
    )
    print(json.dumps({"read": report.read, "findings": len(report.findings), "checked": dict(report.checked)}))


def write_lake(root: Path, objects: int) -> None:
    """Landed files, data files and records, by the rules of the commit protocol."""
    data = root / "data"
    parquet = root / "base.parquet"
    data.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 1::BIGINT AS id) TO '{parquet}' (FORMAT parquet)")
    content, sha256 = parquet.read_bytes(), hashlib.sha256(parquet.read_bytes()).hexdigest()
    etag = hashlib.sha256(TEXT).hexdigest()
    (data / "processed" / layout.commit_prefix(DATASET)).mkdir(parents=True)
    days = [(date(2025, 1, 1) + timedelta(days=number)).isoformat() for number in range(DAYS)]
    for day in days:
        (data / "raw" / layout.raw_prefix(DATASET, date.fromisoformat(day))).mkdir(parents=True)
        (data / "processed" / DATASET / f"day={day}").mkdir(parents=True)
    landed, written = linker(root, "landed", TEXT), linker(root, "written", content)
    for number in range(objects):
        day = days[number % DAYS]
        key = layout.raw_key(DATASET, date.fromisoformat(day), f"orders-{number:07}.csv")
        landed(data / "raw" / key)
        identity = object_id(key)
        name = layout.data_key(DATASET, f"day={day}", identity, f"{number:012x}", 0)
        written(data / "processed" / name)
        file = CommittedFile(name, f"day={day}", 1, len(content), sha256)
        (data / "processed" / layout.commit_key(DATASET, identity)).write_bytes(encode(record_of(key, etag, file)))


def record_of(key: str, etag: str, file: CommittedFile) -> CommitRecord:
    source = ObjectVersion("raw", key, etag, len(TEXT), "0000000000000001")
    return CommitRecord(
        dataset=DATASET,
        object_id=source.id,
        source=source,
        content_sha256=etag,
        contract_version="1.0.0",
        contract_sha256=CONTRACT.sha256,
        engine="duckdb",
        execution=f"sales-orders-{source.id[:16]}",
        attempt="attempt",
        committed_at="2025-01-01T00:00:00.000Z",
        rows_read=1,
        rows_committed=1,
        rows_quarantined=0,
        files=(file,),
        quarantine=(),
        schema=(("id", "bigint"),),
    )


def linker(root: Path, name: str, content: bytes) -> Callable[[Path], None]:
    """Gives a content the names it is asked for, each time a file may have no more of them in a new file."""
    count = 0
    base = root / name

    def link(target: Path) -> None:
        nonlocal count, base
        if count % LINKS == 0:
            base = root / f"{name}-{count}"
            base.write_bytes(content)
        count += 1
        target.hardlink_to(base)

    return link


def change(root: Path, objects: int, count: int) -> int:
    """Write some records again, as a replay of the same bytes would."""
    folder = root / "data" / "processed" / layout.commit_prefix(DATASET)
    names = sorted(path.name for path in folder.iterdir())[:: max(1, objects // count)][:count]
    for name in names:
        path = folder / name
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    return len(names)


if __name__ == "__main__":
    sys.exit(main())
