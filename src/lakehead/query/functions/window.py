"""Window functions, and aggregates over a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehead.query.bound import Bound, fault, unsupported
from lakehead.query.casts import alike, as_type
from lakehead.query.functions import aggregates
from lakehead.query.types import BIGINT, DOUBLE, Type

if TYPE_CHECKING:
    from sqlglot import exp

    from lakehead.query.expressions import Expressions

_RANKS: dict[str, Type] = {
    "row_number": BIGINT,
    "rank": BIGINT,
    "dense_rank": BIGINT,
    "percent_rank": DOUBLE,
    "cume_dist": DOUBLE,
    "ntile": BIGINT,
}
_VALUES = ("lag", "lead", "first_value", "last_value", "nth_value")


def is_known(name: str) -> bool:
    """Whether this function needs a window."""
    return name in _RANKS or name in _VALUES


def bind(node: exp.Expr, binder: Expressions) -> Bound:
    """`function(...) OVER (...)`."""
    over = f" OVER ({specification(node, binder)})"
    function, nulls = node.this, ""
    if function.key in ("ignorenulls", "respectnulls"):
        nulls = " IGNORE NULLS" if function.key == "ignorenulls" else ""
        function = function.this
    condition = ""
    if function.key == "filter":
        condition = binder.condition(function.expression.this, "FILTER").sql
        function = function.this
    name = "listagg" if function.key == "groupconcat" else str(function.this).lower()
    if aggregates.is_known(name):
        return aggregates.bind(name, function, aggregates.Aggregation(binder, filter=condition, over=over))
    if not is_known(name) or condition:
        raise fault(f"{name} is no window function", node, name=name)
    args = [binder.bind(one) for one in function.expressions]
    if name in _RANKS:
        values = ", ".join(as_type(one, BIGINT, node, name).sql for one in args)
        return Bound(f"{name}({values}){over}", _RANKS[name])
    return _value(name, args, nulls, over, node)


def _value(name: str, args: list[Bound], nulls: str, over: str, node: exp.Expr) -> Bound:
    if not args:
        raise fault(f"{name} takes an argument", node, name=name)
    value, kind = args[0], args[0].type
    values = [value.sql]
    if name in ("lag", "lead", "nth_value") and len(args) > 1:
        values.append(as_type(args[1], BIGINT, node, name).sql)
    if name in ("lag", "lead") and len(args) > 2:
        (value, default), kind = alike([value, args[2]], node, name)
        values = [value.sql, values[1], default.sql]
    if len(values) != len(args):
        raise fault(f"{name} takes other arguments", node, name=name)
    return Bound(f"{name}({', '.join(values)}{nulls}){over}", kind)


def specification(node: exp.Expr, binder: Expressions) -> str:
    """What stands in the brackets of OVER."""
    named = node.args.get("alias")
    base = None
    if named is not None:
        base = binder.windows.get(named.name.lower())
        if base is None:
            raise fault(f'no window is named "{named.name}"', node, name=named.name)
    parts = node.args.get("partition_by") or (base.args.get("partition_by") if base else None) or []
    order = node.args.get("order") or (base.args.get("order") if base else None)
    frame = node.args.get("spec") or (base.args.get("spec") if base else None)
    found = []
    if parts:
        found.append("PARTITION BY " + ", ".join(binder.bind(one).sql for one in parts))
    if order is not None:
        found.append("ORDER BY " + binder.binder.order_sql(order, binder))
    if frame is not None:
        found.append(_frame(frame))
    return " ".join(found)


def _frame(frame: exp.Expr) -> str:
    if frame.args.get("exclude"):
        raise unsupported("EXCLUDE in a window", frame)
    start = _bound(frame, "start")
    if not frame.args.get("end"):
        return f"{frame.args['kind']} {start}"
    return f"{frame.args['kind']} BETWEEN {start} AND {_bound(frame, 'end')}"


def _bound(frame: exp.Expr, which: str) -> str:
    value, side = frame.args[which], frame.args.get(f"{which}_side") or ""
    if isinstance(value, str):
        return f"{value} {side}".strip()
    if value.key != "literal" or not str(value.this).isdigit():
        raise unsupported("a window frame whose bound is no whole number", frame)
    return f"{int(value.this)} {side}"
