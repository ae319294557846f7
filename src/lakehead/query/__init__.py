"""Athena SQL on the embedded lake, and the named queries of a folder."""

from lakehead.query.engine import TIMEOUT_SECONDS, QueryEngine
from lakehead.query.named import Named, named_queries
from lakehead.query.result import QueryResult

__all__ = ["TIMEOUT_SECONDS", "Named", "QueryEngine", "QueryResult", "named_queries"]
