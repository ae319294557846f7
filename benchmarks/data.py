"""Orders as CSV from a seed: ten million rows in seconds. Run by the contenders' Python, which has NumPy and PyArrow.

python -m benchmarks.data FILE ROWS DATES
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

SEED = 20250101
CHUNK = 1_000_000
DIRTY = 0.013
HEADER = b"order_id,customer_id,product,quantity,price,order_date\n"
PRODUCTS = (
    *("Laptop 14 inch", "Mouse", "Keyboard", "Monitor 27 inch"),
    *("Headset", "Webcam", "Desk lamp white", "Docking station"),
)
# What is wrong with a dirty row: one column has this text instead. Engines left to themselves take many of them.
FAULTS = (
    ("customer_id", ""),
    ("quantity", "abc"),
    ("quantity", "1e3"),
    ("quantity", "1.5"),
    ("price", ""),
    ("price", "-1.00"),
    ("price", "1.005"),
    ("order_date", "2025-02-30"),
    ("order_date", "2025/01/05"),
    ("order_id", "0x10"),
)


def write(path: Path, rows: int, dates: int) -> None:
    with path.open("wb") as file:
        file.write(HEADER)
        for start in range(0, rows, CHUNK):
            table = chunk(start, min(CHUNK, rows - start), dates)
            csv.write_csv(table, file, csv.WriteOptions(include_header=False, quoting_style="none"))


def chunk(start: int, rows: int, dates: int) -> Any:
    chance = np.random.default_rng([SEED, start])
    cents = chance.integers(100, 1_000_000, rows)
    days = np.datetime64("2025-01-01") + chance.integers(0, dates, rows)
    columns = {
        "order_id": text(np.arange(start + 1, start + rows + 1)),
        "customer_id": joined(pa.scalar("C-"), padded(chance.integers(0, 100_000, rows), 5)),
        "product": pa.array(PRODUCTS).take(pa.array(chance.integers(0, len(PRODUCTS), rows))),
        "quantity": text(chance.integers(1, 21, rows)),
        "price": joined(text(cents // 100), pa.scalar("."), padded(cents % 100, 2)),
        "order_date": text(days),
    }
    fault = np.where(chance.random(rows) < DIRTY, chance.integers(0, len(FAULTS), rows), -1)
    for number, (column, bad) in enumerate(FAULTS):
        columns[column] = pc.if_else(pa.array(fault == number), bad, columns[column])
    return pa.table(columns)


def text(values: Any) -> Any:
    return pc.cast(pa.array(values), pa.string())


def padded(values: Any, width: int) -> Any:
    return pc.utf8_lpad(text(values), width, "0")


def joined(*parts: Any) -> Any:
    return pc.binary_join_element_wise(*parts, "")


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
