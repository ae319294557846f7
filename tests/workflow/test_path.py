"""The path through the states, read from the histories of real executions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lakehead.workflow import execute
from lakehead.workflow.path import START, PathTaken, path_taken

TASK = {"Type": "Task", "Resource": "arn:aws:states:::x:y"}
FAIL = {"outcome": "fail", "error": "Broken", "cause": ""}


def machine(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def taken(definition: dict[str, Any], data: Any = None, answers: Mapping[str, Any] | None = None) -> PathTaken:
    return path_taken(execute(definition, data, lambda state, _: (answers or {}).get(state, {"output": 1})).history)


def told(path: PathTaken) -> dict[str, tuple[int, str]]:
    return {name: (visits.count, visits.status) for name, visits in path.states.items()}


def test_a_choice_leaves_what_was_not_chosen() -> None:
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "B"}], "Default": "C"}
    path = taken(machine(A=choice, B={"Type": "Succeed"}, C={"Type": "Succeed"}), {"n": 1})
    assert told(path) == {"A": (1, "SUCCEEDED"), "B": (1, "SUCCEEDED")}
    assert path.transitions == {(START, "A", False), ("A", "B", False)}


def test_a_caught_error_goes_by_its_catch() -> None:
    catch = [{"ErrorEquals": ["Broken"], "Next": "B"}]
    path = taken(machine(A={**TASK, "Catch": catch, "Next": "B"}, B={"Type": "Succeed"}), answers={"A": FAIL})
    assert told(path) == {"A": (1, "CAUGHT"), "B": (1, "SUCCEEDED")}
    assert path.transitions == {(START, "A", False), ("A", "B", True)}


def test_an_error_that_nothing_catches() -> None:
    path = taken(machine(A={"Type": "Pass", "Next": "B"}, B={**TASK, "End": True}), answers={"B": FAIL})
    assert told(path) == {"A": (1, "SUCCEEDED"), "B": (1, "FAILED")}


def test_a_loop_counts_its_rounds() -> None:
    again = {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericLessThan": 3, "Next": "Add"}], "Default": "Z"}
    add = {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "Again"}
    path = taken(machine(Add=add, Again=again, Z={"Type": "Succeed"}), {"n": 0})
    assert told(path) == {"Add": (3, "SUCCEEDED"), "Again": (3, "SUCCEEDED"), "Z": (1, "SUCCEEDED")}
    assert ("Again", "Add", False) in path.transitions


@pytest.mark.parametrize("inner_catch", [False, True])
def test_branches_have_paths_of_their_own(inner_catch: bool) -> None:
    catch = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "L2"}]} if inner_catch else {}
    left = machine(L1={**TASK, **catch, "Next": "L2"}, L2={"Type": "Pass", "End": True})
    right = machine(R1={"Type": "Wait", "Seconds": 5, "Next": "R2"}, R2={"Type": "Pass", "End": True})
    both = {
        "Type": "Parallel", "Branches": [left, right], "Next": "Z", "Catch": [{"ErrorEquals": ["Broken"], "Next": "Z"}],
    }  # fmt: skip
    path = taken(machine(P=both, Z={"Type": "Succeed"}), answers={"L1": FAIL})
    if inner_catch:
        assert told(path) == {
            "P": (1, "SUCCEEDED"), "L1": (1, "CAUGHT"), "L2": (1, "SUCCEEDED"), "R1": (1, "SUCCEEDED"),
            "R2": (1, "SUCCEEDED"), "Z": (1, "SUCCEEDED"),
        }  # fmt: skip
        assert ("P", "Z", False) in path.transitions
    else:
        assert told(path) == {
            "P": (1, "CAUGHT"),
            "L1": (1, "FAILED"),
            "R1": (1, "ABORTED"),
            "Z": (1, "SUCCEEDED"),
        }
        assert ("P", "Z", True) in path.transitions


def test_iterations_are_visits_and_the_worst_is_told() -> None:
    each = {"Type": "Map", "ItemProcessor": machine(I={**TASK, "End": True}), "End": True}
    answers: Iterator[dict[str, Any]] = iter([{"output": 1}, FAIL, {"output": 1}])
    history = execute(machine(M=each), [1, 2, 3], lambda *_: next(answers)).history
    assert told(path_taken(history)) == {"M": (1, "FAILED"), "I": (3, "FAILED")}


def test_an_execution_under_way() -> None:
    history = execute(machine(A={"Type": "Pass", "Next": "B"}, B={**TASK, "End": True}), None, lambda *_: FAIL).history
    half = [event for event in history if event["type"] not in ("TaskFailed", "ExecutionFailed")]
    assert told(path_taken(half)) == {"A": (1, "SUCCEEDED"), "B": (1, "RUNNING")}
    assert path_taken([]) == PathTaken()
