"""Runs one definition in memory: for tests, and to try out a workflow."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from lakehead.model import Json, iso, utc_now
from lakehead.workflow.definition import load_definition
from lakehead.workflow.functions import compact
from lakehead.workflow.machine import advance, start
from lakehead.workflow.states import Definition
from lakehead.workflow.types import (
    CancelTask,
    CancelTimer,
    Event,
    ExecutionInfo,
    ExecutionResult,
    ScheduleTask,
    StartTimer,
    Step,
    TaskFailed,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
)

Answer = Callable[[str, Json], Mapping[str, Any]]


def execute(
    definition: dict[str, Json] | Definition, input: Json, answer: Answer, *, name: str = "execution"
) -> ExecutionResult:
    """Run a definition to its end, waits skipped: time jumps to whatever is due next.

    `answer(state_name, request)` gives a task's `{"output": ...}`, or `{"outcome": "fail" | "timeout", "error",
    "cause"}`. Raises DefinitionError.
    """
    loaded = definition if isinstance(definition, Definition) else load_definition(definition)
    now = utc_now()
    info = ExecutionInfo(
        id=f"arn:aws:states:us-east-1:111111111111:execution:memory:{name}",
        name=name,
        start_time=iso(now),
        state_machine_id="arn:aws:states:us-east-1:111111111111:stateMachine:memory",
        state_machine_name="memory",
    )
    driver = _Driver(loaded, now, answer)
    driver.take(start(loaded, input, info, now))
    return driver.run()


class _Driver:
    """Carries out commands at once, and timers in the order in which they are due."""

    def __init__(self, definition: Definition, now: datetime, answer: Answer) -> None:
        self.definition = definition
        self.now = now
        self.answer = answer
        self.state: dict[str, Json] = {}
        self.history: list[dict[str, Json]] = []
        self.tasks: deque[ScheduleTask] = deque()
        self.timers: list[tuple[datetime, int]] = []
        self.cancelled: set[int] = set()

    def take(self, step: Step) -> None:
        self.state = step.state
        self.history.extend(step.history)
        for command in step.commands:
            match command:
                case ScheduleTask():
                    self.tasks.append(command)
                case StartTimer(timer_id=timer_id, due=due):
                    heapq.heappush(self.timers, (due, timer_id))
                case CancelTask(task_id=number) | CancelTimer(timer_id=number):
                    self.cancelled.add(number)

    def run(self) -> ExecutionResult:
        while self.state["status"] == "RUNNING":
            self.take(advance(self.definition, self.state, self._event(), self.now))
        state = self.state
        return ExecutionResult(
            state["status"], state.get("output"), state.get("error"), state.get("cause"), self.history
        )

    def _event(self) -> Event:
        while self.tasks:
            task = self.tasks.popleft()
            if task.task_id not in self.cancelled:
                return _reported(task, self.answer(task.state_name, task.request))
        while self.timers:
            due, timer_id = heapq.heappop(self.timers)
            if timer_id not in self.cancelled:
                self.now = max(self.now, due)
                return TimerFired(timer_id)
        raise RuntimeError("the execution waits for nothing; this is a fault of the interpreter")


def _reported(task: ScheduleTask, answer: Mapping[str, Any]) -> Event:
    if answer.get("outcome") == "timeout":
        return TaskTimedOut(task.task_id)
    if answer.get("outcome") == "fail" or "output" not in answer:
        cause = answer.get("cause") or ""
        text = cause if isinstance(cause, str) else compact(cause)
        return TaskFailed(task.task_id, answer.get("error") or "States.TaskFailed", text)
    return TaskSucceeded(task.task_id, answer["output"])
