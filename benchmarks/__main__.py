"""`make bench`: times Lakehead beside bare DuckDB doing the same job, each in a process of its own, and prints ratios.

The one large file is also loaded with Spark as Lakehead's engine, where PySpark is installed; its seconds
include Spark's start, its memory is that of its Java.

The job: orders as CSV, 1.3% of the rows dirty -> text, strict casts, quarantine, total_amount, Parquet (zstd)
partitioned by order_date. Both must give the same rows and the same revenue, or the benchmark fails. Then the workflow
engine, see `benchmarks.workflow`.

    python -m benchmarks [--rows N] [--files N]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import jobs, workflow

Figures = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the bulk file")
    parser.add_argument("--files", type=int, default=100, help="how many small files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakehead-bench-") as folder:
        root = Path(folder)
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores\n")
        startup()
        bulk(root, options.rows)
        small(root, options.files)
        workflow.run(root)
    return 0


def startup() -> None:
    """CPU seconds of `lakehead --help` beside those of importing click, which it cannot do without."""
    ours = cpu([sys.executable, "-m", "lakehead", "--help"])
    click = cpu([sys.executable, "-c", "import click"])
    print(f"lakehead --help  {ours * 1000:.0f} ms CPU, import click {click * 1000:.0f} ms CPU  {ours / click:.2f}x\n")


def cpu(command: list[str], times: int = 9) -> float:
    taken = []
    for _ in range(times):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, command
        taken.append(usage.ru_utime + usage.ru_stime)
    return statistics.median(taken)


def bulk(root: Path, rows: int) -> None:
    source = root / "bulk.csv"
    jobs.generate(source, rows, days=30)
    size = source.stat().st_size / 1e6
    print(f"one file of {rows:,} rows, {size:.0f} MB, 30 dates")
    compare(root, "bulk", [source], ("duckdb", "lakehead", *(["spark"] if find_spec("pyspark") else [])))


def small(root: Path, count: int) -> None:
    folder = root / "small"
    folder.mkdir()
    files = [folder / f"orders-{number:05}.csv" for number in range(count)]
    for number, file in enumerate(files):
        jobs.generate(file, 200, days=1, start=number * 200)
    print(f"{count} files of 200 rows, at once")
    compare(root, "burst", files)
    print(f"{count} files of 200 rows, one by one: landing until queryable")
    compare(root, "latency", files)


def compare(root: Path, job: str, files: list[Path], names: Sequence[str] = ("duckdb", "lakehead")) -> None:
    """Run a job by both contenders, check that they agree, and print their figures with the ratio to bare DuckDB."""
    figures = {name: contender(root / f"{job}-{name}", name, job, files) for name in names}
    agreed = {(told["rows"], told["quarantined"], told["revenue"]) for told in figures.values()}
    if len(agreed) != 1:
        raise SystemExit(f"the contenders do not agree: {figures}")
    for name, told in figures.items():
        ratio = told["seconds"] / figures["duckdb"]["seconds"]
        line = f"  {name:<9} {told['seconds']:8.2f} s {told['cpu']:8.2f} s CPU {told['peak_mb']:7,.0f} MB"
        line += f"{told['rows'] / told['seconds']:12,.0f} rows/s"
        if len(files) > 1:
            line += f" {len(files) / told['seconds']:7,.1f} files/s"
        line += f" {ratio:6.2f}x"
        if "each" in told:
            line += "   p50 {:.1f} ms, p99 {:.1f} ms".format(*(seconds * 1000 for seconds in told["each"]))
        print(line)
    print()


def contender(folder: Path, name: str, job: str, files: list[Path]) -> Figures:
    """Run one contender in a process of its own; wall seconds are those of the job, without start-up and checks."""
    folder.mkdir()
    listed = folder / "files.json"
    listed.write_text(json.dumps([str(file) for file in files]), encoding="utf-8")
    answer = folder / "answer.json"
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.jobs", name, job, str(folder), str(listed), str(answer)]
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{name} failed at {job}")
    told: Figures = json.loads(answer.read_text(encoding="utf-8"))
    told["process_seconds"] = time.perf_counter() - started
    return {**told, "cpu": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


if __name__ == "__main__":
    sys.exit(main())
