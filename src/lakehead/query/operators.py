"""Arithmetic and comparison as Athena does them: the types, the scales, the rounding, the errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehead.query.bound import Bound, fault, text_sql, unsupported
from lakehead.query.casts import alike, as_text, coerce, wall
from lakehead.query.types import BOOLEAN, DATE, VARCHAR, Type, common_type, decimal

if TYPE_CHECKING:
    from sqlglot import exp

MACROS = (
    # Integer division that rounds halves away from zero, as Trino divides decimals.
    "CREATE MACRO athena_ratio(n, d) AS (n // d) + CASE WHEN abs(n % d) >= abs(d) - abs(n % d)"
    " THEN sign(n) * sign(d) ELSE 0 END",
)

ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%"}
COMPARISONS = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_MAX_DIGITS = 38


def arithmetic(kind: str, left: Bound, right: Bound, node: exp.Expr) -> Bound:
    """`left + right` and the like. Raises QueryError for types that Athena does not calculate with."""
    if _is_interval(left) or _is_interval(right):
        return _shift(kind, left, right, node)
    if left.type.is_time and right.type.is_time and kind == "sub":
        raise unsupported("subtracting dates", node, "Use date_diff('day', from, to).")
    common = common_type(left.type, right.type)
    if common is None or not (common.is_number or common.name == "unknown"):
        raise fault(f"{left.type} {ARITHMETIC[kind]} {right.type} cannot be calculated", node, "CAST one of them.")
    constant = left.constant and right.constant
    if common.name == "decimal":
        sql, result = _decimal(kind, left, right, node)
        return Bound(sql, result, constant=constant)
    left, right = coerce(left, common), coerce(right, common)
    sign = "//" if kind == "div" and common.is_integer else ARITHMETIC[kind]
    if common.name == "unknown":
        return Bound("NULL", common, constant=True)
    # An integer's result keeps its type, so an overflow is an error, as in Athena.
    return Bound(f"CAST({left.sql} {sign} {right.sql} AS {common.duckdb})", common, constant=constant)


def _decimal(kind: str, left: Bound, right: Bound, node: exp.Expr) -> tuple[str, Type]:
    """The rules of Trino's DecimalOperators; the result is exact or an error."""
    one, other = left.type, right.type
    if one.name == "unknown" or other.name == "unknown":
        known = other if one.name == "unknown" else one
        return f"CAST(NULL AS {known.duckdb})", known
    (p1, s1), (p2, s2) = one.as_decimal().args, other.as_decimal().args
    scale = max(s1, s2)
    if kind in ("add", "sub"):
        result = decimal(max(p1 - s1, p2 - s2) + scale + 1, scale)
        a, b = (f"CAST({value.sql} AS {result.duckdb})" for value in (left, right))
        return f"CAST({a} {ARITHMETIC[kind]} {b} AS {result.duckdb})", result
    if kind == "mul":
        if s1 + s2 > _MAX_DIGITS:
            raise fault(f"{one} * {other} has more than 38 digits behind the point", node, "CAST one of them.")
        result = decimal(p1 + p2, s1 + s2)
        a, b = f"CAST({left.sql} AS DECIMAL(38,{s1}))", f"CAST({right.sql} AS DECIMAL(38,{s2}))"
        return f"CAST({a} * {b} AS {result.duckdb})", result
    if kind == "div":
        return decimal_ratio(left, right)
    result = decimal(min(p1 - s1, p2 - s2) + scale, scale)
    a, b = (f"CAST({value.sql} AS DECIMAL(38,{scale}))" for value in (left, right))
    return f"CAST({a} % {b} AS {result.duckdb})", result


def decimal_ratio(left: Bound, right: Bound, result: Type | None = None) -> tuple[str, Type]:
    """A division of exact numbers, rounded half away from zero to Trino's scale (or to that of `result`)."""
    (p1, s1), (_, s2) = left.type.as_decimal().args, right.type.as_decimal().args
    kind = result or decimal(p1 + s2 + max(0, s2 - s1), max(s1, s2))
    scale = kind.args[1]
    # unscaled(result) = unscaled(left) * 10^(scale - s1 + s2) / unscaled(right)
    sql = f"athena_ratio({_unscaled(left.sql, s1, scale - s1 + s2)}, {_unscaled(right.sql, s2, 0)})"
    return f"CAST({_scaled(sql, scale)} AS {kind.duckdb})", kind


def _unscaled(sql: str, scale: int, shift: int) -> str:
    digits = f"CAST({sql} AS DECIMAL(38,{scale}))"
    if scale + shift:
        digits = f"CAST({digits} * CAST({10 ** (scale + shift)} AS DECIMAL(38,0)) AS DECIMAL(38,{scale}))"
    return f"CAST({digits} AS HUGEINT)"


def _scaled(sql: str, scale: int) -> str:
    if not scale:
        return sql
    return f"CAST({sql} AS DECIMAL(38,0)) * CAST('{'0.' + '0' * (scale - 1) + '1'}' AS DECIMAL({scale},{scale}))"


def _is_interval(value: Bound) -> bool:
    return value.type.name.startswith("interval")


def _shift(kind: str, left: Bound, right: Bound, node: exp.Expr) -> Bound:
    """A date or timestamp, moved by an interval."""
    if kind == "add" and _is_interval(left):
        left, right = right, left
    if kind not in ("add", "sub") or not left.type.is_time:
        raise unsupported(f"{left.type} {ARITHMETIC.get(kind, kind)} {right.type}", node)
    return moved(left, f"{ARITHMETIC[kind]} {right.sql}")


def moved(moment: Bound, change: str) -> Bound:
    """A date or timestamp with an interval added; its type stays, and so does the zone's wall clock for days."""
    sql = f"({wall(moment)} {change})"
    if moment.type == DATE:
        sql = f"CAST({sql} AS DATE)"
    elif moment.type.name == "timestamptz":
        sql = f"timezone({text_sql(moment.type.args[0])}, {sql})"
    return moment.with_type(sql, moment.type)


def compare(sign: str, left: Bound, right: Bound, node: exp.Expr) -> Bound:
    """A comparison. A date partition column also compares with text: Athena holds such a column as a string."""
    constant = left.constant and right.constant
    left, right = key_as_date(left, right)
    (left, right), kind = alike([left, right], node, "a comparison")
    if kind.name == "map":
        raise unsupported("comparing maps", node)
    return Bound(f"({left.sql} {sign} {right.sql})", BOOLEAN, constant=constant)


def key_as_date(left: Bound, right: Bound) -> tuple[Bound, Bound]:
    """Where a date partition column meets the text of a whole date, compare as dates: that also selects files."""
    for key, other, swapped in ((left, right, False), (right, left, True)):
        if key.key and other.literal is not None and _is_date(other.literal):
            date = Bound(f"CAST({text_sql(other.literal)} AS DATE)", DATE, constant=True)
            return (date, key) if swapped else (key, date)
    return left, right


def _is_date(text: str) -> bool:
    from datetime import date

    try:
        # Only the canonical text: as strings, '2025-1-1' and '20250101' equal no partition.
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def join_text(left: Bound, right: Bound, node: exp.Expr) -> Bound:
    """`left || right`: texts or arrays; null where one of them is."""
    constant = left.constant and right.constant
    if left.type.name == "array" or right.type.name == "array":
        (left, right), kind = alike([left, right], node, "||")
        empty = (
            f"CASE WHEN {left.sql} IS NULL OR {right.sql} IS NULL THEN NULL ELSE list_concat({left.sql}, {right.sql})"
        )
        return Bound(f"{empty} END", kind, constant=constant)
    left, right = as_text(left, node, "||"), as_text(right, node, "||")
    return Bound(f"({left.sql} || {right.sql})", VARCHAR, constant=constant)
