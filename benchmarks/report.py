"""Figures as tables and plots: for the terminal after a run, and for docs/performance.md by `make bench-report`.

    .venv-bench/bin/python -m benchmarks.report

The page keeps its text; what stands between `<!-- NAME -->` and `<!-- end -->` is written anew.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

Figures = dict[str, Any]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/performance.md"
PLOTS = ROOT / "docs/performance"
BLOCK = re.compile(r"(<!-- (\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def tables(figures: Figures) -> list[str]:
    """Every table of a run, as lines of Markdown."""
    lines = []
    for name, make in TABLES.items():
        if name in figures:
            lines += [f"{name}:", "", *make(figures[name]), ""]
    return lines


def machine_table(told: Figures) -> list[str]:
    peers = ", ".join(f"{name} {version}" for name, version in told["peers"].items())
    return [
        f"{told['processor'] or 'Unknown processor'}, {told['cores']} cores, {told['memory_gb']} GB; {told['system']}, "
        f"Python {told['python']}, DuckDB {told['duckdb']}. Peers: {peers}. Taken {told['date']}, with a load average "
        f"of {told['load_before']} at the start."
    ]


def footprint_table(told: Figures) -> list[str]:
    rows = [
        ["`lakehead --help`", f"{told['help_cpu'] * 1000:.0f} ms CPU"],
        ["`import click`, without which it could not be", f"{told['click_cpu'] * 1000:.0f} ms CPU"],
        ["Python itself", f"{told['python_cpu'] * 1000:.0f} ms CPU"],
    ]
    if "installed" in told:
        sizes: dict[str, int] = told["installed"]
        rows.append(["core installation", f"{sum(sizes.values()) / 1e6:.0f} MB"])
        largest = list(sizes.items())[:8]
        rows += [[f"of that {name}", f"{size / 1e6:.1f} MB"] for name, size in largest]
        rest = sum(sizes.values()) - sum(size for _, size in largest)
        rows.append(["the others", f"{rest / 1e6:.1f} MB"])
    return grid(["what", "measured"], rows)


def bulk_table(told: Figures) -> list[str]:
    contenders: dict[str, Figures] = told["contenders"]
    own = contenders["Lakehead"]
    rows = []
    for name, one in sorted(contenders.items(), key=lambda item: item[1]["seconds"]["median"]):
        if "parse" in one:
            continue
        ratio, effort = (one[key]["median"] / own[key]["median"] for key in ("seconds", "cpu"))
        row = [name, spread(one["seconds"]), f"{one['cpu']['median']:.1f}", f"{one['peak_mb']['median']:,.0f}"]
        rows.append([*row, f"{one['files']:,}", f"{ratio:.2f}x", f"{effort:.2f}x"])
    limit = told["limit"]
    told_limits = [
        f"{name}: parse {one['parse']['median']:.2f} s, write {one['write']['median']:.2f} s"
        for name, one in contenders.items()
        if "parse" in one
    ]
    best = f"the best of each {limit['seconds']:.2f} s and {limit['cpu']:.1f} CPU s"
    times, effort = own["seconds"]["median"] / limit["seconds"], own["cpu"]["median"] / limit["cpu"]
    best += f"; Lakehead takes {times:.2f}x the time and {effort:.2f}x the CPU"
    head = ["contender", "s (least to most)", "CPU s", "peak MB", "files", "time to Lakehead's", "CPU to Lakehead's"]
    shown = f"{told['rows']:,} rows, {told['bytes'] / 1e6:,.0f} MB, {told['dates']} dates, {told['rounds']} rounds"
    return [f"{shown}.", "", *grid(head, rows), "", f"Limits. {'; '.join(told_limits)}; {best}."]


def sizes_table(told: list[Figures]) -> list[str]:
    base = max(one["rate"]["median"] for one in told)
    rows = []
    for one in told:
        row = [f"{one['rows']:,}", f"{one['bytes'] / 1e6:,.0f}", spread(one["seconds"]), f"{one['cpu']['median']:.1f}"]
        rate = one["rate"]["median"]
        rows.append([*row, f"{rate:,.0f}", f"{rate / base:.2f}", f"{one['peak_mb']['median']:,.0f}"])
    return grid(["rows", "MB", "s (least to most)", "CPU s", "rows/s", "to the best", "peak MB"], rows)


def dates_table(told: list[Figures]) -> list[str]:
    base = told[0]
    rows = []
    for one in told:
        ratio = one["seconds"]["median"] / base["seconds"]["median"]
        effort = one["cpu"]["median"] / base["cpu"]["median"]
        row = [f"{one['dates']:,}", spread(one["seconds"]), f"{one['cpu']['median']:.1f}", f"{ratio:.2f}x"]
        rows.append([*row, f"{effort:.2f}x", f"{one['peak_mb']['median']:,.0f}"])
    return grid(["dates", "s (least to most)", "CPU s", "time", "CPU", "peak MB"], rows)


def huge_table(told: Figures) -> list[str]:
    row = [f"{told['rows']:,}", f"{told['bytes'] / 1e9:.2f}", f"{told['seconds']:.1f}", f"{told['cpu']:.1f}"]
    return grid(["rows", "GB", "s", "CPU s", "peak MB"], [[*row, f"{told['peak_mb']:,.0f}"]])


def small_table(told: Figures) -> list[str]:
    rows = []
    for name, what in (("fresh", "a fresh lake"), ("full", f"one of {told['sizes']['objects']:,} objects")):
        if name in told:
            one, many = told[name]["latency"], told[name]["burst"]
            row = [what, *(f"{one[key] * 1000:.0f} ms" for key in ("p50", "p99")), f"{one['cpu'] * 1000:.0f} ms"]
            each = many["cpu"] / many["files"]
            rows.append([*row, f"{many['files'] / many['seconds']:.0f} files/s", f"{each * 1000:.1f} ms"])
    head = ["lake", "queryable after, p50", "p99", "CPU a file", f"burst of {told['sizes']['burst']:,}", "CPU a file"]
    lines = [f"Files of {told['rows']:,} rows.", "", *grid(head, rows), ""]
    if "backlog" in told:
        back = told["backlog"]
        rate, each = back["files"] / back["seconds"], back["cpu"] / back["files"] * 1000
        lines.append(
            f"`lakehead ingest` of a backlog of {back['files']:,}: {rate:.0f} files/s, {each:.1f} ms CPU a file, "
            f"{back['peak_mb']:,.0f} MB at most."
        )
    if "full" in told:
        lines.append(one_day_line(told["full"]["one_day"]))
    if "idle" in told:
        idle = told["idle"]
        lines.append(
            f"`lakehead up` with nothing to do: {idle['megabytes']:.0f} MB, {idle['core_share']:.1%} of a core."
        )
    return lines


def queries_table(told: Figures) -> list[str]:
    rows = []
    for name, one in told["rows"].items():
        ratio = one["lakehead"] / one["duckdb"]
        rows.append([name, f"{one['lakehead'] * 1000:,.0f} ms", f"{one['duckdb'] * 1000:,.0f} ms", f"{ratio:.2f}x"])
    return [
        f"{told['sizes']['rows']:,} rows, 365 partitions.",
        "",
        *grid(["query", "Lakehead", "bare DuckDB", "ratio"], rows),
    ]


def one_day_line(day: Figures) -> str:
    return (
        f"One day of a lake of {day['held']:,} files: {day['seconds'] * 1000:.0f} ms, {day['slowest'] * 1000:.0f} ms "
        f"at most, {day['first'] * 1000:.0f} ms the first time; {day['opened']:,} files are opened."
    )


TABLES: dict[str, Any] = {
    "machine": machine_table,
    "footprint": footprint_table,
    "bulk": bulk_table,
    "sizes": sizes_table,
    "dates": dates_table,
    "huge": huge_table,
    "small": small_table,
    "queries": queries_table,
}


def spread(told: Figures) -> str:
    return f"{told['median']:.2f} ({told['least']:.2f} to {told['most']:.2f})"


def grid(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def plot_bulk(told: Figures, path: Path) -> None:
    from matplotlib.figure import Figure

    shown = {name: one for name, one in told["contenders"].items() if "parse" not in one}
    names = sorted(shown, key=lambda name: -shown[name]["seconds"]["median"])
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, key, label in ((left, "seconds", "seconds"), (right, "peak_mb", "peak memory, MB")):
        values = [shown[name][key]["median"] for name in names]
        colours = ["#c2410c" if name == "Lakehead" else "#94a3b8" for name in names]
        axes.bar_label(
            axes.barh(names, values, color=colours), fmt="{:,.1f}" if key == "seconds" else "{:,.0f}", padding=3
        )
        axes.set_xscale("log")
        axes.set_xlim(right=max(values) * 3)
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def plot_sizes(told: list[Figures], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = [one["rows"] / 1e6 for one in told]
    for axes, key, label, scale in ((left, "rate", "million rows/s", 1e6), (right, "peak_mb", "peak memory, MB", 1)):
        axes.plot(rows, [one[key]["median"] / scale for one in told], marker="o", color="#c2410c")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("million rows in the file")
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def main() -> int:
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = "lakehead"  # the same figures give the same bytes
    figures = json.loads((PLOTS / "results.json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")

    def block(match: re.Match[str]) -> str:
        name = match[2]
        return match[1] + "\n".join(TABLES[name](figures[name])) + match[3] if name in figures else match[0]

    PAGE.write_text(BLOCK.sub(block, page), encoding="utf-8")
    plot_bulk(figures["bulk"], PLOTS / "bulk.svg")
    plot_sizes(figures["sizes"], PLOTS / "sizes.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
