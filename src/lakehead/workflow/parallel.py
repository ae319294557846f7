"""What a Parallel state does, and how it takes the end of a branch."""

from __future__ import annotations

from typing import Any

from lakehead.model import Json
from lakehead.workflow import payload
from lakehead.workflow.engine import Frame, Run
from lakehead.workflow.expressions import StateError
from lakehead.workflow.states import MapState, ParallelState

_CAN_BE_ABORTED = ("Task", "Wait", "Parallel", "Map")


def parallel_state(run: Run, frame: Frame, state: ParallelState) -> None:
    """Open a frame for every branch, all with the same input."""
    data = payload.arguments(state, payload.selected(state, run.scope(frame, state)))
    started = run.record(frame, "ParallelStateStarted")
    count = len(state.branches)
    frame["wait"] = {"kind": "parallel", "open": count, "results": [None] * count}
    for index, branch in enumerate(state.branches):
        run.open_frame(branch, data, parent=frame, index=index, last=started)


def branch_succeeded(run: Run, frame: Frame, branch: Frame, output: Json) -> None:
    """Keep a branch's output; the last one ends the state."""
    wait = frame["wait"]
    wait["results"][branch["index"]] = output
    wait["open"] -= 1
    frame["last"] = max(frame["last"], branch["last"])
    run.drop_frame(branch["id"])
    if wait["open"] == 0:
        run.record(frame, "ParallelStateSucceeded", step=False)
        run.finish(frame, run.state_of(frame), wait["results"])


def branch_failed(run: Run, frame: Frame, branch: Frame, error: StateError) -> None:
    """One failed branch fails the state; the others stop where they are."""
    frame["last"] = max(frame["last"], branch["last"])
    if run.state_of(branch).type in _CAN_BE_ABORTED:
        run.record(branch, f"{run.state_of(branch).type}StateAborted")
    halt_others(run, frame)
    run.fail_state(frame, error, failed_event="ParallelStateFailed")


def redrive_branches(run: Run, frame: Frame) -> bool:
    """Go on with the branches that did not succeed; False where there are none."""
    children = run.children_of(frame["id"])
    for child in children:
        run.resume(run.own(child))
    return bool(children)


def halt_others(run: Run, frame: Frame) -> None:
    """Stop the frames below, and record which states and iterations were cut off."""
    for child_id in run.children_of(frame["id"]):
        child = run.own(child_id)
        if "halted" not in child:
            abort(run, child)
            if isinstance(run.state_of(frame), MapState):
                _note(run, child, "MapIterationAborted", {"name": frame["state"], "index": child["index"]})


def abort(run: Run, frame: Frame) -> None:
    """Stop a frame where it is, the innermost states first."""
    state = run.state_of(frame)
    halt_others(run, frame)
    if isinstance(state, MapState) and state.distributed and "entered" in frame:
        _note(run, frame, "MapRunAborted")
    if "entered" in frame and state.type in _CAN_BE_ABORTED:
        _note(run, frame, f"{state.type}StateAborted")
    run.halt(frame)


def _note(run: Run, frame: Frame, event_type: str, details: dict[str, Any] | None = None) -> None:
    """Record what was cut off, where the history has room: a stop must not fail the execution."""
    if not run.is_full():
        run.record(frame, event_type, details)
