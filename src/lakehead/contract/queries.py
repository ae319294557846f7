"""`quality` of type sql: one SELECT over the accepted rows of a file, that gives one number.

The query names the rows `{object}` (also `${object}`, `{table}`, `{schema}`) and, at a property, the column
`{property}` (also `{column}`). Every node of the query must be known here, so it reaches no file, table or setting;
and every value within has a type, so that casts, rounding and dates that engines know differently are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lakehead.contract.expressions import BadExpression
from lakehead.contract.model import ColumnType
from lakehead.contract.query_types import check_types

OBJECT = "_object"
"""The name under which a checked query reads the rows."""


class BadQuery(ValueError):
    """A query that cannot be run; `hint` says what could be written instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


# Names of sqlglot's classes.
_ALLOWED = {"Select", "From", "Where", "Group", "Having", "Table", "Alias", "TableAlias", "Subquery", "CTE", "With"}
_ALLOWED |= {"Distinct", "Column", "Identifier", "Star", "Literal", "Null", "Boolean", "Paren", "Tuple", "Filter"}
_ALLOWED |= {"Neg", "Add", "Sub", "Mul", "Div", "Mod", "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "And", "Or", "Not", "Is"}
_ALLOWED |= {"Between", "In", "Like", "RegexpLike", "Case", "If", "Coalesce", "Nullif", "Greatest", "Least", "Abs"}
_ALLOWED |= {"Round", "Upper", "Lower", "Trim", "Length", "DPipe", "Year", "Month", "Day"}
_ALLOWED |= {"Cast", "TryCast", "DataType", "DataTypeParam", "Count", "CountIf", "Sum", "Avg", "Min", "Max"}


def check(text: str, columns: Mapping[str, ColumnType], column: str | None) -> str:
    """The query as DuckDB SQL over `_object`, of these columns.

    Raises BadQuery for one that is not a plain, closed SELECT of a number that is the same on every engine.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    written = re.sub(r"\$?\{\s*(object|table|schema)\s*\}", OBJECT, text)
    if column is not None:
        written = re.sub(r"\$?\{\s*(property|column)\s*\}", f'"{column}"', written)
    if "{" in written:
        raise BadQuery(
            "the query has a placeholder that is not known here", "{object} is the rows, {property} the column."
        )
    try:
        found = sqlglot.parse(written, read="duckdb")
    except (SqlglotError, RecursionError) as error:
        first = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split()) or "it is nested too deeply"
        raise BadQuery(f"it is no SQL: {first[:160]}") from error
    if len(found) != 1 or not isinstance(found[0], exp.Select) or len(found[0].expressions) != 1:
        raise BadQuery("it is not one SELECT of one value", "SELECT COUNT(*) FROM {object} WHERE ...")
    tree = found[0]
    _closed(tree, columns)
    try:
        check_types(tree, OBJECT, columns)
    except BadExpression as error:
        raise BadQuery(f"{error}", error.hint) from error
    return tree.sql("duckdb")


def _closed(tree: Any, columns: Mapping[str, ColumnType]) -> None:
    """Refuse what is not known here, and what reads anything but the rows."""
    from sqlglot import exp

    own = {found.alias for found in tree.find_all(exp.CTE)}
    known = {*columns, *(alias.alias for alias in tree.find_all(exp.Alias))}
    for node in tree.walk():
        if type(node).__name__ not in _ALLOWED:
            raise BadQuery(f"{getattr(node, 'name', '') or type(node).__name__} is not supported in a quality query")
        if isinstance(node, exp.Table) and (node.name not in (OBJECT, *own) or len(node.parts) != 1):
            raise BadQuery(f"it reads {node.sql()}", "Only {object}, the rows of the file, can be read.")
        if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star) and node.name not in known:
            raise BadQuery(f"{node.name} is no property", f"Properties: {', '.join(columns)}.")
