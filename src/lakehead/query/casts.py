"""Conversions: those that Athena makes by itself, and CAST, with Athena's rules and not DuckDB's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehead.query.bound import Bound, failure, fault, text_sql, unsupported
from lakehead.query.types import BOOLEAN, VARCHAR, Type, common_type

if TYPE_CHECKING:
    from sqlglot import exp

MACROS = (
    # Java's scientific notation of the shortest digits: 1.5E0, 1.0E-7 (Trino casts doubles to varchar so).
    "CREATE MACRO athena_digits(s) AS replace(split_part(s, 'e', 1), '.', '')",
    "CREATE MACRO athena_exponent(s) AS coalesce(TRY_CAST(nullif(split_part(s, 'e', 2), '') AS INTEGER), 0)"
    " + length(split_part(split_part(s, 'e', 1), '.', 1)) - 1"
    " - (length(athena_digits(s)) - length(ltrim(athena_digits(s), '0')))",
    "CREATE MACRO athena_mantissa(d) AS left(d, 1) || '.' || CASE WHEN length(d) > 1 THEN substr(d, 2) ELSE '0' END",
    "CREATE MACRO athena_number_text(x) AS CASE WHEN isnan(x) THEN 'NaN' WHEN isinf(x) THEN"
    " CASE WHEN x > 0 THEN 'Infinity' ELSE '-Infinity' END WHEN x = 0 THEN"
    " CASE WHEN left(CAST(x AS VARCHAR), 1) = '-' THEN '-0E0' ELSE '0E0' END"
    " ELSE CASE WHEN x < 0 THEN '-' ELSE '' END"
    " || athena_mantissa(trim(athena_digits(CAST(abs(x) AS VARCHAR)), '0'))"
    " || 'E' || athena_exponent(CAST(abs(x) AS VARCHAR)) END",
)

_INTEGER = "[+-]?[0-9]+"
_PATTERNS = {
    "decimal": "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?",
    "date": r"\s*[+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}\s*",
    "timestamp": r"\s*[+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}( [0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}([.][0-9]+)?)?)?\s*",
    "double": r"\s*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?[dDfF]?\s*|[+-]?(NaN|Infinity)",
}
_FRACTION = {0: "", 1: ".%g", 2: ".%g", 3: ".%g", 6: ".%f"}


def coerce(value: Bound, kind: Type) -> Bound:
    """The value as another type that Athena converts it to by itself (common_type says which)."""
    if value.type == kind:
        return value
    if value.type.name == "timestamptz" and kind.name == "timestamptz":
        return value.with_type(value.sql, kind)
    if kind.name == "timestamptz":
        return value.with_type(f"timezone({text_sql(kind.args[0])}, CAST({value.sql} AS TIMESTAMP))", kind)
    if value.type.duckdb == kind.duckdb and value.type.name != "unknown":
        return Bound(value.sql, kind, constant=value.constant, literal=value.literal)
    return value.with_type(f"CAST({value.sql} AS {kind.duckdb})", kind)


def as_text(value: Bound, node: exp.Expr, what: str) -> Bound:
    """The value where a varchar is wanted. Raises QueryError for another type."""
    if value.type == VARCHAR:
        return value
    if value.type.name == "unknown" or value.key:
        return value.with_type(f"CAST({value.sql} AS VARCHAR)", VARCHAR)
    raise fault(f"{what} wants a varchar, not a {value.type}", node, "CAST(... AS varchar) makes one.")


def as_type(value: Bound, kind: Type, node: exp.Expr, what: str) -> Bound:
    """The value where a type is wanted that it may convert to by itself. Raises QueryError where it does not."""
    if kind == VARCHAR:
        return as_text(value, node, what)
    if common_type(value.type, kind) != kind:
        raise fault(f"{what} wants a {kind}, not a {value.type}", node)
    return coerce(value, kind)


def alike(values: list[Bound], node: exp.Expr, what: str) -> tuple[list[Bound], Type]:
    """The values as one type, and that type. Raises QueryError where Athena refuses to mix them."""
    values = keys_as_text(values)
    kind: Type | None = values[0].type
    for value in values[1:]:
        left, kind = kind, common_type(kind, value.type) if kind else None
        if kind is None:
            raise fault(f"{what} cannot mix {left} and {value.type}", node, "CAST one of them.")
    assert kind is not None
    return [coerce(value, kind) for value in values], kind


def keys_as_text(values: list[Bound]) -> list[Bound]:
    """Date partition columns beside text answer as the strings that they are in Athena."""
    if not any(value.key for value in values) or not any(value.type == VARCHAR for value in values):
        return values
    return [value.with_type(f"CAST({value.sql} AS VARCHAR)", VARCHAR) if value.key else value for value in values]


def cast(value: Bound, kind: Type, node: exp.Expr, *, length: int | None = None, safe: bool = False) -> Bound:
    """CAST, or TRY_CAST with `safe`. `length` is that of a `varchar(n)`."""
    source = value.type
    if source.name == "unknown":
        return value.with_type(f"CAST({value.sql} AS {kind.duckdb})", kind)
    if source == kind and length is None:
        return value
    sql = _cast_sql(value, kind, node, safe=safe)
    if length is not None and kind == VARCHAR:
        sql = f"left({sql}, {length})"
    return value.with_type(sql, kind)


def _cast_sql(value: Bound, kind: Type, node: exp.Expr, *, safe: bool) -> str:
    source, sql = value.type, value.sql
    if kind == VARCHAR:
        return _to_text(value, node)
    if source == VARCHAR:
        return _from_text(sql, kind, node, safe=safe)
    if kind.name == "timestamptz" and source.is_time:
        return coerce(value, Type("timestamptz", ("UTC",))).sql
    if source.name == "timestamptz" and kind.name in ("date", "timestamp"):
        return f"CAST({wall(value)} AS {kind.duckdb})"
    allowed = (
        ((source.is_number or source == BOOLEAN) and (kind.is_number or kind == BOOLEAN))
        or (source.is_time and kind.is_time)
        or (source.name == kind.name and source.name in ("array", "map", "row"))
    )
    if not allowed:
        raise fault(f"a {source} cannot be cast to {kind}", node)
    name = "TRY_CAST" if safe else "CAST"
    if source.is_float and kind.is_exact:
        # Java rounds halves away from zero; DuckDB's cast rounds them to the even neighbour.
        scale = kind.args[1] if kind.name == "decimal" else 0
        return f"{name}(round({sql}, {scale}) AS {kind.duckdb})"
    if source.name in ("array", "map", "row") and _holds_floats(source):
        raise unsupported(f"CAST of {source} to {kind}", node)
    return f"{name}({sql} AS {kind.duckdb})"


def wall(value: Bound) -> str:
    """A date or timestamp as the clock on the wall shows it: a DuckDB DATE or TIMESTAMP."""
    if value.type.name == "timestamptz":
        return f"timezone({text_sql(value.type.args[0])}, {value.sql})"
    return value.sql


def timestamp_text(value: Bound, node: exp.Expr) -> str:
    """A timestamp as Athena casts it to varchar, with as many digits of a second as its type has."""
    digits = value.type.args[0] if value.type.name == "timestamp" else 3
    if digits not in _FRACTION:
        raise unsupported(f"the text of a {value.type}", node)
    text = f"strftime({wall(value)}, '%Y-%m-%d %H:%M:%S{_FRACTION[digits]}')"
    if digits in (1, 2):
        text = f"left({text}, {20 + digits})"
    return f"{text} || {text_sql(' ' + value.type.args[0])}" if value.type.name == "timestamptz" else text


def _to_text(value: Bound, node: exp.Expr) -> str:
    source = value.type
    if source.is_float:
        return f"athena_number_text({value.sql})"
    if source.name in ("timestamp", "timestamptz"):
        return timestamp_text(value, node)
    if source.is_exact or source.name in ("varchar", "boolean", "date", "json"):
        return f"CAST({value.sql} AS VARCHAR)"
    raise fault(f"a {source} cannot be cast to varchar", node)


def _from_text(sql: str, kind: Type, node: exp.Expr, *, safe: bool) -> str:
    if kind == BOOLEAN:
        matched = (
            f"WHEN lower({sql}) IN ('true', 't', '1') THEN true WHEN lower({sql}) IN ('false', 'f', '0') THEN false"
        )
    elif kind.name == "timestamptz":
        raise unsupported("CAST of varchar to timestamp with time zone", node, "Use from_iso8601_timestamp.")
    elif kind.is_integer or kind.name in ("decimal", "date", "timestamp", "double", "real"):
        pattern = _INTEGER if kind.is_integer else _PATTERNS["double" if kind.is_float else kind.name]
        read = f"trim({sql}, ' \t\r\n')" if not kind.is_exact else sql
        if kind.is_float:
            read = f"rtrim({read}, 'dDfF')"
            matched = f"WHEN {sql} IN ('Infinity', '+Infinity', '-Infinity', 'NaN', '+NaN', '-NaN') THEN"
            matched += f" CAST({sql} AS {kind.duckdb})"
        else:
            matched = ""
        name = "TRY_CAST" if safe else "CAST"
        matched += f" WHEN regexp_full_match({sql}, {text_sql(pattern)}) THEN {name}({read} AS {kind.duckdb})"
    else:
        raise unsupported(f"CAST of varchar to {kind}", node)
    message = f"'Cannot cast ''' || {sql} || ''' to {kind}'"
    failed = "" if safe else f" WHEN {sql} IS NOT NULL THEN {failure(message, kind)}"
    return f"CAST(CASE {matched}{failed} END AS {kind.duckdb})"


def _holds_floats(kind: Type) -> bool:
    return any(
        part.is_float or part.name in ("array", "map", "row", "timestamp")
        for part in kind.args
        if isinstance(part, Type)
    )
