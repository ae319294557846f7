"""The jobs and who does them: Lakehead through its Lake, and bare DuckDB with the same rules written by hand."""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar

import duckdb

PRODUCTS = ("Laptop", "Mouse", "Keyboard", "Monitor", "Headset", "Webcam", "Desk lamp", "Docking station")
HEADER = "order_id,customer_id,product,quantity,price,order_date\n"


def generate(path: Path, rows: int, *, days: int, start: int = 0) -> None:
    """Write orders from a fixed seed; 1.3% of the rows break the contract, in four ways."""
    chance = random.Random(start * 7 + days)
    first = date(2025, 1, 1)
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER)
        for number in range(start, start + rows):
            customer, quantity = f"C{chance.randrange(100_000):05}", str(chance.randint(1, 20))
            price, day = f"{chance.randint(100, 9_999_999) / 100:.2f}", str(first + timedelta(chance.randrange(days)))
            if chance.random() < 0.013:
                kind = chance.randrange(4)
                customer, quantity = "" if kind == 0 else customer, "abc" if kind == 1 else quantity
                price, day = "-1.00" if kind == 2 else price, "2025-02-30" if kind == 3 else day
            file.write(f"{number + 1},{customer},{chance.choice(PRODUCTS)},{quantity},{price},{day}\n")


class BareDuckDB:
    """The least that does the job: no events, no commit protocol, no catalog, no durability, no line numbers."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        (self.out / "quarantine").mkdir(parents=True)
        self.connection = duckdb.connect(config={"disabled_optimizers": "type_pushdown"})
        self.done = 0

    def load(self, files: Sequence[Path]) -> None:
        for file in files:
            self._load(file)

    def _load(self, file: Path) -> None:
        columns = ", ".join(f"'{name}': 'VARCHAR'" for name in HEADER.strip().split(","))
        self.connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE typed AS SELECT *,
                  TRY_CAST(CAST(p AS DECIMAL(22, 2)) * q AS DECIMAL(14, 2)) AS total_amount FROM (
                SELECT *, CASE WHEN regexp_matches(trim(order_id), '^[+-]?0*[0-9]{{1,19}}\\z')
                            THEN TRY_CAST(trim(order_id) AS BIGINT) END AS id,
                          CASE WHEN regexp_matches(trim(quantity), '^[+-]?0*[0-9]{{1,10}}\\z')
                            THEN TRY_CAST(trim(quantity) AS INTEGER) END AS q,
                          CASE WHEN regexp_matches(trim(price), '^[+-]?[0-9]{{1,10}}([.][0-9]{{0,2}}0*)?\\z')
                            THEN TRY_CAST(trim(price) AS DECIMAL(12, 2)) END AS p,
                          CASE WHEN regexp_matches(trim(order_date), '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\\z')
                            THEN TRY_CAST(trim(order_date) AS DATE) END AS d
                FROM read_csv(?, header = true, delim = ',', quote = '"', escape = '"', columns = {{{columns}}}))""",
            [str(file)],
        )
        good = "id IS NOT NULL AND nullif(trim(customer_id), '') IS NOT NULL AND nullif(trim(product), '') IS NOT NULL"
        good += " AND q IS NOT NULL AND p >= 0 AND d IS NOT NULL AND total_amount IS NOT NULL"
        self.done += 1
        self.connection.execute(
            f"""COPY (SELECT id AS order_id, trim(customer_id) AS customer_id, trim(product) AS product, q AS quantity,
                  p AS price, d AS order_date, total_amount FROM typed WHERE {good})
                TO '{self.out}/data' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (order_date), APPEND,
                  FILENAME_PATTERN 'file{self.done}-{{uuid}}')"""
        )
        self.connection.execute(
            f"""COPY (SELECT * FROM typed WHERE NOT coalesce({good}, false))
                TO '{self.out}/quarantine/{self.done}.parquet' (FORMAT parquet, COMPRESSION zstd)"""
        )

    def totals(self) -> dict[str, Any]:
        data = f"read_parquet('{self.out}/data/**/*.parquet')"
        rows, revenue = self.one(f"SELECT count(*), sum(total_amount) FROM {data}")
        (bad,) = self.one(f"SELECT count(*) FROM read_parquet('{self.out}/quarantine/*.parquet')")
        return {"rows": rows, "quarantined": bad, "revenue": str(revenue)}

    def one(self, sql: str) -> tuple[Any, ...]:
        row = self.connection.execute(sql).fetchone()
        assert row is not None
        return tuple(row)

    def close(self) -> None:
        self.connection.close()


class Lakehead:
    """The whole of it: landing, event, workflow, two crawls, commit, notification."""

    settings: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path) -> None:
        from lakehead.config import load_config
        from lakehead.examples import write_example
        from lakehead.lake import Lake
        from lakehead.logs import log_to_file

        write_example("sales", folder / "lake")
        config = load_config(folder / "lake", overrides=self.settings)
        log_to_file(config.log_file)
        self.lake = Lake.open(config)
        self.lake.__enter__()

    def load(self, files: Sequence[Path]) -> None:
        self.lake.put(files)
        summary = self.lake.ingest()
        assert summary.succeeded == len(files) and not summary.failed, summary

    def totals(self) -> dict[str, Any]:
        ((rows, revenue),) = self.lake.query("SELECT count(*), sum(total_amount) FROM processed_orders").rows
        ((bad,),) = self.lake.query("SELECT count(*) FROM quarantine_orders").rows
        return {"rows": rows, "quarantined": bad, "revenue": str(revenue)}

    def close(self) -> None:
        self.lake.__exit__(None, None, None)


class LakeheadOnSpark(Lakehead):
    """The same lake, with Spark as its engine: two cores and a heap of 2 GB."""

    settings: ClassVar[Mapping[str, str]] = {"engine": "spark", "threads": "2", "memory_limit": "2GB"}


CONTENDERS: dict[str, Callable[[Path], BareDuckDB | Lakehead]] = {
    "duckdb": BareDuckDB,
    "lakehead": Lakehead,
    "spark": LakeheadOnSpark,
}


def run(name: str, job: str, folder: Path, files: list[Path]) -> dict[str, Any]:
    contender = CONTENDERS[name](folder)
    try:
        taken = []
        for batch in [[file] for file in files] if job == "latency" else [files]:
            started = time.perf_counter()
            contender.load(batch)
            taken.append(time.perf_counter() - started)
        told = {"seconds": sum(taken), **contender.totals()}
    finally:
        contender.close()
    if len(taken) > 1:
        told["each"] = [statistics.median(taken), statistics.quantiles(taken, n=100)[98]]
    return told


if __name__ == "__main__":
    _, who, what, where, listed, answer = sys.argv
    paths = [Path(path) for path in json.loads(Path(listed).read_text(encoding="utf-8"))]
    Path(answer).write_text(json.dumps(run(who, what, Path(where), paths)), encoding="utf-8")
