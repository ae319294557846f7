"""pandas with PyArrow: read_csv, masks, and write_to_dataset, as awswrangler does it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.contenders import GRAMMAR, contend


def load(source: str, folder: Path) -> None:
    rows = pd.read_csv(source, dtype=str)
    fits = pd.Series(True, index=rows.index)
    for name, grammar in GRAMMAR.items():
        fits &= rows[name].str.fullmatch(grammar).fillna(False).astype(bool)
    fits &= rows["customer_id"].notna() & rows["product"].notna()
    good = rows[fits].copy()
    good["order_date"] = pd.to_datetime(good["order_date"], format="%Y-%m-%d", errors="coerce").dt.date
    good["order_id"] = good["order_id"].astype("int64")
    good["quantity"] = good["quantity"].astype("int32")
    good["price"] = good["price"].astype(pd.ArrowDtype(pa.decimal128(12, 2)))
    good = good[good["order_date"].notna() & (good["price"] >= 0)]
    total = good["price"].array._pa_array  # pandas has no product of a decimal and an integer at a fixed scale
    counts = pa.chunked_array([pa.array(good["quantity"]).cast(pa.decimal128(10, 0))])
    good["total_amount"] = pd.Series(
        pd.arrays.ArrowExtensionArray(pa.compute.multiply(total, counts).cast(pa.decimal128(14, 2))), index=good.index
    )
    data, quarantine = folder / "data", folder / "quarantine"
    quarantine.mkdir()
    table = pa.Table.from_pandas(good, preserve_index=False)
    pq.write_to_dataset(table, data, partition_cols=["order_date"], compression="zstd", max_partitions=10_000)
    rows.drop(index=good.index).to_parquet(quarantine / "rows.parquet", compression="zstd")


if __name__ == "__main__":
    contend(load)
