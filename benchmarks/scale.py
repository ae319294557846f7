"""`make scale`: loads what is too large for a test with both engines, and holds memory and files to their limits.

    python -m benchmarks.scale [--gigabytes 5] [--heap 3GB] [--engine duckdb|spark] [large|skewed|partitions ...]

`large` is one file of 365 dates, `skewed` has nine rows of ten on one date, `partitions` has 5,000 dates. Each load
runs in a process of its own, whose memory is added up with that of its Java; both engines have to give the same counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import duckdb
import psutil

from lakehead.etl.base import EngineResult
from lakehead.etl.folders import TEXT_PER_FILE

MEGABYTES_A_ROW = 46.5e-6
LARGEST_FILE = 256 << 20
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Case:
    """`share` of the file's size is written; `skew` is the part of the rows that fall on one date."""

    days: int
    share: float = 1.0
    skew: float = 0.0


CASES = {"large": Case(365), "skewed": Case(365, skew=0.9), "partitions": Case(5_000, share=0.004)}


def generate(path: Path, rows: int, case: Case) -> None:
    """Orders from a fixed seed; 1.3% of the rows break the contract."""
    with duckdb.connect(config={"threads": 2}) as connection:
        one_day = f"hash(i + 5) % 1000 < {case.skew * 1000:.0f}"
        connection.execute("CREATE MACRO pick(i, n) AS CAST(hash(i) % n AS INTEGER)")
        connection.execute(
            f"""COPY (SELECT i AS order_id, 'C' || pick(i, 100000) AS customer_id,
                  ['Laptop', 'Mouse', 'Keyboard', 'Monitor'][1 + pick(i + 1, 4)] AS product,
                  CASE WHEN pick(i + 2, 1000) < 13 THEN 'abc' ELSE 1 + pick(i + 3, 20) || '' END AS quantity,
                  CAST((1 + pick(i + 4, 999999)) / 100 AS DECIMAL(12, 2)) AS price,
                  DATE '2025-01-01' + CASE WHEN {one_day} THEN 0 ELSE pick(i + 6, {case.days}) END AS order_date
                FROM range({rows}) t(i)) TO '{path}' (HEADER)"""
        )


def load(engine_name: str, heap: str, source: Path, staging: Path) -> dict[str, Any]:
    """Load one file, in this process."""
    from lakehead.contract import load_contract
    from lakehead.etl.base import Engine
    from lakehead.etl.duckdb_engine import DuckDBEngine
    from lakehead.etl.spark.engine import SparkEngine
    from lakehead.model import ObjectVersion

    engine: Engine = (
        SparkEngine(master="local[2]", memory_limit=heap, temp_dir=staging.parent)
        if engine_name == "spark"
        else DuckDBEngine(memory_limit=heap, threads=2)
    )
    with as_file(files("lakehead.examples") / "sales/contracts") as folder:
        contract = load_contract(folder / "sales/orders.odcs.yaml", root=folder)
        result = engine.load(source, contract, origin=ObjectVersion("raw", source.name), staging=staging)
    engine.close()
    by_partition: dict[str, int] = {}
    for file in result.files:
        by_partition[file.partition] = by_partition.get(file.partition, 0) + 1
    return {
        "rows": [result.rows_read, result.rows_committed, result.rows_quarantined],
        "partitions": len(by_partition),
        "most_files": max(by_partition.values()),
        "most_files_allowed": 2 + int(source.stat().st_size * _largest_share(result) / TEXT_PER_FILE),
        "largest": max(file.bytes for file in result.files),
    }


def _largest_share(result: EngineResult) -> float:
    """How much of the accepted rows is in the largest partition."""
    rows: dict[str, int] = {}
    for file in result.files:
        rows[file.partition] = rows.get(file.partition, 0) + file.rows
    return max(rows.values()) / result.rows_committed


def measured(engine: str, heap: str, source: Path, folder: Path) -> dict[str, Any]:
    """Load in a process of its own; its seconds and the most memory that it and its children had at one time."""
    folder.mkdir()
    command = [sys.executable, "-m", "benchmarks.scale", "--load", engine, heap, str(source), str(folder / "staging")]
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, seen = 0, set[int]()
    while child.poll() is None:
        sizes = _memory(child.pid)
        # A process that is just being forked has its parent's memory; only one that stays counts.
        peak = max(peak, sum(size for pid, size in sizes.items() if pid in seen))
        seen = set(sizes)
        time.sleep(LOOK_SECONDS)
    assert child.stdout is not None
    with child.stdout:
        told = child.stdout.read()
    if child.returncode:
        raise SystemExit(f"{engine} failed")
    return {**json.loads(told), "seconds": time.perf_counter() - began, "peak": peak}


def _memory(pid: int) -> dict[int, int]:
    """The bytes of memory of a process and of each that it started."""
    try:
        parent = psutil.Process(pid)
        return {process.pid: process.memory_info().rss for process in (parent, *parent.children(recursive=True))}
    except psutil.NoSuchProcess:
        return {}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="all, unless some are named")
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--heap", default="3GB")
    parser.add_argument("--engine", choices=["duckdb", "spark"])
    parser.add_argument("--memory", type=float, default=4.0, help="GB that a load may take")
    options = parser.parse_args()
    for name in options.cases or CASES:
        with tempfile.TemporaryDirectory(prefix="lakehead-scale-") as folder:
            run(name, options, Path(folder))


def run(name: str, options: argparse.Namespace, root: Path) -> None:
    """Run one case with each engine, and print what it took. Ends with an error where a limit is passed."""
    case, source = CASES[name], root / "orders.csv"
    generate(source, int(options.gigabytes * 1000 * case.share / MEGABYTES_A_ROW), case)
    size = source.stat().st_size
    print(f"{name}: {size / 1e9:.2f} GB, {case.days} dates", flush=True)
    counts = set()
    for engine in [options.engine] if options.engine else ["duckdb", "spark"]:
        told = measured(engine, options.heap, source, root / engine)
        counts.add(tuple(told["rows"]))
        took = f"{told['seconds']:7.0f} s {told['peak'] / 1e9:6.2f} GB"
        files_told = f"at most {told['most_files']} files and {told['largest'] / 1e6:.0f} MB each"
        print(
            f"  {engine:8} {took}   {told['rows'][1]:,} rows, {told['partitions']:,} partitions, {files_told}",
            flush=True,
        )
        passed = {
            "memory": told["peak"] > options.memory * 1e9,
            "size of a file": told["largest"] > LARGEST_FILE,
            "files of a partition": told["most_files"] > told["most_files_allowed"],
        }
        if any(passed.values()):
            raise SystemExit(f"{engine} passed a limit: {', '.join(name for name in passed if passed[name])}")
    if len(counts) > 1:
        raise SystemExit(f"the engines do not agree: {counts}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--load"]:
        print(json.dumps(load(sys.argv[2], sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5]))))
    else:
        main()
