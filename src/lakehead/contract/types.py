"""From the standard's logicalType and physicalType to the type of a column."""

from __future__ import annotations

import re
from typing import Any

from lakehead.contract.document import Document, Place, nearest, shown
from lakehead.contract.model import ColumnType, Kind

_PLAIN = {
    "varchar": ColumnType.of(Kind.STRING),
    "string": ColumnType.of(Kind.STRING),
    "text": ColumnType.of(Kind.STRING),
    "smallint": ColumnType.integer("smallint"),
    "short": ColumnType.integer("smallint"),
    "int": ColumnType.integer("integer"),
    "integer": ColumnType.integer("integer"),
    "bigint": ColumnType.integer("bigint"),
    "long": ColumnType.integer("bigint"),
    "double": ColumnType.of(Kind.DOUBLE),
    "double precision": ColumnType.of(Kind.DOUBLE),
    "boolean": ColumnType.of(Kind.BOOLEAN),
    "bool": ColumnType.of(Kind.BOOLEAN),
    "date": ColumnType.of(Kind.DATE),
    "timestamp": ColumnType.of(Kind.TIMESTAMP),
    "datetime": ColumnType.of(Kind.TIMESTAMP),
}
_DEFAULT = {
    "string": ColumnType.of(Kind.STRING),
    "integer": ColumnType.integer("bigint"),
    "boolean": ColumnType.of(Kind.BOOLEAN),
    "date": ColumnType.of(Kind.DATE),
    "timestamp": ColumnType.of(Kind.TIMESTAMP),
}
_FAMILIES = {
    "string": (Kind.STRING,),
    "integer": (Kind.INTEGER, Kind.DECIMAL),
    "number": (Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE),
    "boolean": (Kind.BOOLEAN,),
    "date": (Kind.DATE,),
    "timestamp": (Kind.TIMESTAMP,),
}
_INTEGER_FORMATS = {"i16": "smallint", "i32": "integer", "i64": "bigint"}


def column_type(document: Document, place: Place, entry: dict[str, Any]) -> ColumnType:
    """The type that a property asks for. Raises UnsupportedContract for one that cannot be run."""
    logical, physical = entry.get("logicalType"), entry.get("physicalType")
    if logical in ("object", "array", "time"):
        hint = {"time": "Use logicalType: string with a pattern."}.get(logical, "A CSV column holds one value.")
        raise document.unsupported((*place, "logicalType"), f"logicalType {logical} is not supported", hint)
    if physical is not None:
        found = parse_type(document, (*place, "physicalType"), physical)
        if logical is not None and (found.kind not in _FAMILIES[logical] or (logical == "integer" and found.scale)):
            message = f"logicalType {logical} and physicalType {physical} do not go together"
            raise document.unsupported((*place, "physicalType"), message)
        return found
    if logical is None:
        raise document.unsupported(place, "the property has neither logicalType nor physicalType")
    options = entry.get("logicalTypeOptions", {})
    if logical == "number":
        if options.get("format") == "f64":
            return ColumnType.of(Kind.DOUBLE)
        hint = "Say physicalType: decimal(12,2), which is exact, or double, which is not."
        raise document.unsupported(place, "a number needs a physicalType", hint)
    if logical == "integer" and options.get("format") in _INTEGER_FORMATS:
        return ColumnType.integer(_INTEGER_FORMATS[options["format"]])
    return _DEFAULT[logical]


def parse_type(document: Document, place: Place, physical: str) -> ColumnType:
    """Read a physicalType: case and spaces do not matter."""
    written = re.sub(r"\s*([(),])\s*", r"\1", " ".join(physical.lower().split()))
    if written in _PLAIN:
        return _PLAIN[written]
    if numbers := re.fullmatch(r"(?:decimal|numeric)\(([0-9]{1,3})(?:,([0-9]{1,3}))?\)", written):
        precision, scale = int(numbers[1]), int(numbers[2] or 0)
        if not (1 <= precision <= 38 and scale <= precision):
            raise document.unsupported(place, f"{shown(physical)}: 1 <= precision <= 38 and scale <= precision")
        return ColumnType.decimal(precision, scale)
    if length := re.fullmatch(r"(?:varchar|char|character varying)\(([0-9]{1,9})\)", written):
        return ColumnType.of(Kind.STRING, length=int(length[1]))
    if written in ("decimal", "numeric"):
        raise document.unsupported(place, f"{physical} needs its digits", "For example decimal(12,2).")
    raise document.unsupported(
        place, f"physicalType {shown(physical)} is not supported", nearest(written, [*_PLAIN, "decimal(12,2)"])
    )
