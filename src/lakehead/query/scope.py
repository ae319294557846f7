"""What names mean at one place of a query: tables and their columns, from the inside out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakehead.query.bound import Bound, fault, name_sql
from lakehead.query.types import Type

if TYPE_CHECKING:
    from sqlglot import exp


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a relation: `name` as people know it (None: nameless), `column` as DuckDB's SQL knows it."""

    name: str | None
    type: Type
    column: str
    key: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """A query, or something else to select from, in DuckDB's SQL."""

    sql: str
    fields: tuple[Field, ...]


@dataclass(slots=True)
class Source:
    """A relation in a FROM clause. `alias` is what people call it (None: nothing), `name` what DuckDB's SQL does."""

    alias: str | None
    name: str
    fields: tuple[Field, ...]
    hidden: set[str] = field(default_factory=set)

    def bound(self, one: Field) -> Bound:
        """A column of it as an expression."""
        return Bound(f"{self.name}.{name_sql(one.column)}", one.type, key=one.key)


@dataclass(slots=True)
class Scope:
    """The sources of one SELECT, the columns that a USING merged, lambda arguments, and the scope around it."""

    parent: Scope | None = None
    sources: list[Source] = field(default_factory=list)
    merged: dict[str, Bound] = field(default_factory=dict)
    arguments: dict[str, Bound] = field(default_factory=dict)

    def inner(self, arguments: dict[str, Bound]) -> Scope:
        """The same scope with a lambda's arguments."""
        return Scope(self.parent, self.sources, self.merged, {**self.arguments, **arguments})

    def resolve(self, node: exp.Expr) -> Bound:
        """The column (or field of a row) that a name means. Raises QueryError with the nearest name."""
        parts = [part.name.lower() for part in _parts(node)] if node.key == "column" else [node.name.lower()]
        scope: Scope | None = self
        while scope is not None:
            if found := scope._find(node, parts):
                return found
            scope = scope.parent
        raise self._unknown(node, parts)

    def columns(self, table: exp.Identifier | None, node: exp.Expr) -> Iterator[tuple[str | None, Bound]]:
        """What `*` or `table.*` stands for."""
        sources = self.sources if table is None else [s for s in self.sources if s.alias == table.name.lower()]
        if not sources:
            name = table.name if table is not None else "*"
            raise fault(f'nothing is called "{name}" here', node, _nearest(name, (s.alias or "" for s in self.sources)))
        if table is None:
            yield from self.merged.items()
        for source in sources:
            for one in source.fields:
                if table is not None or one.name not in source.hidden:
                    yield one.name, source.bound(one)

    def _find(self, node: exp.Expr, parts: list[str]) -> Bound | None:
        if parts[0] in self.arguments:
            return _dereference(self.arguments[parts[0]], parts[1:], node)
        # A database may stand before the table's name.
        for skip in range(len(parts) - 1):
            table, column, rest = parts[skip], parts[skip + 1], parts[skip + 2 :]
            matches = [s for s in self.sources if s.alias == table]
            if len(matches) > 1:
                raise fault(f'"{table}" may be more than one table', node)
            if matches:
                found = self._column(matches, column, node)
                if found is not None:
                    return _dereference(found, rest, node)
                if skip == 0 and len(parts) == 2:
                    names = (one.name or "" for one in matches[0].fields)
                    raise fault(f'"{table}" has no column "{column}"', node, _nearest(column, names), name=column)
        if parts[0] in self.merged:
            return _dereference(self.merged[parts[0]], parts[1:], node)
        found = self._column(self.sources, parts[0], node)
        return None if found is None else _dereference(found, parts[1:], node)

    def _column(self, sources: Iterable[Source], name: str, node: exp.Expr) -> Bound | None:
        found = [source.bound(one) for source in sources for one in source.fields if one.name == name]
        if len(found) > 1:
            raise fault(f'the column "{name}" is ambiguous', node, "Put the table's name before it.", name=name)
        return found[0] if found else None

    def _unknown(self, node: exp.Expr, parts: list[str]) -> Exception:
        names: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            names += [one.name for source in scope.sources for one in source.fields if one.name]
            names += [source.alias for source in scope.sources if source.alias]
            scope = scope.parent
        written = ".".join(parts)
        return fault(f'no column is named "{written}"', node, _nearest(parts[-1], names), name=written)


def _parts(node: exp.Expr) -> list[exp.Expr]:
    parts: list[exp.Expr] = node.parts  # type: ignore[attr-defined]
    return parts


def _dereference(value: Bound, fields: list[str], node: exp.Expr) -> Bound:
    for name in fields:
        if value.type.name != "row":
            raise fault(f'there is no field "{name}" in a {value.type}', node, name=name)
        kinds = {str(one).lower(): (one, kind) for one, kind in value.type.args}
        if name not in kinds:
            raise fault(f'the row has no field "{name}"', node, _nearest(name, kinds), name=name)
        written, kind = kinds[name]
        value = value.with_type(f"({value.sql}).{name_sql(written)}", kind)
    return value


def _nearest(name: str, names: Iterable[str]) -> str:
    known = sorted({one for one in names if one})
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    if near:
        return f'Did you mean "{near[0]}"?'
    return f"There are: {', '.join(known[:30])}." if known else ""
