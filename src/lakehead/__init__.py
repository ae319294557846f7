"""Lakehead: files that land in a raw zone become clean, partitioned, queryable Parquet, by events, exactly once."""

__version__ = "0.1.0"
