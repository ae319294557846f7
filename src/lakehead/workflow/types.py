"""What the interpreter and whoever drives it say to each other. All of it is plain data that can be stored as JSON.

The interpreter is pure: `start(definition, input, info, now)` and `advance(definition, state, event, now)` return a
`Step`. The driver stores a step in one transaction, then carries out its commands and reports back with events.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from lakehead.model import Json


@dataclass(frozen=True, slots=True)
class ExecutionInfo:
    """What the context object ($$) tells of an execution. Times are ISO-8601 in UTC."""

    id: str
    name: str
    start_time: str
    state_machine_id: str
    state_machine_name: str
    role_arn: str = "arn:aws:iam::000000000000:role/lakehead"


@dataclass(frozen=True, slots=True)
class ScheduleTask:
    """Run a task. `task_id` is unique in the execution and stays the same when the step is carried out again.

    A retry of the state is another task with another id, so `(execution, task_id)` is the idempotency token.
    `wait_for_token`: the task goes on after its handler returned, until someone reports with `task_token`.
    """

    task_id: int
    state_name: str
    resource: str
    request: Json
    timeout_seconds: float | None = None
    heartbeat_seconds: float | None = None
    wait_for_token: bool = False
    task_token: str = ""


@dataclass(frozen=True, slots=True)
class CancelTask:
    """The task's answer no longer counts (its branch failed, it timed out, or the execution was stopped)."""

    task_id: int


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Report TimerFired with this id when `due` has come."""

    timer_id: int
    due: datetime


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """The timer is not needed any more."""

    timer_id: int


Command: TypeAlias = ScheduleTask | CancelTask | StartTimer | CancelTimer


@dataclass(frozen=True, slots=True)
class TaskSucceeded:
    """A task's handler answered."""

    task_id: int
    output: Json


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task's handler failed, with an error name that Retry and Catch can match."""

    task_id: int
    error: str
    cause: str


@dataclass(frozen=True, slots=True)
class TaskTimedOut:
    """A task ran longer than its TimeoutSeconds (`heartbeat` False) or was silent longer than HeartbeatSeconds."""

    task_id: int
    heartbeat: bool = False


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer is due."""

    timer_id: int


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Someone stops the execution; it ends as ABORTED."""

    error: str = ""
    cause: str = ""


Event: TypeAlias = TaskSucceeded | TaskFailed | TaskTimedOut | TimerFired | StopRequested


@dataclass(frozen=True, slots=True)
class Step:
    """What one event did: the new state, the history it appended, and what has to be done now.

    `state` is JSON: `{"status", "output"?, "error"?, "cause"?, ...}`; status is RUNNING, SUCCEEDED, FAILED, TIMED_OUT
    or ABORTED.
    `history` holds Step Functions events: `{"id", "previousEventId", "timestamp", "type", "<details>": {...}}`.
    """

    state: dict[str, Json]
    history: tuple[dict[str, Json], ...]
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How an execution ended, with its whole history."""

    status: str
    output: Json = None
    error: str | None = None
    cause: str | None = None
    history: list[dict[str, Json]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """What a task handler is given. `token` is stable: the same when the task is run again after a crash."""

    execution: str
    state_name: str
    resource: str
    arguments: Json
    token: str
    task_token: str = ""


TaskHandler: TypeAlias = Callable[[TaskRequest], Any]
"""Answers a task with its output (JSON), or with a `concurrent.futures.Future` of it where it would only wait.

Raises TaskError to fail with a given error name; a LakeheadError fails with its own name; anything else fails as
`States.TaskFailed` and is logged with its traceback.
"""


@dataclass(frozen=True, slots=True)
class GroupHandler:
    """A handler that answers several tasks at once, where several wait.

    `key` says which go together: tasks of one key, at most `most` of them; None: the task goes alone. `handle` gives
    for each request, in their order, what a TaskHandler would return or raise. Tasks never wait for others to come.
    """

    handle: Callable[[Sequence[TaskRequest]], Sequence[Any]]
    key: Callable[[TaskRequest], Hashable | None]
    most: int


class TaskError(Exception):
    """A task failed: `error` is the name that Retry and Catch match, `cause` is for people."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
