"""The types of Athena SQL (Trino's), how they convert to each other, and what DuckDB calls them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lakehead.catalog.athena_types import split_arguments


@dataclass(frozen=True, slots=True)
class Type:
    """A type by Trino's name.

    `args`: precision and scale of a decimal, precision of a timestamp, zone of a timestamp with time zone, the element
    type of an array, key and value types of a map, and the (name, type) pairs of a row.
    """

    name: str
    args: tuple[Any, ...] = ()

    def __str__(self) -> str:
        if self.name == "row":
            return f"row({', '.join(f'{name} {kind}' for name, kind in self.args)})"
        if self.name == "timestamptz":
            return "timestamp(3) with time zone"
        return f"{self.name}({', '.join(map(str, self.args))})" if self.args else self.name

    @property
    def athena(self) -> str:
        """The name that Athena's result metadata gives it: `varchar`, `decimal(12,2)`, `timestamp`, `array`, ..."""
        if self.name == "decimal":
            return f"decimal({self.args[0]},{self.args[1]})"
        if self.name == "timestamptz":
            return "timestamp with time zone"
        return {"real": "float", "unknown": "varchar"}.get(self.name, self.name)

    @property
    def duckdb(self) -> str:
        """The DuckDB type that holds its values."""
        if self.name == "decimal":
            return f"DECIMAL({self.args[0]},{self.args[1]})"
        if self.name == "array":
            return f"{self.args[0].duckdb}[]"
        if self.name == "map":
            return f"MAP({self.args[0].duckdb}, {self.args[1].duckdb})"
        if self.name == "row":
            fields = (f'"{name.replace(chr(34), chr(34) * 2)}" {kind.duckdb}' for name, kind in self.args)
            return f"STRUCT({', '.join(fields)})"
        return _DUCKDB[self.name]

    @property
    def is_integer(self) -> bool:
        """tinyint, smallint, integer or bigint."""
        return self.name in INTEGERS

    @property
    def is_exact(self) -> bool:
        """An integer or a decimal."""
        return self.is_integer or self.name == "decimal"

    @property
    def is_float(self) -> bool:
        """real or double."""
        return self.name in ("real", "double")

    @property
    def is_number(self) -> bool:
        """Anything to calculate with."""
        return self.is_exact or self.is_float

    @property
    def is_time(self) -> bool:
        """A date or a timestamp, with a zone or without."""
        return self.name in ("date", "timestamp", "timestamptz")

    def as_decimal(self) -> Type:
        """The decimal that holds every value of an exact number."""
        return decimal(_DIGITS[self.name], 0) if self.is_integer else self


INTEGERS = ("tinyint", "smallint", "integer", "bigint")
_DIGITS = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19}
_DUCKDB = {
    "unknown": "VARCHAR",
    "boolean": "BOOLEAN",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double": "DOUBLE",
    "varchar": "VARCHAR",
    "varbinary": "BLOB",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "interval day to second": "INTERVAL",
    "interval year to month": "INTERVAL",
    "json": "VARCHAR",
}

UNKNOWN = Type("unknown")
BOOLEAN = Type("boolean")
INTEGER = Type("integer")
BIGINT = Type("bigint")
REAL = Type("real")
DOUBLE = Type("double")
VARCHAR = Type("varchar")
VARBINARY = Type("varbinary")
DATE = Type("date")
TIMESTAMP = Type("timestamp", (3,))
TIMESTAMPTZ = Type("timestamptz", ("UTC",))
DAY_INTERVAL = Type("interval day to second")
YEAR_INTERVAL = Type("interval year to month")
JSON = Type("json")


def decimal(precision: int, scale: int) -> Type:
    """`decimal(precision,scale)`, with at most 38 digits."""
    return Type("decimal", (min(38, precision), scale))


def array(element: Type) -> Type:
    """`array(element)`."""
    return Type("array", (element,))


def map_of(key: Type, value: Type) -> Type:
    """`map(key, value)`."""
    return Type("map", (key, value))


_NAMES = {
    "boolean": BOOLEAN,
    "tinyint": Type("tinyint"),
    "smallint": Type("smallint"),
    "int": INTEGER,
    "integer": INTEGER,
    "bigint": BIGINT,
    "float": REAL,
    "real": REAL,
    "double": DOUBLE,
    "string": VARCHAR,
    "varchar": VARCHAR,
    "binary": VARBINARY,
    "varbinary": VARBINARY,
    "date": DATE,
    "timestamp": TIMESTAMP,
    "json": JSON,
}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


def from_glue(name: str) -> Type:
    """A catalog column's type, `array<decimal(12,2)>`."""
    if name in _NAMES:
        return _NAMES[name]
    if match := _DECIMAL.fullmatch(name):
        return decimal(int(match[1]), int(match[2]))
    inner = name[name.index("<") + 1 : -1] if "<" in name else ""
    if name.startswith("array<"):
        return array(from_glue(inner))
    if name.startswith("map<"):
        key, value = split_arguments(inner)
        return map_of(from_glue(key), from_glue(value))
    if name.startswith("struct<"):
        fields = (one.partition(":") for one in split_arguments(inner))
        return Type("row", tuple((field, from_glue(kind)) for field, _, kind in fields))
    return VARCHAR


def common_type(left: Type, right: Type) -> Type | None:
    """The type that both convert to without being asked; None where Athena refuses to mix them."""
    if left == right or right is UNKNOWN:
        return left
    if left is UNKNOWN:
        return right
    if left.is_number and right.is_number:
        return _common_number(left, right)
    if left.name == right.name:
        if left.name == "timestamp":
            return Type("timestamp", (max(left.args[0], right.args[0]),))
        if left.name in ("array", "map"):
            parts = [common_type(one, other) for one, other in zip(left.args, right.args, strict=True)]
            return Type(left.name, tuple(parts)) if all(parts) else None
        return None
    names = {left.name, right.name}
    if names == {"date", "timestamp"}:
        return left if left.name == "timestamp" else right
    if names <= {"date", "timestamp", "timestamptz"}:
        return left if left.name == "timestamptz" else right
    return None


def _common_number(left: Type, right: Type) -> Type:
    if left.is_integer and right.is_integer:
        return max(left, right, key=lambda one: INTEGERS.index(one.name))
    if left.is_float or right.is_float:
        only_real = {left.name, right.name} <= {"real", *INTEGERS, "decimal"}
        return REAL if only_real else DOUBLE
    (p1, s1), (p2, s2) = left.as_decimal().args, right.as_decimal().args
    scale = max(s1, s2)
    return decimal(max(p1 - s1, p2 - s2) + scale, scale)


def common_of(kinds: Iterable[Type]) -> Type | None:
    """The type that all convert to; None where there is none."""
    found: Type | None = UNKNOWN
    for kind in kinds:
        found = common_type(found, kind) if found is not None else None
    return found
