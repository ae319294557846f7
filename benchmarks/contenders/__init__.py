"""The same job as the users of other tools would write it. Each module runs by itself, in an environment of its own.

The job: orders as CSV -> every column read as text and held against a strict grammar -> good rows with total_amount as
Parquet (zstd), partitioned by order_date, below `data`; the others, as text, below `quarantine` where the tool's users
would keep them. None of them has events, line numbers, reasons, a commit, an fsync or a catalog.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COLUMNS = ("order_id", "customer_id", "product", "quantity", "price", "order_date")
# What a text must be as a whole, before it is cast.
GRAMMAR = {
    "order_id": r"[+-]?0*[0-9]{1,19}",
    "quantity": r"[+-]?0*[0-9]{1,10}",
    "price": r"[+-]?0*[0-9]{1,10}([.][0-9]{0,2}0*)?",
    "order_date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
}


class Clock:
    """Wall and processor seconds, all threads', since it was made or since the lap before."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def lap(self, name: str) -> dict[str, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        told = {name: wall - self.wall, f"{name}_cpu": cpu - self.cpu}
        self.wall, self.cpu = wall, cpu
        return told


def contend(load: Callable[[str, Path], Any]) -> None:
    """Time `load(source, folder)`, imports and start-up apart, and print the seconds as JSON."""
    source, folder = sys.argv[1], Path(sys.argv[2])
    began = time.perf_counter()
    told = load(source, folder)
    answer = told if isinstance(told, dict) else {}
    print(json.dumps({"seconds": time.perf_counter() - began, **answer}))
