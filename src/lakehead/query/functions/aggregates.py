"""Aggregate functions: their Athena types, and how they are told to DISTINCT, ORDER BY, FILTER and OVER."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from lakehead.query.bound import Bound, fault, unsupported
from lakehead.query.casts import as_text, as_type
from lakehead.query.operators import decimal_ratio
from lakehead.query.types import BIGINT, BOOLEAN, DOUBLE, UNKNOWN, VARCHAR, array, decimal, map_of

if TYPE_CHECKING:
    from sqlglot import exp

    from lakehead.query.expressions import Expressions


@dataclass(frozen=True, slots=True)
class Aggregation:
    """Where an aggregate stands. `filter` and `over` are SQL; `over` is that of a window."""

    binder: Expressions
    filter: str = ""
    over: str = ""


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """An aggregate with bound arguments. `order` is the SQL of its own ORDER BY."""

    name: str
    node: exp.Expr
    args: tuple[Bound, ...]
    distinct: bool
    order: str
    place: Aggregation

    def sql(self, function: str, *arguments: str, distinct: bool | None = None, condition: str = "") -> str:
        """A call of a DuckDB aggregate in the same place."""
        unique = "DISTINCT " if (self.distinct if distinct is None else distinct) else ""
        order = f" ORDER BY {self.order}" if self.order else ""
        wanted = " AND ".join(f"({one})" for one in (self.place.filter, condition) if one)
        wanted = f" FILTER (WHERE {wanted})" if wanted else ""
        return f"{function}({unique}{', '.join(arguments)}{order}){wanted}{self.place.over}"

    def need(self, least: int, most: int | None = None) -> None:
        """Check how many arguments there are."""
        most = least if most is None else most
        if not least <= len(self.args) <= most:
            raise fault(f"{self.name} takes {least} arguments, not {len(self.args)}", self.node, name=self.name)

    def number(self) -> Bound:
        """The one argument, a number."""
        self.need(1)
        (value,) = self.args
        if not value.type.is_number:
            if value.type == UNKNOWN:
                return as_type(value, DOUBLE, self.node, self.name)
            raise fault(f"{self.name} wants a number, not a {value.type}", self.node, name=self.name)
        return value


Aggregate: TypeAlias = Callable[[AggregateCall], Bound]


def is_known(name: str) -> bool:
    """Whether this is an aggregate function."""
    return name in AGGREGATES


def bind(name: str, node: exp.Expr, place: Aggregation) -> Bound:
    """An aggregate call in its place."""
    binder = place.binder
    if binder.in_aggregate:
        raise fault("an aggregate function cannot stand inside another", node, name=name)
    if binder.groups is None and not place.over:
        raise fault(f"{name} cannot stand here: WHERE and GROUP BY know no aggregates", node, name=name)
    inner = binder if place.over else binder.without_groups()
    arguments, distinct, order = list(node.expressions), False, ""
    if node.key == "groupconcat":
        arguments = [one for one in (node.this, node.args.get("separator")) if one is not None]
    if arguments and arguments[0].key == "distinct":
        distinct, arguments = True, [*arguments[0].expressions, *arguments[1:]]
    for index, one in enumerate(arguments):
        if one.key == "order":
            if one.this is None:
                raise fault(f"{name} takes an argument before ORDER BY", node, name=name)
            arguments[index] = one.this
            order = binder.binder.order_sql(one, inner)
        if arguments[index] is not None and arguments[index].key == "distinct":
            distinct, arguments[index : index + 1] = True, arguments[index].expressions
    if name == "count" and arguments and arguments[0].key == "star":
        arguments = []
    args = tuple(inner.bind(one) for one in arguments)
    return AGGREGATES[name](AggregateCall(name, node, args, distinct, order, place))


def _count(call: AggregateCall) -> Bound:
    call.need(0, 1)
    counted = call.args[0].sql if call.args else "*"
    return Bound(call.sql("count", counted), BIGINT)


def _count_if(call: AggregateCall) -> Bound:
    call.need(1)
    condition = as_type(call.args[0], BOOLEAN, call.node, call.name).sql
    return Bound(call.sql("count", f"CASE WHEN {condition} THEN 1 END"), BIGINT)


def _sum(call: AggregateCall) -> Bound:
    value = call.number()
    kind = BIGINT if value.type.is_integer else value.type
    if kind.name == "decimal":
        kind = decimal(38, kind.args[1])
    # DuckDB sums bigints in 128 bits: the cast back is what makes an overflow an error, as in Athena.
    return Bound(f"CAST({call.sql('sum', value.sql)} AS {kind.duckdb})", kind)


def _avg(call: AggregateCall) -> Bound:
    value = call.number()
    if value.type.name == "decimal":
        total = Bound(call.sql("sum", value.sql), decimal(38, value.type.args[1]))
        count = Bound(f"nullif({call.sql('count', value.sql)}, 0)", BIGINT)
        return Bound(*decimal_ratio(total, count, value.type))
    kind = value.type if value.type.name == "real" else DOUBLE
    return Bound(f"CAST({call.sql('avg', value.sql)} AS {kind.duckdb})", kind)


def _extreme(call: AggregateCall) -> Bound:
    call.need(1)
    (value,) = call.args
    return Bound(call.sql(call.name, value.sql), value.type, key=value.key)


def _by(function: str) -> Aggregate:
    """min_by and max_by: nulls to order by are left out, nulls to give are not."""

    def give(call: AggregateCall) -> Bound:
        call.need(2)
        value, key = call.args
        return Bound(call.sql(function, value.sql, key.sql), value.type)

    return give


def _any(call: AggregateCall) -> Bound:
    call.need(1)
    return Bound(call.sql("any_value", call.args[0].sql), call.args[0].type)


def _bool(function: str) -> Aggregate:
    def give(call: AggregateCall) -> Bound:
        call.need(1)
        return Bound(call.sql(function, as_type(call.args[0], BOOLEAN, call.node, call.name).sql), BOOLEAN)

    return give


def _double(function: str) -> Aggregate:
    def give(call: AggregateCall) -> Bound:
        value = as_type(call.number(), DOUBLE, call.node, call.name)
        return Bound(call.sql(function, value.sql), DOUBLE)

    return give


def _pair(function: str) -> Aggregate:
    def give(call: AggregateCall) -> Bound:
        call.need(2)
        return Bound(call.sql(function, *(as_type(one, DOUBLE, call.node, call.name).sql for one in call.args)), DOUBLE)

    return give


def _approx_distinct(call: AggregateCall) -> Bound:
    """Counted exactly, which lies within any error bound that Athena promises."""
    call.need(1, 2)
    return Bound(call.sql("count", call.args[0].sql, distinct=True), BIGINT)


def _approx_percentile(call: AggregateCall) -> Bound:
    """The exact value: a member of the set, as Athena gives for what is not a double."""
    call.need(2)
    value, share = call.args
    if not value.type.is_number or not share.constant or share.type.name == "array":
        raise unsupported("approx_percentile of these arguments", call.node)
    found = call.sql("quantile_disc", value.sql, as_type(share, DOUBLE, call.node, call.name).sql)
    return Bound(f"CAST({found} AS {value.type.duckdb})", value.type)


def _array_agg(call: AggregateCall) -> Bound:
    call.need(1)
    return Bound(call.sql("list", call.args[0].sql), array(call.args[0].type))


def _listagg(call: AggregateCall) -> Bound:
    call.need(1, 2)
    parts = [as_text(one, call.node, call.name).sql for one in call.args]
    return Bound(call.sql("string_agg", parts[0], parts[1] if len(parts) > 1 else "''"), VARCHAR)


def _map_agg(call: AggregateCall) -> Bound:
    call.need(2)
    key, value = call.args
    pairs = call.sql("list", f"{{'k': {key.sql}, 'v': {value.sql}}}", condition=f"{key.sql} IS NOT NULL")
    # Which of several values a key gets is not said; DuckDB wants each key once.
    first = f"list_position(list_transform({pairs}, lambda _q: _q.k), _p.k) = _i"
    return Bound(f"map_from_entries(list_filter({pairs}, lambda _p, _i: {first}))", map_of(key.type, value.type))


def _histogram(call: AggregateCall) -> Bound:
    call.need(1)
    kind = map_of(call.args[0].type, BIGINT)
    return Bound(f"CAST({call.sql('histogram', call.args[0].sql)} AS {kind.duckdb})", kind)


AGGREGATES: dict[str, Aggregate] = {
    "count": _count,
    "count_if": _count_if,
    "sum": _sum,
    "avg": _avg,
    "min": _extreme,
    "max": _extreme,
    "min_by": _by("arg_min_null"),
    "max_by": _by("arg_max_null"),
    "arbitrary": _any,
    "any_value": _any,
    "bool_and": _bool("bool_and"),
    "every": _bool("bool_and"),
    "bool_or": _bool("bool_or"),
    "approx_distinct": _approx_distinct,
    "approx_percentile": _approx_percentile,
    "array_agg": _array_agg,
    "listagg": _listagg,
    "map_agg": _map_agg,
    "histogram": _histogram,
    "stddev": _double("stddev_samp"),
    "stddev_samp": _double("stddev_samp"),
    "stddev_pop": _double("stddev_pop"),
    "variance": _double("var_samp"),
    "var_samp": _double("var_samp"),
    "var_pop": _double("var_pop"),
    "corr": _pair("corr"),
    "covar_pop": _pair("covar_pop"),
    "covar_samp": _pair("covar_samp"),
    "regr_slope": _pair("regr_slope"),
    "regr_intercept": _pair("regr_intercept"),
}
