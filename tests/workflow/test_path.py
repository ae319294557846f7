"""The path through the states, read from the histories of real executions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from lakehead.workflow import ExecutionInfo, advance, execute, load_definition, redrive, start
from lakehead.workflow.path import START, PathTaken, path_taken
from lakehead.workflow.types import ScheduleTask, TaskFailed

NOW = datetime(2025, 1, 3, tzinfo=UTC)
INFO = ExecutionInfo("arn:aws:states:us-east-1:1:execution:m:e", "e", "2025-01-03T00:00:00.000Z", "m-id", "m")
TASK = {"Type": "Task", "Resource": "arn:aws:states:::x:y"}
FAIL = {"outcome": "fail", "error": "Broken", "cause": ""}


def machine(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def taken(definition: dict[str, Any], data: Any = None, answers: Mapping[str, Any] | None = None) -> PathTaken:
    found = execute(definition, data, lambda state, _: (answers or {}).get(state, {"output": 1}))
    return path_taken(found.history, definition)


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
    assert told(path_taken(history, machine(M=each))) == {"M": (1, "FAILED"), "I": (3, "FAILED")}


def test_an_execution_under_way() -> None:
    definition = machine(A={"Type": "Pass", "Next": "B"}, B={**TASK, "End": True})
    history = execute(definition, None, lambda *_: FAIL).history
    half = [event for event in history if event["type"] not in ("TaskFailed", "ExecutionFailed")]
    assert told(path_taken(half, definition)) == {"A": (1, "SUCCEEDED"), "B": (1, "RUNNING")}
    assert path_taken([], definition) == PathTaken()


def test_an_error_without_an_event_of_its_own_is_caught_all_the_same() -> None:
    selector = {"n.$": "States.StringToJson('{')"}
    catch = [{"ErrorEquals": ["States.IntrinsicFailure"], "Next": "Z"}]
    path = taken(machine(A={**TASK, "ResultSelector": selector, "Catch": catch, "End": True}, Z={"Type": "Succeed"}))
    assert told(path) == {"A": (1, "CAUGHT"), "Z": (1, "SUCCEEDED")}
    assert ("A", "Z", True) in path.transitions


@pytest.mark.parametrize("kind", ["Fail", "Choice"])
def test_what_failed_inside_of_a_caught_state_has_failed(kind: str) -> None:
    failing: dict[str, dict[str, Any]] = {
        "Fail": machine(I={"Type": "Fail", "Error": "Broken"}),
        "Choice": machine(
            I={"Type": "Choice", "Choices": [{"Variable": "$.x", "IsNull": True, "Next": "Q"}]}, Q={"Type": "Succeed"}
        ),
    }
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Z"}]
    both = {"Type": "Parallel", "Branches": [failing[kind]], "Catch": catch, "End": True}
    path = taken(machine(P=both, Z={"Type": "Succeed"}), {"x": 1})
    assert told(path) == {"P": (1, "CAUGHT"), "I": (1, "FAILED"), "Z": (1, "SUCCEEDED")}


def test_a_redrive_goes_on_with_what_failed_last_and_leaves_what_was_caught() -> None:
    branch = machine(I={**TASK, "End": True})
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "T"}]
    definition = machine(
        P={"Type": "Parallel", "Branches": [branch], "Catch": catch, "End": True}, T={**TASK, "End": True}
    )
    loaded = load_definition(definition)
    step = start(loaded, None, INFO, NOW)
    history = list(step.history)
    for number in range(2):
        (task,) = (command for command in step.commands if isinstance(command, ScheduleTask))
        step = advance(loaded, step.state, TaskFailed(task.task_id, "E", str(number)), NOW)
        history += step.history
    assert told(path_taken(history, definition)) == {"P": (1, "CAUGHT"), "I": (1, "FAILED"), "T": (1, "FAILED")}
    step = redrive(loaded, step.state, NOW)
    history += step.history
    assert told(path_taken(history, definition)) == {"P": (1, "CAUGHT"), "I": (1, "FAILED"), "T": (1, "RUNNING")}


def test_a_retry_of_a_parallel_state_begins_anew() -> None:
    branch = machine(I={**TASK, "End": True})
    both = {"Type": "Parallel", "Branches": [branch], "Retry": [{"ErrorEquals": ["Broken"]}], "End": True}
    answers: Iterator[dict[str, Any]] = iter([FAIL, {"output": 1}])
    history = execute(machine(P=both), None, lambda *_: next(answers)).history
    visits = path_taken(history, machine(P=both)).states
    assert (visits["P"].count, visits["P"].status, visits["I"].count) == (1, "SUCCEEDED", 2)
    assert visits["I"].status == "FAILED", "the worst of its two visits"
