"""The pure interpreter: `start` and `advance` take a state and an event, and say what is new and what has to be done.

No clock, no randomness, no I/O: `now` is an argument, and random numbers come from the execution's id and a counter in
the state. A step runs on until every path of the execution waits for a task or a timer, or the execution has ended.

The state is JSON and is never changed in place: a step copies what it touches, and shares the rest.

    version, status, output?, error?, cause?     how the execution stands
    info, input, redrives                        what the context object tells
    events, ids, draws                           counters: history events, ids handed out, random numbers drawn
    deadline?                                    the timer of the machine's own TimeoutSeconds
    frames: {id: frame}                          one for the machine, each open branch and each open iteration
    tasks: {id: frame}, timers: {id: frame}      who waits for what

A frame: `id, at` (its machine), `state, input, last` (event id), `entered, entered_time`, and where they matter
`vars, retries, retry_count, parent, index, item, wait, quiet, halted`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from lakehead.errors import NotRedrivable, UsageError
from lakehead.model import Json, iso
from lakehead.workflow.engine import MAX_EVENTS, MAX_PAYLOAD, Frame, Handlers, Run, too_large
from lakehead.workflow.expressions import StateError
from lakehead.workflow.history import resource_of
from lakehead.workflow.map import iteration_failed, iteration_succeeded, map_state, redrive_iterations
from lakehead.workflow.parallel import abort, branch_failed, branch_succeeded, parallel_state, redrive_branches
from lakehead.workflow.simple import choice_state, fail_state, pass_state, succeed_state, wait_state
from lakehead.workflow.states import Definition, MapState, TaskState
from lakehead.workflow.tasks import task_finished, task_state
from lakehead.workflow.types import (
    Event,
    ExecutionInfo,
    StartTimer,
    Step,
    StopRequested,
    TaskFailed,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
)

STATE_VERSION = 1


def _child_succeeded(run: Run, frame: Frame, child: Frame, output: Json) -> None:
    ended = iteration_succeeded if isinstance(run.state_of(frame), MapState) else branch_succeeded
    ended(run, frame, child, output)


def _child_failed(run: Run, frame: Frame, child: Frame, error: StateError) -> None:
    ended = iteration_failed if isinstance(run.state_of(frame), MapState) else branch_failed
    ended(run, frame, child, error)


def _redrive_below(run: Run, frame: Frame) -> bool:
    again = redrive_iterations if isinstance(run.state_of(frame), MapState) else redrive_branches
    return again(run, frame)


_HANDLERS = Handlers(
    work={
        "Pass": pass_state,
        "Choice": choice_state,
        "Wait": wait_state,
        "Succeed": succeed_state,
        "Fail": fail_state,
        "Task": task_state,
        "Parallel": parallel_state,
        "Map": map_state,
    },
    child_succeeded=_child_succeeded,
    child_failed=_child_failed,
    redrive_below=_redrive_below,
)


def start(definition: Definition, input: Json, info: ExecutionInfo, now: datetime) -> Step:
    """Start an execution and run it as far as it goes. `input` must not be changed afterwards.

    Raises UsageError where the input is no JSON, too deeply nested, or larger than 262,144 bytes (AWS refuses it too).
    """
    state: dict[str, Any] = {
        "version": STATE_VERSION,
        "status": "RUNNING",
        "info": {name: getattr(info, name) for name in ExecutionInfo.__dataclass_fields__},
        "input": input,
        "redrives": 0,
        "events": 0,
        "ids": 0,
        "draws": 0,
        "frames": {},
        "tasks": {},
        "timers": {},
    }
    run = Run(definition, state, now, _HANDLERS)
    text = _input_text(run, input)
    details = {"input": text, "inputDetails": {"truncated": False}, "roleArn": info.role_arn}
    run.append("ExecutionStarted", details, 0)
    _set_deadline(run)
    run.go(lambda: _begin(run, input))
    return run.step()


def _input_text(run: Run, data: Json) -> str:
    try:
        text = run.text(data)
    except StateError as error:
        raise UsageError(f"this cannot be the input of an execution: {error.cause}") from error
    if too_large(text):
        raise UsageError("the input of an execution is too large", expected=f"at most {MAX_PAYLOAD} bytes as JSON")
    return text


def _begin(run: Run, data: Json) -> None:
    # AWS gives the first StateEntered the previous id 0, not that of ExecutionStarted.
    run.open_frame("$", data, parent=None, index=0, last=0)


def advance(definition: Definition, state: dict[str, Any], event: Event, now: datetime) -> Step:
    """Apply one event. An event that is no longer awaited changes nothing, so reporting twice does no harm."""
    if state["status"] != "RUNNING" or not _awaited(state, event):
        return Step(state, (), ())
    run = Run(definition, state, now, _HANDLERS)
    run.go(lambda: _apply(run, event))
    return run.step()


def _awaited(state: dict[str, Any], event: Event) -> bool:
    match event:
        case StopRequested():
            return True
        case TimerFired(timer_id=timer_id):
            return str(timer_id) in state["timers"] or timer_id == state.get("deadline")
        case _:
            return str(event.task_id) in state["tasks"]


def _apply(run: Run, event: Event) -> None:
    match event:
        case StopRequested():
            abort(run, _outermost(run))
            run.close("ABORTED", error=event.error or None, cause=event.cause or None)
        case TimerFired():
            _timer(run, event)
        case _:
            _task(run, event)


def redrive(definition: Definition, state: dict[str, Any], now: datetime) -> Step:
    """Run an unsuccessful execution again from where it failed; what succeeded is not run again.

    Retry counts start anew (Step Functions Developer Guide, "Redriving executions"). Raises NotRedrivable where the
    execution runs or succeeded, or its history has no room for ExecutionRedriven and one event more.
    """
    status = state["status"]
    if status not in ("FAILED", "TIMED_OUT", "ABORTED"):
        raise NotRedrivable(f"the execution is {status}", hint="Only one that failed can be redriven.")
    if state["events"] >= MAX_EVENTS - 1:
        hint = "Start a new execution with its input."
        raise NotRedrivable(f"the execution's history is full, at {state['events']} events", hint=hint)
    kept = {key: value for key, value in state.items() if key not in ("error", "cause", "output")}
    kept.update(status="RUNNING", redrives=state["redrives"] + 1, redriven=iso(now), tasks={}, timers={})
    run = Run(definition, kept, now, _HANDLERS)
    run.append("ExecutionRedriven", {"redriveCount": kept["redrives"]}, state["events"])
    _set_deadline(run)
    run.go(lambda: run.resume(_outermost(run)))
    return run.step()


def _outermost(run: Run) -> Frame:
    return run.own(next(frame["id"] for frame in run.frames.values() if "parent" not in frame))


def _set_deadline(run: Run) -> None:
    seconds = run.definition.timeout_seconds
    if seconds is not None:
        timer = run.next_id()
        run.state["deadline"] = timer
        run.commands.append(StartTimer(timer, run.now + timedelta(seconds=seconds)))


def _timer(run: Run, event: TimerFired) -> None:
    if event.timer_id == run.state.get("deadline"):
        del run.state["deadline"]
        run.close("TIMED_OUT")
        return
    frame_id = run.take("timers", event.timer_id)
    if frame_id is None:
        return
    frame = run.own(frame_id)
    wait = frame.pop("wait")
    if wait["kind"] == "retry":
        run.again(frame)
    else:
        run.waited(frame)


def _task(run: Run, event: TaskSucceeded | TaskFailed | TaskTimedOut) -> None:
    frame_id = run.take("tasks", event.task_id)
    if frame_id is None:
        return
    frame = run.own(frame_id)
    frame.pop("wait")
    state = run.state_of(frame)
    if not isinstance(state, TaskState):
        raise TypeError(f"state {state.name!r} is no Task any more; the definition was changed under its execution")
    resource = resource_of(state.resource)
    try:
        match event:
            case TaskSucceeded(output=output):
                task_finished(run, frame, state, output)
            case TaskFailed(error=error, cause=cause):
                run.record(frame, f"{resource.prefix}Failed", resource.failed(error, cause))
                raise StateError(error, cause)
            case TaskTimedOut(heartbeat=heartbeat):
                error = "States.HeartbeatTimeout" if heartbeat else "States.Timeout"
                run.record(frame, f"{resource.prefix}TimedOut", resource.failed(error, None))
                raise StateError(error, None)
    except StateError as error_:
        run.fail_state(frame, error_)
