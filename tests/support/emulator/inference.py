"""What a crawler makes of the objects it finds: columns from headers and Parquet footers, partitions from folders."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from lakehead.catalog.athena_types import athena_type, merge_columns
from lakehead.catalog.header import column_names, read_header

Schema = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Dialect:
    """A CSV classifier."""

    delimiter: str
    quote: str
    header: bool

    @classmethod
    def of(cls, classifier: dict[str, Any]) -> Dialect:
        """The dialect that a classifier describes."""
        return cls(classifier["Delimiter"], classifier["QuoteSymbol"], classifier["ContainsHeader"] == "PRESENT")


def listed(s3: Any, bucket: str, prefix: str, exclusions: Sequence[str]) -> list[str]:
    """The keys below the include path that no exclusion matches."""
    excluded = [glob(pattern) for pattern in exclusions]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = (found["Key"] for page in pages for found in page.get("Contents", ()))
    return [key for key in keys if not any(pattern.fullmatch(key.removeprefix(prefix)) for pattern in excluded)]


def glob(pattern: str) -> re.Pattern[str]:
    """An exclusion as a regular expression: `*` stays in a folder, `**` does not, `**/` may be nothing."""
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return re.compile("".join(pieces.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*)", pattern)))


def partition_keys(keys: Sequence[str], depth: int) -> tuple[str, ...]:
    """The names of the folders below the table that are written `name=value`."""
    return tuple(dict.fromkeys(part.partition("=")[0] for key in keys for part in _folders(key, depth) if "=" in part))


def partitions(keys: Sequence[str], depth: int) -> tuple[str, ...]:
    """The path of every partition, each once."""
    found = ("/".join(part for part in _folders(key, depth) if "=" in part) for key in keys)
    return tuple(dict.fromkeys(path for path in found if path))


def columns(s3: Any, bucket: str, keys: Sequence[str], dialect: Dialect | None) -> Schema:
    """All columns of all objects."""
    schemas = []
    for key in keys:
        data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        schemas.append(parquet_schema(data) if dialect is None else csv_schema(key, data, dialect))
    return merge_columns([schema for schema in schemas if schema])


def csv_schema(key: str, data: bytes, dialect: Dialect) -> Schema:
    """The names of a header, every one a string."""
    wanted = {"delimiter": dialect.delimiter, "quote": dialect.quote, "encoding": "utf-8"}
    names = read_header(io.BytesIO(data), wanted, compressed=key.endswith(".gz"))
    return tuple((name, "string") for name in column_names(names))


def parquet_schema(data: bytes) -> Schema:
    """The columns of a Parquet file."""
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as connection:
        file.write(data)
        file.flush()
        rows = connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{file.name}', hive_partitioning = false)")
        return tuple((name, athena_type(kind)) for name, kind, *_ in rows.fetchall())


def _folders(key: str, depth: int) -> list[str]:
    return key.split("/")[depth:-1]
