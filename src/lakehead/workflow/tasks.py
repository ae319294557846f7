"""What a Task state does: it schedules work, and takes its answer."""

from __future__ import annotations

import hashlib

from lakehead.model import Json
from lakehead.workflow import payload
from lakehead.workflow.engine import Frame, Run
from lakehead.workflow.expressions import StateError
from lakehead.workflow.history import resource_of
from lakehead.workflow.states import TaskState
from lakehead.workflow.types import ScheduleTask


def task_state(run: Run, frame: Frame, state: TaskState) -> None:
    """Schedule the task. A retry is a new task with a new id, and so a new token."""
    resource = resource_of(state.resource)
    task_id = run.next_id()
    token = ""  # nosec B105
    if resource.waits_for_token:
        token = task_token(run.state["info"]["id"], task_id)
        frame["task_token"] = token
    scope = payload.selected(state, run.scope(frame, state))
    request = payload.arguments(state, scope)
    text = run.limited(request, state.name)
    timeout = payload.number(state, state.timeout, scope)
    heartbeat = payload.number(state, state.heartbeat, scope)
    credentials = None if state.credentials is None else state.credentials(scope)
    details = resource.scheduled(text, _region(run), timeout, heartbeat, credentials)
    run.record(frame, f"{resource.prefix}Scheduled", details)
    run.record(frame, f"{resource.prefix}Started", resource.started() or None)
    if resource.prefix == "Task" and resource.submits:
        run.record(frame, "TaskSubmitted", resource.started())
    run.state["tasks"][str(task_id)] = frame["id"]
    frame["wait"] = {"kind": "task", "task": task_id}
    run.commands.append(
        ScheduleTask(task_id, state.name, state.resource, request, timeout, heartbeat, bool(token), token)
    )


def task_finished(run: Run, frame: Frame, state: TaskState, output: Json) -> None:
    """Take a task's output. Raises StateError where it is too large or does not fit the state."""
    resource = resource_of(state.resource)
    try:
        text = run.limited(output, resource.limit_name)
    except StateError as error:
        run.record(frame, f"{resource.prefix}Failed", resource.failed(error.error, error.cause))
        raise
    run.record(frame, f"{resource.prefix}Succeeded", resource.succeeded(text))
    run.finish(frame, state, output)


def task_token(execution: str, task_id: int) -> str:
    """The token with which someone reports on a task: hard to guess from outside, the same when a step is replayed."""
    return hashlib.sha256(f"token of {execution}#{task_id}".encode()).hexdigest()


def _region(run: Run) -> str:
    parts = str(run.state["info"]["id"]).split(":")
    return parts[3] if len(parts) > 5 and parts[0] == "arn" else "local"
