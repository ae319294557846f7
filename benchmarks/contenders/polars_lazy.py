"""Polars: one lazy scan with two sinks, the good rows partitioned."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks.contenders import COLUMNS, GRAMMAR, contend

TYPES = {"order_id": pl.Int64, "quantity": pl.Int32, "price": pl.Decimal(12, 2), "order_date": pl.Date}


def typed(source: str) -> pl.LazyFrame:
    def cast(name: str) -> pl.Expr:
        text = pl.when(pl.col(name).str.contains(rf"^(?:{GRAMMAR[name]})$")).then(pl.col(name))
        made = (
            text.str.to_date("%Y-%m-%d", strict=False) if name == "order_date" else text.cast(TYPES[name], strict=False)
        )
        return made.alias(f"{name}_")

    rows = pl.scan_csv(source, schema={name: pl.String for name in COLUMNS})
    rows = rows.with_columns(cast(name) for name in TYPES)
    return rows.with_columns(
        total_amount=(pl.col("price_") * pl.col("quantity_")).cast(pl.Decimal(14, 2), strict=False)
    )


def load(source: str, folder: Path) -> None:
    rows = typed(source)
    needed = ["customer_id", "product", "total_amount", *(f"{name}_" for name in TYPES)]
    good = (pl.all_horizontal(pl.col(name).is_not_null() for name in needed) & (pl.col("price_") >= 0)).fill_null(False)
    names = [f"{name}_" if name in TYPES else name for name in COLUMNS]
    data = rows.filter(good).select(*(pl.col(name).alias(name.removesuffix("_")) for name in names), "total_amount")
    (folder / "quarantine").mkdir()
    by_date = pl.PartitionBy(f"{folder}/data", key="order_date", include_key=False)
    settings = {"compression": "zstd", "compression_level": 1, "mkdir": True, "lazy": True}
    sinks = [
        data.sink_parquet(by_date, **settings),
        rows.filter(~good).select(COLUMNS).sink_parquet(f"{folder}/quarantine/rows.parquet", **settings),
    ]
    pl.collect_all(sinks, engine="streaming")


if __name__ == "__main__":
    contend(load)
