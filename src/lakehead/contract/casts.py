"""From text to a typed value, by rules that every engine follows alike.

A value is trimmed (`WHITESPACE`); then the empty text and the contract's null texts are null. What is left has to match
the grammar of its type as a whole; only then an engine's cast sees it, so an engine's own leniency never decides:

| kind | grammar | examples |
|---|---|---|
| integer | sign, digits | `42` `+7` `-007`; not `1.0` `1e3` `1,000` `0x10` |
| decimal | sign, digits with a point | `1.5` `.5` `5.` `1.500` as decimal(5,2); not `1.005`, which would lose a digit |
| double | the same, and an exponent | `1e3`; not `inf` `nan` nor what is beyond a double |
| boolean | true false t f yes no y n 1 0, in any case | `TRUE` |
| date, timestamp | the format's, see `datetimes` | `2025-01-31`; not `2025-02-30` |

A fast path comes before the grammar: a text that equals the text of its own cast value is canonical, and every
canonical text matches the grammar. It costs half of the regular expression.
"""

from __future__ import annotations

from dataclasses import dataclass

from lakehead.contract import datetimes, sql
from lakehead.contract.datetimes import TimeFormat
from lakehead.contract.model import WHITESPACE, Column, Kind

TRUE = ("true", "t", "yes", "y", "1")
FALSE = ("false", "f", "no", "n", "0")
_NUMBER = r"^[+-]?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)\z"
_DOUBLE = r"^[+-]?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)(?:[eE][+-]?[0-9]{1,4})?\z"
_GREATEST_DOUBLE = "CAST('1.7976931348623157e308' AS DOUBLE)"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a text has no value of its type: `reason`, if it matches `grammar` (with `unless`: if it does not)."""

    reason: str
    grammar: str = ""
    unless: bool = False


@dataclass(frozen=True, slots=True)
class Cast:
    """How text becomes a value of one column's type.

    `canonical` is the length of canonical texts (0: any length; None: there is no fast path). `grammar` is anchored.
    `failures` are tried in turn for a text without a value; the last holds always.
    """

    sql_type: str
    grammar: str
    canonical: int | None
    failures: tuple[Failure, ...]
    format: TimeFormat | None = None

    def fast(self, raw: str, value: str, null_texts: tuple[str, ...]) -> str:
        """SQL: whether `raw`, the text as it was read, is the canonical text of `value`, its cast."""
        # `18999.5` begins `18999.50`, the text of its value as decimal(12,2): as good as equal.
        begins = self.sql_type.startswith("DECIMAL")
        written = f"CAST({value} AS VARCHAR)"
        tests = [f"STARTS_WITH({written}, {raw})" if begins else f"{written} = {raw}"]
        tests += [f"LENGTH({raw}) = {self.canonical}"] if self.canonical else []
        tests += [f"{raw} > '0001'"] if self.format else []  # Spark knows a year 0, and writes it as the text does
        tests += [f"{raw} NOT IN ({', '.join(map(sql.text, null_texts))})"] if null_texts else []
        return " AND ".join(tests)

    def careful(self, text: str) -> str:
        """SQL for the value of a trimmed text, null where it has none."""
        if self.grammar == "":
            true, false = (", ".join(map(sql.text, words)) for words in (TRUE, FALSE))
            return f"CASE WHEN LOWER({text}) IN ({true}) THEN TRUE WHEN LOWER({text}) IN ({false}) THEN FALSE END"
        cast = self.format.value(text, self.sql_type) if self.format else f"TRY_CAST({text} AS {self.sql_type})"
        matches = f"REGEXP_MATCHES({text}, {sql.text(self.grammar)})"
        if self.sql_type == "DOUBLE":
            matches += f" AND ABS({cast}) <= {_GREATEST_DOUBLE}"
        return f"CASE WHEN {matches} THEN {cast} END"


def cast_of(column: Column) -> Cast | None:
    """The cast of a column that is read from text; None for a string, whose text is its value."""
    kind, sql_type = column.type.kind, column.type.sql.upper()
    if kind is Kind.INTEGER:
        grammar = rf"^[+-]?0*[0-9]{{1,{column.type.precision}}}\z"
        overflow = Failure(f"overflows {column.type.sql}", r"^[+-]?[0-9]+\z")
        return Cast(sql_type, grammar, 0, (overflow, Failure("not an integer")))
    if kind is Kind.DECIMAL:
        return _decimal(column)
    if kind is Kind.DOUBLE:
        return Cast(sql_type, _DOUBLE, None, (Failure("overflows double", _DOUBLE), Failure("not a number")))
    if kind is Kind.BOOLEAN:
        return Cast(sql_type, "", None, (Failure("not a boolean (true or false)"),))
    if kind in (Kind.DATE, Kind.TIMESTAMP):
        found = time_format(column)
        reason = f"not a {kind} ({found.shown})"
        return Cast(sql_type, rf"^{found.grammar}\z", found.canonical or None, (Failure(reason),), found)
    return None


def time_format(column: Column) -> TimeFormat:
    """The format that a date or timestamp column is read by."""
    if column.format:
        return datetimes.read_format(column.format)
    return datetimes.iso_date() if column.type.kind is Kind.DATE else datetimes.iso_timestamp(column.zone)


def _decimal(column: Column) -> Cast:
    precision, scale, shown = column.type.precision, column.type.scale, column.type.sql
    whole = rf"0*[0-9]{{1,{precision - scale}}}" if precision > scale else "0+"
    point = rf"(?:[.][0-9]{{0,{scale}}}0*)?"
    bare = rf"[.][0-9]{{1,{scale}}}0*" if scale else "[.]0+"
    fits = rf"^[+-]?0*[0-9]{{0,{precision - scale}}}(?:[.][0-9]*)?\z"
    failures = (
        Failure("not a number", _NUMBER, unless=True),
        Failure(f"does not fit {shown} without loss", fits),
        Failure(f"overflows {shown}"),
    )
    return Cast(shown.upper(), rf"^[+-]?(?:{whole}{point}|{bare})\z", 0, failures)


def why(text: str, cast: Cast, prefix: str) -> str:
    """SQL for the reason why a text has no value: `quantity: not an integer`."""
    written = ""
    for failure in cast.failures[:-1]:
        test = f"REGEXP_MATCHES({text}, {sql.text(failure.grammar)})"
        written += f" WHEN {'NOT ' if failure.unless else ''}{test} THEN {sql.text(prefix + failure.reason)}"
    last = sql.text(prefix + cast.failures[-1].reason)
    return f"CASE{written} ELSE {last} END" if written else last


def clean(raw: str, *, common: bool) -> str:
    """SQL for a text as it was read, trimmed, null where nothing is left.

    Trimming a set of characters is slow (so is looking at the last character, other than by LIKE). Where most rows come
    here (`common`), a text that begins with a visible ASCII character and ends with no blank skips it.
    """
    text = f"NULLIF(TRIM({raw}, {sql.text(WHITESPACE)}), '')"
    if common:
        blank_end = " OR ".join(f"{raw} LIKE {sql.text('%' + blank)}" for blank in WHITESPACE)
        text = f"CASE WHEN {raw} BETWEEN '!' AND '~' AND NOT ({blank_end}) THEN {raw} ELSE {text} END"
    return text
