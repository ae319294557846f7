"""The path that an execution took through its states, read out of its history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

RUNNING, SUCCEEDED, CAUGHT, FAILED, ABORTED = "RUNNING", "SUCCEEDED", "CAUGHT", "FAILED", "ABORTED"
_FIRST = (FAILED, RUNNING, ABORTED, CAUGHT, SUCCEEDED)
"""Of several visits of one state, the status that is told."""
_ENTERED, _EXITED, _ITERATION = "stateEnteredEventDetails", "stateExitedEventDetails", "mapIterationStartedEventDetails"
_ENDS = {"ExecutionFailed": FAILED, "ExecutionTimedOut": ABORTED, "ExecutionAborted": ABORTED}
START = ""
"""The place before the first state of a machine."""


@dataclass(frozen=True, slots=True)
class Visits:
    """How often a state was entered, and its status; CAUGHT: it failed, and a Catch went on from there."""

    count: int
    status: str


@dataclass(frozen=True, slots=True)
class Stay:
    """One stay in a state, from `entered` to `exited` (None: not yet), with the status that `Visits` have.

    `depth` counts the Parallel and Map states around it. `attempts` counts the tries of its task; None where the state
    is no Task.
    """

    name: str
    type: str
    status: str
    entered: datetime
    exited: datetime | None
    depth: int
    attempts: int | None


@dataclass(frozen=True, slots=True)
class PathTaken:
    """The states that were entered, and the transitions that were taken: (from, to, by a Catch).

    The one to a machine's first state comes from START.
    """

    states: Mapping[str, Visits] = field(default_factory=dict)
    transitions: frozenset[tuple[str, str, bool]] = frozenset()


def path_taken(history: Iterable[Mapping[str, Any]], document: Mapping[str, Any]) -> PathTaken:
    """Read a whole history of a valid document, that of an execution that still runs too."""
    return _read(history, document).path()


def stays(history: Iterable[Mapping[str, Any]], document: Mapping[str, Any]) -> tuple[Stay, ...]:
    """Every stay in a state, in the order in which they began, by a whole history of a valid document."""
    return _read(history, document).stays()


def _read(history: Iterable[Mapping[str, Any]], document: Mapping[str, Any]) -> _Reading:
    reading = _Reading({state.name: state for state in _targets(document)})
    for event in history:
        reading.take(event)
    return reading


@dataclass(frozen=True, slots=True)
class _Targets:
    """Where a state leads, and where its Catch leads."""

    name: str
    type: str
    plain: frozenset[str]
    caught: frozenset[str]


def _targets(document: Mapping[str, Any]) -> Iterator[_Targets]:
    for name, state in document["States"].items():
        choices = (rule["Next"] for rule in state.get("Choices", ()))
        plain = {state.get("Next"), state.get("Default"), *choices} - {None}
        yield _Targets(
            name, state["Type"], frozenset(plain), frozenset(catch["Next"] for catch in state.get("Catch", ()))
        )
        for inner in (*state.get("Branches", ()), state.get("ItemProcessor"), state.get("Iterator")):
            if inner:
                yield from _targets(inner)


@dataclass(slots=True)
class _Visit:
    """One stay in a state. `above` is the visit of the Parallel or Map around it; `over`: nothing can come of it."""

    name: str
    above: _Visit | None
    entered: datetime
    exited: datetime | None = None
    status: str = RUNNING
    over: bool = False
    attempts: int = 0

    @property
    def depth(self) -> int:
        """How many visits it is within."""
        return 0 if self.above is None else self.above.depth + 1

    def within(self, other: _Visit) -> bool:
        """Whether it is below the other visit."""
        above = self.above
        while above is not None and above is not other:
            above = above.above
        return above is other


class _Reading:
    def __init__(self, targets: Mapping[str, _Targets]) -> None:
        self.targets = targets
        self.events: dict[int, Mapping[str, Any]] = {}
        self.visits: list[_Visit] = []
        self.at: dict[int, _Visit] = {}
        self.transitions: set[tuple[str, str, bool]] = set()
        self.now = datetime.min.replace(tzinfo=UTC)

    def take(self, event: Mapping[str, Any]) -> None:
        """Go on with the next event."""
        before = self.events.get(event["previousEventId"])
        here = self.at.get(event["previousEventId"])
        self.events[event["id"]] = event
        self.now = datetime.fromisoformat(event["timestamp"])
        kind = event["type"]
        if _ENTERED in event:
            here = self._enter(event[_ENTERED]["name"], before, here)
        elif _EXITED in event:
            here = self._open(event[_EXITED]["name"], here)
            if here is not None:
                self._exit(here, before)
        elif kind.endswith("StateAborted") and here is not None:
            # The state that failed its branch is aborted with it.
            here.status, here.exited = FAILED if _failed(before) else ABORTED, self.now
        elif kind in ("ParallelStateStarted", "MapStateStarted") and here is not None:
            self._close_below(here)  # a retry begins anew
        elif kind in _ENDS:
            self._end(_ENDS[kind])
        elif kind == "ExecutionRedriven":
            self._reopen()
        elif _ITERATION in event:
            here = self._open(event[_ITERATION]["name"], None)
        elif kind.endswith("Scheduled") and here is not None:
            here.attempts += 1
        if here is not None:
            self.at[event["id"]] = here

    def path(self) -> PathTaken:
        """What the events tell."""
        statuses: dict[str, list[str]] = {}
        for visit in self.visits:
            statuses.setdefault(visit.name, []).append(visit.status)
        states = {name: Visits(len(its), next(s for s in _FIRST if s in its)) for name, its in statuses.items()}
        return PathTaken(states, frozenset(self.transitions))

    def stays(self) -> tuple[Stay, ...]:
        """The visits, one by one."""
        return tuple(
            Stay(
                one.name,
                self.targets[one.name].type,
                one.status,
                one.entered,
                one.exited,
                one.depth,
                one.attempts if self.targets[one.name].type == "Task" else None,
            )
            for one in self.visits
        )

    def _enter(self, name: str, before: Mapping[str, Any] | None, here: _Visit | None) -> _Visit:
        if before is None or here is None or _EXITED not in before:
            self.transitions.add((START, name, False))
            visit = _Visit(name, here, self.now)
        else:
            targets = self.targets[here.name]
            if name in targets.caught - targets.plain:
                here.status = CAUGHT
            self.transitions.add((here.name, name, here.status == CAUGHT))
            visit = _Visit(name, here.above, self.now)
        self.visits.append(visit)
        return visit

    def _exit(self, visit: _Visit, before: Mapping[str, Any] | None) -> None:
        visit.status, visit.over, visit.exited = CAUGHT if _failed(before) else SUCCEEDED, True, self.now
        self._close_below(visit)

    def _open(self, name: str, here: _Visit | None) -> _Visit | None:
        """The visit of a state that an event speaks of: where the chain of events leads, else the last open one."""
        if here is not None and here.name == name:
            return here
        return next((one for one in reversed(self.visits) if one.name == name and not one.over), None)

    def _close_below(self, visit: _Visit) -> None:
        for one in self.visits:
            if not one.over and one.within(visit):
                one.over, one.exited = True, one.exited or self.now
                one.status = FAILED if one.status == RUNNING else one.status

    def _end(self, status: str) -> None:
        for visit in self.visits:
            if visit.status == RUNNING:
                visit.status, visit.exited = status, self.now

    def _reopen(self) -> None:
        for visit in self.visits:
            if not visit.over and visit.status in (FAILED, ABORTED):
                visit.status, visit.exited = RUNNING, None


def _failed(event: Mapping[str, Any] | None) -> bool:
    return event is not None and event["type"].endswith(("Failed", "TimedOut"))
