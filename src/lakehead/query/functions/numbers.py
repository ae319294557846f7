"""Functions of numbers, and those that choose between values."""

from __future__ import annotations

from lakehead.query.bound import Bound, trying, unsupported
from lakehead.query.casts import coerce
from lakehead.query.expression_parts import choose
from lakehead.query.functions.calls import Call, Function, boolean, constant, doubles
from lakehead.query.operators import arithmetic, compare
from lakehead.query.types import BIGINT, BOOLEAN, DOUBLE, UNKNOWN, VARCHAR, decimal


def _number(call: Call, index: int = 0) -> Bound:
    value = call.arg(index)
    if not value.type.is_number:
        if value.type == UNKNOWN:
            return coerce(value, DOUBLE)
        raise call.fault(f"wants a number, not a {value.type}")
    return value


def _abs(call: Call) -> Bound:
    call.need(1)
    value = _number(call)
    return call.give(f"CAST(abs({value.sql}) AS {value.type.duckdb})", value.type)


def _sign(call: Call) -> Bound:
    call.need(1)
    value = _number(call)
    kind = decimal(1, 0) if value.type.name == "decimal" else value.type
    return call.give(f"CAST(sign({value.sql}) AS {kind.duckdb})", kind)


def _whole(name: str) -> Function:
    """floor and ceiling: an integer stays, a decimal loses its scale."""

    def bind(call: Call) -> Bound:
        call.need(1)
        value = _number(call)
        kind = value.type
        if kind.name == "decimal":
            precision, scale = kind.args
            kind = decimal(max(1, precision - scale + min(scale, 1)), 0)
        return call.give(f"CAST({name}({value.sql}) AS {kind.duckdb})", kind)

    return bind


def _round(call: Call) -> Bound:
    """Halves go away from zero. A decimal that is rounded to some digits keeps its scale."""
    call.need(1, 2)
    value = _number(call)
    kind = value.type
    digits = f"CAST({call.whole(1)} AS INTEGER)" if len(call.args) > 1 else "0"
    if len(call.args) > 1 and not (call.arg(1).constant and call.arg(1).type.is_integer):
        raise unsupported("round to a number of digits that is not written out", call.node)
    if kind.name == "decimal":
        precision, scale = kind.args
        if len(call.args) == 1:
            kind = decimal(max(1, precision - scale + min(scale, 1)), 0)
        else:
            kind = decimal(precision + 1, scale)
    return call.give(f"CAST(round({value.sql}, {digits}) AS {kind.duckdb})", kind)


def _truncate(call: Call) -> Bound:
    call.need(1, 2)
    value = _number(call)
    kind = value.type
    if len(call.args) > 1:
        if kind.name != "decimal" or not call.arg(1).constant:
            raise unsupported("truncate of this kind", call.node)
        return call.give(f"CAST(trunc({value.sql}, CAST({call.whole(1)} AS INTEGER)) AS {kind.duckdb})", kind)
    if kind.name == "decimal":
        kind = decimal(max(1, kind.args[0] - kind.args[1]), 0)
    return call.give(f"CAST(trunc({value.sql}) AS {kind.duckdb})", kind)


def _mod(call: Call) -> Bound:
    call.need(2)
    return arithmetic("mod", call.arg(0), call.arg(1), call.node)


def _log(call: Call) -> Bound:
    call.need(2)
    return call.give(f"(ln({call.double(1)}) / ln({call.double(0)}))", DOUBLE)


def _extreme(name: str, sign: str) -> Function:
    """greatest and least: null where one argument is null."""

    def bind(call: Call) -> Bound:
        if not call.args:
            raise call.fault("takes at least one argument")
        values, kind = call.alike()
        compare(sign, values[0], values[0], call.node)
        nulls = " OR ".join(f"{value.sql} IS NULL" for value in values)
        listed = ", ".join(value.sql for value in values)
        return call.give(f"CASE WHEN {nulls} THEN NULL ELSE {name}({listed}) END", kind)

    return bind


def _coalesce(call: Call) -> Bound:
    if not call.args:
        raise call.fault("takes at least one argument")
    values, kind = call.alike()
    return call.give(f"coalesce({', '.join(value.sql for value in values)})", kind)


def _nullif(call: Call) -> Bound:
    call.need(2)
    same = compare("=", call.arg(0), call.arg(1), call.node)
    value = call.arg(0)
    return call.give(f"CASE WHEN {same.sql} THEN NULL ELSE {value.sql} END", value.type)


def _if(call: Call) -> Bound:
    call.need(2, 3)
    if call.arg(0).type not in (BOOLEAN, UNKNOWN):
        raise call.fault("wants a boolean first")
    default = call.arg(2) if len(call.args) > 2 else Bound("NULL", UNKNOWN, constant=True)
    return choose([call.arg(0)], [call.arg(1), default], call.node)


def _try(call: Call) -> Bound:
    if len(call.node.expressions) != 1:
        raise call.fault("takes one argument")
    with trying():
        value = call.binder.bind(call.node.expressions[0])
    return value.with_type(f"TRY({value.sql})", value.type)


def _typeof(call: Call) -> Bound:
    call.need(1)
    value = call.arg(0)
    if value.literal is not None:
        return call.give(f"'varchar({len(value.literal)})'", VARCHAR)
    return call.give("'" + str(value.type).replace(", ", ",") + "'", VARCHAR)


def _random(call: Call) -> Bound:
    if call.args:
        raise unsupported("random with a range", call.node)
    return Bound("random()", DOUBLE)


def _safe_log(name: str) -> Function:
    """Java answers NaN and -Infinity where DuckDB would raise."""
    return doubles(
        f"CASE WHEN {{0}} < 0 THEN CAST('nan' AS DOUBLE) WHEN {{0}} = 0 THEN CAST('-inf' AS DOUBLE)"
        f" ELSE {name}({{0}}) END"
    )


def _bits(name: str, sign: str) -> Function:
    def bind(call: Call) -> Bound:
        call.need(2)
        return call.give(f"({call.whole(0)} {sign} {call.whole(1)})", BIGINT)

    bind.__name__ = name
    return bind


def _float_check(template: str) -> Function:
    def bind(call: Call) -> Bound:
        call.need(1)
        return boolean(template.format(call.double(0)), call)

    return bind


NUMBERS: dict[str, Function] = {
    "abs": _abs,
    "sign": _sign,
    "ceil": _whole("ceil"),
    "ceiling": _whole("ceil"),
    "floor": _whole("floor"),
    "round": _round,
    "truncate": _truncate,
    "mod": _mod,
    "power": doubles("pow({0}, {1})", 2),
    "pow": doubles("pow({0}, {1})", 2),
    "sqrt": doubles("CASE WHEN {0} < 0 THEN CAST('nan' AS DOUBLE) ELSE sqrt({0}) END"),
    "cbrt": doubles("cbrt({0})"),
    "exp": doubles("exp({0})"),
    "ln": _safe_log("ln"),
    "log2": _safe_log("log2"),
    "log10": _safe_log("log10"),
    "log": _log,
    "sin": doubles("sin({0})"),
    "cos": doubles("cos({0})"),
    "tan": doubles("tan({0})"),
    "atan": doubles("atan({0})"),
    "atan2": doubles("atan2({0}, {1})", 2),
    "degrees": doubles("degrees({0})"),
    "radians": doubles("radians({0})"),
    "pi": constant("pi()", DOUBLE),
    "e": constant("exp(CAST(1 AS DOUBLE))", DOUBLE),
    "nan": constant("CAST('nan' AS DOUBLE)", DOUBLE),
    "infinity": constant("CAST('inf' AS DOUBLE)", DOUBLE),
    "is_nan": _float_check("isnan({0})"),
    "is_finite": _float_check("isfinite({0})"),
    "is_infinite": _float_check("isinf({0})"),
    "rand": _random,
    "random": _random,
    "greatest": _extreme("greatest", ">"),
    "least": _extreme("least", "<"),
    "bitwise_and": _bits("bitwise_and", "&"),
    "bitwise_or": _bits("bitwise_or", "|"),
    "coalesce": _coalesce,
    "nullif": _nullif,
    "if": _if,
    "try": _try,
    "typeof": _typeof,
}
