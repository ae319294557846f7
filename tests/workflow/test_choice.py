from __future__ import annotations

from typing import Any

import pytest

from lakehead.errors import DefinitionError
from lakehead.workflow import execute


def decide(rule: dict[str, Any], data: Any) -> str | None:
    definition = {
        "StartAt": "Choose",
        "States": {
            "Choose": {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"},
            "Yes": {"Type": "Pass", "Result": "yes", "End": True},
            "No": {"Type": "Pass", "Result": "no", "End": True},
        },
    }
    result = execute(definition, data, lambda *_: {})
    return result.output if result.status == "SUCCEEDED" else result.error


@pytest.mark.parametrize(
    ("operator", "operand", "value", "answer"),
    [
        ("StringEquals", "a", "a", "yes"),
        ("StringEquals", "1", 1, "no"),
        ("StringLessThan", "b", "a", "yes"),
        ("StringLessThan", "\uffff", "\U0001f600", "yes"),  # by UTF-16 code unit, as in Java
        ("StringGreaterThanEquals", "B", "a", "yes"),
        ("StringMatches", "log-*.txt", "log-1.txt", "yes"),
        ("StringMatches", "log-*.txt", "log-1.csv", "no"),
        ("StringMatches", "a.c", "abc", "no"),
        ("StringMatches", "a\\*", "a*", "yes"),
        ("StringMatches", "a\\*", "ab", "no"),
        ("StringMatches", "a\\\\*", "a\\b", "yes"),
        ("StringMatches", "*", "two\nlines", "yes"),
        ("NumericEquals", 1, 1.0, "yes"),
        ("NumericEquals", 1, True, "no"),
        ("NumericEquals", 1, "1", "no"),
        ("NumericLessThan", 2, 1.9, "yes"),
        ("BooleanEquals", False, False, "yes"),
        ("BooleanEquals", False, 0, "no"),
        ("BooleanEquals", False, None, "no"),
        ("TimestampEquals", "2025-01-03T08:00:00Z", "2025-01-03T09:00:00+01:00", "yes"),
        ("TimestampLessThan", "2025-01-03T08:00:00.000000002Z", "2025-01-03T08:00:00.000000001Z", "yes"),
        ("TimestampLessThan", "2025-01-03T08:00:00Z", "2025-01-02", "no"),
        ("IsNull", True, None, "yes"),
        ("IsNull", False, 0, "yes"),
        ("IsNumeric", True, 1.5, "yes"),
        ("IsNumeric", True, True, "no"),
        ("IsString", True, "", "yes"),
        ("IsBoolean", True, False, "yes"),
        ("IsTimestamp", True, "2025-01-03T08:00:00Z", "yes"),
        ("IsTimestamp", True, "2025-02-30T08:00:00Z", "no"),
        ("IsTimestamp", False, "2025-01-03", "yes"),
        ("IsPresent", True, None, "yes"),
    ],
)
def test_an_operator_decides_as_on_aws(operator: str, operand: Any, value: Any, answer: str) -> None:
    assert decide({"Variable": "$.value", operator: operand}, {"value": value}) == answer
    if not operator.startswith("Is") and operator != "StringMatches":
        by_path = {"Variable": "$.value", f"{operator}Path": "$.operand"}
        assert decide(by_path, {"value": value, "operand": operand}) == answer


def test_rules_combine() -> None:
    small, even = {"Variable": "$.n", "NumericLessThan": 5}, {"Variable": "$.even", "BooleanEquals": True}
    for number, is_even in ((1, True), (1, False), (9, True), (9, False)):
        data = {"n": number, "even": is_even}
        assert decide({"And": [small, even]}, data) == ("yes" if number < 5 and is_even else "no")
        assert decide({"Or": [small, even]}, data) == ("yes" if number < 5 or is_even else "no")
        assert decide({"Not": {"Or": [small, {"Not": even}]}}, data) == ("yes" if number >= 5 and is_even else "no")


def test_and_stops_at_the_first_rule_that_does_not_hold() -> None:
    guarded = {"And": [{"Variable": "$.a", "IsPresent": True}, {"Variable": "$.a", "NumericEquals": 1}]}
    assert decide(guarded, {}) == "no"


def test_what_is_missing_is_absent_for_is_present_and_an_error_for_all_others() -> None:
    assert decide({"Variable": "$.nope", "IsPresent": False}, {}) == "yes"
    assert decide({"Variable": "$.list[*]", "IsPresent": False}, {"list": []}) == "yes"
    assert decide({"Variable": "$.nope", "IsNull": True}, {}) == "States.Runtime"
    assert decide({"Variable": "$.nope", "StringEquals": "x"}, {}) == "States.Runtime"
    assert decide({"Variable": "$.v", "StringEqualsPath": "$.nope"}, {"v": "x"}) == "States.Runtime"


def test_without_a_default_no_match_is_an_error() -> None:
    definition = {
        "StartAt": "Choose",
        "States": {
            "Choose": {"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericEquals": 1, "Next": "Done"}]},
            "Done": {"Type": "Succeed"},
        },
    }
    result = execute(definition, {"a": 2}, lambda *_: {})
    assert (result.status, result.error) == ("FAILED", "States.NoChoiceMatched")


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"Variable": "$.a"},
        {"StringEquals": "a"},
        {"Variable": "$.a", "StringEquals": 1},
        {"Variable": "$.a", "NumericEquals": "1"},
        {"Variable": "$.a", "TimestampEquals": "yesterday"},
        {"Variable": "$.a", "IsNull": "yes"},
        {"Variable": "$.a", "StringEquals": "a", "NumericEquals": 1},
        {"Variable": "a", "StringEquals": "a"},
        {"Variable": "$.a", "StringEqualsPath": "b"},
        {"Variable": "$.a", "StringMatches": "a\\b"},
        {"Variable": "$.a", "StringLike": "a"},
        {"And": []},
        {"And": [{"Variable": "$.a", "StringEquals": "a", "Next": "Yes"}]},
        {"Not": []},
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_its_place(rule: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError) as refusal:
        decide(rule, {})
    assert refusal.value.where["path"].startswith("$.States.Choose.Choices[0]")
