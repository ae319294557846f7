"""Expressions: a syntax tree becomes DuckDB's SQL with Athena's type and meaning, or an error that says where."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lakehead.errors import QueryError
from lakehead.query import operators
from lakehead.query.bound import Bound, fault, text_sql, unsupported
from lakehead.query.casts import alike, as_text, as_type, cast
from lakehead.query.expression_parts import choose
from lakehead.query.functions import Aggregation, Call, aggregates, scalar, window
from lakehead.query.scope import Relation, Scope
from lakehead.query.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DAY_INTERVAL,
    DOUBLE,
    INTEGER,
    TIMESTAMPTZ,
    UNKNOWN,
    VARBINARY,
    VARCHAR,
    YEAR_INTERVAL,
    Type,
    array,
    decimal,
    map_of,
)

if TYPE_CHECKING:
    from sqlglot import exp

    from lakehead.query.queries import Binder

_INTERVALS = {
    "second": ("to_seconds", DAY_INTERVAL),
    "minute": ("to_minutes", DAY_INTERVAL),
    "hour": ("to_hours", DAY_INTERVAL),
    "day": ("to_days", DAY_INTERVAL),
    "week": ("to_weeks", DAY_INTERVAL),
    "month": ("to_months", YEAR_INTERVAL),
    "quarter": ("to_quarters", YEAR_INTERVAL),
    "year": ("to_years", YEAR_INTERVAL),
}
_NUMBER = re.compile(r"([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?")
_NAMED_FUNCTIONS = {
    "currentdate": "current_date",
    "currenttimestamp": "current_timestamp",
    "localtimestamp": "localtimestamp",
    "extract": "extract",
}


class Expressions:
    """Binds the expressions of one SELECT.

    `groups` are the SQL of the GROUP BY expressions where the SELECT is grouped: a column may then stand only inside
    one of them or inside an aggregate. `windows` are the SELECT's named windows,
    `aliases` the columns that its ORDER BY may name.
    """

    def __init__(self, binder: Binder, scope: Scope) -> None:
        self.binder = binder
        self.scope = scope
        self.groups: dict[str, Bound] | None = None
        self.windows: dict[str, Any] = {}
        self.aliases: dict[str, Bound] = {}
        self.in_aggregate = False
        self.may_have_windows = False

    def bind(self, node: exp.Expr | None) -> Bound:
        """An expression. Raises QueryError and UnsupportedSql."""
        if node is None or not hasattr(node, "key"):
            raise QueryError("the SQL cannot be read: an expression is missing")
        if self.groups is not None and not self.in_aggregate and node.key not in ("literal", "paren"):
            found = self._grouped(node)
            if found is not None:
                return found
        method = getattr(self, f"_{node.key}", None)
        if node.key in operators.ARITHMETIC:
            return self._arithmetic(node)
        if node.key in operators.COMPARISONS:
            return self._comparison(node)
        if node.key in _NAMED_FUNCTIONS:
            return self._named(node)
        if method is None:
            raise unsupported(_construct(node), node)
        bound: Bound = method(node)
        return bound

    def bind_all(self, nodes: list[exp.Expr]) -> list[Bound]:
        """Several expressions."""
        return [self.bind(node) for node in nodes]

    def condition(self, node: exp.Expr, what: str) -> Bound:
        """A boolean. Raises QueryError for another type."""
        return as_type(self.bind(node), BOOLEAN, node, what)

    def in_scope(self, scope: Scope) -> Expressions:
        """The same SELECT with other names in scope (a lambda's arguments)."""
        inner = Expressions(self.binder, scope)
        inner.groups, inner.windows, inner.aliases = self.groups, self.windows, self.aliases
        inner.in_aggregate, inner.may_have_windows = self.in_aggregate, self.may_have_windows
        return inner

    def without_groups(self) -> Expressions:
        """The inside of an aggregate."""
        inner = self.in_scope(self.scope)
        inner.in_aggregate, inner.may_have_windows = True, False
        return inner

    def _grouped(self, node: exp.Expr) -> Bound | None:
        """The GROUP BY expression that this one is, if it is one."""
        assert self.groups is not None
        if not self.groups or any(one.key in ("select", "subquery", "values") for one in node.walk()):
            return None
        whole = self.in_scope(self.scope)
        whole.groups = None
        try:
            return self.groups.get(whole.bind(node).sql)
        except QueryError:
            # Whatever is wrong with it is told when it is bound for good.
            return None

    # Names and literals

    def _column(self, node: exp.Expr) -> Bound:
        if node.this.key == "star":
            raise fault("* stands alone", node)
        if not node.args.get("table") and node.name.lower() in self.aliases:
            return self.aliases[node.name.lower()]
        found = self.scope.resolve(node)
        grouped = self.groups is not None and not self.in_aggregate and node.name.lower() not in self.scope.arguments
        if grouped and self._is_mine(found):
            assert self.groups is not None
            if found.sql not in self.groups:
                raise fault(
                    f'"{node.name}" must be in an aggregate function or in the GROUP BY clause', node, name=node.name
                )
        return found

    def _is_mine(self, found: Bound) -> bool:
        return any(f"{source.name}." in found.sql for source in self.scope.sources)

    def _identifier(self, node: exp.Expr) -> Bound:
        return self.scope.resolve(node)

    def _dot(self, node: exp.Expr) -> Bound:
        value, name = self.bind(node.this), node.expression.name.lower()
        for field, kind in value.type.args if value.type.name == "row" else ():
            if str(field).lower() == name:
                return value.with_type(f"struct_extract({value.sql}, {text_sql(field)})", kind)
        raise fault(f'there is no field "{name}" in a {value.type}', node)

    def _literal(self, node: exp.Expr) -> Bound:
        text = str(node.this)
        if node.args.get("is_string"):
            if "\0" in text:
                raise unsupported("a NUL in a string", node)
            return Bound(text_sql(text), VARCHAR, constant=True, literal=text)
        text = text.replace("_", "")
        if not _NUMBER.fullmatch(text):
            raise fault(f"{text} is no number", node)
        if "e" in text.lower():
            return Bound(f"CAST('{float(text)!r}' AS DOUBLE)", DOUBLE, constant=True)
        if "." in text:
            return decimal_literal(text, node)
        if int(text) >= 2**63:
            raise fault(f"the number {text} is too great for a bigint", node, f"Write DECIMAL '{text}'.")
        kind = INTEGER if int(text) < 2**31 else BIGINT
        return Bound(f"CAST({int(text)} AS {kind.duckdb})", kind, constant=True)

    def _null(self, _node: exp.Expr) -> Bound:
        return Bound("NULL", UNKNOWN, constant=True)

    def _boolean(self, node: exp.Expr) -> Bound:
        return Bound("true" if node.this else "false", BOOLEAN, constant=True)

    def _hexstring(self, node: exp.Expr) -> Bound:
        return Bound(f"from_hex({text_sql(str(node.this).replace(' ', ''))})", VARBINARY, constant=True)

    def _interval(self, node: exp.Expr) -> Bound:
        unit = str(node.args["unit"].name).lower() if node.args.get("unit") else ""
        amount = node.this
        if unit not in _INTERVALS or amount is None or not amount.name.lstrip("+-").isdigit():
            raise unsupported("this INTERVAL", node, "Write INTERVAL '2' DAY, with a whole number.")
        function, kind = _INTERVALS[unit]
        number = self.bind(amount)
        return Bound(f"{function}(CAST({number.sql} AS INTEGER))", kind, constant=True)

    # Operators

    def _paren(self, node: exp.Expr) -> Bound:
        inner = self.bind(node.this)
        return Bound(f"({inner.sql})", inner.type, inner.key, inner.constant, inner.literal)

    def _neg(self, node: exp.Expr) -> Bound:
        value = self.bind(node.this)
        if not (value.type.is_number or value.type.name.startswith("interval")):
            raise fault(f"there is no negative of a {value.type}", node)
        return value.with_type(f"(- {value.sql})", value.type)

    def _arithmetic(self, node: exp.Expr) -> Bound:
        return operators.arithmetic(node.key, self.bind(node.left), self.bind(node.right), node)  # type: ignore[attr-defined]

    def _comparison(self, node: exp.Expr) -> Bound:
        if node.expression.key in ("any", "all"):
            raise unsupported(f"a comparison with {node.expression.key.upper()} (subquery)", node)
        return operators.compare(
            operators.COMPARISONS[node.key], self.bind(node.this), self.bind(node.expression), node
        )

    def _nullsafeeq(self, node: exp.Expr) -> Bound:
        return operators.compare("IS NOT DISTINCT FROM", self.bind(node.this), self.bind(node.expression), node)

    def _nullsafeneq(self, node: exp.Expr) -> Bound:
        return operators.compare("IS DISTINCT FROM", self.bind(node.this), self.bind(node.expression), node)

    def _and(self, node: exp.Expr) -> Bound:
        # A chain of a thousand ANDs is a left-leaning tree: walk it, do not descend.
        parts = [self.condition(part, node.key.upper()) for part in node.flatten()]
        sql = f" {node.key.upper()} ".join(part.sql for part in parts)
        return Bound(f"({sql})", BOOLEAN, constant=all(part.constant for part in parts))

    _or = _and

    def _not(self, node: exp.Expr) -> Bound:
        value = self.condition(node.this, "NOT")
        return value.with_type(f"(NOT {value.sql})", BOOLEAN)

    def _is(self, node: exp.Expr) -> Bound:
        if node.expression.key != "null":
            raise unsupported("IS with anything but NULL", node)
        value = self.bind(node.this)
        return value.with_type(f"({value.sql} IS NULL)", BOOLEAN)

    def _between(self, node: exp.Expr) -> Bound:
        if node.args.get("symmetric"):
            raise unsupported("BETWEEN SYMMETRIC", node)
        value = self.bind(node.this)
        low = operators.compare(">=", value, self.bind(node.args["low"]), node)
        high = operators.compare("<=", value, self.bind(node.args["high"]), node)
        return Bound(f"({low.sql} AND {high.sql})", BOOLEAN, constant=low.constant and high.constant)

    def _in(self, node: exp.Expr) -> Bound:
        value = self.bind(node.this)
        query = node.args.get("query")
        if query is not None:
            return self._in_query(node, value, self.binder.query(query.unnest(), self.scope))
        if node.args.get("unnest") or node.args.get("field"):
            raise unsupported("this form of IN", node)
        pairs = [operators.key_as_date(value, self.bind(one)) for one in node.expressions]
        if value.key and all(left.type == DATE and right.type == DATE for left, right in pairs):
            listed = [right for _, right in pairs]
        else:
            (value, *listed), _ = alike([value, *(self.bind(one) for one in node.expressions)], node, "IN")
        constant = value.constant and all(one.constant for one in listed)
        return Bound(f"({value.sql} IN ({', '.join(one.sql for one in listed)}))", BOOLEAN, constant=constant)

    def _in_query(self, node: exp.Expr, value: Bound, found: Relation) -> Bound:
        if len(found.fields) != 1:
            raise fault(f"the subquery of IN gives {len(found.fields)} columns, not one", node)
        (field,) = found.fields
        other = Bound('"_i"."' + field.column + '"', field.type, key=field.key)
        (value, other), _ = alike([value, other], node, "IN")
        return Bound(f'({value.sql} IN (SELECT {other.sql} FROM ({found.sql}) AS "_i"))', BOOLEAN)

    def _exists(self, node: exp.Expr) -> Bound:
        return Bound(f"EXISTS ({self.binder.query(node.this.unnest(), self.scope).sql})", BOOLEAN)

    def _subquery(self, node: exp.Expr) -> Bound:
        found = self.binder.query(node, self.scope)
        if len(found.fields) != 1:
            raise fault(f"a subquery in an expression gives one column, not {len(found.fields)}", node)
        return Bound(f"({found.sql})", found.fields[0].type)

    def _like(self, node: exp.Expr) -> Bound:
        return self._like_with(node, None)

    def _escape(self, node: exp.Expr) -> Bound:
        if node.this.key != "like":
            raise unsupported("ESCAPE here", node)
        return self._like_with(node.this, as_text(self.bind(node.expression), node, "ESCAPE"))

    def _like_with(self, node: exp.Expr, escape: Bound | None) -> Bound:
        if node.expression.key in ("any", "all"):
            raise unsupported("LIKE ANY", node)
        value, pattern = (as_text(self.bind(one), node, "LIKE") for one in (node.this, node.expression))
        # DuckDB knows no escape unless told, as Trino does.
        sql = f"{value.sql} {'NOT ' if node.args.get('negate') else ''}LIKE {pattern.sql}"
        sql += f" ESCAPE {escape.sql}" if escape else ""
        return Bound(f"({sql})", BOOLEAN, constant=value.constant and pattern.constant)

    def _dpipe(self, node: exp.Expr) -> Bound:
        return operators.join_text(self.bind(node.this), self.bind(node.expression), node)

    def _case(self, node: exp.Expr) -> Bound:
        conditions = []
        for one in node.args["ifs"]:
            if node.this is not None:
                conditions.append(operators.compare("=", self.bind(node.this), self.bind(one.this), one))
            else:
                conditions.append(self.condition(one.this, "WHEN"))
        default = node.args.get("default")
        results = [self.bind(one.args.get("true")) for one in node.args["ifs"]]
        results.append(self.bind(default) if default is not None else Bound("NULL", UNKNOWN, constant=True))
        return choose(conditions, results, node)

    def _if(self, node: exp.Expr) -> Bound:
        default = node.args.get("false")
        results = [self.bind(node.args.get("true"))]
        results.append(self.bind(default) if default is not None else Bound("NULL", UNKNOWN, constant=True))
        return choose([self.condition(node.this, "if")], results, node)

    def _cast(self, node: exp.Expr) -> Bound:
        kind, length = self._type(node.args["to"], node)
        value = self.bind(node.this)
        if kind is None:
            # DECIMAL '1.50' and CAST('1.50' AS decimal) look the same from here.
            if value.literal is not None:
                raise unsupported("a decimal without precision", node, "Write 1.50, or CAST(... AS decimal(38,0)).")
            kind = decimal(38, 0)
        if value.literal is not None and kind.name in ("date", "timestamp"):
            return _moment_literal(value.literal, kind, node)
        return cast(value, kind, node, length=length, safe=node.key == "trycast")

    def _trycast(self, node: exp.Expr) -> Bound:
        kind, length = self._type(node.args["to"], node)
        return cast(self.bind(node.this), kind or decimal(38, 0), node, length=length, safe=True)

    def _type(self, node: exp.Expr, where: exp.Expr) -> tuple[Type | None, int | None]:
        name = str(node.this.value).lower()
        numbers = [int(part.name) for part in node.expressions if part.key == "datatypeparam" and part.name.isdigit()]
        if name == "decimal":
            return _decimal_type(numbers, where), None
        if name in ("varchar", "text"):
            return VARCHAR, (numbers[0] if numbers else None)
        if name == "timestamp":
            return Type("timestamp", (numbers[0] if numbers else 3,)), None
        if name == "timestamptz":
            return TIMESTAMPTZ, None
        if name == "array" and node.expressions:
            inner, _ = self._type(node.expressions[0], where)
            return (array(inner), None) if inner else (None, None)
        if name == "map" and len(node.expressions) == 2:
            key, value = (self._type(one, where)[0] for one in node.expressions)
            return (map_of(key, value), None) if key and value else (None, None)
        kinds = {one.name: one for one in (BOOLEAN, INTEGER, BIGINT, DOUBLE, DATE, VARBINARY)}
        kinds |= {"int": INTEGER, "float": Type("real"), "real": Type("real")}
        kinds |= {name: Type(name) for name in ("tinyint", "smallint")}
        if name not in kinds:
            raise unsupported(f"the type {node.sql('trino')}", where)
        return kinds[name], None

    def _attimezone(self, node: exp.Expr) -> Bound:
        value, zone = self.bind(node.this), self.bind(node.args["zone"])
        return scalar("at_timezone")(Call("AT TIME ZONE", node, (value, zone), self))

    def _array(self, node: exp.Expr) -> Bound:
        if not node.expressions:
            return Bound("[]", array(UNKNOWN), constant=True)
        values, kind = alike(self.bind_all(node.expressions), node, "an array")
        constant = all(one.constant for one in values)
        return Bound(f"[{', '.join(one.sql for one in values)}]", array(kind), constant=constant)

    def _bracket(self, node: exp.Expr) -> Bound:
        if len(node.expressions) != 1:
            raise unsupported("a slice", node, "Use slice(array, start, length).")
        return scalar("subscript")(Call("[]", node, (self.bind(node.this), self.bind(node.expressions[0])), self))

    # Functions

    def _anonymous(self, node: exp.Expr) -> Bound:
        name = str(node.this).lower()
        if aggregates.is_known(name):
            return aggregates.bind(name, node, Aggregation(self))
        if window.is_known(name):
            raise fault(f"{name} needs an OVER clause", node)
        lambdas = any(one.key == "lambda" for one in node.expressions)
        values = () if lambdas or name == "try" else tuple(self.bind(one) for one in node.expressions)
        return scalar(name, node)(Call(name, node, values, self))

    def _named(self, node: exp.Expr) -> Bound:
        name = _NAMED_FUNCTIONS[node.key]
        values = (self.bind(node.expression),) if node.key == "extract" else ()
        return scalar(name, node)(Call(name, node, values, self))

    def _groupconcat(self, node: exp.Expr) -> Bound:
        return aggregates.bind("listagg", node, Aggregation(self))

    def _filter(self, node: exp.Expr) -> Bound:
        inner = self.without_groups()
        condition = inner.condition(node.expression.this, "FILTER")
        name = _function_name(node.this)
        if not aggregates.is_known(name):
            raise fault("FILTER follows an aggregate function", node)
        return aggregates.bind(name, node.this, Aggregation(self, filter=condition.sql))

    def _window(self, node: exp.Expr) -> Bound:
        if not self.may_have_windows:
            raise fault("a window function stands only in SELECT and ORDER BY, and not inside another", node)
        inner = self.in_scope(self.scope)
        inner.may_have_windows = False
        return window.bind(node, inner)

    def _trim(self, node: exp.Expr) -> Bound:
        side = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or "").upper(), "trim")
        values = [self.bind(node.this)]
        if node.expression is not None:
            values.append(self.bind(node.expression))
        return scalar(side)(Call(side, node, tuple(values), self))

    def _substring(self, node: exp.Expr) -> Bound:
        parts = [node.this, node.args.get("start"), node.args.get("length")]
        values = tuple(self.bind(one) for one in parts if one is not None)
        return scalar("substr")(Call("substring", node, values, self))

    def _strposition(self, node: exp.Expr) -> Bound:
        values = (self.bind(node.this), self.bind(node.args["substr"]))
        return scalar("strpos")(Call("position", node, values, self))


def decimal_literal(text: str, node: exp.Expr) -> Bound:
    """`1.50` is a decimal(3,2)."""
    whole, _, fraction = text.partition(".")
    digits = len(whole.lstrip("0")) + len(fraction)
    if digits > 38:
        raise fault(f"the number {text} has more than 38 digits", node)
    kind = decimal(max(digits, 1), len(fraction))
    return Bound(f"CAST('{text}' AS {kind.duckdb})", kind, constant=True)


def _decimal_type(numbers: list[int], where: exp.Expr) -> Type | None:
    if not numbers:
        return None
    precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
    if not (1 <= precision <= 38 and scale <= precision):
        raise fault(f"there is no decimal({precision},{scale})", where, "At most 38 digits, so many of them fraction.")
    return decimal(precision, scale)


def _moment_literal(text: str, kind: Type, node: exp.Expr) -> Bound:
    bound = cast(Bound(text_sql(text), VARCHAR, constant=True), kind, node)
    return Bound(bound.sql, kind, constant=True)


def _function_name(node: exp.Expr) -> str:
    return "listagg" if node.key == "groupconcat" else str(node.this).lower()


def _construct(node: exp.Expr) -> str:
    try:
        text = node.sql("trino")
    except Exception:
        text = node.key
    return f"{node.key.upper()} ({text[:60]})"
