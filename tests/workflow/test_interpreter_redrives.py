"""Nested machines that fail, are stopped and are redriven at random: in the end nothing is missing or run twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehead.workflow import ExecutionInfo, Step, advance, load_definition, redrive, start
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

NOW = datetime(2025, 1, 3, tzinfo=UTC)
INFO = ExecutionInfo("arn:aws:states:us-east-1:1:execution:m:e", "e", "2025-01-03T00:00:00.000Z", "m-id", "m")
TASK = {"Type": "Task", "Resource": "arn:aws:states:::x:y", "Retry": [{"ErrorEquals": ["Again"], "MaxAttempts": 2}]}
CALM = 4
"""After so many redrives nothing fails any more."""


class Builder:
    """Machines of random shape. Each task is asked for the path of its iterations, so that every request differs."""

    def __init__(self, random: Random) -> None:
        self.random, self.names = random, count(1)

    def machine(self, depth: int = 0) -> dict[str, Any]:
        kinds = ["task", "wait", "parallel", "map", "distributed"] if depth < 3 else ["task", "wait"]
        name, kind = f"S{next(self.names)}", self.random.choice(kinds)
        task = {
            **TASK,
            "Parameters": {"state": name, "path.$": "$.path"},
            "ResultSelector": {"got.$": "$"},
            "End": True,
        }
        if kind == "task":
            return {"StartAt": name, "States": {name: task}}
        if kind == "wait":
            wait = {"Type": "Wait", "Seconds": 5, "Next": name}
            return {"StartAt": f"W{name}", "States": {f"W{name}": wait, name: task}}
        if kind == "parallel":
            branches = [self.machine(depth + 1) for _ in range(2)]
            return {"StartAt": name, "States": {name: {"Type": "Parallel", "Branches": branches, "End": True}}}
        return {"StartAt": name, "States": {name: self._map(depth, distributed=kind == "distributed")}}

    def _map(self, depth: int, *, distributed: bool) -> dict[str, Any]:
        processor = self.machine(depth + 1)
        state: dict[str, Any] = {"Type": "Map", "ItemsPath": "$.items", "End": True, "ItemProcessor": processor}
        state["MaxConcurrency"] = self.random.choice([0, 1, 2])
        state["ItemSelector"] = {
            "items.$": "$.items",
            "path.$": "States.Format('{}/{}', $.path, $$.Map.Item.Index)",
        }
        if distributed:
            processor["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
            if self.random.random() < 0.6:
                state["ToleratedFailureCount"] = self.random.choice([1, 2])
        return state


class Driver:
    """Answers tasks and fires timers in any order; the state goes through JSON text between any two steps."""

    def __init__(self, document: dict[str, Any], random: Random) -> None:
        self.definition, self.random = load_definition(document), random
        self.tasks: dict[int, ScheduleTask] = {}
        self.timers: set[int] = set()
        self.ids: list[Any] = []
        self.succeeded: list[str] = []
        self.redrives = 0
        self.take(start(self.definition, {"items": [0, 1, 2], "path": ""}, INFO, NOW))

    def take(self, step: Step) -> None:
        self.state = json.loads(json.dumps(step.state))
        self.ids += [event["id"] for event in step.history]
        for command in step.commands:
            match command:
                case ScheduleTask():
                    self.tasks[command.task_id] = command
                case StartTimer():
                    self.timers.add(command.timer_id)
                case CancelTask():
                    del self.tasks[command.task_id]
                case CancelTimer():
                    self.timers.discard(command.timer_id)

    def run(self) -> None:
        for _ in range(2000):
            if self.state["status"] == "SUCCEEDED":
                return
            if self.state["status"] != "RUNNING":
                assert not self.tasks and not self.timers, "what is open is called off"
                self.redrives += 1
                self.take(redrive(self.definition, self.state, NOW))
            else:
                self.take(advance(self.definition, self.state, self._event(), NOW))
        raise AssertionError("the execution does not end")

    def _event(self) -> Event:
        chance = self.random.random() if self.redrives < CALM else 1.0
        if chance < 0.06:
            return StopRequested()
        choice = self.random.choice([*sorted(self.tasks), *(-timer for timer in sorted(self.timers))])
        if choice < 0:
            self.timers.discard(-choice)
            return TimerFired(-choice)
        task = self.tasks.pop(choice)
        if chance < 0.3:
            return TaskFailed(choice, self.random.choice(["Broken", "Again"]), "")
        request = f"{task.request['state']}{task.request['path']}"
        self.succeeded.append(request)
        return TaskSucceeded(choice, request)


def leaves(value: Any) -> list[str]:
    """The texts in an output, in order."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value
    return [leaf for item in inner for leaf in leaves(item)]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 32))
def test_whatever_fails_a_redrive_completes_it(seed: int) -> None:
    random = Random(seed)
    document = Builder(random).machine()
    driver = Driver(document, random)
    driver.run()
    assert driver.ids == list(range(1, len(driver.ids) + 1))
    found = leaves(driver.state["output"])
    assert len(found) == len(set(found)), "no iteration is told twice"
    # A tolerated failure may leave something out; nothing else does.
    if "Tolerated" not in json.dumps(document):
        assert sorted(set(driver.succeeded)) == sorted(found)
