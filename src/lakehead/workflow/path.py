"""The path that an execution took through its states, read out of its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

RUNNING, SUCCEEDED, CAUGHT, FAILED, ABORTED = "RUNNING", "SUCCEEDED", "CAUGHT", "FAILED", "ABORTED"
_FIRST = (FAILED, RUNNING, ABORTED, CAUGHT, SUCCEEDED)
"""Of several visits of one state, the status that is told."""
_ENTERED, _EXITED = "stateEnteredEventDetails", "stateExitedEventDetails"
START = ""
"""The place before the first state of a machine."""


@dataclass(frozen=True, slots=True)
class Visits:
    """How often a state was entered, and its status; CAUGHT: it failed, and a Catch went on from there."""

    count: int
    status: str


@dataclass(frozen=True, slots=True)
class PathTaken:
    """The states that were entered, and the transitions that were taken: (from, to, by a Catch).

    The one to a machine's first state comes from START.
    """

    states: Mapping[str, Visits] = field(default_factory=dict)
    transitions: frozenset[tuple[str, str, bool]] = frozenset()


def path_taken(history: Iterable[Mapping[str, Any]]) -> PathTaken:
    """Read a whole history, that of an execution that still runs too."""
    events = {event["id"]: event for event in history}
    unended = ABORTED
    statuses: dict[int, str] = {}
    visit_of: dict[int, int] = {}
    transitions: set[tuple[str, str, bool]] = set()
    for number, event in events.items():
        before = events.get(event["previousEventId"])
        if _ENTERED in event:
            visit_of[number] = number
            statuses[number] = RUNNING
            exited = before if before and _EXITED in before else None
            caught = exited is not None and statuses.get(visit_of[exited["id"]]) == CAUGHT
            transitions.add((exited[_EXITED]["name"] if exited else START, event[_ENTERED]["name"], caught))
            continue
        visit = visit_of.get(event["previousEventId"], 0)
        failed = before is not None and before["type"].endswith(("Failed", "TimedOut"))
        if _EXITED in event:
            visit = _visit_of_exit(events, statuses, event[_EXITED]["name"], visit)
            statuses[visit] = CAUGHT if failed else SUCCEEDED
        elif event["type"].endswith("StateAborted"):
            statuses[visit] = FAILED if failed else ABORTED  # the state that failed its branch is aborted with it
        elif event["type"] in ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"):
            unended = FAILED if event["type"] == "ExecutionFailed" else ABORTED
            statuses = {each: unended if status == RUNNING else status for each, status in statuses.items()}
        elif event["type"] == "ExecutionRedriven":
            statuses = {each: RUNNING if status in (FAILED, ABORTED) else status for each, status in statuses.items()}
        visit_of[number] = visit
    return PathTaken(_by_name(events, statuses), frozenset(transitions))


def _visit_of_exit(events: Mapping[int, Mapping[str, Any]], statuses: Mapping[int, str], name: str, visit: int) -> int:
    """The visit that an exit ends: where the chain of events leads into a branch, the last open one of the state."""
    if visit in events and events[visit].get(_ENTERED, {}).get("name") == name:
        return visit
    open_ones = [
        number
        for number, status in statuses.items()
        if status not in (SUCCEEDED, CAUGHT) and events[number][_ENTERED]["name"] == name
    ]
    return open_ones[-1] if open_ones else visit


def _by_name(events: Mapping[int, Mapping[str, Any]], statuses: Mapping[int, str]) -> dict[str, Visits]:
    found: dict[str, list[str]] = {}
    for number, status in statuses.items():
        if number in events:
            found.setdefault(events[number][_ENTERED]["name"], []).append(status)
    return {name: Visits(len(its), next(s for s in _FIRST if s in its)) for name, its in found.items()}
