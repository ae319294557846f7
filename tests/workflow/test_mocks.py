"""Mock files: what is refused and how, and how a test case answers tasks."""

from __future__ import annotations

from typing import Any

import pytest

from lakehead.errors import UsageError
from lakehead.workflow.mocks import MockedTasks, load_mocks, state_machine_name


def document(**responses: Any) -> dict[str, Any]:
    cases = {"Case": {"A": next(iter(responses))}}
    return {"StateMachines": {"m": {"TestCases": cases}}, "MockedResponses": responses}


def test_a_file_of_step_functions_local_is_read_as_it_is() -> None:
    machine, other = load_mocks(
        {
            "StateMachines": {
                "RetryingSales": {"TestCases": {"HappyPath": {"Lookup": "Found"}, "RetryPath": {"Lookup": "Late"}}},
                "Other": {"TestCases": {}},
            },
            "MockedResponses": {
                "Found": {"0": {"Return": {"StatusCode": 200}}},
                "Late": {
                    "0": {"Throw": {"Error": "Lambda.ResourceNotReadyException", "Cause": "not ready"}},
                    "1-2": {"Throw": {"Error": "Lambda.TimeoutException", "Cause": "late"}},
                    "3": {"Return": [1]},
                },
            },
        }
    )
    assert (machine.name, other.name, other.cases) == ("RetryingSales", "Other", ())
    happy, retry = machine.cases
    assert (happy.name, happy.input, happy.expected) == ("HappyPath", {}, None)
    tasks = MockedTasks(retry)
    answers = [tasks("Lookup", {"n": n}) for n in range(4)]
    assert [answer.get("error") for answer in answers[:3]] == [
        "Lambda.ResourceNotReadyException", "Lambda.TimeoutException", "Lambda.TimeoutException",
    ]  # fmt: skip
    assert answers[3] == {"output": [1]}
    assert tasks.requests == [("Lookup", {"n": n}) for n in range(4)]
    with pytest.raises(UsageError, match="invoked 5 times and has 4"):
        tasks("Lookup", {})


def test_falsy_answers_are_answers() -> None:
    falsy: list[Any] = [None, False, 0, "", [], {}]
    given: dict[str, Any] = {str(n): {"Return": value} for n, value in enumerate(falsy)}
    (machine,) = load_mocks(document(R=given))
    assert [answer["output"] for answer in machine.cases[0].answers["A"]] == falsy


@pytest.mark.parametrize(
    ("broken", "path", "told"),
    [
        ([], "$", "is not of type 'object'"),
        ({}, "$", "StateMachines"),
        (document(R={}), "$.MockedResponses.R", ""),
        (document(R={"first": {"Return": 1}}), "$.MockedResponses.R", "first"),
        (document(R={"0": {}}), "$.MockedResponses.R['0']", ""),
        (document(R={"0": {"Return": 1, "Throw": {"Error": "X"}}}), "$.MockedResponses.R['0']", ""),
        (document(R={"0": {"Throw": {"Cause": "why"}}}), "$.MockedResponses.R['0'].Throw", "Error"),
        (document(R={"0": {"Throw": {"Error": 1}}}), "$.MockedResponses.R['0'].Throw.Error", "string"),
        (document(R={"1": {"Return": 1}}), "$.MockedResponses.R", "without a gap"),
        (document(R={"0-1": {"Return": 1}, "1": {"Return": 1}}), "$.MockedResponses.R", "without a gap"),
        (document(R={"3-1": {"Return": 1}}), "$.MockedResponses.R", "without a gap"),
        (document(R={"0-99999999999": {"Return": 1}}), "$.MockedResponses.R", "without a gap"),
    ],
    ids=lambda value: None if isinstance(value, dict | list) else str(value)[:40],
)
def test_what_is_wrong_is_told_with_its_place(broken: Any, path: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_mocks(broken)
    assert caught.value.where["path"] == path and told in str(caught.value)


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"TestCases": {"Case": {"A": "Nothing"}}}, "no mocked response 'Nothing'"),
        ({"TestCases": {}, "Expectations": {"Case": {}}}, "no such test case"),
        ({"TestCases": {}, "Inputs": {"Case": {}}}, "no such test case"),
        ({"TestCases": {"Case": {}}, "Expectations": {"Case": {"Outputs": 1}}}, "'Outputs' was unexpected"),
        ({"TestCases": {"Case": {}}, "Expectations": {"Case": {"Status": "DONE"}}}, "'DONE' is not one of"),
        ({"TestCase": {}}, "TestCase"),
    ],
)
def test_names_that_lead_nowhere(part: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load_mocks({"StateMachines": {"m": part}})


def test_inputs_of_one_and_of_all() -> None:
    spec = {"TestCases": {"One": {}, "Two": {}}, "Input": {"n": 1}, "Inputs": {"Two": None}}
    (machine,) = load_mocks({"StateMachines": {"m": spec}})
    assert [case.input for case in machine.cases] == [{"n": 1}, None]


def test_the_name_that_a_file_stands_for() -> None:
    names = ("ingest.asl.json", "ingest.json", "a.b.asl.yaml", "plain")
    assert [state_machine_name(name) for name in names] == ["ingest", "ingest", "a.b", "plain"]
