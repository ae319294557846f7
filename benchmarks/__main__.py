"""`make bench`: Lakehead beside its peers on one machine, in one run. Compare the ratios, not the seconds.

    python -m benchmarks [--quick] [--only PART ...] [--folder DIR] [--output FILE]

Data is made from a seed. Contenders take turns, each in a process of its own; all must make the same rows. Figures are
medians over the rounds. `docs/performance.md` is written from the JSON of the last full run by `benchmarks.report`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import bulk, footprint, queries, small, workflow
from benchmarks.measure import ROOT, Figures, machine

RESULTS = ROOT / "docs/performance/results.json"


def main() -> int:
    parts = _parts()
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="less of everything: three minutes, for a look")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts), help="parts to run")
    parser.add_argument("--folder", type=Path, help="where data is made and kept; else a temporary one")
    parser.add_argument(
        "--output", type=Path, help=f"JSON of the figures; a full run writes {RESULTS.relative_to(ROOT)}"
    )
    options = parser.parse_args()
    figures: Figures = {"machine": machine(), "quick": options.quick}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lakehead-bench-", ignore_cleanup_errors=True) as folder:
        root = options.folder or Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        for name in options.only:
            print(f"{name} (load average {os.getloadavg()[0]:.1f})", flush=True)
            figures[name] = parts[name](root, options.quick)
            print(flush=True)
    figures["seconds"] = time.perf_counter() - began
    from benchmarks.report import tables

    print("\n".join(tables(figures)))
    whole = not options.quick and options.only == list(parts)
    output = options.output or (RESULTS if whole else None)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def _parts() -> dict[str, Callable[[Path, bool], Figures | list[Figures]]]:
    return {
        "footprint": lambda _, quick: footprint.run(install=not quick),
        "small": lambda root, quick: small.run(root / "small", quick=quick),
        "queries": lambda root, quick: queries.run(root / "queries", quick=quick, parts=("rows",)),
        "bulk": lambda root, quick: (
            bulk.beside_peers(root, rows=500_000, dates=30, rounds=1)
            if quick
            else bulk.beside_peers(root, rows=10_000_000, dates=365, rounds=5)
        ),
        "sizes": lambda root, quick: bulk.sizes(
            root, counts=(500_000, 2_000_000) if quick else bulk.SIZES, rounds=1 if quick else 3
        ),
        "dates": lambda root, quick: bulk.many_dates(
            root,
            rows=500_000 if quick else 10_000_000,
            counts=(30, 300) if quick else (365, 5_000),
            rounds=1 if quick else 3,
        ),
        "workflow": lambda root, quick: workflow.run(root, *((2, 2_000) if quick else ())),
        "huge": lambda root, quick: bulk.huge(root, rows=1_000_000 if quick else 105_000_000),
    }


if __name__ == "__main__":
    sys.exit(main())
