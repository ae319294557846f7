"""The FROM clause: tables, subqueries, joins, UNNEST and VALUES."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehead.query.bound import Bound, fault, name_sql, unsupported
from lakehead.query.casts import alike
from lakehead.query.expressions import Expressions
from lakehead.query.operators import compare
from lakehead.query.queries import Binder, Scan, only, renamed
from lakehead.query.scope import Field, Relation, Scope, Source
from lakehead.query.types import BIGINT, DATE, Type, from_glue

if TYPE_CHECKING:
    from sqlglot import exp

_CATALOG = "awsdatacatalog"
_VOLATILE = ("rand", "random", "shuffle", "uuid")
_JOINS = {"": "JOIN", "INNER": "JOIN", "LEFT": "LEFT JOIN", "RIGHT": "RIGHT JOIN", "FULL": "FULL JOIN"}


class From:
    """A FROM clause: `sql`, with a blank before it (empty where there is none), and the `scope` it makes."""

    def __init__(self, binder: Binder, node: exp.Expr, parent: Scope | None) -> None:
        self.binder = binder
        self.scope = Scope(parent)
        self.scans: dict[str, Scan] = {}
        self.sql = ""
        clause = node.args.get("from_")
        if clause is None:
            return
        sql = self._item(clause.this)
        for join in node.args.get("joins") or ():
            sql = self._join(sql, join)
        self.sql = f" FROM {sql}"

    def prune(self, node: exp.Expr, bound: Bound) -> None:
        """Note a condition of WHERE for the table whose partition columns are all that it looks at."""
        aliases = set()
        for one in node.walk():
            volatile = one.key == "anonymous" and str(one.this).lower() in _VOLATILE
            if volatile or one.key in ("select", "subquery", "lambda", "values"):
                return
            if one.key == "column":
                alias, _, column = self.scope.resolve(one).sql.partition(".")
                scan = self.scans.get(alias)
                if scan is None or column not in {name_sql(key.name) for key in scan.table.partition_keys}:
                    return
                aliases.add(alias)
        if len(aliases) == 1:
            self.scans[aliases.pop()].conjuncts.append(bound.sql)

    def _item(self, node: exp.Expr) -> str:
        if node.key == "table":
            return self._joined(node, self._table(node))
        if node.key == "subquery" and node.this.key == "table":
            only(node, {"this"})
            return f"({self._item(node.this)})"
        if node.key == "subquery":
            return self._joined(node, self._derived(node, self.binder.query(node.this, self.scope.parent)))
        if node.key == "values":
            return self._derived(node, self.binder.values(node, self.scope.parent))
        if node.key == "unnest":
            return self._unnest(node)
        raise unsupported(f"{node.key.upper()} in FROM", node)

    def _joined(self, node: exp.Expr, sql: str) -> str:
        for join in node.args.get("joins") or ():
            sql = self._join(sql, join)
        return sql

    def _table(self, node: exp.Expr) -> str:
        if node.this.key != "identifier":
            raise unsupported("a table function", node, "Only tables of the catalog and subqueries can be read.")
        only(node, {"this", "db", "catalog", "alias", "joins"})
        name, alias = node.name.lower(), node.args.get("alias")
        known = alias.this.name.lower() if alias is not None and alias.this is not None else name
        names = [one.name for one in alias.args.get("columns") or ()] if alias is not None else []
        mine = self.binder.fresh("t")
        named = self.binder.with_query(name) if not node.args.get("db") else None
        if named is not None:
            found = renamed(Relation(named.name, named.fields), names, node)
        else:
            scan = self._scan(node, name, mine)
            self.scans[mine] = scan
            found = renamed(Relation(scan.name, table_fields(scan)), names, node)
        self._add(Source(known, mine, found.fields), node)
        return f"{found.sql} AS {mine}"

    def _scan(self, node: exp.Expr, name: str, alias: str) -> Scan:
        database, catalog = node.args.get("db"), node.args.get("catalog")
        if database is not None and database.name.lower() != self.binder.database.lower():
            raise fault(f'there is no database "{database.name}"', node, f'The database is "{self.binder.database}".')
        if catalog is not None and catalog.name.lower() != _CATALOG:
            raise fault(f'there is no catalog "{catalog.name}"', node, f'The catalog is "{_CATALOG}".')
        from lakehead.errors import QueryError, TableNotFound
        from lakehead.query.bound import position

        try:
            table = self.binder.find(name)
        except TableNotFound as error:
            raise QueryError(error.message, hint=error.hint, table=name, **position(node)) from error
        scan = Scan(table, self.binder.fresh("s"), alias)
        self.binder.scans.append(scan)
        return scan

    def _derived(self, node: exp.Expr, found: Relation) -> str:
        only(node, {"this", "alias", "joins", "expressions", "with_"})
        alias = node.args.get("alias")
        known = alias.this.name.lower() if alias is not None and alias.this is not None else None
        names = [one.name for one in alias.args.get("columns") or ()] if alias is not None else []
        mine = self.binder.fresh("t")
        found = renamed(found, names, node)
        self._add(Source(known, mine, found.fields), node)
        return f"({found.sql}) AS {mine}"

    def _add(self, source: Source, node: exp.Expr) -> None:
        if source.alias is not None and any(one.alias == source.alias for one in self.scope.sources):
            raise fault(f'"{source.alias}" stands twice in FROM', node, "Give one of them another name with AS.")
        self.scope.sources.append(source)

    def _join(self, left: str, node: exp.Expr) -> str:
        only(node, {"this", "side", "kind", "on", "using", "method"})
        side, kind = str(node.args.get("side") or "").upper(), str(node.args.get("kind") or "").upper()
        if node.args.get("method") or side not in _JOINS or kind not in ("", "INNER", "OUTER", "CROSS"):
            raise unsupported(f"{node.args.get('method') or ''} {side} {kind} JOIN".strip().replace("  ", " "), node)
        before = list(self.scope.sources)
        right = self._item(node.this)
        added = self.scope.sources[len(before) :]
        for source in (before if side in ("RIGHT", "FULL") else []) + (added if side in ("LEFT", "FULL") else []):
            if source.name in self.scans:
                self.scans[source.name].nullable = True
        using: list[exp.Expr] = node.args.get("using") or []
        condition: exp.Expr | None = node.args.get("on")
        if kind == "CROSS" or (condition is None and not using):
            if side or kind == "INNER":
                raise fault("a JOIN needs ON or USING", node)
            return f"{left} CROSS JOIN {right}"
        if condition is None:
            on = self._using([one.name.lower() for one in using], before, added, side, node)
        else:
            on = Expressions(self.binder, self.scope).condition(condition, "ON").sql
        return f"{left} {_JOINS[side]} {right} ON {on}"

    def _using(self, names: list[str], before: list[Source], added: list[Source], side: str, node: exp.Expr) -> str:
        conditions = []
        for name in names:
            left = self.scope.merged.get(name) or self._one(name, before, node)
            right = self._one(name, added, node)
            conditions.append(compare("=", left, right, node).sql)
            (one, other), kind = alike([left, right], node, "USING")
            chosen = {"RIGHT": other.sql, "FULL": f"coalesce({one.sql}, {other.sql})"}.get(side, one.sql)
            self.scope.merged[name] = Bound(chosen, kind, key=left.key and right.key)
            for source in (*before, *added):
                source.hidden.add(name)
        return " AND ".join(conditions)

    def _one(self, name: str, sources: list[Source], node: exp.Expr) -> Bound:
        found = [source.bound(one) for source in sources for one in source.fields if one.name == name]
        if len(found) != 1:
            raise fault(f'USING needs exactly one column "{name}" on each side', node, name=name)
        return found[0]

    def _unnest(self, node: exp.Expr) -> str:
        """UNNEST of arrays and maps, side by side; the shorter ones end in nulls."""
        only(node, {"expressions", "alias", "offset"})
        binder = Expressions(self.binder, self.scope)
        columns: list[tuple[str, Type]] = []
        lengths = []
        for one in node.expressions:
            value = binder.bind(one)
            if value.type.name == "array":
                if value.type.args[0].name == "row":
                    raise unsupported("UNNEST of rows", one)
                columns.append((value.sql, value.type.args[0]))
            elif value.type.name == "map":
                columns += [(f"map_keys({value.sql})", value.type.args[0])]
                columns += [(f"map_values({value.sql})", value.type.args[1])]
            else:
                raise fault(f"UNNEST wants an array or a map, not a {value.type}", one)
            lengths.append(f"coalesce(len({columns[-1][0]}), 0)")
        selected = [f"unnest({sql}) AS c{index}" for index, (sql, _) in enumerate(columns)]
        fields = [Field(None, kind, f"c{index}") for index, (_, kind) in enumerate(columns)]
        alias, offset = node.args.get("alias"), node.args.get("offset")
        names = [one.name for one in alias.args.get("columns") or ()] if alias is not None else []
        if offset:
            selected.append(f"unnest(generate_series(1, greatest({', '.join(lengths)}, 0))) AS c{len(columns)}")
            fields.append(Field(None, BIGINT, f"c{len(columns)}"))
            if names and not isinstance(offset, bool) and len(names) < len(fields):
                names.append(offset.name)
        found = renamed(Relation("", tuple(fields)), names, node)
        mine = self.binder.fresh("t")
        known = alias.this.name.lower() if alias is not None and alias.this is not None else None
        self._add(Source(known, mine, found.fields), node)
        lateral = "LATERAL " if len(self.scope.sources) > 1 or self.scope.parent is not None else ""
        return f"{lateral}(SELECT {', '.join(selected)}) AS {mine}"


def table_fields(scan: Scan) -> tuple[Field, ...]:
    """A catalog table's columns, the partition keys last, as Athena shows them."""
    columns = [Field(one.name, from_glue(one.type), one.name) for one in scan.table.columns]
    keys = [(one, from_glue(one.type)) for one in scan.table.partition_keys]
    return tuple(columns + [Field(one.name, kind, one.name, key=kind == DATE) for one, kind in keys])
