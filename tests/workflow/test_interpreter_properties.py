"""What holds for every execution, in whatever order its tasks and timers report."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lakehead.workflow import Definition, ExecutionInfo, Step, advance, load_definition, start
from lakehead.workflow.types import (
    CancelTask,
    CancelTimer,
    Event,
    ScheduleTask,
    StartTimer,
    TaskFailed,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
)

NOW = datetime(2025, 1, 3, 8, 0, tzinfo=UTC)
INFO = ExecutionInfo("arn:aws:states:us-east-1:1:execution:m:run-1", "run-1", "2025-01-03T08:00:00.000Z", "m-id", "m")
TASK: dict[str, Any] = {
    "Type": "Task",
    "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
    "Parameters": {"in.$": "$", "id.$": "States.UUID()"},
    "ResultPath": "$.done",
    "Retry": [{"ErrorEquals": ["Retry"], "IntervalSeconds": 1, "MaxAttempts": 2, "JitterStrategy": "FULL"}],
}
ITEMS = {
    "Type": "Map",
    "ItemsPath": "$.items",
    "ItemSelector": {"v.$": "$$.Map.Item.Value", "x.$": "$x"},
    "MaxConcurrency": 2,
    "ItemProcessor": {
        "StartAt": "Each",
        "States": {"Each": {**TASK, "Next": "Then"}, "Then": {"Type": "Wait", "Seconds": 3, "End": True}},
    },
    "ResultPath": "$.mapped",
    "Catch": [{"ErrorEquals": ["Caught"], "ResultPath": "$.error", "Next": "End"}],
    "Next": "End",
}
DOCUMENT: dict[str, Any] = {
    "StartAt": "Begin",
    "TimeoutSeconds": 1000,
    "States": {
        "Begin": {"Type": "Pass", "Assign": {"x": 1, "items.$": "$.items"}, "Next": "Both"},
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "M", "States": {"M": ITEMS, "End": {"Type": "Pass", "End": True}}},
                {
                    "StartAt": "W",
                    "States": {
                        "W": {"Type": "Wait", "Seconds": 5, "Next": "T"},
                        "T": {**TASK, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "F"}], "End": True},
                        "F": {"Type": "Pass", "Result": "failed", "End": True},
                    },
                },
            ],
            "Retry": [{"ErrorEquals": ["Again"], "MaxAttempts": 1}],
            "Next": "Last",
        },
        "Last": {"Type": "Succeed"},
    },
}
LOADED: Definition = load_definition(DOCUMENT)
ANSWERS = st.sampled_from(["ok", "ok", "ok", "Retry", "Again", "Caught", "Other", "timeout"])
TERMINAL = {"SUCCEEDED", "FAILED", "TIMED_OUT"}


class Watched:
    """Drives an execution and checks every single step."""

    def __init__(self, items: int) -> None:
        self.open: dict[int, ScheduleTask | StartTimer] = {}
        self.used: set[int] = set()
        self.tokens: set[str] = set()
        self.events: list[Event] = []
        self.history: list[dict[str, Any]] = []
        self.now = NOW
        self.input = {"items": list(range(items))}
        self.take(start(LOADED, self.input, INFO, NOW))

    def take(self, step: Step) -> None:
        text = json.dumps(step.state)
        self.state = json.loads(text)
        assert self.state == step.state
        for event in step.history:
            assert event["id"] == len(self.history) + 1 and event["previousEventId"] < event["id"]
            assert event["timestamp"].endswith("Z")
            self.history.append(event)
        for command in step.commands:
            if isinstance(command, ScheduleTask | StartTimer):
                number = command.task_id if isinstance(command, ScheduleTask) else command.timer_id
                assert number not in self.used
                self.used.add(number)
                self.open[number] = command
            else:
                assert isinstance(command, CancelTask | CancelTimer)
                self.open.pop(command.task_id if isinstance(command, CancelTask) else command.timer_id)
        assert (self.open == {}) == (self.state["status"] in TERMINAL)

    def report(self, number: int, answer: str) -> None:
        waiting = self.open.pop(number)
        event: Event
        if isinstance(waiting, StartTimer):
            event, self.now = TimerFired(number), max(self.now, waiting.due)
        elif answer == "ok":
            event = TaskSucceeded(number, waiting.request["in"])
        else:
            event = TaskTimedOut(number) if answer == "timeout" else TaskFailed(number, answer, "why")
        before = copy.deepcopy(self.state)
        step = advance(LOADED, self.state, event, self.now)
        assert self.state == before, "a step changed the state that it was given"
        assert advance(LOADED, self.state, event, self.now) == step, "the same event gave another step"
        self.take(step)
        again = advance(LOADED, self.state, event, self.now + timedelta(days=9))
        assert again.history == () and again.commands == (), "a repeated event did something"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.data())
def test_any_order_of_answers_ends_every_task_and_timer_once(items: int, data: st.DataObject) -> None:
    execution = Watched(items)
    for _ in range(200):
        if not execution.open:
            break
        execution.report(data.draw(st.sampled_from(sorted(execution.open))), data.draw(ANSWERS))
    assert execution.state["status"] in TERMINAL
    assert execution.history[-1]["type"].startswith("Execution")
    types = [event["type"] for event in execution.history]
    assert types.count("TaskScheduled") >= types.count("TaskSucceeded") + types.count("TaskFailed")


def test_a_step_shares_all_that_it_does_not_touch() -> None:
    first = start(LOADED, {"items": list(range(9))}, INFO, NOW)
    task = next(command for command in first.commands if isinstance(command, ScheduleTask))
    second = advance(LOADED, first.state, TaskSucceeded(task.task_id, 1), NOW)
    frames, later = first.state["frames"], second.state["frames"]
    changed = [key for key in later if later[key] is not frames.get(key)]
    assert changed == [first.state["tasks"][str(task.task_id)]]
    assert second.state["input"] is first.state["input"]
