"""Test cases of a definition: every expectation can be met, and can be missed."""

from __future__ import annotations

from typing import Any

import pytest

from lakehead.errors import UsageError
from lakehead.workflow import load_definition
from lakehead.workflow.mocks import MockedCase, MockedMachine
from lakehead.workflow.testing import Suite, missing

DEFINITION: dict[str, Any] = {
    "StartAt": "Ask",
    "States": {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::x:ask",
            "Parameters": {"q.$": "$.q", "deep": {"a": 1, "b": [1, 2]}},
            "Catch": [{"ErrorEquals": ["Soft"], "Next": "Calm"}],
            "Next": "End",
        },
        "Calm": {"Type": "Pass", "Result": {"calm": True}, "End": True},
        "End": {"Type": "Succeed"},
    },
}
YES: dict[str, Any] = {"output": {"n": 1, "more": {"x": [1]}}}
HARD: dict[str, Any] = {"outcome": "fail", "error": "Hard", "cause": "it broke in line 3"}


def differences(expected: dict[str, Any] | None, answer: dict[str, Any] | None = None) -> tuple[str, ...]:
    suite = Suite()
    case = MockedCase("Case", {"q": "why"}, {"Ask": (answer or YES,)}, expected)
    suite.run("d", load_definition(DEFINITION), MockedMachine("m", "", (case,)))
    return suite.verdicts[0].differences


@pytest.mark.parametrize(
    ("met", "missed", "answer"),
    [
        ({"Status": "SUCCEEDED"}, {"Status": "FAILED"}, YES),
        ({"Status": "FAILED"}, {}, HARD),
        ({"Output": {"more": {"x": [1.0]}, "n": 1}}, {"Output": {"n": 1}}, YES),
        ({"Output": {"more": {"x": [1]}, "n": 1}}, {"Output": {"more": {"x": [1]}, "n": True}}, YES),
        ({"OutputIncludes": {"more": {"x": [1]}}}, {"OutputIncludes": {"more": {"y": 1}}}, YES),
        ({"OutputIncludes": {}}, {"OutputIncludes": {"more": {"x": []}}}, YES),
        ({"Status": "FAILED", "Error": "Hard"}, {"Status": "FAILED", "Error": "Soft"}, HARD),
        ({"Status": "FAILED", "CauseIncludes": "line 3"}, {"Status": "FAILED", "CauseIncludes": "line 4"}, HARD),
        ({"States": ["Ask", "End"]}, {"States": ["Ask"]}, YES),
        ({"Requests": {"Ask": [{"q": "why"}]}}, {"Requests": {"Ask": [{"q": "how"}]}}, YES),
        ({"Requests": {"Ask": [{"deep": {"b": [1, 2]}}]}}, {"Requests": {"Ask": [{"deep": {"b": [1]}}]}}, YES),
        ({"Requests": {"Ask": [{}]}}, {"Requests": {"Ask": []}}, YES),
        ({"Requests": {}}, {"Requests": {"Ask": [{}, {}]}}, YES),
    ],
    ids=str,
)
def test_an_expectation_is_met_or_missed(met: dict[str, Any], missed: dict[str, Any], answer: dict[str, Any]) -> None:
    assert differences(met, answer) == ()
    assert len(differences(missed, answer)) == 1


def test_a_case_without_expectations_has_to_succeed() -> None:
    assert differences(None) == ()
    (told,) = differences(None, HARD)
    assert told == "Status: expected SUCCEEDED, received FAILED (Hard: it broke in line 3)"


def test_a_task_without_a_mock_fails_its_case_only() -> None:
    suite = Suite()
    cases = (MockedCase("Unmocked", {"q": 1}, {}), MockedCase("Mocked", {"q": 1}, {"Ask": (YES,)}))
    suite.run("d", load_definition(DEFINITION), MockedMachine("m", "", cases))
    assert [verdict.passed for verdict in suite.verdicts] == [False, True]
    assert "no response is mocked for this state" in suite.failed[0].differences[0]


def test_states_that_no_case_of_a_document_enters() -> None:
    suite = Suite()
    definition = load_definition(DEFINITION)
    suite.run("d", definition, MockedMachine("m", "", (MockedCase("One", {"q": 1}, {"Ask": (YES,)}),)))
    assert suite.untested() == {"d": ["Calm"]}
    soft = {**HARD, "error": "Soft"}
    suite.run("d", definition, MockedMachine("n", "", (MockedCase("Two", {"q": 1}, {"Ask": (soft,)}),)))
    assert suite.untested() == {}


@pytest.mark.parametrize("state", ["Calm", "Nowhere"])
@pytest.mark.parametrize("where", ["mock", "request"])
def test_only_task_states_can_be_mocked_and_make_requests(state: str, where: str) -> None:
    answers = {state: (YES,)} if where == "mock" else {"Ask": (YES,)}
    case = MockedCase("Case", {}, answers, {"Requests": {state: []}} if where == "request" else None)
    with pytest.raises(UsageError, match="no such Task state"):
        Suite().run("d", load_definition(DEFINITION), MockedMachine("m", "", (case,)))


def test_missing_names_each_place() -> None:
    found = list(missing({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 2}, "d": [1]}, "Output"))
    assert found == ["Output.a.b: expected 1, received 2", "Output.a.c: expected 2, received nothing"]
