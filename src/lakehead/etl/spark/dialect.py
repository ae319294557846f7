"""The contract's DuckDB SQL, written for Spark so that every value is the same.

sqlglot translates; the rest, where the same words mean something else, is here:

| DuckDB | Spark |
|---|---|
| `TRIM(x)` strips every blank of Unicode | strips spaces: the blanks are named |
| `UPPER`, `LOWER` map one character to one | Java maps `ß` to `SS` and looks around `Σ`: one table does it |
| `a / b` divides doubles, 1 / 0 is infinite | divides decimals, or fails |
| `AVG(x)` is a double | is a decimal for decimals |
| a backslash in LIKE is a backslash | escapes |
| `$` in a pattern is the end (RE2) | Java's also stands before a last line feed |

What cannot be written for Spark is refused as a contract that Spark cannot run, never run as something else. The
session's settings (`runtime.MEANING`) belong to this: ANSI casts, TIMESTAMP without time zone, UTC, no loss of digits.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lakehead.contract import patterns
from lakehead.errors import UnsupportedContract


@lru_cache(maxsize=64)
def spark_sql(query: str, *, foreign: bool = False) -> str:
    """A query of `ColumnPlan` for a session of `Runtime`; `foreign` where a person wrote it, patterns and all.

    Raises UnsupportedContract.
    """
    import sqlglot
    from sqlglot import ErrorLevel, exp
    from sqlglot.errors import SqlglotError

    rewrites = _rewrites()
    if foreign:
        rewrites[exp.RegexpLike] = _foreign_match
    try:
        tree = sqlglot.parse_one(query, read="duckdb")
        for node in reversed(list(tree.walk())):  # what is within before what is around it
            rewrite = rewrites.get(type(node))
            if rewrite is not None:
                node.replace(rewrite(node))
        return tree.sql("spark", unsupported_level=ErrorLevel.RAISE)
    except (SqlglotError, RecursionError) as error:
        raise UnsupportedContract(
            f"the Spark engine cannot run the contract's SQL: {str(error).partition(chr(10))[0][:200]}",
            hint='Write the expression in another way, or load with engine = "duckdb".',
        ) from error


def java_pattern(pattern: str) -> str:
    """A pattern in `patterns.portable`'s language as Java reads it: `$` is the end, and nothing before it."""
    written, inside = [], False
    for part in re.findall(r"\\.|.", pattern, re.DOTALL):
        inside = part == "[" or (inside and part != "]")
        written.append(r"\z" if part == "$" and not inside else part)
    return "".join(written)


def _rewrites() -> dict[type, Callable[[Any], Any]]:
    from sqlglot import exp

    return {
        exp.Trim: _trim,
        exp.Upper: _upper,
        exp.Lower: _lower,
        exp.Div: _divide,
        exp.Avg: _average,
        exp.Like: _like,
        exp.RegexpLike: _match,
    }


def _trim(node: Any) -> Any:
    from sqlglot import exp

    if node.expression is None:
        node.set("expression", exp.Literal.string(_blanks()))
        node.set("position", node.args.get("position") or "BOTH")
    return node


def _upper(node: Any) -> Any:
    return _mapped(node, *_case_tables()[0])


def _lower(node: Any) -> Any:
    return _mapped(node, *_case_tables()[1])


def _mapped(node: Any, given: str, made: str) -> Any:
    from sqlglot import exp

    return exp.Anonymous(this="TRANSLATE", expressions=[node.this, exp.Literal.string(given), exp.Literal.string(made)])


def _divide(node: Any) -> Any:
    from sqlglot import exp

    above, below = (exp.cast(exp.paren(side), "DOUBLE") for side in (node.left, node.right))
    if isinstance(node.right, exp.Nullif):
        return exp.Div(this=above, expression=below)
    infinite = exp.Mul(this=above.copy(), expression=exp.cast(exp.Literal.string("Infinity"), "DOUBLE"))
    nothing = exp.EQ(this=below.copy(), expression=exp.Literal.number(0))
    return exp.Case().when(nothing, infinite).else_(exp.Div(this=above, expression=below))


def _average(node: Any) -> Any:
    from sqlglot import exp

    total, count = exp.Sum(this=node.this), exp.Count(this=node.this.copy())
    filtered = node.parent if isinstance(node.parent, exp.Filter) else None
    if filtered is not None:
        raise _unsupported("AVG with FILTER")
    some = exp.Nullif(this=exp.cast(count, "DOUBLE"), expression=exp.Literal.number(0))
    return exp.paren(exp.Div(this=exp.cast(total, "DOUBLE"), expression=some))


def _like(node: Any) -> Any:
    from sqlglot import exp

    pattern = node.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise _unsupported("LIKE with a pattern that is no text")
    pattern.set("this", pattern.this.replace("\\", "\\\\"))
    return node


def _match(node: Any) -> Any:
    """A pattern of Lakehead's own: RE2 and Java read all of it alike but the dollar."""
    node.expression.set("this", java_pattern(_pattern(node)))
    return node


def _foreign_match(node: Any) -> Any:
    try:
        node.expression.set("this", java_pattern(patterns.portable(_pattern(node))))
    except patterns.BadPattern as error:
        raise _unsupported(f"the pattern {_pattern(node)!r} ({error})") from error
    return node


def _pattern(node: Any) -> str:
    from sqlglot import exp

    pattern = node.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string) or node.args.get("flag") is not None:
        raise _unsupported("REGEXP_MATCHES with anything but one text as its pattern")
    return str(pattern.this)


def _unsupported(what: str) -> Exception:
    """An error that names what Spark has no equal for."""
    from sqlglot.errors import UnsupportedError

    return UnsupportedError(f"{what} is not supported")


@lru_cache(maxsize=1)
def _blanks() -> str:
    return "".join(letter for letter in _letters() if unicodedata.category(letter) == "Zs")


@lru_cache(maxsize=1)
def _case_tables() -> tuple[tuple[str, str], tuple[str, str]]:
    """Unicode's simple upper and lower case: the letters that change, and what they become."""
    tables = []
    for change in (_simple_upper, _simple_lower):
        changed = [(letter, change(letter)) for letter in _letters() if change(letter) != letter]
        tables.append(("".join(given for given, _ in changed), "".join(made for _, made in changed)))
    return tables[0], tables[1]


def _letters() -> list[str]:
    return [chr(point) for point in range(1, sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF]


def _simple_upper(letter: str) -> str:
    if letter == "ß":
        return "ẞ"  # DuckDB's choice; Unicode has no simple upper case of it
    upper = letter.upper()
    if len(upper) == 1:
        return upper
    title = letter.title()
    return title if len(title) == 1 else letter


def _simple_lower(letter: str) -> str:
    lower = letter.lower()
    return lower if len(lower) == 1 else "i"  # only İ has a longer one
