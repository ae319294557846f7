"""What a contract demands, in words for people."""

from __future__ import annotations

from decimal import Decimal

from lakehead.contract.checks import LIMIT_WORDS
from lakehead.contract.model import (
    Bound,
    Column,
    Contract,
    Length,
    MultipleOf,
    NotMissing,
    OneOf,
    Pattern,
    QualityCheck,
    Rule,
)
from lakehead.contract.rules import plain

_BOUNDS = {">=": "at least", ">": "greater than", "<=": "at most", "<": "less than"}


def column_rules(column: Column) -> tuple[str, ...]:
    """What a column's values must be, besides its type: `at least 0`, `written as yyyy-MM-dd`."""
    written = (f"written as {column.format}",) if column.format else ()
    return (*written, *(rule_sentence(rule) for rule in column.rules))


def rule_sentence(rule: Rule) -> str:
    """What a value that keeps the rule is."""
    if isinstance(rule, Bound):
        return f"{_BOUNDS[rule.operator]} {_value(rule.limit)}"
    if isinstance(rule, MultipleOf):
        return f"a multiple of {plain(rule.step)}"
    if isinstance(rule, Length):
        return _length(rule)
    if isinstance(rule, Pattern):
        return f"matches {' '.join(rule.shown.split())}"
    if isinstance(rule, OneOf):
        return f"one of {', '.join(_value(value) for value in rule.values)}"
    assert isinstance(rule, NotMissing)
    texts = ", ".join(f'"{text}"' for text in rule.texts)
    return f"not missing, and none of {texts}" if texts else "not missing"


def contract_checks(contract: Contract) -> tuple[str, ...]:
    """What a whole file must be: its keys of several columns, then its quality checks."""
    keys = (f"{', '.join(key)} are unique together" for key in contract.unique_keys if len(key) > 1)
    return (*keys, *(check_sentence(check) for check in contract.quality))


def check_sentence(check: QualityCheck) -> str:
    """What a metric of a file must be: `rowCount must be less than 100000000`."""
    unit = " percent" if check.percent else ""
    limits = " and ".join(plain(limit) for limit in check.threshold.limits)
    warns = "" if check.severity == "error" else "; else a warning"
    return f"{check.name} {LIMIT_WORDS[check.threshold.operator]} {limits}{unit}{warns}"


def _length(rule: Length) -> str:
    if rule.least and rule.most is not None:
        return f"{rule.least} to {rule.most} characters long"
    return f"at most {rule.most} characters long" if rule.most is not None else f"at least {rule.least} characters long"


def _value(value: Decimal | str | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain(value) if isinstance(value, Decimal) else value
