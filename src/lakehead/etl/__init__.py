"""One landed object in, committed rows out.

`source` makes its bytes readable as UTF-8 text, `scan` looks at all of them once, `header` holds the columns against
the contract, `records` parts good records from malformed ones, `duckdb_engine` casts, judges and counts, `staging` and
`quarantine` write Parquet, `job` and `commit` publish it.
"""
