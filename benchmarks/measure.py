"""Runs a contender in a process of its own and takes its measure: seconds, processor seconds, memory, what it made."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import psutil

Figures = dict[str, Any]

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-bench/bin/python"
LOOK_SECONDS = 0.05
PATIENCE = 1_800.0


def run(command: Sequence[str], **environment: str) -> Figures:
    """The JSON that a command prints last, with `process_seconds`, `cpu` and `peak_mb`, those of its children included.

    Memory is what all of them had at one time. A process seen only once is not counted: while it is being forked it
    seems to have its parent's memory.
    """
    began = time.perf_counter()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **environment}
    )
    peak, spent, seen = 0, dict[int, float](), set[int]()
    try:
        while child.poll() is None and time.perf_counter() - began < PATIENCE:
            found = _tree(child.pid)
            peak = max(peak, sum(size for pid, (size, _) in found.items() if pid in seen))
            spent |= {pid: cpu for pid, (_, cpu) in found.items()}
            seen = set(found)
            time.sleep(LOOK_SECONDS)
    finally:
        child.kill()
    told, complaint = child.communicate()
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{complaint[-3_000:]}")
    answer: Figures = json.loads(told.strip().rpartition("\n")[2])
    return {
        **answer,
        "process_seconds": time.perf_counter() - began,
        "cpu": sum(spent.values()),
        "peak_mb": peak / 1e6,
    }


def _tree(pid: int) -> dict[int, tuple[int, float]]:
    """Memory and processor seconds of a process and of each that it started."""
    found = {}
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            times = process.cpu_times()
            found[process.pid] = (process.memory_info().rss, times.user + times.system)
    except psutil.NoSuchProcess:
        pass
    return found


def made(folder: Path) -> Figures:
    """What a contender left: rows and revenue of its data, number of files, rows in quarantine (None: it has none)."""
    data = f"read_parquet('{folder}/data/**/*.parquet', filename = true, hive_partitioning = false)"
    rows, revenue, files = _one(f"SELECT count(*), sum(total_amount), count(DISTINCT filename) FROM {data}")
    dropped = [str(path) for path in folder.glob("quarantine/*.parquet")]
    bad = _one(f"SELECT count(*) FROM read_parquet({dropped})")[0] if dropped else None
    return {"rows": rows, "revenue": str(revenue), "files": files, "quarantined": bad}


def agree(name: str, told: Figures, others: Mapping[str, Figures]) -> None:
    """Stop unless a contender made the same rows as those before it."""
    for other, figures in others.items():
        for key in ("rows", "revenue", "quarantined"):
            if None not in (told[key], figures[key]) and told[key] != figures[key]:
                raise SystemExit(f"{name} and {other} do not agree: {key} {told[key]} and {figures[key]}")


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def orders(path: Path, rows: int, dates: int) -> Path:
    """A file of orders, made once."""
    if not path.exists():
        command = [str(PEERS), "-m", "benchmarks.data", str(path), str(rows), str(dates)]
        subprocess.run(command, check=True, cwd=ROOT)
    return path


def summed(runs: Sequence[Figures], *keys: str) -> Figures:
    """The median, least and most of each figure over the rounds."""
    found = {}
    for key in keys:
        values = [one[key] for one in runs]
        found[key] = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return found


def machine() -> Figures:
    """What the figures were taken on."""
    memory = psutil.virtual_memory()
    versions = subprocess.run([str(PEERS), "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    wanted = ("dlt", "duckdb", "pandas", "polars", "pyarrow", "pyspark", "numpy")
    peers = dict(line.split("==") for line in versions.splitlines() if line.partition("==")[0] in wanted)
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory.total / 1e9),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
        "peers": peers,
        "load_before": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _one(query: str) -> tuple[Any, ...]:
    with duckdb.connect() as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return tuple(row)


def ours(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def peer(module: str, *arguments: str) -> list[str]:
    return [str(PEERS), "-m", f"benchmarks.contenders.{module}", *arguments]
