"""Parallel and Map: their branches, iterations, failures, limits and redrives."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lakehead.errors import NotRedrivable
from lakehead.workflow import Definition, ExecutionInfo, Step, advance, execute, load_definition, redrive, start
from lakehead.workflow.types import (
    CancelTask,
    CancelTimer,
    Event,
    ScheduleTask,
    StartTimer,
    StopRequested,
    TaskFailed,
    TaskSucceeded,
    TimerFired,
)

EXCEEDED = "States.ExceedToleratedFailureThreshold"
NOW = datetime(2025, 1, 3, 8, 0, tzinfo=UTC)
INFO = ExecutionInfo("arn:aws:states:us-east-1:1:execution:m:run-1", "run-1", "2025-01-03T08:00:00.000Z", "m-id", "m")
TASK: dict[str, Any] = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:getObject"}


def machine(name: str, state: dict[str, Any]) -> dict[str, Any]:
    ended = state if state["Type"] in ("Fail", "Succeed") else {**state, "End": True}
    return {"StartAt": name, "States": {name: ended}}


def parallel(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    parts = [machine(f"B{index}", branch) for index, branch in enumerate(branches)]
    return machine("P", {"Type": "Parallel", "Branches": parts, **fields})


def mapping(state: dict[str, Any], *, distributed: bool = False, **fields: Any) -> dict[str, Any]:
    processor = machine("I", state)
    if distributed:
        processor["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    return machine("M", {"Type": "Map", "ItemProcessor": processor, **fields})


class Execution:
    """Drives an execution by hand; the state goes through JSON text between any two steps."""

    def __init__(self, definition: dict[str, Any], data: Any) -> None:
        self.definition: Definition = load_definition(definition)
        self.history: list[str] = []
        self.open: dict[int, ScheduleTask] = {}
        self.timers: dict[int, StartTimer] = {}
        self.take(start(self.definition, data, INFO, NOW))

    def take(self, step: Step) -> None:
        self.state = json.loads(json.dumps(step.state))
        self.history += [event["type"] for event in step.history]
        for command in step.commands:
            match command:
                case ScheduleTask():
                    self.open[command.task_id] = command
                case StartTimer():
                    self.timers[command.timer_id] = command
                case CancelTask():
                    del self.open[command.task_id]
                case CancelTimer():
                    del self.timers[command.timer_id]

    def send(self, event: Event) -> None:
        self.take(advance(self.definition, self.state, event, NOW))

    def task(self, request: Any) -> int:
        return next(number for number, task in self.open.items() if task.request == request)

    def succeed(self, request: Any, output: Any) -> None:
        number = self.task(request)
        del self.open[number]
        self.send(TaskSucceeded(number, output))

    def fail(self, request: Any, error: str = "E") -> None:
        number = self.task(request)
        del self.open[number]
        self.send(TaskFailed(number, error, "why"))


def asks(number: Any) -> dict[str, Any]:
    return {**TASK, "Parameters": {"n": number}}


# Parallel


def test_branches_run_side_by_side_and_answer_in_their_order() -> None:
    execution = Execution(parallel(asks(0), asks(1), {"Type": "Pass"}), {"in": 1})
    assert len(execution.open) == 2
    execution.succeed({"n": 1}, "one")
    execution.succeed({"n": 0}, "zero")
    assert execution.state["output"] == ["zero", "one", {"in": 1}]
    assert execution.history[-3:] == ["ParallelStateSucceeded", "ParallelStateExited", "ExecutionSucceeded"]


def test_a_failed_branch_stops_the_others_and_fails_the_state() -> None:
    execution = Execution(parallel(asks(0), asks(1), {"Type": "Wait", "Seconds": 5}), {})
    assert len(execution.timers) == 1
    execution.fail({"n": 0})
    assert (execution.state["status"], execution.state["error"]) == ("FAILED", "E")
    assert execution.open == {} and execution.timers == {}
    assert execution.history[-6:] == ["TaskFailed", "TaskStateAborted", "TaskStateAborted", "WaitStateAborted",
                                      "ParallelStateFailed", "ExecutionFailed"]  # fmt: skip


def test_a_parallel_state_can_be_retried_as_a_whole_and_caught() -> None:
    retry = [{"ErrorEquals": ["E"], "MaxAttempts": 1}]
    document = parallel(asks(0), asks(1), Retry=retry, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "C"}])
    document["States"]["C"] = {"Type": "Pass", "End": True}
    execution = Execution(document, {})
    execution.succeed({"n": 1}, 1)
    execution.fail({"n": 0})
    (timer,) = execution.timers
    del execution.timers[timer]
    execution.send(TimerFired(timer))
    assert sorted(task.request["n"] for task in execution.open.values()) == [0, 1]
    execution.fail({"n": 1}, "Other")
    assert execution.state["output"] == {"Error": "Other", "Cause": "why"}
    assert execution.history.count("ParallelStateFailed") == 1


def test_branches_read_the_variables_around_them_and_keep_their_own() -> None:
    branch = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"mine.$": "$x"}, "Next": "B"},
            "B": {"Type": "Pass", "Parameters": {"mine.$": "$mine", "x.$": "$x"}, "End": True},
        },
    }
    document = {
        "StartAt": "S",
        "States": {
            "S": {"Type": "Pass", "Assign": {"x": 42}, "Next": "P"},
            "P": {"Type": "Parallel", "Branches": [branch], "Assign": {"all.$": "$[*].mine"}, "Next": "E"},
            "E": {"Type": "Pass", "Parameters": {"all.$": "$all", "mine.$": "$mine"}, "End": True},
        },
    }
    result = execute(document, {}, lambda *_: {})
    assert result.error == "States.Runtime" and "'$mine'" in str(result.cause)
    del document["States"]["E"]["Parameters"]["mine.$"]  # type: ignore[index]
    assert execute(document, {}, lambda *_: {}).output == {"all": [42]}


def test_a_runtime_error_in_a_branch_fails_the_execution_past_every_catch() -> None:
    document = parallel({"Type": "Pass", "InputPath": "$.nope"}, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "C"}])
    document["States"]["C"] = {"Type": "Pass", "End": True}
    assert execute(document, {}, lambda *_: {}).error == "States.Runtime"


def test_machines_nest() -> None:
    inner = parallel({"Type": "Pass"}, {"Type": "Pass", "Result": 1})["States"]["P"]
    document = mapping({key: value for key, value in inner.items() if key != "End"})
    assert execute(document, ["a", "b"], lambda *_: {}).output == [["a", 1], ["b", 1]]


# Map


def test_items_are_selected_with_their_index_and_value() -> None:
    document = mapping(
        {"Type": "Pass", "Parameters": {"got.$": "$", "index.$": "$$.Map.Item.Index"}},
        ItemsPath="$.list",
        ItemSelector={"v.$": "$$.Map.Item.Value", "all.$": "$.list", "x": 1},
    )
    result = execute(document, {"list": ["a"]}, lambda *_: {})
    assert result.output == [{"got": {"v": "a", "all": ["a"], "x": 1}, "index": 0}]


def test_no_items_give_no_results() -> None:
    for distributed in (False, True):
        assert execute(mapping({"Type": "Pass"}, distributed=distributed), [], lambda *_: {}).output == []


def test_only_max_concurrency_iterations_are_open() -> None:
    execution = Execution(
        mapping(dict(TASK), MaxConcurrencyPath="$.c", ItemsPath="$.i"), {"c": "2", "i": list(range(5))}
    )
    opened = []
    while execution.open:
        assert len(execution.open) <= 2
        task = next(iter(execution.open.values()))
        opened.append(task.request)
        execution.succeed(task.request, task.request * 10)
    assert opened == [0, 1, 2, 3, 4] and execution.state["output"] == [0, 10, 20, 30, 40]


def test_no_more_than_forty_iterations_are_open_at_once() -> None:
    execution = Execution(mapping(dict(TASK)), list(range(100)))
    assert len(execution.open) == 40
    for number in range(100):
        execution.succeed(number, number)
    assert execution.state["output"] == list(range(100))


@pytest.mark.parametrize("data", [{"a": 1}, "text", None])
def test_items_that_are_no_array_are_a_runtime_error(data: Any) -> None:
    assert execute(mapping({"Type": "Pass"}), data, lambda *_: {}).error == "States.Runtime"


def test_one_failed_iteration_fails_an_inline_map() -> None:
    execution = Execution(mapping(dict(TASK)), [1, 2, 3])
    execution.succeed(1, 1)
    execution.fail(2, "Bad")
    assert execution.state["error"] == "Bad" and execution.open == {}
    assert execution.history[-5:] == [
        "MapIterationFailed", "TaskStateAborted", "MapIterationAborted", "MapStateFailed", "ExecutionFailed",
    ]  # fmt: skip


def test_what_is_cut_off_is_told_from_the_inside_out() -> None:
    each = mapping({"Type": "Wait", "Seconds": 5})["States"]["M"]
    execution = Execution(parallel(each, asks(1)), [1, 2])
    execution.fail({"n": 1}, "Bad")
    inside = ["WaitStateAborted", "MapIterationAborted"]
    assert execution.history[execution.history.index("TaskFailed") + 1 :] == [
        "TaskStateAborted", *inside, *inside, "MapStateAborted", "ParallelStateFailed", "ExecutionFailed",
    ]  # fmt: skip


@pytest.mark.parametrize("distributed", [False, True])
def test_stopping_tells_every_state_that_was_cut_off(distributed: bool) -> None:
    execution = Execution(mapping(dict(TASK), distributed=distributed), [1])
    execution.send(StopRequested())
    inside = ["MapRunAborted"] if distributed else ["TaskStateAborted", "MapIterationAborted"]
    assert execution.history[-len(inside) - 2 :] == [*inside, "MapStateAborted", "ExecutionAborted"]
    assert execution.open == {}


@pytest.mark.parametrize(
    ("tolerance", "failing", "ends"),
    [
        ({}, {0}, EXCEEDED),
        ({"ToleratedFailureCount": 1}, {0}, None),
        ({"ToleratedFailureCount": 1}, {0, 1}, EXCEEDED),
        ({"ToleratedFailurePercentage": 50}, {0, 1}, None),
        ({"ToleratedFailurePercentage": 49.9}, {0, 1}, EXCEEDED),
        (
            {"ToleratedFailureCount": 3, "ToleratedFailurePercentage": 25},
            {0, 1},
            EXCEEDED,
        ),
        ({"ToleratedFailureCountPath": "$.t", "ItemsPath": "$.i"}, {0, 1, 2}, None),
    ],
)
def test_a_distributed_map_bears_as_many_failures_as_it_tolerates(
    tolerance: dict[str, Any], failing: set[int], ends: str | None
) -> None:
    def answer(_state: str, request: Any) -> dict[str, Any]:
        return {"outcome": "fail", "error": "E"} if request in failing else {"output": request}

    data = {"t": "3", "i": [0, 1, 2, 3]} if "ItemsPath" in tolerance else [0, 1, 2, 3]
    result = execute(mapping(dict(TASK), distributed=True, **tolerance), data, answer)
    assert result.error == ends
    if ends is None:
        assert result.output == [item for item in range(4) if item not in failing]
    else:
        assert [event["type"] for event in result.history][-3:] == ["MapRunFailed", "MapStateFailed", "ExecutionFailed"]


def test_iterations_of_a_distributed_map_are_executions_of_their_own() -> None:
    document = mapping({"Type": "Pass", "Parameters": {"in.$": "$$.Execution.Input"}}, distributed=True)
    result = execute(document, [7], lambda *_: {})
    assert result.output == [{"in": 7}]
    assert not any("Pass" in event["type"] for event in result.history)
    reads = mapping({"Type": "Pass", "Parameters": {"x.$": "$x"}}, distributed=True)
    outer = {"StartAt": "S", "States": {"S": {"Type": "Pass", "Assign": {"x": 1}, "Next": "M"}, **reads["States"]}}
    assert execute(outer, [7], lambda *_: {}).error == EXCEEDED


def test_items_are_batched() -> None:
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"who": "me"}}
    document = mapping({"Type": "Pass"}, distributed=True, ItemBatcher=batcher)
    assert execute(document, [1, 2, 3], lambda *_: {}).output == [
        {"BatchInput": {"who": "me"}, "Items": [1, 2]},
        {"BatchInput": {"who": "me"}, "Items": [3]},
    ]
    small = mapping({"Type": "Pass"}, distributed=True, ItemBatcher={"MaxInputBytesPerBatch": 8})
    assert execute(small, ["aaa", "b", "c"], lambda *_: {}).output == [{"Items": ["aaa"]}, {"Items": ["b", "c"]}]


def test_an_endless_iteration_of_a_distributed_map_ends() -> None:
    loop = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": False, "Next": "A"}], "Default": "B"},
            "B": {"Type": "Succeed"},
        },
        "ProcessorConfig": {"Mode": "DISTRIBUTED"},
    }
    document = machine("M", {"Type": "Map", "ItemProcessor": loop})
    assert execute(document, [1], lambda *_: {}).error == EXCEEDED


def test_an_error_in_a_selector_fails_the_map_even_when_it_comes_late() -> None:
    document = mapping(dict(TASK), MaxConcurrency=1, ItemSelector={"v.$": "$$.Map.Item.Value.key"})
    execution = Execution(document, [{"key": 1}, {}])
    execution.succeed({"v": 1}, 1)
    assert execution.state["error"] == "States.Runtime"


# Redrive


def test_a_redrive_runs_only_the_branches_that_did_not_succeed() -> None:
    execution = Execution(parallel(asks(0), asks(1), asks(2)), {})
    execution.succeed({"n": 2}, "two")
    execution.fail({"n": 0})
    execution.take(redrive(execution.definition, execution.state, NOW))
    assert sorted(task.request["n"] for task in execution.open.values()) == [0, 1]
    execution.succeed({"n": 0}, "zero")
    execution.succeed({"n": 1}, "one")
    assert execution.state["output"] == ["zero", "one", "two"]


@pytest.mark.parametrize("distributed", [False, True])
def test_a_redrive_runs_only_the_iterations_that_did_not_succeed(distributed: bool) -> None:
    execution = Execution(mapping(dict(TASK), distributed=distributed, MaxConcurrency=2), [0, 1, 2, 3])
    execution.succeed(0, 0)
    execution.fail(1)
    assert execution.state["status"] == "FAILED"
    execution.take(redrive(execution.definition, execution.state, NOW))
    assert sorted(task.request for task in execution.open.values()) == [1, 2]
    for item in (1, 2, 3):
        execution.succeed(item, item * 10)
    assert execution.state["output"] == [0, 10, 20, 30]


def test_a_map_run_is_redriven_with_all_that_failed_as_many_at_a_time_as_it_may() -> None:
    inner = {
        "StartAt": "First",
        "States": {"First": {**TASK, "Next": "Second"}, "Second": {**TASK, "End": True}},
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    }
    state = {"Type": "Map", "ItemProcessor": inner, "MaxConcurrency": 2, "ToleratedFailureCount": 2}
    execution = Execution(machine("M", state), [0, 1, 2, 3, 4])
    for item in (0, 1, 2):
        execution.succeed(item, item)  # First, so that each fails in Second
        execution.fail(item)
    assert execution.state["error"] == EXCEEDED
    execution.take(redrive(execution.definition, execution.state, NOW))
    assert execution.history.count("MapRunRedriven") == 1
    asked: list[tuple[str, int]] = []
    while execution.open:
        assert len(execution.open) <= 2
        task = next(iter(execution.open.values()))
        asked.append((task.state_name, task.request))
        execution.succeed(task.request, task.request)
    assert sorted(asked) == [
        ("First", 3), ("First", 4), ("Second", 0), ("Second", 1), ("Second", 2), ("Second", 3), ("Second", 4),
    ]  # fmt: skip
    assert execution.state["output"] == [0, 1, 2, 3, 4]


def test_what_waits_for_its_turn_waits_through_another_redrive() -> None:
    each = mapping(dict(TASK), distributed=True, MaxConcurrency=1, ToleratedFailureCount=3)["States"]["M"]
    beside = {"StartAt": "B", "States": {"B": {**TASK, "Parameters": {"n": "beside"}, "End": True}}}
    both = {"Type": "Parallel", "Branches": [{"StartAt": "M", "States": {"M": each}}, beside]}
    execution = Execution(machine("P", both), [0, 1, 2])
    execution.fail(0)
    execution.fail(1)
    for _ in range(2):
        execution.fail({"n": "beside"})
        execution.take(redrive(execution.definition, execution.state, NOW))
        assert len(execution.open) == 2, "one iteration at a time, and the task beside it"
    execution.succeed({"n": "beside"}, "b")
    for item in (2, 0, 1):
        execution.succeed(item, item)
    assert execution.state["output"] == [[0, 1, 2], "b"]


def test_a_redrive_of_iterations_that_an_earlier_version_did_not_keep() -> None:
    execution = Execution(mapping(dict(TASK), distributed=True, ToleratedFailureCount=1), [0, 1, 2])
    execution.fail(0)
    state = execution.state
    dropped = next(frame["id"] for frame in state["frames"].values() if frame.get("index") == 0)
    del state["frames"][dropped]
    execution.send(StopRequested())
    execution.take(redrive(execution.definition, execution.state, NOW))
    execution.succeed(1, 10)
    execution.succeed(2, 20)
    assert execution.state["output"] == [10, 20]


def test_a_failing_selector_calls_off_the_iterations_that_are_open() -> None:
    selector = {"v.$": "States.StringToJson($$.Map.Item.Value)"}
    catch = [{"ErrorEquals": ["States.IntrinsicFailure"], "Next": "C"}]
    state = {**mapping(dict(TASK), MaxConcurrency=2, ItemSelector=selector)["States"]["M"], "Catch": catch}
    definition = {"StartAt": "M", "States": {"M": state, "C": {**TASK, "Parameters": "caught", "End": True}}}
    execution = Execution(definition, ["1", "2", "{"])
    execution.succeed({"v": 1}, 1)
    assert [task.request for task in execution.open.values()] == ["caught"]
    execution.succeed("caught", "end")
    assert execution.state["output"] == "end"


def test_a_redrive_of_a_failing_selector_does_not_run_again_what_succeeded() -> None:
    selector = {"v.$": "States.StringToJson($$.Map.Item.Value)"}
    execution = Execution(mapping(dict(TASK), MaxConcurrency=1, ItemSelector=selector), ["1", "{"])
    execution.succeed({"v": 1}, 1)
    assert execution.state["error"] == "States.IntrinsicFailure"
    execution.take(redrive(execution.definition, execution.state, NOW))
    assert execution.state["status"] == "FAILED" and not execution.open


def test_stopping_an_execution_whose_history_is_full_ends_it_as_aborted() -> None:
    execution = Execution(machine("T", dict(TASK)), 1)
    execution.state["events"] = 24_999
    execution.send(StopRequested())
    assert (execution.state["status"], execution.history[-1]) == ("ABORTED", "ExecutionAborted")


def test_tolerated_failures_leave_no_frames_behind() -> None:
    document = mapping(dict(TASK), distributed=True, ToleratedFailureCount=1)
    document["States"]["M"] = {**document["States"]["M"], "Next": "After"}
    del document["States"]["M"]["End"]
    document["States"]["After"] = {**TASK, "End": True}
    execution = Execution(document, [0, 1])
    execution.fail(0)
    execution.succeed(1, "one")
    assert len(execution.state["frames"]) == 1
    execution.succeed(["one"], "end")
    assert execution.state["output"] == "end"


def test_an_execution_whose_history_is_full_cannot_be_redriven() -> None:
    execution = Execution(machine("T", dict(TASK)), 1)
    execution.fail(1)
    full = {**execution.state, "events": 24_999}
    with pytest.raises(NotRedrivable, match="history is full"):
        redrive(execution.definition, full, NOW)
    assert redrive(execution.definition, {**full, "events": 24_998}, NOW).history[0]["type"] == "ExecutionRedriven"


def test_a_stopped_execution_can_be_redriven_in_the_middle_of_its_branches() -> None:
    execution = Execution(parallel(asks(0), {"Type": "Wait", "Seconds": 5}), {})
    execution.send(StopRequested())
    assert execution.state["status"] == "ABORTED" and not execution.open and not execution.timers
    execution.take(redrive(execution.definition, execution.state, NOW))
    execution.succeed({"n": 0}, 1)
    (timer,) = execution.timers
    execution.send(TimerFired(timer))
    assert execution.state["output"] == [1, {}]
