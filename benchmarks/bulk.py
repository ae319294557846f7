"""Large files: Lakehead beside its peers, beside what parsing and writing alone cost, and at other sizes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Figures, agree, fresh, made, orders, ours, peer, run, summed

KEYS = ("seconds", "process_seconds", "cpu", "peak_mb")
LIMITS = ("parse", "write", "parse_cpu", "write_cpu")


@dataclass(frozen=True)
class Contender:
    """`rounds` caps how often a slow one runs. `limit` gives the seconds of parsing and of writing apart."""

    name: str
    module: str
    rounds: int = 9
    limit: bool = False


PEERS = (
    Contender("Lakehead", "lakehead_lake"),
    Contender("DuckDB's limits", "duckdb_limits", limit=True),
    Contender("Polars' limits", "polars_limits", limit=True),
    Contender("bare DuckDB", "duckdb_bare"),
    Contender("Polars", "polars_lazy"),
    Contender("dlt, no partitions", "dlt_files"),
    Contender("pandas + PyArrow", "pandas_arrow", rounds=3),
    Contender("PySpark local[2]", "spark_job", rounds=3),
    Contender("PySpark, plain append", "spark_append", rounds=3),
)


def beside_peers(root: Path, *, rows: int, dates: int, rounds: int) -> Figures:
    """All contenders in turn, round by round."""
    source = orders(root / f"orders-{rows}-{dates}.csv", rows, dates)
    found: dict[str, list[Figures]] = {one.name: [] for one in PEERS}
    agreed: dict[str, Figures] = {}
    for number in range(rounds):
        for one in PEERS:
            if number >= one.rounds:
                continue
            told = contend(one, source, fresh(root / "out"))
            agree(one.name, told, agreed)
            agreed[one.name] = told
            found[one.name].append(told)
            print(
                f"  round {number + 1}  {one.name:<22} {told['seconds']:8.2f} s {told['peak_mb']:8,.0f} MB", flush=True
            )
    fresh(root / "out")
    contenders = {name: _figures(runs) for name, runs in found.items()}
    return {
        "rows": rows,
        "dates": dates,
        "bytes": source.stat().st_size,
        "rounds": rounds,
        "contenders": contenders,
        "limit": _limit(found),
    }


def contend(one: Contender, source: Path, folder: Path) -> Figures:
    if one.module == "lakehead_lake":
        return lakehead(source, folder)
    told = run(peer(one.module, str(source), str(folder)))
    return {**told, **made(folder)}


def lakehead(source: Path, folder: Path, *settings: str) -> Figures:
    return run(ours("benchmarks.contenders.lakehead_lake", str(source), str(folder), *settings))


def _figures(runs: list[Figures]) -> Figures:
    last = runs[-1]
    told: Figures = {**summed(runs, *KEYS), "files": last["files"], "rows": last["rows"], "rounds": len(runs)}
    if "parse" in last:
        told |= summed(runs, *LIMITS)
    return told


def _limit(found: dict[str, list[Figures]]) -> Figures:
    """What the best of the engines needs for parsing and for writing: medians of the rounds."""
    tools = [_figures(found[one.name]) for one in PEERS if one.limit]
    least: dict[str, float] = {part: min(tool[part]["median"] for tool in tools) for part in LIMITS}
    return {**least, "seconds": least["parse"] + least["write"], "cpu": least["parse_cpu"] + least["write_cpu"]}


SIZES = (1_000_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000)


def sizes(root: Path, *, counts: tuple[int, ...], rounds: int) -> list[Figures]:
    """Rows a second from small to large, all over 365 dates."""
    found: dict[int, list[Figures]] = {rows: [] for rows in counts}
    for number in range(rounds):
        for rows in counts:
            source = orders(root / f"orders-{rows}-365.csv", rows, 365)
            told = lakehead(source, fresh(root / "out"))
            found[rows].append({**told, "rate": rows / told["seconds"], "bytes": source.stat().st_size})
            print(
                f"  round {number + 1}  {rows:>12,} rows {told['seconds']:8.2f} s {told['peak_mb']:8,.0f} MB",
                flush=True,
            )
    fresh(root / "out")
    return [{"rows": rows, "bytes": runs[-1]["bytes"], **summed(runs, *KEYS, "rate")} for rows, runs in found.items()]


def many_dates(root: Path, *, rows: int, counts: tuple[int, ...], rounds: int) -> list[Figures]:
    """The same number of rows over more and more dates."""
    found: dict[int, list[Figures]] = {dates: [] for dates in counts}
    for number in range(rounds):
        for dates in counts:
            source = orders(root / f"orders-{rows}-{dates}.csv", rows, dates)
            told = lakehead(source, fresh(root / "out"))
            found[dates].append(told)
            print(
                f"  round {number + 1}  {dates:>7,} dates {told['seconds']:8.2f} s {told['peak_mb']:8,.0f} MB",
                flush=True,
            )
    fresh(root / "out")
    return [{"dates": dates, "rows": rows, **summed(runs, *KEYS)} for dates, runs in found.items()]


def huge(root: Path, *, rows: int) -> Figures:
    """One file of some 5 GB, once, and the most memory that its load took."""
    source = orders(root / f"orders-{rows}-365.csv", rows, 365)
    told = lakehead(source, fresh(root / "out"))
    print(f"  {rows:,} rows {told['seconds']:8.2f} s {told['peak_mb']:8,.0f} MB", flush=True)
    size = source.stat().st_size
    fresh(root / "out")
    source.unlink()
    return {"rows": rows, "bytes": size, **{key: told[key] for key in KEYS}}
