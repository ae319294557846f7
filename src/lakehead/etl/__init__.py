"""One landed object in, committed rows out.

`reading` is what every engine begins with: `source` makes an object's bytes readable as UTF-8 text, `scan` looks at all
of them once, `header` holds the columns against the contract, `records` parts good records from malformed ones. An
engine (`duckdb_engine`, `spark`) casts and judges; `tally` counts, `folders` lays out; `staging` and `quarantine` write
Parquet for DuckDB, `spark.output` for Spark; `job` and `commit` publish it.
"""
