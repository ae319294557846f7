"""Athena's type names: from what a Parquet file or an engine calls a type, and the type that holds two of them."""

from __future__ import annotations

import re
from functools import reduce

_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_DIGITS = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}
_MAX_PRECISION = 38
_NAMES = {
    "varchar": "string",
    "text": "string",
    "string": "string",
    "char": "string",
    "uuid": "string",
    "json": "string",
    "integer": "int",
    "int": "int",
    "int4": "int",
    "int32": "int",
    "long": "bigint",
    "bigint": "bigint",
    "int8": "bigint",
    "int64": "bigint",
    "smallint": "smallint",
    "short": "smallint",
    "int16": "smallint",
    "tinyint": "tinyint",
    "uinteger": "bigint",
    "usmallint": "int",
    "utinyint": "smallint",
    "ubigint": "decimal(20,0)",
    "hugeint": "decimal(38,0)",
    "double": "double",
    "float": "float",
    "real": "float",
    "boolean": "boolean",
    "bool": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "timestamp_s": "timestamp",
    "timestamp_ms": "timestamp",
    "timestamp_us": "timestamp",
    "timestamp_ns": "timestamp",
    "datetime": "timestamp",
    "timestamptz": "timestamp",
    "timestamp_ntz": "timestamp",
    "timestamp with time zone": "timestamp",
    "time": "string",
    "blob": "binary",
    "binary": "binary",
    "varbinary": "binary",
}
_DECIMAL = re.compile(r"(?:decimal|numeric)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?")
_STRUCT = re.compile(r"(?:struct|row)\s*[(<](.*)[)>]", re.DOTALL)
_MAP = re.compile(r"map\s*[(<](.*)[)>]", re.DOTALL)


def athena_type(name: str) -> str:
    """The Athena (Glue) name of a DuckDB, Spark, Parquet or SQL type: `VARCHAR[]` is `array<string>`.

    A timestamp with a zone becomes `timestamp`, in UTC, because Parquet tables of Athena have no zones. A type nobody
    knows is `string`: Glue never fails a crawl over a type either.
    """
    text = name.strip().lower()
    if text.endswith("[]"):
        return f"array<{athena_type(text[:-2])}>"
    if text.startswith(("array<", "array(")):
        return f"array<{athena_type(text[6:-1])}>"
    if match := _DECIMAL.fullmatch(text):
        return f"decimal({match[1] or 18},{match[2] or (0 if match[1] else 3)})"
    if match := _MAP.fullmatch(text):
        key, value = split_arguments(match[1])
        return f"map<{athena_type(key)},{athena_type(value)}>"
    if match := _STRUCT.fullmatch(text):
        fields = (_field(part) for part in split_arguments(match[1]))
        return "struct<" + ",".join(f"{field}:{athena_type(kind)}" for field, kind in fields) + ">"
    return _NAMES.get(text.split("(")[0].strip() if text.startswith(("varchar", "char")) else text, "string")


def merge_types(left: str, right: str) -> str:
    """The type that can hold both without loss; `string` where only text can."""
    if left == right:
        return left
    if left in _INTEGERS and right in _INTEGERS:
        return max(left, right, key=_INTEGERS.index)
    if "string" in (left, right):
        return "string"
    first, second = _as_decimal(left), _as_decimal(right)
    if first and second:
        scale = max(first[1], second[1])
        digits = max(first[0] - first[1], second[0] - second[1])
        return f"decimal({digits + scale},{scale})" if digits + scale <= _MAX_PRECISION else "double"
    numbers = {"float", "double"}
    if (left in numbers or first) and (right in numbers or second):
        return "double"
    if {left, right} == {"date", "timestamp"}:
        return "timestamp"
    return "string"


def merge_columns(schemas: list[tuple[tuple[str, str], ...]]) -> tuple[tuple[str, str], ...]:
    """All columns of all schemas, the first one's first (Glue's MergeNewColumns), each with a type that holds all."""
    found: dict[str, list[str]] = {}
    for schema in schemas:
        for name, kind in schema:
            found.setdefault(name, []).append(kind)
    return tuple((name, reduce(merge_types, kinds)) for name, kinds in found.items())


def split_arguments(text: str) -> list[str]:
    """Cut at the commas that stand outside brackets and quotes."""
    parts, depth, start, quoted = [], 0, 0, False
    for index, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in "(<[":
            depth += 1
        elif char in ")>]":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    parts.append(text[start:].strip())
    return parts


def _field(text: str) -> tuple[str, str]:
    if text.startswith('"'):
        name, _, kind = text[1:].partition('"')
        return name, kind.strip(" :")
    name, _, kind = text.replace(":", " ", 1).partition(" ")
    return name, kind


def _as_decimal(kind: str) -> tuple[int, int] | None:
    if kind in _DIGITS:
        return _DIGITS[kind], 0
    match = _DECIMAL.fullmatch(kind)
    return (int(match[1]), int(match[2] or 0)) if match and match[1] else None
