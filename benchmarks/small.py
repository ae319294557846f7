"""Small files: how soon a landed file can be queried, and how many a second a burst and a backlog reach.

    python -m benchmarks.small [--quick] [--json FILE] [latency burst backlog full idle ...]

Everything runs as people run it: a `lakehead up` (or `lakehead ingest`) in a process of its own, every fsync on. A file
has 1,000 rows of one day, 1.3% of them dirty. `full` repeats latency and burst in a lake that holds many objects, and
asks it for one day first.
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
from pathlib import Path
from typing import Any

from benchmarks.lakes import Up, Watch, fill, landing_folder, new_lake, up, wait_until, write_files
from benchmarks.queries import one_day
from lakehead.config import LakeConfig
from lakehead.lake import Lake

Figures = dict[str, Any]

ROWS = 1_000
PATIENCE = 900.0
SIZES = {"latency": 200, "burst": 2_000, "backlog": 10_000, "objects": 100_000, "idle": 30}
QUICK = {"latency": 40, "burst": 300, "backlog": 500, "objects": 5_000, "idle": 10}
PARTS = ("latency", "burst", "backlog", "full", "idle")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, for a look")
    parser.add_argument("--json", type=Path, help="write the figures to a file, too")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="lakehead-bench-", ignore_cleanup_errors=True) as folder:
        figures = run(Path(folder), quick=options.quick, parts=options.parts or PARTS)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def run(root: Path, *, quick: bool, parts: Any = PARTS) -> Figures:
    """Measure in folders below `root`, print, and return the figures: seconds, megabytes and counts."""
    sizes = QUICK if quick else SIZES
    print(f"small files: {ROWS:,} rows each, load average {os.getloadavg()[0]:.1f}")
    figures: Figures = {"rows": ROWS, "sizes": sizes}
    if {"latency", "burst"} & set(parts):
        config = new_lake(root / "fresh")
        figures["fresh"] = landing(config, root / "files", sizes, parts, "fresh lake")
    if "full" in parts:
        config = new_lake(root / "full")
        fill(config, sizes["objects"])
        day = one_day(config)
        what = f"lake of {sizes['objects']:,} objects"
        figures["full"] = landing(config, root / "files-full", sizes, ("latency", "burst"), what) | {"one_day": day}
    if "backlog" in parts:
        figures["backlog"] = backlog(root / "backlog", sizes["backlog"])
    if "idle" in parts:
        figures["idle"] = idle(root / "idle", sizes["idle"])
    return figures


def landing(config: LakeConfig, files: Path, sizes: dict[str, int], parts: Any, what: str) -> Figures:
    """One by one, then a burst, into a running `lakehead up`."""
    figures: Figures = {}
    with up(config) as running, Lake.open(config) as lake:
        held = count(lake, "processed_orders") + count(lake, "quarantine_orders") if lake.tables() else 0
        if "latency" in parts:
            figures["latency"] = latency(running, lake, files / "each", sizes["latency"])
            told = figures["latency"]
            print(
                f"  {what}, one by one: queryable after"
                f" p50 {told['p50'] * 1000:.1f} ms, p99 {told['p99'] * 1000:.1f} ms,"
                f" {told['cpu'] * 1000:.1f} ms CPU a file; a query's answer {told['query'] * 1000:.1f} ms more"
            )
        if "burst" in parts:
            figures["burst"] = burst(running, files / "burst", sizes["burst"])
            told = figures["burst"]
            print(
                f"  {what}, burst of {told['files']:,}: {told['files'] / told['seconds']:.1f} files/s,"
                f" {told['cpu'] / told['files'] * 1000:.1f} ms CPU a file, last notice after {told['seconds']:.1f} s,"
                f" {running.megabytes():,.0f} MB"
            )
        figures["megabytes"] = running.megabytes()
        check(lake, sum(figures[one]["files"] for one in ("latency", "burst") if one in figures), held)
    return figures


def latency(running: Up, lake: Lake, files: Path, count: int) -> Figures:
    """Seconds from a file's close until a query that begins then sees its rows; the first files are a warm-up."""
    config, watch, warm = lake.config, Watch(lake.config), min(10, count)
    folder = landing_folder(config)
    prefix = folder.relative_to(config.root / "data" / config.raw_bucket).as_posix()
    seconds, queries, cpu = [], [], 0.0
    for number, source in enumerate(write_files(files, count + warm, ROWS)):
        text, key = source.read_bytes(), f"{prefix}/{source.name}"
        cpu = running.cpu() if number == warm else cpu
        with (folder / source.name).open("wb") as landed:
            landed.write(text)
        closed = time.perf_counter()
        wait_until(lambda key=key: watch.queryable(key), 60, 0.0005)
        found = time.perf_counter()
        seconds.append(found - closed)
        if number % 10 == 9:
            queries.append(asked(lake, number))
        time.sleep(0.15)  # its notification goes out, and the next file is a lone one
    cpu = running.cpu() - cpu
    watch.close()
    taken = seconds[warm:]
    return {
        "files": count + warm,
        "p50": statistics.median(taken),
        "p90": statistics.quantiles(taken, n=100)[89],
        "p99": statistics.quantiles(taken, n=100)[98],
        "worst": max(taken),
        "cpu": cpu / count,
        "query": statistics.median(queries) if queries else 0.0,
    }


def asked(lake: Lake, number: int) -> float:
    """Seconds of a query for one order of a file, which has to be there."""
    sql = f"SELECT count(*) FROM processed_orders WHERE order_id BETWEEN {number * ROWS} AND {(number + 1) * ROWS}"
    started = time.perf_counter()
    ((found,),) = lake.query(sql).rows
    taken = time.perf_counter() - started
    assert found > ROWS * 0.9, found
    return taken


def burst(running: Up, files: Path, count: int) -> Figures:
    """Seconds from the landing of the first of many files, all at once, to the last notification."""
    config, watch = running.config, Watch(running.config)
    sources = write_files(files, count, ROWS, first=100_000)
    folder, before, cpu = landing_folder(config), watch.last_number(), running.cpu()
    started = time.perf_counter()
    for source in sources:
        source.rename(folder / source.name)
    landed = time.perf_counter() - started
    wait_until(lambda: watch.last_number() >= before + count, PATIENCE, 0.02)
    seconds = time.perf_counter() - started
    cpu = running.cpu() - cpu
    watch.close()
    return {"files": count, "seconds": seconds, "landing": landed, "cpu": cpu}


def backlog(folder: Path, count: int) -> Figures:
    """`lakehead ingest` of files that landed while nobody worked, from its start to its end."""
    config = new_lake(folder)
    for source in write_files(folder / "files", count, ROWS):
        source.rename(landing_folder(config) / source.name)
    command = [sys.executable, "-m", "lakehead", "--lake", str(folder), "--quiet", "-o", "json", "ingest"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit("the backlog failed")
    with Lake.open(config) as lake:
        check(lake, count)
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    print(
        f"  backlog of {count:,}: {count / seconds:.1f} files/s, {cpu / count * 1000:.1f} ms CPU a file, {peak:,.0f} MB"
    )
    return {"files": count, "seconds": seconds, "cpu": cpu, "peak_mb": peak}


def check(lake: Lake, files: int, held: int = 0) -> None:
    """Every row of the files is there, once, in one table or the other; `held` were there before."""
    found = count(lake, "processed_orders") + count(lake, "quarantine_orders") - held
    if found != files * ROWS:
        raise SystemExit(f"the lake holds {found:,} rows of the {files * ROWS:,} that landed")


def count(lake: Lake, table: str) -> int:
    ((rows,),) = lake.query(f"SELECT count(*) FROM {table}").rows
    return int(rows)


def idle(folder: Path, seconds: int) -> Figures:
    """Memory and the share of one core of a `lakehead up` with nothing to do, its console served."""
    config = new_lake(folder)
    with up(config) as running:
        time.sleep(3)
        cpu, started = running.cpu(), time.perf_counter()
        time.sleep(seconds)
        share = (running.cpu() - cpu) / (time.perf_counter() - started)
        megabytes = running.megabytes()
    print(f"  idle: {megabytes:.0f} MB, {share:.2%} of a core")
    return {"megabytes": megabytes, "core_share": share}


if __name__ == "__main__":
    sys.exit(main())
