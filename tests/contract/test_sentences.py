"""What a contract demands, in words."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lakehead.contract import (
    Bound,
    Column,
    ColumnType,
    Kind,
    Length,
    MultipleOf,
    NotMissing,
    OneOf,
    Pattern,
    QualityCheck,
    Rule,
    Threshold,
)
from lakehead.contract.sentences import check_sentence, column_rules, rule_sentence


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (Bound(">=", Decimal("0.50")), "at least 0.5"),
        (Bound(">", Decimal(0)), "greater than 0"),
        (Bound("<=", Decimal("1E+3")), "at most 1000"),
        (Bound("<", "2025-01-01"), "less than 2025-01-01"),
        (MultipleOf(Decimal("0.05")), "a multiple of 0.05"),
        (Length(1, 40), "1 to 40 characters long"),
        (Length(None, 40), "at most 40 characters long"),
        (Length(2), "at least 2 characters long"),
        (Pattern("^(?:x)$", "[A-Z]\n{3}"), "matches [A-Z] {3}"),
        (OneOf(("EU", "US")), "one of EU, US"),
        (OneOf((Decimal(1), Decimal("2.50"), True, False)), "one of 1, 2.5, true, false"),
        (NotMissing((), True), "not missing"),
        (NotMissing(("N/A", "-"), False), 'not missing, and none of "N/A", "-"'),
    ],
)
def test_a_rule(rule: Rule, sentence: str) -> None:
    assert rule_sentence(rule) == sentence


def test_a_columns_format_is_a_rule() -> None:
    day = Column("day", ColumnType.of(Kind.DATE), format="dd.MM.yyyy", rules=(Bound(">=", "2000-01-01"),))
    assert column_rules(day) == ("written as dd.MM.yyyy", "at least 2000-01-01")


def test_a_check_of_a_file() -> None:
    within = Threshold("mustBeBetween", (Decimal(1), Decimal(5)))
    check = QualityCheck("price nullValues", "nullValues", ("price",), within, percent=True, severity="warning")
    assert check_sentence(check) == "price nullValues must be between 1 and 5 percent; else a warning"
