"""`transformLogic`: SQL over the typed columns of a row, checked, typed and written so that it cannot fail.

Every node of the expression must be one that is known here, so nothing reaches a file, another row, a clock or chance.
Arithmetic on integers and decimals is exact: operands are widened first, and an expression whose result might need more
than 38 digits is refused when the contract is read, not when a row overflows. Only the last step, fitting the result
into the column's type, can fail at a row, and that row is quarantined.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehead.contract import sql
from lakehead.contract.model import INTEGER_DIGITS, ColumnType, Kind

if TYPE_CHECKING:
    from sqlglot.expressions import Expr as Expression

MAX_DIGITS = 38
NULL = ColumnType(Kind.STRING, "null")
_STRING, _BOOLEAN, _DOUBLE = (ColumnType.of(kind) for kind in (Kind.STRING, Kind.BOOLEAN, Kind.DOUBLE))
_DATE, _TIMESTAMP = ColumnType.of(Kind.DATE), ColumnType.of(Kind.TIMESTAMP)
_BIGINT = ColumnType.integer("bigint")


class BadExpression(ValueError):
    """An expression that cannot be run; `hint` says what could be written instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Typed:
    """SQL with the type of its value. `type.sql` is `null` for a bare NULL."""

    sql: str
    type: ColumnType


def parse(text: str) -> Expression:
    """One scalar SQL expression. Raises BadExpression."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    if len(text) > 10_000:
        raise BadExpression("it is longer than 10,000 characters")
    try:
        found = sqlglot.parse(text, read="duckdb")
    except SqlglotError as error:
        first = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())
        raise BadExpression(f"it is no SQL expression: {first[:160]}") from error
    except RecursionError as error:
        raise BadExpression("it is nested too deeply") from error
    if len(found) != 1 or found[0] is None:
        raise BadExpression("it is not one SQL expression")
    tree = found[0]
    if isinstance(tree, exp.Alias):
        raise BadExpression("it has an alias", "The property's name is the name of the column.")
    return tree


def bare_name(tree: Expression) -> tuple[str, bool] | None:
    """The name and whether it is quoted, where the expression is no more than a column's name."""
    from sqlglot import exp

    if isinstance(tree, exp.Column) and isinstance(tree.this, exp.Identifier) and len(tree.parts) == 1:
        return tree.this.name, bool(tree.this.args.get("quoted"))
    return None


def inputs(tree: Expression) -> tuple[str, ...]:
    """The columns that the expression reads, each once, as it writes them."""
    from sqlglot import exp

    return tuple(dict.fromkeys(column.name for column in tree.find_all(exp.Column)))


def typed(tree: Expression, columns: Mapping[str, ColumnType]) -> Typed:
    """The expression over columns of these types, as SQL that raises for no row. Raises BadExpression."""
    try:
        return _Writer(columns).write(tree)
    except RecursionError as error:
        raise BadExpression("it is nested too deeply") from error


def fits(found: Typed, wanted: ColumnType) -> None:
    """Raise BadExpression unless a value of the found type can become one of the wanted type, exactly or not at all."""
    kinds = (found.type.kind, wanted.kind)
    if found.type is NULL or found.type.kind is wanted.kind or (found.type.exact and wanted.exact):
        return
    if kinds == (Kind.DOUBLE, Kind.DECIMAL) or kinds == (Kind.DOUBLE, Kind.INTEGER):
        hint = "Make the column a double, or use only + - * on integers and decimals, which are exact."
        raise BadExpression(f"its result is a double, which is not exact, but the column is {wanted.sql}", hint)
    if found.type.exact and wanted.kind is Kind.DOUBLE:
        return
    hint = "Write CAST(... AS DATE) for the day of a timestamp." if kinds == (Kind.TIMESTAMP, Kind.DATE) else ""
    raise BadExpression(f"its result is {found.type.sql}, but the column is {wanted.sql}", hint)


class _Writer:
    def __init__(self, columns: Mapping[str, ColumnType]) -> None:
        self.columns = columns

    def write(self, node: Any) -> Typed:
        known = handlers().get(type(node))
        if known is None:
            name = getattr(node, "name", "") if type(node).__name__ == "Anonymous" else type(node).__name__
            raise BadExpression(f"{name} is not supported in transformLogic", f"Supported: {_SUPPORTED}.")
        unknown = [key for key, value in node.args.items() if value and key not in ARGUMENTS]
        if unknown:
            raise BadExpression(f"{unknown[0].upper()} is not supported at {type(node).__name__}")
        return known(self, node)

    def column(self, node: Any) -> Typed:
        if len(node.parts) != 1 or node.name not in self.columns:
            raise BadExpression(f"{node.sql()} is no column of this contract", f"Columns: {', '.join(self.columns)}.")
        return Typed(sql.name(node.name), self.columns[node.name])

    def literal(self, node: Any) -> Typed:
        if node.is_string:
            return Typed(sql.text(node.this), _STRING)
        number = re.fullmatch(r"0*([0-9]*)(?:[.]([0-9]*))?", node.this)
        if number is None:
            raise BadExpression(f"the number {node.this} is not supported", "Write it without an exponent.")
        whole, fraction = number[1], number[2] or ""
        kind = ColumnType.decimal(max(len(whole) + len(fraction), 1), len(fraction))
        if kind.precision > MAX_DIGITS:
            raise BadExpression(f"the number {node.this} has more than {MAX_DIGITS} digits")
        digits = f"{whole or '0'}.{fraction}" if fraction else whole or "0"
        return Typed(f"CAST('{digits}' AS {kind.sql})", kind)

    def null(self, _node: Any) -> Typed:
        return Typed("NULL", NULL)

    def boolean(self, node: Any) -> Typed:
        return Typed("TRUE" if node.this else "FALSE", _BOOLEAN)

    def paren(self, node: Any) -> Typed:
        inner = self.write(node.this)
        return Typed(f"({inner.sql})", inner.type)

    def negative(self, node: Any) -> Typed:
        inner = self.number(node.this)
        if not inner.type.exact:
            return Typed(f"(-{inner.sql})", inner.type)
        wide = ColumnType.decimal(inner.type.precision, inner.type.scale)  # -(-32768) is no smallint
        return Typed(f"(-{_widen(inner, wide)})", wide)

    def arithmetic(self, node: Any) -> Typed:
        left, right = self.number(node.left), self.number(node.right)
        operator = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Mod": "%"}[type(node).__name__]
        if operator == "/" or not (left.type.exact and right.type.exact):
            return self._inexact(left, operator, right)
        if operator == "*":
            result = (left.type.precision + right.type.precision, left.type.scale + right.type.scale)
        else:
            scale = max(left.type.scale, right.type.scale)
            whole = max(left.type.precision - left.type.scale, right.type.precision - right.type.scale)
            result = (whole + scale + (operator != "%"), scale)
        if result[0] > MAX_DIGITS:
            message = (
                f"{left.type.sql} {operator} {right.type.sql} can need {result[0]} digits; {MAX_DIGITS} is the most"
            )
            raise BadExpression(message, "Give the columns narrower types, such as integer for bigint.")
        wide = ColumnType.decimal(*result)
        if operator == "*":
            # DuckDB multiplies two decimals of up to 18 digits in 18 digits, and raises where that is too few.
            least = 19 if result[0] > 18 else 0
            first = ColumnType.decimal(max(left.type.precision, least), left.type.scale)
            written = f"{_widen(left, first)} * {_widen(right, _as_decimal(right.type))}"
            return Typed(f"CAST({written} AS {wide.sql})", wide)
        second = _widen(right, wide)
        second = f"NULLIF({second}, 0)" if operator == "%" else second
        return Typed(f"CAST({_widen(left, wide)} {operator} {second} AS {wide.sql})", wide)

    def _inexact(self, left: Typed, operator: str, right: Typed) -> Typed:
        if operator == "%":
            raise BadExpression("% is only supported on integers and decimals")
        first, second = _widen(left, _DOUBLE), _widen(right, _DOUBLE)
        return Typed(f"({first} {operator} {f'NULLIF({second}, 0)' if operator == '/' else second})", _DOUBLE)

    def comparison(self, node: Any) -> Typed:
        operator = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}[type(node).__name__]
        left, right = self.alike([node.left, node.right])
        return Typed(f"({left.sql} {operator} {right.sql})", _BOOLEAN)

    def logic(self, node: Any) -> Typed:
        left, right = self.condition(node.left), self.condition(node.right)
        return Typed(f"({left.sql} {type(node).__name__.upper()} {right.sql})", _BOOLEAN)

    def negation(self, node: Any) -> Typed:
        return Typed(f"(NOT {self.condition(node.this).sql})", _BOOLEAN)

    def is_null(self, node: Any) -> Typed:
        from sqlglot import exp

        if not isinstance(node.expression, exp.Null):
            raise BadExpression("IS is only supported before NULL")
        return Typed(f"({self.write(node.this).sql} IS NULL)", _BOOLEAN)

    def between(self, node: Any) -> Typed:
        value, low, high = self.alike([node.this, node.args["low"], node.args["high"]])
        return Typed(f"({value.sql} BETWEEN {low.sql} AND {high.sql})", _BOOLEAN)

    def among(self, node: Any) -> Typed:
        if not node.expressions or node.args.get("query"):
            raise BadExpression("IN is only supported with a list of values")
        value, *others = self.alike([node.this, *node.expressions])
        return Typed(f"({value.sql} IN ({', '.join(other.sql for other in others)}))", _BOOLEAN)

    def case(self, node: Any) -> Typed:
        from sqlglot import exp

        branches = node.args["ifs"]
        default = node.args.get("default") or exp.Null()
        values = self.alike([*(branch.args["true"] for branch in branches), default])
        subject = node.this
        conditions = [
            self.comparison(exp.EQ(this=subject.copy(), expression=branch.this.copy()))
            if subject is not None
            else self.condition(branch.this)
            for branch in branches
        ]
        whens = "".join(f" WHEN {c.sql} THEN {v.sql}" for c, v in zip(conditions, values, strict=False))
        return Typed(f"CASE{whens} ELSE {values[-1].sql} END", values[-1].type)

    def when(self, node: Any) -> Typed:
        from sqlglot import exp

        return self.case(exp.Case(ifs=[node.copy()], default=node.args.get("false")))

    def first_of(self, node: Any) -> Typed:
        values = self.alike([node.this, *node.expressions])
        name = type(node).__name__.upper()
        return Typed(f"{name}({', '.join(value.sql for value in values)})", values[0].type)

    def null_if(self, node: Any) -> Typed:
        left, right = self.alike([node.this, node.expression])
        return Typed(f"NULLIF({left.sql}, {right.sql})", left.type)

    def absolute(self, node: Any) -> Typed:
        inner = self.number(node.this)
        wide = _as_decimal(inner.type) if inner.type.exact else inner.type
        return Typed(f"ABS({_widen(inner, wide)})", wide)

    def rounded(self, node: Any) -> Typed:
        inner, digits = self.number(node.this), self._count(node.args.get("decimals"), "ROUND", least=0, absent=0)
        if not inner.type.exact:
            raise BadExpression(
                "ROUND is only supported on exact numbers",
                "Engines round doubles differently: make the column a decimal.",
            )
        if digits >= inner.type.scale:
            return inner
        # One digit more, for 9.9 rounds to 10.
        whole = inner.type.precision - inner.type.scale + 1
        wide = ColumnType.decimal(min(whole + digits, MAX_DIGITS), digits)
        return Typed(f"CAST(ROUND({inner.sql}, {digits}) AS {wide.sql})", wide)

    def string_function(self, node: Any) -> Typed:
        name = {"Upper": "UPPER", "Lower": "LOWER"}[type(node).__name__]
        return Typed(f"{name}({self.text(node.this).sql})", _STRING)

    def trimmed(self, node: Any) -> Typed:
        if node.expression or node.args.get("collation"):
            raise BadExpression("TRIM is only supported with one argument")
        side = {"LEADING": "LTRIM", "TRAILING": "RTRIM"}.get(node.args.get("position") or "", "TRIM")
        return Typed(f"{side}({self.text(node.this).sql})", _STRING)

    def length(self, node: Any) -> Typed:
        return Typed(f"CAST(LENGTH({self.text(node.this).sql}) AS BIGINT)", _BIGINT)

    def substring(self, node: Any) -> Typed:
        start = self._count(node.args.get("start"), "SUBSTRING", least=1)
        inner = self.text(node.this)
        if node.args.get("length") is None:
            return Typed(f"SUBSTR({inner.sql}, {start})", _STRING)
        return Typed(f"SUBSTR({inner.sql}, {start}, {self._count(node.args['length'], 'SUBSTRING', least=0)})", _STRING)

    def concatenation(self, node: Any) -> Typed:
        return Typed(f"({self.text(node.left).sql} || {self.text(node.right).sql})", _STRING)

    def date_part(self, node: Any) -> Typed:
        part = type(node).__name__.upper()
        return Typed(f"CAST({part}({self.moment(node.this).sql}) AS BIGINT)", _BIGINT)

    def extract(self, node: Any) -> Typed:
        part = node.this.name.upper()
        if part not in ("YEAR", "MONTH", "DAY"):
            raise BadExpression(f"EXTRACT({part}) is not supported", "YEAR, MONTH and DAY are.")
        return Typed(f"CAST({part}({self.moment(node.expression).sql}) AS BIGINT)", _BIGINT)

    def truncated(self, node: Any) -> Typed:
        unit = node.args["unit"].name.upper()
        inner = self.moment(node.this)
        if unit not in ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY"):
            raise BadExpression(
                f"DATE_TRUNC('{unit.lower()}') is not supported", "year, quarter, month, week, day are."
            )
        return Typed(f"CAST(DATE_TRUNC('{unit}', {inner.sql}) AS {inner.type.sql.upper()})", inner.type)

    def cast(self, node: Any) -> Typed:
        from sqlglot import exp

        wanted = _cast_type(node.to.sql("duckdb"))
        if isinstance(node.this, exp.Literal) and node.this.is_string and wanted.kind in (Kind.DATE, Kind.TIMESTAMP):
            return moment_literal(node.this.this, wanted)
        inner = self.write(node.this)
        if inner.type is NULL:
            return Typed(f"CAST(NULL AS {wanted.sql})", wanted)
        self.castable(inner.type, wanted)
        return Typed(f"TRY_CAST({inner.sql} AS {wanted.sql})", wanted)

    def castable(self, found: ColumnType, wanted: ColumnType) -> None:
        check_cast(found, wanted)

    def number(self, node: Any) -> Typed:
        found = self.write(node)
        if found.type.kind not in (Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE):
            raise BadExpression(f"{node.sql()} is {found.type.sql}, where a number is needed")
        return found

    def text(self, node: Any) -> Typed:
        return self._of_kind(node, (Kind.STRING,), "a string")

    def condition(self, node: Any) -> Typed:
        return self._of_kind(node, (Kind.BOOLEAN,), "a condition")

    def moment(self, node: Any) -> Typed:
        return self._of_kind(node, (Kind.DATE, Kind.TIMESTAMP), "a date or timestamp")

    def _of_kind(self, node: Any, kinds: tuple[Kind, ...], wanted: str) -> Typed:
        # Parsers wrap the argument of DATE_TRUNC and the like in a cast of their own.
        found = self.write(node)
        if found.type.kind not in kinds or found.type is NULL:
            raise BadExpression(f"{node.sql()} is {found.type.sql}, where {wanted} is needed")
        return found

    def _count(self, node: Any, function: str, *, least: int, absent: int | None = None) -> int:
        if node is None and absent is not None:
            return absent
        written = node.sql() if node is not None else ""
        if not re.fullmatch(r"[0-9]{1,6}", written) or int(written) < least:
            raise BadExpression(f"{function} needs a plain number from {least} here, not {written or 'nothing'}")
        return int(written)

    def alike(self, nodes: list[Any]) -> list[Typed]:
        """The values brought to one type, so that no engine converts by rules of its own."""
        values = [self.write(node) for node in nodes]
        types = [value.type for value in values if value.type is not NULL]
        if not types:
            return values
        common = types[0]
        for other in types[1:]:
            common = common_type(common, other)
        return [Typed(_widen(value, common), common) if value.type is not NULL else value for value in values]


def common_type(left: ColumnType, right: ColumnType) -> ColumnType:
    """The type that holds the values of both. Raises BadExpression."""
    if left.kind is right.kind and not left.exact:
        return left
    if left.exact and right.exact:
        if left == right:
            return left
        scale = max(left.scale, right.scale)
        whole = max(left.precision - left.scale, right.precision - right.scale)
        if whole + scale > MAX_DIGITS:
            raise BadExpression(f"{left.sql} and {right.sql} have no common type of {MAX_DIGITS} digits")
        return ColumnType.decimal(whole + scale, scale)
    if {left.kind, right.kind} <= {Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE}:
        return _DOUBLE
    hint = "Write the date as DATE '2025-01-31'." if {left.kind, right.kind} == {Kind.DATE, Kind.STRING} else ""
    raise BadExpression(f"{left.sql} and {right.sql} are mixed", hint)


def _as_decimal(found: ColumnType) -> ColumnType:
    return ColumnType.decimal(found.precision, found.scale)


def _widen(found: Typed, wanted: ColumnType) -> str:
    return found.sql if found.type.sql == wanted.sql else f"CAST({found.sql} AS {wanted.sql})"


def _cast_type(written: str) -> ColumnType:
    written = written.lower().replace(" ", "")
    plain = {"text": _STRING, "varchar": _STRING, "date": _DATE, "timestamp": _TIMESTAMP, "double": _DOUBLE}
    names = {"int": "integer", "integer": "integer", "bigint": "bigint", "smallint": "smallint"}
    if written in plain:
        return plain[written]
    if written in names and names[written] in INTEGER_DIGITS:
        return ColumnType.integer(names[written])
    if digits := re.fullmatch(r"decimal\(([0-9]{1,2})(?:,([0-9]{1,2}))?\)", written):
        precision, scale = int(digits[1]), int(digits[2] or 0)
        if 1 <= precision <= MAX_DIGITS and scale <= precision:
            return ColumnType.decimal(precision, scale)
    raise BadExpression(f"CAST to {written} is not supported")


def check_cast(found: ColumnType, wanted: ColumnType) -> None:
    """Casts on which engines agree: those that lose nothing, a timestamp's day, a number's double."""
    kinds = (found.kind, wanted.kind)
    if kinds in ((Kind.TIMESTAMP, Kind.DATE), (Kind.DATE, Kind.TIMESTAMP)) or (
        found.kind is wanted.kind and not found.exact
    ):
        return
    if found.exact and wanted.exact and wanted.scale >= found.scale:
        return
    if found.exact and wanted.kind is Kind.DOUBLE:
        return
    if wanted.kind is Kind.STRING and (found.exact or found.kind in (Kind.DATE, Kind.BOOLEAN)):
        return
    hints = {
        Kind.STRING: "Make it a property of that type with its own source column.",
        Kind.DOUBLE: "Make the column a decimal, which is exact.",
    }
    if found.exact and wanted.exact:
        hints[found.kind] = f"Round it first: ROUND(x, {wanted.scale})."
    raise BadExpression(f"CAST from {found.sql} to {wanted.sql} is not supported", hints.get(found.kind, ""))


def moment_literal(text: str, wanted: ColumnType) -> Typed:
    """The date or timestamp that a text in the contract stands for. Raises BadExpression."""
    from datetime import datetime

    shape = r"[0-9]{4}-[0-9]{2}-[0-9]{2}" + (r"( [0-9]{2}:[0-9]{2}:[0-9]{2})?" if wanted.kind is Kind.TIMESTAMP else "")
    try:
        if not re.fullmatch(shape, text):
            raise ValueError
        datetime.fromisoformat(text)
    except ValueError:
        raise BadExpression(f"'{text}' is no {wanted.sql}", "Write it as 2025-01-31.") from None
    return Typed(f"CAST('{text}' AS {wanted.sql})", wanted)


_SUPPORTED = (
    "columns, literals, + - * / %, comparisons, AND OR NOT, IS NULL, BETWEEN, IN (...), CASE, COALESCE, NULLIF, "
    "GREATEST, LEAST, ABS, ROUND, ||, UPPER, LOWER, TRIM, LENGTH, SUBSTRING, YEAR, MONTH, DAY, DATE_TRUNC, CAST"
)


# What the handlers read of a node, or what makes no difference. Anything else that a parser finds is refused.
ARGUMENTS = {
    "this",
    "table",
    "expression",
    "expressions",
    "ifs",
    "default",
    "true",
    "false",
    "low",
    "high",
    "decimals",
}
ARGUMENTS |= {"start", "length", "unit", "to", "position", "query", "is_string", "safe", "ignore_nulls", "coalesce"}


def handlers() -> dict[type, Callable[[_Writer, Any], Typed]]:
    """What writes each kind of node of `transformLogic`."""
    from sqlglot import exp

    return {
        exp.Column: _Writer.column,
        exp.Literal: _Writer.literal,
        exp.Null: _Writer.null,
        exp.Boolean: _Writer.boolean,
        exp.Paren: _Writer.paren,
        exp.Neg: _Writer.negative,
        **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod), _Writer.arithmetic),
        **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE), _Writer.comparison),
        **dict.fromkeys((exp.And, exp.Or), _Writer.logic),
        exp.Not: _Writer.negation,
        exp.Is: _Writer.is_null,
        exp.Between: _Writer.between,
        exp.In: _Writer.among,
        exp.Case: _Writer.case,
        exp.If: _Writer.when,
        **dict.fromkeys((exp.Coalesce, exp.Greatest, exp.Least), _Writer.first_of),
        exp.Nullif: _Writer.null_if,
        exp.Abs: _Writer.absolute,
        exp.Round: _Writer.rounded,
        **dict.fromkeys((exp.Upper, exp.Lower), _Writer.string_function),
        exp.Trim: _Writer.trimmed,
        exp.Length: _Writer.length,
        exp.Substring: _Writer.substring,
        exp.DPipe: _Writer.concatenation,
        **dict.fromkeys((exp.Year, exp.Month, exp.Day), _Writer.date_part),
        exp.Extract: _Writer.extract,
        **dict.fromkeys((exp.DateTrunc, exp.TimestampTrunc), _Writer.truncated),
        **dict.fromkeys((exp.Cast, exp.TryCast), _Writer.cast),
    }
