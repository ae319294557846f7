"""A workflow document as a graph, plain data: machines of states, and where each state leads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lakehead.workflow.path import PathTaken


@dataclass(frozen=True, slots=True)
class Arrow:
    """Where a state leads: `target` is a state's name, "" for the end of its machine.

    `label` is what is written at it: a choice's condition, a catch's errors. `caught`: a Catch leads there.
    """

    target: str
    label: str = ""
    caught: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """A state. `id` is unique in the document: `s1`, `s2`, ... `inner` are a Parallel's branches, a Map's processor."""

    id: str
    name: str
    type: str
    arrows: tuple[Arrow, ...]
    inner: tuple[Machine, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """The states of a document, or of one branch in it. `first` names the one that it starts with."""

    first: str
    states: tuple[State, ...]

    def ids(self) -> dict[str, str]:
        """The id of every state by its name, those of inner machines too; names are unique in a document."""
        return {state.name: state.id for state in self.walk()}

    def walk(self) -> Iterator[State]:
        """Every state, each before those inside it."""
        for state in self.states:
            yield state
            for machine in state.inner:
                yield from machine.walk()


def graph_of(document: Mapping[str, Any]) -> Machine:
    """The graph of a valid document."""
    return _machine(document, _Numbers())


def was_taken(taken: PathTaken, state: str, arrow: Arrow) -> bool:
    """Whether an execution went this way out of the state."""
    if arrow.target:
        return (state, arrow.target, arrow.caught) in taken.transitions
    visits = taken.states.get(state)
    return visits is not None and visits.status == "SUCCEEDED"


class _Numbers:
    def __init__(self) -> None:
        self.last = 0

    def next(self) -> str:
        self.last += 1
        return f"s{self.last}"


def _machine(document: Mapping[str, Any], numbers: _Numbers) -> Machine:
    states: Mapping[str, Mapping[str, Any]] = document["States"]
    ids = {name: numbers.next() for name in states}
    found = (
        State(
            ids[name],
            name,
            state["Type"],
            tuple(_arrows(state)),
            tuple(_machine(inner, numbers) for inner in _inner(state)),
        )
        for name, state in states.items()
    )
    return Machine(document["StartAt"], tuple(found))


def _inner(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The machines inside a Parallel or Map state."""
    if state["Type"] == "Parallel":
        return list(state["Branches"])
    processor = state.get("ItemProcessor") or state.get("Iterator")
    return [processor] if processor else []


def _arrows(state: Mapping[str, Any]) -> Iterator[Arrow]:
    for choice in state.get("Choices", ()):
        yield Arrow(choice["Next"], str(choice.get("Comment") or _condition(choice)))
    if "Default" in state:
        yield Arrow(state["Default"], "otherwise")
    for catcher in state.get("Catch", ()):
        yield Arrow(catcher["Next"], "on " + " or ".join(catcher["ErrorEquals"]), caught=True)
    if "Next" in state:
        yield Arrow(state["Next"])
    elif state.get("End") or state["Type"] in ("Succeed", "Fail"):
        yield Arrow("")


def _condition(rule: Mapping[str, Any]) -> str:
    """A Choice rule in a few words."""
    for word in ("And", "Or"):
        if word in rule:
            return f" {word.lower()} ".join(_condition(part) for part in rule[word])
    if "Not" in rule:
        return f"not {_condition(rule['Not'])}"
    if "Condition" in rule:
        return str(rule["Condition"])
    return " ".join(f"{rule.get('Variable', '')} {k} {v}" for k, v in rule.items() if k not in ("Variable", "Next"))
