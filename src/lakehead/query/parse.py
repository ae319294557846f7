"""One statement of Athena SQL as a syntax tree, or the reason why it is none that may run here."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from lakehead.errors import QueryError, UnsupportedSql

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.dialects.dialect import Dialect

MAX_SQL = 262_144  # Athena's limit of a query string: Service Quotas, "query string length"
_MAX_DEPTH = 150
_MAX_DIGITS = 1_000  # of a number; none that a type can hold is longer
_SPECIAL_SYNTAX = ("CAST", "TRY_CAST", "EXTRACT", "POSITION", "SUBSTRING", "TRIM", "LISTAGG")
_NAME = r"""(?:["`]?\w+["`]?\.)?["`]?(\w+)["`]?"""
_SHOW = re.compile(r"show\s+(tables|databases|schemas)(?:\s+(?:in|from)\s+\S+)?", re.IGNORECASE)
_DESCRIBE = re.compile(rf"(?:describe|desc|show\s+columns\s+(?:in|from))\s+(?:formatted\s+)?{_NAME}", re.IGNORECASE)
_PARTITIONS = re.compile(rf"show\s+partitions\s+{_NAME}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Show:
    """SHOW TABLES, DATABASES, COLUMNS (also DESCRIBE) or PARTITIONS, of a table where there is one."""

    what: str
    table: str = ""


def parse(sql: str) -> exp.Query | Show:
    """The statement. Raises QueryError for a fault and UnsupportedSql for a statement that is no query."""
    from sqlglot import exp

    if len(sql.encode(errors="replace")) > MAX_SQL:
        raise QueryError(f"the SQL is longer than {MAX_SQL} bytes, which is Athena's limit")
    if shown := _parse_show(sql):
        return shown
    statements = _statements(sql)
    if len(statements) != 1:
        raise QueryError(
            "there is no statement" if not statements else f"only one statement can run, there are {len(statements)}"
        )
    (found,) = statements
    if isinstance(found, exp.Subquery):
        found = found.unnest() if not (found.args.keys() & {"limit", "order"}) else exp.select("*").from_(found)
    if isinstance(found, exp.Values):
        found = exp.select("*").from_(found)
    if not isinstance(found, exp.Query):
        if isinstance(found, (exp.Condition, exp.Alias)):
            raise QueryError("this is no query", hint="A query begins with SELECT, WITH or VALUES.")
        name = str(found.this if isinstance(found, exp.Command) else found.key).upper()
        raise UnsupportedSql(
            f"{name} statements cannot run: only queries, SHOW TABLES, SHOW PARTITIONS and DESCRIBE", construct=name
        )
    return found


def _parse_show(sql: str) -> Show | None:
    text = re.sub(r"--[^\n]*", "", sql).strip().rstrip(";").strip()
    if match := _SHOW.fullmatch(text):
        return Show("tables" if match[1].lower() == "tables" else "databases")
    if match := _PARTITIONS.fullmatch(text):
        return Show("partitions", match[1].lower())
    if match := _DESCRIBE.fullmatch(text):
        return Show("columns", match[1].lower())
    return None


def _statements(sql: str) -> list[exp.Expr]:
    from sqlglot import TokenType
    from sqlglot.errors import ParseError, TokenError

    dialect = _dialect()
    try:
        tokens = dialect.tokenize(sql)
        if _depth(tokens) > _MAX_DEPTH:
            raise QueryError(f"the SQL is nested deeper than {_MAX_DEPTH} brackets")
        if any(token.token_type == TokenType.NUMBER and len(token.text) > _MAX_DIGITS for token in tokens):
            raise QueryError(f"a number in the SQL has more than {_MAX_DIGITS} digits")
        return [one for one in dialect.parser().parse(tokens, sql) if one is not None]
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        near = str(first.get("highlight") or "")
        said = re.sub(r"<class '[\w.]*?(\w+)'>", r"\1", str(first.get("description") or error)).rstrip(".")
        raise QueryError(
            f"the SQL cannot be read: {said}", near=near or None, line=first.get("line"), column=first.get("col")
        ) from error
    except TokenError as error:
        raise QueryError(f"the SQL cannot be read: {error}", hint="Is a quote or a comment left open?") from error
    except RecursionError as error:
        raise QueryError("the SQL is nested too deeply") from error


def _depth(tokens: Sequence[object]) -> int:
    depth = deepest = 0
    for token in tokens:
        text = getattr(token, "text", "")
        depth += text in ("(", "[") or text.upper() == "CASE"
        depth -= text in (")", "]")
        deepest = max(deepest, depth)
    return deepest


@functools.cache
def _dialect() -> Dialect:
    """Trino's grammar, with every function call left as it is written: our own table knows what each means."""
    from sqlglot.dialects.trino import Trino
    from sqlglot.parsers.trino import TrinoParser

    class AthenaQuery(Trino):
        INDEX_OFFSET = 0  # leaves subscripts as they are written

        class Parser(TrinoParser):
            FUNCTIONS: ClassVar[dict[str, Any]] = {}
            FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
                name: TrinoParser.FUNCTION_PARSERS[name] for name in _SPECIAL_SYNTAX
            }

    # It warns of statements that it cannot read in full; here they are refused with an error.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    return AthenaQuery()
