"""Lakehead, the whole of it: event, workflow, crawls, quarantine with lines and reasons, commit, fsync, notification.

The file lies in the raw zone already, as the others' lies where they read it. Run by Lakehead's own Python; a third
argument is the engine, a fourth its memory.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

from lakehead.config import load_config
from lakehead.examples import write_example
from lakehead.lake import Lake
from lakehead.logs import log_to_file

KEY = "sales/orders/orders.csv"


def main(source: str, folder: Path, engine: str = "duckdb", memory: str = "") -> None:
    write_example("sales", folder / "lake")
    settings = {"engine": engine, "threads": "2", **({"memory_limit": memory} if memory else {})}
    config = load_config(folder / "lake", overrides=settings)
    log_to_file(config.log_file)
    with Lake.open(config) as lake:
        landed = lake.store.local_path(config.raw_bucket, KEY)
        assert landed is not None
        landed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, landed)
        time.sleep(config.complete_seconds + 0.2)  # how long a file must lie unchanged is no work
        began = time.perf_counter()
        summary = lake.ingest()
        seconds = time.perf_counter() - began
        assert summary.succeeded == 1 and not summary.failed, summary
        ((rows, revenue),) = lake.query("SELECT count(*), sum(total_amount) FROM processed_orders").rows
        ((bad,),) = lake.query("SELECT count(*) FROM quarantine_orders").rows
        processed = landed.parents[len(Path(KEY).parents)] / config.processed_bucket
    files = sum(1 for _ in processed.rglob("order_date=*/*.parquet"))
    told = {"rows": rows, "revenue": str(revenue), "quarantined": bad, "files": files}
    print(json.dumps({"seconds": seconds, **told}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
