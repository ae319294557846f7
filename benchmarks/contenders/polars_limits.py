"""The limits of Polars: parsing alone, and writing partitions of data that is typed already."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks.contenders import COLUMNS, Clock, contend
from benchmarks.contenders.polars_lazy import TYPES, typed


def load(source: str, folder: Path) -> dict[str, float]:
    clock = Clock()
    pl.scan_csv(source, schema={name: pl.String for name in COLUMNS}).select(pl.all().count()).collect(
        engine="streaming"
    )
    told = clock.lap("parse")
    names = [f"{name}_" if name in TYPES else name for name in COLUMNS]
    rows = typed(source).select(*(pl.col(name).alias(name.removesuffix("_")) for name in names), "total_amount")
    data = rows.filter(pl.all_horizontal(pl.all().is_not_null()), pl.col("price") >= 0).collect(engine="streaming")
    clock.lap("between")
    by_date = pl.PartitionBy(f"{folder}/data", key="order_date", include_key=False)
    data.lazy().sink_parquet(by_date, compression="zstd", compression_level=1, mkdir=True, engine="streaming")
    return told | clock.lap("write")


if __name__ == "__main__":
    contend(load)
