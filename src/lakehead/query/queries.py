"""Queries: SELECT, set operations, VALUES and WITH become DuckDB's SQL over the lake's tables.

Names of the people who ask never reach DuckDB: every source and column gets a name of its own there, so no name can
clash, and only what the catalog or the query itself defines can be read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from lakehead.catalog import Table
from lakehead.query.bound import Bound, fault, name_sql, position, unsupported
from lakehead.query.casts import coerce
from lakehead.query.expressions import Expressions
from lakehead.query.functions import aggregates
from lakehead.query.scope import Field, Relation, Scope, Source
from lakehead.query.types import Type, common_type

if TYPE_CHECKING:
    from sqlglot import exp

_QUERY_PARTS = {"expressions", "from_", "joins", "where", "group", "having", "order", "limit", "offset"}
_SELECT_PARTS = _QUERY_PARTS | {"distinct", "with_", "windows"}
_SET_PARTS = {"this", "expression", "distinct", "with_", "order", "limit", "offset"}
_SETS = {"union": "UNION", "intersect": "INTERSECT", "except": "EXCEPT"}
_SUBQUERIES = ("select", "union", "intersect", "except", "values", "subquery")


@dataclass(slots=True)
class Scan:
    """One mention of a table. `name` is that of the relation with its rows; `alias` that of the source over it.

    `conjuncts` are conditions of its SELECT's WHERE over nothing but its partition columns. `nullable`: an outer join
    may fill the source with nulls.
    """

    table: Table
    name: str
    alias: str
    conjuncts: list[str] = field(default_factory=list)
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class _With:
    """A query that WITH names."""

    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A bound statement: `name AS (...)` of its WITH, and its body."""

    withs: tuple[str, ...]
    body: Relation


class Binder:
    """Binds one statement. `find` gives the catalog's table of a name or raises; `now` is the query's start."""

    def __init__(self, find: Callable[[str], Table], database: str, now: datetime) -> None:
        self.find, self.database, self.now = find, database, now
        self.scans: list[Scan] = []
        self._names = 0
        self._withs: list[dict[str, _With]] = []

    def fresh(self, prefix: str) -> str:
        """A name that nothing else has."""
        self._names += 1
        return f"{prefix}{self._names}"

    def statement(self, node: exp.Expr) -> Statement:
        """The whole statement: what its WITH names, and its body."""
        named = node.args.get("with_") if node.key in ("select", *_SETS) else None
        if named is None:
            found = self.query(node)
            # DuckDB loses the names of a WITH inside brackets that follow another WITH.
            return Statement(
                (), Relation(f"SELECT * FROM ({found.sql}) AS q", found.fields) if node.key == "subquery" else found
            )
        self._withs.append({})
        parts = self._parts(named, None)
        return Statement(tuple(parts), self._body(node, None))

    def with_query(self, name: str) -> _With | None:
        """The query that a WITH around here gave this name."""
        return next((withs[name] for withs in reversed(self._withs) if name in withs), None)

    def query(self, node: exp.Expr, parent: Scope | None = None) -> Relation:
        """A query of any kind."""
        if node.key == "subquery":
            return self._subquery(node, parent)
        if node.key == "values":
            return self.values(node, parent)
        if node.key not in ("select", *_SETS):
            raise unsupported(f"{node.key.upper()} as a query", node)
        named = node.args.get("with_")
        if named is None:
            return self._body(node, parent)
        self._withs.append({})
        try:
            parts = self._parts(named, parent)
            body = self._body(node, parent)
        finally:
            self._withs.pop()
        return Relation(f"WITH {', '.join(parts)} {body.sql}", body.fields)

    def order_sql(self, node: exp.Expr, binder: Expressions) -> str:
        """What follows ORDER BY. Nulls come last unless told otherwise, with DESC too (Trino)."""
        return ", ".join(self.ordered(binder.bind(one.this).sql, one) for one in node.expressions)

    @staticmethod
    def ordered(sql: str, node: exp.Expr) -> str:
        """One key of ORDER BY."""
        direction = "DESC" if node.args.get("desc") else "ASC"
        return f"{sql} {direction} NULLS {'FIRST' if node.args.get('nulls_first') else 'LAST'}"

    def _subquery(self, node: exp.Expr, parent: Scope | None) -> Relation:
        _only(node, {"this", "alias", "order", "limit", "offset", "with_"})
        found = self.query(node.this, parent)
        if any(node.args.get(part) for part in ("order", "limit", "offset")):
            return self._tail(found, node, parent)
        return Relation(f"({found.sql})", found.fields)

    def _parts(self, named: exp.Expr, parent: Scope | None) -> list[str]:
        if named.args.get("recursive"):
            raise unsupported("WITH RECURSIVE", named)
        return [self._with(one, parent) for one in named.expressions]

    def _with(self, node: exp.Expr, parent: Scope | None) -> str:
        alias = node.args["alias"]
        name = alias.this.name.lower()
        if name in self._withs[-1]:
            raise fault(f'WITH names "{name}" twice', node, name=name)
        found = renamed(self.query(node.this, parent), [one.name for one in alias.args.get("columns") or ()], node)
        mine = self.fresh("w")
        self._withs[-1][name] = _With(mine, found.fields)
        return f"{mine} AS ({found.sql})"

    def _body(self, node: exp.Expr, parent: Scope | None) -> Relation:
        return _Select(self, node, parent).relation() if node.key == "select" else self._set(node, parent)

    def _set(self, node: exp.Expr, parent: Scope | None) -> Relation:
        _only(node, _SET_PARTS)
        left, right = self.query(node.this, parent), self.query(node.expression, parent)
        if len(left.fields) != len(right.fields):
            counts = f"{len(left.fields)} and {len(right.fields)}"
            raise fault(f"the sides of {_SETS[node.key]} give {counts} columns", node)
        kinds: list[Type] = []
        for one, other in zip(left.fields, right.fields, strict=True):
            kind = common_type(one.type, other.type)
            if kind is None:
                raise fault(f"{_SETS[node.key]} cannot mix {one.type} and {other.type}", node, "CAST one of them.")
            kinds.append(kind)
        names = [f"c{index}" for index in range(len(kinds))]
        sides = [self._side(side, kinds, names) for side in (left, right)]
        every = "" if node.args.get("distinct") else " ALL"
        fields = tuple(
            Field(one.name, kind, name, one.key and other.key)
            for one, other, kind, name in zip(left.fields, right.fields, kinds, names, strict=True)
        )
        return self._tail(Relation(f"{sides[0]} {_SETS[node.key]}{every} {sides[1]}", fields), node, parent)

    def _side(self, side: Relation, kinds: list[Type], names: list[str]) -> str:
        alias = self.fresh("t")
        source = Source(None, alias, side.fields)
        columns = (
            f"{coerce(source.bound(one), kind).sql} AS {name_sql(name)}"
            for one, kind, name in zip(side.fields, kinds, names, strict=True)
        )
        return f"(SELECT {', '.join(columns)} FROM ({side.sql}) AS {alias})"

    def _tail(self, found: Relation, node: exp.Expr, parent: Scope | None) -> Relation:
        """ORDER BY, OFFSET and LIMIT after a set operation or brackets."""
        sql, order = found.sql, node.args.get("order")
        if order is None and not node.args.get("limit") and not node.args.get("offset"):
            return found
        alias = self.fresh("t")
        source = Source(None, alias, found.fields)
        sql = f"SELECT * FROM ({sql}) AS {alias}"
        if order is not None:
            binder = Expressions(self, Scope(parent, [source]))
            keys = []
            for one in order.expressions:
                number = ordinal(one.this, len(found.fields))
                key = source.bound(found.fields[number]) if number is not None else binder.bind(one.this)
                keys.append(self.ordered(key.sql, one))
            sql += f" ORDER BY {', '.join(keys)}"
        return Relation(sql + limit_sql(node), found.fields)

    def values(self, node: exp.Expr, parent: Scope | None) -> Relation:
        """VALUES, with the columns' common types."""
        binder = Expressions(self, Scope(parent))
        rows = [binder.bind_all(one.expressions if one.key == "tuple" else [one]) for one in node.expressions]
        if len({len(row) for row in rows}) != 1:
            raise fault("the rows of VALUES have different numbers of columns", node)
        kinds = list(map(_common(node), zip(*rows, strict=True)))
        texts = (", ".join(coerce(value, kind).sql for value, kind in zip(row, kinds, strict=True)) for row in rows)
        names = [f"c{index}" for index in range(len(kinds))]
        alias = self.fresh("t")
        sql = f"SELECT * FROM (VALUES {', '.join(f'({text})' for text in texts)}) AS {alias}({', '.join(names)})"
        return Relation(sql, tuple(Field(None, kind, name) for kind, name in zip(kinds, names, strict=True)))


class _Select:
    """One SELECT on its way into SQL."""

    def __init__(self, binder: Binder, node: exp.Expr, parent: Scope | None) -> None:
        from lakehead.query.sources import From

        _only(node, _SELECT_PARTS)
        self.binder, self.node = binder, node
        self.source = From(binder, node, parent)
        self.scope = self.source.scope
        self.expressions = Expressions(binder, self.scope)
        for one in node.args.get("windows") or ():
            if one.key != "window":
                raise fault("WINDOW names a window: WINDOW w AS (...)", one)
            self.expressions.windows[one.this.name.lower()] = one

    def relation(self) -> Relation:
        node = self.node
        where = node.args.get("where")
        condition = f" WHERE {self._where(where.this)}" if where is not None else ""
        group = self._group()
        self.expressions.may_have_windows = True
        selected = list(self._selected())
        self.expressions.may_have_windows = False
        if not selected:
            raise fault("SELECT * needs a FROM", node)
        having = node.args.get("having")
        if having is not None:
            group += f" HAVING {self.expressions.condition(having.this, 'HAVING').sql}"
        fields = tuple(Field(name, one.type, f"c{i}", one.key) for i, (name, one) in enumerate(selected))
        columns = ", ".join(f"{one.sql} AS c{i}" for i, (_, one) in enumerate(selected))
        distinct = node.args.get("distinct")
        if distinct is not None and distinct.args.get("on"):
            raise unsupported("DISTINCT ON", node)
        sql = f"SELECT {'DISTINCT ' if distinct is not None else ''}{columns}{self.source.sql}{condition}{group}"
        return Relation(sql + self._order(selected) + limit_sql(node), fields)

    def _where(self, node: exp.Expr) -> str:
        conjuncts = list(node.flatten()) if node.key == "and" else [node]
        found = []
        for one in conjuncts:
            bound = self.expressions.condition(one, "WHERE")
            found.append(bound.sql)
            self.source.prune(one, bound)
        return " AND ".join(f"({one})" for one in found)

    def _group(self) -> str:
        node, group = self.node, self.node.args.get("group")
        parts = [*node.expressions, node.args.get("having"), node.args.get("order")]
        if group is None and not any(_has_aggregate(one) for one in parts if one is not None):
            return ""
        groups: dict[str, Bound] = {}
        keys = []
        if group is not None:
            _only(group, {"expressions", "distinct"})
            keys = [self._group_key(one, groups) for one in group.expressions]
        self.expressions.groups = groups
        return f" GROUP BY {', '.join(keys)}" if keys else ""

    def _group_key(self, node: exp.Expr, groups: dict[str, Bound]) -> str:
        if node.key in ("rollup", "cube", "groupingsets"):
            name = {"groupingsets": "GROUPING SETS"}.get(node.key, node.key.upper())
            return f"{name} ({', '.join(self._group_key(one, groups) for one in node.expressions)})"
        if node.key == "tuple":
            return f"({', '.join(self._group_key(one, groups) for one in node.expressions)})"
        if node.key == "paren":
            return f"({self._group_key(node.this, groups)})"
        number = ordinal(node, len(self.node.expressions))
        if number is not None:
            if any(_is_star(one) for one in self.node.expressions):
                raise unsupported("GROUP BY a number beside *", node)
            node = self.node.expressions[number]
            node = node.this if node.key == "alias" else node
            if _has_aggregate(node):
                raise fault("GROUP BY names a column that is an aggregate", node)
        key = self.expressions.bind(node)
        groups[key.sql] = key
        # A constant would be taken for a column's number.
        return key.sql if not key.constant else f"({key.sql})"

    def _selected(self) -> Iterator[tuple[str | None, Bound]]:
        for one in self.node.expressions:
            if one.key == "star" or (one.key == "column" and one.this.key == "star"):
                _only(one if one.key == "star" else one.this, set())
                yield from self._star(one)
            elif one.key == "alias":
                yield one.alias.lower(), self.expressions.bind(one.this)
            else:
                bound = self.expressions.bind(one)
                yield (one.name.lower() if one.key in ("column", "dot") else None), bound

    def _star(self, node: exp.Expr) -> Iterator[tuple[str | None, Bound]]:
        if self.expressions.groups is not None:
            raise fault("* cannot stand beside aggregates", node, "Name the columns of the GROUP BY clause.")
        yield from self.scope.columns(node.args.get("table"), node)

    def _order(self, selected: list[tuple[str | None, Bound]]) -> str:
        order = self.node.args.get("order")
        if order is None:
            return ""
        names: dict[str, list[int]] = {}
        for index, one in enumerate(selected):
            if one[0] is not None:
                names.setdefault(one[0], []).append(index)
        self.expressions.aliases = {name: selected[found[0]][1] for name, found in names.items()}
        self.expressions.may_have_windows = True
        keys, whole = [], {bound.sql: index for index, (_, bound) in reversed(list(enumerate(selected)))}
        for one in order.expressions:
            number = ordinal(one.this, len(selected))
            if number is None and one.this.key == "column" and not one.this.args.get("table"):
                found = names.get(one.this.name.lower(), [])
                if len(found) > 1 and len({selected[index][1].sql for index in found}) > 1:
                    raise fault(f'the column "{one.this.name}" is ambiguous', one, name=one.this.name)
                number = found[0] if found else None
            if number is None:
                sql = self.expressions.bind(one.this).sql
                number = whole.get(sql)
                if number is None and self.node.args.get("distinct") is not None:
                    raise fault("with DISTINCT, ORDER BY may only name what is selected", one)
            keys.append(self.binder.ordered(f"c{number}" if number is not None else sql, one))
        return f" ORDER BY {', '.join(keys)}"


def ordinal(node: exp.Expr, count: int) -> int | None:
    """The column (from 0) that a whole number in ORDER BY or GROUP BY names; None for anything else."""
    if node.key != "literal" or node.args.get("is_string") or not str(node.this).isdigit():
        return None
    if not 1 <= int(node.this) <= count:
        raise fault(f"there is no column {node.this}, only {count}", node)
    return int(node.this) - 1


def limit_sql(node: exp.Expr) -> str:
    """LIMIT, FETCH FIRST and OFFSET."""
    limit, offset, sql = node.args.get("limit"), node.args.get("offset"), ""
    if limit is not None:
        options = limit.args.get("limit_options")
        if options is not None and (options.args.get("with_ties") or options.args.get("percent")):
            raise unsupported("FETCH FIRST with TIES or PERCENT", limit)
        count = limit.args.get("count") if limit.key == "fetch" else limit.expression
        if count is None:
            sql += " LIMIT 1"
        elif count.name.upper() != "ALL":
            sql += f" LIMIT {_whole_number(count, 'LIMIT')}"
    if offset is not None:
        sql += f" OFFSET {_whole_number(offset.expression, 'OFFSET')}"
    return sql


def renamed(found: Relation, names: list[str], node: exp.Expr) -> Relation:
    """The relation with other column names, `AS t(a, b)`."""
    if not names:
        return found
    if len(names) != len(found.fields):
        raise fault(f"there are {len(names)} names for {len(found.fields)} columns", node)
    fields = (Field(name.lower(), one.type, one.column, one.key) for name, one in zip(names, found.fields, strict=True))
    return Relation(found.sql, tuple(fields))


def only(node: exp.Expr, parts: set[str]) -> None:
    """Refuse what a node says beyond these parts."""
    for name, value in node.args.items():
        if value and name not in parts:
            raise unsupported(f"{name.strip('_').upper()} of {node.key.upper()}", node)


_only = only


def _whole_number(node: exp.Expr, what: str) -> int:
    if node.key != "literal" or not str(node.this).isdigit():
        raise fault(f"{what} wants a whole number", node, **({} if position(node) else {"received": node.name}))
    return int(node.this)


def _common(node: exp.Expr) -> Callable[[tuple[Bound, ...]], Type]:
    def common(column: tuple[Bound, ...]) -> Type:
        kind = functools.reduce(
            lambda found, one: common_type(found, one.type) if found else None, column[1:], _first(column)
        )
        if kind is None:
            raise fault("a column of VALUES mixes types", node, "CAST one of them.")
        return kind

    return common


def _first(column: tuple[Bound, ...]) -> Type | None:
    return column[0].type


def _is_star(node: exp.Expr) -> bool:
    return node.key == "star" or (node.key == "column" and node.this.key == "star")


def _has_aggregate(node: exp.Expr) -> bool:
    """Whether an aggregate function stands in it: not in a subquery, and not over a window."""
    if node.key in _SUBQUERIES:
        return False
    children = list(node.iter_expressions())
    if node.key == "window":
        function = node.this.this if node.this.key in ("filter", "ignorenulls", "respectnulls") else node.this
        children = [*function.iter_expressions(), *(one for one in children if one is not node.this)]
    elif node.key == "groupconcat" or (node.key == "anonymous" and aggregates.is_known(str(node.this).lower())):
        return True
    return any(_has_aggregate(one) for one in children)
