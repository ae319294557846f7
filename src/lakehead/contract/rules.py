"""From a rule to SQL: the condition under which a value breaks it, and the words that say so."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from lakehead.contract import sql
from lakehead.contract.model import (
    Bound,
    Column,
    ColumnType,
    Kind,
    Length,
    MultipleOf,
    NotMissing,
    OneOf,
    Pattern,
    Rule,
)

_WORDS = {">=": "less than", ">": "not more than", "<=": "more than", "<": "not less than"}
_BREAKS = {">=": "<", ">": "<=", "<=": ">", "<": ">="}


def broken(rule: Rule, column: Column, value: str) -> str:
    """SQL: whether `value`, SQL of the column's type, breaks the rule. Null or false where it does not."""
    if isinstance(rule, Bound):
        return _beyond(rule, column.type, value)
    if isinstance(rule, MultipleOf):
        return _no_multiple(rule.step, column.type, value)
    if isinstance(rule, Length):
        tests = [f"LENGTH({value}) < {rule.least}"] if rule.least else []
        tests += [f"LENGTH({value}) > {rule.most}"] if rule.most is not None else []
        return " OR ".join(tests) or "FALSE"
    if isinstance(rule, Pattern):
        anchored = rf"^(?:{rule.regex})\z"
        return f"NOT REGEXP_MATCHES({value}, {sql.text(anchored)})"
    if isinstance(rule, OneOf):
        literals = [_literal(item, column.type) for item in rule.values]
        known = ", ".join(literal for literal in literals if literal)
        return f"{value} NOT IN ({known})" if known else f"{value} IS NOT NULL"
    tests = [f"{value} IS NULL"] if rule.null else []
    tests += [f"{value} IN ({', '.join(map(sql.text, rule.texts))})"] if rule.texts else []
    return " OR ".join(tests) or "FALSE"


def words(rule: Rule) -> str:
    """What to say of a value that breaks the rule: `less than 0`. One line, without the value."""
    if isinstance(rule, Bound):
        return f"{_WORDS[rule.operator]} {plain(rule.limit) if isinstance(rule.limit, Decimal) else rule.limit}"
    if isinstance(rule, MultipleOf):
        return f"not a multiple of {plain(rule.step)}"
    if isinstance(rule, Length):
        if rule.least and rule.most is not None:
            return f"not {rule.least} to {rule.most} characters long"
        return (
            f"longer than {rule.most} characters" if rule.most is not None else f"shorter than {rule.least} characters"
        )
    if isinstance(rule, Pattern):
        return f"does not match {' '.join(rule.shown.split())}"
    if isinstance(rule, OneOf):
        return "not one of the valid values"
    assert isinstance(rule, NotMissing)
    return "missing value"


def plain(number: Decimal) -> str:
    """A number without an exponent or trailing zeros."""
    written = f"{number:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def _beyond(rule: Bound, kind: ColumnType, value: str) -> str:
    if isinstance(rule.limit, str):
        return f"{value} {_BREAKS[rule.operator]} CAST('{rule.limit}' AS {kind.sql})"
    if not kind.exact:
        return f"{value} {_BREAKS[rule.operator]} CAST('{rule.limit}' AS DOUBLE)"
    # The limit at the column's own scale, so that the comparison needs no wider type: x >= 0.5 is x >= 1 for integers.
    units = Fraction(rule.limit) * 10**kind.scale
    whole = units.denominator == 1
    if rule.operator in (">=", ">"):
        least = math.ceil(units) if rule.operator == ">=" or not whole else int(units) + 1
        return _compare(value, "<", least, kind)
    most = math.floor(units) if rule.operator == "<=" or not whole else int(units) - 1
    return _compare(value, ">", most, kind)


def _compare(value: str, operator: str, units: int, kind: ColumnType) -> str:
    """`value < units`, where units are counted at the column's scale; constant where no value of the type decides."""
    greatest = 10**kind.precision - 1
    if abs(units) > greatest:
        always = (operator == "<") == (units > 0)
        return f"{value} IS NOT NULL" if always else "FALSE"
    return f"{value} {operator} {_exact(Fraction(units, 10**kind.scale), kind)}"


def _no_multiple(step: Decimal, kind: ColumnType, value: str) -> str:
    # In units of the column's scale the step is p/q in lowest terms; n is a multiple of p/q exactly if it is one of p.
    units = Fraction(step) * 10**kind.scale
    if units.numerator >= 10**kind.precision:
        return f"{value} <> 0"
    return f"{value} % {_exact(Fraction(units.numerator, 10**kind.scale), kind)} <> 0"


def _literal(item: Decimal | str | bool, kind: ColumnType) -> str:
    """A valid value; empty where no value of the column's type equals it."""
    if isinstance(item, bool):
        return "TRUE" if item else "FALSE"
    if isinstance(item, str):
        return sql.text(item) if kind.kind is Kind.STRING else f"CAST('{item}' AS {kind.sql})"
    units = Fraction(item) * 10**kind.scale
    if units.denominator != 1 or abs(units) >= 10**kind.precision:
        return ""
    return _exact(Fraction(item), kind)


def _exact(number: Fraction, kind: ColumnType) -> str:
    units = int(number * 10**kind.scale)
    digits = str(abs(units)).rjust(kind.scale + 1, "0")
    written = f"{digits[: -kind.scale]}.{digits[-kind.scale :]}" if kind.scale else digits
    written = f"-{written}" if units < 0 else written
    return written if kind.kind is Kind.INTEGER else f"CAST('{written}' AS {kind.sql})"
