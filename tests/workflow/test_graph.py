"""A document as a graph, and a history as stays in its states."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lakehead.workflow import ExecutionInfo, advance, execute, load_definition, redrive, start
from lakehead.workflow.graph import Arrow, graph_of, was_taken
from lakehead.workflow.path import Stay, path_taken, stays
from lakehead.workflow.types import ScheduleTask, TaskFailed, TaskSucceeded

TASK = {"Type": "Task", "Resource": "arn:aws:states:::x:y"}
FAIL = {"outcome": "fail", "error": "Broken", "cause": ""}
NOW = datetime(2025, 1, 3, tzinfo=UTC)
INFO = ExecutionInfo("arn:aws:states:us-east-1:1:execution:m:e", "e", "2025-01-03T00:00:00.000Z", "m-id", "m")


def machine(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


NESTED = machine(
    Both={
        "Type": "Parallel",
        "Branches": [
            machine(Each={"Type": "Map", "ItemProcessor": machine(One={"Type": "Pass", "End": True}), "End": True}),
            machine(Right={**TASK, "Next": "Last"}, Last={"Type": "Pass", "End": True}),
        ],
        "Catch": [{"ErrorEquals": ["A", "B"], "Next": "Stop"}],
        "Next": "Choose",
    },
    Choose={
        "Type": "Choice",
        "Choices": [
            {"And": [{"Variable": "$.a", "IsNull": True}, {"Not": {"Variable": "$.b", "IsNull": True}}], "Next": "Stop"}
        ],
        "Default": "Done",
    },
    Done={"Type": "Succeed"},
    Stop={"Type": "Fail"},
)


def test_machines_lie_within_their_states() -> None:
    load_definition(NESTED)
    graph = graph_of(NESTED)
    states = {state.name: state for state in graph.walk()}
    assert list(states) == ["Both", "Each", "One", "Right", "Last", "Choose", "Done", "Stop"]
    assert len({state.id for state in states.values()}) == len(states)
    assert graph.ids() == {name: state.id for name, state in states.items()}
    assert [inner.first for inner in states["Both"].inner] == ["Each", "Right"]
    assert [state.name for state in states["Each"].inner[0].states] == ["One"]
    assert states["Both"].arrows == (Arrow("Stop", "on A or B", caught=True), Arrow("Choose"))
    assert states["Choose"].arrows == (
        Arrow("Stop", "$.a IsNull True and not $.b IsNull True"),
        Arrow("Done", "otherwise"),
    )
    assert states["Last"].arrows == states["Done"].arrows == states["Stop"].arrows == (Arrow(""),)


def test_an_arrow_was_taken_as_the_catch_or_as_the_next() -> None:
    document = machine(
        A={**TASK, "Catch": [{"ErrorEquals": ["Broken"], "Next": "B"}], "Next": "B"}, B={"Type": "Succeed"}
    )
    (first, last) = graph_of(document).states
    for answer, taken in (({"output": 1}, [False, True]), (FAIL, [True, False])):
        path = path_taken(execute(document, None, lambda *_, answer=answer: answer).history, document)
        assert [was_taken(path, "A", arrow) for arrow in first.arrows] == taken
        assert was_taken(path, "B", last.arrows[0])


def told(found: tuple[Stay, ...]) -> list[tuple[str, str, int, int | None]]:
    return [(one.name, one.status, one.depth, one.attempts) for one in found]


def test_stays_in_the_order_in_which_they_began() -> None:
    answers: Iterator[Any] = iter([FAIL, FAIL, {"output": [1, 2]}])
    retry = {"Retry": [{"ErrorEquals": ["Broken"], "MaxAttempts": 3}]}
    document = machine(
        Get={**TASK, **retry, "Next": "Each"},
        Each={"Type": "Map", "ItemProcessor": machine(One={"Type": "Wait", "Seconds": 5, "End": True}), "Next": "Done"},
        Done={"Type": "Succeed"},
    )
    found = stays(execute(document, None, lambda *_: next(answers)).history, document)
    assert told(found) == [
        ("Get", "SUCCEEDED", 0, 3),
        ("Each", "SUCCEEDED", 0, None),
        ("One", "SUCCEEDED", 1, None),
        ("One", "SUCCEEDED", 1, None),
        ("Done", "SUCCEEDED", 0, None),
    ]
    assert [one.type for one in found] == ["Task", "Map", "Wait", "Wait", "Succeed"]
    assert all(one.exited and one.entered <= one.exited for one in found)
    each, one = found[1], found[2]
    assert each.exited and one.exited and each.entered <= one.entered and one.exited <= each.exited
    assert one.exited - one.entered == timedelta(seconds=5)


@pytest.mark.parametrize("caught", [False, True])
def test_what_failed_has_left(caught: bool) -> None:
    catch = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Z"}]} if caught else {}
    branches = [machine(L={**TASK, "End": True}), machine(R={"Type": "Wait", "Seconds": 9, "End": True})]
    document = machine(
        P={"Type": "Parallel", "Branches": branches, **catch, "End": True}, Z={"Type": "Pass", "End": True}
    )
    document = document if caught else machine(P=document["States"]["P"])
    found = stays(execute(document, None, lambda *_: FAIL).history, document)
    first = [("P", "CAUGHT" if caught else "FAILED", 0, None), ("L", "FAILED", 1, 1), ("R", "ABORTED", 1, None)]
    assert told(found)[:3] == first
    assert all(one.exited is not None for one in found)


def test_a_redriven_stay_goes_on() -> None:
    definition = machine(A={**TASK, "End": True})
    loaded = load_definition(definition)
    step = start(loaded, None, INFO, NOW)
    history = list(step.history)
    (running,) = stays(history, definition)
    assert (running.status, running.exited, running.attempts) == ("RUNNING", None, 1)
    (task,) = (command for command in step.commands if isinstance(command, ScheduleTask))
    step = advance(loaded, step.state, TaskFailed(task.task_id, "E", ""), NOW + timedelta(seconds=1))
    history += step.history
    (failed,) = stays(history, definition)
    assert (failed.status, failed.exited) == ("FAILED", NOW + timedelta(seconds=1))
    step = redrive(loaded, step.state, NOW + timedelta(seconds=2))
    history += step.history
    (again,) = stays(history, definition)
    assert (again.status, again.entered, again.exited, again.attempts) == ("RUNNING", NOW, None, 2)
    (task,) = (command for command in step.commands if isinstance(command, ScheduleTask))
    step = advance(loaded, step.state, TaskSucceeded(task.task_id, 1), NOW + timedelta(seconds=3))
    (done,) = stays([*history, *step.history], definition)
    assert (done.status, done.exited) == ("SUCCEEDED", NOW + timedelta(seconds=3))
