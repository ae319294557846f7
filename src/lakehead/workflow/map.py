"""What a Map state does: its items, its iterations, and how many of them may fail."""

from __future__ import annotations

from typing import Any

from lakehead.model import Json
from lakehead.workflow import payload
from lakehead.workflow.engine import Frame, Run
from lakehead.workflow.expressions import QueryFault, RuntimeFault, Scope, StateError
from lakehead.workflow.functions import compact
from lakehead.workflow.jsonata import unexpected
from lakehead.workflow.parallel import halt_others
from lakehead.workflow.states import MapState

MAX_OPEN = 40
"""AWS: an inline Map runs up to 40 iterations at once. A distributed one may run more there; here it does not."""


def map_state(run: Run, frame: Frame, state: MapState) -> None:
    """Evaluate the items and limits, and open as many iterations as may run at once."""
    try:
        _start(run, frame, state)
    except QueryFault as fault:
        run.fail_state(frame, fault, failed_event="MapStateFailed")


def _start(run: Run, frame: Frame, state: MapState) -> None:
    scope = payload.selected(state, run.scope(frame, state))
    limit = int(payload.number(state, state.concurrency, scope) or 0)
    items = _items(state, scope)
    length = len(items)
    run.record(frame, "MapStateStarted", {"length": length})
    wait: dict[str, Any] = {"kind": "map", "length": length, "next": 0, "open": 0, "failed": 0}
    wait["limit"] = min(limit, MAX_OPEN) if limit else MAX_OPEN
    if state.distributed:
        wait.update(_tolerances(state, scope))
        items = _inputs(run, frame, state, scope, items)
        wait["length"] = len(items)
    wait.update(items=items, results=[None] * len(items))
    if state.distributed:
        run.record(frame, "MapRunStarted", {"mapRunArn": _map_run(run, frame)})
    frame["wait"] = wait
    _open_more(run, frame, state, frame["last"])
    _end_if_done(run, frame, state)


def _items(state: MapState, scope: Scope) -> list[Json]:
    value = scope.data if state.items is None else state.items(scope)
    if isinstance(value, list):
        return value
    if state.jsonata and state.items is None:
        raise QueryFault(f"Map state input must be an array but was: {compact(value)}")
    if state.jsonata:
        raise unexpected(state.items_text, "Items", "array", value)
    raise RuntimeFault(f'Reference path "{state.items_text}" must point to array.')


def _map_run(run: Run, frame: Frame) -> str:
    info = run.state["info"]
    base = str(info["state_machine_id"]).replace(":stateMachine:", ":mapRun:")
    return f"{base}/{frame['state']}:{frame['entered']}"


def _tolerances(state: MapState, scope: Scope) -> dict[str, Any]:
    found = {
        "count": payload.number(state, state.tolerated_count, scope),
        "percentage": payload.number(state, state.tolerated_percentage, scope),
    }
    return {key: value for key, value in found.items() if value is not None}


def _inputs(run: Run, frame: Frame, state: MapState, scope: Scope, items: list[Json]) -> list[Json]:
    """The inputs of a distributed Map's iterations: each item, or each batch of items."""
    if not state.batched:
        return items
    chosen = [_selected(run, frame, state, scope, index, item) for index, item in enumerate(items)]
    extra = {} if state.batch_input is None else {"BatchInput": state.batch_input(scope)}
    most = payload.number(state, state.batch_items, scope)
    size = payload.number(state, state.batch_bytes, scope)
    batches: list[list[Json]] = []
    used = 0
    for item in chosen:
        weight = len(compact(item).encode("utf-8", "surrogatepass")) + 1
        full = (
            not batches
            or (most is not None and len(batches[-1]) >= most)
            or (size is not None and used + weight > size)
        )
        if full:
            batches.append([])
            used = 0
        batches[-1].append(item)
        used += weight
    return [{**extra, "Items": batch} for batch in batches]


def _selected(run: Run, frame: Frame, state: MapState, scope: Scope, index: int, item: Json) -> Json:
    """An iteration's input: ItemSelector, in whose context object the item is."""
    if state.selector is None:
        return item
    inner = {**frame, "item": {"Index": index, "Value": item}}
    return state.selector(scope.within(run.surroundings(inner, state)))


def _open_more(run: Run, frame: Frame, state: MapState, last: int) -> None:
    wait = frame["wait"]
    scope = None
    while wait["open"] < wait["limit"] and wait.get("again"):
        wait["again"], again = wait["again"][1:], wait["again"][0]
        wait["open"] += 1
        run.resume(run.own(again))
    while wait["open"] < wait["limit"] and wait["next"] < wait["length"]:
        index, item = wait["next"], wait["items"][wait["next"]]
        data = item
        if state.selector is not None and not state.batched:
            try:
                scope = scope or payload.selected(state, run.scope(frame, state))
                data = _selected(run, frame, state, scope, index, item)
            except StateError:
                halt_others(run, frame)
                raise
        wait["next"] += 1
        wait["open"] += 1
        if not state.distributed:
            before, frame["last"] = frame["last"], last
            started = run.record(frame, "MapIterationStarted", {"name": state.name, "index": index}, step=False)
            frame["last"] = before
        else:
            started = 0
        child = run.open_frame(
            state.processor, data, parent=frame, index=index, last=started, item={"Index": index, "Value": item},
            quiet=state.distributed,
        )  # fmt: skip
        if state.distributed:
            child["isolated"] = data


def _map_of(run: Run, frame: Frame) -> MapState:
    state = run.state_of(frame)
    if not isinstance(state, MapState):
        raise TypeError(f"state {state.name!r} is no Map any more; the definition was changed under its execution")
    return state


def iteration_succeeded(run: Run, frame: Frame, child: Frame, output: Json) -> None:
    """Keep an iteration's output, and open the next."""
    state = _map_of(run, frame)
    wait = frame["wait"]
    wait["results"][child["index"]] = output
    wait["open"] -= 1
    if not state.distributed:
        frame["last"] = child["last"]
        run.record(frame, "MapIterationSucceeded", {"name": state.name, "index": child["index"]})
    run.drop_frame(child["id"])
    _open_more(run, frame, state, child["last"])
    _end_if_done(run, frame, state)


def _end_if_done(run: Run, frame: Frame, state: MapState) -> None:
    wait = frame["wait"]
    if wait["open"] or wait["next"] < wait["length"]:
        return
    if state.distributed:
        run.record(frame, "MapRunSucceeded")
        for child in run.children_of(frame["id"]):
            run.drop_frame(child)
    run.record(frame, "MapStateSucceeded", step=False)
    failed = set(wait.get("failed_at", ()))
    results = (
        [result for index, result in enumerate(wait["results"]) if index not in failed] if failed else wait["results"]
    )
    run.finish(frame, state, results)


def iteration_failed(run: Run, frame: Frame, child: Frame, error: StateError) -> None:
    """A failed iteration fails an inline Map; a distributed one bears as many as it tolerates.

    Those stay as they are until the Map Run has succeeded: a redrive goes on with all that failed.
    """
    state = _map_of(run, frame)
    if not state.distributed:
        frame["last"] = child["last"]
        run.record(frame, "MapIterationFailed", {"name": state.name, "index": child["index"]}, step=False)
        halt_others(run, frame)
        run.fail_state(frame, error, failed_event="MapStateFailed")
        return
    wait = frame["wait"]
    wait["failed"] += 1
    if _tolerated(wait):
        wait["open"] -= 1
        wait["failed_at"] = [*wait.get("failed_at", ()), child["index"]]
        _open_more(run, frame, state, 0)
        _end_if_done(run, frame, state)
        return
    halt_others(run, frame)
    cause = "The specified tolerated failure threshold was exceeded"
    worse = StateError("States.ExceedToleratedFailureThreshold", cause)
    run.record(frame, "MapRunFailed", {"error": worse.error, "cause": worse.cause})
    run.fail_state(frame, worse, failed_event="MapStateFailed")


def redrive_iterations(run: Run, frame: Frame) -> bool:
    """Go on with the iterations that were under way, then with the others as MaxConcurrency lets them.

    In a Map Run those whose failure was tolerated go on too.
    """
    state, wait, children = _map_of(run, frame), frame.get("wait"), run.children_of(frame["id"])
    if wait is None or not (children or wait["next"] < wait["length"]):
        return False
    parked: set[str] = set()
    if state.distributed:
        details = {"mapRunArn": _map_run(run, frame), "redriveCount": run.state["redrives"]}
        run.record(frame, "MapRunRedriven", details)
        parked = _park(run, wait, children)
    for child in children:
        if child not in parked:
            run.resume(run.own(child))
    _open_more(run, frame, state, frame["last"])
    return True


def _park(run: Run, wait: dict[str, Any], children: list[str]) -> set[str]:
    """Let iterations that failed, or that an earlier redrive did not come to, wait for their turn."""
    failed, earlier = set(wait.get("failed_at", ())), set(wait.get("again", ()))
    indexes = {child: run.frames[child]["index"] for child in children}
    again = [child for child in children if child in earlier or indexes[child] in failed]
    # Journals of an earlier version kept no frame of them.
    lost = sorted(failed - set(indexes.values()))
    wait.update(again=again, failed=len(lost), failed_at=lost)
    return set(again)


def _tolerated(wait: dict[str, Any]) -> bool:
    """Whether the failures so far are within both limits; without any limit none is tolerated."""
    if "count" not in wait and "percentage" not in wait:
        return False
    if "count" in wait and wait["failed"] > wait["count"]:
        return False
    return "percentage" not in wait or wait["failed"] * 100 <= wait["percentage"] * wait["length"]
