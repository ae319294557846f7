"""dlt: a resource of Arrow tables into Parquet files. No partitions by date and no quarantine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from benchmarks.contenders import COLUMNS, GRAMMAR, contend

TYPES = {"order_id": pa.int64(), "quantity": pa.int32(), "price": pa.decimal128(12, 2), "order_date": pa.date32()}


def tables(source: str) -> Iterator[pa.Table]:
    texts = csv.ConvertOptions(column_types={name: pa.string() for name in COLUMNS}, strings_can_be_null=True)
    reading = csv.open_csv(source, csv.ReadOptions(block_size=32 << 20), convert_options=texts)
    for batch in reading:
        yield typed(pa.Table.from_batches([batch]))


def typed(rows: pa.Table) -> pa.Table:
    for name, grammar in GRAMMAR.items():
        rows = rows.filter(pc.match_substring_regex(rows[name], f"^(?:{grammar})$"))
    rows = rows.filter(pc.and_(pc.is_valid(rows["customer_id"]), pc.is_valid(rows["product"])))
    days = pc.strptime(rows["order_date"], "%Y-%m-%d", "s", error_is_null=True)
    rows = rows.filter(pc.equal(pc.strftime(days, "%Y-%m-%d"), rows["order_date"]))  # strptime takes February 30th
    for name, kind in TYPES.items():
        rows = rows.set_column(rows.column_names.index(name), name, pc.cast(rows[name], kind))
    rows = rows.filter(pc.greater_equal(rows["price"], pa.scalar(0, pa.decimal128(12, 2))))
    total = pc.multiply(rows["price"], pc.cast(rows["quantity"], pa.decimal128(10, 0)))
    return rows.append_column("total_amount", pc.cast(total, pa.decimal128(14, 2)))


def load(source: str, folder: Path) -> None:
    os.environ["DATA_WRITER__PARQUET_COMPRESSION"] = "zstd"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    destination = dlt.destinations.filesystem(bucket_url=str(folder / "out"))
    pipeline = dlt.pipeline("orders", pipelines_dir=str(folder / "work"), destination=destination, dataset_name="sales")
    pipeline.run(dlt.resource(lambda: tables(source), name="orders"), loader_file_format="parquet")
    (folder / "out" / "sales" / "orders").rename(folder / "data")


if __name__ == "__main__":
    contend(load)
