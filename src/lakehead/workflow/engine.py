"""One step of an execution: the working set that the state handlers share, and how frames open, move and end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from lakehead.model import Json, iso
from lakehead.workflow import history, payload
from lakehead.workflow.context import context_object
from lakehead.workflow.expressions import RuntimeFault, Scope, StateError, Surroundings, random_bytes
from lakehead.workflow.functions import compact
from lakehead.workflow.retry import delay, matches
from lakehead.workflow.states import Definition, MapState, ParallelState, State, TaskState
from lakehead.workflow.types import CancelTask, CancelTimer, Command, StartTimer, Step

Frame: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[["Run", Frame, Any], None]

MAX_EVENTS = 25_000
"""AWS: event 25,000 of a history is its last; unless it is ExecutionSucceeded, the execution fails."""
_FULL = f"The execution reached the maximum number of history events ({MAX_EVENTS})."
MAX_PAYLOAD = 262_144
"""AWS: bytes of a state's input or output, as UTF-8."""


MAX_NESTING = 500
"""Levels of arrays and objects in one value; far from what Python's own JSON reader and writer can bear."""


def json_text(value: Json) -> str:
    """Compact JSON. Raises RuntimeFault where the value is no JSON or is nested too deeply."""
    try:
        text = compact(value)
    except RecursionError:
        raise RuntimeFault(f"The data is nested more than {MAX_NESTING} levels deep.") from None
    except (TypeError, ValueError) as error:
        raise RuntimeFault(f"The data is not JSON: {error}") from error
    if text.count("[") + text.count("{") > MAX_NESTING and _nesting(value) > MAX_NESTING:
        raise RuntimeFault(f"The data is nested more than {MAX_NESTING} levels deep.")
    return text


def _nesting(value: Json) -> int:
    level, depth = [value], 0
    while level:
        inside = (item for item in level if isinstance(item, dict | list))
        level = [item for parent in inside for item in (parent.values() if isinstance(parent, dict) else parent)]
        depth += bool(level)
    return depth


def too_large(text: str) -> bool:
    """Whether JSON is larger than AWS lets a payload be."""
    if len(text) > MAX_PAYLOAD:
        return True
    return not text.isascii() and len(text.encode("utf-8", "surrogatepass")) > MAX_PAYLOAD


class ExecutionOver(Exception):
    """The execution has ended in the middle of a handler; there is nothing left to do in this step."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """What the states do. `work` is by state type; two take a child frame that ended.

    `redrive_below` goes on with the branches or iterations of a frame; False where the frame has none to go on with.
    """

    work: Mapping[str, Handler]
    child_succeeded: Callable[[Run, Frame, Frame, Json], None]
    child_failed: Callable[[Run, Frame, Frame, StateError], None]
    redrive_below: Callable[[Run, Frame], bool]


class Run:
    """The working set of one step. `state` is a copy whose frames are copied when they are first touched."""

    def __init__(self, definition: Definition, state: dict[str, Any], now: datetime, handlers: Handlers) -> None:
        self.definition = definition
        self.now = now
        self.time = iso(now)
        self.handlers = handlers
        self.state = dict(state)
        for name in ("frames", "tasks", "timers"):
            self.state[name] = dict(state[name])
        self.frames: dict[str, Frame] = self.state["frames"]
        self.commands: list[Command] = []
        self.events: list[dict[str, Any]] = []
        self.ready: deque[str] = deque()
        self._owned: set[str] = set()
        self._last_value: Json = self
        self._last_text = ""

    # What the step gives back

    def step(self) -> Step:
        """The step's result."""
        return Step(self.state, tuple(self.events), tuple(self.commands))

    def go(self, first: Callable[[], None]) -> None:
        """Do `first`, then run every frame that can go on, one state at a time in turn, until none can."""
        try:
            first()
            while self.ready and self.state["status"] == "RUNNING":
                frame_id = self.ready.popleft()
                if frame_id in self.frames:
                    self._turn(self.own(frame_id))
        except ExecutionOver:
            self.ready.clear()

    def _turn(self, frame: Frame) -> None:
        if "halted" in frame:
            return
        state = self.state_of(frame)
        try:
            if "entered" not in frame:
                self._enter(frame, state)
            self.handlers.work[state.type](self, frame, state)
        except StateError as error:
            self.fail_state(frame, error)
        except RecursionError:
            self.fail_state(frame, RuntimeFault("The data is nested too deeply."))

    def _enter(self, frame: Frame, state: State) -> None:
        if frame.get("quiet", 0) >= MAX_EVENTS:
            raise RuntimeFault(_FULL)
        details = history.entered(state.name, self.text(frame["input"]))
        frame["entered"] = self.record(frame, f"{state.type}StateEntered", details)
        frame["entered_time"] = self.time

    # Frames

    def own(self, frame_id: str) -> Frame:
        """A frame that may be changed in this step. Its `wait` may be changed too."""
        frame = self.frames[frame_id]
        if frame_id not in self._owned:
            self._owned.add(frame_id)
            frame = dict(frame)
            if "wait" in frame:
                frame["wait"] = {
                    key: list(value) if key == "results" else value for key, value in frame["wait"].items()
                }
            self.frames[frame_id] = frame
        return frame

    def state_of(self, frame: Frame) -> State:
        """The state that a frame is in."""
        return self.definition.machines[frame["at"]].states[frame["state"]]

    def open_frame(
        self, machine: str, data: Json, *, parent: Frame | None, index: int, last: int, item: Json = None,
        quiet: bool = False,
    ) -> Frame:  # fmt: skip
        """Start a machine: the outermost, a branch or an iteration. `quiet`: its events are not recorded."""
        frame_id = str(self.next_id())
        start = self.definition.machines[machine].start_at
        frame: Frame = {"id": frame_id, "at": machine, "state": start, "input": data, "last": last}
        if parent is not None:
            frame.update(parent=parent["id"], index=index)
        if item is not None:
            frame["item"] = item
        if quiet or (parent is not None and "quiet" in parent):
            frame["quiet"] = 0
        self.frames[frame_id] = frame
        self._owned.add(frame_id)
        self.ready.append(frame_id)
        return frame

    def drop_frame(self, frame_id: str) -> None:
        """Forget a frame and all that is open below it."""
        for child in self.children_of(frame_id):
            self.drop_frame(child)
        self.frames.pop(frame_id, None)

    def children_of(self, frame_id: str) -> list[str]:
        """The ids of the frames directly below one."""
        return [other["id"] for other in self.frames.values() if other.get("parent") == frame_id]

    def halt(self, frame: Frame) -> None:
        """Stop a frame and what is below it where it stands; it stays, so that a redrive can go on from there."""
        frame["halted"] = True
        wait = frame.get("wait", {})
        for kind, command in (("tasks", CancelTask), ("timers", CancelTimer)):
            number = wait.get(kind[:-1])
            if number is not None and self.take(kind, number) is not None:
                self.commands.append(command(number))
        for child in self.children_of(frame["id"]):
            self.halt(self.own(child))

    # Counters, clock, random numbers

    def next_id(self) -> int:
        """A number that this execution has not used for a frame, task or timer yet."""
        self.state["ids"] += 1
        return int(self.state["ids"])

    def draw(self) -> bytes:
        """32 random bytes; replaying the step gives the same."""
        self.state["draws"] += 1
        return random_bytes(self.state["info"]["id"], self.state["draws"])

    def fraction(self) -> float:
        """A random number of [0, 1)."""
        return int.from_bytes(self.draw()[:6]) / float(1 << 48)

    def take(self, kind: str, number: int) -> str | None:
        """The frame that waits for a task or timer, which is then waited for no more; None where nobody waits."""
        found: str | None = self.state[kind].pop(str(number), None)
        return found

    def wait_for_timer(self, frame: Frame, due: datetime, kind: str) -> None:
        """Let a frame wait until `due`."""
        timer = self.next_id()
        self.state["timers"][str(timer)] = frame["id"]
        frame["wait"] = {"kind": kind, "timer": timer}
        self.commands.append(StartTimer(timer, due))

    # Data

    def scope(self, frame: Frame, state: State) -> Scope:
        """What the expressions of a frame's state read; `$` is the raw input."""
        return Scope(frame["input"], self.surroundings(frame, state), self.variables(frame))

    def surroundings(self, frame: Frame, state: State) -> Surroundings:
        """The context object and the rest. The object is made only when it is read."""
        counts = isinstance(state, TaskState | MapState | ParallelState)
        return Surroundings(lambda: context_object(self.state, frame, counts_retries=counts), self.now, self.draw)

    def variables(self, frame: Frame) -> Mapping[str, Json]:
        """The variables that a frame sees: its own over those of the frames that it is in."""
        own: Mapping[str, Json] = frame.get("vars") or {}
        parent = frame.get("parent")
        if parent is None or "isolated" in frame:
            return own
        outer = self.variables(self.frames[parent])
        return {**outer, **own} if own else outer

    def text(self, value: Json) -> str:
        """A value as compact JSON. The last one is remembered: a state's output is the next one's input.

        Raises RuntimeFault where the value is no JSON, or nested so deeply that it could not be stored.
        """
        if value is not self._last_value:
            self._last_text = json_text(value)
            self._last_value = value
        return self._last_text

    def limited(self, value: Json, name: str) -> str:
        """The value as JSON. Raises StateError States.DataLimitExceeded where it is too large to be passed on."""
        text = self.text(value)
        if too_large(text):
            raise StateError(
                "States.DataLimitExceeded",
                f"The state/task '{name}' returned a result with a size exceeding "
                "the maximum number of bytes service limit.",
            )
        return text

    # History

    def append(self, event_type: str, details: dict[str, Any] | None, previous: int) -> int:
        """Append a history event and return its id."""
        self.state["events"] += 1
        number: int = self.state["events"]
        event = {"timestamp": self.time, "type": event_type, "id": number, "previousEventId": previous}
        if details is not None:
            event[history.details_key(event_type)] = details
        self.events.append(event)
        return number

    def is_full(self) -> bool:
        """Whether the history has no room but for the event with which the execution ends."""
        return bool(self.state["events"] >= MAX_EVENTS - 1)

    def record(self, frame: Frame, event_type: str, details: dict[str, Any] | None = None, *, step: bool = True) -> int:
        """Append a frame's event. `step` False: what follows still names the event before as its previous one."""
        if "quiet" in frame:
            frame["quiet"] += 1
            return int(frame["quiet"])
        if self.is_full():
            self.close("FAILED", error="States.Runtime", cause=_FULL, previous=frame["last"])
            raise ExecutionOver
        number = self.append(event_type, details, frame["last"])
        if step:
            frame["last"] = number
        return number

    # How a state ends

    def leave(self, frame: Frame, state: State, outcome: payload.Outcome, following: str | None) -> None:
        """A state is done: record it, set its variables, and go on with the next one or end the machine."""
        output, assigned = outcome
        text = self.limited(output, state.name)
        texts = None
        if assigned:
            texts = {name: json_text(value) for name, value in assigned.items()}
            if too_large("".join(texts.values())):
                cause = f"The variables that the state '{state.name}' assigns are larger than {MAX_PAYLOAD} bytes."
                raise StateError("States.DataLimitExceeded", cause)
            frame["vars"] = {**(frame.get("vars") or {}), **assigned}
        self.record(frame, f"{state.type}StateExited", history.exited(state.name, text, texts))
        for key in ("retries", "retry_count", "wait", "task_token"):
            frame.pop(key, None)
        if following is None:
            self.end_machine(frame, output)
        else:
            frame["state"] = following
            frame["input"] = output
            del frame["entered"]
            self.ready.append(frame["id"])

    def finish(self, frame: Frame, state: State, result: Json) -> None:
        """A state has its result: compute its output and leave it."""
        self.leave(frame, state, payload.finish(state, self.scope(frame, state), result), state.next)

    def again(self, frame: Frame) -> None:
        """Work on the frame's state once more (a retry, a redrive)."""
        self.ready.append(frame["id"])

    def waited(self, frame: Frame) -> None:
        """A Wait state is over."""
        state = self.state_of(frame)
        try:
            self.leave(frame, state, payload.passed(state, self.scope(frame, state)), state.next)
        except StateError as error:
            self.fail_state(frame, error)

    def end_machine(self, frame: Frame, output: Json) -> None:
        """A frame's machine succeeded."""
        parent = frame.get("parent")
        if parent is None:
            self.close("SUCCEEDED", output=output, previous=frame["last"])
            return
        above = self.own(parent)
        try:
            self.handlers.child_succeeded(self, above, frame, output)
        except StateError as error:
            self.fail_state(above, error)

    def fail_state(self, frame: Frame, error: StateError, *, failed_event: str | None = None) -> None:
        """A state failed: retry it, catch the error, or fail the machine.

        `failed_event` is recorded unless the state is retried.
        """
        state = self.state_of(frame)
        error = self._told(frame, state, error)
        if self._retry(frame, state, error):
            return
        if failed_event is not None:
            self.record(frame, failed_event)
        try:
            if self._catch(frame, state, error):
                return
        except StateError as worse:
            error = self._told(frame, state, worse)
        self._fail_machine(frame, error)

    def _told(self, frame: Frame, state: State, error: StateError) -> StateError:
        """The error with its place. A failed evaluation is recorded, once."""
        error = error.at(state.name, int(frame.get("entered") or frame["last"]))
        if error.field is not None:
            details = {**history.failure(error.error, error.cause), "state": state.name}
            if error.field:
                details["location"] = error.field
            self.record(frame, "EvaluationFailed", details)
            error.field = None
        return error

    def _retry(self, frame: Frame, state: State, error: StateError) -> bool:
        for index, retrier in enumerate(state.retry):
            if not matches(retrier.errors, error.error):
                continue
            counts = dict(frame.get("retries") or {})
            attempt = counts.get(str(index), 0) + 1
            if attempt > retrier.attempts:
                return False
            counts[str(index)] = attempt
            frame.update(retries=counts, retry_count=frame.get("retry_count", 0) + 1)
            self._drop_children(frame)
            seconds = delay(retrier, attempt, self.fraction)
            self.wait_for_timer(frame, self.now + timedelta(seconds=seconds), "retry")
            return True
        return False

    def _catch(self, frame: Frame, state: State, error: StateError) -> bool:
        for catcher in state.catch:
            if matches(catcher.errors, error.error):
                output = {"Error": error.error or "", "Cause": error.cause or ""}
                outcome = payload.caught(state, catcher, self.scope(frame, state), output)
                self._drop_children(frame)
                self.leave(frame, state, outcome, catcher.next)
                return True
        return False

    def _drop_children(self, frame: Frame) -> None:
        for child in self.children_of(frame["id"]):
            self.halt(self.own(child))
            self.drop_frame(child)
        frame.pop("wait", None)

    def _fail_machine(self, frame: Frame, error: StateError) -> None:
        parent = frame.get("parent")
        if parent is None:
            self.close("FAILED", error=error.error, cause=error.cause, previous=frame["last"])
            return
        frame["halted"] = True
        above = self.own(parent)
        try:
            self.handlers.child_failed(self, above, frame, error)
        except StateError as worse:
            self.fail_state(above, worse)

    # How the execution ends

    def close(
        self, status: str, *, output: Json = None, error: str | None = None, cause: str | None = None,
        previous: int | None = None,
    ) -> None:  # fmt: skip
        """End the execution and call off all that it waits for. Its frames stay, unless it succeeded."""
        last = self.state["events"] if previous is None else previous
        name = {"SUCCEEDED": "Succeeded", "FAILED": "Failed", "TIMED_OUT": "TimedOut", "ABORTED": "Aborted"}[status]
        if status == "SUCCEEDED":
            details: dict[str, Any] = {"output": self.text(output), "outputDetails": {"truncated": False}}
        else:
            details = history.failure(error, cause)
        self.append(f"Execution{name}", details, last)
        self.commands.extend(CancelTask(int(task)) for task in self.state["tasks"])
        self.commands.extend(CancelTimer(int(timer)) for timer in self.state["timers"])
        if "deadline" in self.state:
            self.commands.append(CancelTimer(self.state.pop("deadline")))
        self.state.update(status=status, tasks={}, timers={})
        if status == "SUCCEEDED":
            self.state.update(output=output, frames={})
            self.frames = self.state["frames"]
        else:
            self.state.update(error=error, cause=cause)

    def resume(self, frame: Frame) -> None:
        """Let a frame, or else those below it, go on from the state in which it failed or was stopped."""
        for key in ("halted", "retries", "retry_count"):
            frame.pop(key, None)
        frame["last"] = self.state["events"]
        try:
            if not self.handlers.redrive_below(self, frame):
                frame.pop("wait", None)
                self.ready.append(frame["id"])
        except StateError as error:
            self.fail_state(frame, error)
