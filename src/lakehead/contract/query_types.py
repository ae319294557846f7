"""The types within a quality query: what engines would answer otherwise is refused when the contract is read.

The language is that of `transformLogic`, with relations, aggregates and patterns around it. Only types are looked at:
the query stays as it is written, for the checks of a file may fail, and engines agree on all that is let through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from lakehead.contract.expressions import (
    ARGUMENTS,
    MAX_DIGITS,
    NULL,
    BadExpression,
    Typed,
    _Writer,
    check_cast,
    common_type,
    handlers,
    moment_literal,
)
from lakehead.contract.model import ColumnType, Kind

_STRING, _BOOLEAN, _DOUBLE = (ColumnType.of(kind) for kind in (Kind.STRING, Kind.BOOLEAN, Kind.DOUBLE))
_DATE, _TIMESTAMP = ColumnType.of(Kind.DATE), ColumnType.of(Kind.TIMESTAMP)
_BIGINT = ColumnType.integer("bigint")
_MOMENTS = (Kind.DATE, Kind.TIMESTAMP)
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE)
_KNOWN = ARGUMENTS | {"big_int", "flag", "count", "negate"}

_Outputs = list[tuple[str, ColumnType]]
"""The columns that a SELECT gives; one without a name cannot be read by its name."""


def check_types(tree: Any, relation: str, columns: Mapping[str, ColumnType]) -> None:
    """Raise BadExpression unless the query gives one number, and the same one on every engine."""
    try:
        outputs = _Scope({relation: list(columns.items())}, None).select(tree)
    except RecursionError as error:
        raise BadExpression("it is nested too deeply") from error
    found = outputs[0][1] if len(outputs) == 1 else None
    if found is None:
        raise BadExpression(f"it gives {len(outputs)} values", "Name the one that is to be checked.")
    if found is not NULL and found.kind not in _NUMBERS:
        raise BadExpression(f"it gives a {found.sql}, where a number is needed", "COUNT(*) counts the rows.")


class _Scope(_Writer):
    """One SELECT: the columns that it reads, those that it names, and the SELECT around it, if that can be seen."""

    def __init__(self, relations: Mapping[str, _Outputs], outer: _Scope | None) -> None:
        super().__init__({})
        self.relations, self.outer = dict(relations), outer
        self.source, self.projected = "", False
        self.sources: dict[str, ColumnType] = {}
        self.aliases: dict[str, ColumnType] = {}

    def select(self, node: Any) -> _Outputs:
        from sqlglot import exp

        while isinstance(node, exp.Subquery):
            node = node.this
        if not isinstance(node, exp.Select):
            raise BadExpression(f"{type(node).__name__} is not supported in a quality query")
        if (distinct := node.args.get("distinct")) is not None and distinct.args.get("on"):
            raise BadExpression("DISTINCT ON is not supported", "Which row it takes is left to chance.")
        for cte in node.ctes:
            self._plain_alias(cte)
            self.relations[cte.alias.lower()] = _Scope(self.relations, self.outer).select(cte.this)
        read = self._read(node.args.get("from_"))
        outputs = [output for item in node.expressions for output in self._output(item, read)]
        self.projected = True
        for name in ("where", "having"):
            if (clause := node.args.get(name)) is not None:
                self.condition(clause.this)
        for key in group.expressions if (group := node.args.get("group")) is not None else ():
            for part in key.expressions if isinstance(key, exp.Tuple) else (key,):
                self.write(part)
        return outputs

    def _read(self, clause: Any) -> _Outputs:
        """The columns of what FROM names."""
        from sqlglot import exp

        if clause is None:
            return []
        relation = clause.this
        self._plain_alias(relation)
        if isinstance(relation, exp.Table):
            found = self.relations.get(relation.name.lower())
            if found is None:
                raise BadExpression(f"{relation.name} reads itself, or what comes after it")
        else:
            found = _Scope(self.relations, self.outer).select(relation)
        self.source = relation.alias_or_name.lower()
        for name, kind in found:
            key = name.lower()
            if key and self.sources.setdefault(key, kind) != kind:
                raise BadExpression(f"two columns are named {name}", "Give each a name of its own, with AS.")
        return found

    def _plain_alias(self, relation: Any) -> None:
        alias = relation.args.get("alias")
        if alias is not None and alias.args.get("columns"):
            raise BadExpression("names of columns after a relation's are not supported", "Write AS at each column.")

    def _output(self, item: Any, read: _Outputs) -> _Outputs:
        from sqlglot import exp

        star = item.this if isinstance(item, exp.Column) else item
        if isinstance(star, exp.Star):
            if any(star.args.values()):
                raise BadExpression("* with EXCLUDE, REPLACE or RENAME is not supported", "Name the columns.")
            return read
        inner = item.this if isinstance(item, exp.Alias) else item
        found = self.write(inner).type
        if isinstance(item, exp.Alias):
            if self.aliases.setdefault(item.alias.lower(), found) != found:
                raise BadExpression(f"two columns are named {item.alias}", "Give each a name of its own.")
            return [(item.alias, found)]
        return [(item.name if isinstance(item, exp.Column) else "", found)]

    def write(self, node: Any) -> Typed:
        known = _query_handlers().get(type(node))
        if known is None:
            raise BadExpression(f"{type(node).__name__} is not supported here in a quality query")
        unknown = [key for key, value in node.args.items() if value and key not in _KNOWN]
        if unknown:
            raise BadExpression(f"{unknown[0].upper()} is not supported at {type(node).__name__}")
        return known(self, node)

    def column(self, node: Any) -> Typed:
        if len(node.parts) > 2:
            raise BadExpression(f"{node.sql()} is no property")
        scope: _Scope | None = self
        while scope is not None:
            found = scope.look_up(node.name.lower(), node.table.lower())
            if found is not None:
                return Typed(node.sql("duckdb"), found)
            scope = scope.outer
        raise BadExpression(f"{node.sql()} is no column here", "It is not among those that FROM gives.")

    def look_up(self, name: str, source: str) -> ColumnType | None:
        """The type of a column of this SELECT; None where there is none of that name."""
        if source and source != self.source:
            return None
        read, alias = self.sources.get(name), self.aliases.get(name) if not source else None
        if self.projected and None not in (read, alias) and read != alias:
            # WHERE, GROUP BY and HAVING: engines do not take the same one of the two.
            raise BadExpression(f"{name} is a column and the name of another value", "Give the value another name.")
        return read or alias

    def literal(self, node: Any) -> Typed:
        if not node.is_string and re.fullmatch(r"[0-9.]+[eE][+-]?[0-9]+", node.this):
            return Typed(node.this, _DOUBLE)
        return super().literal(node)

    def arithmetic(self, node: Any) -> Typed:
        from sqlglot import exp

        left, right = self.number(node.left).type, self.number(node.right).type
        if isinstance(node, exp.Div) or not (left.exact and right.exact):
            return Typed("", _DOUBLE)
        scale = left.scale + right.scale if isinstance(node, exp.Mul) else max(left.scale, right.scale)
        if scale > MAX_DIGITS:
            raise BadExpression(f"{node.sql()} can need {scale} digits behind the point; {MAX_DIGITS} is the most")
        return Typed("", ColumnType.decimal(MAX_DIGITS, scale))  # what needs more digits fails on every engine

    def number(self, node: Any) -> Typed:
        found = self.write(node)
        if found.type.kind in _MOMENTS:
            raise BadExpression(
                f"{node.sql('duckdb')} is a {found.type.sql}, where a number is needed",
                "Engines count with dates differently: compare them, or take YEAR, MONTH or DAY of them.",
            )
        if found.type.kind not in _NUMBERS and found.type is not NULL:
            raise BadExpression(f"{node.sql('duckdb')} is {found.type.sql}, where a number is needed")
        return found if found.type is not NULL else Typed("NULL", _BIGINT)

    def castable(self, found: ColumnType, wanted: ColumnType) -> None:
        if (found.kind, wanted.kind) != (Kind.BOOLEAN, Kind.INTEGER):  # 0 or 1 everywhere
            check_cast(found, wanted)

    def alike(self, nodes: list[Any]) -> list[Typed]:
        """As in `transformLogic`; but a text may stand for a date, and a day for its first moment."""
        from sqlglot import exp

        found = [self.write(node).type for node in nodes]
        kinds = {one.kind for one in found}
        if not kinds.isdisjoint(_MOMENTS):
            wanted = _DATE if Kind.DATE in kinds else _TIMESTAMP
            for number, node in enumerate(nodes):
                if isinstance(node, exp.Literal) and node.is_string:
                    found[number] = moment_literal(node.this, wanted).type
        types = [one for one in found if one is not NULL]
        common = types[0] if types else NULL
        for other in types[1:]:
            common = _widest(common, other)
        return [Typed("", common) for _ in nodes]

    def is_value(self, node: Any) -> Typed:
        from sqlglot import exp

        if isinstance(node.expression, exp.Boolean):
            self.condition(node.this)
            return Typed("", _BOOLEAN)
        return self.is_null(node)

    def among(self, node: Any) -> Typed:
        query = node.args.get("query")
        if query is None:
            return super().among(node)
        value, given = self.write(node.this).type, self.subquery(query).type
        if NULL not in (value, given):
            _widest(value, given)
        return Typed("", _BOOLEAN)

    def subquery(self, node: Any) -> Typed:
        outputs = _Scope(self.relations, self).select(node)
        if len(outputs) != 1:
            raise BadExpression(f"a query within gives {len(outputs)} values, where one is needed")
        return Typed("", outputs[0][1])

    def matched(self, node: Any) -> Typed:
        self.text(node.this)
        self.text(node.expression)
        return Typed("", _BOOLEAN)

    def trimmed(self, node: Any) -> Typed:
        if node.expression is not None:
            self.text(node.expression)
        return self.text(node.this)

    def filtered(self, node: Any) -> Typed:
        self.condition(node.expression.this)
        return self.write(node.this)

    def counted(self, node: Any) -> Typed:
        from sqlglot import exp

        for part in _arguments(node):
            for one in part.expressions if isinstance(part, exp.Tuple) else (part,):
                if not isinstance(one, exp.Star):
                    self.write(one)
        return Typed("", _BIGINT)

    def counted_if(self, node: Any) -> Typed:
        for part in _arguments(node):
            self.condition(part)
        return Typed("", _BIGINT)

    def total(self, node: Any) -> Typed:
        found = self.number(_only(node)).type
        return Typed("", ColumnType.decimal(MAX_DIGITS, found.scale) if found.exact else _DOUBLE)

    def average(self, node: Any) -> Typed:
        self.number(_only(node))
        return Typed("", _DOUBLE)

    def extreme(self, node: Any) -> Typed:
        return self.write(_only(node))


def _widest(left: ColumnType, right: ColumnType) -> ColumnType:
    if {left.kind, right.kind} == set(_MOMENTS):
        return _TIMESTAMP
    try:
        return common_type(left, right)
    except BadExpression:
        if left.exact and right.exact:  # a value that needs more digits fails on every engine
            return ColumnType.decimal(MAX_DIGITS, max(left.scale, right.scale))
        raise


def _arguments(node: Any) -> list[Any]:
    """What an aggregate is over, with or without DISTINCT."""
    from sqlglot import exp

    given = [node.this, *node.expressions]
    return [part for one in given for part in (one.expressions if isinstance(one, exp.Distinct) else [one])]


def _only(node: Any) -> Any:
    given = _arguments(node)
    if len(given) != 1 or node.args.get("count"):
        raise BadExpression(f"{type(node).__name__.upper()} is only supported with one argument")
    return given[0]


@lru_cache(maxsize=1)
def _query_handlers() -> dict[type, Callable[[Any, Any], Typed]]:
    from sqlglot import exp

    return {
        **handlers(),
        exp.Column: _Scope.column,
        exp.Literal: _Scope.literal,
        **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod), _Scope.arithmetic),
        exp.Is: _Scope.is_value,
        exp.In: _Scope.among,
        exp.Subquery: _Scope.subquery,
        **dict.fromkeys((exp.Like, exp.RegexpLike), _Scope.matched),
        exp.Trim: _Scope.trimmed,
        exp.Filter: _Scope.filtered,
        exp.Count: _Scope.counted,
        exp.CountIf: _Scope.counted_if,
        exp.Sum: _Scope.total,
        exp.Avg: _Scope.average,
        **dict.fromkeys((exp.Min, exp.Max), _Scope.extreme),
    }
