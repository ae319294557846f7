"""PySpark as such pipelines usually have it: read, cast, drop what does not fit, append by date. No quarantine."""

from __future__ import annotations

from benchmarks.contenders.spark_job import main

if __name__ == "__main__":
    main(whole=False)
